//! Who may ask, how often, and what an account is like.

use std::collections::HashMap;
use std::time::Duration;

use axum::http::HeaderMap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha1::Sha1;
use time::OffsetDateTime;
use time::macros::format_description;

use super::answer::Answer;
use super::history::Order;

/// What an account accepts and how it behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// API 2.0.
    pub client_id: String,
    /// API 2.0.
    pub client_secret: String,
    /// API 1.0.
    pub app_id: String,
    /// API 1.0.
    pub app_key: String,
    /// API 1.0.
    pub access_key: String,
    /// API 1.0, base64.
    pub secret_key: String,
    /// The service user of API 1.0.
    pub email: String,
    /// Its password.
    pub password: String,
    /// How long an API 2.0 token lives.
    pub token_lifetime: Duration,
    /// How long an API 1.0 binding lives after a login.
    pub binding_lifetime: Duration,
    /// How far the date of a signed call may be off.
    pub clock_skew: Duration,
    /// The rate limit; `None` for no headers at all.
    pub quota: Option<Quota>,
    /// Whether the API 2.0 application has the product `Audit Events`.
    pub product: bool,
    /// Whether the role has the right `Account | Logs | Read`.
    pub role: bool,
    /// The API base URL of the region in which the account lives, where that is not this one.
    pub other_region: Option<String>,
    /// The largest page; a larger one that is asked for is cut to it without a word.
    pub page_size_limit: usize,
    /// The order of the events.
    pub order: Order,
    /// Whether an event in the very second of the window's end belongs to it. Not documented.
    pub end_inclusive: bool,
    /// How far back events can be read.
    pub retention: Duration,
    /// Whether a page names the window's count.
    pub total_count: bool,
    /// Compression level of pages for those who accept gzip; `None` for none.
    pub gzip_level: Option<u32>,
    /// How long each answer takes.
    pub latency: Duration,
}

/// A rate limit: calls in a fixed period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Calls in one period.
    pub limit: u64,
    /// Its length.
    pub period: Duration,
}

impl Default for Settings {
    /// An account that may read. Ten thousand calls an hour is the one quota that was seen in public
    /// (elastic/integrations issue 11460); 60 days and 500 events a page are documented.
    fn default() -> Self {
        Self {
            client_id: "EXAMPLE-CLIENT-ID".to_owned(),
            client_secret: "EXAMPLE-CLIENT-SECRET".to_owned(),
            app_id: "00000000-0000-4000-8000-000000000001".to_owned(),
            app_key: "00000000-0000-4000-8000-000000000002".to_owned(),
            access_key: "EXAMPLE-ACCESS-KEY".to_owned(),
            secret_key: STANDARD.encode((0..64).collect::<Vec<u8>>()),
            email: "svc-siem@example.com".to_owned(),
            password: "EXAMPLE-PASSWORD".to_owned(),
            token_lifetime: Duration::from_secs(1799),
            binding_lifetime: Duration::from_secs(3 * 24 * 60 * 60),
            clock_skew: Duration::from_secs(15 * 60),
            quota: Some(Quota { limit: 10_000, period: Duration::from_secs(60 * 60) }),
            product: true,
            role: true,
            other_region: None,
            page_size_limit: 500,
            order: Order::NewestFirst,
            end_inclusive: true,
            retention: Duration::from_secs(60 * 24 * 60 * 60),
            total_count: true,
            gzip_level: None,
            latency: Duration::ZERO,
        }
    }
}

/// What changes as the account is used.
#[derive(Debug)]
pub(super) struct Access {
    /// Tokens that were given, with their end.
    tokens: HashMap<String, OffsetDateTime>,
    pub(super) binding_ends_at: OffsetDateTime,
    period_began_at: OffsetDateTime,
    calls: u64,
    requests: u64,
    pub(super) page_generation: u64,
}

