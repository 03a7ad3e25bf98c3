//! Azure, as the installer needs it: one signed-in client for all its services.
//!
//! Takes a way of signing in and a cloud's endpoints; gives resources, blobs, secrets, publishing,
//! the Functions host and queries. Promises: credentials go to the cloud's own hosts alone, over
//! https and never after a redirect; passing faults are retried in one loop ([`retry`]); a long
//! operation is watched to its end; what Azure refuses comes back as a tree without wrappers, with
//! a hint where we know one.

pub mod blob;
mod bounded;
mod claims;
pub mod credential;
pub mod error;
pub mod host;
mod http;
pub mod id;
mod operation;
pub mod permission;
pub mod publish;
pub mod query;
mod reach;
pub mod retry;
mod sdk;
pub mod vault;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use contract::cloud::CloudProfile;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use url::Url;

pub use blob::{Access, Uploaded};
pub use claims::PrincipalKind;
pub use credential::{AuthMethod, Clock, EnvironmentValues, SignInAttempt, SignedIn};
pub use error::{Advice, AzureError, ErrorLeaf, ErrorTree, Hint, Refusal, advice};
pub use host::HostStatus;
pub use id::{IdError, ResourceId};
pub use publish::Published;
pub use query::Rows;
pub use retry::{Retry, RetryPolicy, Timings};
pub use sdk::{Function, NameCheck};
pub use vault::{NewVersion, SecretVersion, Standing, Vault};

use credential::{SignIn, Tokens};
use http::{ANSWER_LIMIT_BYTES, Answer, Call, Caller, Repeat};
use reach::Reach;

/// The most pages of one listing: at 100 a page or more, far above any subscription's limit of
/// resources of one kind in a group.
const MOST_PAGES: usize = 1_000;

/// Which part of a settling wait is a short while: a minute of five.
const SHORT_WHILE: u32 = 5;

/// How old the things are on which a resource builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// Made a moment ago.
    New,
    /// They were there before; an earlier run may have made them a moment before it was stopped.
    Unknown,
}

/// What [`Azure::connect`] needs. Whatever comes from outside, the caller's world has read.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// How to sign in.
    pub auth: AuthMethod,
    /// The cloud's endpoints.
    pub cloud: CloudProfile,
    /// The tenant to sign in to; else the account's own.
    pub tenant: Option<String>,
    /// The environment's sign-in values.
    pub environment: EnvironmentValues,
    /// PEM file of certificates to trust beside the system's, as a company's proxy needs it.
    pub certificates: Option<PathBuf>,
    /// Every delay.
    pub timings: Timings,
    /// The time.
    pub clock: Clock,
    /// Runs `az` and `azd`; `None` runs them as processes.
    pub executor: Option<Arc<dyn azure_identity::Executor>>,
}

/// Azure, signed in. Clones are cheap and share tokens and connections.
#[derive(Debug, Clone)]
pub struct Azure {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    client: reqwest::Client,
    cloud: CloudProfile,
    tokens: Tokens,
    signed_in: SignedIn,
    timings: Timings,
    reach: Reach,
}

/// What became of a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// It was there and is gone.
    Removed,
    /// It was not there.
    AlreadyGone,
}

/// A client for other services than Azure's, with the same rules on redirects, proxies and certificates.
///
/// # Errors
/// [`AzureError::Certificates`] and [`AzureError::Client`].
pub fn http_client(certificates: Option<&std::path::Path>) -> Result<reqwest::Client, AzureError> {
    http::client(certificates, Timings::default().answer)
}

