//! Whole runs.

use std::time::Duration;

use contract::settings;
use simulator::fault::{Action, Fault, Matcher};
use simulator::mimecast::{Arrival, Event};
use worker::report::RunResult;

use crate::stage::Stage;

const MINUTE: Duration = Duration::from_secs(60);

/// An event of so many minutes ago.
fn event(stage: &Stage, number: u64, minutes_ago: i64) -> Event {
    Event::numbered(number, stage.simulator.clock().now() - time::Duration::minutes(minutes_ago))
}

fn ingestion() -> Matcher {
    Matcher::new("ingestion", "POST", contract::streams::AUDIT_STREAM)
}

#[tokio::test]
async fn every_event_arrives_once_and_a_second_run_adds_nothing() {
    let stage = Stage::new().await;
    let events = stage.simulator.mimecast().events().len();
    let report = stage.run().await;
    assert_eq!(report.result, RunResult::Ok, "{}", stage.lines.text());
    let keys = stage.keys();
    assert_eq!(keys.len(), events);
    assert!(keys.windows(2).all(|pair| pair[0] != pair[1]));
    assert_eq!(report.delivered, events as u64);

    let report = stage.run().await;
    assert_eq!((report.result, report.delivered), (RunResult::Ok, 0));
    assert_eq!(stage.keys(), keys);
    // One health row for each run, new events or none.
    let health = stage.health();
    assert_eq!(health.len(), 2);
    assert_eq!((&health[0]["Result"], &health[0]["Delivered"]), (&"ok".into(), &events.into()));
    assert_eq!(health[0]["Trigger"], "timer");
    let checkpoint = stage.checkpoint();
    assert!(checkpoint.open.is_none() && checkpoint.in_flight.is_empty());
}

// BR-017, BR-038, BR-039, BR-113
#[tokio::test]
async fn events_of_one_second_and_runs_in_a_row_repeat_nothing() {
    let stage = Stage::new().await;
    let before = stage.simulator.mimecast().events().len();
    assert_eq!(stage.run().await.result, RunResult::Ok);
    // Two of one second: one that the next run sees, one that arrives later still, in the overlap.
    stage.clock.advance(6 * MINUTE);
    let arrives = stage.simulator.clock().now() + time::Duration::minutes(5);
    stage.simulator.mimecast().add([event(&stage, 1, 3), event(&stage, 2, 3).arriving(Arrival::At(arrives))]);
    assert_eq!(stage.run().await.delivered, 1);
    assert_eq!(stage.run().await.delivered, 0);
    stage.clock.advance(6 * MINUTE);
    let report = stage.run().await;
    assert_eq!((report.delivered, report.result), (1, RunResult::Ok));
    assert!(report.repeated >= 1);
    assert_eq!(stage.keys().len(), before + 2);
    for _ in 0..3 {
        assert_eq!(stage.run().await.delivered, 0);
    }
}

// BR-027, BR-074
#[tokio::test]
async fn an_outage_of_ten_runs_loses_nothing() {
    let stage = Stage::new().await;
    let oldest = stage.simulator.mimecast().events().iter().map(|event| event.at).min().expect("some");
    let events = stage.simulator.mimecast().events().len();
    for _ in 0..10 {
        stage.simulator.faults().add(Fault::answer(ingestion(), 503, "").times(10_000));
        let report = stage.run().await;
        assert_eq!((report.result, report.delivered), (RunResult::Failed, 0));
        assert_eq!(report.failure.expect("why").code, "ingest_unavailable");
        // The place did not pass the oldest event.
        assert!(stage.checkpoint().closed_until.is_none_or(|closed| closed <= oldest));
        stage.simulator.faults().clear();
        stage.clock.advance(5 * MINUTE);
    }
    // Health rows went out before the failure was answered.
    assert_eq!(stage.health().iter().filter(|row| row["Result"] == "failed").count(), 10);
    assert_eq!(stage.run().await.result, RunResult::Ok);
    assert_eq!(stage.keys().len(), events);
}

