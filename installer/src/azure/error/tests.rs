//! Captured bodies and what is made of them. A case is a file in `tests/data/arm_errors`.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::{AzureError, ErrorTree, Refusal, hint};
use crate::azure::credential::{AuthMethod, SignInAttempt};
use crate::azure::retry::Retry;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// What is particular about the body.
    #[serde(rename = "shape")]
    _shape: String,
    status: u16,
    /// JSON as it came, or a string for what is not JSON.
    body: Value,
    /// Code and message of each leaf.
    leaves: Vec<(String, String)>,
    #[serde(default)]
    policies: Vec<String>,
    raw: Option<String>,
    /// Words of the hint; absent where there is none.
    hint: Option<String>,
    retry: String,
}

fn cases() -> Vec<(String, Case)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/arm_errors");
    let mut cases: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
        })
        .collect();
    cases.sort_by(|left: &(String, Case), right| left.0.cmp(&right.0));
    cases
}

fn refusal(status: u16, body: &Value) -> Refusal {
    let body = match body {
        Value::String(text) => text.clone(),
        json => json.to_string(),
    };
    Refusal {
        what: "writing".to_owned(),
        status,
        tree: ErrorTree::parse(body.as_bytes()),
        request_id: None,
        retry_after: None,
    }
}

// BR-133, BR-139: policy, property, object id, action, scope and a command.
#[test]
fn each_body_gives_its_leaves_its_hint_and_its_advice_on_repeating() {
    let cases = cases();
    assert!(cases.len() > 40, "the folder is read: {}", cases.len());
    for (name, case) in cases {
        let refusal = refusal(case.status, &case.body);
        let leaves: Vec<(String, String)> =
            refusal.tree.leaves.iter().map(|leaf| (leaf.code.clone(), leaf.message.clone())).collect();
        assert_eq!(leaves, case.leaves, "{name}");
        assert_eq!(refusal.tree.policies, case.policies, "{name}");
        assert_eq!(refusal.tree.raw, case.raw, "{name}");
        let shown = refusal.to_string();
        for text in case.leaves.iter().map(|(_, message)| message).chain(&case.raw) {
            assert!(shown.contains(text.as_str()), "{name}: the person reads {text:?} in {shown:?}");
        }

        let error = AzureError::Refused(Box::new(refusal));
        let hint = error.hint().map(|hint| hint.text);
        match &case.hint {
            Some(words) => {
                let hint = hint.unwrap_or_else(|| panic!("{name} has no hint"));
                assert!(hint.contains(words.as_str()), "{name}: {words:?} in {hint:?}");
                assert!(!hint.contains('{'), "{name}: nothing is left to fill in: {hint}");
            }
            None => assert_eq!(hint, None, "{name}"),
        }
        let retry = if error.retry() == Retry::Backoff { "backoff" } else { "never" };
        assert_eq!(retry, case.retry, "{name}");
    }
}

#[test]
fn every_row_of_the_hints_has_a_case() {
    let cases = cases();
    for row in hint::REFUSALS {
        let met = cases.iter().any(|(_, case)| {
            hint::matching(&refusal(case.status, &case.body)).is_some_and(|met| std::ptr::eq(met, row))
        });
        assert!(met, "no case meets the row of `{}` with `{}`", row.code, row.words);
    }
}

fn sign_in(method: AuthMethod, reason: &str) -> AzureError {
    AzureError::SignIn { tried: vec![SignInAttempt { method, reason: reason.to_owned(), unreached: false }] }
}

#[test]
fn every_number_of_the_sign_in_service_has_its_hint() {
    for row in hint::SIGN_INS {
        let error = sign_in(AuthMethod::Environment, &format!("{}: words of Entra", row.code));
        let other = sign_in(AuthMethod::Environment, &format!("{}1: words of Entra", row.code));
        let hint = error.hint().unwrap();
        assert_ne!(Some(&hint), other.hint().as_ref(), "{} is read as a whole number", row.code);
        assert!(hint.link.starts_with("https://learn.microsoft.com/"));
    }
}

// BR-033
#[test]
fn the_id_given_for_the_secret_is_recognised() {
    let error = sign_in(AuthMethod::Environment, "AADSTS7000215: Invalid client secret provided.");
    assert!(error.hint().unwrap().text.contains("not its id"));
}

#[test]
fn who_is_not_signed_in_is_told_how() {
    for (method, words) in [
        (AuthMethod::Cli, "az login"),
        (AuthMethod::Azd, "azd auth login"),
        (AuthMethod::Managed, "managed identity"),
        (AuthMethod::Workload, "AZURE_FEDERATED_TOKEN_FILE"),
    ] {
        let error = sign_in(method, "az not found on PATH");
        assert!(error.hint().unwrap().text.contains(words), "{}", method.name());
        assert!(error.to_string().contains(method.name()));
    }
}

#[test]
fn a_network_without_the_host_that_signs_in_is_named_as_the_cause() {
    let hint = |method, unreached| {
        let tried = vec![SignInAttempt { method, reason: "connection refused".to_owned(), unreached }];
        AzureError::SignIn { tried }.hint().expect("a hint").text
    };
    assert!(hint(AuthMethod::Environment, true).contains("HTTPS_PROXY"));
    assert!(hint(AuthMethod::Environment, false).contains("AZURE_CLIENT_ID"));
    assert!(hint(AuthMethod::Managed, true).contains("managed identity"));
}

#[test]
fn the_delay_that_a_service_names_is_kept() {
    let mut refusal = refusal(429, &Value::Null);
    refusal.retry_after = Some(Duration::from_secs(17));
    let error = AzureError::Refused(Box::new(refusal));
    assert_eq!(error.retry(), Retry::After(Duration::from_secs(17)));
}

#[test]
fn a_secret_that_a_service_repeats_is_taken_out() {
    let secret = "can\"ary\\value";
    let quoted = Value::from(secret).to_string();
    for body in [
        format!(r#"{{"error":{{"code":"BadValue","message":{quoted},"target":{quoted}}}}}"#),
        format!("cannot read {{\"value\":{quoted}}}"),
        format!("cannot read {secret}"),
    ] {
        let refused = AzureError::Refused(Box::new(refusal(400, &Value::String(body.clone()))));
        let error = AzureError::GaveUp { attempts: 3, cause: Box::new(refused) }.without(secret);
        let shown = format!("{error} {:?} {}", error, error.refusal().unwrap());
        assert!(!shown.contains("ary"), "{body} gives {shown}");
        assert!(shown.contains("(redacted)"), "{body} gives {shown}");
    }
}

#[test]
fn a_hostile_nest_ends() {
    let deep = format!("{}{}", "{\"details\":[".repeat(200), "]}".repeat(200));
    let wide = serde_json::json!({"error": {"code": "X", "details":
        (0..500).map(|at| serde_json::json!({"code": at.to_string(), "message": "m"})).collect::<Vec<_>>()}});
    assert!(ErrorTree::parse(deep.as_bytes()).raw.is_some());
    assert_eq!(ErrorTree::parse(wide.to_string().as_bytes()).leaves.len(), 50);
    let long = "x".repeat(100_000);
    assert_eq!(ErrorTree::parse(long.as_bytes()).raw.unwrap().len(), 2_000);
}
