//! The worker's process: started as the host starts it, watched, and killed with its whole group.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Command;
use tokio::sync::watch;

use super::package::Package;

/// How often the host asks whether the worker answers yet (azure-functions-host, HttpWorkerService).
const READY_POLL: Duration = Duration::from_millis(25);
/// How many lines are kept for a site: more than any test writes, bounded for one that runs for days.
const LINES: usize = 100_000;

/// Where a line was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Becomes an information in the host's log.
    Stdout,
    /// Becomes an error in the host's log.
    Stderr,
}

/// A line that a worker wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Where.
    pub stream: Stream,
    /// What, without its end.
    pub text: String,
}

/// All lines of a site's workers; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lines {
    lines: Arc<Mutex<VecDeque<Line>>>,
}

impl Lines {
    pub(crate) fn all(&self) -> Vec<Line> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// The last lines of the error stream, which the host puts into the error of an exit.
    fn last_errors(&self) -> String {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let errors = lines.iter().filter(|line| line.stream == Stream::Stderr);
        let last: Vec<&str> = errors.rev().take(3).map(|line| line.text.as_str()).collect();
        last.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }

    fn push(&self, stream: Stream, text: String) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LINES {
            lines.pop_front();
        }
        lines.push_back(Line { stream, text });
    }

    async fn read(self, stream: Stream, source: impl AsyncRead + Unpin) {
        let mut source = BufReader::new(source).lines();
        while let Ok(Some(text)) = source.next_line().await {
            self.push(stream, text);
        }
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// With this code.
    Code(i32),
    /// By a signal.
    Killed,
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        status.code().map_or(Self::Killed, Self::Code)
    }
}

/// Why a worker does not serve.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("finding a free port for the worker")]
    Port(#[source] io::Error),
    #[error("starting `{0}`")]
    Spawn(PathBuf, #[source] io::Error),
    #[error("the worker ended before it answered: {exit:?}; {errors}")]
    Ended { exit: Exit, errors: String },
    #[error("the worker did not answer on its port within {0:?}")]
    Silent(Duration),
}

/// A running worker. Dropping it kills its process group.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) port: u16,
    group: Pid,
    exit: watch::Receiver<Option<Exit>>,
}

/// A free port of 127.0.0.1. Another process may take it before the worker binds it, as in Azure.
pub(crate) fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

impl Process {
    /// Starts the worker of a package and waits until it answers `GET /` with any status.
    ///
    /// `environment` is all that it sees, but for the port.
    pub(crate) async fn start(
        package: &Package,
        environment: &BTreeMap<String, String>,
        lines: &Lines,
        http: &reqwest::Client,
        limit: Duration,
    ) -> Result<Self, StartError> {
        let port = free_port().map_err(StartError::Port)?;
        let mut command = Command::new(&package.executable);
        command
            .args(&package.arguments)
            .current_dir(package.root())
            .env_clear()
            .envs(environment)
            .env("FUNCTIONS_CUSTOMHANDLER_PORT", port.to_string())
            .env("FUNCTIONS_HTTPWORKER_PORT", port.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let failed = |error| StartError::Spawn(package.executable.clone(), error);
        let mut child = command.spawn().map_err(failed)?;
        let no_id = || failed(io::Error::other("the process has no id"));
        // The group's id is that of its first process.
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)).ok_or_else(no_id)?;
        if let Some(stdout) = child.stdout.take() {
            tokio::spawn(lines.clone().read(Stream::Stdout, stdout));
        }
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(lines.clone().read(Stream::Stderr, stderr));
        }
        let (ended, exit) = watch::channel(None);
        tokio::spawn(async move {
            let exit = child.wait().await.map_or(Exit::Killed, Exit::from);
            ended.send_replace(Some(exit));
        });
        let process = Self { port, group, exit };
        process.until_ready(http, lines, limit).await?;
        Ok(process)
    }

    async fn until_ready(
        &self,
        http: &reqwest::Client,
        lines: &Lines,
        limit: Duration,
    ) -> Result<(), StartError> {
        let url = format!("http://127.0.0.1:{}/", self.port);
        let answered = async {
            while http.get(&url).send().await.is_err() {
                tokio::time::sleep(READY_POLL).await;
            }
        };
        tokio::select! {
            () = answered => Ok(()),
            exit = self.ended() => Err(StartError::Ended { exit, errors: lines.last_errors() }),
            () = tokio::time::sleep(limit) => Err(StartError::Silent(limit)),
        }
    }

    /// Waits until the process has ended.
    pub(crate) async fn ended(&self) -> Exit {
        let mut exit = self.exit.clone();
        // The sender lives until it has sent.
        exit.wait_for(Option::is_some).await.ok().and_then(|exit| *exit).unwrap_or(Exit::Killed)
    }

    /// The id of the process and of its group.
    pub(crate) fn id(&self) -> i32 {
        self.group.as_raw_nonzero().get()
    }

    /// Kills the group at once, with no chance to clean up, as the host does on disposal.
    pub(crate) fn kill(&self) {
        // After its end the id may belong to somebody else.
        if self.exit.borrow().is_none() {
            // It may end by itself in this very moment; then there is nobody left to kill.
            let _ = kill_process_group(self.group, Signal::KILL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
