//! Answers as they are recorded with an installation: compact JSON, read back by the reader of files.

use std::collections::{BTreeMap, BTreeSet};

use super::given::{Origin, Value, read_text};
use super::intent::{duration_secs, normal_location};
use super::keys::Shape;
use super::secret::SecretSource;
use super::{keys, yaml};

/// Answers that an installation has another way of knowing: where one text leaves them out, the other says
/// what is there anyhow. Were it not so, the resources themselves would differ.
const KNOWN_OTHERWISE: [&str; 6] = [
    "azure.cloud",
    "azure.location",
    "workspace.resource_id",
    "workspace.workspace_id",
    "monitoring.app_insights_location",
    "monitoring.app_insights_workspace_id",
];

/// Whether two recorded texts are the same answers, whatever their order: one that is not given is the
/// same as its default, or as what the installation has. Of a secret that is in no other vault, only that it
/// is given counts.
pub fn same(one: &str, other: &str) -> bool {
    if one == other {
        return true;
    }
    let (Some(mut one), Some(mut other)) = (meaning(one), meaning(other)) else { return false };
    for path in KNOWN_OTHERWISE {
        if !(one.contains_key(path) && other.contains_key(path)) {
            one.remove(path);
            other.remove(path);
        }
    }
    one == other
}

/// Every answer by its path, with the defaults; `None` for a text that does not read as answers.
fn meaning(text: &str) -> Option<BTreeMap<String, Value>> {
    let given = yaml::read(text, |_| Origin::Recorded).ok()?;
    let mut answers: BTreeMap<String, Value> = keys::ALL
        .iter()
        .filter(|key| !KNOWN_OTHERWISE.contains(&key.path))
        .filter_map(|key| Some((key.path.to_owned(), read_text(key.shape, key.default?).ok()?)))
        .collect();
    answers.extend(given.iter().map(|(path, answer)| (path.to_owned(), answer.value.clone())));
    for (path, value) in &mut answers {
        if let (true, Value::Text(location)) = (path.ends_with("location"), &mut *value) {
            *location = normal_location(location);
        }
        // From which variable or file a value came says nothing of the value.
        if let Value::Secret(source) = &mut *value
            && !matches!(source, SecretSource::KeyVault(_))
        {
            *source = SecretSource::Prompt;
        }
        if let (Some(Shape::Duration), Value::Text(duration)) =
            (keys::resolve(path).map(|key| key.shape), &mut *value)
            && let Some(secs) = duration_secs(duration)
        {
            *duration = format!("{secs}s");
        }
    }
    Some(answers)
}

/// What two recorded texts say differently of one of several accounts: the word of each key, what the
/// first says and what the second does. Of a secret that counts which vault keeps it, if one does: from
/// which variable or file a value came says nothing of the value.
pub fn account_differences(
    one: &str,
    other: &str,
    account: &str,
) -> Vec<(String, Option<String>, Option<String>)> {
    let (Some(one), Some(other)) = (account_words(one, account), account_words(other, account)) else {
        return Vec::new();
    };
    let words: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let pairs =
        words.into_iter().map(|word| (word.clone(), one.get(word).cloned(), other.get(word).cloned()));
    pairs.filter(|(_, one, other)| one != other).collect()
}

/// What a recorded text says of an account, by the words of its keys, defaults included; `None` where it
/// does not read or has no such account.
fn account_words(text: &str, account: &str) -> Option<BTreeMap<String, String>> {
    let given = yaml::read(text, |_| Origin::Recorded).ok()?;
    let place = given.iter().find_map(|(path, answer)| match keys::account_path(path)? {
        (place, "key") if matches!(&answer.value, Value::Text(key) if key == account) => Some(place),
        _ => None,
    })?;
    let defaults = keys::ALL
        .iter()
        .filter_map(|key| Some((key.path.strip_prefix("mimecast.")?.to_owned(), key.default?.to_owned())));
    let own = given.iter().filter_map(|(path, answer)| {
        let (_, word) = keys::account_path(path).filter(|(at, _)| *at == place)?;
        let said = match &answer.value {
            Value::Text(text) => text.clone(),
            Value::Secret(SecretSource::KeyVault(secret)) => secret.reference(),
            Value::Secret(_) => "given".to_owned(),
            Value::List(texts) => texts.join(","),
            Value::Map(_) => return None,
        };
        Some((word.to_owned(), said))
    });
    Some(defaults.chain(own).collect())
}

