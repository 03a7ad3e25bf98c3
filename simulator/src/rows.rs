//! The rows of the workspaces' tables, as Log Analytics stores them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::clock::Clock;

/// One stored row: column to value.
pub type Row = Map<String, Value>;

/// A row with the time at which it was accepted.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) row: Row,
    pub(crate) accepted_at: OffsetDateTime,
}

/// What is kept of what arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keep {
    /// Every row.
    #[default]
    Rows,
    /// Only the [`Tally`]: for measurements of millions of events.
    Tally,
}

/// What arrived for one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Accepted calls.
    pub calls: u64,
    /// Rows in them.
    pub rows: u64,
    /// Bytes of their bodies before compression.
    pub body_bytes: u64,
    /// Bytes of their bodies as sent.
    pub sent_bytes: u64,
}

#[derive(Debug, Default)]
struct Tables {
    keep: Keep,
    latency: Duration,
    body_limit: Option<usize>,
    refused_text: String,
    /// By lower-case workspace id and table name.
    stored: BTreeMap<(String, String), Vec<Stored>>,
    tallies: BTreeMap<String, Tally>,
}

/// The tables' rows; clones share them.
#[derive(Debug, Clone)]
pub struct Rows {
    tables: Arc<Mutex<Tables>>,
    clock: Clock,
}

impl Rows {
    /// No row yet.
    pub fn new(clock: Clock) -> Self {
        Self { tables: Arc::default(), clock }
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says what to keep from now on.
    pub fn keep(&self, keep: Keep) {
        self.lock().keep = keep;
    }

    pub(crate) fn kept(&self) -> Keep {
        self.lock().keep
    }

    /// Makes rows visible to queries only this long after they were accepted
    /// (<https://learn.microsoft.com/azure/azure-monitor/logs/data-ingestion-time>).
    pub fn set_latency(&self, latency: Duration) {
        self.lock().latency = latency;
    }

    /// Makes the ingestion refuse bodies of more than so many bytes before compression: a stricter
    /// limit than Azure's own.
    pub fn set_body_limit(&self, bytes: usize) {
        self.lock().body_limit = Some(bytes);
    }

    pub(crate) fn body_limit(&self) -> Option<usize> {
        self.lock().body_limit
    }

    /// Makes the ingestion answer 400 to bodies that hold this text, as it does to a record that its
    /// parser cannot read; an empty text refuses none.
    pub fn refuse_bodies_with(&self, text: &str) {
        text.clone_into(&mut self.lock().refused_text);
    }

    pub(crate) fn refuses(&self, body: &[u8]) -> bool {
        let tables = self.lock();
        let text = tables.refused_text.as_bytes();
        !text.is_empty() && body.windows(text.len()).any(|window| window == text)
    }

    /// All rows of a table in whatever workspace, in the order of acceptance, whether a query would
    /// show them yet or not.
    pub fn of(&self, table: &str) -> Vec<Row> {
        let tables = self.lock();
        let stored = tables.stored.iter().filter(|((_, name), _)| name == table);
        stored.flat_map(|(_, rows)| rows.iter().map(|stored| stored.row.clone())).collect()
    }

    /// What arrived for a table.
    pub fn tally(&self, table: &str) -> Tally {
        self.lock().tallies.get(table).copied().unwrap_or_default()
    }

    /// Drops the rows of tables other than these, each by the lower-case id of its resource.
    pub(crate) fn keep_only(&self, tables: &BTreeSet<String>) {
        let left = |(workspace, table): &(String, String)| {
            tables.contains(&format!("{workspace}/tables/{}", table.to_ascii_lowercase()))
        };
        self.lock().stored.retain(|place, _| left(place));
    }

    /// The rows that a query sees now, each with the time at which it was accepted.
    pub(crate) fn visible(&self, workspace_id: &str, table: &str) -> Vec<Stored> {
        let tables = self.lock();
        let since = self.clock.now() - tables.latency;
        let stored = tables.stored.get(&(workspace_id.to_ascii_lowercase(), table.to_owned()));
        stored.into_iter().flatten().filter(|stored| stored.accepted_at <= since).cloned().collect()
    }

    /// Counts an accepted call.
    pub(crate) fn count(&self, table: &str, rows: usize, body_bytes: usize, sent_bytes: usize) {
        let wide = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let mut tables = self.lock();
        let tally = tables.tallies.entry(table.to_owned()).or_default();
        tally.calls += 1;
        tally.rows += wide(rows);
        tally.body_bytes += wide(body_bytes);
        tally.sent_bytes += wide(sent_bytes);
    }

    /// Stores rows, as if they had come through the ingestion: also for setting a scene.
    pub fn add(&self, workspace_id: &str, table: &str, rows: impl IntoIterator<Item = Row>) {
        let accepted_at = self.clock.now();
        let key = (workspace_id.to_ascii_lowercase(), table.to_owned());
        let mut tables = self.lock();
        let stored = tables.stored.entry(key).or_default();
        stored.extend(rows.into_iter().map(|row| Stored { row, accepted_at }));
    }
}
