//! What stands around the events in Mimecast's answers: `meta`, and `fail` in both of its shapes.

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use super::PageToken;

/// The first failure that an answer names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failure {
    /// Mimecast's code, such as `err_xdk_forbidden`.
    pub code: Option<String>,
    /// Mimecast's message, shortened.
    pub message: Option<String>,
    /// Whether Mimecast says that another attempt may help.
    pub retryable: bool,
}

/// The longest message and code of Mimecast's that is repeated, in characters.
const TEXT_LIMIT: usize = 200;

/// Members of `meta` that matter. All of them are optional in practice, and one of an unexpected
/// type counts as absent.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) status: Option<u64>,
    pub(super) next: Option<PageToken>,
    pub(super) total_count: Option<u64>,
}

impl Meta {
    /// Reads `meta`; what is not JSON is as absent.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let Ok(meta) = serde_json::from_slice::<Value>(bytes) else { return Self::default() };
        let pagination = &meta["pagination"];
        // A plain text on this route, an object around it on sibling routes.
        let next = match &pagination["next"] {
            Value::Object(next) => next.get("pageToken").and_then(Value::as_str),
            next => next.as_str(),
        };
        let next = next.filter(|token| !token.trim().is_empty());
        Self {
            status: number(&meta["status"]),
            next: next.map(|token| PageToken::from(token.to_owned())),
            total_count: number(&pagination["totalCount"]),
        }
    }
}

/// A number, also where it is given as text.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// The failures of a `fail` member, in either shape: `[{"errors":[{code, message, …}]}]` of the
/// functions, or `[{code, message}]` of the gateway. Empty where there are none.
pub(super) fn failures(fail: &[u8]) -> Vec<Failure> {
    match serde_json::from_slice::<Value>(fail) {
        Ok(Value::Array(entries)) => entries.iter().flat_map(entry).collect(),
        Ok(Value::Null) | Err(_) => Vec::new(),
        // Neither shape, but something failed.
        Ok(other) => entry(&other),
    }
}

fn entry(entry: &Value) -> Vec<Failure> {
    match entry["errors"].as_array() {
        Some(errors) if !errors.is_empty() => errors.iter().map(failure).collect(),
        _ => vec![failure(entry)],
    }
}

fn failure(value: &Value) -> Failure {
    let text = |name: &str| {
        let text = value[name].as_str()?.trim();
        (!text.is_empty()).then(|| text.chars().take(TEXT_LIMIT).map(printable).collect())
    };
    Failure {
        code: text("code"),
        message: text("message"),
        retryable: value["retryable"].as_bool().unwrap_or(false),
    }
}

/// A character that cannot break a log line.
fn printable(character: char) -> char {
    if character.is_control() { ' ' } else { character }
}

/// An answer that is read whole: of every route but that of the events.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    #[serde(default)]
    meta: Option<Box<serde_json::value::RawValue>>,
    #[serde(default)]
    fail: Option<Box<serde_json::value::RawValue>>,
    #[serde(default)]
    data: Option<Box<serde_json::value::RawValue>>,
}

impl Answer {
    /// Reads a body; `None` where it is no JSON object.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }

    pub(super) fn meta(&self) -> Meta {
        self.meta.as_ref().map(|meta| Meta::read(meta.get().as_bytes())).unwrap_or_default()
    }

    pub(super) fn failures(&self) -> Vec<Failure> {
        self.fail.as_ref().map(|fail| failures(fail.get().as_bytes())).unwrap_or_default()
    }

    /// The first item of `data`.
    pub(super) fn first<T: DeserializeOwned>(&self) -> Option<T> {
        let items: Vec<Value> = serde_json::from_str(self.data.as_ref()?.get()).ok()?;
        serde_json::from_value(items.into_iter().next()?).ok()
    }

    /// How many items `data` holds.
    pub(super) fn items(&self) -> usize {
        self.data
            .as_ref()
            .and_then(|data| serde_json::from_str::<Vec<IgnoredAny>>(data.get()).ok())
            .map_or(0, |items| items.len())
    }
}

#[cfg(test)]
mod tests {
    use super::{Meta, failures};
    use crate::poll::PageToken;

    fn next(json: &str) -> Option<String> {
        Meta::read(json.as_bytes()).next.map(|token| token.as_str().to_owned())
    }

    // BR-015: absent, null and empty all mean that there is no further page.
    #[test]
    fn the_next_token_is_text_or_an_object_or_absent() {
        for json in [
            "{}",
            r#"{"pagination":{}}"#,
            r#"{"pagination":null}"#,
            r#"{"pagination":{"next":null}}"#,
            r#"{"pagination":{"next":""}}"#,
            r#"{"pagination":{"next":{}}}"#,
            r#"{"pagination":{"next":{"pageToken":null}}}"#,
            r#"{"pagination":{"pageToken":"not-next"}}"#,
            "not json",
        ] {
            assert_eq!(next(json), None, "{json}");
        }
        // BR-029: the token is opaque and goes back as it came.
        for token in ["eNo-_x", "eNo+/w==", "mock_pagination_token_abc123xyz"] {
            assert_eq!(next(&format!(r#"{{"pagination":{{"next":"{token}"}}}}"#)).as_deref(), Some(token));
            let object = format!(r#"{{"pagination":{{"next":{{"pageToken":"{token}"}}}}}}"#);
            assert_eq!(Meta::read(object.as_bytes()).next, Some(PageToken::from(token.to_owned())));
        }
    }

    #[test]
    fn numbers_may_come_as_text() {
        let meta = Meta::read(br#"{"status":"200","pagination":{"totalCount":"449"}}"#);
        assert_eq!((meta.status, meta.total_count), (Some(200), Some(449)));
        assert_eq!(Meta::read(br#"{"pagination":{"totalCount":-1}}"#).total_count, None);
    }

    #[test]
    fn failures_are_read_in_both_shapes() {
        let nested = failures(
            br#"[{"key":{"secret":"x"},"errors":[{"field":"f","code":"err_a","message":"A","retryable":true},{"code":"err_b"}]}]"#,
        );
        assert_eq!(nested.len(), 2);
        assert_eq!((nested[0].code.as_deref(), nested[0].message.as_deref()), (Some("err_a"), Some("A")));
        assert!(nested[0].retryable && !nested[1].retryable);
        let flat = failures(br#"[{"code":"token_expired","message":"Access\nToken Expired"}]"#);
        assert_eq!(flat[0].message.as_deref(), Some("Access Token Expired"));
        assert_eq!(failures(b"[]"), []);
        assert_eq!(failures(b"null"), []);
        assert_eq!(failures(br#"[{"errors":[]}]"#).len(), 1);
        assert_eq!(failures(br#"{"code":"x"}"#).len(), 1);
    }
}
