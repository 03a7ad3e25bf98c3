//! The scan of the deployment template: `checkov` over `azuredeploy/azuredeploy.json`.
//!
//! The scanner is pinned in `tools/scan`; what it is told to leave out stands there in `checkov.yaml`, each
//! with its reason.

use anyhow::{Context, Result};

use crate::test::{succeed, tools};
use crate::workspace;

/// Scans the template.
pub(crate) fn run() -> Result<()> {
    tools::scan()?;
    // A folder of its own for what it would otherwise keep in the user's.
    let home = tempfile::tempdir().context("a folder for the scanner")?;
    succeed(
        workspace::command(tools::scan_folder().join("bin").join("checkov"))
            .args(["--config-file", "tools/scan/checkov.yaml"])
            .args(["--file", "azuredeploy/azuredeploy.json"])
            .env("HOME", home.path()),
    )
}
