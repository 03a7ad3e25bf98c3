//! Settings of sites and their Key Vault references.
//!
//! Follows <https://learn.microsoft.com/azure/app-service/app-service-key-vault-references>.

use std::collections::BTreeMap;

use contract::secret::Secret;
use contract::settings::KEY_VAULT_REFERENCE_PREFIX;
use serde_json::Value;
use time::OffsetDateTime;
use url::Url;
use uuid::Uuid;

use super::resource::{Resource, key};
use super::role::Need;
use super::{Data, State};

/// How old a resolved reference may be before it is fetched again: 24 hours, the page above.
const REFERENCE_AGE: time::Duration = time::Duration::hours(24);

/// What became of a Key Vault reference.
#[derive(Debug, Clone)]
pub struct Reference {
    /// `Resolved`, or the reason why not, in Azure's words.
    pub status: &'static str,
    /// What is wrong.
    pub details: String,
    /// The reference's text.
    pub text: String,
    /// Name of the vault.
    pub vault_name: String,
    /// Name of the secret.
    pub secret_name: String,
    /// Version that the reference names; empty is the latest.
    pub secret_version: String,
    /// Version that was read.
    pub active_version: String,
    /// Id of the user-assigned identity that reads, else `SystemAssigned`.
    pub identity: String,
    /// The value, where it was resolved.
    pub value: Option<Secret<String>>,
    /// When it was last tried.
    pub fetched_at: OffsetDateTime,
}

/// Where a reference points to, as its text says.
struct Target {
    vault_name: String,
    /// Root of the vault, where the text has it.
    vault_uri: Option<Url>,
    secret_name: String,
    version: String,
}

/// Reads `@Microsoft.KeyVault(SecretUri=…)` or `@Microsoft.KeyVault(VaultName=…;SecretName=…)`.
fn parse(text: &str) -> Option<Target> {
    let inside = text.strip_prefix(KEY_VAULT_REFERENCE_PREFIX)?.strip_suffix(')')?;
    if let Some(uri) = inside.strip_prefix("SecretUri=") {
        let mut uri = Url::parse(uri).ok()?;
        let mut segments = uri.path_segments()?.map(str::to_owned);
        if segments.next()? != "secrets" {
            return None;
        }
        let secret_name = segments.next().filter(|name| !name.is_empty())?;
        let version = segments.next().unwrap_or_default();
        let vault_name = uri.host_str()?.split('.').next()?.to_owned();
        uri.set_path("/");
        return Some(Target { vault_name, vault_uri: Some(uri), secret_name, version });
    }
    let field = |name: &str| {
        inside
            .split(';')
            .find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))
            .map(str::to_owned)
    };
    Some(Target {
        vault_name: field("VaultName").filter(|name| !name.is_empty())?,
        vault_uri: None,
        secret_name: field("SecretName").filter(|name| !name.is_empty())?,
        version: field("SecretVersion").unwrap_or_default(),
    })
}

impl Data {
    /// Fetches every reference of a site's settings again: after a change of settings or a refresh.
    pub(crate) fn refresh_references(&mut self, site_id: &str, now: OffsetDateTime) {
        self.references.remove(&key(site_id));
        self.resolve_references(site_id, now);
    }

    /// The references of a site's settings: resolved ones as they were fetched within the last day,
    /// others tried again.
    pub(crate) fn resolve_references(
        &mut self,
        site_id: &str,
        now: OffsetDateTime,
    ) -> BTreeMap<String, Reference> {
        let Some(site) = self.resources.get(&key(site_id)) else { return BTreeMap::new() };
        let known = self.references.get(&key(site_id));
        let mut all = BTreeMap::new();
        for (name, text) in settings(site) {
            if !text.starts_with(KEY_VAULT_REFERENCE_PREFIX) {
                continue;
            }
            let kept = known.and_then(|known| known.get(&name)).filter(|kept| {
                kept.value.is_some() && kept.text == text && kept.fetched_at + REFERENCE_AGE > now
            });
            let reference = kept.cloned().unwrap_or_else(|| self.resolve(site, &text, now));
            all.insert(name, reference);
        }
        self.references.insert(key(site_id), all.clone());
        all
    }

    fn resolve(&self, site: &Resource, text: &str, now: OffsetDateTime) -> Reference {
        let named = site.text("/properties/keyVaultReferenceIdentity");
        let system = named.is_empty() || named.eq_ignore_ascii_case("SystemAssigned");
        let identity = if system { "SystemAssigned" } else { named };
        let mut reference = Reference {
            status: "InvalidSyntax",
            details: "The Key Vault reference could not be parsed.".to_owned(),
            text: text.to_owned(),
            vault_name: String::new(),
            secret_name: String::new(),
            secret_version: String::new(),
            active_version: String::new(),
            identity: identity.to_owned(),
            value: None,
            fetched_at: now,
        };
        let Some(target) = parse(text) else { return reference };
        reference.vault_name.clone_from(&target.vault_name);
        reference.secret_name.clone_from(&target.secret_name);
        reference.secret_version.clone_from(&target.version);
        let mut fail = |status: &'static str, details: String| {
            reference.status = status;
            reference.details = details;
            reference.clone()
        };

