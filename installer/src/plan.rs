//! Plan: an [`Intent`] and an [`Inventory`] in; ordered steps and findings out. Pure.
//!
//! The plan is a value: so detailed that carrying it out needs no choice. Printing it is `plan`,
//! running it is `install`, running the undos is `teardown`. It holds no secret.

pub mod change;
pub mod content;
pub mod desired;
mod foreign;
mod moved;
pub mod output;
pub(crate) mod publish;
pub mod removal;
pub mod rotation;
pub mod setting;
mod site;
pub mod step;
pub mod table;
pub mod template;
#[cfg(test)]
mod tests;
pub mod trial;

use std::collections::BTreeMap;

use contract::settings::MIMECAST_SENTINEL_ANSWERS;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::answers::intent::{Intent, OnDeletedVault, RoleAssignments, TunedContent};
use crate::answers::recorded;
use crate::inventory::{Inventory, installation_of};
use change::{Change, PropertyChange, differences};
use desired::{Conduct, Desired, Ids};
pub use step::{Action, Finding, PackageBefore, Rotation, Severity, Step, Trial, Watched};
use template::{TemplateError, Templates};

/// The worker package that shall run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageFacts {
    /// SHA-256, in lower-case hexadecimal digits.
    pub sha256: String,
    /// Its size.
    pub size_bytes: u64,
    /// Where it comes from.
    pub source: PackageSource,
}

/// Where a worker package comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackageSource {
    /// It was given, or is built in.
    Given,
    /// It is kept in the storage account from an earlier publication.
    Kept,
}

/// A resource that is left as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Key, as a step would have it.
    pub key: String,
    /// For people.
    pub title: String,
}

/// What will be done, in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The installation's name.
    pub installation: String,
    /// Version of the installer that made the plan.
    pub version: String,
    /// Subscription.
    pub subscription_id: String,
    /// Resource group.
    pub resource_group: String,
    /// Path of the workspace, which is never written to.
    pub workspace_id: String,
    /// Path of the Function App.
    pub function_app_id: String,
    /// The answers that it was made from, as compact JSON without secrets.
    pub answers: String,
    /// What it does about content that a person has changed by hand.
    pub tuned_content: TunedContent,
    /// The steps. Each comes after those that it depends on.
    pub steps: Vec<Step>,
    /// What is there already and right.
    pub kept: Vec<Kept>,
    /// What was seen on the way.
    pub findings: Vec<Finding>,
}

impl Plan {
    /// Whether a finding forbids carrying it out.
    pub fn refused(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Refuses)
    }

    /// Whether there is nothing to do.
    pub fn empty(&self) -> bool {
        self.steps.is_empty()
    }
}

/// Plans an installation or a change of one.
///
/// # Errors
/// [`TemplateError`] when a template does not give a resource; that is our fault, never the
/// person's.
pub fn plan(
    intent: &Intent,
    inventory: &Inventory,
    package: Option<&PackageFacts>,
) -> Result<Plan, TemplateError> {
    made(intent, inventory, package, None)
}

/// Plans an upgrade: the same as [`plan`], with a trial at its end that puts back what ran before
/// where no good run is seen. Each thing that has to come is waited for `limit_secs`.
///
/// # Errors
/// As [`plan`].
pub fn upgrade(
    intent: &Intent,
    inventory: &Inventory,
    package: Option<&PackageFacts>,
    limit_secs: u64,
) -> Result<Plan, TemplateError> {
    made(intent, inventory, package, Some(limit_secs))
}

fn made(
    intent: &Intent,
    inventory: &Inventory,
    package: Option<&PackageFacts>,
    trial_limit_secs: Option<u64>,
) -> Result<Plan, TemplateError> {
    let templates = Templates::read()?;
    let resources = desired::desired(templates, intent, inventory)?;
    let ids = Ids::of(&intent.subscription_id, &intent.resource_group, &inventory.names);
    let mut planner = Planner::new(intent, inventory, templates, &ids, &resources);
    planner.sentinel();
    planner.providers()?;
    for mut resource in resources {
        if resource.key == "function_app" {
            planner.checkpoint()?;
            if let Some(package) = package {
                publish::name_package(&mut resource.body, &package.sha256);
            }
            planner.foreign_secrets()?;
        }
        planner.resource(resource)?;
    }
    planner.asim()?;
    planner.unwanted_content()?;
    planner.package(package)?;
    match trial_limit_secs {
        Some(limit_secs) => planner.trial(package, limit_secs),
        None => planner.prune(),
    }
    planner.take_back()?;
    Ok(planner.finish())
}

