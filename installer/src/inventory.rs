//! Inventory: what Azure has now, and which of it is ours. Reads only.

mod content;
pub mod foreign;
pub mod leftovers;
pub mod observe;

use std::collections::BTreeMap;

use contract::resources::{INSTALLATION_TAG, MONITORING_METRICS_PUBLISHER, ResourceNames};
use serde_json::Value;

use crate::content::asim;
use crate::plan::content::CONNECTOR;
use crate::plan::content::mark::Mark;

/// Who is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Object id in the tenant.
    pub object_id: String,
    /// `User` or `ServicePrincipal`, as role assignments name it.
    pub principal_type: String,
    /// The tenant.
    pub tenant_id: String,
}

/// The workspace of Microsoft Sentinel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    /// Its ARM path.
    pub id: String,
    /// Its own id, for queries.
    pub customer_id: String,
    /// Its region, as ids have it.
    pub location: String,
}

impl Workspace {
    /// Its name.
    pub fn name(&self) -> &str {
        self.id.rsplit('/').next().unwrap_or_default()
    }

    /// Path of its resource group.
    pub fn group_id(&self) -> &str {
        self.id.split("/providers/").next().unwrap_or_default()
    }
}

/// A role that is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// ARM path of the assignment.
    pub id: String,
    /// Where.
    pub scope: String,
    /// Whose.
    pub principal_id: String,
    /// Id of the role's definition, its last segment.
    pub role: String,
    /// Its description.
    pub description: String,
}

impl Assignment {
    /// Reads one as Azure lists it.
    pub fn of(value: &Value) -> Option<Self> {
        let text = |name: &str| value["properties"][name].as_str().unwrap_or_default().to_owned();
        Some(Self {
            id: value["id"].as_str()?.to_owned(),
            scope: text("scope"),
            principal_id: text("principalId"),
            role: text("roleDefinitionId").rsplit('/').next()?.to_owned(),
            description: text("description"),
        })
    }

    /// Whether it is this one: matched by scope, principal and role, never by name.
    pub fn is(&self, scope: &str, principal_id: &str, role: &str) -> bool {
        self.scope.trim_end_matches('/').eq_ignore_ascii_case(scope)
            && self.principal_id.eq_ignore_ascii_case(principal_id)
            && self.role.eq_ignore_ascii_case(role)
    }
}

/// Registration of a resource provider in a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// The subscription.
    pub subscription_id: String,
    /// The provider.
    pub namespace: String,
    /// Whether it is registered; `None` where the state could not be read.
    pub registered: Option<bool>,
}

/// Everything that was seen.
#[derive(Debug, Clone)]
pub struct Inventory {
    /// Who is signed in.
    pub caller: Caller,
    /// The workspace.
    pub workspace: Workspace,
    /// Names: those of our resources where they are, derived ones elsewhere.
    pub names: ResourceNames,
    /// Resources by their ARM path in lower case.
    pub resources: BTreeMap<String, Value>,
    /// Every resource with the installation's tag.
    pub owned: Vec<Value>,
    /// App settings of the Function App, where it is there.
    pub settings: Option<BTreeMap<String, String>>,
    /// Roles given at the scopes that matter.
    pub assignments: Vec<Assignment>,
    /// Registrations of providers.
    pub providers: Vec<Provider>,
    /// Object id of the app registration's service principal that delivers, where one does.
    pub delivery_principal: Option<String>,
    /// Secrets of vaults that are not ours, which the worker shall read.
    pub foreign_secrets: Vec<foreign::ForeignSecret>,
    /// Whether a soft-deleted vault has our vault's name and came from our group.
    pub deleted_vault: Option<DeletedVault>,
    /// Whether Microsoft Sentinel is on for the workspace; `None` where that could not be read.
    pub sentinel: Option<bool>,
    /// What of the workspace's content is ours or of our names, and its custom ASIM parsers.
    pub content: Vec<Value>,
}

/// A soft-deleted vault under the name that we would take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletedVault {
    /// ARM path of the deleted vault.
    pub id: String,
    /// ARM path that it had.
    pub vault_id: String,
    /// Whether it carried this installation's tag.
    pub ours: bool,
}

impl Inventory {
    /// The resource of this path, if it is there.
    pub fn resource(&self, id: &str) -> Option<&Value> {
        self.resources.get(&id.trim_end_matches('/').to_ascii_lowercase())
    }

