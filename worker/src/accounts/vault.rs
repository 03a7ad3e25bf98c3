//! The accounts' settings: one secret for each, read from the vault by our identity.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use azure_core::error::ErrorKind;
use azure_security_keyvault_secrets::models::SecretClientGetSecretOptions;
use azure_security_keyvault_secrets::{SecretClient, SecretClientOptions};
use contract::cloud::{CloudProfile, HostKind};
use contract::secret::Secret;
use contract::settings::{ACCOUNT_VAULT_URL, account_secret};
use url::Url;

use crate::checkpoint::blob::RETRIES;
use crate::http;
use crate::identity::{Credential, advice, signed_in_options};
use crate::retry::{Retry, Retryable, retry};
use crate::settings::Problem;
use crate::settings::several::{Member, document};
use crate::world::{Deadline, World};

/// Longest time for one secret with its repeats.
const READ_SECS: u64 = 30;

/// Why a secret cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.text())]
pub struct VaultError {
    #[source]
    source: azure_core::Error,
}

impl VaultError {
    fn text(&self) -> String {
        let status = self.source.http_status().map(u16::from);
        let code = match self.source.kind() {
            ErrorKind::HttpResponse { error_code, .. } => error_code.as_deref().unwrap_or("no code"),
            _ => "no code",
        };
        match status {
            Some(status @ (401 | 403)) => format!(
                "the vault refused the identity ({status} {code}): it needs the role Key Vault Secrets User, \
                 which can take minutes to work after it was given"
            ),
            Some(404) => "the vault has no such secret (404)".to_owned(),
            Some(status) => format!("the vault answered {status} {code}"),
            None => match self.source.kind() {
                ErrorKind::Credential => "there is no token for the vault".to_owned(),
                _ => "the vault could not be reached".to_owned(),
            },
        }
    }
}

impl Retryable for VaultError {
    fn retry(&self) -> Retry {
        advice(&self.source)
    }
}

impl From<azure_core::Error> for VaultError {
    fn from(source: azure_core::Error) -> Self {
        Self { source }
    }
}

/// The vault.
pub struct AccountVault {
    client: SecretClient,
    cloud: CloudProfile,
    credential: Credential,
    http: http::Client,
    world: World,
}

impl fmt::Debug for AccountVault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let vault = self.client.endpoint().as_str();
        formatter.debug_struct("AccountVault").field("vault", &vault).finish_non_exhaustive()
    }
}

impl AccountVault {
    /// The vault at this address.
    ///
    /// # Errors
    /// When the address cannot be a vault's.
    pub fn new(
        url: &Url,
        cloud: &CloudProfile,
        credential: Credential,
        http: &http::Client,
        world: &World,
    ) -> Result<Self, VaultError> {
        let client = client(url, cloud, &credential, http)?;
        Ok(Self { client, cloud: cloud.clone(), credential, http: http.clone(), world: world.clone() })
    }

    /// The settings of an account, by their names.
    ///
    /// # Errors
    /// Every problem, without any value.
    pub async fn account(&self, key: &str) -> Result<Vec<(&'static str, Secret<String>)>, Vec<Problem>> {
        let name = account_secret(key);
        let text = self.secret(&self.client, &name, None).await;
        let text = text.map_err(|error| vec![problem(format!("gives no secret `{name}`: {error}"))])?;
        let mut values = Vec::new();
        let mut problems = Vec::new();
        for (setting, member) in document(text.expose())? {
            match member {
                Member::Value(value) => values.push((setting, value)),
                Member::Kept(address) => match self.elsewhere(&address).await {
                    Ok(value) => values.push((setting, value)),
                    Err(what) => problems.push(Problem { setting, what }),
                },
            }
        }
        if problems.is_empty() { Ok(values) } else { Err(problems) }
    }

    /// A secret in a vault of the person's own.
    async fn elsewhere(&self, address: &Url) -> Result<Secret<String>, String> {
        let segments: Vec<&str> =
            address.path_segments().into_iter().flatten().filter(|segment| !segment.is_empty()).collect();
        let (name, version) = match segments.as_slice() {
            ["secrets", name] => (*name, None),
            ["secrets", name, version] => (*name, Some((*version).to_owned())),
            _ => return Err(format!("is kept at {address}, which is not the address of a secret")),
        };
        if !self.cloud.allows(address, HostKind::Azure) {
            return Err(format!(
                "is kept at {address}, which is no Key Vault of the cloud `{}`",
                self.cloud.name
            ));
        }
        let mut root = address.clone();
        root.set_path("/");
        let read = async {
            let client = client(&root, &self.cloud, &self.credential, &self.http)?;
            self.secret(&client, name, version).await
        };
        read.await.map_err(|error| format!("is kept at {address}: {error}"))
    }

    async fn secret(
        &self,
        client: &SecretClient,
        name: &str,
        version: Option<String>,
    ) -> Result<Secret<String>, VaultError> {
        let deadline = Deadline::after(&self.world, Duration::from_secs(READ_SECS));
        let read = retry(&RETRIES, deadline, &self.world, async |_| {
            let options =
                SecretClientGetSecretOptions { secret_version: version.clone(), ..Default::default() };
            let secret = client.get_secret(name, Some(options)).await?.into_model()?;
            Ok::<_, VaultError>(Secret::new(secret.value.unwrap_or_default()))
        });
        read.await.map_err(|exhausted| exhausted.cause)
    }
}

fn problem(what: String) -> Problem {
    Problem { setting: ACCOUNT_VAULT_URL, what }
}

fn client(
    url: &Url,
    cloud: &CloudProfile,
    credential: &Credential,
    http: &http::Client,
) -> azure_core::Result<SecretClient> {
    let options = SecretClientOptions {
        client_options: signed_in_options(http, credential),
        // The crate holds the challenge's audience against the vault's host, which a custom cloud's need
        // not match; which hosts may be called at all is checked with the settings.
        verify_challenge_resource: Some(!cloud.custom()),
        ..Default::default()
    };
    SecretClient::new(url.as_str(), Arc::new(credential.clone()), Some(options))
}
