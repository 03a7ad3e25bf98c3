//! `teardown`: inventory, plan in reverse, provision; then a look at what is left.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

use super::arguments::{Global, TeardownOptions};
use super::status::subject;
use super::{gather, install, unwritable};
use crate::answers::Value as Answer;
use crate::answers::given::Given;
use crate::azure::{Azure, AzureError, ResourceId};
use crate::inventory::Inventory;
use crate::inventory::leftovers::{Leftovers, leftovers};
use crate::inventory::observe::{observe_installation, workspace_of};
use crate::plan::removal::{Extent, Subject, removal};
use crate::plan::template::api_version;
use crate::plan::{Action, Plan};
use crate::provision::Material;
use crate::ui::failure::Kind;
use crate::ui::{Code, Event, Failure, Ui, human};
use crate::world::World;

/// Reads that are under way at the same time.
const READS_AT_ONCE: usize = 12;

/// Runs the command.
pub(super) async fn run(
    world: &World,
    ui: &Ui,
    global: &Global,
    options: &TeardownOptions,
) -> Result<u8, Failure> {
    let given = gather::given(world, global, &options.answers)?;
    let subject = subject(&given)?;
    let cloud = gather::cloud(world, &given)?;
    let azure = gather::connect(world, ui, global, &cloud, subject.tenant_id.as_deref()).await?;
    let subject = &subject.subject;
    ui.say(Event::Looking { what: format!("for the installation `{}`", subject.installation) });
    let named = workspace_named(&azure, &given, subject).await?;
    let (inventory, found) = look(&azure, subject, named.as_deref()).await?;
    let extent = extent(world, ui, options, &found);
    let plan = removal(subject, &inventory, &found, &extent).map_err(|error| Failure::internal(&error))?;
    ui.show(&human::plan(&plan, ui.page())).map_err(unwritable)?;
    install::require_unrefused(&plan)?;
    if plan.empty() {
        ui.data("", &json!({ "plan": plan, "items": [], "left": [] })).map_err(unwritable)?;
        return Ok(0);
    }
    type_the_tables(world, ui, options, &extent).await?;
    install::confirm(world, ui, options.yes, "Remove all of this?").await?;
    install::carry_out(&azure, ui, world, &plan, &Material::default()).await?;

    ui.say(Event::Looking { what: "for what is left".to_owned() });
    // The rule and the app that named the workspace are gone now.
    let workspace_id = Some(inventory.workspace.id.as_str()).filter(|id| !id.is_empty());
    let (after, found) = look(&azure, subject, workspace_id).await?;
    let left = left(&azure, &plan, &extent, &after, &found).await?;
    let items = items(&plan, &left);
    ui.told(&text(&left, &extent, &plan), &json!({ "plan": plan, "items": items, "left": left.all() }))
        .map_err(unwritable)?;
    Ok(if left.there.is_empty() { 0 } else { Kind::Partial.exit_code() })
}

/// What is there of the installation, and what has to be known beside; its content is looked for in this
/// workspace where nothing of the installation names one.
async fn look(
    azure: &Azure,
    subject: &Subject,
    workspace_id: Option<&str>,
) -> Result<(Inventory, Leftovers), Failure> {
    let observed = observe_installation(azure, subject, workspace_id).await;
    let mut inventory = observed.map_err(|error| Failure::of(&error))?;
    let found = leftovers(azure, subject, &mut inventory).await.map_err(|error| Failure::of(&error))?;
    Ok((inventory, found))
}

/// The workspace that the answers name, if they name one that is there.
async fn workspace_named(azure: &Azure, given: &Given, subject: &Subject) -> Result<Option<String>, Failure> {
    let text = |path: &str| match given.answer(path).map(|answer| &answer.value) {
        Some(Answer::Text(text)) => Some(text.clone()),
        _ => None,
    };
    if let Some(id) = text("workspace.resource_id") {
        return Ok(Some(id));
    }
    let Some(customer_id) = text("workspace.workspace_id") else { return Ok(None) };
    let found = workspace_of(azure, &subject.subscription_id, &customer_id).await;
    let found = found.map_err(|error| Failure::of(&error))?;
    Ok(found.and_then(|workspace| workspace["id"].as_str().map(str::to_owned)))
}

