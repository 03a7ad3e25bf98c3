//! Steps that are passed over, that fail together, that somebody else has to do, or that take back what others left.

use std::collections::BTreeSet;
use std::time::Duration;

use contract::resources::{
    CHECKPOINT_CONTAINER, KEY_VAULT_SECRETS_USER, MONITORING_METRICS_PUBLISHER, PACKAGES_CONTAINER, Role,
    STORAGE_BLOB_DATA_CONTRIBUTOR, STORAGE_BLOB_DATA_OWNER, STORAGE_QUEUE_DATA_CONTRIBUTOR,
    STORAGE_TABLE_DATA_CONTRIBUTOR,
};
use contract::streams::AUDIT_TABLE;
use installer::azure::ResourceId;
use serde_json::{Value, json};
use simulator::fault::{Fault, Matcher};
use simulator::state::principal::PrincipalKind;

use crate::packages::variant;
use crate::stage::{Run, Stage, connect};

/// More calls than any test makes.
const ALWAYS: usize = 100_000;

/// What the engine told, one JSON object a line.
fn events(run: &Run) -> Vec<Value> {
    run.stderr.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Keys of the steps that were told of like this.
fn steps(events: &[Value], kind: &str) -> BTreeSet<String> {
    let these = events.iter().filter(|event| event["event"] == kind);
    these.map(|event| event["key"].as_str().expect("a key").to_owned()).collect()
}

fn refusal(code: &str, message: &str) -> String {
    json!({ "error": { "code": code, "message": message } }).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_for_the_time_that_may_not_be_given_is_done_without() {
    let stage = Stage::start().await;
    // Conditions on the right to give roles do not show before it is used.
    let refused = refusal("AuthorizationFailed", "The assignment does not meet the condition.");
    for container in [CHECKPOINT_CONTAINER, PACKAGES_CONTAINER] {
        let target = format!("/containers/{container}/providers/microsoft.authorization/roleassignments/");
        stage.simulator.faults().add(Fault::answer(Matcher::new("arm", "PUT", &target), 403, &refused));
    }
    let run = stage.command("install", &["--yes", "--wait", "60s", "--output", "json"]).await.expect(0);
    let events = events(&run);
    let skipped = steps(&events, "step-skipped");
    for key in [
        "grant/audit-checkpoints",
        "checkpoint",
        "take-back/audit-checkpoints",
        "grant/packages",
        "package",
        "take-back/packages",
    ] {
        assert!(skipped.contains(key), "{key} in {skipped:?}");
    }
    // What was passed over is not done.
    let done = steps(&events, "step-done");
    assert_eq!(done.intersection(&skipped).count(), 0, "{done:?}\n{skipped:?}");
    let reason = |key: &str| {
        let event = events.iter().find(|event| event["event"] == "step-skipped" && event["key"] == key);
        event.expect("told")["reason"].as_str().expect("a reason").to_owned()
    };
    assert!(reason("grant/packages").contains("does not meet the condition"), "{}", reason("grant/packages"));
    assert!(
        reason("checkpoint").ends_with("the worker makes it on its first run"),
        "{}",
        reason("checkpoint")
    );
    // And it has.
    assert!(run.json()["report"]["audit_rows"].as_u64().is_some_and(|rows| rows > 0), "{}", run.stdout);
    stage.command("plan", &[]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_step_is_told_of_from_its_beginning_to_its_end() {
    let stage = Stage::start().await;
    let plan = stage.command("plan", &["--output", "json"]).await.expect(10).json();
    let planned: BTreeSet<String> = plan["plan"]["steps"]
        .as_array()
        .expect("steps")
        .iter()
        .map(|step| step["key"].as_str().expect("a key").to_owned())
        .collect();
    // One answer that stays away for long enough to be told why.
    let slow = Matcher::new("arm", "PUT", "/microsoft.keyvault/vaults/kv-");
    let delay = simulator::fault::Action::Delay(Duration::from_millis(500));
    stage.simulator.faults().add(Fault::once(slow, delay));
    let run = stage.command("install", &["--yes", "--no-wait", "--output", "json"]).await.expect(0);
    let told = events(&run);
    let (done, skipped) = (steps(&told, "step-done"), steps(&told, "step-skipped"));
    assert_eq!(steps(&told, "step-started"), planned);
    assert_eq!(&done | &skipped, planned);
    assert_eq!(skipped, BTreeSet::from(["settings".to_owned()]));
    assert_eq!(steps(&told, "step-failed"), BTreeSet::new());
    let waiting = told.iter().find(|event| event["event"] == "step-waiting" && event["key"] == "key_vault");
    assert_eq!(waiting.expect("told")["usual_secs"], 60);
    // Each begins before it ends, and the last to end says that all have.
    let at = |kind: &str, key: &str| {
        told.iter().position(|event| event["event"] == kind && event["key"] == key).expect("told")
    };
    assert!(done.iter().all(|key| at("step-started", key) < at("step-done", key)));
    let last = told.iter().rfind(|event| event["event"] == "step-done").expect("one");
    assert_eq!(
        (last["done"].as_u64(), last["total"].as_u64()),
        (Some(planned.len() as u64), Some(planned.len() as u64))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_that_fail_together_are_each_told_with_their_cause() {
    let stage = Stage::start().await;
    stage.command("install", &["--yes", "--no-wait"]).await.expect(0);
    // Two that wait for nothing, so that both begin before either is refused.
    for kind in ["Microsoft.Storage/storageAccounts", "Microsoft.KeyVault/vaults"] {
        let without = |body: &mut Value, _: &mut Value| body["tags"]["owner"] = "nobody".into();
        assert!(stage.simulator.state().edit(&stage.one_of(kind), without));
    }
    let faults = stage.simulator.faults();
    for (target, code) in [
        ("/microsoft.storage/storageaccounts/st", "StorageIsRefused"),
        ("/microsoft.keyvault/vaults/kv-", "VaultIsRefused"),
    ] {
        let matcher = Matcher::new("arm", "PUT", target);
        faults.add(Fault::answer(matcher, 400, &refusal(code, "Not like this.")).times(ALWAYS));
    }
    // Nothing was changed.
    let run = stage.command("install", &["--yes", "--no-wait", "--output", "json"]).await.expect(1);
    let told = events(&run);
    for (key, code) in [("storage_account", "StorageIsRefused"), ("key_vault", "VaultIsRefused")] {
        let failed = told.iter().find(|event| event["event"] == "step-failed" && event["key"] == key);
        let error =
            failed.unwrap_or_else(|| panic!("{key} in {}", run.stderr))["error"].as_str().expect("a text");
        assert!(error.contains(code) && error.contains("Not like this."), "{error}");
    }
    let run = stage.command("install", &["--yes", "--no-wait"]).await.expect(1);
    for part in ["caused by: ", "StorageIsRefused", "VaultIsRefused", "  also: could not finish "] {
        let ended = run.stderr.split("error: ").last().expect("an end");
        assert!(ended.contains(part), "{part} in {ended}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_azure_adds_to_a_new_app_is_taken_away_before_the_worker_comes() {
    // BR-105
    let stage = Stage::start().await;
    stage.simulator.state().inject_storage_key();
    let run = stage.command("install", &["--yes", "--wait", "60s"]).await.expect(0);
    assert!(
        run.stderr.contains("the setting `AzureWebJobsStorage`, which Azure had added"),
        "{}",
        run.stderr
    );
    assert!(run.stdout.contains("audit rows are in the workspace"), "{}", run.stdout);
    let settings = stage.settings();
    assert!(!settings.contains_key("AzureWebJobsStorage"), "{settings:?}");
    assert!(settings.keys().any(|name| name.starts_with("AzureWebJobsStorage__")), "{settings:?}");
    stage.command("plan", &[]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_persons_stopped_run_left_them_is_taken_back() {
    let stage = Stage::start().await;
    stage.command("install", &["--yes", "--wait", "60s"]).await.expect(0);
    let state = stage.simulator.state();
    let other = state.add_person("colleague", PrincipalKind::User).object_id;
    let account = stage.one_of("Microsoft.Storage/storageAccounts");
    let scope = format!("{account}/blobServices/default/containers/{PACKAGES_CONTAINER}");
    let name = "00000000-0000-0000-0000-0000000000cc";
    let id = format!("{scope}/providers/Microsoft.Authorization/roleAssignments/{name}");
    let role = format!(
        "/subscriptions/{}/providers/Microsoft.Authorization/roleDefinitions/{}",
        stage.simulator.subscription_id(),
        STORAGE_BLOB_DATA_CONTRIBUTOR.definition_id
    );
    let properties = |description: &str| {
        json!({ "properties": { "principalId": other, "principalType": "User", "roleDefinitionId": role,
            "description": description } })
    };
    let azure = connect(&stage.simulator).await;
    let id = ResourceId::parse(&id).expect("an id");
    // A right that they have for themselves is theirs.
    azure.put(&id, "2022-04-01", &properties("reads packages")).await.expect("given");
    stage.command("plan", &[]).await.expect(0);
    azure.delete(&id, "2022-04-01").await.expect("taken");
    let marked = properties("given while installing and taken back after (mimecast-sentinel)");
    azure.put(&id, "2022-04-01", &marked).await.expect("given");
    let run = stage.command("install", &["--yes", "--no-wait"]).await.expect(0);
    assert!(run.stderr.contains("left by another run, taken back"), "{}", run.stderr);
    assert_eq!(stage.assignments_of(&other), 0);
    stage.command("plan", &[]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_lets_nobody_publish_is_not_waited_for_once_something_was_published() {
    let stage = Stage::start().await;
    stage.command("install", &["--yes", "--no-wait"]).await.expect(0);
    let refused = Fault::answer(Matcher::new("scm", "POST", "/api/publish"), 403, "Ip Forbidden");
    stage.simulator.faults().add(refused.times(ALWAYS));
    let other = variant(stage.directory.path(), "other");
    let mark = stage.simulator.journal().len();
    let run =
        stage.command("upgrade", &["--yes", "--package", other.to_str().expect("UTF-8")]).await.expect(3);
    assert!(run.stderr.contains("worker, published to the Function App"), "{}", run.stderr);
    let asked = stage.simulator.journal().since(mark);
    let asked = asked.iter().filter(|entry| entry.service == "scm" && entry.method == "POST").count();
    assert_eq!(asked, 1, "{}", run.stderr);
}

/// Gives a role to the worker's identity as an administrator would, once both are there.
async fn administrator_gives(stage: &Stage, roles: &[(Role, &str)]) {
    let mut left = roles.to_vec();
    while !left.is_empty() {
        let state = stage.simulator.state();
        let identity = state.resources_of("Microsoft.ManagedIdentity/userAssignedIdentities").pop();
        let principal =
            identity.and_then(|identity| identity["properties"]["principalId"].as_str().map(str::to_owned));
        if let Some(principal) = principal {
            left.retain(|(role, kind)| match state.resources_of(kind).first() {
                Some(resource) => {
                    state.give_role(&principal, resource["id"].as_str().expect("an id"), *role);
                    false
                }
                None => true,
            });
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

const ROLES: [(Role, &str); 5] = [
    (STORAGE_BLOB_DATA_OWNER, "Microsoft.Storage/storageAccounts"),
    (STORAGE_QUEUE_DATA_CONTRIBUTOR, "Microsoft.Storage/storageAccounts"),
    (STORAGE_TABLE_DATA_CONTRIBUTOR, "Microsoft.Storage/storageAccounts"),
    (KEY_VAULT_SECRETS_USER, "Microsoft.KeyVault/vaults"),
    (MONITORING_METRICS_PUBLISHER, "Microsoft.Insights/dataCollectionRules"),
];

#[tokio::test(flavor = "multi_thread")]
async fn roles_that_an_administrator_gives_are_waited_for_to_the_first_rows() {
    let stage = Stage::start().await;
    stage.reword_answers("  tags: {owner: secops}", "  role_assignments: external");
    let (run, ()) = futures::join!(
        stage.command("install", &["--yes", "--wait", "60s"]),
        administrator_gives(&stage, &ROLES)
    );
    let run = run.expect(0);
    assert!(run.stdout.contains("audit rows are in the workspace"), "{}", run.stdout);
    // The installer has given nothing, nobody a right for the time, and what needed one was passed over.
    assert_eq!(stage.assignments_of(&stage.simulator.person().object_id), 1);
    assert!(run.stderr.contains("the worker makes it on its first run"), "{}", run.stderr);
    stage.command("plan", &[]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_nobody_gives_ends_with_the_command_that_does() {
    let mut stage = Stage::start().await;
    stage.environment.insert("MIMECAST_SENTINEL_TIMINGS_SCALE".to_owned(), "0.001".to_owned());
    stage.reword_answers("  tags: {owner: secops}", "  role_assignments: external");
    let run = stage.command("install", &["--yes", "--no-wait"]).await.expect(3);
    let ended = run.stderr.split("error: ").last().expect("an end");
    for part in [
        "was not given within ",
        "hint: somebody who may give roles there runs: az role assignment create --role ",
        "--assignee-principal-type ServicePrincipal --scope '/subscriptions/",
        "code: not-given",
    ] {
        assert!(ended.contains(part), "{part} in {ended}");
    }
    assert!(!ended.contains("looked at"), "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_classic_table_is_migrated_when_that_is_asked_for_and_its_columns_stay() {
    let stage = Stage::start().await;
    let columns = [("TimeGenerated", "dateTime"), ("id_s", "string"), ("theirs_s", "string")];
    let table =
        stage.simulator.state().add_classic_table(stage.simulator.workspace_id(), AUDIT_TABLE, &columns);
    let run = stage.command("plan", &[]).await.expect(1);
    assert!(run.stdout.contains("table.on_classic: migrate"), "{}", run.stdout);
    stage.answers("table: {on_classic: migrate}\n");
    let run = stage.command("install", &["--yes", "--wait", "60s"]).await.expect(0);
    assert!(run.stdout.contains("audit rows are in the workspace"), "{}", run.stdout);
    let table = stage.simulator.state().resource(&table).expect("there");
    let schema = &table["properties"]["schema"];
    assert_eq!(schema["tableSubType"], "DataCollectionRuleBased");
    let named = |name: &str| {
        schema["columns"].as_array().is_some_and(|all| all.iter().any(|each| each["name"] == name))
    };
    assert!(named("theirs_s") && named("eventKey_s"), "{schema}");
    stage.command("plan", &[]).await.expect(0);
}
