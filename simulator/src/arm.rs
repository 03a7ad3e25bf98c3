//! Azure Resource Manager: subscriptions, groups, resources, roles, policies.
//!
//! One request goes: token → API version → subscription → the caller's rights → provider → group →
//! parent → location and tags → policy → the type's own checks (`arm/<type>.rs`) → stored, with what
//! only Azure fills in.
//!
//! * [`address`]: what a path names; [`kind`]: the types; [`engine`]: reading and writing any of them.
//! * [`check`], [`authorization`], [`policy`]: what is refused before a type's own service is asked.
//! * [`deployment`]: templates, each resource of which goes the same way.
//! * [`operation`]: long operations; [`error`]: refusals in Azure's shapes.

use std::collections::HashMap;

use axum::Router;
use axum::extract::{Request, State as Shared};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::entra::{Audience, Caller, caller};
use crate::state::{AddressKind, Data, State};

pub(crate) mod address;
pub(crate) mod authorization;
pub(crate) mod check;
pub(crate) mod deployment;
pub(crate) mod engine;
pub(crate) mod error;
pub(crate) mod identity;
pub(crate) mod insights;
pub(crate) mod kind;
pub(crate) mod names;
pub(crate) mod operation;
pub(crate) mod plan;
pub mod policy;
pub(crate) mod reply;
pub(crate) mod resources;
pub(crate) mod rule;
pub(crate) mod sentinel;
pub(crate) mod site;
pub(crate) mod stacks;
pub(crate) mod storage;
pub(crate) mod table;
pub(crate) mod vault;
pub(crate) mod workspace;

use address::Address;
use error::ArmError;
use kind::{Call, Kind};
use reply::Reply;

/// The largest body that ARM takes, in bytes
/// (<https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling>).
const BODY_LIMIT_BYTES: usize = 4 * 1024 * 1024;

/// Azure Resource Manager.
pub fn router(state: State) -> Router {
    Router::new().fallback(handle).with_state(state)
}

/// One call, taken apart.
struct Incoming {
    method: Method,
    address: Address,
    query: HashMap<String, String>,
    body: Bytes,
    caller: Caller,
}

async fn handle(Shared(state): Shared<State>, request: Request) -> Response {
    let mut response = match answer(&state, request).await {
        Ok(reply) => reply.into_response(),
        Err(response) => response,
    };
    let correlation = Uuid::new_v4().to_string();
    for name in ["x-ms-request-id", "x-ms-correlation-request-id"] {
        if let Ok(value) = HeaderValue::from_str(&correlation) {
            response.headers_mut().insert(name, value);
        }
    }
    let left = HeaderValue::from_static("11999");
    response.headers_mut().insert("x-ms-ratelimit-remaining-subscription-reads", left);
    response
}

async fn answer(state: &State, request: Request) -> Result<Reply, Response> {
    let (parts, body) = request.into_parts();
    let path = decode(parts.uri.path());
    let query: HashMap<String, String> =
        url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    if path.eq_ignore_ascii_case("/metadata/endpoints") {
        return Ok(Reply::ok(metadata(state)));
    }
    let caller =
        caller(&parts.headers, Audience::ResourceManager, state).map_err(IntoResponse::into_response)?;
    let body = axum::body::to_bytes(body, BODY_LIMIT_BYTES).await.map_err(|_| {
        let message =
            format!("The request content size exceeds the maximum size of {BODY_LIMIT_BYTES} bytes.");
        ArmError::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestContentTooLarge", message).into_response()
    })?;
    let address = Address::parse(&path).map_err(IntoResponse::into_response)?;
    let incoming = Incoming { method: parts.method, address, query, body, caller };
    if let Some(reply) = deployment::answer(state, &incoming).await {
        return reply.map_err(IntoResponse::into_response);
    }
    open_addresses_of(state, &incoming).await.map_err(IntoResponse::into_response)?;
    let mut data = state.lock();
    dispatch(state, &mut data, &incoming).map_err(IntoResponse::into_response)
}

