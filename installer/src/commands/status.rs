//! `status`: inventory; printed. Exit 1 when something is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use contract::resources::{PACKAGE_TAG, PREVIOUS_PACKAGE_TAG, VERSION_TAG, WORKER_TAG};
use serde_json::{Map, Value, json};

use super::arguments::{Global, StatusOptions};
use super::runs::{self, Found};
use super::{gather, unwritable, upgrade};
use crate::answers::Value as Answer;
use crate::answers::given::Given;
use crate::azure::{Azure, ResourceId};
use crate::deploy::publish::site_url;
use crate::inventory::Inventory;
use crate::plan::change::{Change, PropertyChange};
use crate::plan::desired::VERSION;
use crate::plan::removal::Subject;
use crate::plan::{self, Plan, Severity, Step, tag};
use crate::ui::{Code, Failure, Ui, human};
use crate::verify::{self, reference};
use crate::world::World;

/// How many runs are looked at: those of many accounts since their last good one.
const RUNS_LOOKED_AT: usize = 500;
/// How many runs are shown.
const RUNS_SHOWN: usize = 5;

/// Which installation a command is about.
pub(super) struct Selected {
    pub(super) subject: Subject,
    pub(super) tenant_id: Option<String>,
}

/// The installation that flags, environment or answers name.
pub(super) fn subject(given: &Given) -> Result<Selected, Failure> {
    let text = |path: &str| match given.answer(path).map(|answer| &answer.value) {
        Some(Answer::Text(text)) => Some(text.clone()),
        _ => None,
    };
    let (subscription, group) = (text("azure.subscription_id"), text("azure.resource_group"));
    match (subscription, group) {
        (Some(subscription_id), Some(resource_group)) => Ok(Selected {
            subject: Subject {
                installation: text("name").unwrap_or_else(|| "mimecast-audit".to_owned()),
                subscription_id,
                resource_group,
            },
            tenant_id: text("azure.tenant_id"),
        }),
        (subscription, group) => {
            let missing = [
                subscription.is_none().then_some("--subscription ID"),
                group.is_none().then_some("--resource-group NAME"),
            ];
            Err(Failure::problems(
                Code::NotNamed,
                "which installation? Give --answers FILE, or:",
                missing.into_iter().flatten(),
            ))
        }
    }
}

/// Runs the command.
pub(super) async fn run(
    world: &World,
    ui: &Ui,
    global: &Global,
    options: &StatusOptions,
) -> Result<u8, Failure> {
    let found = runs::find(world, ui, global, &options.answers).await?;
    let status = Status::look(world, &found).await;
    let subject = &found.selected.subject;
    ui.told(&status.text(subject), &status.json(subject)).map_err(unwritable)?;
    Ok(u8::from(!status.problems.is_empty()))
}

/// What is known of an installation.
#[derive(Default)]
pub(super) struct Status {
    facts: Map<String, Value>,
    runs: Vec<Map<String, Value>>,
    drift: Vec<String>,
    outdated: Vec<String>,
    tuned: Vec<String>,
    problems: Vec<String>,
}

impl Status {
    /// Looks at an installation that is there.
    pub(super) async fn look(world: &World, found: &Found) -> Self {
        let mut status = Self::default();
        let site = found.inventory.resource(found.site_id.path()).cloned().unwrap_or_default();
        status.versions(&site, &found.inventory);
        status.host(&found.azure, &found.site_id, &site).await;
        status.references(&found.azure, &found.site_id).await;
        status.runs(found).await;
        status.silence(world, found).await;
        status.drift(world, found).await;
        status
    }

    fn versions(&mut self, site: &Value, inventory: &Inventory) {
        let version = tag(site, VERSION_TAG);
        self.facts.insert("version".to_owned(), json!(version));
        if version.is_some_and(|version| version != VERSION) {
            self.facts.insert("installer".to_owned(), json!(format!("{VERSION}; `upgrade` brings it here")));
        }
        self.facts.insert("package".to_owned(), json!(tag(site, PACKAGE_TAG)));
        self.facts.insert("previous".to_owned(), json!(tag(site, PREVIOUS_PACKAGE_TAG)));
        self.facts.insert("state".to_owned(), site["properties"]["state"].clone());
        self.facts.insert("paused".to_owned(), json!(runs::paused(inventory)));
        self.facts.insert("workspace".to_owned(), json!(inventory.workspace.id));
        self.facts.insert("resources".to_owned(), json!(inventory.owned.len()));
        if site["properties"]["state"].as_str().is_some_and(|state| state.eq_ignore_ascii_case("Stopped")) {
            self.problems.push("the Function App was stopped by hand; start it in the portal".to_owned());
        }
    }

