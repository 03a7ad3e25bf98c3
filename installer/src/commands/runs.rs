//! `logs`, `pause`, `resume`, `backfill` and `replay`: the worker's runs, seen and steered.

use std::fmt::Write as _;

use contract::resources::{INSTALLATION_TAG, QUEUE_FUNCTION};
use contract::streams::HEALTH_TABLE;
use serde_json::{Map, Value, json};
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime};

use super::arguments::{AnswerOptions, BackfillOptions, Global, LogsOptions};
use super::status::{self, Selected};
use super::{gather, unwritable};
use crate::azure::{Azure, AzureError, ResourceId, Rows};
use crate::deploy::publish::site_url;
use crate::inventory::observe::observe_installation;
use crate::inventory::{Inventory, installation_of};
use crate::plan::ids::Ids;
use crate::plan::setting;
use crate::plan::template::{SITES_VERSION, api_version};
use crate::ui::{Code, Event, Failure, Ui};
use crate::world::World;

/// An installation that was found.
pub(super) struct Found {
    pub(super) azure: Azure,
    pub(super) selected: Selected,
    pub(super) inventory: Inventory,
    pub(super) site_id: ResourceId,
}

/// Signs in and looks for the installation that flags or answers name.
pub(super) async fn find(
    world: &World,
    ui: &Ui,
    global: &Global,
    options: &AnswerOptions,
) -> Result<Found, Failure> {
    let found = look_for(world, ui, global, options).await?;
    if found.complete() {
        return Ok(found);
    }
    if let Some(failure) = untagged(&found).await? {
        return Err(failure);
    }
    let (subject, there) = (&found.selected.subject, found.inventory.owned.len());
    Err(Failure::user(
        Code::NoInstallation,
        if there == 0 {
            format!("there is no installation `{}` in `{}`", subject.installation, subject.resource_group)
        } else {
            format!(
                "the installation `{}` has no Function App, and {there} other resources; `install` completes it",
                subject.installation
            )
        },
    ))
}

/// What is wrong where the Function App is there under its name and does not say whose it is: then no
/// command knows it, and `install` takes it for a stranger's.
async fn untagged(found: &Found) -> Result<Option<Failure>, Failure> {
    let site = found.azure.get(&found.site_id, SITES_VERSION).await.map_err(|error| Failure::of(&error))?;
    let Some(site) = site else { return Ok(None) };
    let (subject, path) = (&found.selected.subject, found.site_id.path());
    let name = &found.inventory.names.function_app;
    let failure = match installation_of(&site) {
        Some(other) => Failure::user(
            Code::NoInstallation,
            format!("the Function App `{name}` belongs to the installation `{other}`; it is left alone"),
        ),
        None => Failure::problems(
            Code::NoInstallation,
            format!(
                "the Function App `{name}` is there and does not carry the tag of the installation `{}`, by which it is \
                 known",
                subject.installation
            ),
            [
                format!(
                    "where the tag was taken away by hand, put it back: az tag update --operation merge --resource-id \
                     '{path}' --tags {INSTALLATION_TAG}={}",
                    subject.installation
                ),
                "where the app is somebody else's, choose another `name` for the installation".to_owned(),
            ],
        ),
    };
    Ok(Some(failure))
}

/// The same, where it may be that there is none, or one without its Function App.
pub(super) async fn look_for(
    world: &World,
    ui: &Ui,
    global: &Global,
    options: &AnswerOptions,
) -> Result<Found, Failure> {
    let given = gather::given(world, global, options)?;
    let selected = status::subject(&given)?;
    let cloud = gather::cloud(world, &given)?;
    let azure = gather::connect(world, ui, global, &cloud, selected.tenant_id.as_deref()).await?;
    let subject = &selected.subject;
    ui.say(Event::Looking { what: format!("at the installation `{}`", subject.installation) });
    let inventory = observe_installation(&azure, subject, None).await.map_err(|error| Failure::of(&error))?;
    let ids = Ids::of(&subject.subscription_id, &subject.resource_group, &inventory.names);
    let site_id = ResourceId::parse(&ids.function_app).map_err(|error| Failure::internal(&error))?;
    Ok(Found { azure, selected, inventory, site_id })
}

impl Found {
    /// Whether the Function App is there.
    pub(super) fn complete(&self) -> bool {
        self.inventory.resource(self.site_id.path()).is_some()
    }

    /// The newest runs, newest first, from the health table.
    pub(super) async fn runs(&self, count: usize) -> Result<Vec<Map<String, Value>>, AzureError> {
        let query = format!(
            "{HEALTH_TABLE} | where Installation == \"{}\" | top {count} by TimeGenerated desc",
            self.selected.subject.installation
        );
        Ok(self.query(&query).await?.records().collect())
    }

