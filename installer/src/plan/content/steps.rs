//! The steps of the analyst's content.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::mark::{Found, Mark, compare, put_marks};
use super::unifier::{self, UnifierChange};
use super::{alias, item_of, remarked, removal};
use crate::answers::intent::{Rules, TunedContent};
use crate::plan::change::{Change, PropertyChange};
use crate::plan::desired::Desired;
use crate::plan::resource::keep_tags;
use crate::plan::template::{TemplateError, api_version};
use crate::plan::{Action, Finding, Planner, Step, Tuned};

/// Type of saved searches: functions and hunting queries.
pub(crate) const SEARCHES: &str = "Microsoft.OperationalInsights/workspaces/savedSearches";

impl<'a> Planner<'a> {
    /// An item of content: made when absent, brought up to date when an older version of ours wrote
    /// it, left alone when a person has tuned it, and only marked when another installation in the
    /// workspace looks after it.
    pub(in crate::plan) fn content(&mut self, mut resource: Desired) {
        let item = resource.key.trim_start_matches("content/").to_owned();
        let Some(actual) = self.present(&resource, &item) else { return self.new_content(resource) };
        if let Some(id) = actual["id"].as_str() {
            id.clone_into(&mut resource.id);
        }
        let marks = Mark::all(actual);
        let own = marks.iter().position(|mark| mark.installation == self.intent.name);
        match own {
            None if !marks.is_empty() => return self.join(resource, actual, marks),
            Some(place) if place > 0 => return self.keep(&resource),
            _ => {}
        }
        let changes = match compare(&resource.body, actual, marks.first()) {
            Found::Same => return self.keep(&resource),
            Found::Tuned(changes) if self.intent.tuned_content == TunedContent::Keep => {
                let properties: Vec<&str> = changes
                    .iter()
                    .map(|change| change.path.trim_start_matches("properties."))
                    .filter(|path| !path.is_empty())
                    .collect();
                let message = format!(
                    "{} was changed by a person ({}) and stays as it is; `--reset-content` writes ours again",
                    resource.title,
                    properties.join(", ")
                );
                self.findings.push(Finding::notes("tuned-content", message));
                self.tuned.push(Tuned { title: resource.title.clone(), changes });
                return self.keep(&resource);
            }
            Found::Outdated(changes) | Found::Tuned(changes) => changes,
        };
        let written: Vec<Mark> =
            Mark::all(&resource.body).into_iter().chain(marks.into_iter().skip(1)).collect();
        put_marks(&mut resource.body, &written);
        keep_tags(&mut resource.body, actual);
        if let (Some(etag), Some(body)) = (actual.get("etag"), resource.body.as_object_mut()) {
            body.insert("etag".to_owned(), etag.clone());
        }
        self.put(resource, Change::Update(changes));
    }

