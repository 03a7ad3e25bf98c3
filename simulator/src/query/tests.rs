//! Questions answered and refused.

use std::time::Duration;

use contract::streams::HEALTH_TABLE;
use serde_json::{Value, json};

use super::{read_timespan, router};
use crate::data::scene::{Answer, CUSTOMER, GROUP, Scene};

async fn ask(scene: &Scene, customer: &str, body: Value) -> Answer {
    let token = format!("Bearer {}", scene.token("https://api.loganalytics.io"));
    let headers = [("authorization", token.as_str()), ("content-type", "application/json")];
    let target = format!("/v1/workspaces/{customer}/query");
    scene.send(&router(scene.data.clone()), "POST", &target, &headers, body.to_string().into_bytes()).await
}

fn with_runs() -> Scene {
    let scene = Scene::with_roles();
    let workspace = format!("{GROUP}/providers/Microsoft.OperationalInsights/workspaces/ws");
    let now = scene.data.state.now();
    let rows = [("ok", 60), ("failed", 7200)].map(|(result, ago)| {
        let at = crate::ingestion::format_time(now - Duration::from_secs(ago));
        let row = json!({"TimeGenerated": at, "Result": result, "Read": 3, "UnknownShapes": {"Logon": 1}});
        row.as_object().unwrap().clone()
    });
    scene.data.rows.add(&workspace, HEALTH_TABLE, rows);
    scene
}

#[tokio::test]
async fn an_answer_has_columns_with_types_and_rows_in_their_order() {
    let scene = with_runs();
    let query = format!("{HEALTH_TABLE} | top 1 by TimeGenerated desc | project Result, Read, UnknownShapes");
    let answer = ask(&scene, CUSTOMER, json!({"query": query})).await;
    assert_eq!(
        answer.json(),
        json!({"tables": [{
            "name": "PrimaryResult",
            "columns": [
                {"name": "Result", "type": "string"},
                {"name": "Read", "type": "long"},
                {"name": "UnknownShapes", "type": "dynamic"},
            ],
            "rows": [["ok", 3, "{\"Logon\":1}"]],
        }]})
    );
}

#[tokio::test]
async fn the_timespan_and_the_latency_hide_rows() {
    let scene = with_runs();
    let count =
        async |body: Value| ask(&scene, CUSTOMER, body).await.json()["tables"][0]["rows"][0][0].clone();
    let query = format!("{HEALTH_TABLE} | count");
    assert_eq!(count(json!({"query": query})).await, 2);
    assert_eq!(count(json!({"query": query, "timespan": "PT1H"})).await, 1);
    // BR-082: accepted rows are not visible at once.
    scene.data.rows.set_latency(Duration::from_secs(300));
    assert_eq!(count(json!({"query": query})).await, 0);
    scene.data.state.clock().advance(Duration::from_secs(301));
    assert_eq!(count(json!({"query": query})).await, 2);
}

#[tokio::test]
async fn rows_are_told_apart_by_when_they_were_accepted_by_the_workspaces_clock() {
    let scene = with_runs();
    let first = async |query: &str| {
        let answer = ask(&scene, CUSTOMER, json!({"query": query})).await.json();
        (answer["tables"][0]["columns"][0].clone(), answer["tables"][0]["rows"][0][0].clone())
    };
    scene.data.state.clock().advance(Duration::from_secs(60));
    let (column, now) = first("print now()").await;
    assert_eq!(column, json!({"name": "print_0", "type": "datetime"}));
    let now = now.as_str().unwrap();
    // Both rows are of a time before, and were accepted before.
    let since = format!("{HEALTH_TABLE} | where ingestion_time() > datetime({now}) | count");
    assert_eq!(first(&since).await.1, 0);
    let before = format!("{HEALTH_TABLE} | where ingestion_time() < datetime({now}) and Read == 3 | count");
    assert_eq!(first(&before).await.1, 2);
    // It is no column: nobody sees it unasked.
    let all = ask(&scene, CUSTOMER, json!({"query": format!("{HEALTH_TABLE} | take 1")})).await.json();
    assert!(!all["tables"][0]["columns"].to_string().contains("ingestion_time"));
}

#[tokio::test]
async fn what_is_not_known_is_refused_as_azure_refuses_it() {
    let scene = with_runs();
    let inner = |answer: &Answer| answer.json()["error"]["innererror"].clone();
    let syntax = ask(&scene, CUSTOMER, json!({"query": format!("{HEALTH_TABLE} | evaluate bag()")})).await;
    assert_eq!((syntax.status, syntax.error_code().as_str()), (400, "BadArgumentError"));
    assert_eq!(inner(&syntax)["code"], "SyntaxError");
    assert!(inner(&syntax)["message"].as_str().unwrap().contains("evaluate"));
    let table = ask(&scene, CUSTOMER, json!({"query": "Other_CL | count"})).await;
    assert_eq!(inner(&table)["innererror"]["code"], "SEM0100");
    let column = ask(&scene, CUSTOMER, json!({"query": format!("{HEALTH_TABLE} | where Nope == 1")})).await;
    assert!(inner(&column)["innererror"]["message"].as_str().unwrap().contains("'Nope'"));
}

#[tokio::test]
async fn reading_needs_the_right_and_the_workspace() {
    let body = json!({"query": format!("{HEALTH_TABLE} | count")});
    let scene = Scene::new();
    let answer = ask(&scene, CUSTOMER, body.clone()).await;
    assert_eq!((answer.status, answer.error_code().as_str()), (403, "InsufficientAccessError"));
    let scene = Scene::with_roles();
    assert_eq!(ask(&scene, "00000000-0000-0000-0000-000000000000", body.clone()).await.status, 403);
    assert_eq!(ask(&scene, CUSTOMER, body).await.status, 200);
}

#[test]
fn timespans_are_read() {
    let now = time::macros::datetime!(2026-11-24 10:00 UTC);
    let from = |text| read_timespan(text, now).map(|(from, _)| from);
    assert_eq!(from("PT30M"), Some(time::macros::datetime!(2026-11-24 09:30 UTC)));
    assert_eq!(from("P2D"), Some(time::macros::datetime!(2026-11-22 10:00 UTC)));
    assert_eq!(
        from("2026-11-01T00:00:00Z/2026-11-02T00:00:00Z"),
        Some(time::macros::datetime!(2026-11-01 00:00 UTC))
    );
    assert_eq!(from("1h"), None);
    assert_eq!(from("P"), None);
}
