//! The packages that the storage account keeps, each under the name of its hash.

use bytes::Bytes;
use sha2::{Digest, Sha256};
use url::Url;

use super::package::PACKAGE_LIMIT_BYTES;
use crate::azure::blob::Access;
use crate::azure::{Azure, AzureError};

/// Why a kept package cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// Azure refused.
    #[error("the package that is kept in the storage account could not be read")]
    Azure(#[from] AzureError),
    /// It is not there.
    #[error("the package `{0}` is not kept in the storage account any more")]
    Missing(String),
    /// What is there is something else.
    #[error("the blob `{0}` does not have the content that its name says")]
    Changed(String),
}

/// The blob's name of a package.
pub fn blob_name(sha256: &str) -> String {
    format!("{sha256}.zip")
}

/// Reads a kept package.
///
/// # Errors
/// [`KeptError`] when it is not there, is not what its name says, or may not be read.
pub async fn fetch(azure: &Azure, container: &Url, sha256: &str, access: Access) -> Result<Bytes, KeptError> {
    let name = blob_name(sha256);
    let content = azure.download(container, &name, PACKAGE_LIMIT_BYTES, access).await?;
    let content = content.ok_or_else(|| KeptError::Missing(name.clone()))?;
    let hash: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
    if hash.eq_ignore_ascii_case(sha256) { Ok(content) } else { Err(KeptError::Changed(name)) }
}

/// Deletes every kept package but these.
///
/// # Errors
/// [`AzureError`] when Azure refuses.
pub async fn prune(
    azure: &Azure,
    container: &Url,
    keep: &[String],
    access: Access,
) -> Result<(), AzureError> {
    let keep: Vec<String> = keep.iter().map(|sha256| blob_name(sha256)).collect();
    for name in azure.blob_names(container, "", access).await? {
        // A person's own blobs are none of ours.
        let ours = name.len() == 68 && name.ends_with(".zip");
        if ours && !keep.contains(&name) {
            azure.delete_blob(container, &name, access).await?;
        }
    }
    Ok(())
}
