//! The table `AppTraces`, in which Application Insights keeps what an app logs.
//!
//! Follows <https://learn.microsoft.com/azure/azure-monitor/reference/tables/apptraces>; a function app's
//! role is called as the app is
//! (<https://learn.microsoft.com/azure/azure-monitor/app/app-map#set-or-override-cloud-role-name>).

use serde_json::{Value, json};

use super::run::Table;
use crate::data::DataPlane;
use crate::functions::process::Stream;
use crate::ingestion::format_time;
use crate::rows::Row;

/// Name of the table.
pub(super) const TABLE: &str = "AppTraces";
/// The setting by which an app finds its Application Insights.
const CONNECTION: &str = "APPLICATIONINSIGHTS_CONNECTION_STRING";

/// What the apps have logged whose Application Insights keeps it in this workspace. The lines' own times
/// are not kept here: all of them are of now.
pub(super) fn table(data: &DataPlane, workspace_id: &str) -> Table {
    let text =
        |value: &Value, pointer: &str| value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let connections: Vec<String> = data
        .state
        .resources_of("Microsoft.Insights/components")
        .iter()
        .filter(|component| {
            text(component, "/properties/WorkspaceResourceId")
                .is_some_and(|id| id.eq_ignore_ascii_case(workspace_id))
        })
        .filter_map(|component| text(component, "/properties/ConnectionString"))
        .collect();
    let now = format_time(data.state.now());
    let mut rows = Vec::new();
    for site in data.state.resources_of("Microsoft.Web/sites") {
        let (Some(id), Some(name)) = (text(&site, "/id"), text(&site, "/name")) else { continue };
        let settings = data.state.site_environment(&id);
        if !settings.get(CONNECTION).is_some_and(|given| connections.contains(given)) {
            continue;
        }
        for line in data.hosts.lines(&id) {
            let level = if line.stream == Stream::Stderr { 3 } else { 1 };
            let row = json!({
                "TimeGenerated": now,
                "AppRoleName": name,
                "SeverityLevel": level,
                "Message": line.text,
            });
            rows.extend(row.as_object().cloned());
        }
    }
    let columns = [
        ("TimeGenerated", "datetime"),
        ("AppRoleName", "string"),
        ("SeverityLevel", "int"),
        ("Message", "string"),
    ];
    let rows: Vec<Row> = rows;
    Table { columns: columns.map(|(name, kind)| (name.to_owned(), kind.to_owned())).into(), rows }
}