impl Access {
    pub(super) fn new(settings: &Settings, now: OffsetDateTime) -> Self {
        Self {
            tokens: HashMap::new(),
            binding_ends_at: now + settings.binding_lifetime,
            period_began_at: now,
            calls: 0,
            requests: 0,
            page_generation: 0,
        }
    }

    pub(super) fn expire_tokens(&mut self) {
        self.tokens.values_mut().for_each(|ends_at| *ends_at = OffsetDateTime::UNIX_EPOCH);
    }

    /// The token route. A refusal repeats what was sent, as a public client found of the real one.
    pub(super) fn token(&mut self, settings: &Settings, now: OffsetDateTime, body: &[u8]) -> Answer {
        let form: HashMap<String, String> = url::form_urlencoded::parse(body).into_owned().collect();
        let is = |name: &str, expected: &str| form.get(name).is_some_and(|given| given == expected);
        if !is("grant_type", "client_credentials") {
            return Answer::json(400, &json!({"error": "unsupported_grant_type"}));
        }
        if !is("client_id", &settings.client_id) || !is("client_secret", &settings.client_secret) {
            let echo = String::from_utf8_lossy(body);
            return Answer::json(401, &json!({"error": "invalid_client", "request": echo}));
        }
        self.requests += 1;
        let token = format!("EXAMPLE-TOKEN-{}", self.requests);
        self.tokens.insert(token.clone(), now + settings.token_lifetime);
        Answer::json(
            200,
            &json!({
                "access_token": token,
                "token_type": "Bearer",
                "expires_in": settings.token_lifetime.as_secs(),
                "scope": "",
            }),
        )
    }

