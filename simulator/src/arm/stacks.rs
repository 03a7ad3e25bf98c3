//! What App Service offers in which region: stacks for Functions, and regions of a plan.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::check::{REGIONS, region, region_title};
use super::error::ArmError;
use super::kind::Call;
use super::reply::Reply;

/// API versions of `functionAppStacks`.
pub(crate) const VERSIONS: &[&str] = &["2020-10-01", "2022-03-01", "2023-12-01", "2024-04-01", "2024-11-01"];

/// `functionAppStacks`: the call of Core Tools, with the plans that each stack runs on.
pub(crate) fn stacks(call: &mut Call<'_>, query: &HashMap<String, String>) -> Result<Reply, ArmError> {
    let wanted = query.get("stack").map_or("custom", String::as_str);
    if call.method != "GET" {
        return Err(call.unknown());
    }
    if !wanted.eq_ignore_ascii_case("custom") {
        return Ok(Reply::list(Vec::new()));
    }
    let place = call.address.pairs.first().map(|(_, name)| region(name)).unwrap_or_default();
    let flex = !call.data.no_flex_regions.contains(&place);
    let listed = call.data.custom_runtimes.get(&place).map_or("1.0", String::as_str);
    let memory = |size: u32, default: bool| json!({"size": size, "isDefault": default});
    let sku = json!({
        "skuCode": "FC1",
        "instanceMemoryMB": [memory(512, false), memory(2048, true), memory(4096, false)],
        "maximumInstanceCount": {"lowestMaximumInstanceCount": 1, "highestMaximumInstanceCount": 1000,
                                 "defaultValue": 100},
        "functionAppConfigProperties": {"runtime": {"name": "custom", "version": listed}},
    });
    let runtime = json!({
        "runtimeVersion": "",
        "isDefault": true,
        "isHidden": false,
        "isDeprecated": false,
        "appInsightsSettings": {"isSupported": true},
        "appSettingsDictionary": {"FUNCTIONS_WORKER_RUNTIME": "custom"},
        "siteConfigPropertiesDictionary": {"use32BitWorkerProcess": false, "linuxFxVersion": ""},
        "supportedFunctionsExtensionVersions": ["~4"],
        "Sku": if flex { json!([sku]) } else { Value::Null },
    });
    Ok(Reply::list(vec![json!({
        "id": null,
        "name": "custom",
        "type": "Microsoft.Web/functionAppStacks?stackOsType=All",
        "properties": {
            "displayText": "Custom Handler",
            "value": "custom",
            "preferredOs": "linux",
            "majorVersions": [{
                "displayText": "Custom Handler",
                "value": "custom",
                "minorVersions": [{
                    "displayText": "Custom Handler",
                    "value": "custom",
                    "stackSettings": {"linuxRuntimeSettings": runtime},
                }],
            }],
        },
    })]))
}

/// `locations/{region}/usages`: cores of App Service in use and allowed
/// (<https://learn.microsoft.com/rest/api/appservice/get-usages-in-location/list>). 250 cores are what a
/// subscription has in a region without asking
/// (<https://learn.microsoft.com/azure/azure-functions/flex-consumption-plan#regional-subscription-memory-quotas>).
pub(crate) fn usages(call: &mut Call<'_>, _query: &HashMap<String, String>) -> Result<Reply, ArmError> {
    call.need("Microsoft.Web/locations/usages/Read")?;
    let place = call.address.pairs.first().map(|(_, name)| region(name)).unwrap_or_default();
    let limit = if call.data.no_quota_regions.contains(&place) { 0 } else { 250 };
    // One core for each plan that has a machine of its own; Flex counts while it runs.
    let plans = call.data.resources.values().filter(|each| {
        each.resource_type.eq_ignore_ascii_case("Microsoft.Web/serverfarms")
            && region(each.text("/location")) == place
            && each.text("/sku/name") != "FC1"
    });
    let name = format!("Cores usage in {}", region_title(&place));
    Ok(Reply::list(vec![json!({
        "unit": "Core Count",
        "currentValue": plans.count(),
        "limit": limit,
        "name": {"value": name, "localizedValue": name},
    })]))
}

/// `geoRegions`: every region, or those of a plan's tier with `sku=`.
pub(crate) fn regions(call: &mut Call<'_>, query: &HashMap<String, String>) -> Result<Reply, ArmError> {
    call.need("Microsoft.Web/geoRegions/Read")?;
    let flex = query.get("sku").is_some_and(|sku| sku.eq_ignore_ascii_case("FlexConsumption"));
    let open = REGIONS.iter().filter(|(name, _)| !flex || !call.data.no_flex_regions.contains(*name));
    let subscription = call.address.subscription.as_deref().unwrap_or_default();
    let value = open.map(|(_, title)| {
        json!({
            "id": format!("/subscriptions/{subscription}/providers/Microsoft.Web/geoRegions/{title}"),
            "name": title,
            "type": "Microsoft.Web/geoRegions",
            "properties": {"name": title, "description": null, "displayName": title,
                           "orgDomain": "PUBLIC;FUNCTIONS;DYNAMIC;LINUX"},
        })
    });
    Ok(Reply::list(value.collect()))
}
