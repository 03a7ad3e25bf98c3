//! `install`: the whole path, after showing the plan.

use std::path::Path;
use std::time::Duration;

use contract::resources::PACKAGE_TAG;
use serde_json::{Value, json};

use super::arguments::{Global, InstallOptions, tuned_content};
use super::guided::{self, Lead, Opening};
use super::interruption::Wishes;
use super::package::Source;
use super::plan::Planned;
use super::{gather, plan, runs, unwritable, upgrade};
use crate::answers::{Intent, Origin, file, yaml};
use crate::azure::{Azure, Hint, ResourceId};
use crate::plan::rotation::ROTATE_STEP;
use crate::plan::trial::TRIAL_STEP;
use crate::plan::{Action, Plan, Severity, tag};
use crate::provision::{Failed, Material, ProvisionError, Provisioned, RotateError, provision};
use crate::ui::failure::{Kind, told};
use crate::ui::{Code, Event, Failure, Ui, human};
use crate::verify::{Outcome, Report, probe};
use crate::world::{Stopwatch, World};

const TO_GO_ON: &str = "run the same command again; finished steps are skipped";

/// Runs the command.
pub(super) async fn run(
    world: &World,
    ui: &Ui,
    global: &Global,
    options: &InstallOptions,
) -> Result<u8, Failure> {
    let started = world.stopwatch();
    let saved = options.plan.as_deref().map(|path| load(world, path)).transpose()?;
    let mut given = gather::given(world, global, &options.answers)?;
    if let (Some(saved), None) = (&saved, &options.answers.answers) {
        let mut recorded = yaml::read(&saved.answers, |_| Origin::Recorded).map_err(|problems| {
            Failure::problems(Code::Answers, "the plan's answers cannot be read", problems)
        })?;
        recorded.overlay(given);
        given = recorded;
    }
    let lead = Lead::unless(options.yes || options.plan.is_some() || options.answers.answers.is_some());
    let source = Source::of(world, options.package.as_deref());
    let Opening { intent, secrets, azure } = guided::open(world, ui, global, given, lead, &source).await?;
    // Before anything can refuse the plan: whoever has answered every question keeps the answers.
    if let Some(path) = &options.save_answers {
        save(world, path, &intent)?;
    }
    let tuned_content =
        saved.as_ref().map_or_else(|| tuned_content(options.reset_content), |saved| saved.tuned_content);
    let intent = Intent { tuned_content, ..intent };
    let package = gather::fitted(source.read(world, ui)?, &intent)?;
    let facts = gather::facts(package.as_ref());
    let wanted = plan::Wanted { intent: &intent, secrets: &secrets, package: facts.as_ref() };
    let planned = plan::make(world, ui, &azure, &wanted).await?;
    let plan = &planned.plan;
    if let Some(saved) = &saved {
        unmoved(saved, plan)?;
    }
    ui.show(&human::plan(plan, ui.page())).map_err(unwritable)?;
    require_unrefused(plan)?;
    if plan.empty() {
        return unchanged(world, ui, &azure, options, &intent, &planned, started).await;
    }
    confirm(world, ui, options.yes, "Carry out this plan?").await?;

    let material = Material { secrets: secrets.into_values(), package: package.map(|package| package.bytes) };
    ui.say(Event::Note {
        text: format!(
            "portal, to watch it: {}#@/resource/subscriptions/{}/resourceGroups/{}",
            intent.cloud.portal, plan.subscription_id, plan.resource_group
        ),
    });
    let mut subject = subject(&intent, &planned)?;
    if !options.no_wait {
        // Who may not ask for it may not see rows either, which the probe of the run tells.
        subject.since = azure.workspace_time(&subject.workspace_customer_id).await.ok();
    }
    carry_out(&azure, ui, world, plan, &material).await?;

    let report = if options.no_wait {
        None
    } else {
        Some(probe::verify(&azure, ui, world, &subject, started, Duration::from_secs(options.wait)).await)
    };
    finish(ui, plan, report.as_ref())
}

/// Writes the file that gives the same answers the next time.
fn save(world: &World, path: &Path, intent: &Intent) -> Result<(), Failure> {
    let answers: Value = serde_json::from_str(&intent.recorded).unwrap_or_default();
    world.write(path, file::text(&answers).as_bytes()).map_err(|error| {
        let mut failure = Failure::of(&error);
        failure.chain.insert(0, format!("could not write the answers to `{}`", path.display()));
        failure
    })
}

