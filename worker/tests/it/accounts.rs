//! Several accounts and long backfills: what is put on the queue, and what a message does.

use std::collections::BTreeMap;
use std::time::Duration;

use contract::resources::SYNC_QUEUE;
use contract::settings::account_secret;
use futures::future::join_all;
use simulator::fault::{Fault, Matcher};
use simulator::installed::STORAGE_ACCOUNT;
use simulator::installed::accounts::ServedAccount;
use simulator::mimecast::{Event, Quota};
use time::OffsetDateTime;
use worker::accounts::{Accounts, Handled};
use worker::command::Work;
use worker::report::{RunResult, Trigger};

use crate::stage::Stage;

const TICK: Work = Work::Sync(Trigger::Timer);

/// Gives an account events of the last hour; their numbers begin at `first`.
fn fill(stage: &Stage, account: &ServedAccount, first: u64, count: u64) {
    let newest = stage.simulator.clock().now() - Duration::from_secs(600);
    let at = |number| newest - Duration::from_secs(number % 3_000);
    account.mimecast.add((first..first + count).map(|number| Event::numbered(number, at(number))));
}

/// Works on every message that can be seen, until none is left.
async fn work_off(stage: &Stage, accounts: &Accounts) -> Vec<Handled> {
    let mut handled = Vec::new();
    loop {
        let messages = stage.simulator.data().queues.take(STORAGE_ACCOUNT, SYNC_QUEUE);
        if messages.is_empty() {
            return handled;
        }
        handled.extend(join_all(messages.iter().map(|message| accounts.handle(message))).await);
    }
}

fn waiting(stage: &Stage) -> Vec<String> {
    stage.simulator.data().queues.texts(STORAGE_ACCOUNT, SYNC_QUEUE)
}

/// The newest health row of each account: result and stage.
fn health(stage: &Stage) -> BTreeMap<String, (String, String)> {
    let text = |row: &simulator::rows::Row, name: &str| {
        row.get(name).and_then(|value| value.as_str()).unwrap_or_default().to_owned()
    };
    let rows = stage.health();
    let newest = rows.iter().map(|row| (text(row, "Account"), (text(row, "Result"), text(row, "Stage"))));
    newest.collect()
}

fn is_done(handled: &Handled) -> bool {
    matches!(handled, Handled::Done(_))
}

#[tokio::test]
async fn a_tick_puts_a_message_for_each_account_that_lives_one_period() {
    let (stage, _accounts) = Stage::several(&["alpha", "beta"]).await;
    let worker = stage.accounts();
    let report = worker.tick(TICK).await;
    assert_eq!(report.result, RunResult::Ok, "{}", stage.lines.text());
    let mut messages = waiting(&stage);
    messages.sort();
    let expected = ["alpha", "beta"].map(|key| format!("{{\"account\":\"{key}\",\"work\":\"sync\"}}"));
    assert_eq!(messages, expected);
    stage.clock.advance(Duration::from_secs(299));
    assert_eq!(waiting(&stage).len(), 2);
    stage.clock.advance(Duration::from_secs(2));
    assert_eq!(waiting(&stage), [""; 0]);
    // Nothing was read, and a tick that went well is no run of an account.
    assert!(stage.health().is_empty());
}

