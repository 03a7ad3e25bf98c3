//! Runs that are stopped, at every point at which they can be.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use simulator::fault::{Action, Fault, Matcher};
use simulator::installed::STORAGE_ACCOUNT;
use simulator::mimecast::Event;
use worker::command::Work;
use worker::report::{RunResult, Trigger};

use crate::stage::Stage;

/// A run that is stopped after so many turns: what a kill does, at a point of our choosing. Each wait
/// for anything ends a turn, so that counting up visits every await point.
struct StopAfter<F> {
    run: Pin<Box<F>>,
    turns: usize,
}

impl<F: Future> Future for StopAfter<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.turns == 0 {
            return Poll::Ready(None);
        }
        self.turns -= 1;
        self.run.as_mut().poll(context).map(Some)
    }
}

/// Runs that are stopped after one turn, after two, and so on until one completes, each with something
/// new: `add` gives Mimecast so many events more. After each the next run completes it: nothing is
/// lost, and nothing comes twice but what was in flight.
async fn stop_at_every_turn(stage: &Stage, add: impl Fn(&Stage, u64) -> usize) {
    stage.first_run().await;
    let mut stored = stage.keys().len();
    let mut events = stage.simulator.mimecast().events().len();
    assert_eq!(stored, events);
    let mut stopped_while_sending = 0;
    for turns in 1.. {
        assert!(turns < 2_000, "the run never completes");
        stage.clock.advance(Duration::from_secs(120));
        let added = add(stage, turns as u64);
        events += added;

        let worker = stage.worker();
        let work = Work::Sync(Trigger::Timer);
        let run = StopAfter { run: Box::pin(worker.work(work)), turns };
        let completed = run.await.is_some();
        // Who knows that the holder is dead may end its lease.
        stage.simulator.data().blobs.break_lease(STORAGE_ACCOUNT, "audit-checkpoints", "checkpoint.txt");
        // What had reached the service before the stop is worked off by it.
        tokio::task::yield_now().await;
        let in_flight: u64 = stage.checkpoint().in_flight.iter().map(|batch| batch.events).sum();

        let report = worker.work(work).await;
        assert_eq!(report.result, RunResult::Ok, "after {turns} turns: {}", stage.lines.text());
        let keys = stage.keys();
        let mut distinct = keys.clone();
        distinct.dedup();
        assert_eq!(distinct.len(), events, "after {turns} turns something is lost");
        let repeated = (keys.len() - stored - added) as u64;
        stored = keys.len();
        assert!(
            repeated <= in_flight,
            "after {turns} turns {repeated} rows came twice, {in_flight} were in flight"
        );
        stopped_while_sending += u32::from(in_flight > 0);
        if completed {
            break;
        }
    }
    assert!(stopped_while_sending > 0, "no stop met a batch on its way");
}

// BR-031
#[tokio::test]
async fn a_run_may_stop_at_every_await_point_and_the_next_completes_it() {
    let mut stage = Stage::new().await;
    // Pages of two: each run has several, and a batch that spans them.
    stage.set(contract::settings::MIMECAST_PAGE_SIZE, "2");
    stop_at_every_turn(&stage, |stage, turn| {
        let at = stage.simulator.clock().now() - time::Duration::seconds(90);
        stage.simulator.mimecast().add((0..3).map(|offset| Event::numbered(turn * 3 + offset, at)));
        3
    })
    .await;
}

/// An event of so many seconds ago that says this.
fn saying(stage: &Stage, number: u64, text: &str) -> Event {
    let at = stage.simulator.clock().now() - time::Duration::seconds(90);
    let mut event: serde_json::Value =
        serde_json::from_slice(Event::numbered(number, at).json()).expect("JSON");
    event["eventInfo"] = text.into();
    Event::raw(at, "authentication_logs", event.to_string().as_bytes())
}