    /// What the workspace has of an item.
    fn present(&self, resource: &Desired, item: &str) -> Option<&'a Value> {
        let inventory = self.inventory;
        let is = |each: &&Value| {
            item_of(each, &inventory.workspace.id, self.templates.library()).as_deref() == Some(item)
        };
        inventory.resource(&resource.id).or_else(|| inventory.content.iter().find(is))
    }

    fn new_content(&mut self, mut resource: Desired) {
        let name = alias(&resource.body);
        let taken = self
            .inventory
            .content
            .iter()
            .find(|each| !name.is_empty() && alias(each).eq_ignore_ascii_case(name))
            .map(|each| each["id"].as_str().unwrap_or_default().to_owned());
        if let Some(id) = taken {
            // Our queries would call it and find something else in it.
            self.findings.push(Finding::refuses(
                "stranger",
                format!("another function is called as {} already", resource.title),
                format!("rename or remove `{id}`, or turn off in `content` what needs ours"),
            ));
            return;
        }
        if resource.resource_type == SEARCHES
            && let Some(body) = resource.body.as_object_mut()
        {
            // Without it Azure refuses to write over what is there, which a first attempt may have
            // left whose answer was lost.
            body.insert("etag".to_owned(), json!("*"));
        }
        self.put(resource, Change::Create);
    }

    /// Adds our mark to an item that another installation looks after.
    fn join(&mut self, mut resource: Desired, actual: &Value, mut marks: Vec<Mark>) {
        let names = |marks: &[Mark]| {
            Value::from(marks.iter().map(|mark| mark.installation.as_str()).collect::<Vec<_>>().join(", "))
        };
        let before = names(&marks);
        // What is there is the first installation's word: who inherits the item inherits that.
        let fingerprint = marks.first().map(|mark| mark.fingerprint.clone()).unwrap_or_default();
        marks.extend(
            Mark::all(&resource.body).into_iter().map(|own| Mark { fingerprint: fingerprint.clone(), ..own }),
        );
        resource.body = remarked(actual, &marks);
        let change =
            PropertyChange { path: "installations".to_owned(), before: Some(before), after: names(&marks) };
        self.put(resource, Change::Update(vec![change]));
    }

    /// Whether what is wanted needs Sentinel, and it is off.
    pub(in crate::plan) fn sentinel(&mut self) {
        let content = &self.intent.content;
        let needed = content.connector_page || content.rules != Rules::Off;
        if needed && self.inventory.sentinel == Some(false) {
            let workspace = &self.inventory.workspace.id;
            self.findings.push(Finding::refuses(
                "no-sentinel",
                format!("Microsoft Sentinel is not turned on for the workspace `{}`", self.inventory.workspace.name()),
                format!(
                    "turn it on: az rest --method put --body '{{\"properties\":{{}}}}' --url \
                     '{workspace}/providers/Microsoft.SecurityInsights/onboardingStates/default?api-version={}'; \
                     or set `content.rules: off` and `content.connector_page: false`",
                    api_version("Microsoft.SecurityInsights/onboardingStates").unwrap_or_default()
                ),
            ));
        }
    }

    /// Our lines in the workspace's custom ASIM parsers.
    ///
    /// # Errors
    /// [`TemplateError`] when no API version is pinned for saved searches; that is our fault.
    pub(in crate::plan) fn asim(&mut self) -> Result<(), TemplateError> {
        let (changes, refused) = unifier::register(self.intent, self.inventory, self.templates.library());
        for error in refused {
            self.findings.push(Finding::warns(
                "asim-not-registered",
                error.to_string(),
                "our ASIM parsers work when called by name until then",
            ));
        }
        let api_version = api_version(SEARCHES)?.to_owned();
        let parsers = self.steps.iter().map(|step| step.key.clone());
        let mut before: Vec<String> = parsers.filter(|key| key.starts_with("content/function/")).collect();
        for UnifierChange { alias, id, body, line, made } in changes {
            let Some(body) = body else { continue };
            let key = format!("content/unifier/{alias}");
            let title = if line.is_some() {
                format!("our line in the custom ASIM parser `{alias}`")
            } else {
                format!("function `{alias}`")
            };
            let change = match line {
                Some(line) if !made => Change::Update(vec![PropertyChange {
                    path: "properties.query".to_owned(),
                    before: None,
                    after: Value::from(line),
                }]),
                _ => Change::Create,
            };
            self.steps.push(Step {
                key: key.clone(),
                title,
                action: Action::PutResource { id, api_version: api_version.clone(), body },
                depends_on: before.clone(),
                change,
                undo: None,
            });
            before.push(key);
        }
        Ok(())
    }

    /// Takes away what the answers no longer ask for.
    ///
    /// # Errors
    /// [`TemplateError`] when no API version is pinned for a type; that is our fault.
    pub(in crate::plan) fn unwanted_content(&mut self) -> Result<(), TemplateError> {
        let wanted: BTreeSet<&str> =
            self.known.keys().filter_map(|key| key.strip_prefix("content/")).collect();
        let library = self.templates.library();
        let mut steps = removal::steps(&self.intent.name, self.inventory, library, &wanted)?;
        if !wanted.contains("workbook") {
            steps.extend(removal::workbooks(&self.intent.name, self.inventory)?);
        }
        self.steps.extend(steps);
        Ok(())
    }
}
