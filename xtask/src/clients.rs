//! `cargo xtask clients`: Microsoft's own management libraries for Python read what `install` made, and
//! then that `teardown` left nothing; another one deploys the template, and the installer goes on from there.
//!
//! Installer and simulator have one author between them, and could share one mistake about Azure. The
//! libraries (`azure-mgmt-*`, pinned in `tools/clients`) have another: what they list and read must be
//! just what the simulator holds, property by property.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use contract::resources::TIMER_FUNCTION;
use contract::streams::{AUDIT_TABLE, HEALTH_TABLE};
use reqwest::Certificate;
use serde::Deserialize;
use serde_json::Value;
use simulator::simulator::{Options, Simulator};
use tokio::io::AsyncWriteExt as _;

use crate::demo::answers::RESOURCE_GROUP;
use crate::demo::person::Person;
use crate::test::tools;
use crate::{demo, screen, workspace};

/// The types that the libraries are asked for. Everything of them that the simulator holds must be seen.
const LOOKED_AT: &[&str] = &[
    "Microsoft.Resources/resourceGroups",
    "Microsoft.ManagedIdentity/userAssignedIdentities",
    "Microsoft.Storage/storageAccounts",
    "Microsoft.Storage/storageAccounts/blobServices/containers",
    "Microsoft.KeyVault/vaults",
    "Microsoft.KeyVault/vaults/secrets",
    "Microsoft.Insights/components",
    "Microsoft.Insights/dataCollectionRules",
    "Microsoft.Web/serverfarms",
    "Microsoft.Web/sites",
    "Microsoft.OperationalInsights/workspaces",
    "Microsoft.OperationalInsights/workspaces/tables",
    "Microsoft.OperationalInsights/workspaces/savedSearches",
    "Microsoft.Authorization/roleAssignments",
];

/// What is there when the libraries look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// An installation.
    Installed,
    /// Nothing but what was there before, the tables, and the deleted vault.
    Removed,
    /// Nothing but what was there before.
    Purged,
}

/// What the libraries saw: the document that `tools/clients/look.py` prints.
#[derive(Debug, Deserialize)]
pub(crate) struct Seen {
    /// Everything in the group, as the general library lists it.
    listed: Vec<String>,
    /// What each vault was that is deleted and can be recovered.
    deleted_vaults: Vec<String>,
    /// What belongs to the Function App; empty where there is none.
    site: BTreeMap<String, Value>,
    /// The names of the roles that are given in the subscription.
    roles: Vec<String>,
    /// Every resource that was read by its own library.
    seen: Vec<Resource>,
}

/// A resource as its library read it.
#[derive(Debug, Deserialize)]
struct Resource {
    library: String,
    id: String,
    /// Properties by their place in the resource's JSON.
    properties: BTreeMap<String, Value>,
}

/// Installs, looks, tears down, looks again.
pub(crate) fn run() -> Result<()> {
    tools::clients()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        demo::build().await?;
        let simulator = Simulator::start(Options::default()).await.context("starting the simulator")?;
        let person = Person::new(&simulator)?;
        person.install().await?;
        hold(&simulator, &look(&simulator).await?, Phase::Installed)?;
        person.tear_down().await?;
        hold(&simulator, &look(&simulator).await?, Phase::Removed)?;
        person.install_alone().await?;
        person.purge().await?;
        hold(&simulator, &look(&simulator).await?, Phase::Purged)?;
        deployed().await
    })
}

/// Has the library deploy the template where nothing is; the installer goes on from there, publishes the
/// worker and waits for rows.
async fn deployed() -> Result<()> {
    let simulator = Simulator::start(Options::default()).await.context("starting the simulator")?;
    simulator.state().add_group(simulator.subscription_id(), RESOURCE_GROUP, "westeurope");
    let outputs = deploy(&simulator).await?;
    let command = outputs["publishCommand"]["value"].as_str().context("the output publishCommand")?;
    screen::line(&format!("    deployed by Microsoft's library; next: {command}"));
    Person::new(&simulator)?.install().await?;
    hold(&simulator, &look(&simulator).await?, Phase::Installed)
}

