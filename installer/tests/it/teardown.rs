//! `teardown` takes away what we made and nothing else.

use std::collections::BTreeMap;

use contract::resources::STORAGE_BLOB_DATA_OWNER;
use contract::streams::{AUDIT_TABLE, HEALTH_TABLE};
use installer::azure::ResourceId;
use serde_json::{Value, json};

use crate::stage::{Stage, connect, kinds};

/// Whether this is content of the workspace, which its installations share.
pub(crate) fn shared(id: &str) -> bool {
    let id = id.to_ascii_lowercase();
    ["/savedsearches/", "/alertrules/", "/dataconnectordefinitions/"].iter().any(|kind| id.contains(kind))
}

impl Stage {
    /// Everything that is there, with everything that is known of it. Installations in one workspace
    /// share the analyst's content, where each leaves its mark and takes it away again: what Azure
    /// renews with every write tells that, and is no change of the content.
    pub(crate) fn everything(&self) -> BTreeMap<String, Value> {
        let state = self.simulator.state();
        state
            .resource_ids()
            .into_iter()
            .map(|id| {
                let mut known = json!([state.resource(&id), state.hidden(&id)]);
                if shared(&id) {
                    for name in ["etag", "systemData"] {
                        known[0].as_object_mut().expect("an object").remove(name);
                    }
                    for name in ["lastModifiedUtc", "lastModifiedTimeUtc", "createdTimeUtc"] {
                        known[0]["properties"].as_object_mut().expect("an object").remove(name);
                    }
                }
                (id, known)
            })
            .collect()
    }

    /// Asserts that everything that was there is there, byte for byte.
    #[track_caller]
    pub(crate) fn unmoved(&self, before: &BTreeMap<String, Value>) {
        let after = self.everything();
        for (id, known) in before {
            assert_eq!(after.get(id), Some(known), "{id}");
        }
    }

    pub(crate) fn one_of(&self, kind: &str) -> String {
        let all = self.installed();
        let found = all.iter().find(|each| each["type"] == kind);
        found.unwrap_or_else(|| panic!("{kind}"))["id"].as_str().expect("an id").to_owned()
    }

    fn deleted_vaults(&self) -> usize {
        let state = self.simulator.state();
        state.deleted_vault_names().len()
    }
}

