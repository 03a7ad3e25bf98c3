//! Which crate may know which (invariants 1 and 10).

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use super::sources;

/// Kinds of dependency, as cargo's metadata names them; a normal one has none.
const DEVELOPMENT: &str = "dev";

/// Each member's dependencies of a kind by name.
fn dependencies(normal: bool) -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline", "--locked"])
        .current_dir(sources::root())
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    packages
        .iter()
        .map(|package| {
            let listed = package["dependencies"].as_array().expect("dependencies");
            let names = listed
                .iter()
                .filter(|each| (each["kind"].as_str() != Some(DEVELOPMENT)) == normal)
                .map(|each| each["name"].as_str().expect("a name").to_owned())
                .collect();
            (package["name"].as_str().expect("a name").to_owned(), names)
        })
        .collect()
}

/// The members of the workspace among a crate's dependencies.
fn members_among(all: &BTreeMap<String, BTreeSet<String>>, name: &str) -> Vec<String> {
    all[name].iter().filter(|dependency| all.contains_key(*dependency)).cloned().collect()
}

#[test]
fn crates_know_only_whom_they_may() {
    let shipped = dependencies(true);
    assert_eq!(shipped.keys().collect::<Vec<_>>(), ["contract", "installer", "simulator", "worker", "xtask"]);
    assert_eq!(members_among(&shipped, "contract"), [""; 0]);
    assert_eq!(members_among(&shipped, "installer"), ["contract"]);
    assert_eq!(members_among(&shipped, "worker"), ["contract"]);
    assert_eq!(members_among(&shipped, "simulator"), ["contract"]);
}

#[test]
fn the_binaries_do_not_meet_in_each_others_tests() {
    let tests = dependencies(false);
    assert!(!tests["worker"].contains("installer"));
    assert!(!tests["installer"].contains("worker"));
    assert_eq!(members_among(&tests, "contract"), [""; 0]);
}

#[test]
fn the_contract_does_no_input_or_output() {
    let shipped = dependencies(true);
    for dependency in &shipped["contract"] {
        let calls_out = ["tokio", "reqwest", "hyper", "axum", "azure"].iter();
        assert!(!calls_out.clone().any(|name| dependency.starts_with(name)), "{dependency}");
    }
    let doors = ["std::fs", "std::net", "std::env", "std::process", "std::io", "async fn", ".await"];
    let places: Vec<_> = sources::shipped_crates()
        .iter()
        .filter(|source| source.within(&["contract/src"]))
        .flat_map(|source| source.places_of(&doors))
        .collect();
    assert_eq!(places, [""; 0]);
}

#[test]
fn versions_are_stated_once_in_the_workspace() {
    // The fuzz targets are a workspace of their own, as cargo-fuzz wants it.
    let members = ["contract", "installer", "simulator", "worker", "xtask"];
    let manifests = members.map(|member| format!("{member}/Cargo.toml"));
    for source in sources::texts().iter().filter(|source| manifests.contains(&source.path)) {
        let mut section = "";
        for line in source.text.lines() {
            if line.starts_with('[') {
                section = line;
            } else if section.contains("dependencies") && line.contains('=') {
                assert!(line.contains("workspace = true"), "{}: {line}", source.path);
            }
        }
    }
}

#[test]
fn the_version_stands_in_one_place() {
    let members = ["contract", "installer", "simulator", "worker", "xtask"];
    for member in members {
        let manifest = std::fs::read_to_string(sources::root().join(member).join("Cargo.toml"));
        let manifest = manifest.expect("a manifest");
        assert!(manifest.contains("\nversion.workspace = true\n"), "{member} has a version of its own");
    }
    assert_eq!(dependencies(true).len(), members.len(), "each member is looked at");
}

#[test]
fn every_crate_is_held_by_the_lints_and_none_has_unsafe_code() {
    let texts = sources::texts();
    let text = |path: &str| {
        let found = texts.iter().find(|source| source.path == path);
        found.unwrap_or_else(|| panic!("{path}")).text.clone()
    };
    assert!(text("Cargo.toml").contains("unsafe_code = \"forbid\""), "the workspace forbids it");
    let manifests: Vec<&str> = texts
        .iter()
        .map(|source| source.path.as_str())
        .filter(|path| path.ends_with("/Cargo.toml") && *path != "fuzz/Cargo.toml")
        .collect();
    assert!(manifests.len() >= 5, "{manifests:?}");
    for manifest in manifests {
        assert!(text(manifest).contains("[lints]\nworkspace = true\n"), "{manifest}");
    }
    // libFuzzer's macro exports a symbol, which counts as unsafe: what is ours there is a module beside it.
    let targets = texts.iter().filter(|source| source.path.starts_with("fuzz/fuzz_targets/"));
    for target in targets {
        assert!(target.text.contains("#[forbid(unsafe_code)]\n#[path"), "{}", target.path);
    }
}
