//! `cargo xtask dist`: what is given out. The worker for every Functions image in use, its package, the
//! installer with the package built in, a bill of materials of each program, and checksums.
//!
//! The same sources give the same bytes: the profile `dist` leaves nothing to chance, and paths of
//! this machine are taken out of the programs.

mod bill;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use installer::deploy::package::{Functions, Package};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::test::{succeed, tools};
use crate::{screen, workspace};

/// Where to, and what.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The folder to write to
    #[arg(long, value_name = "DIR", default_value = FOLDER)]
    out: PathBuf,
    /// Make the worker and its package alone
    #[arg(long)]
    worker_only: bool,
    /// Print the figures as one JSON object on the last line
    #[arg(long)]
    json: bool,
}

/// Where it goes unless told otherwise. `target/dist` is where cargo keeps what a profile of that name
/// builds for this machine.
pub(crate) const FOLDER: &str = "target/given-out";
/// The target, with the oldest glibc among the images of Azure Functions 4 and Cloud Shell.
const TARGET: &str = "x86_64-unknown-linux-gnu.2.28";
/// The folder that cargo builds it in.
const TARGET_FOLDER: &str = "x86_64-unknown-linux-gnu";
/// The profile of what is given out, in `Cargo.toml`.
const PROFILE: &str = "dist";
/// The worker's binary.
pub(crate) const WORKER: &str = "mimecast-sentinel-worker";
/// The installer's binary.
const INSTALLER: &str = "mimecast-sentinel";
/// Variable that tells the installer's build which package to build in.
const PACKAGE_VARIABLE: &str = "MIMECAST_SENTINEL_WORKER_ZIP";
/// The file of checksums, as `sha256sum --check` reads it.
const CHECKSUMS: &str = "SHA256SUMS";

/// One file that was made.
#[derive(Debug, Serialize)]
struct Made {
    file: String,
    bytes: u64,
    sha256: String,
}

/// What was made, by its path.
#[derive(Debug)]
pub(crate) struct Programs {
    /// The worker.
    pub(crate) worker: PathBuf,
    /// Its package.
    pub(crate) package: PathBuf,
    /// The installer with the package built in; `None` where only the worker was made.
    pub(crate) installer: Option<PathBuf>,
}

/// Runs the chore.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let out = workspace::root().join(&arguments.out);
    make(&out, arguments.worker_only)?;
    let made = sums(&out)?;
    let text: String = made.iter().map(|made| format!("{}  {}\n", made.sha256, made.file)).collect();
    fs::write(out.join(CHECKSUMS), text)?;
    screen::heading(&out.display().to_string());
    for Made { file, bytes, sha256 } in &made {
        let mib = *bytes as f64 / (1024.0 * 1024.0);
        screen::line(&format!("{file:<36} {mib:>6.2} MiB  {}", &sha256[..16]));
    }
    if arguments.json {
        screen::line(&serde_json::to_string(&made)?);
    }
    Ok(())
}

/// Makes everything but the checksums in this folder, which is emptied before.
pub(crate) fn make(out: &Path, worker_only: bool) -> Result<Programs> {
    tools::dist()?;
    if out.exists() {
        fs::remove_dir_all(out).with_context(|| format!("emptying {}", out.display()))?;
    }
    fs::create_dir_all(out).with_context(|| format!("making {}", out.display()))?;

    screen::heading("worker");
    let worker = worker()?;
    fs::copy(&worker, out.join(WORKER)).context("copying the worker")?;
    let package = Package::build(&fs::read(&worker).context("reading the worker")?)?;
    let zip = out.join(format!("{WORKER}.zip"));
    fs::write(&zip, &package.bytes).context("writing the package")?;
    // For a deployment template with the work queue: whoever deploys it has no installer to fit the package.
    let queue = package.fitted(Functions::TimerAndQueue)?;
    fs::write(out.join(format!("{WORKER}-queue.zip")), &queue.bytes)
        .context("writing the queue's package")?;
    fs::write(out.join(format!("{WORKER}.cdx.json")), bill::of("worker")?)?;
    let mut programs = Programs { worker, package: zip, installer: None };
    if !worker_only {
        screen::heading("installer");
        let installer = build("installer", "--bin", INSTALLER, Some(&programs.package))?;
        fs::copy(&installer, out.join(INSTALLER)).context("copying the installer")?;
        fs::write(out.join(format!("{INSTALLER}.cdx.json")), bill::of("installer")?)?;
        programs.installer = Some(installer);
    }
    Ok(programs)
}

