//! The one retry loop of the installer, and every delay it may take.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use super::error::AzureError;

/// Whether a failed call is worth repeating. Decided beside each error's variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same call will fail again.
    Never,
    /// After a delay that grows.
    Backoff,
    /// After as long as the service said.
    After(Duration),
}

/// How often and how long one kind of call is repeated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    /// Delay before the second attempt; doubles with each further one.
    pub first_delay: Duration,
    /// No delay of ours is longer.
    pub longest_delay: Duration,
    /// No attempt starts later than this after the first.
    pub within: Duration,
    /// What a delay that the service named is multiplied by: 1 but for tests.
    pub named_delay_factor: f64,
}

/// Every time that this module waits. All of them are settings, so that tests do not sleep.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timings {
    /// A sign-in service that does not answer: short, since somebody waits to be told.
    pub sign_in: RetryPolicy,
    /// Throttling, faults of the service, lost connections.
    pub calls: RetryPolicy,
    /// What settles a while after another change: a new principal that roles cannot be given to
    /// yet, a resource that reads back as absent just after it was made.
    pub settling: RetryPolicy,
    /// Data calls just after their role was given: a role spreads within ten minutes as a rule
    /// (<https://learn.microsoft.com/azure/role-based-access-control/troubleshooting>), and within thirty
    /// where data collection rules are concerned
    /// (<https://learn.microsoft.com/azure/azure-monitor/logs/tutorial-logs-ingestion-portal>).
    pub role_spreading: RetryPolicy,
    /// How long an answer may stay away. Azure Resource Manager answers or hands over to a long operation
    /// well within this; an upload of a package over a slow line needs most of it.
    pub answer: Duration,
    /// Between two looks at a long operation, where Azure names no delay of its own.
    pub poll_every: Duration,
    /// How long one operation may take before we stop looking.
    pub operation: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        let policy = |first_secs, longest_secs, within_secs| RetryPolicy {
            first_delay: Duration::from_secs(first_secs),
            longest_delay: Duration::from_secs(longest_secs),
            within: Duration::from_secs(within_secs),
            named_delay_factor: 1.0,
        };
        Self {
            sign_in: policy(1, 5, 20),
            calls: policy(1, 60, 300),
            settling: policy(2, 15, 300),
            role_spreading: policy(5, 30, 1_800),
            answer: Duration::from_secs(300),
            poll_every: Duration::from_secs(3),
            operation: Duration::from_secs(30 * 60),
        }
    }
}

impl Timings {
    /// The same waits with every delay and limit multiplied, as tests and demonstrations need. How long an
    /// answer may stay away is left: it depends on the machine, and on nothing that a test could hurry.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        let policy = |policy: RetryPolicy| RetryPolicy {
            first_delay: policy.first_delay.mul_f64(factor),
            longest_delay: policy.longest_delay.mul_f64(factor),
            within: policy.within.mul_f64(factor),
            named_delay_factor: policy.named_delay_factor * factor,
        };
        Self {
            sign_in: policy(self.sign_in),
            calls: policy(self.calls),
            settling: policy(self.settling),
            role_spreading: policy(self.role_spreading),
            answer: self.answer,
            poll_every: self.poll_every.mul_f64(factor),
            operation: self.operation.mul_f64(factor),
        }
    }
}

/// Makes the attempt until it succeeds, fails for good, or the time is over.
///
/// `decide` says what each error asks for: most callers pass [`AzureError::retry`]. After the last
/// attempt the *cause* comes back, with the count where there was more than one.
pub(super) async fn retry<T, Attempt, Made>(
    policy: &RetryPolicy,
    decide: impl Fn(&AzureError) -> Retry,
    mut attempt: Attempt,
) -> Result<T, AzureError>
where
    Attempt: FnMut() -> Made,
    Made: Future<Output = Result<T, AzureError>>,
{
    let started = Instant::now();
    let mut backoff = policy.first_delay;
    let mut attempts: u32 = 0;
    loop {
        let error = match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        attempts += 1;
        let delay = match decide(&error) {
            Retry::Never => return Err(error.after(attempts)),
            // Full delay plus up to half of it again, so that several callers do not march in step.
            Retry::Backoff => backoff.mul_f64(1.0 + fastrand::f64() / 2.0),
            Retry::After(delay) => delay.mul_f64(policy.named_delay_factor),
        };
        backoff = (backoff * 2).min(policy.longest_delay);
        if started.elapsed() + delay > policy.within {
            return Err(error.after(attempts));
        }
        tokio::time::sleep(delay).await;
    }
}
