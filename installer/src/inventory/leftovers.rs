//! What a teardown has to know beyond what carries the installation's tag.

mod roles;

use contract::streams::{AUDIT_TABLE, HEALTH_TABLE};
use serde_json::Value;

use super::observe::InventoryError;
use super::{Inventory, installation_of};
use crate::azure::{Azure, ResourceId};
use crate::plan::ids::{Ids, table_id};
use crate::plan::removal::Subject;
use crate::plan::table::MADE_BY;
use crate::plan::template::api_version;
pub use roles::ForeignRoles;

const RULES: &str = "Microsoft.Insights/dataCollectionRules";
const DETECTOR_RULES: &str = "Microsoft.AlertsManagement/smartDetectorAlertRules";
const ACTION_GROUPS: &str = "Microsoft.Insights/actionGroups";
const COMPONENTS: &str = "Microsoft.Insights/components";
/// The name that Application Insights gives the action group of its detectors, one in each group
/// (<https://learn.microsoft.com/azure/azure-monitor/alerts/proactive-failure-diagnostics>).
const ACTION_GROUP: &str = "Application Insights Smart Detection";
/// The right to purge a deleted vault, which is one on the subscription
/// (<https://learn.microsoft.com/azure/key-vault/general/key-vault-recovery>).
const PURGE_RIGHT: &str = "Microsoft.KeyVault/locations/deletedVaults/purge/action";

/// One of the two tables, as it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its ARM path.
    pub id: String,
    /// Whether an installer made it.
    pub made_by_us: bool,
    /// The other data collection rules that name it; `None` where they could not be listed.
    pub other_feeders: Option<Vec<String>>,
}

impl Table {
    /// Why it may not be deleted, if there is a reason.
    pub fn stays(&self) -> Option<String> {
        match &self.other_feeders {
            _ if !self.made_by_us => Some("it was there before this connector".to_owned()),
            None => Some("this account may not see which other rules feed it".to_owned()),
            Some(others) if !others.is_empty() => Some(format!("it is also fed by {}", others.join(", "))),
            Some(_) => None,
        }
    }
}

/// A deleted vault of the installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultGone {
    /// ARM path of the deleted vault.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether it may not be purged before its time.
    pub protected: bool,
}

/// Everything that was found.
#[derive(Debug, Clone, Default)]
pub struct Leftovers {
    /// What Application Insights made by itself for our component and for nothing else: rules, then the
    /// action group.
    pub smart_detection: Vec<Value>,
    /// The tables that are there.
    pub tables: Vec<Table>,
    /// Deleted vaults of ours.
    pub deleted_vaults: Vec<VaultGone>,
    /// Whether this account may purge vaults; `None` where that is not known.
    pub may_purge: Option<bool>,
    /// Resources under our names that do not carry our tag, by ARM path.
    pub unmarked: Vec<String>,
    /// Roles that were given on vaults of others.
    pub foreign_roles: ForeignRoles,
    /// Everything in the group that is not the installation's, by ARM path.
    pub others_in_group: Vec<String>,
}

/// Looks for them, and adds to the inventory the roles of our identity wherever they were given.
///
/// # Errors
/// [`InventoryError`] when Azure refuses a read that everybody has who may tear down.
pub async fn leftovers(
    azure: &Azure,
    subject: &Subject,
    inventory: &mut Inventory,
) -> Result<Leftovers, InventoryError> {
    let ids = Ids::of(&subject.subscription_id, &subject.resource_group, &inventory.names);
    let mut subscriptions = vec![subject.subscription_id.clone()];
    if let Ok(workspace) = ResourceId::parse(&inventory.workspace.id)
        && !workspace.subscription_id().eq_ignore_ascii_case(&subject.subscription_id)
    {
        subscriptions.push(workspace.subscription_id().to_owned());
    }
    let foreign_roles = roles::roles_elsewhere(azure, &ids, &subscriptions, inventory).await?;
    let here = resources_of_group(azure, &ids).await?;
    let unmarked = unmarked(&ids, &here);
    let others_in_group = here
        .iter()
        .filter(|resource| installation_of(resource) != Some(&subject.installation))
        .filter_map(|resource| resource["id"].as_str().map(str::to_owned))
        .collect();
    let smart_detection = smart_detection(azure, subject, &ids, &here).await?;
    let tables = tables(azure, &ids, &subscriptions, inventory).await?;
    let deleted_vaults = deleted_vaults(azure, subject, &ids).await?;
    let may_purge = may_purge(azure, subject).await;
    Ok(Leftovers {
        smart_detection,
        tables,
        deleted_vaults,
        may_purge,
        unmarked,
        foreign_roles,
        others_in_group,
    })
}

