//! The answers as a file that gives the same answers when it is read.

use std::fmt::Write as _;

use serde_json::{Map, Value as Json};

use super::keys;

/// What stands above the answers.
const HEAD: &str = "\
# Answers of mimecast-sentinel, as they were given. Secrets are named by where they are kept.
# `mimecast-sentinel answers init` prints every key with its meaning.
";

/// The text of a file with these answers, in the order of the keys.
pub fn text(answers: &Json) -> String {
    let mut text = String::from(HEAD);
    if let Json::Object(entries) = answers {
        section(&mut text, "", entries, 0);
    }
    text
}

fn section(text: &mut String, path: &str, entries: &Map<String, Json>, depth: usize) {
    let indent = "  ".repeat(depth);
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    let mut entries: Vec<(&String, &Json)> = entries.iter().collect();
    entries.sort_by_key(|(name, _)| place(&below(name)));
    for (name, value) in entries {
        match value {
            Json::Object(inner) if keys::section(&below(name)) => {
                let _ = writeln!(text, "{indent}{name}:");
                section(text, &below(name), inner, depth + 1);
            }
            value => {
                let _ = writeln!(text, "{indent}{name}: {}", flow(value));
            }
        }
    }
}

/// The place of a key, or of a section's first key, in the order of the file.
fn place(path: &str) -> usize {
    let within = |key: &keys::Key| {
        key.path.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    keys::ALL.iter().position(within).unwrap_or(keys::ALL.len())
}

/// A value on one line.
fn flow(value: &Json) -> String {
    match value {
        Json::String(text) => scalar(text),
        Json::Array(values) => format!("[{}]", values.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Json::Object(entries) => {
            let entries = entries.iter().map(|(name, value)| format!("{}: {}", scalar(name), flow(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// A text without quotes where no reader of YAML takes it for something else; JSON's quotes are YAML's.
fn scalar(text: &str) -> String {
    const OTHERWISE: &[&str] = &["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    let plain = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/')
        && text.chars().all(|each| each.is_ascii_alphanumeric() || "-_./:".contains(each))
        && !text.ends_with(':')
        && !OTHERWISE.contains(&text.to_ascii_lowercase().as_str());
    if plain { text.to_owned() } else { Json::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::text;
    use crate::answers::{Origin, yaml};

    #[test]
    fn the_file_gives_the_same_answers_and_is_pleasant_to_read() {
        let answers = json!({
            "name": "mimecast-audit",
            "version": "1",
            "azure": {
                "subscription_id": "00000000-0000-0000-0000-000000000001",
                "resource_group": "no",
                "create_resource_group": true,
                "tags": {"owner": "sec ops: \"night\"", "no": "1e5", "a\tb": "\u{e9}"},
            },
            "table": {"retention_days": 90},
            "mimecast": {
                "api": "2.0",
                "base_url": "https://api.services.mimecast.com",
                "client_id": {"env": "MIMECAST_CLIENT_ID"},
                "client_secret": {"prompt": true},
            },
            "collect": {"categories": ["account_logs", "0123"]},
        });
        let text = text(&answers);
        let given = yaml::read(&text, |line| Origin::File { file: "f".to_owned(), line }).expect("reads");
        assert_eq!(given.to_json(), answers);
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(lines[..3], ["version: \"1\"", "name: mimecast-audit", "azure:"]);
        assert!(lines.contains(&"  client_secret: {prompt: true}"), "{text}");
        assert!(lines.contains(&"  base_url: https://api.services.mimecast.com"), "{text}");
    }

    #[test]
    fn accounts_come_back_as_they_were() {
        let answers = json!({
            "accounts": [
                {"key": "first", "api": "2.0", "client_id": {"file": "/run/secrets/a b"}},
                {"key": "second", "api": "1.0", "app_id": "@Microsoft.KeyVault(VaultName=kv;SecretName=id)"},
            ],
        });
        let text = text(&answers);
        let given = yaml::read(&text, |line| Origin::File { file: "f".to_owned(), line }).expect("reads");
        assert_eq!(given.to_json(), answers, "{text}");
    }
}
