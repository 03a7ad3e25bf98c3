//! Who delivers the rows where an app registration does: its service principal, which gets the role on the
//! rule. The object id of the registration itself is another one, and a role given to it would do nothing.

use contract::secret::Secret;
use contract::settings::MIMECAST_SENTINEL_ANSWERS;
use serde_json::Value;

use super::gather;
use crate::answers::Intent;
use crate::answers::intent::Delivery;
use crate::answers::secret::{SecretSource, Secrets, VaultSecret};
use crate::azure::Azure;
use crate::check::{Check, Side};
use crate::inventory::Inventory;
use crate::world::World;

/// Where the answers have it.
const PATH: &str = "delivery.app_registration";
/// What the check is called.
const TITLE: &str = "app registration that delivers";

/// Why the service principal is not known.
pub(super) enum Unknown {
    /// This account cannot read the registration's values.
    Unread(Box<Check>),
    /// Entra does not take them.
    Refused(Box<Check>),
}

impl Unknown {
    /// The failed check, for the person.
    pub(super) fn into_check(self) -> Check {
        match self {
            Self::Unread(check) | Self::Refused(check) => *check,
        }
    }
}

/// Object id of the service principal, as a token got with the registration's secret names it, which also
/// proves the secret. A value that is in a vault is read there, where the signed-in account may. `None` where
/// the installation's own identity delivers.
///
/// # Errors
/// [`Unknown`] with the failed check.
pub(super) async fn sign_in(
    world: &World,
    azure: &Azure,
    intent: &Intent,
    secrets: &Secrets,
) -> Result<Option<String>, Unknown> {
    let Delivery::AppRegistration { client_id, client_secret, tenant_id } = &intent.delivery else {
        return Ok(None);
    };
    let (client_id, client_secret) = futures::future::try_join(
        value(world, azure, secrets, "client_id", client_id),
        value(world, azure, secrets, "client_secret", client_secret),
    )
    .await
    .map_err(Unknown::Unread)?;
    match gather::sign_in_as(world, &intent.cloud, tenant_id, client_id, client_secret).await {
        Ok(app) => Ok(app.signed_in().object_id.clone()),
        Err(error) => Err(Unknown::Refused(Box::new(Check::broken("delivery", Side::SignIn, TITLE, &error)))),
    }
}

/// The service principal of an installation that these answers do not change in this: its role on the rule
/// says who it is, without anybody's secret.
pub(super) fn known(intent: &Intent, inventory: &Inventory) -> Option<String> {
    let recorded = inventory.settings.as_ref()?.get(MIMECAST_SENTINEL_ANSWERS)?;
    let registration = |answers: &str| -> Option<Value> {
        let answers: Value = serde_json::from_str(answers).ok()?;
        answers.pointer("/delivery/app_registration").cloned()
    };
    if registration(recorded)? != registration(&intent.recorded)? {
        return None;
    }
    inventory.delivering(&intent.name)
}

/// One of the registration's values: from where it was read already, from where the answers say, or from
/// its vault.
async fn value(
    world: &World,
    azure: &Azure,
    secrets: &Secrets,
    word: &str,
    source: &SecretSource,
) -> Result<Secret<String>, Box<Check>> {
    let key = format!("{PATH}.{word}");
    if let Some(value) = secrets.value(&key) {
        return Ok(value.clone());
    }
    let SecretSource::KeyVault(secret) = source else {
        let read = Secrets::read(world, [(key.as_str(), source)]);
        let value = read.map(|read| read.value(&key).cloned());
        return match value {
            Ok(Some(value)) => Ok(value),
            Ok(None) => Err(unread(&format!("`{key}` has no value"), None)),
            Err(errors) => {
                let why: Vec<String> = errors.iter().map(ToString::to_string).collect();
                Err(unread(&why.join("; "), None))
            }
        };
    };
    let uri = secret
        .uri(&azure.cloud().key_vault_scope)
        .parse()
        .map_err(|_| unread(&format!("`{key}` is no address of a secret"), Some(secret)))?;
    match azure.secret_at(&uri).await {
        Ok(Some(value)) => Ok(value),
        Ok(None) => Err(unread(
            &format!("vault `{}` has no secret `{}`", secret.vault_name(), secret.name()),
            Some(secret),
        )),
        Err(error) => Err(unread(
            &format!(
                "`{key}` cannot be read by this account from vault `{}` ({})",
                secret.vault_name(),
                error.code().unwrap_or("no answer")
            ),
            Some(secret),
        )),
    }
}

/// The check of a registration whose service principal cannot be found out.
fn unread(why: &str, secret: Option<&VaultSecret>) -> Box<Check> {
    let give = "give the value by {env: NAME} or {file: PATH}";
    let remedy = match secret {
        None => give.to_owned(),
        Some(secret) => format!(
            "the owner of vault `{}` lets this account read secret `{}` (role Key Vault Secrets User on it, or `get` \
             in an access policy) for the time of the installation, or {give}: then it is kept in the installation's \
             own vault",
            secret.vault_name(),
            secret.name()
        ),
    };
    let result =
        format!("{why}, and its service principal, which gets the role, is found by signing in with it");
    Box::new(Check::fails("delivery-unread", Side::SignIn, TITLE, result, remedy))
}
