//! What the deployment template makes is what `install` makes, and either goes on where the other ended.

mod given;
mod mixed;
mod schema;
mod shape;

use std::collections::{BTreeMap, BTreeSet};

use installer::answers::recorded;
use installer::azure::{AzureError, ResourceId, Timings};
use installer::plan::change::differences;
use installer::plan::plan;
use installer::portal;
use serde_json::{Map, Value, json};
use simulator::state::principal::{Principal, PrincipalKind};
use simulator::state::role::OWNER;

use crate::stage::Stage;
use crate::within::Within;

const DEPLOYMENTS_VERSION: &str = "2024-03-01";
const GROUP: &str = "rg-mimecast-audit";
/// Where the recorded answers stand among what was made.
const ANSWERS: &str = "/hidden/appSettings/MIMECAST_SENTINEL_ANSWERS";
/// Who may write the secrets, and the app registration that delivers.
const OPERATOR: &str = "00000000-0000-0000-0000-00000000000a";
const DELIVERS: &str = "00000000-0000-0000-0000-00000000000b";

/// The rendered template.
fn template() -> Value {
    let files = portal::files().expect("renders");
    let file = files.iter().find(|file| file.name == portal::TEMPLATE_FILE).expect("a template");
    serde_json::from_str(&file.text).expect("JSON")
}

/// Parameters that are always given, with these beside them.
fn parameters(stage: &Stage, more: &Value) -> Map<String, Value> {
    let mimecast = stage.simulator.mimecast().settings();
    let base_url = stage.simulator.state().endpoints().mimecast.to_string();
    let mut values = json!({
        "AppInsightsWorkspaceResourceID": stage.simulator.workspace_id(),
        "mimecastBaseURL": base_url.trim_end_matches('/'),
        "mimecastClientId": mimecast.client_id,
        "mimecastClientSecret": mimecast.client_secret,
        "cloud": json!(stage.simulator.cloud_profile()).to_string(),
        "packageUri": "",
    });
    let values = values.as_object_mut().expect("an object");
    values.extend(more.as_object().cloned().unwrap_or_default());
    values.iter().map(|(name, value)| (name.clone(), json!({ "value": value }))).collect()
}

/// An empty group, and the two principals that parameters name.
fn scene(stage: &Stage) -> String {
    let state = stage.simulator.state();
    for (object_id, kind) in [(OPERATOR, PrincipalKind::User), (DELIVERS, PrincipalKind::ServicePrincipal)] {
        let principal = Principal { object_id: object_id.to_owned(), ..state.add_person(object_id, kind) };
        state.add_principal(principal);
    }
    let subscription = ELSEWHERE.split('/').nth(2).expect("a subscription");
    state.add_subscription(subscription, "Elsewhere");
    let group = state.add_group(subscription, "rg-elsewhere", "northeurope");
    let workspace = state.add_workspace(&group, "log-elsewhere", "northeurope");
    state.onboard_sentinel(&workspace);
    state.give_role(&stage.simulator.person().object_id, &format!("/subscriptions/{subscription}"), OWNER);
    state.add_group(stage.simulator.subscription_id(), GROUP, "westeurope")
}

/// An empty group, and the template deployed to it; gives the outputs.
async fn deploy(stage: &Stage, more: &Value) -> Value {
    let group = scene(stage);
    let made = deploy_with(stage, &group, &template(), parameters(stage, more)).await;
    made.unwrap_or_else(|error| panic!("{error:#?}"))
}

/// A template deployed to a group with these parameters; gives the outputs.
async fn deploy_with(
    stage: &Stage,
    group: &str,
    template: &Value,
    parameters: Map<String, Value>,
) -> Result<Value, AzureError> {
    let within = Within::new(stage, Timings::default().scaled(0.01)).await;
    let id = format!("{group}/providers/Microsoft.Resources/deployments/portal");
    let id = ResourceId::parse(&id).expect("an id");
    let body = json!({ "properties": {
        "mode": "Incremental", "template": template, "parameters": parameters,
    }});
    let made = within.azure.put(&id, DEPLOYMENTS_VERSION, &body).await?;
    assert_eq!(made["properties"]["provisioningState"], "Succeeded", "{made:#}");
    let read = within.azure.get(&id, DEPLOYMENTS_VERSION).await?.expect("is there");
    Ok(read["properties"]["outputs"].clone())
}

