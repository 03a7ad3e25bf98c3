//! Dead letters in a container, one blob a file.

use std::sync::Arc;
use std::time::Duration;

use azure_core::http::{RequestContent, StatusCode};
use azure_storage_blob::{BlobClient, BlobContainerClient};
use azure_storage_blob::{BlobClientOptions, BlobContainerClientOptions};
use futures::TryStreamExt;
use url::Url;

use super::DeadLetterError;
use crate::checkpoint::blob::{RETRIES, StorageError};
use crate::checkpoint::bounded::whole;
use crate::identity::{Credential, signed_in_options};
use crate::retry::retry;
use crate::world::{Deadline, World};

/// The longest that one operation may take with its repeats.
const OPERATION_SECS: u64 = 60;

/// The largest file of letters that is read: ours hold the refused records of one body, each of a
/// megabyte at most, and the body is no larger than that.
const CONTENT_LIMIT_BYTES: usize = 64 * 1024 * 1024;

/// The container.
#[derive(Debug)]
pub struct BlobDeadLetters {
    container: Url,
    credential: Credential,
    http: reqwest::Client,
    world: World,
}

impl BlobDeadLetters {
    /// Dead letters in this container.
    pub fn new(container: Url, credential: Credential, http: reqwest::Client, world: World) -> Self {
        Self { container, credential, http, world }
    }

    fn deadline(&self) -> Deadline {
        Deadline::after(&self.world, Duration::from_secs(OPERATION_SECS))
    }

    fn blob(&self, name: &str) -> Result<BlobClient, StorageError> {
        let mut url = self.container.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push(name);
        }
        let options = BlobClientOptions {
            client_options: signed_in_options(&self.http, &self.credential),
            ..Default::default()
        };
        Ok(BlobClient::new(url, Some(Arc::new(self.credential.clone())), Some(options))?)
    }

    /// Writes a blob, over an older one of the same name.
    pub(super) async fn write(&self, name: &str, content: Vec<u8>) -> Result<(), DeadLetterError> {
        let written = retry(&RETRIES, self.deadline(), &self.world, async |_| {
            self.blob(name)?.upload(RequestContent::from(content.clone()), None).await?;
            Ok::<_, StorageError>(())
        });
        written.await.map_err(|exhausted| failed("keep a record", exhausted.cause))
    }

    /// Names of all blobs.
    pub(super) async fn list(&self) -> Result<Vec<String>, DeadLetterError> {
        let listed = retry(&RETRIES, self.deadline(), &self.world, async |_| {
            let options = BlobContainerClientOptions {
                client_options: signed_in_options(&self.http, &self.credential),
                ..Default::default()
            };
            let credential = Arc::new(self.credential.clone());
            // The crate adds to the path, which must not end in a slash then.
            let mut url = self.container.clone();
            let path = url.path().trim_end_matches('/').to_owned();
            url.set_path(&path);
            let container = BlobContainerClient::new(url, Some(credential), Some(options))?;
            let blobs: Vec<_> = container.list_blobs(None)?.try_collect().await?;
            Ok::<_, StorageError>(blobs.into_iter().filter_map(|blob| blob.name).collect())
        });
        listed.await.map_err(|exhausted| failed("list records", exhausted.cause))
    }

    /// A blob's content.
    pub(super) async fn read(&self, name: &str) -> Result<Vec<u8>, DeadLetterError> {
        let read = retry(&RETRIES, self.deadline(), &self.world, async |_| {
            let body = self.blob(name)?.download(None).await?.body;
            Ok::<_, StorageError>(whole(body, CONTENT_LIMIT_BYTES).await?.to_vec())
        });
        read.await.map_err(|exhausted| failed("read a record", exhausted.cause))
    }

    /// Deletes a blob; one that is gone already is fine.
    pub(super) async fn remove(&self, name: &str) -> Result<(), DeadLetterError> {
        let removed = retry(&RETRIES, self.deadline(), &self.world, async |_| {
            match self.blob(name)?.delete(None).await {
                Err(error) if error.http_status() == Some(StatusCode::NotFound) => Ok(()),
                Err(error) => Err(StorageError::from(error)),
                Ok(_) => Ok(()),
            }
        });
        removed.await.map_err(|exhausted| failed("remove a record", exhausted.cause))
    }
}

fn failed(attempted: &'static str, source: StorageError) -> DeadLetterError {
    DeadLetterError::Storage { attempted, source }
}
