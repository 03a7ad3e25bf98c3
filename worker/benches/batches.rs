//! How many rows a second one core puts into bodies, and what a body that Azure refused costs to divide.
//!
//! `cargo bench -p worker --bench batches`. It prints figures and asserts nothing.

#![expect(clippy::unwrap_used, reason = "a missing sample ends the program")]

mod timing;

use serde_json::Value;
use time::macros::datetime;
use timing::{Shown, heading, measure};
use uuid::Uuid;
use worker::batch::{Batch, Batcher, LIMIT_BYTES, Mark, Pushed, compress_array};
use worker::poll::Record;
use worker::transform::Transformer;

fn main() {
    let rows = rows();
    heading("row");
    let mut batcher = Batcher::new();
    measure("rows into bodies, compressed while they fill", Shown::Bytes, &rows, |row| {
        match push(&mut batcher, row) {
            Pushed::Full(batch) => batch.body.len() as u64,
            Pushed::Kept | Pushed::TooLarge(_) => 0,
        }
    });
    heading("body");
    let full = [full(&rows)];
    measure("a full body opened again", Shown::Speed, &full, |batch| batch.rows().unwrap().len() as u64);
    let opened = [full[0].rows().unwrap()];
    measure("half of its rows as a body", Shown::Bytes, &opened, |rows| {
        rows.body(0..rows.len() / 2).len() as u64
    });
    measure("one of its rows as a body", Shown::Bytes, &opened, |rows| {
        compress_array([rows.row(0)]).len() as u64
    });
}

/// The sample events as the stream takes them.
fn rows() -> Vec<Vec<u8>> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/records/events");
    let mut transformer = Transformer::new("main");
    let mut rows = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let event = std::fs::read(entry.unwrap().path()).unwrap();
        let event = serde_json::from_slice::<Value>(&event).unwrap().to_string();
        let record = Record::parse(event.as_bytes()).unwrap();
        let key = transformer.key(&record);
        let mut row = Vec::new();
        transformer.row(&record, &key, datetime!(2026-11-25 12:00 UTC), &mut row);
        rows.push(row);
    }
    rows
}

fn push(batcher: &mut Batcher, row: &[u8]) -> Pushed {
    batcher.push(Uuid::nil, |out| {
        out.extend_from_slice(row);
        Mark { hash: row.len() as u64, event_time: None }
    })
}

/// The first body that these rows fill.
fn full(rows: &[Vec<u8>]) -> Batch {
    let mut batcher = Batcher::with_limit(LIMIT_BYTES);
    loop {
        for row in rows {
            if let Pushed::Full(batch) = push(&mut batcher, row) {
                return batch;
            }
        }
    }
}
