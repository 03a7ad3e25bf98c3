//! Every recorded answer, with what must come of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use contract::secret::Secret;
use simulator::fault::{Fault, Matcher};
use simulator::mimecast::SERVICE;
use simulator::mimecast::recorded::Recorded;
use worker::poll::{Credentials, Keys, Mimecast, Pages, PollError, PollErrorKind};

use super::stand::{Read, Stand, read};

const EVENTS: &str = "/api/audit/get-audit-events";

fn data(folder: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/mimecast").join(folder)
}

fn recorded(name: &str) -> Recorded {
    let path = data("responses").join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Recorded::parse(&text).expect("a recorded answer")
}

fn serve(stand: &Stand, path: &str, name: &str, times: usize) {
    let matcher = Matcher::new(SERVICE, "POST", path);
    stand.ground.faults.add(Fault::once(matcher, recorded(name).action()).times(times));
}

/// Serves these answers to one window's pages, in turn, and reads it.
async fn pages(names: &[&str]) -> (Read, Result<(), PollError>, Vec<serde_json::Value>) {
    let stand = Stand::empty().await;
    for (index, name) in names.iter().enumerate() {
        let fault = Fault::once(Matcher::new(SERVICE, "POST", EVENTS), recorded(name).action());
        // Each matching call counts down the faults that are still to come.
        stand.ground.faults.add(fault.skip(index));
    }
    let client = stand.client(stand.oauth());
    let mut pages = Pages::new(&client, stand.days(7), 10, Vec::new(), None, stand.deadline());
    let mut got = Read::default();
    let result = read(&mut pages, &mut got).await;
    (got, result, stand.page_requests())
}

fn token(name: &str) -> serde_json::Value {
    recorded(name).body.expect("JSON")["meta"]["pagination"]["next"].clone()
}

#[tokio::test]
async fn single_pages_end_after_one_request_with_all_their_events() {
    for (name, events, total) in [
        ("audit-01-single-page", 3, None),
        ("audit-05-last-page-empty-but-next", 0, Some(25)),
        ("audit-06-empty-pagesize-0", 0, None),
        ("audit-07-empty-with-pagetoken-key", 0, Some(449)),
        ("audit-14-missing-pagination", 1, None),
        ("audit-15-null-data", 0, None),
        ("audit-16-unsorted", 3, None),
    ] {
        let (got, result, requests) = pages(&[name]).await;
        result.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((got.ids.len(), got.malformed, requests.len()), (events, 0, 1), "{name}");
        assert_eq!(got.finished.expect("finished").total_count, total, "{name}");
        assert_eq!(got.resume, None, "{name}");
    }
}

#[tokio::test]
async fn a_chain_of_pages_is_followed_to_its_end_with_the_window_unchanged() {
    let chain = ["audit-02-chain-page1", "audit-03-chain-page2", "audit-04-chain-page3-last"];
    let (got, result, requests) = pages(&chain).await;
    result.expect("the chain is read");
    assert_eq!((got.ids.len(), got.ids.iter().collect::<BTreeSet<_>>().len()), (25, 25));
    assert_eq!(got.finished.expect("finished").total_count, Some(25));
    // BR-014: page 2 has the same start and end as page 1, and each token goes back as it came.
    assert!(requests.iter().all(|request| request["data"] == requests[0]["data"]));
    assert_eq!(requests[0]["meta"]["pagination"].get("pageToken"), None);
    for (request, page) in requests[1..].iter().zip(chain) {
        assert_eq!(request["meta"]["pagination"]["pageToken"], token(page));
    }
}

#[tokio::test]
async fn an_event_that_shifts_the_offsets_repeats_one_and_loses_none() {
    let names = ["audit-02-chain-page1", "audit-12-overlap-after-shift", "audit-04-chain-page3-last"];
    let (got, result, _) = pages(&names).await;
    result.expect("the chain is read");
    let distinct: BTreeSet<_> = got.ids.iter().collect();
    assert_eq!(got.ids.len() - distinct.len(), 1);
    let first_page: Vec<_> = pages(&["audit-02-chain-page1", "audit-06-empty-pagesize-0"]).await.0.ids;
    assert_eq!(got.ids.iter().filter(|id| *id == &first_page[9]).count(), 2);
}

