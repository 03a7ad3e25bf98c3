//! Whether what was just changed works: host, timer, and one good run that is newer than the change.

use std::time::Duration;

use contract::streams::HEALTH_TABLE;
use serde_json::Value;

use super::probe::{Patience, first_run, host_health, references, timer};
use super::{Outcome, Probe};
use crate::azure::{Azure, AzureError, ResourceId};
use crate::deploy::publish::site_url;
use crate::plan::Watched;
use crate::plan::template::SITES_VERSION;
use crate::ui::{Event, Ui};
use crate::world::World;

/// Why a trial was not passed.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// What a probe found.
    #[error("{title}: {result}")]
    Probe {
        /// What was looked at.
        title: String,
        /// What was found.
        result: String,
    },
    /// Azure refused what the trial needs.
    #[error("the trial could not be made")]
    Azure(#[from] AzureError),
}

/// The installation's newest run so far, as a time of Azure's: only a later one counts. Azure's own
/// times are compared, so that this machine's clock does not matter.
#[derive(Debug, Clone, Default)]
pub struct Before {
    newest: Option<String>,
}

impl Before {
    /// Looks at the runs of the package whose run shall count.
    pub async fn look(azure: &Azure, watched: &Watched) -> Self {
        let query = format!("{} | top 1 by TimeGenerated desc", runs(watched));
        // A table that nothing has reached yet is as good as an empty one; who may not query is told by
        // the run's probe.
        let rows = azure.query(&watched.workspace_customer_id, &query, "").await.unwrap_or_default();
        let newest =
            rows.records().next().and_then(|row| row.get("TimeGenerated")?.as_str().map(str::to_owned));
        Self { newest }
    }
}

fn runs(watched: &Watched) -> String {
    let mut query = format!("{HEALTH_TABLE} | where Installation == \"{}\"", watched.installation);
    if !watched.sha256.is_empty() {
        query.push_str(&format!(" and PackageHash == \"{}\"", watched.sha256));
    }
    query
}

/// Waits until the host runs, the timer is registered and a run newer than `before` was good. Each of
/// them is waited for as long as `watched` says. A run that this account may not see is passed over.
///
/// # Errors
/// [`TrialError`] with the first thing that is not as it should be.
pub async fn pass(
    azure: &Azure,
    ui: &Ui,
    world: &World,
    watched: &Watched,
    before: &Before,
) -> Result<(), TrialError> {
    let patience =
        || Patience { azure, watch: world.stopwatch(), limit: Duration::from_secs(watched.limit_secs) };
    let judge = |probe: Probe| {
        ui.say(Event::Probed { probe: probe.clone() });
        match probe.outcome {
            Outcome::Good | Outcome::NotChecked => Ok(()),
            Outcome::Waiting | Outcome::Bad => {
                Err(TrialError::Probe { title: probe.title, result: probe.result })
            }
        }
    };
    let site_id = ResourceId::parse(&watched.site_id).map_err(AzureError::Id)?;
    judge(references(&patience(), &site_id).await?)?;
    let site: Value = azure.get(&site_id, SITES_VERSION).await?.unwrap_or_default();
    let host = site_url(&site).ok_or_else(|| AzureError::Incomplete {
        what: format!("reading {site_id}"),
        missing: "defaultHostName",
    })?;
    let key = azure.master_key(&site_id).await?;
    judge(host_health(&patience(), &host, &key).await)?;
    judge(timer(&patience(), &site_id).await?)?;
    let newer = before.newest.as_ref().map(|at| format!(" and TimeGenerated > datetime({at})"));
    let query = format!("{}{} | top 1 by TimeGenerated desc", runs(watched), newer.unwrap_or_default());
    judge(first_run(&patience(), &watched.workspace_customer_id, &query, &host, &key).await)
}
