//! Long operations: watched to their end, whichever of Azure's three ways a provider uses.
//!
//! The order follows
//! <https://learn.microsoft.com/azure/azure-resource-manager/management/async-operations>: the
//! `Azure-AsyncOperation` header, then `Location`, then `provisioningState` of the resource itself.

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use super::Azure;
use super::error::{AzureError, ErrorTree, Refusal};
use super::http::{Answer, Call, require_resource_manager};
use super::id::ResourceId;

/// How a long operation can be watched.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Watch {
    /// A document with `status` (`Azure-AsyncOperation`).
    Status(Url),
    /// A URL that answers 202 until the work is done (`Location`).
    Location(Url),
    /// The resource's own `provisioningState`.
    Resource(Url),
}

/// Where an operation stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Running(String),
    Succeeded,
    Failed(String),
}

impl State {
    /// Reads a state word. Only three words end an operation, in any case; Azure adds others
    /// (`Creating`, `RegisteringDns`, …) as it likes, and all of them mean that it goes on.
    fn read(word: &str) -> Self {
        if word.eq_ignore_ascii_case("Succeeded") {
            Self::Succeeded
        } else if ["Failed", "Canceled", "Cancelled"].iter().any(|end| word.eq_ignore_ascii_case(end)) {
            Self::Failed(word.to_owned())
        } else {
            Self::Running(word.to_owned())
        }
    }

    /// The state of a resource's body: one without the word is ready.
    fn of_resource(body: &Value) -> Self {
        body["properties"]["provisioningState"].as_str().map_or(Self::Succeeded, Self::read)
    }
}

/// What an operation was started by, which decides what a 404 on the way means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Write,
    Delete,
}

impl Azure {
    /// Waits for the end of the operation that a PUT began, and gives the resource as read back: an
    /// answer to a PUT can lack what only reading shows, and a replica that answers reads may not
    /// know the resource for a moment.
    pub(super) async fn finish_put(
        &self,
        what: &str,
        id: &ResourceId,
        api_version: &str,
        answer: Answer,
    ) -> Result<Value, AzureError> {
        let mut named_delay = answer.retry_after();
        let mut written = None;
        if let Some(watch) = self.watch(what, &answer)? {
            self.follow(what, &watch, Purpose::Write, named_delay.take()).await?;
            // The operation is over; some providers go on by `provisioningState` all the same.
            named_delay = Some(Duration::ZERO);
        } else if answer.status != 202 && !answer.body.is_empty() {
            let body: Value = answer.json(what)?;
            match State::of_resource(&body) {
                State::Running(_) => {}
                State::Failed(state) => return Err(failed(what, state, &answer, &body)),
                State::Succeeded => {
                    named_delay = Some(Duration::ZERO);
                    written = Some(body);
                }
            }
        }
        let own = Watch::Resource(self.resource_url(id, api_version)?);
        match self.follow(what, &own, Purpose::Write, named_delay).await {
            Ok(read) => read.json(what),
            // Some things can only be written, or not be read by everybody who may write them.
            Err(error) => match (error.status(), written) {
                (Some(403 | 405), Some(body)) => Ok(body),
                _ => Err(error),
            },
        }
    }

    /// Waits for the end of the operation that a DELETE began.
    pub(super) async fn finish_delete(
        &self,
        what: &str,
        id: &ResourceId,
        api_version: &str,
        answer: &Answer,
    ) -> Result<(), AzureError> {
        let watch = match self.watch(what, answer)? {
            Some(watch) => watch,
            None if answer.status == 202 => Watch::Resource(self.resource_url(id, api_version)?),
            None => return Ok(()),
        };
        self.follow(what, &watch, Purpose::Delete, answer.retry_after()).await.map(drop)
    }

    /// Waits for the end of the operation that a POST began, and gives its result.
    pub(super) async fn finish_post(&self, what: &str, answer: Answer) -> Result<Value, AzureError> {
        let read = |answer: &Answer| match answer.body.is_empty() {
            true => Ok(Value::Null),
            false => answer.json(what),
        };
        let Some(watch) = self.watch(what, &answer)? else { return read(&answer) };
        let last = self.follow(what, &watch, Purpose::Write, answer.retry_after()).await?;
        // The result of an operation with a status document lies at `Location`, where there is one.
        match (&watch, answer.header("location")) {
            (Watch::Status(_), Some(location)) => {
                let result = Watch::Location(self.following(what, location)?);
                let result = self.follow(what, &result, Purpose::Write, Some(Duration::ZERO)).await?;
                read(&result)
            }
            _ => read(&last),
        }
    }