/// Azure can refuse a token before its time, and its crates would go on sending the one that they keep.
#[tokio::test]
async fn a_token_that_blobs_queue_or_vault_refuse_is_renewed_once() {
    let (stage, accounts) = Stage::several(&["alpha"]).await;
    let worker = stage.accounts();
    let run = async |numbers: u64| {
        fill(&stage, &accounts[0], numbers, 5);
        let ticked = worker.tick(TICK).await.result;
        work_off(&stage, &worker).await;
        // Longer than an account's settings are kept: the vault is read again.
        stage.clock.advance(Duration::from_secs(3_601));
        (ticked, health(&stage)["alpha"].clone())
    };
    let tokens = || stage.simulator.journal().of("entra").len();
    let well = (RunResult::Ok, ("ok".to_owned(), String::new()));
    assert_eq!(run(0).await, well);
    for (number, service) in (1..).zip(["blob", "queue", "vault"]) {
        let (before, refused) = (tokens(), Matcher::new(service, "", ""));
        stage.simulator.faults().add(Fault::answer(refused, 401, ""));
        assert_eq!(run(number * 10).await, well, "{service}: {}", stage.lines.text());
        assert_eq!(stage.simulator.faults().left(), 0, "{service} was not asked");
        assert!(tokens() > before, "{service}: no new token was got");
    }
    assert_eq!(stage.keys().len(), 20);
    // A new token that is refused too is a matter of rights.
    stage.simulator.faults().add(Fault::answer(Matcher::new("vault", "", ""), 401, "").times(2));
    assert_eq!(run(40).await, (RunResult::Ok, ("failed".to_owned(), "settings".to_owned())));
    stage.simulator.faults().add(Fault::answer(Matcher::new("blob", "PUT", ""), 401, "").times(2));
    assert_eq!(run(50).await, (RunResult::Ok, ("failed".to_owned(), "checkpoint".to_owned())));
    stage.simulator.faults().add(Fault::answer(Matcher::new("queue", "", ""), 401, "").times(2));
    assert_eq!(run(60).await.0, RunResult::Failed);
}

#[tokio::test]
async fn a_broken_or_throttled_account_delays_no_other() {
    let keys = ["alpha", "beta", "gamma", "delta", "epsilon"];
    let (stage, accounts) = Stage::several(&keys).await;
    for (number, account) in (0..).zip(&accounts) {
        fill(&stage, account, number * 1_000, 50);
    }
    // `beta` may not read, `gamma` has a secret that is no account, `delta` has no call left for an hour.
    accounts[1].mimecast.configure(|settings| settings.product = false);
    stage.simulator.state().put_secret(
        &stage.simulator.installed_vault(),
        &account_secret("gamma"),
        "canary",
    );
    accounts[3].mimecast.configure(|settings| {
        settings.quota = Some(Quota { limit: 0, period: Duration::from_secs(3_600) });
    });
    let worker = stage.accounts();
    let began = stage.simulator.clock().now();
    assert_eq!(worker.tick(TICK).await.result, RunResult::Ok);
    let handled = work_off(&stage, &worker).await;
    // An account's failure is its own: no message is left, none comes again.
    assert!(handled.len() == 5 && handled.iter().all(is_done), "{handled:?}");
    assert_eq!(waiting(&stage), [""; 0]);
    assert!(stage.simulator.clock().now() - began < time::Duration::MINUTE, "somebody waited");
    let outcome = |key: &str| {
        let (result, stage) = &health(&stage)[key];
        format!("{result} {stage}")
    };
    assert_eq!(keys.map(outcome), ["ok ", "failed poll", "failed settings", "partial ", "ok "]);
    assert_eq!(stage.keys().len(), 100);
    assert!(!stage.lines.text().contains("canary"));

    // Mended, the next tick brings what was missing and nothing twice.
    accounts[1].mimecast.configure(|settings| settings.product = true);
    let own = accounts[2].mimecast.settings();
    let secret = serde_json::json!({
        "base_url": accounts[2].base_url, "client_id": own.client_id, "client_secret": own.client_secret,
    });
    let vault = stage.simulator.installed_vault();
    stage.simulator.state().put_secret(&vault, &account_secret("gamma"), &secret.to_string());
    worker.tick(TICK).await;
    work_off(&stage, &worker).await;
    assert_eq!(keys.map(outcome), ["ok ", "ok ", "ok ", "partial ", "ok "]);
    // Mimecast's word holds until its hour is over.
    accounts[3].mimecast.configure(|settings| settings.quota = None);
    stage.clock.advance(Duration::from_secs(3_601));
    let worker = stage.accounts();
    worker.tick(TICK).await;
    work_off(&stage, &worker).await;
    assert_eq!(keys.map(outcome), ["ok "; 5]);
    let mut found = stage.keys();
    assert_eq!(found.len(), 250);
    found.dedup();
    assert_eq!(found.len(), 250);
}

