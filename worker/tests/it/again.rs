//! The past, again: completeness, backfill, dead letters.

use std::time::Duration;

use simulator::mimecast::{Arrival, Event};
use time::OffsetDateTime;
use worker::command::{Backfill, Work};
use worker::report::RunResult;

use crate::stage::Stage;

/// Yesterday's midnight.
fn yesterday(stage: &Stage) -> OffsetDateTime {
    let now = stage.simulator.clock().now();
    (now - time::Duration::days(1)).date().midnight().assume_utc()
}

/// An event that arrived long after its overlap is missed by the windows, found by the count, and
/// read again without repeating the others of its day.
#[tokio::test]
async fn a_day_that_is_incomplete_is_read_again() {
    let stage = Stage::new().await;
    // From noon on, three hours later it is still the same day: it has not been compared yet, and nothing was known
    // of it before a window that is longer than the overlap. What comes after that comparison is not read
    // (docs/decisions/cases.md).
    let day = yesterday(&stage);
    stage.simulator.mimecast().add((0..40).map(|number| {
        Event::numbered(number, day + time::Duration::hours(7) + time::Duration::minutes(number as i64))
    }));
    let events = stage.simulator.mimecast().events().len();
    let first = stage.run().await;
    assert_eq!((first.result, first.delivered), (RunResult::Ok, events as u64), "{}", stage.lines.text());
    // Yesterday has been found complete; the running day is next.
    assert!(stage.checkpoint().days.iter().any(|count| count.day == day.date() && count.checked));
    let today = day + time::Duration::days(1);
    stage.clock.advance(Duration::from_secs(3 * 3_600));
    let happened = stage.simulator.clock().now() - time::Duration::hours(2);
    let arrives = stage.simulator.clock().now() + time::Duration::hours(1);
    stage
        .simulator
        .mimecast()
        .add([Event::numbered(900, happened), Event::numbered(901, happened).arriving(Arrival::At(arrives))]);
    stage.run().await;
    let before = stage.keys().len();
    stage.clock.advance(Duration::from_secs(27 * 3_600));
    let report = stage.run().await;
    assert_eq!(report.result, RunResult::Ok, "{}", stage.lines.text());
    assert_eq!(stage.keys().len(), before + 1);
    assert!(stage.keys().iter().any(|key| key.ends_with(":901")));
    let mut distinct = stage.keys();
    distinct.dedup();
    assert_eq!(distinct.len(), before + 1, "nothing was repeated");
    let count =
        stage.checkpoint().days.into_iter().find(|count| count.day == happened.date()).expect("counted");
    assert!(count.checked, "{today}");
}

#[tokio::test]
async fn a_backfill_reads_what_lies_before_the_first_run() {
    let mut stage = Stage::new().await;
    stage.set(contract::settings::MIMECAST_FIRST_RUN, "1h");
    let from = yesterday(&stage) - time::Duration::days(20);
    stage
        .simulator
        .mimecast()
        .add((0..25).map(|number| Event::numbered(number, from + time::Duration::hours(number as i64))));
    stage.first_run().await;
    assert!(stage.keys().iter().all(|key| !key.ends_with(":24")));
    let backfill = Backfill { from, to: from + time::Duration::days(2), only_missing: false };
    let report = stage.worker().work(Work::Backfill(backfill)).await;
    assert_eq!((report.result, report.delivered), (RunResult::Ok, 25), "{}", stage.lines.text());
    let row = stage
        .rows()
        .into_iter()
        .find(|row| row["eventKey_s"].as_str().is_some_and(|key| key.ends_with(":24")));
    // BR-055: the event's own time stays, whatever Azure makes of TimeGenerated.
    let time = row.expect("delivered")["eventTime_t"].as_str().expect("a time").to_owned();
    let time =
        OffsetDateTime::parse(&time, &time::format_description::well_known::Rfc3339).expect("RFC 3339");
    assert_eq!(time, from + time::Duration::hours(24));
    // Only what is missing: nothing is.
    let again = Backfill { only_missing: true, ..backfill };
    let report = stage.worker().work(Work::Backfill(again)).await;
    assert_eq!((report.result, report.delivered), (RunResult::Ok, 0));
    assert!(stage.checkpoint().reread.is_empty());
}