        let principal = if system {
            site.text("/identity/principalId").to_owned()
        } else {
            let users = site.body.pointer("/identity/userAssignedIdentities").and_then(Value::as_object);
            let mine = users.and_then(|users| users.iter().find(|(id, _)| key(id) == key(named)));
            mine.and_then(|(_, ids)| ids.get("principalId")?.as_str()).unwrap_or_default().to_owned()
        };
        if principal.is_empty() {
            return fail("MSINotEnabled", format!("The site has no identity '{identity}'."));
        }
        let vault = self.resources.values().find(|each| {
            each.resource_type.eq_ignore_ascii_case("Microsoft.KeyVault/vaults")
                && match &target.vault_uri {
                    Some(uri) => each.text("/properties/vaultUri") == uri.as_str(),
                    None => each.text("/name").eq_ignore_ascii_case(&target.vault_name),
                }
        });
        let Some(vault) = vault else {
            return fail("VaultNotFound", format!("Key vault '{}' was not found.", target.vault_name));
        };
        let scope = format!("{}/secrets/{}", vault.id, target.secret_name);
        if !self.may_read_secret(&principal, vault, &scope, now) {
            let details = format!(
                "Access to Key vault '{}' was denied to the identity '{identity}' of the site.",
                target.vault_name
            );
            return fail("AccessToKeyVaultDenied", details);
        }
        let Some(stored) = self.secret(&vault.id, &target.secret_name) else {
            return fail("SecretNotFound", format!("Secret '{}' was not found.", target.secret_name));
        };
        let version = stored
            .versions
            .iter()
            .rev()
            .find(|each| target.version.is_empty() || each.version.eq_ignore_ascii_case(&target.version));
        let Some(version) = version.filter(|version| version.enabled) else {
            return fail(
                "SecretVersionNotFound",
                format!("Secret version '{}' was not found.", target.version),
            );
        };
        reference.status = "Resolved";
        reference.details = "Reference has been successfully resolved.".to_owned();
        reference.active_version.clone_from(&version.version);
        reference.value = Some(version.value.clone());
        reference
    }

    /// Whether a principal may read a secret: by role where the vault uses roles, else by its policies.
    pub(crate) fn may_read_secret(
        &self,
        object_id: &str,
        vault: &Resource,
        scope: &str,
        now: OffsetDateTime,
    ) -> bool {
        if vault.body.pointer("/properties/enableRbacAuthorization").and_then(Value::as_bool) == Some(true) {
            let action = "Microsoft.KeyVault/vaults/secrets/getSecret/action";
            return self.allowed(object_id, scope, Need::Data(action), now);
        }
        access_policy(vault, object_id, "get")
    }
}

/// Whether an access policy of the vault gives a principal this right on secrets.
pub(crate) fn access_policy(vault: &Resource, object_id: &str, right: &str) -> bool {
    let policies = vault.body.pointer("/properties/accessPolicies").and_then(Value::as_array);
    policies.into_iter().flatten().any(|policy| {
        let whose = policy.get("objectId").and_then(Value::as_str).unwrap_or_default();
        let rights = policy.pointer("/permissions/secrets").and_then(Value::as_array);
        whose.eq_ignore_ascii_case(object_id)
            && rights
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .any(|each| each.eq_ignore_ascii_case(right) || each.eq_ignore_ascii_case("all"))
    })
}

/// The settings of a site, as they were written.
pub(crate) fn settings(site: &Resource) -> BTreeMap<String, String> {
    let settings = site.hidden.get("appSettings").and_then(Value::as_object);
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    settings.into_iter().flatten().map(|(name, value)| (name.clone(), text(value))).collect()
}

impl State {
    /// The settings of a site as its processes see them: references resolved, or left as their text
    /// where they could not be.
    pub fn site_environment(&self, site_id: &str) -> BTreeMap<String, String> {
        let now = self.now();
        let mut data = self.lock();
        let references = data.resolve_references(site_id, now);
        let Some(site) = data.resources.get(&key(site_id)) else { return BTreeMap::new() };
        let mut all = settings(site);
        for (name, reference) in references {
            if let Some(value) = reference.value {
                all.insert(name, value.expose().clone());
            }
        }
        all
    }

    /// The references of a site's settings by setting.
    pub fn references(&self, site_id: &str) -> BTreeMap<String, Reference> {
        let now = self.now();
        self.lock().resolve_references(site_id, now)
    }

    /// Says which functions the package of a site holds, each as `{"name", "config", "isDisabled"}`:
    /// called by the Functions host once it has read the package.
    pub fn set_functions(&self, site_id: &str, functions: Vec<Value>) {
        self.lock().functions.insert(key(site_id), functions);
    }

    /// The master key of a site's host, made on the first call.
    pub fn master_key(&self, site_id: &str) -> String {
        self.lock().master_key(site_id)
    }
}

impl Data {
    pub(crate) fn master_key(&mut self, site_id: &str) -> String {
        let make = || format!("{}{}==", Uuid::new_v4().simple(), &Uuid::new_v4().simple().to_string()[..20]);
        self.master_keys.entry(key(site_id)).or_insert_with(make).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn both_forms_of_a_reference_are_read_and_others_are_not() {
        let uri =
            parse("@Microsoft.KeyVault(SecretUri=https://kv-one.vault.azure.net/secrets/a/0123)").unwrap();
        assert_eq!(
            (uri.vault_name.as_str(), uri.secret_name.as_str(), uri.version.as_str()),
            ("kv-one", "a", "0123")
        );
        assert_eq!(uri.vault_uri.unwrap().as_str(), "https://kv-one.vault.azure.net/");
        let named = parse("@Microsoft.KeyVault(VaultName=kv-one;SecretName=a)").unwrap();
        assert_eq!((named.vault_name.as_str(), named.secret_name.as_str()), ("kv-one", "a"));
        for bad in [
            "@Microsoft.KeyVault(SecretUri=https://kv-one.vault.azure.net/keys/a)",
            "@Microsoft.KeyVault(SecretUri=https://kv-one.vault.azure.net/secrets/)",
            "@Microsoft.KeyVault(VaultName=kv-one)",
            "@Microsoft.KeyVault(SecretUri=https://kv-one.vault.azure.net/secrets/a",
        ] {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }
}