    /// Compares the package that the Function App names with the one that the last run says it is.
    fn package(&mut self, named: Option<&str>) {
        let ran = self.runs.first().map(|last| last.get("PackageHash").and_then(Value::as_str).unwrap_or(""));
        let problem = match (named, ran) {
            (None, None) => "no worker package was published; `upgrade` publishes it".to_owned(),
            (None, Some(_)) => {
                "which worker package runs is not known: it was deployed without its SHA-256; `upgrade` publishes this installer's"
                    .to_owned()
            }
            (Some(named), Some(ran)) if !ran.is_empty() && ran != named => format!(
                "the last run was of package {ran}, not of {named}, which the Function App names: the next run should be, or another package was deployed by hand; `upgrade` publishes anew"
            ),
            _ => return,
        };
        self.problems.push(problem);
    }

    /// Compares the worker's file that was published with the one that the last run says it is. A package's
    /// name is a setting, which stays when another package is deployed by hand; what a worker says of its own
    /// file is not.
    fn worker(&mut self, published: Option<&str>) {
        let version = self.runs.first().and_then(|last| last.get("WorkerVersion")?.as_str());
        let own = version.and_then(|version| version.split_once('+')).map(|(_, own)| own.to_owned());
        let (Some(published), Some(own)) = (published, own) else { return };
        self.facts.insert("ran_worker".to_owned(), json!(own));
        if !published.starts_with(&own) {
            self.problems.push(format!(
                "the last run was of a worker whose file has the SHA-256 {own}…, and the one that was published has {published}: the next run should be of that, or another package was deployed by hand; `upgrade` publishes anew"
            ));
        }
    }

    async fn host(&mut self, azure: &Azure, site_id: &ResourceId, site: &Value) {
        let found = async {
            let key = azure.master_key(site_id).await?;
            match site_url(site) {
                Some(url) => azure.host_status(&url, &key).await.map(Some),
                None => Ok(None),
            }
        };
        let state = match found.await {
            Ok(Some(status)) if status.healthy() => status.state,
            Ok(Some(status)) => {
                self.problems.push(format!(
                    "the Functions host is {}: {}",
                    status.state,
                    status.errors.join("; ")
                ));
                status.state
            }
            Ok(None) => "unknown".to_owned(),
            Err(error) => {
                self.problems.push(format!("the Functions host could not be asked: {error}"));
                "unknown".to_owned()
            }
        };
        self.facts.insert("host".to_owned(), json!(state));
    }

    async fn references(&mut self, azure: &Azure, site_id: &ResourceId) {
        match reference::references(azure, site_id).await {
            Ok(references) => {
                for open in references.iter().filter(|reference| !reference.resolved()) {
                    let remedy = reference::remedy(azure, site_id, open).await;
                    let (setting, status) = (&open.setting, &open.status);
                    self.problems
                        .push(format!("the Key Vault reference of `{setting}` is {status}; {remedy}"));
                }
                self.facts.insert("references".to_owned(), json!(references.len()));
            }
            Err(error) => self.problems.push(format!("the Key Vault references could not be read: {error}")),
        }
    }

