//! Azure Monitor's Logs Ingestion API.
//!
//! Follows <https://learn.microsoft.com/azure/azure-monitor/logs/logs-ingestion-api-overview> and, for
//! its limits, <https://learn.microsoft.com/azure/azure-monitor/fundamentals/service-limits#logs-ingestion-api>.

mod shape;

use std::collections::HashMap;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::post;
use flate2::read::GzDecoder;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use self::shape::Flow;
pub(crate) use self::shape::{format_time, parse_time};
use crate::data::DataPlane;
use crate::entra::{Audience, caller};
use crate::rows::Keep;
use crate::state::role::Need;

/// Largest call, both as sent and after decompression.
const CALL_BYTES: usize = 1024 * 1024;
/// Calls a minute for one rule.
const CALLS_PER_MINUTE: u32 = 12_000;
/// The version that answers.
const API_VERSION: &str = "2023-01-01";

/// Calls of the present minute by rule.
#[derive(Debug, Clone, Default)]
struct Throttle {
    minutes: Arc<Mutex<HashMap<String, (i64, u32)>>>,
}

impl Throttle {
    /// Counts a call; gives the seconds to wait where the minute is full.
    fn take(&self, rule: &str, now: OffsetDateTime) -> Result<(), i64> {
        let minute = now.unix_timestamp().div_euclid(60);
        let mut minutes = self.minutes.lock().unwrap_or_else(PoisonError::into_inner);
        let (counted, calls) = minutes.entry(rule.to_owned()).or_insert((minute, 0));
        if *counted != minute {
            (*counted, *calls) = (minute, 0);
        }
        if *calls >= CALLS_PER_MINUTE {
            return Err((minute + 1) * 60 - now.unix_timestamp());
        }
        *calls += 1;
        Ok(())
    }
}

/// The service, for every rule.
pub fn router(data: DataPlane) -> Router {
    Router::new()
        .route("/dataCollectionRules/{rule}/streams/{stream}", post(upload))
        .fallback(|| async { refuse(404, "NotFound", "There is no such path.") })
        .method_not_allowed_fallback(|| async { refuse(405, "MethodNotAllowed", "Rows are sent by POST.") })
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state((data, Throttle::default()))
}

fn refuse(status: u16, code: &str, message: impl Into<String>) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = json!({"error": {"code": code, "message": message.into()}});
    let mut response = (status, Json(body)).into_response();
    if let Ok(code) = HeaderValue::from_str(code) {
        response.headers_mut().insert("x-ms-error-code", code);
    }
    response
}

async fn upload(
    State((data, throttle)): State<(DataPlane, Throttle)>,
    Path((rule_id, stream)): Path<(String, String)>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut answer = match accept(&data, &throttle, &rule_id, &stream, &query, &headers, &body) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(refusal) => *refusal,
    };
    if let Ok(id) = HeaderValue::from_str(&uuid::Uuid::new_v4().to_string()) {
        answer.headers_mut().insert("x-ms-request-id", id);
    }
    answer
}

/// Does all that the service does before it answers 204.
///
/// The refusal is boxed since it is large and rare.
fn accept(
    data: &DataPlane,
    throttle: &Throttle,
    rule_id: &str,
    stream: &str,
    query: &HashMap<String, String>,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(), Box<Response>> {
    let refuse = |status, code, message: String| Box::new(refuse(status, code, message));
    match query.get("api-version").map(String::as_str) {
        Some(API_VERSION) => {}
        Some(other) => {
            return Err(refuse(
                400,
                "UnsupportedApiVersion",
                format!("The api-version '{other}' is not supported."),
            ));
        }
        None => return Err(refuse(400, "MissingApiVersion", "The api-version is missing.".to_owned())),
    }
    let caller = caller(headers, Audience::Ingestion, &data.state)
        .map_err(|denied| Box::new(denied.into_response()))?;
    let Some(rule) = data.rule(rule_id) else {
        let message = format!("Data collection rule with immutable Id '{rule_id}' not found.");
        return Err(refuse(404, "NotFound", message));
    };
    let scope = rule.get("id").and_then(Value::as_str).unwrap_or_default();
    // What Monitoring Metrics Publisher allows on a rule.
    if !data.state.allowed(&caller.object_id, scope, Need::Data("Microsoft.Insights/Telemetry/Write")) {
        let message = format!(
            "The authentication token provided does not have access to ingest data for the data collection \
             rule with immutable Id '{rule_id}'."
        );
        return Err(refuse(403, "OperationFailed", message));
    }
    if let Err(seconds) = throttle.take(rule_id, data.state.now()) {
        let message = format!("The rule takes {CALLS_PER_MINUTE} calls a minute.");
        let mut refusal = refuse(429, "TooManyRequests", message);
        refusal.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        return Err(refusal);
    }
    let flow = match Flow::find(&data.state, &rule, stream) {
        Ok(Some(flow)) => flow,
        Ok(None) => {
            let message = format!(
                "Stream '{stream}' is not declared in the data collection rule with immutable Id '{rule_id}'."
            );
            return Err(refuse(404, "NotFound", message));
        }
        Err(unknown) => return Err(refuse(501, "NotImplemented", unknown.to_string())),
    };
    let header = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if !header(header::CONTENT_TYPE).is_some_and(|kind| kind.starts_with("application/json")) {
        let message = "The Content-Type must be application/json.".to_owned();
        return Err(refuse(415, "UnsupportedMediaType", message));
    }
    let too_large = |bytes: String| {
        let message = format!(
            "Maximum allowed content length: {CALL_BYTES} bytes (1 MB). Provided content length: {bytes} bytes."
        );
        refuse(413, "ContentLengthLimitExceeded", message)
    };
    if body.len() > CALL_BYTES {
        return Err(too_large(body.len().to_string()));
    }
    let invalid = |message: String| refuse(400, "InvalidPayload", message);
    let mut opened = Vec::new();
    let content = match header(header::CONTENT_ENCODING) {
        None | Some("identity") => body,
        Some("gzip") => {
            // One byte more than allowed is enough to know.
            let mut limited = GzDecoder::new(body).take(CALL_BYTES as u64 + 1);
            limited
                .read_to_end(&mut opened)
                .map_err(|error| invalid(format!("The body is not gzip: {error}.")))?;
            opened.as_slice()
        }
        Some(other) => {
            return Err(refuse(
                415,
                "UnsupportedMediaType",
                format!("The Content-Encoding '{other}' is unknown."),
            ));
        }
    };
    if content.len() > CALL_BYTES {
        return Err(too_large(format!("more than {CALL_BYTES}")));
    }
    if data.rows.body_limit().is_some_and(|limit| content.len() > limit) {
        return Err(too_large(content.len().to_string()));
    }
    if data.rows.refuses(content) {
        return Err(invalid("The body holds a record that cannot be read.".to_owned()));
    }
    let not_json = |error: serde_json::Error| {
        invalid(format!("The body must be a JSON array of objects in UTF-8: {error}."))
    };
    if data.rows.kept() == Keep::Tally {
        let rows: Vec<&RawValue> = serde_json::from_slice(content).map_err(not_json)?;
        data.rows.count(&flow.table, rows.len(), content.len(), body.len());
        return Ok(());
    }
    let rows: Vec<Map<String, Value>> = serde_json::from_slice(content).map_err(not_json)?;
    data.rows.count(&flow.table, rows.len(), content.len(), body.len());
    let now = data.state.now();
    let stored = rows.into_iter().filter_map(|row| flow.stored(row, now));
    data.rows.add(&flow.workspace_id, &flow.table, stored);
    Ok(())
}

#[cfg(test)]
mod tests;
