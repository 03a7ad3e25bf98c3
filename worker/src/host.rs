//! The Functions custom handler: one invocation in, one answer out.
//!
//! Always a JSON object back: the host never completes an invocation whose answer is empty. A failed
//! run is answered with a failure only after its health row went out, so that Azure's own metrics are
//! true. Source: azure-functions-host, `HttpWorkerService`.

pub mod payload;

use std::cell::OnceCell;
use std::future::IntoFuture;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use contract::resources::{QUEUE_FUNCTION, TIMER_FUNCTION};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use crate::accounts::{Accounts, AccountsError, Handled};
use crate::command::Work;
use crate::report::{Level, Log, Report, RunResult, Trigger, chain};
use crate::sync::Reporter;
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

/// What an invocation asks for.
#[derive(Debug)]
enum Task {
    /// The timer's function.
    Tick(Work),
    /// The queue's function, with its message.
    Message(String),
}

/// What the host is told, and the line that goes with it.
#[derive(Debug)]
struct Told {
    status: StatusCode,
    line: String,
}

/// One invocation on its way to the worker, with where its answer goes.
type Job = (Task, oneshot::Sender<Told>);

/// What the handlers share.
#[derive(Debug, Clone)]
struct Shared {
    log: Log,
    jobs: mpsc::Sender<Job>,
}

/// What runs: the accounts, or the report that the settings cannot be used.
#[derive(Debug)]
pub enum Worker {
    /// Accounts.
    Accounts(Box<Accounts>),
    /// Settings that cannot be used.
    Unusable(Box<Reporter>),
    /// Clients that cannot be made.
    Broken(String),
}

impl Worker {
    /// Reads the settings and makes the clients. A fault is kept, to be named at each run. `folder`
    /// delivers to files instead of Azure.
    pub fn open(world: &World, folder: Option<&Path>, log: &Log) -> Self {
        match Accounts::open(world, folder, log) {
            Ok(accounts) => Self::Accounts(Box::new(accounts)),
            Err(AccountsError::Settings(error)) => Self::Unusable(Box::new(Reporter::new(error, world, log))),
            Err(error) => Self::Broken(chain(&error)),
        }
    }

    /// Does by itself what is asked, for every account. `Err` with the reason where it could not even
    /// begin.
    ///
    /// # Errors
    /// The reason, for the log.
    pub async fn work(&self, work: Work) -> Result<Vec<Report>, &str> {
        match self {
            Self::Accounts(accounts) => Ok(accounts.work(work).await),
            Self::Unusable(reporter) => Ok(vec![reporter.run(work.trigger()).await]),
            Self::Broken(reason) => Err(reason),
        }
    }

    /// Does an invocation.
    async fn invoke(&self, task: Task, log: &Log) -> Told {
        let report = match (self, task) {
            (Self::Broken(reason), _) => {
                log.event(Level::Error, "run_not_begun", json!({ "message": reason }));
                return Told { status: StatusCode::INTERNAL_SERVER_ERROR, line: reason.clone() };
            }
            (Self::Unusable(reporter), Task::Tick(work)) => reporter.run(work.trigger()).await,
            (Self::Unusable(reporter), Task::Message(_)) => reporter.run(Trigger::Queue).await,
            (Self::Accounts(accounts), Task::Tick(work)) => accounts.tick(work).await,
            (Self::Accounts(accounts), Task::Message(text)) => {
                let (status, line) = match accounts.handle(&text).await {
                    Handled::Done(line) => (StatusCode::OK, line),
                    Handled::Unreadable(line) => (StatusCode::BAD_REQUEST, line),
                    Handled::Failed(line) => (StatusCode::INTERNAL_SERVER_ERROR, line),
                };
                return Told { status, line };
            }
        };
        // Busy is not a failure: the other run does the work.
        let status = match report.result {
            RunResult::Ok | RunResult::Partial | RunResult::Busy => StatusCode::OK,
            RunResult::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Told { status, line: report.summary() }
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
        .route(&format!("/{TIMER_FUNCTION}"), post(sync))
        .route(&format!("/{QUEUE_FUNCTION}"), post(sync_work))
        .fallback(unknown)
        .method_not_allowed_fallback(not_allowed)
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
                let Some((task, reply)) = job else { return };
                let worker = worker.get_or_init(|| Worker::open(world, None, log));
                running.push(async move {
                    // Nobody waits any more where the host has cut the connection.
                    let _ = reply.send(worker.invoke(task, log).await);
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

/// A request's body, or why it could not be had: axum's own answer to that is no JSON.
type Body = Result<Bytes, BytesRejection>;

async fn sync(State(shared): State<Shared>, body: Body) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return shared.not_understood(rejection.status(), rejection.body_text()),
    };
    match Invocation::read(&body).work() {
        Ok(work) => shared.told(Task::Tick(work)).await,
        Err(error) => shared.not_understood(StatusCode::BAD_REQUEST, error),
    }
}

async fn sync_work(State(shared): State<Shared>, body: Body) -> Response {
    match body {
        Ok(body) => shared.told(Task::Message(Invocation::read(&body).text())).await,
        Err(rejection) => shared.not_understood(rejection.status(), rejection.body_text()),
    }
}

impl Shared {
    /// Hands the task to the worker and answers with what it tells.
    async fn told(&self, task: Task) -> Response {
        let (reply, told) = oneshot::channel();
        let told = match self.jobs.send((task, reply)).await {
            Ok(()) => told.await.ok(),
            Err(_) => None,
        };
        let ended =
            || Told { status: StatusCode::INTERNAL_SERVER_ERROR, line: "the worker has ended".to_owned() };
        let Told { status, line } = told.unwrap_or_else(ended);
        answer(status, outputs(&[line]))
    }

    fn not_understood(&self, status: StatusCode, error: String) -> Response {
        self.log.event(Level::Error, "invocation_not_understood", json!({ "message": error }));
        answer(status, outputs(&[error]))
    }
}

async fn not_allowed(method: Method, uri: axum::http::Uri) -> Response {
    let line = format!("{} does not take {method}; the host calls functions by POST", uri.path());
    answer(StatusCode::METHOD_NOT_ALLOWED, outputs(&[line]))
}

async fn unknown(uri: axum::http::Uri) -> Response {
    answer(StatusCode::NOT_FOUND, outputs(&[format!("there is no function at {}", uri.path())]))
}

/// `Logs` are tied to the invocation in the host's own log.
fn outputs(logs: &[String]) -> serde_json::Value {
    json!({ "Outputs": {}, "Logs": logs, "ReturnValue": null })
}

fn answer(status: StatusCode, body: serde_json::Value) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}
