//! Plans and sites: the shape of Flex Consumption, settings, references, keys.

use contract::resources::KEY_VAULT_SECRETS_USER;
use serde_json::{Value, json};
use simulator::state::Pace;
use simulator::state::role::WEBSITE_CONTRIBUTOR;

use crate::support::Arm;

const VERSION: &str = "2024-11-01";

/// What a site needs, all made: group, identity, storage account, plan.
struct Scene {
    arm: Arm,
    identity: String,
    plan: String,
    site: String,
}

impl Scene {
    async fn make() -> Self {
        let arm = Arm::start().await;
        arm.make_group().await;
        let group = arm.group();
        let identity = format!("{group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-one");
        arm.put(&identity, "2023-01-31", json!({"location": "westeurope"})).await.good();
        let plan = format!("{group}/providers/Microsoft.Web/serverfarms/plan-one");
        arm.put(&plan, VERSION, flex_plan()).await.good();
        let site = format!("{group}/providers/Microsoft.Web/sites/func-one");
        Self { arm, identity, plan, site }
    }

    fn body(&self) -> Value {
        json!({
            "location": "westeurope",
            "kind": "functionapp,linux",
            "identity": {"type": "UserAssigned", "userAssignedIdentities": {self.identity.as_str(): {}}},
            "properties": {
                "serverFarmId": self.plan,
                "keyVaultReferenceIdentity": self.identity,
                "httpsOnly": true,
                "functionAppConfig": {
                    "deployment": {"storage": {
                        "type": "blobContainer",
                        "value": "https://127.0.0.1/stone/deployments",
                        "authentication": {"type": "UserAssignedIdentity",
                                           "userAssignedIdentityResourceId": self.identity},
                    }},
                    "scaleAndConcurrency": {"maximumInstanceCount": 40, "instanceMemoryMB": 512},
                    "runtime": {"name": "custom", "version": "1.0"},
                },
                "siteConfig": {"minTlsVersion": "1.2",
                               "appSettings": [{"name": "MIMECAST_API", "value": "2.0"}]},
            },
        })
    }

    async fn settings(&self) -> Value {
        let list = format!("{}/config/appsettings/list", self.site);
        self.arm.post(&list, VERSION, json!({})).await.good()["properties"].clone()
    }
}

fn flex_plan() -> Value {
    json!({"location": "westeurope", "kind": "functionapp", "sku": {"tier": "FlexConsumption", "name": "FC1"},
           "properties": {"reserved": true}})
}

#[tokio::test]
async fn a_site_gets_hosts_of_its_own_and_shows_no_settings() {
    let scene = Scene::make().await;
    let made = scene.arm.put(&scene.site, VERSION, scene.body()).await;
    assert_eq!((made.status, made.headers.contains_key("azure-asyncoperation")), (202, true));
    let read = scene.arm.get(&scene.site, VERSION).await.good();
    let properties = &read["properties"];
    let host = properties["defaultHostName"].as_str().unwrap();
    assert!(host.starts_with("127.0.0.1:"), "{host}");
    let hosts = properties["hostNameSslStates"].as_array().unwrap();
    let repository = hosts.iter().find(|each| each["hostType"] == "Repository").unwrap();
    assert_ne!(repository["name"], host);
    let identity = &read["identity"]["userAssignedIdentities"][&scene.identity];
    let of_identity = scene.arm.get(&scene.identity, "2023-01-31").await.good();
    assert_eq!(identity["principalId"], of_identity["properties"]["principalId"]);
    assert_eq!((&read["location"], &properties["sku"]), (&json!("West Europe"), &json!("FlexConsumption")));
    assert!(properties["siteConfig"].get("appSettings").is_none());
    assert_eq!(scene.settings().await, json!({"MIMECAST_API": "2.0"}));
    let web = scene.arm.get(&format!("{}/config/web", scene.site), VERSION).await.good();
    assert_eq!(web["properties"]["minTlsVersion"], "1.2");
    let again = scene.arm.put(&scene.site, VERSION, scene.body()).await;
    assert_eq!((again.status, &again.body["properties"]["defaultHostName"]), (200, &json!(host)));
}

