//! The checkpoint in a blob, under a lease and an ETag.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use azure_core::error::ErrorKind;
use azure_core::http::{Etag, RequestContent, StatusCode};
use azure_storage_blob::models::{
    BlobClientAcquireLeaseOptions, BlobClientAcquireLeaseResultHeaders, BlobClientDownloadOptions,
    BlobClientUploadOptions,
};
use azure_storage_blob::{BlobClient, BlobClientOptions};
use bytes::Bytes;
use contract::checkpoint::checkpoint_name;
use url::Url;

use super::CheckpointError;
use super::bounded::whole;
use super::lease::{LEASE_SECS, Lease, Renewal};
use crate::identity::{Credential, advice, signed_in_options};
use crate::retry::{Retry, RetryPolicy, Retryable, retry};
use crate::world::{Deadline, World};

/// Storage is near and quick; what does not pass within half a minute is for the next run.
pub(crate) const RETRIES: RetryPolicy =
    RetryPolicy { attempts: 6, first_wait: Duration::from_millis(500), longest_wait: Duration::from_secs(8) };

/// The longest that one write may take with its repeats: less than what a lease is good for.
const WRITE_SECS: u64 = 40;

/// The largest checkpoint that is read. Ours remember at most 88,000 ids of some 20 bytes each.
const CONTENT_LIMIT_BYTES: usize = 8 * 1024 * 1024;

/// Where the checkpoint lives.
#[derive(Debug, Clone)]
pub struct BlobPlace {
    container: Url,
    account: String,
    credential: Credential,
    http: reqwest::Client,
}

/// The checkpoint, leased.
pub struct BlobHeld {
    place: BlobPlace,
    world: World,
    blob: Arc<BlobClient>,
    lease_id: String,
    lease: Lease,
    etag: Option<Etag>,
    /// What was read beside taking the lease, where it is what the lease was given on.
    read_ahead: Option<Bytes>,
}

impl fmt::Debug for BlobHeld {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("BlobHeld").field("place", &self.place).finish_non_exhaustive()
    }
}

/// A storage call that failed.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.text())]
pub struct StorageError {
    source: azure_core::Error,
}

impl StorageError {
    /// HTTP status of the answer, where there was one.
    pub fn status(&self) -> Option<u16> {
        self.source.http_status().map(u16::from)
    }

    /// The service's own code.
    pub fn code(&self) -> Option<&str> {
        match self.source.kind() {
            ErrorKind::HttpResponse { error_code, .. } => error_code.as_deref(),
            _ => None,
        }
    }

    /// Whether the blob is larger than anything of ours.
    pub fn too_large(&self) -> bool {
        matches!(self.source.kind(), ErrorKind::DataConversion)
    }

    /// Whether somebody else holds the lease. Other conflicts, such as a container that is being deleted,
    /// are faults (<https://learn.microsoft.com/rest/api/storageservices/lease-blob>).
    fn leased(&self) -> bool {
        let held = ["LeaseAlreadyPresent", "LeaseIsBreakingAndCannotBeAcquired"];
        self.status() == Some(409) && self.code().is_some_and(|code| held.contains(&code))
    }

    /// Whether the service may have done the work although no answer came.
    fn answer_lost(&self) -> bool {
        matches!(self.source.kind(), ErrorKind::Io) || self.status().is_some_and(|status| status >= 500)
    }

    fn text(&self) -> String {
        let code = self.code().unwrap_or("no code");
        match self.status() {
            Some(status @ (401 | 403)) => format!(
                "storage refused the identity ({status} {code}): it needs the role Storage Blob Data \
                 Owner on the storage account, which can take minutes to work after it was given, and \
                 the account's firewall must let it in"
            ),
            Some(404) => format!("storage has no such container or blob (404 {code})"),
            Some(status) => format!("storage answered {status} {code}"),
            None => match self.source.kind() {
                ErrorKind::Credential => "no token for storage".to_owned(),
                ErrorKind::DataConversion => self.source.to_string(),
                _ => "storage could not be reached".to_owned(),
            },
        }
    }
}

impl Retryable for StorageError {
    fn retry(&self) -> Retry {
        advice(&self.source)
    }
}

impl From<azure_core::Error> for StorageError {
    fn from(source: azure_core::Error) -> Self {
        Self { source }
    }
}

impl BlobPlace {
    /// An account's checkpoint in a container.
    pub fn new(container: &Url, account: &str, credential: Credential, http: &reqwest::Client) -> Self {
        let account = account.to_owned();
        Self { container: container.clone(), account, credential, http: http.clone() }
    }