/// What is looked at after a plan.
fn subject(intent: &Intent, planned: &Planned) -> Result<probe::Subject, Failure> {
    let plan = &planned.plan;
    let published = plan.steps.iter().find_map(|step| match &step.action {
        Action::Publish { sha256, .. } => Some(sha256.as_str()),
        _ => None,
    });
    let present = planned.inventory.resource(&plan.function_app_id).and_then(|site| tag(site, PACKAGE_TAG));
    Ok(probe::Subject {
        installation: plan.installation.clone(),
        accounts: intent.account_keys(),
        site_id: ResourceId::parse(&plan.function_app_id).map_err(|error| Failure::internal(&error))?,
        workspace_customer_id: planned.inventory.workspace.customer_id.clone(),
        sha256: published.or(present).unwrap_or_default().to_owned(),
        since: None,
        events_expected: planned.events_expected,
    })
}

/// Ends where there is nothing to change. An earlier run of the command may have made everything and not seen it
/// work: unless it is known to, it is looked at now.
async fn unchanged(
    world: &World,
    ui: &Ui,
    azure: &Azure,
    options: &InstallOptions,
    intent: &Intent,
    planned: &Planned,
    started: Stopwatch,
) -> Result<u8, Failure> {
    let subject = subject(intent, planned)?;
    let site = planned.inventory.resource(&planned.plan.function_app_id);
    // Azure writes it in UTC and without saying so.
    let changed_at = site.and_then(|site| site["properties"]["lastModifiedTimeUtc"].as_str());
    let changed_at = changed_at.map(|at| format!("{}Z", at.trim_end_matches('Z')));
    let paused = runs::paused(&planned.inventory);
    if paused {
        ui.say(Event::Note {
            text: "it is paused, so that no run is looked for; `mimecast-sentinel resume` starts it again"
                .to_owned(),
        });
    }
    if options.no_wait || paused || probe::known_to_work(azure, &subject, changed_at.as_deref()).await {
        ui.data("", &json!({ "plan": planned.plan, "report": Value::Null })).map_err(unwritable)?;
        return Ok(0);
    }
    let since = azure.workspace_time(&subject.workspace_customer_id).await.ok();
    let subject = probe::Subject { since, ..subject };
    let limit = Duration::from_secs(options.wait);
    let report = probe::verify(azure, ui, world, &subject, started, limit).await;
    finish(ui, &planned.plan, Some(&report))
}

/// Fails where a finding of the plan forbids carrying it out.
pub(super) fn require_unrefused(plan: &Plan) -> Result<(), Failure> {
    if !plan.refused() {
        return Ok(());
    }
    let reasons = plan
        .findings
        .iter()
        .filter(|finding| finding.severity == Severity::Refuses)
        .map(|finding| format!("{}; {}", finding.message, finding.remedy.as_deref().unwrap_or_default()));
    Err(Failure::problems(Code::Refused, "the plan cannot be carried out; nothing was changed", reasons))
}

/// Reads a plan that `plan --out` wrote.
fn load(world: &World, path: &Path) -> Result<Plan, Failure> {
    let failed = |error: &(dyn std::error::Error + 'static)| {
        let mut failure = Failure::of(error);
        failure.chain.insert(0, format!("could not read the plan `{}`", path.display()));
        failure
    };
    let text = world.read_text(path).map_err(|error| failed(&error))?;
    serde_json::from_str(&text).map_err(|error| failed(&error))
}

/// Whether the plan would be the same today; if not, what is different.
fn unmoved(saved: &Plan, now: &Plan) -> Result<(), Failure> {
    let titles = |plan: &Plan, other: &Plan, word: &str| -> Vec<String> {
        plan.steps
            .iter()
            .filter(|step| !other.steps.contains(step))
            .map(|step| format!("{word}: {}", step.title))
            .collect()
    };
    let mut moved = titles(saved, now, "planned then");
    moved.extend(titles(now, saved, "planned now"));
    if saved.version != now.version {
        moved.push(format!("made by version {}, this is {}", saved.version, now.version));
    }
    if moved.is_empty() {
        return Ok(());
    }
    Err(Failure::problems(
        Code::Moved,
        "what the plan saw has changed since; nothing was done. Make a new plan",
        moved,
    ))
}

