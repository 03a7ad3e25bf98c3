//! Blobs of our own storage account, by the signed-in person's data role.

use std::collections::HashMap;
use std::sync::Arc;

use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::error::ErrorKind;
use azure_storage_blob::models::{
    BlobClientGetPropertiesResultHeaders, BlobClientUploadOptions, BlobContainerClientListBlobsOptions,
};
use azure_storage_blob::{BlobClient, BlobClientOptions, BlobContainerClient, BlobContainerClientOptions};
use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use sha2::{Digest, Sha256};
use url::Url;

use super::credential::{Tokens, single_try};
use super::error::{AzureError, ErrorTree, Refusal};
use super::http::{ANSWER_LIMIT_BYTES, require_own_host, under};
use super::retry::{Retry, RetryPolicy, retry};
use super::{Azure, SHORT_WHILE};

/// Metadata of a blob that [`Azure::upload_if_changed`] wrote: the SHA-256 of its content.
const HASH_METADATA: &str = "sha256";

/// The service's word for a container that it does not know.
const NO_CONTAINER: &str = "ContainerNotFound";

/// Since when the caller has the role that a data call needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It is as it is: a refusal is final.
    Standing,
    /// It was given a moment ago, or the account is new: a refusal is waited out, for as long as
    /// roles take to spread.
    JustGranted,
}

/// What became of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uploaded {
    /// The blob has our content now.
    Written,
    /// It was there already and is as it was.
    AlreadyThere,
}

/// The signed-in credential for the storage scope of this cloud, whatever the library asks for.
#[derive(Debug)]
struct StorageTokens {
    tokens: Tokens,
    scope: String,
}

#[async_trait::async_trait]
impl TokenCredential for StorageTokens {
    async fn get_token(
        &self,
        _scopes: &[&str],
        _options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        self.tokens.get(&self.scope).await.map_err(|error| match error {
            AzureError::Token { source, .. } => source,
            other => azure_core::Error::new(ErrorKind::Credential, other),
        })
    }
}

impl Azure {
    /// Writes the blob where there is none; leaves one that is there as it is.
    ///
    /// # Errors
    /// [`AzureError`] when the service refuses, with the hint that names the missing role.
    pub async fn upload_if_absent(
        &self,
        container: &Url,
        name: &str,
        content: Bytes,
        access: Access,
    ) -> Result<Uploaded, AzureError> {
        let what = format!("writing blob `{name}`");
        let blob = self.blob(&what, container, name)?;
        let attempt = || async {
            let options = BlobClientUploadOptions::default().if_not_exists();
            match blob.upload(content.clone().into(), Some(options)).await {
                Ok(_) => Ok(Uploaded::Written),
                Err(error) => match storage_error(&what, error) {
                    // The condition `If-None-Match: *` failed, which is what was wished for.
                    error if error.has_code("BlobAlreadyExists") => Ok(Uploaded::AlreadyThere),
                    error => Err(error),
                },
            }
        };
        self.storage_retry(access, attempt).await
    }

    /// Writes the blob unless it was written by this very call with the same content before.
    ///
    /// # Errors
    /// As [`Azure::upload_if_absent`].
    pub async fn upload_if_changed(
        &self,
        container: &Url,
        name: &str,
        content: Bytes,
        access: Access,
    ) -> Result<Uploaded, AzureError> {
        let what = format!("writing blob `{name}`");
        let blob = self.blob(&what, container, name)?;
        let hash: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
        let attempt = || async {
            let known = match blob.get_properties(None).await {
                Ok(properties) => {
                    properties.metadata().map_err(|error| storage_error(&what, error))?.remove(HASH_METADATA)
                }
                Err(error) => match storage_error(&what, error) {
                    error if is_no_blob(&error) => None,
                    error => return Err(error),
                },
            };
            if known.as_ref() == Some(&hash) {
                return Ok(Uploaded::AlreadyThere);
            }
            let options = BlobClientUploadOptions {
                metadata: Some(HashMap::from([(HASH_METADATA.to_owned(), hash.clone())])),
                ..BlobClientUploadOptions::default()
            };
            let uploaded = blob.upload(content.clone().into(), Some(options)).await;
            uploaded.map(|_| Uploaded::Written).map_err(|error| storage_error(&what, error))
        };
        self.storage_retry(access, attempt).await
    }

