//! Publishing a package with One Deploy, as Microsoft's own tools do.
//!
//! The service is called at the site's SCM host. What it does otherwise than one would think is
//! written where it is dealt with, as Azure Functions Core Tools deals with it
//! (<https://learn.microsoft.com/azure/azure-functions/functions-deployment-technologies#one-deploy>).

use bytes::Bytes;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;

use super::Azure;
use super::blob::Access;
use super::error::{AzureError, ErrorTree, Refusal};
use super::http::{Answer, Call, under};
use super::retry::{Retry, retry};

/// The answers of 404 in a row, after a good one, that mean that the service has recycled the
/// worker that knew of the deployment.
const LOST_AFTER: u32 = 4;

/// Which service takes a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// One Deploy, which alone Flex Consumption has.
    OneDeploy,
    /// Zip deployment, of every other plan
    /// (<https://learn.microsoft.com/azure/azure-functions/deployment-zip-push#rest>).
    ZipDeployment,
}

/// The name that zip deployment gives to the newest of a site's deployments: it answers with no id.
const LATEST: &str = "latest";

/// How a publication ended, where it did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// The service says that the package is in place.
    Confirmed,
    /// The service accepted the package and then lost sight of it. The host must be asked.
    Unconfirmed,
}

/// A deployment's status: `DeployStatus` of Kudu.
#[derive(Debug, Deserialize)]
struct Deployment {
    status: i64,
    #[serde(default)]
    status_text: Option<String>,
    #[serde(default)]
    message: Option<String>,
}

impl Azure {
    /// Publishes the zip at the site's SCM host (`https://` and the host name of the site's
    /// `hostNameSslStates` of type `Repository`) and watches until it is in place.
    ///
    /// What is explained by a role given a moment ago is waited out: the site's identity writes the
    /// package to the deployment container. With [`Access::JustGranted`] so is a refusal by a new
    /// SCM host, which knows its callers late.
    ///
    /// # Errors
    /// [`AzureError`] when the service refuses, reports a failure, or is still not done at the
    /// limit. The app then runs what it ran before.
    pub async fn publish(
        &self,
        scm: &Url,
        service: Service,
        package: Bytes,
        access: Access,
    ) -> Result<Published, AzureError> {
        let decide = |error: &AzureError| match error.retry() {
            Retry::Never if passes(error, access) => Retry::Backoff,
            other => other,
        };
        let attempt = || async {
            let what = "publishing the package";
            let deployment_id = self.upload_package(what, scm, service, package.clone()).await?;
            self.watch_deployment(what, scm, &deployment_id).await
        };
        retry(&self.inner.timings.role_spreading, decide, attempt).await
    }

    /// Gives the id of the deployment.
    async fn upload_package(
        &self,
        what: &str,
        scm: &Url,
        service: Service,
        package: Bytes,
    ) -> Result<String, AzureError> {
        let path = match service {
            Service::OneDeploy => "publish",
            Service::ZipDeployment => "zipdeploy",
        };
        let mut url = under(scm, &["api", path], what)?;
        url.query_pairs_mut().append_pair("isAsync", "true").append_pair("Deployer", "mimecast-sentinel");
        if service == Service::OneDeploy {
            url.query_pairs_mut().append_pair("RemoteBuild", "false");
        }
        let scope = &self.inner.cloud.resource_manager_scope;
        let mut call = Call::new(what.to_owned(), Method::POST, url, scope).at_a_site();
        call.body = Some((package, "application/zip"));
        let answer = self.send(&call).await?;
        if service == Service::ZipDeployment {
            return Ok(LATEST.to_owned());
        }
        // The id comes as a JSON string; older instances send it bare.
        let text = String::from_utf8_lossy(&answer.body);
        let id = serde_json::from_str::<String>(&text).unwrap_or_else(|_| text.trim().to_owned());
        if id.is_empty()
            || id.len() > 100
            || !id.chars().all(|each| each.is_ascii_alphanumeric() || each == '-')
        {
            return Err(AzureError::Incomplete { what: what.to_owned(), missing: "deployment id" });
        }
        Ok(id)
    }

