//! Template and installer on the same installation, one after the other.

use std::collections::BTreeSet;

use contract::resources::{CHECKPOINT_BLOB, TIMER_FUNCTION};
use contract::streams::AUDIT_TABLE;
use installer::azure::{ResourceId, Timings};
use installer::content::Library;
use installer::plan::content::item_of;
use serde_json::{Value, json};
use simulator::state::role::OWNER;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::{GROUP, assert_equal, deploy, deploy_with, made, parameters, recorded_answers, scene, template};
use crate::stage::{Stage, package};
use crate::within::Within;

/// Serves the worker's package once, to whoever asks: its address, and its hash.
async fn served() -> (String, String) {
    let bytes = std::fs::read(package()).expect("a package");
    let hash = installer::deploy::package::Package::of(bytes.clone()).expect("a package").sha256;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}/worker.zip", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("somebody asks");
        let mut request = [0; 1024];
        let _ = stream.read(&mut request).await.expect("a request");
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", bytes.len());
        stream.write_all(head.as_bytes()).await.expect("writes");
        stream.write_all(&bytes).await.expect("writes");
        stream.shutdown().await.expect("ends");
    });
    (address, hash)
}

/// How many rows the audit table has.
fn rows(stage: &Stage) -> usize {
    stage.simulator.data().rows.of(AUDIT_TABLE).len()
}

fn deployed_answers(stage: &Stage) {
    std::fs::write(stage.directory.path().join("answers.yaml"), recorded_answers(stage)).expect("writes");
}

/// No hand and no installer: the template publishes the package, the worker makes its checkpoint, a run
/// delivers every event, and the installer then finds nothing to do.
#[tokio::test(flavor = "multi_thread")]
async fn a_template_with_a_package_needs_nobody_else() {
    // BR-099
    let stage = Stage::start().await;
    let (address, hash) = served().await;
    let bytes = std::fs::read(package()).expect("a package").into();
    let worker = installer::deploy::package::worker_hash(&bytes).expect("a worker");
    let given = json!({ "packageUri": address, "packageSha256": hash, "workerSha256": worker });
    deploy(&stage, &given).await;
    deployed_answers(&stage);
    let blobs = || {
        let entries = stage.simulator.journal().entries();
        entries.iter().filter(|entry| entry.method == "PUT" && entry.target.contains(CHECKPOINT_BLOB)).count()
    };
    assert_eq!(blobs(), 0, "nobody has made the checkpoint yet");
    let fired = stage.simulator.data().hosts.fire(&stage.site(), TIMER_FUNCTION).await.expect("a host");
    fired.outcome.expect("a good run");
    assert!(blobs() > 0, "the worker made it");
    assert_eq!(rows(&stage), stage.simulator.mimecast().events().len());

    let plan = stage.command("plan", &[]).await.expect(0);
    assert!(plan.stdout.contains("Nothing to do"), "{}", plan.stdout);
    // Rules have the ids that the installer gives, by which it knows them even without their marks.
    let library = Library::load().expect("valid");
    let rules = stage.simulator.state().resources_of("Microsoft.SecurityInsights/alertRules");
    assert_eq!(rules.len(), library.rules.len());
    for rule in rules {
        let bare = json!({ "type": rule["type"], "name": rule["name"], "properties": {} });
        assert!(item_of(&bare, stage.simulator.workspace_id(), &library).is_some(), "{rule:#}");
    }
    let status = stage.command("status", &["--output", "json"]).await.expect(0).json();
    assert_eq!(status["facts"]["package"], json!(hash));
    assert_eq!(status["facts"]["ran_package"], json!(hash));
    assert_eq!(status["facts"]["ran_worker"], worker[..16]);

    // So is another worker under the name of this package: it says itself which it is.
    let state = stage.simulator.state();
    let name_worker = |name: &str| {
        assert!(state.edit(&stage.site(), |site, _| site["tags"]["mimecast-sentinel-worker"] = json!(name)));
    };
    name_worker(&"0".repeat(64));
    let status = stage.command("status", &[]).await.expect(1);
    assert!(status.stdout.contains(&format!("has the SHA-256 {}…", &worker[..16])), "{}", status.stdout);
    name_worker(&worker);

    // Another package under the same name is told.
    assert!(
        state
            .edit(&stage.site(), |site, _| site["tags"]["mimecast-sentinel-package"] = json!("0".repeat(64)))
    );
    let status = stage.command("status", &[]).await.expect(1);
    assert!(status.stdout.contains(&format!("the last run was of package {hash}")), "{}", status.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_that_cannot_be_had_fails_the_deployment_by_name() {
    let stage = Stage::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}/worker.zip", listener.local_addr().expect("an address"));
    drop(listener);
    let (group, template) = (scene(&stage), template());
    let given = parameters(&stage, &json!({ "packageUri": address }));
    let refused = deploy_with(&stage, &group, &template, given).await;
    let refused = format!("{:?}", refused.expect_err("nobody listens there"));
    assert!(refused.contains("Failed to download package"), "{refused}");
}

/// A dedicated plan takes its package by zip deployment, and by nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn a_dedicated_plan_takes_the_package_of_a_template_too() {
    let stage = Stage::start().await;
    let (address, hash) = served().await;
    deploy(&stage, &json!({ "hostingPlan": "dedicated", "packageUri": address, "packageSha256": hash }))
        .await;
    deployed_answers(&stage);
    let fired = stage.simulator.data().hosts.fire(&stage.site(), TIMER_FUNCTION).await.expect("a host");
    fired.outcome.expect("a good run");
    assert_eq!(rows(&stage), stage.simulator.mimecast().events().len());
    let plan = stage.command("plan", &[]).await.expect(0);
    assert!(plan.stdout.contains("Nothing to do"), "{}", plan.stdout);

    // The other way is refused, on each plan.
    for (plan, wrong, said) in [
        ("dedicated", "onedeploy", "type='' not recognized"),
        ("flex-consumption", "ZipDeploy", "not supported on Flex Consumption"),
    ] {
        let stage = Stage::start().await;
        let (group, mut template) = (scene(&stage), template());
        for resource in template["resources"].as_array_mut().expect("resources") {
            if resource["type"] == "Microsoft.Web/sites/extensions" {
                let name = format!("[concat(variables('functionAppName'), '/{wrong}')]");
                let own = resource["name"] == name;
                resource["condition"] = json!(own);
            }
        }
        let more = json!({ "hostingPlan": plan, "packageUri": "https://example.com/worker.zip" });
        let refused = deploy_with(&stage, &group, &template, parameters(&stage, &more)).await;
        let refused = format!("{:?}", refused.expect_err("the other way"));
        assert!(refused.contains(said), "{refused}");
    }
}

