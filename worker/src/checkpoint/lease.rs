//! Whether the lease on the checkpoint is still ours.

use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::world::World;

/// Length of a lease. Azure allows 15 to 60 seconds
/// (<https://learn.microsoft.com/rest/api/storageservices/lease-blob>).
pub const LEASE_SECS: u64 = 60;
/// How often it is renewed.
const RENEWAL_SECS: u64 = 20;
/// After a renewal that failed for a passing reason.
const RENEWAL_AGAIN_SECS: u64 = 3;
/// So long before its end we no longer count on a lease: a call that is on its way may take a while.
const MARGIN_SECS: u64 = 5;

/// How a renewal ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// The lease is good for its whole length again.
    Renewed,
    /// It may work in a moment.
    Failed,
    /// Somebody else has it.
    Lost,
}

/// A lease that a task of its own renews until this value is dropped.
#[derive(Debug)]
pub struct Lease {
    until: watch::Receiver<Option<Duration>>,
    task: AbortHandle,
}

impl Lease {
    /// Watches over a lease that was asked for at `asked_at` (time since the world began).
    pub fn watch<F, R>(world: &World, asked_at: Duration, renew: F) -> Self
    where
        F: Fn() -> R + Send + 'static,
        R: Future<Output = Renewal> + Send,
    {
        let good_for = Duration::from_secs(LEASE_SECS - MARGIN_SECS);
        let (sender, until) = watch::channel(Some(asked_at + good_for));
        let world = world.clone();
        let task = tokio::spawn(async move {
            let mut wait = Duration::from_secs(RENEWAL_SECS);
            loop {
                world.alarm(wait).await;
                let asked_at = world.elapsed();
                // Storage that never answers must not keep the loss from being noticed. A renewal has some
                // seconds in any case: after a pause of the whole process the lease may still be there.
                let left = sender.borrow().map_or(Duration::ZERO, |until| until.saturating_sub(asked_at));
                let renewed = tokio::select! {
                    biased;
                    renewed = renew() => renewed,
                    () = world.alarm(left.max(Duration::from_secs(RENEWAL_AGAIN_SECS))) => Renewal::Failed,
                };
                match renewed {
                    Renewal::Renewed => {
                        sender.send_replace(Some(asked_at + good_for));
                        wait = Duration::from_secs(RENEWAL_SECS);
                    }
                    Renewal::Failed if sender.borrow().is_some_and(|until| world.elapsed() < until) => {
                        wait = Duration::from_secs(RENEWAL_AGAIN_SECS);
                    }
                    Renewal::Failed | Renewal::Lost => {
                        sender.send_replace(None);
                        return;
                    }
                }
            }
        });
        Self { until, task: task.abort_handle() }
    }

    /// Whether a write may still count on it. It may not after a pause of the whole machine either.
    pub fn alive(&self, world: &World) -> bool {
        self.until.borrow().is_some_and(|until| world.elapsed() < until)
    }

    /// Ends when the lease is lost.
    pub fn lost(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut until = self.until.clone();
        async move {
            // An error means that the task has ended, which it does by itself only after a loss.
            let _ = until.wait_for(Option::is_none).await;
        }
    }

    /// Stops renewing.
    pub fn stop(&self) {
        self.task.abort();
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use time::macros::datetime;

    use super::{Lease, Renewal};
    use crate::world::{ManualClock, World};

    #[tokio::test]
    async fn a_lease_that_somebody_else_has_is_lost_at_the_next_renewal() {
        let clock = ManualClock::at(datetime!(2026-11-25 10:00 UTC));
        let world = World::of(clock.clone(), [].into());
        let lease = Lease::watch(&world, Duration::ZERO, || async { Renewal::Lost });
        assert!(lease.alive(&world));
        tokio::task::yield_now().await;
        clock.advance(Duration::from_secs(20));
        lease.lost().await;
        assert!(!lease.alive(&world));
    }

    #[tokio::test]
    async fn a_lease_that_cannot_be_renewed_is_given_up_before_its_end() {
        let clock = ManualClock::at(datetime!(2026-11-25 10:00 UTC));
        let world = World::of(clock.clone(), [].into());
        let attempts = Arc::new(AtomicUsize::new(0));
        let counted = attempts.clone();
        let lease = Lease::watch(&world, Duration::ZERO, move || {
            counted.fetch_add(1, Ordering::SeqCst);
            async { Renewal::Failed }
        });
        let lost = tokio::spawn(lease.lost());
        let mut elapsed = 0;
        while !lost.is_finished() {
            assert!(elapsed < 60, "still counted on after its end");
            // Every task that the second woke has its turn before the next one.
            for _ in 0..5 {
                tokio::task::yield_now().await;
            }
            clock.advance(Duration::from_secs(1));
            elapsed += 1;
        }
        // At 20 s, and every 3 s up to the 55th.
        assert!(attempts.load(Ordering::SeqCst) >= 12);
    }

    #[tokio::test]
    async fn a_renewal_that_is_never_answered_is_given_up_before_the_leases_end() {
        let clock = ManualClock::at(datetime!(2026-11-25 10:00 UTC));
        let world = World::of(clock.clone(), [].into());
        let lease = Lease::watch(&world, Duration::ZERO, std::future::pending);
        let lost = tokio::spawn(lease.lost());
        for elapsed in 0..=55 {
            assert!(!lost.is_finished(), "lost after {elapsed} s");
            for _ in 0..5 {
                tokio::task::yield_now().await;
            }
            clock.advance(Duration::from_secs(1));
        }
        lost.await.expect("lost with the trust in it");
        assert!(!lease.alive(&world));
    }

    #[tokio::test]
    async fn a_pause_of_the_whole_process_ends_the_trust() {
        let clock = ManualClock::at(datetime!(2026-11-25 10:00 UTC));
        let world = World::of(clock.clone(), [].into());
        let lease = Lease::watch(&world, Duration::ZERO, || async { Renewal::Renewed });
        clock.advance(Duration::from_secs(55));
        assert!(!lease.alive(&world));
        lease.stop();
    }
}
