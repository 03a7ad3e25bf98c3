//! Kills the real worker at random instants while events arrive late and both sides fail, and counts
//! what was lost and what came twice. Why so, and what the figures mean: `docs/decisions/torture.md`.
//!
//! * [`lane`]: one worker in a world of its own; several run side by side, since each waits for most of
//!   its time.
//! * [`fault_plan`]: what fails, and how often.
//! * [`storage`]: where the worker keeps its place: Azurite, or the simulator's own blobs.
//! * [`account`]: what the journals of both sides say of it.

mod account;
mod fault_plan;
mod lane;
mod storage;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::ensure;
use serde::Serialize;

use crate::{screen, workspace};
use lane::{Lane, Tally};
pub(crate) use storage::Blobs;

/// How many workers are tortured side by side: each waits for most of its time.
const LANES: u32 = 8;

/// Arguments of the chore.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How often to kill the worker
    #[arg(long, default_value_t = 1_000)]
    kills: u32,
    /// How many runs there are for each that is killed, on average: every five minutes one and a kill a
    /// day would be 288
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    runs_per_kill: u32,
    /// Seed of everything that is random here
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many workers are tortured side by side
    #[arg(long, default_value_t = LANES, value_parser = clap::value_parser!(u32).range(1..))]
    lanes: u32,
    /// Where they keep their places; Azurite where it is installed
    #[arg(long, value_enum)]
    blobs: Option<Blobs>,
    /// Torture this worker instead of building one
    #[arg(long, value_name = "PATH")]
    worker: Option<PathBuf>,
    /// Print one JSON object and nothing else
    #[arg(long)]
    json: bool,
}

impl Arguments {
    /// The gate's torture: shorter and denser, on the simulator's own blobs, which cost the machine less
    /// than Azurite.
    pub(crate) fn of_the_gate() -> Self {
        Self {
            kills: 200,
            runs_per_kill: 3,
            seed: 1,
            lanes: LANES,
            blobs: Some(Blobs::StandIn),
            worker: None,
            json: true,
        }
    }
}

/// What came of it.
#[derive(Debug, Serialize)]
struct Summary {
    kills: u32,
    /// Kills while a batch was on its way.
    kills_in_flight: u32,
    events: usize,
    rows: usize,
    lost: usize,
    duplicate_rows: usize,
    /// Because a batch was in flight at a kill.
    duplicates_by_kill: usize,
    /// Because Azure's answer to a batch was lost.
    duplicates_by_lost_answer: usize,
    unexplained_duplicates: usize,
    /// Rows of calls that a service worked off after those of a later run.
    late_rows: usize,
    /// Records that Azure refused twice and that were set aside; the replay at the end delivers them.
    dead_letters: usize,
    dead_letters_left: usize,
    runs: u32,
    runs_found_busy: u32,
    runs_in_pairs: u32,
    leases_left: u32,
    leases_lost: u32,
    /// How often the worker's clock was set back, from a minute ahead to some seconds behind.
    clock_jumps: u32,
    faults: u32,
    lost_acceptances: u32,
    blobs: &'static str,
    lanes: u32,
    seed: u64,
    seconds: u64,
}

/// Of so many events one row at most may be there twice.
const EVENTS_PER_DUPLICATE: usize = 100;
/// With fewer kills than this some full bodies more may be, since each alone is near to one in a hundred
/// of so few events.
const KILLS_FOR_A_FAIR_SHARE: u32 = 1_000;
/// Full bodies that a run of few kills may repeat beyond its share.
const BODIES_BEYOND: usize = 3;
/// Rows of a full body.
const ROWS_OF_A_BODY: usize = 1_440;

/// Runs the chore.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let began = Instant::now();
    let worker = arguments.worker.clone().map_or_else(build, Ok)?;
    let blobs = arguments.blobs.unwrap_or_else(Blobs::best);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let tally = runtime.block_on(torture(arguments, worker, blobs))?;
    let summary = Summary {
        kills: tally.kills,
        kills_in_flight: tally.kills_in_flight,
        events: tally.events,
        rows: tally.rows,
        lost: tally.lost.len(),
        duplicate_rows: tally.by_kill + tally.by_lost_answer + tally.unexplained.len(),
        duplicates_by_kill: tally.by_kill,
        duplicates_by_lost_answer: tally.by_lost_answer,
        unexplained_duplicates: tally.unexplained.len(),
        late_rows: tally.late,
        dead_letters: tally.dead_letters,
        dead_letters_left: tally.letters_left,
        runs: tally.runs,
        runs_found_busy: tally.runs_found_busy,
        runs_in_pairs: tally.pairs,
        leases_left: tally.leases_left,
        leases_lost: tally.leases_lost,
        clock_jumps: tally.clock_jumps,
        faults: tally.faults,
        lost_acceptances: tally.lost_acceptances,
        blobs: match blobs {
            Blobs::Azurite => "azurite",
            Blobs::StandIn => "stand-in",
        },
        lanes: arguments.lanes,
        seed: arguments.seed,
        seconds: began.elapsed().as_secs(),
    };
    let shown = if arguments.json { serde_json::to_string(&summary)? } else { format!("{summary:#?}") };
    screen::line(&shown);
    let some = |list: &[String]| list.iter().take(5).cloned().collect::<Vec<_>>().join("\n  ");
    ensure!(tally.lost.is_empty(), "events were lost, among them\n  {}", some(&tally.lost));
    ensure!(
        tally.unexplained.is_empty(),
        "events came twice without a reason, among them\n  {}",
        some(&tally.unexplained)
    );
    ensure!(tally.letters_left == 0, "a replay left {} records that Azure takes now", tally.letters_left);
    let more = if summary.kills < KILLS_FOR_A_FAIR_SHARE { BODIES_BEYOND * ROWS_OF_A_BODY } else { 0 };
    ensure!(
        summary.duplicate_rows <= summary.events / EVENTS_PER_DUPLICATE + more,
        "more than one event in a hundred came twice"
    );
    // The last kill of a lane may have left the lease to nobody.
    ensure!(
        tally.leases_left <= arguments.lanes || tally.runs_found_busy > 0,
        "no run found the lease of a killed one"
    );
    Ok(())
}

/// Tortures in every lane at once.
async fn torture(arguments: &Arguments, worker: PathBuf, blobs: Blobs) -> anyhow::Result<Tally> {
    let mut lanes = tokio::task::JoinSet::new();
    for number in 0..arguments.lanes {
        let kills = arguments.kills / arguments.lanes + u32::from(number < arguments.kills % arguments.lanes);
        let (worker, seed) = (worker.clone(), arguments.seed.wrapping_add(u64::from(number) << 32));
        // One after another: eight Azurites that start at once take each other's time.
        let lane = Lane::new(worker, blobs, seed).await?;
        lanes.spawn(lane.torture(kills, arguments.runs_per_kill));
    }
    let mut tally = Tally::default();
    while let Some(lane) = lanes.join_next().await {
        tally += lane??;
    }
    Ok(tally)
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
