//! Which processor cores the measured programs and the simulator have to themselves.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// A core each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cores {
    /// For what is measured.
    pub(super) client: usize,
    /// For the simulator and the bench.
    pub(super) simulator: usize,
}

impl Cores {
    /// Two of those that this process may use; `None` where there is only one, or `taskset`
    /// (util-linux) is missing.
    pub(super) fn find() -> Option<Self> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
        let allowed = listed(list.trim());
        let (simulator, client) = (*allowed.first()?, *allowed.last()?);
        let there = Command::new("taskset").arg("--version").stdout(Stdio::null()).status().ok()?.success();
        (simulator != client && there).then_some(Self { client, simulator })
    }
}

/// The cores of a list such as `0-2,5`.
fn listed(list: &str) -> Vec<usize> {
    let parts = list.split(',').filter_map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse().ok()?..=last.parse().ok()?)
    });
    parts.flatten().collect()
}

/// Binds the calling thread, and every process that it starts, to one core.
pub(super) fn pin_this_thread(core: usize) -> Result<()> {
    let own = fs::read_link("/proc/thread-self").context("finding this thread")?;
    let thread = own.file_name().context("this thread has a number")?;
    let pinned = Command::new("taskset")
        .args(["--pid", "--cpu-list", &core.to_string()])
        .arg(thread)
        .stdout(Stdio::null())
        .status()
        .context("starting taskset")?;
    ensure!(pinned.success(), "taskset did not bind a thread to core {core}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::listed;

    #[test]
    fn a_list_of_cores_is_read_as_the_kernel_writes_it() {
        assert_eq!(listed("0-1"), [0, 1]);
        assert_eq!(listed("3"), [3]);
        assert_eq!(listed("0,2-4"), [0, 2, 3, 4]);
        assert!(listed("").is_empty());
    }
}
