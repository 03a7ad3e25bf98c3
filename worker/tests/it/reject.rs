//! What Azure refuses.

use simulator::mimecast::Event;
use worker::report::RunResult;

use crate::stage::Stage;

/// The text of an event that Azure refuses where it is told to.
const CANARY: &str = "canary-of-a-bad-record";

/// An event of about two kilobytes.
fn large(stage: &Stage, number: u64, text: &str) -> Event {
    saying(stage, number, 20, text)
}

/// An event of so many minutes ago that says this.
fn saying(stage: &Stage, number: u64, minutes_ago: i64, text: &str) -> Event {
    let at = stage.simulator.clock().now() - time::Duration::minutes(minutes_ago);
    let small = Event::numbered(number, at);
    let mut event: serde_json::Value = serde_json::from_slice(small.json()).expect("JSON");
    event["eventInfo"] = text.into();
    Event::raw(at, "authentication_logs", event.to_string().as_bytes())
}

// BR-006, BR-069
#[tokio::test]
async fn five_thousand_events_of_two_kilobytes_arrive_once_where_200_kilobytes_are_the_limit() {
    let stage = Stage::new().await;
    stage.simulator.data().rows.set_body_limit(200_000);
    let before = stage.simulator.mimecast().events().len();
    stage.simulator.mimecast().add((0..5_000).map(|number| large(&stage, number, &"x".repeat(1_700))));
    let report = stage.run().await;
    assert_eq!(report.result, RunResult::Ok, "{}", stage.lines.text());
    let mut keys = stage.keys();
    assert_eq!(keys.len(), before + 5_000);
    keys.dedup();
    assert_eq!(keys.len(), before + 5_000);
    assert!(stage.dead_letters().is_empty());
}

#[tokio::test]
async fn one_bad_record_in_ten_thousand_is_set_aside_alone() {
    let stage = Stage::new().await;
    stage.simulator.data().rows.refuse_bodies_with(CANARY);
    let before = stage.simulator.mimecast().events().len();
    let at = stage.simulator.clock().now() - time::Duration::minutes(20);
    stage.simulator.mimecast().add((0..9_999).map(|number| Event::numbered(number, at)));
    stage.simulator.mimecast().add([large(&stage, 10_000, CANARY)]);
    let report = stage.run().await;
    assert_eq!(report.result, RunResult::Ok, "{}", stage.lines.text());
    assert_eq!(stage.keys().len(), before + 9_999);
    assert_eq!((report.delivered, report.dead_lettered), (before as u64 + 9_999, 1));
    let names = stage.dead_letters();
    assert_eq!(names.len(), 1);
    let letter = stage.blob("dead-letters", &names[0]).expect("kept");
    let letter: serde_json::Value = serde_json::from_slice(&letter).expect("one line");
    assert_eq!(letter["reason"], "refused");
    assert!(letter["event_key"].as_str().expect("its identity").ends_with(":10000"), "{letter}");
    // It is not tried again with the overlap.
    assert_eq!(stage.run().await.dead_lettered, 0);
}

/// A stage at which nothing happened within the reach of the first run.
async fn quiet() -> Stage {
    let mut stage = Stage::new().await;
    stage.clock.advance(std::time::Duration::from_secs(3 * 3_600));
    stage.set(contract::settings::MIMECAST_FIRST_RUN, "40m");
    stage.simulator.data().rows.refuse_bodies_with(CANARY);
    stage
}

#[tokio::test]
async fn a_bad_record_is_set_aside_wherever_it_stands_in_a_fresh_installation() {
    // The first of the first batch or the last, whichever way the pages go; and in its middle.
    for minutes_ago in [30, 3, 20] {
        let stage = quiet().await;
        let at = stage.simulator.clock().now() - time::Duration::minutes(20);
        stage.simulator.mimecast().add((0..500).map(|number| Event::numbered(number, at)));
        stage.simulator.mimecast().add([saying(&stage, 1_000, minutes_ago, CANARY)]);
        let report = stage.run().await;
        assert_eq!(report.result, RunResult::Ok, "{}", stage.lines.text());
        assert_eq!((report.delivered, report.dead_lettered), (500, 1), "{minutes_ago}");
        assert_eq!(stage.run().await.dead_lettered, 0);
    }
}

#[tokio::test]
async fn the_only_record_of_a_first_window_can_be_a_bad_one() {
    let stage = quiet().await;
    stage.simulator.mimecast().add([saying(&stage, 1, 20, CANARY)]);
    let report = stage.run().await;
    assert_eq!(report.result, RunResult::Ok, "{}", stage.lines.text());
    assert_eq!((report.delivered, report.dead_lettered), (0, 1));
    stage.clock.advance(std::time::Duration::from_secs(300));
    stage.simulator.mimecast().add([saying(&stage, 2, 3, "good")]);
    assert_eq!(stage.run().await.delivered, 1);
}

#[tokio::test]
async fn many_bad_records_at_the_head_of_a_batch_do_not_stop_the_good_ones() {
    for minutes_ago in [30, 3] {
        let stage = quiet().await;
        let at = stage.simulator.clock().now() - time::Duration::minutes(20);
        stage.simulator.mimecast().add((0..500).map(|number| Event::numbered(number, at)));
        stage
            .simulator
            .mimecast()
            .add((0..12).map(|number| saying(&stage, 1_000 + number, minutes_ago, CANARY)));
        let report = stage.run().await;
        assert_eq!(report.result, RunResult::Ok, "{}", stage.lines.text());
        assert_eq!((report.delivered, report.dead_lettered), (500, 12), "{minutes_ago}");
    }
}

/// One good record among bad ones is found where no part of the batch is accepted as a whole.
#[tokio::test]
async fn good_records_among_many_bad_ones_are_found() {
    let stage = quiet().await;
    // Ten of them bad, then every second one: no whole part is good.
    let bad = |number: u64| !(10..190).contains(&number) || number.is_multiple_of(2);
    let text = |number| if bad(number) { CANARY } else { "good" };
    stage.simulator.mimecast().add((0..200).map(|number| saying(&stage, number, 20, text(number))));
    let report = stage.run().await;
    assert_eq!(report.result, RunResult::Ok, "{}", stage.lines.text());
    assert_eq!((report.delivered, report.dead_lettered), (90, 110));
}

/// The fault is not the records', so none is set aside and the place does not move.
#[tokio::test]
async fn a_stream_that_refuses_everything_stops_the_run() {
    let stage = Stage::new().await;
    let events = stage.simulator.mimecast().events().len();
    stage.simulator.data().rows.refuse_bodies_with("\"");
    let report = stage.run().await;
    assert_eq!(report.failure.expect("refused").code, "ingest_everything_refused");
    assert!(stage.dead_letters().is_empty() && stage.rows().is_empty());
    stage.simulator.data().rows.refuse_bodies_with("");
    assert_eq!(stage.run().await.delivered, events as u64);
}
