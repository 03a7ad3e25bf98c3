//! Mimecast's API, both generations, as far as audit events need it.
//!
//! Sources: Mimecast's pages on get-audit-events, authorization, response codes and rate limits
//! (integrations.mimecast.com), and what public clients and captures show. What is not known of the
//! real service can be set either way in [`Settings`].
//!
//! * [`history`]: the events, and which of them a window holds.
//! * [`access`]: tokens, signatures, bindings, quota.
//! * [`answer`]: the bodies.
//! * [`recorded`]: recorded answers, served on demand.

pub mod access;
mod answer;
pub mod history;
pub mod recorded;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::post;
use serde_json::Value;

use crate::clock::Clock;
use access::Access;
use answer::Answer;
use history::{History, Query};

pub use access::{Quota, Settings};
pub use history::{Arrival, Event, Order, Synthetic};

/// The name under which the listener is started, journalled and met by faults.
pub const SERVICE: &str = "mimecast";

/// One Mimecast account; clones share it.
#[derive(Debug, Clone)]
pub struct Mimecast {
    clock: Clock,
    account: Arc<Mutex<Account>>,
}

#[derive(Debug)]
struct Account {
    settings: Settings,
    access: Access,
    history: History,
    /// Pages of events that were answered so far.
    pages: u64,
}

impl Mimecast {
    /// An account with the project's own history, whose times end ten minutes before the clock's.
    pub fn new(clock: Clock) -> Self {
        let history = History::recorded(clock.now());
        Self::with(clock, history)
    }

    /// An account without any event.
    pub fn empty(clock: Clock) -> Self {
        Self::with(clock, History::default())
    }

    fn with(clock: Clock, history: History) -> Self {
        let settings = Settings::default();
        let access = Access::new(&settings, clock.now());
        Self { clock, account: Arc::new(Mutex::new(Account { settings, access, history, pages: 0 })) }
    }

    /// The routes.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/oauth/token", post(token))
            .route("/api/audit/get-audit-events", post(events))
            .route("/api/audit/get-categories", post(categories))
            .route("/api/account/get-account", post(account))
            .route("/api/login/login", post(login))
            .route("/api/login/discover-authentication", post(discover))
            .fallback(async || Answer::status(404).into_response())
            .method_not_allowed_fallback(async || Answer::status(405).into_response())
            .with_state(self.clone())
    }

    /// Changes how the account behaves.
    pub fn configure(&self, change: impl FnOnce(&mut Settings)) {
        let mut account = self.lock();
        change(&mut account.settings);
    }

    /// What the account accepts and how it behaves.
    pub fn settings(&self) -> Settings {
        self.lock().settings.clone()
    }

    /// Adds events.
    pub fn add(&self, events: impl IntoIterator<Item = Event>) {
        self.lock().history.add(events);
    }

    /// Replaces the history by one that is made as it is served: for millions of events.
    pub fn synthesise(&self, synthetic: Synthetic) {
        self.lock().history = History::synthetic(synthetic);
    }

    /// Every event, newest first, whether it has arrived or not. Empty for a synthetic history.
    pub fn events(&self) -> Vec<Event> {
        self.lock().history.listed().to_vec()
    }

    /// How many pages of events were answered.
    pub fn pages(&self) -> u64 {
        self.lock().pages
    }

    /// From now on no page token that was given before is accepted.
    pub fn revoke_page_tokens(&self) {
        self.lock().access.page_generation += 1;
    }

    /// From now on no API 2.0 token that was given before is accepted: they count as expired.
    pub fn expire_tokens(&self) {
        self.lock().access.expire_tokens();
    }

    /// The API 1.0 binding has ended; a login renews it.
    pub fn expire_binding(&self) {
        let now = self.clock.now();
        self.lock().access.binding_ends_at = now;
    }

    fn lock(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits the latency, then answers with the account held.
    async fn answered(&self, answer: impl FnOnce(&mut Account) -> Answer) -> Response {
        let latency = self.lock().settings.latency;
        if latency > Duration::ZERO {
            tokio::time::sleep(latency).await;
        }
        let answer = answer(&mut self.lock());
        answer.dated(self.clock.now()).into_response()
    }
}

async fn token(State(mimecast): State<Mimecast>, body: Bytes) -> Response {
    let now = mimecast.clock.now();
    mimecast.answered(|account| account.access.token(&account.settings, now, &body)).await
}

async fn login(State(mimecast): State<Mimecast>, headers: HeaderMap, body: Bytes) -> Response {
    let now = mimecast.clock.now();
    mimecast.answered(|account| account.access.login(&account.settings, now, &headers, &body)).await
}

async fn discover(State(mimecast): State<Mimecast>, body: Bytes) -> Response {
    mimecast.answered(|account| access::discover(&account.settings, &body)).await
}

async fn categories(State(mimecast): State<Mimecast>, headers: HeaderMap) -> Response {
    let now = mimecast.clock.now();
    let path = "/api/audit/get-categories";
    mimecast
        .answered(|account| {
            let admitted = account.access.admit(&account.settings, now, &headers, path);
            let answer = admitted.map_or_else(|refused| refused, |()| answer::categories());
            account.access.counted(&account.settings, now, answer)
        })
        .await
}

async fn account(State(mimecast): State<Mimecast>, headers: HeaderMap) -> Response {
    let now = mimecast.clock.now();
    let path = "/api/account/get-account";
    mimecast
        .answered(|account| {
            let admitted = account.access.admit(&account.settings, now, &headers, path);
            let answer = admitted.map_or_else(|refused| refused, |()| answer::account());
            account.access.counted(&account.settings, now, answer)
        })
        .await
}

async fn events(State(mimecast): State<Mimecast>, headers: HeaderMap, body: Bytes) -> Response {
    let now = mimecast.clock.now();
    let path = "/api/audit/get-audit-events";
    let latency = mimecast.lock().settings.latency;
    if latency > Duration::ZERO {
        tokio::time::sleep(latency).await;
    }
    let gzip = headers
        .get("accept-encoding")
        .is_some_and(|accepted| accepted.to_str().is_ok_and(|accepted| accepted.contains("gzip")));
    // The page is made outside the lock: a synthetic one takes milliseconds.
    let (page, settings) = {
        let mut account = mimecast.lock();
        let account = &mut *account;
        let asked = account.access.admit(&account.settings, now, &headers, path).and_then(|()| {
            let request: Value = serde_json::from_slice(&body)
                .map_err(|_| Answer::failed(400, "err_deserialise", "payload is not valid JSON"))?;
            Query::read(&request, &account.settings, account.access.page_generation)
        });
        let query = match asked {
            Ok(query) => query,
            Err(refused) => {
                let refused = account.access.counted(&account.settings, now, refused);
                return refused.dated(now).into_response();
            }
        };
        account.pages += 1;
        let page = account.history.page(&query, &account.settings, now, account.pages);
        (page, account.settings.clone())
    };
    let generation = mimecast.lock().access.page_generation;
    let answer = answer::page(page, &settings, generation, gzip);
    let answer = mimecast.lock().access.counted(&settings, now, answer);
    answer.dated(now).into_response()
}

/// A body for a response.
fn body(bytes: Bytes) -> Body {
    Body::from(bytes)
}
