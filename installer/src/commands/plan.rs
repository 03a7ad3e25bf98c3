//! `plan`: answers, inventory, plan; printed. Changes nothing.

use futures::StreamExt;
use serde_json::{Value, json};

use super::arguments::{Global, PlanOptions};
use super::{CHANGES, gather, unwritable};
use crate::answers::Intent;
use crate::answers::intent::Delivery;
use crate::answers::secret::Secrets;
use crate::azure::{Azure, http_client};
use crate::inventory::Inventory;
use crate::inventory::observe::{InventoryError, observe};
use crate::mimecast::{self, MimecastError, MimecastFacts};
use crate::plan::{Finding, PackageFacts, Plan, plan};
use crate::ui::{Event, Failure, Ui, human};
use crate::world::World;

/// Bytes of one event in the table, for the forecast: an estimate from the size of a row as it is sent
/// (`docs/decisions/sent-rows.md`), not a measurement of what Azure bills.
const ROW_BYTES: u64 = 700;

/// Runs the command.
pub(super) async fn run(
    world: &World,
    ui: &Ui,
    global: &Global,
    options: &PlanOptions,
) -> Result<u8, Failure> {
    let given = gather::given(world, global, &options.answers)?;
    let intent = gather::intent(world, &given)?;
    let secrets = gather::secrets(world, &intent)?;
    let package = gather::fitted(gather::package(world, options.package.as_deref())?, &intent)?;
    let azure = gather::connect(world, ui, global, &intent.cloud, intent.tenant_id.as_deref()).await?;
    let planned =
        make(world, ui, &azure, &intent, &secrets, gather::facts(package.as_ref()).as_ref()).await?;
    if let Some(path) = &options.out {
        let text = format!("{:#}\n", json!(planned.plan));
        world.write(path, text.as_bytes()).map_err(|error| {
            let mut failure = Failure::of(&error);
            failure.chain.insert(0, format!("could not write the plan to `{}`", path.display()));
            failure
        })?;
    }
    ui.data(&human::plan(&planned.plan, ui.colour()), &document(&planned.plan)).map_err(unwritable)?;
    Ok(match (planned.plan.refused(), planned.plan.empty()) {
        (true, _) => 1,
        (false, true) => 0,
        (false, false) => CHANGES,
    })
}

/// A plan with what else was learned while making it.
pub(super) struct Planned {
    pub(super) plan: Plan,
    pub(super) inventory: Inventory,
    pub(super) events_expected: Option<bool>,
}

/// Looks at Mimecast and Azure, and plans.
pub(super) async fn make(
    world: &World,
    ui: &Ui,
    azure: &Azure,
    intent: &Intent,
    secrets: &Secrets,
    package: Option<&PackageFacts>,
) -> Result<Planned, Failure> {
    ui.say(Event::Looking { what: "at Mimecast and at what Azure has".to_owned() });
    let (mimecast, inventory) =
        futures::future::join(look_at_mimecast(world, intent, secrets), observe(azure, intent)).await;
    // Wrong credentials first: they are the commoner slip, and Azure's refusals come again.
    let mimecast = mimecast?;
    let mut inventory = inventory.map_err(|error| match error {
        InventoryError::Template(error) => Failure::internal(&error),
        other => Failure::of(&other),
    })?;
    inventory.delivery_principal = delivery_principal(world, intent, secrets).await?;
    let mut plan = plan(intent, &inventory, package).map_err(|error| Failure::internal(&error))?;
    let mut events = None;
    for (account, seen) in intent.accounts.iter().zip(mimecast) {
        match seen {
            Ok(facts) => {
                if let Some(count) = facts.events_a_day {
                    events = Some(events.unwrap_or(0) + count);
                }
                plan.findings.extend(forecast(&account.key, &facts));
            }
            Err(error) => {
                plan.findings.push(Finding::warns("mimecast-unread", error.to_string(), error.remedy()))
            }
        }
    }
    Ok(Planned { plan, inventory, events_expected: events.map(|events| events > 0) })
}

/// Object id of the service principal that delivers: the one that a token got with the given secret
/// names, which also proves the secret. The object id of the registration itself is another one, and
/// a role given to it would do nothing.
async fn delivery_principal(
    world: &World,
    intent: &Intent,
    secrets: &Secrets,
) -> Result<Option<String>, Failure> {
    const PATH: &str = "delivery.app_registration";
    let Delivery::AppRegistration { tenant_id, .. } = &intent.delivery else { return Ok(None) };
    let value = |word: &str| secrets.value(&format!("{PATH}.{word}")).cloned();
    let (Some(client_id), Some(client_secret)) = (value("client_id"), value("client_secret")) else {
        return Err(Failure::user(format!(
            "`{PATH}` is kept in a vault, where its service principal cannot be found out; give it by env or file"
        )));
    };
    let app = gather::sign_in_as(world, &intent.cloud, tenant_id, client_id, client_secret).await.map_err(
        |error| {
            let mut failure = Failure::of(&error);
            failure.chain.insert(
                0,
                format!("the app registration in `{PATH}` could not sign in; nothing was changed"),
            );
            failure
        },
    )?;
    Ok(app.signed_in().object_id.clone())
}

fn forecast(account: &str, facts: &MimecastFacts) -> Vec<Finding> {
    let whose =
        if account.is_empty() { "Mimecast".to_owned() } else { format!("Mimecast account `{account}`") };
    let mut findings = Vec::new();
    if let Some(events) = facts.events_a_day {
        let megabytes = (events * ROW_BYTES).div_ceil(1_000_000);
        findings.push(Finding::notes(
            "volume",
            format!("{whose} has {events} audit events of the last 24 hours: about {megabytes} MB a day in the workspace"),
        ));
    }
    if let Some(skew) = facts.skew_secs {
        findings.push(Finding::warns(
            "clock",
            format!(
                "this machine's clock is {} seconds {} Mimecast's",
                skew.abs(),
                if skew > 0 { "ahead of" } else { "behind" }
            ),
            "set the clock; calls of API 1.0 are signed with the time",
        ));
    }
    findings
}

/// So many accounts are looked at at once.
const LOOKS_AT_ONCE: usize = 8;

/// Looks at every account; the first that Mimecast refuses is the failure, before anything is made.
async fn look_at_mimecast(
    world: &World,
    intent: &Intent,
    secrets: &Secrets,
) -> Result<Vec<Result<MimecastFacts, MimecastError>>, Failure> {
    let http = http_client(gather::certificates(world)).map_err(|error| Failure::of(&error))?;
    let mut seen = Vec::new();
    let looks = futures::stream::iter(&intent.accounts)
        .map(|account| mimecast::look(&http, account, secrets, world.now()))
        .buffered(LOOKS_AT_ONCE);
    let mut looks = std::pin::pin!(looks);
    while let Some(looked) = looks.next().await {
        match looked {
            Err(error) if !matches!(error, MimecastError::Unread { .. }) => {
                let mut failure = Failure::of(&error);
                failure
                    .chain
                    .insert(0, "the check of Mimecast failed; nothing was changed in Azure".to_owned());
                failure.problems.push(format!("what to do: {}", error.remedy()));
                return Err(failure);
            }
            other => seen.push(other),
        }
    }
    Ok(seen)
}

/// A plan for programs.
pub(super) fn document(plan: &Plan) -> Value {
    json!({ "plan": plan })
}
