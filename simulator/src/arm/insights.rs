//! `Microsoft.Insights`: Application Insights, workbooks, diagnostic settings, and the two things that
//! Application Insights makes by itself.
//!
//! Follows <https://learn.microsoft.com/rest/api/application-insights/>,
//! <https://learn.microsoft.com/rest/api/monitor/diagnostic-settings> and
//! <https://learn.microsoft.com/azure/azure-monitor/alerts/proactive-failure-diagnostics>.

use axum::http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::error::ArmError;
use super::kind::{Kind, Place, Write};
use crate::state::State;
use crate::state::resource::{Resource, key};

pub(crate) static KINDS: &[Kind] = &[
    Kind {
        name: "Microsoft.Insights/components",
        versions: &["2015-05-01", "2020-02-02"],
        created: StatusCode::OK,
        etag: true,
        write: component,
        ..Kind::BASE
    },
    Kind {
        name: "Microsoft.Insights/workbooks",
        versions: &["2021-03-08", "2021-08-01", "2022-04-01", "2023-06-01"],
        etag: true,
        system_data: true,
        write: workbook,
        // Lists and plain reads leave the content out; `canFetchContent=true` asks for it.
        read: |body, query| {
            if query.get("canFetchContent").is_none_or(|asked| asked != "true") {
                body["properties"]["serializedData"] = Value::Null;
            }
        },
        ..Kind::BASE
    },
    Kind {
        name: "Microsoft.Insights/diagnosticSettings",
        versions: &["2016-09-01", "2021-05-01-preview"],
        place: Place::Extension,
        created: StatusCode::OK,
        methods: &["PUT", "DELETE"],
        write: diagnostic_setting,
        ..Kind::BASE
    },
    Kind { name: "Microsoft.Insights/actionGroups", versions: &["2022-06-01", "2023-01-01"], ..Kind::BASE },
    Kind {
        name: "Microsoft.AlertsManagement/smartDetectorAlertRules",
        versions: &["2019-06-01", "2021-04-01"],
        ..Kind::BASE
    },
];

fn component(write: &mut Write<'_>) -> Result<(), ArmError> {
    if write.text("/kind").is_empty() || write.text("/properties/Application_Type").is_empty() {
        let message = "'kind' and 'properties.Application_Type' are required.";
        return Err(ArmError::bad("BadRequest", message));
    }
    let workspace = write.text("/properties/WorkspaceResourceId").to_owned();
    if workspace.is_empty() {
        // https://azure.microsoft.com/updates: classic components ended on 29 Feb 2024.
        let message = "Classic Application Insights resources can no longer be created. Specify \
                       'WorkspaceResourceId'.";
        return Err(ArmError::bad("BadRequest", message));
    }
    let Some(found) = write.data.resources.get(&key(&workspace)).cloned() else {
        let message = format!("The workspace '{workspace}' could not be found.");
        return Err(ArmError::bad("BadRequest", message));
    };
    let subscription = write.address.subscription.clone().unwrap_or_default();
    if !found.id.to_ascii_lowercase().starts_with(&format!("/subscriptions/{subscription}/")) {
        write.need_linked(&found.id, "microsoft.operationalinsights/workspaces/sharedkeys/action")?;
    }
    let (name, region) = (write.name().to_owned(), write.text("/location").to_owned());
    let at = write.at();
    write.output("AppId", || json!(Uuid::new_v4().to_string()));
    write.output("InstrumentationKey", || json!(Uuid::new_v4().to_string()));
    let (app, instrumentation) =
        (write.text("/properties/AppId").to_owned(), write.text("/properties/InstrumentationKey").to_owned());
    // Nothing listens there: the simulated host sends no telemetry.
    let connection = format!(
        "InstrumentationKey={instrumentation};IngestionEndpoint=https://{region}-0.in.applicationinsights.azure.com/;\
         LiveEndpoint=https://{region}.livediagnostics.monitor.azure.com/;ApplicationId={app}"
    );
    write.set("ConnectionString", json!(connection));
    write.set("ApplicationId", json!(name));
    write.set("Name", json!(name));
    write.set("TenantId", json!(subscription));
    write.output("CreationDate", || at);
    write.default("RetentionInDays", json!(90));
    write.default("IngestionMode", json!("LogAnalytics"));
    write.default("publicNetworkAccessForIngestion", json!("Enabled"));
    write.default("publicNetworkAccessForQuery", json!("Enabled"));
    write.set("Ver", json!("v2"));
    write.set("provisioningState", json!("Succeeded"));
    Ok(())
}

