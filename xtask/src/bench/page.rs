//! `docs/performance.md` and its plot.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result};
use serde_json::Value;

use super::figures::{Measured, Standing, TARGETS, number};
use super::plot::{self, Group, Whose};
use crate::workspace;

/// The page, from the workspace's root.
const PAGE: &str = "docs/performance.md";
/// The plot.
const PLOT: &str = "docs/performance.svg";

/// Writes both.
pub(super) fn write(measured: &Measured) -> Result<()> {
    for (path, content) in [(PAGE, page(measured)), (PLOT, picture(measured))] {
        fs::write(workspace::root().join(path), content)
            .with_context(|| format!("could not write {path}"))?;
    }
    Ok(())
}

/// Rows of the table of absolute figures: what, unit, key of each program's figure behind its name.
const ABSOLUTE: &[(&str, &str)] = &[
    ("CPU seconds for a million events", "cpu_secs_per_million"),
    ("simulator's own CPU seconds meanwhile", "simulator_cpu_secs_per_million"),
    ("peak memory, MiB", "peak_mib"),
    ("start to the first call, ms", "first_call_ms"),
    ("share of an ingestion call used", "fill"),
    ("ingestion calls for a million events", "calls_per_million"),
];

/// The page's text.
pub(super) fn page(measured: &Measured) -> String {
    let set = |key: &str| match measured.setting.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => "not known".to_owned(),
        Some(other) => other.to_string(),
    };
    let events = |share: f64| number(measured.setting["events"].as_f64().unwrap_or_default() / share);
    let mut out = String::from(
        "# Performance\n\n\
         Made by `cargo xtask bench --write`; it measures what `cargo xtask dist` gives out. What was tried, what it\n\
         brought and why a goal is missed: [speed of the worker](decisions/speed.md).\n\n\
         ![CPU time, wall time and memory beside the peers](performance.svg)\n\n\
         ## Figures\n\n\
         | figure | | measured | floor | goal | |\n| --- | --- | ---: | ---: | ---: | --- |\n",
    );
    for target in TARGETS {
        let value = measured.value(target.key);
        let floor = target.floor.map_or_else(String::new, |floor| target.bound(floor));
        let note = match target.standing(value) {
            Standing::Goal => "goal reached",
            Standing::Floor => "goal missed",
            Standing::Below => "**floor missed**",
        };
        let (key, what, goal) = (target.key, target.what, target.bound(target.goal));
        let _ = writeln!(out, "| `{key}` | {what} | {} | {floor} | {goal} | {note} |", number(value));
    }
    out.push_str("\n## Side by side\n\n| | worker | official | lean |\n| --- | ---: | ---: | ---: |\n");
    for (what, key) in ABSOLUTE {
        let of = |name: &str| number(measured.behind(&format!("{name}_{key}")));
        let _ = writeln!(out, "| {what} | {} | {} | {} |", of("worker"), of("official"), of("lean"));
    }
    let of = |name: &str| number(measured.behind(&format!("delayed_{name}_secs_per_ten_thousand")));
    let _ = writeln!(
        out,
        "| seconds for 10,000 events, {} ms added to each call | {} | {} | {} |",
        set("latency_ms"),
        of("worker"),
        of("official"),
        of("lean")
    );
    let behind = |key: &str| number(measured.behind(key));
    let _ = write!(
        out,
        "\n## The worker by itself\n\n\
         | | |\n| --- | ---: |\n\
         | CPU seconds for a million events, all {} of them | {} |\n\
         | wall seconds for them, without latency | {} |\n\
         | CPU seconds for a million events in memory alone | {} |\n\
         | bytes of an event in a body, plain and compressed | {} and {} |\n\
         | peak memory with {} events, MiB | {} |\n\
         | {} events with latency: worker, and fetching the {} pages alone, s | {} and {} |\n\
         | four days of a backfill with latency: one worker, and four, s | {} and {} |\n",
        events(1.0),
        behind("largest_cpu_secs_per_million"),
        behind("largest_wall_secs"),
        behind("limit_cpu_secs_per_million"),
        behind("plain_bytes_per_event"),
        behind("sent_bytes_per_event"),
        events(100.0),
        behind("smallest_peak_mib"),
        events(20.0),
        behind("delayed_fetch_pages"),
        behind("delayed_worker_wall_secs"),
        behind("delayed_fetch_wall_secs"),
        behind("backfill_one_wall_secs"),
        behind("backfill_four_wall_secs"),
    );
    let peers: Vec<String> = measured
        .peers
        .iter()
        .map(|(name, version)| format!("{name} {}", version.as_str().unwrap_or_default()))
        .collect();
    let pinned = match &measured.setting["pinned"] {
        Value::Null => "Nothing is bound to a core.".to_owned(),
        cores => format!(
            "What is measured is bound to core {}, the simulator to core {}.",
            cores["client"], cores["simulator"]
        ),
    };
    let _ = write!(
        out,
        "\n## Method\n\n\
         * Everybody reads the same made-up history from the same simulator over TLS, in pages of 500, and posts it to\n  \
           the simulated Logs Ingestion API, which refuses what Azure refuses and counts rows, calls and bytes. A run\n  \
           counts only where exactly the history's events were accepted. Everybody trusts the same authorities: the usual\n  \
           ones (certifi's) and the simulator's.\n\
         * **worker** is the binary that is given out, started and called as the Functions host does: port, `GET /`, the\n  \
           timer's payload. Its work includes lease, checkpoint, health row, decoding of ids and reading of eventInfo.\n\
         * **official** works as the vendor's current connector is described to work: a connection for each call, for each\n  \
           page a new credential and a new ingestion client, the place saved after each page. **lean** keeps one of each.\n  \
           Both send the events as they came; their place is a local file, which is cheaper than the file share that the\n  \
           vendor's uses. They are `xtask/peer/peer.py`.\n\
         * CPU is compared on {compared} events over twelve days, memory and bodies are those of {largest} over 59 days, each\n  \
           against a new checkpoint. With latency there are {delayed}, the most that one window holds. A program's start is part of its CPU time. Peak memory is `VmHWM`.\n\
         * The limit (`limit_ratio`) is `worker/examples/bounds.rs`, built like the worker: the first {compared} of the same\n  \
           events in memory, parsed, ids decoded, rows written and compressed by the same code, nothing else; in turn with it.\n\
         * Pages are compressed at level {pages}, the peers' bodies at {peer}, which their library chooses,\n  \
           the worker's by itself ({worker}).\n\
         * Each figure is the median of {rounds} runs, CPU of worker and lean peer of three times as many. {pinned}\n\
         * Processor: {processor}; Linux {kernel}. {peers}.\n",
        compared = events(5.0),
        delayed = events(20.0),
        largest = events(1.0),
        pages = set("gzip_level_of_pages"),
        worker = set("gzip_of_worker"),
        peer = set("gzip_level_of_peers"),
        rounds = set("rounds"),
        processor = set("processor"),
        kernel = set("kernel"),
        peers = peers.join(", "),
    );
    out
}

/// The plot.
fn picture(measured: &Measured) -> String {
    let behind = |key: &str| measured.behind(key);
    let three = |key: fn(&str) -> String| {
        [("official", Whose::Theirs), ("lean", Whose::Theirs), ("worker", Whose::Ours)]
            .map(|(name, whose)| (name, behind(&key(name)), whose))
            .to_vec()
    };
    let mut cpu = three(|name| format!("{name}_cpu_secs_per_million"));
    cpu.push(("in memory alone", behind("limit_cpu_secs_per_million"), Whose::Bound));
    let group = |heading: &str, bars| Group { heading: heading.to_owned(), bars };
    plot::svg(
        "The worker beside two Python peers",
        &[
            group("CPU seconds for a million events", cpu),
            group(
                "seconds for 10,000 events where each call takes longer",
                three(|name| format!("delayed_{name}_secs_per_ten_thousand")),
            ),
            group("peak memory, MiB", three(|name| format!("{name}_peak_mib"))),
            group("ingestion calls for a million events", three(|name| format!("{name}_calls_per_million"))),
        ],
    )
}
