//! `doctor --bundle FILE`: what a person who helps needs to know of an installation, in one file, without
//! secrets and without addresses of people.
//!
//! Everything goes through [`Redaction`]: values that this process knows to be secret, whatever looks like
//! a token or a key, and e-mail addresses. Of settings only the names are told.

use std::collections::BTreeMap;

use contract::settings::KEY_VAULT_REFERENCE_PREFIX;
use serde_json::{Map, Value, json};
use time::format_description::well_known::Rfc3339;

use super::gather;
use super::runs::Found;
use super::status::Status;
use crate::answers::secret::Secrets;
use crate::azure::{AzureError, ResourceId};
use crate::check::Check;
use crate::inventory::Inventory;
use crate::plan::desired::VERSION;
use crate::plan::ids::Ids;
use crate::plan::template::api_version;
use crate::ui::Failure;
use crate::verify::reference;
use crate::world::World;

/// How many runs are told.
const RUNS: usize = 50;
/// How many lines of the app's log are told.
const LINES: usize = 200;
/// What stands in place of what is left out.
const REDACTED: &str = "(redacted)";

/// What `doctor` found, as far as it came.
#[derive(Default)]
pub(super) struct Looked {
    pub(super) checks: Vec<Check>,
    pub(super) found: Option<Found>,
    pub(super) secrets: Secrets,
}

/// Makes the bundle: of what was found, or of why nothing could be.
pub(super) async fn make(world: &World, looked: &Looked, failure: Option<&Failure>) -> String {
    let mut bundle = json!({
        "made_at": world.now().format(&Rfc3339).unwrap_or_default(),
        "installer": VERSION,
        "checks": looked.checks,
    });
    if let Some(failure) = failure {
        bundle["failure"] = failure.json();
    }
    if let Some(found) = &looked.found {
        let subject = &found.selected.subject;
        bundle["installation"] = json!({
            "name": subject.installation,
            "resource_group": subject.resource_group,
            "subscription_id": subject.subscription_id,
            "cloud": found.azure.cloud().name,
            "complete": found.complete(),
        });
        bundle["resources"] = found.inventory.owned.iter().map(resource).collect();
        if let Some(settings) = &found.inventory.settings {
            bundle["settings"] = names(settings);
            let recorded = gather::recorded(Some(settings));
            bundle["answers"] = recorded.map_or_else(|failure| failure.json(), |given| given.to_json());
        }
        if found.complete() {
            bundle["status"] = Status::look(world, found).await.json(subject);
            bundle["references"] = told(references(found).await);
            bundle["functions"] = told(functions(found).await);
            bundle["runs"] = told(found.runs(RUNS).await.map(Value::from_iter));
            bundle["log"] = told(log(found).await);
        }
    }
    Redaction::new(world, &looked.secrets).value(&mut bundle);
    format!("{bundle:#}\n")
}

/// A result, or why there is none.
fn told(result: Result<Value, AzureError>) -> Value {
    result.unwrap_or_else(|error| json!({ "not_read": error.to_string() }))
}

/// What a resource is, without its properties.
fn resource(resource: &Value) -> Value {
    let mut told = Map::new();
    for field in ["id", "type", "location", "tags"] {
        if let Some(value) = resource.get(field) {
            told.insert(field.to_owned(), value.clone());
        }
    }
    Value::Object(told)
}

/// The settings' names with what kind of value each has.
fn names(settings: &BTreeMap<String, String>) -> Value {
    let kind = |value: &str| match value {
        "" => "empty",
        reference if reference.starts_with(KEY_VAULT_REFERENCE_PREFIX) => "Key Vault reference",
        _ => "value",
    };
    settings
        .iter()
        .map(|(name, value)| (name.clone(), Value::from(kind(value))))
        .collect::<Map<_, _>>()
        .into()
}

