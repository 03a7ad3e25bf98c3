//! The dependency audit: `cargo deny` with `deny.toml`.
//!
//! Licences, bans and sources need nothing from outside and always run. Advisories need the RustSec
//! database, which is fetched from its public repository: where that cannot be reached, a copy
//! fetched before is used, and where there is none either, the gate says so and goes on
//! (docs/decisions/dependency-audit.md).

use std::process::Command;

use anyhow::{Context, Result};

use super::{succeed, tools};
use crate::{screen, workspace};

/// What cargo-deny ends its report with when it has read the database and found something in it.
const FINDINGS: &str = "advisories FAILED";

/// Runs the audit.
pub(super) fn run() -> Result<()> {
    succeed(deny(&[]).args(["check", "--hide-inclusion-graph", "licenses", "bans", "sources"]))?;

    screen::line("$ cargo-deny check advisories");
    let fetched = outcome(&mut deny(&[]))?;
    let (outcome, age) = match fetched {
        Outcome::NoDatabase(reason) => {
            screen::line(&format!("the advisory database cannot be fetched: {reason}"));
            (outcome(&mut deny(&["--offline"]))?, "as fetched before, ")
        }
        other => (other, ""),
    };
    match outcome {
        Outcome::Passed => screen::line(&format!("advisories ok ({age}ignored ones are in deny.toml)")),
        Outcome::Failed(report) => {
            screen::line(&report);
            anyhow::bail!("the audit found advisories against dependencies");
        }
        Outcome::NoDatabase(_) => screen::line(
            "advisories NOT CHECKED: no database here and none can be fetched; \
             the last full check is dated in docs/decisions/dependency-audit.md",
        ),
    }
    Ok(())
}

/// How a check of the advisories ended.
enum Outcome {
    Passed,
    Failed(String),
    NoDatabase(String),
}

fn outcome(deny: &mut Command) -> Result<Outcome> {
    let output = deny.args(["check", "advisories"]).output().context("could not start cargo-deny")?;
    if output.status.success() {
        return Ok(Outcome::Passed);
    }
    let report = String::from_utf8_lossy(&output.stderr).into_owned();
    if String::from_utf8_lossy(&output.stdout).contains(FINDINGS) {
        return Ok(Outcome::Failed(report));
    }
    // The configuration was read by the checks before, so what is left is the database.
    let cause = report.lines().map(str::trim).rfind(|line| !line.is_empty());
    Ok(Outcome::NoDatabase(cause.unwrap_or("no reason given").to_owned()))
}

/// The pinned cargo-deny with these global options.
fn deny(options: &[&str]) -> Command {
    let mut command = workspace::command(tools::python_folder().join("bin").join("cargo-deny"));
    command.args(["--color", "never", "--locked"]).args(options);
    command
}
