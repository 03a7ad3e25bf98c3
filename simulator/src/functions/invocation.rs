//! What the host sends for an invocation, and what it takes back.
//!
//! Follows <https://learn.microsoft.com/azure/azure-functions/functions-custom-handlers#request-payload>
//! and azure-functions-host, `DefaultHttpWorkerService` and `HttpScriptInvocationResult`.

use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::ingestion::format_time;

/// What started an invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The timer was due.
    Timer,
    /// Somebody called the admin endpoint.
    Admin,
    /// A message arrived.
    Queue,
}

/// One invocation that ended.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// Identity, as sent to the worker.
    pub id: Uuid,
    /// The function.
    pub function: String,
    /// What started it.
    pub cause: Cause,
    /// The instance that it ran on.
    pub instance: usize,
    /// When it was started.
    pub started_at: OffsetDateTime,
    /// What the worker answered.
    pub outcome: Result<Map<String, Value>, Failure>,
}

/// Why an invocation failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// There is no such function, or no worker to run it.
    #[error("{0}")]
    NotRun(String),
    /// The worker did not answer, or went away.
    #[error("no answer from the worker: {0}")]
    NoAnswer(String),
    /// It took longer than `functionTimeout`.
    #[error("timeout value exceeded by function")]
    TimedOut,
    /// The status was not of success. The host shows nothing of the body.
    #[error("response status code does not indicate success: {0}")]
    Status(u16),
    /// A good status without a body. The host reads nothing out of it and waits for ever; here the
    /// invocation ends as failed at once, since no test waits that long.
    #[error("the answer is empty: the host would hang to functionTimeout")]
    EmptyBody,
    /// The body is no JSON object, or its content type does not say that it is.
    #[error("invalid HttpResponseMessage: {0}")]
    NotJson(String),
}

/// What the schedule monitor knows of a timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimerStatus {
    /// Year 1 before the first run, as the host has it.
    pub(crate) last: Option<OffsetDateTime>,
    pub(crate) next: OffsetDateTime,
    pub(crate) last_updated: OffsetDateTime,
}

/// A time as the host's serialiser writes it.
fn host_time(at: Option<OffsetDateTime>) -> String {
    at.map_or_else(|| "0001-01-01T00:00:00".to_owned(), |at| format_time(at).replace('Z', "+00:00"))
}

fn metadata(function: &str, now: OffsetDateTime) -> Map<String, Value> {
    let system =
        json!({"MethodName": function, "UtcNow": format_time(now), "RandGuid": Uuid::new_v4().to_string()});
    Map::from_iter([("sys".to_owned(), system)])
}

/// The body for a timer.
pub(crate) fn timer_payload(
    function: &str,
    binding: &str,
    status: Option<TimerStatus>,
    past_due: bool,
    now: OffsetDateTime,
) -> Value {
    let status = status.map(|status| {
        json!({
            "Last": host_time(status.last),
            "Next": host_time(Some(status.next)),
            "LastUpdated": host_time(Some(status.last_updated)),
        })
    });
    let timer = json!({"Schedule": {"AdjustForDST": true}, "ScheduleStatus": status, "IsPastDue": past_due});
    json!({"Data": {binding: timer}, "Metadata": metadata(function, now)})
}

/// What the body for a queue message tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MessageFacts {
    pub(crate) id: String,
    pub(crate) pop_receipt: String,
    pub(crate) dequeue_count: u32,
    pub(crate) inserted: String,
    pub(crate) expires: String,
    pub(crate) next_visible: String,
}

/// The body for a queue message. Texts are encoded as JSON once more
/// (azure-functions-host, `ScriptInvocationContextExtensions`, and its tests).
pub(crate) fn queue_payload(
    function: &str,
    binding: &str,
    text: &str,
    facts: Option<&MessageFacts>,
    now: OffsetDateTime,
) -> Value {
    let quoted = |text: &str| Value::from(Value::from(text).to_string());
    let mut metadata = metadata(function, now);
    if let Some(facts) = facts {
        metadata.insert("Id".to_owned(), quoted(&facts.id));
        metadata.insert("PopReceipt".to_owned(), quoted(&facts.pop_receipt));
        metadata.insert("DequeueCount".to_owned(), Value::from(facts.dequeue_count.to_string()));
        metadata.insert("InsertionTime".to_owned(), quoted(&facts.inserted));
        metadata.insert("ExpirationTime".to_owned(), quoted(&facts.expires));
        metadata.insert("NextVisibleTime".to_owned(), quoted(&facts.next_visible));
    }
    json!({"Data": {binding: quoted(text)}, "Metadata": metadata})
}