fn finish(ui: &Ui, plan: &Plan, report: Option<&Report>) -> Result<u8, Failure> {
    let text = match report {
        Some(report) if report.bad() => {
            "Installed, but something is not as it should be; see above.\n".to_owned()
        }
        Some(Report { audit_rows: Some(rows), first_row_secs: Some(secs), .. }) => {
            format!("Installed: {rows} audit rows are in the workspace, the first seen after {secs} s.\n")
        }
        Some(report) if !report.any(Outcome::Waiting) && !report.any(Outcome::NotChecked) => {
            let rows = report.audit_rows.unwrap_or_default();
            format!(
                "Installed: the worker runs, and Mimecast has had no event for it since. {rows} audit rows are in \
                 the workspace from before.\n"
            )
        }
        Some(_) => {
            "Installed. Rows may take up to 45 minutes to show; `mimecast-sentinel status` looks again.\n"
                .to_owned()
        }
        None => {
            "Installed. Nothing was waited for; `mimecast-sentinel status` looks whether events arrive.\n"
                .to_owned()
        }
    };
    ui.told(&text, &json!({ "plan": plan, "report": report })).map_err(unwritable)?;
    Ok(if report.is_some_and(Report::bad) { Kind::Partial.exit_code() } else { 0 })
}

/// Asks, unless told not to.
pub(super) async fn confirm(world: &World, ui: &Ui, yes: bool, question: &str) -> Result<(), Failure> {
    if yes || ui.confirm(world, question).await? {
        return Ok(());
    }
    Err(Failure::user(
        Code::NotConfirmed,
        if world.terminal.input {
            "cancelled; nothing was changed"
        } else {
            "not confirmed, and there is no terminal to ask on: give --yes; nothing was changed"
        },
    ))
}

/// Carries a plan out, until its end or until the person stops it.
pub(super) async fn carry_out(
    azure: &Azure,
    ui: &Ui,
    world: &World,
    plan: &Plan,
    material: &Material,
) -> Result<Provisioned, Failure> {
    let mut wishes = Wishes::of(world, ui);
    let carried_out = provision(azure, ui, world, plan, material, wishes.steering()).await;
    wishes.end(world);
    ui.settle();
    carried_out.map_err(unfinished)
}

/// What to do where a package that should be kept is not.
fn not_kept() -> Hint {
    Hint {
        text: "give the package that shall run with --package FILE; a blob that was deleted can often be restored"
            .to_owned(),
        link: "https://learn.microsoft.com/azure/storage/blobs/soft-delete-blob-overview",
    }
}

/// What an administrator does where a role is waited for.
fn to_be_given(command: &str) -> Hint {
    Hint {
        text: format!("somebody who may give roles there runs: {command}"),
        link: "https://learn.microsoft.com/azure/role-based-access-control/role-assignments-cli",
    }
}

/// A further failure, on one line, with what to do about it.
fn also(error: &ProvisionError) -> String {
    let hint = match error {
        ProvisionError::NotGiven { command, .. } => Some(to_be_given(command)),
        other => Failure::of(other).hint,
    };
    let hint = hint.map(|hint| format!("; {} ({})", hint.text, hint.link)).unwrap_or_default();
    format!("also: {}{hint}", told(error))
}

/// What the person reads when a plan was not carried out to its end.
pub fn unfinished(failed: Failed) -> Failure {
    let mut failure = match &failed.source {
        error @ ProvisionError::Circle(_) => Failure::internal(error),
        ProvisionError::Stopped if failed.under_way.is_empty() => {
            Failure::user(Code::Stopped, "stopped; what Azure was busy with has ended")
        }
        ProvisionError::Stopped => Failure::problems(
            Code::Stopped,
            "stopped at once; Azure goes on with what it was busy with:",
            failed.under_way.iter(),
        ),
        error => Failure::of(error),
    };
    if failure.code == Code::Package {
        // Without a refusal of Azure's there is no hint of its own.
        failure.hint.get_or_insert_with(not_kept);
    }
    if let ProvisionError::NotGiven { command, .. } = &failed.source {
        failure.hint = Some(to_be_given(command));
    }
    failure.problems.extend(failed.further.iter().map(also));
    match &failed.source {
        ProvisionError::Stopped => {
            failure.kind = Kind::Interrupted;
            let made = &failed.provisioned.resources;
            for (step, what) in [(TRIAL_STEP, "what is new"), (ROTATE_STEP, "the new value")] {
                if let Some(result) = made.get(step) {
                    failure.problems.extend(upgrade::what_became(what, result));
                }
            }
        }
        ProvisionError::Rotate { source: RotateError::OldStays { .. }, .. } => failure.problems.push(
            "what to do: run the same command with the same value again, which disables the old version after a good run; or disable it in the vault yourself"
                .to_owned(),
        ),
        _ => {}
    }
    failure.after(failed.provisioned.done, TO_GO_ON)
}
