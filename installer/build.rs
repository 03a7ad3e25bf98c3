//! Builds the worker package in, where one is named: `MIMECAST_SENTINEL_WORKER_ZIP` is the path of a
//! zip. A plain build has none, and `install` says so.

use std::path::PathBuf;
use std::{env, fs};

/// Variable that names the package.
const PACKAGE: &str = "MIMECAST_SENTINEL_WORKER_ZIP";

#[expect(clippy::disallowed_methods, reason = "a build script's world is its environment")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-env-changed={PACKAGE}");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?).join("built_in.rs");
    let package = env::var_os(PACKAGE).filter(|path| !path.is_empty()).map(PathBuf::from);
    let source = match package {
        Some(path) => {
            let path = fs::canonicalize(path)?;
            println!("cargo::rerun-if-changed={}", path.display());
            format!("Some(include_bytes!({path:?}))")
        }
        None => "None".to_owned(),
    };
    fs::write(out, source)?;
    Ok(())
}
