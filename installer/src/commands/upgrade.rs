//! `upgrade`: inventory and recorded answers, plan, provision, and a trial that puts back what ran before.

use contract::resources::PACKAGE_TAG;
use serde_json::{Value, json};

use super::arguments::{Global, UpgradeOptions, tuned_content};
use super::runs::Found;
use super::{delivery, gather, install, runs, unwritable};
use crate::answers::Intent;
use crate::answers::secret::Secrets;
use crate::inventory::Inventory;
use crate::inventory::observe::observe;
use crate::plan::trial::{TRIAL_STEP, put_back};
use crate::plan::{self, Action, PackageFacts, PackageSource, Plan, tag};
use crate::provision::Material;
use crate::ui::failure::Kind;
use crate::ui::{Code, Event, Failure, Ui, human};
use crate::world::World;

/// Runs the command.
pub(super) async fn run(
    world: &World,
    ui: &Ui,
    global: &Global,
    options: &UpgradeOptions,
) -> Result<u8, Failure> {
    let found = runs::find(world, ui, global, &options.answers).await?;
    let tuned_content = tuned_content(options.reset_content);
    let intent = Intent { tuned_content, ..intent(world, global, &options.answers, &found)? };
    let package = match options.rollback {
        true => None,
        false => gather::fitted(gather::package(world, options.package.as_deref())?, &intent)?,
    };
    let inventory = inventory(world, &found, &intent).await?;
    let site = inventory.resource(found.site_id.path());
    let current = site.and_then(|site| tag(site, PACKAGE_TAG)).map(str::to_owned);
    // A deployment template may have made all but the package: then there is none to go back to.
    let first = current.is_none();
    if first && options.rollback {
        return Err(Failure::user(
            Code::NoPackage,
            "no worker package was published yet, so there is none to go back to",
        ));
    }
    let current = current.unwrap_or_default();
    let plan = if first {
        plan::plan(&intent, &inventory, gather::facts(package.as_ref()).as_ref())
    } else if options.rollback {
        plan::rollback(&intent, &inventory, options.wait)
    } else {
        if package.is_none() {
            ui.say(Event::Note {
                text: "this build of the installer carries no worker package, so the one that runs stays; another is given with --package FILE"
                    .to_owned(),
            });
        }
        let stays = || PackageFacts { sha256: current.clone(), size_bytes: 0, source: PackageSource::Kept };
        let facts = gather::facts(package.as_ref()).unwrap_or_else(stays);
        plan::upgrade(&intent, &inventory, Some(&facts), options.wait)
    };
    let plan = plan.map_err(|error| Failure::internal(&error))?;
    ui.show(&human::plan(&plan, ui.page())).map_err(unwritable)?;
    install::require_unrefused(&plan)?;
    if plan.empty() {
        ui.data("", &json!({ "plan": plan, "trial": Value::Null })).map_err(unwritable)?;
        return Ok(0);
    }
    install::confirm(world, ui, options.yes, "Carry out this upgrade?").await?;
    let secrets = secrets(world, ui, &intent, &plan).await?;
    let material = Material { secrets: secrets.into_values(), package: package.map(|package| package.bytes) };
    let made = install::carry_out(&found.azure, ui, world, &plan, &material).await?;
    let trial = made.resources.get(TRIAL_STEP).cloned().unwrap_or_default();
    let what = if options.rollback { "going back" } else { "the upgrade" };
    if let Some(failure) = not_good(what, &current, &trial) {
        return Err(failure);
    }
    let unseen = unseen(&trial);
    let text = match (options.rollback, &unseen) {
        (false, _) if first => {
            "Published. The first run starts within one period; `mimecast-sentinel status` shows it.\n"
                .to_owned()
        }
        (true, None) => "Went back to the package before: a good run of it was seen.\n".to_owned(),
        (true, Some(unseen)) => {
            format!("Went back to the package before: host and timer were seen.\n{unseen}")
        }
        (false, _) if trial.is_null() => "Upgraded. The worker is the same as before.\n".to_owned(),
        (false, None) => "Upgraded: host, timer and a good run were seen.\n".to_owned(),
        (false, Some(unseen)) => format!("Upgraded: host and timer were seen.\n{unseen}"),
    };
    ui.told(&text, &json!({ "plan": plan, "trial": trial })).map_err(unwritable)?;
    Ok(0)
}

