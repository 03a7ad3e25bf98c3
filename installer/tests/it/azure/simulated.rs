//! The same client against the whole simulator, which refuses what Azure refuses: the client's idea
//! of Azure and the simulator's were written apart, and meet here.

use std::time::Duration;

use bytes::Bytes;
use contract::resources::{STORAGE_BLOB_DATA_CONTRIBUTOR, SYNC_QUEUE};
use contract::secret::Secret;
use installer::azure::{
    Access, AuthMethod, Azure, AzureError, Clock, ConnectOptions, Deleted, EnvironmentValues, NameCheck,
    NewVersion, ResourceId, Uploaded, Vault,
};
use serde_json::{Value, json};
use simulator::state::Pace;
use simulator::state::subscription::Registration;
use simulator::{Options, Simulator};
use url::Url;

use super::stand::timings;

const STORAGE: &str = "2023-05-01";
const VAULT: &str = "2026-02-01";
const WEB: &str = "2024-11-01";

struct World {
    simulator: Simulator,
    azure: Azure,
    group: ResourceId,
}

async fn world() -> World {
    let simulator = Simulator::start(Options::default()).await.unwrap();
    simulator.state().set_pace(Pace {
        polls: 2,
        unseen_reads: 2,
        role_spread: Duration::from_secs(600),
        ..Pace::default()
    });
    for namespace in ["Microsoft.ManagedIdentity", "Microsoft.KeyVault", "Microsoft.Web", "Microsoft.Storage"]
    {
        simulator.state().set_registration(simulator.subscription_id(), namespace, Registration::Registered);
    }
    let azure = crate::stage::connect(&simulator).await;
    let person = simulator.person();
    assert_eq!(azure.signed_in().object_id.as_ref(), Some(&person.object_id));
    let group = ResourceId::resource_group(simulator.subscription_id(), "rg-y").unwrap();
    azure.put(&group, "2024-03-01", &json!({"location": "westeurope"})).await.unwrap();
    World { simulator, azure, group }
}

impl World {
    async fn storage_account(&self) -> (ResourceId, Value) {
        let id = self.group.resource("Microsoft.Storage/storageAccounts", "stmimecasttest").unwrap();
        let body = json!({
            "location": "westeurope", "kind": "StorageV2", "sku": {"name": "Standard_LRS"},
            "properties": {
                "allowSharedKeyAccess": false, "allowBlobPublicAccess": false,
                "minimumTlsVersion": "TLS1_2", "supportsHttpsTrafficOnly": true
            }
        });
        let made = self.azure.put(&id, STORAGE, &body).await.unwrap();
        (id, made)
    }
}