fn workbook(write: &mut Write<'_>) -> Result<(), ArmError> {
    if Uuid::parse_str(write.name()).is_err() {
        return Err(ArmError::bad("BadRequest", "The name of a workbook must be a GUID."));
    }
    for name in ["displayName", "serializedData", "category"] {
        if write.text(&format!("/properties/{name}")).is_empty() {
            return Err(ArmError::bad("BadRequest", format!("The property '{name}' is required.")));
        }
    }
    if serde_json::from_str::<Value>(write.text("/properties/serializedData")).is_err() {
        return Err(ArmError::bad("BadRequest", "The property 'serializedData' is not JSON."));
    }
    let at = write.at();
    write.set("timeModified", at);
    write.set("revision", json!(Uuid::new_v4().simple().to_string()));
    write.set("userId", json!(write.caller.object_id));
    Ok(())
}

fn diagnostic_setting(write: &mut Write<'_>) -> Result<(), ArmError> {
    let workspace = write.text("/properties/workspaceId").to_owned();
    let sinks = ["workspaceId", "storageAccountId", "eventHubAuthorizationRuleId", "marketplacePartnerId"];
    if sinks.iter().all(|sink| write.text(&format!("/properties/{sink}")).is_empty()) {
        let message = "At least one data sink needs to be specified.";
        return Err(ArmError::bad("BadRequest", message));
    }
    if !workspace.is_empty() && !write.data.resources.contains_key(&key(&workspace)) {
        let message = format!("Resource '{workspace}' was not found.");
        return Err(ArmError::not_found("ResourceNotFound", message));
    }
    // https://learn.microsoft.com/azure/azure-monitor/data-collection/data-collection-monitor
    let of_rule = write.address.scope.to_ascii_lowercase().contains("/datacollectionrules/");
    let logs = write.value("/properties/logs").and_then(Value::as_array).cloned().unwrap_or_default();
    for log in &logs {
        let category = log.get("category").and_then(Value::as_str);
        let group = log.get("categoryGroup").and_then(Value::as_str);
        if of_rule
            && !matches!(
                (category, group),
                (Some("LogErrors" | "LogTroubleshooting"), _) | (_, Some("allLogs"))
            )
        {
            let message = format!("Category '{}' is not supported.", category.or(group).unwrap_or_default());
            return Err(ArmError::bad("BadRequest", message));
        }
    }
    write.default("metrics", json!([]));
    write.default("logAnalyticsDestinationType", Value::Null);
    Ok(())
}

impl State {
    /// Makes what Application Insights makes by itself some time after a component: an action group
    /// for the group, once, and a rule for the component. Gives their ids.
    pub fn make_smart_detection(&self, component_id: &str) -> Option<[String; 2]> {
        let mut data = self.lock();
        let component = data.resources.get(&key(component_id))?.clone();
        let group = component.id.split("/providers/").next()?.to_owned();
        let name = component.text("/name").to_owned();
        let action_group =
            format!("{group}/providers/Microsoft.Insights/actionGroups/Application Insights Smart Detection");
        let rule = format!(
            "{group}/providers/Microsoft.AlertsManagement/smartDetectorAlertRules/Failure Anomalies - {name}"
        );
        let made = [
            (
                action_group.clone(),
                "Microsoft.Insights/actionGroups",
                json!({"groupShortName": "SmartDetect", "enabled": true, "emailReceivers": [],
                       "armRoleReceivers": [{"name": "Monitoring Contributor",
                                             "roleId": "749f88d5-cbae-40b8-bcfc-e573ddc772fa",
                                             "useCommonAlertSchema": true}]}),
            ),
            (
                rule.clone(),
                "Microsoft.AlertsManagement/smartDetectorAlertRules",
                json!({"description": "Failure Anomalies notifies you of an unusual rise in the rate of failed HTTP \
                                       requests or dependency calls.",
                       "state": "Enabled", "severity": "Sev3", "frequency": "PT1M",
                       "detector": {"id": "FailureAnomaliesDetector"},
                       "scope": [component.id], "actionGroups": {"groupIds": [action_group]}}),
            ),
        ];
        for (id, resource_type, properties) in made {
            let body = json!({
                "id": id, "name": id.rsplit('/').next(), "type": resource_type, "location": "global",
                "tags": {}, "properties": properties,
            });
            let resource = Resource {
                resource_type: resource_type.to_owned(),
                body,
                hidden: Value::Null,
                unseen_reads: 0,
                unfinished_reads: 0,
                id: id.clone(),
            };
            data.resources.insert(key(&id), resource);
        }
        Some([action_group, rule])
    }
}
