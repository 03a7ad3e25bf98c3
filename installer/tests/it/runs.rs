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

    // What an analyst tuned is drift like any other, and no command changes it back unasked.
    let rule = || {
        let rules = state.resources_of("Microsoft.SecurityInsights/alertRules");
        let spray =
            rules.into_iter().find(|rule| rule["properties"]["displayName"] == "Mimecast - password spray");
        spray.expect("a rule")
    };
    let id = rule()["id"].as_str().unwrap().to_owned();
    let tune = || assert!(state.edit(&id, |body, _| body["properties"]["queryFrequency"] = json!("PT5M")));
    tune();
    let ours = state.resource(&id).expect("there")["properties"]["queryFrequency"].clone();
    assert_eq!(ours, "PT5M");
    let status = stage.command("status", &[]).await.expect(1);
    let tuned = "tuned        analytics rule `Mimecast - password spray` was changed by a person (queryFrequency) and stays";
    let drift = "problem      changed by hand: analytics rule `Mimecast - password spray`: properties.queryFrequency: PT5M -> ";
    for part in [tuned, drift] {
        assert!(status.stdout.contains(part) && !status.stdout.contains("All is well."), "{}", status.stdout);
    }
    // The workbook too.
    let workbook = state.resources_of("Microsoft.Insights/workbooks").remove(0);
    let (workbook_id, title) =
        (workbook["id"].as_str().unwrap().to_owned(), workbook["properties"]["displayName"].clone());
    assert!(state.edit(&workbook_id, |body, _| body["properties"]["displayName"] = json!("The SOC's")));
    let status = stage.command("status", &["--output", "json"]).await.expect(1).json();
    let drift = status["drift"].as_array().unwrap();
    assert_eq!(drift.len(), 2, "{drift:?}");
    let expected = format!("properties.displayName: The SOC's -> {}", title.as_str().unwrap());
    assert!(drift.iter().any(|line| line.as_str().unwrap().ends_with(&expected)), "{drift:?}");
    let none = stage.command("upgrade", &["--yes"]).await.expect(0);
    assert!(none.stdout.contains("Nothing to do") && none.stdout.contains(&expected), "{}", none.stdout);
    assert_eq!(state.resource(&workbook_id).unwrap()["properties"]["displayName"], "The SOC's");
    // It is written over when that is asked for: by a plan that was made for it, and by an upgrade.
    stage.command("plan", &["--reset-content", "--out", "reset.json"]).await.expect(10);
    stage.command("install", &["--yes", "--no-wait", "--plan", "reset.json"]).await.expect(0);
    assert_ne!(rule()["properties"]["queryFrequency"], "PT5M");
    assert_eq!(state.resource(&workbook_id).unwrap()["properties"]["displayName"], title);
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

    // An installation of another version differs by that, and nobody is blamed for it.
    let site = stage.site();
    let mark = |version: &str| {
        let version = json!(version);
        assert!(state.edit(&site, |body, _| body["tags"]["mimecast-sentinel-version"] = version));
    };
    mark("0.0.1");
    let status = stage.command("status", &[]).await.expect(0);
    assert!(status.stdout.contains("  outdated     storage account "), "{}", status.stdout);
    for part in ["changed by hand", "  problem "] {
        assert!(!status.stdout.contains(part), "{}", status.stdout);
    }
    assert!(status.stdout.contains("`mimecast-sentinel upgrade` brings it up to date"), "{}", status.stdout);
    stage.command("install", &["--yes", "--no-wait"]).await.expect(0);
    stage.command("status", &[]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_of_other_answers_go_and_one_added_by_hand_is_named() {
    let stage = Stage::start().await;
    stage.answers("collect: {categories: [account_logs]}\n");
    stage.command("install", &["--yes", "--wait", "60s"]).await.expect(0);
    assert_eq!(stage.settings()["MIMECAST_CATEGORIES"], "account_logs");
    let set = |name: &str, value: &str| {
        assert!(stage.simulator.state().edit(&stage.site(), |_, hidden| {
            hidden["appSettings"][name] = json!(value);
        }));
    };
    set("MIMECAST_PAGE_SIZE", "100");
    stage.answers("collect: {categories: []}\n");
    let plan = stage.command("plan", &[]).await.expect(10);
    let shown = "settings.MIMECAST_CATEGORIES: account_logs -> (absent)";
    assert!(plan.stdout.contains(shown), "{}", plan.stdout);
    stage.command("install", &["--yes", "--no-wait"]).await.expect(0);
    let settings = stage.settings();
    assert!(!settings.contains_key("MIMECAST_CATEGORIES"));
    assert_eq!(settings["MIMECAST_PAGE_SIZE"], "100");
    stage.command("plan", &[]).await.expect(0);
    stage.command("status", &[]).await.expect(0);

    set("MIMECAST_CATEGORIES", "account_logs");
    let status = stage.command("status", &[]).await.expect(1);
    assert!(status.stdout.contains(shown), "{}", status.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_without_its_tag_is_no_missing_app() {
    let stage = Stage::start().await;
    stage.command("install", &["--yes", "--no-wait"]).await.expect(0);
    let (state, site) = (stage.simulator.state(), stage.site());
    let tags = state.resource(&site).expect("there")["tags"].clone();
    assert!(state.edit(&site, |body, _| body["tags"] = json!({})));
    let status = stage.command("status", &[]).await.expect(1);
    let remedy = format!(
        "az tag update --operation merge --resource-id '{site}' --tags mimecast-sentinel-installation=mimecast-audit"
    );
    for part in ["is there and does not carry the tag of the installation `mimecast-audit`", &remedy] {
        assert!(status.stderr.contains(part), "{part} in {}", status.stderr);
    }
    assert!(!status.stderr.contains("`install` completes it"), "{}", status.stderr);
    let mut other = tags.clone();
    other["mimecast-sentinel-installation"] = json!("another");
    assert!(state.edit(&site, |body, _| body["tags"] = other));
    let status = stage.command("status", &[]).await.expect(1);
    assert!(status.stderr.contains("belongs to the installation `another`"), "{}", status.stderr);
    assert!(state.edit(&site, |body, _| body["tags"] = tags));
    stage.command("plan", &[]).await.expect(0);
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
