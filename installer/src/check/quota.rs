//! Room in the subscription's quota for the Function App's plan.

use serde_json::Value;

use super::{Check, Side};
use crate::answers::Intent;
use crate::answers::intent::normal_location;
use crate::azure::{Azure, ResourceId};
use crate::plan::change::Change;
use crate::plan::template::SITES_VERSION;
use crate::plan::{Action, Plan};

const TITLE: &str = "quota";
const LINK: &str = "https://learn.microsoft.com/azure/azure-functions/flex-consumption-plan#regional-subscription-memory-quotas";
/// Cores that the plan needs at least: one instance, of which the smallest takes a part of one.
const CORES_NEEDED: i64 = 1;

/// Looks at the cores of App Service that are left in the region of a plan that is to be made
/// (<https://learn.microsoft.com/rest/api/appservice/get-usages-in-location/list>).
pub(super) async fn check(azure: &Azure, intent: &Intent, plan: &Plan) -> Vec<Check> {
    let made = plan.steps.iter().filter(|step| step.change == Change::Create).find_map(|step| {
        let Action::PutResource { id, body, .. } = &step.action else { return None };
        let farm = ResourceId::parse(id).is_ok_and(|id| id.is("Microsoft.Web/serverfarms"));
        body["location"].as_str().filter(|_| farm).map(normal_location)
    });
    let Some(region) = made else { return Vec::new() };
    let path = format!(
        "/subscriptions/{}/providers/Microsoft.Web/locations/{region}/usages",
        intent.subscription_id
    );
    match azure.list(&path, SITES_VERSION).await {
        Ok(usages) => verdict(&usages, &region).into_iter().collect(),
        Err(error) => vec![Check::refused("quota-unread", Side::Azure, TITLE, &error)],
    }
}

/// What the usages of a region say; nothing where cores are not among them.
fn verdict(usages: &[Value], region: &str) -> Option<Check> {
    let cores = usages.iter().find(|each| {
        each["unit"].as_str().is_some_and(|unit| unit.to_ascii_lowercase().starts_with("core"))
    })?;
    let (used, limit) = (cores["currentValue"].as_i64()?, cores["limit"].as_i64()?);
    // A negative limit is none.
    if limit < 0 || used.saturating_add(CORES_NEEDED) <= limit {
        return Some(Check::good(
            "quota",
            Side::Azure,
            TITLE,
            format!("{used} of {limit} cores of App Service are in use in `{region}`"),
        ));
    }
    Some(
        Check::fails(
            "quota",
            Side::Azure,
            TITLE,
            format!(
                "the subscription has no cores of App Service left in `{region}`: {used} of {limit} are in use"
            ),
            "have the quota raised (Azure portal | Quotas | App Service), or choose another `azure.location`; \
             the data collection rule stays in the workspace's region",
        )
        .link(LINK),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::verdict;

    #[test]
    fn a_plan_needs_one_core_more() {
        // BR-067
        let of = |used: i64, limit: i64| {
            let usages = [json!({ "unit": "Core Count", "currentValue": used, "limit": limit })];
            verdict(&usages, "westeurope").expect("cores").failed()
        };
        assert!(of(0, 0) && of(250, 250) && of(251, 250));
        assert!(!of(249, 250) && !of(5, -1));
        assert!(
            verdict(&[json!({ "unit": "Bytes", "currentValue": 1, "limit": 1 })], "westeurope").is_none()
        );
    }
}
