//! The real programs, run as their own processes with their talk passed on as it comes.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Command;
use tokio::sync::mpsc;

use crate::screen;

/// Columns of the terminal that the demo is laid out for.
const COLUMNS: usize = 80;
/// What stands before each line of a program's own output.
const MARGIN: &str = "    | ";

/// How a program ended and all that it printed.
pub(super) struct Ended {
    /// Exit code; `None` where a signal ended it.
    pub(super) code: Option<i32>,
    /// Everything printed on stdout and stderr, in the order of arrival.
    pub(super) transcript: String,
}

/// Runs a program in exactly this environment and shows its lines as they come.
///
/// It has a process group of its own, so that Ctrl-C reaches the demo alone, which ends it: the
/// process is killed when this future is dropped.
pub(super) async fn run(
    program: &Path,
    arguments: &[&str],
    environment: &BTreeMap<String, String>,
    folder: &Path,
) -> Result<Ended> {
    let name = program.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    screen::line(&format!("    $ {name} {}", arguments.join(" ")));
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(environment)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("could not start {}", program.display()))?;
    let (sender, mut lines) = mpsc::channel(64);
    if let Some(stdout) = child.stdout.take() {
        pass_on(stdout, sender.clone());
    }
    if let Some(stderr) = child.stderr.take() {
        pass_on(stderr, sender.clone());
    }
    drop(sender);
    let mut transcript = String::new();
    while let Some(line) = lines.recv().await {
        for part in wrap(&line, COLUMNS - MARGIN.len()) {
            screen::line(&format!("{MARGIN}{part}"));
        }
        transcript.push_str(&line);
        transcript.push('\n');
    }
    let status = child.wait().await.with_context(|| format!("waiting for {name}"))?;
    Ok(Ended { code: status.code(), transcript })
}

/// Sends each line of a stream until it ends.
fn pass_on(stream: impl AsyncRead + Unpin + Send + 'static, sender: mpsc::Sender<String>) {
    tokio::spawn(async move {
        let mut lines = BufReader::new(stream).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if sender.send(line).await.is_err() {
                return;
            }
        }
    });
}

/// A line in parts of at most this many characters, broken at spaces where there are any; the
/// parts after the first keep the line's own indent and two more.
pub(super) fn wrap(line: &str, width: usize) -> Vec<String> {
    let line = line.trim_end();
    let indent = line.chars().take_while(|each| *each == ' ').count().min(width / 2);
    let hanging = " ".repeat(indent + 2);
    let mut parts = Vec::new();
    let mut rest = line.to_owned();
    while rest.chars().count() > width {
        let limit = rest.char_indices().nth(width).map_or(rest.len(), |(at, _)| at);
        let least = indent + 2;
        let at = rest[..limit].rfind(' ').filter(|at| *at > least).unwrap_or(limit);
        let tail = rest.split_off(at);
        parts.push(rest);
        rest = format!("{hanging}{}", tail.trim_start());
    }
    parts.push(rest);
    parts
}

#[cfg(test)]
mod tests {
    use super::wrap;

    #[test]
    fn lines_wrap_at_spaces_with_a_hanging_indent() {
        assert_eq!(wrap("short", 10), ["short"]);
        assert_eq!(wrap("  one two three", 10), ["  one two", "    three"]);
        assert_eq!(wrap("abcdefghijkl", 5), ["abcde", "  fgh", "  ijk", "  l"]);
        assert_eq!(wrap("", 5), [""]);
    }
}
