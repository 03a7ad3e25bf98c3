//! The repository's own files, for the tests to search.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders that hold no file of ours.
const SKIPPED: [&str; 4] = [".git", "target", "node_modules", ".venv"];

/// A text file of the repository.
pub(crate) struct Source {
    /// Path from the repository's root.
    pub(crate) path: String,
    /// The whole text.
    pub(crate) text: String,
}

impl Source {
    /// How many lines stand before the test module, which stands last or in a file of its own
    /// (`tests.rs`, of which none is shipped).
    pub(crate) fn shipped_lines(&self) -> usize {
        if self.path.ends_with("/tests.rs") {
            return 0;
        }
        let lines: Vec<&str> = self.text.lines().collect();
        let opens_tests = |start: usize| {
            let mut after = lines[start + 1..].iter().filter(|line| !line.starts_with("#["));
            lines[start] == "#[cfg(test)]"
                && after.next().is_some_and(|line| line.starts_with("mod ") && line.ends_with('{'))
        };
        (0..lines.len()).find(|&start| opens_tests(start)).unwrap_or(lines.len())
    }

    /// The shipped part of a Rust file with its line numbers, without comments.
    pub(crate) fn shipped(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .take(self.shipped_lines())
            .enumerate()
            .map(|(index, line)| (index + 1, line.split("//").next().unwrap_or(line)))
            .filter(|(_, line)| !line.trim().is_empty())
    }

    /// Whether the file is one of these modules or lies beneath one: `installer/src/plan` covers
    /// `installer/src/plan.rs` and `installer/src/plan/step.rs`.
    pub(crate) fn within(&self, modules: &[&str]) -> bool {
        modules.iter().any(|module| {
            self.path
                .strip_prefix(module)
                .is_some_and(|rest| rest.is_empty() || rest == ".rs" || rest.starts_with('/'))
        })
    }

    /// Where the shipped part holds one of these texts.
    pub(crate) fn places_of(&self, needles: &[&str]) -> Vec<String> {
        let mut places = Vec::new();
        for (number, line) in self.shipped() {
            for needle in needles.iter().filter(|needle| line.contains(**needle)) {
                places.push(format!("{}:{number}: `{needle}` in `{}`", self.path, line.trim()));
            }
        }
        places
    }
}

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace").to_owned()
}

/// Every file of ours, with its path from the root, sorted.
pub(crate) fn paths() -> Vec<String> {
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a readable folder") {
            let entry = entry.expect("a readable entry");
            let kind = entry.file_type().expect("a known kind");
            if kind.is_dir() {
                if !SKIPPED.iter().any(|skipped| entry.file_name() == *skipped) {
                    folders.push(entry.path());
                }
            } else if kind.is_file() && entry.file_name() != ".git" {
                let path = entry.path();
                let relative = path.strip_prefix(&root).expect("beneath the root");
                found.push(relative.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}

/// Every file of ours that is text.
pub(crate) fn texts() -> Vec<Source> {
    let root = root();
    paths()
        .into_iter()
        .filter_map(|path| fs::read_to_string(root.join(&path)).ok().map(|text| Source { path, text }))
        .collect()
}

/// Every Rust file of ours.
pub(crate) fn rust() -> Vec<Source> {
    let mut sources = texts();
    sources.retain(|source| source.path.ends_with(".rs"));
    assert!(sources.len() > 20, "the search for our own sources finds them");
    sources
}

/// The Rust files of the two shipped crates and of the contract.
pub(crate) fn shipped_crates() -> Vec<Source> {
    let mut sources = rust();
    sources.retain(|source| source.within(&["contract/src", "installer/src", "worker/src"]));
    sources
}
