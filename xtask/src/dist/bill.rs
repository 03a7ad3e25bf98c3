//! The bill of materials of a program: every crate that is linked into it, as CycloneDX 1.6 has it
//! (<https://cyclonedx.org/docs/1.6/json/>). Made of what cargo resolves and of the hashes in
//! `Cargo.lock`; the same lock gives the same bytes.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::workspace;

/// The platform whose dependencies count.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// The bill of one package of the workspace.
pub(super) fn of(package: &str) -> Result<String> {
    let metadata =
        workspace::cargo(&["metadata", "--format-version", "1", "--locked", "--filter-platform", PLATFORM])
            .output()
            .context("could not start cargo")?;
    ensure!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: Value = serde_json::from_slice(&metadata.stdout)?;
    let lock = std::fs::read_to_string(workspace::root().join("Cargo.lock"))?;
    let bill = bill(&metadata, &hashes(&lock), package)?;
    Ok(format!("{bill:#}\n"))
}

/// The hash of each crate that `Cargo.lock` names, by name and version.
fn hashes(lock: &str) -> BTreeMap<(String, String), String> {
    let mut found = BTreeMap::new();
    for section in lock.split("[[package]]") {
        let field = |name: &str| {
            let line = section.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \""));
            line.map(|text| text.trim_end_matches('"').to_owned())
        };
        if let (Some(name), Some(version), Some(hash)) = (field("name"), field("version"), field("checksum"))
        {
            found.insert((name, version), hash);
        }
    }
    found
}

fn bill(metadata: &Value, hashes: &BTreeMap<(String, String), String>, root: &str) -> Result<Value> {
    let list = |value: &Value, pointer: &str| {
        value.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let packages: BTreeMap<String, Value> =
        list(metadata, "/packages").into_iter().map(|package| (text(&package, "id"), package)).collect();
    let nodes: BTreeMap<String, Value> =
        list(metadata, "/resolve/nodes").into_iter().map(|node| (text(&node, "id"), node)).collect();
    let members: Vec<String> =
        list(metadata, "/workspace_members").iter().filter_map(|id| id.as_str().map(str::to_owned)).collect();
    let root = members.iter().find(|id| packages.get(*id).is_some_and(|package| package["name"] == root));
    let root = root.context("no such package in the workspace")?;

    // Only what is linked: neither what builds need nor what tests need.
    let linked = |id: &str| -> Vec<String> {
        let needs = nodes.get(id).map(|node| list(node, "/deps")).unwrap_or_default();
        let needs = needs
            .into_iter()
            .filter(|need| list(need, "/dep_kinds").iter().any(|kind| kind["kind"].is_null()));
        needs.map(|need| text(&need, "pkg")).collect()
    };
    let mut all = BTreeSet::from([root.clone()]);
    let mut open = vec![root.clone()];
    while let Some(id) = open.pop() {
        open.extend(linked(&id).into_iter().filter(|need| all.insert(need.clone())));
    }
    let reference = |id: &str| {
        let package = packages.get(id).cloned().unwrap_or_default();
        format!("pkg:cargo/{}@{}", text(&package, "name"), text(&package, "version"))
    };
    let component = |id: &String| {
        let package = packages.get(id).cloned().unwrap_or_default();
        let (name, version) = (text(&package, "name"), text(&package, "version"));
        let kind = if id == root { "application" } else { "library" };
        let reference = reference(id);
        let mut component = json!({ "type": kind, "bom-ref": reference, "name": name, "version": version, "purl": reference });
        if let Some(licence) = package["license"].as_str() {
            // Old crates join alternatives by a slash, which SPDX does not know.
            component["licenses"] = json!([{ "expression": licence.replace('/', " OR ") }]);
        }
        if let Some(hash) = hashes.get(&(name, version)) {
            component["hashes"] = json!([{ "alg": "SHA-256", "content": hash }]);
        }
        component
    };
    let dependencies: Vec<Value> = all
        .iter()
        .map(|id| {
            let needs: BTreeSet<String> = linked(id).iter().map(|need| reference(need)).collect();
            json!({ "ref": reference(id), "dependsOn": needs })
        })
        .collect();
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": { "component": component(root) },
        "components": all.iter().filter(|id| *id != root).map(component).collect::<Vec<_>>(),
        "dependencies": dependencies,
    }))
}

#[cfg(test)]
mod tests {
    use super::{bill, hashes};
    use serde_json::{Value, json};

    #[test]
    fn the_workers_bill_holds_what_it_is_made_of_and_nothing_of_the_tests() {
        let text = super::of("worker").expect("a bill");
        assert_eq!(text, super::of("worker").expect("a bill"), "two bills of one lock differ");
        let bill: Value = serde_json::from_str(&text).expect("JSON");
        let components = bill["components"].as_array().expect("components");
        let has = |name: &str| components.iter().any(|component| component["name"] == name);
        for linked in ["contract", "reqwest", "rustls", "aws-lc-sys", "tokio"] {
            assert!(has(linked), "{linked}");
        }
        for other in ["simulator", "installer", "proptest", "cc", "azure_mgmt_web", "openssl"] {
            assert!(!has(other), "{other}");
        }
        let named = |name: &str| components.iter().all(|each| each[name].is_string());
        assert!(named("purl") && named("version"));
        // Everything but the workspace's own crate comes from a registry, with its hash.
        let without = components.iter().filter(|each| each["hashes"].is_null());
        assert_eq!(without.map(|each| &each["name"]).collect::<Vec<_>>(), ["contract"]);
    }

    #[test]
    fn what_is_linked_is_named_with_its_hash_and_what_only_builds_is_not() {
        let lock = "[[package]]\nname = \"used\"\nversion = \"1.0.0\"\nchecksum = \"abcd\"\n\n[[package]]\nname = \"own\"\nversion = \"0.1.0\"\n";
        let package = |name: &str| json!({ "id": name, "name": name, "version": if name == "own" { "0.1.0" } else { "1.0.0" }, "license": "MIT/Apache-2.0" });
        let need = |name: &str, kind: Option<&str>| json!({ "pkg": name, "dep_kinds": [{ "kind": kind }] });
        let packages = ["own", "used", "builder", "tester"].map(package);
        let metadata = json!({
            "packages": packages,
            "workspace_members": ["own"],
            "resolve": { "nodes": [
                { "id": "own", "deps": [need("used", None), need("builder", Some("build")), need("tester", Some("dev"))] },
                { "id": "used", "deps": [] },
            ] },
        });
        let bill = bill(&metadata, &hashes(lock), "own").expect("a bill");
        assert_eq!(bill["metadata"]["component"]["name"], "own");
        assert_eq!(
            bill["components"],
            json!([{
                "type": "library",
                "bom-ref": "pkg:cargo/used@1.0.0",
                "name": "used",
                "version": "1.0.0",
                "purl": "pkg:cargo/used@1.0.0",
                "licenses": [{ "expression": "MIT OR Apache-2.0" }],
                "hashes": [{ "alg": "SHA-256", "content": "abcd" }],
            }])
        );
        assert_eq!(
            bill["dependencies"],
            json!([
                { "ref": "pkg:cargo/own@0.1.0", "dependsOn": ["pkg:cargo/used@1.0.0"] },
                { "ref": "pkg:cargo/used@1.0.0", "dependsOn": [] },
            ])
        );
        assert!(super::bill(&metadata, &hashes(lock), "other").is_err());
    }
}
