//! The command line: serve the Functions host, or run by oneself.

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};
use contract::settings as names;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::host::{self, Worker};
use crate::report::{Level, Log, RunResult, Trigger, chain};
use crate::settings::duration;
use crate::world::World;

/// What a run is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Collect and deliver what is due.
    Sync(Trigger),
    /// Send dead letters again.
    Replay,
    /// Read a past range again.
    Backfill(Backfill),
    /// Read one slice of a past range again, beside everything else.
    Slice(Slice),
}

/// One slice of a backfill. It keeps its own place, so that slices run at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// Tells one backfill from another of the same range.
    pub request: u32,
    /// Its start.
    pub from: OffsetDateTime,
    /// Its end.
    pub to: OffsetDateTime,
}

/// A past range to read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backfill {
    /// Its start.
    pub from: OffsetDateTime,
    /// Its end.
    pub to: OffsetDateTime,
    /// Whether only hours are read whose counts differ from what was delivered.
    pub only_missing: bool,
}

impl Work {
    /// What the health row says of it.
    pub fn trigger(self) -> Trigger {
        match self {
            Self::Sync(trigger) => trigger,
            Self::Replay => Trigger::Replay,
            Self::Backfill(_) | Self::Slice(_) => Trigger::Backfill,
        }
    }

    /// Reads the text of a request: `sync`, `replay`, or `backfill <from> <to> [only-missing]` with
    /// times in RFC 3339; or `slice <request> <from> <to>`, which the worker writes itself.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        match words.as_slice() {
            ["sync"] => Ok(Self::Sync(Trigger::Manual)),
            ["replay"] => Ok(Self::Replay),
            ["backfill", from, to] => Ok(Self::Backfill(Backfill::parse(from, to, false)?)),
            ["backfill", from, to, "only-missing"] => Ok(Self::Backfill(Backfill::parse(from, to, true)?)),
            ["slice", request, from, to] => {
                let Backfill { from, to, .. } = Backfill::parse(from, to, false)?;
                let request = u32::from_str_radix(request, 16);
                let request = request.map_err(|_| format!("`{text}` names no request"))?;
                Ok(Self::Slice(Slice { request, from, to }))
            }
            _ => Err(format!(
                "`{text}` is not understood; accepted are `sync`, `replay` and `backfill <from> <to> [only-missing]`"
            )),
        }
    }
}

/// As [`Work::parse`] reads it.
impl fmt::Display for Work {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |at: OffsetDateTime| at.format(&Rfc3339).unwrap_or_default();
        match self {
            Self::Sync(_) => formatter.write_str("sync"),
            Self::Replay => formatter.write_str("replay"),
            Self::Backfill(Backfill { from, to, only_missing }) => {
                let only = if *only_missing { " only-missing" } else { "" };
                write!(formatter, "backfill {} {}{only}", time(*from), time(*to))
            }
            Self::Slice(Slice { request, from, to }) => {
                write!(formatter, "slice {request:08x} {} {}", time(*from), time(*to))
            }
        }
    }
}

impl Backfill {
    fn parse(from: &str, to: &str, only_missing: bool) -> Result<Self, String> {
        let time = |text: &str| {
            OffsetDateTime::parse(text, &Rfc3339)
                .ok()
                .and_then(|at| at.checked_to_offset(time::UtcOffset::UTC))
                // The day after it is reckoned with, and has to be a time too.
                .filter(|at| (1..9999).contains(&at.year()))
                .ok_or_else(|| format!("`{text}` is not a time; write it like 2026-11-25T00:00:00Z"))
        };
        let (from, to) = (time(from)?, time(to)?);
        if from >= to {
            return Err(format!("the range ends at {to}, which is not after its start {from}"));
        }
        Ok(Self { from, to, only_missing })
    }
}

/// Exit code of a run that failed.
const FAILED: u8 = 1;
/// Exit code of an argument that cannot be used, as clap's own.
const USAGE: u8 = 2;

