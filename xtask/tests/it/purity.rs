//! What a stage may not do (invariants 2 and 3).

use super::sources::{self, Source};

/// The places in these modules' shipped code that hold one of the texts.
fn places(modules: &[&str], needles: &[&str]) -> Vec<String> {
    let shipped = sources::shipped_crates();
    let inside: Vec<&Source> = shipped.iter().filter(|source| source.within(modules)).collect();
    inside.iter().flat_map(|source| source.places_of(needles)).collect()
}

#[test]
fn plan_transform_and_batch_are_pure() {
    let doors = [
        "async fn",
        ".await",
        "tokio::",
        "reqwest::",
        "std::env",
        "std::fs",
        "std::net",
        "std::process",
        "SystemTime",
        "Instant::",
        "now_utc",
        "fastrand",
        "new_v4",
        "crate::world",
        "crate::http",
    ];
    let pure = ["installer/src/plan", "worker/src/transform", "worker/src/batch"];
    assert_eq!(places(&pure, &doors), [""; 0]);
}

#[test]
fn executing_a_plan_never_sees_answers() {
    let executing = ["installer/src/provision", "installer/src/deploy"];
    assert_eq!(places(&executing, &["crate::answers", "answers::", "Intent"]), [""; 0]);
}

#[test]
fn shipped_code_behaves_alike_under_test() {
    let mut found = Vec::new();
    for source in sources::shipped_crates() {
        if source.text.contains("cfg!(test)") || source.text.contains("cfg(not(test))") {
            found.push(format!("{}: cfg!(test) or cfg(not(test))", source.path));
        }
        let lines: Vec<&str> = source.text.lines().map(str::trim).collect();
        for (index, _) in lines.iter().enumerate().filter(|(_, line)| **line == "#[cfg(test)]") {
            let item = lines[index + 1..].iter().find(|line| !line.starts_with("#[") && !line.is_empty());
            if !item.is_some_and(|line| line.starts_with("mod ") || line.starts_with("pub(crate) mod ")) {
                found.push(format!("{}:{}: cfg(test) on {item:?}", source.path, index + 1));
            }
        }
    }
    assert_eq!(found, [""; 0]);
}