/// A range that reaches into the future or beyond what Mimecast gives out is cut, not asked for again and
/// again in vain.
#[tokio::test]
async fn a_backfill_is_cut_to_what_can_be_read() {
    let stage = Stage::new().await;
    stage.first_run().await;
    let now = stage.simulator.clock().now();
    for only_missing in [false, true] {
        let (from, to) = (now - time::Duration::hours(2), now + time::Duration::days(1));
        let report = stage.worker().work(Work::Backfill(Backfill { from, to, only_missing })).await;
        assert_eq!(report.result, RunResult::Ok, "{}", stage.lines.text());
        assert!(report.message().contains("sixty days"), "{}", report.message());
        assert!(stage.checkpoint().reread.is_empty());
    }
    // All of it is too old.
    let (from, to) = (now - time::Duration::days(90), now - time::Duration::days(70));
    let report = stage.worker().work(Work::Backfill(Backfill { from, to, only_missing: false })).await;
    assert_eq!(report.result, RunResult::Ok, "{}", stage.lines.text());
    assert!(stage.checkpoint().reread.is_empty());
    // What an older worker left in a checkpoint stops nothing either.
    place_reread(&stage, now + time::Duration::hours(20));
    stage.clock.advance(Duration::from_secs(300));
    let report = stage.run().await;
    assert_eq!((report.result, report.failure), (RunResult::Ok, None), "{}", stage.lines.text());
    assert!(stage.checkpoint().reread.is_empty());
}

/// Leaves an hour in the checkpoint that was being read again when a run ended.
fn place_reread(stage: &Stage, start: OffsetDateTime) {
    let start = start.replace_nanosecond(0).expect("zero");
    let end = start + time::Duration::HOUR;
    let mut checkpoint = stage.checkpoint();
    checkpoint.reread = vec![contract::checkpoint::TimeRange { from: start, to: end }];
    let purpose = contract::checkpoint::Purpose::Reread;
    checkpoint.open =
        Some(contract::checkpoint::OpenWindow { start, end, purpose, next_page: None, pages: 0 });
    let content = bytes::Bytes::from(checkpoint.write());
    let account = simulator::installed::STORAGE_ACCOUNT;
    assert!(stage.simulator.data().blobs.place(account, "audit-checkpoints", "checkpoint.txt", content));
}

#[tokio::test]
async fn an_hour_that_cannot_be_read_again_waits_behind_what_is_due() {
    let stage = Stage::new().await;
    stage.first_run().await;
    place_reread(&stage, yesterday(&stage));
    stage.clock.advance(Duration::from_secs(300));
    let at = stage.simulator.clock().now() - time::Duration::minutes(3);
    stage.simulator.mimecast().add([Event::numbered(7, at)]);
    let watermark = stage.checkpoint().closed_until;
    // The hour comes first and is refused; what is due is read; the hour is tried once more, in vain.
    let refused = |times: usize, skip: usize| {
        let page = simulator::fault::Matcher::new("mimecast", "POST", "get-audit-events");
        let refusal = r#"{"fail":[{"errors":[{"code":"err_validation","message":"no","retryable":false}]}]}"#;
        stage
            .simulator
            .faults()
            .add(simulator::fault::Fault::answer(page, 400, refusal).times(times).skip(skip));
    };
    refused(1, 0);
    refused(1, 2);
    let report = stage.run().await;
    assert_eq!((report.result, report.delivered), (RunResult::Partial, 1), "{}", stage.lines.text());
    assert!(report.message().contains("waits behind the rest"), "{}", report.message());
    let checkpoint = stage.checkpoint();
    assert!(checkpoint.closed_until > watermark);
    assert_eq!((checkpoint.open, checkpoint.reread.len()), (None, 1));
    assert!(!stage.lines.of("reread_postponed").is_empty());
    // It is repeatable: when Mimecast gives it, it is read.
    stage.simulator.faults().clear();
    assert_eq!(stage.run().await.result, RunResult::Ok);
    assert!(stage.checkpoint().reread.is_empty());
}

