//! Role definitions, assignments, and whether somebody may do something.
//!
//! Source of the definitions: <https://learn.microsoft.com/azure/role-based-access-control/built-in-roles>,
//! of the rules: <https://learn.microsoft.com/azure/role-based-access-control/role-definitions>.

use std::collections::BTreeMap;

use contract::resources::{
    KEY_VAULT_SECRETS_OFFICER, KEY_VAULT_SECRETS_USER, MONITORING_METRICS_PUBLISHER, Role,
    STORAGE_BLOB_DATA_CONTRIBUTOR, STORAGE_BLOB_DATA_OWNER, STORAGE_QUEUE_DATA_CONTRIBUTOR,
    STORAGE_TABLE_DATA_CONTRIBUTOR,
};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::resource::{Resource, key, within};
use super::{Data, State};

/// Type of role assignments in ARM.
pub(crate) const ASSIGNMENT_TYPE: &str = "Microsoft.Authorization/roleAssignments";

/// Owner: everything on the control plane, and giving roles.
pub const OWNER: Role = Role { name: "Owner", definition_id: "8e3af657-a8ff-443c-a75c-2fe8c4bcb635" };
/// Contributor: everything on the control plane but roles and policies.
pub const CONTRIBUTOR: Role =
    Role { name: "Contributor", definition_id: "b24988ac-6180-42a0-ab88-20f7382dd24c" };
/// Reader: reading on the control plane.
pub const READER: Role = Role { name: "Reader", definition_id: "acdd72a7-3385-48ef-bd42-f606fba81ae7" };
/// User Access Administrator: reading and giving roles.
pub const USER_ACCESS_ADMINISTRATOR: Role =
    Role { name: "User Access Administrator", definition_id: "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9" };
/// Role Based Access Control Administrator: reading and giving roles.
pub const RBAC_ADMINISTRATOR: Role = Role {
    name: "Role Based Access Control Administrator",
    definition_id: "f58310d9-a9f6-439a-9e8d-f62e7b41a168",
};
/// Log Analytics Reader: queries.
pub const LOG_ANALYTICS_READER: Role =
    Role { name: "Log Analytics Reader", definition_id: "73c42c96-874c-492b-b04d-ab87d138a893" };
/// Log Analytics Contributor: workspaces with their tables, and diagnostic settings.
pub const LOG_ANALYTICS_CONTRIBUTOR: Role =
    Role { name: "Log Analytics Contributor", definition_id: "92aaf0da-9dab-42b6-94a3-d43ce8d16293" };
/// Microsoft Sentinel Contributor: Sentinel content.
pub const SENTINEL_CONTRIBUTOR: Role =
    Role { name: "Microsoft Sentinel Contributor", definition_id: "ab8e14d6-4a74-4a29-9ba8-549422addade" };
/// Website Contributor: sites, not their plan's network.
pub const WEBSITE_CONTRIBUTOR: Role =
    Role { name: "Website Contributor", definition_id: "de139f84-1756-47ae-9be6-808fbbe84772" };
/// Key Vault Administrator: the whole data plane of a vault.
pub const KEY_VAULT_ADMINISTRATOR: Role =
    Role { name: "Key Vault Administrator", definition_id: "00482a5a-887f-4fb3-b363-3b7fe8e74483" };

/// What a role allows. Patterns may hold `*`, which stands for any text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleDefinition {
    /// Id, a GUID.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Control plane.
    pub actions: Vec<String>,
    /// Taken away from `actions`.
    pub not_actions: Vec<String>,
    /// Data planes.
    pub data_actions: Vec<String>,
    /// Taken away from `data_actions`.
    pub not_data_actions: Vec<String>,
    /// Whether it comes with Azure.
    pub built_in: bool,
}

/// A role given to a principal at a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// ARM id of the assignment.
    pub id: String,
    /// ARM id of the scope.
    pub scope: String,
    /// Id of the role definition, a GUID.
    pub role_definition_id: String,
    /// Object id of the principal.
    pub principal_id: String,
    /// From when it works.
    pub works_from: OffsetDateTime,
}

