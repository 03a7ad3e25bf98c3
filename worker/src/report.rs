//! What a run did: counts, the health row, and the lines that are logged.

use std::error::Error;
use std::fmt;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use contract::resources::WORKER_HASH_DIGITS;
use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::settings::Reporting;
use crate::world::World;

/// What started a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// The schedule.
    Timer,
    /// A person.
    Manual,
    /// A message of the queue.
    Queue,
    /// A past range that was asked for.
    Backfill,
    /// Dead letters that are sent again.
    Replay,
    /// The standalone form.
    Once,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunResult {
    /// Everything that was due has been delivered.
    Ok,
    /// Some of it; the next run goes on.
    Partial,
    /// Another run has the checkpoint.
    Busy,
    /// Something stood in the way.
    Failed,
}

/// The stage that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Settings.
    Settings,
    /// Reading Mimecast.
    Poll,
    /// Delivering to Azure.
    Ingest,
    /// Keeping the place.
    Checkpoint,
    /// Putting work on the queue.
    Queue,
}

/// Why a run did not do everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Where.
    pub stage: Stage,
    /// Code of the error, for the operations page.
    pub code: String,
    /// The error with its causes, each once.
    pub message: String,
}

impl Failure {
    /// What a stage failed of.
    pub fn new(stage: Stage, code: &str, error: &dyn Error) -> Self {
        Self { stage, code: code.to_owned(), message: chain(error) }
    }
}

/// An error with its causes, joined by colons.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some libraries repeat their source in their own text.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// What a run did.
#[derive(Debug, Clone)]
pub struct Report {
    /// Identity of the run.
    pub run_id: String,
    /// What started it.
    pub trigger: Trigger,
    /// How it ended.
    pub result: RunResult,
    /// Why it did not do everything.
    pub failure: Option<Failure>,
    /// Things that a person should know although nothing failed.
    pub notes: Vec<String>,
    /// The first window's start.
    pub window_start: Option<OffsetDateTime>,
    /// The last window's end.
    pub window_end: Option<OffsetDateTime>,
    /// Everything before this time has been delivered.
    pub watermark: Option<OffsetDateTime>,
    /// Events read.
    pub read: u64,
    /// Events read again and left out.
    pub repeated: u64,
    /// Events accepted.
    pub delivered: u64,
    /// Events set aside.
    pub dead_lettered: u64,
    /// Batches accepted.
    pub batches: u64,
    /// Bytes accepted, before compression.
    pub delivered_bytes: u64,
    /// Mimecast's quota.
    pub quota_limit: Option<u64>,
    /// What is left of it.
    pub quota_remaining: Option<u64>,
    /// How long Mimecast's quota asks to wait before anything more is read.
    pub wait: Option<std::time::Duration>,
    /// Texts of unknown shape by auditType.
    pub unknown_shapes: Value,
    /// When the run began, in time since the world began.
    started: std::time::Duration,
}

impl Report {
    /// The report of a run that begins now.
    pub fn begin(world: &World, trigger: Trigger) -> Self {
        Self {
            run_id: world.identity().to_string(),
            trigger,
            result: RunResult::Ok,
            failure: None,
            notes: Vec::new(),
            window_start: None,
            window_end: None,
            watermark: None,
            read: 0,
            repeated: 0,
            delivered: 0,
            dead_lettered: 0,
            batches: 0,
            delivered_bytes: 0,
            quota_limit: None,
            quota_remaining: None,
            wait: None,
            unknown_shapes: json!({}),
            started: world.elapsed(),
        }
    }

    /// Notes a failure. The first one is the cause and stays.
    pub fn fail(&mut self, failure: Failure) {
        self.result = RunResult::Failed;
        self.failure.get_or_insert(failure);
    }

    /// What happened and what to do, in one text.
    pub fn message(&self) -> String {
        let failure = self.failure.iter().map(|failure| failure.message.as_str());
        failure.chain(self.notes.iter().map(String::as_str)).collect::<Vec<_>>().join("; ")
    }

