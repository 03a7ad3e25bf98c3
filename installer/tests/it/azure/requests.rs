//! Single calls: what is retried, what is refused, what is sent.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use installer::azure::{Azure, AzureError};
use serde_json::{Value, json};
use simulator::fault::{Action, Fault, Matcher};

use super::stand::{Stand, cause, id, timings, token, turn};

const VERSION: &str = "2024-11-01";

fn site() -> installer::azure::ResourceId {
    id("/providers/Microsoft.Web/sites/func-x")
}

fn any_call() -> Matcher {
    Matcher::new("arm", "", "")
}

fn error_body(code: &str) -> Value {
    json!({"error": {"code": code, "message": "words"}})
}

/// Work that is spread over tasks needs futures that may move between threads.
fn may_move_between_threads(_: &(impl Future + Send)) {}

#[tokio::test]
async fn calls_may_run_in_tasks() {
    let stand = Stand::expecting([]).await;
    let site = site();
    may_move_between_threads(&stand.azure.get(&site, VERSION));
    may_move_between_threads(&stand.azure.put(&site, VERSION, &Value::Null));
    may_move_between_threads(&stand.azure.delete(&site, VERSION));
    may_move_between_threads(&stand.azure.app_settings(&site));
    may_move_between_threads(&stand.azure.functions(&site));
}

#[tokio::test]
async fn a_thing_that_is_not_there_reads_as_none() {
    let path = site().path().to_owned();
    for (status, code) in [
        (404, "ResourceNotFound"),
        (404, "ResourceGroupNotFound"),
        // A provider that is not registered has no resources.
        (409, "MissingSubscriptionRegistration"),
    ] {
        let stand = Stand::expecting([turn("GET", &path, status).json(error_body(code))]).await;
        assert_eq!(stand.azure.get(&site(), VERSION).await.unwrap(), None, "{code}");
        stand.done();
    }
    for (status, code) in [(404, "SubscriptionNotFound"), (403, "AuthorizationFailed"), (409, "Conflict")] {
        let stand = Stand::expecting([turn("GET", &path, status).json(error_body(code))]).await;
        let error = stand.azure.get(&site(), VERSION).await.unwrap_err();
        assert_eq!((error.status(), error.code()), (Some(status), Some(code)));
        stand.done();
    }
}

#[tokio::test]
async fn a_listing_is_read_over_all_its_pages() {
    let stand = Stand::expecting([
        turn("GET", "/subscriptions", 200).json(
            json!({"value": [1, 2], "nextLink": "{root}/subscriptions?api-version=2022-12-01&$skiptoken=a"}),
        ),
        turn("GET", "/subscriptions", 200).json(json!({"value": [], "nextLink": "{root}/subscriptions?b"})),
        turn("GET", "/subscriptions", 200).json(json!({"value": [3], "nextLink": ""})),
    ])
    .await;
    let items = stand.azure.list("/subscriptions?$filter=x", "2022-12-01").await.unwrap();
    assert_eq!(items, [1, 2, 3]);
    stand.done();
    let calls = stand.calls();
    assert_eq!(calls[0].target, "/subscriptions?$filter=x&api-version=2022-12-01");
    assert_eq!(calls[1].target, "/subscriptions?api-version=2022-12-01&$skiptoken=a", "as Azure gave it");
}

#[tokio::test]
async fn a_page_that_leads_elsewhere_gets_no_token() {
    let stand = Stand::expecting([]).await;
    let elsewhere = stand.ground.listen("elsewhere", Router::new()).await.unwrap();
    for next in [elsewhere.to_string(), elsewhere.to_string().replace("https", "http")] {
        stand.expect([turn("GET", "/subscriptions", 200).json(json!({"value": [], "nextLink": next}))]);
        let error = stand.azure.list("/subscriptions", VERSION).await.unwrap_err();
        assert!(matches!(error, AzureError::ForeignHost { .. }), "{error:?}");
    }
    // A name and password in the URL are no part of the host that is asked, and are not wanted either.
    let port = stand.root().port().unwrap();
    let disguised = format!("https://user:word@127.0.0.1:{port}/");
    stand.expect([turn("GET", "/subscriptions", 200).json(json!({"value": [], "nextLink": disguised}))]);
    let error = stand.azure.list("/subscriptions", VERSION).await.unwrap_err();
    assert!(matches!(error, AzureError::ForeignHost { .. }), "{error:?}");
    assert!(stand.ground.journal.entries().iter().all(|entry| entry.service != "elsewhere"));
    stand.done();
}