/// Runs the program with these arguments (the first is its name).
pub async fn main(world: World, log: Log, arguments: Vec<String>) -> ExitCode {
    let matches = match command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => {
            // Help and version go to stdout, mistakes to stderr.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(USAGE));
        }
    };
    let port = world.environment(names::FUNCTIONS_CUSTOMHANDLER_PORT).map(str::to_owned);
    match (matches.subcommand(), port) {
        (Some(("serve", _)) | None, Some(port)) => serve(&world, &log, &port).await,
        (Some(("serve", _)), None) => {
            let message = "FUNCTIONS_CUSTOMHANDLER_PORT is missing: the Functions host sets it";
            log.event(Level::Error, "not_started", serde_json::json!({ "message": message }));
            ExitCode::from(FAILED)
        }
        (Some((name, matches)), _) => run(world, &log, name, matches).await,
        (None, None) => {
            let _ = command().print_help();
            ExitCode::from(USAGE)
        }
    }
}

async fn serve(world: &World, log: &Log, port: &str) -> ExitCode {
    match host::serve(world, log, port).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log.event(Level::Error, "not_serving", serde_json::json!({ "message": chain(&error) }));
            ExitCode::from(FAILED)
        }
    }
}

async fn run(world: World, log: &Log, name: &str, matches: &ArgMatches) -> ExitCode {
    let world = world.with_environment(flags(matches));
    let usage = |message: String| {
        log.event(Level::Error, "not_started", serde_json::json!({ "message": message }));
        ExitCode::from(USAGE)
    };
    let folder = match folder(&world, matches) {
        Ok(folder) => folder,
        Err(message) => return usage(message),
    };
    let work = match name {
        "replay" => Ok(Work::Replay),
        "backfill" => {
            let text = |name: &str| matches.get_one::<String>(name).cloned().unwrap_or_default();
            Backfill::parse(&text("from"), &text("to"), matches.get_flag("only-missing")).map(Work::Backfill)
        }
        _ => Ok(Work::Sync(Trigger::Once)),
    };
    let work = match work {
        Ok(work) => work,
        Err(message) => return usage(message),
    };
    let every = matches.try_get_one::<String>("every").ok().flatten();
    let every = match every
        .map(|text| duration::parse(text).filter(|every| !every.is_zero()).ok_or(text))
        .transpose()
    {
        Ok(every) => every,
        Err(text) => return usage(format!("`--every {text}`: write a length of time like 5m or 1h")),
    };
    let worker = Worker::open(&world, folder.as_deref(), log);
    match every {
        None => once(&worker, log, work).await,
        Some(every) => repeat(&world, &worker, log, every).await,
    }
}

async fn once(worker: &Worker, log: &Log, work: Work) -> ExitCode {
    match worker.work(work).await {
        Ok(reports) => match reports.iter().any(|report| report.result == RunResult::Failed) {
            true => ExitCode::from(FAILED),
            false => ExitCode::SUCCESS,
        },
        Err(reason) => {
            log.event(Level::Error, "run_not_begun", serde_json::json!({ "message": reason }));
            ExitCode::from(FAILED)
        }
    }
}

/// Runs again and again, counted from start to start, until the process is ended: a stop at any moment
/// is safe.
async fn repeat(world: &World, worker: &Worker, log: &Log, every: Duration) -> ExitCode {
    loop {
        let begun = world.elapsed();
        let _ = once(worker, log, Work::Sync(Trigger::Timer)).await;
        let passed = world.elapsed().saturating_sub(begun);
        world.alarm(every.saturating_sub(passed)).await;
    }
}

/// The folder to deliver to; `None` for Azure. Without `--to` it is Azure where a rule is named, else a
/// folder in the present one.
fn folder(world: &World, matches: &ArgMatches) -> Result<Option<PathBuf>, String> {
    match matches.get_one::<String>("folder") {
        Some(to) => match to.strip_prefix("file:").filter(|folder| !folder.is_empty()) {
            Some(folder) => Ok(Some(PathBuf::from(folder))),
            None => Err(format!("`{to}` is no place for rows; accepted is file:DIR")),
        },
        None if world.environment(names::DATA_COLLECTION_RULE_ID).is_some() => Ok(None),
        None => Ok(Some(PathBuf::from("mimecast-audit"))),
    }
}

