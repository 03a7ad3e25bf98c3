//! Vaults and their secrets, on both planes.

use std::time::Duration;

use serde_json::{Value, json};
use simulator::state::role::READER;

use crate::support::Arm;

const VERSION: &str = "2026-02-01";
const DATA: &str = "api-version=7.5";

fn vault_id(arm: &Arm) -> String {
    format!("{}/providers/Microsoft.KeyVault/vaults/kv-mimecast", arm.group())
}

fn body(arm: &Arm) -> Value {
    json!({
        "location": "westeurope",
        "properties": {
            "tenantId": arm.simulator.person().tenant_id,
            "sku": {"family": "A", "name": "standard"},
            "enableRbacAuthorization": true,
            "softDeleteRetentionInDays": 7,
        },
    })
}

async fn with_vault() -> (Arm, String) {
    let arm = Arm::start().await;
    arm.make_group().await;
    let made = arm.put(&vault_id(&arm), VERSION, body(&arm)).await.good();
    let uri = made["properties"]["vaultUri"].as_str().unwrap().to_owned();
    (arm, uri)
}

#[tokio::test]
async fn a_secret_written_through_arm_is_never_read_there() {
    let (arm, uri) = with_vault().await;
    let secret = format!("{}/secrets/mimecast-client-secret", vault_id(&arm));
    arm.put(&secret, VERSION, json!({"properties": {}})).await.refused(400, "BadRequest");
    let made = arm.put(&secret, VERSION, json!({"properties": {"value": "canary-one"}})).await.good();
    let read = arm.get(&secret, VERSION).await.good();
    let listed = arm.get(&format!("{}/secrets", vault_id(&arm)), VERSION).await.good();
    for shown in [&made, &read, &listed] {
        assert!(!shown.to_string().contains("canary-one"), "{shown}");
    }
    let versioned = read["properties"]["secretUriWithVersion"].as_str().unwrap();
    assert!(versioned.starts_with(&format!("{uri}secrets/mimecast-client-secret/")), "{versioned}");
    let again = arm.put(&secret, VERSION, json!({"properties": {"value": "canary-two"}})).await.good();
    assert_ne!(again["properties"]["secretUriWithVersion"], read["properties"]["secretUriWithVersion"]);
    let versions = arm.simulator.state().secret_versions(&vault_id(&arm), "mimecast-client-secret");
    let values: Vec<&str> = versions.iter().map(|each| each.value.expose().as_str()).collect();
    assert_eq!(values, ["canary-one", "canary-two"]);
}

#[tokio::test]
async fn the_data_plane_wants_a_token_of_its_own_and_a_data_role() {
    let (arm, uri) = with_vault().await;
    let url = format!("{uri}secrets/one?{DATA}");
    let asked = arm.data("GET", &url, "", None).await;
    assert_eq!(asked.status, 401);
    let challenge = asked.headers["www-authenticate"].to_str().unwrap();
    let tenant = &arm.simulator.person().tenant_id;
    assert!(
        challenge.contains(tenant) && challenge.contains("resource=\"https://vault.azure.net\""),
        "{challenge}"
    );
    let wrong = arm.token_for("https://management.azure.com/.default").await;
    assert_eq!(arm.data("GET", &url, &wrong, None).await.status, 401);

    // Owner of the subscription, and still no right on secrets.
    let token = arm.token_for("https://vault.azure.net/.default").await;
    let refusal = arm.data("PUT", &url, &token, Some(json!({"value": "canary"}))).await;
    refusal.refused(403, "Forbidden");
    assert_eq!(refusal.body["error"]["innererror"]["code"], "ForbiddenByRbac");
    let person = arm.simulator.person().object_id.clone();
    arm.simulator.state().give_role(&person, &vault_id(&arm), contract::resources::KEY_VAULT_SECRETS_USER);
    arm.data("GET", &url, &token, None).await.refused(404, "SecretNotFound");
    arm.data("PUT", &url, &token, Some(json!({"value": "canary"}))).await.refused(403, "Forbidden");
    arm.simulator.state().give_role(&person, &vault_id(&arm), contract::resources::KEY_VAULT_SECRETS_OFFICER);
    let special = "quote\" dollar$ backtick` percent% hash# colon: ü 😀";
    // BR-162
    arm.data("PUT", &url, &token, Some(json!({"value": special}))).await.good();
    assert_eq!(arm.data("GET", &url, &token, None).await.good()["value"], special);
    let in_arm = arm.get(&format!("{}/secrets/one", vault_id(&arm)), VERSION).await.good();
    assert_eq!(in_arm["properties"]["secretUri"], format!("{uri}secrets/one"));
}

