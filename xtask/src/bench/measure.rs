//! What is run, in its order, and the figures that come of it.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::figures::{Measured, median};
use super::stage::{History, PAGE_GZIP_LEVEL, Peer, Ran, Stage};
use super::{Extent, Programs, untouched};
use crate::screen;

/// The stretch over which the largest history is spread: nearly all that Mimecast gives out.
const LONGEST_SPAN: Duration = Duration::from_secs(59 * 24 * 60 * 60);
/// Of so many events one is in the history on which CPU is compared: the peers are slow.
const COMPARED: u64 = 5;
/// How often worker and lean peer are run in turn in each round: a run takes seconds, and a machine can be half as
/// fast for as long.
const PAIRS: u32 = 3;
/// The same for wall time with latency: of a million 50,000, the most that one window holds. And for the
/// peers with latency.
const DELAYED: u64 = 20;
const DELAYED_PEERS: u64 = 100;
/// They happened within a first run's first window of an hour.
const DELAYED_SPAN: Duration = Duration::from_secs(45 * 60);
/// The same for the smallest history.
const SMALLEST: u64 = 100;
/// Days of the backfill, and workers that share them.
const BACKFILL_DAYS: u32 = 4;
/// The longest history in days: a day of the backfill has as many events as one of that.
const DAYS: u64 = 59;
/// What the Logs Ingestion API takes in one call
/// (<https://learn.microsoft.com/azure/azure-monitor/fundamentals/service-limits#logs-ingestion-api>).
const CALL_BYTES: f64 = 1_000_000.0;
const MIB: f64 = 1024.0 * 1024.0;

/// Measures everything.
pub(super) fn measure(programs: Programs, extent: Extent) -> Result<Measured> {
    let mut stage = Stage::start(programs)?;
    let mut noted = Noted::default();
    let span = |share: u64| LONGEST_SPAN / u32::try_from(share).unwrap_or(u32::MAX);
    let rounds = 0..extent.rounds;

    screen::heading("CPU, side by side");
    let compared = stage.history(extent.events / COMPARED, span(COMPARED))?;
    let (mut worker, mut official, mut lean) =
        (Runs::new(compared), Runs::new(compared), Runs::new(compared));
    for _ in rounds.clone() {
        for _ in 0..PAIRS {
            worker.push("worker", stage.worker(compared)?);
            lean.push("lean peer", stage.peer(Peer::Lean, compared)?);
        }
        official.push("official peer", stage.peer(Peer::Official, compared)?);
    }
    let cpu = worker.cpu_per_million();
    noted.value("cpu_ratio_official", cpu / official.cpu_per_million());
    noted.value("cpu_ratio_lean", cpu / lean.cpu_per_million());
    for (name, runs) in [("worker", &worker), ("official", &official), ("lean", &lean)] {
        noted.behind(&format!("{name}_cpu_secs_per_million"), runs.cpu_per_million());
        noted.behind(&format!("{name}_peak_mib"), runs.median(|ran| ran.peak_mib));
        noted.behind(&format!("{name}_first_call_ms"), runs.median(|ran| ran.first_call_ms));
        noted.behind(&format!("{name}_fill"), runs.median(fill));
        noted.behind(&format!("{name}_calls_per_million"), runs.calls_per_million());
        noted.behind(&format!("{name}_wall_secs"), runs.median(|ran| ran.wall_secs));
        let simulator = runs.median(|ran| per_million(ran.simulator_cpu_secs, compared));
        noted.behind(&format!("{name}_simulator_cpu_secs_per_million"), simulator);
    }

    screen::heading("memory and bodies");
    let smallest = stage.history(extent.events / SMALLEST, span(SMALLEST))?;
    let mut small = Runs::new(smallest);
    for _ in rounds.clone() {
        small.push("worker", stage.worker(smallest)?);
    }
    let largest = stage.history(extent.events, span(1))?;
    let mut large = Runs::new(largest);
    // In turn with what is compared with it: a machine's speed may change. A part fits into memory.
    let mut limit = Vec::new();
    for _ in rounds.clone() {
        large.push("worker", stage.worker(largest)?);
        limit.push(stage.limit(largest, COMPARED)?.cpu_per_million());
    }
    let limit = median(limit);
    let peak = large.median(|ran| ran.peak_mib);
    noted.value("peak_rss_mib", peak);
    noted.value("rss_flatness", peak / small.median(|ran| ran.peak_mib));
    noted.value("limit_ratio", limit / large.cpu_per_million());
    noted.value("fill", large.median(fill));
    noted.value("calls_per_million", large.calls_per_million());
    noted.value("start_ms", median(small.start_ms().chain(large.start_ms()).chain(worker.start_ms())));
    noted.behind("limit_cpu_secs_per_million", limit);
    noted.behind("smallest_peak_mib", small.median(|ran| ran.peak_mib));
    noted.behind("largest_cpu_secs_per_million", large.cpu_per_million());
    noted.behind("largest_wall_secs", large.median(|ran| ran.wall_secs));
    noted.behind(
        "largest_simulator_cpu_secs_per_million",
        large.median(|ran| per_million(ran.simulator_cpu_secs, largest)),
    );
    noted.behind(
        "plain_bytes_per_event",
        large.median(|ran| ran.accepted.body_bytes as f64 / ran.accepted.rows as f64),
    );
    noted.behind(
        "sent_bytes_per_event",
        large.median(|ran| ran.accepted.sent_bytes as f64 / ran.accepted.rows as f64),
    );

    screen::heading("wall time with latency");
    latency(&mut stage, extent, &mut noted)?;

    screen::heading("package and plan");
    let package = fs::metadata(stage.package()).context("the package")?.len();
    noted.value("package_mib", package as f64 / MIB);
    let plans = untouched::plan_times(&stage, extent.rounds)?;
    noted.value("plan_ms", median(plans));

    let versions = stage.versions.iter().map(|(name, version)| (name.clone(), json!(version)));
    Ok(Measured {
        values: noted.values,
        absolute: noted.absolute,
        peers: versions.collect(),
        setting: setting(&stage, extent),
    })
}

