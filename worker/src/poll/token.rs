//! The token of API 2.0.

use std::time::Duration;

use contract::secret::Secret;
use reqwest::header::HeaderMap;
use serde::Deserialize;
use url::Url;

use super::error::{Attempted, PollError, PollErrorKind};
use super::quota::throttled_wait;
use crate::world::World;

/// Route of the token.
const TOKEN_PATH: &str = "/oauth/token";

/// How long before its end a token is replaced.
const EARLY: Duration = Duration::from_secs(60);

/// The lifetime of a token whose answer names none: half an hour less a second is what is given.
const DEFAULT_LIFETIME_SECS: u64 = 1799;

/// The largest answer of the token route that is read, in bytes.
const ANSWER_LIMIT_BYTES: usize = 64 * 1024;

/// A token and how long it may be used.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) value: Secret<String>,
    /// On the world's steady clock.
    ends_at: Duration,
}

impl Token {
    /// Whether it can still be used at this moment of the steady clock.
    pub(super) fn usable(&self, elapsed: Duration) -> bool {
        elapsed < self.ends_at
    }
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    expires_in: Option<u64>,
}

/// Gets a new token. The body of this route's answers is never repeated, not even in errors: it can
/// hold the credentials that were sent.
pub(super) async fn get(
    http: &reqwest::Client,
    base_url: &Url,
    client_id: &Secret<String>,
    client_secret: &Secret<String>,
    world: &World,
) -> Result<Token, PollError> {
    let error = |kind| PollError::new(Attempted::GetToken, kind);
    let url = base_url.join(TOKEN_PATH).map_err(|_| error(PollErrorKind::WrongHost))?;
    let form = [
        ("client_id", client_id.expose().as_str()),
        ("client_secret", client_secret.expose().as_str()),
        ("grant_type", "client_credentials"),
    ];
    let sent = http.post(url).form(&form).send().await;
    let response = sent.map_err(|cause| super::client::transport(Attempted::GetToken, cause))?;
    let status = response.status().as_u16();
    let request_id = super::client::request_id(response.headers());
    let kind = refusal(status, response.headers(), world);
    let failed = |kind| PollError { status: Some(status), request_id: request_id.clone(), ..error(kind) };
    if let Some(kind) = kind {
        return Err(failed(kind));
    }
    let body = super::client::bounded(response, ANSWER_LIMIT_BYTES)
        .await
        .map_err(|cause| super::client::transport(Attempted::GetToken, cause))?;
    let answer: Answer = serde_json::from_slice(&body).map_err(|_| failed(PollErrorKind::Unreadable))?;
    if answer.access_token.is_empty() {
        return Err(failed(PollErrorKind::Unreadable));
    }
    let lifetime = Duration::from_secs(answer.expires_in.unwrap_or(DEFAULT_LIFETIME_SECS));
    // A token that lives for less than the margin is used for half of its life.
    let usable = lifetime.saturating_sub(EARLY).max(lifetime / 2);
    Ok(Token { value: Secret::new(answer.access_token), ends_at: world.elapsed().saturating_add(usable) })
}

/// What the status of the token route means; its body is not looked at.
fn refusal(status: u16, headers: &HeaderMap, world: &World) -> Option<PollErrorKind> {
    match status {
        200..=299 => None,
        400 | 401 | 403 => Some(PollErrorKind::CredentialsRefused),
        429 => Some(PollErrorKind::Throttled(throttled_wait(headers, world.now()))),
        500..=599 => Some(PollErrorKind::ServerFault),
        _ => Some(PollErrorKind::WrongHost),
    }
}
