//! What is outside the process: clock, environment and randomness.
//!
//! Nothing else in the crate reads them (`clippy.toml` holds that), so a test puts its own in place
//! and no test waits for time to pass.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use tokio::sync::watch;

/// A future that ends when a wait is over.
pub type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The time, and waiting for it.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The present time, UTC. It may jump.
    fn now(&self) -> OffsetDateTime;
    /// Time since the world began. It never goes back.
    fn elapsed(&self) -> Duration;
    /// Waits in the course of the work: before another attempt, for a quota.
    fn sleep(&self, duration: Duration) -> Wait;
    /// Waits beside the work: for the next renewal of a lease, for the next tick of a schedule.
    fn alarm(&self, duration: Duration) -> Wait;
}

/// The outside, cheap to clone.
#[derive(Clone)]
pub struct World {
    clock: Arc<dyn Clock>,
    environment: Arc<BTreeMap<String, String>>,
    random: Arc<Mutex<fastrand::Rng>>,
    program: Arc<OnceLock<Option<String>>>,
}

/// The environment holds secrets: it is shown by the names of its variables alone.
impl fmt::Debug for World {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("World")
            .field("clock", &self.clock)
            .field("environment", &self.environment.keys())
            .finish_non_exhaustive()
    }
}

impl World {
    /// The machine's clock, the process's environment, and randomness from the operating system.
    pub fn system() -> Self {
        #[expect(clippy::disallowed_methods, reason = "this is the world, which reads the environment")]
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self {
            clock: Arc::new(SystemClock { start: Instant::now() }),
            environment: Arc::new(environment),
            random: Arc::new(Mutex::new(fastrand::Rng::new())),
            program: Arc::default(),
        }
    }

    /// The process's arguments, its name first.
    pub fn arguments() -> Vec<String> {
        #[expect(clippy::disallowed_methods, reason = "this is the world, which reads the arguments")]
        let arguments = std::env::args_os();
        arguments.map(|argument| argument.to_string_lossy().into_owned()).collect()
    }

    /// A world with this clock and environment, randomness from a fixed seed, and no program's file.
    pub fn of(clock: Arc<dyn Clock>, environment: BTreeMap<String, String>) -> Self {
        Self {
            clock,
            environment: Arc::new(environment),
            random: Arc::new(Mutex::new(fastrand::Rng::with_seed(0))),
            program: Arc::new(OnceLock::from(None)),
        }
    }

    /// The same world with randomness from another seed: what tells one process from another.
    pub fn seeded(self, seed: u64) -> Self {
        Self { random: Arc::new(Mutex::new(fastrand::Rng::with_seed(seed))), ..self }
    }

    /// The same world with some variables more, as command-line flags set them.
    pub fn with_environment(mut self, more: impl IntoIterator<Item = (String, String)>) -> Self {
        Arc::make_mut(&mut self.environment).extend(more);
        self
    }

    /// The present time, UTC.
    pub fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    /// Time since the world began.
    pub fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    /// Waits in the course of the work.
    pub async fn sleep(&self, duration: Duration) {
        self.clock.sleep(duration).await;
    }

    /// Waits beside the work.
    pub async fn alarm(&self, duration: Duration) {
        self.clock.alarm(duration).await;
    }

    /// A variable of the environment; empty counts as absent.
    pub fn environment(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// SHA-256 of the program's own file in lower-case hexadecimal digits; `None` where it cannot be read. It
    /// is read when it is first asked for, so that nothing waits for it at the start.
    pub fn program_hash(&self) -> Option<&str> {
        self.program.get_or_init(|| program_hash().ok()).as_deref()
    }

    /// A random number from 0 up to and without 1.
    pub fn random(&self) -> f64 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).f64()
    }

    /// A random identity (UUID version 4).
    pub fn identity(&self) -> uuid::Uuid {
        let bits = self.random.lock().unwrap_or_else(PoisonError::into_inner).u128(..);
        uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid()
    }
}

/// The file of the running program, whatever lies under its name by now
/// (<https://man7.org/linux/man-pages/man5/proc_pid_exe.5.html>).
const PROGRAM: &str = "/proc/self/exe";

