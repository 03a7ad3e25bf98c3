//! The Functions custom handler: one invocation in, one answer out.
//!
//! Always a JSON object back: the host never completes an invocation whose answer is empty. A failed
//! run is answered with a failure only after its health row went out, so that Azure's own metrics are
//! true. Source: azure-functions-host, `HttpWorkerService`.

pub mod payload;

use std::cell::OnceCell;
use std::future::IntoFuture;
use std::net::{Ipv4Addr, SocketAddr};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use crate::command::Work;
use crate::report::{Level, Log, Report, RunResult, chain};
use crate::settings::Settings;
use crate::sync::{Account, Reporter};
use crate::world::World;
use payload::Invocation;

/// Why the host cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The port that the host named is no port.
    #[error("FUNCTIONS_CUSTOMHANDLER_PORT is `{port}`, which is no port")]
    Port {
        /// What it named.
        port: String,
    },
    /// The port cannot be bound.
    #[error("could not listen on 127.0.0.1:{port}")]
    Bind {
        /// The port.
        port: u16,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Listening has ended.
    #[error("could not go on listening")]
    Serve(#[source] std::io::Error),
}

/// One invocation on its way to the worker, with where its report goes.
type Job = (Work, oneshot::Sender<Result<Report, String>>);

/// What the handlers share.
#[derive(Debug, Clone)]
struct Shared {
    log: Log,
    jobs: mpsc::Sender<Job>,
}

/// What runs: an account, or the report that its settings cannot be used.
#[derive(Debug)]
pub enum Worker {
    /// An account.
    Account(Box<Account>),
    /// Settings that cannot be used.
    Unusable(Box<Reporter>),
    /// Clients that cannot be made.
    Broken(String),
}

impl Worker {
    /// Reads the settings and makes the clients. A fault is kept, to be named at each run.
    pub fn open(
        settings: Result<Settings, crate::settings::SettingsError>,
        world: &World,
        log: &Log,
    ) -> Self {
        match settings {
            Ok(settings) => match Account::open(settings, world, log) {
                Ok(account) => Self::Account(Box::new(account)),
                Err(error) => Self::Broken(chain(&error)),
            },
            Err(error) => Self::Unusable(Box::new(Reporter::new(error, world, log))),
        }
    }

    /// Does what is asked. `Err` with the reason where it could not even begin.
    ///
    /// # Errors
    /// The reason, for the log.
    pub async fn work(&self, work: Work) -> Result<Report, &str> {
        match self {
            Self::Account(account) => Ok(account.work(work).await),
            Self::Unusable(reporter) => Ok(reporter.run(work.trigger()).await),
            Self::Broken(reason) => Err(reason),
        }
    }
}

/// Listens where the Functions host says, until the process is ended.
///
/// # Errors
/// [`HostError`] when the port cannot be bound: the process must then end with a failure, for the host
/// to start another.
pub async fn serve(world: &World, log: &Log, port: &str) -> Result<(), HostError> {
    let port: u16 = port.trim().parse().map_err(|_| HostError::Port { port: port.to_owned() })?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener = TcpListener::bind(address).await.map_err(|source| HostError::Bind { port, source })?;
    log.event(Level::Info, "listening", json!({ "port": port, "version": env!("CARGO_PKG_VERSION") }));
    let (jobs, queue) = mpsc::channel(1);
    let router = axum::Router::new()
        .route("/", get(ready))
        .route("/Sync", post(sync))
        .fallback(unknown)
        .with_state(Shared { log: log.clone(), jobs });
    tokio::select! {
        served = axum::serve(listener, router).into_future() => served.map_err(HostError::Serve),
        () = work(world, log, queue) => Ok(()),
    }
}

/// Does one job after another, and a second beside the first where the host asks for it: the hold on
/// the checkpoint decides between them. A job goes on when the host no longer waits for its answer.
async fn work(world: &World, log: &Log, mut queue: mpsc::Receiver<Job>) {
    // The settings are read, and the clients made, at the first invocation: the port must answer at once.
    let worker = OnceCell::new();
    let mut running = FuturesUnordered::new();
    loop {
        tokio::select! {
            job = queue.recv() => {
                let Some((work, reply)) = job else { return };
                let worker = worker.get_or_init(|| Worker::open(Settings::read(world, None), world, log));
                running.push(async move {
                    // Nobody waits any more where the host has cut the connection.
                    let _ = reply.send(worker.work(work).await.map_err(str::to_owned));
                });
            }
            Some(()) = running.next() => {}
        }
    }
}

/// The host asks every 25 ms until anything is answered, and again at any time.
async fn ready() -> Response {
    answer(StatusCode::OK, json!({}))
}

async fn sync(State(shared): State<Shared>, body: Bytes) -> Response {
    let work = match Invocation::read(&body).work() {
        Ok(work) => work,
        Err(error) => {
            shared.log.event(Level::Error, "invocation_not_understood", json!({ "message": error }));
            return answer(StatusCode::BAD_REQUEST, outputs(&[error]));
        }
    };
    let (reply, report) = oneshot::channel();
    let report = match shared.jobs.send((work, reply)).await {
        Ok(()) => report.await.unwrap_or_else(|_| Err("the worker has ended".to_owned())),
        Err(_) => Err("the worker has ended".to_owned()),
    };
    match report {
        Ok(report) => {
            // Busy is not a failure: the other run does the work.
            let status = match report.result {
                RunResult::Ok | RunResult::Partial | RunResult::Busy => StatusCode::OK,
                RunResult::Failed => StatusCode::INTERNAL_SERVER_ERROR,
            };
            answer(status, outputs(&[summary(&report)]))
        }
        Err(reason) => {
            shared.log.event(Level::Error, "run_not_begun", json!({ "message": reason }));
            answer(StatusCode::INTERNAL_SERVER_ERROR, outputs(&[reason]))
        }
    }
}

async fn unknown(uri: axum::http::Uri) -> Response {
    answer(StatusCode::NOT_FOUND, outputs(&[format!("there is no function at {}", uri.path())]))
}

/// `Logs` are tied to the invocation in the host's own log.
fn outputs(logs: &[String]) -> serde_json::Value {
    json!({ "Outputs": {}, "Logs": logs, "ReturnValue": null })
}

fn summary(report: &Report) -> String {
    let result = serde_json::to_value(report.result).unwrap_or_default();
    let result = result.as_str().unwrap_or_default();
    let message = report.message();
    let separator = if message.is_empty() { "" } else { ": " };
    format!("run {} {result}, {} events delivered{separator}{message}", report.run_id, report.delivered)
}

fn answer(status: StatusCode, body: serde_json::Value) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}
