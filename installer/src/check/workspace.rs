//! The workspace: that it takes rows, and that nobody else feeds it from the same account.

use std::collections::BTreeSet;

use contract::streams::{AUDIT_TABLE, HEALTH_TABLE};
use serde_json::Value;

use super::{Check, Side, old_connector};
use crate::answers::Intent;
use crate::azure::{Azure, AzureError, ResourceId};
use crate::inventory::{Inventory, installation_of};
use crate::mimecast::Newest;
use crate::plan::Plan;
use crate::plan::template::api_version;
use crate::verify::text;

const TITLE: &str = "workspace";
const PRIVATE_LINK: &str = "https://learn.microsoft.com/azure/azure-monitor/logs/private-link-security";
const CAP: &str = "https://learn.microsoft.com/azure/azure-monitor/logs/daily-cap";
/// How far back rows of another installation are looked for.
const LOOK_BACK: &str = "P7D";

/// Looks at the workspace, that of Application Insights, and at who else is at work there. What may come about
/// by itself is looked at also where a plan has nothing to do: a cap that is reached, an old connector.
pub(super) async fn check(azure: &Azure, intent: &Intent, inventory: &Inventory, plan: &Plan) -> Vec<Check> {
    let insights = async { if plan.empty() { Vec::new() } else { insights(azure, intent).await } };
    let (own, insights, old) = futures::join!(
        takes_rows(azure, &inventory.workspace.id),
        insights,
        old_connector::check(azure, intent, inventory),
    );
    [own, insights, old].concat()
}

/// Whether rows can be sent in over the public network, and whether the day's cap leaves room.
async fn takes_rows(azure: &Azure, id: &str) -> Vec<Check> {
    let found = match read(azure, id).await {
        Ok(found) => found.unwrap_or_default(),
        Err(error) => return vec![Check::refused("workspace-unread", Side::Workspace, TITLE, &error)],
    };
    let name = id.rsplit('/').next().unwrap_or_default();
    let properties = &found["properties"];
    let mut checks = Vec::new();
    let is = |value: &Value, word: &str| value.as_str().is_some_and(|text| text.eq_ignore_ascii_case(word));
    if is(&properties["publicNetworkAccessForIngestion"], "Disabled") {
        checks.push(
            Check::fails(
                "workspace-network",
                Side::Workspace,
                TITLE,
                format!("`{name}` takes no rows over the public network, which the worker sends over"),
                format!(
                    "az monitor log-analytics workspace update --ids \"{id}\" --ingestion-access Enabled"
                ),
            )
            .link(PRIVATE_LINK),
        );
    }
    if is(&properties["workspaceCapping"]["dataIngestionStatus"], "OverQuota") {
        checks.push(
            Check::warns(
                "workspace-cap",
                Side::Workspace,
                TITLE,
                format!("`{name}` has reached its daily cap: rows are dropped until it is reset"),
                "raise the cap, or begin after its reset; a `backfill` brings what was dropped",
            )
            .link(CAP),
        );
    }
    if checks.is_empty() {
        checks.push(Check::good("workspace", Side::Workspace, TITLE, format!("`{name}` takes rows")));
    }
    checks
}

async fn read(azure: &Azure, id: &str) -> Result<Option<Value>, AzureError> {
    let version = api_version("Microsoft.OperationalInsights/workspaces").unwrap_or_default();
    azure.get(&ResourceId::parse(id)?, version).await
}

/// Whether the workspace of Application Insights is there, where it is another one.
async fn insights(azure: &Azure, intent: &Intent) -> Vec<Check> {
    let Some(id) = &intent.app_insights_workspace_id else { return Vec::new() };
    let found = match read(azure, id).await {
        // Neither is one whose group or subscription is not there.
        Err(error) if error.status() == Some(404) => Ok(None),
        other => other,
    };
    match found {
        Ok(Some(_)) => Vec::new(),
        Ok(None) => vec![Check::fails(
            "insights-workspace",
            Side::Azure,
            "workspace of Application Insights",
            format!("the workspace `{id}` is not there"),
            "correct `monitoring.app_insights_workspace_id`, or leave it out: then the workspace of the rows is taken",
        )],
        Err(error) => vec![Check::refused(
            "insights-workspace",
            Side::Azure,
            "workspace of Application Insights",
            &error,
        )],
    }
}