/// Opens the addresses of a vault or a site that is about to be made.
async fn open_addresses_of(state: &State, incoming: &Incoming) -> Result<(), ArmError> {
    if incoming.method != Method::PUT || incoming.address.pairs.len() != 1 {
        return Ok(());
    }
    let kinds: &[AddressKind] = match incoming.address.type_of(1).to_ascii_lowercase().as_str() {
        "microsoft.keyvault/vaults" => &[AddressKind::Vault],
        "microsoft.web/sites" => &[AddressKind::Site, AddressKind::Scm],
        _ => &[],
    };
    for &kind in kinds {
        state.open(kind, &incoming.address.id_of(1)).await.map_err(|error| {
            let message = format!("No address could be opened: {error}.");
            ArmError::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", message)
        })?;
    }
    Ok(())
}

impl Incoming {
    /// The call below what the first `count` pairs of the path name, or below a scope with 0.
    ///
    /// # Errors
    /// When the body is not a JSON object.
    fn call<'a>(
        &'a self,
        state: &'a State,
        data: &'a mut Data,
        count: usize,
        id: String,
    ) -> Result<Call<'a>, ArmError> {
        let body = match self.body.as_ref() {
            [] => Value::Null,
            body => Value::Object(check::object(body)?),
        };
        Ok(Call {
            state,
            data,
            caller: &self.caller,
            method: self.method.as_str(),
            address: &self.address,
            id,
            rest: self.address.after(count).into_iter().map(str::to_owned).collect(),
            body,
            now: state.now(),
        })
    }
}

fn dispatch(state: &State, data: &mut Data, incoming: &Incoming) -> Result<Reply, ArmError> {
    let address = &incoming.address;
    check::subscription(data, address, &incoming.method)?;
    let Some(namespace) = address.provider.as_deref() else {
        let mut call = incoming.call(state, data, 0, address.scope.clone())?;
        return resources::scoped(&mut call, &incoming.query);
    };
    if let Some(reply) = operation::poll(data, address) {
        return reply;
    }
    if let Some(service) = service(namespace, address) {
        check::api_version(&incoming.query, &address.type_of(address.pairs.len()), service.versions)?;
        let scope = if address.scope.is_empty() { "/".to_owned() } else { address.scope.clone() };
        let mut call = incoming.call(state, data, 0, scope)?;
        return (service.run)(&mut call, &incoming.query);
    }
    resource(state, data, incoming)
}

/// A service of ARM that is no resource.
struct Service {
    versions: &'static [&'static str],
    run: fn(&mut Call<'_>, &HashMap<String, String>) -> Result<Reply, ArmError>,
}

/// The service that a path names, by its namespace and its segments without names.
fn service(namespace: &str, address: &Address) -> Option<Service> {
    let tail = address.tail.as_deref().unwrap_or_default().to_ascii_lowercase();
    let first = address.pairs.first().map(|(kind, _)| kind.to_ascii_lowercase()).unwrap_or_default();
    let of = |versions, run| Some(Service { versions, run });
    match (namespace.to_ascii_lowercase().as_str(), first.as_str(), tail.as_str()) {
        (_, "", "" | "register") => of(resources::VERSIONS, resources::provider),
        ("microsoft.resources", "tags", "") => of(resources::VERSIONS, |call, _| resources::tags(call)),
        ("microsoft.authorization", "", "permissions") => {
            of(authorization::VERSIONS, |call, _| authorization::permissions(call))
        }
        ("microsoft.authorization", "", "roledefinitions") => {
            of(authorization::VERSIONS, |call, query| authorization::definitions(call, None, query))
        }
        ("microsoft.authorization", "roledefinitions", "") => of(authorization::VERSIONS, |call, query| {
            let id = call.address.name().to_owned();
            authorization::definitions(call, Some(&id), query)
        }),
        ("microsoft.policyinsights", "", "checkpolicyrestrictions") => {
            of(policy::VERSIONS, |call, _| policy::restrictions(call))
        }
        ("microsoft.storage", "", "checknameavailability") => {
            of(storage::VERSIONS, |call, _| names::storage(call))
        }
        ("microsoft.web", "", "checknameavailability") => of(site::VERSIONS, |call, _| names::site(call)),
        ("microsoft.keyvault", "", "checknameavailability") => {
            of(vault::VERSIONS, |call, _| names::vault(call))
        }
        ("microsoft.web", "", "georegions") => of(site::VERSIONS, stacks::regions),
        ("microsoft.web", "locations" | "", "functionappstacks") => of(stacks::VERSIONS, stacks::stacks),
        ("microsoft.web", "locations", "usages") => of(site::VERSIONS, stacks::usages),
        ("microsoft.keyvault", "" | "locations", "deletedvaults" | "purge") => {
            of(vault::VERSIONS, |call, _| vault::deleted(call))
        }
        ("microsoft.keyvault", "locations", "") => of(vault::VERSIONS, |call, _| vault::deleted(call)),
        _ => None,
    }
}

