//! `teardown`: inventory, plan in reverse, provision; then a look at what is left.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::arguments::{Global, TeardownOptions};
use super::status::subject;
use super::{gather, install, unwritable};
use crate::azure::Azure;
use crate::inventory::Inventory;
use crate::inventory::leftovers::{Leftovers, leftovers};
use crate::inventory::observe::observe_installation;
use crate::plan::removal::{Extent, Subject, removal};
use crate::plan::{Action, Plan};
use crate::provision::Material;
use crate::ui::failure::Kind;
use crate::ui::{Code, Event, Failure, Ui, human};
use crate::world::World;

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
    let (inventory, found) = look(&azure, subject).await?;
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
    let (after, found) = look(&azure, subject).await?;
    let left = left(&after, &found);
    let kept = extent == Extent::KeepData;
    let items = items(&plan, &left, kept);
    ui.data(&text(&left, kept, &plan), &json!({ "plan": plan, "items": items, "left": left }))
        .map_err(unwritable)?;
    Ok(if left.is_empty() || kept { 0 } else { Kind::Partial.exit_code() })
}

/// What is there of the installation, and what has to be known beside.
async fn look(azure: &Azure, subject: &Subject) -> Result<(Inventory, Leftovers), Failure> {
    let mut inventory = observe_installation(azure, subject).await.map_err(|error| Failure::of(&error))?;
    let found = leftovers(azure, subject, &mut inventory).await.map_err(|error| Failure::of(&error))?;
    Ok((inventory, found))
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

/// What is still there of the installation.
fn left(after: &Inventory, found: &Leftovers) -> Vec<String> {
    let resources = after.owned.iter().chain(&found.smart_detection);
    let mut left: Vec<String> =
        resources.filter_map(|resource| resource["id"].as_str().map(str::to_owned)).collect();
    left.sort_unstable();
    left.dedup();
    left
}

/// What became of each thing: gone, recoverable, kept or still there.
fn items(plan: &Plan, left: &[String], kept: bool) -> Vec<Value> {
    let purged = |name: &str| {
        plan.steps.iter().any(|step| match &step.action {
            Action::PurgeVault { id, .. } => id.rsplit('/').next() == Some(name),
            _ => false,
        })
    };
    let mut items: Vec<Value> = plan
        .steps
        .iter()
        .filter_map(|step| match &step.action {
            Action::Delete { id, .. } => {
                let still = left.iter().any(|each| each.eq_ignore_ascii_case(id));
                let vault = id.to_ascii_lowercase().contains("/microsoft.keyvault/vaults/");
                let name = id.rsplit('/').next().unwrap_or_default();
                let state = match (still, vault && !purged(name)) {
                    (true, _) => "there",
                    (false, true) => "recoverable",
                    (false, false) => "deleted",
                };
                Some(json!({ "id": id, "title": step.title, "state": state }))
            }
            Action::PurgeVault { id, .. } => {
                Some(json!({ "id": id, "title": step.title, "state": "purged" }))
            }
            _ => None,
        })
        .collect();
    if kept {
        items.extend(left.iter().map(|id| json!({ "id": id, "state": "kept" })));
    }
    items
}

fn text(left: &[String], kept: bool, plan: &Plan) -> String {
    let mut text = match (left.is_empty(), kept) {
        (true, _) => "Removed: nothing of the installation is left".to_owned(),
        (false, true) => format!("Removed. Kept, with their data:\n  {}\n", left.join("\n  ")),
        (false, false) => format!("Still there:\n  {}\n", left.join("\n  ")),
    };
    if left.is_empty() {
        let stay: Vec<&str> = plan
            .findings
            .iter()
            .filter(|finding| finding.id == "tables" || finding.id.starts_with("vault-"))
            .map(|finding| finding.message.as_str())
            .collect();
        text.push_str(if stay.is_empty() { ".\n" } else { ", but:\n" });
        for each in stay {
            let _ = writeln!(text, "  {each}");
        }
    }
    text
}
