//! What Azure refuses.

use simulator::mimecast::Event;
use worker::report::RunResult;

use crate::stage::Stage;

/// An event of about two kilobytes.
fn large(stage: &Stage, number: u64, text: &str) -> Event {
    let at = stage.simulator.clock().now() - time::Duration::minutes(20);
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
    stage.simulator.data().rows.refuse_bodies_with("canary-of-a-bad-record");
    let before = stage.simulator.mimecast().events().len();
    let at = stage.simulator.clock().now() - time::Duration::minutes(20);
    stage.simulator.mimecast().add((0..9_999).map(|number| Event::numbered(number, at)));
    stage.simulator.mimecast().add([large(&stage, 10_000, "canary-of-a-bad-record")]);
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
