//! Where secrets are kept, and their values on the way to the one place that needs them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use contract::secret::Secret;
use contract::settings::KEY_VAULT_REFERENCE_PREFIX;
use serde_json::{Value, json};

use crate::world::World;

/// Where a secret is kept. It holds no secret, so it can be printed and recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// An environment variable of the installer.
    Variable(String),
    /// A file; one newline at its end is left out.
    File(PathBuf),
    /// A Key Vault reference, as the app setting will hold it.
    KeyVault(VaultSecret),
    /// A hidden question.
    Prompt,
}

/// A secret in a vault that we do not own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VaultSecret {
    /// By address: `https://<vault>/secrets/<name>[/<version>]`.
    Uri(String),
    /// By names.
    Named {
        /// The vault's name.
        vault: String,
        /// The secret's name.
        name: String,
        /// The secret's version; the newest one without it.
        version: Option<String>,
    },
}

impl VaultSecret {
    /// Reads `@Microsoft.KeyVault(SecretUri=…)` or `(VaultName=…;SecretName=…[;SecretVersion=…])`.
    /// `None` when the text is not a complete reference.
    pub fn parse_reference(text: &str) -> Option<Self> {
        let inner = text.trim().strip_prefix(KEY_VAULT_REFERENCE_PREFIX)?.strip_suffix(')')?;
        let mut parts = BTreeMap::new();
        for part in inner.split(';').filter(|part| !part.trim().is_empty()) {
            let (name, value) = part.split_once('=')?;
            parts.insert(name.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
        if let Some(uri) = parts.get("secreturi") {
            return Self::parse_uri(uri);
        }
        let (vault, name) = (parts.get("vaultname")?, parts.get("secretname")?);
        let usable = |text: &str| {
            !text.is_empty() && text.chars().all(|each| each.is_ascii_alphanumeric() || each == '-')
        };
        (usable(vault) && usable(name)).then(|| Self::Named {
            vault: vault.clone(),
            name: name.clone(),
            version: parts.get("secretversion").filter(|version| !version.is_empty()).cloned(),
        })
    }

    /// Reads the address of a secret.
    pub fn parse_uri(text: &str) -> Option<Self> {
        let url = url::Url::parse(text.trim()).ok()?;
        let segments: Vec<&str> = url.path_segments()?.filter(|segment| !segment.is_empty()).collect();
        let plain = url.scheme() == "https" && url.query().is_none() && url.fragment().is_none();
        let secret = matches!(segments.as_slice(), ["secrets", _] | ["secrets", _, _]);
        (plain && secret && !text.contains([')', ';', '\'', '"'])).then(|| Self::Uri(text.trim().to_owned()))
    }

    /// The address of the secret; by names, in the cloud whose tokens for Key Vault have this scope.
    pub fn uri(&self, key_vault_scope: &str) -> String {
        match self {
            Self::Uri(uri) => uri.clone(),
            Self::Named { vault, name, version } => {
                // `https://vault.azure.net/.default` is the scope where vaults are `<name>.vault.azure.net`.
                let suffix = key_vault_scope.trim_start_matches("https://").trim_end_matches("/.default");
                let version = version.as_ref().map(|version| format!("/{version}")).unwrap_or_default();
                format!("https://{vault}.{suffix}/secrets/{name}{version}")
            }
        }
    }

    /// The secret's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Uri(uri) => {
                uri.split("/secrets/").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or("")
            }
            Self::Named { name, .. } => name,
        }
    }

    /// The root of the vault's own address, where the text has it.
    pub fn vault_uri(&self) -> Option<url::Url> {
        match self {
            Self::Uri(uri) => url::Url::parse(uri).ok()?.join("/").ok(),
            Self::Named { .. } => None,
        }
    }

    /// The vault's name: the first part of its host's.
    pub fn vault_name(&self) -> String {
        match self {
            Self::Uri(_) => {
                let uri = self.vault_uri();
                let host = uri.as_ref().and_then(url::Url::host_str).unwrap_or_default();
                host.split('.').next().unwrap_or_default().to_owned()
            }
            Self::Named { vault, .. } => vault.clone(),
        }
    }

    /// The text for an app setting.
    pub fn reference(&self) -> String {
        match self {
            Self::Uri(uri) => format!("{KEY_VAULT_REFERENCE_PREFIX}SecretUri={uri})"),
            Self::Named { vault, name, version } => {
                let version =
                    version.as_ref().map(|version| format!(";SecretVersion={version}")).unwrap_or_default();
                format!("{KEY_VAULT_REFERENCE_PREFIX}VaultName={vault};SecretName={name}{version})")
            }
        }
    }
}

