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
