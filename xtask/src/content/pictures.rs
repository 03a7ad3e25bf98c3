//! Pictures of the workbook's tiles: the demo's events through the tiles' own queries.
//!
//! The events are those that the simulated Mimecast holds, at one fixed time, so that each picture is the
//! same bytes whenever it is made. The health tiles show the runs that an installation a day old would have
//! made of them: a first run that takes everything before it, then one every five minutes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result};
use contract::streams::{AUDIT_TABLE, HEALTH_TABLE};
use installer::content::workbook::Tile;
use serde_json::{Value, json};
use simulator::mimecast::Event;
use time::{Duration, OffsetDateTime};

use super::Content;
use super::cases::NOW;
use super::drawing::draw;
use super::engine::{Case, Repeated, Rows, Runs};
use super::traces::{engine_time, table_row};
use crate::workspace;

/// The folder of the pictures, from the workspace's root.
pub(crate) const FOLDER: &str = "docs/pictures";

/// How long ago the first run was.
const AGE: Duration = Duration::hours(24);
/// The schedule, the settling time and the overlap that are the defaults of the answers.
const EVERY: Duration = Duration::minutes(5);
const SETTLE: Duration = Duration::seconds(60);
const OVERLAP: Duration = Duration::minutes(15);
/// A run's calls of Mimecast: a page, or those of the first run.
const CALLS: i64 = 1;
const CALLS_OF_THE_FIRST_RUN: i64 = 3;
const QUOTA: i64 = 300;

/// The name of a picture's file.
pub(crate) fn file_name(tile: &Tile) -> String {
    format!("{}.svg", tile.query)
}

/// A case for each tile.
pub(super) fn cases(content: &Content) -> Result<Vec<Case>> {
    let events = Event::recorded(NOW);
    let audit = BTreeMap::from([(AUDIT_TABLE, audit_rows(&events)?)]);
    let health = BTreeMap::from([(HEALTH_TABLE, health_rows(&events)?)]);
    tiles(content)
        .map(|tile| {
            let query = tile.text()?.to_owned();
            // Each tile reads one of the tables; rows that it does not read would cost time alone.
            let tables = if query.contains("Health") { health.clone() } else { audit.clone() };
            Ok(Case { name: case_name(tile), query, tables, runs: Repeated::ONCE })
        })
        .collect()
}

/// Each picture that is not as it is drawn now, after writing it where `write` says so.
pub(super) fn differing(content: &Content, runs: &Runs, write: bool) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for tile in tiles(content) {
        let Some(outcome) = runs.results.get(&case_name(tile)) else { continue };
        let drawn = draw(tile, outcome).with_context(|| format!("drawing tile `{}`", tile.query))?;
        let file = path(tile);
        if write {
            std::fs::create_dir_all(workspace::root().join(FOLDER))?;
            std::fs::write(&file, &drawn).with_context(|| format!("writing {}", file.display()))?;
        }
        if std::fs::read_to_string(&file).ok().as_ref() != Some(&drawn) {
            findings.push(format!(
                "{FOLDER}/{} is not what the tile shows: run `cargo xtask content --pictures`",
                file_name(tile)
            ));
        }
    }
    Ok(findings)
}

fn tiles(content: &Content) -> impl Iterator<Item = &Tile> {
    content.workbook.groups.iter().flat_map(|group| &group.tiles)
}

fn path(tile: &Tile) -> PathBuf {
    workspace::root().join(FOLDER).join(file_name(tile))
}

fn case_name(tile: &Tile) -> String {
    format!("pictures/{}", tile.query)
}

/// The table's rows of the events, as the worker writes them.
fn audit_rows(events: &[Event]) -> Result<Rows> {
    events
        .iter()
        .map(|event| {
            let mut row = table_row(&serde_json::from_slice(event.json())?, NOW)?;
            row.insert("_ingested".to_owned(), Value::from(engine_time(event.at)?));
            Ok(Value::Object(row))
        })
        .collect()
}

/// The runs' rows.
fn health_rows(events: &[Event]) -> Result<Rows> {
    let first = NOW - AGE;
    let mut rows = Vec::new();
    let mut at = first;
    while at < NOW {
        let end = at - SETTLE;
        let closed = end - EVERY;
        let within =
            |start: OffsetDateTime| events.iter().filter(|event| event.at >= start && event.at < end).count();
        let (read, delivered, calls) = if at == first {
            let all = within(OffsetDateTime::UNIX_EPOCH);
            (all, all, CALLS_OF_THE_FIRST_RUN)
        } else {
            (within(closed - OVERLAP), within(closed), CALLS)
        };
        rows.push(json!({
            "TimeGenerated": engine_time(at)?,
            "RunId": rows.len().to_string(),
            "Installation": "mimecast-audit",
            "Account": "",
            "Trigger": "timer",
            "Result": "ok",
            "Watermark": engine_time(end)?,
            "LagSeconds": SETTLE.whole_seconds(),
            "Read": read,
            "Repeated": read - delivered,
            "Delivered": delivered,
            "DeadLettered": 0,
            "QuotaLimit": QUOTA,
            "QuotaRemaining": QUOTA - calls,
            "DurationMs": 400 + 300 * calls,
            "WorkerVersion": "1.0.0",
        }));
        at += EVERY;
    }
    Ok(rows)
}