async fn references(found: &Found) -> Result<Value, AzureError> {
    let references = reference::references(&found.azure, &found.site_id).await?;
    Ok(references.iter().map(|each| json!({ "setting": each.setting, "status": each.status })).collect())
}

async fn functions(found: &Found) -> Result<Value, AzureError> {
    let functions = found.azure.functions(&found.site_id).await?;
    Ok(functions.iter().map(|each| json!({ "name": each.name, "disabled": each.disabled })).collect())
}

/// The newest lines of the app's log, from the workspace of its Application Insights
/// (<https://learn.microsoft.com/azure/azure-monitor/reference/tables/apptraces>).
async fn log(found: &Found) -> Result<Value, AzureError> {
    let subject = &found.selected.subject;
    let ids = Ids::of(&subject.subscription_id, &subject.resource_group, &found.inventory.names);
    let what = || "reading the workspace of Application Insights".to_owned();
    let id = workspace_of(&found.inventory, &ids)
        .ok_or_else(|| AzureError::Incomplete { what: what(), missing: "WorkspaceResourceId" })?;
    let version = api_version("Microsoft.OperationalInsights/workspaces").unwrap_or_default();
    let workspace = found.azure.get(&ResourceId::parse(&id)?, version).await?.unwrap_or_default();
    let customer_id = workspace["properties"]["customerId"]
        .as_str()
        .ok_or_else(|| AzureError::Incomplete { what: what(), missing: "customerId" })?;
    let query = format!(
        "AppTraces | where AppRoleName == \"{}\" | top {LINES} by TimeGenerated desc",
        found.inventory.names.function_app
    );
    let rows = found.azure.query(customer_id, &query, "P1D").await?;
    let line = |row: Map<String, Value>| json!({ "at": row.get("TimeGenerated"), "level": row.get("SeverityLevel"), "text": row.get("Message") });
    Ok(rows.records().map(line).collect())
}

/// The workspace in which Application Insights keeps the app's log.
fn workspace_of(inventory: &Inventory, ids: &Ids) -> Option<String> {
    let insights = inventory.resource(&ids.application_insights)?;
    let properties = insights["properties"].as_object()?;
    let name = |name: &&String| name.eq_ignore_ascii_case("workspaceResourceId");
    let key = properties.keys().find(name)?;
    properties[key].as_str().map(str::to_owned)
}

/// Takes secrets and people out of texts.
struct Redaction {
    secrets: Vec<String>,
}

/// A text of this many bytes at least is looked for as a secret: shorter ones would black out words.
const SECRET_BYTES: usize = 6;

/// How tokens, keys and signatures begin, up to what must not be seen. Without regard to case.
const TELLING: [&str; 9] = [
    "bearer ",
    "sig=",
    "code=",
    "accountkey=",
    "sharedaccesskey=",
    "client_secret=",
    "password=",
    "x-functions-key: ",
    "eyj",
];

impl Redaction {
    /// Knows every value that the process was given as a secret: by the answers, or in a variable of a
    /// secret's name.
    fn new(world: &World, secrets: &Secrets) -> Self {
        let telling = |name: &str| {
            contract::settings::ALL.iter().any(|setting| setting.secret && setting.name == name)
                || ["SECRET", "PASSWORD", "TOKEN"].iter().any(|word| name.contains(word))
        };
        let given =
            world.environment().iter().filter(|(name, _)| telling(name)).map(|(_, value)| value.clone());
        let read = secrets.clone().into_values().into_values().map(|value| value.expose().clone());
        let mut secrets: Vec<String> =
            given.chain(read).filter(|value| value.len() >= SECRET_BYTES).collect();
        // The longest first, so that none is left in part.
        secrets.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Self { secrets }
    }

