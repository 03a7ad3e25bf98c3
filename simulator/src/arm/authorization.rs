//! Roles on the control plane: who may call, role assignments, and the list of one's rights.

use std::collections::HashMap;

use axum::http::StatusCode;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::error::ArmError;
use super::kind::{Call, Kind, Place, Write};
use super::reply::Reply;
use crate::entra::Caller;
use crate::state::Data;
use crate::state::resource::{Resource, key};
use crate::state::role::{ASSIGNMENT_TYPE, Assignment, Need};

pub(crate) static KINDS: &[Kind] = &[Kind {
    name: ASSIGNMENT_TYPE,
    versions: &["2015-07-01", "2022-04-01"],
    place: Place::Extension,
    methods: &["PUT", "DELETE"],
    write: assign,
    remove: |data, resource, _| {
        data.unassign(&resource.id);
        Ok(())
    },
    ..Kind::BASE
}];

/// API versions of `permissions` and `roleDefinitions`.
pub(crate) const VERSIONS: &[&str] = &["2015-07-01", "2018-07-01", "2022-04-01"];

/// Whether the caller may do this at this scope.
pub(crate) fn may(data: &Data, caller: &Caller, scope: &str, action: &str, now: OffsetDateTime) -> bool {
    data.allowed(&caller.object_id, scope, Need::Action(action), now)
}

/// Checks that the caller may do this at this scope.
pub(crate) fn check(
    data: &Data,
    caller: &Caller,
    scope: &str,
    action: &str,
    now: OffsetDateTime,
) -> Result<(), ArmError> {
    if may(data, caller, scope, action, now) {
        return Ok(());
    }
    let Caller { object_id, client_id } = caller;
    let message = format!(
        "The client '{client_id}' with object id '{object_id}' does not have authorization to perform action \
         '{action}' over scope '{scope}' or the scope is invalid. If access was recently granted, please \
         refresh your credentials."
    );
    Err(ArmError::forbidden("AuthorizationFailed", message))
}

/// Writes a role assignment
/// (<https://learn.microsoft.com/rest/api/authorization/role-assignments/create>).
fn assign(write: &mut Write<'_>) -> Result<(), ArmError> {
    let principal_id = write.text("/properties/principalId").to_ascii_lowercase();
    let principal_type = write.text("/properties/principalType").to_owned();
    let definition_path = write.text("/properties/roleDefinitionId").to_owned();
    let definition_id = definition_path.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let name = write.name().to_owned();
    if uuid::Uuid::parse_str(&name).is_err() {
        let message =
            format!("The role assignment ID '{name}' is not valid. The role assignment ID must be a GUID.");
        return Err(ArmError::bad("InvalidRoleAssignmentId", message));
    }
    if !definition_path.contains("/providers/Microsoft.Authorization/roleDefinitions/")
        || !write.data.role_definitions.contains_key(&definition_id)
    {
        let message = format!("The specified role definition with ID '{definition_id}' does not exist.");
        return Err(ArmError::bad("RoleDefinitionDoesNotExist", message));
    }
    let scope = write.address.scope.clone();
    if let Some(existing) = &write.existing {
        let same = existing.text("/properties/principalId").eq_ignore_ascii_case(&principal_id)
            && existing.text("/properties/roleDefinitionId").to_ascii_lowercase().ends_with(&definition_id);
        if !same {
            // BR-135: an assignment outlives its principal and holds its name.
            let message = "Tenant ID, application ID, principal ID, and scope are not allowed to be updated.";
            return Err(ArmError::bad("RoleAssignmentUpdateNotPermitted", message));
        }
        let description = write.value("/properties/description").cloned();
        write.body = existing.body.clone();
        if let Some(description) = description {
            write.set("description", description);
        }
        return Ok(());
    }
    let twin = write.data.assignments.values().find(|each| {
        key(&each.scope) == key(&scope)
            && each.principal_id.eq_ignore_ascii_case(&principal_id)
            && each.role_definition_id.eq_ignore_ascii_case(&definition_id)
    });
    if let Some(twin) = twin.and_then(|twin| write.data.resources.get(&key(&twin.id))) {
        return Err(exists(twin));
    }
    // BR-123: a new principal is not known everywhere at once; saying its type skips the look-up.
    let spread = write.data.pace.directory_spread;
    let principal = write.data.principals.get(&principal_id);
    let typed = principal_type == "ServicePrincipal";
    match principal {
        None => return Err(principal_missing(write, &principal_id)),
        Some(principal) if !typed && principal.created_at + spread > write.now => {
            return Err(principal_missing(write, &principal_id));
        }
        Some(principal) if !principal_type.is_empty() && principal.kind.as_str() != principal_type => {
            let message = format!(
                "The PrincipalId '{principal_id}' has type '{}', which is different from specified \
                 PrincipalType '{principal_type}'.",
                principal.kind.as_str()
            );
            return Err(ArmError::bad("UnmatchedPrincipalType", message));
        }
        Some(_) => {}
    }
    let kind = principal.map_or("ServicePrincipal", |principal| principal.kind.as_str());
    let assignment = Assignment {
        id: write.id.clone(),
        scope,
        role_definition_id: definition_id,
        principal_id,
        works_from: write.now + write.data.pace.role_spread,
    };
    let description = write.value("/properties/description").cloned();
    let (id, now) = (write.id.clone(), write.now);
    write.data.assign(assignment, kind, now);
    if let Some(resource) = write.data.resources.get(&key(&id)) {
        write.body = resource.body.clone();
    }
    if let Some(description) = description {
        write.set("description", description);
    }
    Ok(())
}