    /// Whether the workspace has the connector's page, whoever made it.
    pub fn has_connector_page(&self) -> bool {
        let path = format!("/dataConnectorDefinitions/{CONNECTOR}").to_ascii_lowercase();
        self.content
            .iter()
            .any(|item| item["id"].as_str().is_some_and(|id| id.to_ascii_lowercase().ends_with(&path)))
    }

    /// Whether the workspace has any of the custom unifying parsers, whoever made it.
    pub fn has_custom_parsers(&self) -> bool {
        let alias = |item: &Value| item["properties"]["functionAlias"].as_str().map(str::to_owned);
        self.content.iter().filter_map(alias).any(|alias| asim::custom_parser(&alias))
    }

    /// Whether the workspace has content that this installation made or shares.
    pub fn has_content_of(&self, installation: &str) -> bool {
        self.content.iter().flat_map(Mark::all).any(|mark| mark.installation == installation)
    }

    /// Object id of the app registration's service principal that this installation lets deliver, as its
    /// role on the rule says. Finding it out anew would take the registration's secret.
    pub fn delivering(&self, installation: &str) -> Option<String> {
        let ours = format!(", for the installation {installation} (mimecast-sentinel)");
        let rule = format!("/{}", self.names.data_collection_rule).to_ascii_lowercase();
        self.assignments
            .iter()
            .find(|each| {
                each.role == MONITORING_METRICS_PUBLISHER.definition_id
                    && each.description.ends_with(&ours)
                    && each.scope.to_ascii_lowercase().ends_with(&rule)
            })
            .map(|each| each.principal_id.clone())
    }
}

/// The installation that a resource says it belongs to.
pub fn installation_of(resource: &Value) -> Option<&str> {
    let tags = resource.get("tags")?.as_object()?;
    tags.iter().find(|(name, _)| name.eq_ignore_ascii_case(INSTALLATION_TAG))?.1.as_str()
}

/// Names of our resources: read back where they are there, derived elsewhere.
pub fn names_of(
    installation: &str,
    subscription_id: &str,
    resource_group: &str,
    owned: &[Value],
) -> ResourceNames {
    let mut names = ResourceNames::derive(installation, subscription_id, resource_group);
    for resource in owned {
        let (Some(kind), Some(name)) = (resource["type"].as_str(), resource["name"].as_str()) else {
            continue;
        };
        let slot = match kind.to_ascii_lowercase().as_str() {
            "microsoft.managedidentity/userassignedidentities" => &mut names.identity,
            "microsoft.storage/storageaccounts" => &mut names.storage_account,
            "microsoft.keyvault/vaults" => &mut names.key_vault,
            "microsoft.insights/components" => &mut names.application_insights,
            "microsoft.insights/datacollectionrules" => &mut names.data_collection_rule,
            "microsoft.web/serverfarms" => &mut names.plan,
            "microsoft.web/sites" => &mut names.function_app,
            _ => continue,
        };
        name.clone_into(slot);
    }
    names
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Assignment, installation_of, names_of};

    #[test]
    fn names_that_are_there_win_over_derived_ones() {
        let owned = [json!({ "type": "microsoft.storage/storageaccounts", "name": "stolder" })];
        let names = names_of("mimecast-audit", "s", "rg", &owned);
        assert_eq!(names.storage_account, "stolder");
        assert_eq!(names.identity, "id-mimecast-audit");
    }

    #[test]
    fn an_assignment_is_known_by_scope_principal_and_role() {
        let assignment = Assignment::of(&json!({
            "id": "/subscriptions/s/providers/Microsoft.Authorization/roleAssignments/n",
            "properties": { "scope": "/Subscriptions/S", "principalId": "P",
                "roleDefinitionId": "/subscriptions/s/providers/Microsoft.Authorization/roleDefinitions/r" }
        }))
        .expect("an assignment");
        assert!(assignment.is("/subscriptions/s", "p", "R"));
        assert!(!assignment.is("/subscriptions/s", "q", "r"));
    }

    #[test]
    fn a_tag_is_read_whatever_its_case() {
        let resource = json!({ "tags": { "Mimecast-Sentinel-Installation": "one" } });
        assert_eq!(installation_of(&resource), Some("one"));
        assert_eq!(installation_of(&json!({ "tags": null })), None);
    }
}
