//! `Microsoft.Web/sites`: Function Apps on Flex Consumption and on dedicated plans.
//!
//! Follows <https://learn.microsoft.com/rest/api/appservice/web-apps>,
//! <https://learn.microsoft.com/azure/azure-functions/functions-infrastructure-as-code> and
//! <https://learn.microsoft.com/azure/azure-functions/functions-app-settings>.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::check::{region, region_title};
use super::error::ArmError;
use super::identity;
use super::kind::{Kind, Speed, Write};
use super::plan::{PLAN_TYPE, sites_of};
use crate::state::resource::{Resource, key};
use crate::state::{AddressKind, Data};

mod call;

/// The newest is what Microsoft's own library sends (`azure-mgmt-web` 11.0.1).
pub(crate) const VERSIONS: &[&str] = &[
    "2020-06-01",
    "2020-12-01",
    "2021-02-01",
    "2022-03-01",
    "2022-09-01",
    "2023-01-01",
    "2023-12-01",
    "2024-04-01",
    "2024-11-01",
    "2025-03-01",
    "2025-05-01",
];
/// Type of sites.
pub(crate) const SITE_TYPE: &str = "Microsoft.Web/sites";

pub(crate) static KINDS: &[Kind] = &[Kind {
    name: SITE_TYPE,
    versions: VERSIONS,
    created: StatusCode::ACCEPTED,
    put: Speed::Polled,
    write,
    remove,
    call: Some(call::call),
    ..Kind::BASE
}];

/// Settings that Flex Consumption refuses: the page on app settings, and the filter of Microsoft's
/// own migration.
const REFUSED_SETTINGS: &[&str] = &[
    "ENABLE_ORYX_BUILD",
    "FUNCTIONS_EXTENSION_VERSION",
    "FUNCTIONS_MAX_HTTP_CONCURRENCY",
    "FUNCTIONS_WORKER_DYNAMIC_CONCURRENCY_ENABLED",
    "FUNCTIONS_WORKER_PROCESS_COUNT",
    "FUNCTIONS_WORKER_RUNTIME",
    "FUNCTIONS_WORKER_RUNTIME_VERSION",
    "SCM_DO_BUILD_DURING_DEPLOYMENT",
    "TZ",
    "WEBSITE_CONTENTAZUREFILECONNECTIONSTRING",
    "WEBSITE_CONTENTOVERVNET",
    "WEBSITE_CONTENTSHARE",
    "WEBSITE_DNS_SERVER",
    "WEBSITE_MAX_DYNAMIC_APPLICATION_SCALE_OUT",
    "WEBSITE_MOUNT_ENABLED",
    "WEBSITE_NODE_DEFAULT_VERSION",
    "WEBSITE_RUN_FROM_PACKAGE",
    "WEBSITE_SKIP_CONTENTSHARE_VALIDATION",
    "WEBSITE_TIME_ZONE",
    "WEBSITE_USE_PLACEHOLDER_DOTNETISOLATED",
    "WEBSITE_VNET_ROUTE_ALL",
];
/// Site settings that Flex Consumption refuses.
const REFUSED_CONFIG: &[&str] =
    &["linuxFxVersion", "windowsFxVersion", "alwaysOn", "functionAppScaleLimit", "preWarmedInstanceCount"];
/// Instance sizes of Flex Consumption, in MB
/// (<https://learn.microsoft.com/azure/azure-functions/flex-consumption-plan#instance-sizes>).
const MEMORY_MB: &[i64] = &[512, 2048, 4096];
/// What a site holds of `siteConfig` in its own reads; the whole is in `config/web`.
fn shown_config() -> Value {
    json!({
        "numberOfWorkers": 1,
        "linuxFxVersion": "",
        "acrUseManagedIdentityCreds": false,
        "alwaysOn": false,
        "http20Enabled": false,
        "functionAppScaleLimit": 0,
        "minimumElasticInstanceCount": 0,
    })
}

