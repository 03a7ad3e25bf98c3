//! What was given, from whichever side: everything optional, each value with where it stands.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value as Json;

use super::keys::{self, Key, Shape};
use super::secret::SecretSource;
use crate::world::World;

/// Where an answer stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A line of a file.
    File {
        /// The file, as it was named.
        file: String,
        /// Line, from 1.
        line: usize,
    },
    /// An environment variable.
    Variable(String),
    /// A flag of the command line.
    Flag(&'static str),
    /// The answers that the installation carries.
    Recorded,
    /// A question.
    Prompt,
    /// Nowhere: it is missing.
    Missing,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line } => write!(formatter, "{file}:{line}"),
            Self::Variable(name) => write!(formatter, "environment variable {name}"),
            Self::Flag(flag) => write!(formatter, "flag {flag}"),
            Self::Recorded => formatter.write_str("recorded answers"),
            Self::Prompt => formatter.write_str("prompt"),
            Self::Missing => formatter.write_str("missing"),
        }
    }
}

/// One thing that is wrong with the answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands.
    pub origin: Origin,
    /// The key, where there is one.
    pub key: Option<String>,
    /// What is wrong and what would be right. Never holds the value of a secret.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: ", self.origin)?;
        if let Some(key) = &self.key {
            write!(formatter, "{key}: ")?;
        }
        formatter.write_str(&self.message)
    }
}

/// A value, checked for its shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// One text; also numbers, durations and choices.
    Text(String),
    /// Several texts.
    List(Vec<String>),
    /// Texts by name.
    Map(BTreeMap<String, String>),
    /// Where a secret is kept.
    Secret(SecretSource),
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The value.
    pub value: Value,
    /// Where it stands.
    pub origin: Origin,
}

/// Everything that was given, by the path of its key. Keys of the list `accounts` carry their place
/// in it: `accounts.0.client_id`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Given {
    answers: BTreeMap<String, Answer>,
}

impl Given {
    /// The answer for a path.
    pub fn answer(&self, path: &str) -> Option<&Answer> {
        self.answers.get(path)
    }

    /// Whether anything at or below this path was given.
    pub fn has(&self, path: &str) -> bool {
        self.answers
            .keys()
            .any(|each| each.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
    }

    /// Every path with its answer.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Answer)> {
        self.answers.iter().map(|(path, answer)| (path.as_str(), answer))
    }

    /// Puts an answer, replacing one that was there.
    pub fn put(&mut self, path: &str, value: Value, origin: Origin) {
        self.answers.insert(path.to_owned(), Answer { value, origin });
    }

    /// Takes everything that `stronger` has, and keeps the rest.
    pub fn overlay(&mut self, stronger: Self) {
        // The list of accounts is one answer: two lists are not woven into each other.
        if stronger.has("accounts") {
            self.answers.retain(|path, _| !path.starts_with("accounts."));
        }
        self.answers.extend(stronger.answers);
    }

    /// Reads the keys' own environment variables.
    ///
    /// # Errors
    /// Every variable whose value does not fit its key, and every variable with the prefix that is
    /// no key's.
    pub fn from_environment(world: &World) -> Result<Self, Vec<Problem>> {
        let mut given = Self::default();
        let mut problems = Vec::new();
        let known: BTreeMap<String, &Key> = keys::ALL.iter().map(|key| (key.variable(), key)).collect();
        for (name, text) in world.environment() {
            if !name.starts_with(keys::VARIABLE_PREFIX) || text.is_empty() {
                continue;
            }
            let origin = Origin::Variable(name.clone());
            match known.get(name) {
                None => problems.push(Problem {
                    origin,
                    key: None,
                    message: "no key of the answers has this variable".to_owned(),
                }),
                Some(key) => match read_text(key.shape, text) {
                    Ok(value) => given.put(key.path, value, origin),
                    Err(message) => {
                        problems.push(Problem { origin, key: Some(key.path.to_owned()), message });
                    }
                },
            }
        }
        if problems.is_empty() { Ok(given) } else { Err(problems) }
    }

