//! Publishes the worker package to the Function App.

use bytes::Bytes;
use contract::resources::{PACKAGE_TAG, PREVIOUS_PACKAGE_TAG, WORKER_TAG};
use serde_json::{Value, json};
use url::Url;

use super::package;
use crate::azure::blob::Access;
use crate::azure::publish::Service;
use crate::azure::{Azure, AzureError, ResourceId};
use crate::plan::tag;
use crate::plan::template::{RESOURCES_VERSION, SITES_VERSION};

/// What an app runs after a publication that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runs {
    /// What it ran before: Azure did not take the package.
    AsBefore,
    /// The one or the other: nobody has seen the end.
    Either,
}

/// A publication that failed.
#[derive(Debug)]
pub struct Unpublished {
    /// What the app runs.
    pub runs: Runs,
    /// Why.
    pub source: AzureError,
}

impl From<AzureError> for Unpublished {
    fn from(source: AzureError) -> Self {
        let runs = match source.cause() {
            AzureError::StillRunning { .. } | AzureError::Send { .. } => Runs::Either,
            _ => Runs::AsBefore,
        };
        Self { runs, source }
    }
}

/// Publishes the package and names it and its worker in the app's tags, so that the next run knows what is
/// there; beside it the package before, or none.
/// Gives the site as Azure has it.
///
/// # Errors
/// [`Unpublished`] when the app is not there or the publication fails.
pub async fn publish(
    azure: &Azure,
    site_id: &ResourceId,
    package: Bytes,
    sha256: &str,
    previous: Option<&str>,
) -> Result<Value, Unpublished> {
    let what = format!("publishing to {site_id}");
    let site = azure
        .get(site_id, SITES_VERSION)
        .await?
        .ok_or(AzureError::Incomplete { what: what.clone(), missing: "site" })?;
    let scm = scm_host(&site).ok_or(AzureError::Incomplete { what, missing: "hostNameSslStates" })?;
    // Flex Consumption alone has this part of the configuration.
    let flex = !site["properties"]["functionAppConfig"].is_null();
    let service = if flex { Service::OneDeploy } else { Service::ZipDeployment };
    // Empty where there is none to read: then there is nothing to compare with either.
    let worker = package::worker_hash(&package).unwrap_or_default();
    // Until something was published the host is new, whichever run made it, and knows its callers late. After
    // that a refusal is meant: a rule of the network, or a right that is missing.
    let access = match tag(&site, PACKAGE_TAG) {
        None => Access::JustGranted,
        Some(_) => Access::Standing,
    };
    azure.publish(&scm, service, package, access).await?;

    let names = json!({ PACKAGE_TAG: sha256, WORKER_TAG: worker });
    name(azure, site_id, &site, names, previous)
        .await
        .map_err(|source| Unpublished { runs: Runs::Either, source })?;
    Ok(site)
}

/// Writes the app's tags: those given, and the package before.
async fn name(
    azure: &Azure,
    site_id: &ResourceId,
    site: &Value,
    mut tags: Value,
    previous: Option<&str>,
) -> Result<(), AzureError> {
    if let Some(previous) = previous {
        tags[PREVIOUS_PACKAGE_TAG] = previous.into();
    }
    let id = ResourceId::parse(&format!("{}/providers/Microsoft.Resources/tags/default", site_id.path()))?;
    let body = json!({ "operation": "Merge", "properties": { "tags": tags } });
    azure.patch(&id, RESOURCES_VERSION, &body).await?;
    if let (None, Some(named)) = (previous, tag(site, PREVIOUS_PACKAGE_TAG)) {
        let tags = json!({ PREVIOUS_PACKAGE_TAG: named });
        let body = json!({ "operation": "Delete", "properties": { "tags": tags } });
        azure.patch(&id, RESOURCES_VERSION, &body).await?;
    }
    Ok(())
}

/// The host of the publishing service: apps with unique host names have another than
/// `<name>.scm.…` (facts 2.3).
fn scm_host(site: &Value) -> Option<Url> {
    let states = site["properties"]["hostNameSslStates"].as_array()?;
    let name = states.iter().find(|state| state["hostType"] == "Repository")?["name"].as_str()?;
    Url::parse(&format!("https://{name}")).ok()
}

/// The address of the app itself.
pub fn site_url(site: &Value) -> Option<Url> {
    Url::parse(&format!("https://{}", site["properties"]["defaultHostName"].as_str()?)).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{scm_host, site_url};

    #[test]
    fn hosts_are_taken_from_the_site_and_not_made_up() {
        let site = json!({ "properties": {
            "defaultHostName": "func-a-b3c.westeurope-01.azurewebsites.net",
            "hostNameSslStates": [
                { "name": "func-a-b3c.westeurope-01.azurewebsites.net", "hostType": "Standard" },
                { "name": "func-a-b3c.scm.westeurope-01.azurewebsites.net", "hostType": "Repository" }
            ]
        }});
        assert_eq!(
            scm_host(&site).expect("a host").as_str(),
            "https://func-a-b3c.scm.westeurope-01.azurewebsites.net/"
        );
        assert_eq!(
            site_url(&site).expect("a host").host_str(),
            Some("func-a-b3c.westeurope-01.azurewebsites.net")
        );
        assert_eq!(scm_host(&json!({})), None);
    }
}
