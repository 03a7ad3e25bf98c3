//! Plans the Function App: the site like any resource, its settings merged with what is there.

use std::collections::BTreeMap;

use contract::settings::{self as contract_settings, KEY_VAULT_REFERENCE_PREFIX, MIMECAST_SENTINEL_ANSWERS};
use serde_json::{Value, json};

use super::change::{Change, PropertyChange, differences};
use super::desired::Desired;
use super::resource::keep_tags;
use super::setting;
use super::step::{Action, Finding, Step};
use super::template::TemplateError;
use super::{Planner, output};
use crate::answers::recorded;

/// A key that Azure puts among the settings against the identity (BR-105). The name alone: with the suffixes it is
/// our own.
pub(super) const INJECTED: &str = "AzureWebJobsStorage";
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
        let mut wanted: Vec<Value> = resource.body["properties"]["siteConfig"]
            .as_object_mut()
            .and_then(|config| config.remove("appSettings"))
            .and_then(|settings| settings.as_array().cloned())
            .unwrap_or_default();
        let named = |name: &str| wanted.iter().any(|each| each["name"] == name);
        // What other answers wrote, or a person: the worker would go on by it.
        let obsolete: Vec<Value> = setting::of_answers()
            .filter(|name| !named(name))
            .map(|name| json!({ "name": name, "value": Value::Null }))
            .collect();
        wanted.extend(obsolete);
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

    /// Plans these settings, names with values, and leaves all others alone but the one that Azure injects.
    /// One whose value is null is taken away.
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
        let mut remove = Vec::new();
        let mut changes = Vec::new();
        for setting in wanted {
            let Some(name) = setting["name"].as_str() else { continue };
            let before = actual.get(name);
            let Some(value) = setting["value"].as_str() else {
                if let Some(before) = before {
                    remove.push(name.to_owned());
                    changes.push(PropertyChange {
                        path: format!("settings.{name}"),
                        before: Some(shown(name, before)),
                        after: Value::Null,
                    });
                }
                continue;
            };
            let unknown = output::pending(value) && before.is_some();
            // The answers are recorded by the template too, in an order of its own.
            let same = name == MIMECAST_SENTINEL_ANSWERS
                && before.is_some_and(|before| recorded::same(before, value));
            if before.map(String::as_str) != Some(value) && !unknown && !same {
                set.insert(name.to_owned(), value.to_owned());
                changes.push(PropertyChange {
                    path: format!("settings.{name}"),
                    before: before.map(|value| shown(name, value)),
                    after: Value::from(value),
                });
            }
        }
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

/// A setting's value as a plan shows it: whoever wrote a secret where only a reference belongs shall not
/// find it in a plan.
fn shown(name: &str, value: &str) -> Value {
    let secret = contract_settings::ALL.iter().any(|setting| setting.name == name && setting.secret);
    if secret && !value.starts_with(KEY_VAULT_REFERENCE_PREFIX) {
        return Value::from("a value that is not shown");
    }
    Value::from(value)
}
