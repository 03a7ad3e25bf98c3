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

// BR-031
#[tokio::test]
async fn a_run_may_stop_at_every_await_point_and_the_next_completes_it() {
    let mut stage = Stage::new().await;
    // Pages of two: each run has several, and a batch that spans them.
    stage.set(contract::settings::MIMECAST_PAGE_SIZE, "2");
    stage.first_run().await;
    let mut stored = stage.keys().len();
    let mut events = stage.simulator.mimecast().events().len();
    assert_eq!(stored, events);
    let mut number = 0;
    let mut stopped_while_sending = 0;
    for turns in 1.. {
        assert!(turns < 2_000, "the run never completes");
        stage.clock.advance(Duration::from_secs(120));
        let at = stage.simulator.clock().now() - time::Duration::seconds(90);
        stage.simulator.mimecast().add((0..3).map(|offset| Event::numbered(number + offset, at)));
        number += 3;
        events += 3;

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
        let repeated = (keys.len() - stored - 3) as u64;
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
