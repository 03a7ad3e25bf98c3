//! Microsoft Entra sign-in and the managed identity endpoint of App Service.
//!
//! Follows <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow> and
//! <https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference>.

use std::collections::HashMap;

use axum::Router;
use axum::extract::{Path, Query, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::state::State;
use crate::state::principal::Principal;
use crate::state::resource::key;

pub mod token;

pub use token::{Audience, Caller, Denied, caller};

/// How long an application's token works, in seconds.
const APPLICATION_TOKEN_SECS: i64 = 3599;
/// How long a managed identity's token works, in seconds
/// (<https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/managed-identities-faq>).
const IDENTITY_TOKEN_SECS: i64 = 86_399;
/// The kind of assertion that federated sign-in sends.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The sign-in service.
pub fn router(state: State) -> Router {
    Router::new()
        .route("/{tenant}/oauth2/v2.0/token", post(sign_in))
        .route("/{tenant}/v2.0/.well-known/openid-configuration", get(metadata))
        .with_state(state)
}

/// The managed identity endpoint that `IDENTITY_ENDPOINT` names. Its path is `/msi/token`.
pub fn identity_router(state: State) -> Router {
    Router::new().route("/msi/token", get(managed_identity)).with_state(state)
}

/// A refusal in Entra's shape.
struct Refusal {
    status: StatusCode,
    error: &'static str,
    code: u32,
    message: String,
}

impl Refusal {
    fn into_answer(self, state: &State) -> Response {
        let (trace, correlation) = (Uuid::new_v4(), Uuid::new_v4());
        let timestamp = state.now().format(&Rfc3339).unwrap_or_default();
        let body = json!({
            "error": self.error,
            "error_description": format!(
                "AADSTS{}: {} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {timestamp}",
                self.code, self.message
            ),
            "error_codes": [self.code],
            "timestamp": timestamp,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": format!("{}error?code={}", state.endpoints().entra, self.code),
        });
        (self.status, Json(body)).into_response()
    }
}

fn bad(error: &'static str, code: u32, message: String) -> Refusal {
    Refusal { status: StatusCode::BAD_REQUEST, error, code, message }
}

async fn sign_in(Shared(state): Shared<State>, Path(tenant): Path<String>, body: Bytes) -> Response {
    let form = url::form_urlencoded::parse(&body).into_owned().collect();
    match issue(&state, &tenant, &form) {
        Ok(body) => Json(body).into_response(),
        Err(refusal) => refusal.into_answer(&state),
    }
}

fn issue(state: &State, tenant: &str, form: &HashMap<String, String>) -> Result<Value, Refusal> {
    let field = |name: &str| form.get(name).map_or("", String::as_str);
    if !tenant.eq_ignore_ascii_case(state.tenant_id()) {
        let message =
            format!("Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID.");
        return Err(bad("invalid_request", 90002, message));
    }
    if field("grant_type") != "client_credentials" {
        let message = format!("The app requested an unsupported grant type '{}'.", field("grant_type"));
        return Err(bad("unsupported_grant_type", 70003, message));
    }
    let client_id = field("client_id");
    let Some(principal) = state.principal_by_client_id(client_id).filter(|each| each.managed_by.is_none())
    else {
        let message = format!("Application with identifier '{client_id}' was not found in the directory.");
        return Err(bad("unauthorized_client", 700_016, message));
    };
    if field("client_assertion").is_empty() {
        check_secret(state, &principal, field("client_secret"))?;
    } else {
        check_assertion(state, &principal, field("client_assertion_type"), field("client_assertion"))?;
    }
    let scope = field("scope");
    let Some(resource) = scope.strip_suffix("/.default") else {
        let message = format!("The provided value for scope {scope} is not valid. It must end in /.default.");
        return Err(bad("invalid_scope", 1_002_012, message));
    };
    if Audience::of(resource, state).is_none() {
        let message = format!("The resource principal named {resource} was not found in the tenant.");
        return Err(bad("invalid_resource", 500_011, message));
    }
    let access_token = token::sign(state, &principal, resource, APPLICATION_TOKEN_SECS);
    Ok(json!({
        "token_type": "Bearer",
        "expires_in": APPLICATION_TOKEN_SECS,
        "ext_expires_in": APPLICATION_TOKEN_SECS,
        "access_token": access_token,
    }))
}

fn check_secret(state: &State, principal: &Principal, secret: &str) -> Result<(), Refusal> {
    let invalid = |code, message: String| Refusal {
        status: StatusCode::UNAUTHORIZED,
        error: "invalid_client",
        code,
        message,
    };
    if secret.is_empty() {
        let message = "The request body must contain the following parameter: 'client_assertion' or \
                       'client_secret'.";
        return Err(invalid(7_000_216, message.to_owned()));
    }
    match principal.secrets.iter().find(|each| each.value.expose() == secret) {
        None => {
            let app = &principal.client_id;
            Err(invalid(7_000_215, format!("Invalid client secret provided for app '{app}'.")))
        }
        Some(found) if found.expires_at <= state.now() => {
            let app = &principal.client_id;
            Err(invalid(7_000_222, format!("The provided client secret keys for app '{app}' are expired.")))
        }
        Some(_) => Ok(()),
    }
}

/// Checks the claims of an assertion. Its signature is another party's, whose keys the simulator
/// does not have.
fn check_assertion(
    state: &State,
    principal: &Principal,
    assertion_type: &str,
    assertion: &str,
) -> Result<(), Refusal> {
    let claims = (assertion_type == ASSERTION_TYPE)
        .then(|| assertion.split('.').nth(1))
        .flatten()
        .and_then(|part| BASE64_URL_SAFE_NO_PAD.decode(part).ok())
        .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok())
        .ok_or_else(|| bad("invalid_request", 50_027, "JWT token is invalid or malformed.".to_owned()))?;
    let claim = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
    let known = principal.federated.iter().any(|each| {
        each.issuer == claim("iss") && each.subject == claim("sub") && each.audience == claim("aud")
    });
    if !known {
        let message = format!(
            "No matching federated identity record found for presented assertion subject '{}'.",
            claim("sub")
        );
        return Err(bad("invalid_client", 700_213, message));
    }
    let expires = claims.get("exp").and_then(Value::as_i64).unwrap_or_default();
    if expires <= state.now().unix_timestamp() {
        let message = "Client assertion is not within its valid time range.".to_owned();
        return Err(bad("invalid_client", 700_024, message));
    }
    Ok(())
}