/// A list, or nothing where this account may not see it.
async fn list_seen(azure: &Azure, path: &str, kind: &str) -> Result<Option<Vec<Value>>, InventoryError> {
    match azure.list(path, api_version(kind)?).await {
        Ok(list) => Ok(Some(list)),
        Err(error) if matches!(error.status(), Some(403 | 404)) => Ok(None),
        // A provider that nobody has registered has no resources.
        Err(error) if error.has_code("MissingSubscriptionRegistration") => Ok(Some(Vec::new())),
        Err(error) => Err(error.into()),
    }
}

async fn resources_of_group(azure: &Azure, ids: &Ids) -> Result<Vec<Value>, InventoryError> {
    let found = list_seen(azure, &format!("{}/resources", ids.group), "Microsoft.Resources").await?;
    Ok(found.unwrap_or_default())
}

fn unmarked(ids: &Ids, here: &[Value]) -> Vec<String> {
    let ours = [
        &ids.identity,
        &ids.storage_account,
        &ids.key_vault,
        &ids.application_insights,
        &ids.data_collection_rule,
        &ids.plan,
        &ids.function_app,
    ];
    here.iter()
        .filter(|resource| installation_of(resource).is_none())
        .filter_map(|resource| resource["id"].as_str())
        .filter(|id| ours.iter().any(|each| each.eq_ignore_ascii_case(id)))
        .map(str::to_owned)
        .collect()
}