/// Wall times where each call takes longer: worker and bound, backfill, peers.
fn latency(stage: &mut Stage, extent: Extent, noted: &mut Noted) -> Result<()> {
    let delayed = stage.history(extent.events / DELAYED, DELAYED_SPAN)?;
    stage.set_latency(extent.latency);
    let (mut worker, mut fetch, mut pages) = (Vec::new(), Vec::new(), 0);
    for _ in 0..extent.rounds {
        let fetched = stage.fetch(delayed)?;
        pages = fetched.pages;
        fetch.push(fetched.wall_secs);
        worker.push(stage.worker(delayed)?.wall_secs);
        screen::line(&format!(
            "fetch {:.2} s, worker {:.2} s",
            fetched.wall_secs,
            worker.last().unwrap_or(&0.0)
        ));
    }
    let (worker, fetch) = (median(worker), median(fetch));
    noted.value("wall_over_fetch", worker / fetch);
    noted.behind("delayed_worker_wall_secs", worker);
    noted.behind("delayed_fetch_wall_secs", fetch);
    noted.behind("delayed_fetch_pages", pages as f64);

    stage.set_latency(Duration::ZERO);
    // A little less than the days, so that none of it happened before the first.
    let span = LONGEST_SPAN / DAYS as u32 * BACKFILL_DAYS - Duration::from_secs(300);
    let days = stage.history(u64::from(BACKFILL_DAYS) * (extent.events / DAYS), span)?;
    stage.set_latency(extent.latency);
    let (mut one, mut four) = (Vec::new(), Vec::new());
    for _ in 0..extent.rounds {
        one.push(stage.backfill(days, BACKFILL_DAYS, 1)?);
        four.push(stage.backfill(days, BACKFILL_DAYS, BACKFILL_DAYS as usize)?);
        screen::line(&format!(
            "backfill: one {:.2} s, four {:.2} s",
            one.last().unwrap_or(&0.0),
            four.last().unwrap_or(&0.0)
        ));
    }
    let (one, four) = (median(one), median(four));
    noted.value("backfill_speedup", one / four);
    noted.behind("backfill_one_wall_secs", one);
    noted.behind("backfill_four_wall_secs", four);

    stage.set_latency(Duration::ZERO);
    let few = stage.history(extent.events / DELAYED_PEERS, DELAYED_SPAN)?;
    stage.set_latency(extent.latency);
    for (name, peer) in [("worker", None), ("official", Some(Peer::Official)), ("lean", Some(Peer::Lean))] {
        let mut runs = Runs::new(few);
        for _ in 0..extent.rounds {
            let ran = match peer {
                Some(peer) => stage.peer(peer, few)?,
                None => stage.worker(few)?,
            };
            runs.push(name, ran);
        }
        noted.behind(
            &format!("delayed_{name}_secs_per_ten_thousand"),
            runs.median(|ran| ran.wall_secs) / few.events as f64 * 10_000.0,
        );
    }
    stage.set_latency(Duration::ZERO);
    Ok(())
}