fn program_hash() -> std::io::Result<String> {
    let mut hash = Sha256::new();
    std::io::copy(&mut std::fs::File::open(PROGRAM)?, &mut hash)?;
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A point in time by which something must have ended, whatever the wall clock does meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline {
    at: Duration,
}

impl Deadline {
    /// This long from now.
    pub fn after(world: &World, duration: Duration) -> Self {
        Self { at: world.elapsed().saturating_add(duration) }
    }

    /// So much later.
    pub fn later(self, by: Duration) -> Self {
        Self { at: self.at.saturating_add(by) }
    }

    /// The earlier of two.
    pub fn earlier(self, other: Self) -> Self {
        self.min(other)
    }

    /// What is left; zero when it has passed.
    pub fn remaining(self, world: &World) -> Duration {
        self.at.saturating_sub(world.elapsed())
    }

    /// Whether it has passed.
    pub fn passed(self, world: &World) -> bool {
        self.remaining(world).is_zero()
    }
}

#[derive(Debug)]
struct SystemClock {
    start: Instant,
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the world, which reads the clock")]
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    fn sleep(&self, duration: Duration) -> Wait {
        Box::pin(tokio::time::sleep(duration))
    }

    fn alarm(&self, duration: Duration) -> Wait {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// A clock that moves only when the work waits on it or a hand moves it: for tests.
///
/// A [`Clock::sleep`] is over at once and moves the clock by its length; a [`Clock::alarm`] is over
/// when sleeps and hands have moved the clock past it.
#[derive(Debug)]
pub struct ManualClock {
    start: OffsetDateTime,
    elapsed: watch::Sender<Duration>,
    shift: Mutex<time::Duration>,
}

impl ManualClock {
    /// A clock that stands at this time.
    pub fn at(start: OffsetDateTime) -> Arc<Self> {
        let elapsed = watch::Sender::new(Duration::ZERO);
        Arc::new(Self { start, elapsed, shift: Mutex::default() })
    }

    /// Time passes.
    pub fn advance(&self, duration: Duration) {
        self.elapsed.send_modify(|elapsed| *elapsed += duration);
    }

    /// The wall clock jumps, forward or back, while no time passes.
    pub fn jump(&self, by: time::Duration) {
        *self.shift.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> OffsetDateTime {
        self.start + *self.elapsed.borrow() + *self.shift.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn elapsed(&self) -> Duration {
        *self.elapsed.borrow()
    }

    fn sleep(&self, duration: Duration) -> Wait {
        self.advance(duration);
        // One turn of the scheduler, so that what waited for this moment runs first.
        Box::pin(tokio::task::yield_now())
    }

    fn alarm(&self, duration: Duration) -> Wait {
        let mut elapsed = self.elapsed.subscribe();
        let until = *self.elapsed.borrow() + duration;
        Box::pin(async move {
            if elapsed.wait_for(|elapsed| *elapsed >= until).await.is_err() {
                // The clock is gone, and with it everything that could move it.
                std::future::pending::<()>().await;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use time::macros::datetime;

    use super::{Clock, Deadline, ManualClock, World};

    #[tokio::test]
    async fn sleeping_moves_the_manual_clock_and_rings_its_alarms() {
        let clock = ManualClock::at(datetime!(2026-11-25 10:00 UTC));
        let world = World::of(clock.clone(), [].into());
        let alarm = tokio::spawn(clock.alarm(Duration::from_secs(20)));
        world.sleep(Duration::from_secs(19)).await;
        assert!(!alarm.is_finished());
        world.sleep(Duration::from_secs(1)).await;
        alarm.await.expect("the alarm rings");
        assert_eq!(world.now(), datetime!(2026-11-25 10:00:20 UTC));
    }

    #[test]
    fn debug_prints_the_names_of_variables_and_no_value() {
        let variable = ("MIMECAST_CLIENT_SECRET".to_owned(), "canary-value".to_owned());
        let world = World::of(ManualClock::at(datetime!(2026-11-25 10:00 UTC)), [variable].into());
        let shown = format!("{world:?}");
        assert!(shown.contains("MIMECAST_CLIENT_SECRET") && !shown.contains("canary-value"), "{shown}");
    }

    #[test]
    fn a_deadline_does_not_follow_a_jump_of_the_wall_clock() {
        let clock = ManualClock::at(datetime!(2026-11-25 10:00 UTC));
        let world = World::of(clock.clone(), [].into());
        let deadline = Deadline::after(&world, Duration::from_secs(60));
        clock.jump(time::Duration::hours(-3));
        clock.advance(Duration::from_secs(59));
        assert_eq!(deadline.remaining(&world), Duration::from_secs(1));
        clock.advance(Duration::from_secs(1));
        assert!(deadline.passed(&world));
        assert_eq!(world.now(), datetime!(2026-11-25 07:01 UTC));
    }
}
