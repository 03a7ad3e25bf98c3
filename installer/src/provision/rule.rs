//! Writes an analytics rule, with the two patiences that Sentinel asks for.
//!
//! * The id of a deleted rule cannot be used again for about a day, so the next generation's is tried.
//! * A rule's query is checked against the live schema, which knows a new table or function only
//!   after some minutes.

use std::time::Duration;

use serde_json::Value;

use crate::azure::{Azure, AzureError, ResourceId};
use crate::plan::content::next_rule_id;

/// How a rule's path goes on below its workspace.
const BELOW_WORKSPACE: &str = "/providers/Microsoft.SecurityInsights/alertRules/";
/// How long a new table or function may take to be known to queries.
const SCHEMA_PATIENCE: Duration = Duration::from_secs(20 * 60);

/// Whether this path is a rule's.
pub(super) fn of_rule(id: &str) -> bool {
    id.contains(BELOW_WORKSPACE)
}

/// Creates or replaces the rule; gives it as Azure then has it.
pub(super) async fn put(
    azure: &Azure,
    id: &str,
    api_version: &str,
    body: &Value,
) -> Result<Value, AzureError> {
    let mut path = id.to_owned();
    let mut waited = Duration::ZERO;
    loop {
        let error = match azure.put(&ResourceId::parse(&path)?, api_version, body).await {
            Ok(rule) => return Ok(rule),
            Err(error) => error,
        };
        let text = messages(&error);
        if text.contains("recently deleted") {
            let (workspace, name) = path.split_once(BELOW_WORKSPACE).unwrap_or_default();
            match next_rule_id(workspace, body, name) {
                Some(next) => path = format!("{workspace}{BELOW_WORKSPACE}{next}"),
                None => return Err(error),
            }
        } else if schema_is_behind(&text) && waited < SCHEMA_PATIENCE {
            let pause = azure.timings().poll_every;
            tokio::time::sleep(pause).await;
            // At least a second counts, so that a client without delays comes to an end as well.
            waited += pause.max(Duration::from_secs(1));
        } else {
            return Err(error);
        }
    }
}

/// Whether Sentinel refuses the query because it does not know a table or function yet. It tells this
/// by text alone.
fn schema_is_behind(text: &str) -> bool {
    ["does not exist", "unknown function", "unknown table"].iter().any(|part| text.contains(part))
}

/// What Azure said, in lower case.
fn messages(error: &AzureError) -> String {
    let leaves = error.refusal().map(|refusal| refusal.tree.leaves.as_slice()).unwrap_or_default();
    leaves.iter().map(|leaf| leaf.message.to_lowercase()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::{of_rule, schema_is_behind};

    #[test]
    fn only_an_unknown_schema_is_waited_for() {
        assert!(schema_is_behind("one of the tables does not exist. table: 'mimecastaudit_cl'."));
        assert!(schema_is_behind(
            "failed to run the analytics rule query. unknown function: 'mimecastauditview'."
        ));
        assert!(!schema_is_behind("invalid data model: 'severity' must be high."));
    }

    #[test]
    fn a_rules_path_is_told_from_others() {
        let workspace =
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.OperationalInsights/workspaces/w";
        assert!(of_rule(&format!("{workspace}/providers/Microsoft.SecurityInsights/alertRules/a")));
        assert!(!of_rule(&format!("{workspace}/savedSearches/a")));
    }
}