#[tokio::test]
async fn passing_faults_are_retried_and_the_answer_is_the_last_one() {
    let path = site().path().to_owned();
    let stand = Stand::expecting([
        turn("GET", &path, 429).json(error_body("TooManyRequests")).header("retry-after", "7"),
        turn("GET", &path, 500),
        turn("GET", &path, 502).text("<html>"),
        turn("GET", &path, 503),
        turn("GET", &path, 504),
        turn("GET", &path, 408),
        turn("GET", &path, 409).json(error_body("AnotherOperationInProgress")),
        turn("GET", &path, 200).json(json!({"name": "func-x"})),
    ])
    .await;
    // The first call's connection is lost without an answer, the second's answer is cut.
    stand.ground.faults.add(Fault::once(any_call(), Action::DropBefore));
    assert!(stand.azure.get(&site(), VERSION).await.unwrap().is_some());
    stand.done();
    stand.expect([
        turn("GET", &path, 200).json(json!({"name": "func-x"})),
        turn("GET", &path, 200).json(json!({"name": "func-x"})),
    ]);
    stand.ground.faults.add(Fault::once(any_call(), Action::Truncate(5)));
    assert!(stand.azure.get(&site(), VERSION).await.unwrap().is_some());
    stand.done();
}

#[tokio::test]
async fn what_azure_refuses_for_good_is_asked_once() {
    let path = site().path().to_owned();
    for status in [400, 403, 405, 409, 412] {
        let stand = Stand::expecting([turn("PUT", &path, status).json(error_body("Whatever"))]).await;
        let error = stand.azure.put(&site(), VERSION, &json!({})).await.unwrap_err();
        assert!(matches!(error, AzureError::Refused(_)), "{error:?}");
        stand.done();
    }
}

#[tokio::test]
async fn the_last_of_many_attempts_returns_its_cause_and_their_number() {
    let path = site().path().to_owned();
    let mut short = timings();
    short.calls.first_delay = Duration::from_millis(1);
    short.calls.longest_delay = Duration::from_millis(1);
    // The service asks for a longer wait than there is time for.
    let stand = Stand::with_timings(
        short,
        [
            turn("GET", &path, 503),
            turn("GET", &path, 503),
            turn("GET", &path, 429).json(error_body("TooManyRequests")).header("retry-after", "90000"),
        ],
    )
    .await;
    let error = stand.azure.get(&site(), VERSION).await.unwrap_err();
    stand.done();
    let (attempts, last) = cause(&error);
    assert_eq!(attempts, 3);
    assert!(matches!(last, AzureError::Refused(refusal) if refusal.status == 429), "{last:?}");
    assert_eq!(error.code(), Some("TooManyRequests"), "seen through the count");
    assert!(error.hint().is_some());
}

#[tokio::test]
async fn a_refused_token_is_renewed_once() {
    let path = site().path().to_owned();
    let stand = Stand::expecting([
        turn("GET", &path, 401).json(error_body("ExpiredAuthenticationToken")),
        turn("GET", &path, 200).json(json!({})),
        turn("GET", &path, 200).json(json!({})),
        turn("GET", &path, 401).json(error_body("InvalidAuthenticationToken")),
        turn("GET", &path, 401).json(error_body("InvalidAuthenticationToken")),
    ])
    .await;
    stand.azure.get(&site(), VERSION).await.unwrap();
    stand.azure.get(&site(), VERSION).await.unwrap();
    let error = stand.azure.get(&site(), VERSION).await.unwrap_err();
    stand.done();
    assert_eq!(error.code(), Some("InvalidAuthenticationToken"));
    let sent: Vec<String> =
        stand.calls().iter().map(|call| call.header("authorization").unwrap().to_owned()).collect();
    let expected: Vec<String> =
        [0, 1, 1, 1, 2].iter().map(|number| format!("Bearer {}", token(*number))).collect();
    assert_eq!(sent, expected);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let stand = Stand::expecting([]).await;
    let elsewhere = stand.ground.listen("elsewhere", Router::new()).await.unwrap();
    for status in [301, 302, 307, 308] {
        stand.expect([turn("GET", site().path(), status).header("location", elsewhere.to_string())]);
        let error = stand.azure.get(&site(), VERSION).await.unwrap_err();
        assert_eq!(error.status(), Some(status));
    }
    assert!(stand.ground.journal.entries().iter().all(|entry| entry.service != "elsewhere"));
    stand.done();
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let stand = Stand::expecting([turn("GET", site().path(), 200).text(&" ".repeat(17 * 1024 * 1024))]).await;
    let error = stand.azure.get(&site(), VERSION).await.unwrap_err();
    assert!(matches!(error, AzureError::TooLong { limit_bytes: 16_777_216, .. }), "{error:?}");
}

