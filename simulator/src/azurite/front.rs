//! Azurite's blobs behind a listener of the simulator, so that their calls are journalled and meet
//! faults as those of the stand-in do.

use std::io;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State as Shared};
use axum::response::{IntoResponse, Response};
use reqwest::{Method, StatusCode};
use url::Url;

use super::{ACCOUNT, Azurite};
use crate::entra::token::sign;
use crate::simulator::Simulator;
use crate::state::State;
use crate::state::principal::Principal;
use crate::storage::leaves;

/// The largest body that is passed on: a checkpoint and a file of dead letters have a megabyte or two.
const BODY_LIMIT_BYTES: usize = 64 * 1024 * 1024;
/// The service version of our own calls.
const VERSION: &str = "2021-12-02";

/// Azurite, and the listener before it.
#[derive(Debug)]
pub struct Front {
    azurite: Azurite,
    blob: Url,
    http: reqwest::Client,
    state: State,
    operator: Principal,
}

/// What the listener passes calls on to.
#[derive(Debug, Clone)]
struct Behind {
    http: reqwest::Client,
    root: Url,
}

impl Azurite {
    /// Puts Azurite's blobs behind a listener of this simulator, journalled as `blob`.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn behind(self, simulator: &Simulator) -> io::Result<Front> {
        let authority = std::fs::read(simulator.ca_file())?;
        let authority = reqwest::Certificate::from_pem(&authority).map_err(io::Error::other)?;
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([authority]);
        let http = http.build().map_err(io::Error::other)?;
        let behind = Behind { http: http.clone(), root: self.blob.clone() };
        let router = Router::new().fallback(pass_on).with_state(behind);
        let blob = simulator.ground().listen("blob", router).await?;
        let blob = blob.join(&format!("{ACCOUNT}/")).map_err(io::Error::other)?;
        let state = simulator.state().clone();
        let operator = state.principal(&simulator.person().object_id);
        let operator = operator.ok_or_else(|| io::Error::other("the simulator has no person"))?;
        Ok(Front { azurite: self, blob, http, state, operator })
    }
}

impl Front {
    /// Root of the account's blobs behind the listener, with a slash at its end.
    pub fn blob(&self) -> &Url {
        &self.blob
    }

    /// Makes a container.
    ///
    /// # Errors
    /// When Azurite refuses.
    pub async fn create_container(&self, name: &str) -> io::Result<()> {
        self.call(Method::PUT, &format!("{name}?restype=container"), &[]).await.map(drop)
    }

    /// The content of a blob; `None` where there is none.
    ///
    /// # Errors
    /// When Azurite refuses.
    pub async fn content(&self, container: &str, blob: &str) -> io::Result<Option<Bytes>> {
        match self.call(Method::GET, &format!("{container}/{blob}"), &[]).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            answer => answer.map(Some),
        }
    }

    /// The names of a container's blobs, sorted.
    ///
    /// # Errors
    /// When Azurite refuses.
    pub async fn names(&self, container: &str) -> io::Result<Vec<String>> {
        let list = self.call(Method::GET, &format!("{container}?restype=container&comp=list"), &[]).await?;
        let leaves = leaves(&list, "EnumerationResults")
            .map_err(|_| io::Error::other("the list of blobs is no XML of the service"))?;
        Ok(leaves.into_iter().filter_map(|(name, text)| (name == "Name").then_some(text)).collect())
    }

    /// Ends a blob's lease at once, whoever holds it: for those who know that the holder is dead.
    /// Without a lease nothing happens.
    ///
    /// # Errors
    /// When Azurite refuses for another reason.
    pub async fn break_lease(&self, container: &str, blob: &str) -> io::Result<()> {
        let headers = [("x-ms-lease-action", "break"), ("x-ms-lease-break-period", "0")];
        match self.call(Method::PUT, &format!("{container}/{blob}?comp=lease"), &headers).await {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists) => {
                Ok(())
            }
            answer => answer.map(drop),
        }
    }

    /// A call of the operator's, past the listener.
    async fn call(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> io::Result<Bytes> {
        let url = self.azurite.blob.join(path).map_err(io::Error::other)?;
        let token = sign(&self.state, &self.operator, "https://storage.azure.com", 3_600);
        let mut request = self.http.request(method, url).bearer_auth(token).header("x-ms-version", VERSION);
        // A PUT without a body still says so.
        request = request.header("content-length", "0");
        for &(name, value) in headers {
            request = request.header(name, value);
        }
        let answer = request.send().await.map_err(io::Error::other)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(io::Error::other)?;
        match status {
            status if status.is_success() => Ok(body),
            StatusCode::NOT_FOUND => Err(io::ErrorKind::NotFound.into()),
            StatusCode::CONFLICT => Err(io::ErrorKind::AlreadyExists.into()),
            status => Err(io::Error::other(format!(
                "Azurite answered {status}: {}",
                String::from_utf8_lossy(&body)
            ))),
        }
    }
}

/// The same call to Azurite, and its answer.
async fn pass_on(Shared(behind): Shared<Behind>, request: Request) -> Response {
    match forward(&behind, request).await {
        Ok(answer) => answer,
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

async fn forward(behind: &Behind, request: Request) -> io::Result<Response> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, BODY_LIMIT_BYTES).await.map_err(io::Error::other)?;
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let url = behind.root.join(target).map_err(io::Error::other)?;
    let mut headers = parts.headers;
    headers.remove("host");
    headers.remove("transfer-encoding");
    // Azurite answers 400 to a PUT that does not say that it has no body.
    headers.insert("content-length", body.len().into());
    let call = behind.http.request(parts.method, url).headers(headers).body(body);
    let answer = call.send().await.map_err(io::Error::other)?;
    let mut response = Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        if !matches!(name.as_str(), "transfer-encoding" | "connection" | "keep-alive") {
            response = response.header(name, value);
        }
    }
    let body = answer.bytes().await.map_err(io::Error::other)?;
    response.body(Body::from(body)).map_err(io::Error::other)
}
