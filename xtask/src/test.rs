//! `cargo xtask test`: the whole gate, stage by stage, the cheap ones first.
//!
//! Says first what the machine lacks and how to get it, then runs every stage, prints how long each
//! took, and stops at the first that fails with its name.

mod audit;
mod machine;
pub(crate) mod tools;

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::{clients, content, scan, screen, torture, workspace};

/// Set for the tests while the gate runs: a test that needs one of the gate's tools (Azurite, …)
/// then fails where it would otherwise skip with a printed reason.
pub(crate) const TOOLS_REQUIRED: &str = "MIMECAST_SENTINEL_TOOLS_REQUIRED";

/// What the gate is asked to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Run these stages alone
    #[arg(value_enum, value_name = "STAGE")]
    stages: Vec<Stage>,
}

/// The stages, in the order in which they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Stage {
    /// Fetch the pinned test tools
    Tools,
    /// Check the format
    Format,
    /// Audit the dependencies
    Audit,
    /// Run clippy on all targets, warnings as errors
    Lints,
    /// Build the documentation, broken links as errors
    Documentation,
    /// Analyse and run every query of the analyst's content
    Content,
    /// Scan the deployment template
    Scan,
    /// Have Microsoft's management libraries read what `install` makes
    Clients,
    /// Run all tests
    Tests,
    /// Kill the real worker 200 times
    Torture,
}

impl Stage {
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    fn run(self) -> Result<()> {
        match self {
            Self::Tools => tools::fetch(),
            Self::Format => succeed(&mut workspace::cargo(&["fmt", "--all", "--check"])),
            Self::Audit => audit::run(),
            Self::Lints => succeed(&mut workspace::cargo(&[
                "clippy",
                "--workspace",
                "--all-targets",
                "--locked",
                "--",
                "--deny",
                "warnings",
            ])),
            Self::Documentation => succeed(
                workspace::cargo(&[
                    "doc",
                    "--workspace",
                    "--no-deps",
                    "--document-private-items",
                    "--locked",
                ])
                // Private items are documented too, for those who work on them: links to them lead somewhere.
                .env("RUSTDOCFLAGS", "--deny warnings --allow rustdoc::private_intra_doc_links"),
            ),
            Self::Content => content::run(&content::Arguments::default()),
            Self::Scan => scan::run(),
            Self::Clients => clients::run(),
            Self::Tests => tests(),
            Self::Torture => torture::run(&torture::Arguments::of_the_gate()),
        }
    }
}

/// Runs the gate.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let stages =
        if arguments.stages.is_empty() { Stage::value_variants() } else { arguments.stages.as_slice() };
    screen::heading("machine");
    machine::check()?;
    let mut times: Vec<(Stage, Duration)> = Vec::new();
    for &stage in stages {
        screen::heading(&stage.name());
        let started = Instant::now();
        stage.run().with_context(|| format!("stage `{}` failed", stage.name()))?;
        times.push((stage, started.elapsed()));
    }
    screen::heading("passed");
    for (stage, took) in &times {
        screen::line(&format!("{:<14} {:>6.1} s", stage.name(), took.as_secs_f64()));
    }
    let total: Duration = times.iter().map(|(_, took)| *took).sum();
    screen::line(&format!("{:<14} {:>6.1} s", "total", total.as_secs_f64()));
    Ok(())
}

/// Runs all tests: with nextest where it is installed, else with cargo's own runner, which is slower
/// but asks for nothing. The documentation's examples come first, since nextest does not run them.
fn tests() -> Result<()> {
    succeed(&mut workspace::cargo(&["test", "--workspace", "--doc", "--locked", "--quiet"]))?;
    let nextest = machine::version(&mut workspace::cargo(&["nextest", "--version"])).is_some();
    let runner: &[&str] = if nextest {
        &["nextest", "run", "--workspace", "--locked", "--no-fail-fast"]
    } else {
        screen::line("cargo-nextest is not installed: using `cargo test`");
        &["test", "--workspace", "--lib", "--bins", "--tests", "--locked", "--no-fail-fast"]
    };
    succeed(workspace::cargo(runner).env(TOOLS_REQUIRED, "1"))
}

/// Runs a command with its output on the terminal; an error where it does not end well.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let shown = words.join(" ");
    screen::line(&format!("$ {shown}"));
    let status = command.status().with_context(|| format!("could not start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` ended with {status}");
    }
    Ok(())
}
