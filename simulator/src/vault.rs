//! Key Vault's data plane: secrets of one vault.
//!
//! Follows <https://learn.microsoft.com/rest/api/keyvault/secrets/> and
//! <https://learn.microsoft.com/azure/key-vault/general/authentication-requests-and-responses>.

use std::collections::HashMap;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State as Shared};
use axum::http::{Method, StatusCode, header::WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Json, Response};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::arm::vault::{VALUE_LIMIT_BYTES, secret_resource};
use crate::entra::{Audience, Caller, Denied, caller};
use crate::state::resource::{Resource, key};
use crate::state::role::Need;
use crate::state::secret::{NewSecret, SecretVersion, StoredSecret};
use crate::state::site::access_policy;
use crate::state::{Data, State};

/// API versions of the data plane.
const VERSIONS: &[&str] =
    &["7.0", "7.1", "7.2", "7.3", "7.4", "7.5", "7.6", "2025-06-01-preview", "2025-07-01"];
/// Room for the longest value with its JSON.
const BODY_LIMIT_BYTES: usize = 256 * 1024;

/// The data plane of one vault, by its ARM id.
pub fn router(state: State, vault_id: &str) -> Router {
    Router::new().fallback(handle).with_state((state, vault_id.to_owned()))
}

/// A refusal of the data plane.
struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
    inner: Option<&'static str>,
}

fn refusal(status: StatusCode, code: &'static str, message: impl Into<String>) -> Refusal {
    Refusal { status, code, message: message.into(), inner: None }
}

fn forbidden(inner: &'static str, message: impl Into<String>) -> Refusal {
    Refusal { inner: Some(inner), ..refusal(StatusCode::FORBIDDEN, "Forbidden", message) }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut error = json!({"code": self.code, "message": self.message});
        if let Some(inner) = self.inner {
            error["innererror"] = json!({"code": inner});
        }
        (self.status, Json(json!({"error": error}))).into_response()
    }
}

/// The present call: which vault, who, when.
struct Call<'a> {
    data: &'a mut Data,
    vault: Resource,
    caller: Caller,
    now: OffsetDateTime,
}

async fn handle(Shared((state, vault_id)): Shared<(State, String)>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let caller = match caller(&parts.headers, Audience::KeyVault, &state) {
        Ok(caller) => caller,
        Err(denied) => return challenge(&state, &denied),
    };
    let Ok(body) = to_bytes(body, BODY_LIMIT_BYTES).await else {
        let message = "The request body is too long.";
        return refusal(StatusCode::PAYLOAD_TOO_LARGE, "RequestBodyTooLarge", message).into_response();
    };
    let query: HashMap<String, String> =
        url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let version = query.get("api-version").map_or("", String::as_str);
    if !VERSIONS.contains(&version) {
        let message = format!("The api-version '{version}' is missing or not supported.");
        return refusal(StatusCode::BAD_REQUEST, "BadParameter", message).into_response();
    }
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let segments: Vec<&str> = parts.uri.path().split('/').filter(|each| !each.is_empty()).collect();
    let now = state.now();
    let mut data = state.lock();
    let Some(vault) = data.resources.get(&key(&vault_id)).cloned() else {
        // A deleted vault's name no longer resolves; this is as near as a listener comes to that.
        return refusal(StatusCode::NOT_FOUND, "VaultNotFound", "The vault does not exist.").into_response();
    };
    let mut call = Call { data: &mut data, vault, caller, now };
    match answer(&mut call, &parts.method, &segments, &body) {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(),
    }
}

/// 401 with where to sign in, which is how clients learn it.
fn challenge(state: &State, denied: &Denied) -> Response {
    let authority = format!("{}{}", state.endpoints().entra, state.tenant_id());
    let header = format!("Bearer authorization=\"{authority}\", resource=\"https://vault.azure.net\"");
    let message = match denied {
        Denied::Missing => "AKV10000: Request is missing a Bearer or PoP token.".to_owned(),
        other => format!("AKV10022: {other}"),
    };
    let body = json!({"error": {"code": "Unauthorized", "message": message}});
    (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, header)], Json(body)).into_response()
}

