//! What the regions offer: each planned type, and Flex Consumption with a custom runtime.

use std::collections::BTreeMap;

use futures::{StreamExt, stream};
use serde_json::Value;

use super::{Check, Side};
use crate::answers::Intent;
use crate::answers::intent::{Hosting, normal_location};
use crate::azure::{Azure, AzureError, ResourceId};
use crate::plan::template::{RESOURCES_VERSION, SITES_VERSION, STACKS_VERSION};
use crate::plan::{Action, Plan};

const TITLE: &str = "regions";
const FLEX: &str = "https://learn.microsoft.com/azure/azure-functions/flex-consumption-how-to#view-currently-supported-regions";
const PRODUCTS: &str = "https://azure.microsoft.com/explore/global-infrastructure/products-by-region/";
/// The runtime of a custom handler, as the catalogue of stacks names it (facts 2.1).
const RUNTIME: (&str, &str) = ("custom", "1.0");
/// Reads that are under way at the same time.
const READS_AT_ONCE: usize = 6;

/// Looks at every region that the plan makes something in.
pub(super) async fn check(azure: &Azure, intent: &Intent, plan: &Plan) -> Vec<Check> {
    let mut wanted: BTreeMap<(String, String), &str> = BTreeMap::new();
    let mut hosted_in = None;
    for step in &plan.steps {
        let Action::PutResource { id, body, .. } = &step.action else { continue };
        let (Some(location), Ok(id)) = (body["location"].as_str(), ResourceId::parse(id)) else { continue };
        if id.is("Microsoft.Web/serverfarms") {
            hosted_in = Some(normal_location(location));
        }
        if id.path().contains("/providers/") {
            wanted.insert((id.kind(), normal_location(location)), &step.title);
        }
    }
    if wanted.is_empty() {
        return Vec::new();
    }
    let (offered, hosting) = futures::join!(offered(azure, intent, &wanted), async {
        match &hosted_in {
            Some(region) => hosting(azure, intent, region).await,
            None => Vec::new(),
        }
    });
    let mut checks = [offered, hosting].concat();
    if checks.is_empty() {
        checks.push(Check::good("region", Side::Azure, TITLE, "offer everything that is planned"));
    }
    checks
}

/// Whether each type is offered where it is wanted, by what its provider says of itself.
async fn offered(azure: &Azure, intent: &Intent, wanted: &BTreeMap<(String, String), &str>) -> Vec<Check> {
    let mut namespaces: Vec<&str> = wanted.keys().filter_map(|(kind, _)| kind.split('/').next()).collect();
    namespaces.dedup();
    let providers: BTreeMap<&str, Result<Option<Value>, AzureError>> = stream::iter(namespaces)
        .map(|namespace| async move {
            let id = format!("/subscriptions/{}/providers/{namespace}", intent.subscription_id);
            let found = async { azure.get(&ResourceId::parse(&id)?, RESOURCES_VERSION).await };
            (namespace, found.await)
        })
        .buffer_unordered(READS_AT_ONCE)
        .collect()
        .await;
    let mut checks = Vec::new();
    for ((kind, region), title) in wanted {
        let (namespace, short) = kind.split_once('/').unwrap_or((kind, ""));
        // Whoever may not read a provider learns it from Azure's refusal.
        let Some(Ok(Some(provider))) = providers.get(namespace) else { continue };
        let types = provider["resourceTypes"].as_array();
        let known = types
            .into_iter()
            .flatten()
            .find(|each| each["resourceType"].as_str().is_some_and(|name| name.eq_ignore_ascii_case(short)));
        let Some(locations) = known.and_then(|known| known["locations"].as_array()) else { continue };
        let here = locations.iter().filter_map(Value::as_str).any(|each| normal_location(each) == *region);
        if !here && !locations.is_empty() {
            let key = if short.eq_ignore_ascii_case("components") {
                "monitoring.app_insights_location"
            } else {
                "azure.location"
            };
            checks.push(
                Check::fails(
                    "region",
                    Side::Azure,
                    TITLE,
                    format!("there is no region `{region}` that offers {kind}, which {title} needs"),
                    format!(
                        "set `{key}` to one of those that do:\naz provider show --namespace {namespace} --query \"resourceTypes[?resourceType=='{short}'].locations\""
                    ),
                )
                .link(PRODUCTS),
            );
        }
    }
    checks
}

