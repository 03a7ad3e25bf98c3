use std::fs;

use installer::deploy::package::Package;

use super::figures::TARGETS;
use super::{Extent, Programs, measure, page};
use crate::demo::person::built;
use crate::test::tools;
use crate::workspace;

/// A small bench from its beginning to its end, with the programs as the tests have them: that it counts
/// rightly, not how fast anything is.
#[test]
#[expect(clippy::disallowed_methods, reason = "the gate says by a variable that its tools are there")]
fn every_figure_is_measured_and_what_does_not_depend_on_time_is_reached() {
    if !tools::peer_folder().join("bin").join("python").is_file() {
        assert!(std::env::var_os(crate::test::TOOLS_REQUIRED).is_none(), "the gate installs the peers");
        println!("left out: the peers are not installed; `cargo xtask test tools` does it");
        return;
    }
    let example = workspace::cargo(&["build", "--workspace", "--example", "bounds"]).status();
    assert!(example.expect("cargo starts").success(), "the bounds are built");
    let folder = tempfile::tempdir().expect("a folder");
    let worker = built("mimecast-sentinel-worker").expect("a path");
    let package = folder.path().join("worker.zip");
    let zip = Package::build(&fs::read(&worker).expect("the worker is built")).expect("a package");
    fs::write(&package, &zip.bytes).expect("written");
    let programs = Programs {
        worker,
        package,
        installer: built("mimecast-sentinel").expect("a path"),
        built_in: false,
        bounds: built("examples/bounds").expect("a path"),
    };
    let extent = Extent { events: 5_000, rounds: 1, latency: std::time::Duration::from_millis(1) };
    let measured = measure::measure(programs, extent).expect("measured");

    for target in TARGETS {
        let value = measured.value(target.key);
        assert!(value.is_finite() && value > 0.0, "{}: {value}", target.key);
    }
    assert!(measured.absolute.values().all(|value| value.as_f64().is_some_and(f64::is_finite)));
    // A page of 500 is a call of the official peer's: two of them hold the thousand events.
    assert_eq!(measured.behind("official_calls_per_million"), 2_000.0);
    let row_bytes = measured.behind("plain_bytes_per_event");
    assert!((500.0..700.0).contains(&row_bytes), "{row_bytes}");
    assert!(measured.peers.contains_key("azure-monitor-ingestion"));
    let page = page::page(&measured);
    assert!(TARGETS.iter().all(|target| page.contains(target.key)) && !page.contains("NaN"), "{page}");
}