#[tokio::test]
async fn events_of_one_second_and_odd_tokens_are_read_on() {
    for (name, events) in [
        ("audit-08-same-second-and-no-fail-key", 4),
        ("audit-09-one-event-with-next", 1),
        ("audit-10-next-as-object", 2),
    ] {
        let expected = recorded(name).body.expect("JSON")["data"].as_array().expect("a list").len();
        let (got, result, requests) = pages(&[name, "audit-06-empty-pagesize-0"]).await;
        result.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((got.ids.len(), expected, requests.len()), (events, events, 2), "{name}");
        let next = token(name);
        let next = if next.is_object() { next["pageToken"].clone() } else { next };
        assert_eq!(requests[1]["meta"]["pagination"]["pageToken"], next, "{name}");
    }
}

// BR-029
#[tokio::test]
async fn a_repeated_token_restarts_the_window_once_and_then_stops() {
    let name = "audit-11-repeated-token";
    let (got, result, requests) = pages(&[name; 10]).await;
    let error = result.expect_err("paging goes in a circle");
    assert_eq!((error.kind, got.restarts, requests.len()), (PollErrorKind::PagingLoop, 1, 4));
    assert!(error.narrower_may_pass());
    // A server that recovers is read on.
    let (got, result, requests) = pages(&[name, name, "audit-01-single-page"]).await;
    result.expect("the second pass ends");
    assert_eq!((got.restarts, requests.len()), (1, 3));
    assert_eq!(got.finished.expect("finished").records, 3);
}

#[tokio::test]
async fn events_that_come_with_a_failure_are_given_but_the_place_does_not_move() {
    // Mimecast calls this failure retryable, so the same page is asked for again.
    let (got, result, requests) = pages(&["audit-13-data-and-fail"; 10]).await;
    assert_eq!(result.expect_err("it lasts").kind, PollErrorKind::ServerFault);
    assert_eq!((got.ids.len(), got.pages, requests.len()), (12, 0, 6));
    let (got, result, _) = pages(&["audit-13-data-and-fail", "audit-01-single-page"]).await;
    result.expect("it passes");
    assert_eq!((got.ids.len(), got.finished.expect("finished").records), (5, 3));
}

/// Kind, calls of the events' route, calls of the token's route.
type Expected = (PollErrorKind, usize, usize);

fn failures() -> BTreeMap<&'static str, (bool, Expected)> {
    use PollErrorKind as Kind;
    let (oauth, signed) = (false, true);
    let hour = Duration::from_secs(3600);
    let throttled = |millis| Kind::Throttled(Duration::from_millis(millis));
    BTreeMap::from([
        ("err-200-body-status-403", (oauth, (Kind::RoleMissing, 1, 1))),
        ("err-200-body-status-500", (oauth, (Kind::ServerFault, 6, 1))),
        ("err-200-field-invalid", (oauth, (Kind::RequestRefused, 1, 1))),
        ("err-200-group-member-exists", (oauth, (Kind::RequestRefused, 1, 1))),
        ("err-200-truncated-json", (oauth, (Kind::Cut, 6, 1))),
        ("err-200-validation-null", (oauth, (Kind::RequestRefused, 1, 1))),
        ("err-400-credentials-missing", (signed, (Kind::CredentialsRefused, 1, 0))),
        ("err-400-deserialise", (oauth, (Kind::RequestRefused, 1, 1))),
        ("err-400-empty-body", (oauth, (Kind::RequestRefused, 1, 1))),
        ("err-401-auth-type", (signed, (Kind::CredentialsRefused, 1, 0))),
        ("err-401-client-unauthorized", (signed, (Kind::CredentialsRefused, 1, 0))),
        ("err-401-developer-key", (signed, (Kind::ApplicationRefused, 2, 0))),
        ("err-401-invalid-signature", (signed, (Kind::CredentialsRefused, 1, 0))),
        // BR-022: one new token and one more attempt, whichever of the bodies it is.
        ("err-401-not-json", (oauth, (Kind::TokenRefused, 2, 2))),
        ("err-401-token-expired", (oauth, (Kind::TokenExpired, 2, 2))),
        ("err-401-token-verification-failed", (oauth, (Kind::TokenRefused, 2, 2))),
        ("err-401-unauthorized-flat", (oauth, (Kind::TokenRefused, 2, 2))),
        ("err-403-app-forbidden", (oauth, (Kind::ProductMissing, 1, 1))),
        ("err-403-forbidden", (oauth, (Kind::RoleMissing, 1, 1))),
        ("err-403-operation-forbidden", (signed, (Kind::RoleMissing, 1, 0))),
        ("err-404-meta-status", (oauth, (Kind::WrongHost, 1, 1))),
        ("err-405-method", (oauth, (Kind::WrongHost, 1, 1))),
        ("err-418-binding-expired", (signed, (Kind::BindingExpired, 1, 0))),
        ("err-418-empty", (signed, (Kind::BindingExpired, 1, 0))),
        // BR-021: an hour is longer than the run may take.
        ("err-429-absurd-reset", (oauth, (Kind::QuotaSpent(hour), 1, 1))),
        ("err-429-hourly-detail", (oauth, (throttled(30_000), 6, 1))),
        ("err-429-no-body", (oauth, (throttled(30_000), 6, 1))),
        ("err-429-reset-small", (oauth, (throttled(1751), 6, 1))),
        ("err-429-retry-after", (oauth, (throttled(2000), 6, 1))),
        ("err-429-v1-headers", (signed, (throttled(41_251), 6, 0))),
        ("err-500", (oauth, (Kind::ServerFault, 6, 1))),
        ("err-502-html", (oauth, (Kind::ServerFault, 6, 1))),
        ("err-503-html", (oauth, (Kind::ServerFault, 6, 1))),
        ("err-504-gateway-timeout", (oauth, (Kind::GatewayTimeout, 6, 1))),
        ("err-wrong-region", (signed, (Kind::WrongRegion, 1, 0))),
    ])
}

