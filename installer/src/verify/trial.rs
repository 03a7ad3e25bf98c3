//! Whether what was just changed works: host, timer, and one good run that began after the change.

use std::collections::BTreeSet;
use std::time::Duration;

use super::probe::{Patience, host_health, references, timer};
use super::run::{self, RUN, Runs, good, good_run, text};
use super::{Outcome, Probe};
use crate::azure::{Azure, AzureError, ResourceId};
use crate::plan::Watched;
use crate::plan::template::SITES_VERSION;
use crate::ui::{Event, Ui};
use crate::world::World;

/// A `Date` has no parts of a second (<https://www.rfc-editor.org/rfc/rfc9110#name-date-time-formats>): what it
/// dates may have happened this much later.
const DATE_STEP: Duration = Duration::from_secs(1);
/// How far the clock of the machine that the worker runs on, which dates its rows, may go before that of Azure
/// Resource Manager. Both follow Microsoft's own time servers, far closer than this
/// (<https://learn.microsoft.com/azure/virtual-machines/linux/time-sync>). A run that began within it after the
/// change is not counted, and another is asked for.
const CLOCKS_APART: Duration = Duration::from_secs(1);
/// What a stopwatch leaves out.
const WATCH_STEP: Duration = Duration::from_millis(1);

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
        /// What to do about it.
        remedy: Option<String>,
    },
    /// Azure refused what the trial needs.
    #[error("the trial could not be made")]
    Azure(#[from] AzureError),
}

impl TrialError {
    /// What to do about it, where that is known.
    pub fn advice(&self) -> Option<String> {
        match self {
            Self::Probe { remedy, .. } => remedy.clone(),
            Self::Azure(error) => error.hint().map(|hint| format!("{} ({})", hint.text, hint.link)),
        }
    }
}

/// What a trial has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Host, timer and a good run.
    GoodRun,
    /// Host and timer alone: no run could be looked at, which proves none.
    NoRun {
        /// Why not.
        reason: String,
        /// What it takes to look.
        remedy: Option<String>,
    },
}

/// The watched accounts whose newest run was good.
pub async fn working(azure: &Azure, watched: &Watched) -> BTreeSet<String> {
    let query = Runs { sha256: String::new(), ..runs(watched) }.query();
    // A table that nothing has reached yet is as good as an empty one; who may not query is told by
    // the run's probe.
    let rows = azure.query(&watched.workspace_customer_id, &query, "").await.unwrap_or_default();
    let rows: Vec<_> = rows.records().collect();
    let newest_of = |account: &&String| run::telling(&rows, |row| text(row, "Account") == account.as_str());
    let works = |account: &&String| newest_of(account).is_some_and(good);
    watched.accounts.iter().filter(works).cloned().collect()
}

fn runs(watched: &Watched) -> Runs {
    Runs {
        workspace_customer_id: watched.workspace_customer_id.clone(),
        installation: watched.installation.clone(),
        sha256: watched.sha256.clone(),
        ..Runs::default()
    }
}

/// Waits until the host runs, the timer is registered and a run that began after now was good, of each watched
/// account where there are several. What is tried has been changed before. Each of them is waited for as long
/// as `watched` says. Gives whether a run could be looked at.
///
/// # Errors
/// [`TrialError`] with the first thing that is not as it should be.
pub async fn pass(azure: &Azure, ui: &Ui, world: &World, watched: &Watched) -> Result<Seen, TrialError> {
    let patience =
        || Patience { azure, ui, watch: world.stopwatch(), limit: Duration::from_secs(watched.limit_secs) };
    let judge = |probe: Probe| {
        ui.say(Event::Probed { probe: probe.clone() });
        // Runs are asked for all the same where this account may not see their rows; what it cannot look at
        // otherwise is no trial.
        match probe.outcome {
            Outcome::Good => Ok(Seen::GoodRun),
            Outcome::NotChecked if probe.id == RUN => {
                Ok(Seen::NoRun { reason: probe.result, remedy: probe.remedy })
            }
            Outcome::NotChecked | Outcome::Waiting | Outcome::Bad => {
                Err(TrialError::Probe { title: probe.title, result: probe.result, remedy: probe.remedy })
            }
        }
    };
    let site_id = ResourceId::parse(&watched.site_id).map_err(AzureError::Id)?;
    judge(references(&patience(), &site_id).await)?;
    let changed_before = azure.time(&site_id, SITES_VERSION).await?;
    let waited = world.stopwatch();
    let (healthy, host) = host_health(&patience(), &site_id).await;
    judge(healthy)?;
    let host = host.ok_or_else(|| AzureError::Incomplete {
        what: format!("reading {site_id}"),
        missing: "defaultHostName",
    })?;
    judge(timer(&patience(), &site_id).await)?;
    let apart = DATE_STEP + CLOCKS_APART;
    // A run that is asked for earlier would not count.
    if let Some(rest) = apart.checked_sub(Duration::from_millis(waited.millis())) {
        tokio::time::sleep(rest + WATCH_STEP).await;
    }
    let runs = Runs { begun_since: Some(changed_before + apart), ..runs(watched) };
    judge(good_run(&patience(), &runs, &watched.accounts, &host).await)
}
