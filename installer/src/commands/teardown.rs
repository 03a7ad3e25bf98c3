//! `teardown`: inventory, plan in reverse, provision; then a look at what is left.

use serde_json::json;

use super::arguments::{Global, TeardownOptions};
use super::status::subject;
use super::{gather, install, unwritable};
use crate::azure::Azure;
use crate::inventory::observe::observe_installation;
use crate::plan::Plan;
use crate::plan::removal::{Extent, Subject, removal};
use crate::provision::Material;
use crate::ui::{Event, Failure, Ui, human};
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
    let extent = if options.keep_data { Extent::KeepData } else { Extent::Everything };
    let plan = plan(&azure, subject, extent).await?;
    ui.show(&human::plan(&plan, ui.colour())).map_err(unwritable)?;
    if plan.empty() {
        ui.data("", &json!({ "plan": plan, "left": [] })).map_err(unwritable)?;
        return Ok(0);
    }
    install::confirm(world, ui, options.yes, "Remove all of this?")?;
    install::carry_out(&azure, ui, world, &plan, &Material::default()).await?;

    ui.say(Event::Looking { what: "for what is left".to_owned() });
    let after = observe_installation(&azure, subject).await.map_err(|error| Failure::of(&error))?;
    let left: Vec<String> =
        after.owned.iter().filter_map(|resource| resource["id"].as_str().map(str::to_owned)).collect();
    let kept = extent == Extent::KeepData;
    let text = match (left.is_empty(), kept) {
        (true, _) => "Removed: nothing of the installation is left but the tables.\n".to_owned(),
        (false, true) => format!("Removed. Kept, with their data:\n  {}\n", left.join("\n  ")),
        (false, false) => format!("Still there:\n  {}\n", left.join("\n  ")),
    };
    ui.data(&text, &json!({ "plan": plan, "left": left })).map_err(unwritable)?;
    Ok(u8::from(!left.is_empty() && !kept))
}

async fn plan(azure: &Azure, subject: &Subject, extent: Extent) -> Result<Plan, Failure> {
    let inventory = observe_installation(azure, subject).await.map_err(|error| Failure::of(&error))?;
    removal(subject, &inventory, extent).map_err(|error| Failure::internal(&error))
}