/// The answers that the template recorded.
fn recorded_answers(stage: &Stage) -> String {
    let site = stage.simulator.state().resources_of("Microsoft.Web/sites").remove(0);
    let hidden = stage.simulator.state().hidden(site["id"].as_str().expect("an id")).expect("settings");
    hidden["appSettings"]["MIMECAST_SENTINEL_ANSWERS"]
        .as_str()
        .unwrap_or_else(|| panic!("{hidden:#}"))
        .to_owned()
}

/// Texts that differ from one simulator or installation to the next, and what stands for them.
fn own_texts(stage: &Stage) -> Vec<(String, String)> {
    let state = stage.simulator.state();
    let endpoints = state.endpoints();
    let mut texts: Vec<(String, String)> = [
        ("subscription", stage.simulator.subscription_id()),
        ("tenant", state.tenant_id()),
        ("arm", endpoints.resource_manager.as_str().trim_end_matches('/')),
        ("entra", endpoints.entra.as_str().trim_end_matches('/')),
        ("ingestion", endpoints.ingestion.as_str().trim_end_matches('/')),
        ("query", endpoints.log_query.as_str().trim_end_matches('/')),
        ("blob", endpoints.blob.as_str().trim_end_matches('/')),
        ("queue", endpoints.queue.as_str().trim_end_matches('/')),
        ("table", endpoints.table.as_str().trim_end_matches('/')),
        ("mimecast", endpoints.mimecast.as_str().trim_end_matches('/')),
        ("person", &stage.simulator.person().object_id),
        ("client", &stage.simulator.person().client_id),
    ]
    // What stands for them has their shape, so that answers with it still read as answers.
    .map(|(name, text)| {
        let guid = uuid::Uuid::parse_str(text).is_ok();
        let letters =
            name.bytes().map(u64::from).fold(0, |sum, letter| (sum * 31 + letter) & 0xffff_ffff_ffff);
        let stands = if guid {
            format!("00000000-0000-0000-0000-{letters:012x}")
        } else {
            format!("https://{name}.example.com")
        };
        (text.to_owned(), stands)
    })
    .into();
    for (kind, made) in [
        ("Microsoft.ManagedIdentity/userAssignedIdentities", &["principalId", "clientId"][..]),
        ("Microsoft.Storage/storageAccounts", &[]),
        ("Microsoft.KeyVault/vaults", &["vaultUri"]),
        (
            "Microsoft.Insights/components",
            &["InstrumentationKey", "ConnectionString", "AppId", "ApplicationId"],
        ),
        ("Microsoft.Insights/dataCollectionRules", &["immutableId"]),
        ("Microsoft.Web/serverfarms", &[]),
        ("Microsoft.Web/sites", &["defaultHostName"]),
    ] {
        for resource in state.resources_of(kind) {
            let name = resource["name"].as_str().expect("a name");
            texts.push((name.to_owned(), format!("<name of {kind}>")));
            for property in made {
                if let Some(text) = resource["properties"][property].as_str() {
                    texts.push((text.to_owned(), format!("<{property} of {kind}>")));
                }
            }
        }
    }
    // Their ids are made of the workspace's, which holds the subscription.
    for kind in ["Microsoft.SecurityInsights/alertRules", "Microsoft.Insights/workbooks"] {
        for resource in state.resources_of(kind) {
            let name = resource["name"].as_str().expect("a name").to_owned();
            texts.push((
                name,
                format!("<id of {}>", resource["properties"]["displayName"].as_str().unwrap_or_default()),
            ));
        }
    }
    for workspace in state.resources_of("Microsoft.OperationalInsights/workspaces") {
        if let Some(id) = workspace["properties"]["customerId"].as_str() {
            texts.push((
                id.to_owned(),
                format!("<customer of {}>", workspace["name"].as_str().unwrap_or_default()),
            ));
        }
    }
    // The longest first, so that none is replaced in part.
    texts.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
    texts
}

/// What a scene has in the other subscription before anything is made.
fn there_before(id: &str) -> bool {
    id.ends_with("rg-elsewhere") || id == ELSEWHERE || id.contains("onboardingStates")
}