/// Where a tenant's endpoints are: what MSAL reads before its first token.
async fn metadata(Shared(state): Shared<State>, Path(tenant): Path<String>) -> Response {
    if !tenant.eq_ignore_ascii_case(state.tenant_id()) {
        let message = format!("Tenant '{tenant}' not found.");
        return bad("invalid_tenant", 90002, message).into_answer(&state);
    }
    let root = format!("{}{tenant}", state.endpoints().entra);
    Json(json!({
        "issuer": format!("{root}/v2.0"),
        "authorization_endpoint": format!("{root}/oauth2/v2.0/authorize"),
        "token_endpoint": format!("{root}/oauth2/v2.0/token"),
        "device_authorization_endpoint": format!("{root}/oauth2/v2.0/devicecode"),
        "jwks_uri": format!("{root}/discovery/v2.0/keys"),
        "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
    }))
    .into_response()
}

async fn managed_identity(
    Shared(state): Shared<State>,
    headers: HeaderMap,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let refuse = |status: StatusCode, message: String| {
        (status, Json(json!({"statusCode": status.as_u16(), "message": message}))).into_response()
    };
    let field = |name: &str| query.get(name).map_or("", String::as_str);
    let header = headers.get("x-identity-header").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let site = state.lock().identity_headers.get(header).cloned();
    let Some(site) = site.and_then(|site| state.resource(&site)) else {
        return refuse(StatusCode::UNAUTHORIZED, "X-IDENTITY-HEADER is missing or wrong.".to_owned());
    };
    if field("api-version") != "2019-08-01" {
        return refuse(StatusCode::BAD_REQUEST, format!("Unknown api-version '{}'.", field("api-version")));
    }
    let resource = field("resource");
    if Audience::of(resource, &state).is_none() {
        return refuse(StatusCode::BAD_REQUEST, format!("Unknown resource '{resource}'."));
    }
    let wanted = ["client_id", "principal_id", "object_id", "mi_res_id", "msi_res_id"]
        .iter()
        .find_map(|name| query.get(*name).map(|value| (*name, value.as_str())));
    let Some(principal) = assigned(&state, &site, wanted) else {
        let message = "No managed identity found for the specified parameters.".to_owned();
        return refuse(StatusCode::BAD_REQUEST, message);
    };
    let expires_on = state.now().unix_timestamp() + IDENTITY_TOKEN_SECS;
    Json(json!({
        "access_token": token::sign(&state, &principal, resource, IDENTITY_TOKEN_SECS),
        "expires_on": expires_on.to_string(),
        "resource": resource,
        "token_type": "Bearer",
        "client_id": principal.client_id,
    }))
    .into_response()
}

/// The identity of a site that is meant: the one that is named and assigned, or the system-assigned one.
fn assigned(state: &State, site: &Value, wanted: Option<(&str, &str)>) -> Option<Principal> {
    let identity = site.get("identity")?;
    let Some((by, value)) = wanted else {
        return state.principal(identity.get("principalId")?.as_str()?);
    };
    let users = identity.get("userAssignedIdentities").and_then(Value::as_object)?;
    users.iter().find_map(|(id, ids)| {
        let text = |name: &str| ids.get(name).and_then(Value::as_str).unwrap_or_default();
        let meant = match by {
            "client_id" => text("clientId").eq_ignore_ascii_case(value),
            "principal_id" | "object_id" => text("principalId").eq_ignore_ascii_case(value),
            _ => key(id) == key(value),
        };
        meant.then(|| state.principal(text("principalId")))?
    })
}