/// A resource, a collection of resources, or a call below a resource.
fn resource(state: &State, data: &mut Data, incoming: &Incoming) -> Result<Reply, ArmError> {
    let Incoming { method, address, query, body, caller } = incoming;
    let count = address.pairs.len();
    let request = |kind| engine::Request { state, caller, kind, address, query, now: state.now() };
    let full = match &address.tail {
        Some(tail) => format!("{}/{tail}", address.type_of(count)),
        None => address.type_of(count),
    };
    if let Some(kind) = Kind::of(&full) {
        let listing = address.tail.is_some();
        if !listing || *method == Method::GET {
            check::api_version(query, kind.name, kind.versions)?;
        }
        return match method.as_str() {
            "GET" if listing => request(kind).list(data),
            "GET" => request(kind).get(data),
            "HEAD" if !listing => request(kind).get(data).map(|_| Reply::empty(StatusCode::NO_CONTENT)),
            other if listing || !kind.methods.contains(&other) => Err(not_allowed(other, &address.path)),
            "PUT" => request(kind).put(data, body),
            "PATCH" => request(kind).patch(data, body),
            _ => request(kind).delete(data),
        };
    }
    for count in (1..=count).rev() {
        let kind = Kind::of(&address.type_of(count));
        if let Some((kind, run)) = kind.and_then(|kind| kind.call.map(|run| (kind, run))) {
            check::api_version(query, kind.name, kind.versions)?;
            check::group(data, address)?;
            return run(&mut incoming.call(state, data, count, address.id_of(count))?);
        }
    }
    let namespace = address.provider.as_deref().unwrap_or_default();
    if Kind::in_namespace(namespace).next().is_none() {
        let message = format!("The resource namespace '{namespace}' is invalid.");
        return Err(ArmError::not_found("InvalidResourceNamespace", message));
    }
    let short = full.split_once('/').map_or("", |(_, short)| short);
    let message = format!(
        "The resource type '{short}' could not be found in the namespace '{namespace}' for api version '{}'.",
        query.get("api-version").map_or("", String::as_str)
    );
    Err(ArmError::not_found("InvalidResourceType", message))
}

fn not_allowed(method: &str, path: &str) -> ArmError {
    let message = format!("The requested resource '{path}' does not support http method '{method}'.");
    ArmError::new(StatusCode::METHOD_NOT_ALLOWED, "HttpMethodNotSupported", message)
}

/// What clients of other clouds read to find the endpoints.
fn metadata(state: &State) -> Value {
    let endpoints = state.endpoints();
    json!([{
        "name": "Simulator",
        "portal": "https://portal.azure.com",
        "authentication": {
            "loginEndpoint": endpoints.entra,
            "audiences": ["https://management.core.windows.net/", "https://management.azure.com/"],
            "tenant": state.tenant_id(),
            "identityProvider": "AAD",
        },
        "resourceManager": endpoints.resource_manager,
        "logAnalyticsResourceId": "https://api.loganalytics.io",
        "suffixes": {"keyVaultDns": "vault.azure.net", "storage": "core.windows.net"},
    }])
}

/// Decodes `%` escapes of a path. What is no escape stays as it is.
fn decode(path: &str) -> String {
    let bytes = path.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = (byte == b'%').then(|| path.get(at + 1..at + 3)).flatten();
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(escaped) => {
                decoded.push(escaped);
                at += 3;
            }
            None => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}