    /// The run in one line, for the host's own log.
    pub fn summary(&self) -> String {
        let result = serde_json::to_value(self.result).unwrap_or_default();
        let result = result.as_str().unwrap_or_default();
        let message = self.message();
        let separator = if message.is_empty() { "" } else { ": " };
        format!("run {} {result}, {} events delivered{separator}{message}", self.run_id, self.delivered)
    }

    /// Milliseconds since the run began.
    pub fn duration_ms(&self, world: &World) -> u64 {
        u64::try_from(world.elapsed().saturating_sub(self.started).as_millis()).unwrap_or(u64::MAX)
    }

    /// The health row: one JSON object with the fields that the health stream declares.
    pub fn health_row(&self, world: &World, reporting: &Reporting) -> Vec<u8> {
        let now = world.now();
        let lag = self.watermark.map(|watermark| (now - watermark).whole_seconds());
        let mut row = json!({
            "TimeGenerated": rfc3339(now),
            "Installation": reporting.installation,
            "Account": reporting.account,
            "RunId": self.run_id,
            "Trigger": self.trigger,
            "Result": self.result,
            "Stage": self.failure.as_ref().map(|failure| failure.stage),
            "ErrorCode": self.failure.as_ref().map(|failure| &failure.code),
            "Message": self.message(),
            "WindowStart": self.window_start.map(rfc3339),
            "WindowEnd": self.window_end.map(rfc3339),
            "Watermark": self.watermark.map(rfc3339),
            "LagSeconds": lag,
            "Read": self.read,
            "Repeated": self.repeated,
            "Delivered": self.delivered,
            "DeadLettered": self.dead_lettered,
            "QuotaLimit": self.quota_limit,
            "QuotaRemaining": self.quota_remaining,
            "DurationMs": self.duration_ms(world),
            "UnknownShapes": self.unknown_shapes,
            "WorkerVersion": version(world),
            "PackageHash": reporting.package_hash,
        });
        if let Some(fields) = row.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
        }
        row.to_string().into_bytes()
    }
}

/// The version with the beginning of the SHA-256 of the worker's own file behind it, which no setting says.
fn version(world: &World) -> String {
    let own = world.program_hash().and_then(|hash| hash.get(..WORKER_HASH_DIGITS));
    format!("{}{}", env!("CARGO_PKG_VERSION"), own.map(|own| format!("+{own}")).unwrap_or_default())
}

fn rfc3339(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_default()
}

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// The course of things.
    Info,
    /// Something to know.
    Warning,
    /// Something to act on.
    Error,
}

/// Where lines go: one JSON object an event. On stdout, because the Functions host takes every line of
/// stderr for an error.
#[derive(Clone)]
pub struct Log {
    world: World,
    sink: Arc<Mutex<dyn Write + Send>>,
}

impl fmt::Debug for Log {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Log")
    }
}

impl Log {
    /// Lines to this sink.
    pub fn new(world: &World, sink: impl Write + Send + 'static) -> Self {
        Self { world: world.clone(), sink: Arc::new(Mutex::new(sink)) }
    }

    /// Writes one event with its fields (a JSON object).
    pub fn event(&self, level: Level, event: &str, fields: Value) {
        let mut line = json!({ "time": rfc3339(self.world.now()), "level": level, "event": event });
        if let (Some(line), Value::Object(fields)) = (line.as_object_mut(), fields) {
            line.extend(fields.into_iter().filter(|(_, value)| !value.is_null()));
        }
        let mut text = line.to_string();
        text.push('\n');
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        // A log that cannot be written must not stop the work.
        let _ = sink.write_all(text.as_bytes()).and_then(|()| sink.flush());
    }

