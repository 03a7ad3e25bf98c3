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
