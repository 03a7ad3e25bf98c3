//! The Azure Functions host, for custom handlers on timers and queues.
//!
//! It starts the worker of the published package as its own process in a hermetic environment, with
//! the settings and references of the site, and is as strict with it as the real host: see
//! [`invocation`] for answers, [`host`] for ends and faults, [`storage`] for what it needs to start.
//! Follows <https://learn.microsoft.com/azure/azure-functions/functions-custom-handlers> and the
//! source of azure-functions-host.

pub mod host;
pub mod invocation;
mod package;
pub mod process;
mod queue;
mod schedule;
mod storage;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Query, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use bytes::Bytes;
use serde_json::{Value, json};

use self::host::{Condition, Host};
use self::invocation::Invocation;
use self::process::Line;
use crate::data::DataPlane;
use crate::state::State;

/// The version of the host that this one was written after.
pub(crate) const HOST_VERSION: &str = "4.1037.0.0";

/// Who fires the timers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Firing {
    /// Only [`Hosts::fire`] and the admin endpoint, so that tests and the demo know when.
    #[default]
    OnDemand,
    /// The schedules too, by the simulator's clock.
    Clock,
}

/// How hosts behave from their next start on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostOptions {
    /// How long a worker may take to answer: 30 seconds on Flex Consumption, where it cannot be changed
    /// (<https://learn.microsoft.com/azure/azure-functions/flex-consumption-plan#considerations>).
    pub start_limit: Duration,
    /// Who fires the timers.
    pub firing: Firing,
    /// How many instances serve queues. Timers run on the first.
    pub instances: usize,
}

impl Default for HostOptions {
    fn default() -> Self {
        Self { start_limit: Duration::from_secs(30), firing: Firing::OnDemand, instances: 1 }
    }
}

/// The hosts of all sites; clones share them.
#[derive(Debug, Clone)]
pub struct Hosts {
    hosts: Arc<Mutex<BTreeMap<String, Arc<Host>>>>,
    options: Arc<Mutex<HostOptions>>,
    state: State,
    http: reqwest::Client,
}

impl Hosts {
    /// No host yet.
    #[expect(clippy::expect_used, reason = "the authority's certificate was made by this process")]
    pub(crate) fn new(state: State) -> Self {
        let pem = std::fs::read(&state.ground().certificates.authority_file).expect("the authority's file");
        let authority = reqwest::Certificate::from_pem(&pem).expect("the authority's certificate");
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([authority])
            .build()
            .expect("a client with one certificate");
        Self { hosts: Arc::default(), options: Arc::default(), state, http }
    }

    /// Says how hosts behave from their next start on.
    pub fn set_options(&self, options: HostOptions) {
        *self.options.lock().unwrap_or_else(PoisonError::into_inner) = options;
    }

    fn find(&self, site_id: &str) -> Option<Arc<Host>> {
        let hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.get(&site_id.to_ascii_lowercase()).cloned()
    }

    fn find_or_make(&self, site_id: &str) -> Arc<Host> {
        let options = self.options.clone();
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || Arc::new(Host::new(site_id, self.state.clone(), self.http.clone(), options));
        hosts.entry(site_id.to_ascii_lowercase()).or_insert_with(make).clone()
    }

    /// Gives a site a new package and starts its host anew, in the background.
    pub(crate) fn publish(&self, site_id: &str, zip: Bytes) {
        let host = self.find_or_make(site_id);
        host.set_package(zip);
        host.restart_soon();
    }

    /// Starts a site's host anew in the background. Calls on the host wait for it.
    pub(crate) fn changed(&self, site_id: &str) {
        if let Some(host) = self.find(site_id) {
            host.restart_soon();
        }
    }

    /// Kills the workers of sites that are gone, and starts hosts anew whose settings have changed, in
    /// the background.
    pub(crate) fn reconcile(&self) {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.retain(|site_id, host| {
            let there = self.state.resource(site_id).is_some();
            if !there {
                host.stop();
            } else if host.outdated() {
                host.restart_soon();
            }
            there
        });
    }

    /// Kills every worker, for the end of the simulator.
    pub fn stop(&self) {
        let hosts = std::mem::take(&mut *self.hosts.lock().unwrap_or_else(PoisonError::into_inner));
        for host in hosts.values() {
            host.stop();
        }
    }

    /// Fires a site's timer function as its schedule does and gives what became of it; nothing where
    /// nothing was published.
    pub async fn fire(&self, site_id: &str, function: &str) -> Option<Invocation> {
        let host = self.find(site_id)?;
        host.settled().await;
        Some(host.fire(function).await)
    }

    /// What a site's host is doing, after any start that is under way.
    pub async fn condition(&self, site_id: &str) -> Condition {
        match self.find(site_id) {
            None => Condition::Empty,
            Some(host) => {
                host.settled().await;
                host.condition()
            }
        }
    }

    /// The invocations of a site that have ended, in that order.
    pub fn invocations(&self, site_id: &str) -> Vec<Invocation> {
        self.find(site_id).map(|host| host.invocations()).unwrap_or_default()
    }

    /// Waits until no invocation of a site is under way.
    pub async fn idle(&self, site_id: &str) {
        if let Some(host) = self.find(site_id) {
            host.idle().await;
        }
    }

    /// The lines that a site's workers wrote.
    pub fn lines(&self, site_id: &str) -> Vec<Line> {
        self.find(site_id).map(|host| host.lines.all()).unwrap_or_default()
    }

    /// The process ids of a site's running workers.
    pub fn process_ids(&self, site_id: &str) -> Vec<i32> {
        self.find(site_id).map(|host| host.process_ids()).unwrap_or_default()
    }

