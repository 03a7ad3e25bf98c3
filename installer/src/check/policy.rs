//! Every planned body against the policies in force, by Azure's own question
//! (<https://learn.microsoft.com/rest/api/policyinsights/policy-restrictions>).

use std::collections::BTreeMap;

use futures::{StreamExt, stream};
use serde_json::{Value, json};

use super::{Check, Side};
use crate::azure::{Azure, AzureError, ResourceId};
use crate::inventory::Inventory;
use crate::plan::template::api_version;
use crate::plan::{Action, Plan, output};

const LINK: &str = "https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/error-policy-requestdisallowedbypolicy";
const TITLE: &str = "Azure Policy";
/// Questions that are under way at the same time.
const QUESTIONS_AT_ONCE: usize = 8;

/// A body that is to be written.
struct Asked<'a> {
    title: &'a str,
    /// Where the question is put: a group that is there, or its subscription.
    at: String,
    question: Value,
}

/// A policy that would deny, with what it looks at.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Denial {
    assignment: String,
    fields: String,
}

/// Asks for every body that the plan writes.
pub(super) async fn check(azure: &Azure, inventory: &Inventory, plan: &Plan) -> Vec<Check> {
    let asked: Vec<Asked<'_>> = plan.steps.iter().filter_map(|step| asked(inventory, plan, step)).collect();
    let count = asked.len();
    if count == 0 {
        return Vec::new();
    }
    let version = api_version("Microsoft.PolicyInsights").unwrap_or_default();
    let answers: Vec<(&str, Result<Value, AzureError>)> = stream::iter(asked)
        .map(|asked| async move {
            let answer = async {
                let at = ResourceId::parse(&asked.at)?;
                let action = "providers/Microsoft.PolicyInsights/checkPolicyRestrictions";
                azure.post(&at, action, version, &asked.question).await
            };
            (asked.title, answer.await)
        })
        .buffered(QUESTIONS_AT_ONCE)
        .collect()
        .await;

    let mut denied: BTreeMap<Denial, Vec<&str>> = BTreeMap::new();
    let mut unanswered = None;
    for (title, answer) in &answers {
        match answer {
            Ok(answer) => {
                for denial in denials(answer) {
                    denied.entry(denial).or_default().push(title);
                }
            }
            Err(error) => unanswered = unanswered.or(Some(error)),
        }
    }
    let mut checks: Vec<Check> = denied
        .into_iter()
        .map(|(denial, titles)| {
            Check::fails(
                "policy",
                Side::Azure,
                TITLE,
                format!(
                    "the policy assignment `{}` would deny {} for {}",
                    denial.assignment,
                    titles.join(", "),
                    denial.fields
                ),
                "change the answers to what it demands (`azure.tags`, `azure.location`, `hosting`), or ask \
                 its owner for an exemption of the resource group",
            )
            .link(LINK)
        })
        .collect();
    if let Some(error) = unanswered {
        // A right of its own (`Microsoft.PolicyInsights/*`), which installing does not need.
        checks.push(Check::refused("policy-unread", Side::Azure, TITLE, error));
    }
    if checks.is_empty() {
        checks.push(Check::good("policy", Side::Azure, TITLE, format!("none denies any of {count} bodies")));
    }
    checks
}

