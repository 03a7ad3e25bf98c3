//! Plans the Function App: the site like any resource, its settings merged with what is there.

use std::collections::BTreeMap;

use contract::settings::MIMECAST_SENTINEL_ANSWERS;
use serde_json::Value;

use super::change::{Change, PropertyChange, differences};
use super::desired::Desired;
use super::resource::keep_tags;
use super::step::{Action, Finding, Step};
use super::template::TemplateError;
use super::{Planner, output};
use crate::answers::recorded;

/// A key that Azure puts among the settings against the identity (BR-105). The name alone: with the suffixes it is
/// our own.
const INJECTED: &str = "AzureWebJobsStorage";
/// Key of the step that brings the app's settings to what they should be.
const SETTINGS_STEP: &str = "settings";

impl Planner<'_> {
    pub(super) fn site(&mut self, mut resource: Desired) -> Result<(), TemplateError> {
        let Some(actual) = self.inventory.resource(&resource.id) else {
            let (site_id, title) = (resource.id.clone(), resource.title.clone());
            let key = resource.key.clone();
            self.put(resource, Change::Create);
            self.steps.push(Step {
                key: SETTINGS_STEP.to_owned(),
                title: format!("settings of {title}, without a key that Azure may have added"),
                action: Action::MergeSettings {
                    site_id,
                    set: BTreeMap::new(),
                    remove: vec![INJECTED.to_owned()],
                },
                depends_on: vec![key],
                change: Change::Run,
                undo: None,
            });
            return Ok(());
        };
        if !self.ours(&resource, actual) {
            return Ok(());
        }
        let wanted: Vec<Value> = resource.body["properties"]["siteConfig"]
            .as_object_mut()
            .and_then(|config| config.remove("appSettings"))
            .and_then(|settings| settings.as_array().cloned())
            .unwrap_or_default();
        let changes = differences(&resource.body, actual);
        let (key, id) = (resource.key.clone(), resource.id.clone());
        let (title, mut before_settings) = (resource.title.clone(), resource.depends_on.clone());
        if changes.is_empty() {
            self.keep(&resource);
        } else {
            keep_tags(&mut resource.body, actual);
            self.put(resource, Change::Update(changes));
            before_settings.push(key);
        }
        self.merge_settings(&wanted, &id, &title, before_settings);
        Ok(())
    }

    pub(super) fn merge_settings(
        &mut self,
        wanted: &[Value],
        site_id: &str,
        title: &str,
        depends_on: Vec<String>,
    ) {
        let empty = BTreeMap::new();
        let actual = self.inventory.settings.as_ref().unwrap_or(&empty);
        let mut set = BTreeMap::new();
        let mut changes = Vec::new();
        for setting in wanted {
            let (Some(name), Some(value)) = (setting["name"].as_str(), setting["value"].as_str()) else {
                continue;
            };
            let before = actual.get(name);
            let unknown = output::pending(value) && before.is_some();
            // The answers are recorded by the template too, in an order of its own.
            let same = name == MIMECAST_SENTINEL_ANSWERS
                && before.is_some_and(|before| recorded::same(before, value));
            if before.map(String::as_str) != Some(value) && !unknown && !same {
                set.insert(name.to_owned(), value.to_owned());
                changes.push(PropertyChange {
                    path: format!("settings.{name}"),
                    before: before.map(|value| Value::from(value.as_str())),
                    after: Value::from(value),
                });
            }
        }
        let mut remove = Vec::new();
        if actual.contains_key(INJECTED) {
            remove.push(INJECTED.to_owned());
            changes.push(PropertyChange {
                path: format!("settings.{INJECTED}"),
                before: Some(Value::from("present")),
                after: Value::Null,
            });
            self.findings.push(Finding::warns(
                "injected-setting",
                format!("the app has the setting `{INJECTED}`, which overrides the sign-in by identity"),
                "it is taken away by this plan",
            ));
        }
        if changes.is_empty() {
            return;
        }
        self.steps.push(Step {
            key: SETTINGS_STEP.to_owned(),
            title: format!("settings of {title}"),
            action: Action::MergeSettings { site_id: site_id.to_owned(), set, remove },
            depends_on,
            change: Change::Update(changes),
            undo: None,
        });
    }
}