#[tokio::test]
async fn putting_settings_replaces_the_whole_set() {
    let scene = Scene::make().await;
    scene.arm.put(&scene.site, VERSION, scene.body()).await.good();
    let path = format!("{}/config/appsettings", scene.site);
    scene.arm.put(&path, VERSION, json!({"properties": {"OTHER": "1"}})).await.good();
    assert_eq!(scene.settings().await, json!({"OTHER": "1"}));
    let mut without = scene.body();
    without["properties"]["siteConfig"].as_object_mut().unwrap().remove("appSettings");
    scene.arm.put(&scene.site, VERSION, without).await.good();
    assert_eq!(scene.settings().await, json!({"OTHER": "1"}), "a site PUT without settings leaves them");
    scene.arm.put(&scene.site, VERSION, scene.body()).await.good();
    assert_eq!(scene.settings().await, json!({"MIMECAST_API": "2.0"}));
}

#[tokio::test]
async fn flex_consumption_refuses_what_it_has_no_use_for() {
    let scene = Scene::make().await;
    let refuse = async |change: &dyn Fn(&mut Value), what: &str| {
        let mut body = scene.body();
        change(&mut body);
        let refusal = scene.arm.put(&scene.site, VERSION, body).await;
        refusal.refused(400, "BadRequest");
        assert!(refusal.body.get("Code").is_some(), "App Service writes its refusals with capitals");
        assert!(refusal.message().contains(what), "{what} in {}", refusal.message());
    };
    for name in ["FUNCTIONS_WORKER_RUNTIME", "FUNCTIONS_EXTENSION_VERSION", "WEBSITE_RUN_FROM_PACKAGE", "TZ"]
    {
        let add = |body: &mut Value| {
            body["properties"]["siteConfig"]["appSettings"] = json!([{"name": name, "value": "x"}]);
        };
        refuse(&add, name).await;
    }
    refuse(&|body| body["properties"]["siteConfig"]["alwaysOn"] = json!(true), "alwaysOn").await;
    refuse(
        &|body| body["properties"]["siteConfig"]["linuxFxVersion"] = json!("custom|1.0"),
        "linuxFxVersion",
    )
    .await;
    refuse(
        &|body| {
            body["properties"]["functionAppConfig"]["scaleAndConcurrency"]["instanceMemoryMB"] = json!(1024)
        },
        "512",
    )
    .await;
    refuse(
        &|body| {
            body["properties"].as_object_mut().unwrap().remove("functionAppConfig");
        },
        "FunctionAppConfig",
    )
    .await;
    refuse(
        &|body| body["properties"]["keyVaultReferenceIdentity"] = json!("/subscriptions/s/other"),
        "not assigned",
    )
    .await;
    let other = format!("{}-two", scene.site);
    scene.arm.put(&scene.site, VERSION, scene.body()).await.good();
    scene.arm.put(&other, VERSION, scene.body()).await.refused(409, "Conflict");
    let path = format!("{}/config/appsettings", scene.site);
    let settings = json!({"properties": {"FUNCTIONS_WORKER_RUNTIME": "custom"}});
    scene.arm.put(&path, VERSION, settings).await.refused(400, "BadRequest");
}