    /// A place beside this one, under another key.
    pub fn beside(&self, key: &str) -> Self {
        Self { account: key.to_owned(), ..self.clone() }
    }

    fn blob(&self, name: &str) -> Result<BlobClient, CheckpointError> {
        let url = self.container.join(name).map_err(|_| CheckpointError::Name { name: name.to_owned() })?;
        let options = BlobClientOptions {
            client_options: signed_in_options(&self.http, &self.credential),
            ..Default::default()
        };
        BlobClient::new(url, Some(Arc::new(self.credential.clone())), Some(options))
            .map_err(|source| CheckpointError::Take { source: source.into() })
    }

    /// The content as it is, without a lease.
    ///
    /// # Errors
    /// When storage does not give it.
    pub async fn content(&self, world: &World) -> Result<Bytes, CheckpointError> {
        let blob = self.blob(&checkpoint_name(&self.account))?;
        let deadline = Deadline::after(world, Duration::from_secs(WRITE_SECS));
        let read = retry(&RETRIES, deadline, world, async |_| download(&blob, None).await);
        read.await.map(|(content, _)| content).map_err(|exhausted| not_read(exhausted.cause))
    }

    /// Leases the checkpoint, which is made where it is missing. `None`: another process has it.
    ///
    /// # Errors
    /// When storage does not let us.
    pub async fn take(&self, world: &World, deadline: Deadline) -> Result<Option<BlobHeld>, CheckpointError> {
        let blob = Arc::new(self.blob(&checkpoint_name(&self.account))?);
        // An id of our own makes the call repeatable: who holds a lease may acquire it again.
        let lease_id = world.identity().to_string();
        let acquired = retry(&RETRIES, deadline, world, async |_| {
            let asked_at = world.elapsed();
            let version = match acquire(&blob, &lease_id).await {
                Err(error) if error.status() == Some(404) && error.code() == Some("BlobNotFound") => {
                    create(&blob).await?;
                    acquire(&blob, &lease_id).await?
                }
                other => other?,
            };
            Ok::<_, StorageError>((asked_at, version))
        });
        // Each of the two takes its way to storage and back. A content that cannot be read now is read
        // under the lease.
        let ahead = async { Ok(download(&blob, None).await) };
        let ((asked_at, version), ahead) = match tokio::try_join!(acquired, ahead) {
            Ok(both) => both,
            Err(exhausted) if exhausted.cause.leased() => return Ok(None),
            Err(exhausted) => return Err(CheckpointError::Take { source: exhausted.cause }),
        };
        let (renewed, id) = (blob.clone(), lease_id.clone());
        let lease = Lease::watch(world, asked_at, move || {
            let (blob, id) = (renewed.clone(), id.clone());
            async move { renew(&blob, id).await }
        });
        let (place, world) = (self.clone(), world.clone());
        // Whoever had the lease before may have written between the two answers; a lease is given on a
        // version, and does not change it.
        let ahead = ahead.ok().filter(|(_, read)| version.is_some() && *read == version);
        let (read_ahead, etag) = ahead.map_or((None, None), |(content, etag)| (Some(content), etag));
        Ok(Some(BlobHeld { place, world, blob, lease_id, lease, etag, read_ahead }))
    }
}

impl BlobHeld {
    /// The lease.
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// The content. Notes the version that the next write must find.
    ///
    /// # Errors
    /// When storage does not give it.
    pub async fn read(&mut self) -> Result<Bytes, CheckpointError> {
        if let Some(content) = self.read_ahead.take() {
            return Ok(content);
        }
        let read = retry(&RETRIES, self.write_deadline(), &self.world, async |_| {
            download(&self.blob, Some(&self.lease_id)).await
        });
        let (content, etag) = read.await.map_err(|exhausted| not_read(exhausted.cause))?;
        self.etag = etag;
        Ok(content)
    }