/// What the person reads when a trial was passed and no run could be looked at; `None` where one was seen.
fn unseen(trial: &Value) -> Option<String> {
    let reason = trial["unseen"].as_str()?;
    let advice = trial["advice"].as_str().unwrap_or("`mimecast-sentinel status` looks again");
    Some(format!("No run was looked at, so none has proven it: {reason}; {advice}.\n"))
}

/// What became of a trial or a rotation, for a person who stopped the command while it went on; nothing where it
/// had not ended.
pub(super) fn what_became(what: &str, result: &Value) -> Vec<String> {
    let mut told = Vec::new();
    if let Some(reason) = put_back(result) {
        told.push(format!("{what} was not good, and what was there before was put back: {reason}"));
    } else if let Some(reason) = result["unproven"].as_str().or(result["unseen"].as_str()) {
        told.push(format!("{what} is in use, and no run that proves it could be looked at: {reason}"));
    } else if result["passed"] == true || result["rotated"].as_array().is_some_and(|names| !names.is_empty())
    {
        told.push(format!("{what} is in use, and a good run was seen"));
    }
    if let Some(advice) = result["advice"].as_str() {
        told.push(format!("what to do: {advice}"));
    }
    told
}

/// What the person reads when a trial was not passed and package `before` was put back; `None` where it was
/// passed.
pub fn not_good(what: &str, before: &str, trial: &Value) -> Option<Failure> {
    let mut failure =
        put_back_failure(&format!("{what} was not good, and what ran before was put back"), trial)?;
    failure.problems.push(if trial["works_again"] == true {
        format!("package {before} runs again, and a good run of it was seen")
    } else {
        format!("package {before} was put back, but no good run of it was seen yet; `mimecast-sentinel status` looks again")
    });
    failure.problems.push("resources that were changed beside settings and package stay changed".to_owned());
    Some(failure)
}

/// The failure of something whose result says that what was before was put back, with the reason and what to
/// do about it.
pub(super) fn put_back_failure(what: &str, result: &Value) -> Option<Failure> {
    let reason = put_back(result)?;
    let mut failure = Failure::user(Code::PutBack, format!("{what}: {reason}"));
    failure.kind = Kind::Partial;
    if let Some(advice) = result["advice"].as_str() {
        failure.problems.push(format!("what to do: {advice}"));
    }
    Some(failure)
}

/// What the recorded answers mean, with what was given now over them.
pub(super) fn intent(
    world: &World,
    global: &Global,
    options: &super::arguments::AnswerOptions,
    found: &Found,
) -> Result<Intent, Failure> {
    let recorded = gather::recorded(found.inventory.settings.as_ref())?;
    let given = gather::given_over(world, global, options, recorded)?;
    gather::intent_in(world, &given, found.azure.cloud())
}

/// What Azure has, for these answers of an installation that is there.
pub(super) async fn inventory(world: &World, found: &Found, intent: &Intent) -> Result<Inventory, Failure> {
    let mut inventory = observe(&found.azure, intent).await.map_err(|error| Failure::of(&error))?;
    inventory.delivery_principal = match delivery::known(intent, &inventory) {
        Some(known) => Some(known),
        // The registration is another one now, or its role was taken.
        None => {
            delivery::sign_in(world, &found.azure, intent, &Secrets::default()).await.map_err(|unknown| {
                let what = "who delivers the rows could not be found out; nothing was changed";
                Failure::problems(Code::Checks, what, [unknown.into_check()])
            })?
        }
    };
    Ok(inventory)
}

/// The secrets that the plan writes. Those that are in the vault already are not asked for.
async fn secrets(world: &World, ui: &Ui, intent: &Intent, plan: &Plan) -> Result<Secrets, Failure> {
    let written: Vec<&str> = plan
        .steps
        .iter()
        .filter_map(|step| match &step.action {
            Action::PutSecret { answer, .. } => Some(answer.as_str()),
            _ => None,
        })
        .collect();
    if intent.accounts.iter().any(|account| written.contains(&account.path.as_str())) {
        return gather::secrets(world, ui, intent).await;
    }
    let sources = intent.secret_sources();
    let needed = sources.iter().filter(|(key, _)| written.contains(&key.as_str()));
    gather::read_secrets(world, ui, needed.map(|(key, source)| (key.as_str(), *source))).await
}