// BR-089
#[tokio::test]
async fn a_lost_answer_repeats_its_batch_at_most_and_under_the_same_name() {
    let stage = Stage::new().await;
    let events = stage.simulator.mimecast().events().len();
    stage.simulator.faults().add(Fault::once(ingestion(), Action::DropAfter));
    assert_eq!(stage.run().await.result, RunResult::Ok);
    let first = stage.lines.of("batch")[0]["events"].as_u64().expect("a number");
    let mut keys = stage.keys();
    assert_eq!(keys.len() as u64, events as u64 + first);
    keys.dedup();
    assert_eq!(keys.len(), events);
    let calls = stage.simulator.journal().of("ingestion");
    let calls: Vec<_> =
        calls.iter().filter(|call| call.target.contains(contract::streams::AUDIT_STREAM)).collect();
    assert_eq!((calls[0].served, calls[0].status), (Some(204), None));
    let names: Vec<_> =
        calls.iter().map(|call| call.header("x-ms-client-request-id").expect("a name")).collect();
    assert_eq!(names[0], names[1]);
    assert!(names[2..].iter().all(|name| *name != names[0]));
}

// BR-077, BR-078
#[tokio::test]
async fn a_role_that_has_not_spread_is_waited_for() {
    let stage = Stage::new().await;
    let forbidden = r#"{"error":{"code":"OperationFailed","message":"no role yet"}}"#;
    stage.simulator.faults().add(Fault::answer(ingestion(), 403, forbidden).times(5));
    let report = stage.run().await;
    assert_eq!(report.result, RunResult::Ok, "{}", stage.lines.text());
    // Once something was taken, a refusal is no matter of spreading any more.
    stage.clock.advance(6 * MINUTE);
    stage.simulator.mimecast().add([event(&stage, 1, 3)]);
    stage.simulator.faults().add(Fault::answer(ingestion(), 403, forbidden));
    let report = stage.run().await;
    let failure = report.failure.expect("refused");
    assert_eq!(failure.code, "ingest_forbidden");
    assert!(failure.message.contains("Monitoring Metrics Publisher"), "{}", failure.message);
    assert_eq!(stage.run().await.delivered, 1);
}

#[tokio::test]
async fn a_refused_token_is_renewed_once() {
    let stage = Stage::new().await;
    stage.simulator.faults().add(Fault::answer(ingestion(), 401, "{}"));
    assert_eq!(stage.run().await.result, RunResult::Ok);
    stage.clock.advance(6 * MINUTE);
    stage.simulator.mimecast().add([event(&stage, 1, 3)]);
    stage.simulator.faults().add(Fault::answer(ingestion(), 401, "{}").times(2));
    assert_eq!(stage.run().await.failure.expect("refused twice").code, "ingest_unauthorized");
}

#[tokio::test]
async fn two_workers_at_once_one_works_and_the_other_says_so() {
    let stage = Stage::new().await;
    let events = stage.simulator.mimecast().events().len();
    let (first, second) = (stage.worker(), stage.worker());
    let work = worker::command::Work::Sync(worker::report::Trigger::Timer);
    let (first, second) = tokio::join!(first.work(work), second.work(work));
    let mut results = [first.result, second.result];
    results.sort_by_key(|result| *result == RunResult::Busy);
    assert_eq!(results, [RunResult::Ok, RunResult::Busy]);
    assert_eq!(stage.keys().len(), events);
    let health = stage.health();
    assert_eq!(health.iter().filter(|row| row["Result"] == "busy").count(), 1);
}

