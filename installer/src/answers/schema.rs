//! The JSON Schema of an answers file, for editors and for checks before a pipeline runs.

use serde_json::{Map, Value, json};

use super::keys::{self, Key, Shape};

/// The address by which the schema names itself.
const ID: &str = "https://github.com/mimecast-sentinel/mimecast-sentinel/answers.schema.json";

/// The schema, in the 2020-12 dialect.
pub fn schema() -> Value {
    let mut properties = Map::new();
    for key in keys::ALL {
        let mut section = &mut properties;
        let mut words = key.path.split('.').peekable();
        while let Some(word) = words.next() {
            if words.peek().is_none() {
                section.insert(word.to_owned(), property(key));
                break;
            }
            let next = section.entry(word).or_insert_with(
                || json!({ "type": ["object", "null"], "additionalProperties": false, "properties": {} }),
            );
            match &mut next["properties"] {
                Value::Object(next) => section = next,
                // Every section was just made with properties.
                _ => break,
            }
        }
    }
    let mut account = Map::from_iter([("key".to_owned(), property(&keys::ACCOUNT_KEY))]);
    for key in keys::ALL {
        if let Some(word) = key.path.strip_prefix("mimecast.") {
            account.insert(word.to_owned(), property(key));
        }
    }
    properties.insert(
        "accounts".to_owned(),
        json!({
            "description": "Several Mimecast accounts, in place of `mimecast`.",
            "type": ["array", "null"],
            "items": { "type": "object", "additionalProperties": false, "properties": account, "required": ["key"] },
        }),
    );
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": ID,
        "title": "Answers of mimecast-sentinel",
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
        "$defs": { "secret": secret() },
    })
}

fn property(key: &Key) -> Value {
    let mut value = match key.shape {
        Shape::Text => json!({ "type": ["string", "number", "boolean", "null"] }),
        // YAML reads an unquoted 2.0 or 512 as a number; both spellings are accepted.
        Shape::Choice(choices) => {
            let numbers = choices.iter().filter_map(|choice| choice.parse::<f64>().ok()).map(Value::from);
            json!({ "enum": choices.iter().map(|choice| json!(choice)).chain(numbers).chain([Value::Null]).collect::<Vec<_>>() })
        }
        Shape::Boolean => json!({ "type": ["boolean", "null"] }),
        Shape::Whole(low, high) => json!({ "type": ["integer", "null"], "minimum": low, "maximum": high }),
        Shape::Duration => json!({ "type": ["string", "null"], "pattern": "^[0-9]+[smhd]$" }),
        Shape::Guid => json!({
            "type": ["string", "null"],
            "pattern": "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$",
        }),
        Shape::ResourceId => json!({ "type": ["string", "null"], "pattern": "^/[sS]ubscriptions/" }),
        Shape::Url => json!({ "anyOf": [
            { "type": ["string", "null"] },
            { "type": "object", "additionalProperties": false, "required": ["key_vault"],
              "properties": { "key_vault": { "type": "string" } } },
        ]}),
        Shape::Secret => json!({ "$ref": "#/$defs/secret" }),
        Shape::TextMap => json!({
            "type": ["object", "null"],
            "additionalProperties": { "type": ["string", "number", "boolean"] },
        }),
        Shape::TextList => json!({ "type": ["array", "null"], "items": { "type": ["string", "number"] } }),
    };
    value["description"] = json!(key.meaning);
    if let Some(default) = key.default {
        value["default"] = match key.shape {
            Shape::Boolean => json!(default == "true"),
            _ => json!(default),
        };
    }
    value
}

/// Where a secret is kept: never the secret.
fn secret() -> Value {
    let one = |word: &str, value: Value| json!({ "type": "object", "additionalProperties": false, "required": [word], "properties": { word: value } });
    json!({ "anyOf": [
        { "type": "null" },
        { "type": "string", "pattern": "^@Microsoft\\.KeyVault\\(.+\\)$" },
        one("env", json!({ "type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" })),
        one("file", json!({ "type": "string", "minLength": 1 })),
        one("key_vault", json!({ "type": "string", "minLength": 1 })),
        one("prompt", json!({ "const": true })),
    ]})
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::schema;
    use crate::answers::initial;

    fn accepts(answers: &serde_json::Value) -> bool {
        jsonschema::validator_for(&schema()).expect("a schema").is_valid(answers)
    }

    #[test]
    fn the_schema_accepts_what_the_reader_accepts_and_refuses_what_it_refuses() {
        assert!(accepts(
            &json!({ "name": "mimecast-audit", "mimecast": { "client_secret": { "env": "A" } } })
        ));
        assert!(accepts(
            &json!({ "accounts": [{ "key": "one", "client_id": { "file": "/a" } }], "mimecast": null })
        ));
        for wrong in [
            json!({ "nmae": "x" }),
            json!({ "mimecast": { "client_secret": "literal" } }),
            json!({ "mimecast": { "client_secret": { "env": "A", "file": "b" } } }),
            json!({ "azure": { "create_resource_group": "yes" } }),
            json!({ "table": { "retention_days": 3 } }),
            json!({ "accounts": [{ "client_id": { "env": "A" } }] }),
        ] {
            assert!(!accepts(&wrong), "{wrong}");
        }
    }

    #[test]
    fn every_example_of_the_commented_file_fits_its_shape() {
        for key in crate::answers::keys::ALL {
            let text = initial::uncommented(key);
            let read = crate::answers::yaml::read(&text, |_| crate::answers::Origin::Recorded);
            assert!(read.is_ok(), "{text}: {read:?}");
        }
    }
}
