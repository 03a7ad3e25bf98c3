//! `doctor` finds what an installation would fail on, before it, and what is wrong with one that is there.

use std::time::Duration;

use serde_json::{Value, json};
use simulator::arm::policy::{Condition, DenyPolicy};
use simulator::state::role::CONTRIBUTOR;

use crate::stage::{Run, Stage};

/// The checks that ended like this, by their ids.
fn ids(run: &Run, state: &str) -> Vec<String> {
    let document = run.json();
    let checks = document["checks"].as_array().expect("checks");
    let mut ids: Vec<String> = checks
        .iter()
        .filter(|check| check["state"] == state)
        .map(|check| check["id"].as_str().expect("an id").to_owned())
        .collect();
    ids.sort();
    ids.dedup();
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_is_found_at_once_with_its_remedy_and_nothing_is_made() {
    let mut stage = Stage::start().await;
    let mark = stage.simulator.journal().len();
    let good = stage.command("doctor", &["--pre", "--output", "json"]).await.expect(0);
    assert_eq!(ids(&good, "failed"), [""; 0]);
    assert!(ids(&good, "good").contains(&"rights".to_owned()), "{}", good.stdout);

    // Where nothing is installed the same is looked at, by one sign-in, and each result is told once.
    let none = stage.command("doctor", &[]).await.expect(0);
    assert_eq!(none.stderr.matches("signed in as").count(), 1, "{}", none.stderr);
    let (told, listed) =
        (none.stderr.matches("checks are good").count(), none.stdout.matches("Checks: ").count());
    assert_eq!((told, listed), (0, 1), "{}{}", none.stderr, none.stdout);

    stage.environment.insert("MIMECAST_CLIENT_SECRET".to_owned(), "canary-wrong-value".to_owned());
    let subscription = format!("/subscriptions/{}", stage.simulator.subscription_id());
    let state = stage.simulator.state();
    state.remove_flex("westeurope");
    state.add_policy(DenyPolicy {
        name: "needs-cost-centre".to_owned(),
        scope: subscription.clone(),
        resource_type: "Microsoft.Storage/storageAccounts".to_owned(),
        condition: Condition::MissingTag("cost-centre".to_owned()),
    });
    let person = stage.simulator.person().object_id.clone();
    for assignment in state.resources_of("Microsoft.Authorization/roleAssignments") {
        if assignment["properties"]["principalId"] == person.as_str() {
            state.take_role(assignment["id"].as_str().expect("an id"));
        }
    }
    state.give_role(&person, &subscription, CONTRIBUTOR);
    let bad = stage.command("doctor", &["--pre", "--output", "json"]).await.expect(1);
    assert_eq!(ids(&bad, "failed"), ["flex-region", "mimecast-credentials", "policy", "rights-roles"]);
    for check in bad.json()["checks"].as_array().expect("checks") {
        assert!(check["state"] != "failed" || check["remedy"].is_string(), "{check}");
    }
    let text = stage.command("doctor", &["--pre"]).await.expect(1).stdout;
    assert!(text.contains("Role Based Access Control Administrator"), "{text}");
    assert!(text.contains("4 failed"), "{text}");
    assert!(!text.contains("canary-wrong-value"), "{text}");

    // An installation stops on the same.
    let stopped = stage.command("install", &["--yes"]).await.expect(1);
    for part in ["4 checks failed; nothing was changed", "(flex-region)", "(policy)", "(rights-roles)"] {
        assert!(stopped.stderr.contains(part), "{part} in {}", stopped.stderr);
    }
    assert_eq!(stage.writes(mark), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_that_works_is_good_and_one_with_an_open_door_is_not() {
    let stage = Stage::start().await;
    stage.command("install", &["--yes"]).await.expect(0);
    let mark = stage.simulator.journal().len();
    let good = stage.command("doctor", &["--output", "json"]).await.expect(0);
    let seen = ids(&good, "good");
    for id in ["host", "keys", "last-run", "mimecast", "package-published", "references", "timer"] {
        assert!(seen.contains(&id.to_owned()), "{id} in {seen:?}");
    }
    let account = stage
        .installed()
        .into_iter()
        .find(|each| each["type"] == "Microsoft.Storage/storageAccounts")
        .expect("a storage account");
    stage.simulator.state().edit(account["id"].as_str().expect("an id"), |body, _| {
        body["properties"]["allowSharedKeyAccess"] = Value::Bool(true);
    });
    let open = stage.command("doctor", &["--output", "json"]).await.expect(1);
    assert_eq!(ids(&open, "failed"), ["keys"]);
    assert_eq!(stage.writes(mark), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_dead_is_not_well_however_good_its_last_run_was() {
    let stage = Stage::start().await;
    stage.command("install", &["--yes"]).await.expect(0);
    stage.command("status", &[]).await.expect(0);
    stage.simulator.state().edit(stage.simulator.workspace_id(), |body, _| {
        body["properties"]["workspaceCapping"] = json!({ "dataIngestionStatus": "OverQuota" });
    });
    // That nothing arrives any more is seen though there is nothing to change.
    let capped = stage.command("doctor", &["--output", "json"]).await.expect(0);
    assert!(ids(&capped, "warning").contains(&"workspace-cap".to_owned()), "{}", capped.stdout);
    stage.simulator.clock().advance(Duration::from_secs(3 * 86_400));
    let dead = stage.command("doctor", &["--output", "json"]).await.expect(1);
    assert_eq!(ids(&dead, "failed"), ["silent"], "{}", dead.stdout);
    let status = stage.command("status", &[]).await.expect(1);
    assert!(status.stdout.contains("no run was seen for 30 minutes"), "{}", status.stdout);
    assert!(!status.stdout.contains("All is well"), "{}", status.stdout);
    // Whoever has paused it need not be told.
    stage.command("pause", &[]).await.expect(0);
    let paused = stage.command("doctor", &["--output", "json"]).await.expect(0);
    assert!(!ids(&paused, "failed").contains(&"silent".to_owned()), "{}", paused.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_that_cannot_be_written_hides_no_failure() {
    let mut stage = Stage::start().await;
    let nowhere = "no-such-folder/bundle.json";
    let alone = stage.command("doctor", &["--pre", "--bundle", nowhere]).await.expect(1);
    assert!(
        alone.stderr.contains("could not write the bundle to `no-such-folder/bundle.json`"),
        "{}",
        alone.stderr
    );
    stage.environment.insert("AZURE_CLIENT_SECRET".to_owned(), "canary-wrong-value".to_owned());
    let both = stage.command("doctor", &["--pre", "--bundle", nowhere]).await.expect(1);
    assert!(both.stderr.contains("code: sign-in"), "{}", both.stderr);
    assert!(
        both.stderr.contains("could not write the bundle to `no-such-folder/bundle.json`"),
        "{}",
        both.stderr
    );
}
