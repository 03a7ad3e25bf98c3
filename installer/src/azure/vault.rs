//! Secrets of a key vault: written through Azure Resource Manager, which needs no data role and no
//! waiting; through the vault itself where Azure Resource Manager may not be used for it.

use contract::resources::TRIAL_TAG;
use contract::secret::Secret;
use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use super::Azure;
use super::blob::Access;
use super::error::AzureError;
use super::http::{Answer, Call, require_own_host, under};
use super::id::ResourceId;
use super::retry::{Retry, retry};

/// What the vault is told that a secret is.
const CONTENT_TYPE: &str = "text/plain";
/// Version of `Microsoft.KeyVault`: all earlier ones end on 27 February 2027
/// (<https://learn.microsoft.com/azure/key-vault/general/whats-new>).
const MANAGEMENT_VERSION: &str = "2026-02-01";
/// Version of the vault's own API.
const DATA_VERSION: &str = "7.5";
/// The tag's word for a version whose trial goes on.
const ON_TRIAL: &str = "running";

/// A vault: its resource, and where its own API answers.
#[derive(Debug, Clone)]
pub struct Vault {
    /// The resource.
    pub id: ResourceId,
    /// `properties.vaultUri` as read back.
    pub uri: Url,
}

/// Whether a version of a secret has been seen to work, as its tag [`TRIAL_TAG`] has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing speaks against it.
    Settled,
    /// It was written to be tried, and the trial has not ended well so far.
    OnTrial,
}

impl Standing {
    /// As a tag of the version. One that was on trial says that it has passed: an empty set of tags could be
    /// taken for none that were given.
    fn tags(self) -> Value {
        let word = match self {
            Self::Settled => "passed",
            Self::OnTrial => ON_TRIAL,
        };
        json!({ TRIAL_TAG: word })
    }

    fn of(tags: &Value) -> Self {
        if tags[TRIAL_TAG] == ON_TRIAL { Self::OnTrial } else { Self::Settled }
    }
}

/// A version of a secret, without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretVersion {
    /// The version's id.
    pub version: String,
    /// When it was written, in seconds since 1970; 0 where Azure does not say.
    pub created_secs: i64,
    /// Whether it may be read.
    pub enabled: bool,
    /// Whether it was seen to work.
    pub standing: Standing,
}

/// A version that is written.
#[derive(Debug, Clone, Copy)]
pub struct NewVersion<'a> {
    value: &'a Secret<String>,
    standing: Standing,
}

impl<'a> NewVersion<'a> {
    /// A value that is right as far as anybody knows.
    pub fn settled(value: &'a Secret<String>) -> Self {
        Self { value, standing: Standing::Settled }
    }

    /// A value that is to be tried: its version says so until [`Azure::settle_secret_version`].
    pub fn on_trial(value: &'a Secret<String>) -> Self {
        Self { value, standing: Standing::OnTrial }
    }

    fn properties(self) -> Value {
        json!({ "value": self.value.expose(), "contentType": CONTENT_TYPE, "attributes": {"enabled": true} })
    }

    /// The body with the tag of a version that is on trial; one that is not needs none.
    fn tagged(self, mut body: Value) -> Value {
        if self.standing == Standing::OnTrial {
            body["tags"] = self.standing.tags();
        }
        body
    }
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
        new: NewVersion<'_>,
        access: Access,
    ) -> Result<SecretVersion, AzureError> {
        let written = match self.manage_secret(vault, name, new).await {
            Err(error) if error.has_code("ObjectIsDeletedButRecoverable") => {
                self.recover_secret(vault, name, access).await?;
                self.manage_secret(vault, name, new).await
            }
            other => other,
        };
        let written = match written {
            Err(error) if error.status() == Some(403) => {
                match self.set_secret_in_vault(vault, name, new, access).await {
                    Err(error) if error.has_code("ObjectIsDeletedButRecoverable") => {
                        self.recover_secret(vault, name, access).await?;
                        self.set_secret_in_vault(vault, name, new, access).await
                    }
                    other => other,
                }
            }
            other => other,
        };
        written.map_err(|error| error.without(new.value.expose()))
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
        self.value_of(&self.vault_call(vault, &what, Method::GET, &path)?, access).await
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
        let change = json!({"attributes": {"enabled": false}});
        self.change_version(vault, &what, [name, version], &change, access).await
    }

    /// Notes on a version that was on trial that it has passed.
    ///
    /// # Errors
    /// As [`Azure::secret_value`].
    pub async fn settle_secret_version(
        &self,
        vault: &Vault,
        name: &str,
        version: &str,
        access: Access,
    ) -> Result<(), AzureError> {
        let what = format!("noting that version {version} of secret `{name}` of {} works", vault.id);
        let change = json!({"tags": Standing::Settled.tags()});
        self.change_version(vault, &what, [name, version], &change, access).await
    }

    async fn change_version(
        &self,
        vault: &Vault,
        what: &str,
        [name, version]: [&str; 2],
        change: &Value,
        access: Access,
    ) -> Result<(), AzureError> {
        let call = self.vault_call(vault, what, Method::PATCH, &["secrets", name, version])?.json(change);
        self.vault_send(&call, access).await.map(drop)
    }

    /// The value of a secret of any vault, by its address, where the signed-in account may read it; `None`
    /// where there is none.
    ///
    /// # Errors
    /// [`AzureError`] when the vault refuses, or where the address is outside this cloud.
    pub async fn secret_at(&self, uri: &Url) -> Result<Option<Secret<String>>, AzureError> {
        let what = format!("reading {uri}");
        require_own_host(&self.inner.cloud, uri, &what)?;
        let mut url = uri.clone();
        url.query_pairs_mut().append_pair("api-version", DATA_VERSION);
        let call = Call::new(what, Method::GET, url, &self.inner.cloud.key_vault_scope);
        self.value_of(&call, Access::Standing).await
    }

    /// The value that a call for a secret gives.
    async fn value_of(&self, call: &Call<'_>, access: Access) -> Result<Option<Secret<String>>, AzureError> {
        match self.vault_send(call, access).await {
            Ok(answer) => {
                let mut body: Value = answer.json(&call.what)?;
                match body["value"].take() {
                    Value::String(value) => Ok(Some(Secret::new(value))),
                    _ => Err(AzureError::Incomplete { what: call.what.clone(), missing: "value" }),
                }
            }
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn manage_secret(
        &self,
        vault: &Vault,
        name: &str,
        new: NewVersion<'_>,
    ) -> Result<SecretVersion, AzureError> {
        let id = vault.id.child("secrets", name)?;
        let body = new.tagged(json!({"properties": new.properties()}));
        let secret = self.put(&id, MANAGEMENT_VERSION, &body).await?;
        managed_version(&format!("writing {id}"), &secret)
    }

    async fn set_secret_in_vault(
        &self,
        vault: &Vault,
        name: &str,
        new: NewVersion<'_>,
        access: Access,
    ) -> Result<SecretVersion, AzureError> {
        let what = format!("writing secret `{name}` of {}", vault.id);
        let body = new.tagged(new.properties());
        let call = self.vault_call(vault, &what, Method::PUT, &["secrets", name])?.json(&body);
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
        created_secs: item["attributes"]["created"].as_i64().unwrap_or(0),
        enabled: item["attributes"]["enabled"].as_bool() != Some(false),
        standing: Standing::of(&item["tags"]),
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
        created_secs: properties["attributes"]["created"].as_i64().unwrap_or(0),
        enabled: properties["attributes"]["enabled"].as_bool() != Some(false),
        standing: Standing::of(&secret["tags"]),
    })
}