impl SecretSource {
    /// Reads the form that flags, variables and the old connector's parameters use.
    ///
    /// # Errors
    /// What is wrong with the text, for the person who wrote it.
    pub fn parse_text(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.starts_with(KEY_VAULT_REFERENCE_PREFIX) {
            return VaultSecret::parse_reference(text).map(Self::KeyVault).ok_or_else(|| {
                "an incomplete Key Vault reference; accepted: @Microsoft.KeyVault(SecretUri=https://…/secrets/…) or \
                 @Microsoft.KeyVault(VaultName=…;SecretName=…)"
                    .to_owned()
            });
        }
        Err(format!(
            "a secret cannot be written here, since this file is kept, copied and shown; accepted: {}",
            super::keys::Shape::Secret.accepted()
        ))
    }

    /// Reads the mapping form, one word and its value.
    ///
    /// # Errors
    /// What is wrong with it, for the person who wrote it.
    pub fn parse_entry(word: &str, value: &str) -> Result<Self, String> {
        match word {
            "env" => {
                let usable = |text: &str| {
                    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
                        && text.chars().all(|each| each.is_ascii_alphanumeric() || each == '_')
                };
                if usable(value) {
                    Ok(Self::Variable(value.to_owned()))
                } else {
                    Err("`env` takes the name of an environment variable: letters, digits and `_`".to_owned())
                }
            }
            "file" if !value.is_empty() => Ok(Self::File(PathBuf::from(value))),
            "file" => Err("`file` takes the path of a file".to_owned()),
            "key_vault" => VaultSecret::parse_uri(value)
                .or_else(|| VaultSecret::parse_reference(value))
                .map(Self::KeyVault)
                .ok_or_else(|| {
                    "`key_vault` takes the address of a secret: https://<vault>/secrets/<name>".to_owned()
                }),
            "prompt" if value == "true" => Ok(Self::Prompt),
            "prompt" => Err("`prompt` takes true".to_owned()),
            other => {
                Err(format!("`{other}` is not a place for a secret; accepted: env, file, key_vault, prompt"))
            }
        }
    }

    /// The same as JSON, for the recorded answers and for `--save-answers`.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Variable(name) => json!({ "env": name }),
            Self::File(path) => json!({ "file": path.to_string_lossy() }),
            Self::KeyVault(VaultSecret::Uri(uri)) => json!({ "key_vault": uri }),
            Self::KeyVault(named) => json!(named.reference()),
            Self::Prompt => json!({ "prompt": true }),
        }
    }
}

/// Values of secrets by the key of the answers. They travel beside the plan, never in it.
#[derive(Debug, Default, Clone)]
pub struct Secrets {
    values: BTreeMap<String, Secret<String>>,
}

/// Why a secret cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The variable is not there.
    #[error("`{key}` is kept in the environment variable `{variable}`, which is not set")]
    Variable {
        /// Key of the answers.
        key: String,
        /// The variable.
        variable: String,
    },
    /// The file cannot be read.
    #[error("`{key}` is kept in the file `{path}`, which cannot be read")]
    File {
        /// Key of the answers.
        key: String,
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There is nobody to ask.
    #[error("`{key}` is to be asked for at a terminal, and nobody can be asked here")]
    NoTerminal {
        /// Key of the answers.
        key: String,
    },
    /// The value cannot be a credential.
    #[error("the value of `{key}` {fault}")]
    Unusable {
        /// Key of the answers.
        key: String,
        /// What is wrong with it, without the value.
        fault: &'static str,
    },
}

impl Secrets {
    /// The value for a key, if it was read.
    pub fn value(&self, key: &str) -> Option<&Secret<String>> {
        self.values.get(key)
    }

    /// All values, by key of the answers.
    pub fn into_values(self) -> BTreeMap<String, Secret<String>> {
        self.values
    }

    /// Takes everything that the other has.
    pub fn extend(&mut self, other: Self) {
        self.values.extend(other.values);
    }

    /// Adds a value that was asked for.
    pub fn insert(&mut self, key: &str, value: Secret<String>) {
        self.values.insert(key.to_owned(), value);
    }

