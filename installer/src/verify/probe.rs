//! The probes, from the host to the rows.

use std::collections::BTreeSet;
use std::time::Duration;

use contract::resources::TIMER_FUNCTION;
use contract::secret::Secret;
use time::OffsetDateTime;
use url::Url;

use super::run::{self, Runs, good_run};
use super::{Outcome, Probe, Report, reference, rows};
use crate::azure::{Azure, AzureError, ResourceId};
use crate::deploy::publish::site_url;
use crate::plan::template::SITES_VERSION;
use crate::ui::failure::told;
use crate::ui::{Event, Ui, Usual};
use crate::world::{Stopwatch, World};

/// Why references take a while.
const REFERENCES: Usual = Usual {
    reason: "a role given a moment ago usually works within two minutes, and the app looks again by itself",
    secs: 120,
};
/// Why the host takes a while.
const HOST: Usual = Usual { reason: "the host usually runs a minute after a publication", secs: 60 };
/// Why the timer takes a while.
const TIMER: Usual =
    Usual { reason: "the functions of a new package are usually known within a minute", secs: 60 };
/// What to do about a host that does not run. It writes no health row, so that `logs` has nothing of it.
pub(crate) const HOST_REMEDY: &str = "the log stream of the Function App in the portal, and the table `AppTraces` behind its \
                           Application Insights, show what the host says; `mimecast-sentinel doctor` looks at what \
                           it needs";

/// What is looked at.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The installation's name, as its health rows have it.
    pub installation: String,
    /// The Function App.
    pub site_id: ResourceId,
    /// Keys of its accounts, where it has several: each needs a good run.
    pub accounts: BTreeSet<String>,
    /// The workspace's own id.
    pub workspace_customer_id: String,
    /// SHA-256 of the package whose runs count; any where it is empty.
    pub sha256: String,
    /// The time by the workspace's clock before the first change: rows that came earlier prove nothing of it.
    /// Where it could not be read, it is when rows are first looked for.
    pub since: Option<String>,
    /// Whether Mimecast has events that should show up; `None` where nobody knows.
    pub events_expected: Option<bool>,
}

/// Whether the installation is known to work without further ado: by a good run of each account, not long ago and
/// after `changed_at`, when the Function App was changed at last.
pub async fn known_to_work(azure: &Azure, subject: &Subject, changed_at: Option<&str>) -> bool {
    run::known_to_work(azure, subject, changed_at).await
}

/// Looks until all is well or `limit` has passed. What a probe finds wrong, and what it could not look at, is
/// in the report. Only runs and rows count that are newer than the change.
pub async fn verify(
    azure: &Azure,
    ui: &Ui,
    world: &World,
    subject: &Subject,
    started: Stopwatch,
    limit: Duration,
) -> Report {
    let patience = Patience { azure, ui, watch: world.stopwatch(), limit };
    let mut report = Report::default();
    let mut tell = |probe: Probe| {
        ui.say(Event::Probed { probe: probe.clone() });
        report.probes.push(probe);
    };
    ui.say(Event::Looking { what: "whether the installation works".to_owned() });

    tell(references(&patience, &subject.site_id).await);
    let (healthy, host) = host_health(&patience, &subject.site_id).await;
    tell(healthy);
    tell(timer(&patience, &subject.site_id).await);
    let Some(host) = host else { return report };
    let runs = Runs {
        workspace_customer_id: subject.workspace_customer_id.clone(),
        installation: subject.installation.clone(),
        sha256: subject.sha256.clone(),
        begun_since: host.seen_at,
        ..Runs::default()
    };
    // The host's clock is told in whole seconds: a run that was seen before is older all the same.
    let runs = Runs { after: runs.newest_seen(azure).await, ..runs };
    let run = good_run(&patience, &runs, &subject.accounts, &host).await;
    let works = run.outcome == Outcome::Good;
    tell(run);
    // Rows tell of events only where a run has looked for some.
    if works && subject.events_expected != Some(false) {
        let (probe, seen) = rows::arrived(&patience, subject).await;
        tell(probe);
        report.audit_rows = seen.map(|seen| seen.rows);
        report.first_row_secs = seen.filter(|seen| seen.new).map(|_| started.millis() / 1_000);
    }
    report
}

