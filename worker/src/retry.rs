//! The one retry loop of the crate.
//!
//! Whether an error is worth another attempt, and when, is decided beside its variant
//! ([`Retryable`]); this loop waits, honours what the other side asked for, keeps to the deadline,
//! and after the last attempt gives back the cause with the count.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::world::{Deadline, World};

/// What an error says about another attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// It would fail again.
    Never,
    /// It may pass: wait as the policy says.
    Backoff,
    /// It may pass after this long, as the other side said.
    After(Duration),
}

/// An error that knows whether the attempt is worth repeating.
pub trait Retryable: Error {
    /// Whether, and when.
    fn retry(&self) -> Retry;
}

/// How often and how long to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts altogether, at least one.
    pub attempts: u32,
    /// The wait after the first failure; it doubles with each further one.
    pub first_wait: Duration,
    /// No wait that we choose ourselves is longer.
    pub longest_wait: Duration,
}

/// The attempts have ended without success.
#[derive(Debug)]
pub struct Exhausted<E> {
    /// How many attempts were made.
    pub attempts: u32,
    /// What the last one failed of.
    pub cause: E,
    /// Why there was no further one.
    pub ended: Ended,
}

/// Why the attempts ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Another attempt would fail again.
    Permanent,
    /// The policy allows no more.
    Attempts,
    /// The next wait would pass the deadline.
    Deadline,
}

impl<E> fmt::Display for Exhausted<E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.attempts, self.ended) {
            (1, Ended::Permanent) => formatter.write_str("not worth another attempt"),
            (1, Ended::Deadline) => formatter.write_str("no time for another attempt"),
            (attempts, Ended::Deadline) => {
                write!(formatter, "gave up after {attempts} attempts, no time is left")
            }
            (attempts, _) => write!(formatter, "gave up after {attempts} attempts"),
        }
    }
}

impl<E: Error + 'static> Error for Exhausted<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.cause)
    }
}

/// Calls `attempt` (with the number of the attempt, from 1) until it succeeds, its error is
/// permanent, the policy's attempts are used up, or the next wait would pass the deadline.
///
/// # Errors
/// [`Exhausted`] with the last attempt's error.
pub async fn retry<T, E: Retryable>(
    policy: &RetryPolicy,
    deadline: Deadline,
    world: &World,
    mut attempt: impl AsyncFnMut(u32) -> Result<T, E>,
) -> Result<T, Exhausted<E>> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        let cause = match attempt(attempts).await {
            Ok(value) => return Ok(value),
            Err(cause) => cause,
        };
        if let Err(ended) = pause(policy, deadline, world, attempts, cause.retry()).await {
            return Err(Exhausted { attempts, cause, ended });
        }
    }
}

/// The wait after this many failures: what the loop does between two attempts. Alone it serves a
/// reader that gives out what it has read between two attempts, and so cannot be one closure.
///
/// # Errors
/// Why there is no further attempt; nothing was waited for then.
pub(crate) async fn pause(
    policy: &RetryPolicy,
    deadline: Deadline,
    world: &World,
    failures: u32,
    advice: Retry,
) -> Result<(), Ended> {
    let wait = match advice {
        Retry::Never => return Err(Ended::Permanent),
        Retry::Backoff => backoff(policy, failures, world.random()),
        // A little later than asked, and each caller at another moment.
        Retry::After(asked) => asked + policy.first_wait.mul_f64(world.random()),
    };
    if failures >= policy.attempts {
        return Err(Ended::Attempts);
    }
    if wait >= deadline.remaining(world) {
        return Err(Ended::Deadline);
    }
    world.sleep(wait).await;
    Ok(())
}

/// Doubles with each failure up to the longest wait; `random` (0 to 1) takes off up to half, so that
/// many workers do not come back at one moment.
fn backoff(policy: &RetryPolicy, failures: u32, random: f64) -> Duration {
    let doubled = policy.first_wait.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
    doubled.min(policy.longest_wait).mul_f64(1.0 - random / 2.0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use time::macros::datetime;

    use super::{Ended, Retry, RetryPolicy, Retryable, backoff, retry};
    use crate::world::{Deadline, ManualClock, World};

    #[derive(Debug, PartialEq, thiserror::Error)]
    #[error("failure {0}")]
    struct Failure(u32, Retry);

    impl Retryable for Failure {
        fn retry(&self) -> Retry {
            self.1
        }
    }

    const POLICY: RetryPolicy = RetryPolicy {
        attempts: 4,
        first_wait: Duration::from_secs(1),
        longest_wait: Duration::from_secs(30),
    };

    fn world() -> World {
        World::of(ManualClock::at(datetime!(2026-11-25 10:00 UTC)), [].into())
    }

    #[tokio::test]
    async fn a_success_after_failures_is_a_success() {
        let world = world();
        let deadline = Deadline::after(&world, Duration::from_secs(600));
        let answer = retry(&POLICY, deadline, &world, async |attempt| {
            if attempt < 3 { Err(Failure(attempt, Retry::Backoff)) } else { Ok(attempt) }
        });
        assert_eq!(answer.await.expect("succeeds"), 3);
        // 1 s and 2 s, each shortened by at most half.
        assert!((Duration::from_millis(1500)..=Duration::from_secs(3)).contains(&world.elapsed()));
    }

    #[tokio::test]
    async fn the_last_attempt_gives_the_cause_with_the_count() {
        let world = world();
        let deadline = Deadline::after(&world, Duration::from_secs(600));
        let ended =
            retry(&POLICY, deadline, &world, async |attempt| Err::<(), _>(Failure(attempt, Retry::Backoff)));
        let ended = ended.await.expect_err("never succeeds");
        assert_eq!(
            (ended.attempts, &ended.cause, ended.ended),
            (4, &Failure(4, Retry::Backoff), Ended::Attempts)
        );
        assert_eq!(ended.to_string(), "gave up after 4 attempts");
    }

    #[tokio::test]
    async fn a_permanent_error_ends_at_once() {
        let world = world();
        let deadline = Deadline::after(&world, Duration::from_secs(600));
        let ended =
            retry(&POLICY, deadline, &world, async |attempt| Err::<(), _>(Failure(attempt, Retry::Never)));
        let ended = ended.await.expect_err("permanent");
        assert_eq!((ended.attempts, ended.ended, world.elapsed()), (1, Ended::Permanent, Duration::ZERO));
    }

    #[tokio::test]
    async fn waits_at_least_as_long_as_asked_but_never_past_the_deadline() {
        let asked = Duration::from_secs(20);
        let world = world();
        let deadline = Deadline::after(&world, Duration::from_secs(50));
        let ended = retry(&POLICY, deadline, &world, async |attempt| {
            Err::<(), _>(Failure(attempt, Retry::After(asked)))
        });
        let ended = ended.await.expect_err("asked to wait past the deadline");
        assert_eq!((ended.attempts, ended.ended), (3, Ended::Deadline));
        assert!((2 * asked..Duration::from_secs(50)).contains(&world.elapsed()));
    }

    #[test]
    fn backoff_doubles_up_to_the_longest_wait() {
        let waits: Vec<u64> = (1..=7).map(|failures| backoff(&POLICY, failures, 0.0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(backoff(&POLICY, 2, 1.0), Duration::from_secs(1));
        assert_eq!(backoff(&POLICY, u32::MAX, 0.0), Duration::from_secs(30));
    }
}