fn asked<'a>(inventory: &Inventory, plan: &Plan, step: &'a crate::plan::Step) -> Option<Asked<'a>> {
    let Action::PutResource { id, api_version, body } = &step.action else { return None };
    let parsed = ResourceId::parse(id).ok()?;
    let (group, resource) = id.split_once("/providers/").unwrap_or((id, ""));
    let there = inventory.resource(group).is_some() || !group.eq_ignore_ascii_case(&own_group(plan));
    let subscription = format!("/subscriptions/{}", parsed.subscription_id());
    let mut content = known(body);
    let (kind, name, at) = if resource.is_empty() {
        let name = group.rsplit('/').next().unwrap_or_default().to_owned();
        ("Microsoft.Resources/subscriptions/resourceGroups".to_owned(), name, subscription.clone())
    } else {
        let names: Vec<&str> = resource.rsplit("/providers/").next()?.split('/').skip(2).step_by(2).collect();
        (parsed.kind(), names.join("/"), if there { group.to_owned() } else { subscription.clone() })
    };
    content["type"] = json!(kind);
    content["name"] = json!(name);
    let scope = if resource.is_empty() { subscription } else { group.to_owned() };
    let question = json!({ "resourceDetails": {
        "resourceContent": content,
        "apiVersion": api_version,
        "scope": scope,
    }});
    Some(Asked { title: &step.title, at, question })
}

fn own_group(plan: &Plan) -> String {
    format!("/subscriptions/{}/resourceGroups/{}", plan.subscription_id, plan.resource_group)
}

/// The body without what only a later step makes: a mark would be taken for a value.
fn known(value: &Value) -> Value {
    let pending = |value: &Value| value.as_str().is_some_and(output::pending);
    match value {
        Value::Object(entries) => entries
            .iter()
            .filter(|(name, value)| !pending(value) && !output::pending(name))
            .map(|(name, value)| (name.clone(), known(value)))
            .collect(),
        Value::Array(items) => items.iter().filter(|item| !pending(item)).map(known).collect(),
        other => other.clone(),
    }
}

/// What would deny, with the properties that it looks at.
fn denials(answer: &Value) -> Vec<Denial> {
    let list = answer["contentEvaluationResult"]["policyEvaluations"].as_array();
    let is = |value: &Value, word: &str| value.as_str().is_some_and(|text| text.eq_ignore_ascii_case(word));
    let mut denials: Vec<Denial> = list
        .into_iter()
        .flatten()
        .filter(|each| {
            is(&each["evaluationResult"], "NonCompliant")
                && is(&each["effectDetails"]["policyEffect"], "Deny")
        })
        .map(|each| {
            let assignment = each["policyInfo"]["policyAssignmentId"].as_str().unwrap_or("(not named)");
            let mut fields: Vec<&str> = each["evaluationDetails"]["evaluatedExpressions"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|expression| expression["path"].as_str())
                .collect();
            fields.dedup();
            Denial {
                assignment: assignment.rsplit('/').next().unwrap_or(assignment).to_owned(),
                fields: if fields.is_empty() {
                    "reasons that it does not name".to_owned()
                } else {
                    format!("its `{}`", fields.join("`, `"))
                },
            }
        })
        .collect();
    denials.sort_unstable();
    denials.dedup();
    denials
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{denials, known};
    use crate::plan::output::mark;

    #[test]
    fn only_what_would_deny_counts() {
        let policy = |effect: &str, result: &str| {
            json!({
                "policyInfo": { "policyAssignmentId": "/subscriptions/s/providers/Microsoft.Authorization/policyAssignments/tags" },
                "evaluationResult": result,
                "evaluationDetails": { "evaluatedExpressions": [{ "path": "tags['costCentre']" }] },
                "effectDetails": { "policyEffect": effect },
            })
        };
        let answer = json!({ "contentEvaluationResult": { "policyEvaluations": [
            policy("Audit", "NonCompliant"), policy("Deny", "Compliant"), policy("Deny", "NonCompliant"),
        ]}});
        let found = denials(&answer);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].assignment.as_str(), found[0].fields.as_str()),
            ("tags", "its `tags['costCentre']`")
        );
        assert!(denials(&json!({})).is_empty());
    }

    #[test]
    fn what_is_not_known_yet_is_not_asked_about() {
        let body = json!({ "a": mark("identity", "/id"), "b": [1, mark("x", "/y")], "c": { "d": "e" } });
        assert_eq!(known(&body), json!({ "b": [1], "c": { "d": "e" } }));
    }
}
