//! Every kind of step, refused in every way: the person reads the cause, what is done, and what to do.

mod way;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use contract::resources::{MONITORING_METRICS_PUBLISHER, ResourceNames};
use futures::future::join_all;
use installer::azure::{RetryPolicy, Timings};
use installer::commands::install::unfinished;
use installer::commands::upgrade;
use installer::plan::template::api_version;
use installer::plan::{Action, Plan, Rotation, Step, Trial, Unproven, Watched, change::Change, output};
use installer::provision::{Failed, Provisioned};
use installer::ui::Failure;
use serde_json::Value;

use crate::stage::Stage;
use crate::within::Within;
use way::{SILENCE, Way, call, kind};

/// How long an answer may stay away here: far longer than the simulator takes on a machine with other work.
const PATIENCE: Duration = Duration::from_millis(2_500);

/// Waits that are over at once.
fn timings() -> Timings {
    let policy = RetryPolicy {
        first_delay: Duration::from_millis(1),
        longest_delay: Duration::from_millis(4),
        within: Duration::from_millis(12),
        named_delay_factor: 0.0,
    };
    Timings {
        sign_in: policy,
        calls: policy,
        settling: policy,
        role_spreading: policy,
        answer: PATIENCE,
        poll_every: Duration::from_millis(1),
        operation: Duration::from_secs(20),
    }
}

