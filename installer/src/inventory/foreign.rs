//! Secrets in vaults that are not ours: where the vaults are, who may read them, and whether the app can.
//!
//! Such a vault belongs to somebody else and is never written. What can be done about it depends on how it
//! decides who reads, and on what the signed-in account may do there.

use std::collections::BTreeSet;

use contract::settings::MIMECAST_SENTINEL_ANSWERS;
use serde_json::Value;

use super::observe::InventoryError;
use super::{Assignment, Inventory};
use crate::answers::intent::Intent;
use crate::answers::keys::{self, Key};
use crate::answers::secret::{SecretSource, VaultSecret};
use crate::azure::{Azure, AzureError, ResourceId};
use crate::plan::ids::Ids;
use crate::plan::template::{SITES_VERSION, api_version};

/// Subscriptions that are searched for a vault beside the installation's own. Whoever sees more names the
/// vault's owner faster than a search does.
const SUBSCRIPTIONS_SEARCHED: usize = 30;
/// The right without which a role cannot be given.
const GIVE_ROLES: &str = "Microsoft.Authorization/roleAssignments/write";

/// A secret in a vault that is not ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignSecret {
    /// The app setting that refers to it, where one does.
    pub setting: Option<&'static str>,
    /// The vault's name.
    pub vault_name: String,
    /// The secret's name.
    pub name: String,
    /// The vault, where this account sees it.
    pub vault: Option<ForeignVault>,
    /// Whether the app has read it already.
    pub resolved: bool,
}

/// A vault that is not ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignVault {
    /// Its ARM path.
    pub id: String,
    /// Whether roles decide who reads; else its own access policies do.
    pub by_roles: bool,
    /// Whether this account may give roles there.
    pub may_give_roles: bool,
    /// Object ids of those whom its access policies let read secrets.
    pub readers: Vec<String>,
}

/// Looks for the vaults of all answers that name one.
pub(super) async fn observe(
    azure: &Azure,
    intent: &Intent,
    ids: &Ids,
    inventory: &mut Inventory,
) -> Result<(), InventoryError> {
    let sources = intent.secret_sources();
    let secrets: Vec<(&str, &VaultSecret)> = sources
        .iter()
        .filter_map(|(answer, source)| match source {
            SecretSource::KeyVault(secret) => Some((answer.as_str(), secret)),
            _ => None,
        })
        .collect();
    if secrets.is_empty() {
        return Ok(());
    }
    let vaults = vaults(azure, intent, inventory, &secrets).await?;
    let resolved = resolved(azure, ids, inventory).await?;
    for (answer, secret) in secrets {
        let found = vaults.iter().find(|vault| holds(vault, secret));
        let id = found.and_then(|vault| vault["id"].as_str());
        // Our own vault gives the worker its role as a whole.
        if id.is_some_and(|id| id.eq_ignore_ascii_case(&ids.key_vault)) {
            continue;
        }
        let vault = match (found, id) {
            (Some(found), Some(id)) => {
                let by_roles = found["properties"]["enableRbacAuthorization"] == true;
                if by_roles {
                    let scope = format!("{id}/secrets/{}", secret.name());
                    inventory.assignments.extend(assignments(azure, &scope).await?);
                }
                let id = id.to_owned();
                let may_give_roles = by_roles && may_give_roles(azure, &id).await?;
                let readers = if by_roles { Vec::new() } else { readers(found) };
                Some(ForeignVault { id, by_roles, may_give_roles, readers })
            }
            _ => None,
        };
        let setting = keys::resolve(answer).and_then(Key::setting);
        inventory.foreign_secrets.push(ForeignSecret {
            setting,
            // As Azure spells it, where it is seen: a host may have another name before its vault's.
            vault_name: found
                .and_then(|vault| vault["name"].as_str())
                .map_or_else(|| secret.vault_name(), str::to_owned),
            name: secret.name().to_owned(),
            vault,
            resolved: setting.is_some_and(|setting| resolved.contains(setting)),
        });
    }
    Ok(())
}

/// Whom a vault's access policies let read secrets.
fn readers(vault: &Value) -> Vec<String> {
    let reads = |policy: &&Value| {
        let rights = policy["permissions"]["secrets"].as_array().into_iter().flatten();
        let mut rights = rights.filter_map(Value::as_str);
        rights.any(|right| right.eq_ignore_ascii_case("get") || right.eq_ignore_ascii_case("all"))
    };
    let policies = vault["properties"]["accessPolicies"].as_array().into_iter().flatten();
    policies.filter(reads).filter_map(|policy| policy["objectId"].as_str().map(str::to_owned)).collect()
}

/// Whether this is the vault that a secret's text names.
fn holds(vault: &Value, secret: &VaultSecret) -> bool {
    match secret.vault_uri() {
        Some(uri) => vault["properties"]["vaultUri"]
            .as_str()
            .and_then(|text| url::Url::parse(text).ok())
            .is_some_and(|own| own.origin() == uri.origin()),
        None => vault["name"].as_str().is_some_and(|name| name.eq_ignore_ascii_case(&secret.vault_name())),
    }
}