/// The settings given as flags, by the names of their variables.
fn flags(matches: &ArgMatches) -> Vec<(String, String)> {
    let given = |setting: &names::Setting| {
        let value = matches.try_get_one::<String>(setting.name).ok()??;
        Some((setting.name.to_owned(), value.clone()))
    };
    names::ALL.iter().filter_map(given).collect()
}

/// The command line.
pub fn command() -> Command {
    let to = |flag: &'static str| {
        Arg::new("folder")
            .long(flag)
            .value_name("file:DIR")
            .help("Write rows, checkpoint and dead letters to this folder instead of Azure")
    };
    let standalone = |command: Command, flag: &'static str| {
        let settings = names::ALL.iter().filter(|setting| {
            // No flag takes a secret: arguments are visible to others on the machine.
            !setting.secret && setting.name != names::FUNCTIONS_CUSTOMHANDLER_PORT
        });
        command.arg(to(flag)).args(settings.map(|setting| {
            // The command line lives as long as the process.
            let flag: &'static str = setting.name.to_ascii_lowercase().replace('_', "-").leak();
            Arg::new(setting.name)
                .long(flag)
                .value_name("VALUE")
                .help(setting.meaning.trim())
                .help_heading("Settings")
        }))
    };
    let run = Command::new("run")
        .about("Collect and deliver what is due")
        .arg(
            Arg::new("once")
                .long("once")
                .action(ArgAction::SetTrue)
                .conflicts_with("every")
                .help("Run once and end (the default)"),
        )
        .arg(
            Arg::new("every").long("every").value_name("TIME").help("Run again and again, such as every 5m"),
        );
    let backfill = Command::new("backfill")
        .about("Read a past range again; rows may repeat, the default functions hide them")
        .arg(Arg::new("from").long("from").value_name("TIME").required(true).help("Its start, RFC 3339"))
        .arg(Arg::new("to").long("to").value_name("TIME").required(true).help("Its end, RFC 3339"))
        .arg(
            Arg::new("only-missing")
                .long("only-missing")
                .action(ArgAction::SetTrue)
                .help("Only hours whose counts differ from what was delivered"),
        );
    Command::new("mimecast-sentinel-worker")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Collects Mimecast audit events and delivers them to Microsoft Sentinel")
        .after_help("Secrets are read from the environment only. Without a command it serves the Azure Functions host.")
        .subcommand(Command::new("serve").about("Serve the Azure Functions host (custom handler)"))
        .subcommand(standalone(run, "to"))
        // Here `--to` is a time.
        .subcommand(standalone(backfill, "into"))
        .subcommand(standalone(Command::new("replay").about("Send dead letters again"), "to"))
}

#[cfg(test)]
mod tests {
    use super::{Work, command};
    use contract::settings::ALL;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    // BR-163
    #[test]
    fn no_flag_takes_a_secret() {
        let mut command = command();
        command.build();
        for subcommand in command.get_subcommands() {
            for setting in ALL.iter().filter(|setting| setting.secret) {
                let flag = setting.name.to_ascii_lowercase().replace('_', "-");
                assert!(
                    subcommand.get_arguments().all(|argument| argument.get_long() != Some(flag.as_str())),
                    "{flag}"
                );
            }
        }
    }

    #[test]
    fn a_range_must_end_after_its_start() {
        assert!(Work::parse("backfill 2026-11-25T00:00:00Z 2026-11-24T00:00:00Z").is_err());
        assert!(Work::parse("backfill yesterday today").is_err());
        // No year that is reckoned with ends beyond the calendar's.
        for end in ["9999-12-31T23:50:59-22:01", "9999-12-31T23:50:59Z", "0000-01-01T00:00:00+01:00"] {
            assert!(Work::parse(&format!("backfill 2026-11-24T00:00:00Z {end}")).is_err(), "{end}");
            assert!(Work::parse(&format!("backfill {end} 2026-11-24T00:00:00Z")).is_err(), "{end}");
        }
        assert!(matches!(
            Work::parse("backfill 2026-11-24T00:00:00Z 2026-11-25T00:00:00Z only-missing"),
            Ok(Work::Backfill(backfill)) if backfill.only_missing
        ));
    }
}
