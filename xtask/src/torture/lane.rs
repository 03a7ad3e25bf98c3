//! One worker under torture, in a world of its own.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use contract::settings;
use contract::streams::AUDIT_TABLE;
use simulator::mimecast::{Arrival, Event, Quota};
use simulator::rows::Keep;
use simulator::simulator::{Options, Simulator};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};

use super::account::{self, Accounts};
use super::fault_plan;
use super::storage::{Blobs, Storage};

/// How far a window reaches back. Events of this torture arrive later than they happen, but sooner
/// than this.
const OVERLAP_SECS: u64 = 8;
/// The latest arrival of an event.
const LATEST_SECS: u64 = 5;
/// How long ago an event happened at most when it is made.
const AGE_MILLIS: u64 = 1_500;
/// Of so many kills one leaves its lease to run out.
const KILLS_PER_LEASE_LEFT: u32 = 10;
/// Of so many runs one has a second one started beside it.
const RUNS_PER_PAIR: u32 = 20;
/// New events before a run at most, and before one in [`RUNS_PER_BACKLOG`], which then has several
/// batches.
const EVENTS_PER_RUN: u64 = 400;
/// Of so many events one is a record that Azure refuses, until the end.
const EVENTS_PER_REFUSED_ONE: u64 = 3_000;
/// What Azure refuses.
const REFUSED: &str = "torture-refused-record";
/// Of so many runs one loses its lease in the middle, and has another beside it from then on.
const RUNS_PER_LOST_LEASE: u32 = 40;
/// How far the worker's clock is ahead of everybody else's at first...
const CLOCK_AHEAD: Duration = Duration::from_secs(60);
/// ...and how far behind it is at last.
const CLOCK_BEHIND: Duration = Duration::from_secs(10);
/// Of so many runs one finds the worker's clock set back.
const RUNS_PER_CLOCK_JUMP: u32 = 20;
/// How far it is set back at most.
const LONGEST_JUMP: Duration = Duration::from_secs(8);
/// Events of a backlog at most.
const EVENTS_PER_BACKLOG: u64 = 3_000;
/// Of so many runs one has a backlog.
const RUNS_PER_BACKLOG: u32 = 60;
/// Of so many events one arrives late.
const EVENTS_PER_LATE_ONE: u8 = 4;
/// A run that takes longer hangs.
const LONGEST_RUN: Duration = Duration::from_secs(120);
/// Lines of such a run's log that are shown.
const LAST_LINES: usize = 12;
/// Calls that Mimecast allows in an hour. Its usual ten thousand are for a run every five minutes; here they were
/// used up after some hundred kills, and the runs after that waited for the hour's end, as they should.
const QUOTA: Quota = Quota { limit: 1_000_000, period: Duration::from_secs(60 * 60) };
/// How long a lease lasts, with some reserve.
const LEASE: Duration = Duration::from_secs(61);

/// What happened in a lane, or in several.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    pub(super) kills: u32,
    /// Kills while a batch was on its way, as the checkpoint said.
    pub(super) kills_in_flight: u32,
    pub(super) events: usize,
    pub(super) rows: usize,
    /// Events without a row, by their ids.
    pub(super) lost: Vec<String>,
    pub(super) by_kill: usize,
    pub(super) by_lost_answer: usize,
    /// Rows of calls that were worked off after a later run's.
    pub(super) late: usize,
    /// Repetitions without a reason.
    pub(super) unexplained: Vec<String>,
    /// Records that were set aside, and of them those that a replay could not deliver.
    pub(super) dead_letters: usize,
    pub(super) letters_left: usize,
    pub(super) runs: u32,
    pub(super) runs_found_busy: u32,
    pub(super) pairs: u32,
    pub(super) leases_left: u32,
    /// Leases that a living run lost.
    pub(super) leases_lost: u32,
    /// How often the worker's clock was set back.
    pub(super) clock_jumps: u32,
    pub(super) faults: u32,
    pub(super) lost_acceptances: u32,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.kills += other.kills;
        self.kills_in_flight += other.kills_in_flight;
        self.events += other.events;
        self.rows += other.rows;
        self.lost.extend(other.lost);
        self.by_kill += other.by_kill;
        self.by_lost_answer += other.by_lost_answer;
        self.late += other.late;
        self.unexplained.extend(other.unexplained);
        self.dead_letters += other.dead_letters;
        self.letters_left += other.letters_left;
        self.runs += other.runs;
        self.runs_found_busy += other.runs_found_busy;
        self.pairs += other.pairs;
        self.leases_left += other.leases_left;
        self.leases_lost += other.leases_lost;
        self.clock_jumps += other.clock_jumps;
        self.faults += other.faults;
        self.lost_acceptances += other.lost_acceptances;
    }
}