/// The vaults of one subscription after the other, until all are found that the answers name.
async fn vaults(
    azure: &Azure,
    intent: &Intent,
    inventory: &Inventory,
    secrets: &[(&str, &VaultSecret)],
) -> Result<Vec<Value>, InventoryError> {
    let version = api_version("Microsoft.KeyVault/vaults")?;
    let mut subscriptions = vec![intent.subscription_id.clone()];
    if !inventory.workspace.id.is_empty() {
        subscriptions.push(ResourceId::parse(&inventory.workspace.id)?.subscription_id().to_owned());
    }
    let mut vaults: Vec<Value> = Vec::new();
    let mut searched: BTreeSet<String> = BTreeSet::new();
    let mut others_asked = false;
    loop {
        for subscription in std::mem::take(&mut subscriptions) {
            if !searched.insert(subscription.to_ascii_lowercase()) {
                continue;
            }
            let path = format!("/subscriptions/{subscription}/providers/Microsoft.KeyVault/vaults");
            vaults.extend(seen(azure.list(&path, version).await)?);
        }
        let all = secrets.iter().all(|(_, secret)| vaults.iter().any(|vault| holds(vault, secret)));
        if all || others_asked {
            return Ok(vaults);
        }
        others_asked = true;
        subscriptions = subscriptions_searched(azure).await?;
    }
}

/// The subscriptions in which a vault of others is looked for.
pub(super) async fn subscriptions_searched(azure: &Azure) -> Result<Vec<String>, InventoryError> {
    let listed = seen(azure.list("/subscriptions", api_version("Microsoft.Resources")?).await)?;
    let ids = listed.iter().filter_map(|each| each["subscriptionId"].as_str().map(str::to_owned));
    Ok(ids.take(SUBSCRIPTIONS_SEARCHED).collect())
}

/// Names of the vaults of others in which an app reads secrets, each with the secret's, as its settings and
/// its recorded answers refer to them; `None` where there is no app to say so.
pub(super) fn secrets_named(inventory: &Inventory, ids: &Ids) -> Option<BTreeSet<(String, String)>> {
    let settings = inventory.settings.as_ref()?;
    let own = inventory.resource(&ids.key_vault);
    // By its address where it is there to tell it, which need not hold its name.
    let ours = |secret: &VaultSecret| {
        own.is_some_and(|vault| holds(vault, secret))
            || secret.vault_name().eq_ignore_ascii_case(&inventory.names.key_vault)
    };
    let mut names = BTreeSet::new();
    let mut name = |secret: Option<VaultSecret>| {
        let of_others = secret.filter(|secret| !ours(secret));
        names.extend(
            of_others.map(|secret| (secret.vault_name().to_ascii_lowercase(), secret.name().to_owned())),
        );
    };
    settings.values().for_each(|value| name(VaultSecret::parse_reference(value)));
    // Those of several accounts are only in the answers.
    let answers = settings.get(MIMECAST_SENTINEL_ANSWERS).and_then(|text| serde_json::from_str(text).ok());
    let mut open: Vec<Value> = answers.into_iter().collect();
    while let Some(value) = open.pop() {
        match value {
            Value::String(text) => name(VaultSecret::parse_reference(&text)),
            Value::Array(items) => open.extend(items),
            Value::Object(members) => {
                if let Some(text) = members.get("key_vault").and_then(Value::as_str) {
                    name(VaultSecret::parse_uri(text));
                }
                open.extend(members.into_values());
            }
            _ => {}
        }
    }
    Some(names)
}

/// A listing, empty where this account may not see it.
fn seen(listed: Result<Vec<Value>, AzureError>) -> Result<Vec<Value>, AzureError> {
    match listed {
        Err(error) if matches!(error.status(), Some(403 | 404)) => Ok(Vec::new()),
        other => other,
    }
}

async fn may_give_roles(azure: &Azure, vault_id: &str) -> Result<bool, InventoryError> {
    match azure.may(&ResourceId::parse(vault_id)?, GIVE_ROLES).await {
        Ok(may) => Ok(may),
        Err(error) if error.status() == Some(403) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The roles given at just this secret.
async fn assignments(azure: &Azure, scope: &str) -> Result<Vec<Assignment>, InventoryError> {
    let path = format!("{scope}/providers/Microsoft.Authorization/roleAssignments?%24filter=atScope()");
    let listed = seen(azure.list(&path, api_version("Microsoft.Authorization/roleAssignments")?).await)?;
    let here = |each: &Assignment| each.scope.trim_end_matches('/').eq_ignore_ascii_case(scope);
    Ok(listed.iter().filter_map(Assignment::of).filter(here).collect())
}

/// The settings whose references the app has read.
async fn resolved(
    azure: &Azure,
    ids: &Ids,
    inventory: &Inventory,
) -> Result<BTreeSet<String>, InventoryError> {
    if inventory.resource(&ids.function_app).is_none() {
        return Ok(BTreeSet::new());
    }
    let path = format!("{}/config/configreferences/appsettings", ids.function_app);
    let listed = seen(azure.list(&path, SITES_VERSION).await)?;
    Ok(listed
        .iter()
        .filter(|each| each["properties"]["status"] == "Resolved")
        .filter_map(|each| each["name"].as_str()?.rsplit('/').next().map(str::to_owned))
        .collect())
}