#[tokio::test]
async fn a_message_whose_account_is_held_by_another_run_is_dropped() {
    let (stage, accounts) = Stage::several(&["alpha"]).await;
    fill(&stage, &accounts[0], 0, 20);
    let (one, two) = (stage.accounts(), stage.accounts());
    let message = r#"{"account":"alpha","work":"sync"}"#;
    let (first, second) = tokio::join!(one.handle(message), two.handle(message));
    assert!(is_done(&first) && is_done(&second));
    let results: Vec<_> = stage.health().iter().map(|row| row["Result"].to_string()).collect();
    assert!(results.contains(&"\"busy\"".to_owned()), "{results:?}");
    assert_eq!(stage.keys().len(), 20);
    assert_eq!(waiting(&stage), [""; 0]);
}

#[tokio::test]
async fn a_backfill_is_cut_at_midnights_and_each_slice_is_read_once() {
    let (stage, accounts) = Stage::several(&["alpha", "beta"]).await;
    let midnight = |days: i64| {
        let today = stage.simulator.clock().now().replace_time(time::Time::MIDNIGHT);
        today - time::Duration::days(days)
    };
    // 700 events a day at uneven seconds, so that a slice has pages and none lies on a boundary.
    let day = |number: u64, start: OffsetDateTime| {
        Event::numbered(number, start + Duration::from_secs(60 + number % 700 * 120))
    };
    let events = (0..2_100).map(|number| day(number, midnight(10 - i64::try_from(number / 700).unwrap())));
    accounts[0].mimecast.add(events);
    let worker = stage.accounts();
    let text = |at: OffsetDateTime| at.format(&time::format_description::well_known::Rfc3339).unwrap();
    let asked = format!("backfill {} {}", text(midnight(10)), text(midnight(7)));
    let asked = format!("{{\"account\":\"alpha\",\"work\":\"{asked}\"}}");
    assert!(is_done(&worker.handle(&asked).await));
    let slices = waiting(&stage);
    assert_eq!(slices.len(), 3, "{slices:?}");

    // All slices at once, on two instances, and one message that comes twice, as it may.
    let other = stage.accounts();
    let handled = work_off(&stage, &worker).await;
    assert!(handled.iter().all(is_done), "{handled:?}");
    assert!(is_done(&other.handle(&slices[1]).await));
    let mut found = stage.keys();
    found.dedup();
    assert_eq!((stage.keys().len(), found.len()), (2_100, 2_100));
    // The account's own place is where it was: it has never run.
    assert!(stage.blob("audit-checkpoints", "checkpoint-alpha.txt").is_none());
    let triggers: Vec<_> = stage.health().iter().map(|row| row["Trigger"].to_string()).collect();
    assert_eq!(triggers, ["\"backfill\""; 4]);

    // The same range asked for once more is read once more, since that is what was asked.
    assert!(is_done(&worker.handle(&asked).await));
    work_off(&stage, &worker).await;
    assert_eq!(stage.keys().len(), 4_200);
}

#[tokio::test]
async fn a_slice_that_fails_comes_again_later() {
    let (stage, accounts) = Stage::several(&["alpha"]).await;
    let now = stage.simulator.clock().now();
    fill(&stage, &accounts[0], 0, 20);
    accounts[0].mimecast.configure(|settings| settings.product = false);
    let worker = stage.accounts();
    let text = |at: OffsetDateTime| at.format(&time::format_description::well_known::Rfc3339).unwrap();
    let slice = format!("slice 0000000a {} {}", text(now - time::Duration::hours(2)), text(now));
    assert!(is_done(&worker.handle(&format!("{{\"account\":\"alpha\",\"work\":\"{slice}\"}}")).await));
    assert!(stage.simulator.data().queues.take(STORAGE_ACCOUNT, SYNC_QUEUE).is_empty());
    assert!(waiting(&stage)[0].contains("\"attempt\":1"), "{:?}", waiting(&stage));
    accounts[0].mimecast.configure(|settings| settings.product = true);
    stage.clock.advance(Duration::from_secs(61));
    work_off(&stage, &worker).await;
    assert_eq!(stage.keys().len(), 20);
    assert_eq!(waiting(&stage), [""; 0]);
}