#[tokio::test]
async fn a_lost_lease_ends_the_run_before_another_write() {
    let stage = Stage::new().await;
    // The first write, before the first batch, finds the lease gone.
    let gone = r#"<?xml version="1.0"?><Error><Code>LeaseIdMismatchWithBlobOperation</Code></Error>"#;
    let write = Matcher::new("blob", "PUT", "/audit-checkpoints/checkpoint.txt");
    // After the acquisition and, for a blob that is not there yet, its making.
    stage.first_run().await;
    stage.simulator.mimecast().add([event(&stage, 1, 3)]);
    stage.clock.advance(6 * MINUTE);
    stage.simulator.faults().add(Fault::answer(write, 412, gone).skip(1));
    let mark = stage.simulator.journal().len();
    let report = stage.run().await;
    assert_eq!(report.failure.expect("lost").code, "checkpoint_lost");
    let since = stage.simulator.journal().since(mark);
    let audit = since.iter().filter(|call| call.target.contains(contract::streams::AUDIT_STREAM)).count();
    assert_eq!(audit, 0, "nothing is sent without the checkpoint");
    assert_eq!(stage.run().await.delivered, 1);
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_recognised() {
    let stage = Stage::new().await;
    let events = stage.simulator.mimecast().events().len();
    stage.first_run().await;
    let write = Matcher::new("blob", "PUT", "/audit-checkpoints/checkpoint.txt");
    stage.clock.advance(6 * MINUTE);
    stage.simulator.mimecast().add([event(&stage, 1, 3)]);
    stage.simulator.faults().add(Fault::once(write, Action::DropAfter).skip(1));
    let report = stage.run().await;
    assert_eq!((report.result, report.delivered), (RunResult::Ok, 1), "{}", stage.lines.text());
    assert_eq!(stage.keys().len(), events + 1);
}

// BR-007, BR-018, BR-023
#[tokio::test]
async fn a_run_ends_at_its_bounds_and_the_next_goes_on() {
    let mut stage = Stage::new().await;
    stage.simulator.mimecast().add((0..120).map(|number| event(&stage, number, 20)));
    let events = stage.simulator.mimecast().events().len();
    stage.set(settings::MIMECAST_RUN_EVENTS, "50");
    stage.set(settings::MIMECAST_PAGE_SIZE, "10");
    let mut runs = 0;
    loop {
        let report = stage.run().await;
        // A page is never cut in two.
        assert!(report.read <= 59, "{}", report.read);
        runs += 1;
        assert!(runs < 30, "it never ends");
        match report.result {
            RunResult::Ok => break,
            result => assert_eq!(result, RunResult::Partial),
        }
    }
    assert!(runs >= 3, "{runs}");
    let mut keys = stage.keys();
    assert_eq!(keys.len(), events);
    keys.dedup();
    assert_eq!(keys.len(), events);
}

// BR-058, BR-029
#[tokio::test]
async fn an_unreadable_checkpoint_is_kept_aside_and_nothing_is_guessed() {
    let stage = Stage::new().await;
    let place = |content: &'static str| {
        let content = bytes::Bytes::from_static(content.as_bytes());
        let account = simulator::installed::STORAGE_ACCOUNT;
        assert!(stage.simulator.data().blobs.place(account, "audit-checkpoints", "checkpoint.txt", content));
    };
    place("24/11/2026 10:00");
    for _ in 0..2 {
        let failure = stage.run().await.failure.expect("unreadable");
        assert_eq!(failure.code, "checkpoint_unreadable");
        assert!(failure.message.contains("checkpoint.rejected-"), "{}", failure.message);
    }
    assert!(stage.rows().is_empty());
    let names = stage
        .simulator
        .data()
        .blobs
        .names(simulator::installed::STORAGE_ACCOUNT, "audit-checkpoints")
        .expect("the container");
    let rejected: Vec<_> = names.iter().filter(|name| name.starts_with("checkpoint.rejected-")).collect();
    assert_eq!(rejected.len(), 1);
    assert_eq!(stage.blob("audit-checkpoints", rejected[0]).expect("kept"), "24/11/2026 10:00");
    // The remedy of the message.
    place("\u{feff}");
    assert_eq!(stage.run().await.result, RunResult::Ok);
    assert!(!stage.rows().is_empty());
}

// BR-030
#[tokio::test]
async fn an_old_checkpoint_is_gone_on_from() {
    let stage = Stage::new().await;
    let at = stage.simulator.clock().now() - time::Duration::days(1);
    let old = at
        .replace_nanosecond(0)
        .expect("zero")
        .format(time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]+0000"));
    let content = bytes::Bytes::from(old.expect("formats"));
    let account = simulator::installed::STORAGE_ACCOUNT;
    assert!(stage.simulator.data().blobs.place(account, "audit-checkpoints", "checkpoint.txt", content));
    let report = stage.run().await;
    assert_eq!(report.result, RunResult::Ok);
    // One overlap before it.
    let from = at.replace_nanosecond(0).expect("zero") - time::Duration::minutes(15);
    let due = stage.simulator.mimecast().events().iter().filter(|event| event.at >= from).count();
    assert!(due > 0);
    assert_eq!(stage.rows().len(), due);
    assert_eq!(stage.checkpoint().version, contract::checkpoint::CHECKPOINT_VERSION);
}

