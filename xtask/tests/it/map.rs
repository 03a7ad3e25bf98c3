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
                && [
                    "contract",
                    "installer",
                    "worker",
                    "simulator",
                    "xtask",
                    "docs",
                    "templates",
                    "tools",
                    "fuzz",
                ]
                .contains(&first)
        })
        .filter(|name| !sources::root().join(name.trim_end_matches('/')).exists())
        .collect();
    assert_eq!(missing, [""; 0]);
}

#[test]
fn the_map_names_every_folder_and_every_module_of_what_ships() {
    let map = architecture();
    let named: Vec<&str> = quoted(&map.text).collect();
    let is_named = |path: &str| {
        named.iter().any(|name| name.trim_end_matches('/') == path || name.starts_with(&format!("{path}/")))
    };
    let mut wanted = std::collections::BTreeSet::new();
    for path in sources::paths() {
        let segments: Vec<&str> = path.split('/').collect();
        match segments.as_slice() {
            [folder, _, ..] if !folder.starts_with('.') => {
                wanted.insert((*folder).to_owned());
            }
            _ => {}
        }
        if let ["installer" | "worker", "src", module] = segments.as_slice()
            && !matches!(*module, "lib.rs" | "main.rs")
        {
            wanted.insert(path.clone());
        }
    }
    assert!(wanted.len() > 30, "{wanted:?}");
    let missing: Vec<&String> = wanted.iter().filter(|path| !is_named(path)).collect();
    assert!(missing.is_empty(), "docs/ARCHITECTURE.md names no {missing:?}");
}

/// The words of the installer's commands.
fn command_words() -> Vec<String> {
    use clap::CommandFactory as _;
    Arguments::command().get_subcommands().map(|command| command.get_name().to_owned()).collect()
}

#[test]
fn every_command_that_our_texts_name_is_one() {
    /// What is said of a command and of little else.
    const DOES: &[&str] = &[
        "shows",
        "looks",
        "writes",
        "completes",
        "brings",
        "publishes",
        "records",
        "explains",
        "makes",
        "tells",
    ];
    let commands = command_words();
    let mut strangers = Vec::new();
    for source in sources::shipped_crates() {
        let code: String = source
            .shipped()
            .map(|(_, line)| line)
            .filter(|line| !line.trim_start().starts_with("//"))
            .fold(String::new(), |mut code, line| {
                code.push_str(line.trim());
                code.push(' ');
                code
            });
        let words = |text: &str| text.split_whitespace().take(2).map(str::to_owned).collect::<Vec<_>>();
        for (at, _) in code.match_indices("`mimecast-sentinel ") {
            let word = words(&code[at + 1..]).remove(1);
            let word = word
                .split(|each: char| !(each.is_ascii_lowercase() || each == '-'))
                .next()
                .unwrap_or_default();
            // A flag, or a name that is filled in.
            let filled = word.is_empty() || word.starts_with('-');
            if !filled && !commands.iter().any(|command| command == word) {
                strangers.push(format!("{}: `mimecast-sentinel {word}`", source.path));
            }
        }
        for part in code.split('`').collect::<Vec<_>>().windows(2) {
            let [word, after] = part else { continue };
            let lower = !word.is_empty() && word.chars().all(|each| each.is_ascii_lowercase());
            let does = words(after).first().is_some_and(|verb| DOES.contains(&verb.as_str()));
            if lower && does && after.starts_with(' ') && !commands.iter().any(|command| command == word) {
                strangers.push(format!("{}: `{word}`{:.40}", source.path, after));
            }
        }
    }
    assert_eq!(strangers, [""; 0]);
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
    let mut chores = std::collections::BTreeMap::<String, std::collections::BTreeSet<String>>::new();
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
                if let Some(chore) = words.get(2) {
                    let flags = words.iter().skip(3).filter(|word| word.starts_with("--"));
                    let flags = flags.map(|flag| flag.split('=').next().unwrap_or_default().to_owned());
                    chores.entry(chore.clone()).or_default().extend(flags);
                }
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
    for (chore, flags) in chores {
        let help = std::process::Command::new(env!("CARGO_BIN_EXE_xtask")).args([&chore, "--help"]).output();
        let help = help.expect("xtask runs");
        assert!(help.status.success(), "there is no `cargo xtask {chore}`");
        let help = String::from_utf8_lossy(&help.stdout).into_owned();
        for flag in flags {
            let there = help
                .split(|each: char| each.is_whitespace() || ",[]=<>".contains(each))
                .any(|word| word == flag);
            assert!(there, "`cargo xtask {chore}` has no `{flag}`:\n{help}");
        }
    }
}
