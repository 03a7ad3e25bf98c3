//! Secrets of a key vault: written through Azure Resource Manager, which needs no data role and no
//! waiting; through the vault itself where Azure Resource Manager may not be used for it.

use contract::secret::Secret;
use reqwest::Method;
use serde_json::{Value, json};
use time::OffsetDateTime;
use url::Url;

use super::Azure;
use super::blob::Access;
use super::error::AzureError;
use super::http::{Answer, Call, require_own_host, under};
use super::id::ResourceId;
use super::retry::{Retry, retry};

/// Version of `Microsoft.KeyVault`: all earlier ones end on 27 February 2027
/// What the vault is told that a secret is.
const CONTENT_TYPE: &str = "text/plain";
/// (<https://learn.microsoft.com/azure/key-vault/general/whats-new>).
const MANAGEMENT_VERSION: &str = "2026-02-01";
/// Version of the vault's own API.
const DATA_VERSION: &str = "7.5";

/// A vault: its resource, and where its own API answers.
#[derive(Debug, Clone)]
pub struct Vault {
    /// The resource.
    pub id: ResourceId,
    /// `properties.vaultUri` as read back.
    pub uri: Url,
}

/// A secret's present version, without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretVersion {
    /// The version's id.
    pub version: String,
    /// When it was last set.
    pub updated_at: Option<OffsetDateTime>,
    /// Whether it may be read.
    pub enabled: bool,
}

impl Azure {
    /// Writes a new version of a secret. Through Azure Resource Manager; where that is refused,
    /// through the vault. A secret of the name that was deleted is recovered first.
    ///
    /// # Errors
    /// [`AzureError`] without the value, whatever Azure repeats of it.
    pub async fn set_secret(
        &self,
        vault: &Vault,
        name: &str,
        value: &Secret<String>,
        access: Access,
    ) -> Result<SecretVersion, AzureError> {
        let written = match self.manage_secret(vault, name, value).await {
            Err(error) if error.has_code("ObjectIsDeletedButRecoverable") => {
                self.recover_secret(vault, name, access).await?;
                self.manage_secret(vault, name, value).await
            }
            other => other,
        };
        let written = match written {
            Err(error) if error.status() == Some(403) => {
                match self.set_secret_in_vault(vault, name, value, access).await {
                    Err(error) if error.has_code("ObjectIsDeletedButRecoverable") => {
                        self.recover_secret(vault, name, access).await?;
                        self.set_secret_in_vault(vault, name, value, access).await
                    }
                    other => other,
                }
            }
            other => other,
        };
        written.map_err(|error| error.without(value.expose()))
    }

    /// The secret's present version; `None` where there is no such secret.
    ///
    /// # Errors
    /// [`AzureError`] when Azure refuses to say.
    pub async fn secret_version(
        &self,
        vault: &Vault,
        name: &str,
    ) -> Result<Option<SecretVersion>, AzureError> {
        let id = vault.id.child("secrets", name)?;
        let found = self.get(&id, MANAGEMENT_VERSION).await?;
        found.map(|secret| managed_version(&format!("reading {id}"), &secret)).transpose()
    }

