//! Queries of a workspace.

use installer::azure::AzureError;
use serde_json::{Value, json};

use super::stand::{Stand, turn};

const PATH: &str = "/v1/workspaces/w-1/query";

#[tokio::test]
async fn a_query_gives_its_primary_result() {
    let stand = Stand::expecting([turn("POST", PATH, 200).json(json!({"tables": [
        {"name": "QueryStatistics", "columns": [{"name": "x", "type": "string"}], "rows": [["y"]]},
        {"name": "PrimaryResult",
         "columns": [{"name": "id_s", "type": "string"}, {"name": "Count", "type": "long"}],
         "rows": [["a", 1], ["b", null]]}
    ]}))])
    .await;
    let rows = stand.azure.query("w-1", "MimecastAudit_CL | count", "PT1H").await.unwrap();
    assert_eq!(rows.columns, ["id_s", "Count"]);
    assert_eq!(rows.single(), Some(&json!("a")));
    let records: Vec<Value> = rows.records().map(Value::Object).collect();
    assert_eq!(records, [json!({"id_s": "a", "Count": 1}), json!({"id_s": "b", "Count": null})]);
    stand.done();
    let asked: Value = serde_json::from_slice(&stand.calls()[0].body).unwrap();
    assert_eq!(asked, json!({"query": "MimecastAudit_CL | count", "timespan": "PT1H"}));
}

#[tokio::test]
async fn a_part_of_the_data_is_not_the_answer() {
    let stand = Stand::expecting([turn("POST", PATH, 200).json(json!({
        "tables": [{"name": "PrimaryResult", "columns": [], "rows": []}],
        "error": {"code": "PartialError", "message": "There were some errors.", "details": [
            {"code": "EngineError", "message": "Something went wrong processing your query."}]}
    }))])
    .await;
    let error = stand.azure.query("w-1", "x", "").await.unwrap_err();
    assert_eq!(error.code(), Some("EngineError"));
    stand.done();
    let asked: Value = serde_json::from_slice(&stand.calls()[0].body).unwrap();
    assert_eq!(asked, json!({"query": "x"}), "no timespan where the query has its own");
}

#[tokio::test]
async fn a_refused_query_keeps_its_innermost_words() {
    let stand = Stand::expecting([
        turn("POST", PATH, 400).json(json!({"error": {
            "message": "The request had some invalid properties", "code": "BadArgumentError",
            "innererror": {"code": "SemanticError", "message": "A semantic error occurred.", "innererror": {
                "code": "SEM0100", "message": "Failed to resolve table 'MimecastAudit_CL'"}}}})),
        turn("POST", PATH, 200).json(json!({"tables": []})),
    ])
    .await;
    let error = stand.azure.query("w-1", "x", "PT1H").await.unwrap_err();
    assert!(error.has_code("BadArgumentError") && error.code() == Some("SEM0100"), "{error:?}");
    assert!(error.refusal().unwrap().to_string().contains("MimecastAudit_CL"));
    let error = stand.azure.query("w-1", "x", "PT1H").await.unwrap_err();
    assert!(matches!(error, AzureError::Incomplete { .. }), "{error:?}");
    stand.done();
}
