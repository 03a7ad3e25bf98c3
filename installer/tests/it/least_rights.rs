//! The rights that `docs/security.md` lists suffice, and each of them is needed.

use std::time::Duration;

use contract::resources::{
    KEY_VAULT_SECRETS_USER, MONITORING_METRICS_PUBLISHER, Role, STORAGE_BLOB_DATA_OWNER,
    STORAGE_QUEUE_DATA_CONTRIBUTOR, STORAGE_TABLE_DATA_CONTRIBUTOR, TIMER_FUNCTION,
};
use contract::streams::HEALTH_TABLE;
use installer::azure::ResourceId;
use installer::plan::template::api_version;
use serde_json::{Value, json};
use simulator::rows::Row;
use simulator::state::role::{
    CONTRIBUTOR, LOG_ANALYTICS_CONTRIBUTOR, RBAC_ADMINISTRATOR, SENTINEL_CONTRIBUTOR,
};
use time::format_description::well_known::Rfc3339;

use simulator::state::subscription::Registration;

use crate::stage::{Stage, connect};

/// The resource providers whose resources an installation has.
const PROVIDERS: [&str; 7] = [
    "Microsoft.Insights",
    "Microsoft.KeyVault",
    "Microsoft.ManagedIdentity",
    "Microsoft.OperationalInsights",
    "Microsoft.SecurityInsights",
    "Microsoft.Storage",
    "Microsoft.Web",
];
/// How often a run that goes through the queue is looked for, and in between.
const RUN_LOOKS: usize = 600;
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The worker's roles.
const WORKER: [Role; 5] = [
    STORAGE_BLOB_DATA_OWNER,
    STORAGE_QUEUE_DATA_CONTRIBUTOR,
    STORAGE_TABLE_DATA_CONTRIBUTOR,
    KEY_VAULT_SECRETS_USER,
    MONITORING_METRICS_PUBLISHER,
];

/// The installer's roles, each with the words in which the table names its scope.
const INSTALLER: [(Role, &str); 4] = [
    (CONTRIBUTOR, "the resource group"),
    (RBAC_ADMINISTRATOR, "the resource group"),
    (LOG_ANALYTICS_CONTRIBUTOR, "the workspace"),
    (SENTINEL_CONTRIBUTOR, "the workspace's resource group"),
];

/// The rows of the table under a heading of `docs/security.md`: role and scope.
fn listed(heading: &str) -> Vec<(String, String)> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/security.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let section = page.split(heading).nth(1).unwrap_or_else(|| panic!("no `{heading}`"));
    let lines =
        section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    lines
        .skip(2)
        .map(|line| {
            let mut cells = line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned());
            (cells.next().expect("a role"), cells.next().expect("a scope"))
        })
        .collect()
}

#[test]
fn the_page_lists_the_rights_that_these_tests_try() {
    let installer: Vec<_> = INSTALLER.map(|(role, scope)| (role.name.to_owned(), scope.to_owned())).into();
    assert_eq!(listed("### Installer"), installer);
    let worker: Vec<String> = listed("### Worker").into_iter().map(|(role, _)| role).collect();
    assert_eq!(worker, WORKER.map(|role| role.name.to_owned()));
}

/// Gives the account exactly these of the listed rights, on a group that an administrator has made.
fn give(stage: &Stage, roles: &[(Role, &str)]) {
    let (state, person) = (stage.simulator.state(), stage.take_all_roles());
    let subscription = format!("/subscriptions/{}", stage.simulator.subscription_id());
    let workspace = stage.simulator.workspace_id();
    for (role, scope) in roles {
        let scope = match *scope {
            "the resource group" => format!("{subscription}/resourceGroups/rg-mimecast-audit"),
            "the workspace" => workspace.to_owned(),
            _ => workspace.split("/providers/").next().expect("a group").to_owned(),
        };
        state.give_role(&person, &scope, *role);
    }
}

/// A group and registered providers, as an administrator leaves them to whoever installs.
async fn prepared() -> Stage {
    let stage = Stage::start().await;
    let group =
        format!("/subscriptions/{}/resourceGroups/rg-mimecast-audit", stage.simulator.subscription_id());
    let version = api_version("Microsoft.Resources/resourceGroups").expect("pinned");
    for namespace in PROVIDERS {
        let state = stage.simulator.state();
        state.set_registration(stage.simulator.subscription_id(), namespace, Registration::Registered);
    }
    let administrator = connect(&stage.simulator).await;
    let id = ResourceId::parse(&group).expect("an id");
    administrator.put(&id, version, &json!({ "location": "westeurope" })).await.expect("a group");
    stage
}