    /// Whether the blob is there.
    ///
    /// # Errors
    /// As [`Azure::upload_if_absent`].
    pub async fn blob_exists(&self, container: &Url, name: &str, access: Access) -> Result<bool, AzureError> {
        let what = format!("looking for blob `{name}`");
        let blob = self.blob(&what, container, name)?;
        let attempt = || async {
            match blob.get_properties(None).await {
                Ok(_) => Ok(true),
                Err(error) => match storage_error(&what, error) {
                    error if is_no_blob(&error) => Ok(false),
                    error => Err(error),
                },
            }
        };
        self.storage_retry(access, attempt).await
    }

    /// The blob's content; `None` where there is no such blob.
    ///
    /// # Errors
    /// As [`Azure::upload_if_absent`]; [`AzureError::TooLong`] where it has more bytes than this.
    pub async fn download(
        &self,
        container: &Url,
        name: &str,
        limit_bytes: usize,
        access: Access,
    ) -> Result<Option<Bytes>, AzureError> {
        let what = format!("reading blob `{name}`");
        // The words of a refusal need room too.
        let blob = self.blob_within(&what, container, name, limit_bytes.max(ANSWER_LIMIT_BYTES))?;
        let attempt = || async {
            let content = async {
                let mut body = blob.download(None).await?.body;
                let mut content = BytesMut::new();
                while let Some(chunk) = body.try_next().await? {
                    if content.len() + chunk.len() > limit_bytes {
                        return Ok(None);
                    }
                    content.extend_from_slice(&chunk);
                }
                Ok(Some(content.freeze()))
            };
            match content.await {
                Ok(Some(content)) => Ok(Some(content)),
                Ok(None) => Err(AzureError::TooLong { what: what.clone(), limit_bytes }),
                Err(error) => match storage_error(&what, error) {
                    error if is_no_blob(&error) => Ok(None),
                    error => Err(error),
                },
            }
        };
        self.storage_retry(access, attempt).await
    }

    /// The names of the container's blobs that begin with `prefix`, in the service's order.
    ///
    /// # Errors
    /// As [`Azure::upload_if_absent`].
    pub async fn blob_names(
        &self,
        container: &Url,
        prefix: &str,
        access: Access,
    ) -> Result<Vec<String>, AzureError> {
        let what = format!("listing the blobs of `{}`", container.path().trim_matches('/'));
        require_own_host(&self.inner.cloud, container, &what)?;
        let options = BlobContainerClientOptions {
            client_options: single_try(Arc::new(self.inner.client.clone()), ANSWER_LIMIT_BYTES),
            ..BlobContainerClientOptions::default()
        };
        let client = BlobContainerClient::new(container.clone(), Some(self.storage_tokens()), Some(options))
            .map_err(|error| storage_error(&what, error))?;
        let attempt = || async {
            let options = BlobContainerClientListBlobsOptions {
                prefix: (!prefix.is_empty()).then(|| prefix.to_owned()),
                ..BlobContainerClientListBlobsOptions::default()
            };
            let blobs = client.list_blobs(Some(options)).map_err(|error| storage_error(&what, error))?;
            let blobs: Vec<_> = blobs.try_collect().await.map_err(|error| storage_error(&what, error))?;
            Ok(blobs.into_iter().filter_map(|blob| blob.name).collect())
        };
        self.storage_retry(access, attempt).await
    }

    /// Deletes the blob. One that is not there is no error.
    ///
    /// # Errors
    /// As [`Azure::upload_if_absent`].
    pub async fn delete_blob(
        &self,
        container: &Url,
        name: &str,
        access: Access,
    ) -> Result<super::Deleted, AzureError> {
        let what = format!("deleting blob `{name}`");
        let blob = self.blob(&what, container, name)?;
        let attempt = || async {
            match blob.delete(None).await {
                Ok(_) => Ok(super::Deleted::Removed),
                Err(error) => match storage_error(&what, error) {
                    error if is_no_blob(&error) => Ok(super::Deleted::AlreadyGone),
                    error => Err(error),
                },
            }
        };
        self.storage_retry(access, attempt).await
    }

