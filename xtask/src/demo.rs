//! `cargo xtask demo`: the whole path on this machine, with the real programs.
//!
//! Azure and Mimecast are the simulator, in this process. The installer runs as its own process, just
//! as a person would start it; the worker is started from the published package by the simulated
//! Functions host. What the demo tells at the end is counted in the simulator, not in the programs.

pub(crate) mod answers;
pub(crate) mod counted;
pub(crate) mod person;
mod program;
mod table;

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use contract::resources::TIMER_FUNCTION;
use serde::Serialize;
use serde_json::Value;
use simulator::simulator::{Options, Simulator};

use person::Person;

use crate::{screen, workspace};

/// How many chapters the demo has.
pub(crate) const CHAPTERS: usize = 7;
/// How to play the demo.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Print the figures as one JSON object on the last line
    #[arg(long)]
    json: bool,
}

/// The demo was stopped with Ctrl-C; everything that it started has been ended.
#[derive(Debug, thiserror::Error)]
#[error("stopped; the simulated world and the programs in it have ended")]
pub(crate) struct Stopped;

/// What the demo counted in the simulator.
#[derive(Debug, PartialEq, Serialize)]
struct Figures {
    /// Audit events that Mimecast holds.
    events: usize,
    /// Rows in `MimecastAudit_CL` after the first run.
    rows: usize,
    /// Different events among them, by their key.
    distinct: usize,
    /// Rows after one more run.
    rows_after_second_run: usize,
    /// Resources and role assignments that were made and are still there, tables aside.
    left_after_teardown: usize,
    /// How long it all took.
    seconds: f64,
}

/// Plays the demo.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let figures = runtime.block_on(async {
        tokio::select! {
            played = play() => played,
            interrupted = tokio::signal::ctrl_c() => {
                interrupted.context("listening for Ctrl-C")?;
                Err(Stopped.into())
            }
        }
    })?;
    tell(&figures);
    if arguments.json {
        screen::line(&serde_json::to_string(&figures)?);
    }
    hold(&figures)
}

/// The demo from the first chapter to the last.
async fn play() -> Result<Figures> {
    let started = Instant::now();
    screen::line("mimecast-sentinel: the whole path on this machine");
    screen::line("The installer and the worker are the real programs. Azure and Mimecast are");
    screen::line("simulated here over https. Nothing leaves this machine.");

    chapter(1, "Build the two programs");
    build().await?;

    chapter(2, "Start the simulated world");
    let simulator = Simulator::start(Options::default()).await.context("starting the simulator")?;
    let events = simulator.mimecast().events().len();
    let endpoints = simulator.state().endpoints();
    screen::line(&format!("    Azure     {}  one subscription, a workspace", endpoints.resource_manager));
    screen::line(&format!("    Mimecast  {}  API 2.0, {events} audit events", endpoints.mimecast));
    let person = Person::new(&simulator)?;
    let before = counted::everything(&simulator);

    chapter(3, "Install: plan, resources, package, first run");
    person.install().await?;
    let site = counted::site(&simulator)?;

    chapter(4, "What is in Azure now");
    counted::show_settings(&simulator, &site);
    counted::show_content(&simulator);
    let audit = counted::rows(&simulator);
    counted::show_rows(&audit);

    chapter(5, "A second run: nothing new, so nothing sent twice");
    run_again(&simulator, &site).await?;
    let again = counted::rows(&simulator).len();
    screen::line(&format!("    rows before {}, rows now {again}", audit.len()));

    chapter(6, "Tear down");
    person.tear_down().await?;

    chapter(7, "What is left of it in Azure");
    let left = counted::show_left(&before, &counted::everything(&simulator));
    Ok(Figures {
        events,
        rows: audit.len(),
        distinct: counted::distinct(&audit),
        rows_after_second_run: again,
        left_after_teardown: left,
        seconds: (started.elapsed().as_secs_f64() * 10.0).round() / 10.0,
    })
}

/// Fires the timer once more and tells how the worker answered.
async fn run_again(simulator: &Simulator, site: &str) -> Result<()> {
    let hosts = &simulator.data().hosts;
    let invocation = hosts.fire(site, TIMER_FUNCTION).await.context("the app has no host that runs")?;
    let answer = invocation.outcome.context("the second run")?;
    let lines = answer.get("Logs").and_then(Value::as_array).cloned().unwrap_or_default();
    screen::line("    the timer fired; the worker answered:");
    for line in lines.iter().filter_map(Value::as_str) {
        screen::line(&format!("      {line}"));
    }
    Ok(())
}

fn chapter(number: usize, title: &str) {
    screen::line(&format!("\n[{number}/{CHAPTERS}] {title}"));
}

/// Builds both binaries. The packages are those that this program was built with, so that nothing is
/// compiled twice.
pub(crate) async fn build() -> Result<()> {
    let packages = ["build", "--package", "xtask", "--package", "installer", "--package", "worker", "--bins"];
    let status = tokio::process::Command::from(workspace::cargo(&packages))
        .kill_on_drop(true)
        .status()
        .await
        .context("could not start cargo")?;
    ensure!(status.success(), "building the programs ended with {status}");
    Ok(())
}

/// Tells the figures.
fn tell(figures: &Figures) {
    screen::line("\nResult");
    for (figure, what) in [
        (figures.events, "audit events at Mimecast"),
        (figures.rows, "rows in MimecastAudit_CL after the first run"),
        (figures.distinct, "different events among them"),
        (figures.rows_after_second_run, "rows after the second run"),
        (figures.left_after_teardown, "things left after teardown, tables aside"),
    ] {
        screen::line(&format!("  {figure:>4} {what}"));
    }
    screen::line(&format!("  {:>4.0} seconds", figures.seconds));
}

/// An error unless the figures are what the project promises.
fn hold(figures: &Figures) -> Result<()> {
    ensure!(figures.rows == figures.events, "not every event has its row");
    ensure!(figures.distinct == figures.rows, "some events have more than one row");
    ensure!(figures.rows_after_second_run == figures.rows, "the second run changed the number of rows");
    ensure!(figures.left_after_teardown == 0, "the teardown left something behind");
    Ok(())
}

#[cfg(test)]
mod tests;