    /// The secrets' variables, for the secrets that the answers do not place anywhere.
    pub fn secrets_from_environment(world: &World) -> Self {
        let mut given = Self::default();
        for key in keys::ALL {
            if let Some(setting) = key.setting().filter(|setting| world.variable(setting).is_some()) {
                let source = SecretSource::Variable(setting.to_owned());
                given.put(key.path, Value::Secret(source), Origin::Variable(setting.to_owned()));
            }
        }
        given
    }

    /// The answers as one JSON object, as the file would have them. It holds no secret.
    pub fn to_json(&self) -> Json {
        let mut root = serde_json::Map::new();
        let mut accounts: BTreeMap<usize, serde_json::Map<String, Json>> = BTreeMap::new();
        for (path, answer) in self.iter() {
            let value = match (&answer.value, keys::resolve(path).map(|key| key.shape)) {
                (Value::Text(text), Some(Shape::Boolean)) => Json::Bool(text == "true"),
                (Value::Text(text), Some(Shape::Whole(..))) => {
                    text.parse::<u32>().map_or_else(|_| Json::from(text.as_str()), Json::from)
                }
                (Value::Text(text), _) => Json::from(text.as_str()),
                (Value::List(texts), _) => Json::from(texts.clone()),
                (Value::Map(texts), _) => {
                    texts.iter().map(|(name, text)| (name.clone(), Json::from(text.as_str()))).collect()
                }
                (Value::Secret(source), _) => source.to_json(),
            };
            if let Some((index, name)) = keys::account_path(path) {
                accounts.entry(index).or_default().insert(name.to_owned(), value);
            } else {
                let mut section = &mut root;
                let mut words = path.split('.').peekable();
                while let Some(word) = words.next() {
                    if words.peek().is_none() {
                        section.insert(word.to_owned(), value);
                        break;
                    }
                    let next = section.entry(word).or_insert_with(|| Json::Object(serde_json::Map::new()));
                    match next {
                        Json::Object(next) => section = next,
                        // No key is both a value and a section (a test of `keys` holds that).
                        _ => break,
                    }
                }
            }
        }
        if !accounts.is_empty() {
            root.insert("accounts".to_owned(), accounts.into_values().map(Json::Object).collect());
        }
        Json::Object(root)
    }
}

/// Reads the text of a flag or variable as the value of a key.
///
/// # Errors
/// What is wrong with it.
pub fn read_text(shape: Shape, text: &str) -> Result<Value, String> {
    match shape {
        Shape::Secret => SecretSource::parse_text(text).map(Value::Secret),
        Shape::TextList => Ok(Value::List(
            text.split(',').map(str::trim).filter(|each| !each.is_empty()).map(str::to_owned).collect(),
        )),
        Shape::TextMap => text
            .split(',')
            .filter(|each| !each.trim().is_empty())
            .map(|each| {
                each.split_once('=')
                    .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
                    .ok_or_else(|| "accepted: name=text,name=text".to_owned())
            })
            .collect::<Result<BTreeMap<_, _>, _>>()
            .map(Value::Map),
        other => check_scalar(other, text).map(Value::Text),
    }
}

