//! Roles that the app's identity was given beyond the installation's own resources.

use super::list_seen;
use crate::azure::{Azure, ResourceId};
use crate::inventory::observe::InventoryError;
use crate::inventory::{Assignment, Inventory, foreign};
use crate::plan::ids::Ids;

/// The roles of our identity in vaults of others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ForeignRoles {
    /// Object id of the identity.
    pub principal_id: String,
    /// Roles that this account may not take away.
    pub kept: Vec<Assignment>,
    /// Vaults in which the app reads secrets, and where no role of its identity was seen.
    pub unseen_vaults: Vec<String>,
    /// Subscriptions whose roles this account may not list.
    pub unseen_subscriptions: Vec<String>,
}

/// Adds the roles that our identity was given beyond our own resources, such as on a vault of others, and
/// tells of those that it cannot know or take away.
///
/// A vault of others may be in any subscription: where the app reads from one, or is not there to say so, all
/// are looked at that this account sees, as the installation did when it gave the role.
pub(super) async fn roles_elsewhere(
    azure: &Azure,
    ids: &Ids,
    subscriptions: &[String],
    inventory: &mut Inventory,
) -> Result<ForeignRoles, InventoryError> {
    let principal_id = inventory
        .resource(&ids.identity)
        .and_then(|identity| identity["properties"]["principalId"].as_str())
        .map(str::to_owned);
    let Some(principal_id) = principal_id else { return Ok(ForeignRoles::default()) };
    let named = foreign::secrets_named(inventory, ids);
    let mut subscriptions = subscriptions.to_vec();
    if named.as_ref().is_none_or(|named| !named.is_empty()) {
        for more in foreign::subscriptions_searched(azure).await? {
            if !subscriptions.iter().any(|each| each.eq_ignore_ascii_case(&more)) {
                subscriptions.push(more);
            }
        }
    }
    let mut roles = ForeignRoles { principal_id, ..ForeignRoles::default() };
    let mut seen: Vec<Assignment> = Vec::new();
    for subscription in subscriptions {
        let path = format!(
            "/subscriptions/{subscription}/providers/Microsoft.Authorization/roleAssignments?%24filter=principalId%20eq%20%27{}%27",
            roles.principal_id
        );
        match list_seen(azure, &path, "Microsoft.Authorization/roleAssignments").await? {
            Some(found) => seen.extend(found.iter().filter_map(Assignment::of)),
            None => roles.unseen_subscriptions.push(subscription),
        }
    }
    seen.retain(|each| each.principal_id.eq_ignore_ascii_case(&roles.principal_id));
    // A vault's address may have another name than the vault: then the secret's tells.
    let of_secret = |each: &Assignment, vault: &str, secret: &str| {
        let scope = each.scope.to_ascii_lowercase();
        scope.contains("/microsoft.keyvault/vaults/")
            && (scope.contains(&format!("/vaults/{vault}/"))
                || scope.ends_with(&format!("/secrets/{}", secret.to_ascii_lowercase())))
    };
    roles.unseen_vaults = named
        .unwrap_or_default()
        .into_iter()
        .filter(|(vault, secret)| !seen.iter().any(|each| of_secret(each, vault, secret)))
        .map(|(vault, _)| vault)
        .collect();
    roles.unseen_vaults.dedup();
    for assignment in seen {
        if inventory.assignments.iter().any(|each| each.id.eq_ignore_ascii_case(&assignment.id)) {
            continue;
        }
        if may_take_away(azure, &assignment).await? {
            inventory.assignments.push(assignment);
        } else {
            roles.kept.push(assignment);
        }
    }
    Ok(roles)
}

/// Whether this account may take a role away where it was given. One on a secret is asked for at its vault.
async fn may_take_away(azure: &Azure, assignment: &Assignment) -> Result<bool, InventoryError> {
    const TAKE_ROLES: &str = "Microsoft.Authorization/roleAssignments/delete";
    let scope = assignment.scope.split("/secrets/").next().unwrap_or_default();
    // A scope above all subscriptions is no resource; what is there, the attempt tells.
    let Ok(scope) = ResourceId::parse(scope) else { return Ok(true) };
    match azure.may(&scope, TAKE_ROLES).await {
        Ok(may) => Ok(may),
        Err(error) if error.status() == Some(403) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
