//! The traces: for each rule what an attack looks like, and what comes near it and is none.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use contract::streams::{AUDIT_TABLE, HEALTH_COLUMNS, HEALTH_TABLE};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use worker::poll::Record;
use worker::transform::Transformer;

use super::engine::Rows;
use super::schema::RULE_ERRORS_TABLE;
use crate::workspace;

/// The name under which the engine keeps the time of ingestion.
const INGESTED: &str = "_ingested";

/// A rule's traces.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Traces {
    pub(super) attack: Trace,
    pub(super) benign: Trace,
    /// Values of columns in the first row that the attack gives.
    pub(super) expect: Map<String, Value>,
    /// Why the benign trace is none, for readers.
    #[serde(rename = "benign_because")]
    _benign_because: String,
    /// Traces besides, each with what it must give.
    #[serde(default)]
    pub(super) further: Vec<Further>,
    /// What a day of runs must give.
    #[serde(default)]
    pub(super) day: Option<Day>,
}

/// A trace besides the two that every rule has.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Further {
    /// What it shows.
    pub(super) because: String,
    pub(super) trace: Trace,
    /// How many rows the rule gives.
    pub(super) alerts: usize,
    /// Values of columns in the first of them.
    #[serde(default)]
    pub(super) expect: Map<String, Value>,
}

/// A trace over which the rule runs a whole day, as often as it does: what one run lets pass another finds,
/// and what one has found the next ones leave alone.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Day {
    pub(super) trace: Trace,
    /// How often the rule fires within the day for each value of its first column.
    pub(super) alerts: BTreeMap<String, usize>,
    /// What each of the values stands for, for readers.
    #[serde(rename = "because")]
    _because: BTreeMap<String, String>,
}

/// What the tables hold.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Trace {
    events: Vec<Events>,
    health: Vec<Map<String, Value>>,
    rule_errors: Vec<Map<String, Value>>,
}

/// One event, or a series of alike ones. `{n}` in its texts is the place in the series, from 1.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Events {
    audit_type: String,
    category: String,
    user: String,
    event_info: String,
    #[serde(rename = "first_minutes_ago")]
    first_minutes_ago: f64,
    #[serde(default = "one")]
    repeat: u32,
    #[serde(default, rename = "every_seconds")]
    every_seconds: u32,
    /// Mimecast's code of the account, where it matters.
    account: Option<String>,
    /// How long it takes from the event to its row.
    #[serde(default = "a_minute", rename = "late_minutes")]
    late_minutes: f64,
    /// How often events are collected, the last time now, where that is what they wait for.
    #[serde(default, rename = "collected_every_minutes")]
    collected_every_minutes: Option<i64>,
    /// Whether it arrives only now, as in a first run, so that Azure replaces TimeGenerated.
    #[serde(default)]
    backfilled: bool,
}

fn one() -> u32 {
    1
}

fn a_minute() -> f64 {
    1.0
}

impl Traces {
    /// The traces of a rule; `None` where there are none.
    pub(super) fn of(rule: &str) -> Result<Option<Self>> {
        let file = workspace::root().join("xtask/data/traces").join(format!("{rule}.json"));
        match std::fs::read(&file) {
            Ok(text) => Ok(Some(
                serde_json::from_slice(&text).with_context(|| format!("reading {}", file.display()))?,
            )),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("reading {}", file.display())),
        }
    }
}

impl Trace {
    /// The rows of the tables at `now`.
    pub(super) fn tables(&self, now: OffsetDateTime) -> Result<BTreeMap<&'static str, Rows>> {
        let mut events = Vec::new();
        for series in &self.events {
            for place in 1..=series.repeat {
                events.push(series.row(place, events.len(), now)?);
            }
        }
        let health = self
            .health
            .iter()
            .enumerate()
            .map(|(place, given)| {
                let mut row = at_minutes_ago(given, now)?;
                for column in HEALTH_COLUMNS {
                    row.entry(column.name).or_insert(Value::Null);
                }
                row.insert("RunId".to_owned(), Value::from(place.to_string()));
                row.insert("Installation".to_owned(), Value::from("mimecast-audit"));
                if row["Account"].is_null() {
                    row.insert("Account".to_owned(), Value::from(""));
                }
                Ok(Value::Object(row))
            })
            .collect::<Result<Vec<_>>>()?;
        let errors = self
            .rule_errors
            .iter()
            .map(|given| at_minutes_ago(given, now).map(Value::Object))
            .collect::<Result<Vec<_>>>()?;
        Ok(BTreeMap::from([(AUDIT_TABLE, events), (HEALTH_TABLE, health), (RULE_ERRORS_TABLE, errors)]))
    }
}

