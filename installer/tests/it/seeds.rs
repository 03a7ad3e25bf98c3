//! More faults in what surrounds an installation, one at a time, as in `faults.rs`: sign-in, both generations of
//! Mimecast's API, deleted vaults, quota, tables, and what others have there already.

use std::time::Duration;

use installer::azure::ResourceId;
use serde_json::{Value, json};
use simulator::state::subscription::Registration;

use crate::faults::{failed, failed_with, names};
use crate::stage::{Stage, connect};

/// How far a clock is off that no signed call gets past.
const WRONG_BY: Duration = Duration::from_secs(20 * 60);

#[tokio::test(flavor = "multi_thread")]
async fn whoever_cannot_sign_in_learns_it_before_anything_else() {
    // BR-137, BR-165
    let mut stage = Stage::start().await;
    let whole = stage.environment.clone();
    for (changes, expected) in [
        // A secret that is wrong, or has ended.
        (&[("AZURE_CLIENT_SECRET", Some("canary-wrong-value"))][..], "sign-in"),
        // An application that is not of this tenant.
        (&[("AZURE_CLIENT_ID", Some("00000000-0000-4000-8000-000000000009"))], "sign-in"),
        // Nobody is signed in: no variables, and neither `az` nor `azd` on the path.
        (&[("AZURE_CLIENT_ID", None), ("AZURE_CLIENT_SECRET", None)], "sign-in"),
    ] {
        stage.environment.clone_from(&whole);
        for (name, value) in changes {
            match value {
                Some(value) => stage.environment.insert((*name).to_owned(), (*value).to_owned()),
                None => stage.environment.remove(*name),
            };
        }
        assert_eq!(failed(&stage).await, [expected], "{changes:?}");
    }
    stage.environment.clone_from(&whole);
    // A tenant that is not there.
    let tenant = "00000000-0000-4000-8000-00000000000a";
    assert_eq!(failed_with(&stage, &["--tenant", tenant]).await, ["sign-in"]);
    // A subscription that is disabled can only be read.
    stage.simulator.state().set_subscription_state(stage.simulator.subscription_id(), "Disabled");
    assert_eq!(failed(&stage).await, ["subscription-state"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_older_api_refuses_is_told_apart() {
    let mut stage = Stage::start().await;
    stage.speak_one();
    assert_eq!(failed(&stage).await, [""; 0]);
    type Seed = fn(&mut simulator::mimecast::Settings);
    let good = stage.simulator.mimecast().settings();
    let seeds: [(Seed, &str); 6] = [
        (|settings| settings.app_id = "another".to_owned(), "mimecast-credentials"),
        (|settings| settings.app_key = "another".to_owned(), "mimecast-credentials"),
        (|settings| settings.access_key = "another".to_owned(), "mimecast-credentials"),
        (|settings| settings.secret_key = "YW5vdGhlcg==".to_owned(), "mimecast-credentials"),
        (|settings| settings.role = false, "mimecast-role"),
        (|settings| settings.other_region = Some("https://de-api.example.com".to_owned()), "mimecast-region"),
    ];
    for (seed, expected) in seeds {
        stage.simulator.mimecast().configure(seed);
        assert_eq!(failed(&stage).await, [expected]);
        stage.simulator.mimecast().configure(|settings| *settings = good.clone());
    }
    // A key that was copied in part is no base64 any more.
    stage.environment.insert("MIMECAST_SECRET_KEY".to_owned(), "not base64!".to_owned());
    assert_eq!(failed(&stage).await, ["mimecast-secret-key"]);
    stage.environment.insert("MIMECAST_SECRET_KEY".to_owned(), good.secret_key);
    // This machine's clock is behind. (Ahead of it the simulated roles would not have been given yet.)
    let clock = stage.simulator.clock();
    clock.advance(WRONG_BY);
    assert_eq!(failed(&stage).await, ["clock"]);
    clock.set_back(WRONG_BY);
    stage.simulator.mimecast().expire_binding();
    assert_eq!(failed(&stage).await, ["mimecast-binding"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_not_mimecasts_is_found() {
    let stage = Stage::start().await;
    let mimecast = stage.simulator.state().endpoints().mimecast.to_string();
    let mimecast = mimecast.trim_end_matches('/');
    // Nobody listens there; somebody else does.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let other = stage.simulator.state().endpoints().log_query.to_string();
    for (host, expected) in [
        (format!("https://{closed}"), "mimecast-host"),
        (other.trim_end_matches('/').to_owned(), "mimecast-answer"),
    ] {
        stage.answers("");
        stage.reword_answers(mimecast, &host);
        assert_eq!(failed(&stage).await, [expected], "{host}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_vault_that_holds_the_name_is_found_with_what_it_is() {
    // BR-117, BR-119
    let stage = Stage::start().await;
    let azure = connect(&stage.simulator).await;
    let vault = names(&stage).await.remove(2);
    let subscription = stage.simulator.subscription_id().to_owned();
    let state = stage.simulator.state();
    state.set_registration(&subscription, "Microsoft.KeyVault", Registration::Registered);
    let leave = async |group: &str, location: &str, properties: Value, tags: Value| {
        let base = json!({
            "tenantId": stage.simulator.person().tenant_id,
            "sku": {"family": "A", "name": "standard"},
            "enableRbacAuthorization": true,
        });
        let mut body = json!({ "location": location, "tags": tags, "properties": base });
        for (name, value) in properties.as_object().unwrap() {
            body["properties"][name] = value.clone();
        }
        let group_id =
            ResourceId::parse(&format!("/subscriptions/{subscription}/resourceGroups/{group}")).unwrap();
        if azure.get(&group_id, "2024-03-01").await.unwrap().is_none() {
            azure.put(&group_id, "2024-03-01", &json!({ "location": location })).await.unwrap();
        }
        let id = format!("{}/providers/Microsoft.KeyVault/vaults/{vault}", group_id.path());
        let id = ResourceId::parse(&id).unwrap();
        azure.put(&id, "2026-02-01", &body).await.unwrap();
        azure.delete(&id, "2026-02-01").await.unwrap();
    };
    let purge = async |location: &str| {
        let at = format!(
            "/subscriptions/{subscription}/providers/Microsoft.KeyVault/locations/{location}/deletedVaults/{vault}"
        );
        azure.post(&ResourceId::parse(&at).unwrap(), "purge", "2026-02-01", &Value::Null).await.unwrap();
    };
    // Somebody else's, of the same group's neighbour.
    leave("rg-security", "westeurope", json!({}), json!({})).await;
    assert_eq!(failed(&stage).await, ["deleted-vault"]);
    purge("westeurope").await;
    // In another region, where it is not seen but in the list.
    leave("rg-security", "northeurope", json!({}), json!({})).await;
    assert_eq!(failed(&stage).await, ["vault-deleted-elsewhere"]);
    purge("northeurope").await;
    // Our own: recovered, unless it shall be purged and nobody can.
    let ours = json!({"mimecast-sentinel-installation": "mimecast-audit"});
    leave("rg-mimecast-audit", "westeurope", json!({"enablePurgeProtection": true}), ours).await;
    assert_eq!(failed(&stage).await, [""; 0]);
    stage.answers("vault: {on_deleted: purge}\n");
    assert_eq!(failed(&stage).await, ["vault-protected"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_full_taken_or_turned_off_is_found() {
    // BR-067: without quota for either plan.
    let stage = Stage::start().await;
    stage.simulator.state().remove_quota("westeurope");
    for plan in ["flex-consumption", "dedicated"] {
        stage.answers(&format!("hosting: {{plan: {plan}}}\n"));
        assert_eq!(failed(&stage).await, ["quota"], "{plan}");
    }

    let stage = Stage::start().await;
    let azure = connect(&stage.simulator).await;
    let workspace = stage.simulator.workspace_id();
    // A group that is not to be made.
    stage.reword_answers("tags: {owner: secops}", "create_resource_group: false");
    assert!(failed(&stage).await.contains(&"resource-group".to_owned()));
    stage.answers("");
    // A table of ours whose column has another type, and one of the old connector.
    let table = ResourceId::parse(&format!("{workspace}/tables/MimecastAudit_CL")).unwrap();
    let columns = json!([
        {"name": "TimeGenerated", "type": "dateTime"},
        {"name": "user_s", "type": "int"},
    ]);
    let body = json!({ "properties": { "schema": { "name": "MimecastAudit_CL", "columns": columns } } });
    azure.put(&table, "2025-07-01", &body).await.unwrap();
    assert_eq!(failed(&stage).await, ["column-type"]);
    stage.simulator.state().edit(table.path(), |body, _| {
        body["properties"]["schema"]["tableSubType"] = json!("Classic");
        body["properties"]["schema"]["columns"] = json!([{"name": "TimeGenerated", "type": "dateTime"}]);
    });
    assert_eq!(failed(&stage).await, ["classic-table"]);
    azure.delete(&table, "2025-07-01").await.unwrap();
    // Sentinel that is not turned on.
    let state = format!("{workspace}/providers/Microsoft.SecurityInsights/onboardingStates/default");
    azure.delete(&ResourceId::parse(&state).unwrap(), "2025-09-01").await.unwrap();
    assert_eq!(failed(&stage).await, ["no-sentinel"]);
    stage.answers("content: {rules: off, connector_page: false}\n");
    assert_eq!(failed(&stage).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_have_there_already_is_found() {
    let stage = Stage::start().await;
    let azure = connect(&stage.simulator).await;
    let names = names(&stage).await;
    let state = stage.simulator.state();
    let subscription = stage.simulator.subscription_id();
    state.set_registration(subscription, "Microsoft.ManagedIdentity", Registration::Registered);
    let group =
        format!("/subscriptions/{}/resourceGroups/rg-mimecast-audit", stage.simulator.subscription_id());
    let group_id = ResourceId::parse(&group).unwrap();
    azure.put(&group_id, "2024-03-01", &json!({"location": "westeurope"})).await.unwrap();
    // Somebody else's things under our names.
    let storage = format!("{group}/providers/Microsoft.Storage/storageAccounts/{}", names[0]);
    let storage = ResourceId::parse(&storage).unwrap();
    let body =
        json!({"location": "westeurope", "kind": "StorageV2", "sku": {"name": "Standard_LRS"}, "tags": {}});
    azure.put(&storage, "2023-05-01", &body).await.unwrap();
    assert_eq!(failed(&stage).await, ["stranger"]);
    azure.delete(&storage, "2023-05-01").await.unwrap();
    let identity = json!({"location": "westeurope"});
    let plan = stage.command("plan", &["--output", "json"]).await.expect(10).json();
    let id = plan["plan"]["steps"]
        .as_array()
        .expect("steps")
        .iter()
        .filter_map(|step| step["action"]["id"].as_str())
        .find(|id| id.contains("/userAssignedIdentities/"))
        .expect("an identity")
        .to_owned();
    let id = ResourceId::parse(&id).unwrap();
    azure.put(&id, "2023-01-31", &identity).await.unwrap();
    assert_eq!(failed(&stage).await, ["stranger"]);
    azure.delete(&id, "2023-01-31").await.unwrap();

    // The same Mimecast account, fed into the same table by another installation.
    stage.command("install", &["--yes", "--wait", "60s"]).await.expect(0);
    let second = ["--name", "second", "--resource-group", "rg-second"];
    assert_eq!(failed_with(&stage, &second).await, ["same-account"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_registration_that_cannot_deliver_is_found() {
    // BR-033, BR-165
    let mut stage = Stage::start().await;
    let (principal, secret) = stage.simulator.state().add_application("delivers");
    let tenant = stage.simulator.person().tenant_id.clone();
    stage.answers(&format!(
        "delivery: {{app_registration: {{client_id: {{env: APP_ID}}, client_secret: {{env: APP_SECRET}}, tenant_id: {tenant}}}}}\n"
    ));
    stage.environment.insert("APP_ID".to_owned(), principal.client_id.clone());
    stage.environment.insert("APP_SECRET".to_owned(), secret.expose().clone());
    assert_eq!(failed(&stage).await, [""; 0]);
    // Its id in place of its secret, as people copy it.
    stage.environment.insert("APP_SECRET".to_owned(), principal.object_id);
    assert_eq!(failed(&stage).await, ["delivery"]);
}