/// Whether another installation feeds the same tables of this workspace, and from the same Mimecast account:
/// proved by an account's newest event (`newest`, with the account's key), when it is in the table and no run of
/// ours has put it there.
pub async fn others(
    azure: &Azure,
    intent: &Intent,
    inventory: &Inventory,
    newest: &[(&str, &Newest)],
) -> Vec<Check> {
    const TITLE: &str = "other installations";
    let mut subscriptions = vec![intent.subscription_id.to_ascii_lowercase()];
    if let Ok(id) = ResourceId::parse(&inventory.workspace.id) {
        subscriptions.push(id.subscription_id().to_ascii_lowercase());
    }
    subscriptions.dedup();
    let version = api_version("Microsoft.Insights/dataCollectionRules").unwrap_or_default();
    let mut others = Vec::new();
    for subscription in subscriptions {
        let path = format!("/subscriptions/{subscription}/providers/Microsoft.Insights/dataCollectionRules");
        // Whoever may see none cannot be warned of them.
        let rules = azure.list(&path, version).await.unwrap_or_default();
        others.extend(rules.into_iter().filter(|rule| is_other(rule, intent, &inventory.workspace.id)));
    }
    if others.is_empty() {
        return Vec::new();
    }
    let same_name = |rule: &Value| installation_of(rule) == Some(intent.name.as_str());
    let namesake = if others.iter().any(same_name) { Namesake::Another } else { Namesake::None };
    let twice = twice(azure, intent, inventory, newest, namesake).await;
    let whose = match twice.as_slice() {
        [] | [""] => "this Mimecast account's newest event".to_owned(),
        keys => format!("the newest event of the account `{}`", keys.join("`, `")),
    };
    others
        .iter()
        .map(|rule| {
            let name = installation_of(rule).unwrap_or_default();
            let group = rule["id"].as_str().unwrap_or_default().split('/').nth(4).unwrap_or_default();
            let who = format!("the installation `{name}` in `{group}` feeds the same tables");
            if twice.is_empty() {
                Check::warns(
                    "other-installation",
                    Side::Workspace,
                    TITLE,
                    who,
                    "fine for another Mimecast account; with the same one every event is stored twice",
                )
            } else {
                Check::fails(
                    "same-account",
                    Side::Workspace,
                    TITLE,
                    format!("{who}, and {whose} is there already"),
                    format!(
                        "use that installation, or remove it first: mimecast-sentinel teardown --name {name} --resource-group {group}"
                    ),
                )
            }
        })
        .collect()
}

/// The keys of the accounts whose newest event is in the table and not by us.
async fn twice<'a>(
    azure: &Azure,
    intent: &Intent,
    inventory: &Inventory,
    newest: &[(&'a str, &Newest)],
    namesake: Namesake,
) -> Vec<&'a str> {
    // Runs under our name are ours, unless another installation has the name: also those before a teardown.
    let own = match (namesake, inventory.settings.is_some()) {
        (Namesake::Another, false) => BTreeSet::new(),
        _ => {
            let query = format!(
                "{HEALTH_TABLE} | where Installation == {} | distinct Account",
                Value::from(intent.name.as_str())
            );
            match azure.query(&inventory.workspace.customer_id, &query, LOOK_BACK).await {
                Ok(rows) => rows.records().map(|row| text(&row, "Account").to_ascii_lowercase()).collect(),
                // Nothing is proved without it.
                Err(_) => return Vec::new(),
            }
        }
    };
    let present = intent.accounts.iter().map(|account| account.key.to_ascii_lowercase()).collect();
    // An account whose key was changed has runs under the old one.
    if own.difference(&present).next().is_some() {
        return Vec::new();
    }
    let mut twice = Vec::new();
    for (key, newest) in newest.iter().filter(|(key, _)| !own.contains(&key.to_ascii_lowercase())) {
        let rows = azure.query(&inventory.workspace.customer_id, &question(newest), LOOK_BACK).await;
        if rows.is_ok_and(|rows| !rows.rows.is_empty()) {
            twice.push(*key);
        }
    }
    twice
}

/// Whether another installation on the same tables has the name of ours, so that their runs cannot be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Namesake {
    None,
    Another,
}

fn is_other(rule: &Value, intent: &Intent, workspace_id: &str) -> bool {
    let Some(name) = installation_of(rule) else { return false };
    let own = format!("/subscriptions/{}/resourceGroups/{}/", intent.subscription_id, intent.resource_group);
    let id = rule["id"].as_str().unwrap_or_default();
    let here = id.get(..own.len()).is_some_and(|start| start.eq_ignore_ascii_case(&own));
    let feeds = rule["properties"]["destinations"]["logAnalytics"].as_array().is_some_and(|list| {
        list.iter().any(|each| {
            each["workspaceResourceId"].as_str().is_some_and(|id| id.eq_ignore_ascii_case(workspace_id))
        })
    });
    feeds && !(here && name == intent.name)
}

fn question(newest: &Newest) -> String {
    // JSON's escapes are KQL's too. Not by its id: whether that is the same under other credentials is not
    // known (facts 7).
    let text = |text: &str| Value::from(text).to_string();
    format!(
        "{AUDIT_TABLE} | where user_s == {} and auditType_s == {} and eventInfo_s == {} | take 1",
        text(&newest.user),
        text(&newest.audit_type),
        text(&newest.event_info)
    )
}

#[cfg(test)]
mod tests {
    use super::question;
    use crate::mimecast::Newest;

    #[test]
    fn what_stands_in_an_event_cannot_leave_its_quotes() {
        let newest = Newest {
            user: "a\" or true //".to_owned(),
            audit_type: "t".to_owned(),
            event_info: "line\nbreak \\".to_owned(),
        };
        assert_eq!(
            question(&newest),
            r#"MimecastAudit_CL | where user_s == "a\" or true //" and auditType_s == "t" and eventInfo_s == "line\nbreak \\" | take 1"#
        );
    }
}
