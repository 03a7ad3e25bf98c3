//! Parameters as people give them: old files, wrong values, values left out, and what the outputs say of them.

use std::collections::BTreeSet;

use contract::settings::{DELIVERY_CLIENT_ID, MIMECAST_BASE_URL};

use serde_json::{Map, Value, json};
use simulator::state::principal::{Principal, PrincipalKind};

use super::{
    GROUP, OPERATOR, assert_equal, deploy, deploy_with, made, nothing_to_change, parameters,
    recorded_answers, scene, template,
};
use crate::stage::Stage;

/// The text of an output.
fn output<'a>(outputs: &'a Value, name: &str) -> &'a str {
    outputs[name]["value"].as_str().unwrap_or_else(|| panic!("{name} in {outputs:#}"))
}

/// The app's settings.
fn settings(stage: &Stage) -> Value {
    stage.simulator.state().hidden(&stage.site()).expect("settings")["appSettings"].clone()
}

/// The files that `export` writes: template and parameters.
async fn exported(stage: &Stage) -> (Value, Map<String, Value>) {
    let folder = stage.directory.path().join("exported");
    stage.command("export", &["--to", folder.to_str().expect("a path")]).await.expect(0);
    let read = |name: &str| -> Value {
        serde_json::from_str(&std::fs::read_to_string(folder.join(name)).expect("a file")).expect("JSON")
    };
    let given = read("azuredeploy.parameters.json")["parameters"].as_object().expect("parameters").clone();
    (read("azuredeploy.json"), given)
}

