//! What people call a resource.

use contract::resources::{
    KEY_VAULT_SECRETS_OFFICER, KEY_VAULT_SECRETS_USER, MONITORING_METRICS_PUBLISHER,
    STORAGE_BLOB_DATA_CONTRIBUTOR, STORAGE_BLOB_DATA_OWNER, STORAGE_QUEUE_DATA_CONTRIBUTOR,
    STORAGE_TABLE_DATA_CONTRIBUTOR,
};
use serde_json::Value;

/// The name of a resource in a plan, in words that people use.
pub(super) fn title(resource_type: &str, name: &str, scope: Option<&str>, body: &Value) -> String {
    let last = name.rsplit('/').next().unwrap_or(name);
    let scope_name = scope.and_then(|scope| scope.rsplit('/').next()).unwrap_or_default();
    let noun = match resource_type {
        "Microsoft.Resources/resourceGroups" => "resource group",
        "Microsoft.ManagedIdentity/userAssignedIdentities" => "managed identity",
        "Microsoft.Storage/storageAccounts" => "storage account",
        "Microsoft.Storage/storageAccounts/blobServices/containers" => "container",
        "Microsoft.Storage/storageAccounts/queueServices/queues" => "queue",
        "Microsoft.KeyVault/vaults" => "Key Vault",
        "Microsoft.KeyVault/vaults/secrets" => "secret",
        "Microsoft.Insights/components" => "Application Insights",
        "Microsoft.OperationalInsights/workspaces/tables" => "table",
        "Microsoft.Insights/dataCollectionRules" => "data collection rule",
        "Microsoft.Insights/diagnosticSettings" => {
            return format!("diagnostic setting of `{scope_name}` for its errors");
        }
        "Microsoft.Authorization/roleAssignments" => {
            let role = body["properties"]["roleDefinitionId"].as_str().and_then(|id| id.rsplit('/').next());
            let role = role.and_then(role_name).unwrap_or("role");
            return format!("role `{role}` on `{scope_name}`");
        }
        "Microsoft.Web/serverfarms" => "App Service plan",
        "Microsoft.Web/sites" => "Function App",
        "Microsoft.Web/sites/basicPublishingCredentialsPolicies" => {
            return format!("publishing by password over {last}, off");
        }
        "Microsoft.SecurityInsights/dataConnectorDefinitions" => "connector page",
        "Microsoft.SecurityInsights/alertRules" => return shown_as("analytics rule", body),
        "Microsoft.Insights/workbooks" => return shown_as("workbook", body),
        "Microsoft.OperationalInsights/workspaces/savedSearches" => {
            let function = body["properties"]["functionAlias"].is_string();
            return shown_as(if function { "function" } else { "hunting query" }, body);
        }
        other => other.rsplit('/').next().unwrap_or(other),
    };
    format!("{noun} `{last}`")
}

/// A thing that people know by its title.
fn shown_as(noun: &str, body: &Value) -> String {
    format!("{noun} `{}`", body["properties"]["displayName"].as_str().unwrap_or_default())
}

/// The name of one of the roles that we give.
pub(super) fn role_name(definition_id: &str) -> Option<&'static str> {
    [
        STORAGE_BLOB_DATA_OWNER,
        STORAGE_BLOB_DATA_CONTRIBUTOR,
        STORAGE_QUEUE_DATA_CONTRIBUTOR,
        STORAGE_TABLE_DATA_CONTRIBUTOR,
        KEY_VAULT_SECRETS_USER,
        KEY_VAULT_SECRETS_OFFICER,
        MONITORING_METRICS_PUBLISHER,
    ]
    .into_iter()
    .find(|role| role.definition_id.eq_ignore_ascii_case(definition_id))
    .map(|role| role.name)
}