/// Reads the worker's answer as strictly as the host does.
pub(crate) fn read_answer(
    status: u16,
    content_type: Option<&str>,
    body: &[u8],
) -> Result<Map<String, Value>, Failure> {
    if !(200..300).contains(&status) {
        return Err(Failure::Status(status));
    }
    if body.is_empty() {
        return Err(Failure::EmptyBody);
    }
    let shown = || {
        let text = String::from_utf8_lossy(body);
        text.chars().take(200).collect::<String>()
    };
    let kind =
        content_type.map(|kind| kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    if !matches!(kind.as_deref(), Some("application/json" | "text/json")) {
        return Err(Failure::NotJson(format!("content type {kind:?}: {}", shown())));
    }
    serde_json::from_slice(body).map_err(|_| Failure::NotJson(shown()))
}

#[cfg(test)]
mod tests {
    use super::{Failure, TimerStatus, queue_payload, read_answer, timer_payload};
    use serde_json::json;
    use time::macros::datetime;

    #[test]
    fn a_timers_payload_tells_its_schedule() {
        let now = datetime!(2026-11-24 10:05:00.0123 UTC);
        let status = TimerStatus {
            last: Some(datetime!(2026-11-24 10:00:00 UTC)),
            next: datetime!(2026-11-24 10:05:00 UTC),
            last_updated: datetime!(2026-11-24 10:00:00 UTC),
        };
        let payload = timer_payload("Sync", "timer", Some(status), false, now);
        assert_eq!(
            payload["Data"],
            json!({"timer": {
                "Schedule": {"AdjustForDST": true},
                "ScheduleStatus": {
                    "Last": "2026-11-24T10:00:00+00:00",
                    "Next": "2026-11-24T10:05:00+00:00",
                    "LastUpdated": "2026-11-24T10:00:00+00:00",
                },
                "IsPastDue": false,
            }})
        );
        assert_eq!(payload["Metadata"]["sys"]["MethodName"], "Sync");
        assert_eq!(payload["Metadata"]["sys"]["UtcNow"], "2026-11-24T10:05:00.0123Z");
        let first = TimerStatus { last: None, ..status };
        let payload = timer_payload("Sync", "timer", Some(first), true, now);
        assert_eq!(payload["Data"]["timer"]["ScheduleStatus"]["Last"], "0001-01-01T00:00:00");
        assert_eq!(payload["Data"]["timer"]["IsPastDue"], true);
        assert!(
            timer_payload("Sync", "timer", None, false, now)["Data"]["timer"]["ScheduleStatus"].is_null()
        );
    }

    #[test]
    fn a_messages_text_is_encoded_once_more() {
        let payload = queue_payload("SyncWork", "msg", "{\"a\":1}", None, datetime!(2026-11-24 10:05 UTC));
        assert_eq!(payload["Data"]["msg"].as_str().unwrap(), r#""{\"a\":1}""#);
    }

    #[test]
    fn only_a_json_object_of_success_is_taken() {
        let json = Some("application/json; charset=utf-8");
        assert!(read_answer(200, json, b"{}").unwrap().is_empty());
        assert_eq!(read_answer(500, json, b"{}"), Err(Failure::Status(500)));
        assert_eq!(read_answer(200, json, b""), Err(Failure::EmptyBody));
        assert!(matches!(read_answer(200, json, b"done"), Err(Failure::NotJson(_))));
        assert!(matches!(read_answer(200, json, b"[]"), Err(Failure::NotJson(_))));
        assert!(matches!(read_answer(200, Some("text/plain"), b"{}"), Err(Failure::NotJson(_))));
        assert!(matches!(read_answer(200, None, b"{}"), Err(Failure::NotJson(_))));
    }
}
