//! Plan: an [`Intent`] and an [`Inventory`] in; ordered steps and findings out. Pure.
//!
//! The plan is a value: so detailed that carrying it out needs no choice. Printing it is `plan`,
//! running it is `install`, running the undos is `teardown`. It holds no secret.

pub mod change;
pub mod content;
pub mod desired;
mod foreign;
pub mod ids;
mod moved;
pub mod output;
pub(crate) mod publish;
pub mod removal;
mod resource;
mod role;
pub mod rotation;
mod secret;
pub mod setting;
mod site;
pub mod step;
pub mod table;
pub mod template;
#[cfg(test)]
mod tests;
mod title;
pub mod trial;
pub mod unproven;
mod vault;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::answers::intent::{Intent, TunedContent};
use crate::inventory::Inventory;
use change::Change;
use desired::Desired;
use ids::Ids;
pub use role::role_command;
pub use step::{Action, Finding, PackageBefore, Rotation, Severity, Step, Trial, Tuned, Watched};
use template::{TemplateError, Templates};
pub use unproven::Unproven;

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
    /// Content that a person has changed, and that is left as it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tuned: Vec<Tuned>,
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
        Some(limit_secs) => planner.trial(package, None, limit_secs)?,
        None => planner.prune(),
    }
    planner.take_back()?;
    planner.end_trial();
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
    planner.end_trial();
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
    tuned: Vec<Tuned>,
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
            tuned: Vec::new(),
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
            tuned: self.tuned,
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