#[tokio::test]
async fn a_reference_resolves_once_the_identity_may_read_the_secret() {
    // BR-126, BR-127
    let scene = Scene::make().await;
    let arm = &scene.arm;
    let vault = format!("{}/providers/Microsoft.KeyVault/vaults/kv-one", arm.group());
    let vault_body = json!({"location": "westeurope", "properties": {
        "tenantId": arm.simulator.person().tenant_id, "sku": {"family": "A", "name": "standard"}}});
    let made = arm.put(&vault, "2026-02-01", vault_body).await.good();
    let uri = made["properties"]["vaultUri"].as_str().unwrap();
    let text = format!("@Microsoft.KeyVault(SecretUri={uri}secrets/one)");
    let mut body = scene.body();
    body["properties"]["siteConfig"]["appSettings"] =
        json!([{"name": "PLAIN", "value": "as it is"}, {"name": "REFERRED", "value": text}]);
    arm.put(&scene.site, VERSION, body).await.good();
    let path = format!("{}/config/configreferences/appsettings", scene.site);
    let status = async || arm.get(&path, VERSION).await.good()["value"][0]["properties"].clone();
    assert_eq!(status().await["status"], "AccessToKeyVaultDenied");
    let state = arm.simulator.state();
    assert_eq!(state.site_environment(&scene.site)["REFERRED"], text);

    let identity = arm.get(&scene.identity, "2023-01-31").await.good();
    let principal = identity["properties"]["principalId"].as_str().unwrap();
    state.give_role(principal, &vault, KEY_VAULT_SECRETS_USER);
    assert_eq!(status().await["status"], "SecretNotFound");
    let first = state.put_secret(&vault, "one", "canary-one").unwrap();
    let resolved = status().await;
    assert_eq!(
        (&resolved["status"], &resolved["activeVersion"]),
        (&json!("Resolved"), &json!(first.version))
    );
    assert!(!resolved.to_string().contains("canary-one"));
    let environment = state.site_environment(&scene.site);
    assert_eq!((environment["PLAIN"].as_str(), environment["REFERRED"].as_str()), ("as it is", "canary-one"));

    // A new version is seen after a refresh, not before.
    let second = state.put_secret(&vault, "one", "canary-two").unwrap();
    assert_eq!(status().await["activeVersion"], first.version);
    arm.post(&format!("{path}/refresh"), "2022-03-01", json!({})).await.good();
    assert_eq!(status().await["activeVersion"], second.version);
    let one = arm.get(&format!("{path}/REFERRED"), VERSION).await.good();
    assert_eq!(one["properties"]["secretName"], "one");
}

#[tokio::test]
async fn references_fail_with_azures_words() {
    let scene = Scene::make().await;
    let mut body = scene.body();
    body["properties"]["siteConfig"]["appSettings"] = json!([
        {"name": "A", "value": "@Microsoft.KeyVault(SecretUri=nonsense)"},
        {"name": "B", "value": "@Microsoft.KeyVault(VaultName=kv-none;SecretName=one)"},
    ]);
    scene.arm.put(&scene.site, VERSION, body).await.good();
    let references = scene.arm.simulator.state().references(&scene.site);
    assert_eq!((references["A"].status, references["B"].status), ("InvalidSyntax", "VaultNotFound"));
}

#[tokio::test]
async fn keys_functions_policies_and_restarts_are_served() {
    let scene = Scene::make().await;
    let arm = &scene.arm;
    arm.put(&scene.site, VERSION, scene.body()).await.good();
    let keys = arm.post(&format!("{}/host/default/listKeys", scene.site), VERSION, json!({})).await.good();
    assert_eq!(keys["masterKey"], arm.simulator.state().master_key(&scene.site));
    assert_eq!(arm.get(&format!("{}/functions", scene.site), VERSION).await.good()["value"], json!([]));
    let functions = vec![json!({"name": "Sync", "config": {"bindings": []}, "isDisabled": false})];
    arm.simulator.state().set_functions(&scene.site, functions);
    let listed = arm.get(&format!("{}/functions", scene.site), VERSION).await.good();
    assert_eq!(listed["value"][0]["name"], "func-one/Sync");
    arm.get(&format!("{}/functions/Other", scene.site), VERSION).await.refused(404, "NotFound");
    let policy = format!("{}/basicPublishingCredentialsPolicies/scm", scene.site);
    assert_eq!(arm.get(&policy, VERSION).await.good()["properties"]["allow"], true);
    arm.put(&policy, VERSION, json!({"properties": {"allow": false}})).await.good();
    assert_eq!(arm.get(&policy, VERSION).await.good()["properties"]["allow"], false);
    assert_eq!(
        arm.post(&format!("{}/syncfunctiontriggers", scene.site), VERSION, json!({})).await.status,
        204
    );
    arm.post(&format!("{}/restart", scene.site), VERSION, json!({})).await.good();
    assert_eq!(arm.simulator.state().hidden(&scene.site).unwrap()["restarts"], 1);
    arm.delete(&scene.plan, VERSION).await.refused(409, "Conflict");
    arm.delete(&scene.site, VERSION).await.good();
    arm.delete(&scene.plan, VERSION).await.good();
}

