//! The gate's tools, pinned by lock files and fetched through the ordinary package clients.
//!
//! `tools/<name>/package-lock.json` and `tools/<name>/requirements.txt` hold versions and hashes, no
//! download addresses: where packages come from is the machine's own setting.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::succeed;
use crate::{screen, workspace};

/// Name of the file in an installation that tells which lock it was made from.
const STAMP: &str = ".installed-from";

/// Fetches every pinned tool that is not there yet in the version that its lock names.
pub(super) fn fetch() -> Result<()> {
    npm("azurite")?;
    npm("content")?;
    python()?;
    clients()?;
    peer()?;
    scan()
}

/// The Python environment that holds the tools from PyPI.
pub(super) fn python_folder() -> PathBuf {
    workspace::tools_folder().join("python")
}

/// Installs one npm tool into its own folder.
fn npm(name: &str) -> Result<()> {
    let folder = workspace::root().join("tools").join(name);
    let modules = folder.join("node_modules");
    once(name, &folder.join("package-lock.json"), &modules, || {
        // Scripts are off (.npmrc): Azurite needs none, and none of its dependencies' is wanted.
        succeed(workspace::command("npm").arg("ci").arg("--no-progress").current_dir(&folder))
    })
}

/// The Python environment that holds Microsoft's management libraries.
pub(crate) fn clients_folder() -> PathBuf {
    workspace::tools_folder().join("clients")
}

/// Makes the Python environment with the pinned tools.
fn python() -> Result<()> {
    environment("python", &python_folder())
}

/// Makes the Python environment with Microsoft's management libraries, apart from the tools: theirs are a
/// hundred megabytes that nothing else needs.
pub(crate) fn clients() -> Result<()> {
    environment("clients", &clients_folder())
}

/// The Python environment that holds the scanner of the deployment template.
pub(crate) fn scan_folder() -> PathBuf {
    workspace::tools_folder().join("scan")
}

/// Makes that environment.
pub(crate) fn scan() -> Result<()> {
    environment("scan", &scan_folder())
}

/// The Python environment that holds what `cargo xtask dist` builds with.
pub(crate) fn dist_folder() -> PathBuf {
    workspace::tools_folder().join("dist")
}

/// Makes that environment. The gate has no use for it.
pub(crate) fn dist() -> Result<()> {
    environment("dist", &dist_folder())
}

/// The Python environment that holds the peers of `cargo xtask bench`.
pub(crate) fn peer_folder() -> PathBuf {
    workspace::tools_folder().join("peer")
}

/// Makes that environment.
pub(crate) fn peer() -> Result<()> {
    let requirements = workspace::root().join("xtask").join("peer").join("requirements.txt");
    made_of("peer", &requirements, &peer_folder())
}

/// Makes a Python environment of what `tools/<name>/requirements.txt` pins.
fn environment(name: &str, folder: &Path) -> Result<()> {
    made_of(name, &workspace::root().join("tools").join(name).join("requirements.txt"), folder)
}

/// Makes a Python environment of what this file pins.
fn made_of(name: &str, requirements: &Path, folder: &Path) -> Result<()> {
    once(&format!("{name} environment"), requirements, folder, || {
        succeed(workspace::command("python3").args(["-m", "venv", "--clear"]).arg(folder))?;
        succeed(
            workspace::command(folder.join("bin").join("python"))
                .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
                .args(["--no-deps", "--require-hashes", "--requirement"])
                .arg(requirements),
        )
    })
}

/// Runs `install` unless `target` was made from this very lock file; notes the lock afterwards.
fn once(name: &str, lock: &Path, target: &Path, install: impl FnOnce() -> Result<()>) -> Result<()> {
    let content = fs::read(lock).with_context(|| format!("reading {}", lock.display()))?;
    let digest: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
    let stamp = target.join(STAMP);
    if fs::read_to_string(&stamp).is_ok_and(|found| found == digest) {
        screen::line(&format!("{name}: installed before, from the same lock"));
        return Ok(());
    }
    install()?;
    fs::write(&stamp, digest).with_context(|| format!("writing {}", stamp.display()))
}