    /// How many records were set aside by all runs that the health table still has.
    pub(super) async fn dead_letters(&self) -> Result<u64, AzureError> {
        let query = format!(
            "{HEALTH_TABLE} | where Installation == \"{}\" | summarize DeadLettered = sum(DeadLettered)",
            self.selected.subject.installation
        );
        Ok(self.query(&query).await?.single().and_then(Value::as_u64).unwrap_or(0))
    }

    pub(super) async fn query(&self, query: &str) -> Result<Rows, AzureError> {
        let id = ResourceId::parse(&self.inventory.workspace.id)?;
        let version = api_version("Microsoft.OperationalInsights/workspaces").unwrap_or_default();
        let workspace = self.azure.get(&id, version).await?.unwrap_or_default();
        let customer_id = workspace["properties"]["customerId"].as_str().unwrap_or_default();
        self.azure.query(customer_id, query, "").await
    }

    /// Asks the queue's function for this work. The timer's would drop the text: the host starts a timer
    /// function by hand with an ordinary timer payload (azure-webjobs-sdk-extensions,
    /// `TimerTriggerBinding.BindAsync`).
    async fn ask(&self, input: &str) -> Result<(), Failure> {
        let functions = self.azure.functions(&self.site_id).await.map_err(|error| Failure::of(&error))?;
        if functions.iter().all(|function| function.name != QUEUE_FUNCTION) {
            let mut failure = Failure::user(
                Code::NoQueue,
                "this installation has no work queue, which this needs; nothing was asked for",
            );
            failure.problems.push(
                "what to do: put `work_queue: always` under `collect:` in the answers and run \
                 `mimecast-sentinel install --answers FILE`, which adds it"
                    .to_owned(),
            );
            return Err(failure);
        }
        let asked = async {
            let site = self.azure.get(&self.site_id, SITES_VERSION).await?.unwrap_or_default();
            let host = site_url(&site).ok_or_else(|| AzureError::Incomplete {
                what: format!("reading {}", self.site_id),
                missing: "defaultHostName",
            })?;
            let key = self.azure.master_key(&self.site_id).await?;
            self.azure.run_function(&host, &key, QUEUE_FUNCTION, input).await
        };
        asked.await.map_err(|error| Failure::of(&error))
    }
}

/// One run as a line.
pub(super) fn line(run: &Map<String, Value>) -> String {
    let cell = |name: &str| match run.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => "-".to_owned(),
        Some(other) => other.to_string(),
    };
    // Where there is one account only, it needs no name.
    let account = match run.get("Account").and_then(Value::as_str) {
        Some(account) if !account.is_empty() => format!(" account {account}"),
        _ => String::new(),
    };
    let mut text = format!(
        "{} {:<7} {:<8}{account} read {} repeated {} delivered {} dead-lettered {} lag {}",
        cell("TimeGenerated"),
        cell("Result"),
        cell("Trigger"),
        cell("Read"),
        cell("Repeated"),
        cell("Delivered"),
        cell("DeadLettered"),
        run.get("LagSeconds").and_then(Value::as_i64).map_or("-".to_owned(), |lag| format!("{lag} s")),
    );
    if !matches!(cell("Message").as_str(), "" | "-") {
        let _ = write!(text, "\n    {} {}: {}", cell("Stage"), cell("ErrorCode"), cell("Message"));
    }
    text
}

/// Runs `logs`.
pub(super) async fn logs(
    world: &World,
    ui: &Ui,
    global: &Global,
    options: &LogsOptions,
) -> Result<u8, Failure> {
    let found = find(world, ui, global, &options.answers).await?;
    let runs = found.runs(options.last).await.map_err(|error| Failure::of(&error))?;
    let text: String = if runs.is_empty() {
        "No run has been seen yet.\n".to_owned()
    } else {
        // The newest last, as logs are read.
        runs.iter().rev().map(|run| format!("{}\n", line(run))).collect()
    };
    ui.data(&text, &json!({ "runs": runs })).map_err(unwritable)?;
    Ok(0)
}

/// Whether the app's settings say that it is paused.
pub(super) fn paused(inventory: &Inventory) -> bool {
    inventory.settings.as_ref().is_some_and(setting::paused)
}

/// Whether collecting stops or goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// No run is started by the timer.
    Pause,
    /// Runs are started again.
    Resume,
}