/// A file whose letters are all still refused does not keep the next one from being sent.
#[tokio::test]
async fn a_replay_goes_on_behind_letters_that_are_still_refused() {
    let stage = Stage::new().await;
    stage.first_run().await;
    let bad = |number: u64, text: &str| {
        let at = stage.simulator.clock().now() - time::Duration::minutes(3);
        let mut event: serde_json::Value =
            serde_json::from_slice(Event::numbered(number, at).json()).expect("JSON");
        event["user"] = text.into();
        Event::raw(at, "authentication_logs", event.to_string().as_bytes())
    };
    // The files go by their days.
    for (text, numbers) in [("canary@example.com", 0..6), ("other@example.com", 10..11)] {
        stage.clock.advance(Duration::from_secs(24 * 3_600));
        stage.simulator.data().rows.refuse_bodies_with(text);
        stage.simulator.mimecast().add(numbers.clone().map(|number| bad(number, text)));
        let good = stage.simulator.clock().now() - time::Duration::minutes(3);
        stage.simulator.mimecast().add([Event::numbered(numbers.end + 100, good)]);
        let report = stage.run().await;
        assert_eq!(report.dead_lettered, numbers.end - numbers.start, "{}", stage.lines.text());
    }
    assert_eq!(stage.dead_letters().len(), 2);
    // Nor do files that are none of ours.
    let blobs = &stage.simulator.data().blobs;
    for (name, content) in [("0-text.jsonl", b"no letter".to_vec()), ("0-huge.jsonl", vec![b' '; 65 << 20])] {
        assert!(blobs.place(simulator::installed::STORAGE_ACCOUNT, "dead-letters", name, content.into()));
    }
    stage.simulator.data().rows.refuse_bodies_with("canary@example.com");
    let report = stage.worker().work(Work::Replay).await;
    assert_eq!((report.result, report.delivered, report.dead_lettered), (RunResult::Ok, 1, 6), "{report:?}");
    assert!(report.message().contains("6 letters are still refused and stay"), "{}", report.message());
    assert_eq!(stage.dead_letters().len(), 3);
    // What is on its way has a name before it goes.
    let named: Vec<_> = stage.lines.of("replaying");
    assert_eq!(named.len(), 2);
    assert!(named.iter().all(|line| line["batch"].is_string() && line["file"].is_string()), "{named:?}");
}

#[tokio::test]
async fn dead_letters_that_azure_takes_now_leave_the_container() {
    let stage = Stage::new().await;
    stage.first_run().await;
    stage.simulator.data().rows.refuse_bodies_with("canary");
    let at = stage.simulator.clock().now() - time::Duration::minutes(2);
    let mut bad: serde_json::Value = serde_json::from_slice(Event::numbered(5, at).json()).expect("JSON");
    bad["user"] = "canary@example.com".into();
    stage.simulator.mimecast().add([
        Event::raw(at, "authentication_logs", bad.to_string().as_bytes()),
        Event::raw(at, "authentication_logs", b"17"),
        Event::numbered(6, at),
    ]);
    stage.clock.advance(Duration::from_secs(120));
    let report = stage.run().await;
    assert_eq!((report.delivered, report.dead_lettered), (1, 2), "{}", stage.lines.text());
    // Still refused: everything stays.
    let report = stage.worker().work(Work::Replay).await;
    assert_eq!((report.result, report.delivered, report.dead_lettered), (RunResult::Ok, 0, 2));
    stage.simulator.data().rows.refuse_bodies_with("");
    let report = stage.worker().work(Work::Replay).await;
    assert_eq!((report.result, report.delivered, report.dead_lettered), (RunResult::Ok, 1, 1));
    assert!(stage.keys().iter().any(|key| key.ends_with(":5")));
    // What is no event cannot be delivered and stays.
    assert_eq!(stage.dead_letters().len(), 1);
}
