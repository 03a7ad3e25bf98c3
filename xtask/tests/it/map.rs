//! `docs/ARCHITECTURE.md` and the guides say what is there.

use std::path::Path;

use clap::Parser as _;
use clap::error::ErrorKind;
use installer::commands::arguments::Arguments;

use super::sources::{self, Source};

/// The map.
fn architecture() -> Source {
    sources::texts()
        .into_iter()
        .find(|source| source.path == "docs/ARCHITECTURE.md")
        .expect("the map of the project")
}

/// The texts in single back-quotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn every_file_that_the_map_names_exists() {
    let map = architecture();
    let missing: Vec<&str> = quoted(&map.text)
        .filter(|name| {
            let first = name.split('/').next().unwrap_or_default();
            name.contains('/')
                && ["contract", "installer", "worker", "simulator", "xtask", "docs", "templates", "tools"]
                    .contains(&first)
        })
        .filter(|name| !sources::root().join(name.trim_end_matches('/')).exists())
        .collect();
    assert_eq!(missing, [""; 0]);
}

#[test]
fn every_test_that_the_map_names_exists() {
    let rust = sources::rust();
    let map = architecture();
    let tests: Vec<&str> = quoted(&map.text)
        .filter(|name| {
            name.matches('_').count() >= 3
                && name.chars().all(|each| each.is_ascii_lowercase() || each == '_')
        })
        .collect();
    assert!(tests.len() >= 10, "each invariant names what holds it: {tests:?}");
    for test in tests {
        let declaration = format!("fn {test}(");
        assert!(rust.iter().any(|source| source.text.contains(&declaration)), "no test `{test}`");
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut broken = Vec::new();
    for source in sources::texts().iter().filter(|source| source.path.ends_with(".md")) {
        let folder = Path::new(&source.path).parent().expect("a folder");
        for link in source.text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or_default();
            let outside = target.contains("://") || target.starts_with("mailto:") || target.is_empty();
            if !outside && !sources::root().join(folder).join(target).exists() {
                broken.push(format!("{}: {link}", source.path));
            }
        }
    }
    assert_eq!(broken, [""; 0]);
}

/// The Markdown pages, with the texts in back-quotes and the lines of blocks that are commands.
fn shown_commands() -> Vec<(String, Vec<String>)> {
    let mut commands = Vec::new();
    for page in sources::texts().iter().filter(|source| source.path.ends_with(".md")) {
        let (mut blocks, mut prose) = (Vec::new(), Vec::new());
        for (number, part) in page.text.split("```").enumerate() {
            if number % 2 == 1 { blocks.push(part) } else { prose.push(part) }
        }
        let lines = blocks.iter().flat_map(|block| block.lines());
        let lines = lines.map(|line| line.split(" #").next().unwrap_or_default().trim());
        for text in prose.iter().flat_map(|part| quoted(part)).map(str::trim).chain(lines) {
            let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
            let ours = match words.as_slice() {
                [cargo, xtask, ..] if cargo == "cargo" => xtask == "xtask",
                [program, _, ..] => program == "mimecast-sentinel" || program == "mimecast-sentinel-worker",
                _ => false,
            };
            if ours {
                commands.push((page.path.clone(), words));
            }
        }
    }
    commands
}

#[test]
fn every_command_that_a_page_shows_can_be_read() {
    let commands = shown_commands();
    assert!(commands.len() > 40, "{}", commands.len());
    let mut chores = std::collections::BTreeSet::new();
    for (page, words) in commands {
        let shown = words.join(" ");
        let words: Vec<String> = words.into_iter().take_while(|word| word != ">" && word != "|").collect();
        // An ellipsis, or a command without what it needs, only names it; the reference shows usages.
        if shown.contains('…') || page.ends_with("reference/commands.md") {
            continue;
        }
        let read = match words[0].as_str() {
            "mimecast-sentinel" => Arguments::try_parse_from(&words).map(drop),
            "mimecast-sentinel-worker" => worker::command::command().try_get_matches_from(&words).map(drop),
            _ => {
                chores.extend(words.get(2).cloned());
                continue;
            }
        };
        if let Err(error) = read {
            let named = matches!(
                error.kind(),
                ErrorKind::MissingRequiredArgument | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            );
            assert!(named, "{page}: `{shown}`: {error}");
        }
    }
    for chore in chores {
        let help = std::process::Command::new(env!("CARGO_BIN_EXE_xtask")).args([&chore, "--help"]).output();
        assert!(help.expect("xtask runs").status.success(), "there is no `cargo xtask {chore}`");
    }
}