#[cfg(test)]
mod tests {
    use super::{account_differences, same};

    #[test]
    fn of_an_account_what_is_said_counts_and_not_where_a_value_came_from() {
        let text = |account: &str| format!(r#"{{"accounts":[{{"key":"b"}},{{"key":"a",{account}}}]}}"#);
        let variable = text(r#""client_secret":{"env":"A"},"base_url":"https://api.services.mimecast.com""#);
        let other_variable = text(r#""api":"2.0","client_secret":{"env":"B"}"#);
        assert_eq!(account_differences(&variable, &other_variable, "a"), []);
        let moved = text(r#""client_secret":{"env":"A"},"base_url":"https://uk-api.services.mimecast.com""#);
        let said = |text: &str| Some(text.to_owned());
        assert_eq!(
            account_differences(&variable, &moved, "a"),
            [(
                "base_url".to_owned(),
                said("https://api.services.mimecast.com"),
                said("https://uk-api.services.mimecast.com")
            )]
        );
        let vault = text(r#""client_secret":{"key_vault":"https://kv-sec.vault.azure.net/secrets/mc"}"#);
        let changed = account_differences(&variable, &vault, "a");
        assert_eq!(
            changed,
            [(
                "client_secret".to_owned(),
                said("given"),
                said("@Microsoft.KeyVault(SecretUri=https://kv-sec.vault.azure.net/secrets/mc)")
            )]
        );
        assert_eq!(account_differences(&variable, &moved, "b"), []);
        assert_eq!(account_differences(&variable, &moved, "c"), []);
    }

    #[test]
    fn order_and_defaults_make_no_difference_and_values_do() {
        let one = r#"{"name":"mimecast-audit","hosting":{"plan":"dedicated"}}"#;
        assert!(same(one, r#"{"hosting":{"plan":"dedicated","memory_mb":"512"},"azure":{"tags":null}}"#));
        assert!(!same(one, r#"{"hosting":{"plan":"flex-consumption"}}"#));
        let secret = |source: &str| format!(r#"{{"mimecast":{{"client_id":{source}}}}}"#);
        assert!(same(&secret(r#"{"env":"A"}"#), &secret(r#"{"env":"B"}"#)));
        let vault = secret(r#"{"key_vault":"https://kv-sec.vault.azure.net/secrets/mc"}"#);
        assert!(!same(&secret(r#"{"env":"A"}"#), &vault));
        assert!(same(r#"{"collect":{"every":"60m"}}"#, r#"{"collect":{"every":"1h"}}"#));
        assert!(!same(r#"{"collect":{"every":"60m"}}"#, r#"{"collect":{"every":"2h"}}"#));
        assert!(!same(one, "no answers"));
        assert!(!same("no answers", one));
    }

    #[test]
    fn what_the_installation_knows_otherwise_may_be_left_out_but_not_be_another() {
        let location = |location: &str| format!(r#"{{"azure":{{"location":"{location}"}}}}"#);
        assert!(same(&location("West Europe"), &location("westeurope")));
        assert!(!same(&location("West Europe"), &location("northeurope")));
        assert!(same(&location("westeurope"), "{}"));
        let workspace = r#"{"workspace":{"resource_id":"/subscriptions/s"}}"#;
        assert!(same(workspace, r#"{"workspace":{"workspace_id":"0d0f2a1e-6c2b-4f0e-9b3d-0a6b2f0c7e11"}}"#));
        assert!(!same(workspace, r#"{"workspace":{"resource_id":"/subscriptions/t"}}"#));
    }
}