/// How much is taken away. Who is at a terminal may choose every table that may go, by typing its name;
/// who is not has named them.
fn extent(world: &World, ui: &Ui, options: &TeardownOptions, found: &Leftovers) -> Extent {
    if options.keep_data {
        return Extent::KeepData;
    }
    if !options.purge {
        return Extent::Everything;
    }
    let mut tables: BTreeSet<String> = options.purge_table.iter().cloned().collect();
    if tables.is_empty() && ui.asks(world) {
        tables.extend(
            found.tables.iter().filter(|table| table.stays().is_none()).map(|table| table.name.clone()),
        );
    }
    Extent::Purge { tables }
}

/// Has each table's name typed that was not given by a flag.
async fn type_the_tables(
    world: &World,
    ui: &Ui,
    options: &TeardownOptions,
    extent: &Extent,
) -> Result<(), Failure> {
    let Extent::Purge { tables } = extent else { return Ok(()) };
    for table in tables.iter().filter(|table| !options.purge_table.contains(table)) {
        let typed = ui.ask_text(world, &format!("All rows of `{table}` go for good. Type its name")).await?;
        if typed.is_none_or(|typed| typed.trim() != *table) {
            return Err(Failure::user(
                Code::NotConfirmed,
                format!(
                    "that is not `{table}`; cancelled, nothing was changed. Without --purge the tables stay"
                ),
            ));
        }
    }
    Ok(())
}

/// What a teardown leaves, by ARM path.
#[derive(Debug, Default)]
struct Left {
    /// What should be gone.
    there: Vec<String>,
    /// What was to stay: data that are kept, and a group that others use.
    kept: Vec<String>,
}

impl Left {
    fn all(&self) -> Vec<&String> {
        self.there.iter().chain(&self.kept).collect()
    }
}

/// Looks for what is left: everything that the plan took away, and everything that a plan of the same
/// extent would take away now. Azure's lists lag behind, so each thing is read before it is named.
async fn left(
    azure: &Azure,
    plan: &Plan,
    extent: &Extent,
    after: &Inventory,
    found: &Leftovers,
) -> Result<Left, Failure> {
    let subject = Subject {
        installation: plan.installation.clone(),
        subscription_id: plan.subscription_id.clone(),
        resource_group: plan.resource_group.clone(),
    };
    let again = removal(&subject, after, found, extent).map_err(|error| Failure::internal(&error))?;
    let mut left = Left::default();
    let mut to_read = BTreeSet::new();
    for step in plan.steps.iter().chain(&again.steps) {
        match &step.action {
            Action::Delete { id, api_version } | Action::PurgeVault { id, api_version } => {
                to_read.insert((id.clone(), api_version.clone()));
            }
            _ => {}
        }
    }
    // Our line in a parser of others, and our mark on what another installation uses.
    for step in &again.steps {
        if let Action::PutResource { id, .. } = &step.action {
            left.there.push(id.clone());
        }
    }
    let read: Vec<Option<String>> = stream::iter(to_read)
        .map(|(id, api_version)| async move {
            let path = ResourceId::parse(&id).map_err(AzureError::Id)?;
            match azure.get(&path, &api_version).await {
                Ok(found) => Ok(found.map(|_| id)),
                // Whoever may not read it took it away, or the step would have failed.
                Err(error) if error.status() == Some(403) => Ok(None),
                Err(error) => Err(error),
            }
        })
        .buffered(READS_AT_ONCE)
        .try_collect()
        .await
        .map_err(|error: AzureError| Failure::of(&error))?;
    left.there.extend(read.into_iter().flatten());
    let group = again.steps.iter().find_map(|step| match &step.action {
        Action::DeleteEmptyGroup { id, .. } => Some(id.clone()),
        _ => None,
    });
    if let Some(group) = group {
        if found.others_in_group.is_empty() { &mut left.there } else { &mut left.kept }.push(group);
    }
    // Something with our tag of a kind that we do not make, and, with the data, what holds them.
    for resource in &after.owned {
        let (Some(id), Some(kind)) = (resource["id"].as_str(), resource["type"].as_str()) else { continue };
        let deleted = left.there.iter().any(|each| each.eq_ignore_ascii_case(id));
        let gone = api_version(kind).is_ok() && after.resource(id).is_none();
        if !deleted && !gone {
            if *extent == Extent::KeepData { &mut left.kept } else { &mut left.there }.push(id.to_owned());
        }
    }
    for list in [&mut left.there, &mut left.kept] {
        list.sort_unstable();
        list.dedup();
    }
    Ok(left)
}

