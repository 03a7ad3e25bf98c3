//! Listeners on loopback, each request journalled and open to faults.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;
use url::Url;

use crate::clock::Clock;
use crate::fault::{Action, Faults};
use crate::journal::{Entry, Journal};
use crate::tls::Certificates;

/// The largest request body a simulated service reads, in bytes: a worker package with room to spare.
const BODY_LIMIT_BYTES: usize = 256 * 1024 * 1024;

/// What all listeners of one simulator share.
#[derive(Debug, Clone)]
pub struct Ground {
    /// The simulator's certificates.
    pub certificates: Certificates,
    /// The simulator's clock.
    pub clock: Clock,
    /// The simulator's journal.
    pub journal: Journal,
    /// The simulator's faults.
    pub faults: Faults,
    tasks: Arc<Mutex<Vec<AbortHandle>>>,
}

impl Ground {
    /// New ground with the real time, an empty journal and no faults.
    pub fn new(certificates: Certificates, journal: Journal) -> Self {
        Self {
            certificates,
            clock: Clock::default(),
            journal,
            faults: Faults::default(),
            tasks: Arc::default(),
        }
    }

    /// Starts an https listener on a free port of 127.0.0.1 for one service and gives its root URL
    /// (`https://127.0.0.1:<port>/`). It ends with [`Ground::stop`].
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn listen(&self, service: &str, router: Router) -> io::Result<Url> {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let address = listener.local_addr()?;
        let ground = self.clone();
        let service = service.to_owned();
        let task = tokio::spawn(async move { ground.accept(listener, service, router).await });
        self.own(task.abort_handle());
        Url::parse(&format!("https://{address}/")).map_err(io::Error::other)
    }

    /// Ends this task together with the simulator.
    pub fn own(&self, task: AbortHandle) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).push(task);
    }

    /// Ends every listener and owned task. Open connections are cut.
    pub fn stop(&self) {
        for task in self.tasks.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            task.abort();
        }
    }

    async fn accept(self, listener: TcpListener, service: String, router: Router) {
        let acceptor = TlsAcceptor::from(self.certificates.server_config.clone());
        let mut connections = tokio::task::JoinSet::new();
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            while connections.try_join_next().is_some() {}
            let (acceptor, router, ground, service) =
                (acceptor.clone(), router.clone(), self.clone(), service.clone());
            connections.spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let serve = service_fn(move |request: hyper::Request<Incoming>| {
                    let (router, ground, service) = (router.clone(), ground.clone(), service.clone());
                    async move { ground.answer(&service, router, request.map(Body::new)).await }
                });
                // A connection cut by a fault or by the client is no error of ours.
                let _ = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .serve_connection(TokioIo::new(stream), serve)
                    .await;
            });
        }
    }

    /// Answers one request: faults first, then the service; writes the journal.
    ///
    /// An error makes hyper close the connection without an answer.
    async fn answer(&self, service: &str, router: Router, request: Request) -> io::Result<Response> {
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, BODY_LIMIT_BYTES).await.map_err(io::Error::other)?;
        let target = parts.uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
        let method = parts.method.to_string();
        let headers = parts
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        let mut entry = Entry {
            sequence: 0,
            at: self.clock.now(),
            service: service.to_owned(),
            method: method.clone(),
            target: target.clone(),
            headers,
            body: body.clone(),
            served: None,
            status: None,
            answer: Bytes::new(),
        };

        let mut replaced = None;
        let mut truncated = None;
        let mut lost = false;
        for action in self.faults.meet(service, &method, &target) {
            match action {
                Action::Delay(by) => tokio::time::sleep(by).await,
                Action::DropBefore => {
                    self.journal.record(entry);
                    return Err(io::Error::from(io::ErrorKind::ConnectionReset));
                }
                Action::DropAfter => lost = true,
                Action::Truncate(bytes) => truncated = Some(bytes),
                Action::Answer { status, headers, body } => {
                    let mut response = Response::builder().status(status);
                    for (name, value) in headers {
                        response = response.header(name, value);
                    }
                    replaced = Some(response.body(Body::from(body)).map_err(io::Error::other)?);
                }
            }
        }
        let response = match replaced {
            Some(response) => response,
            None => {
                let request = Request::from_parts(parts, Body::from(body));
                let response = router.oneshot(request).await.unwrap_or_else(|never| match never {});
                entry.served = Some(response.status().as_u16());
                response
            }
        };
        let (parts, body) = response.into_parts();
        let answer = to_bytes(body, BODY_LIMIT_BYTES).await.map_err(io::Error::other)?;
        entry.status = (!lost).then(|| parts.status.as_u16());
        entry.answer = answer.clone();
        self.journal.record(entry);
        if lost {
            return Err(io::Error::from(io::ErrorKind::ConnectionReset));
        }
        let body = match truncated {
            // A stream that ends in an error after the first bytes: the connection is cut mid-body.
            Some(bytes) => {
                let start = answer.slice(..bytes.min(answer.len()));
                let cut = io::Error::from(io::ErrorKind::ConnectionReset);
                Body::from_stream(futures::stream::iter([Ok(start), Err(cut)]))
            }
            None => Body::from(answer),
        };
        Ok(Response::from_parts(parts, body))
    }
}