/// One step of each kind, with every mark filled, and those kinds that only later plans have.
fn kinds(plan: &Plan, made: &BTreeMap<String, Value>) -> Vec<Step> {
    let mut kinds: BTreeMap<String, Step> = BTreeMap::new();
    let mut order = Vec::new();
    // What is taken from the settings of a new app is not there; below they are written.
    let written = plan.steps.iter().filter(|step| !matches!(step.action, Action::MergeSettings { .. }));
    for step in written {
        let mut action = serde_json::to_value(&step.action).unwrap();
        output::fill(&mut action, &|step, pointer| output::look_up(made.get(step)?, pointer));
        assert_eq!(output::first(&action), None, "everything is known: {action}");
        let action: Action = serde_json::from_value(action).unwrap();
        let of_kind = match &action {
            Action::PutResource { id, .. } => format!("put {}", kind(id)),
            other => serde_json::to_value(other).unwrap()["do"].as_str().unwrap().to_owned(),
        };
        if let Entry::Vacant(first) = kinds.entry(of_kind) {
            order.push(first.key().clone());
            first.insert(Step { action, depends_on: Vec::new(), ..step.clone() });
        }
    }
    let mut steps: Vec<Step> = order.iter().map(|kind| kinds[kind].clone()).collect();
    let id_of = |key: &str| made[key]["id"].as_str().unwrap().to_owned();
    let site = id_of("function_app");
    let later = |title: &str, action: Action| Step {
        key: format!("later/{title}"),
        title: title.to_owned(),
        action,
        depends_on: Vec::new(),
        change: Change::Run,
        undo: None,
    };
    let version = |kind: &str| api_version(kind).unwrap().to_owned();
    let (packages, sha256) = steps
        .iter()
        .find_map(|step| match &step.action {
            Action::UploadPackage { container_url, sha256, .. } => {
                Some((container_url.clone(), sha256.clone()))
            }
            _ => None,
        })
        .unwrap();
    let watched = Watched {
        site_id: site.clone(),
        installation: plan.installation.clone(),
        accounts: BTreeSet::new(),
        workspace_customer_id: String::new(),
        sha256: String::new(),
        limit_secs: 1,
    };
    let vault = id_of("key_vault");
    let vault_name = vault.rsplit('/').next().unwrap();
    let location = made["key_vault"]["location"].as_str().unwrap();
    // What only an upgrade or a rotation does.
    steps.extend([
        later(
            "settings of the Function App",
            Action::MergeSettings {
                site_id: site.clone(),
                set: BTreeMap::from([("A".to_owned(), "1".to_owned())]),
                remove: Vec::new(),
            },
        ),
        later(
            "migration of the classic table `MimecastAudit_CL`",
            Action::MigrateTable {
                id: id_of("table/MimecastAudit_CL"),
                api_version: version("Microsoft.OperationalInsights/workspaces/tables"),
            },
        ),
        later(
            "the role that an administrator gives",
            Action::AwaitRole {
                scope: id_of("data_collection_rule"),
                api_version: version("Microsoft.Authorization/roleAssignments"),
                principal_id: "00000000-0000-0000-0000-00000000000f".to_owned(),
                principal_type: "ServicePrincipal".to_owned(),
                role: MONITORING_METRICS_PUBLISHER.definition_id.to_owned(),
            },
        ),
        later(
            "the package that runs now, which is kept",
            Action::CheckPackage { container_url: packages.clone(), sha256: sha256.clone(), optional: false },
        ),
        later(
            "the package that is kept, published",
            Action::Publish {
                site_id: site.clone(),
                sha256,
                previous: None,
                stored_in: Some(packages),
                put_back: None,
            },
        ),
        later(
            "the trial",
            Action::TryPackage(Trial { watched: watched.clone(), before: Unproven::default() }),
        ),
        later(
            "new version of `mimecast-client-secret`",
            Action::RotateSecrets(Rotation {
                vault_id: vault.clone(),
                vault_uri: made["key_vault"]["properties"]["vaultUri"].as_str().unwrap().to_owned(),
                secrets: BTreeMap::from([(
                    "mimecast-client-secret".to_owned(),
                    "mimecast.client_secret".to_owned(),
                )]),
                watched,
            }),
        ),
    ]);
    // What only a teardown does.
    for (key, kind) in [
        ("function_app", "Microsoft.Web/sites"),
        ("plan", "Microsoft.Web/serverfarms"),
        ("application_insights", "Microsoft.Insights/components"),
        ("storage_account", "Microsoft.Storage/storageAccounts"),
        ("key_vault", "Microsoft.KeyVault/vaults"),
        ("table/MimecastAudit_CL", "Microsoft.OperationalInsights/workspaces/tables"),
        ("data_collection_rule", "Microsoft.Insights/dataCollectionRules"),
        ("identity", "Microsoft.ManagedIdentity/userAssignedIdentities"),
    ] {
        let action = Action::Delete { id: id_of(key), api_version: version(kind) };
        steps.push(later(&format!("{key}, deleted"), action));
    }
    steps.extend([
        later(
            "the deleted vault, purged for good",
            Action::PurgeVault {
                id: format!(
                    "/subscriptions/{}/providers/Microsoft.KeyVault/locations/{location}/deletedVaults/{vault_name}",
                    plan.subscription_id
                ),
                api_version: version("Microsoft.KeyVault/vaults"),
            },
        ),
        later(
            "the empty resource group, deleted",
            Action::DeleteEmptyGroup {
                id: id_of("resource_group"),
                api_version: version("Microsoft.Resources/resourceGroups"),
            },
        ),
    ]);
    steps
}

/// Whether a 404 to this step is no refusal: what shall go has gone.
fn passes_a_404(action: &Action) -> bool {
    matches!(action, Action::Delete { .. } | Action::UnassignRole { .. } | Action::PurgeVault { .. })
}

/// What the person reads of a step that was refused, and what has to stand in it.
fn told(step: &Step, ended: Result<Provisioned, Failed>, done: &str) -> (Failure, Vec<String>) {
    let put_back = |made: &Provisioned| match &step.action {
        Action::TryPackage(_) => upgrade::not_good("the upgrade", "HASH", &made.resources[&step.key]),
        _ => None,
    };
    let (failure, parts) = match ended {
        Err(failed) => (unfinished(failed), vec!["caused by: ", done, "to go on: ", "hint: ", "link: "]),
        Ok(made) => match put_back(&made) {
            Some(failure) => (failure, vec!["put back: ", "what to do: "]),
            None => panic!("{} was passed over", step.title),
        },
    };
    (failure, parts.into_iter().map(str::to_owned).collect())
}

