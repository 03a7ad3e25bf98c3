//! The fuzz targets' properties, tried on every committed seed: what was found once stays found.

use std::fs;
use std::path::Path;

#[path = "../../../fuzz/properties/answers.rs"]
mod answers;
#[path = "../../../fuzz/properties/arm_error.rs"]
mod arm_error;
#[path = "../../../fuzz/properties/body.rs"]
mod body;
#[path = "../../../fuzz/properties/checkpoint.rs"]
mod checkpoint;
#[path = "../../../fuzz/properties/event_id.rs"]
mod event_id;
#[path = "../../../fuzz/properties/event_info.rs"]
mod event_info;
#[path = "../../../fuzz/properties/event_time.rs"]
mod event_time;
#[path = "../../../fuzz/properties/page.rs"]
mod page;
#[path = "../../../fuzz/properties/payload.rs"]
mod payload;
#[path = "../../../fuzz/properties/row.rs"]
mod row;

/// Each target with its property, in the file that the fuzzer builds too.
/// Breaks where an input breaks what it holds.
type Property = fn(&[u8]);

const TARGETS: [(&str, Property); 10] = [
    ("answers", answers::check),
    ("arm_error", arm_error::check),
    ("body", body::check),
    ("checkpoint", checkpoint::check),
    ("event_id", event_id::check),
    ("event_info", event_info::check),
    ("event_time", event_time::check),
    ("page", page::check),
    ("payload", payload::check),
    ("row", row::check),
];

fn fuzz() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn every_target_holds_on_every_seed() {
    for (target, check) in TARGETS {
        let folder = fuzz().join("seeds").join(target);
        let seeds = names(&folder);
        assert!(seeds.len() >= 5, "{target} has {} seeds", seeds.len());
        for seed in seeds {
            let data = fs::read(folder.join(&seed)).expect("a seed");
            let held = std::panic::catch_unwind(|| check(&data));
            assert!(held.is_ok(), "{target} does not hold on the seed {seed}");
        }
    }
}

#[test]
fn no_target_is_left_out() {
    let mine: Vec<String> = TARGETS.iter().map(|(target, _)| (*target).to_owned()).collect();
    assert_eq!(names(&fuzz().join("seeds")), mine);
    let files: Vec<String> = mine.iter().map(|target| format!("{target}.rs")).collect();
    assert_eq!(names(&fuzz().join("properties")), files);
    assert_eq!(names(&fuzz().join("fuzz_targets")), files);
}