/// Checks one text against a shape that takes one, and gives it without the blanks around it.
///
/// # Errors
/// What is wrong with it.
pub fn check_scalar(shape: Shape, text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err(format!("is empty; accepted: {}", shape.accepted()));
    }
    if text.chars().any(char::is_control) {
        return Err("has a control character inside".to_owned());
    }
    let fits = match shape {
        Shape::Text | Shape::Secret | Shape::TextMap | Shape::TextList => true,
        Shape::Choice(choices) => choices.contains(&text),
        Shape::Boolean => matches!(text, "true" | "false"),
        Shape::Whole(low, high) => {
            text.chars().all(|each| each.is_ascii_digit())
                && text.parse::<u32>().is_ok_and(|number| (low..=high).contains(&number))
        }
        Shape::Duration => super::intent::duration_secs(text).is_some(),
        Shape::Guid => text.len() == 36 && uuid::Uuid::try_parse(text).is_ok(),
        Shape::ResourceId => text.to_ascii_lowercase().starts_with("/subscriptions/"),
        Shape::Url => {
            text.starts_with(contract::settings::KEY_VAULT_REFERENCE_PREFIX) || url::Url::parse(text).is_ok()
        }
    };
    if fits {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` is not accepted; accepted: {}", shape.accepted()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Given, Origin, Value, check_scalar};
    use crate::answers::keys::Shape;
    use crate::answers::secret::SecretSource;
    use crate::world::World;

    #[test]
    fn the_stronger_side_wins_key_by_key() {
        let mut file = Given::default();
        let origin = Origin::File { file: "answers.yaml".to_owned(), line: 1 };
        file.put("name", Value::Text("from-file".to_owned()), origin.clone());
        file.put("azure.location", Value::Text("westeurope".to_owned()), origin);
        let mut flags = Given::default();
        flags.put("name", Value::Text("from-flag".to_owned()), Origin::Flag("--name"));
        file.overlay(flags);
        assert_eq!(
            file.answer("name").map(|answer| &answer.value),
            Some(&Value::Text("from-flag".to_owned()))
        );
        assert!(file.has("azure.location") && file.has("azure") && !file.has("azur"));
    }

    #[test]
    fn variables_answer_keys_and_unknown_ones_are_named() {
        let world = World::with_environment(BTreeMap::from([
            ("MIMECAST_SENTINEL_ANSWER_NAME".to_owned(), "from-variable".to_owned()),
            ("PATH".to_owned(), "/bin".to_owned()),
        ]));
        let given = Given::from_environment(&world).expect("fits");
        assert!(given.has("name"));
        let world = World::with_environment(BTreeMap::from([
            ("MIMECAST_SENTINEL_ANSWER_NAAM".to_owned(), "x".to_owned()),
            ("MIMECAST_SENTINEL_ANSWER_VAULT_PURGE_PROTECTION".to_owned(), "yes".to_owned()),
        ]));
        let problems = Given::from_environment(&world).expect_err("two problems");
        assert_eq!(problems.len(), 2);
        assert!(problems[1].to_string().contains("true, false"), "{problems:?}");
    }

    #[test]
    fn recorded_answers_hold_where_a_secret_is_and_never_what_it_is() {
        let world = World::with_environment(BTreeMap::from([(
            "MIMECAST_CLIENT_SECRET".to_owned(),
            "canary-value".to_owned(),
        )]));
        let given = Given::secrets_from_environment(&world);
        let json = given.to_json().to_string();
        assert_eq!(json, r#"{"mimecast":{"client_secret":{"env":"MIMECAST_CLIENT_SECRET"}}}"#);
        assert_eq!(
            given.answer("mimecast.client_secret").map(|answer| &answer.value),
            Some(&Value::Secret(SecretSource::Variable("MIMECAST_CLIENT_SECRET".to_owned())))
        );
    }

    #[test]
    fn shapes_refuse_what_does_not_fit() {
        // BR-159
        assert!(check_scalar(Shape::Boolean, "yes").expect_err("not a boolean").contains("true, false"));
        assert_eq!(check_scalar(Shape::Text, "no").as_deref(), Ok("no"));
        assert!(check_scalar(Shape::Whole(4, 730), "0x1F").is_err());
        assert!(check_scalar(Shape::Whole(4, 730), "731").is_err());
        assert!(check_scalar(Shape::Guid, "{00000000-0000-0000-0000-000000000000}").is_err());
        assert!(check_scalar(Shape::Duration, "5").is_err());
        assert!(check_scalar(Shape::Text, "a\u{7}b").is_err());
    }
}
