//! How many rows a second one core makes, and what they allocate.
//!
//! `cargo bench -p worker --bench rows`. It prints figures and asserts nothing. The time is that spent
//! on the processor, as Linux counts it, so that other programs change the figures little.

#![expect(clippy::unwrap_used, reason = "a missing sample ends the program")]

mod timing;

use serde_json::Value;
use time::macros::datetime;
use timing::{Shown, heading, measure};
use worker::poll::Record;
use worker::transform::{Transformer, event_info, event_time};

fn main() {
    let all = samples("");
    // The comma form: authentications, by far the most frequent where nothing polls threat feeds.
    let comma: Vec<Sample> = samples("authentication for ");
    let spaces = samples("Action Performed");
    let java = samples("Creating the auditLog entry");
    heading("row");
    for (name, samples) in
        [("comma form", &comma), ("all forms", &all), ("space form", &spaces), ("java dump", &java)]
    {
        whole(&format!("{name}: identity and row"), Transformer::new("main"), samples);
        rows(&format!("{name}: row, identity known"), samples);
    }
    whole("all forms: as the table holds them", Transformer::whole("main"), &all);
    part("comma form: identity alone", &comma, |transformer, sample| {
        transformer.key(&sample.record()).hash()
    });
    part("comma form: eventInfo alone", &comma, |_, sample| {
        event_info::read(sample.info.as_deref().unwrap_or_default())
            .source
            .map_or(0, |source| source.len() as u64)
    });
    part("comma form: eventTime alone", &comma, |_, sample| {
        event_time::read(&sample.time).map_or(0, |time| time.unix_timestamp().unsigned_abs())
    });
}

struct Sample {
    id: String,
    audit_type: String,
    user: String,
    time: String,
    info: Option<String>,
    category: String,
}

impl Sample {
    /// As the page's reader gives it: borrowed.
    fn record(&self) -> Record<'_> {
        Record {
            id: Some(self.id.as_str().into()),
            audit_type: Some(self.audit_type.as_str().into()),
            user: Some(self.user.as_str().into()),
            event_time: Some(self.time.as_str().into()),
            event_info: self.info.as_deref().map(Into::into),
            category: Some(self.category.as_str().into()),
        }
    }
}

/// The sample events whose text holds some words.
fn samples(words: &str) -> Vec<Sample> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/records/events");
    let mut samples = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let event: Value = serde_json::from_slice(&std::fs::read(entry.unwrap().path()).unwrap()).unwrap();
        let text = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
        if text("eventInfo").contains(words) {
            samples.push(Sample {
                id: text("id"),
                audit_type: text("auditType"),
                user: text("user"),
                time: text("eventTime"),
                info: event["eventInfo"].as_str().map(str::to_owned),
                category: text("category"),
            });
        }
    }
    samples
}

fn whole(name: &str, mut transformer: Transformer, samples: &[Sample]) {
    let mut out = Vec::with_capacity(1 << 20);
    measure(name, Shown::Bytes, samples, |sample| {
        let record = sample.record();
        let key = transformer.key(&record);
        let before = out.len();
        transformer.row(&record, &key, datetime!(2026-11-25 12:00 UTC), &mut out);
        let row_bytes = out.len() - before;
        // As a batch does when it is full.
        if out.len() > 900_000 {
            out.clear();
        }
        row_bytes as u64
    });
}

fn rows(name: &str, samples: &[Sample]) {
    let mut transformer = Transformer::new("main");
    let keys: Vec<_> = samples.iter().map(|sample| transformer.key(&sample.record())).collect();
    let mut out = Vec::with_capacity(1 << 20);
    let mut next = 0;
    measure(name, Shown::Bytes, samples, |sample| {
        let key = &keys[next];
        next = (next + 1) % keys.len();
        let before = out.len();
        transformer.row(&sample.record(), key, datetime!(2026-11-25 12:00 UTC), &mut out);
        let row_bytes = out.len() - before;
        if out.len() > 900_000 {
            out.clear();
        }
        row_bytes as u64
    });
}

fn part(name: &str, samples: &[Sample], work: impl Fn(&mut Transformer, &Sample) -> u64) {
    let mut transformer = Transformer::new("main");
    measure(name, Shown::Speed, samples, |sample| work(&mut transformer, sample));
}
