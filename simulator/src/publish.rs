//! One Deploy on a site's publishing host.
//!
//! Follows <https://learn.microsoft.com/azure/app-service/deploy-zip> and the calls that Azure
//! Functions Core Tools makes (`PublishFunctionAppAction`, `KuduLiteDeploymentHelpers`).

use std::collections::HashMap;
use std::io::Cursor;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;
use zip::ZipArchive;

use crate::data::DataPlane;
use crate::entra::{Audience, caller};
use crate::ingestion::format_time;
use crate::state::State;
use crate::state::role::Need;

/// What One Deploy calls the package in the deployment container.
const PACKAGE_BLOB: &str = "released-package.zip";

/// `status` of a deployment, as Kudu's `DeployStatus` numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Deploying = 2,
    Failed = 3,
    Success = 4,
}

#[derive(Debug, Clone)]
struct Deployment {
    id: String,
    received_at: String,
    /// How many reads answer 404 still, and how many show it under way after that.
    unseen_reads: u32,
    unfinished_reads: u32,
    /// Why it failed, if it did.
    failure: Option<String>,
}

/// The deployments of all sites by lower-case site id; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Deployments {
    by_site: Arc<Mutex<HashMap<String, Vec<Deployment>>>>,
}

/// The publishing host of one site.
pub fn router(data: DataPlane, site_id: &str) -> Router {
    Router::new()
        .route("/api/publish", post(one_deploy))
        .route("/api/zipdeploy", post(zip_deployment))
        .route("/api/deployments/{id}", get(deployment))
        .route("/api/deployments/{id}/log", get(log))
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state((data, site_id.to_owned()))
}

type Site = (DataPlane, String);

/// Lets in who may publish on the site. The refusal is boxed since it is large.
fn enter((data, site_id): &Site, headers: &HeaderMap) -> Result<Value, Box<Response>> {
    let refuse = |status: StatusCode, text: &'static str| Box::new((status, text).into_response());
    let caller = caller(headers, Audience::ResourceManager, &data.state)
        .map_err(|_| refuse(StatusCode::UNAUTHORIZED, "Unauthorized"))?;
    let site = data.state.resource(site_id);
    let site = site.ok_or_else(|| refuse(StatusCode::NOT_FOUND, "404 Web Site not found."))?;
    if data.state.allowed(&caller.object_id, site_id, Need::Action("Microsoft.Web/sites/publish/action")) {
        Ok(site)
    } else {
        Err(refuse(StatusCode::FORBIDDEN, "Forbidden"))
    }
}

/// Whether the site is on Flex Consumption, which alone has this part of the configuration.
fn flex(site: &Value) -> bool {
    site.pointer("/properties/functionAppConfig").is_some_and(|config| !config.is_null())
}

/// What One Deploy says to an app that is not on Flex Consumption where it is not told what kind of artifact
/// comes (<https://learn.microsoft.com/azure/app-service/deploy-zip#kudu-publish-api-reference>).
const NO_KIND: &str = "type='' not recognized";
/// Flex Consumption does not have zip deployment
/// (<https://learn.microsoft.com/azure/azure-functions/functions-deployment-technologies#zip-deploy>).
const NO_ZIP_DEPLOYMENT: &str = "Zip deployment is not supported on Flex Consumption. Use One Deploy.";

/// Whether a site takes packages in the way of this extension, as its publishing host does; `kind` is the
/// kind of artifact that was told.
///
/// # Errors
/// What Azure says where it does not.
pub(crate) fn require_way(site: &Value, extension: &str, kind: Option<&str>) -> Result<(), String> {
    match (extension.to_ascii_lowercase().as_str(), flex(site)) {
        ("onedeploy", true) | ("zipdeploy", false) => Ok(()),
        ("onedeploy", false) if kind == Some("zip") => Ok(()),
        ("onedeploy", false) => Err(NO_KIND.to_owned()),
        ("zipdeploy", true) => Err(NO_ZIP_DEPLOYMENT.to_owned()),
        (other, _) => Err(format!("The simulator has no extension '{other}'.")),
    }
}

async fn one_deploy(Shared(site): Shared<Site>, headers: HeaderMap, zip: Bytes) -> Response {
    let resource = match enter(&site, &headers) {
        Ok(resource) => resource,
        Err(refusal) => return *refusal,
    };
    if !flex(&resource) {
        return (StatusCode::BAD_REQUEST, NO_KIND).into_response();
    }
    match take(&site, &resource, &headers, zip) {
        Ok(id) => (StatusCode::ACCEPTED, Json(id)).into_response(),
        Err(refusal) => *refusal,
    }
}

