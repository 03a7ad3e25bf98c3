//! The workspace: that it takes rows, and that nobody else feeds it from the same account.

use contract::streams::AUDIT_TABLE;
use serde_json::Value;

use super::{Check, Side};
use crate::answers::Intent;
use crate::azure::{Azure, AzureError, ResourceId};
use crate::inventory::{Inventory, installation_of};
use crate::mimecast::Newest;
use crate::plan::Plan;
use crate::plan::template::{RESOURCES_VERSION, api_version};

const TITLE: &str = "workspace";
const PRIVATE_LINK: &str = "https://learn.microsoft.com/azure/azure-monitor/logs/private-link-security";
const CAP: &str = "https://learn.microsoft.com/azure/azure-monitor/logs/daily-cap";
/// How far back rows of another installation are looked for.
const LOOK_BACK: &str = "P7D";

/// Looks at the workspace, that of Application Insights, and at who else is at work there.
pub(super) async fn check(azure: &Azure, intent: &Intent, inventory: &Inventory, plan: &Plan) -> Vec<Check> {
    if plan.empty() {
        return Vec::new();
    }
    let (own, insights, old) = futures::join!(
        takes_rows(azure, &inventory.workspace.id),
        insights(azure, intent),
        old_connector(azure, intent, inventory),
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

/// Function Apps of the group that look like the old connector's: both at work means every event twice.
async fn old_connector(azure: &Azure, intent: &Intent, inventory: &Inventory) -> Vec<Check> {
    let group = format!("/subscriptions/{}/resourceGroups/{}", intent.subscription_id, intent.resource_group);
    if inventory.resource(&group).is_none() {
        return Vec::new();
    }
    let path = format!("{group}/resources?%24filter=resourceType%20eq%20%27Microsoft.Web%2Fsites%27");
    let Ok(sites) = azure.list(&path, RESOURCES_VERSION).await else { return Vec::new() };
    sites
        .iter()
        .filter(|site| installation_of(site).is_none())
        .filter_map(|site| site["name"].as_str())
        .filter(|name| name.to_ascii_lowercase().contains("mimecast"))
        .map(|name| {
            Check::warns(
                "old-connector",
                Side::Azure,
                "other connectors",
                format!("the Function App `{name}` in this group looks like an older Mimecast connector"),
                format!(
                    "both at work store every event twice. After `install` and `mimecast-sentinel pause`:\naz functionapp stop --name {name} --resource-group {}\ncopy its `checkpoint.txt` into the container `audit-checkpoints` of this installation, then `mimecast-sentinel resume`: docs/operations.md, \"Take over from the old connector\"",
                    intent.resource_group
                ),
            )
        })
        .collect()
}

/// Whether another installation feeds the same tables of this workspace, and from the same Mimecast
/// account: proved by the account's newest event, when it is in the table before we have sent any.
pub async fn others(
    azure: &Azure,
    intent: &Intent,
    inventory: &Inventory,
    newest: Option<&Newest>,
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
    let installed = inventory.settings.is_some();
    let twice = match newest.filter(|_| !installed) {
        Some(newest) => azure
            .query(&inventory.workspace.customer_id, &question(newest), LOOK_BACK)
            .await
            .is_ok_and(|rows| !rows.rows.is_empty()),
        None => false,
    };
    others
        .iter()
        .map(|rule| {
            let name = installation_of(rule).unwrap_or_default();
            let group = rule["id"].as_str().unwrap_or_default().split('/').nth(4).unwrap_or_default();
            let who = format!("the installation `{name}` in `{group}` feeds the same tables");
            if twice {
                Check::fails(
                    "same-account",
                    Side::Workspace,
                    TITLE,
                    format!("{who}, and has this Mimecast account's newest event already"),
                    format!(
                        "use that installation, or remove it first: mimecast-sentinel teardown --name {name} --resource-group {group}"
                    ),
                )
            } else {
                Check::warns(
                    "other-installation",
                    Side::Workspace,
                    TITLE,
                    who,
                    "fine for another Mimecast account; with the same one every event is stored twice",
                )
            }
        })
        .collect()
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