fn group(stage: &Stage) -> String {
    format!("/subscriptions/{}/resourceGroups/{GROUP}", stage.simulator.subscription_id())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_installer_would_refuse_is_refused_before_anything_is_made() {
    let stage = Stage::start().await;
    let (group, template) = (scene(&stage), template());
    let before = stage.simulator.state().resource_ids();
    for (wrong, said) in [
        (json!({ "appName": "my--app" }), "appName"),
        (json!({ "appName": "app-" }), "appName"),
        (json!({ "appName": "1app" }), "appName"),
        (json!({ "firstRun": "90d" }), "60d, which is what Mimecast keeps"),
        (json!({ "firstRun": "0d" }), "firstRun"),
        (json!({ "settle": "2d" }), "settle"),
        (json!({ "overlap": "25h" }), "overlap"),
        (json!({ "mimecastBaseURL": "https://eu-api.mimecast.com/" }), "a host of API 1.0"),
        (json!({ "mimecastBaseURL": "http://api.services.mimecast.com" }), "https address"),
        (json!({ "mimecastBaseURL": "https://api.services.mimecast.com/api" }), "a host alone"),
        (json!({ "mimecastAppKey": "key", "mimecastEmail": "a@example.com" }), "needed together"),
        (json!({ "retentionDays": 3 }), "4 days at least"),
        (json!({ "retentionDays": 90, "totalRetentionDays": 30 }), "less than retentionDays"),
    ] {
        let refused = deploy_with(&stage, &group, &template, parameters(&stage, &wrong)).await;
        let refused = format!("{:?}", refused.expect_err("it cannot be"));
        assert!(refused.contains(said), "{wrong}: {refused}");
        assert_eq!(stage.simulator.state().resource_ids(), before, "{wrong}");
    }
    // Every fault is told at once.
    let two = json!({ "appName": "app-", "firstRun": "90d" });
    let refused = deploy_with(&stage, &group, &template, parameters(&stage, &two)).await;
    let refused = format!("{:?}", refused.expect_err("two faults"));
    assert!(refused.contains("appName") && refused.contains("60d"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_with_a_slash_at_its_end_is_the_same_address() {
    let stage = Stage::start().await;
    let address = stage.simulator.state().endpoints().mimecast.to_string();
    assert!(address.ends_with('/'), "{address}");
    deploy(&stage, &json!({ "mimecastBaseURL": address, "collectEvery": "12m" })).await;
    assert_eq!(settings(&stage)[MIMECAST_BASE_URL], address.trim_end_matches('/'));
    nothing_to_change(&stage).await;
    let (_, given) = exported(&stage).await;
    assert_eq!(given["collectEvery"]["value"], "12m");
}

/// An old parameters file names an app registration and not its service principal.
#[tokio::test(flavor = "multi_thread")]
async fn a_registration_without_its_service_principal_leaves_delivery_to_the_identity() {
    let stage = Stage::start().await;
    let old = json!({ "activeDirectoryAppId": "app-id", "activeDirectoryAppSecret": "app-secret" });
    let outputs = deploy(&stage, &old).await;
    assert!(output(&outputs, "delivers").contains("activeDirectoryObjectId"), "{outputs:#}");
    assert!(settings(&stage).get(DELIVERY_CLIENT_ID).is_none(), "{:#}", settings(&stage));
    nothing_to_change(&stage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_outputs_name_what_is_missing_and_how_to_go_on() {
    let stage = Stage::start().await;
    let state = stage.simulator.state();
    // Only what must be given, and the cloud, which no simulator has a name for.
    let all = parameters(&stage, &json!({}));
    let required: Map<String, Value> = all
        .iter()
        .filter(|(name, _)| {
            ["AppInsightsWorkspaceResourceID", "packageUri", "cloud"].contains(&name.as_str())
        })
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    scene(&stage);
    let group = state.add_group(stage.simulator.subscription_id(), "rg(prod)", "westeurope");
    let outputs = deploy_with(&stage, &group, &template(), required.clone()).await.expect("deploys");
    let missing = output(&outputs, "secretsMissing");
    for part in [
        "mimecast-client-id (mimecastClientId), mimecast-client-secret (mimecastClientSecret). ",
        "az keyvault secret set",
    ] {
        assert!(missing.contains(part), "{part} in {missing}");
    }
    assert!(missing.contains(output(&outputs, "keyVaultName")), "{missing}");
    assert!(!missing.contains("app-key") && !missing.contains("delivery"), "{missing}");
    assert_eq!(output(&outputs, "delivers"), "the managed identity");
    assert_eq!(output(&outputs, "keyVaultGrantCommand"), "");
    let command = output(&outputs, "publishCommand");
    assert!(command.contains(" --resource-group 'rg(prod)' "), "{command}");
    assert!(command.ends_with(" --cloud <file with the endpoints>"), "{command}");

    // Clouds with a name are named; the public one need not be. The rest is as before.
    for (cloud, end) in [("china", " --cloud china"), ("public", " --name mimecast-audit")] {
        let mut given = required.clone();
        given.insert("cloud".to_owned(), json!({ "value": cloud }));
        for flag in ["createConnectorPage", "createContent", "createTables"] {
            given.insert(flag.to_owned(), json!({ "value": false }));
        }
        given.insert("mimecastClientId".to_owned(), json!({ "value": "id" }));
        let reference = "@Microsoft.KeyVault(SecretUri=https://kv-own.vault.azure.net/secrets/own)";
        given.insert("mimecastClientSecret".to_owned(), json!({ "value": reference }));
        let outputs = deploy_with(&stage, &group, &template(), given).await.expect("deploys");
        assert!(output(&outputs, "publishCommand").ends_with(end), "{outputs:#}");
        assert_eq!(output(&outputs, "secretsMissing"), "");
        let grant = output(&outputs, "keyVaultGrantCommand");
        assert!(grant.starts_with("az role assignment create "), "{grant}");
        assert_eq!(grant.matches(output(&outputs, "identityPrincipalId")).count(), 2, "{grant}");
    }
}

/// Sentinel keeps the id of a deleted rule back for a day.
#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_on_the_day_of_a_teardown_takes_the_next_generation_of_rules() {
    let stage = Stage::start().await;
    deploy(&stage, &json!({})).await;
    std::fs::write(stage.directory.path().join("answers.yaml"), recorded_answers(&stage)).expect("writes");
    stage.command("teardown", &["--yes"]).await.expect(0);
    stage.simulator.state().add_group(stage.simulator.subscription_id(), GROUP, "westeurope");
    let again = |more: Value| {
        let mut given = json!({ "recoverVault": true, "createTables": false });
        given.as_object_mut().expect("an object").extend(more.as_object().cloned().expect("an object"));
        let given = parameters(&stage, &given);
        let (stage, group) = (&stage, group(&stage));
        async move { deploy_with(stage, &group, &template(), given).await }
    };
    let refused = format!("{:?}", again(json!({})).await.expect_err("the ids are kept back"));
    assert!(refused.contains("recently deleted"), "{refused}");
    let page = json!({ "ruleGeneration": "1", "createConnectorPage": false });
    again(page).await.expect("other ids");
    nothing_to_change(&stage).await;
    let (template, given) = exported(&stage).await;
    assert_eq!(given["ruleGeneration"]["value"], "1");
    let rules = || stage.simulator.state().resources_of("Microsoft.SecurityInsights/alertRules").len();
    let before = rules();
    deploy_with(&stage, &group(&stage), &template, given).await.expect("deploys");
    assert_eq!(rules(), before);
}

/// What an installation has beside the commonest: an export keeps it all.
#[tokio::test(flavor = "multi_thread")]
async fn an_export_keeps_pause_tuned_rules_logins_references_and_registration() {
    let mut stage = Stage::start().await;
    let before: BTreeSet<String> = stage.simulator.state().resource_ids().into_iter().collect();
    let (principal, secret) = stage.simulator.state().add_application("delivers");
    let tenant = stage.simulator.person().tenant_id.clone();
    for (name, value) in [
        ("APP_ID", principal.client_id.as_str()),
        ("APP_SECRET", secret.expose().as_str()),
        ("MIMECAST_EMAIL", "service@example.com"),
        ("MIMECAST_PASSWORD", "value-of-password"),
    ] {
        stage.environment.insert(name.to_owned(), value.to_owned());
    }
    let operator = Principal {
        object_id: OPERATOR.to_owned(),
        ..stage.simulator.state().add_person(OPERATOR, PrincipalKind::User)
    };
    stage.simulator.state().add_principal(operator);
    stage.answers(&format!(
        "hosting: {{plan: dedicated}}\ncollect: {{every: 4m}}\ntable: {{retention_days: 30, total_retention_days: 60}}\n\
         delivery: {{app_registration: {{client_id: {{env: APP_ID}}, client_secret: {{env: APP_SECRET}}, \
         tenant_id: {tenant}}}}}\n"
    ));
    stage.speak_one();
    stage.reword_answers(
        "app_id: {env: MIMECAST_APP_ID}",
        "app_id: {env: MIMECAST_APP_ID}\n  email: {env: MIMECAST_EMAIL}\n  password: {env: MIMECAST_PASSWORD}",
    );
    stage.command("install", &["--yes", "--no-wait"]).await.expect(0);
    stage.command("pause", &[]).await.expect(0);
    let rule = stage.simulator.state().resources_of("Microsoft.SecurityInsights/alertRules").remove(0);
    let rule = rule["id"].as_str().expect("an id").to_owned();
    let state = stage.simulator.state();
    assert!(state.edit(&rule, |body, _| body["properties"]["queryFrequency"] = json!("PT7M")));
    let of_installer = made(&stage, &before);

    let (template, given) = exported(&stage).await;
    for (name, value) in [
        ("keepMimecastLogin", json!(true)),
        ("paused", json!(true)),
        ("createContent", json!(false)),
        ("createUnifyingParsers", json!(false)),
        ("asimUnifyingParsers", json!(true)),
        ("collectEvery", json!("4m")),
        ("activeDirectoryObjectId", json!(principal.object_id)),
    ] {
        assert_eq!(given[name]["value"], value, "{name}");
    }
    let text = json!(given).to_string();
    assert!(!text.contains("\"reference\"") && !text.contains("value-of-password"), "{text}");
    let outputs = deploy_with(&stage, &group(&stage), &template, given).await.expect("deploys");
    assert_equal(&[made(&stage, &before), of_installer]);
    let tuned = stage.simulator.state().resource(&rule).expect("there");
    assert_eq!(tuned["properties"]["queryFrequency"], "PT7M");
    assert_eq!(stage.command("status", &["--output", "json"]).await.json()["facts"]["paused"], true);
    let plan = stage.command("plan", &[]).await.expect(0);
    assert!(plan.stdout.contains("Nothing to do"), "{}", plan.stdout);
    assert!(output(&outputs, "secretsMissing").contains("app-registration-client-secret"), "{outputs:#}");
}
