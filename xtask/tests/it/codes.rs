//! Every code and id that the programs can show is explained, and nothing is explained that is not there.

use std::collections::BTreeSet;

use super::sources::{self, Source};

/// Each text in quotes of a piece of code.
fn texts(code: &str) -> impl Iterator<Item = &str> {
    code.split('"').skip(1).step_by(2)
}

/// The shipped part of a file, in one text.
fn shipped(source: &Source) -> String {
    source.shipped().map(|(_, line)| line).collect::<Vec<_>>().join("\n")
}

/// The bodies of all functions of this name, up to the brace that ends each.
fn bodies<'a>(code: &'a str, name: &str) -> Vec<&'a str> {
    let opened = format!("fn {name}(");
    code.match_indices(&opened)
        .filter_map(|(at, _)| {
            let body = &code[at + code[at..].find('{')?..];
            let mut depth = 0;
            let end = body.char_indices().find_map(|(at, character)| {
                depth += match character {
                    '{' => 1,
                    '}' => -1,
                    _ => 0,
                };
                (depth == 0).then_some(at)
            })?;
            Some(&body[..end])
        })
        .collect()
}

#[test]
fn every_code_of_a_failed_run_is_explained() {
    let mut written = BTreeSet::new();
    for source in sources::rust().iter().filter(|source| source.within(&["worker/src"])) {
        // Reasons of single records are another list.
        if source.within(&["worker/src/poll/record"]) {
            continue;
        }
        let code = shipped(source);
        for body in bodies(&code, "code") {
            written.extend(texts(body).map(str::to_owned));
        }
        for (at, needle) in code.match_indices("Failure::new(") {
            let arguments = code[at + needle.len()..].split(')').next().unwrap_or_default();
            written.extend(texts(arguments).map(str::to_owned));
        }
        for (at, _) in code.match_indices("code: \"") {
            written.extend(texts(&code[at..]).next().map(str::to_owned));
        }
    }
    let explained: BTreeSet<String> =
        contract::run_errors::ALL.iter().map(|error| error.code.to_owned()).collect();
    assert!(written.len() > 40, "the codes are found: {written:?}");
    assert_eq!(written, explained);
}

#[test]
fn every_error_in_the_workers_log_is_explained() {
    let mut written = BTreeSet::new();
    for source in sources::rust().iter().filter(|source| source.within(&["worker/src"])) {
        let code = shipped(source);
        for (at, needle) in code.match_indices("Level::Error,") {
            // The level of a run's end is not written with its event.
            let event = code[at + needle.len()..].trim_start();
            if event.starts_with('"') {
                written.extend(texts(event).next().map(str::to_owned));
            }
        }
    }
    let explained: BTreeSet<String> =
        contract::run_errors::EVENTS.iter().map(|event| event.code.to_owned()).collect();
    assert_eq!(written, explained);
}

#[test]
fn every_check_and_every_finding_is_explained() {
    let mut written = BTreeSet::new();
    for source in sources::rust().iter().filter(|source| source.within(&["installer/src"])) {
        let code = shipped(source);
        for made in ["good", "fails", "warns", "unchecked", "refused", "broken", "refuses", "notes"] {
            for kind in ["Check", "Finding"] {
                for (at, needle) in code.match_indices(&format!("{kind}::{made}(")) {
                    let first = code[at + needle.len()..].trim_start();
                    // An id that is chosen is found where it is chosen.
                    if first.starts_with('"') {
                        written.extend(texts(first).next().map(str::to_owned));
                    }
                }
            }
        }
        if source.within(&["installer/src/check/rights", "installer/src/check/mimecast"]) {
            for body in bodies(&code, "id") {
                written.extend(
                    texts(body)
                        .filter(|text| text.starts_with("rights-") || text.starts_with("mimecast-"))
                        .map(str::to_owned),
                );
            }
        }
    }
    // Chosen between two in one place.
    written.insert("inventory".to_owned());
    let explained: Vec<&str> = installer::check::explained::ALL.iter().map(|each| each.id).collect();
    assert!(explained.is_sorted(), "sorted by id");
    assert_eq!(written.iter().map(String::as_str).collect::<Vec<_>>(), explained);
}

#[test]
fn every_error_type_of_the_installer_has_a_code() {
    let rust = sources::rust();
    let codes = rust.iter().find(|source| source.path == "installer/src/ui/failure/code.rs");
    let codes = &codes.expect("the codes").text;
    let mut without = Vec::new();
    for source in rust.iter().filter(|source| source.within(&["installer/src"])) {
        for (_, line) in source.shipped() {
            for kind in ["pub enum ", "pub struct "] {
                let name = line.strip_prefix(kind).and_then(|rest| rest.split([' ', '(', '{', '<']).next());
                if let Some(name) = name.filter(|name| name.ends_with("Error") && !codes.contains(*name)) {
                    without.push(name.to_owned());
                }
            }
        }
    }
    assert_eq!(without, [""; 0]);
}
