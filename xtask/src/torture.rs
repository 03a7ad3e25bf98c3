//! Kills the real worker at random instants while events arrive late and both sides fail, and counts
//! what was lost and what came twice.
//!
//! * [`account`]: what the journals of both sides say of it.

mod account;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use contract::resources::{CHECKPOINT_CONTAINER, DEAD_LETTER_CONTAINER};
use contract::settings;
use serde::Serialize;
use simulator::fault::{Action, Fault, Matcher};
use simulator::installed::STORAGE_ACCOUNT;
use simulator::journal::Detail;
use simulator::mimecast::{Arrival, Event};
use simulator::simulator::{Options, Simulator};
use tokio::process::{Child, Command};

use crate::{screen, workspace};
use account::Accounts;

/// Arguments of the chore.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How often to kill the worker
    #[arg(long, default_value_t = 1_000)]
    kills: u32,
    /// Seed of everything that is random here
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Torture this worker instead of building one
    #[arg(long, value_name = "PATH")]
    worker: Option<PathBuf>,
    /// Print one JSON object and nothing else
    #[arg(long)]
    json: bool,
}

/// What came of it.
#[derive(Debug, Serialize)]
struct Summary {
    kills: u32,
    events: usize,
    rows: usize,
    /// Events that Azure refused twice, and that are kept with the reason.
    dead_lettered: usize,
    lost: usize,
    duplicate_rows: usize,
    unexplained_duplicates: usize,
    runs: u32,
    runs_found_busy: u32,
    leases_left: u32,
    faults: u32,
    seed: u64,
    seconds: u64,
}

/// How far a window reaches back. Events of this torture arrive later than they happen, but sooner
/// than this.
const OVERLAP_SECS: u64 = 8;
/// The latest arrival of an event.
const LATEST_SECS: u64 = 5;
/// Of so many runs one is killed: in real life there are more runs than kills too.
const RUNS_PER_KILL: u32 = 4;
/// Of so many kills one leaves its lease to run out.
const KILLS_PER_LEASE_LEFT: u32 = 10;
/// New events before a run at most, and before one that is to be killed: there are more of them in real
/// life too, where a kill is rare.
const EVENTS_PER_RUN: u64 = 200;
/// The same before a run that is to be killed.
const EVENTS_PER_KILL: u64 = 30;
/// A run that takes longer hangs.
const LONGEST_RUN: Duration = Duration::from_secs(120);

/// Runs the chore.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let worker = arguments.worker.clone().map_or_else(build, Ok)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let summary = runtime.block_on(torture(arguments, worker))?;
    let sound = summary.lost == 0
        && summary.unexplained_duplicates == 0
        && summary.duplicate_rows * 100 <= summary.events;
    if arguments.json {
        screen::line(&serde_json::to_string(&summary)?);
    } else {
        screen::line(&format!("{summary:#?}"));
    }
    ensure!(sound, "events were lost, or came twice without a reason, or too many came twice");
    Ok(())
}

/// Builds the worker and gives its path.
fn build() -> anyhow::Result<PathBuf> {
    // The packages that this program was built with, so that nothing is compiled twice.
    let built = workspace::cargo(&[
        "build",
        "--package",
        "xtask",
        "--package",
        "installer",
        "--package",
        "worker",
        "--bins",
    ])
    .status()?;
    ensure!(built.success(), "the worker could not be built");
    let path = workspace::root().join("target/debug/mimecast-sentinel-worker");
    ensure!(path.exists(), "cargo built no {}", path.display());
    Ok(path)
}

/// The torture with its state.
struct Torture {
    simulator: Simulator,
    worker: PathBuf,
    environment: BTreeMap<String, String>,
    random: fastrand::Rng,
    accounts: Accounts,
    numbered: u64,
    /// How far the simulator's clock was moved: events happen by the worker's own.
    ahead: Duration,
    /// How long a run takes.
    typical: Duration,
    summary: Summary,
}

