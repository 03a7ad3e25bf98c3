//! Whether the host may use its own storage, without which it does not start.
//!
//! Follows <https://learn.microsoft.com/azure/azure-functions/functions-reference#connecting-to-host-storage-with-an-identity>.

use std::collections::BTreeMap;

use serde_json::Value;
use url::Url;

use crate::state::State;
use crate::state::role::Need;

/// Where the host keeps its locks and its timers' status.
const HOST_CONTAINER: &str = "azure-webjobs-hosts";

/// Why the host cannot use its storage.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StorageRefused {
    #[error("AzureWebJobsStorage is not set: give it by identity as AzureWebJobsStorage__accountName")]
    NotSet,
    #[error(
        "AzureWebJobsStorage holds a connection string, and the account does not permit shared keys: \
             KeyBasedAuthenticationNotPermitted"
    )]
    SharedKey,
    #[error("the storage account `{0}` of AzureWebJobsStorage is not found")]
    NoAccount(String),
    #[error("the site has no identity `{0}` to use its storage with")]
    NoIdentity(String),
    #[error(
        "the identity {0} lacks Storage Blob Data Owner on the account `{1}`: \
             AuthorizationPermissionMismatch (403)"
    )]
    NoRole(String, String),
}

/// The account and the object id of the identity that a connection by identity names.
pub(crate) fn connection(
    state: &State,
    site_id: &str,
    connection: &str,
    service: &str,
    settings: &BTreeMap<String, String>,
) -> Result<(String, String), StorageRefused> {
    let setting = |name: &str| settings.get(&format!("{connection}__{name}")).map(String::as_str);
    if settings.contains_key(connection) {
        return Err(StorageRefused::SharedKey);
    }
    let account = match (setting("accountName"), setting(&format!("{service}ServiceUri"))) {
        (_, Some(uri)) => account_of(uri),
        (Some(name), None) => Some(name.to_owned()),
        (None, None) => None,
    };
    let account = account.ok_or(StorageRefused::NotSet)?;
    let site = state.resource(site_id).unwrap_or_default();
    let client_id = setting("clientId").filter(|_| setting("credential") == Some("managedidentity"));
    let principal = match client_id {
        None => site.pointer("/identity/principalId").and_then(Value::as_str),
        Some(wanted) => {
            let assigned = site.pointer("/identity/userAssignedIdentities").and_then(Value::as_object);
            assigned.into_iter().flatten().find_map(|(_, ids)| {
                let matches = ids.get("clientId")?.as_str()?.eq_ignore_ascii_case(wanted);
                ids.get("principalId")?.as_str().filter(|_| matches)
            })
        }
    };
    let missing = || StorageRefused::NoIdentity(client_id.unwrap_or("SystemAssigned").to_owned());
    Ok((account, principal.ok_or_else(missing)?.to_owned()))
}

/// The account in the root of its service: the host's first label, or, where the address is a
/// number, the first part of the path.
fn account_of(uri: &str) -> Option<String> {
    let uri = Url::parse(uri).ok()?;
    let name = match uri.host()? {
        url::Host::Domain(host) if host != "localhost" => host.split('.').next()?.to_owned(),
        _ => uri.path_segments()?.next()?.to_owned(),
    };
    Some(name).filter(|name| !name.is_empty())
}

/// Checks that the site's identity may keep the host's things in the account.
pub(crate) fn check(
    state: &State,
    site_id: &str,
    settings: &BTreeMap<String, String>,
) -> Result<(), StorageRefused> {
    let (account, principal) = connection(state, site_id, "AzureWebJobsStorage", "blob", settings)?;
    let accounts = state.resources_of("Microsoft.Storage/storageAccounts");
    let id = accounts.iter().find_map(|found| {
        let named = found.get("name")?.as_str()? == account;
        found.get("id")?.as_str().filter(|_| named)
    });
    let id = id.ok_or_else(|| StorageRefused::NoAccount(account.clone()))?;
    let scope = format!("{id}/blobServices/default/containers/{HOST_CONTAINER}");
    let needs = [
        Need::Action("Microsoft.Storage/storageAccounts/blobServices/containers/write"),
        Need::Data("Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write"),
    ];
    if !needs.into_iter().all(|need| state.allowed(&principal, &scope, need)) {
        return Err(StorageRefused::NoRole(principal, account));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::account_of;

    #[test]
    fn the_account_is_in_the_host_or_in_the_path() {
        assert_eq!(account_of("https://stone.blob.core.windows.net/").as_deref(), Some("stone"));
        assert_eq!(account_of("https://127.0.0.1:4443/stone").as_deref(), Some("stone"));
        assert_eq!(account_of("https://127.0.0.1:4443/"), None);
    }
}
