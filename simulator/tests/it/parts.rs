//! Storage accounts, Application Insights, workbooks and diagnostic settings.

use serde_json::{Value, json};

use crate::support::Arm;

fn account() -> Value {
    json!({"location": "westeurope", "kind": "StorageV2", "sku": {"name": "Standard_LRS"},
           "properties": {"allowSharedKeyAccess": false}})
}

#[tokio::test]
async fn a_storage_account_has_endpoints_services_and_containers() {
    let arm = Arm::start().await;
    arm.make_group().await;
    let id = format!("{}/providers/Microsoft.Storage/storageAccounts/stone", arm.group());
    let accepted = arm.put(&id, "2023-05-01", account()).await;
    assert_eq!((accepted.status, accepted.body.is_null()), (202, true));
    assert!(!accepted.headers.contains_key("azure-asyncoperation"));
    let read = arm.get(&id, "2023-05-01").await.good();
    let blob = arm.simulator.state().endpoints().blob.to_string();
    assert_eq!(read["properties"]["primaryEndpoints"]["blob"], format!("{blob}stone/"));
    assert_eq!(read["properties"]["allowSharedKeyAccess"], false);
    arm.get(&format!("{id}/blobServices/default"), "2023-05-01").await.good();

    let container = format!("{id}/blobServices/default/containers/audit-checkpoints");
    assert_eq!(arm.put(&container, "2023-05-01", json!({})).await.status, 201);
    assert_eq!(arm.put(&container, "2023-05-01", json!({})).await.status, 200);
    let listed = arm.get(&format!("{id}/blobServices/default/containers"), "2023-05-01").await.good();
    assert_eq!(listed["value"][0]["name"], "audit-checkpoints");
    let bad = format!("{id}/blobServices/default/containers/Audit_Checkpoints");
    arm.put(&bad, "2023-05-01", json!({})).await.refused(400, "InvalidResourceName");
    let public = json!({"properties": {"publicAccess": "Blob"}});
    let other = format!("{id}/blobServices/default/containers/public");
    arm.put(&other, "2023-05-01", public).await.refused(409, "PublicAccessNotPermitted");
    let queue = format!("{id}/queueServices/default/queues/sync-work");
    arm.put(&queue, "2023-05-01", json!({"properties": {}})).await.good();
    let keys = arm.post(&format!("{id}/listKeys"), "2023-05-01", json!({})).await.good();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 2);

    assert_eq!(arm.delete(&id, "2023-05-01").await.status, 200);
    arm.get(&container, "2023-05-01").await.refused(404, "NotFound");
}

#[tokio::test]
async fn a_storage_name_must_be_legal_and_free() {
    // BR-130, BR-131
    let arm = Arm::start().await;
    arm.make_group().await;
    arm.simulator.state().take_name("stothers");
    let accounts = format!("{}/providers/Microsoft.Storage/storageAccounts", arm.group());
    arm.put(&format!("{accounts}/st-one"), "2023-05-01", account()).await.refused(400, "AccountNameInvalid");
    arm.put(&format!("{accounts}/stothers"), "2023-05-01", account())
        .await
        .refused(409, "StorageAccountAlreadyTaken");
    let subscription = arm.simulator.subscription_id();
    let check = format!("/subscriptions/{subscription}/providers/Microsoft.Storage/checkNameAvailability");
    let ask = async |name: &str| {
        let question = json!({"name": name, "type": "Microsoft.Storage/storageAccounts"});
        let answer = arm.post(&check, "2023-05-01", question).await.good();
        (answer["nameAvailable"].as_bool().unwrap(), answer["reason"].as_str().map(str::to_owned))
    };
    assert_eq!(ask("stothers").await, (false, Some("AlreadyExists".to_owned())));
    assert_eq!(ask("St-One").await, (false, Some("AccountNameInvalid".to_owned())));
    assert_eq!(ask("stone").await, (true, None));
    let web = format!("/subscriptions/{subscription}/providers/Microsoft.Web/checknameavailability");
    let question = json!({"name": "stothers", "type": "Microsoft.Web/sites"});
    assert_eq!(arm.post(&web, "2024-04-01", question).await.good()["reason"], "AlreadyExists");
}