#[tokio::test]
async fn regions_without_flex_or_quota_refuse_and_say_so_before() {
    // BR-067
    let arm = Arm::start().await;
    arm.make_group().await;
    let state = arm.simulator.state();
    let stacks = "/providers/Microsoft.Web/locations/westeurope/functionAppStacks?stack=custom";
    let skus = |answer: &Value| {
        answer
            .pointer(
                "/value/0/properties/majorVersions/0/minorVersions/0/stackSettings/linuxRuntimeSettings/Sku",
            )
            .cloned()
            .unwrap()
    };
    let offered = arm.get(stacks, "2020-10-01").await.good();
    assert_eq!(skus(&offered)[0]["skuCode"], "FC1");
    state.remove_flex("westeurope");
    assert_eq!(skus(&arm.get(stacks, "2020-10-01").await.good()), Value::Null);
    let subscription = arm.simulator.subscription_id();
    let regions =
        format!("/subscriptions/{subscription}/providers/Microsoft.Web/geoRegions?sku=FlexConsumption");
    let listed = arm.get(&regions, VERSION).await.good();
    let names: Vec<&str> =
        listed["value"].as_array().unwrap().iter().map(|each| each["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"North Europe") && !names.contains(&"West Europe"), "{names:?}");
    let plan = format!("{}/providers/Microsoft.Web/serverfarms/plan-one", arm.group());
    arm.put(&plan, VERSION, flex_plan()).await.refused(400, "BadRequest");
    state.remove_quota("northeurope");
    let mut there = flex_plan();
    there["location"] = json!("northeurope");
    arm.put(&plan, VERSION, there).await.refused(401, "SubscriptionIsOverQuotaForSku");
}

#[tokio::test]
async fn giving_an_identity_to_a_site_needs_the_right_on_the_identity() {
    let mut scene = Scene::make().await;
    let group = scene.arm.group();
    let stranger = scene.arm.become_stranger().await;
    scene.arm.simulator.state().give_role(&stranger.object_id, &group, WEBSITE_CONTRIBUTOR);
    let refusal = scene.arm.put(&scene.site, VERSION, scene.body()).await;
    refusal.refused(403, "LinkedAuthorizationFailed");
    assert!(refusal.message().contains("userAssignedIdentities/assign/action"), "{}", refusal.message());
}

#[tokio::test]
async fn a_managed_identity_signs_in_by_the_header_of_its_site() {
    // BR-147
    let scene = Scene::make().await;
    let arm = &scene.arm;
    arm.put(&scene.site, VERSION, scene.body()).await.good();
    let state = arm.simulator.state();
    let identity = arm.get(&scene.identity, "2023-01-31").await.good();
    let client_id = identity["properties"]["clientId"].as_str().unwrap();
    let header = state.identity_header(&scene.site);
    let ask = async |header: &str, query: &str| {
        let url = format!("{}msi/token?api-version=2019-08-01&{query}", state.endpoints().identity);
        let client = crate::support::client(&arm.simulator);
        let response = client.get(url).header("X-IDENTITY-HEADER", header).send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    let query = format!("resource=https://monitor.azure.com/&client_id={client_id}");
    let (status, token) = ask(&header, &query).await;
    assert_eq!((status, &token["client_id"]), (200, &json!(client_id)));
    let expires: i64 = token["expires_on"].as_str().unwrap().parse().unwrap();
    assert!(expires > state.now().unix_timestamp());
    assert_eq!(ask("wrong", &query).await.0, 401);
    let other = "resource=https://monitor.azure.com/&client_id=00000000-0000-0000-0000-000000000009";
    assert_eq!(ask(&header, other).await.0, 400);
    assert_eq!(
        ask(&header, "resource=https://monitor.azure.com/").await.0,
        400,
        "it has no identity of its own"
    );
}

#[tokio::test]
async fn a_new_site_may_be_unseen_for_a_while() {
    let scene = Scene::make().await;
    scene.arm.simulator.state().set_pace(Pace { unseen_reads: 1, ..Pace::default() });
    scene.arm.put(&scene.site, VERSION, scene.body()).await.good();
    scene.arm.get(&scene.site, VERSION).await.refused(404, "ResourceNotFound");
    scene.arm.get(&scene.site, VERSION).await.good();
}
