//! The token of API 2.0: got, kept while it is good, and forgotten when it is refused.

use std::time::Duration;

use contract::secret::Secret;
use reqwest::header::HeaderMap;
use serde::Deserialize;
use tokio::sync::Mutex;
use url::Url;

use super::body::Body;
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

/// An API application, and whether it is signed in.
#[derive(Debug)]
pub(super) struct OAuth {
    client_id: Secret<String>,
    client_secret: Secret<String>,
    /// Held while a token is on its way, so that one is asked for whoever needs it.
    signed_in: Mutex<SignedIn>,
}

#[derive(Debug)]
enum SignedIn {
    No,
    Yes(Token),
    /// Ahead of the first call, which will be told.
    Failed(PollError),
}

/// A token and how long it may be used.
#[derive(Debug)]
struct Token {
    value: Secret<String>,
    /// On the world's steady clock.
    ends_at: Duration,
}

impl SignedIn {
    /// The token, where it can still be used at this moment of the steady clock.
    fn token(&self, elapsed: Duration) -> Option<Secret<String>> {
        match self {
            Self::Yes(token) if elapsed < token.ends_at => Some(token.value.clone()),
            _ => None,
        }
    }
}

impl OAuth {
    pub(super) fn new(client_id: Secret<String>, client_secret: Secret<String>) -> Self {
        Self { client_id, client_secret, signed_in: Mutex::new(SignedIn::No) }
    }

    /// A token that is good now. What went wrong ahead of this call counts as its first attempt.
    ///
    /// # Errors
    /// As [`OAuth::get`].
    pub(super) async fn token(
        &self,
        http: &reqwest::Client,
        base_url: &Url,
        world: &World,
    ) -> Result<Secret<String>, PollError> {
        let mut signed_in = self.signed_in.lock().await;
        if let Some(token) = signed_in.token(world.elapsed()) {
            return Ok(token);
        }
        if let SignedIn::Failed(error) = std::mem::replace(&mut *signed_in, SignedIn::No) {
            return Err(error);
        }
        let token = self.get(http, base_url, world).await?;
        let value = token.value.clone();
        *signed_in = SignedIn::Yes(token);
        Ok(value)
    }

    /// Gets a token for the calls that will come, unless there is a good one.
    pub(super) async fn sign_in_ahead(&self, http: &reqwest::Client, base_url: &Url, world: &World) {
        let mut signed_in = self.signed_in.lock().await;
        if signed_in.token(world.elapsed()).is_none() {
            let got = self.get(http, base_url, world).await;
            *signed_in = got.map_or_else(SignedIn::Failed, SignedIn::Yes);
        }
    }

    /// Forgets the token, which was refused.
    pub(super) async fn forget(&self) {
        *self.signed_in.lock().await = SignedIn::No;
    }

    /// Gets a new token. The body of this route's answers is never repeated, not even in errors: it can
    /// hold the credentials that were sent.
    async fn get(&self, http: &reqwest::Client, base_url: &Url, world: &World) -> Result<Token, PollError> {
        let error = |kind| PollError::new(Attempted::GetToken, kind);
        let url = base_url.join(TOKEN_PATH).map_err(|_| error(PollErrorKind::WrongHost))?;
        let form = [
            ("client_id", self.client_id.expose().as_str()),
            ("client_secret", self.client_secret.expose().as_str()),
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
        let body = Body::new(response).bounded(ANSWER_LIMIT_BYTES).await.map_err(|cause| PollError {
            kind: PollErrorKind::Unreachable,
            ..super::client::unread(Attempted::GetToken, cause)
        })?;
        let answer: Answer = serde_json::from_slice(&body).map_err(|_| failed(PollErrorKind::Unreadable))?;
        if answer.access_token.is_empty() {
            return Err(failed(PollErrorKind::Unreadable));
        }
        let lifetime = Duration::from_secs(answer.expires_in.unwrap_or(DEFAULT_LIFETIME_SECS));
        // A token that lives for less than the margin is used for half of its life.
        let usable = lifetime.saturating_sub(EARLY).max(lifetime / 2);
        Ok(Token { value: Secret::new(answer.access_token), ends_at: world.elapsed().saturating_add(usable) })
    }
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    expires_in: Option<u64>,
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
