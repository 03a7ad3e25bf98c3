//! Every planned action against the rights that the signed-in account has.
//!
//! The rights come from the `permissions` list of each scope
//! (<https://learn.microsoft.com/rest/api/authorization/permissions>): an action is allowed when some
//! role has it among its actions and not among those taken away. Conditions and deny assignments do
//! not show there; they are rare, and Azure's own refusal names them.

use std::collections::BTreeMap;

use futures::{StreamExt, stream};
use serde_json::{Value, json};

use super::{Check, Side};
use crate::azure::permission::allows;
use crate::azure::{Azure, ResourceId};
use crate::inventory::{Caller, Inventory};
use crate::plan::template::api_version;
use crate::plan::{Action, Plan, Trial, Watched};

const LINK: &str = "https://learn.microsoft.com/azure/role-based-access-control/role-assignments-cli";
/// A secret is written through ARM, or by the vault's own API where ARM refuses it.
const WRITE_SECRET: &str = "Microsoft.KeyVault/vaults/secrets/write";
const SET_SECRET: &str = "Microsoft.KeyVault/vaults/secrets/setSecret/action";
const ASSIGNMENTS: &str = "Microsoft.Authorization/roleAssignments";
/// Lists that are read at the same time.
const READS_AT_ONCE: usize = 8;

/// One right that the plan needs.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Need {
    /// Where: a subscription, group or resource that is there.
    scope: String,
    side: Side,
    action: String,
}

/// Looks at every planned action.
pub(super) async fn check(azure: &Azure, inventory: &Inventory, plan: &Plan) -> Vec<Check> {
    const TITLE: &str = "rights of the account";
    let needs = needs(inventory, plan);
    if needs.is_empty() {
        return Vec::new();
    }
    let mut scopes: Vec<&str> = needs.iter().map(|need| need.scope.as_str()).collect();
    scopes.sort_unstable();
    scopes.dedup();
    let count = scopes.len();
    let version = api_version(ASSIGNMENTS).unwrap_or_default();
    let held: BTreeMap<&str, Result<Vec<Value>, String>> = stream::iter(scopes)
        .map(|scope| async move {
            let path = format!("{scope}/providers/Microsoft.Authorization/permissions");
            (scope, azure.list(&path, version).await.map_err(|error| super::cause(&error)))
        })
        .buffer_unordered(READS_AT_ONCE)
        .collect()
        .await;

    let mut missing: BTreeMap<(&'static str, &str), Vec<&Need>> = BTreeMap::new();
    for need in &needs {
        let allowed = held
            .get(need.scope.as_str())
            .is_none_or(|list| list.as_ref().map_or(true, |permissions| may(permissions, &need.action)));
        if !allowed {
            missing.entry((id(need), need.scope.as_str())).or_default().push(need);
        }
    }
    let mut checks: Vec<Check> = missing
        .into_iter()
        .map(|((id, scope), needs)| lacking(id, scope, &needs, &inventory.caller, plan))
        .collect();
    for (scope, list) in &held {
        if let Err(why) = list {
            checks.push(Check::unchecked("rights", Side::Azure, TITLE, format!("at `{scope}`: {why}")));
        }
    }
    if checks.is_empty() {
        let found = format!("all {} actions that the plan needs, at {count} scopes", needs.len());
        checks.push(Check::good("rights", Side::Azure, TITLE, found));
    }
    checks
}

fn may(permissions: &[Value], action: &str) -> bool {
    if allows(permissions, action) {
        return true;
    }
    let data: Vec<Value> = permissions
        .iter()
        .map(|entry| json!({ "actions": entry["dataActions"], "notActions": entry["notDataActions"] }))
        .collect();
    action == WRITE_SECRET && allows(&data, SET_SECRET)
}

/// Which check a missing right belongs to: those that a person would ask for together.
fn id(need: &Need) -> &'static str {
    let action = need.action.to_ascii_lowercase();
    if action.starts_with("microsoft.authorization/roleassignments/") {
        "rights-roles"
    } else if action.ends_with("/register/action") {
        "rights-providers"
    } else if action == "microsoft.resources/subscriptions/resourcegroups/write" {
        "rights-group"
    } else if action.ends_with("/deletedvaults/purge/action") {
        "rights-purge"
    } else if need.side == Side::Workspace {
        "rights-workspace"
    } else {
        "rights-resources"
    }
}