    /// Reads every secret that is kept in a variable or a file; those in a vault stay there.
    ///
    /// # Errors
    /// Every secret that cannot be had.
    pub fn read<'a>(
        world: &World,
        sources: impl IntoIterator<Item = (&'a str, &'a SecretSource)>,
    ) -> Result<Self, Vec<SecretError>> {
        let mut secrets = Self::default();
        let mut errors = Vec::new();
        for (key, source) in sources {
            let key_name = key.to_owned();
            let value = match source {
                SecretSource::KeyVault(_) => continue,
                SecretSource::Prompt => Err(SecretError::NoTerminal { key: key_name }),
                SecretSource::Variable(variable) => match world.variable(variable) {
                    Some(value) => Ok(value.to_owned()),
                    None => Err(SecretError::Variable { key: key_name, variable: variable.clone() }),
                },
                SecretSource::File(path) => world.read_text(path).map_err(|source| SecretError::File {
                    key: key_name,
                    path: path.display().to_string(),
                    source,
                }),
            };
            match value.and_then(|value| usable(key, &value)) {
                Ok(value) => secrets.insert(key, value),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(secrets) } else { Err(errors) }
    }
}

/// Takes blanks and newlines off the ends and refuses what can't be a credential.
///
/// # Errors
/// [`SecretError::Unusable`] for an empty value, one with control characters inside, or a Key Vault
/// reference that nothing resolved.
pub fn usable(key: &str, value: &str) -> Result<Secret<String>, SecretError> {
    let value = value.trim();
    let fault = if value.is_empty() {
        Some("is empty")
    } else if value.chars().any(char::is_control) {
        Some("has a line break or another control character inside")
    } else if value.starts_with(KEY_VAULT_REFERENCE_PREFIX) {
        Some("is a Key Vault reference; write it in the answers themselves")
    } else {
        None
    };
    match fault {
        Some(fault) => Err(SecretError::Unusable { key: key.to_owned(), fault }),
        None => Ok(Secret::new(value.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{SecretSource, Secrets, VaultSecret, usable};
    use crate::world::World;

    #[test]
    fn both_reference_forms_of_the_old_connector_are_read_and_written_back() {
        for text in [
            "@Microsoft.KeyVault(SecretUri=https://kv-one.vault.azure.net/secrets/mimecast/0123)",
            "@Microsoft.KeyVault(VaultName=kv-one;SecretName=mimecast)",
            "@Microsoft.KeyVault(VaultName=kv-one;SecretName=mimecast;SecretVersion=0123)",
        ] {
            let secret = VaultSecret::parse_reference(text).expect("a reference");
            assert_eq!(secret.reference(), text);
        }
    }

    #[test]
    fn broken_references_are_not_taken_for_references() {
        for text in [
            "@Microsoft.KeyVault(SecretUri=http://kv-one.vault.azure.net/secrets/mimecast)",
            "@Microsoft.KeyVault(SecretUri=https://kv-one.vault.azure.net/keys/mimecast)",
            "@Microsoft.KeyVault(VaultName=kv-one)",
            "@Microsoft.KeyVault(VaultName=kv-one;SecretName=mimecast",
            "@Microsoft.KeyVault(VaultName=kv one;SecretName=mimecast)",
        ] {
            assert_eq!(VaultSecret::parse_reference(text), None, "{text}");
        }
    }

    #[test]
    fn a_literal_secret_is_refused_with_the_reason_and_without_the_value() {
        let error = SecretSource::parse_text("canary-value").expect_err("a literal");
        assert!(error.contains("{env: NAME}") && !error.contains("canary-value"), "{error}");
    }

    #[test]
    fn values_lose_the_blanks_around_them_and_keep_everything_else() {
        // BR-161, BR-162
        let odd = "a'b\"c$d`e%f#g:h\u{1f600}";
        assert_eq!(usable("k", &format!(" {odd}\r\n")).expect("usable").expose(), odd);
        for bad in ["", " \n", "a\tb", "a\nb", "@Microsoft.KeyVault(SecretUri=https://x/secrets/y)"] {
            let error = usable("k", bad).expect_err("unusable").to_string();
            assert!(bad.trim().is_empty() || !error.contains(bad), "{error}");
        }
    }

    #[test]
    fn every_missing_secret_is_named_at_once() {
        // BR-157
        let world = World::with_environment(BTreeMap::from([("SET".to_owned(), "value".to_owned())]));
        let sources = [
            ("a", SecretSource::Variable("SET".to_owned())),
            ("b", SecretSource::Variable("UNSET".to_owned())),
            ("c", SecretSource::Prompt),
        ];
        let errors =
            Secrets::read(&world, sources.iter().map(|(key, source)| (*key, source))).expect_err("missing");
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), 2);
        assert!(texts[0].contains("`UNSET`") && texts[1].contains("`c`"), "{texts:?}");
    }
}
