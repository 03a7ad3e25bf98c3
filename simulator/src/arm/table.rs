//! `Microsoft.OperationalInsights/workspaces/tables`: custom tables, classic ones and their migration.
//!
//! Follows <https://learn.microsoft.com/azure/azure-monitor/logs/create-custom-table> and
//! <https://learn.microsoft.com/azure/azure-monitor/logs/custom-logs-migrate>.

use axum::http::StatusCode;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::error::ArmError;
use super::kind::{Call, Kind, Place, Speed, Write};
use super::reply::Reply;
use crate::state::resource::{Resource, key};
use crate::state::{Data, State};

/// Type of tables.
pub(crate) const TABLE_TYPE: &str = "Microsoft.OperationalInsights/workspaces/tables";

pub(crate) static KINDS: &[Kind] = &[Kind {
    name: TABLE_TYPE,
    versions: super::workspace::VERSIONS,
    place: Place::Child,
    created: StatusCode::ACCEPTED,
    put: Speed::Polled,
    delete: Speed::Polled,
    system_data: true,
    write,
    ..Kind::BASE
}];

/// Column types in the spelling that reads give. Writes may use any case.
const COLUMN_TYPES: &[&str] = &["string", "int", "long", "real", "boolean", "dateTime", "guid", "dynamic"];
/// Names that a custom table's columns must not have: the first page above.
const RESERVED: &[&str] = &["_ResourceId", "id", "_SubscriptionId", "TenantId", "Type", "UniqueId", "Title"];
/// <https://learn.microsoft.com/azure/azure-monitor/service-limits#log-analytics-workspaces>
const COLUMNS_LIMIT: usize = 500;
const COLUMN_NAME_LIMIT: usize = 45;
/// <https://learn.microsoft.com/azure/azure-monitor/logs/data-retention-configure>
const RETENTION_DAYS: std::ops::RangeInclusive<i64> = 4..=730;
const TOTAL_RETENTION_DAYS: std::ops::RangeInclusive<i64> = 4..=4383;

fn invalid(message: impl Into<String>) -> ArmError {
    ArmError::bad("InvalidParameter", message)
}

fn write(write: &mut Write<'_>) -> Result<(), ArmError> {
    let name = write.name().to_owned();
    let legal = |each: char| each.is_ascii_alphanumeric() || each == '_';
    if !name.ends_with("_CL")
        || !name.starts_with(|first: char| first.is_ascii_alphabetic())
        || !name.chars().all(legal)
    {
        return Err(invalid(format!("Table name '{name}' is invalid: custom tables end in '_CL'.")));
    }
    let classic = write.existing_text("/properties/schema/tableSubType") == "Classic";
    let given = write.value("/properties/schema").cloned().unwrap_or_else(|| json!({}));
    let columns = match given.get("columns").filter(|columns| !columns.is_null()) {
        Some(columns) => columns_of(columns)?,
        None if write.existing.is_some() => existing_columns(write.existing.as_ref()),
        None => return Err(invalid("The schema of a new table must have columns.")),
    };
    if classic && given.get("columns").is_some() {
        return Err(invalid(format!(
            "Table '{name}' is a classic custom log table. Migrate it before you change its schema."
        )));
    }
    if let Some(schema_name) = given.get("name").and_then(Value::as_str)
        && schema_name != name
    {
        return Err(invalid(format!("Schema name '{schema_name}' does not match table name '{name}'.")));
    }
    if !classic && !columns.iter().any(|(name, kind)| name == "TimeGenerated" && *kind == "dateTime") {
        return Err(invalid("The schema must have a column 'TimeGenerated' of type 'dateTime'."));
    }
    for (column, before) in existing_columns(write.existing.as_ref()) {
        let now = columns.iter().find(|(name, _)| *name == column).map(|(_, kind)| *kind);
        if now.is_some_and(|now| now != before) {
            return Err(invalid(format!(
                "Column '{column}' of table '{name}' has type '{before}' and cannot be changed to another type."
            )));
        }
    }
    let descriptions = given.get("columns").and_then(Value::as_array).cloned().unwrap_or_default();
    let described = |column: &str| {
        let found = descriptions.iter().find(|each| each.get("name").and_then(Value::as_str) == Some(column));
        found.and_then(|found| found.get("description")).cloned()
    };
    let shown: Vec<Value> = columns
        .iter()
        .map(|(name, kind)| {
            let mut column =
                json!({"name": name, "type": kind, "isDefaultDisplay": false, "isHidden": false});
            if let Some(description) = described(name) {
                column["description"] = description;
            }
            column
        })
        .collect();
    let description = given.get("description").cloned().or_else(|| {
        write.existing.as_ref().and_then(|each| each.body.pointer("/properties/schema/description")).cloned()
    });
    let mut schema = schema(&name, shown, if classic { "Classic" } else { "DataCollectionRuleBased" });
    if let Some(description) = description {
        schema["description"] = description;
    }
    if let Some(display) = given.get("displayName") {
        schema["displayName"] = display.clone();
    }
    write.set("schema", schema);
    let plan = match write.text("/properties/plan") {
        "" => write.existing_text("/properties/plan").to_owned(),
        plan => plan.to_owned(),
    };
    let plan = if plan.is_empty() { "Analytics".to_owned() } else { plan };
    if !["Analytics", "Basic", "Auxiliary"].contains(&plan.as_str()) {
        return Err(invalid(format!("Table plan '{plan}' is not one of Analytics, Basic, Auxiliary.")));
    }
    write.set("plan", json!(plan));
    retention(write)?;
    if write.existing.is_none() {
        // A rule that names the table before is refused.
        write.hidden["knownFrom"] = json!((write.now + write.data.pace.table_spread).unix_timestamp());
    }
    Ok(())
}