// BR-107, BR-125
#[tokio::test]
async fn storage_is_made_without_a_key_and_its_blobs_wait_for_the_role() {
    let world = world().await;
    let azure = &world.azure;
    let free = azure.check_storage_name(world.simulator.subscription_id(), "stmimecasttest").await.unwrap();
    assert_eq!(free, NameCheck::Free);
    let (id, made) = world.storage_account().await;
    assert_eq!(made["properties"]["provisioningState"], "Succeeded");
    let taken = azure.check_storage_name(world.simulator.subscription_id(), "stmimecasttest").await.unwrap();
    assert!(matches!(taken, NameCheck::Refused(_)), "{taken:?}");
    let blobs = id.child("blobServices", "default").unwrap();
    let container = blobs.child("containers", "audit-checkpoints").unwrap();
    azure.put(&container, STORAGE, &json!({"properties": {"publicAccess": "None"}})).await.unwrap();
    let queue = id.child("queueServices", "default").unwrap().child("queues", SYNC_QUEUE).unwrap();
    azure.put(&queue, STORAGE, &json!({"properties": {}})).await.unwrap();
    assert!(azure.get(&queue, STORAGE).await.unwrap().is_some());

    let url: Url = made["properties"]["primaryEndpoints"]["blob"].as_str().unwrap().parse().unwrap();
    let url = url.join("audit-checkpoints").unwrap();
    let upload = |access| azure.upload_if_absent(&url, "checkpoint.txt", Bytes::new(), access);
    let error = upload(Access::Standing).await.unwrap_err();
    assert_eq!(error.code(), Some("AuthorizationPermissionMismatch"), "{error:?}");

    let role = STORAGE_BLOB_DATA_CONTRIBUTOR.definition_id;
    let assignment = id
        .resource("Microsoft.Authorization/roleAssignments", "22222222-2222-2222-2222-222222222222")
        .unwrap();
    let subscription = world.simulator.subscription_id();
    let body = json!({"properties": {
        "roleDefinitionId":
            format!("/subscriptions/{subscription}/providers/Microsoft.Authorization/roleDefinitions/{role}"),
        "principalId": azure.signed_in().object_id,
        "principalType": azure.signed_in().kind.principal_type()
    }});
    azure.put(&assignment, "2022-04-01", &body).await.unwrap();

    // Once two uploads have been refused, the ten minutes are over.
    let refused = || {
        let entries = world.simulator.journal().entries();
        entries.iter().filter(|entry| entry.service == "blob" && entry.status == Some(403)).count()
    };
    let before = refused();
    let spread = async {
        while refused() < before + 2 {
            tokio::task::yield_now().await;
        }
        world.simulator.clock().advance(Duration::from_secs(601));
    };
    let (uploaded, ()) = tokio::join!(upload(Access::JustGranted), spread);
    assert_eq!(uploaded.unwrap(), Uploaded::Written);
    assert_eq!(upload(Access::Standing).await.unwrap(), Uploaded::AlreadyThere);
    assert!(azure.blob_exists(&url, "checkpoint.txt", Access::Standing).await.unwrap());
    assert_eq!(azure.blob_names(&url, "", Access::Standing).await.unwrap(), ["checkpoint.txt"]);
    let content = Bytes::from_static(b"abc");
    for expected in [Uploaded::Written, Uploaded::AlreadyThere] {
        let upload = azure.upload_if_changed(&url, "a/b.zip", content.clone(), Access::Standing).await;
        assert_eq!(upload.unwrap(), expected);
    }
    assert_eq!(azure.download(&url, "a/b.zip", 1024, Access::Standing).await.unwrap(), Some(content));
    assert_eq!(azure.download(&url, "nothing", 1024, Access::Standing).await.unwrap(), None);
    for expected in [Deleted::Removed, Deleted::AlreadyGone] {
        assert_eq!(azure.delete_blob(&url, "a/b.zip", Access::Standing).await.unwrap(), expected);
    }

    for expected in [Deleted::Removed, Deleted::AlreadyGone] {
        assert_eq!(azure.delete(&id, STORAGE).await.unwrap(), expected);
    }
    assert_eq!(azure.get(&id, STORAGE).await.unwrap(), None);
}

#[tokio::test]
async fn a_secret_is_written_by_whoever_may_write_the_vault() {
    let world = world().await;
    let azure = &world.azure;
    let id = world.group.resource("Microsoft.KeyVault/vaults", "kv-mimecast-test").unwrap();
    let body = json!({"location": "westeurope", "properties": {
        "tenantId": world.simulator.person().tenant_id,
        "sku": {"family": "A", "name": "standard"},
        "enableRbacAuthorization": true,
        "accessPolicies": []
    }});
    let made = azure.put(&id, VAULT, &body).await.unwrap();
    let uri = made["properties"]["vaultUri"].as_str().unwrap().parse().unwrap();
    let vault = Vault { id: id.clone(), uri };
    let set = |value: &str| {
        let value = Secret::new(value.to_owned());
        let vault = &vault;
        async move {
            azure
                .set_secret(vault, "mimecast-client-secret", NewVersion::settled(&value), Access::Standing)
                .await
        }
    };
    assert_eq!(azure.secret_version(&vault, "mimecast-client-secret").await.unwrap(), None);
    let first = set("one").await.unwrap();
    let second = set("two").await.unwrap();
    assert_ne!(first.version, second.version);
    let read = azure.secret_version(&vault, "mimecast-client-secret").await.unwrap();
    assert_eq!(read.map(|secret| secret.version), Some(second.version));
    // Owner gives no data right.
    let error =
        azure.secret_value(&vault, "mimecast-client-secret", None, Access::Standing).await.unwrap_err();
    assert_eq!(error.code(), Some("ForbiddenByRbac"), "{error:?}");

    assert_eq!(azure.delete(&id, VAULT).await.unwrap(), Deleted::Removed);
    let error = azure.put(&id, VAULT, &body).await.unwrap_err();
    assert!(error.hint().is_some(), "a deleted vault holds the name: {error:?}");
}

