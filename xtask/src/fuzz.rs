//! `cargo xtask fuzz`: searches for inputs on which a property in `fuzz/properties` does not hold.
//!
//! What libFuzzer finds interesting stays under `target/fuzz`, so that the next search goes on from
//! there. An input that breaks a property is printed by cargo-fuzz; mended, it becomes a seed.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{screen, workspace};

/// The version of cargo-fuzz that is fetched, to a folder of the project's own.
const CARGO_FUZZ: &str = "0.13.2";

/// What to search, and for how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Search these targets alone
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// How long each target is searched
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    secs: u64,
}

/// Searches each target in turn.
///
/// # Errors
/// When a target is unknown, cargo-fuzz cannot be had, or a property does not hold.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let known = targets()?;
    if let Some(unknown) = arguments.targets.iter().find(|target| !known.contains(target)) {
        bail!("there is no fuzz target `{unknown}`; there are {}", known.join(", "));
    }
    let chosen = if arguments.targets.is_empty() { &known } else { &arguments.targets };
    let tool = workspace::tools_folder().join("cargo-fuzz");
    // Quick where it is there already.
    let fetched =
        workspace::cargo(&["install", "cargo-fuzz", "--locked", "--quiet", "--version", CARGO_FUZZ])
            .arg("--root")
            .arg(&tool)
            .env("CARGO_TARGET_DIR", tool.join("target"))
            .status()
            .context("cargo install cargo-fuzz")?;
    if !fetched.success() {
        bail!("cargo-fuzz {CARGO_FUZZ} could not be installed");
    }
    for target in chosen {
        let began = Instant::now();
        let found = workspace::root().join("target/fuzz/corpus").join(target);
        fs::create_dir_all(&found).with_context(|| found.display().to_string())?;
        // `-s none`: the sanitizers need a nightly compiler, and there is no unsafe code of ours to watch.
        let status = workspace::command(tool.join("bin/cargo-fuzz"))
            .args(["fuzz", "run", "--sanitizer", "none", "--target-dir", "target/fuzz/build", target])
            .arg(&found)
            .arg(workspace::root().join("fuzz/seeds").join(target))
            .arg("--")
            .arg(format!("-max_total_time={}", arguments.secs))
            .arg("-rss_limit_mb=2048")
            // libFuzzer's own report of each new input tells nothing here.
            .args(["-verbosity=0", "-print_final_stats=1"])
            .status()
            .context("cargo fuzz run")?;
        if !status.success() {
            bail!("{target}: a property does not hold, or the target cannot be built; see above");
        }
        screen::line(&format!("{target:<12} nothing found in {}", time(began.elapsed())));
    }
    Ok(())
}

fn time(elapsed: Duration) -> String {
    format!("{} s", elapsed.as_secs())
}

/// The names of all targets.
fn targets() -> Result<Vec<String>> {
    let folder = workspace::root().join("fuzz/fuzz_targets");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}