/// Deploys `azuredeploy/azuredeploy.json` with the library; gives the outputs.
async fn deploy(simulator: &Simulator) -> Result<Value> {
    let root = workspace::root();
    let mimecast = simulator.mimecast().settings();
    let base_url = simulator.state().endpoints().mimecast.to_string();
    let parameters: serde_json::Map<String, Value> = [
        ("AppInsightsWorkspaceResourceID", simulator.workspace_id().to_owned()),
        ("mimecastBaseURL", base_url.trim_end_matches('/').to_owned()),
        ("mimecastClientId", mimecast.client_id),
        ("mimecastClientSecret", mimecast.client_secret),
        ("cloud", serde_json::json!(simulator.cloud_profile()).to_string()),
        ("packageUri", String::new()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), serde_json::json!({ "value": value })))
    .collect();
    let mut child = tokio::process::Command::new(tools::clients_folder().join("bin").join("python"))
        .arg(root.join("tools").join("clients").join("deploy.py"))
        .env_clear()
        .env("REQUESTS_CA_BUNDLE", simulator.ca_file())
        .env("CLIENTS_ENDPOINT", simulator.state().endpoints().resource_manager.as_str())
        .env("CLIENTS_TOKEN", token(simulator).await?)
        .env("CLIENTS_SUBSCRIPTION", simulator.subscription_id())
        .env("CLIENTS_GROUP", RESOURCE_GROUP)
        .env("CLIENTS_TEMPLATE", root.join("azuredeploy").join("azuredeploy.json"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .context("could not start Python; `cargo xtask test tools` makes its environment")?;
    let mut input = child.stdin.take().context("the library's standard input")?;
    input.write_all(Value::Object(parameters).to_string().as_bytes()).await?;
    drop(input);
    let output = child.wait_with_output().await?;
    ensure!(output.status.success(), "the library could not deploy the template: {}", output.status);
    serde_json::from_slice(&output.stdout).context("what the library printed is not the outputs")
}

/// Has the libraries look at the simulated subscription, as the person who installs.
pub(crate) async fn look(simulator: &Simulator) -> Result<Seen> {
    let ca_file = simulator.ca_file();
    let script = workspace::root().join("tools").join("clients").join("look.py");
    let output = tokio::process::Command::new(tools::clients_folder().join("bin").join("python"))
        .arg(script)
        .env_clear()
        .env("REQUESTS_CA_BUNDLE", ca_file)
        .env("CLIENTS_ENDPOINT", simulator.state().endpoints().resource_manager.as_str())
        .env("CLIENTS_TOKEN", token(simulator).await?)
        .env("CLIENTS_SUBSCRIPTION", simulator.subscription_id())
        .env("CLIENTS_GROUP", RESOURCE_GROUP)
        .env("CLIENTS_WORKSPACE", simulator.workspace_id())
        .env("CLIENTS_TABLES", format!("{AUDIT_TABLE},{HEALTH_TABLE}"))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await
        .context("could not start Python; `cargo xtask test tools` makes its environment")?;
    ensure!(output.status.success(), "the libraries ended with {}", output.status);
    serde_json::from_slice(&output.stdout).context("what the libraries printed is not the document")
}

/// A token for Azure Resource Manager, from the simulated sign-in.
async fn token(simulator: &Simulator) -> Result<String> {
    let authority = std::fs::read(simulator.ca_file()).context("reading the authority's certificate")?;
    let client =
        reqwest::Client::builder().tls_certs_merge(Certificate::from_pem_bundle(&authority)?).build()?;
    let person = simulator.person();
    let mut url =
        simulator.state().endpoints().entra.join(&format!("{}/oauth2/v2.0/token", person.tenant_id))?;
    url.query_pairs_mut().extend_pairs([
        ("grant_type", "client_credentials"),
        ("client_id", person.client_id.as_str()),
        ("client_secret", person.client_secret.expose().as_str()),
        ("scope", "https://management.azure.com/.default"),
    ]);
    // The pairs are the body's form; only their escaping is the query's.
    let form = url.query().unwrap_or_default().to_owned();
    url.set_query(None);
    let answer = client
        .post(url)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form)
        .send()
        .await?
        .error_for_status()?;
    let document: Value = serde_json::from_slice(&answer.bytes().await?)?;
    document["access_token"].as_str().map(str::to_owned).context("the sign-in gave no token")
}

