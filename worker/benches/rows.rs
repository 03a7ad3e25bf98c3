//! How many rows a second one core makes, and what they allocate.
//!
//! `cargo bench -p worker --bench rows`. It prints figures and asserts nothing. The time is that spent
//! on the processor, as Linux counts it, so that other programs change the figures little.

#![expect(clippy::print_stdout, reason = "figures are what this is for")]
#![expect(clippy::unwrap_used, reason = "a missing sample ends the program")]

use std::time::Duration;

use serde_json::Value;
use time::macros::datetime;
use worker::poll::Record;
use worker::transform::{Transformer, event_info, event_time};

/// How long each figure is measured, after a tenth of that to warm up.
const MEASURED: Duration = Duration::from_secs(2);

fn main() {
    let all = samples("");
    // The comma form: authentications, by far the most frequent where nothing polls threat feeds.
    let comma: Vec<Sample> = samples("authentication for ");
    let spaces = samples("Action Performed");
    let java = samples("Creating the auditLog entry");
    println!("{:<44} {:>12} {:>10} {:>12} {:>10}", "", "rows/s", "ns/row", "allocations", "bytes/row");
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
    measure(name, samples, |sample| {
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
    measure(name, samples, |sample| {
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
    measure(name, samples, |sample| work(&mut transformer, sample));
}

/// The time that this program has spent on a processor, the first number of its `schedstat`
/// (<https://docs.kernel.org/scheduler/sched-stats.html>).
fn spent() -> Duration {
    let figures = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    Duration::from_nanos(figures.split(' ').next().unwrap().parse().unwrap())
}

/// Runs the work over the samples, in order and again, and prints its figures. The work gives the
/// row's bytes, or any number that keeps it from being left out.
fn measure(name: &str, samples: &[Sample], mut work: impl FnMut(&Sample) -> u64) {
    let mut round = |length: Duration| {
        let (mut done, mut sum) = (0_u64, 0_u64);
        let start = spent();
        while spent() - start < length {
            // Asking for the time must not count.
            for _ in 0..1_000 {
                for sample in samples {
                    sum = sum.wrapping_add(std::hint::black_box(work(std::hint::black_box(sample))));
                }
                done += samples.len() as u64;
            }
        }
        (done, sum, spent() - start)
    };
    round(MEASURED / 10);
    let (done, sum, elapsed) = round(MEASURED);
    let allocations = allocation_counter::measure(|| {
        for _ in 0..100 {
            for sample in samples {
                std::hint::black_box(work(sample));
            }
        }
    });
    let per_second = done as f64 / elapsed.as_secs_f64();
    let per_row = allocations.count_total as f64 / (100 * samples.len()) as f64;
    let bytes =
        if name.ends_with("alone") { String::new() } else { format!("{:.0}", sum as f64 / done as f64) };
    println!("{name:<44} {per_second:>12.0} {:>10.0} {per_row:>12.3} {bytes:>10}", 1e9 / per_second);
}