/// A slice that finds no call of the quota left leaves the instance to others until there are some.
#[tokio::test]
async fn a_slice_that_the_quota_stops_comes_again_when_there_are_calls() {
    let (stage, accounts) = Stage::several(&["alpha"]).await;
    let now = stage.simulator.clock().now();
    fill(&stage, &accounts[0], 0, 20);
    let hour = Duration::from_secs(3_600);
    accounts[0].mimecast.configure(|settings| settings.quota = Some(Quota { limit: 0, period: hour }));
    let worker = stage.accounts();
    let text = |at: OffsetDateTime| at.format(&time::format_description::well_known::Rfc3339).unwrap();
    let slice = format!("slice 0000000a {} {}", text(now - time::Duration::hours(2)), text(now));
    assert!(is_done(&worker.handle(&format!("{{\"account\":\"alpha\",\"work\":\"{slice}\"}}")).await));
    assert_eq!(health(&stage)["alpha"], ("partial".to_owned(), String::new()));
    stage.clock.advance(Duration::from_secs(60));
    assert!(stage.simulator.data().queues.take(STORAGE_ACCOUNT, SYNC_QUEUE).is_empty(), "it is in the way");
    // It needs time only, and is never given up for that.
    assert!(!waiting(&stage)[0].contains("attempt"), "{:?}", waiting(&stage));
    accounts[0].mimecast.configure(|settings| settings.quota = None);
    stage.clock.advance(hour);
    work_off(&stage, &worker).await;
    assert_eq!(stage.keys().len(), 20);
    assert_eq!(waiting(&stage), [""; 0]);
}

/// A slice's place is new, its account is not: a refusal is no matter of a role that has yet to spread.
#[tokio::test]
async fn a_slice_stands_as_its_account_does() {
    let (stage, accounts) = Stage::several(&["alpha"]).await;
    fill(&stage, &accounts[0], 0, 20);
    let worker = stage.accounts();
    worker.tick(TICK).await;
    work_off(&stage, &worker).await;
    let now = stage.simulator.clock().now();
    let text = |at: OffsetDateTime| at.format(&time::format_description::well_known::Rfc3339).unwrap();
    let slice = format!("slice 0000000a {} {}", text(now - time::Duration::hours(2)), text(now));
    let ingestion = Matcher::new("ingestion", "POST", contract::streams::AUDIT_STREAM);
    stage.simulator.faults().add(Fault::answer(ingestion, 403, "{}"));
    assert!(is_done(&worker.handle(&format!("{{\"account\":\"alpha\",\"work\":\"{slice}\"}}")).await));
    let row = stage.health().into_iter().find(|row| row["Trigger"] == "backfill").expect("its health row");
    assert_eq!(row["ErrorCode"], "ingest_forbidden", "{row:?}");
    assert!(
        row["Message"].as_str().expect("words").contains("DELIVERY_CLIENT_ID"),
        "who was refused: {row:?}"
    );
}

