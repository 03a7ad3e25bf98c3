//! `cargo xtask bench`: how fast the worker is, how much memory it takes and how well it uses the
//! ingestion's calls, side by side with two Python programs in the same run.
//!
//! Everybody reads the same history from the same simulator over TLS and posts to it; the programs are
//! those that `cargo xtask dist` gives out. The simulator is in this process, which for that is built
//! anew with optimisation and started again.
//!
//! * [`cores`]: who runs where.
//! * [`figures`]: the figures, with floors and goals.
//! * [`measure`]: what is run, in its order.
//! * [`page`]: the page that tells of it, with [`plot`].
//! * [`process`]: programs and what the kernel says of them.
//! * [`stage`]: the simulator, and the runs before it.
//! * [`untouched`]: a plan with nothing to do.

mod cores;
mod figures;
mod measure;
mod page;
mod plot;
mod process;
mod stage;
#[cfg(test)]
mod tests;
mod untouched;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::test::{succeed, tools};
use crate::{dist, screen, workspace};

/// How to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Events of the largest run; the smaller ones follow from it
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(LEAST_EVENTS..))]
    events: u64,
    /// How often each figure is measured; the median counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Write docs/performance.md and its plot
    #[arg(long)]
    write: bool,
    /// Print the figures as one JSON object on the last line
    #[arg(long)]
    json: bool,
    /// The programs to measure, which are built otherwise; the bench gives them to itself
    #[arg(long, hide = true, num_args = 4, value_names = ["WORKER", "PACKAGE", "INSTALLER", "BOUNDS"])]
    programs: Option<Vec<PathBuf>>,
}

/// Floors and goals are those of a million events; with fewer, a start counts for more.
const JUDGED_EVENTS: u64 = 1_000_000;
/// Below this the smallest run would have no event.
const LEAST_EVENTS: u64 = 1_000;
/// What is added to each call, where latency is.
const LATENCY: Duration = Duration::from_millis(150);
/// The profile that the simulator is built with, in `Cargo.toml`.
const PROFILE: &str = "measure";

/// The programs that are measured.
#[derive(Debug)]
pub(crate) struct Programs {
    worker: PathBuf,
    package: PathBuf,
    installer: PathBuf,
    /// Whether the installer has the package built in, as what is given out has.
    built_in: bool,
    /// What no worker can go below: the worker's example of that name.
    bounds: PathBuf,
}

/// How much is measured.
#[derive(Debug, Clone, Copy)]
struct Extent {
    events: u64,
    rounds: u32,
    latency: Duration,
}

/// Runs the chore.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let Some(programs) = &arguments.programs else { return build_and_start(arguments) };
    let [worker, package, installer, bounds] = programs.as_slice() else {
        anyhow::bail!("four programs are needed")
    };
    let [worker, package, installer, bounds] = [worker, package, installer, bounds].map(Clone::clone);
    let programs = Programs { worker, package, installer, built_in: true, bounds };
    let extent = Extent { events: arguments.events, rounds: arguments.rounds, latency: LATENCY };
    let measured = measure::measure(programs, extent)?;
    for line in measured.table() {
        screen::line(&line);
    }
    if arguments.write {
        page::write(&measured)?;
    }
    let judged = arguments.events >= JUDGED_EVENTS;
    if !judged {
        screen::line(&format!("Floors are judged from {JUDGED_EVENTS} events on."));
    }
    if arguments.json {
        screen::line(&measured.json().to_string());
    }
    let missed = if judged { measured.below_floor() } else { Vec::new() };
    ensure!(missed.is_empty(), "floor missed: {}", missed.join(", "));
    Ok(())
}

/// Builds everything that is measured or measures, and starts this chore again with it.
fn build_and_start(arguments: &Arguments) -> Result<()> {
    tools::peer()?;
    let made = dist::make(&workspace::root().join(dist::FOLDER), false)?;
    let installer = made.installer.context("dist made no installer")?;
    let bounds = dist::example("bounds")?;
    screen::heading("bench");
    succeed(&mut workspace::cargo(&["build", "--locked", "--profile", PROFILE, "--package", "xtask"]))?;
    let again = workspace::root().join("target").join(PROFILE).join("xtask");
    let mut command = workspace::command(again);
    command.args(["bench", "--events", &arguments.events.to_string()]);
    command.args(["--rounds", &arguments.rounds.to_string()]);
    for (wanted, flag) in [(arguments.write, "--write"), (arguments.json, "--json")] {
        if wanted {
            command.arg(flag);
        }
    }
    command.arg("--programs").args([made.worker, made.package, installer, bounds]);
    succeed(&mut command)
}