    /// The one line of a run's end.
    pub fn run_ended(&self, report: &Report) {
        let level = match report.result {
            RunResult::Ok | RunResult::Busy => Level::Info,
            RunResult::Partial => Level::Warning,
            RunResult::Failed => Level::Error,
        };
        self.event(
            level,
            "run_ended",
            json!({
                "run": report.run_id,
                "trigger": report.trigger,
                "result": report.result,
                "stage": report.failure.as_ref().map(|failure| failure.stage),
                "code": report.failure.as_ref().map(|failure| &failure.code),
                "message": Some(report.message()).filter(|message| !message.is_empty()),
                "window_start": report.window_start.map(rfc3339),
                "window_end": report.window_end.map(rfc3339),
                "watermark": report.watermark.map(rfc3339),
                "read": report.read,
                "repeated": report.repeated,
                "delivered": report.delivered,
                "dead_lettered": report.dead_lettered,
                "batches": report.batches,
                "delivered_bytes": report.delivered_bytes,
                "duration_ms": report.duration_ms(&self.world),
                "next": next(report),
            }),
        );
    }
}

/// What happens next, in words.
fn next(report: &Report) -> Option<String> {
    let from = report.watermark.map_or_else(|| "the first run's start".to_owned(), rfc3339);
    match report.result {
        RunResult::Ok | RunResult::Busy => None,
        RunResult::Partial => Some(format!("the next run goes on from {from}")),
        RunResult::Failed => Some(format!("the next run tries again from {from}")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use contract::cloud::CloudProfile;
    use contract::streams::HEALTH_COLUMNS;
    use sha2::{Digest, Sha256};
    use time::macros::datetime;

    use super::{Failure, Report, RunResult, Stage, Trigger, chain};
    use crate::settings::{Destination, Reporting};
    use crate::world::{ManualClock, World};

    fn reporting() -> Reporting {
        Reporting {
            installation: "mimecast-audit".to_owned(),
            package_hash: "00".to_owned(),
            account: String::new(),
            cloud: CloudProfile::parse("public").expect("known"),
            destination: Destination::Folder("out".into()),
        }
    }

    #[test]
    fn a_health_row_says_which_file_the_worker_is() {
        let world = World::system();
        let row = Report::begin(&world, Trigger::Timer).health_row(&world, &reporting());
        let row: serde_json::Value = serde_json::from_slice(&row).expect("JSON");
        let program = std::fs::read(std::env::current_exe().expect("a path")).expect("this test's program");
        let hash: String = Sha256::digest(&program).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(row["WorkerVersion"], format!("{}+{}", env!("CARGO_PKG_VERSION"), &hash[..16]));
    }

    #[test]
    fn a_full_health_row_has_exactly_the_declared_fields() {
        let clock = ManualClock::at(datetime!(2026-11-25 10:00 UTC));
        let world = World::of(clock.clone(), [].into());
        let mut report = Report::begin(&world, Trigger::Timer);
        clock.advance(std::time::Duration::from_millis(1_500));
        report.window_start = Some(datetime!(2026-11-25 09:40 UTC));
        report.window_end = Some(datetime!(2026-11-25 09:59 UTC));
        report.watermark = report.window_end;
        report.quota_limit = Some(300);
        report.quota_remaining = Some(297);
        report.fail(Failure {
            stage: Stage::Ingest,
            code: "ingest_forbidden".to_owned(),
            message: "m".to_owned(),
        });
        report.fail(Failure { stage: Stage::Poll, code: "later".to_owned(), message: "later".to_owned() });
        let row: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(&report.health_row(&world, &reporting())).expect("an object");
        let declared: BTreeSet<&str> = HEALTH_COLUMNS.iter().filter_map(|column| column.sent_as).collect();
        assert_eq!(row.keys().map(String::as_str).collect::<BTreeSet<_>>(), declared);
        assert_eq!(row["Result"], "failed");
        assert_eq!(row["Stage"], "ingest");
        assert_eq!(row["ErrorCode"], "ingest_forbidden");
        assert_eq!((&row["LagSeconds"], &row["DurationMs"]), (&61.into(), &1_500.into()));
        assert_eq!(report.result, RunResult::Failed);
    }

    #[test]
    fn a_chain_of_causes_repeats_nothing() {
        #[derive(Debug, thiserror::Error)]
        #[error("could not write")]
        struct Outer(#[source] std::io::Error);
        assert_eq!(chain(&Outer(std::io::Error::other("disk full"))), "could not write: disk full");
    }
}