/// Columns as written, names and types checked.
fn columns_of(columns: &Value) -> Result<Vec<(String, &'static str)>, ArmError> {
    let columns = columns.as_array().ok_or_else(|| invalid("'columns' must be a list."))?;
    if columns.len() > COLUMNS_LIMIT {
        return Err(invalid(format!("A table has at most {COLUMNS_LIMIT} columns.")));
    }
    let mut all: Vec<(String, &'static str)> = Vec::new();
    for column in columns {
        let text = |name: &str| column.get(name).and_then(Value::as_str).unwrap_or_default();
        let name = text("name");
        let legal = |each: char| each.is_ascii_alphanumeric() || each == '_';
        let begins = name.starts_with(|first: char| first.is_ascii_alphabetic());
        if name.len() > COLUMN_NAME_LIMIT || !begins || !name.chars().all(legal) {
            return Err(invalid(format!(
                "Column name '{name}' is invalid: it must start with a letter, hold letters, digits and \
                 underscores, and have at most {COLUMN_NAME_LIMIT} characters."
            )));
        }
        if RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name)) {
            return Err(invalid(format!("Column name '{name}' is reserved.")));
        }
        if all.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
            return Err(invalid(format!("Column '{name}' is there twice.")));
        }
        let kind = COLUMN_TYPES.iter().find(|kind| kind.eq_ignore_ascii_case(text("type")));
        let kind = kind.ok_or_else(|| {
            invalid(format!(
                "Column '{name}' has the type '{}', which is none of {COLUMN_TYPES:?}.",
                text("type")
            ))
        })?;
        // Stored as text: the second of the module's pages.
        all.push((name.to_owned(), if *kind == "guid" { "string" } else { kind }));
    }
    Ok(all)
}

fn existing_columns(existing: Option<&Resource>) -> Vec<(String, &'static str)> {
    existing
        .and_then(|existing| existing.body.pointer("/properties/schema/columns"))
        .and_then(|columns| columns_of(columns).ok())
        .unwrap_or_default()
}

fn schema(name: &str, columns: Vec<Value>, sub_type: &str) -> Value {
    json!({
        "name": name,
        "displayName": name,
        "tableType": "CustomLog",
        "tableSubType": sub_type,
        "columns": columns,
        "standardColumns": [
            {"name": "TenantId", "type": "guid", "description": "", "isDefaultDisplay": false, "isHidden": true},
        ],
        "solutions": ["LogManagement"],
        "isTroubleshootingAllowed": true,
    })
}

