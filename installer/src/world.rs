//! The outside of the process: arguments, environment, terminal, clock and files.
//!
//! Nothing else reads them, so that a test can put another world in its place.

pub mod modes;

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Instant;

use time::OffsetDateTime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// The largest file of answers, secrets or endpoints that is read. None of them has a reason to be
/// larger; a mistaken path should not fill the memory.
const TEXT_FILE_LIMIT_BYTES: u64 = 1024 * 1024;

/// Which of the standard streams are terminals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terminal {
    /// Questions can be asked.
    pub input: bool,
    /// Data goes to a person's eyes.
    pub output: bool,
    /// Progress can be redrawn.
    pub error: bool,
}

/// Measures how long something takes.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Milliseconds since it was begun.
    pub fn millis(self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Who deals with signals that ask the process to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalsGoTo {
    /// The operating system, which ends the process: so it is from the start until the first question.
    System,
    /// The command, which ends and has changed nothing yet.
    CommandBefore,
    /// Whoever carries out a plan.
    Plan,
    /// The command, which ends with a word on how things stand: its plan was carried out.
    CommandAfter,
}

/// A signal that asks the process to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Ctrl-C at a terminal (`SIGINT`).
    Interrupt,
    /// Another program (`SIGTERM`).
    Terminate,
}

/// The signals that ask the process to end, from now on.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Waits for the next one.
    pub async fn next(&mut self) -> Asked {
        tokio::select! {
            Some(()) = self.interrupt.recv() => Asked::Interrupt,
            Some(()) = self.terminate.recv() => Asked::Terminate,
            // No signal can come any more.
            else => std::future::pending().await,
        }
    }
}

/// What the process was started with.
#[derive(Clone)]
pub struct World {
    /// Command line, with the program's name first.
    pub arguments: Vec<String>,
    environment: BTreeMap<String, String>,
    /// This program's own file, where the system says which it is.
    program: Option<PathBuf>,
    /// The standard streams.
    pub terminal: Terminal,
    /// Who deals with signals; set by whoever does.
    pub signals_go_to: watch::Sender<SignalsGoTo>,
}

/// The environment holds secrets: it is shown by the names of its variables alone.
impl fmt::Debug for World {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("World")
            .field("arguments", &self.arguments)
            .field("environment", &self.environment.keys())
            .field("program", &self.program)
            .field("terminal", &self.terminal)
            .finish_non_exhaustive()
    }
}

impl World {
    /// The world of this process. Arguments and variables that are not UTF-8 are read with
    /// replacement characters, which no answer accepts.
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn of_process() -> Self {
        Self {
            arguments: std::env::args_os().map(|each| each.to_string_lossy().into_owned()).collect(),
            environment: std::env::vars_os()
                .map(|(name, value)| {
                    (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
                })
                .collect(),
            program: std::env::current_exe().ok(),
            terminal: Terminal {
                input: io::stdin().is_terminal(),
                output: console::user_attended(),
                error: console::user_attended_stderr(),
            },
            signals_go_to: watch::Sender::new(SignalsGoTo::System),
        }
    }

    /// A world of given variables, without a terminal.
    pub fn with_environment(environment: BTreeMap<String, String>) -> Self {
        Self {
            arguments: Vec::new(),
            environment,
            program: None,
            terminal: Terminal { input: false, output: false, error: false },
            signals_go_to: watch::Sender::new(SignalsGoTo::System),
        }
    }

    /// Listens for signals. From the first call on none of them ends the process by itself.
    ///
    /// # Errors
    /// When no handler can be installed.
    pub fn signals(&self) -> io::Result<Signals> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for a line on standard input, in a thread of its own: the process may end while it waits.
    /// `None` at the end of the input.
    pub async fn read_line(&self) -> Option<String> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            #[expect(clippy::disallowed_methods, reason = "this is the one place")]
            let read = io::stdin().read_line(&mut line);
            // Nobody listens any more where the work has ended meanwhile.
            let _ = sender.send(matches!(read, Ok(1..)).then_some(line));
        });
        receiver.await.ok().flatten()
    }

    /// A variable, if it is set and not empty.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// All variables.
    pub fn environment(&self) -> &BTreeMap<String, String> {
        &self.environment
    }

    /// A file of this name in the folder of this program, where there is one.
    pub fn beside_program(&self, name: &str) -> Option<PathBuf> {
        let path = self.program.as_ref()?.with_file_name(name);
        path.is_file().then_some(path)
    }

    /// The time now, UTC.
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }

    /// Begins to measure how long something takes.
    pub fn stopwatch(&self) -> Stopwatch {
        Stopwatch(Instant::now())
    }

    /// The text of a small file; `-` is standard input. A byte order mark is left out.
    ///
    /// # Errors
    /// When the file cannot be read, is larger than a megabyte, or is not UTF-8.
    pub fn read_text(&self, path: &Path) -> io::Result<String> {
        #[expect(clippy::disallowed_methods, reason = "this is the one place")]
        let source: Box<dyn io::Read> =
            if path == Path::new("-") { Box::new(io::stdin()) } else { Box::new(std::fs::File::open(path)?) };
        let mut text = String::new();
        io::Read::read_to_string(&mut io::Read::take(source, TEXT_FILE_LIMIT_BYTES + 1), &mut text)?;
        if text.len() as u64 > TEXT_FILE_LIMIT_BYTES {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 1 MiB"));
        }
        Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
    }

    /// A path as it is named from everywhere.
    pub fn absolute(&self, path: &Path) -> PathBuf {
        std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
    }

    /// The bytes of a file, such as a worker package.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read_bytes(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    /// Makes a folder, and those above it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make_folder(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(path)
    }

    /// Writes a file in full or not at all: to a name beside it first, then renamed.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path, contents: &[u8]) -> io::Result<()> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".partial");
        let beside = PathBuf::from(beside);
        std::fs::write(&beside, contents)?;
        std::fs::rename(&beside, path)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::World;

    #[test]
    fn debug_prints_the_names_of_variables_and_no_value() {
        let variable = ("MIMECAST_CLIENT_SECRET".to_owned(), "canary-value".to_owned());
        let shown = format!("{:?}", World::with_environment(BTreeMap::from([variable])));
        assert!(shown.contains("MIMECAST_CLIENT_SECRET") && !shown.contains("canary-value"), "{shown}");
    }
}
