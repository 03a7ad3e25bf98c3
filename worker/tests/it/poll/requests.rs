//! Every recorded request: what we send is like it, and what the simulator makes of it.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use contract::secret::Secret;
use serde_json::Value;
use simulator::fault::{Fault, Matcher};
use simulator::journal::Entry;
use simulator::mimecast::SERVICE;
use simulator::mimecast::recorded::Recorded;
use time::macros::datetime;
use worker::poll::{PageRequest, PageToken, Window};

use super::stand::Stand;

const EVENTS: &str = "/api/audit/get-audit-events";

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/mimecast/requests")
}

fn recorded(name: &str) -> Value {
    let text = std::fs::read_to_string(folder().join(format!("{name}.json"))).expect("a recorded request");
    serde_json::from_str(&text).expect("JSON")
}

/// The window of the recorded requests.
const WINDOW: Window =
    Window { start: datetime!(2026-11-20 10:00 UTC), end: datetime!(2026-11-20 10:15 UTC) };

/// The last call of a path.
fn sent(stand: &Stand, path: &str) -> Entry {
    let calls = stand.ground.journal.of(SERVICE);
    calls.into_iter().rev().find(|entry| entry.path() == path).expect("a call")
}

/// The names of the headers that a recorded request has, and the call must have too.
fn check_headers(entry: &Entry, recorded: &Value) {
    let names: BTreeSet<_> = entry.headers.iter().map(|(name, _)| name.as_str()).collect();
    for (name, value) in recorded["headers"].as_object().expect("headers") {
        // What is accepted is said by the client library in its own words.
        if name == "Accept" {
            continue;
        }
        let name = name.to_ascii_lowercase();
        assert!(names.contains(name.as_str()), "{name} is not among {names:?}");
        if name == "content-type" {
            assert_eq!(entry.header(&name), value.as_str());
        }
        if name == "authorization" {
            let scheme = |text: &str| text.split(' ').next().map(str::to_owned);
            assert_eq!(scheme(entry.header(&name).expect("present")), scheme(value.as_str().expect("text")));
        }
    }
}

async fn page(stand: &Stand, signed: bool, request: PageRequest) -> Entry {
    let client = stand.client(if signed { stand.signed() } else { stand.oauth() });
    // Whether it succeeds is not asked here.
    let _ = client.open_page(&request, stand.deadline()).await;
    sent(stand, EVENTS)
}

fn body(entry: &Entry) -> Value {
    serde_json::from_slice(&entry.body).expect("a JSON body")
}

#[tokio::test]
async fn pages_are_asked_for_as_recorded_in_both_generations() {
    let stand = Stand::empty().await;
    let first = PageRequest { window: WINDOW, page_size: 500, categories: Vec::new(), token: None };
    for (name, signed) in [("audit-v1-first", true), ("audit-v2-first", false)] {
        let (entry, expected) = (page(&stand, signed, first.clone()).await, recorded(name));
        assert_eq!(body(&entry), expected["body"], "{name}");
        check_headers(&entry, &expected);
    }

    let expected = recorded("audit-v1-next");
    let token = expected["body"]["meta"]["pagination"]["pageToken"].as_str().expect("a token").to_owned();
    let next = PageRequest { token: Some(PageToken::from(token)), ..first.clone() };
    assert_eq!(body(&page(&stand, true, next).await), expected["body"]);

    // The filter by categories is as recorded; the free query is not used by us.
    let mut expected = recorded("audit-v1-filtered")["body"].clone();
    expected["data"][0].as_object_mut().expect("an object").remove("query");
    let categories = vec!["authentication_logs".to_owned(), "mimecast_access_logs".to_owned()];
    let filtered = PageRequest { page_size: 100, categories, ..first };
    assert_eq!(body(&page(&stand, true, filtered).await), expected);
}

// BR-014: never more than the documented size is asked for, never none.
#[tokio::test]
async fn page_sizes_are_brought_into_range() {
    let stand = Stand::empty().await;
    for (asked, sent) in [(0, 1), (1, 1), (500, 500), (501, 500), (u16::MAX, 500)] {
        let request = PageRequest { window: WINDOW, page_size: asked, categories: Vec::new(), token: None };
        let entry = page(&stand, false, request).await;
        assert_eq!(body(&entry)["meta"]["pagination"]["pageSize"], sent);
    }
}

/// Posts a recorded request to the simulator as it is, signed where it is signed.
async fn post(stand: &Stand, name: &str) -> (u16, Value) {
    let recorded = recorded(name);
    let url = url::Url::parse(recorded["url"].as_str().expect("a URL")).expect("a URL");
    let request = stand.http.post(stand.url.join(url.path()).expect("a URL"));
    let request = match recorded.get("form") {
        Some(form) => {
            let settings = stand.simulated.settings();
            let form: HashMap<&str, &str> = form
                .as_object()
                .expect("a form")
                .iter()
                .map(|(key, value)| {
                    (
                        key.as_str(),
                        match value.as_str().expect("a text") {
                            "{client_id}" => settings.client_id.as_str(),
                            "{client_secret}" => settings.client_secret.as_str(),
                            other => other,
                        },
                    )
                })
                .collect();
            request.form(&form)
        }
        None => request.json(&recorded["body"]),
    };
    let response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    (status, response.json().await.expect("JSON"))
}