#[tokio::test(flavor = "multi_thread")]
async fn the_installers_listed_rights_suffice_and_each_is_needed() {
    for (number, (role, scope)) in INSTALLER.iter().enumerate() {
        let stage = prepared().await;
        let others: Vec<_> = INSTALLER
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != number)
            .map(|(_, right)| *right)
            .collect();
        give(&stage, &others);
        let mark = stage.simulator.journal().len();
        let run = stage.command("install", &["--yes", "--no-wait"]).await;
        assert_eq!(run.code, 1, "without {} on {scope}:\n{}", role.name, run.stderr);
        assert!(run.stderr.contains("\ncode: "), "{}", run.stderr);
        assert_eq!(stage.writes(mark), [""; 0], "nothing is written without {} on {scope}", role.name);
    }
    let stage = prepared().await;
    give(&stage, &INSTALLER);
    stage.command("install", &["--yes", "--wait", "60s"]).await.expect(0);
    stage.command("plan", &[]).await.expect(0);
    stage.command("status", &[]).await.expect(0);
    stage.command("teardown", &["--yes"]).await.expect(0);
    assert_eq!(stage.installed(), [Value::Null; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_workers_listed_rights_suffice_and_each_is_needed() {
    let stage = Stage::start().await;
    stage.answers("collect: {work_queue: always}\n");
    stage.command("install", &["--yes", "--wait", "60s"]).await.expect(0);
    let (state, site) = (stage.simulator.state(), stage.site());
    let hosts = &stage.simulator.data().hosts;
    let identity = state.resources_of("Microsoft.ManagedIdentity/userAssignedIdentities").remove(0);
    let principal = identity["properties"]["principalId"].as_str().expect("an id").to_owned();
    let held: Vec<Value> = state
        .resources_of("Microsoft.Authorization/roleAssignments")
        .into_iter()
        .filter(|each| each["properties"]["principalId"] == principal.as_str())
        .collect();
    assert_eq!(held.len(), WORKER.len(), "no right beside those listed");
    for role in WORKER {
        let definition = |each: &&Value| {
            let id = each["properties"]["roleDefinitionId"].as_str().unwrap_or_default();
            id.ends_with(role.definition_id)
        };
        let assignment = held.iter().find(definition).unwrap_or_else(|| panic!("{} is given", role.name));
        let scope = assignment["properties"]["scope"].as_str().expect("a scope");
        // Never wider than one of our own resources.
        assert!(scope.contains("/resourceGroups/rg-mimecast-audit/providers/"), "{scope}");
        state.take_role(assignment["id"].as_str().expect("an id"));
        // A setting of a person's own starts the host anew, and with it what it holds of rights.
        set(&stage, &site, role.name).await;
        let works = works(&stage, &site).await;
        // The tables hold the host's own diagnosis, which it does without.
        let expected = role == STORAGE_TABLE_DATA_CONTRIBUTOR;
        assert_eq!(works, expected, "without {}", role.name);
        state.give_role(&principal, scope, role);
        set(&stage, &site, "given again").await;
        assert!(self::works(&stage, &site).await, "with {} again", role.name);
    }
    assert!(hosts.fire(&site, TIMER_FUNCTION).await.is_some_and(|run| run.outcome.is_ok()));
}

/// Changes a setting of the app by hand, upon which Azure fetches its references anew.
async fn set(stage: &Stage, site: &str, value: &str) {
    let mut settings = stage.settings();
    settings.insert("BY_HAND".to_owned(), value.to_owned());
    let person = connect(&stage.simulator).await;
    person.set_app_settings(&ResourceId::parse(site).expect("an id"), &settings).await.expect("written");
}

/// Whether a run by the timer is good, and then one that is asked for through the queue.
async fn works(stage: &Stage, site: &str) -> bool {
    let runs = || stage.simulator.data().rows.of(HEALTH_TABLE);
    let good = |rows: &[Row]| !rows.is_empty() && rows.iter().all(|row| row["Result"] == "ok");
    let before = runs().len();
    let _ = stage.simulator.data().hosts.fire(site, TIMER_FUNCTION).await;
    if !good(&runs()[before..]) {
        return false;
    }
    let before = runs().len();
    let time = |days: i64| {
        let at = stage.simulator.clock().now() - time::Duration::days(days);
        at.replace_nanosecond(0).expect("whole seconds").format(&Rfc3339).expect("a time")
    };
    let range = ["backfill", "--answers", "answers.yaml", "--from", &time(2), "--to", &time(1)];
    if stage.run(&range).await.code != 0 {
        return false;
    }
    for _ in 0..RUN_LOOKS {
        if runs().len() > before {
            return good(&runs()[before..]);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    false
}