#[tokio::test]
async fn a_flex_site_is_made_and_its_settings_are_replaced_whole() {
    let world = world().await;
    let azure = &world.azure;
    let identity = world.group.resource("Microsoft.ManagedIdentity/userAssignedIdentities", "id-x").unwrap();
    azure.put(&identity, "2023-01-31", &json!({"location": "westeurope"})).await.unwrap();
    let (_, account) = world.storage_account().await;
    let blob = account["properties"]["primaryEndpoints"]["blob"].as_str().unwrap();
    let plan = world.group.resource("Microsoft.Web/serverfarms", "plan-x").unwrap();
    let body = json!({
        "location": "westeurope", "kind": "functionapp",
        "sku": {"name": "FC1", "tier": "FlexConsumption"}, "properties": {"reserved": true}
    });
    azure.put(&plan, WEB, &body).await.unwrap();
    let site = world.group.resource("Microsoft.Web/sites", "func-x-12345678").unwrap();
    let body = json!({
        "location": "westeurope", "kind": "functionapp,linux",
        "identity": {"type": "UserAssigned", "userAssignedIdentities": {identity.path(): {}}},
        "properties": {
            "serverFarmId": plan.path(), "httpsOnly": true,
            "functionAppConfig": {
                "deployment": {"storage": {
                    "type": "blobContainer", "value": format!("{blob}deployments"),
                    "authentication": {
                        "type": "UserAssignedIdentity", "userAssignedIdentityResourceId": identity.path()
                    }
                }},
                "scaleAndConcurrency": {"maximumInstanceCount": 40, "instanceMemoryMB": 512},
                "runtime": {"name": "custom", "version": "1.0"}
            },
            "siteConfig": {"appSettings": [{"name": "MIMECAST_API", "value": "2.0"}]}
        }
    });
    let made = azure.put(&site, WEB, &body).await.unwrap();
    // What `azure_mgmt_web` could neither send nor read.
    assert_eq!(made["properties"]["functionAppConfig"]["runtime"]["name"], "custom");

    let mut settings = azure.app_settings(&site).await.unwrap();
    assert_eq!(settings.get("MIMECAST_API").map(String::as_str), Some("2.0"));
    settings.insert("MY_EXTRA".to_owned(), "1".to_owned());
    settings.remove("MIMECAST_API");
    assert_eq!(azure.set_app_settings(&site, &settings).await.unwrap(), settings);
    assert_eq!(azure.app_settings(&site).await.unwrap(), settings);
    assert!(azure.functions(&site).await.unwrap().is_empty(), "nothing is published yet");
    assert!(!azure.master_key(&site).await.unwrap().expose().is_empty());
    assert_eq!(azure.delete(&site, WEB).await.unwrap(), Deleted::Removed);
    assert_eq!(azure.get(&site, WEB).await.unwrap(), None);
}

// BR-139
#[tokio::test]
async fn who_has_no_right_reads_account_action_scope_and_command() {
    let world = world().await;
    let (stranger, secret) = world.simulator.state().add_application("stranger");
    let person = world.simulator.person();
    let azure = Azure::connect(ConnectOptions {
        auth: AuthMethod::Environment,
        cloud: world.simulator.cloud_profile(),
        tenant: Some(person.tenant_id.clone()),
        environment: EnvironmentValues {
            client_id: Some(stranger.client_id),
            client_secret: Some(secret),
            ..EnvironmentValues::default()
        },
        certificates: Some(world.simulator.ca_file().to_owned()),
        timings: timings(),
        clock: Clock::new({
            let clock = world.simulator.clock().clone();
            move || clock.now()
        }),
        executor: None,
    })
    .await
    .unwrap();
    let plan = world.group.resource("Microsoft.Web/serverfarms", "plan-x").unwrap();
    let error = azure.put(&plan, WEB, &json!({"location": "westeurope"})).await.unwrap_err();
    assert!(matches!(error, AzureError::Refused(_)), "{error:?}");
    let hint = error.hint().unwrap().text;
    for part in [stranger.object_id.as_str(), "Microsoft.Web/serverfarms/write", world.group.path()] {
        assert!(hint.contains(part), "{part} in {hint}");
    }
}
