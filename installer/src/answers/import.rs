//! Turns the ARM parameters file of the old connector into an answers file.
//!
//! Parameter names are those of the old connector's template. A value that is a secret is not taken
//! over: the answers name an environment variable, and the person is told to set it.

use serde_json::Value as Json;

use super::file;
use super::given::{Given, Origin, Value, check_scalar};
use super::keys::{self, Shape};
use super::secret::{SecretSource, VaultSecret};
use contract::settings::KEY_VAULT_REFERENCE_PREFIX;

/// What became of a parameters file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The answers, as YAML.
    pub answers: String,
    /// What the person should know: values left out, variables to set.
    pub notes: Vec<String>,
}

/// Why a file cannot be turned into answers.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It is not JSON.
    #[error("the file is not JSON")]
    Json(#[source] serde_json::Error),
    /// It has no parameters.
    #[error("the file has no `parameters`; accepted: an ARM parameters file, or a bare object of parameters")]
    Parameters,
}

/// The old parameters and the keys that answer them now.
const PARAMETERS: &[(&str, &str)] = &[
    ("appName", "name"),
    ("objectId", "azure.operator_object_id"),
    ("location", "azure.location"),
    ("appInsightsLocation", "monitoring.app_insights_location"),
    ("AppInsightsWorkspaceResourceID", "monitoring.app_insights_workspace_id"),
    ("workspaceId", "workspace.workspace_id"),
    ("mimecastBaseURL", "mimecast.base_url"),
    ("mimecastAppId", "mimecast.app_id"),
    ("mimecastAppKey", "mimecast.app_key"),
    ("mimecastAccessKey", "mimecast.access_key"),
    ("mimecastSecretKey", "mimecast.secret_key"),
    ("mimecastEmail", "mimecast.email"),
    ("mimecastPassword", "mimecast.password"),
    ("activeDirectoryAppId", "delivery.app_registration.client_id"),
    ("activeDirectoryAppSecret", "delivery.app_registration.client_secret"),
];

/// Reads the file's text.
///
/// # Errors
/// [`ImportError`] when it is no parameters file.
pub fn import(text: &str) -> Result<Imported, ImportError> {
    let json: Json =
        serde_json::from_str(text.strip_prefix('\u{feff}').unwrap_or(text)).map_err(ImportError::Json)?;
    let parameters = json.get("parameters").unwrap_or(&json).as_object().ok_or(ImportError::Parameters)?;
    let mut given = Given::default();
    let mut notes = Vec::new();
    let origin = Origin::Recorded;
    given.put("version", Value::Text("1".to_owned()), origin.clone());
    for (name, parameter) in parameters {
        let value = parameter.get("value").and_then(Json::as_str).or_else(|| parameter.as_str());
        let reference = key_vault_reference(parameter);
        let known = PARAMETERS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let Some((_, path)) = known else {
            if let Some(note) = unused(name) {
                notes.push(note);
            }
            continue;
        };
        let Some(key) = keys::find(path) else { continue };
        match (key.shape, value.map(str::trim).filter(|value| !value.is_empty()), reference) {
            (Shape::Secret, _, Some(secret)) => {
                given.put(path, Value::Secret(SecretSource::KeyVault(secret)), origin.clone());
            }
            (Shape::Secret, Some(value), None) => {
                if let Some(secret) = VaultSecret::parse_reference(value) {
                    given.put(path, Value::Secret(SecretSource::KeyVault(secret)), origin.clone());
                } else if let Some(setting) = key.setting() {
                    given.put(
                        path,
                        Value::Secret(SecretSource::Variable(setting.to_owned())),
                        origin.clone(),
                    );
                    notes.push(format!(
                        "`{name}` is a secret and is not taken over: set the environment variable {setting}"
                    ));
                }
            }
            (_, Some(value), _) => {
                match normal(path, value).and_then(|value| check_scalar(key.shape, &value)) {
                    Ok(text) => given.put(path, Value::Text(text), origin.clone()),
                    Err(message) => notes.push(format!("`{name}` is left out: {message}")),
                }
            }
            _ => {}
        }
    }
    if given.has("mimecast.app_id") || given.has("mimecast.access_key") {
        given.put("mimecast.api", Value::Text("1.0".to_owned()), origin);
        notes.push(
            "these are keys of Mimecast's API 1.0, which takes no new applications since June 2025; make an API 2.0 application when you can".to_owned(),
        );
    }
    for path in ["azure.subscription_id", "azure.resource_group"] {
        notes.push(format!("`{path}` is not in the old parameters: add it, or give it by flag"));
    }
    Ok(Imported { answers: file::text(&given.to_json()), notes })
}

