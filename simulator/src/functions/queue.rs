//! The host's part on a queue: receive, invoke, then delete, let rest or poison.
//!
//! Follows <https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue-trigger>.
//! It calls the queue service as the site's identity, so that it works on Azurite too and is refused
//! without the role.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::future::join_all;
use quick_xml::escape::escape;
use reqwest::{Method, Response};
use time::OffsetDateTime;

use super::host::Host;
use super::invocation::{Cause, MessageFacts, queue_payload};
use super::package::{QueueOptions, Trigger};
use super::storage::connection;
use crate::entra::token::sign;
use crate::storage::leaves;

/// How long a message is hidden while it is worked on; the host renews it half-way.
const HIDDEN: time::Duration = time::Duration::minutes(10);
/// How long the host waits for messages: at first, and at most.
const FIRST_WAIT: Duration = Duration::from_millis(20);
const LONGEST_WAIT: Duration = Duration::from_millis(500);
/// How often the renewal looks at the simulator's clock.
const TICK: Duration = Duration::from_millis(200);
/// The service version of the host's own calls.
const VERSION: &str = "2021-12-02";

/// The listener of one function on one instance.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) host: Arc<Host>,
    pub(super) function: String,
    pub(super) queue: String,
    pub(super) connection: String,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) options: QueueOptions,
    pub(super) instance: usize,
}

