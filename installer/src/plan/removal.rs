//! Plans a teardown: everything of ours, in the reverse of the order in which it was made.

mod purge;

use std::collections::BTreeSet;

use serde_json::Value;

use super::change::Change;
use super::content;
use super::desired::{self, Ids};
use super::step::{Action, Finding, Step};
use super::template::{TemplateError, Templates, api_version};
use super::{Plan, installation_of};
use crate::answers::intent::TunedContent;
use crate::inventory::Inventory;
use crate::inventory::leftovers::Leftovers;

/// How much is taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extent {
    /// Everything of ours but the tables.
    Everything,
    /// The storage account and the vault stay as well.
    KeepData,
    /// The deleted vault goes for good, and so do these tables, where nothing else needs them.
    Purge {
        /// Names of the tables.
        tables: BTreeSet<String>,
    },
}

/// What a teardown is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The installation's name.
    pub installation: String,
    /// Subscription.
    pub subscription_id: String,
    /// Resource group.
    pub resource_group: String,
}

/// Order of removal by type: a later one is taken away only when the earlier ones are gone. The rule
/// is the last but the identity, since it says which workspace the rows went to.
const ORDER: &[&str] = &[
    "Microsoft.Insights/workbooks",
    "Microsoft.Web/sites",
    "Microsoft.Web/serverfarms",
    "Microsoft.Insights/components",
    "Microsoft.Storage/storageAccounts",
    "Microsoft.KeyVault/vaults",
    "Microsoft.Insights/dataCollectionRules",
    "Microsoft.ManagedIdentity/userAssignedIdentities",
];

/// Plans the removal of an installation.
///
/// # Errors
/// [`TemplateError`] when no API version is pinned for a type; that is our fault.
pub fn removal(
    subject: &Subject,
    inventory: &Inventory,
    leftovers: &Leftovers,
    extent: &Extent,
) -> Result<Plan, TemplateError> {
    let ids = Ids::of(&subject.subscription_id, &subject.resource_group, &inventory.names);
    let mut steps: Vec<Step> = Vec::new();
    let mut findings = Vec::new();
    let kept_by_extent = |kind: &str| {
        *extent == Extent::KeepData
            && ["Microsoft.Storage/storageAccounts", "Microsoft.KeyVault/vaults"]
                .iter()
                .any(|data| kind.eq_ignore_ascii_case(data))
    };

    let library = Templates::read()?.library();
    steps.extend(content::removal::steps(&subject.installation, inventory, library, &BTreeSet::new())?);
    // Roles go before their principal: one whose principal is gone shows as unknown for ever.
    let assignments = api_version("Microsoft.Authorization/roleAssignments")?;
    let principal = inventory
        .resource(&ids.identity)
        .and_then(|identity| identity["properties"]["principalId"].as_str())
        .unwrap_or_default();
    for assignment in &inventory.assignments {
        let ours = !principal.is_empty() && assignment.principal_id.eq_ignore_ascii_case(principal)
            || assignment.description.ends_with("(mimecast-sentinel)");
        if ours {
            let role = desired::role_name(&assignment.role).unwrap_or("role");
            let scope = assignment.scope.rsplit('/').next().unwrap_or_default();
            steps.push(delete(
                format!("role/{}", steps.len()),
                format!("role `{role}` on `{scope}`"),
                &assignment.id,
                assignments,
                Vec::new(),
            ));
        }
    }
    let mut before: Vec<String> = steps.iter().map(|step| step.key.clone()).collect();

    for kind in ORDER {
        let mut these = match *kind {
            "Microsoft.Insights/components" => smart_detection(leftovers, &before, &mut steps)?,
            "Microsoft.Insights/dataCollectionRules" => {
                purge::tables(leftovers, extent, &before, &mut steps, &mut findings)?
            }
            _ => Vec::new(),
        };
        for resource in &inventory.owned {
            let (Some(id), Some(actual)) = (resource["id"].as_str(), resource["type"].as_str()) else {
                continue;
            };
            if !actual.eq_ignore_ascii_case(kind) || installation_of(resource) != Some(&subject.installation)
            {
                continue;
            }
            let name = id.rsplit('/').next().unwrap_or_default();
            if kept_by_extent(kind) {
                findings.push(Finding::notes("kept", format!("`{name}` stays, with its data")));
                continue;
            }
            if *kind == "Microsoft.Insights/dataCollectionRules" {
                let setting = format!("{id}/providers/Microsoft.Insights/diagnosticSettings/{name}-errors");
                steps.push(delete(
                    format!("delete/{name}-errors"),
                    format!("diagnostic setting of `{name}`"),
                    &setting,
                    api_version("Microsoft.Insights/diagnosticSettings")?,
                    before.clone(),
                ));
                these.push(format!("delete/{name}-errors"));
            }
            let key = format!("delete/{name}");
            let mut after = before.clone();
            after.extend(these.iter().cloned());
            let title = format!("{} `{name}`", noun(kind));
            steps.push(delete(key.clone(), title, id, api_version(kind)?, after));
            if *kind == "Microsoft.KeyVault/vaults" {
                let vault = inventory.resource(id).unwrap_or(resource);
                purge::vault(subject, vault, leftovers, extent, &key, &mut steps, &mut findings)?;
            }
            these.push(key);
        }
        if !these.is_empty() {
            before.extend(these);
        }
    }
    for resource in &inventory.owned {
        let known = resource["type"]
            .as_str()
            .is_some_and(|actual| ORDER.iter().any(|kind| kind.eq_ignore_ascii_case(actual)));
        if !known {
            findings.push(Finding::warns(
                "unknown-kind",
                format!(
                    "`{}` carries the installation's tag and is of a kind that we do not make",
                    resource["id"].as_str().unwrap_or_default()
                ),
                "it is left alone",
            ));
        }
    }

    purge::deleted_vaults(leftovers, extent, &mut steps, &mut findings)?;
    for id in &leftovers.unmarked {
        findings.push(Finding::warns(
            "unmarked",
            format!("`{id}` has a name of this installation and not its tag"),
            "it is left alone; remove it yourself if it is of no more use",
        ));
    }

    let group_is_ours = inventory
        .resource(&ids.group)
        .is_some_and(|group: &Value| installation_of(group) == Some(&subject.installation));
    if group_is_ours && *extent != Extent::KeepData {
        steps.push(Step {
            key: "delete/group".to_owned(),
            title: format!("resource group `{}`, if nothing else is in it", subject.resource_group),
            action: Action::DeleteEmptyGroup {
                id: ids.group.clone(),
                api_version: api_version("Microsoft.Resources/resourceGroups")?.to_owned(),
            },
            depends_on: before,
            change: Change::Delete,
            undo: None,
        });
    }
    Ok(Plan {
        installation: subject.installation.clone(),
        version: desired::VERSION.to_owned(),
        subscription_id: subject.subscription_id.clone(),
        resource_group: subject.resource_group.clone(),
        workspace_id: inventory.workspace.id.clone(),
        function_app_id: ids.function_app,
        answers: String::new(),
        tuned_content: TunedContent::Keep,
        steps,
        kept: Vec::new(),
        findings,
    })
}

