//! Calls of the Logs Ingestion API.

use azure_core::credentials::TokenCredential;
use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use serde::Deserialize;
use url::Url;
use uuid::Uuid;

use super::outcome::{Answer, IngestError, Standing};
use crate::identity::Credential;
use crate::world::World;

/// The API's version.
const API_VERSION: &str = "2023-01-01";

/// An error's body is read up to here; the rest says nothing more.
const ERROR_BODY_BYTES: usize = 16 * 1024;

/// One data collection rule, and who sends to it.
#[derive(Debug)]
pub struct IngestClient {
    http: reqwest::Client,
    endpoint: Url,
    rule_id: String,
    credential: Credential,
    scope: String,
    world: World,
}

/// The body of an error, as the API's description has it.
#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorDetail,
}

#[derive(Deserialize)]
struct ErrorDetail {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl IngestClient {
    /// A client for this rule at this endpoint.
    pub fn new(
        http: reqwest::Client,
        endpoint: Url,
        rule_id: String,
        credential: Credential,
        scope: String,
        world: World,
    ) -> Self {
        Self { http, endpoint, rule_id, credential, scope, world }
    }

    /// Sends one compressed JSON array to a stream, once; with a new token once more where the first
    /// was refused.
    ///
    /// # Errors
    /// Anything but acceptance.
    pub async fn post(
        &self,
        stream: &str,
        id: Uuid,
        body: Bytes,
        standing: Standing,
    ) -> Result<(), IngestError> {
        match self.call(stream, id, body.clone(), standing).await {
            Err(IngestError::Unauthorized { .. }) => {
                self.credential.renew().map_err(|source| IngestError::Token { source })?;
                self.call(stream, id, body, standing).await
            }
            done => done,
        }
    }

    async fn call(&self, stream: &str, id: Uuid, body: Bytes, standing: Standing) -> Result<(), IngestError> {
        let token = self.credential.get_token(&[self.scope.as_str()], None).await;
        let token = token.map_err(|source| IngestError::Token { source })?;
        let path = format!("dataCollectionRules/{}/streams/{stream}?api-version={API_VERSION}", self.rule_id);
        let target = || format!("stream {stream} of the rule {} at {}", self.rule_id, self.endpoint);
        let unjoinable = |_| {
            let message = "the endpoint cannot be joined with a path".to_owned();
            IngestError::Unexpected { answer: Answer { message, target: target(), ..Answer::default() } }
        };
        let answer = self
            .http
            .post(self.endpoint.join(&path).map_err(unjoinable)?)
            .bearer_auth(token.token.secret())
            .header(CONTENT_TYPE, "application/json")
            .header(CONTENT_ENCODING, "gzip")
            .header("x-ms-client-request-id", id.to_string())
            .body(body)
            .send()
            .await
            .map_err(|source| IngestError::Unreachable { source: source.without_url() })?;
        if answer.status() == StatusCode::NO_CONTENT {
            return Ok(());
        }
        let status = answer.status().as_u16();
        let headers = answer.headers().clone();
        let (code, message) = read_error(answer, &headers).await;
        let request_id = text(&headers, "x-ms-request-id");
        let caller = self.credential.identity().to_string();
        let answer = Answer { status, code, message, target: target(), caller, request_id };
        Err(IngestError::of(answer, &headers, standing, self.world.now()))
    }
}

/// Code and words of an error, from its body or its header.
async fn read_error(mut answer: reqwest::Response, headers: &HeaderMap) -> (String, String) {
    let mut body = Vec::new();
    // What cannot be read of an error's body does not change what its status means.
    while let Ok(Some(chunk)) = answer.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > ERROR_BODY_BYTES {
            break;
        }
    }
    let detail = serde_json::from_slice::<ErrorBody>(&body).map(|body| body.error);
    let detail = detail.unwrap_or(ErrorDetail { code: String::new(), message: String::new() });
    let code = if detail.code.is_empty() { text(headers, "x-ms-error-code") } else { detail.code };
    (code, detail.message)
}

fn text(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}