/// Zip deployment. It answers with an address, not with an id.
async fn zip_deployment(Shared(site): Shared<Site>, headers: HeaderMap, zip: Bytes) -> Response {
    let resource = match enter(&site, &headers) {
        Ok(resource) => resource,
        Err(refusal) => return *refusal,
    };
    if flex(&resource) {
        return (StatusCode::NOT_FOUND, NO_ZIP_DEPLOYMENT).into_response();
    }
    match take(&site, &resource, &headers, zip) {
        Ok(_) => {
            let location = [(header::LOCATION, "/api/deployments/latest")];
            (StatusCode::ACCEPTED, location).into_response()
        }
        Err(refusal) => *refusal,
    }
}

/// Takes a package in; gives the deployment's id.
fn take(site: &Site, resource: &Value, headers: &HeaderMap, zip: Bytes) -> Result<String, Box<Response>> {
    let refuse = |status: StatusCode, text: String| Box::new((status, text).into_response());
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if kind != Some("application/zip") {
        let text = "The package must be application/zip.".to_owned();
        return Err(refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
    }
    if zip.is_empty() {
        return Err(refuse(StatusCode::BAD_REQUEST, "The request has no package.".to_owned()));
    }
    let (data, site_id) = site;
    let place =
        destination(&data.state, resource).map_err(|reason| refuse(StatusCode::BAD_REQUEST, reason))?;
    let failure = unusable(&zip);
    put(data, site_id, place, zip, failure.is_none())
        .map_err(|reason| refuse(StatusCode::BAD_REQUEST, reason))?;
    let pace = data.state.pace();
    let deployment = Deployment {
        id: Uuid::new_v4().to_string(),
        received_at: format_time(data.state.now()),
        unseen_reads: pace.unseen_reads,
        unfinished_reads: pace.polls,
        failure,
    };
    let id = deployment.id.clone();
    let mut by_site = data.deployments.by_site.lock().unwrap_or_else(PoisonError::into_inner);
    by_site.entry(site_id.to_ascii_lowercase()).or_default().push(deployment);
    Ok(id)
}

/// A package that a deployment template named, fetched and admitted, on its way to the site.
pub(crate) struct Fetched {
    site_id: String,
    place: Option<(String, String)>,
    zip: Bytes,
}

/// Looks at a package that a template's `onedeploy` extension named
/// (<https://learn.microsoft.com/azure/azure-functions/functions-infrastructure-as-code#remote-package>).
///
/// # Errors
/// Why the site would not take it.
pub(crate) fn admit(state: &State, site_id: &str, zip: Bytes) -> Result<Fetched, String> {
    let site = state.resource(site_id).ok_or_else(|| "404 Web Site not found.".to_owned())?;
    if let Some(reason) = unusable(&zip) {
        return Err(reason);
    }
    Ok(Fetched { site_id: site_id.to_owned(), place: destination(state, &site)?, zip })
}

/// Publishes the packages that deployment templates named.
pub(crate) fn publish_fetched(data: &DataPlane) {
    let fetched = std::mem::take(&mut data.state.lock().fetched_packages);
    for package in fetched {
        // It was admitted, and containers do not go within a deployment.
        let _ = put(data, &package.site_id, package.place, package.zip, true);
    }
}

/// Puts a package where the site has its packages, and starts the host with it where it can run.
fn put(
    data: &DataPlane,
    site_id: &str,
    place: Option<(String, String)>,
    zip: Bytes,
    usable: bool,
) -> Result<(), String> {
    if let Some((account, container)) = place
        && !data.blobs.place(&account, &container, PACKAGE_BLOB, zip.clone())
    {
        return Err(upload_failed(
            "The specified container does not exist. Status: 404 ErrorCode: ContainerNotFound",
        ));
    }
    if usable {
        data.hosts.publish(site_id, zip);
    }
    Ok(())
}

fn upload_failed(inner: &str) -> String {
    format!("InnerErrors: BlobUploadFailedException: Failed to upload blob to storage account: {inner}")
}

/// Why the package cannot be unpacked, if so.
fn unusable(zip: &[u8]) -> Option<String> {
    match ZipArchive::new(Cursor::new(zip)) {
        Err(error) => Some(format!("Package deployment failed: the package is not a zip file: {error}")),
        Ok(archive) if archive.index_for_name("host.json").is_none() => {
            Some("Package deployment failed: host.json was not found at the root of the package.".to_owned())
        }
        Ok(_) => None,
    }
}

/// Account and name of the container that takes the site's packages, where the identity that the site
/// names may write there; none on a dedicated plan, whose packages lie in the site's own files.
///
/// The texts of failure are those that users report: the outer 400 holds the storage's own status.
fn destination(state: &State, site: &Value) -> Result<Option<(String, String)>, String> {
    let failed = upload_failed;
    if !flex(site) {
        return Ok(None);
    }
    let storage = site
        .pointer("/properties/functionAppConfig/deployment/storage")
        .ok_or_else(|| "The site has no functionAppConfig.deployment.storage.".to_owned())?;
    let text = |pointer: &str| storage.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (account, container) = place(text("/value"))
        .ok_or_else(|| failed(&format!("'{}' is not the address of a container.", text("/value"))))?;
    let principal = match text("/authentication/type") {
        "SystemAssignedIdentity" => site.pointer("/identity/principalId").and_then(Value::as_str),
        "UserAssignedIdentity" => {
            let wanted = text("/authentication/userAssignedIdentityResourceId");
            let assigned = site.pointer("/identity/userAssignedIdentities").and_then(Value::as_object);
            assigned
                .into_iter()
                .flatten()
                .find(|(id, _)| id.eq_ignore_ascii_case(wanted))
                .and_then(|(_, ids)| ids.get("principalId")?.as_str())
        }
        other => {
            return Err(failed(&format!("the simulator does not know the authentication type '{other}'.")));
        }
    };
    let principal = principal.ok_or_else(|| failed("the site does not have the identity."))?;
    let id = state
        .resources_of("Microsoft.Storage/storageAccounts")
        .into_iter()
        .find(|each| each["name"].as_str().is_some_and(|name| name.eq_ignore_ascii_case(&account)))
        .and_then(|account| account["id"].as_str().map(str::to_owned))
        .ok_or_else(|| failed("Response status code 404 (NotFound)."))?;
    let scope = format!("{id}/blobServices/default/containers/{container}");
    let write = Need::Data("Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write");
    if !state.allowed(principal, &scope, write) {
        return Err(failed(
            "This request is not authorized to perform this operation using this permission. \
             Status: 403 ErrorCode: AuthorizationPermissionMismatch",
        ));
    }
    Ok(Some((account, container)))
}

/// Account and container of `https://<account>.blob.core.windows.net/<container>`, or of an address by
/// number, `https://127.0.0.1:<port>/<account>/<container>`.
fn place(container: &str) -> Option<(String, String)> {
    let url = Url::parse(container).ok()?;
    let mut parts: Vec<&str> = url.path_segments()?.filter(|part| !part.is_empty()).collect();
    if let url::Host::Domain(host) = url.host()? {
        parts.insert(0, host.split('.').next()?);
    }
    match parts.as_slice() {
        [account, container] => Some(((*account).to_owned(), (*container).to_owned())),
        _ => None,
    }
}

/// A deployment as it is read now; a read moves it on.
fn read((data, site_id): &Site, id: &str) -> Option<(Deployment, Status)> {
    let mut by_site = data.deployments.by_site.lock().unwrap_or_else(PoisonError::into_inner);
    let deployments = by_site.get_mut(&site_id.to_ascii_lowercase())?;
    let found = match id {
        "latest" => deployments.last_mut(),
        id => deployments.iter_mut().find(|each| each.id == id),
    }?;
    if found.unseen_reads > 0 {
        found.unseen_reads -= 1;
        return None;
    }
    let status = if found.unfinished_reads > 0 {
        found.unfinished_reads -= 1;
        Status::Deploying
    } else if found.failure.is_some() {
        Status::Failed
    } else {
        Status::Success
    };
    Some((found.clone(), status))
}

async fn deployment(Shared(site): Shared<Site>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    if let Err(refusal) = enter(&site, &headers) {
        return *refusal;
    }
    let Some((deployment, status)) = read(&site, &id) else {
        return (StatusCode::NOT_FOUND, format!("Deployment '{id}' not found.")).into_response();
    };
    let done = status != Status::Deploying;
    if done && deployment.failure.is_none() {
        // The deployment ends after the host has taken the package.
        site.0.hosts.condition(&site.1).await;
    }
    let body = json!({
        "id": deployment.id,
        "status": status as i32,
        "status_text": deployment.failure.as_deref().filter(|_| done).unwrap_or_default(),
        "author_email": "N/A",
        "author": "N/A",
        "deployer": "OneDeploy",
        "message": "OneDeploy",
        "progress": if done { "" } else { "Deploying the package." },
        "received_time": deployment.received_at,
        "start_time": deployment.received_at,
        "end_time": done.then(|| deployment.received_at.clone()),
        "complete": done,
        "active": status == Status::Success,
        "is_temp": false,
        "is_readonly": true,
        "site_name": site.1.rsplit('/').next(),
    });
    let code = if done { StatusCode::OK } else { StatusCode::ACCEPTED };
    (code, Json(body)).into_response()
}

async fn log(Shared(site): Shared<Site>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    if let Err(refusal) = enter(&site, &headers) {
        return *refusal;
    }
    let Some((deployment, status)) = read(&site, &id) else { return StatusCode::NOT_FOUND.into_response() };
    let message = match (status, deployment.failure) {
        (Status::Failed, Some(reason)) => reason,
        (Status::Success, _) => "Deployment successful.".to_owned(),
        _ => "Deploying the package.".to_owned(),
    };
    Json(json!([{"id": deployment.id, "log_time": deployment.received_at, "message": message}]))
        .into_response()
}

#[cfg(test)]
mod tests;
