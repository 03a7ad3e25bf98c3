//! Takes content away: all of it in a teardown, what the answers no longer ask for otherwise.

use std::collections::BTreeSet;

use serde_json::Value;

use super::mark::Mark;
use super::steps::SEARCHES;
use super::unifier::{self, UnifierChange};
use super::{item_of, remarked};
use crate::content::Library;
use crate::inventory::{Inventory, installation_of};
use crate::plan::change::Change;
use crate::plan::template::{TemplateError, api_version};
use crate::plan::{Action, Step};

/// Type of workbooks.
const WORKBOOKS: &str = "Microsoft.Insights/workbooks";
/// Kinds of items with their words for people, in the order in which they go: functions last, since
/// the others call them.
const KINDS: [(&str, &str); 4] = [
    ("rule/", "analytics rule"),
    ("hunt/", "hunting query"),
    ("connector", "connector page"),
    ("function/", "function"),
];
const FUNCTION: &str = "function/";

/// An item of ours that is to go.
struct Leaving<'a> {
    item: String,
    resource: &'a Value,
    /// The marks of installations that stay.
    others: Vec<Mark>,
}

/// The steps that take away every item of this installation in the workspace but the `wanted` ones.
/// What another installation uses as well stays, and loses only our mark.
///
/// # Errors
/// [`TemplateError`] when no API version is pinned for a type; that is our fault.
pub fn steps(
    installation: &str,
    inventory: &Inventory,
    library: &Library,
    wanted: &BTreeSet<&str>,
) -> Result<Vec<Step>, TemplateError> {
    let leaving = leaving(installation, inventory, library, wanted);
    let gone: BTreeSet<&str> = leaving
        .iter()
        .filter(|leaving| leaving.others.is_empty())
        .filter_map(|leaving| leaving.item.strip_prefix(FUNCTION))
        .collect();
    let mut steps = Vec::new();
    for change in unifier::unregister(inventory, library, &gone, !wanted.is_empty()) {
        let before = steps.iter().map(|step: &Step| step.key.clone()).collect();
        steps.push(unifier_step(change, before)?);
    }
    for (kind, word) in KINDS {
        // Functions go when everything that calls them is gone.
        let callers: Vec<String> =
            if kind == FUNCTION { steps.iter().map(|step| step.key.clone()).collect() } else { Vec::new() };
        for leaving in leaving.iter().filter(|leaving| leaving.item.starts_with(kind)) {
            steps.push(leaving.step(word, callers.clone())?);
        }
    }
    Ok(steps)
}

fn leaving<'a>(
    installation: &str,
    inventory: &'a Inventory,
    library: &Library,
    wanted: &BTreeSet<&str>,
) -> Vec<Leaving<'a>> {
    let mut found = Vec::new();
    // Whose an item without a mark is, nobody knows while another installation is there.
    let alone = inventory.content.iter().flat_map(Mark::all).all(|mark| mark.installation == installation);
    for resource in &inventory.content {
        let Some(item) = item_of(resource, &inventory.workspace.id, library) else { continue };
        let marks = Mark::all(resource);
        let ours = marks.is_empty() && alone || marks.iter().any(|mark| mark.installation == installation);
        if !ours || wanted.contains(item.as_str()) {
            continue;
        }
        let others = marks.into_iter().filter(|mark| mark.installation != installation).collect();
        found.push(Leaving { item, resource, others });
    }
    found.sort_by(|one, other| one.item.cmp(&other.item));
    found
}

impl Leaving<'_> {
    fn step(&self, word: &str, depends_on: Vec<String>) -> Result<Step, TemplateError> {
        let id = self.resource["id"].as_str().unwrap_or_default();
        let properties = &self.resource["properties"];
        let name = [&properties["displayName"], &properties["connectorUiConfig"]["title"]];
        let name =
            name.into_iter().find_map(Value::as_str).or_else(|| id.rsplit('/').next()).unwrap_or_default();
        let api_version = api_version(self.resource["type"].as_str().unwrap_or(SEARCHES))?.to_owned();
        let (title, action, change) = if self.others.is_empty() {
            (format!("{word} `{name}`"), Action::Delete { id: id.to_owned(), api_version }, Change::Delete)
        } else {
            let body = remarked(self.resource, &self.inherited());
            let title = format!("our mark on the {word} `{name}`, which another installation uses");
            (title, Action::PutResource { id: id.to_owned(), api_version, body }, Change::Run)
        };
        Ok(Step {
            key: format!("delete/content/{}", self.item),
            title,
            action,
            depends_on,
            change,
            undo: None,
        })
    }

    /// The marks that stay. The installation that inherits the item knows it by what the one before
    /// it had written.
    fn inherited(&self) -> Vec<Mark> {
        let mut marks = self.others.clone();
        if let (Some(heir), Some(first)) = (marks.first_mut(), Mark::all(self.resource).first()) {
            heir.fingerprint.clone_from(&first.fingerprint);
        }
        marks
    }
}

fn unifier_step(change: UnifierChange, depends_on: Vec<String>) -> Result<Step, TemplateError> {
    let api_version = api_version(SEARCHES)?.to_owned();
    let UnifierChange { alias, id, body, line, .. } = change;
    let title = match (&body, line) {
        (None, _) => format!("function `{alias}`, which was made for our parsers alone"),
        (Some(_), Some(_)) => format!("our line in the custom ASIM parser `{alias}`"),
        (Some(_), None) => format!("our mark on the function `{alias}`, which others use"),
    };
    let action = match body {
        Some(body) => Action::PutResource { id, api_version, body },
        None => Action::Delete { id, api_version },
    };
    Ok(Step {
        key: format!("delete/unifier/{alias}"),
        title,
        action,
        depends_on,
        change: Change::Delete,
        undo: None,
    })
}

/// The steps that take the installation's workbook away.
///
/// # Errors
/// [`TemplateError`] when no API version is pinned for workbooks; that is our fault.
pub(super) fn workbooks(installation: &str, inventory: &Inventory) -> Result<Vec<Step>, TemplateError> {
    let api_version = api_version(WORKBOOKS)?;
    let ours = inventory.owned.iter().filter(|resource| {
        resource["type"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case(WORKBOOKS))
            && installation_of(resource) == Some(installation)
    });
    let steps = ours.filter_map(|workbook| {
        let id = workbook["id"].as_str()?;
        let name = id.rsplit('/').next().unwrap_or_default();
        Some(Step {
            key: format!("delete/{name}"),
            title: format!("workbook `{name}`"),
            action: Action::Delete { id: id.to_owned(), api_version: api_version.to_owned() },
            depends_on: Vec::new(),
            change: Change::Delete,
            undo: None,
        })
    });
    Ok(steps.collect())
}
