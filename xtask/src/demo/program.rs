//! The real programs, run as their own processes with their talk passed on as it comes.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::unix::pipe::Receiver;
use tokio::process::Command;

use crate::screen;

/// Columns of the terminal that the demo is laid out for.
const COLUMNS: usize = 80;
/// What stands before each line of a program's own output.
const MARGIN: &str = "  | ";

/// How a program ended and all that it printed.
pub(super) struct Ended {
    /// Exit code; `None` where a signal ended it.
    pub(super) code: Option<i32>,
    /// Everything printed on stdout and stderr, in the order in which it was written.
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
    for part in wrap(&format!("$ {name} {}", arguments.join(" ")), COLUMNS - MARGIN.len()) {
        screen::line(&format!("  {part}"));
    }
    // One pipe for both, so that the lines stay in the order in which they were written.
    let (reader, writer) = std::io::pipe().context("making a pipe")?;
    let stdout = writer.try_clone().context("making a pipe")?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(environment)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(writer)
        .process_group(0)
        .kill_on_drop(true);
    let mut child = command.spawn().with_context(|| format!("could not start {}", program.display()))?;
    // The pipe ends when the program's own ends of it do; ours go with the command.
    drop(command);
    let reader = Receiver::from_owned_fd(reader.into()).context("reading the pipe")?;
    let mut lines = BufReader::new(reader).lines();
    let mut transcript = String::new();
    while let Some(line) = lines.next_line().await.with_context(|| format!("reading what {name} prints"))? {
        for part in wrap(&line, COLUMNS - MARGIN.len()) {
            screen::line(&format!("{MARGIN}{part}"));
        }
        transcript.push_str(&line);
        transcript.push('\n');
    }
    let status = child.wait().await.with_context(|| format!("waiting for {name}"))?;
    Ok(Ended { code: status.code(), transcript })
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