#[tokio::test]
async fn an_answer_that_is_no_json_is_an_error_that_says_what_was_done() {
    let stand = Stand::expecting([turn("GET", site().path(), 200).text("<html>")]).await;
    let error = stand.azure.get(&site(), VERSION).await.unwrap_err();
    assert!(matches!(error, AzureError::Answer { .. }), "{error:?}");
    assert!(error.to_string().contains("reading Function App `func-x` in `rg-y`"), "{error}");
}

#[tokio::test]
async fn each_attempt_has_an_id_of_its_own_and_the_errors_have_azures() {
    let path = site().path().to_owned();
    let stand = Stand::expecting([
        turn("GET", &path, 503),
        turn("GET", &path, 403).json(error_body("AuthorizationFailed")).header("x-ms-request-id", "their-id"),
        turn("GET", &path, 403).json(error_body("AuthorizationFailed")),
    ])
    .await;
    let with_theirs = stand.azure.get(&site(), VERSION).await.unwrap_err();
    let with_ours = stand.azure.get(&site(), VERSION).await.unwrap_err();
    stand.done();
    let sent: Vec<String> =
        stand.calls().iter().map(|call| call.header("x-ms-client-request-id").unwrap().to_owned()).collect();
    assert!(sent.iter().all(|id| uuid::Uuid::parse_str(id).is_ok()), "{sent:?}");
    assert!(sent[0] != sent[1] && sent[1] != sent[2]);
    assert_eq!(with_theirs.request_id(), Some("their-id"));
    assert_eq!(with_ours.request_id(), Some(sent[2].as_str()));
    let agent = stand.calls()[0].header("user-agent").unwrap().to_owned();
    assert!(agent.starts_with("mimecast-sentinel/"), "{agent}");
}

#[tokio::test]
async fn a_machine_without_a_network_is_not_waited_for_and_says_so() {
    let mut long = timings();
    (long.calls.first_delay, long.calls.within) = (Duration::ZERO, Duration::from_secs(86_400));
    let stand = Stand::with_timings(long, []).await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let hearer = Arc::clone(&told);
    stand.azure.tell_of_repeats(move |text| hearer.lock().unwrap().push(text.to_owned()));
    stand.ground.stop();
    // The listener is gone once its task has ended; the port may answer a moment longer.
    let address = (stand.root().host_str().unwrap().to_owned(), stand.root().port().unwrap());
    while tokio::net::TcpStream::connect(address.clone()).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let error = stand.azure.get(&site(), VERSION).await.unwrap_err();
    assert!(matches!(error, AzureError::GaveUp { attempts: 3, .. }), "{error:?}");
    assert!(error.hint().unwrap().text.contains("HTTPS_PROXY"));
    let told = told.lock().unwrap().clone();
    let [once] = told.as_slice() else { panic!("it is told once: {told:?}") };
    assert!(once.contains("127.0.0.1") && once.contains("tried again, 3 times"), "{once}");
}

#[tokio::test]
async fn a_host_that_cannot_be_reached_is_named_and_the_proxy_hinted_at() {
    let mut short = timings();
    short.calls.within = Duration::ZERO;
    let stand = Stand::with_timings(short, []).await;
    stand.ground.stop();
    let azure: &Azure = &stand.azure;
    // The listener is gone once its task has ended; the port may answer a moment longer.
    let error = loop {
        match azure.get(&site(), VERSION).await {
            Err(error @ AzureError::Send { .. }) if error.hint().unwrap().text.contains("HTTPS_PROXY") => {
                break error;
            }
            _ => tokio::task::yield_now().await,
        }
    };
    assert!(error.to_string().contains("127.0.0.1"), "{error}");
}
