//! Names that must be free in the world: the storage account's, the vault's and the app's.

use contract::resources::INSTALLATION_TAG;
use serde_json::{Value, json};

use super::{Check, Side};
use crate::answers::Intent;
use crate::answers::intent::OnDeletedVault;
use crate::azure::{Azure, AzureError, NameCheck, ResourceId};
use crate::inventory::Inventory;
use crate::plan::Plan;
use crate::plan::change::Change;
use crate::plan::template::{SITES_VERSION, api_version};

const TITLE: &str = "names";
const SOFT_DELETE: &str = "https://learn.microsoft.com/azure/key-vault/general/key-vault-recovery";
const STORAGE_NAMES: &str =
    "https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/error-storage-account-name";
const ANOTHER: &str = "choose another `name` for the installation: all names follow from it";

/// Asks for each name that the plan would take.
pub(super) async fn check(azure: &Azure, intent: &Intent, inventory: &Inventory, plan: &Plan) -> Vec<Check> {
    let made = |key: &str| plan.steps.iter().any(|step| step.key == key && step.change == Change::Create);
    let names = &inventory.names;
    let (storage, site, vault) = futures::join!(
        async {
            if !made("storage_account") {
                return None;
            }
            let asked = azure.check_storage_name(&intent.subscription_id, &names.storage_account).await;
            Some(verdict("storage account", &names.storage_account, asked, STORAGE_NAMES))
        },
        async {
            if !made("function_app") {
                return None;
            }
            let asked = ask(azure, &intent.subscription_id, "Microsoft.Web/sites", &names.function_app).await;
            Some(verdict("Function App", &names.function_app, asked, STORAGE_NAMES))
        },
        async {
            if !made("key_vault") {
                return None;
            }
            vault(azure, intent, inventory).await
        },
    );
    let found: Vec<Check> = [storage, site, vault].into_iter().flatten().collect();
    if !found.is_empty() && found.iter().all(|check| check.state == super::State::Good) {
        return vec![Check::good("names", Side::Azure, TITLE, "all are free")];
    }
    found.into_iter().filter(|check| check.state != super::State::Good).collect()
}

fn verdict(noun: &str, name: &str, asked: Result<NameCheck, AzureError>, link: &'static str) -> Check {
    match asked {
        Ok(NameCheck::Free) => Check::good("name-free", Side::Azure, TITLE, format!("`{name}` is free")),
        // BR-131: our own of an earlier run is in the inventory, and then nothing is asked.
        Ok(NameCheck::Refused(why)) => Check::fails(
            "name-taken",
            Side::Azure,
            TITLE,
            format!("the {noun} cannot be called `{name}`: {why}"),
            ANOTHER,
        )
        .link(link),
        Err(error) => Check::refused("name-unread", Side::Azure, TITLE, &error),
    }
}

/// `checkNameAvailability` of App Service and Key Vault: both take a name and a type
/// (<https://learn.microsoft.com/rest/api/appservice/check-name-availability>,
/// <https://learn.microsoft.com/rest/api/keyvault/keyvault/vaults/check-name-availability>).
async fn ask(azure: &Azure, subscription_id: &str, kind: &str, name: &str) -> Result<NameCheck, AzureError> {
    let (namespace, version) = match kind.split('/').next() {
        Some("Microsoft.Web") => ("Microsoft.Web", SITES_VERSION),
        _ => ("Microsoft.KeyVault", api_version("Microsoft.KeyVault").unwrap_or_default()),
    };
    let at = ResourceId::subscription(subscription_id)?;
    let body = json!({ "name": name, "type": kind });
    let answer =
        azure.post(&at, &format!("providers/{namespace}/checkNameAvailability"), version, &body).await?;
    Ok(if answer["nameAvailable"] == Value::Bool(true) {
        NameCheck::Free
    } else {
        NameCheck::Refused(answer["message"].as_str().unwrap_or("it is not available").to_owned())
    })
}

/// The vault's name. A deleted vault holds its name for up to 90 days, which the answer does not tell.
async fn vault(azure: &Azure, intent: &Intent, inventory: &Inventory) -> Option<Check> {
    let name = &inventory.names.key_vault;
    if let Some(deleted) = &inventory.deleted_vault {
        // Whether it is ours the plan has found; whether it can go is asked here.
        if intent.on_deleted_vault != OnDeletedVault::Purge || !deleted.ours {
            return None;
        }
        let found = async {
            let version = api_version("Microsoft.KeyVault").unwrap_or_default();
            azure.get(&ResourceId::parse(&deleted.id)?, version).await
        };
        return match found.await {
            Ok(found) if found.as_ref().is_some_and(protected) => Some(
                Check::fails(
                    "vault-protected",
                    Side::Azure,
                    TITLE,
                    format!(
                        "the deleted vault `{name}` has purge protection: nobody can purge it before its time"
                    ),
                    "set `vault.on_deleted` to `recover` or `new-name`",
                )
                .link(SOFT_DELETE),
            ),
            Ok(_) => None,
            Err(error) => Some(Check::refused("name-unread", Side::Azure, TITLE, &error)),
        };
    }
    let asked = ask(azure, &intent.subscription_id, "Microsoft.KeyVault/vaults", name).await;
    if !matches!(asked, Ok(NameCheck::Refused(_))) {
        return Some(verdict("Key Vault", name, asked, SOFT_DELETE));
    }
    // BR-119: taken, and by no deleted vault of this region.
    let path =
        format!("/subscriptions/{}/providers/Microsoft.KeyVault/deletedVaults", intent.subscription_id);
    let version = api_version("Microsoft.KeyVault").unwrap_or_default();
    let deleted = azure.list(&path, version).await.unwrap_or_default();
    let same = |each: &&Value| each["name"].as_str().is_some_and(|other| other.eq_ignore_ascii_case(name));
    Some(match deleted.iter().find(same) {
        Some(deleted) => {
            let region = deleted["properties"]["location"].as_str().unwrap_or("another region");
            let ours = deleted["properties"]["tags"][INSTALLATION_TAG].as_str() == Some(&intent.name);
            let whose = if ours { "this installation's own" } else { "a" };
            Check::fails(
                "vault-deleted-elsewhere",
                Side::Azure,
                TITLE,
                format!("the name `{name}` is held by {whose} deleted vault in {region}"),
                format!(
                    "az keyvault purge --name {name} --location {region}\nor install in that region, or set \
                     `vault.on_deleted: new-name`"
                ),
            )
            .link(SOFT_DELETE)
        }
        None => Check::fails(
            "name-taken",
            Side::Azure,
            TITLE,
            format!(
                "the Key Vault cannot be called `{name}`: it is in use in another subscription or tenant, or \
                 by a deleted vault there"
            ),
            ANOTHER,
        )
        .link(SOFT_DELETE),
    })
}

fn protected(deleted: &Value) -> bool {
    deleted["properties"]["purgeProtectionEnabled"] == Value::Bool(true)
}
