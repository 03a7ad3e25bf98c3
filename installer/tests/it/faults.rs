//! Faults in what surrounds an installation, one at a time: each is caught by a check, before the first write,
//! under the id that the documentation gives it.

use contract::resources::{INSTALLATION_TAG, PACKAGE_TAG, Role};
use serde_json::{Value, json};
use simulator::arm::policy::{Condition, DenyPolicy};
use simulator::state::role::{CONTRIBUTOR, READER, WEBSITE_CONTRIBUTOR};
use simulator::state::subscription::Registration;

use crate::stage::Stage;

/// Runs the checks; gives the ids of those that failed, sorted. Nothing may have been written.
pub(crate) async fn failed(stage: &Stage) -> Vec<String> {
    failed_with(stage, &[]).await
}

/// The same with more flags.
pub(crate) async fn failed_with(stage: &Stage, more: &[&str]) -> Vec<String> {
    let mark = stage.simulator.journal().len();
    let run = stage.command("doctor", &[&["--pre", "--output", "json"], more].concat()).await;
    assert_eq!(stage.writes(mark), [""; 0]);
    let mut checks = run.json()["checks"].as_array().cloned().unwrap_or_default();
    // Whoever is not signed in gets no list: that one check is told as an event.
    let events = run.stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    checks.extend(events.filter(|event| event["event"] == "checked").map(|event| event["check"].clone()));
    let mut ids = Vec::new();
    for check in &checks {
        if check["state"] == "failed" {
            assert!(check["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty()), "{check}");
            ids.push(check["id"].as_str().expect("an id").to_owned());
        }
    }
    ids.sort();
    ids.dedup();
    run.expect(i32::from(!ids.is_empty()));
    ids
}

/// Gives the account this role on the subscription in place of all that it had.
fn demote(stage: &Stage, role: Role) {
    let (state, person) = (stage.simulator.state(), stage.take_all_roles());
    let subscription = format!("/subscriptions/{}", stage.simulator.subscription_id());
    state.give_role(&person, &subscription, role);
}

/// Names that the plan would use: of the storage account, the site and the vault.
pub(crate) async fn names(stage: &Stage) -> Vec<String> {
    let plan = stage.command("plan", &["--output", "json"]).await.expect(10).json();
    let last = |kind: &str| {
        let ids = plan["plan"]["steps"].as_array().expect("steps").iter();
        ids.filter_map(|step| step["action"]["id"].as_str().or(step["action"]["PutResource"]["id"].as_str()))
            .find_map(|id| id.split_once(kind).filter(|(_, name)| !name.contains('/')))
            .map(|(_, name)| name.to_owned())
            .unwrap_or_else(|| panic!("no {kind} in {plan:#}"))
    };
    vec![last("/storageAccounts/"), last("/Microsoft.Web/sites/"), last("/vaults/")]
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_that_are_missing_are_named_together_with_whom_to_ask() {
    for (role, expected) in [
        (CONTRIBUTOR, &["rights-roles"][..]),
        (
            READER,
            &["rights-group", "rights-providers", "rights-resources", "rights-roles", "rights-workspace"],
        ),
        // That role does not see the workspace, so no plan can be made.
        (WEBSITE_CONTRIBUTOR, &["workspace"]),
    ] {
        let stage = Stage::start().await;
        demote(&stage, role);
        assert_eq!(failed(&stage).await, expected, "{}", role.name);
    }
    let stage = Stage::start().await;
    let subscription = stage.simulator.subscription_id();
    for namespace in ["Microsoft.Web", "Microsoft.KeyVault", "Microsoft.Storage"] {
        let state = stage.simulator.state();
        state.set_registration(subscription, namespace, Registration::NotRegistered);
    }
    demote(&stage, READER);
    assert!(failed(&stage).await.contains(&"rights-providers".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_would_deny_a_body_is_named() {
    let stage = Stage::start().await;
    let scope = format!("/subscriptions/{}", stage.simulator.subscription_id());
    let state = stage.simulator.state();
    for (number, (kind, condition)) in [
        ("Microsoft.Storage/storageAccounts", Condition::MissingTag("cost-centre".to_owned())),
        ("Microsoft.Storage/storageAccounts", Condition::LocationOutside(vec!["northeurope".to_owned()])),
        ("Microsoft.KeyVault/vaults", Condition::Always),
        ("Microsoft.Web/serverfarms", Condition::Always),
        (
            "Microsoft.Web/sites",
            Condition::IsNot("/properties/publicNetworkAccess".to_owned(), json!("Disabled")),
        ),
        ("Microsoft.ManagedIdentity/userAssignedIdentities", Condition::MissingTag("team".to_owned())),
        ("Microsoft.Insights/components", Condition::Always),
        ("Microsoft.Insights/dataCollectionRules", Condition::Always),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("assigned-{number}");
        state.add_policy(DenyPolicy {
            name,
            scope: scope.clone(),
            resource_type: kind.to_owned(),
            condition,
        });
    }
    assert_eq!(failed(&stage).await, ["policy"]);
    let text = stage.command("doctor", &["--pre"]).await.expect(1).stdout;
    for number in 0..8 {
        assert!(text.contains(&format!("policy assignment `assigned-{number}`")), "{number} in {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_somebody_else_has_are_found() {
    let stage = Stage::start().await;
    let names = names(&stage).await;
    for (count, name) in names.iter().enumerate() {
        stage.simulator.state().take_name(name);
        assert_eq!(failed(&stage).await, ["name-taken"]);
        let text = stage.command("doctor", &["--pre"]).await.expect(1).stdout;
        assert_eq!(text.matches("[name-taken]").count(), count + 1, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_region_lacks_is_found() {
    let stage = Stage::start().await;
    stage.reword_answers("location: westeurope", "location: marsnorth");
    assert!(failed(&stage).await.contains(&"region".to_owned()));
    stage.reword_answers("location: marsnorth", "location: westeurope");
    // BR-103: Azure takes a plan and an app whose runtime it does not have, and the app never starts.
    stage.simulator.state().list_custom_runtime("westeurope", "0.9");
    assert_eq!(failed(&stage).await, ["flex-runtime"]);
    let mark = stage.simulator.journal().len();
    let refused = stage.command("install", &["--yes"]).await.expect(1).stderr;
    assert!(
        refused.contains("the runtime `custom` 1.0 that the worker needs; listed: `custom` 0.9"),
        "{refused}"
    );
    assert_eq!(stage.writes(mark), [""; 0]);
    stage.simulator.state().remove_flex("westeurope");
    assert_eq!(failed(&stage).await, ["flex-region"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_that_cannot_be_used_is_found() {
    let stage = Stage::start().await;
    let workspace = stage.simulator.workspace_id().to_owned();
    stage.simulator.state().edit(&workspace, |body, _| {
        body["properties"]["publicNetworkAccessForIngestion"] = json!("Disabled");
    });
    assert_eq!(failed(&stage).await, ["workspace-network"]);

    let stage = Stage::start().await;
    for gone in [format!("{}-gone", stage.simulator.workspace_id()), workspace] {
        // Of this subscription, then of one that is not there.
        stage.answers(&format!("monitoring: {{app_insights_workspace_id: {gone}}}\n"));
        assert_eq!(failed(&stage).await, ["insights-workspace"]);
    }
    stage.answers("");
    stage.reword_answers(stage.simulator.workspace_id(), &format!("{}-gone", stage.simulator.workspace_id()));
    assert_eq!(failed(&stage).await, ["workspace"]);
    stage.answers("");
    stage.reword_answers(
        &format!("subscription_id: {}", stage.simulator.subscription_id()),
        "subscription_id: 00000000-0000-4000-8000-000000000001",
    );
    assert_eq!(failed(&stage).await, ["subscription"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_mimecast_refuses_is_told_apart() {
    type Seed = fn(&mut simulator::mimecast::Settings);
    let seeds: [(Seed, &str); 4] = [
        (|settings| settings.client_secret = "another".to_owned(), "mimecast-credentials"),
        (|settings| settings.client_id = "another".to_owned(), "mimecast-credentials"),
        (|settings| settings.product = false, "mimecast-product"),
        (|settings| settings.role = false, "mimecast-role"),
    ];
    for (seed, expected) in seeds {
        let stage = Stage::start().await;
        stage.simulator.mimecast().configure(seed);
        assert_eq!(failed(&stage).await, [expected]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installed_app_without_package_or_timer_is_found() {
    let stage = Stage::start().await;
    stage.command("install", &["--yes"]).await.expect(0);
    let site = stage.site();
    stage.simulator.state().edit(&site, |body, _| {
        let tags = body["tags"].as_object_mut().expect("tags");
        assert!(tags.contains_key(INSTALLATION_TAG));
        tags.remove(PACKAGE_TAG);
    });
    let run = stage.command("doctor", &["--output", "json"]).await.expect(1);
    let checks: Vec<Value> = run.json()["checks"].as_array().expect("checks").clone();
    let failed: Vec<&Value> =
        checks.iter().filter(|check| check["state"] == "failed").map(|check| &check["id"]).collect();
    assert_eq!(failed, ["package-published"]);
}
