//! The scan of the deployment template: `checkov` over `azuredeploy/azuredeploy.json`.
//!
//! The scanner is pinned in `tools/scan`; what it is told to leave out would stand there in `checkov.yaml`,
//! each with its reason.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::test::tools;
use crate::{screen, workspace};

/// What the scanner prints.
#[derive(Debug, Deserialize)]
struct Scan {
    summary: Summary,
}

#[derive(Debug, Deserialize)]
struct Summary {
    passed: usize,
    failed: usize,
    skipped: usize,
    /// Files that it could not read, of which it would find nothing.
    parsing_errors: usize,
}

/// Scans the template.
pub(crate) fn run() -> Result<()> {
    tools::scan()?;
    // A folder of its own for what it would otherwise keep in the user's.
    let home = tempfile::tempdir().context("a folder for the scanner")?;
    let output = workspace::command(tools::scan_folder().join("bin").join("checkov"))
        .args(["--config-file", "tools/scan/checkov.yaml", "--output", "json"])
        .args(["--file", "azuredeploy/azuredeploy.json"])
        .env("HOME", home.path())
        // It warns of every dependency whose id is an expression.
        .env("LOG_LEVEL", "ERROR")
        .stderr(Stdio::inherit())
        .output()
        .context("could not start the scanner")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let scan: Scan = serde_json::from_str(&text).context("what the scanner printed is no result")?;
    let Summary { passed, failed, skipped, parsing_errors } = scan.summary;
    screen::line(&format!("{passed} checks passed, {failed} failed, {skipped} left out"));
    if failed > 0 {
        screen::line(&text);
    }
    ensure!(parsing_errors == 0 && passed > 0, "the scanner could not read the template");
    ensure!(failed == 0, "the scanner finds faults in the template");
    Ok(())
}
