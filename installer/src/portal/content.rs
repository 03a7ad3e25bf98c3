//! The analyst's content in the template: what of it only a deployment needs to know.

use crate::plan::content::{SEARCHES, unifier};
use crate::plan::desired::{Conduct, Desired};
use crate::plan::template::{TemplateError, Templates, api_version};

use super::choice::Scene;
use super::node::Condition;
use super::symbol::symbol;

/// How the keys of the workspace's own unifying parsers begin.
const UNIFIER: &str = "content/unifier/";

/// The key of the connector's page.
pub(super) const CONNECTOR: &str = "content/connector";

/// Name of the variable that holds the workspace's id as ids are made of it.
pub(super) const WORKSPACE_SEED: &str = "workspaceSeed";

/// The custom unifying parsers of a workspace that has none, with our lines in them.
pub(super) fn unifiers(scene: &Scene, templates: &Templates) -> Result<Vec<Desired>, TemplateError> {
    let (changes, _) = unifier::register(&scene.intent, &scene.inventory, templates.library());
    let mut before: Vec<String> = templates
        .library()
        .functions
        .iter()
        .map(|function| format!("content/function/{}", function.name))
        .collect();
    let mut resources = Vec::new();
    for change in changes {
        let Some(body) = change.body else { continue };
        let key = format!("{UNIFIER}{}", change.alias);
        resources.push(Desired {
            key: key.clone(),
            title: format!("function `{}`", change.alias),
            id: change.id,
            resource_type: SEARCHES.to_owned(),
            api_version: api_version(SEARCHES)?,
            scope: None,
            body,
            depends_on: before.clone(),
            conduct: Conduct::Content,
        });
        before.push(key);
    }
    Ok(resources)
}

/// Whether Azure is to write over a saved search of this name: ours are written again at the next
/// deployment; a unifying parser is made where there is none, or else not at all.
pub(super) fn writes_over(resource: &Desired) -> bool {
    resource.resource_type == SEARCHES && !resource.key.starts_with(UNIFIER)
}

/// What decides, beside its own parameter, whether an item is made.
pub(super) fn condition(templates: &Templates, key: &str) -> Option<Condition> {
    if key.starts_with(UNIFIER) {
        return Some(Condition::is("unifyingParsers"));
    }
    if key == CONNECTOR {
        return Some(Condition::is("createConnectorPage"));
    }
    // What is there is somebody's: they may have tuned it, or another installation may share it.
    let made = Condition::is("createContent");
    let view = key.strip_prefix("content/function/").is_some_and(|name| {
        let functions = &templates.library().functions;
        functions.iter().any(|function| function.name == name && function.register_in.is_none())
    });
    Some(if view { Condition::is("views").and(made) } else { made })
}

/// What the id of a rule or of the workbook is made of; the installer makes it of the same.
pub(super) fn id_parts(key: &str, resource_type: &str) -> Option<Vec<String>> {
    let item = key.strip_prefix("content/")?;
    let seed = symbol(WORKSPACE_SEED);
    match resource_type {
        "Microsoft.SecurityInsights/alertRules" => {
            Some(vec![seed, item.to_owned(), symbol("ruleGeneration")])
        }
        "Microsoft.Insights/workbooks" => Some(vec![seed, symbol("name"), item.to_owned()]),
        _ => None,
    }
}