    /// Kills one worker's process group, as a platform that takes its instance away; says whether it
    /// was there. The host starts another.
    pub fn kill_worker(&self, site_id: &str, instance: usize) -> bool {
        self.find(site_id).is_some_and(|host| host.kill_worker(instance))
    }
}

/// A site's own address: the host's admin endpoints.
pub fn router(data: DataPlane, site_id: &str) -> Router {
    Router::new()
        .route("/", get(|| async { "Your Functions app is up and running" }))
        .route("/admin/host/status", get(status))
        .route("/admin/functions", get(list))
        .route("/admin/functions/{name}", get(show).post(run))
        .with_state((data, site_id.to_owned()))
}

type Site = (DataPlane, String);

/// The host of a site, for who has its master key. The refusal is boxed since it is large.
fn admin(
    (data, site_id): &Site,
    headers: &HeaderMap,
    query: &HashMap<String, String>,
) -> Result<Option<Arc<Host>>, Box<Response>> {
    // A site that was deleted has no host name any more; its address stays open here.
    if data.state.resource(site_id).is_none() {
        return Err(Box::new((StatusCode::NOT_FOUND, "404 Web Site not found.").into_response()));
    }
    let given = headers.get("x-functions-key").and_then(|key| key.to_str().ok());
    let given = given.or_else(|| query.get("code").map(String::as_str));
    if given != Some(data.state.master_key(site_id).as_str()) {
        return Err(Box::new(StatusCode::UNAUTHORIZED.into_response()));
    }
    Ok(data.hosts.find(site_id))
}

/// What the host tells of itself before anything was published, and while it cannot serve.
fn not_running() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "Function host is not running.").into_response()
}

async fn status(
    Shared(site): Shared<Site>,
    headers: HeaderMap,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let host = match admin(&site, &headers, &query) {
        Ok(Some(host)) => host,
        Ok(None) => return not_running(),
        Err(refusal) => return *refusal,
    };
    host.settled().await;
    host.try_storage_again().await;
    let (state, errors) = match host.condition() {
        Condition::Empty => return not_running(),
        Condition::Running | Condition::WorkerEnded => ("Running", Vec::new()),
        Condition::Error(reasons) => ("Error", reasons),
    };
    let name = site.1.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let mut body = json!({
        // The host's id is the site's name, cut: https://learn.microsoft.com/azure/azure-functions/storage-considerations#host-id-considerations
        "id": name.chars().take(32).collect::<String>(),
        "state": state,
        "version": HOST_VERSION,
        "versionDetails": HOST_VERSION,
        "platformVersion": "",
        "instanceId": "",
        "computerName": "",
        "processUptime": 0,
        "functionAppContentEditingState": "NotAllowed",
    });
    let problems = host.package().map(|package| {
        let in_error = package.functions.iter().filter_map(|function| {
            let reason = function.trigger.as_ref().err()?;
            Some(format!("the function `{}` is in error: {reason}", function.name))
        });
        in_error.collect::<Vec<_>>()
    });
    let errors: Vec<String> = errors.into_iter().chain(problems.unwrap_or_default()).collect();
    if !errors.is_empty() {
        body["errors"] = json!(errors);
    }
    Json(body).into_response()
}

async fn list(
    Shared(site): Shared<Site>,
    headers: HeaderMap,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    match admin(&site, &headers, &query) {
        Ok(host) => Json(listed(host.as_deref()).await).into_response(),
        Err(refusal) => *refusal,
    }
}

/// The functions as the host's own endpoints show them.
async fn listed(host: Option<&Host>) -> Vec<Value> {
    let Some(host) = host else { return Vec::new() };
    host.settled().await;
    let package = host.package();
    package
        .iter()
        .flat_map(|package| &package.functions)
        .map(package::Function::listed)
        .map(|mut each| {
            each["is_disabled"] = each["isDisabled"].take();
            each
        })
        .collect()
}

async fn show(
    Shared(site): Shared<Site>,
    Path(name): Path<String>,
    headers: HeaderMap,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let host = match admin(&site, &headers, &query) {
        Ok(host) => host,
        Err(refusal) => return *refusal,
    };
    let found = listed(host.as_deref()).await.into_iter().find(|function| function["name"] == name);
    found.map_or_else(|| StatusCode::NOT_FOUND.into_response(), |found| Json(found).into_response())
}

/// Starts a function by hand: accepted at once, run on its own.
async fn run(
    Shared(site): Shared<Site>,
    Path(name): Path<String>,
    headers: HeaderMap,
    Query(query): Query<HashMap<String, String>>,
    body: Bytes,
) -> Response {
    let host = match admin(&site, &headers, &query) {
        Ok(Some(host)) => host,
        Ok(None) => return not_running(),
        Err(refusal) => return *refusal,
    };
    let input = serde_json::from_slice::<Value>(&body).ok().filter(Value::is_object);
    let Some(input) = input else {
        return (StatusCode::BAD_REQUEST, "The body must be an object with `input`.").into_response();
    };
    host.settled().await;
    host.try_storage_again().await;
    match host.condition() {
        Condition::Running | Condition::WorkerEnded => {}
        Condition::Empty | Condition::Error(_) => return not_running(),
    }
    if !host.has(&name) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let input = input.get("input").and_then(Value::as_str).unwrap_or_default().to_owned();
    let begun = host.begin();
    tokio::spawn(async move {
        host.run_by_hand(&name, &input).await;
        drop(begun);
    });
    StatusCode::ACCEPTED.into_response()
}

#[cfg(test)]
mod tests;
