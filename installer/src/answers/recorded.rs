//! Answers as they are recorded with an installation: compact JSON, read back by the reader of files.

use std::collections::BTreeMap;

use super::given::{Origin, Value, read_text};
use super::{keys, yaml};

/// Whether two recorded texts are the same answers, whatever their order: one that is not given is the
/// same as its default.
pub fn same(one: &str, other: &str) -> bool {
    one == other || meaning(one).is_some_and(|meaning_of_one| Some(meaning_of_one) == meaning(other))
}

/// Every answer by its path, with the defaults; `None` for a text that does not read as answers.
fn meaning(text: &str) -> Option<BTreeMap<String, Value>> {
    let given = yaml::read(text, |_| Origin::Recorded).ok()?;
    let mut answers: BTreeMap<String, Value> = keys::ALL
        .iter()
        .filter_map(|key| Some((key.path.to_owned(), read_text(key.shape, key.default?).ok()?)))
        .collect();
    answers.extend(given.iter().map(|(path, answer)| (path.to_owned(), answer.value.clone())));
    Some(answers)
}

#[cfg(test)]
mod tests {
    use super::same;

    #[test]
    fn order_and_defaults_make_no_difference_and_values_do() {
        let one = r#"{"name":"mimecast-audit","hosting":{"plan":"dedicated"}}"#;
        assert!(same(one, r#"{"hosting":{"plan":"dedicated","memory_mb":"512"},"azure":{"tags":null}}"#));
        assert!(!same(one, r#"{"hosting":{"plan":"flex-consumption"}}"#));
        assert!(!same(one, "no answers"));
    }
}