    fn blob(&self, what: &str, container: &Url, name: &str) -> Result<BlobClient, AzureError> {
        self.blob_within(what, container, name, ANSWER_LIMIT_BYTES)
    }

    /// A client of the blob that reads no longer answer.
    fn blob_within(
        &self,
        what: &str,
        container: &Url,
        name: &str,
        limit_bytes: usize,
    ) -> Result<BlobClient, AzureError> {
        require_own_host(&self.inner.cloud, container, what)?;
        let url = under(container, &name.split('/').collect::<Vec<_>>(), what)?;
        let options = BlobClientOptions {
            client_options: single_try(Arc::new(self.inner.client.clone()), limit_bytes),
            ..BlobClientOptions::default()
        };
        BlobClient::new(url, Some(self.storage_tokens()), Some(options))
            .map_err(|error| storage_error(what, error))
    }

    fn storage_tokens(&self) -> Arc<dyn TokenCredential> {
        let scope = self.inner.cloud.storage_scope.clone();
        Arc::new(StorageTokens { tokens: self.inner.tokens.clone(), scope })
    }

    async fn storage_retry<T, Made>(
        &self,
        access: Access,
        attempt: impl FnMut() -> Made,
    ) -> Result<T, AzureError>
    where
        Made: Future<Output = Result<T, AzureError>>,
    {
        let timings = &self.inner.timings;
        match access {
            Access::Standing => {
                // A container that was made a moment ago, maybe by an earlier run, is not known everywhere.
                let decide = |error: &AzureError| match error.retry() {
                    Retry::Never if error.has_code(NO_CONTAINER) => Retry::Backoff,
                    other => other,
                };
                let policy = RetryPolicy { within: timings.settling.within / SHORT_WHILE, ..timings.calls };
                retry(&policy, decide, attempt).await
            }
            Access::JustGranted => {
                let decide = |error: &AzureError| match error.retry() {
                    Retry::Never if spreads(error) => Retry::Backoff,
                    other => other,
                };
                retry(&timings.role_spreading, decide, attempt).await
            }
        }
    }
}

/// Refusals that a new role or a new container explains.
fn spreads(error: &AzureError) -> bool {
    ["AuthorizationPermissionMismatch", NO_CONTAINER].iter().any(|code| error.has_code(code))
}

fn is_no_blob(error: &AzureError) -> bool {
    // A HEAD has no body, and so no code but that of the header or the status.
    error.status() == Some(404) && !error.has_code(NO_CONTAINER)
}

/// The library's error as ours.
fn storage_error(what: &str, error: azure_core::Error) -> AzureError {
    let ErrorKind::HttpResponse { status, error_code, raw_response } = error.kind() else {
        return match error.kind() {
            ErrorKind::Credential => AzureError::Token { scope: "storage".to_owned(), source: error },
            _ => AzureError::Storage { what: what.to_owned(), source: error },
        };
    };
    let body = raw_response.as_ref().map(|response| response.body().as_ref()).unwrap_or_default();
    let mut tree = ErrorTree::parse(body);
    if let Some(code) = error_code
        && !tree.has_code(code)
    {
        tree = ErrorTree::of_code(code);
    }
    let header = |name: &'static str| {
        let headers = raw_response.as_ref()?.headers();
        headers.get_optional_string(&azure_core::http::headers::HeaderName::from_static(name))
    };
    let seconds = header("retry-after").and_then(|text| text.parse().ok());
    AzureError::Refused(Box::new(Refusal {
        what: what.to_owned(),
        status: (*status).into(),
        tree,
        request_id: header("x-ms-request-id"),
        retry_after: seconds.map(std::time::Duration::from_secs),
    }))
}