    /// Whether a call is let in: signed in either way, within the quota, with product and role.
    pub(super) fn admit(
        &mut self,
        settings: &Settings,
        now: OffsetDateTime,
        headers: &HeaderMap,
        path: &str,
    ) -> Result<(), Answer> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let authorization = text("authorization");
        if let Some(token) = authorization.strip_prefix("Bearer ") {
            match self.tokens.get(token) {
                None => {
                    return Err(Answer::flat(
                        401,
                        "token_verification_failed",
                        Some("Token verification failed"),
                    ));
                }
                Some(ends_at) if *ends_at <= now => {
                    return Err(Answer::flat(401, "token_expired", Some("Access Token Expired")));
                }
                Some(_) => {}
            }
            self.throttle(settings, now)?;
            if !settings.product {
                let message =
                    "Resource or method requested does not exist in any product assigned to the application.";
                return Err(Answer::flat(403, "app_forbidden", Some(message)));
            }
        } else if authorization.starts_with("MC ") {
            if text("x-mc-app-id") != settings.app_id {
                return Err(Answer::failed(401, "err_developer_key", "Connection headers not configured"));
            }
            let (date, id) = (text("x-mc-date"), text("x-mc-req-id"));
            if !fresh(date, now, settings.clock_skew) || authorization != sign(settings, date, id, path) {
                return Err(Answer::failed(401, "err_xdk_invalid_signature", "0004 Invalid Signature"));
            }
            if self.binding_ends_at <= now {
                return Err(Answer::failed(418, "err_xdk_binding_expired", "AccessKey Has Expired"));
            }
            self.throttle(settings, now)?;
            if settings.other_region.is_some() {
                return Err(Answer::failed(400, "err_audit_log_incorrect_region", "Incorrect region"));
            }
        } else {
            let message = "0001 Credentials are missing from the request";
            return Err(Answer::failed(400, "err_xdk_credentials_missing", message));
        }
        if !settings.role {
            let message = "0003 Forbidden To Perform Operation For Address";
            return Err(Answer::failed(403, "err_xdk_operation_forbidden_for_address", message));
        }
        Ok(())
    }

    fn throttle(&mut self, settings: &Settings, now: OffsetDateTime) -> Result<(), Answer> {
        let Some(quota) = settings.quota else { return Ok(()) };
        if now >= self.period_began_at + quota.period {
            self.period_began_at = now;
            self.calls = 0;
        }
        if self.calls >= quota.limit {
            return Err(Answer::status(429));
        }
        self.calls += 1;
        Ok(())
    }

    /// Adds the rate limit's headers and the request's id.
    pub(super) fn counted(&mut self, settings: &Settings, now: OffsetDateTime, answer: Answer) -> Answer {
        self.requests += 1;
        let answer = answer.with("x-request-id", format!("00000000-0000-4000-9000-{:012}", self.requests));
        match settings.quota {
            Some(quota) => self.limited(quota, now, answer),
            None => answer,
        }
    }

    fn limited(&self, quota: Quota, now: OffsetDateTime, answer: Answer) -> Answer {
        let reset = (self.period_began_at + quota.period - now).whole_milliseconds().max(0);
        answer
            .with("x-ratelimit-limit", quota.limit.to_string())
            .with("x-ratelimit-remaining", quota.limit.saturating_sub(self.calls).to_string())
            .with("x-ratelimit-reset", reset.to_string())
    }

    /// A login: makes the binding, or renews it where the access key is given.
    pub(super) fn login(
        &mut self,
        settings: &Settings,
        now: OffsetDateTime,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Answer {
        let expected = STANDARD.encode(format!("{}:{}", settings.email, settings.password));
        let authorization = headers.get("authorization").and_then(|value| value.to_str().ok());
        if authorization.and_then(|value| value.strip_prefix("Basic-Cloud ")) != Some(expected.as_str()) {
            let message = "0001 Authentication type not supported for the user";
            return Answer::failed(401, "err_xdk_authentication_type", message);
        }
        let request: Value = serde_json::from_slice(body).unwrap_or_default();
        let item = &request["data"][0];
        if item["userName"] != settings.email {
            return Answer::failed(401, "err_xdk_client_unauthorized", "Unauthorized");
        }
        self.binding_ends_at = now + settings.binding_lifetime;
        let mut binding = json!({
            "accessKey": settings.access_key,
            "bindingType": "one_step",
            "duration": settings.binding_lifetime.as_millis() as u64,
            "extendOnValidate": true,
        });
        if item["accessKey"] != settings.access_key {
            binding["secretKey"] = json!(settings.secret_key);
            binding["username"] = json!(settings.email);
        }
        Answer::data(json!([binding]))
    }
}

/// The discovery of an address's region.
pub(super) fn discover(settings: &Settings, body: &[u8]) -> Answer {
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    let address = &request["data"][0]["emailAddress"];
    let mut found = json!({
        "authenticate": ["Basic-Cloud"],
        "emailAddress": address,
        "emailToken": "RVhBTVBMRQ==",
    });
    if *address == settings.email.as_str() {
        let api = settings.other_region.as_deref().unwrap_or("https://us-api.mimecast.com");
        found["region"] = json!({"code": "us", "api": api});
    }
    Answer::data(json!([found]))
}

/// Whether the date of a signed call is near the present.
fn fresh(date: &str, now: OffsetDateTime, skew: Duration) -> bool {
    let format =
        format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second]");
    let date = date.strip_suffix(" UTC").or_else(|| date.strip_suffix(" GMT"));
    let date = date.and_then(|date| time::PrimitiveDateTime::parse(date, &format).ok());
    date.is_some_and(|date| (date.assume_utc() - now).abs() <= skew)
}

/// The `Authorization` that a signed call must carry.
fn sign(settings: &Settings, date: &str, id: &str, path: &str) -> String {
    let key = STANDARD.decode(&settings.secret_key).unwrap_or_default();
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(&key) else { return String::new() };
    mac.update(format!("{date}:{id}:{path}:{}", settings.app_key).as_bytes());
    format!("MC {}:{}", settings.access_key, STANDARD.encode(mac.finalize().into_bytes()))
}