async fn torture(arguments: &Arguments, worker: PathBuf) -> anyhow::Result<Summary> {
    let began = Instant::now();
    let simulator = Simulator::start(Options { journal: Detail::Bodies }).await?;
    let mut environment = simulator.installed();
    for (name, value) in [
        (settings::MIMECAST_OVERLAP, format!("{OVERLAP_SECS}s")),
        (settings::MIMECAST_SETTLE, "0s".to_owned()),
        (settings::MIMECAST_PAGE_SIZE, "250".to_owned()),
    ] {
        environment.insert(name.to_owned(), value);
    }
    let summary = Summary {
        kills: 0,
        events: 0,
        rows: 0,
        dead_lettered: 0,
        lost: 0,
        duplicate_rows: 0,
        unexplained_duplicates: 0,
        runs: 0,
        runs_found_busy: 0,
        leases_left: 0,
        faults: 0,
        seed: arguments.seed,
        seconds: 0,
    };
    let mut torture = Torture {
        simulator,
        worker,
        environment,
        random: fastrand::Rng::with_seed(arguments.seed),
        accounts: Accounts::default(),
        numbered: 0,
        ahead: Duration::ZERO,
        typical: Duration::from_millis(500),
        summary,
    };
    while torture.summary.kills < arguments.kills {
        torture.set_faults();
        if torture.random.u32(..RUNS_PER_KILL) == 0 {
            torture.add_events(EVENTS_PER_KILL);
            torture.run_and_kill().await?;
        } else {
            torture.add_events(EVENTS_PER_RUN);
            torture.run_to_its_end().await?;
        }
        if !arguments.json && torture.summary.runs.is_multiple_of(100) {
            screen::line(&format!("{} kills, {} runs", torture.summary.kills, torture.summary.runs));
        }
    }
    torture.settle().await?;
    let mut summary = torture.judge();
    summary.seconds = began.elapsed().as_secs();
    Ok(summary)
}

impl Torture {
    /// New events, of which some arrive late. Their times are the worker's, their arrival the
    /// simulator's.
    fn add_events(&mut self, at_most: u64) {
        let now = self.simulator.clock().now();
        for _ in 0..self.random.u64(..=at_most) {
            self.numbered += 1;
            let at = now - self.ahead - Duration::from_millis(self.random.u64(..1_500));
            let event = Event::numbered(self.numbered, at);
            let late = self.random.u8(..4) == 0;
            let arrival = match late {
                true => {
                    Arrival::At(now + Duration::from_millis(self.random.u64(..LATEST_SECS * 1_000 - 1_500)))
                }
                false => Arrival::Present,
            };
            self.simulator.mimecast().add([event.arriving(arrival)]);
        }
    }

    /// At most two faults, of every kind, at either side; in two of three runs none, because each costs
    /// the worker a wait.
    fn set_faults(&mut self) {
        self.simulator.faults().clear();
        if self.random.u8(..3) > 0 {
            return;
        }
        for _ in 0..self.random.u8(..3) {
            let (service, method, part) = match self.random.u8(..5) {
                0 => ("mimecast", "POST", "get-audit-events"),
                1 => ("mimecast", "POST", "oauth"),
                2 => ("blob", "PUT", "checkpoint.txt"),
                _ => ("ingestion", "POST", ""),
            };
            let answer = |status: u16, headers: &[(&str, &str)]| Action::Answer {
                status,
                headers: headers.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect(),
                body: "{}".to_owned(),
            };
            let action = match self.random.u8(..8) {
                0 => Action::DropBefore,
                // A lost answer of the ingestion repeats its batch by its nature: rarer than the others.
                1 if service != "ingestion" || self.random.u8(..4) == 0 => Action::DropAfter,
                2 => Action::Truncate(self.random.usize(..200)),
                3 => answer(429, &[("retry-after", "0"), ("x-ratelimit-reset", "10")]),
                4 => answer(500, &[]),
                5 if service == "ingestion" => answer(413, &[]),
                6 => Action::Delay(Duration::from_millis(self.random.u64(..80))),
                _ => answer(503, &[]),
            };
            let fault = Fault::once(Matcher::new(service, method, part), action);
            self.simulator.faults().add(fault.skip(self.random.usize(..3)));
            self.summary.faults += 1;
        }
    }

