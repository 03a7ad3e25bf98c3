//! `status`: inventory; printed. Exit 1 when something is wrong.

use std::fmt::Write as _;

use contract::resources::{PACKAGE_TAG, VERSION_TAG};
use contract::streams::HEALTH_TABLE;
use serde_json::{Map, Value, json};

use super::arguments::{Global, StatusOptions};
use super::{gather, unwritable};
use crate::answers::Value as Answer;
use crate::answers::given::Given;
use crate::azure::{Azure, ResourceId};
use crate::deploy::publish::site_url;
use crate::inventory::Inventory;
use crate::inventory::observe::observe_installation;
use crate::plan::desired::Ids;
use crate::plan::removal::Subject;
use crate::plan::{tag, template};
use crate::ui::{Event, Failure, Ui};
use crate::world::World;

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
    let given = gather::given(world, global, &options.answers)?;
    let selected = subject(&given)?;
    let cloud = gather::cloud(world, &given)?;
    let azure = gather::connect(world, ui, global, &cloud, selected.tenant_id.as_deref()).await?;
    let subject = &selected.subject;
    ui.say(Event::Looking { what: format!("at the installation `{}`", subject.installation) });
    let inventory = observe_installation(&azure, subject).await.map_err(|error| Failure::of(&error))?;
    let ids = Ids::of(&subject.subscription_id, &subject.resource_group, &inventory.names);
    let Some(site) = inventory.resource(&ids.function_app) else {
        let there = inventory.owned.len();
        return Err(Failure::user(if there == 0 {
            format!("there is no installation `{}` in `{}`", subject.installation, subject.resource_group)
        } else {
            format!(
                "the installation `{}` has no Function App, and {there} other resources; `install` completes it",
                subject.installation
            )
        }));
    };
    let mut status = Status::default();
    status.versions(site, &inventory);
    status.host(&azure, &ids, site).await;
    status.references(&azure, &ids).await;
    status.runs(&azure, subject, &inventory).await;
    ui.data(&status.text(subject), &status.json(subject)).map_err(unwritable)?;
    Ok(u8::from(!status.problems.is_empty()))
}

#[derive(Default)]
struct Status {
    facts: Map<String, Value>,
    runs: Vec<Map<String, Value>>,
    problems: Vec<String>,
}

impl Status {
    fn versions(&mut self, site: &Value, inventory: &Inventory) {
        self.facts.insert("version".to_owned(), json!(tag(site, VERSION_TAG)));
        self.facts.insert("package".to_owned(), json!(tag(site, PACKAGE_TAG)));
        self.facts.insert("state".to_owned(), site["properties"]["state"].clone());
        self.facts.insert("workspace".to_owned(), json!(inventory.workspace.id));
        self.facts.insert("resources".to_owned(), json!(inventory.owned.len()));
        if tag(site, PACKAGE_TAG).is_none() {
            self.problems
                .push("no worker package was published; `install` completes the installation".to_owned());
        }
    }

    async fn host(&mut self, azure: &Azure, ids: &Ids, site: &Value) {
        let found = async {
            let id = ResourceId::parse(&ids.function_app)?;
            let key = azure.master_key(&id).await?;
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

    async fn references(&mut self, azure: &Azure, ids: &Ids) {
        let path = format!("{}/config/configreferences/appsettings", ids.function_app);
        match azure.list(&path, template::SITES_VERSION).await {
            Ok(references) => {
                for reference in &references {
                    let name =
                        reference["name"].as_str().unwrap_or_default().rsplit('/').next().unwrap_or_default();
                    let state = reference["properties"]["status"].as_str().unwrap_or("unknown");
                    if state != "Resolved" {
                        self.problems.push(format!("the Key Vault reference of `{name}` is {state}"));
                    }
                }
                self.facts.insert("references".to_owned(), json!(references.len()));
            }
            Err(error) => self.problems.push(format!("the Key Vault references could not be read: {error}")),
        }
    }

    async fn runs(&mut self, azure: &Azure, subject: &Subject, inventory: &Inventory) {
        let found = async {
            let id = ResourceId::parse(&inventory.workspace.id)?;
            let version =
                template::api_version("Microsoft.OperationalInsights/workspaces").unwrap_or_default();
            let workspace = azure.get(&id, version).await?.unwrap_or_default();
            let customer_id = workspace["properties"]["customerId"].as_str().unwrap_or_default().to_owned();
            let query = format!(
                "{HEALTH_TABLE} | where Installation == \"{}\" | top {RUNS_SHOWN} by TimeGenerated desc",
                subject.installation
            );
            azure.query(&customer_id, &query, "").await
        };
        match found.await {
            Ok(rows) => self.runs = rows.records().collect(),
            Err(error) => {
                self.facts.insert("runs".to_owned(), json!(format!("not checked: {error}")));
                return;
            }
        }
        match self.runs.first() {
            None => self.problems.push("no run has been seen yet".to_owned()),
            Some(last) if last.get("Result").and_then(Value::as_str) == Some("failed") => {
                let message = last.get("Message").and_then(Value::as_str).unwrap_or_default();
                self.problems.push(format!("the last run failed: {message}"));
            }
            Some(_) => {}
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
            let _ = writeln!(text, "  {name:<11} {}", plain(value));
        }
        for run in &self.runs {
            let cell = |name: &str| run.get(name).map(plain).unwrap_or_default();
            let _ = writeln!(
                text,
                "  run         {} {} read {} delivered {} lag {} s {}",
                cell("TimeGenerated"),
                cell("Result"),
                cell("Read"),
                cell("Delivered"),
                cell("LagSeconds"),
                cell("Message")
            );
        }
        for problem in &self.problems {
            let _ = writeln!(text, "  problem     {problem}");
        }
        if self.problems.is_empty() {
            text.push_str("All is well.\n");
        }
        text
    }

    fn json(&self, subject: &Subject) -> Value {
        json!({
            "installation": subject.installation,
            "resource_group": subject.resource_group,
            "facts": self.facts,
            "runs": self.runs,
            "problems": self.problems,
        })
    }
}