#[tokio::test]
async fn a_deleted_secret_holds_its_name_until_it_is_recovered() {
    let (arm, uri) = with_vault().await;
    let person = arm.simulator.person().object_id.clone();
    arm.simulator.state().give_role(&person, &vault_id(&arm), contract::resources::KEY_VAULT_SECRETS_OFFICER);
    let token = arm.token_for("https://vault.azure.net/.default").await;
    let url = format!("{uri}secrets/one?{DATA}");
    arm.data("PUT", &url, &token, Some(json!({"value": "canary"}))).await.good();
    let deleted = arm.data("DELETE", &url, &token, None).await.good();
    assert_eq!(deleted["recoveryId"], format!("{uri}deletedsecrets/one"));
    arm.data("GET", &url, &token, None).await.refused(404, "SecretNotFound");
    arm.get(&format!("{}/secrets/one", vault_id(&arm)), VERSION).await.refused(404, "NotFound");
    let again = arm.data("PUT", &url, &token, Some(json!({"value": "canary"}))).await;
    again.refused(409, "Conflict");
    assert_eq!(again.body["error"]["innererror"]["code"], "ObjectIsDeletedButRecoverable");
    let through_arm = format!("{}/secrets/one", vault_id(&arm));
    let value = json!({"properties": {"value": "canary"}});
    arm.put(&through_arm, VERSION, value).await.refused(409, "ObjectIsDeletedButRecoverable");
    let recover = format!("{uri}deletedsecrets/one/recover?{DATA}");
    arm.data("POST", &recover, &token, None).await.good();
    assert_eq!(arm.data("GET", &url, &token, None).await.good()["value"], "canary");
}

#[tokio::test]
async fn a_deleted_vault_is_recovered_with_its_secrets_and_without_its_roles() {
    let (arm, uri) = with_vault().await;
    let id = vault_id(&arm);
    let secret = format!("{id}/secrets/one");
    arm.put(&secret, VERSION, json!({"properties": {"value": "canary"}})).await.good();
    let person = arm.simulator.person().object_id.clone();
    let role = arm.simulator.state().give_role(&person, &id, READER);
    assert_eq!(arm.delete(&id, VERSION).await.status, 200);
    arm.get(&role, "2022-04-01").await.refused(404, "NotFound");

    let subscription = format!("/subscriptions/{}", arm.simulator.subscription_id());
    let provider = format!("{subscription}/providers/Microsoft.KeyVault");
    let ask = json!({"name": "kv-mimecast", "type": "Microsoft.KeyVault/vaults"});
    let free = arm.post(&format!("{provider}/checkNameAvailability"), VERSION, ask).await.good();
    assert_eq!(free["nameAvailable"], false);
    let listed = arm.get(&format!("{provider}/deletedVaults"), VERSION).await.good();
    assert_eq!(listed["value"][0]["properties"]["vaultId"], id);
    arm.put(&id, VERSION, body(&arm)).await.refused(409, "ConflictError");

    let mut recover = body(&arm);
    recover["properties"]["createMode"] = json!("recover");
    let back = arm.put(&id, VERSION, recover).await.good();
    assert_eq!((&back["properties"]["vaultUri"], back["properties"].get("createMode")), (&json!(uri), None));
    arm.get(&secret, VERSION).await.good();
    assert_eq!(arm.simulator.state().secret_versions(&id, "one").len(), 1);
}

#[tokio::test]
async fn a_deleted_vault_is_purged_by_hand_or_by_time_unless_protected() {
    let (arm, _) = with_vault().await;
    let id = vault_id(&arm);
    let subscription = format!("/subscriptions/{}", arm.simulator.subscription_id());
    let deleted =
        format!("{subscription}/providers/Microsoft.KeyVault/locations/westeurope/deletedVaults/kv-mimecast");
    arm.delete(&id, VERSION).await.good();
    assert_eq!(arm.post(&format!("{deleted}/purge"), VERSION, json!({})).await.status, 202);
    arm.get(&deleted, VERSION).await.refused(404, "DeletedVaultNotFound");

    let mut protected = body(&arm);
    protected["properties"]["enablePurgeProtection"] = json!(true);
    arm.put(&id, VERSION, protected).await.good();
    arm.delete(&id, VERSION).await.good();
    arm.post(&format!("{deleted}/purge"), VERSION, json!({})).await.refused(409, "DeletedVaultPurge");
    arm.simulator.clock().advance(Duration::from_secs(7 * 24 * 3600 - 60));
    // The token of the start is long expired by then.
    let token = arm.token_for("https://management.azure.com/.default").await;
    let root = arm.simulator.state().endpoints().resource_manager.clone();
    let url = format!("{root}{}?api-version={VERSION}", deleted.trim_start_matches('/'));
    arm.data("GET", &url, &token, None).await.good();
    arm.simulator.clock().advance(Duration::from_secs(60));
    arm.data("GET", &url, &token, None).await.refused(404, "DeletedVaultNotFound");
}

#[tokio::test]
async fn a_vault_is_refused_for_what_azure_refuses() {
    let (arm, _) = with_vault().await;
    let id = vault_id(&arm);
    for (name, value) in [
        ("enablePurgeProtection", json!(false)),
        ("softDeleteRetentionInDays", json!(8)),
        ("softDeleteRetentionInDays", json!(91)),
        ("enableSoftDelete", json!(false)),
        ("tenantId", json!("00000000-0000-0000-0000-000000000009")),
        ("sku", json!({"family": "A", "name": "golden"})),
    ] {
        let mut changed = body(&arm);
        changed["properties"][name] = value;
        arm.put(&id, VERSION, changed).await.refused(400, "BadRequest");
    }
    arm.simulator.state().take_name("kv-of-others");
    arm.put(&id.replace("kv-mimecast", "kv-of-others"), VERSION, body(&arm))
        .await
        .refused(409, "VaultAlreadyExists");
    arm.put(&id.replace("kv-mimecast", "kv--two"), VERSION, body(&arm))
        .await
        .refused(400, "VaultNameNotValid");
}