// BR-019, BR-022, BR-070
#[tokio::test]
async fn each_failure_has_its_kind_its_attempts_and_a_message_that_says_what_to_do() {
    for (name, (signed, expected)) in failures() {
        let stand = Stand::new().await;
        serve(&stand, EVENTS, name, usize::MAX);
        let client = stand.client(if signed { stand.signed() } else { stand.oauth() });
        let mut pages = Pages::new(&client, stand.days(7), 500, Vec::new(), None, stand.deadline());
        let mut got = Read::default();
        let error = read(&mut pages, &mut got).await.expect_err(name);
        assert_eq!(
            (error.kind, stand.calls(EVENTS), stand.calls("/oauth/token")),
            expected,
            "{name}: {error}"
        );
        assert_eq!((got.pages, got.ids.len()), (0, 0), "{name}");
        let text = error.to_string();
        assert!(text.starts_with("could not read a page of Mimecast audit events: "), "{name}: {text}");
        assert!(text.contains("HTTP "), "{name}: {text}");
        assert!(!error.kind.remedy().is_empty() && error.kind.code().starts_with("mimecast_"), "{name}");
    }
}

#[tokio::test]
async fn a_failure_that_passes_costs_nothing() {
    let passing = failures().into_iter().filter(|(_, (_, (_, calls, _)))| *calls > 1);
    for (name, (signed, _)) in passing {
        let stand = Stand::new().await;
        serve(&stand, EVENTS, name, 1);
        let client = stand.client(if signed { stand.signed() } else { stand.oauth() });
        let mut pages = Pages::new(&client, stand.days(7), 500, Vec::new(), None, stand.deadline());
        let mut got = Read::default();
        read(&mut pages, &mut got).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((got.ids.len(), got.finished.expect("finished").records), (45, 45), "{name}");
    }
}

async fn token_answer(name: &str) -> (Stand, Result<Vec<String>, PollError>) {
    let stand = Stand::new().await;
    serve(&stand, "/oauth/token", name, usize::MAX);
    serve(&stand, "/api/audit/get-categories", "get-categories-200", usize::MAX);
    let client = stand.client(stand.oauth());
    let categories = client.categories(stand.deadline()).await;
    (stand, categories)
}

#[tokio::test]
async fn each_token_answer_is_used_or_refused_without_being_repeated() {
    for (name, bearer) in [
        ("oauth-token-200", "Bearer EXAMPLEtokenEXAMPLEtokenEXAM"),
        ("oauth-token-200-minimal", "Bearer EXAMPLE2"),
    ] {
        let (stand, categories) = token_answer(name).await;
        assert_eq!(categories.expect("listed").len(), 14, "{name}");
        let calls = stand.ground.journal.of(SERVICE);
        assert_eq!(calls.last().expect("a call").header("authorization"), Some(bearer), "{name}");
    }
    for name in [
        "oauth-token-400-unsupported-grant",
        "oauth-token-401-echoes-input",
        "oauth-token-401-fail-shape",
        "oauth-token-401-invalid-client",
    ] {
        let (stand, categories) = token_answer(name).await;
        let error = categories.expect_err(name);
        assert_eq!(
            (error.kind, stand.calls("/oauth/token")),
            (PollErrorKind::CredentialsRefused, 1),
            "{name}"
        );
        let text = format!("{error} {error:?}");
        for canary in ["EXAMPLE-ID", "EXAMPLE-SECRET", "invalid", "unsupported"] {
            assert!(!text.contains(canary), "{name}: {text}");
        }
    }
}

