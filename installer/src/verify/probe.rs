//! The probes, from the host to the rows.

use std::collections::BTreeSet;
use std::time::Duration;

use contract::resources::TIMER_FUNCTION;
use contract::secret::Secret;
use contract::streams::AUDIT_TABLE;
use serde_json::Value;
use url::Url;

use super::run::{Runs, good_run};
use super::{Outcome, Probe, Report, reference};
use crate::azure::{Azure, AzureError, ResourceId};
use crate::deploy::publish::site_url;
use crate::plan::template::SITES_VERSION;
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
/// Why rows take a while.
const ROWS: Usual = Usual { reason: "the first rows usually show within 15 minutes", secs: 900 };

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
    /// Whether Mimecast has events that should show up; `None` where nobody knows.
    pub events_expected: Option<bool>,
}

/// Looks until all is well or `limit` has passed.
///
/// # Errors
/// [`AzureError`] where Azure refuses what the installer needs for the probes at all; what a probe
/// finds wrong is in the report.
pub async fn verify(
    azure: &Azure,
    ui: &Ui,
    world: &World,
    subject: &Subject,
    started: Stopwatch,
    limit: Duration,
) -> Result<Report, AzureError> {
    let patience = Patience { azure, ui, watch: world.stopwatch(), limit };
    let mut report = Report::default();
    let mut tell = |probe: Probe| {
        ui.say(Event::Probed { probe: probe.clone() });
        report.probes.push(probe);
    };
    ui.say(Event::Looking { what: "whether the installation works".to_owned() });

    tell(references(&patience, &subject.site_id).await?);
    let site = azure.get(&subject.site_id, SITES_VERSION).await?.unwrap_or_default();
    let host = site_url(&site).ok_or_else(|| AzureError::Incomplete {
        what: format!("reading {}", subject.site_id),
        missing: "defaultHostName",
    })?;
    let key = azure.master_key(&subject.site_id).await?;
    let healthy = host_health(&patience, &host, &key).await;
    let host_runs = healthy.outcome == Outcome::Good;
    tell(healthy);
    tell(timer(&patience, &subject.site_id).await?);
    if !host_runs {
        return Ok(report);
    }
    let runs = Runs {
        workspace_customer_id: subject.workspace_customer_id.clone(),
        installation: subject.installation.clone(),
        ..Runs::default()
    };
    let run = good_run(&patience, &runs, &subject.accounts, &host, &key).await;
    let run_known = run.outcome != Outcome::NotChecked;
    tell(run);
    if run_known && subject.events_expected != Some(false) {
        let (probe, rows) = audit_rows(&patience, subject).await;
        tell(probe);
        report.audit_rows = rows;
        report.first_row_secs = rows.filter(|rows| *rows > 0).map(|_| started.millis() / 1_000);
    }
    Ok(report)
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

/// Whether the app's settings that refer to a vault were resolved.
pub(super) async fn references(patience: &Patience<'_>, site_id: &ResourceId) -> Result<Probe, AzureError> {
    let azure = patience.azure;
    let mut look = patience.begin("references", "Key Vault references", REFERENCES);
    let mut looks = 0;
    loop {
        let list = reference::references(azure, site_id).await?;
        let Some(open) = list.iter().find(|each| !each.resolved()) else {
            return Ok(look.found(Outcome::Good, format!("{} resolved", list.len())));
        };
        let result = format!("`{}` is {}: {}", open.setting, open.status, open.details);
        if patience.over() {
            let remedy = reference::remedy(azure, site_id, open).await;
            return Ok(with_remedy(look.found(Outcome::Bad, result), remedy));
        }
        looks += 1;
        reference::fetch_again(azure, site_id, looks).await?;
        look.again(&result).await;
    }
}

pub(super) async fn host_health(patience: &Patience<'_>, host: &Url, key: &Secret<String>) -> Probe {
    let mut look = patience.begin("host", "Functions host", HOST);
    loop {
        let found = patience.azure.host_status(host, key).await;
        let result = match &found {
            Ok(status) if status.healthy() => {
                let version = status.version.as_deref().unwrap_or("of unknown version");
                return look.found(Outcome::Good, format!("running, {version}"));
            }
            Ok(status) => format!("{} {}", status.state, status.errors.join("; ")),
            Err(error) => error.to_string(),
        };
        let result = result.trim();
        if patience.over() {
            let logs = "`mimecast-sentinel logs` shows what the worker said";
            return with_remedy(look.found(Outcome::Bad, result), logs);
        }
        look.again(result).await;
    }
}

pub(super) async fn timer(patience: &Patience<'_>, site_id: &ResourceId) -> Result<Probe, AzureError> {
    let mut look = patience.begin("timer", "timer", TIMER);
    loop {
        let functions = patience.azure.functions(site_id).await?;
        if functions.iter().any(|function| function.name.eq_ignore_ascii_case(TIMER_FUNCTION)) {
            return Ok(look.found(Outcome::Good, format!("function `{TIMER_FUNCTION}` is registered")));
        }
        let result = format!("function `{TIMER_FUNCTION}` is not registered");
        if patience.over() {
            let bad = look.found(Outcome::Bad, result);
            return Ok(with_remedy(bad, "restart the app, then `mimecast-sentinel doctor`"));
        }
        look.again(&result).await;
    }
}

async fn audit_rows(patience: &Patience<'_>, subject: &Subject) -> (Probe, Option<u64>) {
    let mut look = patience.begin("rows", "audit rows", ROWS);
    let query = format!("{AUDIT_TABLE} | count");
    loop {
        let found = patience.azure.query(&subject.workspace_customer_id, &query, "").await;
        let rows = found.as_ref().ok().and_then(|rows| rows.single()).and_then(Value::as_u64);
        if let Some(rows) = rows.filter(|rows| *rows > 0) {
            return (look.found(Outcome::Good, format!("{rows} in `{AUDIT_TABLE}`")), Some(rows));
        }
        let result = match found {
            Err(error) => error.to_string(),
            Ok(_) => "none visible yet".to_owned(),
        };
        if patience.over() {
            let remedy = "the first rows can take 15 minutes; `mimecast-sentinel status` looks again";
            return (with_remedy(look.found(Outcome::Waiting, result), remedy), rows);
        }
        look.again(&result).await;
    }
}
