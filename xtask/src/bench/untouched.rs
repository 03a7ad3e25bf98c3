//! How long `plan` takes where there is nothing to do.

use anyhow::Result;
use simulator::simulator::{Options, Simulator};

use super::process;
use super::stage::Stage;
use crate::demo::person::Person;
use crate::screen;

/// Installs into a simulated world of its own, then plans so often. Gives milliseconds, from the start
/// of the program to its end.
pub(super) fn plan_times(stage: &Stage, rounds: u32) -> Result<Vec<f64>> {
    let simulator = stage.runtime.block_on(Simulator::start(Options::default()))?;
    let programs = &stage.programs;
    let person = Person::of(&simulator, programs.installer.clone(), &programs.worker)?;
    let core = stage.client_core();
    let command = |arguments: &[&str]| {
        let mut command = person.command(arguments);
        if !programs.built_in {
            command.arg("--package").arg(&programs.package);
        }
        command
    };
    process::run(command(&["install", "--yes", "--no-wait"]), core)?;
    let mut times = Vec::new();
    for _ in 0..rounds {
        // It ends well only where there is nothing to do.
        let (_, took) = process::run(command(&["plan"]), core)?;
        let millis = took.as_secs_f64() * 1_000.0;
        screen::line(&format!("plan {millis:.0} ms"));
        times.push(millis);
    }
    Ok(times)
}
