//! The project's chores: `cargo xtask <chore>`.
//!
//! * [`reference`]: the reference pages that come from the code.
//! * [`test`]: the whole gate.

mod reference;
mod screen;
mod test;
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
    /// Write the reference pages that come from the code
    Reference,
    /// Run the whole gate: tools, format, audit, lints, documentation, tests
    Test(test::Arguments),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().chore {
        Chore::Reference => reference::write(),
        Chore::Test(arguments) => test::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            screen::failure(&error);
            ExitCode::FAILURE
        }
    }
}
