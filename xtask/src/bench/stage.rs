//! What everybody is measured against: one simulator with a history of made-up events, and the runs of
//! worker, peers and bounds before it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use contract::checkpoint::checkpoint_name;
use contract::resources::{CHECKPOINT_CONTAINER, QUEUE_FUNCTION, TIMER_FUNCTION};
use contract::settings;
use contract::streams::{AUDIT_STREAM, AUDIT_TABLE};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use simulator::fault::{Action, Fault, Matcher};
use simulator::installed::STORAGE_ACCOUNT;
use simulator::journal::Detail;
use simulator::mimecast::Synthetic;
use simulator::rows::{Keep, Tally};
use simulator::simulator::{Options, Simulator};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use tokio::runtime::Runtime;

use super::Programs;
use super::cores::{self, Cores};
use super::process::{self, Usage, Worker};
use crate::test::tools;
use crate::workspace;

/// How Mimecast compresses its pages for those who take gzip: zlib's and most servers' own choice.
pub(super) const PAGE_GZIP_LEVEL: u32 = 6;
/// How old the newest event is.
const NEWEST_AGE: Duration = Duration::from_secs(10 * 60);
/// A run ends with its budget; this is the longest that a worker takes under a host.
const RUN_BUDGET: &str = "25m";
/// A worker that needs more invocations than this for one history makes no way.
const INVOCATIONS: usize = 20;
/// A timer's payload: that it came is what matters.
const TICK: &str = r#"{"Data":{"timer":{"IsPastDue":false}},"Metadata":{}}"#;
/// One slice of the backfill is a day, as the worker cuts them.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A stretch of events to be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct History {
    pub(super) events: u64,
    start: OffsetDateTime,
    end: OffsetDateTime,
}

/// How a program fared.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ran {
    /// From the first call to the last; without the start of the program.
    pub(super) wall_secs: f64,
    /// All of its processor time, its start included.
    pub(super) cpu_secs: f64,
    pub(super) peak_mib: f64,
    /// From the start of the program to the first call that the simulator saw.
    pub(super) first_call_ms: f64,
    /// From the start of the worker to its first answer; of the others nothing.
    pub(super) start_ms: f64,
    /// What the ingestion accepted.
    pub(super) accepted: Tally,
    /// Processor time of the simulator meanwhile.
    pub(super) simulator_cpu_secs: f64,
}

/// One of the Python peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    Official,
    Lean,
}

impl Peer {
    fn name(self) -> &'static str {
        match self {
            Self::Official => "official",
            Self::Lean => "lean",
        }
    }
}

/// What a peer prints.
#[derive(Deserialize)]
struct PeerSaid {
    events: u64,
    wall_secs: f64,
    cpu_secs: f64,
    peak_kib: f64,
    versions: BTreeMap<String, String>,
}

/// What `bounds fetch` prints.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Fetched {
    events: u64,
    pub(super) pages: u64,
    pub(super) wall_secs: f64,
}

/// What `bounds limit` prints.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Limit {
    events: u64,
    cpu_secs: f64,
}

impl Limit {
    pub(super) fn cpu_per_million(self) -> f64 {
        self.cpu_secs * 1_000_000.0 / self.events as f64
    }
}

/// The simulator, and how programs find it.
pub(super) struct Stage {
    pub(super) simulator: Simulator,
    pub(super) runtime: Runtime,
    pub(super) cores: Option<Cores>,
    pub(super) programs: Programs,
    environment: BTreeMap<String, String>,
    /// Versions of the peers, as they said.
    pub(super) versions: BTreeMap<String, String>,
    slices: u32,
}

impl Stage {
    pub(super) fn start(programs: Programs) -> Result<Self> {
        let cores = Cores::find();
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.enable_all();
        if let Some(cores) = cores {
            cores::pin_this_thread(cores.simulator)?;
            // Threads that the runtime starts are bound as the one that starts them is.
            builder.worker_threads(1);
        }
        let runtime = builder.build()?;
        let simulator =
            runtime.block_on(Simulator::start(Options { journal: Detail::Calls, ..Options::default() }))?;
        simulator.data().rows.keep(Keep::Tally);
        simulator.mimecast().configure(|settings| {
            settings.quota = None;
            settings.gzip_level = Some(PAGE_GZIP_LEVEL);
        });
        let mut environment = simulator.installed();
        for (name, value) in [
            (settings::MIMECAST_RUN_BUDGET, RUN_BUDGET),
            // No bound but the history's end.
            (settings::MIMECAST_RUN_EVENTS, "1000000000"),
        ] {
            environment.insert(name.to_owned(), value.to_owned());
        }
        let trusted = trust_store(&simulator)?;
        environment.insert("SSL_CERT_FILE".to_owned(), trusted.clone());
        // What `requests` reads.
        environment.insert("REQUESTS_CA_BUNDLE".to_owned(), trusted);
        let versions = BTreeMap::new();
        Ok(Self { simulator, runtime, cores, programs, environment, versions, slices: 0 })
    }