fn exists(existing: &Resource) -> ArmError {
    let name: String = existing.text("/name").chars().filter(|each| *each != '-').collect();
    let message =
        format!("The role assignment already exists. The ID of the existing role assignment is {name}.");
    ArmError::new(StatusCode::CONFLICT, "RoleAssignmentExists", message)
}

fn principal_missing(write: &Write<'_>, principal_id: &str) -> ArmError {
    let message = format!(
        "Principal {} does not exist in the directory {}. Check that you have the correct principal ID. If \
         you are creating this principal and then immediately assigning a role, this error might be related \
         to a replication delay. In this case, set the role assignment principalType property to a value, \
         such as ServicePrincipal, User, or Group. See https://aka.ms/docs-principaltype",
        principal_id.replace('-', ""),
        write.state.tenant_id(),
    );
    ArmError::bad("PrincipalNotFound", message)
}

/// Whether a resource passes the `$filter` of a list of role assignments.
pub(crate) fn listed(resource: &Resource, query: &HashMap<String, String>) -> bool {
    let Some(filter) = query.get("$filter") else { return true };
    let value = filter.split('\'').nth(1).unwrap_or_default();
    if resource.resource_type != ASSIGNMENT_TYPE || value.is_empty() {
        return true;
    }
    resource.text("/properties/principalId").eq_ignore_ascii_case(value)
}

/// `permissions` at a scope: what the caller's roles there allow
/// (<https://learn.microsoft.com/rest/api/authorization/permissions>).
pub(crate) fn permissions(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    call.need("Microsoft.Authorization/permissions/read")?;
    let roles = call.data.roles_at(&call.caller.object_id, &call.id, call.now);
    let value = roles
        .map(|role| {
            json!({
                "actions": role.actions,
                "notActions": role.not_actions,
                "dataActions": role.data_actions,
                "notDataActions": role.not_data_actions,
            })
        })
        .collect();
    Ok(Reply::list(value))
}

/// `roleDefinitions`: one by id, or all, with `$filter=roleName eq '…'`.
pub(crate) fn definitions(
    call: &mut Call<'_>,
    id: Option<&str>,
    query: &HashMap<String, String>,
) -> Result<Reply, ArmError> {
    call.need("Microsoft.Authorization/roleDefinitions/read")?;
    let subscription = call.address.subscription.clone().unwrap_or_default();
    let named = query.get("$filter").and_then(|filter| filter.split('\'').nth(1));
    let mut value: Vec<Value> = Vec::new();
    for role in call.data.role_definitions.values() {
        let wanted = id.is_none_or(|id| role.id.eq_ignore_ascii_case(id))
            && named.is_none_or(|named| role.name.eq_ignore_ascii_case(named));
        if !wanted {
            continue;
        }
        let kind = if role.built_in { "BuiltInRole" } else { "CustomRole" };
        value.push(json!({
            "id": format!(
                "/subscriptions/{subscription}/providers/Microsoft.Authorization/roleDefinitions/{}", role.id
            ),
            "name": role.id,
            "type": "Microsoft.Authorization/roleDefinitions",
            "properties": {
                "roleName": role.name,
                "type": kind,
                "description": "",
                "assignableScopes": ["/"],
                "permissions": [{
                    "actions": role.actions,
                    "notActions": role.not_actions,
                    "dataActions": role.data_actions,
                    "notDataActions": role.not_data_actions,
                }],
            },
        }));
    }
    match (id, value.pop()) {
        (None, last) => Ok(Reply::list(value.into_iter().chain(last).collect())),
        (Some(_), Some(found)) => Ok(Reply::ok(found)),
        (Some(id), None) => {
            let message = format!("The specified role definition with ID '{id}' does not exist.");
            Err(ArmError::not_found("RoleDefinitionDoesNotExist", message))
        }
    }
}