// BR-031
#[tokio::test]
async fn a_run_of_two_batches_with_records_set_aside_may_stop_anywhere_too() {
    const CANARY: &str = "canary-of-a-bad-record";
    let stage = Stage::new().await;
    stage.simulator.data().rows.refuse_bodies_with(CANARY);
    let large = "x".repeat(64_000);
    let turns = std::cell::Cell::new(0);
    stop_at_every_turn(&stage, |stage, turn| {
        turns.set(turn);
        // Fifteen of the largest rows are more than one body holds. One record is refused, one is no event.
        let number = turn * 100;
        let at = stage.simulator.clock().now() - time::Duration::seconds(90);
        let mimecast = stage.simulator.mimecast();
        mimecast.add([Event::raw(at, "authentication_logs", turn.to_string().as_bytes())]);
        mimecast.add((0..16).map(|offset| saying(stage, number + offset, &large)));
        mimecast.add([saying(stage, number + 50, CANARY)]);
        16
    })
    .await;
    // Each that was set aside is kept, whenever the run was stopped.
    let mut letters = Vec::new();
    for name in stage.dead_letters() {
        let content = stage.blob("dead-letters", &name).expect("listed");
        letters
            .extend(content.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec));
    }
    let kept = |reason: &str| {
        let lines =
            letters.iter().map(|line| serde_json::from_slice::<serde_json::Value>(line).expect("JSON"));
        let lines = lines.filter(|letter| letter["reason"] == reason);
        let mut kept: Vec<_> =
            lines.map(|letter| format!("{}{}", letter["event_key"], letter["record"])).collect();
        kept.sort();
        kept.dedup();
        kept.len() as u64
    };
    assert_eq!((kept("refused"), kept("malformed")), (turns.get(), turns.get()));
}

#[tokio::test]
async fn a_batch_in_doubt_is_named() {
    let stage = Stage::new().await;
    stage.first_run().await;
    let mut checkpoint = stage.checkpoint();
    let batch = "11111111-2222-3333-4444-555555555555";
    checkpoint.in_flight.push(contract::checkpoint::InFlight { batch: batch.to_owned(), events: 7 });
    let content = bytes::Bytes::from(checkpoint.write());
    assert!(stage.simulator.data().blobs.place(
        STORAGE_ACCOUNT,
        "audit-checkpoints",
        "checkpoint.txt",
        content
    ));
    stage.clock.advance(Duration::from_secs(120));
    let report = stage.run().await;
    assert_eq!(report.result, RunResult::Ok);
    assert!(report.message().contains("7 events"), "{}", report.message());
    assert_eq!(stage.lines.of("batches_in_doubt")[0]["batches"][0], batch);
    assert!(stage.checkpoint().in_flight.is_empty());
}

/// A kill while the next page is awaited repeats nothing: what Azure has taken is written down by then.
#[tokio::test]
async fn what_was_accepted_is_written_down_before_the_next_page_comes() {
    let stage = Stage::new().await;
    stage.first_run().await;
    let before = stage.keys().len() as u64;
    stage.clock.advance(Duration::from_secs(360));
    let at = stage.simulator.clock().now() - time::Duration::minutes(3);
    // More than two full bodies, and a page that does not come in this test's time.
    stage.simulator.mimecast().add((0..4_000).map(|number| Event::numbered(number, at)));
    let page = Matcher::new("mimecast", "POST", "get-audit-events");
    let never = Action::Delay(Duration::from_secs(3_600));
    stage.simulator.faults().add(Fault::once(page, never).skip(5));
    let worker = stage.worker();
    let written = async {
        loop {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let delivered = stage.keys().len() as u64;
            let checkpoint = stage.blob("audit-checkpoints", "checkpoint.txt").map(|_| stage.checkpoint());
            let counted = checkpoint.filter(|checkpoint| checkpoint.in_flight.is_empty());
            let counted = counted.map_or(0, |checkpoint| {
                let counts = checkpoint.days.iter().flat_map(|day| day.hours);
                counts.map(u64::from).sum::<u64>()
            });
            if delivered > before && counted == delivered {
                return delivered;
            }
        }
    };
    let delivered = tokio::select! {
        report = worker.work(Work::Sync(Trigger::Timer)) => panic!("it ended: {report:?}"),
        delivered = tokio::time::timeout(Duration::from_secs(60), written) => delivered.expect("it is never written"),
    };
    // The worker is gone; the next one repeats none of it.
    stage.simulator.data().blobs.break_lease(STORAGE_ACCOUNT, "audit-checkpoints", "checkpoint.txt");
    let report = stage.run().await;
    assert_eq!(report.result, RunResult::Ok, "{}", stage.lines.text());
    let events = stage.simulator.mimecast().events().len() as u64;
    assert_eq!(report.delivered, events - delivered);
    let keys = stage.keys();
    assert_eq!(keys.len() as u64, events);
}
