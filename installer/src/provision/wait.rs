//! Waits for something that happens in its own time.

use std::time::Duration;

use serde_json::Value;

use crate::azure::{Azure, AzureError, ResourceId};

/// Reads the resource until it is as wanted, as often and as long as the client's timings say.
///
/// # Errors
/// [`AzureError`] when Azure refuses a read, and [`AzureError::StillRunning`] at the limit.
pub async fn wait_until(
    azure: &Azure,
    id: &ResourceId,
    api_version: &str,
    wanted: impl Fn(&Value) -> bool,
) -> Result<(), AzureError> {
    let seen = async || Ok(azure.get(id, api_version).await?.is_some_and(|resource| wanted(&resource)));
    match wait_for(azure, seen).await? {
        Waited::Seen => Ok(()),
        Waited::NotWithin(waited) => Err(AzureError::StillRunning {
            what: format!("waiting for {id}"),
            state: "not as wanted".to_owned(),
            waited,
            url: id.path().to_owned(),
        }),
    }
}

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waited {
    /// It is there.
    Seen,
    /// It was not there for as long as was waited.
    NotWithin(Duration),
}

/// Looks until `seen` says so, as often and as long as the client's timings say.
///
/// # Errors
/// The first error of a look.
pub async fn wait_for(
    azure: &Azure,
    seen: impl AsyncFn() -> Result<bool, AzureError>,
) -> Result<Waited, AzureError> {
    let timings = *azure.timings();
    let mut waited = Duration::ZERO;
    while !seen().await? {
        if waited >= timings.operation {
            return Ok(Waited::NotWithin(waited));
        }
        tokio::time::sleep(timings.poll_every).await;
        // At least a millisecond, so that a client without delays comes to an end as well.
        waited += timings.poll_every.max(Duration::from_millis(1));
    }
    Ok(Waited::Seen)
}
