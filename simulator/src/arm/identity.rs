//! `Microsoft.ManagedIdentity/userAssignedIdentities`, and the identities of other resources.
//!
//! Follows <https://learn.microsoft.com/rest/api/managedidentity/user-assigned-identities>.

use serde_json::{Map, Value, json};

use super::error::ArmError;
use super::kind::{Kind, Write};
use crate::state::principal::managed_identity;
use crate::state::resource::key;

pub(crate) static KINDS: &[Kind] = &[Kind {
    name: "Microsoft.ManagedIdentity/userAssignedIdentities",
    versions: &["2018-11-30", "2023-01-31", "2024-11-30"],
    write,
    remove: |data, resource, _| {
        // BR-135: the assignments of the principal stay behind.
        data.principals.remove(&resource.text("/properties/principalId").to_ascii_lowercase());
        Ok(())
    },
    ..Kind::BASE
}];

/// Length of names: <https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules>.
const NAME_LENGTH: std::ops::RangeInclusive<usize> = 3..=128;

fn write(write: &mut Write<'_>) -> Result<(), ArmError> {
    let name = write.name().to_owned();
    let legal = |each: char| each.is_ascii_alphanumeric() || each == '-' || each == '_';
    let begins = name.starts_with(|first: char| first.is_ascii_alphanumeric());
    if !NAME_LENGTH.contains(&name.len()) || !begins || !name.chars().all(legal) {
        let message = format!("The resource name '{name}' is invalid.");
        return Err(ArmError::bad("BadRequest", message));
    }
    let principal = managed_identity(&name, &write.id, write.now);
    let made = write.existing.is_none();
    // Nothing but outputs lives under `properties`.
    write.body["properties"] = json!({});
    write.output("tenantId", || json!(null));
    write.set("tenantId", json!(write.state.tenant_id()));
    write.output("principalId", || json!(principal.object_id));
    write.output("clientId", || json!(principal.client_id));
    if made {
        write.data.principals.insert(principal.object_id.clone(), principal);
    }
    Ok(())
}

/// Completes the `identity` of a resource: principals of assigned identities, its own principal.
///
/// # Errors
/// When an identity does not exist or the caller may not assign it.
pub(crate) fn assign(write: &mut Write<'_>) -> Result<(), ArmError> {
    let Some(given) = write.body.get("identity").filter(|identity| !identity.is_null()).cloned() else {
        if let Some(body) = write.body.as_object_mut() {
            body.remove("identity");
        }
        return Ok(());
    };
    let kind = given.get("type").and_then(Value::as_str).unwrap_or("None").to_owned();
    let mut identity = json!({"type": kind});
    if kind.contains("UserAssigned") {
        let wanted =
            given.get("userAssignedIdentities").and_then(Value::as_object).cloned().unwrap_or_default();
        let mut assigned = Map::new();
        for id in wanted.keys() {
            let found = write.data.resources.get(&key(id)).cloned();
            let Some(found) = found.filter(|each| each.resource_type == KINDS[0].name) else {
                let message = format!("The identity '{id}' could not be found.");
                return Err(ArmError::bad("FailedIdentityOperation", message));
            };
            write.need_linked(&found.id, "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action")?;
            let ids = json!({
                "principalId": found.text("/properties/principalId"),
                "clientId": found.text("/properties/clientId"),
            });
            // Azure gives the id back in a spelling of its own.
            assigned.insert(id.clone(), ids);
        }
        identity["userAssignedIdentities"] = Value::Object(assigned);
    }
    if kind.contains("SystemAssigned") {
        let before = write.existing_text("/identity/principalId").to_owned();
        let principal_id = if before.is_empty() {
            let principal = managed_identity(write.name(), &write.id, write.now);
            let principal_id = principal.object_id.clone();
            write.data.principals.insert(principal_id.clone(), principal);
            principal_id
        } else {
            before
        };
        identity["principalId"] = json!(principal_id);
        identity["tenantId"] = json!(write.state.tenant_id());
    }
    write.body["identity"] = identity;
    Ok(())
}
