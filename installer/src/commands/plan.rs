//! `plan`: answers, inventory, plan, checks; printed. Changes nothing.

use futures::StreamExt;
use serde_json::json;

use super::arguments::{Global, PlanOptions, tuned_content};
use super::delivery::{self, Unknown};
use super::guided::{self, Lead, Opening};
use super::package::Source;
use super::{CHANGES, gather, unwritable};
use crate::answers::Intent;
use crate::answers::intent::duration_secs;
use crate::answers::secret::Secrets;
use crate::azure::{Azure, http_client};
use crate::check::mimecast::FirstRun;
use crate::check::{self, Check, Side, State};
use crate::inventory::Inventory;
use crate::inventory::observe::observe;
use crate::mimecast::{self, MimecastError, MimecastFacts};
use crate::plan::{Finding, PackageFacts, Plan, Severity, plan};
use crate::ui::{Code, Event, Failure, Ui, human};
use crate::world::World;

/// Runs the command.
pub(super) async fn run(
    world: &World,
    ui: &Ui,
    global: &Global,
    options: &PlanOptions,
) -> Result<u8, Failure> {
    let given = gather::given(world, global, &options.answers)?;
    let lead = Lead::unless(options.answers.answers.is_some());
    let source = Source::of(world, options.package.as_deref());
    let Opening { intent, secrets, azure } = guided::open(world, ui, global, given, lead, &source).await?;
    let intent = Intent { tuned_content: tuned_content(options.reset_content), ..intent };
    let package = gather::fitted(source.read(world, ui)?, &intent)?;
    let facts = gather::facts(package.as_ref());
    let wanted = Wanted { intent: &intent, secrets: &secrets, package: facts.as_ref() };
    let looked = look(world, ui, &azure, &wanted).await?;
    tell(ui, &looked.checks);
    let Some((plan, _)) = &looked.planned else { return Err(failed(&looked.checks)) };
    if let Some(path) = &options.out {
        let text = format!("{:#}\n", json!(plan));
        world.write(path, text.as_bytes()).map_err(|error| {
            let mut failure = Failure::of(&error);
            failure.chain.insert(0, format!("could not write the plan to `{}`", path.display()));
            failure
        })?;
    }
    let stopping: Vec<Check> =
        looked.checks.iter().filter(|check| check.failed() && check.title != FINDING).cloned().collect();
    let mut text = human::plan(plan, ui.page());
    if !stopping.is_empty() {
        text.push_str("\nIt cannot be carried out like this:\n");
        text.push_str(&human::checks(&stopping, ui.page()));
    }
    ui.data(&text, &json!({ "plan": plan, "checks": looked.checks })).map_err(unwritable)?;
    Ok(match (looked.checks.iter().any(Check::failed), plan.empty()) {
        (true, _) => 1,
        (false, true) => 0,
        (false, false) => CHANGES,
    })
}

/// Title of a check that is a finding of the plan, and so is shown with it already.
const FINDING: &str = "plan";

/// What a plan is made for.
pub(super) struct Wanted<'a> {
    /// The answers.
    pub(super) intent: &'a Intent,
    /// Secrets that are not in a vault.
    pub(super) secrets: &'a Secrets,
    /// The worker package that shall run, where there is one.
    pub(super) package: Option<&'a PackageFacts>,
}

/// A plan with what else was learned while making it.
pub(super) struct Planned {
    pub(super) plan: Plan,
    pub(super) inventory: Inventory,
    pub(super) events_expected: Option<bool>,
}

/// Everything that one look at Mimecast and Azure gave.
pub(super) struct Looked {
    /// Every check, findings of the plan among them.
    pub(super) checks: Vec<Check>,
    /// The plan and what it was made from, where it could be made.
    pub(super) planned: Option<(Plan, Inventory)>,
    /// Whether Mimecast has events that should show up; `None` where nobody knows.
    pub(super) events_expected: Option<bool>,
}

/// Looks at Mimecast and Azure, and plans.
///
/// # Errors
/// Every check that failed, at once. A plan that its own findings refuse is given, to be shown.
pub(super) async fn make(
    world: &World,
    ui: &Ui,
    azure: &Azure,
    wanted: &Wanted<'_>,
) -> Result<Planned, Failure> {
    let looked = look(world, ui, azure, wanted).await?;
    tell(ui, &looked.checks);
    match looked.planned {
        Some((plan, inventory))
            if !looked.checks.iter().any(|check| check.failed() && check.title != FINDING) =>
        {
            Ok(Planned { plan, inventory, events_expected: looked.events_expected })
        }
        _ => Err(failed(&looked.checks)),
    }
}