#[tokio::test]
async fn application_insights_needs_a_workspace_and_makes_things_by_itself() {
    let arm = Arm::start().await;
    arm.make_group().await;
    let id = format!("{}/providers/Microsoft.Insights/components/appi-one", arm.group());
    let mut body =
        json!({"location": "westeurope", "kind": "web", "properties": {"Application_Type": "web"}});
    arm.put(&id, "2020-02-02", body.clone()).await.refused(400, "BadRequest");
    body["properties"]["WorkspaceResourceId"] = json!(arm.simulator.workspace_id());
    let made = arm.put(&id, "2020-02-02", body).await.good();
    let key = made["properties"]["InstrumentationKey"].as_str().unwrap();
    let connection = made["properties"]["ConnectionString"].as_str().unwrap();
    assert!(
        connection.starts_with(&format!("InstrumentationKey={key};IngestionEndpoint=https://")),
        "{connection}"
    );
    let [action_group, rule] = arm.simulator.state().make_smart_detection(&id).unwrap();
    let listed = arm.get(&format!("{}/resources", arm.group()), "2021-04-01").await.good();
    let ids: Vec<&str> =
        listed["value"].as_array().unwrap().iter().map(|each| each["id"].as_str().unwrap()).collect();
    assert!(ids.contains(&action_group.as_str()) && ids.contains(&rule.as_str()), "{ids:?}");
    let rule = rule.replace(' ', "%20");
    assert_eq!(arm.get(&rule, "2021-04-01").await.good()["properties"]["scope"], json!([id]));
    arm.delete(&rule, "2021-04-01").await.good();
}

#[tokio::test]
async fn a_workbook_shows_its_content_when_asked() {
    let arm = Arm::start().await;
    arm.make_group().await;
    let id = format!(
        "{}/providers/Microsoft.Insights/workbooks/5f4a1c1e-0000-4000-8000-000000000003",
        arm.group()
    );
    let content = json!({"version": "Notebook/1.0", "items": []}).to_string();
    let mut body = json!({"location": "westeurope", "kind": "shared", "properties": {
        "displayName": "Mimecast", "category": "sentinel", "serializedData": content,
        "sourceId": arm.simulator.workspace_id(), "version": "1.0"}});
    assert_eq!(arm.put(&id, "2023-06-01", body.clone()).await.status, 201);
    let plain = arm.get(&id, "2023-06-01").await.good();
    assert_eq!(plain["properties"]["serializedData"], Value::Null);
    let whole = arm.get(&format!("{id}?canFetchContent=true"), "2023-06-01").await.good();
    assert_eq!(whole["properties"]["serializedData"], content);
    body["properties"]["serializedData"] = json!("not json");
    arm.put(&id, "2023-06-01", body).await.refused(400, "BadRequest");
}

#[tokio::test]
async fn diagnostic_settings_lie_on_the_resource_and_go_with_it() {
    let arm = Arm::start().await;
    arm.make_group().await;
    let table = format!("{}/tables/MimecastAudit_CL", arm.simulator.workspace_id());
    let schema =
        json!({"name": "MimecastAudit_CL", "columns": [{"name": "TimeGenerated", "type": "dateTime"}]});
    arm.put(&table, "2025-07-01", json!({"properties": {"schema": schema}})).await.good();
    let rule = format!("{}/providers/Microsoft.Insights/dataCollectionRules/dcr-one", arm.group());
    let body = json!({"location": "westeurope", "kind": "Direct", "properties": {
        "streamDeclarations": {"Custom-A": {"columns": [{"name": "TimeGenerated", "type": "datetime"}]}},
        "destinations": {"logAnalytics": [{"workspaceResourceId": arm.simulator.workspace_id(), "name": "la"}]},
        "dataFlows": [{"streams": ["Custom-A"], "destinations": ["la"], "outputStream": "Custom-MimecastAudit_CL"}]}});
    arm.put(&rule, "2023-03-11", body).await.good();
    let setting = format!("{rule}/providers/Microsoft.Insights/diagnosticSettings/errors");
    let version = "2021-05-01-preview";
    let mut body = json!({"properties": {"logs": [{"category": "LogErrors", "enabled": true}]}});
    arm.put(&setting, version, body.clone()).await.refused(400, "BadRequest");
    body["properties"]["workspaceId"] = json!(arm.simulator.workspace_id());
    arm.put(&setting, version, body.clone()).await.good();
    body["properties"]["logs"][0]["category"] = json!("Everything");
    arm.put(&setting, version, body).await.refused(400, "BadRequest");
    arm.delete(&rule, "2023-03-11").await.good();
    arm.get(&setting, version).await.refused(404, "NotFound");
}