/// How long to go on looking.
pub(super) struct Patience<'a> {
    pub(super) azure: &'a Azure,
    pub(super) ui: &'a Ui,
    pub(super) watch: Stopwatch,
    pub(super) limit: Duration,
}

impl Patience<'_> {
    pub(super) fn over(&self) -> bool {
        Duration::from_millis(self.watch.millis()) >= self.limit
    }

    /// Whether the limit comes no later than this long after a moment of the watch.
    pub(super) fn ends_within(&self, millis: u64, further: Duration) -> bool {
        self.limit <= Duration::from_millis(millis) + further
    }

    /// Begins to look at something.
    pub(super) fn begin(&self, id: &'static str, title: &'static str, usual: Usual) -> Look<'_> {
        self.ui.say(Event::ProbeStarted { id: id.to_owned(), title: title.to_owned() });
        Look { patience: self, id, title, usual, seen: None }
    }
}

/// One probe under way.
pub(super) struct Look<'a> {
    patience: &'a Patience<'a>,
    id: &'static str,
    title: &'static str,
    usual: Usual,
    /// What was found at last.
    seen: Option<String>,
}

impl Look<'_> {
    /// All is not well yet: says what was found, where that is new, and how long it usually takes; then
    /// waits for the next look.
    pub(super) async fn again(&mut self, result: &str) {
        let (id, title) = (self.id.to_owned(), self.title.to_owned());
        if self.seen.is_none() {
            self.patience.ui.say(Event::ProbeWaiting {
                id: id.clone(),
                title: title.clone(),
                reason: self.usual.reason.to_owned(),
                usual_secs: self.usual.secs,
            });
        }
        if self.seen.as_deref() != Some(result) {
            self.patience.ui.say(Event::ProbeSaw { id, title, result: result.to_owned() });
            self.seen = Some(result.to_owned());
        }
        let pause = self.patience.azure.timings().poll_every.max(Duration::from_millis(20));
        tokio::time::sleep(pause).await;
    }

    /// Its end.
    pub(super) fn found(&self, outcome: Outcome, result: impl Into<String>) -> Probe {
        Probe { id: self.id, title: self.title.to_owned(), outcome, result: result.into(), remedy: None }
    }
}

pub(super) fn with_remedy(mut probe: Probe, remedy: impl Into<String>) -> Probe {
    probe.remedy = Some(remedy.into());
    probe
}

/// Whether looking again is of no use: who may not look now may not in a while either.
fn stays(error: &AzureError) -> bool {
    matches!(error.status(), Some(401 | 403))
        || matches!(
            error.cause(),
            AzureError::SignIn { .. } | AzureError::Token { .. } | AzureError::WrongTenant { .. }
        )
}

/// A probe that could not look, with what to do about it.
fn unseen(look: &Look<'_>, outcome: Outcome, error: &AzureError) -> Probe {
    let mut probe = look.found(outcome, told(error.cause()));
    let again = "`mimecast-sentinel status` looks again".to_owned();
    probe.remedy = Some(error.hint().map_or(again, |hint| format!("{} ({})", hint.text, hint.link)));
    probe
}

