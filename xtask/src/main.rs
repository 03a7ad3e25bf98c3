//! The project's chores: `cargo xtask <chore>`.
//!
//! * [`mod@bench`]: the worker's speed, memory and use of calls, beside two peers.
//! * [`clients`]: Microsoft's management libraries look at an installation.
//! * [`content`]: every query of the analyst's content, analysed and run.
//! * [`demo`]: the whole path on this machine, with the real programs.
//! * [`dist`]: what is given out: worker, package, installer, bills of materials, checksums.
//! * [`fuzz`]: inputs searched for that break a property.
//! * [`picture`]: the demo as a picture of a terminal.
//! * [`mod@reference`]: the reference pages that come from the code.
//! * [`render`]: the portal's form, from the templates.
//! * [`scan`]: the deployment template, scanned.
//! * [`scale`]: many accounts, several workers, one queue.
//! * [`mod@test`]: the whole gate.
//! * [`torture`]: the real worker, killed at random instants.

mod bench;
mod cell;
mod clients;
mod content;
mod demo;
mod dist;
mod fuzz;
mod picture;
mod reference;
mod render;
mod scale;
mod scan;
mod screen;
mod test;
mod torture;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's chores.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, about)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Measure the worker's speed, memory and use of calls, beside two Python peers
    Bench(bench::Arguments),
    /// Have Microsoft's management libraries read what `install` makes and what `teardown` leaves
    Clients,
    /// Analyse and run every query of the content
    Content(content::Arguments),
    /// Play the whole path on this machine: install, rows, second run, teardown
    Demo(demo::Arguments),
    /// Build what is given out: the worker's package, the installer with it, bills and checksums
    Dist(dist::Arguments),
    /// Search for inputs on which the fuzz targets' properties do not hold
    Fuzz(fuzz::Arguments),
    /// Draw what the demo prints, for the README
    Picture,
    /// Write the reference pages that come from the code
    Reference,
    /// Write the portal's form from the templates
    Render,
    /// Collect many accounts with several workers and count what was lost, repeated or delayed
    Scale(scale::Arguments),
    /// Run the whole gate: tools, format, audit, lints, documentation, content, clients, tests, torture
    Test(test::Arguments),
    /// Kill the real worker at random instants and count what was lost and what came twice
    Torture(torture::Arguments),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().chore {
        Chore::Bench(arguments) => bench::run(&arguments),
        Chore::Clients => clients::run(),
        Chore::Content(arguments) => content::run(&arguments),
        Chore::Demo(arguments) => demo::run(&arguments),
        Chore::Dist(arguments) => dist::run(&arguments),
        Chore::Fuzz(arguments) => fuzz::run(&arguments),
        Chore::Picture => picture::run(),
        Chore::Reference => reference::write(),
        Chore::Render => render::write(),
        Chore::Scale(arguments) => scale::run(&arguments),
        Chore::Test(arguments) => test::run(&arguments),
        Chore::Torture(arguments) => torture::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            screen::failure(&error);
            // 130: what a shell gives for a program that Ctrl-C ended.
            if error.is::<demo::Stopped>() { ExitCode::from(130) } else { ExitCode::FAILURE }
        }
    }
}
