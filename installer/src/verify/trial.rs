//! Whether what was just changed works: host, timer, and one good run that is newer than the change.

use std::collections::BTreeSet;
use std::time::Duration;

use super::probe::{Patience, host_health, references, timer};
use super::run::{self, RUN, Runs, good, good_run, text};
use super::{Outcome, Probe};
use crate::azure::{Azure, AzureError, ResourceId};
use crate::plan::Watched;
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

/// The installation's runs so far.
#[derive(Debug, Clone, Default)]
pub struct Before {
    /// Time of the newest, as Azure has it: only a later one counts. Azure's own times are compared, so that
    /// this machine's clock does not matter.
    newest: Option<String>,
    /// The watched accounts whose newest run was good.
    good: BTreeSet<String>,
}

impl Before {
    /// Looks at them.
    pub async fn look(azure: &Azure, watched: &Watched) -> Self {
        let query = Runs { sha256: String::new(), ..runs(watched) }.query();
        // A table that nothing has reached yet is as good as an empty one; who may not query is told by
        // the run's probe.
        let rows = azure.query(&watched.workspace_customer_id, &query, "").await.unwrap_or_default();
        let rows: Vec<_> = rows.records().collect();
        let newest_of =
            |account: &&String| run::telling(&rows, |row| text(row, "Account") == account.as_str());
        let newest = rows.first().map(|row| text(row, "TimeGenerated").to_owned());
        let works = |account: &&String| newest_of(account).is_some_and(good);
        Self { newest, good: watched.accounts.iter().filter(works).cloned().collect() }
    }

    /// The same accounts watched, but those that did not work before: a change is not to blame for them.
    pub fn working(&self, watched: &Watched) -> Watched {
        Watched { accounts: self.good.clone(), ..watched.clone() }
    }
}

fn runs(watched: &Watched) -> Runs {
    Runs {
        workspace_customer_id: watched.workspace_customer_id.clone(),
        installation: watched.installation.clone(),
        sha256: watched.sha256.clone(),
        ..Runs::default()
    }
}

/// Waits until the host runs, the timer is registered and a run newer than `before` was good, of each watched
/// account where there are several. Each of
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
        || Patience { azure, ui, watch: world.stopwatch(), limit: Duration::from_secs(watched.limit_secs) };
    let judge = |probe: Probe| {
        ui.say(Event::Probed { probe: probe.clone() });
        // Runs are asked for all the same where this account may not see their rows; what it cannot look at
        // otherwise is no trial.
        let passed = match probe.outcome {
            Outcome::Good => true,
            Outcome::NotChecked => probe.id == RUN,
            Outcome::Waiting | Outcome::Bad => false,
        };
        if passed {
            return Ok(());
        }
        Err(TrialError::Probe { title: probe.title, result: probe.result, remedy: probe.remedy })
    };
    let site_id = ResourceId::parse(&watched.site_id).map_err(AzureError::Id)?;
    judge(references(&patience(), &site_id).await)?;
    let (healthy, host) = host_health(&patience(), &site_id).await;
    judge(healthy)?;
    judge(timer(&patience(), &site_id).await)?;
    // Without it the host's probe was not passed.
    let Some(host) = host else { return Ok(()) };
    let runs = Runs { after: before.newest.clone(), begun_since: host.seen_at, ..runs(watched) };
    judge(good_run(&patience(), &runs, &watched.accounts, &host).await)
}