/// Runs `pause` and `resume`.
pub(super) async fn pace(
    world: &World,
    ui: &Ui,
    global: &Global,
    options: &AnswerOptions,
    pace: Pace,
) -> Result<u8, Failure> {
    let found = find(world, ui, global, options).await?;
    let mut settings = found.inventory.settings.clone().unwrap_or_default();
    let before = settings.clone();
    for name in setting::disabling() {
        match pace {
            Pace::Pause => settings.insert(name, "true".to_owned()),
            Pace::Resume => settings.remove(&name),
        };
    }
    let changed = settings != before;
    if changed {
        found.azure.set_app_settings(&found.site_id, &settings).await.map_err(|error| Failure::of(&error))?;
    }
    let text = match (pace, changed) {
        (Pace::Pause, true) => "Paused. The next run after `resume` goes on where the last one ended.\n",
        (Pace::Pause, false) => "It is paused already.\n",
        (Pace::Resume, true) => "Resumed.\n",
        (Pace::Resume, false) => "It is not paused.\n",
    };
    ui.told(text, &json!({ "paused": pace == Pace::Pause, "changed": changed })).map_err(unwritable)?;
    Ok(0)
}

/// A time as a person writes it: RFC 3339, or a day, which begins at midnight UTC.
fn instant(name: &str, text: &str) -> Result<OffsetDateTime, Failure> {
    let day = || {
        Date::parse(text, format_description!("[year]-[month]-[day]")).map(|day| day.midnight().assume_utc())
    };
    let read = OffsetDateTime::parse(text, &Rfc3339).or_else(|_| day()).ok();
    // As the worker takes it.
    let read = read
        .and_then(|at| at.checked_to_offset(time::UtcOffset::UTC))
        .filter(|at| (1..9999).contains(&at.year()));
    read.ok_or_else(|| {
        Failure::user(
            Code::Range,
            format!(
                "`{name} {text}` is not a time; accepted: RFC 3339, such as 2026-11-25T00:00:00Z, or a day, such as \
                 2026-11-25, which begins at midnight UTC"
            ),
        )
    })
}

/// Runs `backfill`.
pub(super) async fn backfill(
    world: &World,
    ui: &Ui,
    global: &Global,
    options: &BackfillOptions,
) -> Result<u8, Failure> {
    let (from, to) = (instant("--from", &options.from)?, instant("--to", &options.to)?);
    if from >= to {
        return Err(Failure::user(Code::Range, "--from must be before --to"));
    }
    let found = find(world, ui, global, &options.answers).await?;
    let only = if options.only_missing { " only-missing" } else { "" };
    let written = |time: OffsetDateTime| time.format(&Rfc3339).unwrap_or_default();
    let work = format!("backfill {} {}{only}", written(from), written(to));
    let asked = match &options.account {
        Some(account) => json!({ "account": account, "work": work }).to_string(),
        None => work,
    };
    found.ask(&asked).await?;
    if !options.only_missing {
        ui.say(Event::Note {
            text: "raw rows of this range may repeat; the functions and views of the content hide repeats by eventKey_s"
                .to_owned(),
        });
    }
    ui.told("Asked for. `mimecast-sentinel logs` shows how it went.\n", &json!({ "accepted": true }))
        .map_err(unwritable)?;
    Ok(0)
}

/// Runs `replay`.
pub(super) async fn replay(
    world: &World,
    ui: &Ui,
    global: &Global,
    options: &AnswerOptions,
) -> Result<u8, Failure> {
    let found = find(world, ui, global, options).await?;
    found.ask("replay").await?;
    ui.told("Asked for. `mimecast-sentinel logs` shows how it went.\n", &json!({ "accepted": true }))
        .map_err(unwritable)?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use time::macros::datetime;

    use super::{instant, line};

    #[test]
    fn a_day_begins_at_midnight() {
        let at = |text: &str| instant("--from", text).ok();
        assert_eq!(at("2026-11-20"), Some(datetime!(2026-11-20 00:00 UTC)));
        assert_eq!(at("2026-11-20T01:00:00+01:00"), Some(datetime!(2026-11-20 00:00 UTC)));
        assert_eq!(at("20.11.2026"), None);
        assert_eq!(at("2026-02-30"), None);
        assert_eq!(at("9999-12-31T23:50:59-22:01"), None);
    }

    #[test]
    fn a_run_that_left_the_work_to_another_has_no_lag() {
        let run = json!({ "TimeGenerated": "2026-11-25T00:00:00Z", "Result": "busy", "Trigger": "timer",
            "LagSeconds": null });
        let text = line(run.as_object().expect("an object"));
        assert!(text.ends_with(" lag -"), "{text}");
    }

    #[test]
    fn a_failed_run_says_why_on_a_line_of_its_own() {
        let run = json!({ "TimeGenerated": "2026-11-25T00:00:00Z", "Result": "failed", "Trigger": "timer", "Read": 5,
            "Delivered": 0, "LagSeconds": 70, "Stage": "ingest", "ErrorCode": "forbidden", "Message": "no role" });
        let text = line(run.as_object().expect("an object"));
        assert_eq!(
            text,
            "2026-11-25T00:00:00Z failed  timer    read 5 repeated - delivered 0 dead-lettered - lag 70 s\n    ingest forbidden: no role"
        );
    }
}
