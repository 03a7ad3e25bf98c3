//! The secrets of vaults.

use std::collections::BTreeMap;

use contract::secret::Secret;
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::resource::key;
use super::{Data, State};

/// One version of a secret.
#[derive(Debug, Clone)]
pub struct SecretVersion {
    /// 32 hexadecimal digits.
    pub version: String,
    /// The value.
    pub value: Secret<String>,
    /// What the writer says it is.
    pub content_type: Option<String>,
    /// Tags.
    pub tags: Value,
    /// Whether it may be read.
    pub enabled: bool,
    /// When it stops being valid.
    pub expires_at: Option<OffsetDateTime>,
    /// When it was written.
    pub created_at: OffsetDateTime,
    /// When its attributes were last changed.
    pub updated_at: OffsetDateTime,
}

/// A secret with all its versions, the newest last.
#[derive(Debug, Clone)]
pub(crate) struct StoredSecret {
    pub(crate) name: String,
    pub(crate) versions: Vec<SecretVersion>,
    pub(crate) deleted_at: Option<OffsetDateTime>,
}

/// Secrets of one vault by lower-case name.
pub(crate) type VaultSecrets = BTreeMap<String, StoredSecret>;

/// A soft-deleted vault.
#[derive(Debug, Clone)]
pub(crate) struct DeletedVault {
    pub(crate) id: String,
    pub(crate) body: Value,
    pub(crate) deleted_at: OffsetDateTime,
    pub(crate) retention_days: i64,
}

impl DeletedVault {
    /// When Azure purges it by itself.
    pub(crate) fn purged_at(&self) -> OffsetDateTime {
        self.deleted_at + time::Duration::days(self.retention_days)
    }
}

/// What is written as a new version.
#[derive(Debug, Clone, Default)]
pub(crate) struct NewSecret {
    pub(crate) value: String,
    pub(crate) content_type: Option<String>,
    pub(crate) tags: Value,
    pub(crate) enabled: Option<bool>,
    pub(crate) expires_at: Option<OffsetDateTime>,
}

impl Data {
    /// Writes a new version and gives it; `None` where the secret is deleted and recoverable.
    pub(crate) fn write_secret(
        &mut self,
        vault_id: &str,
        name: &str,
        new: NewSecret,
        now: OffsetDateTime,
    ) -> Option<SecretVersion> {
        let vault = self.secrets.entry(key(vault_id)).or_default();
        let stored = vault.entry(name.to_ascii_lowercase()).or_insert_with(|| StoredSecret {
            name: name.to_owned(),
            versions: Vec::new(),
            deleted_at: None,
        });
        if stored.deleted_at.is_some() {
            return None;
        }
        let version = SecretVersion {
            version: Uuid::new_v4().simple().to_string(),
            value: Secret::new(new.value),
            content_type: new.content_type,
            tags: new.tags,
            enabled: new.enabled.unwrap_or(true),
            expires_at: new.expires_at,
            created_at: now,
            updated_at: now,
        };
        stored.versions.push(version.clone());
        Some(version)
    }

    /// The secret of a vault that is not deleted.
    pub(crate) fn secret(&self, vault_id: &str, name: &str) -> Option<&StoredSecret> {
        let stored = self.secrets.get(&key(vault_id))?.get(&name.to_ascii_lowercase())?;
        stored.deleted_at.is_none().then_some(stored)
    }
}

impl State {
    /// Every version of a secret, the newest last; empty where there is none. For tests.
    pub fn secret_versions(&self, vault_id: &str, name: &str) -> Vec<SecretVersion> {
        self.lock().secret(vault_id, name).map(|stored| stored.versions.clone()).unwrap_or_default()
    }

    /// Names of the vaults that are deleted and can be recovered. For tests.
    pub fn deleted_vault_names(&self) -> Vec<String> {
        self.lock().deleted_vaults.keys().cloned().collect()
    }

    /// Writes a secret into a vault that exists: for setting a scene.
    pub fn put_secret(&self, vault_id: &str, name: &str, value: &str) -> Option<SecretVersion> {
        let now = self.now();
        let new = NewSecret { value: value.to_owned(), ..NewSecret::default() };
        self.lock().write_secret(vault_id, name, new, now)
    }
}
