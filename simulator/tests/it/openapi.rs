//! Microsoft's descriptions find what is wrong in a body, and pass their own examples.

use serde_json::{Value, json};
use simulator::openapi::{Checked, check, folder};

/// The errors of a body by the descriptions of exactly this version; nothing where there is no data.
fn errors(resource_type: &str, version: &str, body: &Value) -> Option<Vec<String>> {
    let checked: Vec<Checked> = check(resource_type, version, body)?;
    assert!(checked.iter().all(|each| each.exact), "{checked:?}");
    Some(checked.into_iter().flat_map(|each| each.errors).collect())
}

fn assert_finds(resource_type: &str, version: &str, body: &Value, part: &str) {
    if let Some(errors) = errors(resource_type, version, body) {
        assert!(errors.iter().any(|error| error.contains(part)), "{part} in {errors:?}");
    }
}

fn assert_passes(resource_type: &str, version: &str, body: &Value) {
    if let Some(errors) = errors(resource_type, version, body) {
        assert!(errors.is_empty(), "{errors:?}");
    }
}

#[test]
fn a_flex_site_passes_and_its_faults_are_found() {
    let mut site = json!({
        "location": "westeurope",
        "kind": "functionapp,linux",
        "identity": {"type": "UserAssigned", "userAssignedIdentities": {"/subscriptions/s/id": {}}},
        "properties": {
            "serverFarmId": "/subscriptions/s/plan",
            "httpsOnly": true,
            "functionAppConfig": {
                "deployment": {"storage": {
                    "type": "blobContainer",
                    "value": "https://stone.blob.core.windows.net/deployments",
                    "authentication": {"type": "UserAssignedIdentity", "userAssignedIdentityResourceId": "/a"},
                }},
                "scaleAndConcurrency": {"maximumInstanceCount": 40, "instanceMemoryMB": 512},
                "runtime": {"name": "custom", "version": "1.0"},
            },
            "siteConfig": {"appSettings": [{"name": "A", "value": "b"}]},
        },
    });
    let (kind, version) = ("Microsoft.Web/sites", "2024-11-01");
    assert_passes(kind, version, &site);
    site["properties"]["httpOnly"] = json!(true);
    assert_finds(kind, version, &site, "httpOnly");
    site["properties"].as_object_mut().unwrap().remove("httpOnly");
    site["properties"]["httpsOnly"] = json!("yes");
    assert_finds(kind, version, &site, "/properties/httpsOnly");
    site["properties"]["httpsOnly"] = json!(true);
    site["properties"]["defaultHostName"] = json!("read.only");
    assert_finds(kind, version, &site, "/properties/defaultHostName");
}

#[test]
fn a_body_that_depends_on_the_name_is_checked_by_it() {
    let (kind, version) = ("Microsoft.Web/sites/config/appsettings", "2024-11-01");
    assert_passes(kind, version, &json!({"properties": {"NAME": "value"}}));
    assert_finds(kind, version, &json!({"properties": {"NAME": 5}}), "/properties/NAME");
}

#[test]
fn an_alert_rule_is_checked_by_its_kind() {
    let mut rule = json!({"kind": "Scheduled", "properties": {
        "displayName": "a", "enabled": true, "suppressionDuration": "PT5H", "suppressionEnabled": false,
        "query": "SigninLogs", "severity": "Medium", "queryFrequency": "PT1H", "queryPeriod": "PT1H",
        "triggerOperator": "GreaterThan", "triggerThreshold": 0,
    }});
    let (kind, version) = ("Microsoft.SecurityInsights/alertRules", "2025-09-01");
    assert_passes(kind, version, &rule);
    rule["properties"]["queryFrequenzy"] = json!("PT1H");
    assert_finds(kind, version, &rule, "queryFrequenzy");
    rule["kind"] = json!("Planned");
    assert_finds(kind, version, &rule, "/kind");
}

#[test]
fn a_storage_account_is_checked_by_the_openapi_of_its_version() {
    let mut account = json!({"location": "westeurope", "kind": "StorageV2", "sku": {"name": "Standard_LRS"},
        "properties": {"allowSharedKeyAccess": false, "minimumTlsVersion": "TLS1_2"}});
    let (kind, version) = ("Microsoft.Storage/storageAccounts", "2023-05-01");
    assert_passes(kind, version, &account);
    account["properties"]["allowSharedKeyAcces"] = json!(false);
    assert_finds(kind, version, &account, "allowSharedKeyAcces");
    account.as_object_mut().unwrap().remove("sku");
    assert_finds(kind, version, &account, "sku");
}

#[test]
fn the_nearest_version_is_taken_and_said() {
    if folder().is_none() {
        assert_eq!(check("Microsoft.Storage/storageAccounts", "2024-01-01", &json!({})), None);
        return;
    }
    let body = json!({"location": "westeurope"});
    let checked = check("Microsoft.ManagedIdentity/userAssignedIdentities", "2023-02-15", &body).unwrap();
    assert_eq!(checked.len(), 1, "{checked:?}");
    assert_eq!((checked[0].version.as_str(), checked[0].exact), ("2023-01-31", false));
    assert!(checked[0].errors.is_empty(), "{:?}", checked[0].errors);
}

/// Microsoft's own example bodies must pass: the check is no stricter than the service.
#[test]
fn microsofts_own_examples_pass() {
    let Some(folder) = folder() else { return };
    let specification = folder.join("specification");
    for (kind, version, example, name) in [
        (
            "Microsoft.Insights/dataCollectionRules",
            "2023-03-11",
            "monitor/resource-manager/Microsoft.Insights/stable/2023-03-11/examples/DataCollectionRulesCreate.json",
            "body",
        ),
        (
            "Microsoft.OperationalInsights/workspaces/tables",
            "2022-10-01",
            "operationalinsights/resource-manager/Microsoft.OperationalInsights/stable/2022-10-01/examples/TablesUpsert.json",
            "parameters",
        ),
        (
            "Microsoft.Storage/storageAccounts",
            "2023-05-01",
            "storage/resource-manager/Microsoft.Storage/stable/2023-05-01/examples/StorageAccountCreate.json",
            "parameters",
        ),
        (
            "Microsoft.KeyVault/vaults",
            "2023-07-01",
            "keyvault/resource-manager/Microsoft.KeyVault/stable/2023-07-01/examples/createVault.json",
            "parameters",
        ),
    ] {
        let text = std::fs::read_to_string(specification.join(example)).expect(example);
        let example: Value = serde_json::from_str(&text).unwrap();
        let body = &example["parameters"][name];
        assert!(body.is_object(), "{kind}");
        assert_passes(kind, version, body);
    }
}
