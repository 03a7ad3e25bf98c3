//! What the gate needs on the machine, and how to get what is missing.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::{screen, workspace};

/// One program that must be there before the gate starts.
struct Need {
    name: &'static str,
    command: &'static [&'static str],
    /// The least major and minor version, where one matters.
    least: Option<(u32, u32)>,
    why: &'static str,
    remedy: &'static str,
}

/// Everything the gate needs beside the toolchain that `rust-toolchain.toml` pins.
const NEEDS: &[Need] = &[
    Need {
        name: "rustfmt",
        command: &["cargo", "fmt", "--version"],
        least: None,
        why: "checks the format",
        remedy: "rustup component add rustfmt",
    },
    Need {
        name: "clippy",
        command: &["cargo", "clippy", "--version"],
        least: None,
        why: "lints",
        remedy: "rustup component add clippy",
    },
    Need {
        name: "node",
        command: &["node", "--version"],
        // Azurite 3.37 asks for 22 and was tried with 20.20.
        least: Some((20, 0)),
        why: "runs Azurite, the storage that the tests write to",
        remedy: "apt-get install nodejs npm (or https://nodejs.org)",
    },
    Need {
        name: "npm",
        command: &["npm", "--version"],
        least: None,
        why: "fetches Azurite",
        remedy: "apt-get install npm (or https://nodejs.org)",
    },
    Need {
        name: "python3",
        command: &["python3", "--version"],
        least: Some((3, 9)),
        why: "holds the Python test tools",
        remedy: "apt-get install python3 python3-venv (or https://python.org)",
    },
    Need {
        name: "python3's venv",
        command: &["python3", "-c", "import ensurepip, venv; print('present')"],
        least: None,
        why: "keeps the Python test tools apart from the machine's own",
        remedy: "apt-get install python3-venv",
    },
];

/// Prints what is there; an error that lists everything that is missing, with the remedy of each.
pub(super) fn check() -> Result<()> {
    let mut missing = Vec::new();
    for need in NEEDS {
        let [program, arguments @ ..] = need.command else { continue };
        let found = version(workspace::command(program).args(arguments));
        match (&found, need.least) {
            (None, _) => missing.push(format!("{} ({}): {}", need.name, need.why, need.remedy)),
            (Some(text), Some(least)) if numbers(text).is_none_or(|numbers| numbers < least) => {
                missing.push(format!(
                    "{} {}.{} or newer ({}), found {text}: {}",
                    need.name, least.0, least.1, need.why, need.remedy
                ));
            }
            (Some(text), _) => screen::line(&format!("{:<14} {text}", need.name)),
        }
    }
    if !missing.is_empty() {
        bail!("the gate needs what this machine does not have:\n  {}", missing.join("\n  "));
    }
    Ok(())
}

/// The first line that a version command prints, or `None` where it cannot be run or fails.
pub(super) fn version(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().next().map(|line| line.trim().to_owned())
}

/// The first two numbers of a version text: `v20.20.2` and `Python 3.11.7` give (20, 20) and (3, 11).
fn numbers(text: &str) -> Option<(u32, u32)> {
    let start = text.find(|each: char| each.is_ascii_digit())?;
    let mut parts = text.get(start..)?.split(|each: char| !each.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::numbers;

    #[test]
    fn versions_are_read_from_what_programs_print() {
        assert_eq!(numbers("v20.20.2"), Some((20, 20)));
        assert_eq!(numbers("Python 3.11.7"), Some((3, 11)));
        assert_eq!(numbers("present"), None);
    }
}
