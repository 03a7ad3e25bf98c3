//! Reads what the workspace has of the analyst's content.

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::Value;

use super::observe::InventoryError;
use crate::azure::{Azure, ResourceId};
use crate::plan::content::concerns_us;
use crate::plan::desired::{Conduct, Desired};
use crate::plan::template::{Templates, api_version};

/// Kinds of content below a workspace. A workspace without Sentinel has none of the last two.
const KINDS: [(&str, &str); 3] = [
    ("savedSearches", "Microsoft.OperationalInsights/workspaces/savedSearches"),
    ("providers/Microsoft.SecurityInsights/alertRules", "Microsoft.SecurityInsights/alertRules"),
    (
        "providers/Microsoft.SecurityInsights/dataConnectorDefinitions",
        "Microsoft.SecurityInsights/dataConnectorDefinitions",
    ),
];
/// Where Sentinel says that it is on.
const ONBOARDING: &str = "Microsoft.SecurityInsights/onboardingStates";

/// What was seen.
pub(super) struct Seen {
    pub(super) sentinel: Option<bool>,
    pub(super) items: Vec<Value>,
}

/// Whether an item is found by listing, so that it need not be read by itself.
pub(super) fn listed(resource: &Desired) -> bool {
    resource.conduct == Conduct::Content
        && KINDS.iter().any(|(_, kind)| resource.resource_type.eq_ignore_ascii_case(kind))
}

/// Reads the content that concerns us.
pub(super) async fn observe(azure: &Azure, workspace_id: &str) -> Result<Seen, InventoryError> {
    let library = Templates::read()?.library();
    let lists = stream::iter(KINDS)
        .map(|(path, kind)| async move {
            match azure.list(&format!("{workspace_id}/{path}"), api_version(kind)?).await {
                Ok(list) => Ok(list),
                Err(error) if matches!(error.status(), Some(400 | 404)) => Ok(Vec::new()),
                Err(error) => Err(InventoryError::from(error)),
            }
        })
        .buffered(KINDS.len())
        .try_collect::<Vec<Vec<Value>>>();
    let (lists, sentinel) = futures::future::try_join(lists, sentinel(azure, workspace_id)).await?;
    let items = lists.into_iter().flatten().filter(|each| concerns_us(each, workspace_id, library)).collect();
    Ok(Seen { sentinel, items })
}

/// Whether Sentinel is on.
async fn sentinel(azure: &Azure, workspace_id: &str) -> Result<Option<bool>, InventoryError> {
    let id = ResourceId::parse(&format!("{workspace_id}/providers/{ONBOARDING}/default"))?;
    match azure.get(&id, api_version(ONBOARDING)?).await {
        Ok(found) => Ok(Some(found.is_some())),
        // Whoever may not see it learns it when the first rule is refused.
        Err(error) if matches!(error.status(), Some(400 | 403)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
