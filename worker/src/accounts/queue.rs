//! The queue `sync-work`, written by us; the Functions host reads it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use azure_storage_queue::models::{QueueClientSendMessageOptions, QueueMessage};
use azure_storage_queue::{QueueClient, QueueClientOptions};
use url::Url;

use super::message::Message;
use crate::checkpoint::blob::RETRIES;
use crate::http;
use crate::identity::{Credential, advice, signed_in_options};
use crate::retry::{Retry, Retryable, retry};
use crate::world::{Deadline, World};

/// Longest time for one message with its repeats.
const PUT_SECS: u64 = 30;

/// Why a message could not be put.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.text())]
pub struct QueueError {
    #[source]
    source: azure_core::Error,
}

impl QueueError {
    /// The code that goes into health rows and logs.
    pub fn code(&self) -> &'static str {
        match self.status() {
            Some(401 | 403) => "queue_denied",
            Some(404) => "queue_not_found",
            _ => "queue_unavailable",
        }
    }

    fn status(&self) -> Option<u16> {
        self.source.http_status().map(u16::from)
    }

    fn text(&self) -> String {
        match self.status() {
            Some(status @ (401 | 403)) => format!(
                "the queue refused the identity ({status}): it needs the role Storage Queue Data Contributor \
                 on the storage account, which can take minutes to work after it was given"
            ),
            Some(404) => "storage has no such queue (404)".to_owned(),
            Some(status) => format!("the queue answered {status}"),
            None => "the queue could not be reached".to_owned(),
        }
    }
}

impl Retryable for QueueError {
    fn retry(&self) -> Retry {
        advice(&self.source)
    }
}

impl From<azure_core::Error> for QueueError {
    fn from(source: azure_core::Error) -> Self {
        Self { source }
    }
}

/// The queue.
pub struct WorkQueue {
    client: QueueClient,
    world: World,
}

impl fmt::Debug for WorkQueue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("WorkQueue").field("url", &self.client.url().as_str()).finish_non_exhaustive()
    }
}

impl WorkQueue {
    /// The queue at this address.
    ///
    /// # Errors
    /// When the address cannot be a queue's.
    pub fn new(
        url: &Url,
        credential: Credential,
        http: &http::Client,
        world: &World,
    ) -> Result<Self, QueueError> {
        let mut url = url.clone();
        // The crate adds to the path, which must not end in a slash then.
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        let client_options = signed_in_options(http, &credential);
        let options = QueueClientOptions { client_options, ..Default::default() };
        let client = QueueClient::new(url, Some(Arc::new(credential)), Some(options))?;
        Ok(Self { client, world: world.clone() })
    }

    /// Puts a message that is seen after `delay` and, where `life` is given, is gone after that.
    ///
    /// # Errors
    /// [`QueueError`] after the last attempt. The message may be there twice where an answer was lost.
    pub async fn put(
        &self,
        message: &Message,
        delay: Duration,
        life: Option<Duration>,
    ) -> Result<(), QueueError> {
        let seconds = |length: Duration| i32::try_from(length.as_secs()).unwrap_or(i32::MAX);
        let text = message.write();
        let deadline = Deadline::after(&self.world, Duration::from_secs(PUT_SECS));
        let put = retry(&RETRIES, deadline, &self.world, async |_| {
            let content = QueueMessage { message_text: Some(text.clone()) };
            let options = QueueClientSendMessageOptions {
                message_time_to_live: life.map(seconds),
                visibility_timeout: Some(delay).filter(|delay| !delay.is_zero()).map(seconds),
                ..Default::default()
            };
            self.client.send_message(content.try_into()?, Some(options)).await?;
            Ok::<_, QueueError>(())
        });
        put.await.map_err(|exhausted| exhausted.cause)
    }
}