fn lacking(id: &'static str, scope: &str, needs: &[&Need], caller: &Caller, plan: &Plan) -> Check {
    let side = needs.first().map_or(Side::Azure, |need| need.side);
    let mut actions: Vec<&str> = needs.iter().map(|need| need.action.as_str()).collect();
    actions.sort_unstable();
    actions.dedup();
    let result = format!("the account lacks {} at `{scope}`", actions.join(", "));
    let group = format!("/subscriptions/{}/resourceGroups/{}", plan.subscription_id, plan.resource_group);
    let give = |role: &str, scope: &str| {
        format!(
            "az role assignment create --assignee-object-id {} --assignee-principal-type {} --role \"{role}\" --scope \"{scope}\"",
            caller.object_id, caller.principal_type
        )
    };
    let make_group = format!(
        "az group create --subscription {} --name {} --location <region>",
        plan.subscription_id, plan.resource_group
    );
    // A group that is still to be made is where the right is wanted; the subscription would be too wide.
    let narrow = if group.to_ascii_lowercase().starts_with(&format!("{}/", scope.to_ascii_lowercase())) {
        group.as_str()
    } else {
        scope
    };
    let first = if narrow == scope { String::new() } else { format!("{make_group}\n") };
    let remedy = match id {
        "rights-roles" => format!(
            "{first}{}\nor set `azure.role_assignments: external`: the roles are then printed as commands for an administrator and waited for",
            give("Role Based Access Control Administrator", narrow)
        ),
        "rights-providers" => actions
            .iter()
            .filter_map(|action| action.split('/').next())
            .map(|namespace| {
                let subscription = scope.rsplit('/').next().unwrap_or_default();
                format!("az provider register --subscription {subscription} --namespace {namespace} --wait")
            })
            .collect::<Vec<_>>()
            .join("\n"),
        "rights-group" => format!("{make_group}\n{}", give("Contributor", &group)),
        "rights-purge" => {
            "an owner of the subscription purges it: az keyvault purge --name <vault> --location <region>\nor set `vault.on_deleted: recover` or `new-name`"
                .to_owned()
        }
        "rights-workspace" if actions.iter().any(|action| action.starts_with("Microsoft.SecurityInsights/")) => {
            format!(
                "{}\n{}",
                give("Microsoft Sentinel Contributor", scope),
                give("Log Analytics Contributor", scope)
            )
        }
        "rights-workspace" => give("Log Analytics Contributor", scope),
        _ => format!("{first}{}", give("Contributor", narrow)),
    };
    Check::fails(id, side, "rights of the account", result, remedy).link(LINK)
}