/// How long runs take, so that a kill falls into one.
#[derive(Debug, Clone, Copy)]
struct Typical {
    calm: Duration,
    with_faults: Duration,
}

impl Typical {
    fn of(&mut self, faults: u32) -> &mut Duration {
        if faults == 0 { &mut self.calm } else { &mut self.with_faults }
    }
}

/// The torture of one worker, with its state.
pub(super) struct Lane {
    simulator: Simulator,
    storage: Storage,
    worker: PathBuf,
    environment: BTreeMap<String, String>,
    random: fastrand::Rng,
    accounts: Accounts,
    numbered: u64,
    /// How far the worker's clock was set back so far.
    set_back: Duration,
    typical: Typical,
    /// The lease of a killed run has been seen to run out by the machine's own clock.
    waited: bool,
    tally: Tally,
}

impl Lane {
    /// A world with an installed worker.
    pub(super) async fn new(worker: PathBuf, blobs: Blobs, seed: u64) -> anyhow::Result<Self> {
        let simulator = Simulator::start(Options::default()).await?;
        // The bodies tell which rows they held; the tables only count them.
        simulator.data().rows.keep(Keep::Tally);
        simulator.data().rows.refuse_bodies_with(REFUSED);
        simulator.mimecast().configure(|settings| settings.quota = Some(QUOTA));
        // The worker has the machine's clock: ours is moved in its place.
        simulator.clock().set_back(CLOCK_AHEAD);
        let mut environment = simulator.installed();
        for (name, value) in [
            (settings::MIMECAST_OVERLAP, format!("{OVERLAP_SECS}s")),
            (settings::MIMECAST_SETTLE, "0s".to_owned()),
            (settings::MIMECAST_PAGE_SIZE, "100".to_owned()),
        ] {
            environment.insert(name.to_owned(), value);
        }
        let storage = Storage::start(blobs, &simulator, &mut environment).await?;
        let half_a_second = Duration::from_millis(500);
        Ok(Self {
            simulator,
            storage,
            worker,
            environment,
            random: fastrand::Rng::with_seed(seed),
            accounts: Accounts::default(),
            numbered: 0,
            set_back: Duration::ZERO,
            typical: Typical { calm: half_a_second, with_faults: half_a_second },
            waited: false,
            tally: Tally::default(),
        })
    }

    /// Kills the worker so often, each time in one of `runs_per_kill` runs, lets it come to rest, and
    /// counts.
    pub(super) async fn torture(mut self, kills: u32, runs_per_kill: u32) -> anyhow::Result<Tally> {
        while self.tally.kills < kills {
            let planned = fault_plan::plan(&mut self.random, self.simulator.faults());
            self.tally.faults += planned.faults;
            self.tally.lost_acceptances += planned.lost_acceptances;
            self.set_the_workers_clock_back();
            self.add_events()?;
            if self.random.u32(..runs_per_kill) == 0 {
                self.run_and_kill(planned.faults).await?;
            } else if self.random.u32(..RUNS_PER_PAIR) == 0 {
                self.run_two().await?;
            } else if self.random.u32(..RUNS_PER_LOST_LEASE) == 0 {
                self.run_and_lose_the_lease(planned.faults).await?;
            } else {
                self.run_to_its_end(planned.faults).await?;
            }
        }
        self.settle().await?;
        self.judge()
    }

    /// Now and then, until it is behind by as much as this torture can wait for at its end.
    fn set_the_workers_clock_back(&mut self) {
        let left = (CLOCK_AHEAD + CLOCK_BEHIND).saturating_sub(self.set_back);
        if left.is_zero() || self.random.u32(..RUNS_PER_CLOCK_JUMP) > 0 {
            return;
        }
        let by = LONGEST_JUMP.mul_f64(self.random.f64()).min(left);
        self.simulator.clock().advance(by);
        self.set_back += by;
        self.tally.clock_jumps += 1;
    }

