//! The Functions host's admin endpoints.

use contract::secret::Secret;
use installer::azure::AzureError;
use serde_json::{Value, json};
use simulator::fault::{Action, Fault, Matcher};

use super::stand::{Stand, turn};

fn key() -> Secret<String> {
    Secret::new("canary-master".to_owned())
}

#[tokio::test]
async fn the_hosts_status_is_read_with_the_key_in_a_header() {
    let stand = Stand::expecting([
        turn("GET", "/admin/host/status", 200)
            .json(json!({"id": "h", "state": "Running", "version": "4.1037.0.0", "errors": null, "more": 1})),
        turn("GET", "/admin/host/status", 200)
            .json(json!({"state": "Error", "errors": ["The host could not start."]})),
    ])
    .await;
    let healthy = stand.azure.host_status(stand.root(), &key()).await.unwrap();
    assert!(healthy.healthy());
    assert_eq!(healthy.version.as_deref(), Some("4.1037.0.0"));
    let broken = stand.azure.host_status(stand.root(), &key()).await.unwrap();
    assert!(!broken.healthy());
    assert_eq!(broken.errors, ["The host could not start."]);
    stand.done();
    for call in stand.calls() {
        assert_eq!(call.header("x-functions-key"), Some("canary-master"));
        assert_eq!(call.header("authorization"), None, "the host has no use for a token");
        assert!(!call.target.contains("canary"), "{}", call.target);
    }
}

#[tokio::test]
async fn a_function_is_run_with_its_input() {
    let stand = Stand::expecting([turn("POST", "/admin/functions/Sync", 202)]).await;
    let input = r#"{"from":"2026-11-01"}"#;
    stand.azure.run_function(stand.root(), &key(), "Sync", input).await.unwrap();
    stand.done();
    let body: Value = serde_json::from_slice(&stand.calls()[0].body).unwrap();
    assert_eq!(body, json!({"input": input}), "the input is a string, whatever it holds");
}

#[tokio::test]
async fn a_run_that_may_have_begun_is_not_asked_for_again() {
    for status in [500, 502, 504] {
        let stand = Stand::expecting([turn("POST", "/admin/functions/Sync", status)]).await;
        let error = stand.azure.run_function(stand.root(), &key(), "Sync", "").await.unwrap_err();
        assert_eq!(error.status(), Some(status));
        stand.done();
    }
    let stand = Stand::expecting([turn("POST", "/admin/functions/Sync", 202)]).await;
    stand.ground.faults.add(Fault::once(Matcher::new("arm", "POST", ""), Action::DropAfter));
    let error = stand.azure.run_function(stand.root(), &key(), "Sync", "").await.unwrap_err();
    assert!(matches!(error, AzureError::Send { .. }), "{error:?}");
    stand.done();
    assert!(!format!("{error} {error:?}").contains("canary"));
}

#[tokio::test]
async fn a_run_that_was_surely_refused_is_asked_for_again() {
    let stand = Stand::expecting([
        turn("POST", "/admin/functions/Sync", 503),
        turn("POST", "/admin/functions/Sync", 429).header("retry-after", "1"),
        turn("POST", "/admin/functions/Sync", 202),
    ])
    .await;
    stand.azure.run_function(stand.root(), &key(), "Sync", "").await.unwrap();
    stand.done();
}
