//! `Microsoft.OperationalInsights/workspaces` and their saved searches.
//!
//! Follows <https://learn.microsoft.com/rest/api/loganalytics/>.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::error::ArmError;
use super::kind::{Call, Kind, Place, Speed, Write};
use super::reply::Reply;
use crate::state::State;
use crate::state::resource::{Resource, key};

pub(crate) const VERSIONS: &[&str] =
    &["2020-08-01", "2021-06-01", "2022-10-01", "2023-09-01", "2025-02-01", "2025-07-01", "2026-03-01"];
/// Type of workspaces.
pub(crate) const WORKSPACE_TYPE: &str = "Microsoft.OperationalInsights/workspaces";
/// Type of saved searches.
pub(crate) const SEARCH_TYPE: &str = "Microsoft.OperationalInsights/workspaces/savedSearches";

pub(crate) static KINDS: &[Kind] = &[
    Kind {
        name: WORKSPACE_TYPE,
        versions: VERSIONS,
        put: Speed::Polled,
        delete: Speed::Polled,
        etag: true,
        write: workspace,
        call: Some(call),
        ..Kind::BASE
    },
    Kind {
        name: SEARCH_TYPE,
        versions: VERSIONS,
        place: Place::Child,
        created: StatusCode::OK,
        etag: true,
        methods: &["PUT", "DELETE"],
        write: search,
        ..Kind::BASE
    },
];

impl State {
    /// Makes a workspace in a group, without Sentinel: for setting a scene. Gives its id.
    pub fn add_workspace(&self, group_id: &str, name: &str, location: &str) -> String {
        let id = format!("{group_id}/providers/{WORKSPACE_TYPE}/{name}");
        let at = self.now().format(&time::format_description::well_known::Rfc3339).unwrap_or_default();
        let body = json!({
            "id": id,
            "name": name,
            "type": WORKSPACE_TYPE,
            "location": location,
            "tags": {},
            "etag": format!("\"{}\"", Uuid::new_v4()),
            "properties": {
                "customerId": Uuid::new_v4().to_string(),
                "provisioningState": "Succeeded",
                "sku": {"name": "PerGB2018", "lastSkuUpdate": at},
                "retentionInDays": 90,
                "features": {"legacy": 0, "searchVersion": 1, "enableLogAccessUsingOnlyResourcePermissions": true},
                "workspaceCapping": {"dailyQuotaGb": -1.0, "dataIngestionStatus": "RespectQuota",
                                     "quotaNextResetTime": at},
                "publicNetworkAccessForIngestion": "Enabled",
                "publicNetworkAccessForQuery": "Enabled",
                "createdDate": at,
                "modifiedDate": at,
            },
        });
        let resource = Resource {
            resource_type: WORKSPACE_TYPE.to_owned(),
            body,
            hidden: Value::Null,
            unseen_reads: 0,
            unfinished_reads: 0,
            id: id.clone(),
        };
        self.lock().resources.insert(key(&id), resource);
        id
    }

    /// The workspace of this customer id (the GUID of queries).
    pub fn workspace_by_customer_id(&self, customer_id: &str) -> Option<Value> {
        self.resources_of(WORKSPACE_TYPE).into_iter().find(|each| {
            let own = each.pointer("/properties/customerId").and_then(Value::as_str).unwrap_or_default();
            own.eq_ignore_ascii_case(customer_id)
        })
    }
}

fn workspace(write: &mut Write<'_>) -> Result<(), ArmError> {
    let name = write.name().to_owned();
    let legal = |each: char| each.is_ascii_alphanumeric() || each == '-';
    if !(4..=63).contains(&name.len())
        || !name.chars().all(legal)
        || name.starts_with('-')
        || name.ends_with('-')
    {
        return Err(ArmError::bad("InvalidResourceName", format!("The workspace name '{name}' is invalid.")));
    }
    let at = write.at();
    write.output("customerId", || json!(Uuid::new_v4().to_string()));
    write.default("sku", json!({"name": "PerGB2018"}));
    write.default("retentionInDays", json!(30));
    write.default("publicNetworkAccessForIngestion", json!("Enabled"));
    write.default("publicNetworkAccessForQuery", json!("Enabled"));
    write.output("createdDate", || at.clone());
    write.set("modifiedDate", at);
    write.set("provisioningState", json!("Succeeded"));
    Ok(())
}

fn call(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    let workspace = call.data.resources.get(&key(&call.id)).ok_or_else(|| {
        ArmError::not_found("ResourceNotFound", format!("The workspace '{}' was not found.", call.id))
    })?;
    let rest: Vec<String> = call.rest.iter().map(|each| each.to_ascii_lowercase()).collect();
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    match (call.method, rest.as_slice()) {
        ("POST", ["sharedkeys"]) => {
            call.need("Microsoft.OperationalInsights/workspaces/sharedkeys/action")?;
            // https://learn.microsoft.com/azure/azure-monitor/logs/data-collector-api: ended on 14 Sep 2026;
            // the keys are still given out.
            let seed = workspace.text("/properties/customerId").replace('-', "");
            Ok(Reply::ok(json!({"primarySharedKey": seed, "secondarySharedKey": seed})))
        }
        ("POST", ["tables", table, "migrate"]) => {
            let table = format!("{}/tables/{table}", call.id);
            super::table::migrate(call, &table)
        }
        _ => Err(call.unknown()),
    }
}

/// A saved search, which with `functionAlias` is a function
/// (<https://learn.microsoft.com/rest/api/loganalytics/saved-searches/create-or-update>).
fn search(write: &mut Write<'_>) -> Result<(), ArmError> {
    // "To override an existing saved search, use "*" or specify the current Etag": the same page. What
    // the refusal reads like: https://github.com/MicrosoftDocs/azure-docs/issues/49275.
    if let Some(existing) = &write.existing {
        let given = write.text("/etag");
        if given != "*" && given != existing.text("/etag") {
            let message = "Newer data exists in the Customer Configuration Store.";
            return Err(ArmError::conflict("Conflict", message));
        }
    }
    for name in ["category", "displayName", "query"] {
        if write.text(&format!("/properties/{name}")).trim().is_empty() {
            let message = format!("Saved search property '{name}' is required.");
            return Err(ArmError::bad("InvalidParameter", message));
        }
    }
    let alias = write.text("/properties/functionAlias").to_owned();
    let legal = |each: char| each.is_ascii_alphanumeric() || each == '_';
    if !alias.is_empty()
        && (!alias.chars().all(legal) || alias.starts_with(|first: char| first.is_ascii_digit()))
    {
        let message = format!("The function alias '{alias}' is not a valid identifier.");
        return Err(ArmError::bad("InvalidParameter", message));
    }
    if write.value("/properties/tags").is_some_and(|tags| !tags.is_array()) {
        return Err(ArmError::bad("InvalidParameter", "'tags' must be a list of names and values."));
    }
    write.default("version", json!(2));
    Ok(())
}

/// Whether a name in a query is a function of the workspace.
pub(crate) fn is_function(resources: &BTreeMap<String, Resource>, workspace_id: &str, name: &str) -> bool {
    let prefix = format!("{}/savedsearches/", key(workspace_id));
    resources.iter().any(|(id, each)| {
        id.starts_with(&prefix) && each.text("/properties/functionAlias").eq_ignore_ascii_case(name)
    })
}
