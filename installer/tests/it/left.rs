//! What a teardown leaves is named: what a deletion did not reach, what stays for others' sake, and what
//! could not be looked for.

use installer::azure::ResourceId;
use serde_json::{Value, json};
use simulator::fault::{Fault, Matcher};

use crate::stage::{Stage, connect, kinds};

/// Everything in the workspace that bears a mark of ours, or our line in it.
fn content(stage: &Stage) -> Vec<String> {
    let state = stage.simulator.state();
    let of_kind = |kind: &&str| state.resources_of(kind);
    let kinds = [
        "Microsoft.OperationalInsights/workspaces/savedSearches",
        "Microsoft.SecurityInsights/alertRules",
        "Microsoft.SecurityInsights/dataConnectorDefinitions",
    ];
    let ours = |resource: &Value| {
        let text = resource.to_string();
        text.contains("[mimecast-sentinel:") || text.contains("MimecastAudit")
    };
    let all = kinds.iter().flat_map(of_kind).filter(ours);
    all.map(|resource| resource["id"].as_str().expect("an id").to_owned()).collect()
}

fn ids(list: &Value) -> Vec<String> {
    list.as_array().expect("a list").iter().map(|id| id.as_str().expect("an id").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_deletion_did_not_reach_is_named_and_goes_at_the_next_attempt() {
    let stage = Stage::start().await;
    stage.command("install", &["--yes", "--no-wait"]).await.expect(0);
    // Said to be done, and not done.
    for target in ["/alertrules/", "/savedsearches/"] {
        stage.simulator.faults().add(Fault::answer(Matcher::new("arm", "DELETE", target), 200, ""));
    }
    let run = stage.command("teardown", &["--yes", "--output", "json"]).await.expect(3);
    let report = run.json();
    let left = ids(&report["left"]);
    for kind in ["/alertRules/", "/savedSearches/"] {
        let named: Vec<&String> = left.iter().filter(|id| id.contains(kind)).collect();
        assert_eq!(named.len(), 1, "{kind} in {left:?}");
        let items = report["items"].as_array().expect("items");
        let item = items.iter().find(|item| item["id"] == named[0].as_str()).expect("an item");
        assert_eq!(item["state"], "there", "{item}");
    }
    assert_eq!((left.len(), content(&stage).len()), (2, 2));

    // Nothing of the installation's own says any more where it was; the answers do.
    stage.command("teardown", &["--yes"]).await.expect(0);
    assert_eq!(content(&stage), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn content_goes_also_where_somebody_deleted_the_group_first() {
    let stage = Stage::start().await;
    stage.command("install", &["--yes", "--no-wait"]).await.expect(0);
    let made = content(&stage).len();
    assert!(made > 40, "{made}");
    let azure = connect(&stage.simulator).await;
    let subscription = stage.simulator.subscription_id().to_owned();
    let group = ResourceId::resource_group(&subscription, "rg-mimecast-audit").unwrap();
    azure.delete(&group, "2024-03-01").await.unwrap();

    // Without any workspace it is said that nobody looked, and how to name one.
    let selectors =
        ["teardown", "--yes", "--subscription", &subscription, "--resource-group", "rg-mimecast-audit"];
    let blind = stage.run(&selectors).await.expect(0);
    for part in ["which workspace the rows went to is not known any more", "--answers FILE"] {
        assert!(blind.stdout.contains(part), "{part} in {}", blind.stdout);
    }
    assert_eq!(content(&stage).len(), made);

    let run = stage.command("teardown", &["--yes"]).await.expect(0);
    assert!(run.stdout.contains("- analytics rule `Mimecast - password spray`"), "{}", run.stdout);
    assert_eq!(content(&stage), [""; 0]);
    let again = stage.command("teardown", &["--yes"]).await.expect(0);
    assert!(again.stdout.contains("Nothing to do"), "{}", again.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn content_goes_also_where_app_and_rule_were_deleted_first_and_the_workspace_is_named_by_its_own_id() {
    let stage = Stage::start().await;
    stage.command("install", &["--yes", "--no-wait"]).await.expect(0);
    let azure = connect(&stage.simulator).await;
    for (kind, version) in
        [("Microsoft.Web/sites", "2024-11-01"), ("Microsoft.Insights/dataCollectionRules", "2023-03-11")]
    {
        azure.delete(&ResourceId::parse(&stage.one_of(kind)).unwrap(), version).await.unwrap();
    }
    let workspace = stage.simulator.state().resource(stage.simulator.workspace_id()).expect("there");
    let customer_id = workspace["properties"]["customerId"].as_str().expect("an id");
    let resource_id = format!("resource_id: {}", stage.simulator.workspace_id());
    stage.reword_answers(&resource_id, &format!("workspace_id: {customer_id}"));
    stage.command("teardown", &["--yes"]).await.expect(0);
    assert_eq!((content(&stage), kinds(&stage.installed())), (Vec::new(), Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_others_use_stays_and_is_named() {
    let stage = Stage::start().await;
    stage.command("install", &["--yes", "--no-wait"]).await.expect(0);
    let azure = connect(&stage.simulator).await;
    let group = ResourceId::resource_group(stage.simulator.subscription_id(), "rg-mimecast-audit").unwrap();
    let theirs = group.resource("Microsoft.ManagedIdentity/userAssignedIdentities", "id-theirs").unwrap();
    azure.put(&theirs, "2023-01-31", &json!({ "location": "westeurope" })).await.unwrap();

    let run = stage.command("teardown", &["--yes", "--output", "json"]).await.expect(0);
    let report = run.json();
    assert_eq!(ids(&report["left"]), [group.path()]);
    let items = report["items"].as_array().expect("items");
    let item = items.iter().find(|item| item["id"] == group.path()).expect("an item");
    assert_eq!(item["state"], "kept");
    let again = stage.command("teardown", &["--yes"]).await.expect(0);
    let said = "resource group `rg-mimecast-audit` stays, since others have resources in it";
    assert!(again.stdout.contains(said), "{}", again.stdout);
    assert!(stage.simulator.state().resource(theirs.path()).is_some());
    azure.delete(&theirs, "2023-01-31").await.unwrap();
    stage.command("teardown", &["--yes"]).await.expect(0);
    assert_eq!(stage.simulator.state().resource(group.path()), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_lags_behind_is_not_believed() {
    let stage = Stage::start().await;
    stage.command("install", &["--yes", "--no-wait"]).await.expect(0);
    let listed: Vec<Value> = stage
        .installed()
        .into_iter()
        .filter(|each| each["type"] != "Microsoft.Resources/resourceGroups")
        .collect();
    assert!(listed.len() > 5);
    // The first look lists twice; the look at the group and the last look then see everything still there.
    let late = Matcher::new("arm", "GET", "/resourcegroups/rg-mimecast-audit/resources?");
    let body = json!({ "value": listed }).to_string();
    stage.simulator.faults().add(Fault::answer(late, 200, &body).skip(2).times(3));
    let run = stage.command("teardown", &["--yes", "--output", "json"]).await.expect(0);
    assert_eq!(run.json()["left"], json!([]));
    assert_eq!(kinds(&stage.installed()), [""; 0]);
    assert_eq!(stage.simulator.faults().left(), 0);
}
