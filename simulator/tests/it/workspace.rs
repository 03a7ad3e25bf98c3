//! Tables, rules that feed them, saved functions and Sentinel's content.

use std::time::Duration;

use serde_json::{Value, json};
use simulator::state::Pace;

use crate::support::Arm;

const VERSION: &str = "2025-07-01";
const RULES: &str = "2023-03-11";
const SENTINEL: &str = "2025-09-01";

fn table_id(arm: &Arm) -> String {
    format!("{}/tables/MimecastAudit_CL", arm.simulator.workspace_id())
}

fn table(columns: &[(&str, &str)]) -> Value {
    let columns: Vec<Value> =
        columns.iter().map(|(name, kind)| json!({"name": name, "type": kind})).collect();
    json!({"properties": {"schema": {"name": "MimecastAudit_CL", "columns": columns}}})
}

const COLUMNS: &[(&str, &str)] = &[("TimeGenerated", "dateTime"), ("id_s", "string"), ("count_d", "long")];

fn rule_id(arm: &Arm) -> String {
    format!("{}/providers/Microsoft.Insights/dataCollectionRules/dcr-mimecast", arm.group())
}

fn rule(arm: &Arm) -> Value {
    json!({
        "location": "westeurope",
        "kind": "Direct",
        "properties": {
            "streamDeclarations": {"Custom-MimecastAudit_CL": {"columns": [
                {"name": "TimeGenerated", "type": "datetime"}, {"name": "id_s", "type": "string"},
            ]}},
            "destinations": {"logAnalytics": [{"workspaceResourceId": arm.simulator.workspace_id(), "name": "la"}]},
            "dataFlows": [{"streams": ["Custom-MimecastAudit_CL"], "destinations": ["la"],
                           "transformKql": "source", "outputStream": "Custom-MimecastAudit_CL"}],
        },
    })
}

async fn with_table() -> Arm {
    let arm = Arm::start().await;
    arm.make_group().await;
    assert_eq!(arm.put(&table_id(&arm), VERSION, table(COLUMNS)).await.status, 202);
    arm
}

#[tokio::test]
async fn a_table_reads_back_with_what_azure_adds() {
    let arm = with_table().await;
    let operation = arm.put(&table_id(&arm), VERSION, table(COLUMNS)).await;
    assert!(operation.headers.contains_key("azure-asyncoperation"));
    let read = arm.get(&table_id(&arm), VERSION).await.good();
    let properties = &read["properties"];
    assert_eq!(properties["schema"]["tableSubType"], "DataCollectionRuleBased");
    assert_eq!(
        properties["schema"]["columns"][0],
        json!({
            "name": "TimeGenerated", "type": "dateTime", "isDefaultDisplay": false, "isHidden": false,
        })
    );
    // The workspace of the start keeps 90 days.
    assert_eq!(
        (&properties["plan"], &properties["retentionInDays"], &properties["retentionInDaysAsDefault"]),
        (&json!("Analytics"), &json!(90), &json!(true))
    );
}

#[tokio::test]
async fn a_table_is_refused_for_what_azure_refuses() {
    let arm = with_table().await;
    let refuse = async |columns: &[(&str, &str)], what: &str| {
        let refusal = arm.put(&table_id(&arm), VERSION, table(columns)).await;
        refusal.refused(400, "InvalidParameter");
        assert!(refusal.message().contains(what), "{what} in {}", refusal.message());
    };
    refuse(&[("id_s", "string")], "TimeGenerated").await;
    refuse(&[("TimeGenerated", "dateTime"), ("id", "string")], "reserved").await;
    refuse(&[("TimeGenerated", "dateTime"), ("1st", "string")], "invalid").await;
    refuse(&[("TimeGenerated", "dateTime"), (&"a".repeat(46), "string")], "45").await;
    refuse(&[("TimeGenerated", "dateTime"), ("a", "text")], "type").await;
    refuse(&[("TimeGenerated", "dateTime"), ("a", "string"), ("A", "string")], "twice").await;
    refuse(&[("TimeGenerated", "dateTime"), ("id_s", "long")], "id_s").await;
    let mut long = table(COLUMNS);
    long["properties"]["retentionInDays"] = json!(731);
    arm.put(&table_id(&arm), VERSION, long).await.refused(400, "InvalidParameter");
    let other = format!("{}/tables/MimecastAudit", arm.simulator.workspace_id());
    arm.put(&other, VERSION, table(COLUMNS)).await.refused(400, "InvalidParameter");
}