#[tokio::test]
async fn the_categories_are_listed_and_another_routes_answer_is_not_taken_for_them() {
    let stand = Stand::new().await;
    let client = stand.client(stand.oauth());
    serve(&stand, "/api/audit/get-categories", "get-categories-200", 1);
    let codes = client.categories(stand.deadline()).await.expect("listed");
    let known: Vec<String> =
        serde_json::from_slice(&std::fs::read(data("reference/categories.json")).expect("a file"))
            .expect("a list");
    assert_eq!(codes, known);
    serve(&stand, "/api/audit/get-categories", "get-account-200", usize::MAX);
    let error = client.categories(stand.deadline()).await.expect_err("another shape");
    assert_eq!(error.kind, PollErrorKind::Unreadable);
    assert!(!format!("{error} {error:?}").contains("EXAMPLE"), "personal data is not repeated");
}

/// Reads with the keys of API 1.0 and the login, after these faults are set.
async fn signed_read(stand: &Stand, client: &Mimecast) -> Result<Read, PollError> {
    let mut pages = Pages::new(client, stand.days(7), 500, Vec::new(), None, stand.deadline());
    let mut got = Read::default();
    read(&mut pages, &mut got).await.map(|()| got)
}

#[tokio::test]
async fn a_login_answer_renews_the_binding_and_brings_new_keys_where_it_holds_any() {
    let stand = Stand::new().await;
    let Credentials::Signed { login, .. } = stand.signed_with_login() else { unreachable!() };
    let keys = Keys { access_key: Secret::new("EXAMPLE-OLD-KEY".to_owned()), ..stand.keys() };
    let client = stand.client(Credentials::Signed { keys, login });
    // The recorded login brings this pair.
    stand.simulated.configure(|settings| settings.secret_key = "RVhBTVBMRS1TRUNSRVQtS0VZ".to_owned());
    serve(&stand, EVENTS, "err-418-binding-expired", 1);
    serve(&stand, "/api/login/login", "login-200", 1);
    assert_eq!(signed_read(&stand, &client).await.expect("read").ids.len(), 45);

    // The refresh keeps the keys that there are.
    let stand = Stand::new().await;
    let client = stand.client(stand.signed_with_login());
    serve(&stand, EVENTS, "err-418-empty", 1);
    serve(&stand, "/api/login/login", "login-refresh-200", 1);
    assert_eq!(signed_read(&stand, &client).await.expect("read").ids.len(), 45);
    assert_eq!(stand.calls("/api/login/login"), 1);
}

#[tokio::test]
async fn a_discovered_host_gets_no_credentials_unless_it_belongs_with_ours() {
    for name in ["discover-200", "discover-200-unknown-address"] {
        let stand = Stand::new().await;
        let client = stand.client(stand.signed_with_login());
        serve(&stand, EVENTS, "err-wrong-region", usize::MAX);
        serve(&stand, "/api/login/discover-authentication", name, usize::MAX);
        let error = signed_read(&stand, &client).await.expect_err(name);
        assert_eq!(error.kind, PollErrorKind::WrongRegion, "{name}");
        assert_eq!(
            (stand.calls("/api/login/discover-authentication"), stand.calls(EVENTS)),
            (1, 1),
            "{name}"
        );
    }
}

/// The text of this file names every recorded answer.
#[test]
fn no_recorded_answer_is_forgotten() {
    let own = include_str!("responses.rs");
    let files: Vec<_> = std::fs::read_dir(data("responses")).expect("a folder").collect();
    assert_eq!(files.len(), 63);
    for file in files {
        let name = file.expect("a file").file_name().into_string().expect("a name");
        let name = name.strip_suffix(".json").expect("JSON");
        assert!(own.contains(&format!("\"{name}\"")), "{name}");
    }
}
