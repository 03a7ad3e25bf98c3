//! The bodies of answers.

use std::io::Write;

use axum::body::Bytes;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::access::Settings;
use super::history::Page;
use crate::clock::http_date;

/// The categories whose codes are seen in public (the real list is longer).
const CATEGORIES: [&str; 14] = [
    "account_logs",
    "archive_service_logs",
    "authentication_logs",
    "awareness_training_logs",
    "branding_logs",
    "case_review_logs",
    "continuity_services_logs",
    "integrations_and_apis",
    "journaling_logs",
    "mimecast_access_logs",
    "policy_logs",
    "profile_group_logs",
    "reporting_logs",
    "user_account_and_role_logs",
];

/// The size of most events, in bytes: what a page's buffer begins with.
const USUAL_EVENT_BYTES: usize = 640;

/// An answer before it becomes HTTP.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
}

impl Answer {
    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            headers: vec![("content-type", "application/json".to_owned())],
            body: Bytes::from(body.to_string()),
        }
    }

    /// A function's good answer.
    pub(super) fn data(data: Value) -> Self {
        Self::json(200, &json!({"meta": {"status": 200}, "data": data, "fail": []}))
    }

    /// A status that says everything.
    pub(super) fn status(status: u16) -> Self {
        Self::json(status, &json!({"meta": {"status": status}, "data": [], "fail": []}))
    }

    /// A function's failure: the nested shape.
    pub(super) fn failed(status: u16, code: &str, message: &str) -> Self {
        let error = json!({"code": code, "message": message, "retryable": false});
        Self::json(status, &json!({"meta": {"status": status}, "data": [], "fail": [{"errors": [error]}]}))
    }

    /// Fields that are missing: HTTP 200, failures, no data.
    pub(super) fn missing(fields: &[&str]) -> Self {
        let errors: Vec<_> = fields
            .iter()
            .map(|field| {
                json!({
                    "field": field,
                    "code": "err_validation_null",
                    "message": "Field cannot be null",
                    "retryable": false,
                })
            })
            .collect();
        Self::json(
            200,
            &json!({
                "meta": {"status": 200, "pagination": {"pageSize": 0}},
                "data": [],
                "fail": [{"key": {}, "errors": errors}],
            }),
        )
    }

    /// A failure of the API 2.0 gateway: the flat shape.
    pub(super) fn flat(status: u16, code: &str, message: Option<&str>) -> Self {
        let mut failure = json!({"code": code});
        if let Some(message) = message {
            failure["message"] = json!(message);
        }
        Self::json(status, &json!({"fail": [failure]}))
    }

    pub(super) fn with(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Dated by the simulator's clock, so that clients can see that theirs is off.
    pub(super) fn dated(self, now: OffsetDateTime) -> Self {
        self.with("date", http_date(now))
    }

    pub(super) fn into_response(self) -> Response {
        let mut response = Response::builder().status(self.status);
        for (name, value) in self.headers {
            response = response.header(name, value);
        }
        response.body(super::body(self.body)).unwrap_or_default()
    }
}

/// The categories' answer. Ids and names are ours, the codes real.
pub(super) fn categories() -> Answer {
    let categories: Vec<_> = CATEGORIES
        .iter()
        .zip(1..)
        .map(|(code, id)| json!({"id": id, "code": code, "name": code.replace('_', " ")}))
        .collect();
    Answer::data(json!([{"categories": categories}]))
}

/// The account's answer, without the members that hold personal data.
pub(super) fn account() -> Answer {
    Answer::data(json!([{"region": "us", "accountCode": "CUSA0A0000", "accountName": "Example"}]))
}

/// A page of events.
pub(super) fn page(page: Page, settings: &Settings, generation: u64, gzip: bool) -> Answer {
    let count = page.count();
    let mut pagination = json!({"pageSize": count});
    if settings.total_count {
        pagination["totalCount"] = json!(page.total);
    }
    let token = |offset: usize| page_token(page.size, offset, generation);
    if page.offset + count < page.total {
        pagination["next"] = json!(token(page.offset + count));
    }
    if page.offset > 0 {
        pagination["previous"] = json!(token(page.offset.saturating_sub(page.size)));
    }
    let meta = json!({"status": 200, "pagination": pagination}).to_string();
    let mut body = Vec::with_capacity(count * USUAL_EVENT_BYTES + meta.len() + 64);
    body.extend_from_slice(b"{\"meta\":");
    body.extend_from_slice(meta.as_bytes());
    body.extend_from_slice(b",\"data\":[");
    page.write(&mut body);
    body.extend_from_slice(b"],\"fail\":[]}");
    let headers = vec![("content-type", "application/json".to_owned())];
    match settings.gzip_level.filter(|_| gzip) {
        None => Answer { status: 200, headers, body: Bytes::from(body) },
        Some(level) => Answer { status: 200, headers, body: Bytes::from(compress(&body, level)) }
            .with("content-encoding", "gzip".to_owned()),
    }
}

fn compress(body: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::new(level));
    // Writing into memory cannot fail.
    let _ = encoder.write_all(body);
    encoder.finish().unwrap_or_default()
}

/// A page token as the real ones are: base64url without padding of zlib-compressed JSON that holds
/// an offset and a size, and not the window.
fn page_token(size: usize, offset: usize, generation: u64) -> String {
    let token = json!({
        "pagesizeid": size,
        "secureid": format!("EXAMPLE{generation}"),
        "pageNumber": 0,
        "isPrevious": false,
        "pageToken": null,
        "version": 1,
        "recordstartid": offset,
    });
    encode(&token)
}

/// The encoding of page tokens and of event ids.
pub(super) fn encode(value: &Value) -> String {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    let _ = encoder.write_all(value.to_string().as_bytes());
    URL_SAFE_NO_PAD.encode(encoder.finish().unwrap_or_default())
}

/// The offset of a page token of this generation.
pub(super) fn page_offset(token: &str, generation: u64) -> Option<usize> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let token: Value = serde_json::from_reader(flate2::read::ZlibDecoder::new(bytes.as_slice())).ok()?;
    let current = token["secureid"] == format!("EXAMPLE{generation}").as_str();
    let offset = token["recordstartid"].as_u64().filter(|_| current)?;
    usize::try_from(offset).ok()
}
