//! Others at work in the same place: an older connector in the group, another installation on the table.

use installer::azure::ResourceId;
use installer::plan::template::api_version;
use serde_json::{Value, json};
use simulator::state::subscription::Registration;
use std::time::Duration;

use crate::stage::{Stage, connect};

/// The check of this id in what `doctor` gives as JSON.
fn check(document: &Value, id: &str) -> Value {
    let checks = document["checks"].as_array().expect("checks");
    checks.iter().find(|check| check["id"] == id).unwrap_or_else(|| panic!("no {id} in {document:#}")).clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_connector_in_the_group_is_named_with_the_steps_that_take_over_its_place() {
    let stage = Stage::start().await;
    let subscription = stage.simulator.subscription_id();
    stage.simulator.state().set_registration(subscription, "Microsoft.Web", Registration::Registered);
    let azure = connect(&stage.simulator).await;
    let group =
        format!("/subscriptions/{}/resourceGroups/rg-mimecast-audit", stage.simulator.subscription_id());
    let put = async |path: &str, kind: &str, body: Value| {
        let id = ResourceId::parse(&format!("{group}{path}")).expect("an id");
        azure.put(&id, api_version(kind).expect("pinned"), &body).await.expect("put");
    };
    put("", "Microsoft.Resources/resourceGroups", json!({ "location": "westeurope" })).await;
    let plan = "/providers/Microsoft.Web/serverfarms/plan-old";
    let sku = json!({ "name": "B1", "tier": "Basic" });
    let body =
        json!({ "location": "westeurope", "kind": "linux", "sku": sku, "properties": { "reserved": true } });
    put(plan, "Microsoft.Web/serverfarms", body).await;
    for name in ["MimecastAuditOld", "reports"] {
        let body = json!({
            "location": "westeurope",
            "kind": "functionapp,linux",
            "properties": { "serverFarmId": format!("{group}{plan}") },
        });
        put(&format!("/providers/Microsoft.Web/sites/{name}"), "Microsoft.Web/sites", body).await;
    }
    let document = stage.command("doctor", &["--pre", "--output", "json"]).await.expect(0).json();
    let old = check(&document, "old-connector");
    assert_eq!(old["state"], "warning");
    let text = old.to_string();
    assert!(text.contains("MimecastAuditOld") && !text.contains("reports"), "{text}");
    for step in
        ["az functionapp stop --name MimecastAuditOld", "checkpoint.txt", "audit-checkpoints", "resume"]
    {
        assert!(text.contains(step), "{step} in {text}");
    }
    // The plan says so too, before anybody agrees to it.
    let plan = stage.command("plan", &[]).await.expect(10);
    assert!(plan.stdout.contains("MimecastAuditOld"), "{}", plan.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_installation_on_one_table_is_told_of_the_first() {
    let stage = Stage::start().await;
    stage.command("install", &["--yes", "--wait", "60s"]).await.expect(0);
    let second = [
        "--pre",
        "--output",
        "json",
        "--set",
        "name=mimecast-second",
        "--set",
        "azure.resource_group=rg-second",
    ];
    // The account's newest event is in the table: it would be stored twice.
    let document = stage.command("doctor", &second).await.expect(1).json();
    let same = check(&document, "same-account");
    assert_eq!(same["state"], "failed");
    let remedy = same["remedy"].as_str().expect("a remedy");
    assert!(remedy.contains("teardown --name mimecast-audit --resource-group rg-mimecast-audit"), "{remedy}");
    // Of another account nothing is there, as while rows are on their way: a word, and no more.
    stage.simulator.data().rows.set_latency(Duration::from_secs(3_600));
    let document = stage.command("doctor", &second).await.expect(0).json();
    let other = check(&document, "other-installation");
    assert_eq!(other["state"], "warning");
    assert!(other["result"].as_str().is_some_and(|text| text.contains("`mimecast-audit`")), "{other}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_connector_of_any_name_is_known_by_the_place_that_it_keeps_also_when_there_is_nothing_to_do()
{
    let stage = Stage::start().await;
    stage.command("install", &["--yes", "--wait", "60s"]).await.expect(0);
    let azure = connect(&stage.simulator).await;
    let group =
        format!("/subscriptions/{}/resourceGroups/rg-mimecast-audit", stage.simulator.subscription_id());
    let put = async |path: &str, kind: &str, body: Value| {
        let id = ResourceId::parse(&format!("{group}{path}")).expect("an id");
        azure.put(&id, api_version(kind).expect("pinned"), &body).await.expect("put");
    };
    let account = "/providers/Microsoft.Storage/storageAccounts/staudit7f3";
    let body = json!({ "location": "westeurope", "kind": "StorageV2", "sku": { "name": "Standard_LRS" } });
    put(account, "Microsoft.Storage/storageAccounts", body).await;
    let plan = "/providers/Microsoft.Web/serverfarms/plan-old";
    let body = json!({
        "location": "westeurope", "kind": "linux", "sku": { "name": "B1", "tier": "Basic" },
        "properties": { "reserved": true },
    });
    put(plan, "Microsoft.Web/serverfarms", body).await;
    let body = json!({
        "location": "westeurope", "kind": "functionapp,linux",
        "properties": { "serverFarmId": format!("{group}{plan}") },
    });
    put("/providers/Microsoft.Web/sites/audit7f3", "Microsoft.Web/sites", body).await;
    // Somebody's app and storage account, and nothing that tells of an older connector.
    let document = stage.command("plan", &["--output", "json"]).await.expect(0).json();
    assert!(
        document["checks"].as_array().expect("checks").iter().all(|check| check["id"] != "old-connector")
    );

    let containers = "Microsoft.Storage/storageAccounts/blobServices/containers";
    put(&format!("{account}/blobServices/default/containers/audit-checkpoints"), containers, json!({})).await;
    let mark = stage.simulator.journal().len();
    for command in ["plan", "doctor"] {
        let document = stage.command(command, &["--output", "json"]).await.expect(0).json();
        let old = check(&document, "old-connector");
        let text = old.to_string();
        for part in ["staudit7f3", "az functionapp stop --name audit7f3 ", "copy its `checkpoint.txt`"] {
            assert!(text.contains(part), "{command}: {part} in {text}");
        }
    }
    // The settings of an app that is not ours are not asked for.
    let asked = stage.simulator.journal().since(mark);
    assert!(asked.iter().all(|entry| !entry.path().contains("audit7f3/config")), "settings were read");

    let id =
        ResourceId::parse(&format!("{group}{account}/blobServices/default/containers/audit-checkpoints"));
    azure.delete(&id.expect("an id"), api_version(containers).expect("pinned")).await.expect("deleted");
    let shares = "Microsoft.Storage/storageAccounts/fileServices/shares";
    put(&format!("{account}/fileServices/default/shares/mimecast-checkpoints"), shares, json!({})).await;
    let document = stage.command("doctor", &["--output", "json"]).await.expect(0).json();
    let text = check(&document, "old-connector").to_string();
    assert!(text.contains("`start_time`") && !text.contains("copy its"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_may_come_again_beside_another_on_the_same_table() {
    let stage = Stage::start().await;
    stage.command("install", &["--yes", "--wait", "60s"]).await.expect(0);
    let rows = &stage.simulator.data().rows;
    // The other one begins while nobody can see whose account it is.
    rows.set_latency(Duration::from_secs(3_600));
    let second = ["--set", "name=mimecast-second", "--set", "azure.resource_group=rg-second"];
    let arguments: Vec<&str> = ["--yes", "--no-wait"].into_iter().chain(second).collect();
    stage.command("install", &arguments).await.expect(0);
    rows.set_latency(Duration::ZERO);
    stage.command("teardown", &["--yes"]).await.expect(0);
    // Our own events are in the table: that is no proof against the other.
    let document = stage.command("doctor", &["--pre", "--output", "json"]).await.expect(0).json();
    assert_eq!(check(&document, "other-installation")["state"], "warning");
}