    async fn watch_deployment(
        &self,
        what: &str,
        scm: &Url,
        deployment_id: &str,
    ) -> Result<Published, AzureError> {
        let timings = &self.inner.timings;
        let url = under(scm, &["api", "deployments", deployment_id], what)?;
        let scope = &self.inner.cloud.resource_manager_scope;
        let call = Call::new(what.to_owned(), Method::GET, url.clone(), scope).at_a_site();
        let started = Instant::now();
        let mut last = "pending".to_owned();
        let (mut seen, mut lost) = (false, 0);
        let mut delay = timings.poll_every;
        while started.elapsed() < timings.operation {
            tokio::time::sleep(delay).await;
            let answer = match self.send(&call).await {
                Ok(answer) => answer,
                Err(error) if error.status() == Some(404) => {
                    // Early on the deployment is not known yet; after a good answer its worker is gone.
                    lost += 1;
                    if seen && lost >= LOST_AFTER {
                        return Ok(Published::Unconfirmed);
                    }
                    if !seen && started.elapsed() > timings.settling.within {
                        return Err(error);
                    }
                    continue;
                }
                Err(error) => return Err(error),
            };
            (seen, lost) = (true, 0);
            // The HTTP status is 200 or 202 whatever became of it: only the body tells.
            let deployment: Deployment = answer.json(what)?;
            last = match deployment.status {
                4 => return Ok(Published::Confirmed),
                -1 => return Err(ended(what, "cancelled", &deployment, &answer)),
                3 => return Err(ended(what, "failed", &deployment, &answer)),
                5 => return Err(ended(what, "conflict", &deployment, &answer)),
                6 => return Err(ended(what, "partially succeeded", &deployment, &answer)),
                0 => "pending".to_owned(),
                1 => "building".to_owned(),
                2 => "deploying".to_owned(),
                other => format!("status {other}"),
            };
            let named = answer.retry_after();
            delay = named.map_or(timings.poll_every, |named| named.mul_f64(timings.calls.named_delay_factor));
        }
        Err(AzureError::StillRunning {
            what: what.to_owned(),
            state: last,
            waited: started.elapsed(),
            url: url.to_string(),
        })
    }
}

/// Whether a failure passes by itself.
fn passes(error: &AzureError, access: Access) -> bool {
    let Some(refusal) = error.refusal() else { return false };
    let says = |word: &str| {
        let tree = &refusal.tree;
        let leaves = tree.leaves.iter().any(|leaf| leaf.code.contains(word) || leaf.message.contains(word));
        leaves || tree.raw.as_ref().is_some_and(|raw| raw.contains(word))
    };
    // The deployment container refuses the site's identity: its role has not spread.
    let upload_refused = says("BlobUploadFailed") && says("403");
    match error {
        // Another deployment is going on.
        AzureError::OperationFailed { state, .. } => state == "conflict" || upload_refused,
        _ => match refusal.status {
            // A fresh SCM host knows neither its name nor its callers for a while.
            401 | 403 | 404 => access == Access::JustGranted,
            // Another deployment is going on.
            409 => true,
            400 => upload_refused,
            _ => false,
        },
    }
}

/// The error of a deployment that ended badly.
fn ended(what: &str, state: &str, deployment: &Deployment, answer: &Answer) -> AzureError {
    let text = [&deployment.status_text, &deployment.message]
        .into_iter()
        .flatten()
        .find(|text| !text.trim().is_empty());
    let text = text.map_or_else(|| "the service gives no reason".to_owned(), Clone::clone);
    let body: Value = json!({"error": {"code": "DeploymentFailed", "message": text}});
    AzureError::OperationFailed {
        state: state.to_owned(),
        refusal: Box::new(Refusal {
            what: what.to_owned(),
            status: answer.status,
            tree: ErrorTree::from_value(&body),
            request_id: Some(answer.request_id.clone()),
            retry_after: None,
        }),
    }
}