/// Whether the app's settings that refer to a vault were resolved.
pub(super) async fn references(patience: &Patience<'_>, site_id: &ResourceId) -> Probe {
    let azure = patience.azure;
    let mut look = patience.begin("references", "Key Vault references", REFERENCES);
    let mut looks = 0;
    loop {
        let result = match reference::references(azure, site_id).await {
            Ok(list) => {
                let Some(open) = list.iter().find(|each| !each.resolved()) else {
                    return look.found(Outcome::Good, format!("{} resolved", list.len()));
                };
                let result = format!("`{}` is {}: {}", open.setting, open.status, open.details);
                if patience.over() {
                    let remedy = reference::remedy(azure, site_id, open).await;
                    return with_remedy(look.found(Outcome::Bad, result), remedy);
                }
                looks += 1;
                match reference::fetch_again(azure, site_id, looks).await {
                    // The app fetches them by itself too, if late.
                    Ok(()) | Err(_) => result,
                }
            }
            Err(error) if stays(&error) => return unseen(&look, Outcome::NotChecked, &error),
            Err(error) if patience.over() => return unseen(&look, Outcome::Bad, &error),
            Err(error) => told(error.cause()),
        };
        look.again(&result).await;
    }
}

/// A host that runs: where it is, and what opens it.
pub(super) struct Host {
    pub(super) url: Url,
    pub(super) key: Secret<String>,
    /// When it was first seen to run, by the clock by which its worker's runs are timed.
    pub(super) seen_at: Option<OffsetDateTime>,
}

/// Whether the host runs, and the way to it where it does. Its keys are waited for as well: Azure answers 400,
/// 404 or 503 to whoever asks for them while it starts.
pub(super) async fn host_health(patience: &Patience<'_>, site_id: &ResourceId) -> (Probe, Option<Host>) {
    let azure = patience.azure;
    let mut look = patience.begin("host", "Functions host", HOST);
    let mut way = None;
    loop {
        let found = async {
            let (url, key) = match way.take() {
                Some(known) => known,
                None => way_in(azure, site_id).await?,
            };
            let status = azure.host_status(&url, &key).await;
            way = Some((url, key));
            status
        };
        let found = found.await;
        let result = match &found {
            Ok(status) if status.healthy() => {
                let version = status.version.as_deref().unwrap_or("of unknown version");
                let probe = look.found(Outcome::Good, format!("running, {version}"));
                return (probe, way.map(|(url, key)| Host { url, key, seen_at: status.at }));
            }
            Ok(status) => format!("{} {}", status.state, status.errors.join("; ")),
            // Of the host's own endpoint a refusal passes: it knows its keys late.
            Err(error) if way.is_none() && stays(error) => {
                return (unseen(&look, Outcome::NotChecked, error), None);
            }
            Err(error) => told(error.cause()),
        };
        let result = result.trim();
        if patience.over() {
            return (with_remedy(look.found(Outcome::Bad, result), HOST_REMEDY), None);
        }
        look.again(result).await;
    }
}

/// Where the host is, and the key that opens it.
async fn way_in(azure: &Azure, site_id: &ResourceId) -> Result<(Url, Secret<String>), AzureError> {
    let site = azure.get(site_id, SITES_VERSION).await?.unwrap_or_default();
    let url = site_url(&site).ok_or_else(|| AzureError::Incomplete {
        what: format!("reading {site_id}"),
        missing: "defaultHostName",
    })?;
    Ok((url, azure.master_key(site_id).await?))
}

/// Whether the timer's function is registered.
pub(super) async fn timer(patience: &Patience<'_>, site_id: &ResourceId) -> Probe {
    let mut look = patience.begin("timer", "timer", TIMER);
    loop {
        let result = match patience.azure.functions(site_id).await {
            Ok(functions) => {
                if functions.iter().any(|function| function.name.eq_ignore_ascii_case(TIMER_FUNCTION)) {
                    return look.found(Outcome::Good, format!("function `{TIMER_FUNCTION}` is registered"));
                }
                format!("function `{TIMER_FUNCTION}` is not registered")
            }
            Err(error) if stays(&error) => return unseen(&look, Outcome::NotChecked, &error),
            Err(error) if patience.over() => return unseen(&look, Outcome::Bad, &error),
            Err(error) => told(error.cause()),
        };
        if patience.over() {
            let bad = look.found(Outcome::Bad, result);
            return with_remedy(bad, "restart the app, then `mimecast-sentinel doctor`");
        }
        look.again(&result).await;
    }
}