/// Every right that the plan's actions need. Data rights are left out: the plan gives them itself.
fn needs(inventory: &Inventory, plan: &Plan) -> Vec<Need> {
    let place = Place { inventory, plan };
    let mut needs = Vec::new();
    let mut need = |at: &str, action: &str| {
        let (scope, side) = place.of(at);
        let need = Need { scope, side, action: action.to_owned() };
        if !needs.contains(&need) {
            needs.push(need);
        }
    };
    for step in &plan.steps {
        match &step.action {
            Action::PutResource { id, body, .. } => {
                let kind = kind(id);
                need(id, &format!("{kind}/write"));
                if kind.eq_ignore_ascii_case("Microsoft.Web/sites") {
                    // The site refers to both, which is a right at each.
                    if let Some(identities) = body["identity"]["userAssignedIdentities"].as_object() {
                        for identity in identities.keys() {
                            need(identity, "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action");
                        }
                    }
                    if let Some(farm) = body["properties"]["serverFarmId"].as_str() {
                        need(farm, "Microsoft.Web/serverfarms/join/action");
                    }
                }
                if kind.eq_ignore_ascii_case("Microsoft.Insights/components")
                    && let Some(workspace) = body["properties"]["WorkspaceResourceId"].as_str()
                    && subscription_of(workspace) != subscription_of(id)
                {
                    need(workspace, "Microsoft.OperationalInsights/workspaces/sharedkeys/action");
                }
            }
            Action::AssignRole { scope, .. } => need(scope, &format!("{ASSIGNMENTS}/write")),
            Action::UnassignRole { scope, .. } => need(scope, &format!("{ASSIGNMENTS}/delete")),
            Action::RegisterProvider { subscription_id, namespace } => {
                need(&format!("/subscriptions/{subscription_id}"), &format!("{namespace}/register/action"));
            }
            Action::PutSecret { vault_id, .. } => need(vault_id, WRITE_SECRET),
            Action::RotateSecrets(rotation) => {
                need(&rotation.vault_id, WRITE_SECRET);
                need(&rotation.watched.site_id, "Microsoft.Web/sites/host/listkeys/action");
            }
            // The settings and the package are put back where it does not work.
            Action::TryPackage(trial) => {
                need(&trial.watched.site_id, "Microsoft.Web/sites/host/listkeys/action");
                need(&trial.watched.site_id, "Microsoft.Web/sites/config/write");
            }
            Action::BeginTrial(Trial { watched: Watched { site_id, .. }, .. })
            | Action::EndTrial { site_id } => {
                need(site_id, "Microsoft.Web/sites/config/list/action");
                need(site_id, "Microsoft.Web/sites/config/write");
            }
            Action::MigrateTable { id, .. } => {
                need(id, "Microsoft.OperationalInsights/workspaces/tables/migrate/action");
            }
            Action::Publish { site_id, .. } => {
                need(site_id, "Microsoft.Web/sites/publish/Action");
                need(site_id, "Microsoft.Resources/tags/write");
                // Asked for the proof that events arrive: the run is started with the host's key.
                need(site_id, "Microsoft.Web/sites/host/listkeys/action");
            }
            Action::MergeSettings { site_id, .. } => {
                need(site_id, "Microsoft.Web/sites/config/list/action");
                need(site_id, "Microsoft.Web/sites/config/write");
            }
            Action::PurgeVault { id, .. } => {
                need(
                    &format!("/subscriptions/{}", subscription_of(id)),
                    "Microsoft.KeyVault/locations/deletedVaults/purge/action",
                );
            }
            Action::Delete { id, .. } => need(id, &format!("{}/delete", kind(id))),
            Action::DeleteEmptyGroup { id, .. } => {
                need(id, "Microsoft.Resources/subscriptions/resourceGroups/delete");
            }
            // Waiting and telling need no right, and blobs are written with a role that the plan gives.
            Action::AwaitRole { .. }
            | Action::TellOwner { .. }
            | Action::UploadIfAbsent { .. }
            | Action::UploadPackage { .. }
            | Action::CheckPackage { .. }
            | Action::PrunePackages { .. } => {}
        }
    }
    needs
}

fn subscription_of(id: &str) -> String {
    id.split('/').nth(2).unwrap_or_default().to_ascii_lowercase()
}

/// The type of an id, as actions have it.
fn kind(id: &str) -> String {
    match ResourceId::parse(id) {
        Ok(id) if id.path().contains("/providers/") => id.kind(),
        _ => "Microsoft.Resources/subscriptions/resourceGroups".to_owned(),
    }
}

struct Place<'a> {
    inventory: &'a Inventory,
    plan: &'a Plan,
}

impl Place<'_> {
    /// Where the rights for a thing can be read: the nearest that is there already, since a list of
    /// rights on what is not there is refused.
    fn of(&self, at: &str) -> (String, Side) {
        let within = |outer: &str| {
            !outer.is_empty()
                && at.get(..outer.len()).is_some_and(|start| start.eq_ignore_ascii_case(outer))
                && matches!(at.as_bytes().get(outer.len()), None | Some(b'/'))
        };
        let workspace = self.plan.workspace_id.as_str();
        if within(workspace) {
            return (workspace.to_owned(), Side::Workspace);
        }
        let (group, resource) = at.split_once("/providers/").unwrap_or((at, ""));
        let workspace_group = workspace.split("/providers/").next().unwrap_or_default();
        let own_group = format!(
            "/subscriptions/{}/resourceGroups/{}",
            self.plan.subscription_id, self.plan.resource_group
        );
        let side = if group.eq_ignore_ascii_case(workspace_group) && !group.eq_ignore_ascii_case(&own_group) {
            Side::Workspace
        } else {
            Side::Azure
        };
        let top: Vec<&str> = resource.split('/').take(3).collect();
        let top = format!("{group}/providers/{}", top.join("/"));
        if self.inventory.resource(&top).is_some() {
            return (top, side);
        }
        // Nobody plans to make another group than the installation's own.
        if !within(&own_group) || self.inventory.resource(&own_group).is_some() {
            return (group.to_owned(), side);
        }
        (format!("/subscriptions/{}", self.plan.subscription_id), side)
    }
}