/// Plans going back to the package that ran before the present one, and nothing else.
///
/// # Errors
/// As [`plan`].
pub fn rollback(intent: &Intent, inventory: &Inventory, limit_secs: u64) -> Result<Plan, TemplateError> {
    let templates = Templates::read()?;
    let resources = desired::desired(templates, intent, inventory)?;
    let ids = Ids::of(&intent.subscription_id, &intent.resource_group, &inventory.names);
    let mut planner = Planner::new(intent, inventory, templates, &ids, &resources);
    planner.go_back(limit_secs)?;
    planner.take_back()?;
    Ok(planner.finish())
}

struct Planner<'a> {
    intent: &'a Intent,
    inventory: &'a Inventory,
    templates: &'a Templates,
    ids: &'a Ids,
    /// Path of the resource of each key, to look values up that are known already.
    known: BTreeMap<String, String>,
    steps: Vec<Step>,
    kept: Vec<Kept>,
    findings: Vec<Finding>,
}

impl<'a> Planner<'a> {
    fn new(
        intent: &'a Intent,
        inventory: &'a Inventory,
        templates: &'a Templates,
        ids: &'a Ids,
        resources: &[Desired],
    ) -> Self {
        Self {
            intent,
            inventory,
            templates,
            ids,
            known: resources.iter().map(|resource| (resource.key.clone(), resource.id.clone())).collect(),
            steps: Vec::new(),
            kept: Vec::new(),
            findings: Vec::new(),
        }
    }

    fn finish(self) -> Plan {
        Plan {
            installation: self.intent.name.clone(),
            version: desired::VERSION.to_owned(),
            subscription_id: self.intent.subscription_id.clone(),
            resource_group: self.intent.resource_group.clone(),
            workspace_id: self.inventory.workspace.id.clone(),
            function_app_id: self.ids.function_app.clone(),
            answers: self.intent.recorded.clone(),
            tuned_content: self.intent.tuned_content,
            steps: self.steps,
            kept: self.kept,
            findings: self.findings,
        }
    }
}