    fn value(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.text(text),
            Value::Array(values) => values.iter_mut().for_each(|value| self.value(value)),
            Value::Object(members) => members.values_mut().for_each(|value| self.value(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            text = text.replace(secret.as_str(), REDACTED);
        }
        for telling in TELLING {
            text = without(&text, telling);
        }
        without_addresses(&text)
    }
}

/// What may stand in a token, a key or an address.
fn of_a_word(character: char) -> bool {
    !character.is_whitespace()
        && !matches!(character, '"' | '\'' | '`' | '&' | ';' | ',' | '<' | '>' | '(' | ')')
}

/// The text with whatever follows these words left out.
fn without(text: &str, telling: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let mut kept = String::new();
    let mut from = 0;
    while let Some(at) = lower[from..].find(telling).map(|at| from + at) {
        // A token begins with `eyJ` itself; a mark in the middle of a word is none.
        let begins = !text[..at].chars().next_back().is_some_and(char::is_alphanumeric);
        let start = if telling == "eyj" { at } else { at + telling.len() };
        let end = text[start..].find(|each| !of_a_word(each)).map_or(text.len(), |length| start + length);
        let secret = begins && end - start >= SECRET_BYTES;
        kept.push_str(&text[from..start]);
        kept.push_str(if secret { REDACTED } else { &text[start..end.max(at + telling.len())] });
        from = end.max(at + telling.len());
    }
    kept.push_str(&text[from..]);
    kept
}

/// The text with e-mail addresses left out.
fn without_addresses(text: &str) -> String {
    let mut kept = String::new();
    let mut word = String::new();
    let end = |word: &mut String, kept: &mut String| {
        let address = word.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'));
        kept.push_str(if address { "(address)" } else { word.as_str() });
        word.clear();
    };
    for character in text.chars() {
        if of_a_word(character) && !matches!(character, ':' | '/' | '=') {
            word.push(character);
        } else {
            end(&mut word, &mut kept);
            kept.push(character);
        }
    }
    end(&mut word, &mut kept);
    kept
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::{Redaction, names};
    use crate::answers::secret::Secrets;
    use crate::world::World;

    fn redaction() -> Redaction {
        let environment = [("MIMECAST_CLIENT_SECRET", "canary value"), ("LANG", "C.UTF-8")];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Redaction::new(&World::with_environment(environment), &Secrets::default())
    }

    #[test]
    fn secrets_tokens_and_people_are_left_out_and_the_rest_stays() {
        let cases = [
            ("it is `canary value`.", "it is `(redacted)`."),
            ("Authorization: Bearer abc.def-ghi next", "Authorization: Bearer (redacted) next"),
            ("https://x.example/?sv=1&sig=a%2Bb%3D&se=2", "https://x.example/?sv=1&sig=(redacted)&se=2"),
            ("token eyJhbGciOi.J9.x and more", "token (redacted) and more"),
            ("AccountKey=abcdefg==;EndpointSuffix=x", "AccountKey=(redacted);EndpointSuffix=x"),
            ("signed in as pat.user@example.com by cli", "signed in as (address) by cli"),
            ("{\"user\":\"pat@example.com\"}", "{\"user\":\"(address)\"}"),
            (
                "@Microsoft.KeyVault(SecretUri=https://kv.example/s)",
                "@Microsoft.KeyVault(SecretUri=https://kv.example/s)",
            ),
            ("exit code=1 in C.UTF-8", "exit code=1 in C.UTF-8"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(redaction().text(text), expected);
        }
    }

    #[test]
    fn every_text_of_a_document_is_looked_through() {
        let mut value = json!({ "a": ["canary value", { "b": "Bearer abcdefgh" }], "c": 1 });
        redaction().value(&mut value);
        assert_eq!(value, json!({ "a": ["(redacted)", { "b": "Bearer (redacted)" }], "c": 1 }));
    }

    #[test]
    fn of_settings_only_the_names_are_told() {
        let settings = [("A", "@Microsoft.KeyVault(SecretUri=x)"), ("B", "plain"), ("C", "")];
        let settings: BTreeMap<String, String> =
            settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert_eq!(names(&settings), json!({ "A": "Key Vault reference", "B": "value", "C": "empty" }));
    }
}