    /// New events, of which some arrive late and some are refused.
    fn add_events(&mut self) -> anyhow::Result<()> {
        let now = self.simulator.clock().now();
        let backlog = self.random.u32(..RUNS_PER_BACKLOG) == 0;
        let count = self.random.u64(..=if backlog { EVENTS_PER_BACKLOG } else { EVENTS_PER_RUN });
        let mut events = Vec::new();
        for _ in 0..count {
            self.numbered += 1;
            let at = now - Duration::from_millis(self.random.u64(..AGE_MILLIS));
            let late = self.random.u8(..EVENTS_PER_LATE_ONE) == 0;
            let arrival = match late {
                true => {
                    let wait = self.random.u64(..LATEST_SECS * 1_000 - AGE_MILLIS);
                    Arrival::At(now + Duration::from_millis(wait))
                }
                false => Arrival::Present,
            };
            let mut event = Event::numbered(self.numbered, at);
            if self.random.u64(..EVENTS_PER_REFUSED_ONE) == 0 {
                let mut json: serde_json::Value = serde_json::from_slice(event.json())?;
                json["user"] = REFUSED.into();
                event = Event::raw(at, "authentication_logs", json.to_string().as_bytes());
            }
            events.push(event.arriving(arrival));
        }
        self.simulator.mimecast().add(events);
        Ok(())
    }

