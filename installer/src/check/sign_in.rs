//! Who is signed in, and whether the subscription is one of the account's.

use serde_json::Value;

use super::{Check, Side};
use crate::answers::Intent;
use crate::azure::{Azure, AzureError};
use crate::inventory::observe::InventoryError;
use crate::plan::template::RESOURCES_VERSION;

const SIGN_IN: &str = "https://learn.microsoft.com/cli/azure/authenticate-azure-cli";
const STATES: &str = "https://learn.microsoft.com/azure/cost-management-billing/manage/subscription-states";
const WORKSPACES: &str = "https://learn.microsoft.com/azure/azure-monitor/logs/manage-access";

/// A sign-in that did not work.
pub fn refused(error: &AzureError) -> Check {
    let id = if matches!(error, AzureError::WrongTenant { .. }) { "tenant" } else { "sign-in" };
    Check::broken(id, Side::SignIn, "sign-in to Azure", error)
}

/// Who is signed in, and the subscription: seen by the account, of the account's tenant, enabled.
pub async fn check(azure: &Azure, intent: &Intent) -> Vec<Check> {
    let signed_in = azure.signed_in();
    let account = signed_in.name.as_ref().or(signed_in.object_id.as_ref()).map_or("unknown", String::as_str);
    let tenant = signed_in.tenant_id.as_deref().unwrap_or("unknown");
    let who = Check::good(
        "sign-in",
        Side::SignIn,
        "sign-in to Azure",
        format!("{account} ({}), tenant {tenant}", signed_in.method.name()),
    );
    // The list shows a subscription to whoever has a right anywhere in it; reading it by its id is a
    // right of its own.
    let subscription = match azure.list("/subscriptions", RESOURCES_VERSION).await {
        Ok(all) => subscription(&all, &intent.subscription_id, tenant, account),
        Err(error) => Check::refused("subscription", Side::SignIn, "subscription", &error),
    };
    vec![who, subscription]
}

fn subscription(all: &[Value], wanted: &str, tenant: &str, account: &str) -> Check {
    const TITLE: &str = "subscription";
    let is =
        |each: &&Value| each["subscriptionId"].as_str().is_some_and(|id| id.eq_ignore_ascii_case(wanted));
    let Some(found) = all.iter().find(is) else {
        return Check::fails(
            "subscription",
            Side::SignIn,
            TITLE,
            format!(
                "{account} does not see the subscription {wanted}; it sees {} in tenant {tenant}",
                all.len()
            ),
            "`az account list --output table` shows those that it sees; for one of another tenant: \
             `az login --tenant <tenant>` and `azure.tenant_id`",
        )
        .link(SIGN_IN);
    };
    let name = found["displayName"].as_str().unwrap_or(wanted);
    let home = found["tenantId"].as_str().unwrap_or(tenant);
    if !home.eq_ignore_ascii_case(tenant) {
        // BR-137: a guest's token is of the home tenant unless another is asked for.
        return Check::fails(
            "tenant",
            Side::SignIn,
            TITLE,
            format!("`{name}` belongs to tenant {home}, and the sign-in is for tenant {tenant}"),
            format!("`az login --tenant {home}`, and set `azure.tenant_id: {home}`"),
        )
        .link(SIGN_IN);
    }
    // A subscription whose payment is late ("PastDue") still takes writes.
    match found["state"].as_str().unwrap_or("Enabled") {
        "Enabled" | "PastDue" => Check::good("subscription", Side::SignIn, TITLE, format!("`{name}`")),
        state => Check::fails(
            "subscription-state",
            Side::SignIn,
            TITLE,
            format!("`{name}` is {}: nothing can be made in it", state.to_ascii_lowercase()),
            "its owner must enable it again, or choose another `azure.subscription_id`",
        )
        .link(STATES),
    }
}

/// An inventory that could not be taken.
pub fn unread(error: &InventoryError) -> Check {
    const TITLE: &str = "what Azure has";
    match error {
        InventoryError::NoWorkspace(_) => Check::fails(
            "workspace",
            Side::Workspace,
            "workspace",
            error.to_string(),
            "compare `workspace.resource_id` with `az monitor log-analytics workspace list --output table`; \
             one of another subscription is named by its resource id; reading it needs Reader or Log \
             Analytics Reader",
        )
        .link(WORKSPACES),
        InventoryError::Anonymous(_) => Check::fails(
            "sign-in",
            Side::SignIn,
            "sign-in to Azure",
            error.to_string(),
            "sign in as a user or a service principal of the tenant: `az login`",
        )
        .link(SIGN_IN),
        InventoryError::Read(error) => {
            let of_workspace = error.to_string().contains("Microsoft.OperationalInsights");
            let (id, side) =
                if of_workspace { ("workspace", Side::Workspace) } else { ("inventory", Side::Azure) };
            Check::broken(id, side, TITLE, error)
        }
        InventoryError::Template(error) => {
            Check::fails("inventory", Side::Azure, TITLE, error.to_string(), "this is our fault: report it")
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::subscription;

    #[test]
    fn the_subscription_must_be_seen_of_the_tenant_and_enabled() {
        // BR-137
        let of = |tenant: &str, state: &str| {
            let all =
                [json!({ "subscriptionId": "S", "displayName": "ops", "tenantId": tenant, "state": state })];
            subscription(&all, "s", "t", "me").id
        };
        assert_eq!(of("T", "Enabled"), "subscription");
        assert_eq!(of("u", "Enabled"), "tenant");
        assert_eq!(of("t", "Disabled"), "subscription-state");
        assert!(subscription(&[], "s", "t", "me").failed());
    }
}
