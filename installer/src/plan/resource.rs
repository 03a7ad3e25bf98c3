//! Plans one resource: made where it is absent, left where it is right, changed where it differs and is ours.

use serde_json::Value;

use super::change::{Change, differences};
use super::desired::{Conduct, Desired};
use super::step::{Action, Finding, Step};
use super::template::TemplateError;
use super::{Planner, foreign, output};
use crate::inventory::installation_of;

impl Planner<'_> {
    pub(super) fn resource(&mut self, mut resource: Desired) -> Result<(), TemplateError> {
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

    pub(super) fn put(&mut self, resource: Desired, change: Change) {
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
    pub(super) fn ours(&mut self, resource: &Desired, actual: &Value) -> bool {
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
}

/// Adds the tags that a resource has to the body that is to be written: a write replaces them all,
/// and a person's own stay.
pub(super) fn keep_tags(body: &mut Value, actual: &Value) {
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
