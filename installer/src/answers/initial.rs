//! The commented file that `answers init` prints: every key with its meaning, its default and an
//! example.

use std::fmt::Write as _;

use super::keys::{self, Key, Shape};
use crate::ui::lines::broken;

/// Keys that most files need; the others stand as comments.
const NEEDED: &[&str] = &[
    "version",
    "name",
    "azure.subscription_id",
    "azure.resource_group",
    "workspace.resource_id",
    "mimecast.client_id",
    "mimecast.client_secret",
];

/// Widest line of the comments.
const WIDTH: usize = 100;

/// The file's text.
pub fn file() -> String {
    let mut text = String::from(
        "# Answers of mimecast-sentinel. Check them with `mimecast-sentinel answers check FILE`.\n\
         # A line that begins with `#` is a comment; what stands in it is the default or an example.\n\
         # Secrets are named by where they are kept, never written here.\n",
    );
    let mut open: Vec<&str> = Vec::new();
    for key in keys::ALL {
        let words: Vec<&str> = key.path.split('.').collect();
        let (last, sections) = match words.split_last() {
            Some((last, sections)) => (*last, sections),
            None => continue,
        };
        // A section is open as long as one of its keys is needed; else its heading is a comment too.
        let needed =
            |path: &str| NEEDED.iter().any(|each| *each == path || each.starts_with(&format!("{path}.")));
        let common = open.iter().zip(sections).take_while(|(left, right)| left == right).count();
        if common == 0 {
            text.push('\n');
        }
        for depth in common..sections.len() {
            let path = sections[..=depth].join(".");
            let mark = if needed(&path) { "" } else { "# " };
            let _ = writeln!(text, "{mark}{}{}:", "  ".repeat(depth), sections[depth]);
        }
        open = sections.to_vec();
        let indent = "  ".repeat(sections.len());
        for line in broken(&comment(key), WIDTH - indent.len() - 2) {
            let _ = writeln!(text, "{}# {line}", indent);
        }
        let mark = if NEEDED.contains(&key.path) { "" } else { "# " };
        let _ = writeln!(text, "{mark}{indent}{last}: {}", value(key));
    }
    text
}

/// One key with its example, as YAML without comments.
pub fn uncommented(key: &Key) -> String {
    let mut text = String::new();
    let words: Vec<&str> = key.path.split('.').collect();
    for (depth, word) in words.iter().enumerate() {
        let _ = write!(text, "{}{word}:", "  ".repeat(depth));
        text.push_str(if depth + 1 == words.len() { " " } else { "\n" });
    }
    text.push_str(&value(key));
    text.push('\n');
    text
}

fn comment(key: &Key) -> String {
    let default = match key.default {
        Some(default) => format!(" Default: {default}."),
        None => String::new(),
    };
    let accepted = match key.shape {
        Shape::Choice(choices) if choices.len() > 1 => format!(" Accepted: {}.", choices.join(", ")),
        _ => String::new(),
    };
    format!("{}{accepted}{default}", key.meaning)
}

fn value(key: &Key) -> String {
    key.example.to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::file;
    use crate::answers::{Intent, Origin, keys, yaml};
    use crate::world::World;

    #[test]
    fn the_file_reads_back_as_complete_answers() {
        let given =
            yaml::read(&file(), |line| Origin::File { file: "init".to_owned(), line }).expect("reads");
        Intent::of(&given, &World::with_environment(BTreeMap::new())).expect("complete");
    }

    #[test]
    fn every_key_is_in_the_file() {
        let text = file();
        for key in keys::ALL {
            let last = key.path.rsplit('.').next().expect("a word");
            assert!(
                text.lines()
                    .any(|line| line.trim_start_matches(['#', ' ']).starts_with(&format!("{last}: "))),
                "{}",
                key.path
            );
        }
        assert!(text.lines().all(|line| line.len() <= 200));
    }

    #[test]
    fn the_file_with_every_comment_taken_off_is_still_valid_yaml() {
        let text: String = file()
            .lines()
            .filter(|line| {
                !line.trim_start().starts_with("# ")
                    || line.trim_start_matches(['#', ' ']).split(' ').next().is_some_and(|word| {
                        word.ends_with(':')
                            && word.chars().all(|each| each.is_ascii_lowercase() || "_:".contains(each))
                    })
            })
            .map(|line| format!("{}\n", line.strip_prefix("# ").unwrap_or(line)))
            .collect();
        // Both ways to name the workspace and both generations cannot hold at once, but it must read.
        yaml::read(&text, |line| Origin::File { file: "init".to_owned(), line }).expect("reads");
    }
}
