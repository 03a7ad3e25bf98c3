//! The person who installs: a folder with an answers file and the worker, an environment
//! with what sign-in and the answers need, and the real installer.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use simulator::simulator::Simulator;
use tempfile::TempDir;

use super::{answers, program};

/// The answers file's name in the folder.
const ANSWERS: &str = "answers.yaml";
/// The worker's name in the folder: the installer packs it as Azure Functions wants it.
const WORKER: &str = "mimecast-sentinel-worker";

/// The person.
pub(crate) struct Person {
    installer: PathBuf,
    environment: BTreeMap<String, String>,
    folder: TempDir,
}

impl Person {
    /// Somebody who may install into the simulator, with everything that takes at hand.
    pub(crate) fn new(simulator: &Simulator) -> Result<Self> {
        let mimecast = simulator.mimecast().settings();
        let secrets = [
            (answers::ID_VARIABLE.to_owned(), mimecast.client_id),
            (answers::SECRET_VARIABLE.to_owned(), mimecast.client_secret),
        ];
        Self::with(simulator, &answers::text(simulator)?, secrets)
    }

    /// The same with other answers, and the variables that they name.
    pub(crate) fn with(
        simulator: &Simulator,
        answers: &str,
        secrets: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self> {
        let folder = tempfile::tempdir().context("making a temporary folder")?;
        fs::write(folder.path().join(ANSWERS), answers).context("writing the answers file")?;
        symlink(built(WORKER)?, folder.path().join(WORKER)).context("linking the worker")?;
        let mut environment = simulator.environment();
        environment.insert("HOME".to_owned(), folder.path().display().to_string());
        environment.extend(secrets);
        Ok(Self { installer: built("mimecast-sentinel")?, environment, folder })
    }

    /// Installs, and gives all that was printed.
    pub(crate) async fn install(&self) -> Result<String> {
        self.run_to(&["install", "--answers", ANSWERS, "--package", WORKER, "--yes"], 0).await
    }

    /// Installs without waiting for the first run.
    pub(crate) async fn install_alone(&self) -> Result<String> {
        self.run_to(&["install", "--answers", ANSWERS, "--package", WORKER, "--yes", "--no-wait"], 0).await
    }

    /// Shows what an installation would do, and gives all that was printed.
    #[cfg(test)]
    pub(super) async fn plan(&self) -> Result<String> {
        // 10: the plan has changes.
        self.run_to(&["plan", "--answers", ANSWERS, "--package", WORKER], 10).await
    }

    /// Removes the installation, and gives all that was printed.
    pub(crate) async fn tear_down(&self) -> Result<String> {
        self.run_to(&["teardown", "--answers", ANSWERS, "--yes"], 0).await
    }

    /// Runs one command to the end that is expected of it, and gives all that it printed.
    async fn run_to(&self, arguments: &[&str], expected: i32) -> Result<String> {
        let ended = program::run(&self.installer, arguments, &self.environment, self.folder.path()).await?;
        match ended.code {
            Some(code) if code == expected => Ok(ended.transcript),
            Some(code) => bail!("`mimecast-sentinel {}` ended with exit code {code}", arguments.join(" ")),
            None => bail!("`mimecast-sentinel {}` was ended by a signal", arguments.join(" ")),
        }
    }
}

/// Where cargo put a program: beside this one, or one folder up from a test.
fn built(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("finding this program's own folder")?;
    let folder = own.parent().context("this program lies in a folder")?;
    let folder = if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder };
    Ok(folder.join(name))
}