    pub(super) fn client_core(&self) -> Option<usize> {
        self.cores.map(|cores| cores.client)
    }

    /// Gives Mimecast so many events, evenly over a time that ends shortly before now.
    pub(super) fn history(&self, events: u64, span: Duration) -> Result<History> {
        let now = self.simulator.clock().now();
        let newest = now - NEWEST_AGE;
        let spacing = span.div_f64(events.max(1) as f64);
        self.simulator.mimecast().synthesise(Synthetic { count: events, newest, spacing });
        let history = History {
            events,
            start: whole_second(newest - span - Duration::from_secs(60)),
            end: whole_second(newest + Duration::from_secs(60)),
        };
        // Events are made when they are first served, which must not be part of anybody's time.
        self.fetch(history)?;
        Ok(history)
    }

    /// Makes every call take so much longer, from now on.
    pub(super) fn set_latency(&self, latency: Duration) {
        let faults = self.simulator.faults();
        faults.clear();
        if !latency.is_zero() {
            let action = Action::Delay(latency);
            faults.add(Fault::once(Matcher::default(), action).times(usize::MAX));
        }
    }

    /// The worker, from its start until it has delivered the history.
    pub(super) fn worker(&self, history: History) -> Result<Ran> {
        self.forget();
        let mut environment = self.environment.clone();
        let back = (self.simulator.clock().now() - history.start).whole_seconds();
        environment.insert(settings::MIMECAST_FIRST_RUN.to_owned(), format!("{back}s"));
        let log = self.simulator.directory().join("worker.log");
        let before = self.mark()?;
        let worker = Worker::start(&self.programs.worker, &environment, &log, self.client_core())?;
        let mut wall = Duration::ZERO;
        for _ in 0..INVOCATIONS {
            wall += worker.invoke(TIMER_FUNCTION, TICK, &log)?;
            if self.accepted_since(&before).rows >= history.events {
                break;
            }
        }
        let start_ms = worker.start.as_secs_f64() * 1_000.0;
        let ran = self.ran(&before, wall.as_secs_f64(), worker.usage()?, start_ms)?;
        ensure!(
            ran.accepted.rows == history.events,
            "of {} events the worker delivered {}",
            history.events,
            ran.accepted.rows
        );
        Ok(ran)
    }

    /// Days of the past, each a slice, with so many workers. Gives how long all of them took.
    pub(super) fn backfill(&mut self, history: History, days: u32, workers: usize) -> Result<f64> {
        let before = self.mark()?;
        let folder = self.simulator.directory().to_owned();
        let mut started = Vec::new();
        for number in 0..workers {
            let log = folder.join(format!("worker-{number}.log"));
            let worker = Worker::start(&self.programs.worker, &self.environment, &log, self.client_core())?;
            started.push((worker, log));
        }
        self.slices += 1;
        let first = history.end - DAY * days;
        let message = |day: u32| -> Result<String> {
            let from = first + DAY * day;
            let (request, to) = (self.slices, from + DAY);
            let text = format!("slice {request:08x} {} {}", from.format(&Rfc3339)?, to.format(&Rfc3339)?);
            Ok(json!({ "Data": { "message": text }, "Metadata": {} }).to_string())
        };
        let messages = (0..days).map(message).collect::<Result<Vec<_>>>()?;
        let began = Instant::now();
        std::thread::scope(|scope| {
            let mut threads = Vec::new();
            for (number, (worker, log)) in started.iter().enumerate() {
                let own = messages.iter().skip(number).step_by(workers);
                threads.push(scope.spawn(move || {
                    own.map(|message| worker.invoke(QUEUE_FUNCTION, message, log)).collect::<Result<Vec<_>>>()
                }));
            }
            for thread in threads {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            }
            Ok::<_, anyhow::Error>(())
        })?;
        let took = began.elapsed().as_secs_f64();
        // What happened in the very second of a midnight may be in both slices.
        let rows = self.accepted_since(&before).rows;
        ensure!(rows >= history.events, "of {} events {rows} came", history.events);
        Ok(took)
    }