/// What somebody wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need<'a> {
    /// A control-plane action, such as `Microsoft.Web/sites/write`.
    Action(&'a str),
    /// A data-plane action, such as
    /// `Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read`.
    Data(&'a str),
    /// Holding this role, whatever it allows.
    Role(Role),
}

impl RoleDefinition {
    fn allows(&self, need: Need<'_>) -> bool {
        let held = |held: &[String], less: &[String], action: &str| {
            held.iter().any(|pattern| matches(pattern, action))
                && !less.iter().any(|pattern| matches(pattern, action))
        };
        match need {
            Need::Action(action) => held(&self.actions, &self.not_actions, action),
            Need::Data(action) => held(&self.data_actions, &self.not_data_actions, action),
            Need::Role(role) => self.id.eq_ignore_ascii_case(role.definition_id),
        }
    }
}

/// Whether `action` is of the `pattern`, where `*` stands for any text; without regard to case.
fn matches(pattern: &str, action: &str) -> bool {
    let (pattern, action) = (pattern.to_ascii_lowercase(), action.to_ascii_lowercase());
    let mut pieces = pattern.split('*');
    let Some(mut rest) = action.strip_prefix(pieces.next().unwrap_or_default()) else { return false };
    let mut pieces: Vec<&str> = pieces.collect();
    let Some(last) = pieces.pop() else { return rest.is_empty() };
    for piece in pieces {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}

impl Data {
    /// The assignments that work now for this principal, itself or through a group, at this scope.
    pub(crate) fn roles_at(
        &self,
        object_id: &str,
        scope: &str,
        now: OffsetDateTime,
    ) -> impl Iterator<Item = &RoleDefinition> {
        let principal = self.principals.get(&object_id.to_ascii_lowercase());
        let groups: &[String] = principal.map_or(&[], |principal| &principal.groups);
        self.assignments
            .values()
            .filter(move |each| {
                (each.principal_id.eq_ignore_ascii_case(object_id)
                    || groups.iter().any(|group| group.eq_ignore_ascii_case(&each.principal_id)))
                    && each.works_from <= now
                    && within(&each.scope, scope)
            })
            .filter_map(|each| self.role_definitions.get(&each.role_definition_id.to_ascii_lowercase()))
    }

    pub(crate) fn allowed(&self, object_id: &str, scope: &str, need: Need<'_>, now: OffsetDateTime) -> bool {
        self.roles_at(object_id, scope, now).any(|definition| definition.allows(need))
    }
}

impl Data {
    /// Records an assignment, as resource and as right.
    pub(crate) fn assign(&mut self, assignment: Assignment, principal_type: &str, now: OffsetDateTime) {
        let subscription: String =
            assignment.scope.split('/').skip(1).take(2).map(|each| format!("/{each}")).collect();
        let at = now.format(&Rfc3339).unwrap_or_default();
        let definition = assignment.role_definition_id.as_str();
        let body = json!({
            "properties": {
                "roleDefinitionId":
                    format!("{subscription}/providers/Microsoft.Authorization/roleDefinitions/{definition}"),
                "principalId": assignment.principal_id,
                "principalType": principal_type,
                "scope": assignment.scope,
                "condition": null,
                "conditionVersion": null,
                "createdOn": at,
                "updatedOn": at,
                "createdBy": null,
                "updatedBy": null,
                "delegatedManagedIdentityResourceId": null,
                "description": null,
            },
            "id": assignment.id,
            "type": ASSIGNMENT_TYPE,
            "name": assignment.id.rsplit('/').next(),
        });
        let resource = Resource {
            id: assignment.id.clone(),
            resource_type: ASSIGNMENT_TYPE.to_owned(),
            body,
            hidden: Value::Null,
            unseen_reads: 0,
            unfinished_reads: 0,
        };
        self.resources.insert(key(&assignment.id), resource);
        self.assignments.insert(key(&assignment.id), assignment);
    }

    /// Removes an assignment, as resource and as right.
    pub(crate) fn unassign(&mut self, assignment_id: &str) {
        self.resources.remove(&key(assignment_id));
        self.assignments.remove(&key(assignment_id));
    }
}

impl State {
    /// Whether this principal may do this at this scope, by the roles that have spread by now.
    pub fn allowed(&self, object_id: &str, scope: &str, need: Need<'_>) -> bool {
        let now = self.now();
        self.lock().allowed(object_id, scope, need, now)
    }

    /// Gives a role that works at once: for setting a scene. Gives the assignment's id.
    pub fn give_role(&self, object_id: &str, scope: &str, role: Role) -> String {
        let id = format!(
            "{}/providers/Microsoft.Authorization/roleAssignments/{}",
            scope.trim_end_matches('/'),
            Uuid::new_v4()
        );
        let kind = self.principal(object_id).map_or("ServicePrincipal", |each| each.kind.as_str());
        let assignment = Assignment {
            id: id.clone(),
            scope: scope.to_owned(),
            role_definition_id: role.definition_id.to_owned(),
            principal_id: object_id.to_owned(),
            works_from: self.now(),
        };
        self.lock().assign(assignment, kind, self.now());
        id
    }

    /// Takes away an assignment by its id.
    pub fn take_role(&self, assignment_id: &str) {
        self.lock().unassign(assignment_id);
    }

    /// Adds a custom role.
    pub fn add_role_definition(&self, definition: RoleDefinition) {
        self.lock().role_definitions.insert(definition.id.to_ascii_lowercase(), definition);
    }
}

/// The built-in roles that matter here, by lower-case id.
pub(crate) fn built_in() -> BTreeMap<String, RoleDefinition> {
    const ROLES: &str = "Microsoft.Authorization/roleAssignments/*";
    // Actions, what is taken from them, and data actions.
    type Row = (Role, &'static [&'static str], &'static [&'static str], &'static [&'static str]);
    let table: &[Row] = &[
        (OWNER, &["*"], &[], &[]),
        (
            CONTRIBUTOR,
            &["*"],
            &[
                "Microsoft.Authorization/*/Delete",
                "Microsoft.Authorization/*/Write",
                "Microsoft.Authorization/elevateAccess/Action",
            ],
            &[],
        ),
        (READER, &["*/read"], &[], &[]),
        (USER_ACCESS_ADMINISTRATOR, &["*/read", "Microsoft.Authorization/*"], &[], &[]),
        (RBAC_ADMINISTRATOR, &["*/read", ROLES], &[], &[]),
        (
            LOG_ANALYTICS_READER,
            &["*/read", "Microsoft.OperationalInsights/workspaces/search/action"],
            &["Microsoft.OperationalInsights/workspaces/sharedKeys/read"],
            &[],
        ),
        (
            LOG_ANALYTICS_CONTRIBUTOR,
            &[
                "*/read",
                "Microsoft.Insights/alertRules/*",
                "Microsoft.Insights/diagnosticSettings/*",
                "Microsoft.OperationalInsights/*",
                "Microsoft.OperationsManagement/*",
                "Microsoft.Resources/deployments/*",
                "Microsoft.Resources/subscriptions/resourcegroups/deployments/*",
                "Microsoft.Storage/storageAccounts/listKeys/action",
            ],
            &[],
            &[],
        ),
        (
            SENTINEL_CONTRIBUTOR,
            &[
                "Microsoft.SecurityInsights/*",
                "Microsoft.OperationalInsights/workspaces/*/read",
                "Microsoft.OperationalInsights/workspaces/read",
                "Microsoft.OperationalInsights/workspaces/savedSearches/*",
                "Microsoft.OperationalInsights/workspaces/query/read",
                "Microsoft.Insights/workbooks/*",
                "Microsoft.Authorization/*/read",
                "Microsoft.Resources/subscriptions/resourceGroups/read",
                "Microsoft.Resources/deployments/*",
            ],
            &[],
            &[],
        ),
        (
            WEBSITE_CONTRIBUTOR,
            &[
                "Microsoft.Web/sites/*",
                "Microsoft.Web/serverFarms/read",
                "Microsoft.Web/serverFarms/join/action",
                "Microsoft.Insights/components/*",
                "Microsoft.Authorization/*/read",
                "Microsoft.Resources/subscriptions/resourceGroups/read",
                "Microsoft.Resources/deployments/*",
            ],
            &[],
            &[],
        ),
        (
            STORAGE_BLOB_DATA_OWNER,
            &["Microsoft.Storage/storageAccounts/blobServices/containers/*"],
            &[],
            &["Microsoft.Storage/storageAccounts/blobServices/containers/blobs/*"],
        ),
        (
            STORAGE_BLOB_DATA_CONTRIBUTOR,
            &[
                "Microsoft.Storage/storageAccounts/blobServices/containers/read",
                "Microsoft.Storage/storageAccounts/blobServices/containers/write",
                "Microsoft.Storage/storageAccounts/blobServices/containers/delete",
            ],
            &[],
            &[
                "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read",
                "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write",
                "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/delete",
                "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/move/action",
                "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/add/action",
            ],
        ),
        (
            STORAGE_QUEUE_DATA_CONTRIBUTOR,
            &["Microsoft.Storage/storageAccounts/queueServices/queues/*"],
            &[],
            &["Microsoft.Storage/storageAccounts/queueServices/queues/messages/*"],
        ),
        (
            STORAGE_TABLE_DATA_CONTRIBUTOR,
            &["Microsoft.Storage/storageAccounts/tableServices/tables/*"],
            &[],
            &["Microsoft.Storage/storageAccounts/tableServices/tables/entities/*"],
        ),
        (
            KEY_VAULT_SECRETS_USER,
            &[],
            &[],
            &[
                "Microsoft.KeyVault/vaults/secrets/getSecret/action",
                "Microsoft.KeyVault/vaults/secrets/readMetadata/action",
            ],
        ),
        (
            KEY_VAULT_SECRETS_OFFICER,
            &["Microsoft.Authorization/*/read", "Microsoft.KeyVault/vaults/read"],
            &[],
            &["Microsoft.KeyVault/vaults/secrets/*"],
        ),
        (
            KEY_VAULT_ADMINISTRATOR,
            &["Microsoft.Authorization/*/read", "Microsoft.KeyVault/vaults/read"],
            &[],
            &["Microsoft.KeyVault/vaults/*"],
        ),
        (
            MONITORING_METRICS_PUBLISHER,
            &["Microsoft.Insights/Register/Action"],
            &[],
            &["Microsoft.Insights/Metrics/Write", "Microsoft.Insights/Telemetry/Write"],
        ),
    ];
    let owned = |list: &[&str]| list.iter().map(|&each| each.to_owned()).collect();
    table
        .iter()
        .map(|(role, actions, not_actions, data_actions)| {
            let definition = RoleDefinition {
                id: role.definition_id.to_owned(),
                name: role.name.to_owned(),
                actions: owned(actions),
                not_actions: owned(not_actions),
                data_actions: owned(data_actions),
                not_data_actions: Vec::new(),
                built_in: true,
            };
            (role.definition_id.to_owned(), definition)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_any_text_and_case_does_not_count() {
        assert!(matches("*", "Microsoft.Web/sites/write"));
        assert!(matches("*/read", "Microsoft.Web/sites/read"));
        assert!(!matches("*/read", "Microsoft.Web/sites/write"));
        assert!(matches("Microsoft.Authorization/*/Write", "microsoft.authorization/roleAssignments/write"));
        assert!(!matches("Microsoft.Web/sites", "Microsoft.Web/sites/read"));
        assert!(matches("Microsoft.Web/sites/*", "Microsoft.Web/sites/config/list/action"));
    }
}
