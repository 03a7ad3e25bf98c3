//! What becomes of a row between the call and its table.
//!
//! Stream declaration, transform and table: <https://learn.microsoft.com/azure/azure-monitor/data-collection/data-collection-rule-structure>.

use contract::streams::transform::{audit_row, audit_transform_kql};
use serde_json::{Map, Value};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use crate::rows::Row;
use crate::state::State;

/// Longest text that a column stores; what is longer is cut without a word:
/// <https://learn.microsoft.com/azure/azure-monitor/fundamentals/service-limits#log-analytics-workspaces>.
const FIELD_BYTES: usize = 64 * 1024;
/// A time of generation before or after these is replaced by the time of ingestion:
/// <https://learn.microsoft.com/azure/azure-monitor/logs/log-standard-columns#timegenerated>.
const OLDEST: Duration = Duration::days(2);
const NEWEST: Duration = Duration::days(1);

/// A transform that the simulator does not know.
#[derive(Debug, thiserror::Error)]
#[error("the simulator knows the connector's own transforms only, not `{0}`")]
pub(super) struct UnknownTransform(String);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transform {
    /// `source`.
    None,
    /// The one that makes audit rows.
    Audit,
}

/// A column with the lower-case name of its type.
type Columns = Vec<(String, String)>;

/// Where a stream's rows go and how.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) workspace_id: String,
    pub(super) table: String,
    declared: Columns,
    transform: Transform,
    /// The table's columns; nothing where the table is gone, and then rows are lost without a word.
    columns: Option<Columns>,
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

fn columns<'a>(list: impl Iterator<Item = &'a Value>) -> Columns {
    list.map(|column| (text(column, "/name").to_owned(), text(column, "/type").to_ascii_lowercase()))
        .collect()
}

impl Flow {
    /// The flow of a stream in a rule; nothing where the rule does not declare or route it.
    ///
    /// # Errors
    /// Where the rule's transform is none of ours.
    pub(super) fn find(state: &State, rule: &Value, stream: &str) -> Result<Option<Self>, UnknownTransform> {
        let Some(declaration) =
            rule.pointer("/properties/streamDeclarations").and_then(|streams| streams.get(stream))
        else {
            return Ok(None);
        };
        let Some(flow) = list(rule, "/properties/dataFlows")
            .find(|flow| list(flow, "/streams").any(|each| each.as_str() == Some(stream)))
        else {
            return Ok(None);
        };
        let destination = list(flow, "/destinations").next().and_then(Value::as_str).unwrap_or_default();
        let workspace_id = list(rule, "/properties/destinations/logAnalytics")
            .find(|workspace| text(workspace, "/name") == destination)
            .map(|workspace| text(workspace, "/workspaceResourceId").to_owned())
            .unwrap_or_default();
        let output = match text(flow, "/outputStream") {
            "" => stream,
            output => output,
        };
        let table = output.strip_prefix("Custom-").unwrap_or(output).to_owned();
        let transform = match text(flow, "/transformKql").trim() {
            "" | "source" => Transform::None,
            kql if kql == audit_transform_kql() => Transform::Audit,
            other => return Err(UnknownTransform(other.to_owned())),
        };
        let columns = state
            .resource(&format!("{workspace_id}/tables/{table}"))
            .map(|table| columns(list(&table, "/properties/schema/columns")));
        let declared = self::columns(list(declaration, "/columns"));
        Ok(Some(Self { workspace_id, table, declared, transform, columns }))
    }

    /// The row as the table has it; nothing where there is no table.
    pub(super) fn stored(&self, sent: Map<String, Value>, now: OffsetDateTime) -> Option<Row> {
        let columns = self.columns.as_ref()?;
        let mut row = conform(sent, &self.declared);
        if self.transform == Transform::Audit {
            row = audit_row(&row);
        }
        let mut row = conform(row, columns);
        for value in row.values_mut() {
            if let Value::String(text) = value {
                cut(text);
            }
        }
        let generated = row.get("TimeGenerated").and_then(Value::as_str).and_then(parse_time);
        let generated = generated.filter(|at| *at >= now - OLDEST && *at <= now + NEWEST).unwrap_or(now);
        row.insert("TimeGenerated".to_owned(), Value::from(format_time(generated)));
        Some(row)
    }
}

/// A time as Log Analytics takes it: RFC 3339.
pub(crate) fn parse_time(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok()
}

/// A time as Log Analytics gives it: UTC, seven digits of a second at most.
pub(crate) fn format_time(at: OffsetDateTime) -> String {
    let at = at.to_offset(time::UtcOffset::UTC);
    let ticks = at.nanosecond() / 100 * 100;
    at.replace_nanosecond(ticks).unwrap_or(at).format(&Rfc3339).unwrap_or_default()
}

/// Drops what no column takes and turns the rest into the columns' types, or null.
fn conform(row: Map<String, Value>, columns: &Columns) -> Map<String, Value> {
    row.into_iter()
        .filter_map(|(name, value)| {
            let (_, column_type) = columns.iter().find(|(known, _)| *known == name)?;
            Some((name, convert(value, column_type)))
        })
        .collect()
}

fn convert(value: Value, column_type: &str) -> Value {
    match (column_type, value) {
        (_, Value::Null) => Value::Null,
        ("dynamic", value) => value,
        ("string", Value::String(text)) => Value::String(text),
        ("string", value) => Value::String(value.to_string()),
        ("datetime", Value::String(text)) => {
            parse_time(&text).map_or(Value::Null, |at| Value::from(format_time(at)))
        }
        ("boolean", value @ Value::Bool(_)) => value,
        ("boolean", Value::String(text)) => text.parse::<bool>().map_or(Value::Null, Value::Bool),
        ("long" | "int", Value::Number(number)) => number.as_i64().map_or(Value::Null, Value::from),
        ("long" | "int", Value::String(text)) => text.parse::<i64>().map_or(Value::Null, Value::from),
        ("real", value @ Value::Number(_)) => value,
        _ => Value::Null,
    }
}

fn cut(text: &mut String) {
    if text.len() > FIELD_BYTES {
        text.truncate(text.floor_char_boundary(FIELD_BYTES));
    }
}

#[cfg(test)]
mod tests {
    use super::{convert, cut};
    use serde_json::{Value, json};

    #[test]
    fn values_take_the_columns_type_or_are_null() {
        assert_eq!(convert(json!(5), "string"), json!("5"));
        assert_eq!(convert(json!("5"), "long"), json!(5));
        assert_eq!(convert(json!(5.5), "long"), Value::Null);
        assert_eq!(convert(json!("x"), "long"), Value::Null);
        assert_eq!(convert(json!("2026-11-24T10:00:00+02:00"), "datetime"), json!("2026-11-24T08:00:00Z"));
        assert_eq!(convert(json!("yesterday"), "datetime"), Value::Null);
        assert_eq!(convert(json!({"a": [1]}), "dynamic"), json!({"a": [1]}));
    }

    #[test]
    fn texts_are_cut_at_64_kib_between_characters() {
        let mut fits = "x".repeat(65_536);
        cut(&mut fits);
        assert_eq!(fits.len(), 65_536);
        // 65,535 bytes and a character of two: it no longer fits whole.
        let mut long = format!("{}é", "x".repeat(65_535));
        cut(&mut long);
        assert_eq!(long.len(), 65_535);
    }
}