/// A call on a queue that did not do what it should.
#[derive(Debug, thiserror::Error)]
enum QueueError {
    #[error("calling the queue service")]
    Call(#[from] reqwest::Error),
    #[error("the queue service answered {0}")]
    Refused(u16),
    #[error("the connection of the queue: {0}")]
    Connection(#[from] super::storage::StorageRefused),
}

/// A received message.
#[derive(Debug)]
struct Message {
    facts: MessageFacts,
    text: String,
}

impl Listener {
    /// Listens until the task is ended with the host.
    pub(super) async fn run(self) {
        let mut wait = FIRST_WAIT;
        loop {
            // A service that refuses or fails is asked again: the role may not have spread yet.
            let messages = self.receive().await.unwrap_or_default();
            if messages.is_empty() {
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            } else {
                wait = FIRST_WAIT;
                join_all(messages.into_iter().map(|message| self.work(message))).await;
            }
        }
    }

    async fn call(
        &self,
        method: Method,
        queue: &str,
        path_and_query: &str,
        body: String,
    ) -> Result<Response, QueueError> {
        let state = &self.host.state;
        let (account, principal) =
            connection(state, &self.host.site_id, &self.connection, "queue", &self.environment)?;
        let root = match self.environment.get(&format!("{}__queueServiceUri", self.connection)) {
            Some(uri) => uri.trim_end_matches('/').to_owned(),
            None => format!("{}{account}", state.endpoints().queue),
        };
        let mut request = self
            .host
            .http
            .request(method, format!("{root}/{queue}{path_and_query}"))
            .header("x-ms-version", VERSION)
            .body(body);
        if let Some(principal) = state.principal(&principal) {
            request = request.bearer_auth(sign(state, &principal, "https://storage.azure.com", 3600));
        }
        let response = request.send().await?;
        match response.status() {
            status if status.is_success() => Ok(response),
            status => Err(QueueError::Refused(status.as_u16())),
        }
    }

    async fn receive(&self) -> Result<Vec<Message>, QueueError> {
        let (count, seconds) = (self.options.batch_size, HIDDEN.whole_seconds());
        let query = format!("/messages?numofmessages={count}&visibilitytimeout={seconds}");
        let body = self.call(Method::GET, &self.queue, &query, String::new()).await?.bytes().await?;
        let mut messages: Vec<Message> = Vec::new();
        for (name, text) in leaves(&body, "QueueMessagesList").unwrap_or_default() {
            if name == "MessageId" {
                let facts = MessageFacts {
                    id: text,
                    pop_receipt: String::new(),
                    dequeue_count: 0,
                    inserted: String::new(),
                    expires: String::new(),
                    next_visible: String::new(),
                };
                messages.push(Message { facts, text: String::new() });
            } else if let Some(Message { facts, text: message_text }) = messages.last_mut() {
                match name.as_str() {
                    "PopReceipt" => facts.pop_receipt = text,
                    "DequeueCount" => facts.dequeue_count = text.parse().unwrap_or_default(),
                    "InsertionTime" => facts.inserted = text,
                    "ExpirationTime" => facts.expires = text,
                    "TimeNextVisible" => facts.next_visible = text,
                    "MessageText" => *message_text = text,
                    _ => {}
                }
            }
        }
        Ok(messages)
    }

    /// Runs the function on one message, and ends the message as its outcome asks.
    async fn work(&self, message: Message) {
        let Message { mut facts, text } = message;
        let content = if self.options.base64 {
            STANDARD.decode(&text).ok().and_then(|bytes| String::from_utf8(bytes).ok())
        } else {
            Some(text.clone())
        };
        let succeeded = match content {
            // What cannot be decoded never reaches the function; it goes the way of failures.
            None => false,
            Some(content) => {
                let binding = self.binding();
                let now = self.host.state.now();
                let payload = queue_payload(&self.function, &binding, &content, Some(&facts), now);
                let invocation = self.host.invoke(&self.function, Cause::Queue, self.instance, Ok(payload));
                tokio::pin!(invocation);
                loop {
                    tokio::select! {
                        ended = &mut invocation => break ended.outcome.is_ok(),
                        receipt = self.renew(&facts, now) => facts.pop_receipt = receipt,
                    }
                }
            }
        };
        // A call that fails leaves the message to come back when its time is over.
        let _ = self.end(&facts, &text, succeeded).await;
    }

    fn binding(&self) -> String {
        let package = self.host.package();
        let functions = package.iter().flat_map(|package| &package.functions);
        let trigger =
            functions.filter(|each| each.name == self.function).find_map(|each| each.trigger.as_ref().ok());
        match trigger {
            Some(Trigger::Queue { binding, .. }) => binding.clone(),
            _ => String::new(),
        }
    }

    /// Waits until half of the hidden time is over, hides the message anew and gives its new receipt.
    async fn renew(&self, facts: &MessageFacts, since: OffsetDateTime) -> String {
        let mut since = since;
        loop {
            tokio::time::sleep(TICK).await;
            if self.host.state.now() - since < HIDDEN / 2 {
                continue;
            }
            since = self.host.state.now();
            let query = format!(
                "/messages/{}?popreceipt={}&visibilitytimeout={}",
                facts.id,
                encoded(&facts.pop_receipt),
                HIDDEN.whole_seconds()
            );
            if let Ok(response) = self.call(Method::PUT, &self.queue, &query, String::new()).await
                && let Some(receipt) = response.headers().get("x-ms-popreceipt")
            {
                return String::from_utf8_lossy(receipt.as_bytes()).into_owned();
            }
        }
    }

    async fn end(&self, facts: &MessageFacts, text: &str, succeeded: bool) -> Result<(), QueueError> {
        let receipt = encoded(&facts.pop_receipt);
        let delete = format!("/messages/{}?popreceipt={receipt}", facts.id);
        if succeeded {
            self.call(Method::DELETE, &self.queue, &delete, String::new()).await?;
        } else if facts.dequeue_count >= self.options.max_dequeue_count {
            let poison = format!("{}-poison", self.queue);
            self.call(Method::PUT, &poison, "", String::new()).await?;
            let body = format!("<QueueMessage><MessageText>{}</MessageText></QueueMessage>", escape(text));
            self.call(Method::POST, &poison, "/messages?messagettl=-1", body).await?;
            self.call(Method::DELETE, &self.queue, &delete, String::new()).await?;
        } else {
            let seconds = self.options.visibility_timeout.as_secs();
            let rest = format!("/messages/{}?popreceipt={receipt}&visibilitytimeout={seconds}", facts.id);
            self.call(Method::PUT, &self.queue, &rest, String::new()).await?;
        }
        Ok(())
    }
}

/// A text in a query.
fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
