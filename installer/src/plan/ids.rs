//! The ARM paths of an installation's resources.

use contract::resources::ResourceNames;

use crate::inventory::Workspace;

/// The ARM paths of our resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ids {
    /// Resource group.
    pub group: String,
    /// User-assigned identity.
    pub identity: String,
    /// Storage account.
    pub storage_account: String,
    /// Key Vault.
    pub key_vault: String,
    /// Application Insights.
    pub application_insights: String,
    /// Data collection rule.
    pub data_collection_rule: String,
    /// Plan.
    pub plan: String,
    /// Function App.
    pub function_app: String,
}

impl Ids {
    /// The paths of these names in this group.
    pub fn of(subscription_id: &str, resource_group: &str, names: &ResourceNames) -> Self {
        let group = format!("/subscriptions/{subscription_id}/resourceGroups/{resource_group}");
        let id = |kind: &str, name: &str| format!("{group}/providers/{kind}/{name}");
        Self {
            identity: id("Microsoft.ManagedIdentity/userAssignedIdentities", &names.identity),
            storage_account: id("Microsoft.Storage/storageAccounts", &names.storage_account),
            key_vault: id("Microsoft.KeyVault/vaults", &names.key_vault),
            application_insights: id("Microsoft.Insights/components", &names.application_insights),
            data_collection_rule: id("Microsoft.Insights/dataCollectionRules", &names.data_collection_rule),
            plan: id("Microsoft.Web/serverfarms", &names.plan),
            function_app: id("Microsoft.Web/sites", &names.function_app),
            group,
        }
    }

    /// Path of a container of the storage account.
    pub fn container(&self, name: &str) -> String {
        format!("{}/blobServices/default/containers/{name}", self.storage_account)
    }
}

/// Path of a table of the workspace.
pub fn table_id(workspace: &Workspace, table: &str) -> String {
    format!("{}/tables/{table}", workspace.id)
}
