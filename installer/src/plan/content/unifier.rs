//! Our lines in the workspace's custom ASIM parsers: which functions to write, with what.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::mark::Mark;
use super::{alias, remarked};
use crate::answers::intent::Intent;
use crate::content::Library;
use crate::content::asim::{self, Unifier};
use crate::inventory::Inventory;

/// A change of one of the workspace's custom ASIM parsers, or of the empty view that they begin with.
#[derive(Debug, Clone, PartialEq)]
pub struct UnifierChange {
    /// The function's alias.
    pub alias: String,
    /// Its ARM path.
    pub id: String,
    /// The body to write, with the `etag` that was read; `None` where it is to be deleted.
    pub body: Option<Value>,
    /// Our line, which comes or goes; `None` for the empty view.
    pub line: Option<String>,
    /// Whether the function is a new one.
    pub made: bool,
}

/// The custom parsers that need our line, and those that cannot take it, with the reason.
pub fn register(
    intent: &Intent,
    inventory: &Inventory,
    library: &Library,
) -> (Vec<UnifierChange>, Vec<asim::RegisterError>) {
    let (mut changes, mut refused) = (Vec::new(), Vec::new());
    if !(intent.content.asim && intent.content.asim_unifying) {
        return (changes, refused);
    }
    let workspace_id = &inventory.workspace.id;
    for function in &library.functions {
        let Some(alias) = &function.register_in else { continue };
        let existing = by_alias(inventory, alias);
        let unifier = existing.map(unifier_of);
        match asim::register(alias, unifier.as_ref(), function) {
            Ok(None) => {}
            Ok(Some(made)) => {
                if existing.is_none() && by_alias(inventory, asim::EMPTY_VIEW).is_none() {
                    push_empty_view(&mut changes, intent, workspace_id);
                }
                let body = match existing {
                    Some(existing) => merged(existing, &made, &Mark::all(existing)),
                    None => new_function(intent, alias, &made),
                };
                changes.push(UnifierChange {
                    alias: alias.clone(),
                    id: path_of(existing).unwrap_or_else(|| new_path(workspace_id, alias)),
                    body: Some(body),
                    line: Some(asim::call(function)),
                    made: existing.is_none(),
                });
            }
            Err(error) => refused.push(error),
        }
    }
    (changes, refused)
}

/// The custom parsers without the lines of those of our functions that are going or gone; a custom
/// parser that was made for us goes with the last line in it, and so does the empty view once nothing
/// names it. `in_part` is whether other items of ours stay: then a function that is not there is not
/// known to be unwanted.
pub fn unregister(
    inventory: &Inventory,
    library: &Library,
    going: &BTreeSet<&str>,
    in_part: bool,
) -> Vec<UnifierChange> {
    let mut changes = Vec::new();
    let parsers: Vec<_> =
        library.functions.iter().filter(|function| function.register_in.is_some()).collect();
    let present = |name: &str| by_alias(inventory, name).is_some();
    let goes = |name: &str| going.contains(name) || !in_part && !present(name);
    for parser in parsers.iter().filter(|parser| goes(parser.name)) {
        let Some(alias) = &parser.register_in else { continue };
        let Some(existing) = by_alias(inventory, alias) else { continue };
        let Some(without) = asim::unregister(&unifier_of(existing), parser) else { continue };
        let made_for_us = !Mark::all(existing).is_empty();
        let body = (!(made_for_us && asim::empty(&without))).then(|| merged(existing, &without, &[]));
        changes.push(UnifierChange {
            alias: alias.clone(),
            id: path_of(Some(existing)).unwrap_or_default(),
            body,
            line: Some(asim::call(parser)),
            made: false,
        });
    }
    let all_gone = parsers.iter().all(|parser| goes(parser.name));
    if all_gone
        && let Some(view) = by_alias(inventory, asim::EMPTY_VIEW)
        && !Mark::all(view).is_empty()
    {
        let still_named = inventory.content.iter().any(|each| {
            let deleted = changes.iter().any(|change| change.body.is_none() && change.alias == alias(each));
            asim::custom_parser(alias(each))
                && !deleted
                && each["properties"]["query"].as_str().is_some_and(|query| query.contains(asim::EMPTY_VIEW))
                && !alias(each).eq_ignore_ascii_case(asim::EMPTY_VIEW)
        });
        changes.push(UnifierChange {
            alias: asim::EMPTY_VIEW.to_owned(),
            id: path_of(Some(view)).unwrap_or_default(),
            body: still_named.then(|| remarked(view, &[])),
            line: None,
            made: false,
        });
    }
    changes
}

fn push_empty_view(changes: &mut Vec<UnifierChange>, intent: &Intent, workspace_id: &str) {
    if changes.iter().any(|change: &UnifierChange| change.alias == asim::EMPTY_VIEW) {
        return;
    }
    let empty = Unifier { query: asim::EMPTY_VIEW_QUERY.to_owned(), parameters: String::new() };
    changes.push(UnifierChange {
        alias: asim::EMPTY_VIEW.to_owned(),
        id: new_path(workspace_id, asim::EMPTY_VIEW),
        body: Some(new_function(intent, asim::EMPTY_VIEW, &empty)),
        line: None,
        made: true,
    });
}

fn path_of(resource: Option<&Value>) -> Option<String> {
    resource?["id"].as_str().map(str::to_owned)
}

fn new_path(workspace_id: &str, name: &str) -> String {
    format!("{workspace_id}/savedSearches/{name}")
}

fn by_alias<'a>(inventory: &'a Inventory, name: &str) -> Option<&'a Value> {
    inventory.content.iter().find(|each| alias(each).eq_ignore_ascii_case(name))
}

fn unifier_of(resource: &Value) -> Unifier {
    let text = |name: &str| resource["properties"][name].as_str().unwrap_or_default().to_owned();
    Unifier { query: text("query"), parameters: text("functionParameters") }
}

/// The function with another query and nothing else changed but our marks.
fn merged(existing: &Value, unifier: &Unifier, marks: &[Mark]) -> Value {
    let mut body = remarked(existing, marks);
    body["properties"]["query"] = Value::from(unifier.query.as_str());
    body
}

/// A function that is made for our parsers. Without an `etag` Azure refuses it where somebody has
/// made one of the name meanwhile.
fn new_function(intent: &Intent, alias: &str, unifier: &Unifier) -> Value {
    let mark = Mark {
        installation: intent.name.clone(),
        item: format!("unifier/{alias}"),
        fingerprint: "0".to_owned(),
    };
    let mut properties = json!({
        "category": "ASIM",
        "displayName": alias,
        "query": unifier.query,
        "functionAlias": alias,
        "version": 2,
        "tags": [{
            "name": "description",
            "value": format!("Part of this workspace's custom ASIM parsers. {}", mark.text()),
        }],
    });
    if !unifier.parameters.is_empty() {
        properties["functionParameters"] = Value::from(unifier.parameters.as_str());
    }
    json!({ "properties": properties })
}
