//! The two tables: shared with other rules and connectors, so only ever added to.

use contract::streams::Column;
use serde_json::{Value, json};

use super::Planner;
use super::change::{Change, differences};
use super::desired::Desired;
use super::step::{Action, Finding, Step};
use crate::answers::intent::Intent;

/// What the description of a table begins with that an installer made.
pub const MADE_BY: &str = "Made by mimecast-sentinel.";

/// The context for a table's template: every column that is there, and ours that are missing.
///
/// A write replaces the list of columns, so what was read back is repeated. Retention is sent only
/// when the table is made or when it is asked for.
pub fn context(intent: &Intent, name: &str, columns: &[Column], present: Option<&Value>) -> Value {
    let schema = present.map(|table| &table["properties"]["schema"]);
    let mut all: Vec<Value> = schema
        .and_then(|schema| schema["columns"].as_array())
        .into_iter()
        .flatten()
        .filter(|column| column["name"].is_string())
        .map(|column| {
            // Only what a write takes: Azure adds read-only members when it lists columns.
            let mut kept = serde_json::Map::new();
            for member in ["name", "type", "description", "displayName", "dataTypeHint"] {
                if let Some(value) = column.get(member).filter(|value| !value.is_null()) {
                    kept.insert(member.to_owned(), value.clone());
                }
            }
            Value::Object(kept)
        })
        .collect();
    for column in columns {
        if schema.is_none_or(|schema| column_type(schema, column.name).is_none()) {
            all.push(json!({ "name": column.name, "type": column.column_type.in_table() }));
        }
    }
    let description = match schema {
        None => json!(format!("{MADE_BY} Mimecast audit events and the health of their collection.")),
        Some(schema) => schema["description"].clone(),
    };
    json!({
        "name": name,
        "plan": if present.is_none() { json!("Analytics") } else { Value::Null },
        "retention_days": intent.retention_days,
        "total_retention_days": intent.total_retention_days,
        "description": description,
        "columns": all,
    })
}

/// Type of a column of a table's schema, its own or a standard one.
fn column_type<'a>(schema: &'a Value, name: &str) -> Option<&'a str> {
    ["columns", "standardColumns"]
        .into_iter()
        .filter_map(|list| schema[list].as_array())
        .flatten()
        .find(|column| column["name"].as_str().is_some_and(|each| each.eq_ignore_ascii_case(name)))
        .and_then(|column| column["type"].as_str())
}

/// Whether a table is one of the HTTP Data Collector's, which no rule can feed.
pub fn classic(table: &Value) -> bool {
    table["properties"]["schema"]["tableSubType"]
        .as_str()
        .is_some_and(|kind| kind.eq_ignore_ascii_case("Classic"))
}

/// What stands against using a table that is there.
pub fn findings(intent: &Intent, name: &str, columns: &[Column], table: &Value) -> Vec<Finding> {
    let mut findings = Vec::new();
    if classic(table) {
        if intent.migrate_classic_table {
            findings.push(Finding::warns(
                "classic-table",
                format!("table `{name}` is a classic table and will be migrated, which cannot be undone"),
                "its rows and columns stay; the old connector's HTTP Data Collector API ended on 14 September 2026",
            ));
        } else {
            findings.push(Finding::refuses(
                "classic-table",
                format!("table `{name}` is a classic table, which a data collection rule cannot feed"),
                "set `table.on_classic: migrate` to migrate it (one-way; its rows and columns stay)",
            ));
        }
    }
    for column in columns {
        if let Some(actual) = column_type(&table["properties"]["schema"], column.name)
            && !actual.eq_ignore_ascii_case(column.column_type.in_table())
        {
            findings.push(Finding::refuses(
                "column-type",
                format!(
                    "column `{}` of table `{name}` has type {actual}, and {} is needed",
                    column.name,
                    column.column_type.in_table()
                ),
                "a column's type cannot be changed: the table has to be deleted, or another workspace used",
            ));
        }
    }
    findings
}

impl Planner<'_> {
    pub(super) fn table(&mut self, mut resource: Desired) {
        let Some(actual) = self.inventory.resource(&resource.id) else {
            return self.put(resource, Change::Create);
        };
        let name = resource.id.rsplit('/').next().unwrap_or_default().to_owned();
        let columns = if name == contract::streams::AUDIT_TABLE {
            contract::streams::AUDIT_COLUMNS
        } else {
            contract::streams::HEALTH_COLUMNS
        };
        self.findings.extend(findings(self.intent, &name, columns, actual));
        if classic(actual) && self.intent.migrate_classic_table {
            let key = format!("{}/migrate", resource.key);
            self.steps.push(Step {
                key: key.clone(),
                title: format!("migration of the classic table `{name}`"),
                action: Action::MigrateTable {
                    id: resource.id.clone(),
                    api_version: resource.api_version.to_owned(),
                },
                depends_on: resource.depends_on.clone(),
                change: Change::Run,
                undo: None,
            });
            resource.depends_on.push(key);
        }
        let changes = differences(&resource.body, actual);
        if changes.is_empty() {
            return self.keep(&resource);
        }
        self.put(resource, Change::Update(changes));
    }
}
