//! One HTTP exchange with Azure: who may be asked, with what token, and how long the answer may be.

use std::path::Path;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use contract::cloud::{CloudProfile, HostKind};
use contract::secret::Secret;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Method, redirect};
use serde::de::DeserializeOwned;
use url::Url;

use super::error::{AzureError, ErrorTree, Refusal};

/// A connection that does not stand by then is tried anew.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// The longest answer that is read, in bytes. The largest expected are query results, which the
/// service itself cuts at 64 MB (<https://learn.microsoft.com/azure/azure-monitor/service-limits>),
/// and ours ask for far less.
pub(super) const ANSWER_LIMIT_BYTES: usize = 16 * 1024 * 1024;

const USER_AGENT: &str = concat!("mimecast-sentinel/", env!("CARGO_PKG_VERSION"));
/// Azure's header for the caller's id of a request.
const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-client-request-id");

/// Makes the client: no redirects, since a redirect could take a token elsewhere; the system's
/// proxy settings and trusted certificates (`HTTPS_PROXY`, `SSL_CERT_FILE`), plus those of a file.
/// An answer that stays away for `patience` is given up.
pub(super) fn client(certificates: Option<&Path>, patience: Duration) -> Result<reqwest::Client, AzureError> {
    let mut builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(patience);
    if let Some(path) = certificates {
        let unusable = |source| AzureError::Certificates { path: path.to_owned(), source };
        let pem = std::fs::read(path).map_err(|error| unusable(error.into()))?;
        let bundle = Certificate::from_pem_bundle(&pem).map_err(|error| unusable(error.into()))?;
        if bundle.is_empty() {
            return Err(unusable("it has no certificate in PEM form".into()));
        }
        builder = builder.tls_certs_merge(bundle);
    }
    builder.build().map_err(AzureError::Client)
}

/// Who the caller is, to the service that is called.
#[derive(Debug, Clone)]
pub(super) enum Caller<'a> {
    /// A token for this scope.
    Token(&'a str),
    /// A key of the Functions host.
    FunctionsKey(&'a Secret<String>),
}

/// Whether a request may be sent again when nobody knows if the first one arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// It has the same effect however often it arrives.
    Harmless,
    /// Only after an answer that says it was not carried out.
    OnlyWhenRefused,
}

/// A request.
#[derive(Debug, Clone)]
pub(super) struct Call<'a> {
    /// What is being done, as a participle: `creating storage account `stx` in `rg-y``.
    pub(super) what: String,
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) caller: Caller<'a>,
    pub(super) headers: Vec<(HeaderName, String)>,
    pub(super) body: Option<(Bytes, &'static str)>,
    pub(super) repeat: Repeat,
    /// Whose host it must be.
    pub(super) host: HostKind,
}

impl<'a> Call<'a> {
    pub(super) fn new(what: String, method: Method, url: Url, scope: &'a str) -> Self {
        Self {
            what,
            method,
            url,
            caller: Caller::Token(scope),
            headers: Vec::new(),
            body: None,
            repeat: Repeat::Harmless,
            host: HostKind::Azure,
        }
    }

    /// The same to our own site, or to the service beside it that takes packages.
    pub(super) fn at_a_site(mut self) -> Self {
        self.host = HostKind::Site;
        self
    }

    pub(super) fn json(mut self, body: &serde_json::Value) -> Self {
        self.body = Some((Bytes::from(body.to_string()), "application/json"));
        self
    }
}

/// A successful answer.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// Azure's id of the request, else ours.
    pub(super) request_id: String,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok()).filter(|value| !value.is_empty())
    }

    /// The delay that the service asks for.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        retry_after(&self.headers)
    }

    /// The body, read.
    pub(super) fn json<T: DeserializeOwned>(&self, what: &str) -> Result<T, AzureError> {
        serde_json::from_slice(&self.body)
            .map_err(|source| AzureError::Answer { what: what.to_owned(), source })
    }

    /// This answer as a refusal, where its status or body says so.
    pub(super) fn refusal(&self, what: &str) -> Refusal {
        Refusal {
            what: what.to_owned(),
            status: self.status,
            tree: ErrorTree::parse(&self.body),
            request_id: Some(self.request_id.clone()),
            retry_after: self.retry_after(),
        }
    }
}

