//! `docs/ARCHITECTURE.md` and the guides say what is there.

use std::path::Path;

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