/// Deletes what Application Insights made by itself for our component: before the component, so that a
/// teardown that is stopped between them knows at the next attempt that they are ours.
fn smart_detection(
    leftovers: &Leftovers,
    before: &[String],
    steps: &mut Vec<Step>,
) -> Result<Vec<String>, TemplateError> {
    let mut keys: Vec<String> = Vec::new();
    for resource in &leftovers.smart_detection {
        let (Some(id), Some(kind)) = (resource["id"].as_str(), resource["type"].as_str()) else { continue };
        let name = id.rsplit('/').next().unwrap_or_default();
        let key = format!("delete/{name}");
        let after = before.iter().chain(&keys).cloned().collect();
        let title = format!("`{name}`, which Application Insights made by itself");
        steps.push(delete(key.clone(), title, id, api_version(kind)?, after));
        keys.push(key);
    }
    Ok(keys)
}

fn noun(kind: &str) -> &'static str {
    match kind {
        "Microsoft.Insights/workbooks" => "workbook",
        "Microsoft.Web/sites" => "Function App",
        "Microsoft.Web/serverfarms" => "App Service plan",
        "Microsoft.Insights/components" => "Application Insights",
        "Microsoft.Storage/storageAccounts" => "storage account",
        "Microsoft.KeyVault/vaults" => "Key Vault",
        "Microsoft.Insights/dataCollectionRules" => "data collection rule",
        "Microsoft.ManagedIdentity/userAssignedIdentities" => "managed identity",
        _ => "resource",
    }
}

fn delete(key: String, title: String, id: &str, api_version: &str, depends_on: Vec<String>) -> Step {
    Step {
        key,
        title,
        action: Action::Delete { id: id.to_owned(), api_version: api_version.to_owned() },
        depends_on,
        change: Change::Delete,
        undo: None,
    }
}