/// An error unless the libraries saw just what the simulator holds, and that is what the phase promises.
pub(crate) fn hold(simulator: &Simulator, seen: &Seen, phase: Phase) -> Result<()> {
    let state = simulator.state();
    let mut problems = Vec::new();
    let held: BTreeMap<String, Value> = LOOKED_AT
        .iter()
        .flat_map(|kind| state.resources_of(kind))
        .filter_map(|resource| Some((resource["id"].as_str()?.to_ascii_lowercase(), resource)))
        .filter(|(id, _)| phase != Phase::Installed || ours(simulator, id))
        .collect();
    let read: BTreeSet<String> = seen.seen.iter().map(|resource| resource.id.to_ascii_lowercase()).collect();
    for id in held.keys().filter(|id| ours(simulator, id) && !read.contains(*id)) {
        problems.push(format!("the simulator has it and no library sees it: {id}"));
    }
    for resource in &seen.seen {
        let Some(actual) = state.resource(&resource.id) else {
            problems.push(format!("{} sees what is not there: {}", resource.library, resource.id));
            continue;
        };
        for (place, value) in &resource.properties {
            let there = actual.pointer(place).unwrap_or(&Value::Null);
            if there != value {
                problems.push(format!(
                    "{} reads {place} of {} as {value}, the simulator has {there}",
                    resource.library, resource.id
                ));
            }
        }
    }
    let libraries: BTreeSet<&str> = seen.seen.iter().map(|resource| resource.library.as_str()).collect();
    screen::line(&format!(
        "    {} resources read by {} libraries, {} properties compared, {} listed in the group, roles: {}",
        seen.seen.len(),
        libraries.len(),
        seen.seen.iter().map(|resource| resource.properties.len()).sum::<usize>(),
        seen.listed.len(),
        seen.roles.join(", "),
    ));
    match phase {
        Phase::Installed => problems.extend(installed(seen)),
        Phase::Removed | Phase::Purged => problems.extend(removed(simulator, seen, phase)),
    }
    if problems.is_empty() {
        return Ok(());
    }
    bail!("Microsoft's libraries and the simulator do not agree:\n  {}", problems.join("\n  "))
}

/// Whether a resource is one that the libraries are asked for: in the installation's group, one of its
/// tables or saved searches, the workspace, or a role.
fn ours(simulator: &Simulator, id: &str) -> bool {
    let group = format!("/resourcegroups/{}", RESOURCE_GROUP.to_ascii_lowercase());
    let table = |name: &str| id.ends_with(&format!("/tables/{}", name.to_ascii_lowercase()));
    id.contains(&format!("{group}/"))
        || id.ends_with(&group)
        || id.eq_ignore_ascii_case(simulator.workspace_id())
        || [AUDIT_TABLE, HEALTH_TABLE].into_iter().any(table)
        || id.contains("/savedsearches/")
        || id.contains("/roleassignments/")
}

/// What is wrong with an installation as the libraries see it.
fn installed(seen: &Seen) -> Vec<String> {
    let mut problems = Vec::new();
    // The group, its identity, storage, vault, rule, plan, site, and the workspace's tables.
    let libraries: BTreeSet<&str> = seen.seen.iter().map(|resource| resource.library.as_str()).collect();
    for library in [
        "resource",
        "msi",
        "storage",
        "keyvault",
        "applicationinsights",
        "monitor",
        "web",
        "loganalytics",
        "authorization",
    ] {
        if !libraries.contains(library) {
            problems.push(format!("the library for {library} sees nothing"));
        }
    }
    let site = |name: &str| seen.site.get(name).cloned().unwrap_or_default();
    let references = site("references");
    if references.as_object().is_none_or(serde_json::Map::is_empty) {
        problems.push("the app has no Key Vault reference".to_owned());
    }
    for (name, status) in references.as_object().into_iter().flatten() {
        if status != "Resolved" {
            problems.push(format!("the reference of `{name}` is {status}"));
        }
    }
    if !site("functions").as_array().is_some_and(|all| all.iter().any(|each| each == TIMER_FUNCTION)) {
        problems.push(format!("the app has no function `{TIMER_FUNCTION}`: {}", site("functions")));
    }
    if site("publishing") != serde_json::json!({ "scm": false, "ftp": false }) {
        problems.push(format!("publishing by password is not off: {}", site("publishing")));
    }
    if seen.listed.is_empty() {
        problems.push("the group lists nothing".to_owned());
    }
    problems
}

