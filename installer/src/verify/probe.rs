//! The probes, from the host to the rows.

use std::time::Duration;

use contract::resources::TIMER_FUNCTION;
use contract::secret::Secret;
use contract::streams::{AUDIT_TABLE, HEALTH_TABLE};
use serde_json::Value;
use url::Url;

use super::{Outcome, Probe, Report, reference};
use crate::azure::{Azure, AzureError, ResourceId};
use crate::deploy::publish::site_url;
use crate::plan::template::SITES_VERSION;
use crate::ui::{Event, Ui};
use crate::world::{Stopwatch, World};

/// A run is asked for again when this long has passed without a good one: by then a role may have
/// spread.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// What is looked at.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The installation's name, as its health rows have it.
    pub installation: String,
    /// The Function App.
    pub site_id: ResourceId,
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
    let patience = Patience { azure, watch: world.stopwatch(), limit };
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
    let query = format!(
        "{HEALTH_TABLE} | where Installation == \"{}\" | top 1 by TimeGenerated desc",
        subject.installation
    );
    let run = first_run(&patience, &subject.workspace_customer_id, &query, &host, &key).await;
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
    pub(super) watch: Stopwatch,
    pub(super) limit: Duration,
}

impl Patience<'_> {
    fn over(&self) -> bool {
        Duration::from_millis(self.watch.millis()) >= self.limit
    }

    /// Whether the limit comes no later than this long after a moment of the watch.
    fn ends_within(&self, millis: u64, further: Duration) -> bool {
        self.limit <= Duration::from_millis(millis) + further
    }

    async fn pause(&self) {
        tokio::time::sleep(self.azure.timings().poll_every.max(Duration::from_millis(20))).await;
    }
}

fn probe(id: &'static str, title: &str, outcome: Outcome, result: impl Into<String>) -> Probe {
    Probe { id, title: title.to_owned(), outcome, result: result.into(), remedy: None }
}

fn with_remedy(mut probe: Probe, remedy: impl Into<String>) -> Probe {
    probe.remedy = Some(remedy.into());
    probe
}

/// Whether the app's settings that refer to a vault were resolved.
pub(super) async fn references(patience: &Patience<'_>, site_id: &ResourceId) -> Result<Probe, AzureError> {
    const TITLE: &str = "Key Vault references";
    let azure = patience.azure;
    let mut looks = 0;
    loop {
        let list = reference::references(azure, site_id).await?;
        let Some(open) = list.iter().find(|each| !each.resolved()) else {
            return Ok(probe("references", TITLE, Outcome::Good, format!("{} resolved", list.len())));
        };
        if patience.over() {
            let result = format!("`{}` is {}: {}", open.setting, open.status, open.details);
            let remedy = reference::remedy(azure, site_id, open).await;
            return Ok(with_remedy(probe("references", TITLE, Outcome::Bad, result), remedy));
        }
        looks += 1;
        reference::fetch_again(azure, site_id, looks).await?;
        patience.pause().await;
    }
}

pub(super) async fn host_health(patience: &Patience<'_>, host: &Url, key: &Secret<String>) -> Probe {
    const TITLE: &str = "Functions host";
    loop {
        let found = patience.azure.host_status(host, key).await;
        let result = match &found {
            Ok(status) if status.healthy() => {
                let version = status.version.as_deref().unwrap_or("of unknown version");
                return probe("host", TITLE, Outcome::Good, format!("running, {version}"));
            }
            Ok(status) => format!("{} {}", status.state, status.errors.join("; ")),
            Err(error) => error.to_string(),
        };
        if patience.over() {
            return with_remedy(
                probe("host", TITLE, Outcome::Bad, result.trim()),
                "`mimecast-sentinel logs` shows what the worker said",
            );
        }
        patience.pause().await;
    }
}

