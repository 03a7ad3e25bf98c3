//! Where the workspace is, and cargo called in it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The workspace's root folder.
pub(crate) fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}

/// The folder that the gate's tools are installed under; `cargo clean` removes it.
pub(crate) fn tools_folder() -> PathBuf {
    root().join("target").join("tools")
}

/// A command that runs at the workspace's root.
pub(crate) fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

/// `cargo` with these arguments, at the workspace's root: the one that started this chore, found
/// through `PATH` as rustup arranges it.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = command("cargo");
    command.args(arguments);
    command
}
