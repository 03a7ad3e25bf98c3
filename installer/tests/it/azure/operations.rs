//! Long operations, in each of the ways that providers have.

use std::time::Duration;

use axum::Router;
use installer::azure::{AzureError, Deleted};
use serde_json::{Value, json};

use super::stand::{Stand, id, timings, turn};

const VERSION: &str = "2024-11-01";

fn site() -> installer::azure::ResourceId {
    id("/providers/Microsoft.Web/sites/func-x")
}

fn resource(state: Option<&str>) -> Value {
    match state {
        Some(state) => json!({"name": "func-x", "properties": {"provisioningState": state}}),
        None => json!({"name": "func-x", "properties": {"defaultHostName": "func-x.example.com"}}),
    }
}

// BR-142
#[tokio::test]
async fn an_operation_with_a_status_document_is_polled_to_its_end_and_the_resource_read() {
    let path = site().path().to_owned();
    let stand = Stand::expecting([
        turn("PUT", &path, 201)
            .json(resource(Some("Creating")))
            .header("azure-asyncoperation", "{root}/subscriptions/op/1?api-version=2024-11-01&t=1"),
        turn("GET", "/subscriptions/op/1", 202).json(json!({"status": "InProgress"})),
        turn("GET", "/subscriptions/op/1", 200).json(json!({"status": "RegisteringDns"})),
        turn("GET", "/subscriptions/op/1", 200).json(json!({"status": "succeeded"})),
        turn("GET", &path, 200).json(resource(None)),
    ])
    .await;
    let made = stand.azure.put(&site(), VERSION, &json!({"location": "westeurope"})).await.unwrap();
    assert_eq!(made, resource(None));
    stand.done();
    let calls = stand.calls();
    assert_eq!(calls[0].target, format!("{path}?api-version={VERSION}"));
    assert_eq!(calls[0].body, r#"{"location":"westeurope"}"#);
    assert_eq!(calls[1].target, "/subscriptions/op/1?api-version=2024-11-01&t=1");
}

#[tokio::test]
async fn an_operation_with_a_location_ends_when_it_no_longer_answers_202() {
    let path = site().path().to_owned();
    let stand = Stand::expecting([
        // A path alone, as some providers send it.
        turn("PUT", &path, 202).header("location", "/subscriptions/op/2?api-version=2024-11-01"),
        turn("GET", "/subscriptions/op/2", 202),
        turn("GET", "/subscriptions/op/2", 202),
        turn("GET", "/subscriptions/op/2", 204),
        turn("GET", &path, 200).json(resource(Some("Succeeded"))),
    ])
    .await;
    let made = stand.azure.put(&site(), VERSION, &json!({})).await.unwrap();
    assert_eq!(made, resource(Some("Succeeded")));
    stand.done();
}

#[tokio::test]
async fn a_resource_that_is_not_visible_just_after_its_put_is_waited_for() {
    let path = site().path().to_owned();
    let stand = Stand::expecting([
        turn("PUT", &path, 201).json(resource(Some("Creating"))),
        turn("GET", &path, 404).json(json!({"error": {"code": "ResourceNotFound", "message": "no"}})),
        turn("GET", &path, 404).json(json!({"error": {"code": "ResourceNotFound", "message": "no"}})),
        turn("GET", &path, 200).json(resource(Some("Updating"))),
        turn("GET", &path, 200).json(resource(Some("Succeeded"))),
    ])
    .await;
    assert!(stand.azure.put(&site(), VERSION, &json!({})).await.is_ok());
    stand.done();
}

#[tokio::test]
async fn a_resource_that_is_ready_at_once_is_read_back_without_a_wait() {
    let path = site().path().to_owned();
    let mut slow = timings();
    slow.poll_every = Duration::from_secs(3_600);
    for (status, body) in [(200, resource(None)), (201, resource(Some("Succeeded")))] {
        let stand = Stand::with_timings(
            slow,
            [
                // Without 202 it only names the resource.
                turn("PUT", &path, status).json(body).header("location", "{root}/subscriptions/elsewhere"),
                turn("GET", &path, 200).json(json!({"name": "func-x", "only": "when read"})),
            ],
        )
        .await;
        let made = stand.azure.put(&site(), VERSION, &json!({})).await.unwrap();
        assert_eq!(made["only"], "when read");
        stand.done();
    }
}

#[tokio::test]
async fn what_can_only_be_written_is_given_as_the_put_answered_it() {
    let path = site().path().to_owned();
    for status in [403, 405] {
        let stand =
            Stand::expecting([turn("PUT", &path, 200).json(resource(None)), turn("GET", &path, status)])
                .await;
        assert_eq!(stand.azure.put(&site(), VERSION, &json!({})).await.unwrap(), resource(None));
        stand.done();
    }
}

#[tokio::test]
async fn a_failed_operation_gives_the_error_of_its_document_without_wrappers() {
    let path = site().path().to_owned();
    let failed = json!({
        "status": "Failed",
        "error": {"code": "DeploymentFailed", "message": "At least one failed.", "details": [{
            "code": "Conflict",
            "message": "{\"error\":{\"code\":\"StorageAccountAlreadyTaken\",\"message\":\"stx is taken\"}}"
        }]}
    });
    let stand = Stand::expecting([
        turn("PUT", &path, 202).header("azure-asyncoperation", "{root}/subscriptions/op/3"),
        turn("GET", "/subscriptions/op/3", 200).json(failed).header("x-ms-request-id", "their-id"),
    ])
    .await;
    let error = stand.azure.put(&site(), VERSION, &json!({})).await.unwrap_err();
    stand.done();
    assert!(matches!(&error, AzureError::OperationFailed { state, .. } if state == "Failed"), "{error:?}");
    assert_eq!(error.code(), Some("StorageAccountAlreadyTaken"));
    assert_eq!(error.request_id(), Some("their-id"));
    assert!(error.to_string().contains("Function App `func-x` in `rg-y`"), "{error}");
    assert!(error.hint().is_some());
}

// BR-143
#[tokio::test]
async fn a_cancelled_operation_ends_as_an_error_in_either_spelling() {
    let path = site().path().to_owned();
    for word in ["Canceled", "cancelled"] {
        let stand = Stand::expecting([
            turn("PUT", &path, 201).json(resource(Some("Accepted"))),
            turn("GET", &path, 200).json(resource(Some(word))),
        ])
        .await;
        let error = stand.azure.put(&site(), VERSION, &json!({})).await.unwrap_err();
        assert!(matches!(&error, AzureError::OperationFailed { state, .. } if state == word), "{error:?}");
        // Nothing readable in it: the body itself is shown, not a bare heading.
        assert!(error.refusal().unwrap().to_string().contains("func-x"));
        stand.done();
    }
}

// BR-143
#[tokio::test]
async fn an_operation_that_never_ends_is_an_error_that_names_state_and_url() {
    let path = site().path().to_owned();
    let mut short = timings();
    short.operation = Duration::from_millis(60);
    short.poll_every = Duration::from_millis(25);
    let stand = Stand::with_timings(
        short,
        [turn("PUT", &path, 202).header("azure-asyncoperation", "{root}/subscriptions/op/4?t=signature")]
            .into_iter()
            .chain((0..3).map(|_| turn("GET", "/subscriptions/op/4", 200).json(json!({"status": "Busy"})))),
    )
    .await;
    let error = stand.azure.put(&site(), VERSION, &json!({})).await.unwrap_err();
    let AzureError::StillRunning { state, url, .. } = &error else { panic!("{error:?}") };
    assert_eq!(state, "Busy");
    assert!(url.ends_with("/subscriptions/op/4"), "{url}");
}

#[tokio::test]
async fn the_delay_that_azure_names_is_the_one_that_is_waited() {
    let path = site().path().to_owned();
    let mut slow = timings();
    // Our own delay would outlast the limit at once.
    slow.poll_every = Duration::from_secs(3_600);
    let stand = Stand::with_timings(
        slow,
        [
            turn("PUT", &path, 202)
                .header("azure-asyncoperation", "{root}/subscriptions/op/5")
                .header("retry-after", "1"),
            turn("GET", "/subscriptions/op/5", 200)
                .json(json!({"status": "Running"}))
                .header("retry-after", "2"),
            turn("GET", "/subscriptions/op/5", 200).json(json!({"status": "Succeeded"})),
            turn("GET", &path, 200).json(resource(None)),
        ],
    )
    .await;
    assert!(stand.azure.put(&site(), VERSION, &json!({})).await.is_ok());
    stand.done();
}

#[tokio::test]
async fn an_operation_that_leads_to_another_host_gets_no_token() {
    let path = site().path().to_owned();
    for header in ["azure-asyncoperation", "location"] {
        let stand = Stand::expecting([]).await;
        let elsewhere = stand.ground.listen("elsewhere", Router::new()).await.unwrap();
        stand.expect([turn("PUT", &path, 202).header(header, format!("{elsewhere}subscriptions/op/6"))]);
        let error = stand.azure.put(&site(), VERSION, &json!({})).await.unwrap_err();
        let host = format!("127.0.0.1:{}", elsewhere.port().unwrap());
        assert!(matches!(&error, AzureError::ForeignHost { host: named, .. } if *named == host), "{error:?}");
        assert!(stand.ground.journal.entries().iter().all(|entry| entry.service != "elsewhere"));
        stand.done();
    }
}

#[tokio::test]
async fn a_deletion_ends_when_the_resource_is_gone() {
    let path = site().path().to_owned();
    let gone = || json!({"error": {"code": "ResourceNotFound", "message": "no"}});
    for (turns, expected) in [
        (vec![turn("DELETE", &path, 200)], Deleted::Removed),
        (vec![turn("DELETE", &path, 204)], Deleted::AlreadyGone),
        (vec![turn("DELETE", &path, 404).json(gone())], Deleted::AlreadyGone),
        (
            vec![
                turn("DELETE", &path, 202).header("location", "{root}/subscriptions/op/7"),
                turn("GET", "/subscriptions/op/7", 202),
                turn("GET", "/subscriptions/op/7", 404).json(gone()),
            ],
            Deleted::Removed,
        ),
        (
            vec![
                turn("DELETE", &path, 202).header("azure-asyncoperation", "{root}/subscriptions/op/8"),
                turn("GET", "/subscriptions/op/8", 200).json(json!({"status": "Deleting"})),
                turn("GET", "/subscriptions/op/8", 200).json(json!({"status": "Succeeded"})),
            ],
            Deleted::Removed,
        ),
        (
            vec![
                turn("DELETE", &path, 202),
                turn("GET", &path, 200).json(resource(Some("Succeeded"))),
                turn("GET", &path, 200).json(resource(Some("Deleting"))),
                turn("GET", &path, 404).json(gone()),
            ],
            Deleted::Removed,
        ),
    ] {
        let stand = Stand::expecting(turns).await;
        assert_eq!(stand.azure.delete(&site(), VERSION).await.unwrap(), expected);
        stand.done();
    }
}

#[tokio::test]
async fn an_action_gives_its_result_at_once_or_at_its_location() {
    let path = format!("{}/migrate", site().path());
    let stand = Stand::expecting([
        turn("POST", &path, 200).json(json!({"keys": []})),
        turn("POST", &path, 204),
        turn("POST", &path, 202)
            .header("azure-asyncoperation", "{root}/subscriptions/op/9")
            .header("location", "{root}/subscriptions/result/9"),
        turn("GET", "/subscriptions/op/9", 200).json(json!({"status": "Succeeded"})),
        turn("GET", "/subscriptions/result/9", 200).json(json!({"answer": 42})),
        turn("POST", &path, 202).header("location", "{root}/subscriptions/result/10"),
        turn("GET", "/subscriptions/result/10", 202),
        turn("GET", "/subscriptions/result/10", 200).json(json!({"answer": 43})),
    ])
    .await;
    let site = site();
    let post = || stand.azure.post(&site, "migrate", VERSION, &Value::Null);
    assert_eq!(post().await.unwrap(), json!({"keys": []}));
    assert_eq!(post().await.unwrap(), Value::Null);
    assert_eq!(post().await.unwrap(), json!({"answer": 42}));
    assert_eq!(post().await.unwrap(), json!({"answer": 43}));
    stand.done();
}