/// Seconds, or milliseconds in the two headers of some Azure services. Dates are not used by any.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    number("retry-after-ms")
        .or_else(|| number("x-ms-retry-after-ms"))
        .map(Duration::from_millis)
        .or_else(|| number("retry-after").map(Duration::from_secs))
}

/// The URL of these path segments under a service's root.
pub(super) fn under(base: &Url, path: &[&str], what: &str) -> Result<Url, AzureError> {
    let mut url = base.clone();
    match url.path_segments_mut() {
        Ok(mut segments) => {
            segments.pop_if_empty().extend(path);
        }
        // `data:` and the like, which is no service.
        Err(()) => return Err(foreign(base, what)),
    }
    Ok(url)
}

/// Refuses to send credentials to a host that is not this cloud's.
pub(super) fn require_own_host(cloud: &CloudProfile, url: &Url, what: &str) -> Result<(), AzureError> {
    require_host(cloud, url, HostKind::Azure, what)
}

/// The same for a host of this kind.
pub(super) fn require_host(
    cloud: &CloudProfile,
    url: &Url,
    kind: HostKind,
    what: &str,
) -> Result<(), AzureError> {
    if cloud.allows(url, kind) { Ok(()) } else { Err(foreign(url, what)) }
}

/// The same for a URL that Azure Resource Manager gave to go on with: a page, or an operation to
/// watch. Those lead to its own host or one under it
/// (<https://learn.microsoft.com/azure/azure-resource-manager/management/async-operations>); a site of
/// somebody's would pass the list of suffixes, and must not get this token.
pub(super) fn require_resource_manager(
    cloud: &CloudProfile,
    url: &Url,
    what: &str,
) -> Result<(), AzureError> {
    require_own_host(cloud, url, what)?;
    let own = &cloud.resource_manager;
    let (Some(host), Some(own_host)) = (url.host_str(), own.host_str()) else {
        return Err(foreign(url, what));
    };
    let under = host.strip_suffix(own_host).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    let same_door = url.scheme() == own.scheme()
        && url.port_or_known_default() == own.port_or_known_default()
        && url.username().is_empty();
    if under && same_door { Ok(()) } else { Err(foreign(url, what)) }
}

fn foreign(url: &Url, what: &str) -> AzureError {
    let host = url.host_str().unwrap_or_default();
    let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    AzureError::ForeignHost { what: what.to_owned(), host }
}

/// Sends one request and reads its answer whole, whatever its status.
pub(super) async fn exchange(
    client: &reqwest::Client,
    call: &Call<'_>,
    authorization: (HeaderName, HeaderValue),
    limit_bytes: usize,
) -> Result<Answer, AzureError> {
    let own_request_id = uuid::Uuid::new_v4().to_string();
    let lost = |source: reqwest::Error| AzureError::Send {
        what: call.what.clone(),
        host: call.url.host_str().unwrap_or_default().to_owned(),
        // The error would repeat the URL, whose query can hold a signature.
        source: source.without_url(),
    };
    let mut request = client
        .request(call.method.clone(), call.url.clone())
        .header(authorization.0, authorization.1)
        .header(CLIENT_REQUEST_ID, &own_request_id)
        .header(reqwest::header::ACCEPT, "application/json");
    for (name, value) in &call.headers {
        request = request.header(name, value);
    }
    if let Some((body, content_type)) = &call.body {
        request = request.header(reqwest::header::CONTENT_TYPE, *content_type).body(body.clone());
    } else if matches!(call.method, Method::POST | Method::PUT) {
        // Azure's front ends answer 411 to a POST without a length.
        request = request.header(reqwest::header::CONTENT_LENGTH, 0);
    }
    let mut response = request.send().await.map_err(lost)?;

    let status = response.status().as_u16();
    let headers = std::mem::take(response.headers_mut());
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(lost)? {
        if body.len() + chunk.len() > limit_bytes {
            return Err(AzureError::TooLong { what: call.what.clone(), limit_bytes });
        }
        body.extend_from_slice(&chunk);
    }
    let id = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let request_id =
        id("x-ms-request-id").or_else(|| id("x-ms-correlation-request-id")).unwrap_or(own_request_id);
    Ok(Answer { status, headers, body: body.freeze(), request_id })
}