/// What is left after a teardown as the libraries see it, and should not be.
fn removed(simulator: &Simulator, seen: &Seen, phase: Phase) -> Vec<String> {
    let mut problems: Vec<String> = seen.listed.iter().map(|id| format!("left in the group: {id}")).collect();
    for resource in &seen.seen {
        let id = resource.id.to_ascii_lowercase();
        let before = id.eq_ignore_ascii_case(simulator.workspace_id())
            || resource.properties.get("/properties/principalId")
                == Some(&Value::from(simulator.person().object_id.as_str()))
                && resource.properties.get("/properties/scope")
                    == Some(&Value::from(format!("/subscriptions/{}", simulator.subscription_id())));
        let table = id.contains("/tables/") && phase == Phase::Removed;
        if !before && !table {
            problems.push(format!("left: {}", resource.id));
        }
    }
    let recoverable = usize::from(phase == Phase::Removed);
    if seen.deleted_vaults.len() != recoverable {
        let vaults = &seen.deleted_vaults;
        problems.push(format!("{recoverable} deleted vaults should be recoverable, seen: {vaults:?}"));
    }
    problems
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;
    use simulator::simulator::{Options, Simulator};

    use super::{Phase, Resource, Seen, hold};

    #[tokio::test]
    async fn whatever_the_libraries_see_otherwise_is_told() {
        let simulator = Simulator::start(Options::default()).await.expect("starts");
        let scope = format!("/subscriptions/{}", simulator.subscription_id());
        let owner = simulator.state().resources_of("Microsoft.Authorization/roleAssignments").remove(0);
        let resource = |id: &str, properties: BTreeMap<String, serde_json::Value>| Resource {
            library: "loganalytics".to_owned(),
            id: id.to_owned(),
            properties,
        };
        let before = |location: &str| {
            vec![
                resource(
                    simulator.workspace_id(),
                    BTreeMap::from([("/location".to_owned(), json!(location))]),
                ),
                resource(
                    owner["id"].as_str().expect("an id"),
                    BTreeMap::from([
                        ("/properties/principalId".to_owned(), json!(simulator.person().object_id)),
                        ("/properties/scope".to_owned(), json!(scope)),
                    ]),
                ),
            ]
        };
        let seen = |listed: &[&str], seen| Seen {
            listed: listed.iter().map(|&id| id.to_owned()).collect(),
            deleted_vaults: vec!["/vaults/kv".to_owned()],
            site: BTreeMap::new(),
            roles: Vec::new(),
            seen,
        };
        hold(&simulator, &seen(&[], before("westeurope")), Phase::Removed)
            .expect("all that was there before");
        let mut one_more = before("westeurope");
        one_more.push(resource("/subscriptions/s/resourceGroups/other", BTreeMap::new()));
        for (wrong, told) in [
            (seen(&[], before("uksouth")), "reads /location of"),
            (seen(&["/left"], before("westeurope")), "left in the group: /left"),
            (seen(&[], one_more), "sees what is not there"),
            (seen(&[], Vec::new()), "no library sees it"),
        ] {
            let problem = hold(&simulator, &wrong, Phase::Removed).expect_err(told).to_string();
            assert!(problem.contains(told), "{problem}");
        }
        // A purge leaves neither a table nor a vault that could be recovered.
        let problem = hold(&simulator, &seen(&[], before("westeurope")), Phase::Purged);
        let problem = problem.expect_err("a vault is left").to_string();
        assert!(problem.contains("0 deleted vaults should be recoverable"), "{problem}");
        let purged = Seen { deleted_vaults: Vec::new(), ..seen(&[], before("westeurope")) };
        hold(&simulator, &purged, Phase::Purged).expect("nothing is left");
        let problem = hold(&simulator, &seen(&[], before("westeurope")), Phase::Installed);
        assert!(problem.expect_err("nothing is installed").to_string().contains("for storage sees nothing"));
    }
}