    async fn runs(&mut self, found: &Found) {
        let site = found.inventory.resource(found.site_id.path());
        let runs = match found.runs(RUNS_LOOKED_AT).await {
            Ok(runs) => runs,
            Err(error) => {
                self.facts.insert("runs".to_owned(), json!(format!("not checked: {error}")));
                if site.is_some_and(|site| tag(site, PACKAGE_TAG).is_none()) {
                    self.problems.push("the Function App names no worker package".to_owned());
                }
                return;
            }
        };
        if let Ok(count) = found.dead_letters().await {
            self.facts.insert("dead_letters".to_owned(), json!(count));
        }
        // Each account is judged by its newest run.
        let text = |run: &Map<String, Value>, column: &str| {
            run.get(column).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let accounts: BTreeSet<String> = runs.iter().map(|run| text(run, "Account")).collect();
        let newest: BTreeMap<String, &Map<String, Value>> = accounts
            .into_iter()
            .filter_map(|account| {
                let run = verify::newest(&runs, |run| text(run, "Account") == account)?;
                Some((account, run))
            })
            .collect();
        for (account, run) in newest.iter().filter(|(_, run)| text(run, "Result") == "failed") {
            let whose = if account.is_empty() { String::new() } else { format!(" of account `{account}`") };
            self.problems.push(format!("the last run{whose} failed: {}", text(run, "Message")));
        }
        let lags = newest.values().filter_map(|run| run.get("LagSeconds")?.as_i64());
        self.facts.insert("lag_secs".to_owned(), json!(lags.max()));
        let package = runs.first().and_then(|run| run.get("PackageHash")).cloned();
        self.facts.insert("ran_package".to_owned(), package.unwrap_or_default());
        if runs.is_empty() {
            self.problems.push("no run has been seen yet".to_owned());
        }
        self.runs = runs.into_iter().take(RUNS_SHOWN).collect();
        self.package(site.and_then(|site| tag(site, PACKAGE_TAG)));
        self.worker(site.and_then(|site| tag(site, WORKER_TAG)));
    }

    /// Names the accounts whose runs stay away: a worker that is dead writes no row that says so.
    async fn silence(&mut self, world: &World, found: &Found) {
        // Whoever may not query was told so by the runs.
        let Ok(health) = found.health(world).await else { return };
        self.problems.extend(
            health
                .silent
                .iter()
                .map(|silent| format!("{}: `mimecast-sentinel doctor` looks for the cause", silent.told())),
        );
    }

    /// What a plan from the recorded answers would change: that is what someone has changed by hand.
    async fn drift(&mut self, world: &World, found: &Found) {
        let planned = async {
            let recorded = gather::recorded(found.inventory.settings.as_ref())?;
            let intent = gather::intent_in(world, &recorded, found.azure.cloud())?;
            let inventory = upgrade::inventory(world, found, &intent).await?;
            plan::plan(&intent, &inventory, None).map_err(|error| Failure::internal(&error))
        };
        match planned.await {
            Ok(plan) => {
                let site = found.inventory.resource(found.site_id.path());
                let differences = Differences::of(&plan, site.and_then(|site| tag(site, VERSION_TAG)));
                let by_hand = differences.by_hand.iter().map(|line| format!("changed by hand: {line}"));
                self.problems.extend(by_hand);
                self.drift.extend(differences.by_hand);
                self.outdated.extend(differences.outdated);
                let refused = plan.findings.iter().filter(|finding| finding.severity == Severity::Refuses);
                self.problems.extend(refused.map(|finding| finding.message.clone()));
                // An analyst may tune what is theirs to tune: no command changes it back unasked.
                let tuned = plan.findings.iter().filter(|finding| finding.id == "tuned-content");
                self.tuned.extend(tuned.map(|finding| finding.message.clone()));
            }
            Err(failure) => {
                let causes = failure.chain.iter().chain(&failure.problems).cloned().collect::<Vec<_>>();
                self.problems.push(format!("drift was not checked: {}", causes.join(": ")));
            }
        }
    }

    fn text(&self, subject: &Subject) -> String {
        let plain = |value: &Value| match value {
            Value::String(text) => text.clone(),
            Value::Null => "-".to_owned(),
            other => other.to_string(),
        };
        let mut text = format!("Installation `{}` in `{}`\n", subject.installation, subject.resource_group);
        for (name, value) in &self.facts {
            let _ = writeln!(text, "  {:<12} {}", name.replace('_', " "), plain(value));
        }
        for run in &self.runs {
            let _ = writeln!(text, "  run          {}", runs::line(run));
        }
        for outdated in &self.outdated {
            let _ = writeln!(text, "  outdated     {outdated}");
        }
        for tuned in &self.tuned {
            let _ = writeln!(text, "  tuned        {tuned}");
        }
        for problem in &self.problems {
            let _ = writeln!(text, "  problem      {problem}");
        }
        if !self.outdated.is_empty() {
            let _ = writeln!(
                text,
                "Outdated is what this installer, of version {VERSION}, makes otherwise than the one that was here last; \
                 `mimecast-sentinel upgrade` brings it up to date."
            );
        }
        let paused = self.facts.get("paused") == Some(&json!(true));
        if paused {
            text.push_str("Paused: nothing is collected until `mimecast-sentinel resume`.\n");
        } else if self.problems.is_empty() {
            text.push_str("All is well.\n");
        }
        text
    }

    /// For programs.
    pub(super) fn json(&self, subject: &Subject) -> Value {
        json!({
            "installation": subject.installation,
            "resource_group": subject.resource_group,
            "facts": self.facts,
            "runs": self.runs,
            "drift": self.drift,
            "outdated": self.outdated,
            "tuned": self.tuned,
            "problems": self.problems,
        })
    }
}

/// What a plan from the recorded answers would change, a line each.
#[derive(Debug, Default, PartialEq, Eq)]
struct Differences {
    /// What somebody has changed.
    by_hand: Vec<String>,
    /// What this installer makes otherwise than the one that was here last.
    outdated: Vec<String>,
}

impl Differences {
    /// Sorts them. `installed` is the version that the installation is marked with: where it is another than
    /// this installer's, what its version changed and what a person changed look the same, and people are
    /// not blamed for it. Content has a mark of its own that tells.
    fn of(plan: &Plan, installed: Option<&str>) -> Self {
        let other_version = installed.is_some_and(|installed| installed != VERSION);
        let mut found = Self::default();
        for step in &plan.steps {
            let lines = match &step.change {
                Change::Create => vec![format!("{} is missing", step.title)],
                Change::Update(changes) => lines(&step.title, changes),
                Change::Delete | Change::Run => Vec::new(),
            };
            let outdated = other_version || outdated_content(step);
            if outdated { &mut found.outdated } else { &mut found.by_hand }.extend(lines);
        }
        for tuned in &plan.tuned {
            found.by_hand.extend(lines(&tuned.title, &tuned.changes));
        }
        found
    }
}

/// A line for each property. A newer installer's version mark is none.
fn lines(title: &str, changes: &[PropertyChange]) -> Vec<String> {
    let version = format!("tags.{VERSION_TAG}");
    let shown = changes.iter().filter(|change| change.path != version);
    shown.map(|change| format!("{title}: {}", human::property(change))).collect()
}

/// Whether a step brings an item of content up to date that nobody but us has written: what a person has
/// changed is not written over. A line of ours in a custom parser, or a mark, was taken away by somebody.
fn outdated_content(step: &Step) -> bool {
    let item = step.key.strip_prefix("content/").is_some_and(|item| !item.starts_with("unifier/"));
    let Change::Update(changes) = &step.change else { return false };
    item && changes.iter().all(|change| change.path != "installations")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Change, Differences, Plan, VERSION};