/// The one command that an empty `packageUri` leaves, on a dedicated plan, whose publishing service is
/// another one.
#[tokio::test(flavor = "multi_thread")]
async fn the_one_command_publishes_on_a_dedicated_plan() {
    let stage = Stage::start().await;
    let outputs = deploy(&stage, &json!({ "hostingPlan": "dedicated" })).await;
    let command = outputs["publishCommand"]["value"].as_str().expect("a command").to_owned();
    // As a shell reads it.
    let command = command.replace('\'', "").replace(" --cloud <file with the endpoints>", "");
    let words: Vec<&str> = command.split(' ').collect();
    assert_eq!(words[..2], ["mimecast-sentinel", "upgrade"], "{command}");
    let file = package();
    let mut arguments = words[1..].to_vec();
    let cloud = stage.directory.path().join("cloud.json");
    std::fs::write(&cloud, json!(stage.simulator.cloud_profile()).to_string()).expect("writes");
    arguments.extend(["--yes", "--auth", "environment", "--cloud", cloud.to_str().expect("a path")]);
    arguments.extend(["--package", file.to_str().expect("a path")]);
    let run = stage.run(&arguments).await.expect(0);
    assert!(run.stdout.contains("Published."), "{}", run.stdout);
    let posts: Vec<String> = stage
        .simulator
        .journal()
        .entries()
        .iter()
        .filter(|entry| entry.service == "scm" && entry.method == "POST")
        .map(|entry| entry.path().to_owned())
        .collect();
    assert!(!posts.is_empty() && posts.iter().all(|path| path == "/api/zipdeploy"), "{posts:?}");
    let fired = stage.simulator.data().hosts.fire(&stage.site(), TIMER_FUNCTION).await.expect("a host");
    fired.outcome.expect("a good run");
    assert_eq!(rows(&stage), stage.simulator.mimecast().events().len());
}

/// What `export` writes, deployed where the installation is, changes nothing, and no secret is in it.
#[tokio::test(flavor = "multi_thread")]
async fn an_export_deployed_again_leaves_the_installation_as_it_is() {
    let stage = Stage::start().await;
    let before: BTreeSet<String> = stage.simulator.state().resource_ids().into_iter().collect();
    stage.answers("collect: {every: 10m, work_queue: always}\n");
    stage.command("install", &["--yes", "--no-wait"]).await.expect(0);
    let of_installer = made(&stage, &before);

    let folder = stage.directory.path().join("exported").join("azuredeploy");
    let to = folder.to_str().expect("a path");
    let run = stage.command("export", &["--to", to]).await.expect(0);
    assert!(run.stdout.contains("az deployment group create"), "{}", run.stdout);
    let read = |name: &str| {
        let text = std::fs::read_to_string(folder.join(name)).expect("a file");
        let secret = &stage.simulator.mimecast().settings().client_secret;
        assert!(!text.contains(secret.as_str()), "{name}");
        serde_json::from_str::<Value>(&text).expect("JSON")
    };
    let (template, given) = (read("azuredeploy.json"), read("azuredeploy.parameters.json"));
    read("createUiDefinition.json");
    let given = given["parameters"].as_object().expect("parameters").clone();
    assert!(!given.contains_key("mimecastClientSecret"), "what is left out stays as the vault has it");
    let group = format!("/subscriptions/{}/resourceGroups/{}", stage.simulator.subscription_id(), GROUP);
    deploy_with(&stage, &group, &template, given).await.expect("deploys");
    assert_equal(&[made(&stage, &before), of_installer]);
    let plan = stage.command("plan", &[]).await.expect(0);
    assert!(plan.stdout.contains("Nothing to do"), "{}", plan.stdout);
}