pub(super) async fn timer(patience: &Patience<'_>, site_id: &ResourceId) -> Result<Probe, AzureError> {
    const TITLE: &str = "timer";
    loop {
        let functions = patience.azure.functions(site_id).await?;
        if functions.iter().any(|function| function.name.eq_ignore_ascii_case(TIMER_FUNCTION)) {
            return Ok(probe(
                "timer",
                TITLE,
                Outcome::Good,
                format!("function `{TIMER_FUNCTION}` is registered"),
            ));
        }
        if patience.over() {
            return Ok(with_remedy(
                probe("timer", TITLE, Outcome::Bad, format!("function `{TIMER_FUNCTION}` is not registered")),
                "restart the app, then `mimecast-sentinel doctor`",
            ));
        }
        patience.pause().await;
    }
}

/// Asks for a run and waits for a good health row, of those that the query gives.
pub(super) async fn first_run(
    patience: &Patience<'_>,
    workspace_customer_id: &str,
    query: &str,
    host: &Url,
    key: &Secret<String>,
) -> Probe {
    const TITLE: &str = "run of the worker";
    let mut asked: Option<u64> = None;
    loop {
        let due = asked.is_none_or(|at| patience.watch.millis() - at >= ASK_AGAIN_AFTER.as_millis() as u64);
        let mut refused = None;
        if due {
            refused = patience.azure.run_function(host, key, TIMER_FUNCTION, "").await.err();
            asked = Some(patience.watch.millis());
        }
        let last = match patience.azure.query(workspace_customer_id, query, "").await {
            Ok(rows) => rows.records().next(),
            Err(error) if error.status() == Some(403) => {
                return with_remedy(
                    probe("run", TITLE, Outcome::NotChecked, "this account may not query the workspace"),
                    "the role Log Analytics Reader on the workspace is needed to see rows",
                );
            }
            // A table that is new is not known to queries at once.
            Err(_) => None,
        };
        let text = |row: &serde_json::Map<String, Value>, name: &str| {
            row.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let result = match (&last, &refused) {
            (Some(row), _) if matches!(text(row, "Result").as_str(), "ok" | "partial") => {
                let delivered = row.get("Delivered").map(ToString::to_string).unwrap_or_default();
                return probe(
                    "run",
                    TITLE,
                    Outcome::Good,
                    format!("{}, {delivered} rows delivered", text(row, "Result")),
                );
            }
            (Some(row), _) => {
                format!("{} in {}: {}", text(row, "Result"), text(row, "Stage"), text(row, "Message"))
            }
            (None, Some(error)) => error.to_string(),
            (None, None) => "accepted, its health row is not visible yet".to_owned(),
        };
        let failed = last.as_ref().is_some_and(|row| text(row, "Result") == "failed");
        // Nothing better comes where no further run is asked for within the limit.
        let asked_last = asked.is_some_and(|at| patience.ends_within(at, ASK_AGAIN_AFTER));
        if patience.over() || failed && asked_last {
            let outcome = if failed { Outcome::Bad } else { Outcome::Waiting };
            return with_remedy(
                probe("run", TITLE, outcome, result),
                "up to 45 minutes can be normal after an installation; `mimecast-sentinel status` looks again",
            );
        }
        patience.pause().await;
    }
}

async fn audit_rows(patience: &Patience<'_>, subject: &Subject) -> (Probe, Option<u64>) {
    const TITLE: &str = "audit rows";
    let query = format!("{AUDIT_TABLE} | count");
    loop {
        let found = patience.azure.query(&subject.workspace_customer_id, &query, "").await;
        let rows = found.as_ref().ok().and_then(|rows| rows.single()).and_then(Value::as_u64);
        if let Some(rows) = rows.filter(|rows| *rows > 0) {
            return (probe("rows", TITLE, Outcome::Good, format!("{rows} in `{AUDIT_TABLE}`")), Some(rows));
        }
        if patience.over() {
            let result = match found {
                Err(error) => error.to_string(),
                Ok(_) => "none visible yet".to_owned(),
            };
            let waiting = probe("rows", TITLE, Outcome::Waiting, result);
            return (
                with_remedy(
                    waiting,
                    "the first rows can take 15 minutes; `mimecast-sentinel status` looks again",
                ),
                rows,
            );
        }
        patience.pause().await;
    }
}
