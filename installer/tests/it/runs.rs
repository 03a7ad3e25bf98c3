//! A plan bound to what it saw, drift by hand, and the worker's runs steered from here.

use serde_json::json;

use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_plan_is_carried_out_as_it_was_or_not_at_all() {
    let stage = Stage::start().await;
    stage.command("plan", &["--out", "plan.json"]).await.expect(10);
    let saved = std::fs::read_to_string(stage.directory.path().join("plan.json")).unwrap();
    let secret = &stage.simulator.mimecast().settings().client_secret;
    assert!(!saved.contains(secret.as_str()));

    // The answers stand in the plan; only the secrets come from outside.
    let package = crate::stage::package();
    let arguments =
        ["install", "--plan", "plan.json", "--package", package.to_str().unwrap(), "--yes", "--no-wait"];
    stage.run(&arguments).await.expect(0);
    let mark = stage.simulator.journal().len();
    let again = stage.run(&arguments).await.expect(1);
    assert!(
        again.stderr.contains("what the plan saw has changed since; nothing was done"),
        "{}",
        again.stderr
    );
    assert_eq!(stage.writes(mark), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_changed_by_hand_is_named_and_put_right() {
    let stage = Stage::start().await;
    stage.command("install", &["--yes", "--wait", "60s"]).await.expect(0);
    let state = stage.simulator.state();

    // What an analyst tuned is named, and nothing is wrong with it.
    let rule = || {
        let rules = state.resources_of("Microsoft.SecurityInsights/alertRules");
        let spray =
            rules.into_iter().find(|rule| rule["properties"]["displayName"] == "Mimecast - password spray");
        spray.expect("a rule")
    };
    let id = rule()["id"].as_str().unwrap().to_owned();
    let tune = || assert!(state.edit(&id, |body, _| body["properties"]["queryFrequency"] = json!("PT5M")));
    tune();
    let status = stage.command("status", &[]).await.expect(0);
    let tuned = "tuned        analytics rule `Mimecast - password spray` was changed by a person (queryFrequency) and stays";
    assert!(status.stdout.contains(tuned) && status.stdout.contains("All is well."), "{}", status.stdout);
    // It is written over when that is asked for: by a plan that was made for it, and by an upgrade.
    stage.command("plan", &["--reset-content", "--out", "reset.json"]).await.expect(10);
    stage.command("install", &["--yes", "--no-wait", "--plan", "reset.json"]).await.expect(0);
    assert_ne!(rule()["properties"]["queryFrequency"], "PT5M");
    tune();
    let none = stage.command("upgrade", &["--yes"]).await.expect(0);
    assert!(none.stdout.contains("Nothing to do"), "{}", none.stdout);
    stage.command("upgrade", &["--yes", "--reset-content"]).await.expect(0);
    assert_ne!(rule()["properties"]["queryFrequency"], "PT5M");
    let status = stage.command("status", &[]).await.expect(0);
    assert!(!status.stdout.contains("tuned "), "{}", status.stdout);

    let storage =
        state.resources_of("Microsoft.Storage/storageAccounts").remove(0)["id"].as_str().unwrap().to_owned();
    assert!(state.edit(&storage, |body, _| body["properties"]["allowSharedKeyAccess"] = json!(true)));

    let status = stage.command("status", &[]).await.expect(1);
    assert!(status.stdout.contains("properties.allowSharedKeyAccess: true -> false"), "{}", status.stdout);
    let plan = stage.command("plan", &[]).await.expect(10);
    assert_eq!(plan.stdout.matches(" -> ").count(), 1, "{}", plan.stdout);
    stage.command("install", &["--yes", "--no-wait"]).await.expect(0);
    stage.command("status", &[]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_are_shown_paused_resumed_and_asked_for() {
    let stage = Stage::start().await;
    stage.command("install", &["--yes", "--wait", "60s"]).await.expect(0);
    let logs = stage.command("logs", &[]).await.expect(0);
    assert!(logs.stdout.contains(" ok ") && logs.stdout.contains(" delivered "), "{}", logs.stdout);

    stage.command("pause", &[]).await.expect(0);
    assert!(stage.command("pause", &[]).await.expect(0).stdout.contains("already"));
    let status = stage.command("status", &["--output", "json"]).await;
    assert_eq!(status.json()["facts"]["paused"], true);
    let status = stage.command("status", &[]).await.expect(0);
    assert!(
        status.stdout.contains("Paused: ") && !status.stdout.contains("All is well."),
        "{}",
        status.stdout
    );
    // A pause is the person's own setting: an installation leaves it.
    stage.command("install", &["--yes"]).await.expect(0);
    assert_eq!(stage.command("status", &["--output", "json"]).await.json()["facts"]["paused"], true);
    stage.command("resume", &[]).await.expect(0);
    assert_eq!(stage.command("status", &["--output", "json"]).await.json()["facts"]["paused"], false);

    // Without the queue there is nobody to ask.
    let range = ["--from", "2026-11-20T00:00:00Z", "--to", "2026-11-21T00:00:00Z"];
    let refused = stage.command("backfill", &range).await.expect(1);
    assert!(refused.stderr.contains("work_queue: always"), "{}", refused.stderr);
    stage.answers("collect: {work_queue: always}\n");
    stage.command("install", &["--yes", "--no-wait"]).await.expect(0);

    let bad = stage.command("backfill", &["--from", "yesterday", "--to", "today"]).await.expect(1);
    assert!(bad.stderr.contains("RFC 3339"), "{}", bad.stderr);
    stage.command("backfill", &[&range[..], &["--only-missing"]].concat()).await.expect(0);
    stage.command("replay", &[]).await.expect(0);
    let site = stage.simulator.state().resources_of("Microsoft.Web/sites").remove(0);
    let site = site["id"].as_str().unwrap();
    let hosts = &stage.simulator.data().hosts;
    hosts.idle(site).await;
    let asked: Vec<_> =
        hosts.invocations(site).into_iter().filter(|each| each.function == "SyncWork").collect();
    assert_eq!(asked.len(), 2);
    assert!(asked.iter().all(|each| each.outcome.is_ok()), "{asked:?}");
    let logs = stage.command("logs", &[]).await.expect(0);
    assert!(logs.stdout.contains(" replay ") && logs.stdout.contains(" backfill "), "{}", logs.stdout);
}
