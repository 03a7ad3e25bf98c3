//! The commands: walks along the path of the crate.

pub mod answers;
pub mod arguments;
mod bundle;
mod completions;
mod delivery;
pub mod doctor;
pub mod export;
pub mod gather;
mod guided;
mod health;
pub mod install;
mod interruption;
mod package;
pub mod plan;
pub mod rotate;
pub mod runs;
pub mod status;
pub mod teardown;
pub mod upgrade;

use std::process::ExitCode;

use clap::Parser;

use crate::ui::{Failure, Ui};
use crate::world::World;
use arguments::{Arguments, Command};
use runs::Pace;

/// Exit code of `plan` when there is something to do.
pub const CHANGES: u8 = 10;

/// Runs the command of the world's arguments; gives the exit code.
pub async fn run(world: &World) -> ExitCode {
    let arguments = match Arguments::try_parse_from(&world.arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Clap writes help to stdout and faults to stderr, each with its own exit code.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let ui = Ui::new(world, arguments.global.output, arguments.global.loudness(), arguments.global.no_color);
    let command = async {
        match &arguments.command {
            Command::Plan(options) => plan::run(world, &ui, &arguments.global, options).await,
            Command::Install(options) => install::run(world, &ui, &arguments.global, options).await,
            Command::Upgrade(options) => upgrade::run(world, &ui, &arguments.global, options).await,
            Command::Rotate(options) => rotate::run(world, &ui, &arguments.global, options).await,
            Command::Teardown(options) => teardown::run(world, &ui, &arguments.global, options).await,
            Command::Status(options) => status::run(world, &ui, &arguments.global, options).await,
            Command::Doctor(options) => doctor::run(world, &ui, &arguments.global, options).await,
            Command::Logs(options) => runs::logs(world, &ui, &arguments.global, options).await,
            Command::Pause(options) => runs::pace(world, &ui, &arguments.global, options, Pace::Pause).await,
            Command::Resume(options) => {
                runs::pace(world, &ui, &arguments.global, options, Pace::Resume).await
            }
            Command::Backfill(options) => runs::backfill(world, &ui, &arguments.global, options).await,
            Command::Replay(options) => runs::replay(world, &ui, &arguments.global, options).await,
            Command::Export(options) => export::run(world, &ui, &arguments.global, options).await,
            Command::Answers(command) => answers::run(world, &ui, &arguments.global, command),
            Command::Completions(options) => completions::run(&ui, options),
        }
    };
    let ended = tokio::select! {
        biased;
        failure = interruption::of_command(world) => Err(failure),
        ended = command => ended,
    };
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            ui.failure(&failure);
            ExitCode::from(failure.kind.exit_code())
        }
    }
}

/// The failure of a stream that cannot be written to.
pub(crate) fn unwritable(error: std::io::Error) -> Failure {
    Failure::of(&error)
}