fn answer(
    call: &mut Call<'_>,
    method: &Method,
    segments: &[&str],
    body: &Value,
) -> Result<Response, Refusal> {
    if call.vault.body.pointer("/properties/publicNetworkAccess") == Some(&json!("Disabled")) {
        let message = "Public network access is disabled and request is not from a trusted service nor via an \
                       approved private link.";
        return Err(forbidden("ForbiddenByConnection", message));
    }
    match (method.as_str(), segments) {
        ("GET", ["secrets"]) => {
            call.need("readMetadata", "list", "")?;
            let all = call.all().filter(|stored| stored.deleted_at.is_none());
            let items: Vec<Value> =
                all.filter_map(|stored| Some(call.item(stored, stored.versions.last()?, false))).collect();
            Ok(list(items))
        }
        ("GET", ["secrets", name, "versions"]) => {
            call.need("readMetadata", "list", name)?;
            let stored = call.stored(name)?;
            Ok(list(stored.versions.iter().map(|version| call.item(stored, version, true)).collect()))
        }
        ("GET", ["secrets", name, rest @ ..]) => {
            call.need("getSecret", "get", name)?;
            let stored = call.stored(name)?;
            let version = call.version(stored, rest.first().copied().unwrap_or_default())?;
            if !version.enabled {
                let message = "Operation get is not allowed on a disabled secret.";
                return Err(forbidden("SecretDisabled", message));
            }
            Ok(Json(call.bundle(stored, version)).into_response())
        }
        ("PUT", ["secrets", name]) => {
            call.need("setSecret", "set", name)?;
            set(call, name, body)
        }
        ("PATCH", ["secrets", name, rest @ ..]) => {
            call.need("setSecret", "set", name)?;
            update(call, name, rest.first().copied().unwrap_or_default(), body)
        }
        ("DELETE", ["secrets", name]) => {
            call.need("delete", "delete", name)?;
            call.stored(name)?;
            call.change(name, |stored, now| stored.deleted_at = Some(now));
            call.deleted(name).map(|body| Json(body).into_response())
        }
        ("GET", ["deletedsecrets"]) => {
            call.need("readMetadata", "list", "")?;
            let names: Vec<String> = call
                .all()
                .filter(|stored| stored.deleted_at.is_some())
                .map(|stored| stored.name.clone())
                .collect();
            Ok(list(names.iter().filter_map(|name| call.deleted(name).ok()).collect()))
        }
        ("GET", ["deletedsecrets", name]) => {
            call.need("readMetadata", "get", name)?;
            call.deleted(name).map(|body| Json(body).into_response())
        }
        ("POST", ["deletedsecrets", name, "recover"]) => {
            call.need("recover", "recover", name)?;
            call.deleted(name)?;
            call.change(name, |stored, _| stored.deleted_at = None);
            let stored = call.stored(name)?;
            let version = call.version(stored, "")?;
            Ok(Json(call.item(stored, version, true)).into_response())
        }
        ("DELETE", ["deletedsecrets", name]) => {
            call.need("purge", "purge", name)?;
            call.deleted(name)?;
            if let Some(secrets) = call.data.secrets.get_mut(&key(&call.vault.id)) {
                secrets.remove(&name.to_ascii_lowercase());
            }
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        _ => Err(refusal(StatusCode::NOT_FOUND, "NotFound", "Nothing is served at this path.")),
    }
}

fn list(value: Vec<Value>) -> Response {
    Json(json!({"value": value, "nextLink": null})).into_response()
}

fn time_of(value: Option<&Value>) -> Option<OffsetDateTime> {
    value.and_then(Value::as_i64).and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
}

fn set(call: &mut Call<'_>, name: &str, body: &Value) -> Result<Response, Refusal> {
    let bad = |message: &str| refusal(StatusCode::BAD_REQUEST, "BadParameter", message);
    let legal = |each: char| each.is_ascii_alphanumeric() || each == '-';
    if name.len() > 127 || !name.chars().all(legal) {
        return Err(bad("The request URI contains an invalid name."));
    }
    let value = body.get("value").and_then(Value::as_str);
    let value = value.ok_or_else(|| bad("The property 'value' is required and must be a text."))?;
    if value.len() > VALUE_LIMIT_BYTES {
        return Err(bad("The secret's value is longer than 25 KB."));
    }
    let new = NewSecret {
        value: value.to_owned(),
        content_type: body.get("contentType").and_then(Value::as_str).map(str::to_owned),
        tags: body.get("tags").filter(|tags| tags.is_object()).cloned().unwrap_or_else(|| json!({})),
        enabled: body.pointer("/attributes/enabled").and_then(Value::as_bool),
        expires_at: time_of(body.pointer("/attributes/exp")),
    };
    let (id, now) = (call.vault.id.clone(), call.now);
    let Some(version) = call.data.write_secret(&id, name, new, now) else {
        let message = format!(
            "Secret {name} is currently in a deleted but recoverable state, and its name cannot be reused; in this \
             state, the secret can only be recovered or purged."
        );
        let inner = Some("ObjectIsDeletedButRecoverable");
        return Err(Refusal { inner, ..refusal(StatusCode::CONFLICT, "Conflict", message) });
    };
    call.show_in_arm(name);
    let stored = call.stored(name)?;
    Ok(Json(call.bundle(stored, &version)).into_response())
}

fn update(call: &mut Call<'_>, name: &str, version: &str, body: &Value) -> Result<Response, Refusal> {
    let stored = call.stored(name)?;
    let wanted = call.version(stored, version)?.version.clone();
    call.change(name, |stored, now| {
        for each in stored.versions.iter_mut().filter(|each| each.version == wanted) {
            if let Some(enabled) = body.pointer("/attributes/enabled").and_then(Value::as_bool) {
                each.enabled = enabled;
            }
            if let Some(expires) = time_of(body.pointer("/attributes/exp")) {
                each.expires_at = Some(expires);
            }
            if let Some(content_type) = body.get("contentType").and_then(Value::as_str) {
                each.content_type = Some(content_type.to_owned());
            }
            if let Some(tags) = body.get("tags").filter(|tags| tags.is_object()) {
                each.tags = tags.clone();
            }
            each.updated_at = now;
        }
    });
    let stored = call.stored(name)?;
    let version = call.version(stored, &wanted)?;
    Ok(Json(call.item(stored, version, true)).into_response())
}

impl Call<'_> {
    /// Checks a right: by role where the vault uses roles, else by its access policies.
    fn need(&self, action: &str, policy: &str, name: &str) -> Result<(), Refusal> {
        let (vault, object_id) = (&self.vault, &self.caller.object_id);
        let roles = vault.body.pointer("/properties/enableRbacAuthorization") == Some(&json!(true));
        let verb = match action {
            "delete" => "delete".to_owned(),
            other => format!("{other}/action"),
        };
        let action = format!("Microsoft.KeyVault/vaults/secrets/{verb}");
        let scope = if name.is_empty() { vault.id.clone() } else { format!("{}/secrets/{name}", vault.id) };
        if roles {
            if self.data.allowed(object_id, &scope, Need::Data(&action), self.now) {
                return Ok(());
            }
            let message = format!(
                "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or \
                 role definitions were changed recently, please observe propagation time.\r\nCaller: \
                 appid={};oid={object_id}\r\nAction: '{action}'\r\nResource: '{scope}'\r\nAssignment: (not \
                 found)\r\nDenyAssignmentId: null\r\nVault: {}",
                self.caller.client_id,
                vault.text("/name"),
            );
            return Err(forbidden("ForbiddenByRbac", message));
        }
        if access_policy(vault, object_id, policy) {
            return Ok(());
        }
        let message = format!(
            "The user, group or application 'appid={};oid={object_id}' does not have secrets {policy} permission on \
             key vault '{}'.",
            self.caller.client_id,
            vault.text("/name"),
        );
        Err(forbidden("AccessDenied", message))
    }

    fn all(&self) -> impl Iterator<Item = &StoredSecret> {
        self.data.secrets.get(&key(&self.vault.id)).into_iter().flat_map(|secrets| secrets.values())
    }

    fn stored(&self, name: &str) -> Result<&StoredSecret, Refusal> {
        self.data.secret(&self.vault.id, name).ok_or_else(|| {
            let message = format!("A secret with (name/id) {name} was not found in this key vault.");
            refusal(StatusCode::NOT_FOUND, "SecretNotFound", message)
        })
    }

    /// The version of this id; an empty one is the newest.
    fn version<'a>(&self, stored: &'a StoredSecret, version: &str) -> Result<&'a SecretVersion, Refusal> {
        let mut newest_first = stored.versions.iter().rev();
        let found =
            newest_first.find(|each| version.is_empty() || each.version.eq_ignore_ascii_case(version));
        found.ok_or_else(|| {
            let message =
                format!("A secret with (name/id) {}/{version} was not found in this key vault.", stored.name);
            refusal(StatusCode::NOT_FOUND, "SecretNotFound", message)
        })
    }

    fn change(&mut self, name: &str, change: impl FnOnce(&mut StoredSecret, OffsetDateTime)) {
        let now = self.now;
        let secrets = self.data.secrets.get_mut(&key(&self.vault.id));
        if let Some(stored) = secrets.and_then(|secrets| secrets.get_mut(&name.to_ascii_lowercase())) {
            change(stored, now);
        }
        self.show_in_arm(name);
    }

    /// Keeps ARM's view of the secret as the vault has it.
    fn show_in_arm(&mut self, name: &str) {
        let uri = self.vault.text("/properties/vaultUri");
        let id = format!("{}/secrets/{name}", self.vault.id);
        let shown =
            self.data.secret(&self.vault.id, name).map(|stored| secret_resource(&self.vault.id, uri, stored));
        match shown {
            Some(resource) => self.data.resources.insert(key(&id), resource),
            None => self.data.resources.remove(&key(&id)),
        };
    }

    fn attributes(&self, version: &SecretVersion) -> Value {
        let days = self.vault.body.pointer("/properties/softDeleteRetentionInDays");
        let protected = self.vault.body.pointer("/properties/enablePurgeProtection") == Some(&json!(true));
        let mut attributes = json!({
            "enabled": version.enabled,
            "created": version.created_at.unix_timestamp(),
            "updated": version.updated_at.unix_timestamp(),
            "recoveryLevel": if protected { "Recoverable" } else { "Recoverable+Purgeable" },
            "recoverableDays": days,
        });
        if let Some(expires) = version.expires_at {
            attributes["exp"] = json!(expires.unix_timestamp());
        }
        attributes
    }

    /// A secret without its value, as lists have it.
    fn item(&self, stored: &StoredSecret, version: &SecretVersion, versioned: bool) -> Value {
        let uri = self.vault.text("/properties/vaultUri");
        let mut id = format!("{uri}secrets/{}", stored.name);
        if versioned {
            id = format!("{id}/{}", version.version);
        }
        let mut item = json!({"id": id, "attributes": self.attributes(version), "tags": version.tags});
        if let Some(content_type) = &version.content_type {
            item["contentType"] = json!(content_type);
        }
        item
    }

    /// A secret with its value.
    fn bundle(&self, stored: &StoredSecret, version: &SecretVersion) -> Value {
        let mut bundle = self.item(stored, version, true);
        bundle["value"] = json!(version.value.expose());
        bundle
    }

    /// A deleted secret, as deleting and looking at it show it.
    fn deleted(&self, name: &str) -> Result<Value, Refusal> {
        let stored = self.all().find(|stored| stored.name.eq_ignore_ascii_case(name));
        let found = stored.and_then(|stored| Some((stored, stored.deleted_at?, stored.versions.last()?)));
        let Some((stored, deleted_at, version)) = found else {
            let message = format!("A deleted secret with (name/id) {name} was not found in this key vault.");
            return Err(refusal(StatusCode::NOT_FOUND, "SecretNotFound", message));
        };
        let days = self.vault.body.pointer("/properties/softDeleteRetentionInDays").and_then(Value::as_i64);
        let mut body = self.item(stored, version, true);
        let uri = self.vault.text("/properties/vaultUri");
        body["recoveryId"] = json!(format!("{uri}deletedsecrets/{}", stored.name));
        body["deletedDate"] = json!(deleted_at.unix_timestamp());
        let purged_at = deleted_at + time::Duration::days(days.unwrap_or(90));
        body["scheduledPurgeDate"] = json!(purged_at.unix_timestamp());
        Ok(body)
    }
}