fn retention(write: &mut Write<'_>) -> Result<(), ArmError> {
    let workspace = write.parent().and_then(|parent| parent.body.pointer("/properties/retentionInDays"));
    let of_workspace = workspace.and_then(Value::as_i64).unwrap_or(30);
    let given = |write: &Write<'_>, name: &str| {
        let pointer = format!("/properties/{name}");
        let own = json!(false);
        let own = |each: &&Resource| each.body.pointer(&format!("{pointer}AsDefault")) == Some(&own);
        let kept = write.existing.as_ref().filter(own);
        let kept = kept.and_then(|each| each.body.pointer(&pointer)).and_then(Value::as_i64);
        // -1 goes back to the workspace's.
        write.value(&pointer).and_then(Value::as_i64).or(kept).filter(|days| *days != -1)
    };
    let days = given(write, "retentionInDays");
    let total = given(write, "totalRetentionInDays");
    let out = |days: Option<i64>, range: &std::ops::RangeInclusive<i64>| {
        days.is_some_and(|days| !range.contains(&days))
    };
    if out(days, &RETENTION_DAYS) || out(total, &TOTAL_RETENTION_DAYS) {
        return Err(invalid("'retentionInDays' must be 4 to 730 and 'totalRetentionInDays' 4 to 4383."));
    }
    let shown = days.unwrap_or(of_workspace);
    let shown_total = total.unwrap_or(shown);
    if shown_total < shown {
        return Err(invalid("'totalRetentionInDays' must not be less than 'retentionInDays'."));
    }
    write.set("retentionInDays", json!(shown));
    write.set("totalRetentionInDays", json!(shown_total));
    write.set("archiveRetentionInDays", json!(shown_total - shown));
    write.set("retentionInDaysAsDefault", json!(days.is_none()));
    write.set("totalRetentionInDaysAsDefault", json!(total.is_none()));
    write.set("provisioningState", json!("Succeeded"));
    Ok(())
}

/// Turns a classic table into one that rules can feed. One way, and again without harm.
pub(crate) fn migrate(call: &mut Call<'_>, table_id: &str) -> Result<Reply, ArmError> {
    call.need("Microsoft.OperationalInsights/workspaces/tables/migrate/action")?;
    let Some(table) = call.data.resources.get_mut(&key(table_id)) else {
        return Err(ArmError::not_found("NotFound", format!("The table '{table_id}' was not found.")));
    };
    table.body["properties"]["schema"]["tableSubType"] = json!("DataCollectionRuleBased");
    Ok(Reply::empty(StatusCode::OK))
}

impl State {
    /// Puts a table of the old connector into a workspace: classic, with these columns and types.
    pub fn add_classic_table(&self, workspace_id: &str, name: &str, columns: &[(&str, &str)]) -> String {
        let id = format!("{workspace_id}/tables/{name}");
        let columns = columns
            .iter()
            .map(|(name, kind)| json!({"name": name, "type": kind, "isDefaultDisplay": false, "isHidden": false}))
            .collect();
        let body = json!({
            "id": id,
            "name": name,
            "type": TABLE_TYPE,
            "properties": {
                "plan": "Analytics",
                "schema": schema(name, columns, "Classic"),
                "retentionInDays": 90,
                "totalRetentionInDays": 90,
                "archiveRetentionInDays": 0,
                "retentionInDaysAsDefault": true,
                "totalRetentionInDaysAsDefault": true,
                "provisioningState": "Succeeded",
                "lastPlanModifiedDate": self.now().format(&Rfc3339).unwrap_or_default(),
            },
        });
        let resource = Resource {
            resource_type: TABLE_TYPE.to_owned(),
            body,
            hidden: Value::Null,
            unseen_reads: 0,
            unfinished_reads: 0,
            id: id.clone(),
        };
        self.lock().resources.insert(key(&id), resource);
        id
    }
}

/// The table of a workspace, if queries and rules know it by now.
pub(crate) fn known<'a>(
    data: &'a Data,
    workspace_id: &str,
    name: &str,
    now: OffsetDateTime,
) -> Option<&'a Resource> {
    let table = data.resources.get(&key(&format!("{workspace_id}/tables/{name}")))?;
    let from = table.hidden.get("knownFrom").and_then(Value::as_i64).unwrap_or_default();
    (from <= now.unix_timestamp()).then_some(table)
}
