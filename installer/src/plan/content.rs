//! The analyst's content as resources: functions, hunts, rules, the workbook, the connector's page, and
//! our lines in the workspace's custom ASIM parsers.

mod item;
pub mod mark;
pub mod removal;
mod steps;
pub mod unifier;

use serde_json::Value;

pub use item::content;
use mark::Mark;
pub(crate) use steps::SEARCHES;

use crate::content::{Library, asim};
use crate::plan::template::template_guid;

/// Name of the connector's page.
pub(crate) const CONNECTOR: &str = "MimecastSentinelAudit";
/// How many ids of a rule are tried: Azure keeps a deleted one back for about a day.
const RULE_GENERATIONS: u32 = 8;

/// Name of the saved search of a function or a hunt.
fn search_name(name: &str) -> String {
    format!("mimecast-sentinel-{}", name.to_ascii_lowercase())
}

/// The id of a rule: the same for the same workspace, rule and generation. Installations in one
/// workspace share the rule, for it reads the table that they share: two would alert twice.
fn rule_id(workspace_id: &str, rule: &str, generation: u32) -> String {
    template_guid(&[workspace_id, &format!("rule/{rule}"), &generation.to_string()])
}

/// The id of an installation's workbook, which lives in the installation's own group.
fn workbook_id(workspace_id: &str, installation: &str) -> String {
    template_guid(&[workspace_id, installation, "workbook"])
}

/// The id of the next generation of a rule whose present id Azure keeps back; `None` when all were tried.
pub fn next_rule_id(workspace_id: &str, body: &Value, id: &str) -> Option<String> {
    let marks = Mark::all(body);
    let rule = marks.first()?.item.strip_prefix("rule/")?;
    let ids = (0..RULE_GENERATIONS).map(|generation| rule_id(workspace_id, rule, generation));
    let mut after = ids.skip_while(|each| !each.eq_ignore_ascii_case(id)).skip(1);
    after.next()
}

/// The newest generation among the ids of these rules; 0 where none of them is one of ours.
pub fn generation(workspace_id: &str, content: &[Value]) -> u32 {
    let newest = |resource: &Value| {
        let rule = Mark::all(resource).into_iter().next()?;
        let rule = rule.item.strip_prefix("rule/")?.to_owned();
        let name = resource["name"].as_str()?.rsplit('/').next()?;
        (0..RULE_GENERATIONS).find(|&each| name.eq_ignore_ascii_case(&rule_id(workspace_id, &rule, each)))
    };
    content.iter().filter_map(newest).max().unwrap_or_default()
}

/// Which item of content a resource of the workspace is: by its marks, or by its name, which only we
/// give. A person who rewrites a description may take the mark away with it.
pub fn item_of(resource: &Value, workspace_id: &str, library: &Library) -> Option<String> {
    if let Some(mark) = Mark::all(resource).into_iter().next() {
        return Some(mark.item);
    }
    let name = resource["name"].as_str()?;
    // Some listings give a child's name with its parent's before it.
    let name = name.rsplit('/').next().unwrap_or(name);
    let is = |other: &str| name.eq_ignore_ascii_case(other);
    if is(CONNECTOR) {
        return Some("connector".to_owned());
    }
    let functions = library.functions.iter().map(|function| ("function", function.name));
    let hunts = library.hunts.iter().map(|hunt| ("hunt", hunt.name));
    if let Some((kind, own)) = functions.chain(hunts).find(|(_, own)| is(&search_name(own))) {
        return Some(format!("{kind}/{own}"));
    }
    let a_rule =
        resource["type"].as_str().is_some_and(|kind| kind.to_ascii_lowercase().ends_with("/alertrules"));
    let of =
        |rule: &str| (0..RULE_GENERATIONS).any(|generation| is(&rule_id(workspace_id, rule, generation)));
    let rule = library.rules.iter().filter(|_| a_rule).find(|rule| of(rule.name))?;
    Some(format!("rule/{}", rule.name))
}

/// What of the workspace's content this product looks at: its own items, functions under names that its
/// queries call, and the custom ASIM parsers.
pub fn concerns_us(resource: &Value, workspace_id: &str, library: &Library) -> bool {
    let alias = alias(resource);
    asim::custom_parser(alias)
        || library.functions.iter().any(|function| function.name.eq_ignore_ascii_case(alias))
        || item_of(resource, workspace_id, library).is_some()
}

/// The name by which queries call a saved function; empty for any other saved search.
fn alias(resource: &Value) -> &str {
    resource["properties"]["functionAlias"].as_str().unwrap_or_default()
}

/// The body by which a resource that is there is written again, with other marks and nothing else
/// changed. The `etag` that was read goes with it, so that Azure refuses it where somebody changed the
/// item meanwhile.
fn remarked(actual: &Value, marks: &[Mark]) -> Value {
    // Set by Azure, refused or ignored when sent.
    const READ_ONLY: [&str; 2] = ["lastModifiedUtc", "createdTimeUtc"];
    let mut body = serde_json::Map::new();
    for name in ["kind", "etag", "properties"] {
        if let Some(value) = actual.get(name) {
            body.insert(name.to_owned(), value.clone());
        }
    }
    let mut body = Value::Object(body);
    if let Some(properties) = body["properties"].as_object_mut() {
        READ_ONLY.iter().for_each(|name| drop(properties.remove(*name)));
    }
    mark::put_marks(&mut body, marks);
    body
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{item_of, next_rule_id, rule_id};
    use crate::content::Library;

    #[test]
    fn the_next_generation_follows_the_present_one_until_all_were_tried() {
        let body = json!({ "properties": { "description": "A. [mimecast-sentinel:one:rule/a:00000000]" } });
        let first = rule_id("/w", "a", 0);
        assert_eq!(next_rule_id("/W", &body, &first), Some(rule_id("/w", "a", 1)));
        assert_eq!(next_rule_id("/w", &body, &rule_id("/w", "a", 7)), None);
        assert_eq!(next_rule_id("/w", &body, "another"), None);
    }

    #[test]
    fn an_item_is_known_by_its_name_where_a_person_took_its_mark_away() {
        let library = Library::load().expect("valid");
        let of = |kind: &str, name: &str| {
            item_of(&json!({ "type": kind, "name": name, "properties": {} }), "/w", &library)
        };
        let rules = "Microsoft.SecurityInsights/alertRules";
        assert_eq!(of(rules, &rule_id("/w", "password-spray", 1)).as_deref(), Some("rule/password-spray"));
        assert_eq!(
            of("x/savedSearches", "mimecast-sentinel-archive-exports").as_deref(),
            Some("hunt/archive-exports")
        );
        assert_eq!(
            of("x/savedSearches", "log-sentinel/mimecast-sentinel-mimecastauditview").as_deref(),
            Some("function/MimecastAuditView")
        );
        assert_eq!(of("x/dataConnectorDefinitions", "MimecastSentinelAudit").as_deref(), Some("connector"));
        assert_eq!(of(rules, "BuiltInFusion"), None);
    }
}
