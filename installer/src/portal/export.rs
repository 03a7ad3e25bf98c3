//! The files for an installation that is there: the same template with its names, and a parameters file
//! with its answers. No secret is in them: what is left out stays as the vault has it.

use contract::cloud::CloudProfile;
use contract::resources::{PACKAGE_TAG, WORKER_TAG};
use serde_json::{Map, Value, json};

use super::choice::{SECRETS, optional, parameter_of, schedules};
use super::{File, PortalError, TEMPLATE_FILE, interface, template};
use crate::answers::intent::{Delivery, Hosting, Intent, RoleAssignments, Rules, WorkQueue};
use crate::answers::secret::SecretSource;
use crate::inventory::Inventory;
use crate::plan::ids::Ids;
use crate::plan::{content, setting, tag};

/// Name of the parameters file.
pub const PARAMETERS_FILE: &str = "azuredeploy.parameters.json";

/// Why an installation cannot be written as a template.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The template takes one account.
    #[error("the template is for one Mimecast account, and this installation has an `accounts` list")]
    SeveralAccounts,
    /// The template itself.
    #[error("writing the template of the installation")]
    Portal(#[from] PortalError),
}

/// The files of an installation with these answers and this inventory.
///
/// # Errors
/// [`ExportError`] where the template cannot say what the installation is.
pub fn files(intent: &Intent, inventory: &Inventory) -> Result<Vec<File>, ExportError> {
    if intent.several_accounts() {
        return Err(ExportError::SeveralAccounts);
    }
    let parameters = json!({
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentParameters.json#",
        "contentVersion": "1.0.0.0",
        "parameters": parameters(intent, inventory)?,
    });
    Ok(vec![
        File { name: TEMPLATE_FILE, text: format!("{}\n", template::template(Some(&inventory.names))?) },
        File { name: "createUiDefinition.json", text: format!("{:#}\n", interface::interface()) },
        File { name: PARAMETERS_FILE, text: format!("{parameters:#}\n") },
    ])
}

fn parameters(intent: &Intent, inventory: &Inventory) -> Result<Map<String, Value>, PortalError> {
    let ids = Ids::of(&intent.subscription_id, &intent.resource_group, &inventory.names);
    let region = |id: &str| inventory.resource(id).map(|resource| resource["location"].clone());
    let workspace = inventory.workspace.id.as_str();
    let telemetry = intent.app_insights_workspace_id.as_deref().unwrap_or(workspace);
    let mut values = json!({
        "appName": intent.name,
        "AppInsightsWorkspaceResourceID": telemetry,
        "workspaceResourceId": workspace,
        "location": region(&ids.function_app),
        "appInsightsLocation": region(&ids.application_insights),
        "objectId": intent.operator_object_id,
        "collectEvery": schedules()?.into_iter().find(|(_, each)| *each == intent.collect.schedule).map(|(period, _)| period),
        "firstRun": intent.collect.first_run,
        "settle": intent.collect.settle,
        "overlap": intent.collect.overlap,
        "categories": intent.collect.categories.join(","),
        "workQueue": intent.collect.work_queue == WorkQueue::Always,
        // The tables are there, and may hold columns of others.
        "createTables": false,
        "retentionDays": intent.retention_days,
        "totalRetentionDays": intent.total_retention_days,
        "assignRoles": intent.role_assignments == RoleAssignments::Installer,
        "purgeProtection": intent.purge_protection,
        "connectorPage": intent.content.connector_page,
        // Only the installer reads the etag without which a page cannot be changed.
        "createConnectorPage": intent.content.connector_page && !inventory.has_connector_page(),
        "workbook": intent.content.workbook,
        "analyticsRules": match intent.content.rules {
            Rules::Recommended => "recommended",
            Rules::All => "all",
            Rules::Off => "off",
        },
        "huntingQueries": intent.content.hunting,
        "asimParsers": intent.content.asim,
        "asimUnifyingParsers": intent.content.asim_unifying,
        "createUnifyingParsers": !inventory.has_custom_parsers(),
        // What is there may be tuned, or shared.
        "createContent": !inventory.has_content_of(&intent.name),
        "ruleGeneration": content::generation(&inventory.workspace.id, &inventory.content).to_string(),
        "paused": inventory.settings.as_ref().is_some_and(setting::paused),
        "tags": intent.tags,
        "cloud": cloud(&intent.cloud),
        "packageUri": "",
        // So that the deployment leaves it named.
        "workerSha256": inventory.resource(&ids.function_app).and_then(|site| tag(site, WORKER_TAG)),
        "packageSha256": inventory.resource(&ids.function_app).and_then(|site| tag(site, PACKAGE_TAG)),
    });
    match intent.hosting {
        Hosting::FlexConsumption { memory_mb } => values["instanceMemoryMB"] = json!(memory_mb.to_string()),
        Hosting::Dedicated => values["hostingPlan"] = json!("dedicated"),
    }
    if let Some(account) = intent.accounts.first() {
        values["mimecastApi"] = json!(account.api.text());
        values["mimecastBaseURL"] = json!(account.base_url);
    }
    if let Delivery::AppRegistration { tenant_id, .. } = &intent.delivery {
        values["activeDirectoryTenantId"] = json!(tenant_id);
        values["activeDirectoryObjectId"] = json!(inventory.delivering(&intent.name));
    }
    let Value::Object(values) = values else { return Ok(Map::new()) };
    let mut parameters: Map<String, Value> = values
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| (name, json!({ "value": value })))
        .collect();
    for (answer, source) in intent.secret_sources() {
        if !SECRETS.iter().any(|(known, _)| *known == answer) {
            continue;
        }
        let given = match source {
            SecretSource::KeyVault(secret) => json!({ "value": secret.reference() }),
            // Left out, it would be left out of the installation too. Our vault is not open to deployments,
            // so none could read it there.
            _ if optional(&answer) => {
                parameters.insert("keepMimecastLogin".to_owned(), json!({ "value": true }));
                continue;
            }
            _ => continue,
        };
        parameters.insert(parameter_of(&answer).to_owned(), given);
    }
    Ok(parameters)
}

fn cloud(profile: &CloudProfile) -> String {
    if profile.custom() { json!(profile).to_string() } else { profile.name.clone() }
}