/// The circumstances.
fn setting(stage: &Stage, extent: Extent) -> Map<String, Value> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let kernel = read("/proc/sys/kernel/osrelease");
    let cores = stage.cores.map(|cores| json!({ "client": cores.client, "simulator": cores.simulator }));
    let settings = [
        ("events", json!(extent.events)),
        ("rounds", json!(extent.rounds)),
        ("latency_ms", json!(extent.latency.as_millis())),
        ("processor", json!(model.map(|(_, name)| name.trim()))),
        ("kernel", json!(kernel.trim())),
        ("pinned", json!(cores)),
        ("gzip_level_of_pages", json!(PAGE_GZIP_LEVEL)),
        ("gzip_of_worker", json!(worker::batch::COMPRESSION)),
        // zlib's own choice, which the library takes.
        ("gzip_level_of_peers", json!(6)),
        ("worker_version", json!(env!("CARGO_PKG_VERSION"))),
    ];
    settings.map(|(key, value)| (key.to_owned(), value)).into_iter().collect()
}

/// Figures as they come.
#[derive(Default)]
struct Noted {
    values: Vec<(&'static str, f64)>,
    absolute: Map<String, Value>,
}

impl Noted {
    fn value(&mut self, key: &'static str, value: f64) {
        self.values.push((key, rounded(value)));
    }

    fn behind(&mut self, key: &str, value: f64) {
        self.absolute.insert(key.to_owned(), json!(rounded(value)));
    }
}

/// Four digits behind the point: more would say nothing.
fn rounded(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}

/// The runs of one program over one history.
struct Runs {
    history: History,
    runs: Vec<Ran>,
}

impl Runs {
    fn new(history: History) -> Self {
        Self { history, runs: Vec::new() }
    }

    fn push(&mut self, name: &str, ran: Ran) {
        screen::line(&format!(
            "{name:<14} {:>9} events  {:>7.2} s wall  {:>7.2} s CPU  {:>6.1} MiB  {:>5} calls",
            self.history.events, ran.wall_secs, ran.cpu_secs, ran.peak_mib, ran.accepted.calls
        ));
        self.runs.push(ran);
    }

    fn median(&self, of: impl Fn(&Ran) -> f64) -> f64 {
        median(self.runs.iter().map(of))
    }

    fn cpu_per_million(&self) -> f64 {
        self.median(|ran| per_million(ran.cpu_secs, self.history))
    }

    fn calls_per_million(&self) -> f64 {
        self.median(|ran| per_million(ran.accepted.calls as f64, self.history))
    }

    fn start_ms(&self) -> impl Iterator<Item = f64> {
        self.runs.iter().map(|ran| ran.start_ms)
    }
}

fn per_million(value: f64, history: History) -> f64 {
    value * 1_000_000.0 / history.events as f64
}

fn fill(ran: &Ran) -> f64 {
    ran.accepted.body_bytes as f64 / (ran.accepted.calls as f64 * CALL_BYTES)
}