impl Events {
    /// One event's row, through the worker's transform.
    fn row(&self, place: u32, serial: usize, now: OffsetDateTime) -> Result<Value> {
        let numbered = |text: &str| text.replace("{n}", &place.to_string());
        let later = Duration::seconds(i64::from(self.every_seconds) * i64::from(place - 1));
        let at = now - Duration::seconds_f64(self.first_minutes_ago * 60.0) + later;
        let id = format!("trace-{serial}-{}", self.audit_type);
        let event = json!({
            "id": id,
            "auditType": self.audit_type,
            "user": numbered(&self.user),
            "eventTime": at.replace_nanosecond(0)?.format(&Rfc3339)?,
            "eventInfo": numbered(&self.event_info),
            "category": self.category,
        });
        let mut row = table_row(&event, now)?;
        let arrived = match self.collected_every_minutes {
            _ if self.backfilled => now,
            None => at + Duration::seconds_f64(self.late_minutes * 60.0),
            Some(every) => {
                let every = Duration::minutes(every).whole_seconds();
                now - Duration::seconds((now - at).whole_seconds() / every * every)
            }
        };
        row.insert(INGESTED.to_owned(), Value::from(engine_time(arrived)?));
        if let Some(account) = &self.account {
            row.insert("account_s".to_owned(), Value::from(account.as_str()));
        }
        if self.backfilled {
            row.insert("TimeGenerated".to_owned(), Value::from(engine_time(now)?));
        }
        Ok(Value::Object(row))
    }
}

/// The table's row of an event, as the worker writes it.
pub(super) fn table_row(event: &Value, arrival: OffsetDateTime) -> Result<Map<String, Value>> {
    let text = |field: &str| event[field].as_str().map(Into::into);
    let record = Record {
        id: text("id"),
        audit_type: text("auditType"),
        user: text("user"),
        event_time: text("eventTime"),
        event_info: text("eventInfo"),
        category: text("category"),
    };
    let mut transformer = Transformer::whole("example");
    let key = transformer.key(&record);
    let mut row = Vec::new();
    transformer.row(&record, &key, arrival, &mut row);
    let Value::Object(mut row) = serde_json::from_slice(&row)? else { bail!("a row is no object") };
    for column in ["TimeGenerated", "eventTime_t"] {
        if let Some(Value::String(time)) = row.get(column) {
            let time = OffsetDateTime::parse(time, &Rfc3339)?;
            row.insert(column.to_owned(), Value::from(engine_time(time)?));
        }
    }
    Ok(row)
}

/// A row with its `minutes_ago` turned into `TimeGenerated`; it arrived a minute later.
fn at_minutes_ago(given: &Map<String, Value>, now: OffsetDateTime) -> Result<Map<String, Value>> {
    let mut row = given.clone();
    let minutes = row.remove("minutes_ago").and_then(|value| value.as_f64()).context("no minutes_ago")?;
    let at = now - Duration::seconds_f64(minutes * 60.0);
    row.insert("TimeGenerated".to_owned(), Value::from(engine_time(at)?));
    row.insert(INGESTED.to_owned(), Value::from(engine_time(at + Duration::minutes(1))?));
    Ok(row)
}

/// A time as the engine reads it: UTC, without a mark of it.
pub(super) fn engine_time(at: OffsetDateTime) -> Result<String> {
    let format = time::macros::format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
    Ok(at.to_offset(time::UtcOffset::UTC).format(&format)?)
}
