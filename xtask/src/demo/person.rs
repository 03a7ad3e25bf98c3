//! The person who installs: a folder with an answers file and the worker, an environment
//! with what sign-in and the answers need, and the real installer.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use contract::streams::{AUDIT_TABLE, HEALTH_TABLE};
use simulator::simulator::Simulator;
use tempfile::TempDir;

use super::{answers, program};

/// The answers file's name in the folder.
const ANSWERS: &str = "answers.yaml";
/// The worker's name in the folder: the installer packs it as Azure Functions wants it.
const WORKER: &str = "mimecast-sentinel-worker";
/// The installer's binary.
const INSTALLER: &str = "mimecast-sentinel";

/// The person.
pub(crate) struct Person {
    installer: PathBuf,
    environment: BTreeMap<String, String>,
    folder: TempDir,
}

impl Person {
    /// Somebody who may install into the simulator, with everything that takes at hand.
    pub(crate) fn new(simulator: &Simulator) -> Result<Self> {
        Self::with(simulator, &answers::text(simulator)?, secrets(simulator))
    }

    /// The same with these programs.
    pub(crate) fn of(simulator: &Simulator, installer: PathBuf, worker: &Path) -> Result<Self> {
        Self::at(simulator, &answers::text(simulator)?, secrets(simulator), installer, worker)
    }

    /// The same with other answers, and the variables that they name.
    pub(crate) fn with(
        simulator: &Simulator,
        answers: &str,
        secrets: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self> {
        Self::at(simulator, answers, secrets, built(INSTALLER)?, &built(WORKER)?)
    }

    /// The same with these programs.
    fn at(
        simulator: &Simulator,
        answers: &str,
        secrets: impl IntoIterator<Item = (String, String)>,
        installer: PathBuf,
        worker: &Path,
    ) -> Result<Self> {
        let folder = tempfile::tempdir().context("making a temporary folder")?;
        fs::write(folder.path().join(ANSWERS), answers).context("writing the answers file")?;
        symlink(worker, folder.path().join(WORKER)).context("linking the worker")?;
        let mut environment = simulator.environment();
        environment.insert("HOME".to_owned(), folder.path().display().to_string());
        environment.extend(secrets);
        Ok(Self { installer, environment, folder })
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

    /// Runs a command with the answers, to the end that is expected of it, and gives all that it printed.
    #[cfg(test)]
    pub(super) async fn ends(&self, arguments: &[&str], expected: i32) -> Result<String> {
        let answers = ["--answers", ANSWERS];
        self.run_to(&arguments.iter().copied().chain(answers).collect::<Vec<_>>(), expected).await
    }

    /// What a command has written to the folder.
    #[cfg(test)]
    pub(super) fn written(&self, name: &str) -> Result<String> {
        fs::read_to_string(self.folder.path().join(name)).with_context(|| format!("reading {name}"))
    }

    /// Has a bundle made for a person who helps, and gives it.
    #[cfg(test)]
    pub(super) async fn bundle(&self) -> Result<String> {
        const BUNDLE: &str = "bundle.json";
        let arguments = ["doctor", "--answers", ANSWERS, "--package", WORKER, "--bundle", BUNDLE];
        self.run_to(&arguments, 0).await?;
        self.written(BUNDLE)
    }

    /// Removes the installation, and gives all that was printed.
    pub(crate) async fn tear_down(&self) -> Result<String> {
        self.run_to(&["teardown", "--answers", ANSWERS, "--yes"], 0).await
    }

    /// One command, to be run and timed by others: what it prints is theirs.
    pub(crate) fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = std::process::Command::new(&self.installer);
        command.args(arguments).args(["--answers", ANSWERS]);
        command.env_clear().envs(&self.environment).current_dir(self.folder.path());
        command
    }

    /// Removes the installation with its tables and its vault for good, and gives all that was printed.
    pub(crate) async fn purge(&self) -> Result<String> {
        let tables = ["--purge-table", AUDIT_TABLE, "--purge-table", HEALTH_TABLE];
        let arguments = ["teardown", "--answers", ANSWERS, "--yes", "--purge"];
        self.run_to(&arguments.into_iter().chain(tables).collect::<Vec<_>>(), 0).await
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

/// What the answers file names and does not hold.
fn secrets(simulator: &Simulator) -> [(String, String); 2] {
    let mimecast = simulator.mimecast().settings();
    [
        (answers::ID_VARIABLE.to_owned(), mimecast.client_id),
        (answers::SECRET_VARIABLE.to_owned(), mimecast.client_secret),
    ]
}

/// Where cargo put a program: beside this one, or one folder up from a test.
pub(crate) fn built(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("finding this program's own folder")?;
    let folder = own.parent().context("this program lies in a folder")?;
    let folder = if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder };
    Ok(folder.join(name))
}