/// Whether a site's name is legal
/// (<https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules>).
pub(crate) fn legal_name(name: &str) -> bool {
    let legal = |each: char| each.is_ascii_alphanumeric() || each == '-';
    (2..=60).contains(&name.len())
        && name.chars().all(legal)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

fn bad(message: impl Into<String>) -> ArmError {
    ArmError::bad("BadRequest", message).web()
}

fn write(write: &mut Write<'_>) -> Result<(), ArmError> {
    let name = write.name().to_owned();
    if !legal_name(&name) {
        return Err(bad(format!("The site name '{name}' is not valid.")));
    }
    let elsewhere = write.data.resources.values().any(|each| {
        each.resource_type == SITE_TYPE
            && each.text("/name").eq_ignore_ascii_case(&name)
            && key(&each.id) != key(&write.id)
    });
    if elsewhere || write.data.taken_names.contains(&name.to_ascii_lowercase()) {
        let message = format!("Website with given name {name} already exists.");
        return Err(ArmError::conflict("Conflict", message).web());
    }
    let plan = plan_of(write)?;
    identity::assign(write)?;
    let config = write.take("siteConfig").filter(Value::is_object).unwrap_or_else(|| json!({}));
    let flex = plan.text("/sku/tier") == "FlexConsumption";
    if flex {
        check_flex(write, &config)?;
    } else if write.value("/properties/functionAppConfig").is_some() {
        return Err(bad("FunctionAppConfig is only supported on the Flex Consumption plan."));
    }
    keep_config(write, config, flex)?;
    reference_identity(write)?;
    outputs(write, &plan);
    Ok(())
}

fn plan_of(write: &Write<'_>) -> Result<Resource, ArmError> {
    let given = write.text("/properties/serverFarmId");
    let id = if given.is_empty() { write.existing_text("/properties/serverFarmId") } else { given };
    let plan = write.data.resources.get(&key(id)).filter(|plan| plan.resource_type == PLAN_TYPE).cloned();
    let Some(plan) = plan else {
        let name = id.rsplit('/').next().unwrap_or_default();
        let message = format!("Cannot find ServerFarm with name {name}.");
        return Err(ArmError::not_found("NotFound", message).web());
    };
    write.need_linked(&plan.id, "Microsoft.Web/serverfarms/join/action")?;
    if region(plan.text("/location")) != region(write.text("/location")) {
        let message = format!(
            "The site is in '{}' and its plan in '{}'. They must be in one region.",
            region_title(write.text("/location")),
            plan.text("/location")
        );
        return Err(ArmError::conflict("Conflict", message).web());
    }
    let others = sites_of(write.data, &plan.id).any(|site| key(&site.id) != key(&write.id));
    if plan.text("/sku/tier") == "FlexConsumption" && others {
        let message = "A Flex Consumption plan takes one site.";
        return Err(ArmError::conflict("Conflict", message).web());
    }
    Ok(plan)
}

fn check_flex(write: &mut Write<'_>, config: &Value) -> Result<(), ArmError> {
    if write.value("/properties/functionAppConfig").is_none() {
        let kept =
            write.existing.as_ref().and_then(|each| each.body.pointer("/properties/functionAppConfig"));
        let Some(kept) = kept.cloned() else {
            return Err(bad("Site.FunctionAppConfig is required for Flex Consumption sites."));
        };
        write.set("functionAppConfig", kept);
    }
    let at = |name: &str| write.value(&format!("/properties/functionAppConfig/{name}"));
    let text = |name: &str| at(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    if text("runtime/name").is_empty()
        || (text("runtime/version").is_empty() && text("runtime/name") != "custom")
    {
        return Err(bad(
            "Site.FunctionAppConfig.Runtime.Name and Version are required for Flex Consumption sites.",
        ));
    }
    let storage = text("deployment/storage/value");
    if text("deployment/storage/type") != "blobContainer" || !storage.starts_with("https://") {
        return Err(bad(
            "Site.FunctionAppConfig.Deployment.Storage must have the type 'blobContainer' and the URL of a container.",
        ));
    }
    let method = text("deployment/storage/authentication/type");
    match method.to_ascii_lowercase().as_str() {
        "userassignedidentity" => {
            let id = text("deployment/storage/authentication/userAssignedIdentityResourceId");
            if !assigned(&write.body, &id) {
                return Err(bad(format!(
                    "The identity '{id}' of the deployment storage is not assigned to the site."
                )));
            }
        }
        "systemassignedidentity" => {
            if write.text("/identity/principalId").is_empty() {
                return Err(bad("The site has no system-assigned identity for its deployment storage."));
            }
        }
        "storageaccountconnectionstring" => {}
        _ => return Err(bad(format!("'{method}' is no way to sign in to the deployment storage."))),
    }
    let memory = at("scaleAndConcurrency/instanceMemoryMB").and_then(Value::as_i64);
    let instances = at("scaleAndConcurrency/maximumInstanceCount").and_then(Value::as_i64);
    if memory.is_none_or(|memory| !MEMORY_MB.contains(&memory)) {
        return Err(bad(
            "Site.FunctionAppConfig.ScaleAndConcurrency.InstanceMemoryMB must be 512, 2048 or 4096.",
        ));
    }
    if instances.is_none_or(|instances| !(1..=1000).contains(&instances)) {
        return Err(bad(
            "Site.FunctionAppConfig.ScaleAndConcurrency.MaximumInstanceCount must be between 1 and 1000.",
        ));
    }
    if let Some(scale) = write.body.pointer_mut("/properties/functionAppConfig/scaleAndConcurrency") {
        let scale = scale.as_object_mut();
        scale.and_then(|scale| scale.entry("alwaysReady").or_insert_with(|| json!([])).as_array_mut());
    }
    for name in REFUSED_CONFIG {
        let value = config.get(*name).filter(|value| !value.is_null());
        let harmless = [json!(""), json!(false), json!(0)];
        if value.is_some_and(|value| !harmless.contains(value)) {
            return Err(refused(&format!("Site.SiteConfig.{name}"), "property"));
        }
    }
    Ok(())
}

fn refused(name: &str, what: &str) -> ArmError {
    let message = format!(
        "The following {what} ({name}) for Flex Consumption sites is invalid. Please remove or rename it before \
         retrying."
    );
    bad(message)
}

/// Whether a user-assigned identity is among those of a site.
fn assigned(site: &Value, identity_id: &str) -> bool {
    let users = site.pointer("/identity/userAssignedIdentities").and_then(Value::as_object);
    users.is_some_and(|users| users.keys().any(|id| key(id) == key(identity_id)))
}

/// Checks settings for a plan: Flex Consumption refuses what its own configuration replaces.
pub(crate) fn check_settings(settings: &Map<String, Value>, flex: bool) -> Result<(), ArmError> {
    let refused_name =
        settings.keys().find(|name| REFUSED_SETTINGS.iter().any(|each| each.eq_ignore_ascii_case(name)));
    match refused_name {
        Some(name) if flex => Err(refused(&format!("Site.SiteConfig.AppSettings.{name}"), "app setting")),
        _ => Ok(()),
    }
}

/// Keeps settings and configuration aside: reads of a site show neither.
fn keep_config(write: &mut Write<'_>, config: Value, flex: bool) -> Result<(), ArmError> {
    let mut config = config.as_object().cloned().unwrap_or_default();
    let listed = config.remove("appSettings").filter(Value::is_array);
    if !write.hidden.is_object() {
        write.hidden =
            json!({"appSettings": {}, "web": {}, "policies": {"ftp": true, "scm": true}, "restarts": 0});
    }
    if let Some(listed) = listed {
        let mut settings = Map::new();
        for pair in listed.as_array().into_iter().flatten() {
            let name = pair.get("name").and_then(Value::as_str).unwrap_or_default();
            if name.is_empty() {
                return Err(bad("An app setting has no name."));
            }
            settings.insert(name.to_owned(), pair.get("value").cloned().unwrap_or_else(|| json!("")));
        }
        check_settings(&settings, flex)?;
        if flex && write.existing.is_none() && write.data.injects_storage_key {
            settings.insert("AzureWebJobsStorage".to_owned(), json!("DefaultEndpointsProtocol=https"));
        }
        write.hidden["appSettings"] = Value::Object(settings);
        write.data.references.remove(&key(&write.id));
    }
    for (name, value) in config.into_iter().filter(|(_, value)| !value.is_null()) {
        write.hidden["web"][name] = value;
    }
    let mut shown = shown_config();
    for (name, value) in shown.as_object_mut().into_iter().flatten() {
        if let Some(kept) = write.hidden["web"].get(name) {
            *value = kept.clone();
        }
    }
    write.set("siteConfig", shown);
    Ok(())
}

fn reference_identity(write: &mut Write<'_>) -> Result<(), ArmError> {
    let given = write.text("/properties/keyVaultReferenceIdentity").to_owned();
    let kept = write.existing_text("/properties/keyVaultReferenceIdentity").to_owned();
    let wanted = [given, kept, "SystemAssigned".to_owned()].into_iter().find(|each| !each.is_empty());
    let wanted = wanted.unwrap_or_default();
    if !wanted.eq_ignore_ascii_case("SystemAssigned") && !assigned(&write.body, &wanted) {
        return Err(bad(format!(
            "The identity '{wanted}' for Key Vault references is not assigned to the site."
        )));
    }
    write.set("keyVaultReferenceIdentity", json!(wanted));
    Ok(())
}

fn outputs(write: &mut Write<'_>, plan: &Resource) {
    let host = |kind: AddressKind| {
        let url = write.data.addresses.get(&(kind, key(&write.id)));
        url.and_then(|url| Some(format!("{}:{}", url.host_str()?, url.port()?))).unwrap_or_default()
    };
    let (own, scm) = (host(AddressKind::Site), host(AddressKind::Scm));
    let ssl = |name: &str, kind: &str| {
        json!({"name": name, "sslState": "Disabled", "virtualIP": null,
                                              "thumbprint": null, "toUpdate": null, "hostType": kind})
    };
    let (name, at) = (write.name().to_owned(), write.at());
    let place = region_title(write.text("/location"));
    write.body["location"] = json!(place);
    if write.body.get("kind").is_none() {
        write.body["kind"] = json!("functionapp,linux");
    }
    write.set("serverFarmId", json!(plan.id));
    write.set("sku", plan.body.pointer("/sku/tier").cloned().unwrap_or(Value::Null));
    write.output("state", || json!("Running"));
    write.set("hostNames", json!([own]));
    write.set("enabledHostNames", json!([own, scm]));
    write.set("defaultHostName", json!(own));
    write.set("hostNameSslStates", json!([ssl(&own, "Standard"), ssl(&scm, "Repository")]));
    write.set("repositorySiteName", json!(name));
    write.set("usageState", json!("Normal"));
    write.set("availabilityState", json!("Normal"));
    write.default("enabled", json!(true));
    write.default("httpsOnly", json!(false));
    write.default("publicNetworkAccess", json!("Enabled"));
    write.default("clientAffinityEnabled", json!(false));
    write.default("reserved", json!(true));
    write.set("resourceGroup", json!(write.address.group));
    write.output("customDomainVerificationId", || json!(Uuid::new_v4().simple().to_string()));
    write.set("inProgressOperationId", Value::Null);
    write.set("lastModifiedTimeUtc", at);
    write.set("provisioningState", json!("Succeeded"));
}

fn remove(data: &mut Data, resource: &Resource, _: OffsetDateTime) -> Result<(), ArmError> {
    let site = key(&resource.id);
    data.references.remove(&site);
    data.functions.remove(&site);
    data.master_keys.remove(&site);
    data.identity_headers.retain(|_, known| *known != site);
    // A system-assigned identity goes with its resource.
    data.principals.remove(&resource.text("/identity/principalId").to_ascii_lowercase());
    Ok(())
}