    /// The secret's value, where the signed-in account may read it; `None` where there is none. The
    /// newest version's, unless one is named.
    ///
    /// # Errors
    /// [`AzureError`] when the vault refuses.
    pub async fn secret_value(
        &self,
        vault: &Vault,
        name: &str,
        version: Option<&str>,
        access: Access,
    ) -> Result<Option<Secret<String>>, AzureError> {
        let what = format!("reading secret `{name}` of {}", vault.id);
        let path: Vec<&str> = ["secrets", name].into_iter().chain(version).collect();
        let call = self.vault_call(vault, &what, Method::GET, &path)?;
        match self.vault_send(&call, access).await {
            Ok(answer) => {
                let mut body: Value = answer.json(&what)?;
                match body["value"].take() {
                    Value::String(value) => Ok(Some(Secret::new(value))),
                    _ => Err(AzureError::Incomplete { what, missing: "value" }),
                }
            }
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Every version of a secret, without its value; none where there is no such secret.
    ///
    /// # Errors
    /// As [`Azure::secret_value`].
    pub async fn secret_versions(
        &self,
        vault: &Vault,
        name: &str,
        access: Access,
    ) -> Result<Vec<SecretVersion>, AzureError> {
        let what = format!("listing the versions of secret `{name}` of {}", vault.id);
        let mut call = self.vault_call(vault, &what, Method::GET, &["secrets", name, "versions"])?;
        let mut versions = Vec::new();
        loop {
            let answer = match self.vault_send(&call, access).await {
                Ok(answer) => answer,
                Err(error) if error.status() == Some(404) => return Ok(versions),
                Err(error) => return Err(error),
            };
            let body: Value = answer.json(&what)?;
            for item in body["value"].as_array().into_iter().flatten() {
                versions.push(vault_version(&what, name, item)?);
            }
            let Some(next) = body["nextLink"].as_str().filter(|next| !next.is_empty()) else {
                return Ok(versions);
            };
            call.url = Url::parse(next)
                .map_err(|_| AzureError::Incomplete { what: what.clone(), missing: "usable nextLink" })?;
        }
    }

    /// Makes one version of a secret unreadable. It can be enabled again.
    ///
    /// # Errors
    /// As [`Azure::secret_value`].
    pub async fn disable_secret_version(
        &self,
        vault: &Vault,
        name: &str,
        version: &str,
        access: Access,
    ) -> Result<(), AzureError> {
        let what = format!("disabling version {version} of secret `{name}` of {}", vault.id);
        let call = self
            .vault_call(vault, &what, Method::PATCH, &["secrets", name, version])?
            .json(&json!({"attributes": {"enabled": false}}));
        self.vault_send(&call, access).await.map(drop)
    }

    async fn manage_secret(
        &self,
        vault: &Vault,
        name: &str,
        value: &Secret<String>,
    ) -> Result<SecretVersion, AzureError> {
        let id = vault.id.child("secrets", name)?;
        let body = json!({"properties": {
            "value": value.expose(),
            "contentType": CONTENT_TYPE,
            "attributes": {"enabled": true},
        }});
        let secret = self.put(&id, MANAGEMENT_VERSION, &body).await?;
        managed_version(&format!("writing {id}"), &secret)
    }

    async fn set_secret_in_vault(
        &self,
        vault: &Vault,
        name: &str,
        value: &Secret<String>,
        access: Access,
    ) -> Result<SecretVersion, AzureError> {
        let what = format!("writing secret `{name}` of {}", vault.id);
        let call = self.vault_call(vault, &what, Method::PUT, &["secrets", name])?.json(&json!({
            "value": value.expose(),
            "contentType": CONTENT_TYPE,
            "attributes": {"enabled": true},
        }));
        let answer = self.vault_send(&call, access).await?;
        vault_version(&what, name, &answer.json(&what)?)
    }

    /// Brings a deleted secret back and waits until it can be written.
    async fn recover_secret(&self, vault: &Vault, name: &str, access: Access) -> Result<(), AzureError> {
        let what = format!("recovering secret `{name}` of {}", vault.id);
        let call = self.vault_call(vault, &what, Method::POST, &["deletedsecrets", name, "recover"])?;
        self.vault_send(&call, access).await?;
        let look = self.vault_call(vault, &what, Method::GET, &["secrets", name])?;
        // Recovery takes some seconds, during which the secret is neither here nor there
        // (https://learn.microsoft.com/rest/api/keyvault/secrets/recover-deleted-secret).
        let decide = |error: &AzureError| match error.status() {
            Some(404 | 409) => Retry::Backoff,
            _ => error.retry(),
        };
        retry(&self.inner.timings.settling, decide, || self.send(&look)).await.map(drop)
    }

    fn vault_call(
        &self,
        vault: &Vault,
        what: &str,
        method: Method,
        path: &[&str],
    ) -> Result<Call<'_>, AzureError> {
        require_own_host(&self.inner.cloud, &vault.uri, what)?;
        let mut url = under(&vault.uri, path, what)?;
        url.query_pairs_mut().append_pair("api-version", DATA_VERSION);
        Ok(Call::new(what.to_owned(), method, url, &self.inner.cloud.key_vault_scope))
    }

    async fn vault_send(&self, call: &Call<'_>, access: Access) -> Result<Answer, AzureError> {
        if access == Access::Standing {
            return self.send(call).await;
        }
        let decide = |error: &AzureError| match (error.status(), error) {
            // By role (`ForbiddenByRbac`), not by firewall.
            (Some(403), error) if error.has_code("ForbiddenByRbac") => Retry::Backoff,
            // A new vault's name takes a while to be known.
            (_, AzureError::GaveUp { .. } | AzureError::Send { .. }) => Retry::Backoff,
            _ => error.retry(),
        };
        retry(&self.inner.timings.role_spreading, decide, || self.send(call)).await
    }
}

/// A version as the vault's own API shows it.
fn vault_version(what: &str, name: &str, item: &Value) -> Result<SecretVersion, AzureError> {
    let version = item["id"].as_str().and_then(|id| id.rsplit('/').next()).unwrap_or_default();
    if version.is_empty() || version == name {
        return Err(AzureError::Incomplete { what: what.to_owned(), missing: "id" });
    }
    Ok(SecretVersion {
        version: version.to_owned(),
        updated_at: seconds(&item["attributes"]["updated"]),
        enabled: item["attributes"]["enabled"].as_bool() != Some(false),
    })
}

fn managed_version(what: &str, secret: &Value) -> Result<SecretVersion, AzureError> {
    let properties = &secret["properties"];
    let uri = properties["secretUriWithVersion"].as_str().unwrap_or_default();
    let version = uri.rsplit('/').next().filter(|version| !version.is_empty());
    let version = version
        .ok_or_else(|| AzureError::Incomplete { what: what.to_owned(), missing: "secretUriWithVersion" })?;
    Ok(SecretVersion {
        version: version.to_owned(),
        updated_at: seconds(&properties["attributes"]["updated"]),
        enabled: properties["attributes"]["enabled"].as_bool() != Some(false),
    })
}

fn seconds(value: &Value) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(value.as_i64()?).ok()
}