/// Dead letters are in one container, whichever account they are of.
#[tokio::test]
async fn a_replay_is_one_run_and_is_put_again_until_it_is_done() {
    let keys = ["alpha", "beta", "gamma"];
    let (stage, accounts) = Stage::several(&keys).await;
    stage.simulator.data().rows.refuse_bodies_with("canary");
    let at = stage.simulator.clock().now() - Duration::from_secs(600);
    let mut bad: serde_json::Value = serde_json::from_slice(Event::numbered(5, at).json()).unwrap();
    bad["user"] = "canary@example.com".into();
    accounts[1].mimecast.add([Event::raw(at, "authentication_logs", bad.to_string().as_bytes())]);
    fill(&stage, &accounts[1], 10, 5);
    let worker = stage.accounts();
    worker.tick(TICK).await;
    work_off(&stage, &worker).await;
    assert_eq!((stage.keys().len(), stage.dead_letters().len()), (5, 1));
    stage.simulator.data().rows.refuse_bodies_with("");

    // Storage refuses to list them: the message comes again, later.
    let list = Matcher::new("blob", "GET", "comp=list");
    stage.simulator.faults().add(Fault::answer(list, 403, ""));
    assert!(is_done(&worker.handle(r#"{"account":"gamma","work":"replay"}"#).await));
    assert!(waiting(&stage)[0].contains("\"attempt\":1"), "{:?}", waiting(&stage));
    stage.clock.advance(Duration::from_secs(61));
    work_off(&stage, &worker).await;
    assert_eq!((stage.keys().len(), stage.dead_letters().len()), (6, 0));
    assert_eq!(waiting(&stage), [""; 0]);

    // By itself it is one run too, under the hold of an account whose settings can be had.
    let vault = stage.simulator.installed_vault();
    stage.simulator.state().put_secret(&vault, &account_secret("alpha"), "broken");
    let reports = stage.accounts().work(Work::Replay).await;
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].result, RunResult::Ok, "{}", stage.lines.text());
}

#[tokio::test]
async fn only_what_cannot_be_read_is_poison() {
    let (stage, _accounts) = Stage::several(&["alpha"]).await;
    let worker = stage.accounts();
    for text in ["dance", "{", r#"{"account":"alpha","work":"dance"}"#] {
        assert!(matches!(worker.handle(text).await, Handled::Unreadable(_)), "{text}");
    }
    assert!(is_done(&worker.handle(r#"{"account":"gone","work":"sync"}"#).await));
    assert_eq!(stage.lines.of("account_unknown").len(), 1);
}

#[tokio::test]
async fn without_the_queue_the_tick_fails_and_says_so() {
    let (mut stage, _accounts) = Stage::several(&["alpha", "beta"]).await;
    stage.environment.remove("SYNC_QUEUE_URL");
    let report = stage.accounts().tick(TICK).await;
    assert_eq!(report.result, RunResult::Failed);
    assert!(report.message().contains("SYNC_QUEUE_URL"), "{}", report.message());
    // The failure is in the health table, of the installation.
    assert_eq!(health(&stage)[""], ("failed".to_owned(), "queue".to_owned()));
}

#[tokio::test]
async fn the_only_account_takes_messages_too() {
    let mut stage = Stage::new().await;
    let (environment, _) = stage.simulator.installed_for(&[]).await.unwrap();
    let own = ["MIMECAST_BASE_URL", "MIMECAST_CLIENT_ID", "MIMECAST_CLIENT_SECRET"];
    let own: Vec<_> = own.map(|name| (name.to_owned(), stage.environment[name].clone())).into();
    stage.environment = environment;
    stage.environment.extend(own);
    stage.environment.remove("MIMECAST_ACCOUNTS");
    let worker = stage.accounts();
    assert!(is_done(&worker.handle("replay").await));
    let now = stage.simulator.clock().now();
    let text = |at: OffsetDateTime| at.format(&time::format_description::well_known::Rfc3339).unwrap();
    let asked = format!("backfill {} {}", text(now - time::Duration::days(6)), text(now));
    assert!(is_done(&worker.handle(&asked).await));
    assert!(work_off(&stage, &worker).await.len() >= 6);
    let mut found = stage.keys();
    found.dedup();
    assert_eq!(found.len(), stage.simulator.mimecast().events().len(), "{}", stage.lines.text());
}