    fn plan(steps: &Value, tuned: &Value) -> Plan {
        let step = |step: &Value| {
            json!({
                "key": step["key"],
                "title": step["key"],
                "action": { "do": "delete", "id": "/x", "api_version": "1" },
                "depends_on": [],
                "change": step["change"],
                "undo": null,
            })
        };
        let steps: Vec<Value> = steps.as_array().expect("steps").iter().map(step).collect();
        serde_json::from_value(json!({
            "installation": "i", "version": VERSION, "subscription_id": "s", "resource_group": "g",
            "workspace_id": "w", "function_app_id": "f", "answers": "{}", "tuned_content": "keep",
            "tuned": tuned, "steps": steps, "kept": [], "findings": [],
        }))
        .expect("a plan")
    }

    #[test]
    fn a_newer_version_is_not_blamed_on_people_and_a_tuned_item_is() {
        let update = |path: &str| json!({ "update": [{ "path": path, "before": 1, "after": 2 }] });
        let steps = json!([
            { "key": "plan", "change": update("properties.reserved") },
            { "key": "table/T", "change": update("properties.schema.columns[new].name") },
            { "key": "content/hunt/a", "change": update("properties.query") },
            { "key": "content/unifier/Im", "change": update("properties.query") },
            { "key": "role/rows", "change": "create" },
            { "key": "identity", "change": update("tags.mimecast-sentinel-version") },
            { "key": "publish", "change": "run" },
        ]);
        let tuned = json!([{ "title": "analytics rule `R`",
            "changes": [{ "path": "properties.query", "before": "theirs", "after": "ours" }] }]);
        let plan = plan(&steps, &tuned);
        assert!(matches!(plan.steps[4].change, Change::Create));
        let of_a_person = "analytics rule `R`: properties.query: theirs -> ours";
        let same = Differences::of(&plan, Some(VERSION));
        assert_eq!(same.outdated, ["content/hunt/a: properties.query: 1 -> 2"]);
        assert_eq!(
            same.by_hand,
            [
                "plan: properties.reserved: 1 -> 2",
                "table/T: properties.schema.columns[new].name: 1 -> 2",
                "content/unifier/Im: properties.query: 1 -> 2",
                "role/rows is missing",
                of_a_person,
            ]
        );
        assert_eq!(Differences::of(&plan, None), same);
        let other = Differences::of(&plan, Some("0.0.0-before"));
        assert_eq!(other.by_hand, [of_a_person]);
        assert_eq!(other.outdated.len(), 5);
    }
}