impl Azure {
    /// Signs in and gets the first token, so that whoever cannot sign in learns it here.
    ///
    /// # Errors
    /// [`AzureError::SignIn`] with each way tried and why it failed; [`AzureError::WrongTenant`];
    /// [`AzureError::Certificates`] or [`AzureError::Client`] before anything is sent.
    pub async fn connect(options: ConnectOptions) -> Result<Self, AzureError> {
        let client = http::client(options.certificates.as_deref(), options.timings.answer)?;
        let sign_in = SignIn {
            method: options.auth,
            cloud: options.cloud.clone(),
            tenant: options.tenant,
            environment: options.environment,
            http: Arc::new(client.clone()),
            executor: options.executor,
            clock: options.clock,
        };
        let (tokens, signed_in) = sign_in.run(&options.timings.sign_in).await?;
        let inner = Inner {
            client,
            cloud: options.cloud,
            tokens,
            signed_in,
            timings: options.timings,
            reach: Reach::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Who is signed in, and how.
    pub fn signed_in(&self) -> &SignedIn {
        &self.inner.signed_in
    }

    /// The cloud that this is.
    pub fn cloud(&self) -> &CloudProfile {
        &self.inner.cloud
    }

    /// Has somebody told, in words, when a call is made again. The first to ask for it is told.
    pub fn tell_of_repeats(&self, listener: impl Fn(&str) + Send + Sync + 'static) {
        self.inner.reach.listen(Box::new(listener));
    }

    /// The delays that it was made with.
    pub fn timings(&self) -> &Timings {
        &self.inner.timings
    }

    /// The resource as Azure has it; `None` where it does not exist (404), which a resource of a
    /// provider that is not registered does not either.
    ///
    /// # Errors
    /// [`AzureError`] when Azure refuses otherwise or cannot be reached.
    pub async fn get(&self, id: &ResourceId, api_version: &str) -> Result<Option<Value>, AzureError> {
        let what = format!("reading {id}");
        let answer = match self.storage_get(&what, id, api_version).await {
            Some(answer) => answer,
            None => {
                let mut url = self.resource_url(id, api_version)?;
                if id.is("Microsoft.Insights/workbooks") {
                    // Without it the answer leaves the workbook's content out
                    // (https://learn.microsoft.com/rest/api/application-insights/workbooks/get).
                    url.query_pairs_mut().append_pair("canFetchContent", "true");
                }
                self.send(&self.manage(what.clone(), Method::GET, url)).await
            }
        };
        match answer {
            Ok(answer) => answer.json(&what).map(Some),
            Err(error) if means_absent(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The time by Azure's own clock, to the second, as its answer to reading this resource is dated.
    ///
    /// # Errors
    /// As [`Azure::get`]; [`AzureError::Incomplete`] where the answer has no date.
    pub async fn time(&self, id: &ResourceId, api_version: &str) -> Result<OffsetDateTime, AzureError> {
        let what = format!("reading {id}");
        let answer =
            self.send(&self.manage(what.clone(), Method::GET, self.resource_url(id, api_version)?)).await?;
        answer
            .header("date")
            .and_then(|date| OffsetDateTime::parse(&date.replace("GMT", "+0000"), &Rfc2822).ok())
            .ok_or(AzureError::Incomplete { what, missing: "date" })
    }

    /// Creates or replaces the resource, waits for the end of the operation, and gives the resource
    /// as Azure then has it.
    ///
    /// # Errors
    /// [`AzureError`] when Azure refuses, the operation fails, or it outlasts the limit.
    pub async fn put(&self, id: &ResourceId, api_version: &str, body: &Value) -> Result<Value, AzureError> {
        let what = format!("writing {id}");
        let answer = match self.storage_put(&what, id, api_version, body).await {
            Some(answer) => answer?,
            None => {
                let url = self.resource_url(id, api_version)?;
                self.send(&self.manage(what.clone(), Method::PUT, url).json(body)).await?
            }
        };
        self.finish_put(&what, id, api_version, answer).await
    }

    /// As [`Azure::put`], for a resource that builds on others: a refusal that says that one of them is not there,
    /// or not ready, is waited out for as long as such things take to settle; for a short while where nobody
    /// knows that they are new.
    ///
    /// # Errors
    /// As [`Azure::put`], after the wait.
    pub async fn put_on_new(
        &self,
        id: &ResourceId,
        api_version: &str,
        body: &Value,
        age: Age,
    ) -> Result<Value, AzureError> {
        let decide = |error: &AzureError| match error.retry() {
            Retry::Never if builds_on_new(error) => Retry::Backoff,
            other => other,
        };
        let settling = self.inner.timings.settling;
        let within = match age {
            Age::New => settling.within,
            Age::Unknown => settling.within / SHORT_WHILE,
        };
        let policy = RetryPolicy { within, ..settling };
        retry::retry(&policy, decide, || self.put(id, api_version, body)).await
    }

    /// Changes the given properties of the resource and leaves the others, where the provider has
    /// a PATCH.
    ///
    /// # Errors
    /// As [`Azure::put`].
    pub async fn patch(&self, id: &ResourceId, api_version: &str, body: &Value) -> Result<Value, AzureError> {
        let what = format!("changing {id}");
        let url = self.resource_url(id, api_version)?;
        let answer = self.send(&self.manage(what.clone(), Method::PATCH, url).json(body)).await?;
        self.finish_put(&what, id, api_version, answer).await
    }

    /// Deletes the resource and waits until it is gone.
    ///
    /// # Errors
    /// As [`Azure::put`]. A resource that is not there is no error.
    pub async fn delete(&self, id: &ResourceId, api_version: &str) -> Result<Deleted, AzureError> {
        let what = format!("deleting {id}");
        let url = self.resource_url(id, api_version)?;
        let answer = match self.send(&self.manage(what.clone(), Method::DELETE, url)).await {
            Ok(answer) => answer,
            Err(error) if means_absent(&error) => return Ok(Deleted::AlreadyGone),
            Err(error) => return Err(error),
        };
        // 204 is the answer for what was not there
        // (https://learn.microsoft.com/azure/azure-resource-manager/management/delete-resource-group).
        if answer.status == 204 {
            return Ok(Deleted::AlreadyGone);
        }
        self.finish_delete(&what, id, api_version, &answer).await?;
        Ok(Deleted::Removed)
    }

    /// Calls an action of the resource, such as `listKeys`, and waits for its result; JSON null
    /// where it has none.
    ///
    /// # Errors
    /// As [`Azure::put`].
    pub async fn post(
        &self,
        id: &ResourceId,
        action: &str,
        api_version: &str,
        body: &Value,
    ) -> Result<Value, AzureError> {
        let what = format!("calling `{action}` of {id}");
        let url = self.path_url(&what, &format!("{}/{action}", id.path()), api_version)?;
        let mut call = self.manage(what.clone(), Method::POST, url);
        if !body.is_null() {
            call = call.json(body);
        }
        let answer = self.send(&call).await?;
        self.finish_post(&what, answer).await
    }

    /// Everything that a listing gives, over all its pages. `path` begins with a slash and may have
    /// a query of its own.
    ///
    /// # Errors
    /// As [`Azure::get`]; [`AzureError::ForeignHost`] when a page leads elsewhere.
    pub async fn list(&self, path: &str, api_version: &str) -> Result<Vec<Value>, AzureError> {
        let what = format!("listing `{}`", path.split('?').next().unwrap_or_default());
        let mut url = self.path_url(&what, path, api_version)?;
        let mut items = Vec::new();
        for _ in 0..MOST_PAGES {
            let answer = self.send(&self.manage(what.clone(), Method::GET, url.clone())).await?;
            let mut page: Value = answer.json(&what)?;
            match page["value"].take() {
                Value::Array(values) => items.extend(values),
                _ => return Err(AzureError::Incomplete { what, missing: "value" }),
            }
            match page["nextLink"].as_str().filter(|next| !next.is_empty()) {
                Some(next) => url = self.following(&what, next)?,
                None => return Ok(items),
            }
        }
        Err(AzureError::Incomplete { what, missing: "last page" })
    }

    /// A call to Azure Resource Manager.
    fn manage(&self, what: String, method: Method, url: Url) -> Call<'_> {
        Call::new(what, method, url, &self.inner.cloud.resource_manager_scope)
    }

    fn resource_url(&self, id: &ResourceId, api_version: &str) -> Result<Url, AzureError> {
        self.path_url("making a URL", id.path(), api_version)
    }

    fn path_url(&self, what: &str, path: &str, api_version: &str) -> Result<Url, AzureError> {
        let mut url = self.following(what, path)?;
        url.query_pairs_mut().append_pair("api-version", api_version);
        Ok(url)
    }

    /// Sends a call, again where that helps, and gives its answer if that is a success.
    async fn send(&self, call: &Call<'_>) -> Result<Answer, AzureError> {
        let decide = |error: &AzureError| match (call.repeat, error) {
            (Repeat::Harmless, _) => error.retry(),
            // Not known to have been refused before it was carried out: not again.
            (Repeat::OnlyWhenRefused, AzureError::Send { source, .. }) if !source.is_connect() => {
                Retry::Never
            }
            (Repeat::OnlyWhenRefused, AzureError::Refused(refusal))
                if !matches!(refusal.status, 429 | 503) =>
            {
                Retry::Never
            }
            (Repeat::OnlyWhenRefused, _) => error.retry(),
        };
        let failed = AtomicU32::new(0);
        let decide = |error: &AzureError| {
            let failed = failed.fetch_add(1, Ordering::Relaxed) + 1;
            self.inner.reach.again(error, decide(error), failed, self.inner.timings.calls.within)
        };
        retry::retry(&self.inner.timings.calls, decide, || self.send_once(call)).await
    }

    /// Sends a call one time; two times where the service refused the token that we had kept.
    async fn send_once(&self, call: &Call<'_>) -> Result<Answer, AzureError> {
        let Inner { client, cloud, tokens, .. } = &*self.inner;
        http::require_host(cloud, &call.url, call.host, &call.what)?;
        let refused = |answer: Answer| match answer.status {
            200..=299 => Ok(answer),
            _ => Err(AzureError::Refused(Box::new(answer.refusal(&call.what)))),
        };
        let scope = match &call.caller {
            Caller::FunctionsKey(key) => {
                let header = secret_header(&call.what, key.expose())?;
                let authorization = (HeaderName::from_static("x-functions-key"), header);
                let answer = http::exchange(client, call, authorization, ANSWER_LIMIT_BYTES).await?;
                self.inner.reach.answered();
                return refused(answer);
            }
            Caller::Token(scope) => *scope,
        };
        let mut token = tokens.get(scope).await?;
        for last in [false, true] {
            let header = secret_header(&call.what, &format!("Bearer {}", token.token.secret()))?;
            let answer = http::exchange(client, call, (AUTHORIZATION, header), ANSWER_LIMIT_BYTES).await?;
            self.inner.reach.answered();
            if answer.status != 401 || last {
                return refused(answer);
            }
            tokens.forget(scope, &token);
            token = tokens.get(scope).await?;
        }
        Err(AzureError::Incomplete { what: call.what.clone(), missing: "answer" })
    }
}

/// Whether a refusal says that the thing does not exist, rather than what it belongs to.
fn means_absent(error: &AzureError) -> bool {
    match error.status() {
        Some(404) => !error.has_code("SubscriptionNotFound"),
        Some(409) => error.has_code("MissingSubscriptionRegistration"),
        _ => false,
    }
}

/// Whether a refusal is explained by what was made a moment ago: a group, a parent or an identity that one
/// of Azure's servers does not know yet
/// (<https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/error-not-found>), a table that
/// rules cannot see yet.
fn builds_on_new(error: &AzureError) -> bool {
    // What was given up has had its own wait.
    if matches!(error, AzureError::GaveUp { .. }) {
        return false;
    }
    let absent = error.status() == Some(404) && !error.has_code("SubscriptionNotFound");
    absent || ["InvalidOutputTable", "FailedIdentityOperation"].iter().any(|code| error.has_code(code))
}

/// A header value that debug output shows as `Sensitive`.
fn secret_header(what: &str, text: &str) -> Result<HeaderValue, AzureError> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| AzureError::Incomplete { what: what.to_owned(), missing: "usable credential" })?;
    value.set_sensitive(true);
    Ok(value)
}