#[tokio::test]
async fn the_simulator_takes_the_recorded_requests_for_what_they_are() {
    let stand = Stand::new().await;
    let (status, answer) = post(&stand, "oauth-token").await;
    assert_eq!((status, answer["token_type"].as_str()), (200, Some("Bearer")));
    let (status, answer) = post(&stand, "discover").await;
    assert_eq!(status, 200);
    assert_eq!(answer["data"][0]["region"]["api"], "https://us-api.mimecast.com");
    // Their placeholders are no credentials.
    for name in ["login", "login-refresh", "audit-v1-first", "get-account", "get-categories"] {
        let (status, answer) = post(&stand, name).await;
        assert!(matches!(status, 400 | 401), "{name}: {status}");
        assert!(!answer["fail"].as_array().expect("failures").is_empty(), "{name}");
    }
}

// A later page without the window is what one public client sends. The token holds no window, so the
// simulator asks for it; ours are always sent with it.
#[tokio::test]
async fn a_token_without_its_window_is_refused_by_the_simulator() {
    let stand = Stand::new().await;
    let client = stand.client(stand.oauth());
    client.categories(stand.deadline()).await.expect("listed");
    let bearer = sent(&stand, "/api/audit/get-categories");
    let response = stand.http.post(stand.url.join(EVENTS).expect("a URL"));
    let response = response
        .header("authorization", bearer.header("authorization").expect("a token"))
        .json(&recorded("audit-v1-next-token-only")["body"]);
    let answer: Value = response.send().await.expect("an answer").json().await.expect("JSON");
    let errors = answer["fail"][0]["errors"].as_array().expect("errors");
    assert_eq!(errors.len(), 2);
    assert!(errors.iter().all(|error| error["code"] == "err_validation_null"));
}

#[tokio::test]
async fn token_categories_login_and_discovery_are_asked_for_as_recorded() {
    let stand = Stand::new().await;
    let client = stand.client(stand.oauth());
    client.categories(stand.deadline()).await.expect("listed");
    let (token, expected) = (sent(&stand, "/oauth/token"), recorded("oauth-token"));
    check_headers(&token, &expected);
    let form: HashMap<String, String> = url::form_urlencoded::parse(&token.body).into_owned().collect();
    let keys = |form: Vec<String>| form.into_iter().collect::<BTreeSet<_>>();
    let recorded_form = expected["form"].as_object().expect("a form");
    assert_eq!(keys(form.keys().cloned().collect()), keys(recorded_form.keys().cloned().collect()));
    assert_eq!(form["grant_type"], "client_credentials");
    check_headers(&sent(&stand, "/api/audit/get-categories"), &recorded("get-categories"));

    // An expired binding, then the wrong region, on the way to one count.
    let failure = |name: &str, skip: usize| {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/mimecast/responses").join(name);
        let answer = Recorded::parse(&std::fs::read_to_string(path).expect("a file")).expect("an answer");
        Fault::once(Matcher::new(SERVICE, "POST", EVENTS), answer.action()).skip(skip)
    };
    stand.ground.faults.add(failure("err-418-binding-expired.json", 0));
    let client = stand.client(stand.signed_with_login());
    client.count(WINDOW, &[], stand.deadline()).await.expect("counted");
    let (login, expected) = (sent(&stand, "/api/login/login"), recorded("login-refresh"));
    check_headers(&login, &expected);
    let mut filled = expected["body"].clone();
    filled["data"][0]["accessKey"] = Value::from(stand.simulated.settings().access_key);
    assert_eq!(body(&login), filled);
    // The first login is the person's; what is sent to renew is that and the key.
    filled["data"][0].as_object_mut().expect("an object").remove("accessKey");
    assert_eq!(filled, recorded("login")["body"]);

    stand.ground.faults.add(failure("err-wrong-region.json", 0));
    let _ = client.count(WINDOW, &[], stand.deadline()).await;
    let (discover, expected) = (sent(&stand, "/api/login/discover-authentication"), recorded("discover"));
    check_headers(&discover, &expected);
    assert_eq!(body(&discover), expected["body"]);
}

// The account's answer is personal: no call of ours asks for it.
#[tokio::test]
async fn the_account_is_never_asked_for() {
    let stand = Stand::new().await;
    for credentials in [stand.oauth(), stand.signed_with_login()] {
        let client = stand.client(credentials);
        client.categories(stand.deadline()).await.expect("listed");
        client.count(stand.days(7), &[], stand.deadline()).await.expect("counted");
    }
    let path = url::Url::parse(recorded("get-account")["url"].as_str().expect("a URL")).expect("a URL");
    assert_eq!(stand.calls(path.path()), 0);
}

#[test]
fn no_recorded_request_is_forgotten() {
    let own = include_str!("requests.rs");
    let files: Vec<_> = std::fs::read_dir(folder()).expect("a folder").collect();
    assert_eq!(files.len(), 11);
    for file in files {
        let name = file.expect("a file").file_name().into_string().expect("a name");
        assert!(own.contains(&format!("\"{}\"", name.strip_suffix(".json").expect("JSON"))), "{name}");
    }
}

/// A secret that no header can hold is refused before it is sent.
#[tokio::test]
async fn keys_that_cannot_be_sent_are_refused_here() {
    let stand = Stand::new().await;
    let keys = worker::poll::Keys { secret_key: Secret::new("not base64!".to_owned()), ..stand.keys() };
    let client = stand.client(worker::poll::Credentials::Signed { keys, login: None });
    let error = client.categories(stand.deadline()).await.expect_err("refused");
    assert_eq!(error.kind, worker::poll::PollErrorKind::CredentialsRefused);
    assert!(stand.ground.journal.is_empty());
}
