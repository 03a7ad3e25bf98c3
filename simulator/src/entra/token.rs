//! Access tokens: made here, checked by every service.

use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::state::State;
use crate::state::principal::{Principal, PrincipalKind};

/// The services that tokens are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Azure Resource Manager and the publishing hosts of sites.
    ResourceManager,
    /// Key Vault's data plane.
    KeyVault,
    /// Blobs, queues and tables.
    Storage,
    /// Logs Ingestion API.
    Ingestion,
    /// Log Analytics query.
    LogQuery,
}

impl Audience {
    const ALL: [Self; 5] =
        [Self::ResourceManager, Self::KeyVault, Self::Storage, Self::Ingestion, Self::LogQuery];

    /// The service of this resource identifier, as scopes and `aud` name it; `None` if there is none.
    pub fn of(resource: &str, state: &State) -> Option<Self> {
        let resource = resource.trim_end_matches('/');
        Self::ALL.into_iter().find(|audience| {
            let own = match audience {
                Self::ResourceManager => Some(&state.endpoints().resource_manager),
                Self::LogQuery => Some(&state.endpoints().log_query),
                Self::KeyVault | Self::Storage | Self::Ingestion => None,
            };
            audience.names().contains(&resource)
                || own.is_some_and(|own| own.as_str().trim_end_matches('/') == resource)
        })
    }

    /// The identifiers in the public cloud, without a slash at the end.
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::ResourceManager => &["https://management.azure.com", "https://management.core.windows.net"],
            Self::KeyVault => &["https://vault.azure.net"],
            Self::Storage => &["https://storage.azure.com"],
            Self::Ingestion => &["https://monitor.azure.com"],
            Self::LogQuery => &["https://api.loganalytics.io", "https://api.loganalytics.azure.com"],
        }
    }
}

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Id in the directory.
    pub object_id: String,
    /// Client id of the application or managed identity; empty for people.
    pub client_id: String,
}

/// Why a token is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// There is none.
    #[error("Authentication failed. The 'Authorization' header is missing.")]
    Missing,
    /// It is not one of ours, or was changed.
    #[error("The access token is invalid.")]
    Invalid,
    /// It is of the past or of the future.
    #[error("The access token expiry UTC time '{expires}' is earlier than current UTC time '{now}'.")]
    Expired {
        /// `exp`, as seconds since 1970.
        expires: i64,
        /// The present, likewise.
        now: i64,
    },
    /// It is for another service.
    #[error("The access token has been obtained for wrong audience or resource '{0}'.")]
    WrongAudience(String),
}

impl Denied {
    /// ARM's code for it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing => "AuthenticationFailed",
            Self::Invalid => "InvalidAuthenticationToken",
            Self::Expired { .. } => "ExpiredAuthenticationToken",
            Self::WrongAudience(_) => "InvalidAuthenticationTokenAudience",
        }
    }
}

impl IntoResponse for Denied {
    /// A 401 in ARM's shape, which the Logs Ingestion and query services share.
    fn into_response(self) -> Response {
        let challenge = format!("Bearer error=\"invalid_token\", error_description=\"{self}\"");
        let body = json!({"error": {"code": self.code(), "message": self.to_string()}});
        (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, challenge)], Json(body)).into_response()
    }
}

/// Makes a token for a principal, which works from now on by the simulator's clock.
pub fn sign(state: &State, principal: &Principal, resource: &str, lifetime_secs: i64) -> String {
    let now = state.now().unix_timestamp();
    let tenant = state.tenant_id();
    let mut claims = json!({
        "aud": resource,
        "iss": format!("https://sts.windows.net/{tenant}/"),
        "iat": now,
        "nbf": now,
        "exp": now + lifetime_secs,
        "oid": principal.object_id,
        "sub": principal.object_id,
        "tid": tenant,
        "ver": "1.0",
    });
    if principal.kind == PrincipalKind::User {
        claims["upn"] = json!(principal.name);
        claims["unique_name"] = json!(principal.name);
        claims["idtyp"] = json!("user");
    } else {
        claims["appid"] = json!(principal.client_id);
        claims["app_displayname"] = json!(principal.name);
        claims["idtyp"] = json!("app");
    }
    if let Some(resource_id) = &principal.managed_by {
        claims["xms_mirid"] = json!(resource_id);
    }
    let encode = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", encode(json!({"typ": "JWT", "alg": "HS256"})), encode(claims));
    let signature = BASE64_URL_SAFE_NO_PAD.encode(keyed(state, &text).finalize().into_bytes());
    format!("{text}.{signature}")
}

#[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
fn keyed(state: &State, text: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(state.signing_key()).expect("any length");
    mac.update(text.as_bytes());
    mac
}

/// Who calls, by the bearer token: ours, of this time, for this service.
///
/// # Errors
/// [`Denied`], which is also the answer where a service has no shape of its own for it.
pub fn caller(headers: &HeaderMap, audience: Audience, state: &State) -> Result<Caller, Denied> {
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).ok_or(Denied::Missing)?;
    let (scheme, token) = header.split_once(' ').ok_or(Denied::Invalid)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Denied::Invalid);
    }
    let (text, signature) = token.rsplit_once('.').ok_or(Denied::Invalid)?;
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).map_err(|_| Denied::Invalid)?;
    keyed(state, text).verify_slice(&signature).map_err(|_| Denied::Invalid)?;
    let claims: Value = text
        .split_once('.')
        .and_then(|(_, claims)| BASE64_URL_SAFE_NO_PAD.decode(claims).ok())
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .ok_or(Denied::Invalid)?;
    let claim = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
    let now = state.now().unix_timestamp();
    let expires = claims.get("exp").and_then(Value::as_i64).unwrap_or_default();
    if expires <= now {
        return Err(Denied::Expired { expires, now });
    }
    if Audience::of(claim("aud"), state) != Some(audience) {
        return Err(Denied::WrongAudience(claim("aud").to_owned()));
    }
    // A principal that was deleted has no valid token any more.
    state.principal(claim("oid")).ok_or(Denied::Invalid)?;
    Ok(Caller { object_id: claim("oid").to_owned(), client_id: claim("appid").to_owned() })
}