/// Tells what came of the checks.
fn tell(ui: &Ui, checks: &[Check]) {
    for check in checks {
        ui.say(Event::Checked { check: check.clone() });
    }
    let count = |state: State| checks.iter().filter(|check| check.state == state).count();
    ui.say(Event::Note {
        text: format!("{} checks are good, {} failed", count(State::Good), count(State::Failed)),
    });
}

/// The failure that checks lead to.
fn failed(checks: &[Check]) -> Failure {
    let failed: Vec<&Check> = checks.iter().filter(|check| check.failed()).collect();
    let what = match failed.len() {
        1 => "a check failed; nothing was changed".to_owned(),
        count => format!("{count} checks failed; nothing was changed"),
    };
    Failure::problems(Code::Checks, what, failed)
}

/// Looks at Mimecast and Azure, plans as far as that goes, and checks whether the plan can be carried
/// out. Changes nothing.
pub(super) async fn look(
    world: &World,
    ui: &Ui,
    azure: &Azure,
    wanted: &Wanted<'_>,
) -> Result<Looked, Failure> {
    let Wanted { intent, secrets, package } = *wanted;
    ui.say(Event::Looking { what: "at Mimecast and at what Azure has".to_owned() });
    let (mimecast, signed_in, inventory, delivers) = futures::join!(
        look_at_mimecast(world, intent, secrets),
        check::sign_in::check(azure, intent),
        observe(azure, intent),
        delivery::sign_in(world, azure, intent, secrets),
    );
    let mimecast = mimecast?;
    let mut checks = signed_in;
    let mut facts = Vec::new();
    let first_run = match &inventory {
        Ok(inventory) if inventory.settings.is_some() => FirstRun::Done,
        _ => FirstRun::ToCome,
    };
    for (account, seen) in intent.accounts.iter().zip(&mimecast) {
        checks.extend(check::mimecast::checks(intent, account, seen, first_run));
        facts.extend(seen.as_ref().ok().map(|facts| (account.key.as_str(), facts)));
    }
    let known = inventory.as_ref().ok().and_then(|inventory| delivery::known(intent, inventory));
    let delivers = match (delivers, known) {
        (Ok(delivers), _) => delivers,
        (Err(Unknown::Unread(_)), Some(known)) => Some(known),
        (Err(unknown), _) => {
            checks.push(unknown.into_check());
            None
        }
    };
    let mut planned = None;
    match inventory {
        Ok(mut inventory) => {
            inventory.delivery_principal = delivers;
            let mut plan = plan(intent, &inventory, package).map_err(|error| Failure::internal(&error))?;
            let newest: Vec<_> =
                facts.iter().filter_map(|(key, facts)| Some((*key, facts.newest.as_ref()?))).collect();
            let (before, others) = futures::future::join(
                check::before(azure, intent, &inventory, &plan),
                check::workspace::others(azure, intent, &inventory, &newest),
            )
            .await;
            checks.extend(before);
            checks.extend(others);
            checks.extend(plan.findings.iter().map(Check::of_finding));
            plan.findings.extend(checks.iter().filter_map(worth_a_word));
            planned = Some((plan, inventory));
        }
        // One that the sign-in explains is not told twice.
        Err(_) if checks.iter().any(|check| check.side == Side::SignIn && check.failed()) => {}
        Err(error) => checks.push(check::sign_in::unread(&error)),
    }
    let days: Vec<u64> = facts.iter().filter_map(|(_, facts)| facts.events_a_day).collect();
    let events_expected = (!days.is_empty()).then(|| days.iter().any(|events| *events > 0));
    Ok(Looked { checks, planned, events_expected })
}

/// What a plan repeats of the checks: how much there is to collect, and what is doubtful.
fn worth_a_word(check: &Check) -> Option<Finding> {
    match check.state {
        State::Good if check.id == "mimecast" => Some(Finding::notes("volume", check.result.clone())),
        State::Warning | State::NotChecked if check.title != FINDING => Some(Finding {
            id: check.id.clone(),
            severity: Severity::Warning,
            message: check.told(),
            remedy: check.remedy.clone(),
        }),
        _ => None,
    }
}

/// So many accounts are looked at at once.
const LOOKS_AT_ONCE: usize = 8;

/// Looks at every account.
async fn look_at_mimecast(
    world: &World,
    intent: &Intent,
    secrets: &Secrets,
) -> Result<Vec<Result<MimecastFacts, MimecastError>>, Failure> {
    let http = http_client(gather::certificates(world)).map_err(|error| Failure::of(&error))?;
    let reach = duration_secs(&intent.collect.first_run).unwrap_or_default();
    Ok(futures::stream::iter(&intent.accounts)
        .map(|account| mimecast::look(&http, account, secrets, world.now(), reach))
        .buffered(LOOKS_AT_ONCE)
        .collect()
        .await)
}