/// The rules whose only scope is our component; and the action group, where no other rule names it and no
/// other component of the group could be using it.
async fn smart_detection(
    azure: &Azure,
    subject: &Subject,
    ids: &Ids,
    here: &[Value],
) -> Result<Vec<Value>, InventoryError> {
    let of_kind = |kind: &str| -> Vec<&Value> {
        let is = |each: &&Value| each["type"].as_str().is_some_and(|each| each.eq_ignore_ascii_case(kind));
        here.iter().filter(is).collect()
    };
    let path = format!("/subscriptions/{}/providers/{DETECTOR_RULES}", subject.subscription_id);
    let Some(rules) = list_seen(azure, &path, DETECTOR_RULES).await? else { return Ok(Vec::new()) };
    let texts = |list: &Value| -> Vec<String> {
        list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let (ours, others): (Vec<Value>, Vec<Value>) = rules.into_iter().partition(|rule| {
        let scope = texts(&rule["properties"]["scope"]);
        !scope.is_empty() && scope.iter().all(|each| each.eq_ignore_ascii_case(&ids.application_insights))
    });
    let component_is_ours = of_kind(COMPONENTS).iter().any(|component| {
        component["id"].as_str().is_some_and(|id| id.eq_ignore_ascii_case(&ids.application_insights))
            && installation_of(component) == Some(&subject.installation)
    });
    let other_components = of_kind(COMPONENTS).into_iter().any(|component| {
        component["id"].as_str().is_some_and(|id| !id.eq_ignore_ascii_case(&ids.application_insights))
    });
    let mut found = ours;
    let made_for_ours = component_is_ours || !found.is_empty();
    for group in of_kind(ACTION_GROUPS) {
        let (Some(id), Some(name)) = (group["id"].as_str(), group["name"].as_str()) else { continue };
        let used = others.iter().any(|rule| {
            texts(&rule["properties"]["actionGroups"]["groupIds"])
                .iter()
                .any(|each| each.eq_ignore_ascii_case(id))
        });
        if name.eq_ignore_ascii_case(ACTION_GROUP) && made_for_ours && !other_components && !used {
            found.push(group.clone());
        }
    }
    // Without our component a rule of its scope is a leftover; with a component that is not ours, though
    // it has our name, its rule is not ours either.
    let strange = of_kind(COMPONENTS).iter().any(|component| {
        component["id"].as_str().is_some_and(|id| id.eq_ignore_ascii_case(&ids.application_insights))
            && installation_of(component) != Some(&subject.installation)
    });
    Ok(if strange { Vec::new() } else { found })
}

async fn tables(
    azure: &Azure,
    ids: &Ids,
    subscriptions: &[String],
    inventory: &Inventory,
) -> Result<Vec<Table>, InventoryError> {
    if inventory.workspace.id.is_empty() {
        return Ok(Vec::new());
    }
    let mut rules = Some(Vec::new());
    for subscription in subscriptions {
        let path = format!("/subscriptions/{subscription}/providers/{RULES}");
        match (list_seen(azure, &path, RULES).await?, &mut rules) {
            (Some(found), Some(rules)) => rules.extend(found),
            _ => rules = None,
        }
    }
    let mut tables = Vec::new();
    for name in [AUDIT_TABLE, HEALTH_TABLE] {
        let id = table_id(&inventory.workspace, name);
        let version = api_version("Microsoft.OperationalInsights/workspaces/tables")?;
        let table = match azure.get(&ResourceId::parse(&id)?, version).await {
            Ok(table) => table,
            Err(error) if error.status() == Some(403) => None,
            Err(error) => return Err(error.into()),
        };
        let Some(table) = table else { continue };
        let description = table["properties"]["schema"]["description"].as_str().unwrap_or_default();
        let other_feeders = rules.as_ref().map(|rules| {
            rules
                .iter()
                .filter(|rule| feeds(rule, &inventory.workspace.id, name))
                .filter_map(|rule| rule["id"].as_str())
                .filter(|rule| !rule.eq_ignore_ascii_case(&ids.data_collection_rule))
                .map(|rule| format!("`{}`", rule.rsplit('/').next().unwrap_or(rule)))
                .collect()
        });
        let made_by_us = description.starts_with(MADE_BY);
        tables.push(Table { name: name.to_owned(), id, made_by_us, other_feeders });
    }
    Ok(tables)
}

/// Whether a rule sends to this table of this workspace.
fn feeds(rule: &Value, workspace_id: &str, table: &str) -> bool {
    let properties = &rule["properties"];
    let items = |list: &'_ Value| list.as_array().cloned().unwrap_or_default();
    let there = items(&properties["destinations"]["logAnalytics"]).iter().any(|destination| {
        destination["workspaceResourceId"].as_str().is_some_and(|id| id.eq_ignore_ascii_case(workspace_id))
    });
    let stream = format!("Custom-{table}");
    let named = |text: Option<&str>| text.is_some_and(|text| text.eq_ignore_ascii_case(&stream));
    there
        && items(&properties["dataFlows"]).iter().any(|flow| {
            named(flow["outputStream"].as_str())
                || items(&flow["streams"]).iter().any(|each| named(each.as_str()))
        })
}

async fn deleted_vaults(
    azure: &Azure,
    subject: &Subject,
    ids: &Ids,
) -> Result<Vec<VaultGone>, InventoryError> {
    let path =
        format!("/subscriptions/{}/providers/Microsoft.KeyVault/deletedVaults", subject.subscription_id);
    let found = list_seen(azure, &path, "Microsoft.KeyVault").await?.unwrap_or_default();
    let group = format!("{}/", ids.group).to_ascii_lowercase();
    Ok(found
        .iter()
        .filter(|vault| {
            let properties = &vault["properties"];
            let was = properties["vaultId"].as_str().unwrap_or_default().to_ascii_lowercase();
            was.starts_with(&group) && installation_of(properties) == Some(&subject.installation)
        })
        .filter_map(|vault| {
            Some(VaultGone {
                id: vault["id"].as_str()?.to_owned(),
                name: vault["name"].as_str()?.to_owned(),
                protected: vault["properties"]["purgeProtectionEnabled"] == true,
            })
        })
        .collect())
}

async fn may_purge(azure: &Azure, subject: &Subject) -> Option<bool> {
    let subscription = ResourceId::subscription(&subject.subscription_id).ok()?;
    azure.may(&subscription, PURGE_RIGHT).await.ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Table, feeds};

    #[test]
    fn a_rule_feeds_a_table_by_its_output_or_its_input_in_that_workspace_alone() {
        let rule = |workspace: &str, flow: serde_json::Value| {
            json!({ "properties": {
                "destinations": { "logAnalytics": [{ "name": "w", "workspaceResourceId": workspace }] },
                "dataFlows": [flow]
            }})
        };
        let output = json!({ "streams": ["Custom-Other"], "outputStream": "Custom-MimecastAudit_CL" });
        assert!(feeds(&rule("/W", output.clone()), "/w", "MimecastAudit_CL"));
        assert!(!feeds(&rule("/another", output.clone()), "/w", "MimecastAudit_CL"));
        assert!(!feeds(&rule("/w", output), "/w", "MimecastAuditHealth_CL"));
        assert!(feeds(
            &rule("/w", json!({ "streams": ["custom-mimecastaudit_cl"] })),
            "/w",
            "MimecastAudit_CL"
        ));
        assert!(!feeds(&json!({ "properties": {} }), "/w", "MimecastAudit_CL"));
    }

    #[test]
    fn a_table_goes_only_where_we_made_it_and_nothing_else_feeds_it() {
        // BR-122
        let table = |made_by_us, other_feeders: Option<&[&str]>| Table {
            name: "T".to_owned(),
            id: "/t".to_owned(),
            made_by_us,
            other_feeders: other_feeders.map(|list| list.iter().map(|each| (*each).to_owned()).collect()),
        };
        assert_eq!(table(true, Some(&[])).stays(), None);
        for stays in [table(false, Some(&[])), table(true, None), table(true, Some(&["`dcr-other`"]))] {
            assert!(stays.stays().is_some(), "{stays:?}");
        }
    }
}