// BR-019, BR-043
#[tokio::test]
async fn records_that_are_no_events_are_set_aside_and_the_rest_goes_on() {
    let stage = Stage::new().await;
    let events = stage.simulator.mimecast().events().len();
    let at = stage.simulator.clock().now() - time::Duration::minutes(20);
    stage
        .simulator
        .mimecast()
        .add([Event::raw(at, "account_logs", b"\"a text in place of an object\""), event(&stage, 7, 20)]);
    let report = stage.run().await;
    assert_eq!((report.delivered, report.dead_lettered), (events as u64 + 1, 1), "{}", stage.lines.text());
    assert_eq!(stage.dead_letters().len(), 1);
    let letter = stage.blob("dead-letters", &stage.dead_letters()[0]).expect("kept");
    let letter: serde_json::Value = serde_json::from_slice(&letter).expect("one line");
    assert_eq!(letter["reason"], "malformed");
}

/// What is no event has no identity; its bytes tell that it was set aside before.
#[tokio::test]
async fn records_that_are_no_events_are_set_aside_once_though_windows_overlap() {
    let stage = Stage::new().await;
    stage.first_run().await;
    stage.clock.advance(5 * MINUTE);
    let at = stage.simulator.clock().now() - time::Duration::minutes(3);
    // Two of the same bytes are two.
    for text in ["17", "17", "\"a text in place of an object\""] {
        stage.simulator.mimecast().add([Event::raw(at, "account_logs", text.as_bytes())]);
    }
    let report = stage.run().await;
    assert_eq!((report.result, report.dead_lettered), (RunResult::Ok, 3), "{}", stage.lines.text());
    let unplaced = || stage.checkpoint().days.iter().map(|day| day.unplaced).sum::<u32>();
    let before = unplaced();
    assert_eq!(before, 3);
    for _ in 0..4 {
        stage.clock.advance(5 * MINUTE);
        let report = stage.run().await;
        assert_eq!((report.result, report.dead_lettered), (RunResult::Ok, 0), "{}", stage.lines.text());
    }
    assert_eq!((unplaced(), stage.dead_letters().len()), (before, 1));
}

// BR-042, BR-071
#[tokio::test]
async fn a_run_ends_within_its_budget_whatever_azure_asks_for_and_the_place_stays() {
    for (status, header) in [(429, Some("50")), (503, Some("50")), (503, None)] {
        let mut stage = Stage::new().await;
        stage.first_run().await;
        let place = stage.checkpoint().closed_until;
        stage.set(settings::MIMECAST_RUN_BUDGET, "2m");
        stage.clock.advance(5 * MINUTE);
        stage.simulator.mimecast().add([event(&stage, 1, 3)]);
        let headers = header.map(|secs| ("retry-after".to_owned(), secs.to_owned()));
        let busy = Action::Answer { status, headers: headers.into_iter().collect(), body: String::new() };
        stage.simulator.faults().add(Fault::once(ingestion(), busy).times(1_000));
        let began = stage.simulator.clock().now();
        let report = stage.run().await;
        let passed = stage.simulator.clock().now() - began;
        assert_eq!(report.result, RunResult::Failed, "{}", stage.lines.text());
        assert!(passed <= time::Duration::minutes(2), "{status}: {passed}");
        assert_eq!((stage.checkpoint().closed_until, report.delivered), (place, 0));
        stage.simulator.faults().clear();
        assert_eq!(stage.run().await.delivered, 1);
    }
}

