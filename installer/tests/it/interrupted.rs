//! An installation that is killed goes on where it stopped; so does a teardown.

use std::collections::BTreeSet;
use std::time::Duration;

use contract::streams::{AUDIT_TABLE, HEALTH_TABLE};
use installer::azure::Timings;
use serde_json::json;
use simulator::fault::{Action, Fault, Matcher};
use simulator::state::principal::PrincipalKind;
use simulator::state::subscription::Registration;

use crate::foreign::vault;
use crate::stage::{Stage, kinds};
use crate::teardown::{shared, strangers};
use crate::within::Within;

/// Far more kills than an installation has writes: the loop must end by itself.
const KILLS_AT_MOST: usize = 120;

/// Runs a command again and again, killed each time when it has written `further` times more than
/// before; gives how often it was killed.
async fn killed_until_done(stage: &Stage, command: &str, more: &[&str], further: usize) -> usize {
    for kills in 0..KILLS_AT_MOST {
        let mark = stage.simulator.journal().len();
        let mut child = stage.start_command(command, more);
        let ended = loop {
            tokio::select! {
                status = child.wait() => break Some(status.expect("ends")),
                () = tokio::time::sleep(Duration::from_millis(5)) => {}
            }
            if stage.writes(mark).len() >= further {
                child.kill().await.expect("killed");
                break None;
            }
        };
        match ended {
            Some(status) => {
                assert_eq!(status.code(), Some(0), "{command} after {kills} kills");
                return kills;
            }
            None => continue,
        }
    }
    panic!("{command} was killed {KILLS_AT_MOST} times and has not ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_killed_at_every_step_ends_whole_and_leaves_the_workspace_alone() {
    // BR-005, BR-125, BR-131
    let stage = Stage::start().await;
    // Neighbours: a second installation of a similar name, in the same group, that feeds the same tables, and
    // things that somebody else made there.
    stage.command("install", &["--yes", "--no-wait", "--name", "mimecast-audit-2"]).await.expect(0);
    strangers(&stage).await;
    let state = stage.simulator.state().clone();
    // Every option that makes something more, and a secret in a vault of others.
    let within = Within::new(&stage, Timings::default().scaled(0.01)).await;
    let (vault_id, vault_uri) =
        vault(&stage, &within, stage.simulator.subscription_id(), "kv-security", true).await;
    let operator = state.add_person("operators", PrincipalKind::Group);
    stage.answers("collect: {work_queue: always}\nvault: {purge_protection: true}\n");
    stage.reword_answers("  tags: {owner: secops}", &format!("  operator_object_id: {}", operator.object_id));
    stage.reword_answers(
        "client_secret: {env: MIMECAST_CLIENT_SECRET}",
        &format!("client_secret: {{key_vault: {vault_uri}secrets/mimecast}}"),
    );
    let neighbours = stage.everything();

    // A kill cuts the calls that are under way, several at once: of three writes some have come through.
    let kills = killed_until_done(&stage, "install", &["--yes", "--no-wait"], 3).await;
    assert!(kills >= 10, "{kills} kills");
    stage.command("plan", &[]).await.expect(0);
    // The shared content bears the marks of both now.
    let own = neighbours.iter().filter(|(id, _)| !shared(id));
    stage.unmoved(&own.map(|(id, known)| (id.clone(), known.clone())).collect());
    // What was given while installing is taken back.
    assert_eq!(stage.assignments_of(&stage.simulator.person().object_id), 1);
    assert_eq!(stage.assignments_of(&operator.object_id), 1);

    // Whoever takes the tags off a thing takes it out of the installation, whatever stops in between.
    let plan = stage.one_of("Microsoft.Web/serverfarms");
    assert!(state.edit(&plan, |body, _| body["tags"] = json!({})));
    let untagged = state.resource(&plan);
    let kills = killed_until_done(&stage, "teardown", &["--yes"], 1).await;
    assert!(kills >= 3, "{kills} kills");
    let left = kinds(&stage.installed());
    assert_eq!(left, [""; 0]);
    stage.unmoved(&neighbours);
    assert_eq!(state.resource(&plan), untagged);
    assert_eq!(stage.everything().len(), neighbours.len() + 1);
    assert_eq!(stage.assignments_of(&operator.object_id), 0);
    assert!(state.resource(&vault_id).is_some());
}

/// Writes of the installer since a mark of the journal, to whichever service, as method and path.
fn every_write(stage: &Stage, mark: usize) -> Vec<String> {
    let elsewhere = stage.simulator.journal().since(mark).into_iter().filter(|entry| {
        let upload = entry.service == "blob" && entry.method == "PUT";
        upload || entry.service == "scm" && entry.method == "POST"
    });
    let elsewhere = elsewhere.map(|entry| format!("{} {}", entry.method, entry.path()));
    stage.writes(mark).into_iter().chain(elsewhere).map(|write| write.to_ascii_lowercase()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_from_nothing_killed_at_each_of_its_writes_in_turn_ends_whole() {
    // BR-005, BR-125, BR-131
    let stage = Stage::start().await;
    let state = stage.simulator.state();
    // Whatever a first installation can have to do; content is so many writes of one kind.
    state.set_registration(stage.simulator.subscription_id(), "Microsoft.Web", Registration::NotRegistered);
    state.inject_storage_key();
    stage.answers(
        "collect: {work_queue: always}\ncontent: {connector_page: false, workbook: false, rules: off, hunting: \
         false, asim: false}\n",
    );
    let workspace = state.resource(stage.simulator.workspace_id()).expect("there").to_string();

    // Each write is killed at once, the first time that it is seen: a second time it may come to its end. Those
    // that are under way at the same time share a kill.
    let mut killed: BTreeSet<String> = BTreeSet::new();
    let mut met: BTreeSet<String> = BTreeSet::new();
    loop {
        let mark = stage.simulator.journal().len();
        let mut child = stage.start_command("install", &["--yes", "--no-wait"]);
        let ended = loop {
            tokio::select! {
                status = child.wait() => break Some(status.expect("ends")),
                () = tokio::time::sleep(Duration::from_millis(2)) => {}
            }
            if let Some(new) = every_write(&stage, mark).into_iter().find(|write| !killed.contains(write)) {
                child.kill().await.expect("killed");
                killed.insert(new);
                met.extend(every_write(&stage, mark));
                break None;
            }
        };
        if let Some(status) = ended {
            assert_eq!(status.code(), Some(0), "after {killed:#?}");
            break;
        }
        assert!(killed.len() < KILLS_AT_MOST, "{killed:#?}");
    }
    for kind in [
        "/providers/microsoft.web/register",
        "/resourcegroups/rg-mimecast-audit",
        "/userassignedidentities/",
        "/storageaccounts/st",
        "/containers/packages",
        "/queues/sync-work",
        "/vaults/kv-",
        "/secrets/mimecast-client-secret",
        "/components/",
        "/tables/mimecastaudit_cl",
        "/datacollectionrules/",
        "/diagnosticsettings/",
        "/roleassignments/",
        "/audit-checkpoints/checkpoint.txt",
        "/serverfarms/",
        "/sites/func-",
        "/config/appsettings",
        "/basicpublishingcredentialspolicies/",
        ".zip",
        "post /api/publish",
        "/tags/default",
        "delete ",
    ] {
        assert!(met.iter().any(|write| write.contains(kind)), "{kind} in {met:#?}");
    }
    // What comes one after the other is killed one by one.
    for kind in ["/resourcegroups/rg-mimecast-audit", "/sites/func-", "post /api/publish", "/tags/default"] {
        assert!(killed.iter().any(|write| write.contains(kind)), "{kind} in {killed:#?}");
    }
    stage.command("plan", &[]).await.expect(0);
    assert_eq!(stage.assignments_of(&stage.simulator.person().object_id), 1);
    let after = state.resource(stage.simulator.workspace_id()).expect("there").to_string();
    assert_eq!(after, workspace, "the workspace is never written");
    // What came of it works.
    let run = stage.command("install", &["--yes", "--wait", "60s"]).await.expect(0);
    assert!(run.stdout.contains("audit rows are in the workspace"), "{}", run.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_killed_at_every_step_ends_with_nothing_left() {
    let stage = Stage::start().await;
    let state = stage.simulator.state().clone();
    let before = stage.everything();
    stage.command("install", &["--yes", "--no-wait"]).await.expect(0);
    let purge = ["--yes", "--purge", "--purge-table", AUDIT_TABLE, "--purge-table", HEALTH_TABLE];
    let kills = killed_until_done(&stage, "teardown", &purge, 1).await;
    assert!(kills >= 3, "{kills} kills");
    stage.unmoved(&before);
    assert_eq!(stage.everything().len(), before.len());
    assert_eq!(state.deleted_vault_names().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_teardown_that_keeps_the_data_and_is_killed_at_every_step_keeps_them() {
    let stage = Stage::start().await;
    stage.command("install", &["--yes", "--no-wait"]).await.expect(0);
    let data: Vec<String> = ["Microsoft.Storage/storageAccounts", "Microsoft.KeyVault/vaults"]
        .map(|kind| stage.one_of(kind))
        .into();
    let before = data.iter().map(|id| stage.simulator.state().resource(id)).collect::<Vec<_>>();
    let kills = killed_until_done(&stage, "teardown", &["--yes", "--keep-data"], 1).await;
    assert!(kills >= 3, "{kills} kills");
    let mut left = kinds(&stage.installed());
    left.sort_unstable();
    assert_eq!(
        left,
        [
            "Microsoft.KeyVault/vaults",
            "Microsoft.Resources/resourceGroups",
            "Microsoft.Storage/storageAccounts"
        ]
    );
    let after = data.iter().map(|id| stage.simulator.state().resource(id)).collect::<Vec<_>>();
    assert_eq!(after, before);
    // It goes on with them, and goes.
    stage.command("install", &["--yes", "--no-wait"]).await.expect(0);
    stage.command("teardown", &["--yes"]).await.expect(0);
    assert_eq!(kinds(&stage.installed()), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_step_says_what_is_done_and_the_same_command_completes() {
    let stage = Stage::start().await;
    let body =
        r#"{"error":{"code":"RequestDisallowedByPolicy","message":"Resource was disallowed by policy."}}"#;
    stage.simulator.faults().add(Fault::answer(
        Matcher::new("arm", "PUT", "/microsoft.web/sites/func-"),
        403,
        body,
    ));
    let run = stage.command("install", &["--yes", "--no-wait"]).await.expect(3);
    for part in [
        "error: could not finish Function App `func-mimecast-audit-",
        "caused by: ",
        "RequestDisallowedByPolicy",
        "done so far: ",
        "to go on:    run the same command again",
    ] {
        assert!(run.stderr.contains(part), "{part} in {}", run.stderr);
    }
    stage.command("install", &["--yes", "--no-wait"]).await.expect(0);
    stage.command("plan", &[]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_is_no_reason_to_fail() {
    let stage = Stage::start().await;
    for target in ["/microsoft.keyvault/vaults/kv-", "/roleassignments/", "/datacollectionrules/"] {
        stage.simulator.faults().add(Fault::once(Matcher::new("arm", "PUT", target), Action::DropAfter));
    }
    stage.command("install", &["--yes", "--no-wait"]).await.expect(0);
    stage.command("plan", &[]).await.expect(0);
}
