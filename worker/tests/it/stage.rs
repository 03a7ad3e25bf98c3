//! A worker in this process against the whole simulator, on a clock that only waits move.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use simulator::installed::STORAGE_ACCOUNT;
use simulator::installed::accounts::ServedAccount;
use simulator::simulator::{Options, Simulator};
use time::OffsetDateTime;
use time::macros::time;
use worker::accounts::Accounts;
use worker::command::Work;
use worker::report::{Log, Report, Trigger};
use worker::settings::Settings;
use worker::sync::Account;
use worker::world::{Clock, Wait, World};

/// The simulator's clock as the worker's. What the worker waits for passes at once; what runs beside
/// the work waits until a hand has moved the clock.
#[derive(Debug)]
pub(crate) struct StageClock {
    simulated: simulator::clock::Clock,
    passed: tokio::sync::watch::Sender<Duration>,
}

impl StageClock {
    /// Time passes on both sides.
    pub(crate) fn advance(&self, by: Duration) {
        self.simulated.advance(by);
        self.passed.send_modify(|passed| *passed += by);
    }
}

impl Clock for StageClock {
    fn now(&self) -> OffsetDateTime {
        self.simulated.now()
    }

    fn elapsed(&self) -> Duration {
        *self.passed.borrow()
    }

    fn sleep(&self, duration: Duration) -> Wait {
        self.advance(duration);
        Box::pin(tokio::task::yield_now())
    }

    fn alarm(&self, duration: Duration) -> Wait {
        let mut passed = self.passed.subscribe();
        let until = *self.passed.borrow() + duration;
        Box::pin(async move {
            if passed.wait_for(|passed| *passed >= until).await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }
}

/// The lines of a log.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no test panics while it holds this").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("no test panics while it holds this").clone()).expect("UTF-8")
    }

    /// The events of one name.
    pub(crate) fn of(&self, event: &str) -> Vec<Value> {
        let lines: Vec<Value> =
            self.text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        lines.into_iter().filter(|line| line["event"] == event).collect()
    }
}

pub(crate) struct Stage {
    pub(crate) simulator: Simulator,
    pub(crate) clock: Arc<StageClock>,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) lines: Lines,
    workers: AtomicU64,
}

impl Stage {
    /// An installed worker and Mimecast's recorded history, at noon of the next day (UTC): what depends on the day
    /// does not depend on when the test runs.
    pub(crate) async fn new() -> Self {
        let clock = simulator::clock::Clock::default();
        let start = (clock.now() + time::Duration::days(1)).replace_time(time!(12:00));
        clock.advance(Duration::try_from(start - clock.now()).expect("ahead"));
        Self::with(clock).await
    }

    /// By the machine's clock, for a worker or an Azurite in a process of its own.
    pub(crate) async fn by_the_machines_clock() -> Self {
        Self::with(simulator::clock::Clock::default()).await
    }

    async fn with(clock: simulator::clock::Clock) -> Self {
        let options = Options { clock, ..Options::default() };
        let simulator = Simulator::start(options).await.expect("the simulator starts");
        let environment = simulator.installed();
        let passed = tokio::sync::watch::Sender::new(Duration::ZERO);
        let clock = Arc::new(StageClock { simulated: simulator.clock().clone(), passed });
        Self { simulator, clock, environment, lines: Lines::default(), workers: AtomicU64::new(1) }
    }

    /// A worker for accounts of these keys, and Mimecast's side of each.
    pub(crate) async fn several(keys: &[&str]) -> (Self, Vec<ServedAccount>) {
        let mut stage = Self::new().await;
        let (environment, accounts) = stage.simulator.installed_for(keys).await.expect("free ports");
        stage.environment = environment;
        (stage, accounts)
    }

    /// What the timer and the queue call, as far as it can be a process of its own in this one.
    pub(crate) fn accounts(&self) -> Accounts {
        let seed = self.workers.fetch_add(1, Ordering::SeqCst);
        let world = World::of(self.clock.clone(), self.environment.clone()).seeded(seed);
        let log = Log::new(&world, self.lines.clone());
        Accounts::open_with(&world, None, &log, self.http()).expect("clients")
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    /// A worker process, as far as it can be one in this process.
    pub(crate) fn worker(&self) -> Account {
        let seed = self.workers.fetch_add(1, Ordering::SeqCst);
        let world = World::of(self.clock.clone(), self.environment.clone()).seeded(seed);
        let log = Log::new(&world, self.lines.clone());
        let settings = Settings::read(&world, None).expect("complete settings");
        Account::open_with(settings, &world, &log, self.http()).expect("clients")
    }

    pub(crate) fn http(&self) -> reqwest::Client {
        let authority = std::fs::read(self.simulator.ca_file()).expect("the authority");
        let authority = reqwest::Certificate::from_pem(&authority).expect("PEM");
        worker::http::builder().tls_certs_only([authority]).build().expect("a client")
    }

    pub(crate) async fn run(&self) -> Report {
        self.worker().work(Work::Sync(Trigger::Timer)).await
    }

    /// The rows of the audit table.
    pub(crate) fn rows(&self) -> Vec<simulator::rows::Row> {
        self.simulator.data().rows.of(contract::streams::AUDIT_TABLE)
    }

    pub(crate) fn health(&self) -> Vec<simulator::rows::Row> {
        self.simulator.data().rows.of(contract::streams::HEALTH_TABLE)
    }

    /// Keys of the audit rows, sorted.
    pub(crate) fn keys(&self) -> Vec<String> {
        let text = |row: &simulator::rows::Row| row["eventKey_s"].as_str().expect("a key").to_owned();
        let mut keys: Vec<String> = self.rows().iter().map(text).collect();
        keys.sort();
        keys
    }

    /// The first run, which delivers the recorded history and leaves a checkpoint.
    pub(crate) async fn first_run(&self) {
        let report = self.run().await;
        assert_eq!(report.result, worker::report::RunResult::Ok, "{}", self.lines.text());
    }

    pub(crate) fn checkpoint(&self) -> contract::checkpoint::Checkpoint {
        let content = self.blob("audit-checkpoints", "checkpoint.txt").expect("a checkpoint");
        contract::checkpoint::Checkpoint::read(&content).expect("ours")
    }

    pub(crate) fn blob(&self, container: &str, name: &str) -> Option<bytes::Bytes> {
        self.simulator.data().blobs.content(STORAGE_ACCOUNT, container, name)
    }

    /// Names of the dead letters' files.
    pub(crate) fn dead_letters(&self) -> Vec<String> {
        self.simulator.data().blobs.names(STORAGE_ACCOUNT, "dead-letters").expect("the container")
    }
}