/// Builds the worker as it is given out, and says where it is.
pub(crate) fn worker() -> Result<PathBuf> {
    tools::dist()?;
    build("worker", "--bin", WORKER, None)
}

/// Builds an example of the worker's package with the same compiler, profile and target.
pub(crate) fn example(name: &str) -> Result<PathBuf> {
    tools::dist()?;
    build("worker", "--example", name, None)
}

/// Builds one program, a `--bin` or an `--example`, and says where it is.
fn build(package: &str, kind: &str, name: &str, zip: Option<&Path>) -> Result<PathBuf> {
    let mut command = workspace::cargo(&[
        "zigbuild",
        "--locked",
        "--profile",
        PROFILE,
        "--target",
        TARGET,
        "--package",
        package,
        kind,
        name,
    ]);
    reproducible(&mut command)?;
    if let Some(zip) = zip {
        command.env(PACKAGE_VARIABLE, zip);
    }
    succeed(&mut command)?;
    let folder = workspace::root().join("target").join(TARGET_FOLDER).join(PROFILE);
    let built = if kind == "--example" { folder.join("examples").join(name) } else { folder.join(name) };
    ensure!(built.is_file(), "{} was not made", built.display());
    Ok(built)
}

/// Puts the tools on the command's path, and takes this machine's paths out of what it makes.
#[expect(clippy::disallowed_methods, reason = "this chore's world is its environment")]
fn reproducible(command: &mut Command) -> Result<()> {
    let tools = tools::dist_folder().join("bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(tools).chain(std::env::split_paths(&path)))?;
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
    let home = home.context("neither CARGO_HOME nor HOME is set")?;
    let root = workspace::root();
    let rust = format!(
        "--remap-path-prefix={}=/cargo --remap-path-prefix={}=/source",
        home.display(),
        root.display()
    );
    // aws-lc is C: its assertions name files.
    let c =
        format!("-ffile-prefix-map={}=/cargo -ffile-prefix-map={}=/source", home.display(), root.display());
    command
        .env("PATH", path)
        .env("RUSTFLAGS", rust)
        .env("CFLAGS_x86_64_unknown_linux_gnu", c)
        // Randomness from the kernel, as everywhere else; measuring the processor's jitter besides takes longer
        // than all the rest of a start (docs/decisions/speed.md).
        .env("AWS_LC_SYS_NO_JITTER_ENTROPY", "1")
        .env("SOURCE_DATE_EPOCH", "0")
        .env("CARGO_INCREMENTAL", "0");
    Ok(())
}

/// Every file of a folder with its size and hash, by name.
fn sums(folder: &Path) -> Result<Vec<Made>> {
    let mut made = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let content = fs::read(&path)?;
        let sha256 = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
        let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        made.push(Made { file, bytes: content.len() as u64, sha256 });
    }
    made.sort_by(|one, other| one.file.cmp(&other.file));
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::FOLDER;
    use crate::workspace;

    #[test]
    fn the_release_and_the_guide_take_what_is_given_out_from_where_it_is_put() {
        for page in [".github/workflows/release.yml", "CONTRIBUTING.md"] {
            let text = std::fs::read_to_string(workspace::root().join(page)).expect("a page");
            let named: Vec<&str> = text
                .match_indices("target/")
                // Not `target/release`, which cargo itself fills.
                .filter(|(at, _)| !text[*at..].starts_with("target/release"))
                .map(|(at, _)| {
                    let rest = &text[at..];
                    let ends = |each: char| !(each.is_alphanumeric() || "/-_.".contains(each));
                    rest[..rest.find(ends).unwrap_or(rest.len())].trim_end_matches(['/', '.'])
                })
                .collect();
            assert!(!named.is_empty(), "{page} names the folder");
            assert!(named.iter().all(|folder| *folder == FOLDER), "{page}: {named:?}, and it is {FOLDER}");
        }
    }
}