    /// The way to watch that an answer names, if it began a long operation.
    fn watch(&self, what: &str, answer: &Answer) -> Result<Option<Watch>, AzureError> {
        if let Some(url) = answer.header("azure-asyncoperation") {
            return Ok(Some(Watch::Status(self.following(what, url)?)));
        }
        // With 201 `Location` only says where the new resource is.
        match answer.header("location").filter(|_| answer.status == 202) {
            Some(url) => Ok(Some(Watch::Location(self.following(what, url)?))),
            None => Ok(None),
        }
    }

    /// A URL that Azure gave, refused where it leads elsewhere.
    pub(super) fn following(&self, what: &str, url: &str) -> Result<Url, AzureError> {
        let cloud = &self.inner.cloud;
        // Some providers give a path alone.
        let url = cloud.resource_manager.join(url).map_err(|_| AzureError::ForeignHost {
            what: what.to_owned(),
            host: url.chars().take(80).collect(),
        })?;
        require_resource_manager(cloud, &url, what)?;
        Ok(url)
    }

    /// Looks until the operation ends, and gives the last answer.
    async fn follow(
        &self,
        what: &str,
        watch: &Watch,
        purpose: Purpose,
        first_delay: Option<Duration>,
    ) -> Result<Answer, AzureError> {
        let timings = &self.inner.timings;
        let started = Instant::now();
        let (Watch::Status(url) | Watch::Location(url) | Watch::Resource(url)) = watch;
        let scope = &self.inner.cloud.resource_manager_scope;
        let call = Call::new(what.to_owned(), Method::GET, url.clone(), scope);
        let mut named_delay = first_delay;
        let mut last_state = "accepted".to_owned();
        loop {
            let delay = match named_delay.take() {
                Some(delay) => delay.mul_f64(timings.calls.named_delay_factor),
                None => timings.poll_every,
            };
            if started.elapsed() + delay > timings.operation {
                let mut looked_at = url.clone();
                looked_at.set_query(None);
                return Err(AzureError::StillRunning {
                    what: what.to_owned(),
                    state: last_state,
                    waited: started.elapsed(),
                    url: looked_at.to_string(),
                });
            }
            tokio::time::sleep(delay).await;
            let answer = match self.send(&call).await {
                Ok(answer) => answer,
                Err(error) if error.status() == Some(404) => {
                    match purpose {
                        // What was to be deleted is gone, or the record of its deletion is.
                        Purpose::Delete => return Ok(absent()),
                        // A replica that has not heard of the new resource or operation yet.
                        Purpose::Write if started.elapsed() < timings.settling.within => {
                            "not visible yet".clone_into(&mut last_state);
                            continue;
                        }
                        Purpose::Write => return Err(error),
                    }
                }
                Err(error) => return Err(error),
            };
            named_delay = answer.retry_after();
            match look(what, watch, purpose, &answer)? {
                State::Succeeded => return Ok(answer),
                State::Running(state) => last_state = state,
                State::Failed(state) => {
                    let body = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
                    return Err(failed(what, state, &answer, &body));
                }
            }
        }
    }
}

/// What one look says.
fn look(what: &str, watch: &Watch, purpose: Purpose, answer: &Answer) -> Result<State, AzureError> {
    if matches!(watch, Watch::Location(_)) {
        // 202 goes on; anything else that is a success is the result.
        return Ok(if answer.status == 202 {
            State::Running("accepted".to_owned())
        } else {
            State::Succeeded
        });
    }
    if answer.status == 204 {
        return Ok(State::Succeeded);
    }
    if answer.body.is_empty() {
        // A status document without a body says nothing but its HTTP status.
        return Ok(match answer.status {
            202 => State::Running("accepted".to_owned()),
            _ => State::Succeeded,
        });
    }
    let body: Value = answer.json(what)?;
    Ok(match watch {
        Watch::Status(_) => match body["status"].as_str() {
            Some(word) => State::read(word),
            // Some providers answer the resource itself once they are done.
            None if answer.status == 202 => State::Running("accepted".to_owned()),
            None => State::of_resource(&body),
        },
        // A resource that can still be read is not deleted yet, whatever it says of itself.
        _ if purpose == Purpose::Delete => match State::of_resource(&body) {
            State::Failed(state) => State::Failed(state),
            State::Running(state) => State::Running(state),
            State::Succeeded => State::Running("still there".to_owned()),
        },
        _ => State::of_resource(&body),
    })
}

/// The error of an operation that ended badly, from whatever its document says.
fn failed(what: &str, state: String, answer: &Answer, body: &Value) -> AzureError {
    let refusal = Refusal {
        what: what.to_owned(),
        status: answer.status,
        tree: ErrorTree::from_value(body),
        request_id: Some(answer.request_id.clone()),
        retry_after: None,
    };
    AzureError::OperationFailed { state, refusal: Box::new(refusal) }
}

/// The answer that stands for a thing that is gone.
fn absent() -> Answer {
    Answer {
        status: 404,
        headers: reqwest::header::HeaderMap::new(),
        body: bytes::Bytes::new(),
        request_id: String::new(),
    }
}