/// What became of each thing: gone, recoverable, kept or still there.
fn items(plan: &Plan, left: &Left) -> Vec<Value> {
    let purged = |name: &str| {
        plan.steps.iter().any(|step| match &step.action {
            Action::PurgeVault { id, .. } => id.rsplit('/').next() == Some(name),
            _ => false,
        })
    };
    let still = |id: &str| left.there.iter().any(|each| each.eq_ignore_ascii_case(id));
    let mut items: Vec<Value> = plan
        .steps
        .iter()
        .filter_map(|step| match &step.action {
            Action::Delete { id, .. } => {
                let vault = id.to_ascii_lowercase().contains("/microsoft.keyvault/vaults/");
                let name = id.rsplit('/').next().unwrap_or_default();
                let state = match (still(id), vault && !purged(name)) {
                    (true, _) => "there",
                    (false, true) => "recoverable",
                    (false, false) => "deleted",
                };
                Some(json!({ "id": id, "title": step.title, "state": state }))
            }
            Action::PurgeVault { id, .. } => {
                let state = if still(id) { "there" } else { "purged" };
                Some(json!({ "id": id, "title": step.title, "state": state }))
            }
            Action::DeleteEmptyGroup { id, .. } if !left.kept.contains(id) => {
                let state = if still(id) { "there" } else { "deleted" };
                Some(json!({ "id": id, "title": step.title, "state": state }))
            }
            _ => None,
        })
        .collect();
    let named = |items: &[Value], id: &str| {
        items.iter().any(|item| item["id"].as_str().is_some_and(|each| each.eq_ignore_ascii_case(id)))
    };
    for id in &left.there {
        if !named(&items, id) {
            items.push(json!({ "id": id, "state": "there" }));
        }
    }
    items.extend(left.kept.iter().map(|id| json!({ "id": id, "state": "kept" })));
    items
}

fn text(left: &Left, extent: &Extent, plan: &Plan) -> String {
    let list = |ids: &[String]| ids.join("\n  ");
    if !left.there.is_empty() {
        return format!(
            "Still there:\n  {}\nThe same command goes on; what stays then, remove by hand.\n",
            list(&left.there)
        );
    }
    if *extent == Extent::KeepData {
        return format!("Removed. Kept, with their data:\n  {}\n", list(&left.kept));
    }
    let mut text = "Removed: nothing of the installation is left".to_owned();
    let mut stay: Vec<String> = left
        .kept
        .iter()
        .map(|id| {
            let name = id.rsplit('/').next().unwrap_or(id);
            format!("resource group `{name}` stays, since others have resources in it")
        })
        .collect();
    let told = |id: &str| {
        id == "tables" || id.starts_with("vault-") || id.starts_with("role-") || id == "no-workspace"
    };
    stay.extend(plan.findings.iter().filter(|finding| told(&finding.id)).map(|each| each.message.clone()));
    text.push_str(if stay.is_empty() { ".\n" } else { ", but:\n" });
    for each in stay {
        let _ = writeln!(text, "  {each}");
    }
    text
}
