//! The calls to Mimecast: signed in either way, paced by the quota, tried again where that helps.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, RETRY_AFTER};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use url::Url;

use super::body::{ACCEPTED, Body, BodyError};
use super::envelope::{Answer, Failure};
use super::error::{self, Attempted, PollError, PollErrorKind};
use super::page::PageStream;
use super::quota::{Pacing, Quota, throttled_wait};
use super::sign::{self, Keys};
use super::token::OAuth;
use super::{Credentials, Login, PageRequest, Window};
use crate::retry::retry;
use crate::world::{Deadline, World};

/// Route of the events; the same in both generations.
const EVENTS_PATH: &str = "/api/audit/get-audit-events";
/// Route of the categories.
const CATEGORIES_PATH: &str = "/api/audit/get-categories";

/// The largest answer that is read whole, in bytes: errors, counts, categories.
const ANSWER_LIMIT_BYTES: usize = 1024 * 1024;

/// From this difference on, this machine's clock is named as a cause of refused signatures, and
/// windows that end in Mimecast's future are not read. Mimecast publishes no limit; five minutes is a
/// common one, and clocks that are kept differ by seconds.
pub(super) const CLOCK_SKEW: time::Duration = time::Duration::minutes(5);

/// The client of one Mimecast account, shared by everything that reads from it.
#[derive(Debug)]
pub struct Mimecast {
    pub(super) http: reqwest::Client,
    pub(super) base_url: Mutex<Url>,
    pub(super) access: Access,
    pub(super) pacing: Pacing,
    pub(super) world: World,
    quota: Mutex<Quota>,
}

/// How calls are signed.
#[derive(Debug)]
pub(super) enum Access {
    OAuth(OAuth),
    Signed {
        keys: Mutex<Keys>,
        login: Option<Login>,
        /// When the binding was last renewed, on the steady clock; held while it is being renewed.
        renewed_at: tokio::sync::Mutex<Option<Duration>>,
    },
}

/// One call.
struct Call<'a> {
    attempted: Attempted,
    path: &'a str,
    body: Bytes,
    paged: bool,
}

/// An answer whose HTTP status is good.
pub(super) struct Good {
    pub(super) response: reqwest::Response,
    pub(super) request_id: Option<String>,
}

impl Mimecast {
    /// A client for this account. `http` follows no redirects; that `base_url` is a host that may see
    /// the credentials was checked with the settings.
    pub fn new(
        http: reqwest::Client,
        base_url: Url,
        credentials: Credentials,
        pacing: Pacing,
        world: World,
    ) -> Self {
        let access = match credentials {
            Credentials::OAuth { client_id, client_secret } => {
                Access::OAuth(OAuth::new(client_id, client_secret))
            }
            Credentials::Signed { keys, login } => {
                Access::Signed { keys: Mutex::new(keys), login, renewed_at: tokio::sync::Mutex::new(None) }
            }
        };
        Self {
            http,
            base_url: Mutex::new(base_url),
            access,
            pacing,
            world,
            quota: Mutex::new(Quota::default()),
        }
    }

    /// Signs in where calls need that and nobody has, beside whatever else a run begins with. How it went
    /// is told by the first call that needs it.
    pub async fn sign_in_ahead(&self) {
        if let Access::OAuth(access) = &self.access
            && self.quota().wait(self.pacing.reserve, self.world.elapsed()).is_zero()
        {
            access.sign_in_ahead(&self.http, &self.base_url(), &self.world).await;
        }
    }

    /// Asks for a page and gives its body as it arrives.
    ///
    /// # Errors
    /// When the page cannot be had within the attempts and the deadline.
    pub async fn open_page(
        &self,
        request: &PageRequest,
        deadline: Deadline,
    ) -> Result<PageStream, PollError> {
        let paged = request.token.is_some();
        let call = Call { attempted: Attempted::ReadPage, path: EVENTS_PATH, body: request.body(), paged };
        let Good { response, request_id } = self.call(&call, deadline).await?;
        Ok(PageStream::new(response, paged, request_id))
    }

    /// How many events Mimecast holds in a window, by one call for one event; `None` where Mimecast
    /// gives no count.
    ///
    /// # Errors
    /// As [`Mimecast::open_page`].
    pub async fn count(
        &self,
        window: Window,
        categories: &[String],
        deadline: Deadline,
    ) -> Result<Option<u64>, PollError> {
        let request = PageRequest { window, page_size: 1, categories: categories.to_vec(), token: None };
        let call =
            Call { attempted: Attempted::CountEvents, path: EVENTS_PATH, body: request.body(), paged: false };
        let answer = self.answer(&call, deadline).await?;
        let meta = answer.meta();
        Ok(meta.total_count.or_else(|| (answer.items() == 0 && meta.next.is_none()).then_some(0)))
    }

