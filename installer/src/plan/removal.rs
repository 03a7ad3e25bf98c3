//! Plans a teardown: everything of ours, in the reverse of the order in which it was made.

mod purge;

use std::collections::BTreeSet;

use super::Plan;
use super::change::Change;
use super::content;
use super::desired;
use super::ids::Ids;
use super::step::{Action, Finding, Step};
use super::template::{TemplateError, Templates, api_version};
use super::title::role_name;
use crate::answers::intent::TunedContent;
use crate::inventory::leftovers::Leftovers;
use crate::inventory::{Inventory, installation_of};

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

/// Kinds that hold data, which may be kept.
const DATA: [&str; 2] = ["Microsoft.Storage/storageAccounts", "Microsoft.KeyVault/vaults"];

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
    let mut removal =
        Removal { subject, inventory, leftovers, extent, ids, steps: Vec::new(), findings: Vec::new() };
    let library = Templates::read()?.library();
    removal.steps = content::removal::steps(&subject.installation, inventory, library, &BTreeSet::new())?;
    removal.roles()?;
    // Each kind goes when everything before it is gone.
    let mut before: Vec<String> = removal.steps.iter().map(|step| step.key.clone()).collect();
    for kind in ORDER {
        let these = removal.kind(kind, &before)?;
        before.extend(these);
    }
    removal.deleted_vaults()?;
    removal.strangers();
    removal.unseen();
    removal.group(before)?;
    Ok(removal.finish())
}

/// A teardown that is being planned.
struct Removal<'a> {
    subject: &'a Subject,
    inventory: &'a Inventory,
    leftovers: &'a Leftovers,
    extent: &'a Extent,
    ids: Ids,
    steps: Vec<Step>,
    findings: Vec<Finding>,
}