fn replaced(text: &str, texts: &[(String, String)]) -> String {
    texts.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// Everything that was made since, by its id without what differs.
fn made(stage: &Stage, before: &BTreeSet<String>) -> BTreeMap<String, Value> {
    // What Azure makes anew for every resource or write.
    const OWN: &[&str] = &[
        "etag",
        "systemData",
        "id",
        "createdOn",
        "updatedOn",
        "createdBy",
        "updatedBy",
        "created",
        "updated",
        "CreationDate",
        "creationTime",
        "lastModifiedTimeUtc",
        "hostNameSslStates",
        "customerId",
        "secretUriWithVersion",
        "lastEnabledTime",
        "lastModifiedTime",
        "customDomainVerificationId",
        "enabledHostNames",
        "knownFrom",
        "keyCreationTime",
        "revision",
        "timeModified",
        "lastModifiedUtc",
        "createdTimeUtc",
    ];
    fn without(value: &mut Value) {
        match value {
            Value::Object(members) => {
                members.retain(|name, _| !OWN.contains(&name.as_str()));
                members.values_mut().for_each(without);
            }
            Value::Array(items) => items.iter_mut().for_each(without),
            _ => {}
        }
    }
    let state = stage.simulator.state();
    let texts = own_texts(stage);
    let mut made = BTreeMap::new();
    let new = |id: &String| !before.contains(id) && !there_before(id);
    for id in state.resource_ids().into_iter().filter(new) {
        let mut body = state.resource(&id).expect("is there");
        without(&mut body);
        let mut key = id.clone();
        if body["type"] == "Microsoft.Authorization/roleAssignments" {
            body["name"] = Value::Null;
            key = format!(
                "role {} {} {}",
                body["properties"]["scope"],
                body["properties"]["principalId"],
                body["properties"]["roleDefinitionId"]
            );
        }
        let mut hidden = state.hidden(&id).unwrap_or_default();
        without(&mut hidden);
        let text = replaced(&json!({ "body": body, "hidden": hidden }).to_string(), &texts);
        made.insert(replaced(&key, &texts).to_lowercase(), serde_json::from_str(&text).expect("JSON"));
    }
    made
}

/// To the reader of answers, null is not answered.
fn without_nulls(value: &mut Value) {
    if let Value::Object(members) = value {
        members.values_mut().for_each(without_nulls);
        members.retain(|_, value| !value.is_null() && *value != json!({}));
    }
}

/// Puts every secret into the environment, under the names that the template records.
fn with_secrets(stage: &mut Stage) {
    for name in ["APP_ID", "APP_KEY", "ACCESS_KEY", "SECRET_KEY", "EMAIL", "PASSWORD"] {
        stage.environment.insert(format!("MIMECAST_{name}"), format!("value-of-{name}"));
    }
    stage.environment.insert("DELIVERY_CLIENT_ID".to_owned(), "value-of-app-id".to_owned());
    stage.environment.insert("DELIVERY_CLIENT_SECRET".to_owned(), "value-of-app-secret".to_owned());
}

/// Deploys the template on one simulator and installs with the answers that it recorded on another;
/// gives what both made, the recorded answers, and the first simulator.
async fn both(more: &Value) -> ([BTreeMap<String, Value>; 2], Value, Stage) {
    let mut one = Stage::start().await;
    with_secrets(&mut one);
    let before: BTreeSet<String> = one.simulator.state().resource_ids().into_iter().collect();
    deploy(&one, more).await;
    let mut of_template = made(&one, &before);
    of_template.retain(|id, _| !id.ends_with(GROUP));

    let mut other = Stage::start().await;
    let before: BTreeSet<String> = other.simulator.state().resource_ids().into_iter().collect();
    scene(&other);
    with_secrets(&mut other);
    nothing_to_change(&one).await;
    let answers = recorded_answers(&one);
    let back: Vec<(String, String)> =
        own_texts(&other).into_iter().map(|(text, name)| (name, text)).collect();
    let moved = replaced(&replaced(&answers, &own_texts(&one)), &back);
    std::fs::write(other.directory.path().join("answers.yaml"), &moved).expect("writes");
    let within = Within::new(&other, Timings::default().scaled(0.01)).await;
    let mut inventory =
        installer::inventory::observe::observe(&within.azure, &within.intent).await.expect("observes");
    if matches!(within.intent.delivery, installer::answers::intent::Delivery::AppRegistration { .. }) {
        inventory.delivery_principal = Some(DELIVERS.to_owned());
    }
    let plan = plan(&within.intent, &inventory, None).expect("a plan");
    if let Err(failed) = within.carry_out(&plan).await {
        panic!("{failed:#?}");
    }
    let mut of_installer = made(&other, &before);
    of_installer.retain(|id, _| !id.ends_with(GROUP));
    let mut answers: Value = serde_json::from_str(&answers).expect("JSON");
    without_nulls(&mut answers);
    ([of_template, of_installer], answers, one)
}

/// The installer's plan for what the template made, with the answers that it recorded, changes nothing. That a
/// vault's owner has to be told is no change.
async fn nothing_to_change(stage: &Stage) {
    std::fs::write(stage.directory.path().join("answers.yaml"), recorded_answers(stage)).expect("writes");
    let within = Within::new(stage, Timings::default().scaled(0.01)).await;
    let mut inventory =
        installer::inventory::observe::observe(&within.azure, &within.intent).await.expect("observes");
    inventory.delivery_principal = inventory.delivering(&within.intent.name);
    let plan = plan(&within.intent, &inventory, None).expect("a plan");
    let steps: Vec<_> = plan.steps.iter().filter(|step| !step.key.starts_with("foreign/")).collect();
    assert!(steps.is_empty(), "{steps:#?}");
}

#[track_caller]
fn assert_equal([of_template, of_installer]: &[BTreeMap<String, Value>; 2]) {
    let names = |made: &BTreeMap<String, Value>| made.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(of_template), names(of_installer));
    let mut found = Vec::new();
    for (id, one) in of_template {
        let (mut one, mut other) = (one.clone(), of_installer[id].clone());
        // The recorded answers are the same by what they mean; their order is free.
        if let Some(answers) = one.pointer_mut(ANSWERS).map(Value::take) {
            let others = other.pointer_mut(ANSWERS).map(Value::take).expect("answers");
            let [answers, others] = [answers, others].map(|each| each.as_str().expect("text").to_owned());
            assert!(recorded::same(&answers, &others), "{answers}\n{others}");
        }
        for (one, other) in [(&one, &other), (&other, &one)] {
            found.extend(differences(one, other).into_iter().map(|change| format!("{id}: {change:?}")));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_fewest_parameters_the_template_makes_what_install_makes() {
    let (made, answers, _) = both(&json!({})).await;
    assert_equal(&made);
    // The content is among it.
    assert!(made[0].len() > 60, "{:#?}", made[0].keys());
    let unifying = |id: &&String| id.contains("/savedsearches/im_") || id.contains("/savedsearches/asim_");
    assert_eq!(made[0].keys().filter(unifying).count(), 0, "{:#?}", made[0].keys());
    assert_eq!(answers["hosting"]["plan"], "flex-consumption");
    assert_eq!(answers["mimecast"]["client_secret"], json!({ "env": "MIMECAST_CLIENT_SECRET" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_option_makes_what_install_makes_with_the_same_answers() {
    let signed = json!({
        "appName": "Mimecast-Signed", "appInsightsLocation": "North Europe", "objectId": OPERATOR,
        "mimecastAppId": "value-of-APP_ID", "mimecastAppKey": "value-of-APP_KEY",
        "mimecastAccessKey": "@Microsoft.KeyVault(SecretUri=https://kv-own.vault.azure.net/secrets/access)",
        "mimecastSecretKey": "value-of-SECRET_KEY", "mimecastEmail": "value-of-EMAIL", "mimecastPassword": "value-of-PASSWORD",
        "collectEvery": "2h", "firstRun": "3d", "settle": "90s", "overlap": "30m", "categories": "login_logs,policy_logs",
        "hostingPlan": "dedicated", "retentionDays": 30, "totalRetentionDays": 365, "purgeProtection": true,
        "tags": { "owner": "secops" }, "analyticsRules": "all", "asimUnifyingParsers": true,
    });
    let (made, answers, _) = both(&signed).await;
    assert_equal(&made);
    for (pointer, value) in [
        ("/name", json!("mimecast-signed")),
        ("/mimecast/api", json!("1.0")),
        ("/mimecast/access_key", signed["mimecastAccessKey"].clone()),
        ("/mimecast/client_id", Value::Null),
        ("/hosting/plan", json!("dedicated")),
        ("/table/retention_days", json!(30)),
        ("/azure/tags", json!({ "owner": "secops" })),
        ("/azure/operator_object_id", signed["objectId"].clone()),
        ("/collect/categories", json!(["login_logs", "policy_logs"])),
        ("/content/rules", json!("all")),
    ] {
        assert_eq!(answers.pointer(pointer).unwrap_or(&Value::Null), &value, "{pointer}");
    }

    let reference = |name: &str| format!("@Microsoft.KeyVault(VaultName=kv-own;SecretName={name})");
    let referred = json!({
        "mimecastClientId": reference("id"), "mimecastClientSecret": reference("secret"),
        "instanceMemoryMB": "2048", "connectorPage": false, "workbook": false, "analyticsRules": "off",
        "huntingQueries": false, "asimParsers": false,
        "activeDirectoryAppId": "value-of-app-id", "activeDirectoryAppSecret": "value-of-app-secret",
        "activeDirectoryObjectId": DELIVERS, "activeDirectoryTenantId": OPERATOR,
    });
    let (made, answers, _) = both(&referred).await;
    assert_equal(&made);
    assert_eq!(answers["mimecast"]["client_id"], reference("id"));
    assert!(!made[0].keys().any(|id| id.contains("/secrets/mimecast")), "{:#?}", made[0].keys());
    assert!(!made[0].keys().any(|id| id.contains("/savedsearches/")), "{:#?}", made[0].keys());
}

/// The workspace of another subscription.
const ELSEWHERE: &str = "/subscriptions/00000000-0000-0000-0000-00000000000e/resourceGroups/rg-elsewhere/providers/Microsoft.OperationalInsights/workspaces/log-elsewhere";

#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_of_another_subscription_gets_what_install_gives_it() {
    let (made, answers, _) = both(&json!({
        "workspaceResourceId": ELSEWHERE, "instanceMemoryMB": "4096", "workQueue": true,
    }))
    .await;
    assert_equal(&made);
    assert_eq!(answers["hosting"]["memory_mb"], "4096");
    assert_eq!(answers["workspace"]["resource_id"], ELSEWHERE);
    assert_eq!(answers["collect"]["work_queue"], "always");
    let there = made[0].keys().filter(|id| id.contains("/log-elsewhere/")).count();
    assert!(there > 45, "tables, functions, hunts and rules: {:#?}", made[0].keys());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_installer_goes_on_where_the_template_ended() {
    let stage = Stage::start().await;
    let outputs =
        deploy(&stage, &json!({ "tags": { "owner": "secops" }, "asimUnifyingParsers": true })).await;
    let secret = &stage.simulator.mimecast().settings().client_secret;
    assert!(!outputs.to_string().contains(secret.as_str()), "{outputs:#}");
    assert!(
        outputs["publishCommand"]["value"].as_str().expect("a command").starts_with("mimecast-sentinel ")
    );
    std::fs::write(stage.directory.path().join("answers.yaml"), recorded_answers(&stage)).expect("writes");

    // Only the package is missing.
    let plan = stage.command("plan", &["--output", "json"]).await.expect(10).json();
    let keys: Vec<&str> = plan["plan"]["steps"]
        .as_array()
        .expect("steps")
        .iter()
        .filter_map(|step| step["key"].as_str())
        .collect();
    // With it comes the setting by which the worker reports which one it is.
    assert_eq!(keys, ["settings", "grant/packages", "package", "publish", "take-back/packages"], "{plan:#}");
    let settings = plan["plan"]["steps"][0].to_string();
    assert_eq!(settings.matches(r#""path":"settings."#).count(), 1, "{settings}");
    assert!(settings.contains(r#""path":"settings.MIMECAST_SENTINEL_PACKAGE""#), "{settings}");

    // The worker makes its checkpoint, collects, and rows arrive.
    stage.command("install", &["--yes", "--wait", "60s"]).await.expect(0);
    let again = stage.command("plan", &[]).await.expect(0);
    assert!(again.stdout.contains("Nothing to do"), "{}", again.stdout);
}