/// Whether the plan of the Function App is offered, with our runtime and memory.
async fn hosting(azure: &Azure, intent: &Intent, region: &str) -> Vec<Check> {
    const TITLE: &str = "plan of the Function App";
    let Hosting::FlexConsumption { memory_mb } = intent.hosting else { return Vec::new() };
    let instead = "choose another `azure.location` (the data collection rule stays in the workspace's), or set \
                   `hosting.plan: dedicated`";
    let (regions, stacks) =
        futures::join!(flex_regions(azure, &intent.subscription_id), flex_stacks(azure, region));
    match regions {
        Ok(regions) if !regions.iter().any(|each| each == region) => {
            return vec![
                Check::fails(
                    "flex-region",
                    Side::Azure,
                    TITLE,
                    format!("Flex Consumption is not offered in `{region}`"),
                    format!("{instead}\naz functionapp list-flexconsumption-locations --output table"),
                )
                .link(FLEX),
            ];
        }
        Ok(_) => {}
        Err(error) => return vec![Check::refused("flex-unread", Side::Azure, TITLE, &error)],
    }
    let stacks = match stacks {
        Ok(stacks) => stacks,
        Err(error) => return vec![Check::refused("flex-unread", Side::Azure, TITLE, &error)],
    };
    match memory_of(&stacks) {
        // BR-103: a runtime that is not in the catalogue is accepted, and the app never starts.
        None => {
            let listed = runtimes(&stacks);
            let listed = if listed.is_empty() { "nothing".to_owned() } else { listed.join(", ") };
            let needed = format!("`{}` {}", RUNTIME.0, RUNTIME.1);
            let result = format!(
                "Flex Consumption in `{region}` does not list the runtime {needed} that the worker needs; listed: {listed}"
            );
            vec![Check::fails("flex-runtime", Side::Azure, TITLE, result, instead).link(FLEX)]
        }
        Some(sizes) if !sizes.is_empty() && !sizes.contains(&memory_mb) => {
            let sizes: Vec<String> = sizes.iter().map(ToString::to_string).collect();
            vec![
                Check::fails(
                    "flex-memory",
                    Side::Azure,
                    TITLE,
                    format!("Flex Consumption in `{region}` has no instances of {memory_mb} MB"),
                    format!("set `hosting.memory_mb` to one of {}", sizes.join(", ")),
                )
                .link(FLEX),
            ]
        }
        Some(_) => Vec::new(),
    }
}

/// The regions with Flex Consumption, as ids have them.
///
/// # Errors
/// [`AzureError`] when Azure refuses to say.
pub async fn flex_regions(azure: &Azure, subscription_id: &str) -> Result<Vec<String>, AzureError> {
    let path =
        format!("/subscriptions/{subscription_id}/providers/Microsoft.Web/geoRegions?sku=FlexConsumption");
    let regions = azure.list(&path, SITES_VERSION).await?;
    Ok(regions.iter().filter_map(|each| each["name"].as_str()).map(normal_location).collect())
}

/// The memory sizes of Flex Consumption with our runtime in a region; `None` where the runtime is not
/// offered.
///
/// # Errors
/// [`AzureError`] when Azure refuses to say.
pub async fn flex_memory(azure: &Azure, region: &str) -> Result<Option<Vec<u32>>, AzureError> {
    Ok(memory_of(&flex_stacks(azure, region).await?))
}

/// The region's catalogue of stacks for custom handlers. The call is the one that Core Tools makes (facts 2.1).
async fn flex_stacks(azure: &Azure, region: &str) -> Result<Vec<Value>, AzureError> {
    let path = format!(
        "/providers/Microsoft.Web/locations/{region}/functionAppStacks?removeHiddenStacks=true&removeDeprecatedStacks=true&stack=custom"
    );
    azure.list(&path, STACKS_VERSION).await
}

/// What the catalogue says of Flex Consumption, a runtime each.
fn flex_offers(stacks: &[Value]) -> impl Iterator<Item = &Value> {
    fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
        value[name].as_array().into_iter().flatten()
    }
    stacks
        .iter()
        .flat_map(|stack| list(&stack["properties"], "majorVersions"))
        .flat_map(|major| list(major, "minorVersions"))
        .flat_map(|minor| list(&minor["stackSettings"]["linuxRuntimeSettings"], "Sku"))
        .filter(|sku| sku["skuCode"] == "FC1")
}

/// The runtimes that are listed, for people.
fn runtimes(stacks: &[Value]) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    flex_offers(stacks)
        .map(|sku| &sku["functionAppConfigProperties"]["runtime"])
        .map(|runtime| format!("`{}` {}", text(&runtime["name"]), text(&runtime["version"])))
        .collect()
}

fn memory_of(stacks: &[Value]) -> Option<Vec<u32>> {
    let ours = flex_offers(stacks).find(|sku| {
        let runtime = &sku["functionAppConfigProperties"]["runtime"];
        runtime["name"] == RUNTIME.0 && runtime["version"] == RUNTIME.1
    })?;
    let sizes = ours["instanceMemoryMB"].as_array().into_iter().flatten();
    Some(sizes.filter_map(|size| u32::try_from(size["size"].as_u64()?).ok()).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{memory_of, runtimes};

    #[test]
    fn the_catalogue_tells_the_sizes_of_our_runtime_or_that_there_is_none() {
        // BR-103
        let stacks = |sku: serde_json::Value| {
            [json!({ "properties": { "majorVersions": [{ "minorVersions": [
                { "stackSettings": { "linuxRuntimeSettings": { "Sku": sku } } }
            ]}]}})]
        };
        let flex = |version: &str| {
            json!([{ "skuCode": "FC1", "instanceMemoryMB": [{ "size": 512 }, { "size": 2048 }],
                "functionAppConfigProperties": { "runtime": { "name": "custom", "version": version } } }])
        };
        assert_eq!(memory_of(&stacks(flex("1.0"))), Some(vec![512, 2048]));
        assert_eq!(memory_of(&stacks(flex("0.9"))), None);
        assert_eq!(runtimes(&stacks(flex("0.9"))), ["`custom` 0.9"]);
        assert_eq!(memory_of(&stacks(json!(null))), None);
    }
}
