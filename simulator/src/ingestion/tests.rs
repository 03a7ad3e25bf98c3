//! Rows taken in and refused.

use std::io::Write;
use std::time::Duration;

use axum::Router;
use contract::resources::MONITORING_METRICS_PUBLISHER;
use contract::streams::{AUDIT_COLUMNS, AUDIT_STREAM, AUDIT_TABLE, HEALTH_TABLE};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::router;
use crate::data::scene::{Answer, GROUP, RULE, Scene};
use crate::rows::{Keep, Tally};
use crate::state::role::OWNER;

const AUDIENCE: &str = "https://monitor.azure.com/";

/// A column's name in the stream.
fn sent_as(column: &str) -> &'static str {
    AUDIT_COLUMNS.iter().find(|each| each.name == column).unwrap().sent_as.unwrap()
}

fn target(stream: &str) -> String {
    format!("/dataCollectionRules/{RULE}/streams/{stream}?api-version=2023-01-01")
}

fn zipped(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

async fn post(scene: &Scene, router: &Router, target: &str, audience: &str, body: Vec<u8>) -> Answer {
    let token = format!("Bearer {}", scene.token(audience));
    let headers = [("authorization", token.as_str()), ("content-type", "application/json")];
    scene.send(router, "POST", target, &headers, body).await
}

async fn post_zipped(scene: &Scene, router: &Router, body: &[u8]) -> Answer {
    let token = format!("Bearer {}", scene.token(AUDIENCE));
    let headers = [
        ("authorization", token.as_str()),
        ("content-type", "application/json"),
        ("content-encoding", "gzip"),
    ];
    scene.send(router, "POST", &target(AUDIT_STREAM), &headers, zipped(body)).await
}

async fn store(rows: Value) -> Vec<crate::rows::Row> {
    let scene = Scene::with_roles();
    let router = router(scene.data.clone());
    let answer = post_zipped(&scene, &router, rows.to_string().as_bytes()).await;
    assert_eq!(answer.status, 204, "{answer:?}");
    assert!(answer.body.is_empty());
    scene.data.rows.of(AUDIT_TABLE)
}

#[tokio::test]
async fn a_row_is_stored_as_the_transform_makes_it_without_undeclared_fields() {
    let scene = Scene::with_roles();
    let at = (scene.data.state.now() - Duration::from_secs(3600)).replace_nanosecond(0).unwrap();
    let at = super::format_time(at);
    let rows = store(json!([{
        sent_as("eventTime_t"): at,
        sent_as("Category"): "account_logs",
        sent_as("eventKey_s"): "CUSA0A0000:1",
        "undeclared": "gone",
    }]))
    .await;
    let row = &rows[0];
    // BR-054: the event's time, not that of ingestion.
    assert_eq!(row["TimeGenerated"], json!(at));
    assert_eq!(row["eventTime_t"], json!(at));
    assert_eq!(row["mimecastEventId_s"], "audit_account");
    assert_eq!(row["account_s"], "CUSA0A0000");
    assert!(!row.contains_key("undeclared"));
}

#[tokio::test]
async fn a_time_of_generation_of_the_past_or_the_future_is_replaced() {
    let scene = Scene::with_roles();
    let now = scene.data.state.now().replace_nanosecond(0).unwrap();
    let times = [
        (now - Duration::from_secs(2 * 86_400 - 60), true),
        (now - Duration::from_secs(2 * 86_400 + 60), false),
        (now + Duration::from_secs(86_400 - 60), true),
        (now + Duration::from_secs(86_400 + 60), false),
    ];
    let sent = times.map(|(at, _)| json!({sent_as("eventTime_t"): super::format_time(at)}));
    let rows = store(json!(sent)).await;
    for ((at, kept), row) in times.into_iter().zip(&rows) {
        let text = super::format_time(at);
        // BR-055: the time of the event stays in its own column.
        assert_eq!(row["eventTime_t"], json!(text));
        assert_eq!(row["TimeGenerated"] == json!(text), kept, "{text}");
    }
}

#[tokio::test]
async fn a_field_above_64_kib_is_cut() {
    // BR-051
    let rows = store(json!([{sent_as("eventInfo_s"): "x".repeat(65_537)}])).await;
    assert_eq!(rows[0]["eventInfo_s"].as_str().unwrap().len(), 65_536);
}

#[tokio::test]
async fn a_megabyte_is_the_limit_before_and_after_compression() {
    // BR-006, BR-069
    let scene = Scene::with_roles();
    let router = router(scene.data.clone());
    let body = |bytes: usize| {
        let frame = r#"[{"info":""}]"#.len();
        format!(r#"[{{"info":"{}"}}]"#, "x".repeat(bytes - frame)).into_bytes()
    };
    assert_eq!(body(1_048_576).len(), 1_048_576);
    assert_eq!(post_zipped(&scene, &router, &body(1_048_576)).await.status, 204);
    let answer = post_zipped(&scene, &router, &body(1_048_577)).await;
    assert_eq!((answer.status, answer.error_code().as_str()), (413, "ContentLengthLimitExceeded"));
    let plain = post(&scene, &router, &target(AUDIT_STREAM), AUDIENCE, body(1_048_577)).await;
    assert_eq!(plain.status, 413);
    assert_eq!(scene.data.rows.of(AUDIT_TABLE).len(), 1);
}

#[tokio::test]
async fn what_is_no_array_of_objects_is_refused_whole() {
    let scene = Scene::with_roles();
    let router = router(scene.data.clone());
    for body in ["", "{}", "[1]", r#"[{"key":"a"}"#, "[{\"key\":\"\u{1}\"}]"] {
        let answer = post(&scene, &router, &target(AUDIT_STREAM), AUDIENCE, body.into()).await;
        assert_eq!(answer.status, 400, "{body}");
        assert_eq!(answer.headers["x-ms-error-code"], "InvalidPayload");
    }
    let not_utf8 = b"[{\"key\":\"\xff\"}]".to_vec();
    assert_eq!(post(&scene, &router, &target(AUDIT_STREAM), AUDIENCE, not_utf8).await.status, 400);
    assert_eq!(scene.data.rows.of(AUDIT_TABLE).len(), 0);
}

#[tokio::test]
async fn rule_stream_version_and_token_must_be_right() {
    // BR-079
    let scene = Scene::with_roles();
    let router = router(scene.data.clone());
    let rows = || b"[{\"key\":\"k\"}]".to_vec();
    let good = target(AUDIT_STREAM);
    for (target, audience, status) in [
        (good.clone(), AUDIENCE, 204),
        (good.replace(RULE, "dcr-other"), AUDIENCE, 404),
        (target("Custom-Other_CL"), AUDIENCE, 404),
        (target("MimecastAudit_CL"), AUDIENCE, 404),
        (good.replace("2023-01-01", "2020-01-01"), AUDIENCE, 400),
        (good.replace("?api-version=2023-01-01", ""), AUDIENCE, 400),
        (good.clone(), "https://management.azure.com", 401),
    ] {
        assert_eq!(post(&scene, &router, &target, audience, rows()).await.status, status, "{target}");
    }
    let headers = [("content-type", "application/json")];
    assert_eq!(scene.send(&router, "POST", &good, &headers, rows()).await.status, 401);
}

#[tokio::test]
async fn the_role_on_the_rule_is_needed() {
    // BR-077
    let scene = Scene::new();
    let router = router(scene.data.clone());
    let rows = || b"[{\"key\":\"k\"}]".to_vec();
    let target = target(AUDIT_STREAM);
    scene.data.state.give_role(&scene.somebody.object_id, GROUP, OWNER);
    let refused = post(&scene, &router, &target, AUDIENCE, rows()).await;
    assert_eq!((refused.status, refused.error_code().as_str()), (403, "OperationFailed"));
    let rule = scene.data.rule(RULE).unwrap()["id"].as_str().unwrap().to_owned();
    scene.data.state.give_role(&scene.somebody.object_id, &rule, MONITORING_METRICS_PUBLISHER);
    assert_eq!(post(&scene, &router, &target, AUDIENCE, rows()).await.status, 204);
}

#[test]
fn a_full_minute_says_how_long_to_wait() {
    // BR-071
    let throttle = super::Throttle::default();
    let minute = time::macros::datetime!(2026-11-24 10:00:45 UTC);
    for _ in 0..12_000 {
        assert_eq!(throttle.take(RULE, minute), Ok(()));
    }
    assert_eq!(throttle.take(RULE, minute), Err(15));
    assert_eq!(throttle.take("dcr-other", minute), Ok(()));
    assert_eq!(throttle.take(RULE, minute + Duration::from_secs(15)), Ok(()));
}

#[tokio::test]
async fn a_benchmark_keeps_counts_only() {
    let scene = Scene::with_roles();
    let router = router(scene.data.clone());
    scene.data.rows.keep(Keep::Tally);
    let body = r#"[{"key":"a"},{"key":"b"}]"#;
    assert_eq!(post_zipped(&scene, &router, body.as_bytes()).await.status, 204);
    assert_eq!(post_zipped(&scene, &router, b"{}").await.status, 400);
    let sent_bytes = zipped(body.as_bytes()).len().try_into().unwrap();
    let body_bytes = body.len().try_into().unwrap();
    assert_eq!(scene.data.rows.tally(AUDIT_TABLE), Tally { calls: 1, rows: 2, body_bytes, sent_bytes });
    assert_eq!(scene.data.rows.tally(HEALTH_TABLE), Tally::default());
    assert!(scene.data.rows.of(AUDIT_TABLE).is_empty());
}