impl Planner<'_> {
    fn keep(&mut self, resource: &Desired) {
        self.kept.push(Kept { key: resource.key.clone(), title: resource.title.clone() });
    }

    fn known(&self, step: &str, pointer: &str) -> Option<String> {
        output::look_up(self.inventory.resource(self.known.get(step)?)?, pointer)
    }

    fn has_step(&self, key: &str) -> bool {
        self.steps.iter().any(|step| step.key == key)
    }

    fn providers(&mut self) -> Result<(), TemplateError> {
        for provider in &self.inventory.providers {
            if provider.registered == Some(false) {
                self.steps.push(Step {
                    key: format!("provider/{}/{}", provider.subscription_id, provider.namespace),
                    title: format!("resource provider `{}`", provider.namespace),
                    action: Action::RegisterProvider {
                        subscription_id: provider.subscription_id.clone(),
                        namespace: provider.namespace.clone(),
                    },
                    depends_on: Vec::new(),
                    change: Change::Run,
                    undo: None,
                });
            }
        }
        Ok(())
    }

    fn resource(&mut self, mut resource: Desired) -> Result<(), TemplateError> {
        let known = |step: &str, pointer: &str| self.known(step, pointer);
        output::fill(&mut resource.body, &known);
        resource.id = output::fill_text(&resource.id, &known);
        let namespace = resource.resource_type.split('/').next().unwrap_or_default().to_owned();
        let registrations: Vec<String> = self
            .steps
            .iter()
            .filter(|step| {
                matches!(&step.action, Action::RegisterProvider { namespace: each, .. } if each.eq_ignore_ascii_case(&namespace))
            })
            .map(|step| step.key.clone())
            .collect();
        resource.depends_on.extend(registrations);
        if resource.key == "function_app" {
            // The app reads its references when it is made.
            let roles = self.steps.iter().filter(|step| step.key.starts_with(foreign::ROLE_KEYS));
            resource.depends_on.extend(roles.map(|step| step.key.clone()).collect::<Vec<_>>());
        }

        match resource.conduct.clone() {
            Conduct::Role => {
                self.role(resource);
                Ok(())
            }
            Conduct::Secret(answer) => {
                self.secret(resource, answer);
                Ok(())
            }
            Conduct::Site => self.site(resource),
            Conduct::Group => {
                self.group(resource);
                Ok(())
            }
            Conduct::Table => {
                self.table(resource);
                Ok(())
            }
            Conduct::Own => {
                self.own(resource);
                Ok(())
            }
            Conduct::Content => {
                self.content(resource);
                Ok(())
            }
        }
    }

    fn put(&mut self, resource: Desired, change: Change) {
        let undo = match (&change, &resource.conduct) {
            (Change::Create, Conduct::Own | Conduct::Site | Conduct::Content) => {
                Some(Action::Delete { id: resource.id.clone(), api_version: resource.api_version.to_owned() })
            }
            (Change::Create, Conduct::Group) => Some(Action::DeleteEmptyGroup {
                id: resource.id.clone(),
                api_version: resource.api_version.to_owned(),
            }),
            _ => None,
        };
        self.steps.push(Step {
            key: resource.key,
            title: resource.title,
            action: Action::PutResource {
                id: resource.id,
                api_version: resource.api_version.to_owned(),
                body: resource.body,
            },
            depends_on: resource.depends_on,
            change,
            undo,
        });
    }

    /// Whether a resource that is there may be changed: it carries our mark, or it is part of one
    /// that does.
    fn ours(&mut self, resource: &Desired, actual: &Value) -> bool {
        let takes_tags = resource.body.get("tags").is_some();
        if !takes_tags || installation_of(actual) == Some(self.intent.name.as_str()) {
            return true;
        }
        let whose = installation_of(actual)
            .map(|other| format!("belongs to the installation `{other}`"))
            .unwrap_or_else(|| "does not carry this installation's tag".to_owned());
        self.findings.push(Finding::refuses(
            "stranger",
            format!("{} is there already and {whose}; it is left alone", resource.title),
            format!("choose another `name`, or remove `{}` yourself", resource.id),
        ));
        false
    }

    fn own(&mut self, mut resource: Desired) {
        let Some(actual) = self.inventory.resource(&resource.id) else {
            if resource.resource_type == "Microsoft.KeyVault/vaults" {
                self.deleted_vault(&mut resource);
            }
            return self.put(resource, Change::Create);
        };
        if !self.ours(&resource, actual) || self.sends_elsewhere(&resource, actual) {
            return;
        }
        // Taking a vault back is for one that is deleted; this one is there.
        if let Some(properties) = resource.body.get_mut("properties").and_then(Value::as_object_mut) {
            properties.remove("createMode");
        }
        let changes = differences(&resource.body, actual);
        if changes.is_empty() {
            return self.keep(&resource);
        }
        keep_tags(&mut resource.body, actual);
        self.put(resource, Change::Update(changes));
    }

    fn deleted_vault(&mut self, resource: &mut Desired) {
        if let Some(deleted) = &self.inventory.deleted_vault {
            if deleted.ours && self.intent.on_deleted_vault == OnDeletedVault::Purge {
                let key = "key_vault/purge".to_owned();
                self.steps.push(Step {
                    key: key.clone(),
                    title: format!("deleted {}, purged for good", resource.title),
                    action: Action::PurgeVault {
                        id: deleted.id.clone(),
                        api_version: resource.api_version.to_owned(),
                    },
                    depends_on: resource.depends_on.clone(),
                    change: Change::Run,
                    undo: None,
                });
                resource.depends_on.push(key);
            } else if deleted.ours {
                self.findings.push(Finding::notes(
                    "deleted-vault",
                    format!(
                        "{} was deleted and is recovered, with the secrets that were in it",
                        resource.title
                    ),
                ));
            } else {
                self.findings.push(Finding::refuses(
                    "deleted-vault",
                    format!(
                        "the name of {} is held by a deleted vault that was `{}`",
                        resource.title, deleted.vault_id
                    ),
                    "choose another `name`, or have that vault purged by its owner",
                ));
            }
        }
    }

    fn group(&mut self, resource: Desired) {
        if self.inventory.resource(&resource.id).is_some() {
            return self.keep(&resource);
        }
        if !self.intent.create_resource_group {
            self.findings.push(Finding::refuses(
                "resource-group",
                format!("{} is not there", resource.title),
                "make it, or set `azure.create_resource_group: true`",
            ));
        }
        self.put(resource, Change::Create);
    }

    fn table(&mut self, mut resource: Desired) {
        let Some(actual) = self.inventory.resource(&resource.id) else {
            return self.put(resource, Change::Create);
        };
        let name = resource.id.rsplit('/').next().unwrap_or_default().to_owned();
        let columns = if name == contract::streams::AUDIT_TABLE {
            contract::streams::AUDIT_COLUMNS
        } else {
            contract::streams::HEALTH_COLUMNS
        };
        self.findings.extend(table::findings(self.intent, &name, columns, actual));
        if table::classic(actual) && self.intent.migrate_classic_table {
            let key = format!("{}/migrate", resource.key);
            self.steps.push(Step {
                key: key.clone(),
                title: format!("migration of the classic table `{name}`"),
                action: Action::MigrateTable {
                    id: resource.id.clone(),
                    api_version: resource.api_version.to_owned(),
                },
                depends_on: resource.depends_on.clone(),
                change: Change::Run,
                undo: None,
            });
            resource.depends_on.push(key);
        }
        let changes = differences(&resource.body, actual);
        if changes.is_empty() {
            return self.keep(&resource);
        }
        self.put(resource, Change::Update(changes));
    }

    fn secret(&mut self, resource: Desired, answer: String) {
        let actual = self.inventory.resource(&resource.id);
        let changes = if actual.is_some() { self.account_changes(&answer) } else { Vec::new() };
        if let Some(actual) = actual.filter(|_| changes.is_empty()) {
            let version = actual["properties"]["secretUriWithVersion"]
                .as_str()
                .and_then(|uri| uri.rsplit('/').next())
                .map(|version| format!(", version {version}"))
                .unwrap_or_default();
            self.kept.push(Kept {
                key: resource.key.clone(),
                title: format!("{} (its value is kept{version})", resource.title),
            });
            return;
        }
        let vault_uri = output::mark("key_vault", "/properties/vaultUri");
        self.steps.push(Step {
            key: resource.key,
            title: resource.title,
            action: Action::PutSecret {
                vault_id: self.ids.key_vault.clone(),
                vault_uri: output::fill_text(&vault_uri, &|step, pointer| self.known(step, pointer)),
                name: resource.id.rsplit('/').next().unwrap_or_default().to_owned(),
                answer,
            },
            depends_on: resource.depends_on,
            change: if changes.is_empty() { Change::Create } else { Change::Update(changes) },
            // It goes with its vault.
            undo: None,
        });
    }

    /// What the secret of one of several accounts holds beside its secrets, as far as it differs from what
    /// was recorded when it was written: its value cannot be compared, and no app setting has it.
    fn account_changes(&self, path: &str) -> Vec<PropertyChange> {
        let account = self.intent.accounts.iter().find(|account| account.path == path);
        let settings = self.inventory.settings.as_ref();
        let recorded = settings.and_then(|settings| settings.get(MIMECAST_SENTINEL_ANSWERS));
        let (Some(account), Some(recorded)) = (account, recorded) else { return Vec::new() };
        let changes = recorded::account_differences(recorded, &self.intent.recorded, &account.key);
        changes
            .into_iter()
            .map(|(word, before, after)| PropertyChange {
                path: word,
                before: before.map(Value::from),
                after: after.map_or(Value::Null, Value::from),
            })
            .collect()
    }

    fn role(&mut self, resource: Desired) {
        let scope = resource.scope.clone().unwrap_or_default();
        let principal = resource.body["properties"]["principalId"].as_str().unwrap_or_default().to_owned();
        let role = resource.body["properties"]["roleDefinitionId"]
            .as_str()
            .and_then(|id| id.rsplit('/').next())
            .unwrap_or_default()
            .to_owned();
        if self.inventory.assignments.iter().any(|each| each.is(&scope, &principal, &role)) {
            return self.keep(&resource);
        }
        if self.intent.role_assignments == RoleAssignments::External {
            self.findings.push(Finding::warns(
                "role-to-give",
                format!("{} is to be given by an administrator, and is waited for", resource.title),
                role_command(&scope, &output::readable(&principal), &role),
            ));
            self.steps.push(Step {
                key: resource.key,
                title: resource.title,
                action: Action::AwaitRole {
                    scope,
                    api_version: resource.api_version.to_owned(),
                    principal_id: principal,
                    role,
                },
                depends_on: resource.depends_on,
                change: Change::Run,
                undo: None,
            });
            return;
        }
        let api_version = resource.api_version.to_owned();
        self.steps.push(Step {
            key: resource.key,
            title: resource.title,
            action: Action::AssignRole {
                scope: scope.clone(),
                api_version: api_version.clone(),
                body: resource.body,
            },
            depends_on: resource.depends_on,
            change: Change::Create,
            undo: Some(Action::UnassignRole { scope, api_version, principal_id: principal, role }),
        });
    }
}

/// The command by which an administrator gives a role.
pub fn role_command(scope: &str, principal_id: &str, role: &str) -> String {
    format!(
        "az role assignment create --role {role} --assignee-object-id '{principal_id}' --assignee-principal-type ServicePrincipal --scope '{scope}'"
    )
}

/// The value of a tag of a resource.
pub fn tag<'a>(resource: &'a Value, name: &str) -> Option<&'a str> {
    let tags = resource.get("tags")?.as_object()?;
    tags.iter()
        .find(|(each, _)| each.eq_ignore_ascii_case(name))?
        .1
        .as_str()
        .filter(|value| !value.is_empty())
}

/// Adds the tags that a resource has to the body that is to be written: a write replaces them all,
/// and a person's own stay.
fn keep_tags(body: &mut Value, actual: &Value) {
    let (Some(wanted), Some(there)) =
        (body.get_mut("tags").and_then(Value::as_object_mut), actual.get("tags").and_then(Value::as_object))
    else {
        return;
    };
    for (name, value) in there {
        if !wanted.keys().any(|each| each.eq_ignore_ascii_case(name)) {
            wanted.insert(name.clone(), value.clone());
        }
    }
}