    /// Replaces the content, on condition that the lease is ours and nobody has written since.
    ///
    /// # Errors
    /// [`CheckpointError::Lost`] when one of the two no longer holds.
    pub async fn write(&mut self, content: Bytes) -> Result<(), CheckpointError> {
        let deadline = self.write_deadline();
        let mut answer_lost = false;
        let written = retry(&RETRIES, deadline, &self.world, async |_| {
            if !self.lease.alive(&self.world) {
                return Err(WriteError::Lost);
            }
            let options = BlobClientUploadOptions {
                lease_id: Some(self.lease_id.clone()),
                if_match: self.etag.clone(),
                blob_content_type: Some("application/json".to_owned()),
                ..Default::default()
            };
            match self.blob.upload(content.clone().into(), Some(options)).await {
                Ok(uploaded) => Ok(uploaded.etag),
                Err(error) => {
                    let error = StorageError::from(error);
                    match (error.status(), error.code()) {
                        // Our own write whose answer was lost looks like somebody else's.
                        (Some(412), Some("ConditionNotMet")) if answer_lost => self.own_write(&content).await,
                        (Some(409 | 412), _) => Err(WriteError::Lost),
                        _ => {
                            answer_lost |= error.answer_lost();
                            Err(WriteError::Storage(error))
                        }
                    }
                }
            }
        });
        match written.await {
            Ok(etag) => {
                self.etag = etag;
                Ok(())
            }
            Err(exhausted) => Err(match exhausted.cause {
                WriteError::Lost => CheckpointError::Lost,
                WriteError::Storage(source) => CheckpointError::Write { source },
            }),
        }
    }

    /// The present version, where the content is what we wrote.
    async fn own_write(&self, content: &Bytes) -> Result<Option<Etag>, WriteError> {
        let (found, etag) = download(&self.blob, Some(&self.lease_id)).await?;
        if found == *content { Ok(etag) } else { Err(WriteError::Lost) }
    }

    /// Keeps content aside in a blob of its own; one that is there already stays.
    ///
    /// # Errors
    /// When storage does not take it.
    pub async fn keep_aside(&self, name: &str, content: &[u8]) -> Result<(), CheckpointError> {
        let blob = self.place.blob(name)?;
        let kept = retry(&RETRIES, self.write_deadline(), &self.world, async |_| {
            let options = BlobClientUploadOptions { if_none_match: Some("*".into()), ..Default::default() };
            match blob.upload(RequestContent::from(content.to_vec()), Some(options)).await {
                Ok(_) => Ok(()),
                Err(error) if error.http_status() == Some(StatusCode::Conflict) => Ok(()),
                Err(error) => Err(StorageError::from(error)),
            }
        });
        kept.await.map_err(|exhausted| CheckpointError::Write { source: exhausted.cause })
    }

    /// Lets go of the lease, so that the next run need not wait for its end. Where that fails, the
    /// lease ends by itself.
    pub async fn release(self) {
        self.lease.stop();
        let _ = self.blob.release_lease(self.lease_id.clone(), None).await;
    }

    fn write_deadline(&self) -> Deadline {
        Deadline::after(&self.world, Duration::from_secs(WRITE_SECS))
    }
}

fn not_read(source: StorageError) -> CheckpointError {
    if source.too_large() { CheckpointError::TooLarge { source } } else { CheckpointError::Read { source } }
}

#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error("the lease or the version is no longer ours")]
    Lost,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Retryable for WriteError {
    fn retry(&self) -> Retry {
        match self {
            Self::Lost => Retry::Never,
            Self::Storage(error) => error.retry(),
        }
    }
}

/// Acquires the lease and gives the version that it was given on.
async fn acquire(blob: &BlobClient, lease_id: &str) -> Result<Option<Etag>, StorageError> {
    let options =
        BlobClientAcquireLeaseOptions { proposed_lease_id: Some(lease_id.to_owned()), ..Default::default() };
    Ok(blob.acquire_lease(LEASE_SECS as i32, Some(options)).await?.etag()?)
}

/// The content and its version. With a lease's id, only while that lease is there.
async fn download(
    blob: &BlobClient,
    lease_id: Option<&String>,
) -> Result<(Bytes, Option<Etag>), StorageError> {
    let options = BlobClientDownloadOptions { lease_id: lease_id.cloned(), ..Default::default() };
    let download = blob.download(Some(options)).await?;
    let etag = download.properties.etag.clone();
    Ok((whole(download.body, CONTENT_LIMIT_BYTES).await?, etag))
}

/// Makes the empty checkpoint, unless somebody has.
async fn create(blob: &BlobClient) -> Result<(), StorageError> {
    let options = BlobClientUploadOptions { if_none_match: Some("*".into()), ..Default::default() };
    match blob.upload(RequestContent::from(Vec::new()), Some(options)).await {
        Ok(_) => Ok(()),
        // 412 where it is leased already.
        Err(error)
            if matches!(error.http_status(), Some(StatusCode::Conflict | StatusCode::PreconditionFailed)) =>
        {
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

async fn renew(blob: &BlobClient, lease_id: String) -> Renewal {
    match blob.renew_lease(lease_id, None).await {
        Ok(_) => Renewal::Renewed,
        Err(error) => match error.http_status().map(u16::from) {
            Some(404 | 409 | 412) => Renewal::Lost,
            _ => Renewal::Failed,
        },
    }
}