    fn start(&mut self, arguments: &[&str]) -> anyhow::Result<Child> {
        self.tally.runs += 1;
        Command::new(&self.worker)
            .args(arguments)
            .env_clear()
            .envs(&self.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .context("starting the worker")
    }

    async fn run_to_its_end(&mut self, faults: u32) -> anyhow::Result<()> {
        let began = Instant::now();
        let output = ended(self.start(&["run", "--once"])?).await?;
        if found_busy(&output) {
            self.tally.runs_found_busy += 1;
            self.let_the_lease_end().await?;
        } else if output.status.success() {
            let typical = self.typical.of(faults);
            *typical = (*typical * 3 + began.elapsed().min(Duration::from_secs(4))) / 4;
        }
        self.note();
        Ok(())
    }

    /// Two at once: one works, the other leaves the work to it.
    async fn run_two(&mut self) -> anyhow::Result<()> {
        self.tally.pairs += 1;
        let pair = [self.start(&["run", "--once"])?, self.start(&["run", "--once"])?];
        let [first, second] = pair.map(ended);
        let (first, second) = tokio::join!(first, second);
        if found_busy(&first?) && found_busy(&second?) {
            self.let_the_lease_end().await?;
        }
        self.note();
        Ok(())
    }

    /// A run whose lease is gone in the middle, as after a pause of its machine that was longer than the
    /// lease, and one that goes on in its place.
    async fn run_and_lose_the_lease(&mut self, faults: u32) -> anyhow::Result<()> {
        let instant = self.typical.of(faults).mul_f64(self.random.f64());
        let mut first = self.start(&["run", "--once"])?;
        if let Ok(ended) = tokio::time::timeout(instant, first.wait()).await {
            ended?;
            self.note();
            return Ok(());
        }
        self.storage.break_lease(&self.simulator).await?;
        self.tally.leases_lost += 1;
        // From here on the first can write nothing: what it has in flight is named by what is there.
        let checkpoint = self.storage.checkpoint(&self.simulator).await?;
        self.accounts.note_doubt(checkpoint.as_deref());
        let second = self.start(&["run", "--once"])?;
        let (first, second) = tokio::join!(ended(first), ended(second));
        if found_busy(&first?) && found_busy(&second?) {
            self.let_the_lease_end().await?;
        }
        self.note();
        Ok(())
    }

    async fn run_and_kill(&mut self, faults: u32) -> anyhow::Result<()> {
        let instant = self.typical.of(faults).mul_f64(1.2 * self.random.f64());
        let mut child = self.start(&["run", "--once"])?;
        if let Ok(ended) = tokio::time::timeout(instant, child.wait()).await {
            ended?;
            self.note();
            return Ok(());
        }
        child.start_kill()?;
        let killed = child.wait().await?.signal().is_some();
        // What had reached the services before the kill is worked off by them.
        let journal = self.simulator.journal().clone();
        let mut mark = journal.len();
        loop {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let now = journal.len();
            if std::mem::replace(&mut mark, now) == now {
                break;
            }
        }
        self.note();
        if !killed {
            return Ok(());
        }
        self.tally.kills += 1;
        let checkpoint = self.storage.checkpoint(&self.simulator).await?;
        self.tally.kills_in_flight += u32::from(self.accounts.note_doubt(checkpoint.as_deref()));
        if self.random.u32(..KILLS_PER_LEASE_LEFT) == 0 {
            self.tally.leases_left += 1;
        } else {
            self.storage.break_lease(&self.simulator).await?;
        }
        Ok(())
    }

    /// The lease that a killed run left runs out. Azurite's is waited for once; after that the harness,
    /// which knows that the holder is dead, ends it.
    async fn let_the_lease_end(&mut self) -> anyhow::Result<()> {
        if self.storage.age_lease(&self.simulator, LEASE) {
            return Ok(());
        }
        if std::mem::replace(&mut self.waited, true) {
            self.storage.break_lease(&self.simulator).await?;
        } else {
            tokio::time::sleep(LEASE).await;
        }
        Ok(())
    }

    /// Takes down what is new in the services' journal.
    fn note(&mut self) {
        self.accounts.note_calls(self.simulator.journal());
    }

    /// No more faults and kills: everything that is to arrive arrives, and is collected; then what was
    /// set aside is sent again.
    async fn settle(&mut self) -> anyhow::Result<()> {
        self.simulator.faults().clear();
        self.storage.break_lease(&self.simulator).await?;
        // The last events arrive, also by the worker's clock, and are within the overlap.
        let behind = self.set_back.saturating_sub(CLOCK_AHEAD);
        tokio::time::sleep(Duration::from_secs(LATEST_SECS) + behind).await;
        let mut attempts = 0..20;
        loop {
            let output = ended(self.start(&["run", "--once"])?).await?;
            self.note();
            if String::from_utf8_lossy(&output.stdout).contains("\"result\":\"ok\"") {
                break;
            }
            if attempts.next().is_none() {
                bail!("the worker does not come to rest: {}", String::from_utf8_lossy(&output.stdout));
            }
        }
        self.tally.dead_letters = account::letters(&self.storage.dead_letters(&self.simulator).await?);
        self.simulator.data().rows.refuse_bodies_with("");
        ended(self.start(&["replay"])?).await?;
        self.note();
        self.tally.letters_left = account::letters(&self.storage.dead_letters(&self.simulator).await?);
        Ok(())
    }

    fn judge(mut self) -> anyhow::Result<Tally> {
        let served: Vec<String> =
            self.simulator.mimecast().events().into_iter().map(|event| event.id).collect();
        let judged = self.accounts.judge(&served);
        self.tally.events = served.len();
        self.tally.rows = self.accounts.rows();
        self.tally.late = self.accounts.late();
        let counted = self.simulator.data().rows.tally(AUDIT_TABLE).rows;
        ensure!(
            u64::try_from(self.tally.rows)? == counted,
            "the bodies held {} rows, and the table counted {counted}",
            self.tally.rows
        );
        self.tally.lost = judged.lost;
        self.tally.by_kill = judged.by_kill;
        self.tally.by_lost_answer = judged.by_lost_answer;
        self.tally.unexplained = judged.unexplained;
        Ok(self.tally)
    }
}

/// The end of a run that is not killed. Of one that does not end, what it said last is the error.
async fn ended(mut child: Child) -> anyhow::Result<Output> {
    let mut said = child.stdout.take().context("its output is ours")?;
    let mut stdout = Vec::new();
    let end = async {
        let (status, read) = tokio::join!(child.wait(), said.read_to_end(&mut stdout));
        read.and(status)
    };
    match tokio::time::timeout(LONGEST_RUN, end).await {
        Ok(status) => Ok(Output { status: status?, stdout, stderr: Vec::new() }),
        Err(_) => {
            let text = String::from_utf8_lossy(&stdout);
            let mut last: Vec<&str> = text.lines().rev().take(LAST_LINES).collect();
            last.reverse();
            bail!("a run does not end; it said last\n{}", last.join("\n"))
        }
    }
}

/// Whether it left the work to another run.
fn found_busy(output: &Output) -> bool {
    String::from_utf8_lossy(&output.stdout).contains("\"result\":\"busy\"")
}
