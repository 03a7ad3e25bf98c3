//! `doctor`: every check, each failure with its cause and its remedy. Exit 1 when one failed.

use std::path::Path;

use contract::settings::MIMECAST_SENTINEL_ANSWERS;
use serde_json::json;

use super::arguments::{DoctorOptions, Global};
use super::bundle::{self, Looked};
use super::runs::Found;
use super::{gather, plan, runs, status, unwritable};
use crate::answers::{Given, Origin, yaml};
use crate::check::{self, Check};
use crate::plan::ids::Ids;
use crate::ui::{Event, Failure, Ui, human};
use crate::world::World;

/// Runs the command: the checks of an installation that is there, or those before one.
pub(super) async fn run(
    world: &World,
    ui: &Ui,
    global: &Global,
    options: &DoctorOptions,
) -> Result<u8, Failure> {
    let mut looked = Looked::default();
    let mut ended = look(world, ui, global, options, &mut looked).await;
    if let Some(path) = &options.bundle {
        // Who needs help needs it most where nothing goes.
        let bundle = bundle::make(world, &looked, ended.as_ref().err()).await;
        match (world.write(path, bundle.as_bytes()), &mut ended) {
            (Ok(()), _) => {
                let text =
                    format!("the bundle is in `{}`; look through it before you pass it on", path.display());
                ui.say(Event::Note { text });
            }
            // What the bundle was wanted for is told first, and is what counts.
            (Err(error), Err(failure)) => {
                failure.problems.push(format!("and {}: {error}", unwritten(path)));
            }
            (Err(error), Ok(())) => {
                let mut failure = Failure::of(&error);
                failure.chain.insert(0, unwritten(path));
                ended = Err(failure);
            }
        }
    }
    ended?;
    let checks = &looked.checks;
    ui.data(&human::checks(checks, ui.page()), &json!({ "checks": checks })).map_err(unwritable)?;
    Ok(u8::from(checks.iter().any(Check::failed)))
}

/// What is told of a bundle that cannot be written.
fn unwritten(path: &Path) -> String {
    format!("could not write the bundle to `{}`", path.display())
}

/// Makes the checks of an installation that is there, then those before one.
async fn look(
    world: &World,
    ui: &Ui,
    global: &Global,
    options: &DoctorOptions,
    looked: &mut Looked,
) -> Result<(), Failure> {
    let given = gather::given(world, global, &options.answers)?;
    looked.found = if options.pre { None } else { installed(world, ui, global, options, &given).await? };
    if let Some(found) = looked.found.as_ref().filter(|found| found.complete()) {
        let subject = &found.selected.subject;
        let ids = Ids::of(&subject.subscription_id, &subject.resource_group, &found.inventory.names);
        let health = found.health(world).await;
        looked.checks.extend(check::running::check(&found.azure, &found.inventory, &ids, &health).await);
    }
    before(world, ui, global, options, &given, looked).await
}

/// What there is of the installation that flags or answers name, where they name one.
async fn installed(
    world: &World,
    ui: &Ui,
    global: &Global,
    options: &DoctorOptions,
    given: &Given,
) -> Result<Option<Found>, Failure> {
    if status::subject(given).is_err() {
        return Ok(None);
    }
    runs::look_for(world, ui, global, &options.answers).await.map(Some)
}

/// The checks before an installation or a change, from the answers that were given, else from those
/// that the installation recorded.
async fn before(
    world: &World,
    ui: &Ui,
    global: &Global,
    options: &DoctorOptions,
    given: &Given,
    looked: &mut Looked,
) -> Result<(), Failure> {
    let found = looked.found.as_ref();
    let recorded = found
        .filter(|_| options.answers.answers.is_none())
        .and_then(|found| found.inventory.settings.as_ref()?.get(MIMECAST_SENTINEL_ANSWERS))
        .and_then(|text| yaml::read(text, |_| Origin::Recorded).ok());
    let (intent, secrets) = match (recorded, found) {
        (Some(mut answers), Some(found)) => {
            answers.overlay(given.clone());
            let intent = gather::intent_in(world, &answers, found.azure.cloud())?;
            // Secrets of an installation that runs need not be at hand here: what cannot be read is
            // not checked, and says so.
            let secrets = gather::secrets_at_hand(world, &intent);
            (intent, secrets)
        }
        _ => {
            let intent = gather::intent(world, given)?;
            let secrets = gather::secrets(world, ui, &intent).await?;
            (intent, secrets)
        }
    };
    looked.secrets = secrets;
    let package = gather::package(world, options.package.as_deref())?;
    let connected;
    let azure = match found {
        Some(found) => &found.azure,
        None => {
            let tenant = intent.tenant_id.as_deref();
            connected = gather::connect(world, ui, global, &intent.cloud, tenant).await?;
            &connected
        }
    };
    let facts = gather::facts(package.as_ref());
    let wanted = plan::Wanted { intent: &intent, secrets: &looked.secrets, package: facts.as_ref() };
    let mut checks = plan::look(world, ui, azure, &wanted).await?.checks;
    // Asking whether an installation could be made does not need the package that it would publish.
    if options.package.is_none() {
        checks.retain(|check| check.id != "package");
    }
    checks.sort_by_key(|check| check.side);
    looked.checks.extend(checks);
    Ok(())
}