    /// A peer, from its start to its end.
    pub(super) fn peer(&mut self, peer: Peer, history: History) -> Result<Ran> {
        let python = tools::peer_folder().join("bin").join("python");
        let mut command = Command::new(python);
        command.arg(workspace::root().join("xtask").join("peer").join("peer.py")).arg(peer.name());
        command.env_clear().envs(&self.environment);
        let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]+0000");
        command
            .env("PEER_AUTHORITY", self.simulator.state().endpoints().entra.as_str().trim_end_matches('/'))
            .env("PEER_STREAM", AUDIT_STREAM)
            .env("PEER_STATE", self.simulator.directory().join("peer.json"))
            .env("PEER_START", history.start.format(format)?)
            .env("PEER_END", history.end.format(format)?);
        let before = self.mark()?;
        let said: PeerSaid = said(&process::run(command, self.client_core())?.0)?;
        let usage = Usage { cpu_secs: said.cpu_secs, peak_mib: said.peak_kib / 1024.0 };
        let ran = self.ran(&before, said.wall_secs, usage, 0.0)?;
        ensure!(
            (said.events, ran.accepted.rows) == (history.events, history.events),
            "of {} events the peer read {} and delivered {}",
            history.events,
            said.events,
            ran.accepted.rows
        );
        self.versions = said.versions;
        Ok(ran)
    }

    /// The pages of a history, and nothing done with them.
    pub(super) fn fetch(&self, history: History) -> Result<Fetched> {
        let fetched: Fetched = said(&self.bounds("fetch", history)?)?;
        ensure!(fetched.events == history.events, "of {} events {} came", history.events, fetched.events);
        Ok(fetched)
    }

    /// What has to be done with the first events of a history, this part of them, and nothing else.
    pub(super) fn limit(&self, history: History, part: u64) -> Result<Limit> {
        let span = (history.end - history.start).unsigned_abs().div_f64(part as f64);
        let limit: Limit = said(&self.bounds("limit", History { end: history.start + span, ..history })?)?;
        // The last event may or may not be in it, and the history's ends are a minute wider than its events.
        let expected = history.events / part;
        ensure!(
            limit.events.abs_diff(expected) * 100 <= expected,
            "of {expected} events {} came",
            limit.events
        );
        Ok(limit)
    }

    fn bounds(&self, what: &str, history: History) -> Result<String> {
        let mut command = Command::new(&self.programs.bounds);
        command.args([what, self.simulator.state().endpoints().mimecast.as_str()]);
        command.args([history.start.format(&Rfc3339)?, history.end.format(&Rfc3339)?]);
        command.env_clear().envs(&self.environment);
        Ok(process::run(command, self.client_core())?.0)
    }

    /// Puts the checkpoint back to that of a new installation.
    fn forget(&self) {
        let blobs = &self.simulator.data().blobs;
        let name = checkpoint_name("");
        blobs.break_lease(STORAGE_ACCOUNT, CHECKPOINT_CONTAINER, &name);
        blobs.place(STORAGE_ACCOUNT, CHECKPOINT_CONTAINER, &name, Vec::new().into());
    }

    /// Where things stand before a run. What was noted of earlier calls is forgotten.
    fn mark(&self) -> Result<Mark> {
        self.simulator.journal().take();
        let at = self.simulator.clock().now();
        Ok(Mark { at, accepted: self.tally(), simulator: Usage::of("self")? })
    }

    fn tally(&self) -> Tally {
        self.simulator.data().rows.tally(AUDIT_TABLE)
    }

    fn accepted_since(&self, mark: &Mark) -> Tally {
        let (now, then) = (self.tally(), mark.accepted);
        Tally {
            calls: now.calls - then.calls,
            rows: now.rows - then.rows,
            body_bytes: now.body_bytes - then.body_bytes,
            sent_bytes: now.sent_bytes - then.sent_bytes,
        }
    }

    fn ran(&self, before: &Mark, wall_secs: f64, usage: Usage, start_ms: f64) -> Result<Ran> {
        let first = self.simulator.journal().entries().into_iter().map(|entry| entry.at).min();
        let first = first.context("no call came")?;
        Ok(Ran {
            wall_secs,
            cpu_secs: usage.cpu_secs,
            peak_mib: usage.peak_mib,
            first_call_ms: (first - before.at).as_seconds_f64() * 1_000.0,
            start_ms,
            accepted: self.accepted_since(before),
            simulator_cpu_secs: Usage::of("self")?.cpu_secs - before.simulator.cpu_secs,
        })
    }

    /// The worker's package, zipped.
    pub(super) fn package(&self) -> &PathBuf {
        &self.programs.package
    }
}

/// A file with the authorities that a machine trusts as a rule, and the simulator's: everybody reads those
/// of the machine in life, and some read them for each connection.
fn trust_store(simulator: &Simulator) -> Result<String> {
    let mut command = Command::new(tools::peer_folder().join("bin").join("python"));
    command.args(["-m", "certifi"]);
    let usual = process::run(command, None)?.0;
    let mut authorities = fs::read_to_string(usual.trim()).context("reading the usual authorities")?;
    authorities.push_str(&fs::read_to_string(simulator.ca_file())?);
    let file = simulator.directory().join("trusted.pem");
    fs::write(&file, authorities).context("writing the trusted authorities")?;
    Ok(file.display().to_string())
}

/// Where things stood before a run.
struct Mark {
    at: OffsetDateTime,
    accepted: Tally,
    simulator: Usage,
}

/// What a program printed on its last line.
fn said<T: DeserializeOwned>(printed: &str) -> Result<T> {
    let last = printed.lines().last().unwrap_or_default();
    serde_json::from_str(last).with_context(|| format!("not understood: {last}"))
}

fn whole_second(at: OffsetDateTime) -> OffsetDateTime {
    at.replace_nanosecond(0).unwrap_or(at)
}
