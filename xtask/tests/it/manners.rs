//! The rules of style that no lint knows.

use std::fs;

use super::sources::{self, Source};

/// The most lines of a Rust file, its test module aside; at 400 look for the second subject.
const LINES_AT_MOST: usize = 600;

/// Asserts that nothing was found, and lists what was.
#[track_caller]
fn nothing(found: &[String]) {
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn files_stay_readable() {
    let too_long: Vec<String> = sources::rust()
        .iter()
        .map(|source| (source, source.shipped_lines()))
        .filter(|(_, lines)| *lines > LINES_AT_MOST)
        .map(|(source, lines)| format!("{}: {lines} lines", source.path))
        .collect();
    nothing(&too_long);
}

#[test]
fn every_rust_file_says_what_it_is_for() {
    let silent: Vec<String> = sources::rust()
        .iter()
        .filter(|source| !source.text.starts_with("//! ") && !source.path.ends_with("/tests.rs"))
        .map(|source| source.path.clone())
        .collect();
    nothing(&silent);
}

#[test]
fn modules_are_named_for_what_they_hold() {
    let leftovers = ["mod", "util", "utils", "common", "helper", "helpers", "misc", "shared"];
    let found: Vec<String> = sources::rust()
        .into_iter()
        .map(|source| source.path)
        .filter(|path| {
            let stem = path.rsplit('/').next().and_then(|name| name.strip_suffix(".rs"));
            stem.is_some_and(|stem| leftovers.contains(&stem))
        })
        .collect();
    nothing(&found);
}

#[test]
fn nothing_is_put_off_or_left_out() {
    // Written apart so that this file does not find itself.
    let needles = [concat!("#[ign", "ore"), concat!("tod", "o!("), concat!("unimple", "mented!(")];
    let found: Vec<String> = sources::rust().iter().flat_map(|source| lines_with(source, &needles)).collect();
    nothing(&found);
}

/// Diagnostic settings of a resource have one version that takes log categories, which Azure has
/// called a preview since 2021 and which its own portal and tools send.
fn without_a_stable_version(line: &str) -> bool {
    line.contains("\"Microsoft.Insights/diagnosticSettings\"")
}

#[test]
fn no_preview_api_version_is_sent() {
    let ours = ["installer/src", "worker/src", "contract/src", "templates", "azuredeploy"];
    let found: Vec<String> = sources::texts()
        .iter()
        .filter(|source| source.within(&ours))
        .flat_map(|source| {
            // A deployment template has a resource's type on the line before its version.
            let before = [""].into_iter().chain(source.text.lines());
            before
                .zip(source.text.lines())
                .enumerate()
                .filter(|(_, (before, line))| {
                    names_preview_version(line)
                        && !without_a_stable_version(line)
                        && !without_a_stable_version(before)
                })
                .map(move |(index, (_, line))| format!("{}:{}: {}", source.path, index + 1, line.trim()))
        })
        .collect();
    nothing(&found);
}

/// Whether a line holds `<a date>-preview`.
fn names_preview_version(line: &str) -> bool {
    line.match_indices("-preview").any(|(at, _)| {
        let before: Vec<u8> = line.as_bytes()[..at].iter().rev().take(10).rev().copied().collect();
        before.len() == 10
            && before.iter().enumerate().all(|(place, byte)| match place {
                4 | 7 => *byte == b'-',
                _ => byte.is_ascii_digit(),
            })
    })
}

#[test]
fn preview_versions_are_recognised() {
    assert!(names_preview_version("api-version=2024-11-01-preview&x=1"));
    assert!(!names_preview_version("the -preview suffix, 2024-11-01, is refused"));
}

#[test]
fn files_name_no_machine_and_no_download_address() {
    let needles = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("arti", "factory"),
        concat!("registry.", "npmjs.org"),
        concat!("files.", "pythonhosted.org"),
    ];
    // Where Azure Functions keeps an app's files.
    let azures_own = concat!("/ho", "me/site/wwwroot");
    let mut found: Vec<String> =
        sources::texts().iter().flat_map(|source| lines_with(source, &needles)).collect();
    found.retain(|line| !line.contains(azures_own));
    nothing(&found);
}

#[test]
fn lock_files_hold_no_download_addresses() {
    let mut locks = 0;
    for source in sources::texts().iter().filter(|source| source.path.ends_with("package-lock.json")) {
        locks += 1;
        assert!(!source.text.contains("\"resolved\""), "{}", source.path);
        assert!(source.text.contains("\"integrity\": \"sha512-"), "{} pins by hash", source.path);
    }
    assert!(locks > 0, "the search finds the lock files");
}

#[test]
fn every_file_of_integration_tests_is_part_of_its_binary() {
    let all = sources::rust();
    let mut forgotten = Vec::new();
    for source in &all {
        let Some((folder, name)) = source.path.rsplit_once('/') else { continue };
        let Some(module) = name.strip_suffix(".rs").filter(|module| *module != "main") else { continue };
        if !folder.contains("/tests/") && !folder.ends_with("/tests") {
            continue;
        }
        let parents = [format!("{folder}/main.rs"), format!("{folder}.rs")];
        let declared = all.iter().filter(|other| parents.contains(&other.path)).any(|parent| {
            parent
                .text
                .lines()
                .any(|line| line.trim().trim_start_matches("pub(crate) ") == format!("mod {module};"))
        });
        if !declared {
            forgotten.push(source.path.clone());
        }
    }
    nothing(&forgotten);
}

#[test]
fn no_test_data_is_forgotten() {
    let rust = sources::rust();
    let mentioned = |crate_name: &str, name: &str| {
        rust.iter().any(|source| source.path.starts_with(crate_name) && source.text.contains(name))
            || rust
                .iter()
                .any(|source| source.text.contains(&format!("{crate_name}/")) && source.text.contains(name))
    };
    let mut forgotten = Vec::new();
    for path in sources::paths() {
        let parts: Vec<&str> = path.split('/').collect();
        let [crate_name, rest @ .., file] = parts.as_slice() else { continue };
        let data = matches!(rest, ["tests", "data", ..] | ["data", ..] | ["fixtures", ..]);
        // A folder that a test walks counts for all its files.
        let folder = rest.last().copied().unwrap_or_default();
        if *crate_name != "xtask" && data && !mentioned(crate_name, file) && !mentioned(crate_name, folder) {
            forgotten.push(path);
        }
    }
    nothing(&forgotten);
}

#[test]
fn the_gate_is_one_command() {
    let gate = fs::read_to_string(sources::root().join(".ci/run")).expect("the gate's script");
    let lines: Vec<&str> =
        gate.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()).collect();
    assert_eq!(
        lines,
        [
            "set -euo pipefail",
            "cd \"$(dirname \"$0\")/..\"",
            "export CARGO_INCREMENTAL=0",
            "exec cargo xtask test"
        ]
    );
}

/// The lines of a file, tests and comments too, that hold one of the texts.
fn lines_with(source: &Source, needles: &[&str]) -> Vec<String> {
    source
        .text
        .lines()
        .enumerate()
        .filter(|(_, line)| needles.iter().any(|needle| line.contains(needle)))
        .map(|(index, line)| format!("{}:{}: {}", source.path, index + 1, line.trim()))
        .collect()
}