/// Roles that somebody else gives, tables that are there, a vault that was deleted.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_template_leaves_to_others_it_leaves_alone() {
    let stage = Stage::start().await;
    let before: BTreeSet<String> = stage.simulator.state().resource_ids().into_iter().collect();
    deploy(&stage, &json!({})).await;
    let whole = made(&stage, &before);
    let group = format!("/subscriptions/{}/resourceGroups/{}", stage.simulator.subscription_id(), GROUP);
    let state = stage.simulator.state();
    let again =
        |more: Value| deploy_with(&stage, &group, TEMPLATE.get_or_init(template), parameters(&stage, &more));

    // A column of others is lost to the table's body, and kept where the template leaves tables out.
    let table = format!("{}/tables/{AUDIT_TABLE}", stage.simulator.workspace_id());
    let columns = || state.resource(&table).expect("there")["properties"]["schema"]["columns"].to_string();
    assert!(state.edit(&table, |body, _| {
        let columns = body["properties"]["schema"]["columns"].as_array_mut().expect("columns");
        columns.push(json!({ "name": "Theirs_s", "type": "string" }));
    }));
    // A page that is there is not changed by one who has not read it.
    let refused = again(json!({ "createTables": false })).await.expect_err("no etag is given");
    assert!(format!("{refused:?}").contains("etag"), "{refused:?}");
    again(json!({ "createTables": false, "createConnectorPage": false })).await.expect("deploys");
    assert!(columns().contains("Theirs_s"));

    // A vault that was deleted is in the way, and recovered where that is asked for.
    let vault =
        state.resources_of("Microsoft.KeyVault/vaults").remove(0)["id"].as_str().expect("an id").to_owned();
    let within = Within::new(&stage, Timings::default().scaled(0.01)).await;
    let id = ResourceId::parse(&vault).expect("an id");
    within.azure.delete(&id, "2026-02-01").await.expect("deleted");
    let refused = again(json!({ "createTables": false, "createConnectorPage": false }))
        .await
        .expect_err("a deleted vault has the name");
    let refused = format!("{refused:?}");
    assert!(refused.contains("recover"), "{refused}");
    again(json!({ "createTables": false, "createConnectorPage": false, "recoverVault": true }))
        .await
        .expect("recovers it");
    let mut recovered = made(&stage, &before);
    let mut first = whole.clone();
    let is_table = |id: &String| id.contains("/tables/");
    recovered.retain(|id, _| !is_table(id));
    first.retain(|id, _| !is_table(id));
    assert_equal(&[recovered, first]);

    // Without roles everything else is the same, and the installer does not give them either.
    let other = Stage::start().await;
    let before: BTreeSet<String> = other.simulator.state().resource_ids().into_iter().collect();
    deploy(&other, &json!({ "assignRoles": false })).await;
    let mut without = made(&other, &before);
    let is_role = |id: &str| id.starts_with("role ");
    // The person's own was there before.
    assert!(
        without.keys().all(|id| !is_role(id) || id.contains(OWNER.definition_id)),
        "{:#?}",
        without.keys()
    );
    let mut whole = whole;
    whole.retain(|id, _| !is_role(id));
    without.retain(|id, _| !is_role(id));
    // The recorded answers say who gives the roles.
    for each in [&mut without, &mut whole] {
        for body in each.values_mut() {
            if let Some(answers) = body.pointer_mut(super::ANSWERS) {
                let mut read: Value = serde_json::from_str(answers.as_str().expect("text")).expect("JSON");
                read["azure"].as_object_mut().expect("azure").remove("role_assignments");
                *answers = Value::from(read.to_string());
            }
        }
    }
    assert_equal(&[without, whole]);
    deployed_answers(&other);
    let plan = other.command("plan", &["--output", "json"]).await.expect(10).json();
    let roles: Vec<&Value> = plan["plan"]["steps"]
        .as_array()
        .expect("steps")
        .iter()
        .filter(|step| step["key"].as_str().is_some_and(|key| key.starts_with("role/")))
        .collect();
    assert!(roles.len() >= 5 && roles.iter().all(|step| step["action"]["do"] == "await-role"), "{roles:#?}");
}

/// The template, rendered once.
static TEMPLATE: std::sync::OnceLock<Value> = std::sync::OnceLock::new();