/// The reference form of a parameters file: `{"reference": {"keyVault": {"id": …}, "secretName": …}}`.
fn key_vault_reference(parameter: &Json) -> Option<VaultSecret> {
    let reference = parameter.get("reference")?;
    let vault = reference["keyVault"]["id"].as_str()?.rsplit('/').next()?.to_owned();
    let name = reference["secretName"].as_str()?.to_owned();
    let version = reference["secretVersion"].as_str().map(str::to_owned);
    // Through the reader of settings, which checks the names.
    VaultSecret::parse_reference(&VaultSecret::Named { vault, name, version }.reference())
}

/// What an old value looks like as an answer.
fn normal(path: &str, value: &str) -> Result<String, String> {
    match path {
        "name" => {
            let name: String = value
                .to_ascii_lowercase()
                .chars()
                .map(|each| if each.is_ascii_alphanumeric() { each } else { '-' })
                .collect();
            Ok(name.trim_matches('-').chars().take(32).collect())
        }
        "workspace.workspace_id" if value.starts_with(KEY_VAULT_REFERENCE_PREFIX) => {
            Err("a workspace's id cannot be a Key Vault reference here; write the id itself".to_owned())
        }
        _ => Ok(value.to_owned()),
    }
}

/// A word on parameters that nothing takes any more.
fn unused(name: &str) -> Option<String> {
    match name.to_ascii_lowercase().as_str() {
        "workspacekey" => Some(
            "`workspaceKey` is used for nothing: the HTTP Data Collector API that it opened ended on 14 September 2026"
                .to_owned(),
        ),
        "storageaccounttype" => None,
        _ => Some(format!("`{name}` is no parameter of the old connector and is left out")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{ImportError, import};
    use crate::answers::{Origin, yaml};

    #[test]
    fn the_old_parameters_become_answers_without_their_secrets() {
        let file = json!({ "parameters": {
            "appName": { "value": "Mimecast Audit" },
            "objectId": { "value": "00000000-0000-0000-0000-000000000001" },
            "appInsightsLocation": { "value": "westeurope" },
            "mimecastBaseURL": { "value": "https://eu-api.mimecast.com" },
            "mimecastEmail": { "value": "service@example.com" },
            "mimecastPassword": { "value": "canary-value" },
            "mimecastAppId": { "value": "@Microsoft.KeyVault(VaultName=kv;SecretName=app-id)" },
            "mimecastAppKey": { "reference": { "keyVault": { "id": "/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/kv" }, "secretName": "app-key" } },
            "workspaceId": { "value": "00000000-0000-0000-0000-000000000002" },
            "workspaceKey": { "value": "canary-value" },
        }});
        let imported = import(&file.to_string()).expect("a parameters file");
        let text = format!("{}{}", imported.answers, imported.notes.join("\n"));
        assert!(!text.contains("canary-value") && !text.contains("service@example.com"), "{text}");
        assert!(
            imported
                .notes
                .iter()
                .any(|note| note.contains("workspaceKey") && note.contains("ended on 14 September 2026"))
        );
        assert!(
            imported.notes.iter().any(|note| note.contains("set the environment variable MIMECAST_PASSWORD"))
        );

        let given =
            yaml::read(&imported.answers, |line| Origin::File { file: "a".to_owned(), line }).expect("reads");
        assert_eq!(
            given.to_json(),
            json!({
                "version": "1",
                "name": "mimecast-audit",
                "azure": { "operator_object_id": "00000000-0000-0000-0000-000000000001" },
                "monitoring": { "app_insights_location": "westeurope" },
                "workspace": { "workspace_id": "00000000-0000-0000-0000-000000000002" },
                "mimecast": {
                    "api": "1.0",
                    "base_url": "https://eu-api.mimecast.com",
                    "email": { "env": "MIMECAST_EMAIL" },
                    "password": { "env": "MIMECAST_PASSWORD" },
                    "app_id": "@Microsoft.KeyVault(VaultName=kv;SecretName=app-id)",
                    "app_key": "@Microsoft.KeyVault(VaultName=kv;SecretName=app-key)",
                },
            })
        );
    }

    #[test]
    fn other_files_are_refused() {
        assert!(matches!(import("not json"), Err(ImportError::Json(_))));
        assert!(matches!(import("[]"), Err(ImportError::Parameters)));
    }
}