/// Makes things of somebody else's in the installation's group: an identity whose name begins like ours and that
/// has a role like ours, and an Application Insights with what that made by itself; gives the ids of the
/// latter.
pub(crate) async fn strangers(stage: &Stage) -> [String; 2] {
    let azure = connect(&stage.simulator).await;
    let group = ResourceId::resource_group(stage.simulator.subscription_id(), "rg-mimecast-audit").unwrap();
    let identity =
        group.resource("Microsoft.ManagedIdentity/userAssignedIdentities", "id-mimecast-auditor").unwrap();
    let body = json!({ "location": "westeurope", "tags": { "mimecast-sentinel-version": "1" } });
    let theirs = azure.put(&identity, "2023-01-31", &body).await.unwrap();
    let principal = theirs["properties"]["principalId"].as_str().expect("an id").to_owned();
    stage.simulator.state().give_role(&principal, group.path(), STORAGE_BLOB_DATA_OWNER);
    let component = group.resource("Microsoft.Insights/components", "appi-mimecast-audit-3").unwrap();
    let body = json!({ "location": "westeurope", "kind": "web", "properties": {
        "Application_Type": "web", "WorkspaceResourceId": stage.simulator.workspace_id() } });
    azure.put(&component, "2020-02-02", &body).await.unwrap();
    stage.simulator.state().make_smart_detection(component.path()).expect("made")
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_ours_is_left_but_the_tables_and_it_can_be_installed_again_at_once() {
    // BR-117, BR-121, BR-122, BR-135
    let stage = Stage::start().await;
    stage.command("install", &["--yes", "--no-wait"]).await.expect(0);
    let made = stage.simulator.state().make_smart_detection(&stage.one_of("Microsoft.Insights/components"));
    let first = stage.one_of("Microsoft.ManagedIdentity/userAssignedIdentities");
    let first = stage.simulator.state().resource(&first).expect("there")["properties"]["principalId"].clone();
    let run = stage.command("teardown", &["--yes", "--output", "json"]).await.expect(0);
    let report = run.json();
    assert_eq!(report["left"], json!([]));
    // Our own vault is none of others', whatever its address is.
    let findings = report["plan"]["findings"].to_string();
    assert!(!findings.contains("which is not the installation's"), "{findings}");
    let states: Vec<&str> =
        report["items"].as_array().expect("items").iter().filter_map(|item| item["state"].as_str()).collect();
    assert!(states.contains(&"recoverable") && states.contains(&"deleted"), "{states:?}");
    assert_eq!(kinds(&stage.installed()), [""; 0]);
    for id in made.expect("made") {
        assert_eq!(stage.simulator.state().resource(&id), None);
    }
    assert_eq!(stage.assignments_of(first.as_str().expect("an id")), 0);
    let again = stage.command("teardown", &["--yes"]).await.expect(0);
    assert!(again.stdout.contains("Nothing to do"), "{}", again.stdout);

    // The deleted vault is recovered with its secrets; the identity is another one, and so are its roles.
    stage.command("install", &["--yes", "--wait", "60s"]).await.expect(0);
    stage.command("plan", &[]).await.expect(0);
    stage.command("status", &[]).await.expect(0);
    assert_eq!(stage.deleted_vaults(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn neighbours_and_the_workspace_are_as_they_were_byte_for_byte() {
    // BR-005, BR-122
    let stage = Stage::start().await;
    // A second installation, of a similar name in the same group, that feeds the same tables.
    stage.command("install", &["--yes", "--no-wait", "--name", "mimecast-audit-2"]).await.expect(0);
    let made = strangers(&stage).await;
    let before = stage.everything();

    stage.command("install", &["--yes", "--no-wait"]).await.expect(0);
    stage.simulator.state().make_smart_detection(&stage.one_of("Microsoft.Insights/components"));
    // Whoever takes the tags off a thing takes it out of the installation.
    let plan = stage.one_of("Microsoft.Web/serverfarms");
    assert!(stage.simulator.state().edit(&plan, |body, _| body["tags"] = json!({})));
    let plan_before = stage.simulator.state().resource(&plan);
    let run = stage.command("teardown", &["--yes", "--purge", "--output", "json"]).await.expect(0);
    let findings = run.json()["plan"]["findings"].to_string();
    assert!(findings.contains("`dcr-mimecast-audit-2`"), "{findings}");
    assert!(findings.contains("does not carry") || findings.contains("not its tag"), "{findings}");
    assert_eq!(stage.simulator.state().resource(&plan), plan_before);

    let mut after = stage.everything();
    after.remove(&plan).or_else(|| after.remove(&plan.to_ascii_lowercase())).expect("still there");
    stage.unmoved(&before);
    let more: Vec<&String> = after.keys().filter(|id| !before.contains_key(*id)).collect();
    assert_eq!(more, [""; 0]);
    assert!(before.contains_key(&made[0].to_ascii_lowercase()) || before.contains_key(&made[0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn kept_data_stay_until_a_later_teardown_and_an_installation_goes_on_with_them() {
    let stage = Stage::start().await;
    stage.command("install", &["--yes", "--wait", "60s"]).await.expect(0);
    let run = stage.command("teardown", &["--yes", "--keep-data"]).await.expect(0);
    assert!(run.stdout.contains("Kept, with their data:"), "{}", run.stdout);
    let mut left = kinds(&stage.installed());
    left.sort();
    assert_eq!(
        left,
        [
            "Microsoft.KeyVault/vaults",
            "Microsoft.Resources/resourceGroups",
            "Microsoft.Storage/storageAccounts"
        ]
    );

    stage.command("install", &["--yes", "--wait", "60s"]).await.expect(0);
    // The checkpoint was kept: nothing comes twice.
    let rows = stage.simulator.data().rows.of(AUDIT_TABLE).len();
    assert_eq!(rows, stage.simulator.mimecast().events().len());
    stage.command("plan", &[]).await.expect(0);
    stage.command("teardown", &["--yes", "--keep-data"]).await.expect(0);
    stage.command("teardown", &["--yes"]).await.expect(0);
    assert_eq!(kinds(&stage.installed()), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_takes_tables_by_name_and_the_vault_for_good_and_says_before_what_it_cannot() {
    let stage = Stage::start().await;
    let state = stage.simulator.state().clone();
    let table = |name: &str| format!("{}/tables/{name}", stage.simulator.workspace_id());
    stage.command("install", &["--yes", "--no-wait"]).await.expect(0);

    let wrong = stage.command("teardown", &["--yes", "--purge", "--purge-table", "SecurityEvent"]).await;
    let wrong = wrong.expect(1);
    assert!(wrong.stderr.contains("there is no table `SecurityEvent`"), "{}", wrong.stderr);
    assert!(state.resource(&table(AUDIT_TABLE)).is_some() && !stage.installed().is_empty());

    // The purge itself is refused once, after the vault was deleted: the next attempt finds it.
    let refused = simulator::fault::Matcher::new("arm", "POST", "/purge");
    stage.simulator.faults().add(simulator::fault::Fault::answer(
        refused,
        409,
        r#"{"error":{"code":"Conflict","message":"not now"}}"#,
    ));
    let purge = ["--yes", "--purge", "--purge-table", AUDIT_TABLE, "--output", "json"];
    stage.command("teardown", &purge).await.expect(3);
    assert_eq!(stage.deleted_vaults(), 1);
    stage.command("teardown", &["--yes", "--purge"]).await.expect(0);
    assert_eq!((stage.deleted_vaults(), kinds(&stage.installed())), (0, Vec::new()));
    assert_eq!(state.resource(&table(AUDIT_TABLE)), None);
    assert!(state.resource(&table(HEALTH_TABLE)).is_some());

    // Purge protection is told beforehand, and the vault stays recoverable.
    stage.answers("vault: {purge_protection: true}\n");
    stage.command("install", &["--yes", "--no-wait"]).await.expect(0);
    let purge = ["--yes", "--purge", "--purge-table", HEALTH_TABLE];
    let run = stage.command("teardown", &purge).await.expect(0);
    assert!(run.stdout.contains("has purge protection and cannot be purged"), "{}", run.stdout);
    assert_eq!(stage.deleted_vaults(), 1);
    assert_eq!(state.resource(&table(HEALTH_TABLE)), None);
    // Recovered, or passed over under another name.
    stage.answers("vault: {on_deleted: new-name}\n");
    stage.command("install", &["--yes", "--no-wait"]).await.expect(0);
    stage.command("plan", &[]).await.expect(0);
    assert_eq!(stage.deleted_vaults(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_works_without_the_app_and_without_answers() {
    let stage = Stage::start().await;
    stage.command("install", &["--yes", "--no-wait"]).await.expect(0);
    let azure = connect(&stage.simulator).await;
    let site = ResourceId::parse(&stage.site()).unwrap();
    azure.delete(&site, "2024-11-01").await.unwrap();
    let subscription = stage.simulator.subscription_id().to_owned();
    let selectors =
        ["teardown", "--yes", "--subscription", &subscription, "--resource-group", "rg-mimecast-audit"];
    let tables = ["--purge", "--purge-table", AUDIT_TABLE, "--purge-table", HEALTH_TABLE];
    let arguments: Vec<&str> = selectors.into_iter().chain(tables).collect();
    stage.run(&arguments).await.expect(0);
    assert_eq!(kinds(&stage.installed()), [""; 0]);
    for name in [AUDIT_TABLE, HEALTH_TABLE] {
        let table = format!("{}/tables/{name}", stage.simulator.workspace_id());
        assert_eq!(stage.simulator.state().resource(&table), None);
    }
}