// BR-081
#[tokio::test]
async fn a_large_body_whose_connection_is_cut_again_and_again_is_divided() {
    let stage = Stage::new().await;
    let before = stage.simulator.mimecast().events().len();
    stage.simulator.mimecast().add((0..2_000).map(|number| event(&stage, number, 20)));
    stage.simulator.faults().add(Fault::once(ingestion(), Action::DropBefore).times(2));
    let report = stage.run().await;
    assert_eq!(report.result, RunResult::Ok, "{}", stage.lines.text());
    assert_eq!((report.dead_lettered, stage.keys().len()), (0, before + 2_000));
}

/// A refusal says that nothing was taken; where no answer came, that is not known.
#[tokio::test]
async fn only_what_azure_may_have_taken_is_in_doubt() {
    for (status, in_doubt) in [(403, 0), (404, 0), (429, 0), (503, 1)] {
        let mut stage = Stage::new().await;
        stage.first_run().await;
        stage.set(settings::MIMECAST_RUN_BUDGET, "2m");
        stage.clock.advance(5 * MINUTE);
        stage.simulator.mimecast().add([event(&stage, 1, 3)]);
        stage.simulator.faults().add(Fault::answer(ingestion(), status, "{}").times(1_000));
        assert_eq!(stage.run().await.result, RunResult::Failed, "{}", stage.lines.text());
        assert_eq!(stage.checkpoint().in_flight.len(), in_doubt, "{status}");
        stage.simulator.faults().clear();
        let report = stage.run().await;
        assert_eq!(report.delivered, 1);
        assert_eq!(report.message().contains("on their way"), in_doubt > 0, "{status}: {}", report.message());
    }
}

/// Only somebody else's lease is a reason to leave the work to another run.
#[tokio::test]
async fn a_conflict_that_is_no_lease_is_a_fault() {
    let stage = Stage::new().await;
    stage.first_run().await;
    let lease = || Matcher::new("blob", "PUT", "comp=lease");
    for (code, result) in
        [("ContainerBeingDeleted", RunResult::Failed), ("LeaseAlreadyPresent", RunResult::Busy)]
    {
        let body = format!(r#"<?xml version="1.0"?><Error><Code>{code}</Code></Error>"#);
        let headers = vec![("x-ms-error-code".to_owned(), code.to_owned())];
        stage.simulator.faults().add(Fault::once(lease(), Action::Answer { status: 409, headers, body }));
        let report = stage.run().await;
        assert_eq!(report.result, result, "{code}: {}", report.message());
    }
}

/// Where Mimecast does not say how much a window holds, it can be more than is remembered.
#[tokio::test]
async fn what_could_not_be_remembered_is_told() {
    let stage = Stage::new().await;
    stage.first_run().await;
    stage.clock.advance(5 * MINUTE);
    let at = stage.simulator.clock().now() - time::Duration::minutes(3);
    // All that is remembered but ten.
    let limit = worker::checkpoint::remembered::LIMIT as u64;
    let minute = u32::try_from(at.unix_timestamp() / 60).expect("a minute");
    let ids = (0..limit - 10).collect();
    let mut checkpoint = stage.checkpoint();
    checkpoint.remembered.push(contract::checkpoint::RememberedIds { minute, ids });
    let content = bytes::Bytes::from(checkpoint.write());
    let account = simulator::installed::STORAGE_ACCOUNT;
    assert!(stage.simulator.data().blobs.place(account, "audit-checkpoints", "checkpoint.txt", content));
    stage.simulator.mimecast().add((0..11).map(|number| event(&stage, number, 3)));
    let report = stage.run().await;
    assert_eq!((report.result, report.delivered), (RunResult::Ok, 11), "{}", report.message());
    assert!(report.message().contains("could not be remembered"), "{}", report.message());
    assert_eq!(stage.lines.of("forgotten").len(), 1);
}

#[tokio::test]
async fn no_secret_is_in_the_log_or_the_health_row() {
    let stage = Stage::new().await;
    stage.run().await;
    stage.simulator.faults().add(Fault::answer(ingestion(), 401, "{}").times(2));
    stage.run().await;
    let said = format!("{}{:?}{:?}", stage.lines.text(), stage.health(), stage.checkpoint());
    for name in [settings::MIMECAST_CLIENT_SECRET, settings::DELIVERY_CLIENT_SECRET] {
        assert!(!said.contains(&stage.environment[name]), "{name}");
    }
}