    /// The codes of the categories: a test of the connection that needs the audit product alone.
    ///
    /// # Errors
    /// As [`Mimecast::open_page`].
    pub async fn categories(&self, deadline: Deadline) -> Result<Vec<String>, PollError> {
        #[derive(serde::Deserialize)]
        struct Item {
            categories: Vec<Category>,
        }
        #[derive(serde::Deserialize)]
        struct Category {
            code: String,
        }
        let call = Call {
            attempted: Attempted::ListCategories,
            path: CATEGORIES_PATH,
            body: Bytes::from_static(b"{\"data\":[]}"),
            paged: false,
        };
        let answer = self.answer(&call, deadline).await?;
        let item: Item = answer
            .first()
            .ok_or_else(|| PollError::new(Attempted::ListCategories, PollErrorKind::Unreadable))?;
        Ok(item.categories.into_iter().map(|category| category.code).collect())
    }

    /// What Mimecast last said about the quota.
    pub fn quota(&self) -> Quota {
        *self.quota.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn base_url(&self) -> Url {
        self.base_url.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes a call with all its attempts, and reads its answer whole.
    async fn answer(&self, call: &Call<'_>, deadline: Deadline) -> Result<Answer, PollError> {
        let answer = retry(&self.pacing.retry, deadline, &self.world, async |attempt| {
            let read = async {
                let Good { response, request_id } = self.attempt(call, deadline).await?;
                read_answer(call.attempted, response, request_id, &self.world).await
            };
            read.await.map_err(|error| PollError { attempts: attempt, ..error })
        });
        answer.await.map_err(PollError::exhausted)
    }

    /// Makes a call with all its attempts, up to the head of its answer.
    async fn call(&self, call: &Call<'_>, deadline: Deadline) -> Result<Good, PollError> {
        let good = retry(&self.pacing.retry, deadline, &self.world, async |attempt| {
            self.attempt(call, deadline).await.map_err(|error| PollError { attempts: attempt, ..error })
        });
        good.await.map_err(PollError::exhausted)
    }

    /// One attempt. Where API 1.0 says that the binding has expired or the account lives elsewhere,
    /// and the login that mends it is given, it is mended and the call made once more.
    async fn attempt(&self, call: &Call<'_>, deadline: Deadline) -> Result<Good, PollError> {
        let sent = match self.send(call, deadline).await {
            Err(error) if self.mend(&error, deadline).await? => self.send(call, deadline).await,
            sent => sent,
        };
        sent.map_err(|mut error| {
            if let PollErrorKind::Throttled(wait) = error.kind
                && wait > self.pacing.patience
            {
                error.kind = PollErrorKind::QuotaSpent(wait);
            }
            error
        })
    }

    async fn send(&self, call: &Call<'_>, deadline: Deadline) -> Result<Good, PollError> {
        self.pace(call.attempted, deadline).await?;
        let base_url = self.base_url();
        let url =
            base_url.join(call.path).map_err(|_| PollError::new(call.attempted, PollErrorKind::WrongHost))?;
        let (headers, own_id) = self.sign(call.attempted, call.path).await?;
        let sent = self.http.post(url).headers(headers).body(call.body.clone()).send().await;
        let response = sent.map_err(|cause| transport(call.attempted, cause))?;
        {
            let mut quota = self.quota.lock().unwrap_or_else(PoisonError::into_inner);
            *quota = quota.updated(response.headers(), self.world.elapsed());
        }
        let request_id = request_id(response.headers()).or(own_id);
        let status = response.status().as_u16();
        if status == 200 {
            return Ok(Good { response, request_id });
        }
        Err(self.refused(call, response, request_id).await)
    }

    /// Waits as the quota asks, unless that would pass the deadline.
    async fn pace(&self, attempted: Attempted, deadline: Deadline) -> Result<(), PollError> {
        let wait = self.quota().wait(self.pacing.reserve, self.world.elapsed());
        if wait.is_zero() {
            return Ok(());
        }
        if wait >= deadline.remaining(&self.world) || wait > self.pacing.patience {
            return Err(PollError::new(attempted, PollErrorKind::QuotaSpent(wait)));
        }
        self.world.sleep(wait).await;
        Ok(())
    }

    /// The headers of a call, and the id that it was given by us (API 1.0).
    async fn sign(&self, attempted: Attempted, path: &str) -> Result<(HeaderMap, Option<String>), PollError> {
        let refused = || PollError::new(attempted, PollErrorKind::CredentialsRefused);
        let header = |text: &str| text.parse().map_err(|_| refused());
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, ACCEPTED);
        headers.insert(CONTENT_TYPE, reqwest::header::HeaderValue::from_static("application/json"));
        match &self.access {
            Access::OAuth(access) => {
                let token = access.token(&self.http, &self.base_url(), &self.world).await?;
                headers.insert(AUTHORIZATION, header(&format!("Bearer {}", token.expose()))?);
                Ok((headers, None))
            }
            Access::Signed { keys, .. } => {
                let keys = keys.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let id = self.world.identity().to_string();
                let date = sign::date(self.world.now());
                let authorization = sign::authorization(&keys, &date, &id, path).ok_or_else(refused)?;
                headers.insert(AUTHORIZATION, header(authorization.expose())?);
                headers.insert("x-mc-app-id", header(keys.app_id.expose())?);
                headers.insert("x-mc-date", header(&date)?);
                headers.insert("x-mc-req-id", header(&id)?);
                Ok((headers, Some(id)))
            }
        }
    }

    /// The error of an answer whose HTTP status is not good.
    async fn refused(
        &self,
        call: &Call<'_>,
        response: reqwest::Response,
        request_id: Option<String>,
    ) -> PollError {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        // A body that cannot be read leaves the status, which says enough.
        let body = Body::new(response).bounded(ANSWER_LIMIT_BYTES).await.unwrap_or_default();
        let failures = Answer::read(&body).map(|answer| answer.failures()).unwrap_or_default();
        let now = self.world.now();
        let kind = error::kind(u64::from(status), &failures, call.paged, || throttled_wait(&headers, now));
        let kind = match (kind, &self.access) {
            // The status of a good answer with another number, such as 202: not this API.
            (PollErrorKind::RequestRefused, _) if (200..=299).contains(&status) => PollErrorKind::Unreadable,
            // A server fault that names its wait is waited for like a full quota.
            (PollErrorKind::ServerFault, _) if headers.contains_key(RETRY_AFTER) => {
                PollErrorKind::Throttled(throttled_wait(&headers, now))
            }
            // The token was good a moment ago; one new token shows whether the credentials are.
            (PollErrorKind::CredentialsRefused, Access::OAuth(_)) => PollErrorKind::TokenRefused,
            (PollErrorKind::CredentialsRefused, Access::Signed { .. }) if clock_is_off(&headers, now) => {
                PollErrorKind::ClockSkew
            }
            (kind, _) => kind,
        };
        if let (PollErrorKind::TokenExpired | PollErrorKind::TokenRefused, Access::OAuth(access)) =
            (kind, &self.access)
        {
            access.forget().await;
        }
        refusal(call.attempted, kind, status, failures, request_id)
    }
}

impl PageRequest {
    /// The request's body. The window goes with every page: a token holds an offset alone.
    pub(super) fn body(&self) -> Bytes {
        let mut pagination = json!({ "pageSize": self.page_size.clamp(1, super::PAGE_SIZE_LIMIT) });
        if let Some(token) = &self.token {
            pagination["pageToken"] = json!(token.as_str());
        }
        let mut item = json!({
            "startDateTime": super::api_time(self.window.start),
            "endDateTime": super::api_time(self.window.end),
        });
        if !self.categories.is_empty() {
            item["categories"] = json!(self.categories);
        }
        Bytes::from(json!({ "meta": { "pagination": pagination }, "data": [item] }).to_string())
    }
}

/// Reads an answer whole and looks at `meta.status` and `fail`.
pub(super) async fn read_answer(
    attempted: Attempted,
    response: reqwest::Response,
    request_id: Option<String>,
    world: &World,
) -> Result<Answer, PollError> {
    let headers = response.headers().clone();
    let body = Body::new(response)
        .bounded(ANSWER_LIMIT_BYTES)
        .await
        .map_err(|cause| PollError { request_id: request_id.clone(), ..unread(attempted, cause) })?;
    let Some(answer) = Answer::read(&body) else {
        return Err(refusal(attempted, PollErrorKind::Unreadable, 200, Vec::new(), request_id));
    };
    let failures = answer.failures();
    let status = answer.meta().status.unwrap_or(200);
    if failures.is_empty() && (200..=299).contains(&status) {
        return Ok(answer);
    }
    let kind = error::kind(status, &failures, false, || throttled_wait(&headers, world.now()));
    Err(refusal(attempted, kind, u16::try_from(status).unwrap_or(200), failures, request_id))
}

fn refusal(
    attempted: Attempted,
    kind: PollErrorKind,
    status: u16,
    failures: Vec<Failure>,
    request_id: Option<String>,
) -> PollError {
    let failure = failures.into_iter().next().unwrap_or_default();
    PollError {
        status: Some(status),
        code: failure.code,
        message: failure.message,
        request_id,
        ..PollError::new(attempted, kind)
    }
}

/// The error of a transport that failed. The URL is left out: the host is in the settings.
pub(super) fn transport(attempted: Attempted, cause: reqwest::Error) -> PollError {
    PollError {
        source: Some(Box::new(cause.without_url())),
        ..PollError::new(attempted, PollErrorKind::Unreachable)
    }
}

/// The error of a body that could not be read to its end.
pub(super) fn unread(attempted: Attempted, cause: BodyError) -> PollError {
    let cause = match cause {
        BodyError::Transport(cause) => BodyError::Transport(cause.without_url()),
        other => other,
    };
    PollError { source: Some(Box::new(cause)), ..PollError::new(attempted, PollErrorKind::Cut) }
}

/// The id that Mimecast's support asks for.
pub(super) fn request_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get("x-request-id")?.to_str().ok()?;
    Some(id.chars().take(100).collect())
}

/// Whether the answer's `Date` is far from this machine's time.
fn clock_is_off(headers: &HeaderMap, now: OffsetDateTime) -> bool {
    server_date(headers).is_some_and(|date| (date - now).abs() > CLOCK_SKEW)
}

/// The answer's `Date`.
pub(super) fn server_date(headers: &HeaderMap) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(headers.get(DATE)?.to_str().ok()?, &Rfc2822).ok()
}