    fn start(&mut self) -> anyhow::Result<Child> {
        self.summary.runs += 1;
        Command::new(&self.worker)
            .args(["run", "--once"])
            .env_clear()
            .envs(&self.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .context("starting the worker")
    }

    async fn run_to_its_end(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        let child = self.start()?;
        let ended = tokio::time::timeout(LONGEST_RUN, child.wait_with_output()).await;
        let output = ended.context("a run does not end")??;
        let log = String::from_utf8_lossy(&output.stdout);
        if log.contains("\"result\":\"busy\"") {
            self.summary.runs_found_busy += 1;
            // The lease that a killed run left runs out: a minute passes.
            self.pass(Duration::from_secs(61));
        } else if output.status.success() {
            self.typical = (self.typical * 3 + began.elapsed().min(Duration::from_secs(2))) / 4;
        }
        self.note();
        Ok(())
    }

    async fn run_and_kill(&mut self) -> anyhow::Result<()> {
        let instant = self.typical.mul_f64(1.2 * self.random.f64());
        let mut child = self.start()?;
        if let Ok(ended) = tokio::time::timeout(instant, child.wait()).await {
            ended?;
            self.note();
            return Ok(());
        }
        child.kill().await?;
        self.summary.kills += 1;
        // What had reached the services before the kill is worked off by them.
        let mut mark = self.simulator.journal().len();
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let now = self.simulator.journal().len();
            if std::mem::replace(&mut mark, now) == now {
                break;
            }
        }
        self.note();
        if self.random.u32(..KILLS_PER_LEASE_LEFT) == 0 {
            self.summary.leases_left += 1;
        } else {
            self.simulator.data().blobs.break_lease(STORAGE_ACCOUNT, CHECKPOINT_CONTAINER, "checkpoint.txt");
        }
        Ok(())
    }

    /// Takes down what the journals of both sides say now.
    fn note(&mut self) {
        let blobs = &self.simulator.data().blobs;
        let content = blobs.content(STORAGE_ACCOUNT, CHECKPOINT_CONTAINER, "checkpoint.txt");
        self.accounts.note(self.simulator.journal(), content.as_deref());
    }

    fn pass(&mut self, time: Duration) {
        self.simulator.clock().advance(time);
        self.ahead += time;
    }

    /// No more faults and kills: everything that is to arrive arrives, and is collected.
    async fn settle(&mut self) -> anyhow::Result<()> {
        self.simulator.faults().clear();
        self.simulator.data().blobs.break_lease(STORAGE_ACCOUNT, CHECKPOINT_CONTAINER, "checkpoint.txt");
        // The last events arrive by the simulator's clock and are within the overlap by the worker's.
        self.pass(Duration::from_secs(LATEST_SECS));
        for _ in 0..20 {
            let output = self.start()?.wait_with_output().await?;
            self.note();
            if String::from_utf8_lossy(&output.stdout).contains("\"result\":\"ok\"") {
                // A second one, for what the first one's window ended before.
                self.start()?.wait_with_output().await?;
                self.note();
                return Ok(());
            }
        }
        bail!("the worker does not come to rest")
    }

    /// Mimecast's ids of the events in the dead letters.
    fn set_aside(&self) -> BTreeSet<String> {
        let blobs = &self.simulator.data().blobs;
        let names = blobs.names(STORAGE_ACCOUNT, DEAD_LETTER_CONTAINER).unwrap_or_default();
        let content = |name: &String| blobs.content(STORAGE_ACCOUNT, DEAD_LETTER_CONTAINER, name);
        names.iter().filter_map(content).flat_map(|content| account::ids_of_letters(&content)).collect()
    }

    fn judge(mut self) -> Summary {
        let served: Vec<String> =
            self.simulator.mimecast().events().into_iter().map(|event| event.id).collect();
        let rows = self.simulator.data().rows.of(contract::streams::AUDIT_TABLE);
        let ids = rows.iter().filter_map(|row| row.get("id_s")?.as_str());
        let set_aside = self.set_aside();
        let judged = self.accounts.judge(&served, ids, &set_aside);
        self.summary.dead_lettered = set_aside.len();
        self.summary.events = served.len();
        self.summary.rows = rows.len();
        self.summary.lost = judged.lost;
        self.summary.duplicate_rows = judged.duplicate_rows;
        self.summary.unexplained_duplicates = judged.unexplained;
        self.summary
    }
}