impl Removal<'_> {
    /// Roles go before their principal: one whose principal is gone shows as unknown for ever.
    fn roles(&mut self) -> Result<(), TemplateError> {
        let version = api_version("Microsoft.Authorization/roleAssignments")?;
        let principal = self
            .inventory
            .resource(&self.ids.identity)
            .and_then(|identity| identity["properties"]["principalId"].as_str())
            .unwrap_or_default();
        for assignment in &self.inventory.assignments {
            let ours = !principal.is_empty() && assignment.principal_id.eq_ignore_ascii_case(principal)
                || assignment.description.ends_with("(mimecast-sentinel)");
            if ours {
                let role = role_name(&assignment.role).unwrap_or("role");
                let scope = assignment.scope.rsplit('/').next().unwrap_or_default();
                let key = format!("role/{}", self.steps.len());
                let title = format!("role `{role}` on `{scope}`");
                self.steps.push(delete(key, title, &assignment.id, version, Vec::new()));
            }
        }
        Ok(())
    }

    /// Everything of ours of one kind, and what goes with it; gives the keys of the steps.
    fn kind(&mut self, kind: &str, before: &[String]) -> Result<Vec<String>, TemplateError> {
        let mut these = match kind {
            "Microsoft.Insights/components" => self.smart_detection(before)?,
            "Microsoft.Insights/dataCollectionRules" => self.tables(before)?,
            _ => Vec::new(),
        };
        let inventory = self.inventory;
        for resource in &inventory.owned {
            let (Some(id), Some(actual)) = (resource["id"].as_str(), resource["type"].as_str()) else {
                continue;
            };
            if !actual.eq_ignore_ascii_case(kind)
                || installation_of(resource) != Some(&self.subject.installation)
            {
                continue;
            }
            let name = id.rsplit('/').next().unwrap_or_default();
            if *self.extent == Extent::KeepData && DATA.contains(&kind) {
                self.findings.push(Finding::notes("kept", format!("`{name}` stays, with its data")));
                continue;
            }
            if kind == "Microsoft.Insights/dataCollectionRules" {
                let key = format!("delete/{name}-errors");
                let title = format!("diagnostic setting of `{name}`");
                let setting = format!("{id}/providers/Microsoft.Insights/diagnosticSettings/{name}-errors");
                let version = api_version("Microsoft.Insights/diagnosticSettings")?;
                self.steps.push(delete(key.clone(), title, &setting, version, before.to_vec()));
                these.push(key);
            }
            let key = format!("delete/{name}");
            let after = before.iter().chain(&these).cloned().collect();
            // A workbook's name is a GUID; people know it by what it is shown as.
            let shown = inventory.resource(id).and_then(|each| each["properties"]["displayName"].as_str());
            let title = format!("{} `{}`", noun(kind), shown.unwrap_or(name));
            self.steps.push(delete(key.clone(), title, id, api_version(kind)?, after));
            if kind == "Microsoft.KeyVault/vaults" {
                self.vault(inventory.resource(id).unwrap_or(resource), &key)?;
            }
            these.push(key);
        }
        Ok(these)
    }

    /// Deletes what Application Insights made by itself for our component: before the component, so that a
    /// teardown that is stopped between them knows at the next attempt that they are ours.
    fn smart_detection(&mut self, before: &[String]) -> Result<Vec<String>, TemplateError> {
        let mut keys: Vec<String> = Vec::new();
        for resource in &self.leftovers.smart_detection {
            let (Some(id), Some(kind)) = (resource["id"].as_str(), resource["type"].as_str()) else {
                continue;
            };
            let name = id.rsplit('/').next().unwrap_or_default();
            let key = format!("delete/{name}");
            let after = before.iter().chain(&keys).cloned().collect();
            let title = format!("`{name}`, which Application Insights made by itself");
            self.steps.push(delete(key.clone(), title, id, api_version(kind)?, after));
            keys.push(key);
        }
        Ok(keys)
    }

    /// Names what looks like ours and is left alone.
    fn strangers(&mut self) {
        for resource in &self.inventory.owned {
            let known = resource["type"]
                .as_str()
                .is_some_and(|actual| ORDER.iter().any(|kind| kind.eq_ignore_ascii_case(actual)));
            if !known {
                let id = resource["id"].as_str().unwrap_or_default();
                self.findings.push(Finding::warns(
                    "unknown-kind",
                    format!("`{id}` carries the installation's tag and is of a kind that we do not make"),
                    "it is left alone",
                ));
            }
        }
        for id in &self.leftovers.unmarked {
            self.findings.push(Finding::warns(
                "unmarked",
                format!("`{id}` has a name of this installation and not its tag"),
                "it is left alone; remove it yourself if it is of no more use",
            ));
        }
    }

    /// Names what could not be looked for or may not be taken away, and whose turn it is.
    fn unseen(&mut self) {
        if self.inventory.workspace.id.is_empty() {
            self.findings.push(Finding::warns(
                "no-workspace",
                "which workspace the rows went to is not known any more, so rules, functions, hunting queries, \
                 ASIM lines, the connector's page and tables were not looked for",
                "name it, and what is left of them goes too: `teardown --answers FILE`, or \
                 `teardown --set workspace.resource_id=/subscriptions/…`",
            ));
        }
        let roles = &self.leftovers.foreign_roles;
        for role in &roles.kept {
            self.findings.push(Finding::warns(
                "role-stays",
                format!(
                    "the app's identity has a role on `{}`, which this account may not take away",
                    role.scope
                ),
                format!("whoever may: az role assignment delete --ids '{}'", role.id),
            ));
        }
        let list = format!(
            "whoever may: az role assignment list --all --assignee '{}', and az role assignment delete --ids …",
            roles.principal_id
        );
        for vault in &roles.unseen_vaults {
            self.findings.push(Finding::warns(
                "role-unseen",
                format!(
                    "the app reads secrets of vault `{vault}`, which is not the installation's, and no role of its \
                     identity is seen there: its owner may have one, or an access policy, to take away"
                ),
                list.clone(),
            ));
        }
        for subscription in &roles.unseen_subscriptions {
            self.findings.push(Finding::warns(
                "role-unseen",
                format!(
                    "this account may not see which roles the app's identity has in subscription {subscription}"
                ),
                list.clone(),
            ));
        }
    }

    /// The group goes when it is ours and nothing else is in it.
    fn group(&mut self, before: Vec<String>) -> Result<(), TemplateError> {
        let group = self.inventory.resource(&self.ids.group);
        let ours = group.is_some_and(|group| installation_of(group) == Some(&self.subject.installation));
        if ours && *self.extent != Extent::KeepData {
            self.steps.push(Step {
                key: "delete/group".to_owned(),
                title: format!("resource group `{}`, if nothing else is in it", self.subject.resource_group),
                action: Action::DeleteEmptyGroup {
                    id: self.ids.group.clone(),
                    api_version: api_version("Microsoft.Resources/resourceGroups")?.to_owned(),
                },
                depends_on: before,
                change: Change::Delete,
                undo: None,
            });
        }
        Ok(())
    }

    fn finish(self) -> Plan {
        Plan {
            installation: self.subject.installation.clone(),
            version: desired::VERSION.to_owned(),
            subscription_id: self.subject.subscription_id.clone(),
            resource_group: self.subject.resource_group.clone(),
            workspace_id: self.inventory.workspace.id.clone(),
            function_app_id: self.ids.function_app,
            answers: String::new(),
            tuned_content: TunedContent::Keep,
            steps: self.steps,
            kept: Vec::new(),
            tuned: Vec::new(),
            findings: self.findings,
        }
    }
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
