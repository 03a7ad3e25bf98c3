//! What `install` takes as a proof that events arrive: runs and rows that came after what it changed.

use std::collections::BTreeSet;
use std::time::Duration;

use installer::azure::Timings;
use serde_json::{Value, json};
use simulator::fault::{Fault, Matcher};

use crate::foreign::vault;
use crate::stage::Stage;
use crate::within::Within;

/// More calls than any test makes.
const ALWAYS: usize = 100_000;

/// Lets the calls to Mimecast through that a command makes before it installs anything, and refuses the worker's
/// credentials from then on.
async fn refuse_the_worker(stage: &Stage) {
    let tokens = |stage: &Stage| {
        let entries = stage.simulator.journal().entries();
        entries.iter().filter(|entry| entry.service == "mimecast" && entry.path().ends_with("/token")).count()
    };
    let before = tokens(stage);
    stage.command("plan", &[]).await;
    let by_the_installer = tokens(stage) - before;
    assert!(by_the_installer > 0, "the installer asks for a token of its own");
    let refused = r#"{"error":"invalid_client"}"#;
    let token = Fault::answer(Matcher::new("mimecast", "POST", "/token"), 401, refused);
    stage.simulator.faults().add(token.skip(by_the_installer).times(ALWAYS));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_an_installation_that_is_gone_prove_nothing_of_the_next() {
    let stage = Stage::start().await;
    let run = stage.command("install", &["--yes", "--wait", "60s"]).await.expect(0);
    assert!(run.stdout.contains("audit rows are in the workspace, the first seen after"), "{}", run.stdout);
    stage.command("teardown", &["--yes"]).await.expect(0);

    // The tables are kept, with rows of good runs in them. The new worker cannot get anything from Mimecast.
    refuse_the_worker(&stage).await;
    let run = stage.command("install", &["--yes", "--wait", "4s"]).await.expect(3);
    assert!(run.stdout.contains("something is not as it should be"), "{}", run.stdout);
    assert!(!run.stdout.contains("audit rows are in the workspace"), "{}", run.stdout);
    // Its own reason, and what to do about that.
    for part in ["failed run of the worker: failed in ", "Mimecast"] {
        assert!(run.stderr.contains(part), "{part} in {}", run.stderr);
    }
    assert!(!run.stderr.contains("45 minutes can be normal after"), "{}", run.stderr);

    // Everything is made, so that the same command has nothing to do but to look again.
    stage.simulator.faults().clear();
    refuse_the_worker(&stage).await;
    let run = stage.command("install", &["--yes", "--wait", "4s"]).await.expect(3);
    assert!(run.stdout.contains("Nothing to do"), "{}", run.stdout);
    assert!(run.stdout.contains("something is not as it should be"), "{}", run.stdout);

    // The cause is mended: it completes, and says so by rows that are new.
    stage.simulator.faults().clear();
    let run = stage.command("install", &["--yes", "--wait", "60s"]).await.expect(0);
    assert!(run.stdout.contains("audit rows are in the workspace, the first seen after"), "{}", run.stdout);

    // Known to work: nothing is looked at, and no run is asked for.
    let mark = stage.simulator.journal().len();
    let run = stage.command("install", &["--yes", "--output", "json"]).await.expect(0);
    assert_eq!(run.json()["report"], Value::Null);
    let asked = stage.simulator.journal().since(mark);
    assert!(!asked.iter().any(|entry| entry.service == "site"), "no run is asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_after_which_mimecast_has_had_no_event_is_proven_by_a_run_alone() {
    let stage = Stage::start().await;
    stage.command("install", &["--yes", "--wait", "60s"]).await.expect(0);
    stage.answers("collect: {overlap: 20m}\n");
    let run = stage.command("install", &["--yes", "--wait", "60s"]).await.expect(0);
    assert!(run.stdout.contains("Mimecast has had no event for it since"), "{}", run.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_starts_late_is_waited_for_and_one_that_does_not_is_told_with_a_remedy() {
    let stage = Stage::start().await;
    let faults = stage.simulator.faults();
    // A starting host's platform gives neither keys nor functions, in three ways.
    let keys = || Matcher::new("arm", "POST", "/host/default/listkeys");
    for (before, status) in [400, 404, 503].into_iter().enumerate() {
        faults.add(Fault::answer(keys(), status, "").skip(before));
    }
    for target in ["/functions?", "/config/configreferences/appsettings?"] {
        faults.add(Fault::answer(Matcher::new("arm", "GET", target), 404, "").times(2));
    }
    let run = stage.command("install", &["--yes", "--wait", "60s"]).await.expect(0);
    assert!(run.stdout.contains("audit rows are in the workspace"), "{}", run.stdout);

    // It never gives them: what is known is told, with what to do.
    faults.add(Fault::answer(keys(), 400, "").times(ALWAYS));
    stage.answers("collect: {overlap: 20m}\n");
    let run = stage.command("install", &["--yes", "--wait", "1s", "--output", "json"]).await.expect(3);
    let report = run.json()["report"].clone();
    let probes = report["probes"].as_array().expect("probes");
    let outcomes: BTreeSet<_> = probes
        .iter()
        .map(|probe| (probe["id"].as_str().unwrap(), probe["outcome"].as_str().unwrap()))
        .collect();
    assert_eq!(outcomes, BTreeSet::from([("references", "good"), ("host", "bad"), ("timer", "good")]));
    let host = probes.iter().find(|probe| probe["id"] == "host").expect("a probe");
    assert!(host["result"].as_str().unwrap().contains("host keys"), "{host}");
    assert!(host["remedy"].as_str().unwrap().contains("log stream"), "{host}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_does_not_read_its_references_is_told_to_and_then_restarted_once() {
    // BR-126
    let stage = Stage::start().await;
    let within = Within::new(&stage, Timings::default().scaled(0.01)).await;
    let subscription = stage.simulator.subscription_id().to_owned();
    let (id, uri) = vault(&stage, &within, &subscription, "kv-policies", false).await;
    stage.reword_answers(
        "client_secret: {env: MIMECAST_CLIENT_SECRET}",
        &format!("client_secret: {{key_vault: {uri}secrets/mimecast}}"),
    );
    let posts = |end: &str| {
        let entries = stage.simulator.journal().entries();
        entries.iter().filter(|entry| entry.method == "POST" && entry.path().ends_with(end)).count()
    };
    // The vault's owner lets the app in only after it was restarted, as where a group is slow to be looked at.
    let owner = async {
        while posts("/restart") == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let identities =
            stage.simulator.state().resources_of("Microsoft.ManagedIdentity/userAssignedIdentities");
        let principal = identities[0]["properties"]["principalId"].clone();
        stage.simulator.state().edit(&id, |vault, _| {
            vault["properties"]["accessPolicies"] =
                json!([{ "objectId": principal, "permissions": { "secrets": ["get"] } }]);
        });
    };
    let (run, ()) = futures::join!(stage.command("install", &["--yes", "--wait", "120s"]), owner);
    let run = run.expect(0);
    assert!(run.stdout.contains("audit rows are in the workspace"), "{}", run.stdout);
    assert_eq!(posts("/restart"), 1);
    assert!(posts("/configreferences/appsettings/refresh") >= 2);
}