/// The group's step, which succeeds, and one that is refused.
fn after_the_group(plan: &Plan, step: &Step) -> Plan {
    let group = plan.steps.iter().find(|step| step.key == "resource_group").unwrap().clone();
    let group = Step { depends_on: Vec::new(), ..group };
    let refused = Step { depends_on: vec![group.key.clone()], ..step.clone() };
    Plan { steps: vec![group, refused], ..plan.clone() }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refused_call_says_why_what_is_done_and_what_to_do() {
    let stage = Stage::start().await;
    // What is refused later is made with patience: publishing takes its time on a machine with other work.
    let patient = Within::new(&stage, Timings { answer: SILENCE, ..timings() }).await;
    let plan = patient.plan().await;
    let made = patient.carry_out(&plan).await.unwrap().resources;
    let within = Within::new(&stage, timings()).await;
    let steps = kinds(&plan, &made);
    assert!(steps.len() > 20, "{} kinds of steps", steps.len());
    let names =
        ResourceNames::derive("mimecast-audit", stage.simulator.subscription_id(), "rg-mimecast-audit");

    for way in Way::ALL {
        let mut plans = Vec::new();
        for step in &steps {
            // Without a refusal it would do its work.
            if way == Way::Status(404) && matches!(step.action, Action::RotateSecrets(_)) {
                continue;
            }
            let (service, matcher, action, scope) = call(&step.action);
            // The group itself has nothing before it.
            let group = step.key == "resource_group";
            let plan = if group {
                Plan { steps: vec![step.clone()], ..plan.clone() }
            } else {
                after_the_group(&plan, step)
            };
            plans.push((group, step, plan, way.fault(matcher, service, &action, &scope)));
        }
        let mut shown = String::new();
        // The group's own refusals would meet the others' groups.
        for wave in [false, true] {
            let these: Vec<_> = plans.iter().filter(|(group, ..)| *group == wave).collect();
            for (.., fault) in &these {
                stage.simulator.faults().add(fault.clone());
            }
            let ended = join_all(these.iter().map(|(_, _, plan, _)| within.carry_out(plan))).await;
            stage.simulator.faults().clear();
            for ((group, step, ..), ended) in these.into_iter().zip(ended) {
                if way == Way::Status(404) && passes_a_404(&step.action) {
                    assert!(ended.is_ok(), "{}", step.title);
                    continue;
                }
                let done = if *group { "done so far: nothing" } else { "done so far: resource group" };
                let (failure, parts) = told(step, ended, done);
                let text = failure.text();
                for part in parts.iter().map(String::as_str).chain(["error: "]) {
                    assert!(text.contains(part), "{way:?}: {part} in {text}");
                }
                assert_eq!(failure.kind.exit_code(), if *group { 1 } else { 3 }, "{text}");
                writeln!(shown, "## {}\n\n{text}", step.title).unwrap();
            }
        }
        let person = stage.simulator.person();
        insta::with_settings!({
            prepend_module_to_snapshot => false,
            omit_expression => true,
            filters => vec![
                (stage.simulator.subscription_id(), "SUBSCRIPTION"),
                (person.object_id.as_str(), "OBJECT"),
                (names.storage_account.as_str(), "STORAGE"),
                (names.key_vault.as_str(), "VAULT"),
                (names.function_app.as_str(), "SITE"),
                // How often there was time for it.
                (r"  caused by: gave up after \d+ attempts\n", ""),
                (r"gave up after \d+ attempts: ", ""),
                (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
                (r"[0-9a-f]{12}…zip", "HASH…zip"),
                (r"[0-9a-f]{64}", "HASH"),
                // Drawn anew for each upload.
                (r"blockid=[^&]+", "blockid=BLOCK"),
                (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "GUID"),
            ],
        }, {
            insta::assert_snapshot!(format!("refused_{}", way.name()), shown);
        });
    }
}
