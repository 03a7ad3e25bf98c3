//! `Microsoft.Web/serverfarms`: App Service plans.
//!
//! Follows <https://learn.microsoft.com/rest/api/appservice/app-service-plans> and
//! <https://learn.microsoft.com/azure/azure-functions/flex-consumption-plan>.

use axum::http::StatusCode;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::check::{region, region_title};
use super::error::ArmError;
use super::kind::{Kind, Write};
use crate::state::Data;
use crate::state::resource::{Resource, key};

/// Type of plans.
pub(crate) const PLAN_TYPE: &str = "Microsoft.Web/serverfarms";

pub(crate) static KINDS: &[Kind] = &[Kind {
    name: PLAN_TYPE,
    versions: super::site::VERSIONS,
    created: StatusCode::OK,
    write,
    remove,
    ..Kind::BASE
}];

/// The tier of each size that is known.
const TIERS: &[(&str, &str)] = &[
    ("FC1", "FlexConsumption"),
    ("Y1", "Dynamic"),
    ("EP1", "ElasticPremium"),
    ("EP2", "ElasticPremium"),
    ("B1", "Basic"),
    ("B2", "Basic"),
    ("S1", "Standard"),
    ("P0v3", "PremiumV3"),
    ("P1v3", "PremiumV3"),
];

fn write(write: &mut Write<'_>) -> Result<(), ArmError> {
    let size = write.text("/sku/name").to_owned();
    let Some((size, tier)) = TIERS.iter().find(|(known, _)| known.eq_ignore_ascii_case(&size)) else {
        let message = format!("The size '{size}' of the App Service plan is not known.");
        return Err(ArmError::bad("BadRequest", message).web());
    };
    let place = region(write.text("/location"));
    if write.data.no_quota_regions.contains(&place) {
        // BR-067
        let message = format!(
            "Operation cannot be completed without additional quota. Additional details - Location: {}. Current \
             Limit ({tier} VMs): 0, Current Usage: 0, Amount required for this deployment ({tier} VMs): 1.",
            region_title(&place)
        );
        let status = StatusCode::UNAUTHORIZED;
        return Err(ArmError::new(status, "SubscriptionIsOverQuotaForSku", message).web());
    }
    let flex = *tier == "FlexConsumption";
    if flex && write.data.no_flex_regions.contains(&place) {
        let message = format!("The Flex Consumption plan is not available in '{}'.", region_title(&place));
        return Err(ArmError::bad("BadRequest", message).web());
    }
    if flex && write.value("/properties/reserved") != Some(&json!(true)) {
        let message = "The property 'reserved' must be true for a Flex Consumption plan: it is Linux alone.";
        return Err(ArmError::bad("BadRequest", message).web());
    }
    let before = write.existing_text("/sku/name").to_owned();
    if !before.is_empty() && before != *size && (flex || before == "FC1") {
        let message = format!("An App Service plan cannot change from '{before}' to '{size}'.");
        return Err(ArmError::conflict("Conflict", message).web());
    }
    let family: String = size.chars().filter(char::is_ascii_alphabetic).collect();
    write.body["sku"] = json!({
        "name": size, "tier": tier, "size": size, "family": family, "capacity": if flex { 0 } else { 1 },
    });
    write.body["location"] = json!(region_title(&place));
    write.default("reserved", json!(false));
    write.default("zoneRedundant", json!(false));
    write.output("numberOfSites", || json!(0));
    write.set("status", json!("Ready"));
    write.set("geoRegion", json!(region_title(&place)));
    write.set("resourceGroup", json!(write.address.group));
    write.set("subscription", json!(write.address.subscription));
    write.set("provisioningState", json!("Succeeded"));
    Ok(())
}

fn remove(data: &mut Data, resource: &Resource, _: OffsetDateTime) -> Result<(), ArmError> {
    let sites: Vec<&str> = sites_of(data, &resource.id).map(|site| site.text("/name")).collect();
    if sites.is_empty() {
        return Ok(());
    }
    let message = format!(
        "Server farm '{}' cannot be deleted because it has web app(s) {} assigned to it.",
        resource.text("/name"),
        sites.join(", ")
    );
    Err(ArmError::conflict("Conflict", message).web())
}

/// The sites on a plan.
pub(crate) fn sites_of<'a>(data: &'a Data, plan_id: &str) -> impl Iterator<Item = &'a Resource> {
    let plan = key(plan_id);
    data.resources.values().filter(move |each| {
        each.resource_type == super::site::SITE_TYPE
            && key(each.text("/properties/serverFarmId")) == plan
            && each.body.get("properties").and_then(Value::as_object).is_some()
    })
}