#[tokio::test]
async fn columns_that_are_left_out_are_gone() {
    let arm = with_table().await;
    arm.put(&table_id(&arm), VERSION, table(&COLUMNS[..2])).await.good();
    let read = arm.get(&table_id(&arm), VERSION).await.good();
    assert_eq!(read["properties"]["schema"]["columns"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_classic_table_is_fed_only_after_its_migration() {
    let arm = Arm::start().await;
    arm.make_group().await;
    let columns = [("TimeGenerated", "dateTime"), ("id_s", "string")];
    let workspace = arm.simulator.workspace_id().to_owned();
    arm.simulator.state().add_classic_table(&workspace, "MimecastAudit_CL", &columns);
    arm.put(&table_id(&arm), VERSION, table(COLUMNS)).await.refused(400, "InvalidParameter");
    let refusal = arm.put(&rule_id(&arm), RULES, rule(&arm)).await;
    refusal.refused(400, "InvalidPayload");
    assert_eq!(refusal.body["error"]["details"][0]["code"], "InvalidOutputTable");
    let migrate = format!("{}/migrate", table_id(&arm));
    for _ in 0..2 {
        assert_eq!(arm.post(&migrate, VERSION, json!({})).await.status, 200);
    }
    arm.put(&rule_id(&arm), RULES, rule(&arm)).await.good();
    arm.put(&table_id(&arm), VERSION, table(COLUMNS)).await.good();
}

#[tokio::test]
async fn only_a_rule_made_as_direct_has_endpoints() {
    let arm = with_table().await;
    let made = arm.put(&rule_id(&arm), RULES, rule(&arm)).await;
    assert_eq!(made.status, 201);
    let properties = &made.body["properties"];
    let immutable_id = properties["immutableId"].as_str().unwrap();
    assert!(immutable_id.starts_with("dcr-") && immutable_id.len() == 36, "{immutable_id}");
    let ingestion = arm.simulator.state().endpoints().ingestion.to_string();
    assert_eq!(properties["endpoints"]["logsIngestion"], ingestion.trim_end_matches('/'));
    let again = arm.put(&rule_id(&arm), RULES, rule(&arm)).await;
    assert_eq!((again.status, &again.body["properties"]["immutableId"]), (200, &json!(immutable_id)));

    let other = format!("{}-two", rule_id(&arm));
    let mut plain = rule(&arm);
    plain.as_object_mut().unwrap().remove("kind");
    assert!(arm.put(&other, RULES, plain).await.good()["properties"].get("endpoints").is_none());
    let later = arm.put(&other, RULES, rule(&arm)).await.good();
    assert!(later["properties"].get("endpoints").is_none());
}

#[tokio::test]
async fn a_rule_is_refused_for_each_of_its_parts() {
    let arm = with_table().await;
    let refuse = async |change: fn(&mut Value), code: &str| {
        let mut changed = rule(&arm);
        change(&mut changed);
        let refusal = arm.put(&rule_id(&arm), RULES, changed).await;
        refusal.refused(400, "InvalidPayload");
        let details = refusal.body["error"]["details"].as_array().unwrap();
        assert!(details.iter().any(|each| each["code"] == code), "{code} in {}", refusal.body);
    };
    refuse(|body| body["location"] = json!("northeurope"), "InvalidDestination").await;
    refuse(
        |body| body["properties"]["dataFlows"][0]["outputStream"] = json!("Custom-Other_CL"),
        "InvalidOutputTable",
    )
    .await;
    refuse(|body| body["properties"]["dataFlows"][0]["streams"] = json!(["Custom-Other"]), "InvalidStream")
        .await;
    refuse(|body| body["properties"]["dataFlows"][0]["destinations"] = json!(["lb"]), "InvalidDestination")
        .await;
    refuse(
        |body| body["properties"]["dataFlows"][0]["transformKql"] = json!("MimecastAudit_CL"),
        "InvalidTransformQuery",
    )
    .await;
    refuse(
        |body| {
            let columns = json!({"columns": [{"name": "a", "type": "string"}]});
            body["properties"]["streamDeclarations"] = json!({"MimecastAudit_CL": columns});
        },
        "InvalidStreamDeclaration",
    )
    .await;
    refuse(
        |body| {
            body["properties"]["streamDeclarations"]["Custom-MimecastAudit_CL"]["columns"][1]["type"] =
                json!("long");
        },
        "InvalidTransformOutput",
    )
    .await;
    // The table's word for the type, which a rule does not know.
    refuse(
        |body| {
            body["properties"]["streamDeclarations"]["Custom-MimecastAudit_CL"]["columns"][0]["type"] =
                json!("dateTime");
        },
        "InvalidStreamDeclaration",
    )
    .await;
}

#[tokio::test]
async fn a_new_table_is_unknown_to_rules_for_a_while() {
    let arm = Arm::start().await;
    arm.make_group().await;
    arm.simulator.state().set_pace(Pace { table_spread: Duration::from_secs(300), ..Pace::default() });
    arm.put(&table_id(&arm), VERSION, table(COLUMNS)).await.good();
    arm.put(&rule_id(&arm), RULES, rule(&arm)).await.refused(400, "InvalidPayload");
    arm.simulator.clock().advance(Duration::from_secs(300));
    arm.put(&rule_id(&arm), RULES, rule(&arm)).await.good();
}

fn alert_rule_id(arm: &Arm, name: &str) -> String {
    format!("{}/providers/Microsoft.SecurityInsights/alertRules/{name}", arm.simulator.workspace_id())
}

fn alert_rule(query: &str) -> Value {
    json!({"kind": "Scheduled", "properties": {
        "displayName": "Mimecast: failed logins", "enabled": true, "severity": "Medium", "query": query,
        "queryFrequency": "PT1H", "queryPeriod": "PT1H", "triggerOperator": "GreaterThan", "triggerThreshold": 0,
        "suppressionDuration": "PT5H", "suppressionEnabled": false,
    }})
}

#[tokio::test]
async fn an_alert_rules_query_must_name_what_exists() {
    let arm = with_table().await;
    let id = alert_rule_id(&arm, "rule-one");
    let refusal = arm.put(&id, SENTINEL, alert_rule("Missing_CL | count")).await;
    refusal.refused(400, "BadRequest");
    assert!(refusal.message().contains("One of the tables does not exist"), "{}", refusal.message());
    let query = "MimecastAuditEvents()\n| where method_s == 'x'";
    let refusal = arm.put(&id, SENTINEL, alert_rule(query)).await;
    assert!(refusal.message().contains("Unknown function: 'MimecastAuditEvents'"), "{}", refusal.message());
    let search = format!("{}/savedSearches/mimecast-events", arm.simulator.workspace_id());
    let function = json!({"properties": {"category": "Mimecast", "displayName": "Mimecast events",
        "query": "MimecastAudit_CL", "functionAlias": "MimecastAuditEvents", "version": 2}});
    arm.put(&search, VERSION, function).await.good();
    assert_eq!(arm.put(&id, SENTINEL, alert_rule(query)).await.status, 201);
    arm.put(&id, SENTINEL, alert_rule("MimecastAudit_CL | count")).await.good();
    let mut short = alert_rule("MimecastAudit_CL | count");
    short["properties"]["queryPeriod"] = json!("PT30M");
    arm.put(&id, SENTINEL, short).await.refused(400, "BadRequest");
}

#[tokio::test]
async fn the_id_of_a_deleted_alert_rule_rests_for_a_day() {
    let arm = with_table().await;
    let id = alert_rule_id(&arm, "rule-one");
    arm.put(&id, SENTINEL, alert_rule("MimecastAudit_CL | count")).await.good();
    arm.delete(&id, SENTINEL).await.good();
    let refusal = arm.put(&id, SENTINEL, alert_rule("MimecastAudit_CL | count")).await;
    refusal.refused(409, "Conflict");
    assert!(refusal.message().contains("recently deleted"));
    arm.put(&alert_rule_id(&arm, "rule-two"), SENTINEL, alert_rule("MimecastAudit_CL | count")).await.good();
}

#[tokio::test]
async fn content_needs_sentinel_on_the_workspace() {
    let arm = with_table().await;
    let group = format!("/subscriptions/{}/resourceGroups/rg-security", arm.simulator.subscription_id());
    let plain = arm.simulator.state().add_workspace(&group, "law-plain", "westeurope");
    let content = format!("{plain}/providers/Microsoft.SecurityInsights/metadata/one");
    let body = json!({"properties": {"kind": "AnalyticsRule", "parentId": plain}});
    let refusal = arm.put(&content, SENTINEL, body.clone()).await;
    refusal.refused(400, "BadRequest");
    assert!(refusal.message().contains("not onboarded"), "{}", refusal.message());
    let onboarding = format!("{plain}/providers/Microsoft.SecurityInsights/onboardingStates/default");
    arm.get(&onboarding, SENTINEL).await.refused(404, "NotFound");
    arm.put(&onboarding, SENTINEL, json!({"properties": {}})).await.good();
    arm.put(&content, SENTINEL, body).await.good();
}
