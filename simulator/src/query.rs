//! The Log Analytics query API.
//!
//! It knows the closed set of queries in [`parse`] and refuses any other by its text.
//! Follows <https://learn.microsoft.com/azure/azure-monitor/logs/api/overview> and, for its errors,
//! <https://learn.microsoft.com/azure/azure-monitor/logs/api/errors>.

mod parse;
mod run;
mod syntax;
mod token;
mod traces;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::post;
use serde_json::{Map, Value, json};
use time::{Duration, OffsetDateTime};

use self::run::Table;
use self::syntax::INGESTION_TIME;
use crate::data::DataPlane;
use crate::entra::{Audience, caller};
use crate::ingestion::{format_time, parse_time};
use crate::state::role::Need;

/// The one query without a table: what time it is.
const CLOCK: &str = "print now()";

/// The service, for every workspace.
pub fn router(data: DataPlane) -> Router {
    Router::new().route("/v1/workspaces/{workspace}/query", post(answer)).with_state(data)
}

fn refuse(status: StatusCode, error: Value) -> Response {
    (status, Json(json!({"error": error}))).into_response()
}

fn bad_query(kind: &str, code: Option<&str>, message: &str) -> Response {
    let mut inner = json!({"code": kind, "message": message});
    if let Some(code) = code {
        inner = json!({"code": kind, "message": "A semantic error occurred.",
            "innererror": {"code": code, "message": message}});
    }
    let message = "The request had some invalid properties";
    refuse(
        StatusCode::BAD_REQUEST,
        json!({"code": "BadArgumentError", "message": message, "innererror": inner}),
    )
}

async fn answer(
    State(data): State<DataPlane>,
    Path(workspace_id): Path<String>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    let caller = match caller(&headers, Audience::LogQuery, &data.state) {
        Ok(caller) => caller,
        Err(denied) => return denied.into_response(),
    };
    let workspace = data.workspace(&workspace_id);
    let id = workspace.as_ref().and_then(|workspace| workspace.get("id")?.as_str()).unwrap_or_default();
    let need = Need::Action("Microsoft.OperationalInsights/workspaces/query/read");
    let Some(_) = workspace.as_ref().filter(|_| data.state.allowed(&caller.object_id, id, need)) else {
        // The service does not tell a workspace that is not there from one that may not be read.
        let message = "The provided credentials have insufficient access to perform the requested operation";
        return refuse(StatusCode::FORBIDDEN, json!({"code": "InsufficientAccessError", "message": message}));
    };
    let text = |field: &str| body.get(field).and_then(Value::as_str);
    let Some(query) = text("query") else {
        return bad_query("MissingQuery", None, "The request body has no `query`");
    };
    let now = data.state.now();
    if query.trim() == CLOCK {
        return Json(render(&clock(now))).into_response();
    }
    let query = match parse::parse(query, now) {
        Ok(query) => query,
        Err(unknown) => return bad_query("SyntaxError", None, &unknown.to_string()),
    };
    let span = match text("timespan").map(|text| read_timespan(text, now)) {
        Some(None) => return bad_query("InvalidTimespan", None, "The timespan is not ISO 8601"),
        Some(span) => span,
        None => None,
    };
    let Some(mut table) = load(&data, id, &query.table) else {
        let message = format!("Failed to resolve table or column expression named '{}'", query.table);
        return bad_query("SemanticError", Some("SEM0100"), &message);
    };
    if let Some((from, to)) = span {
        table.rows.retain(|row| {
            let at = row.get("TimeGenerated").and_then(Value::as_str).and_then(parse_time);
            at.is_some_and(|at| at >= from && at <= to)
        });
    }
    match table.run(&query) {
        Ok(table) => Json(render(&table)).into_response(),
        Err(missing) => bad_query("SemanticError", Some("SEM0100"), &missing.to_string()),
    }
}

/// The answer to [`CLOCK`]; the language names a column without a name by its number.
fn clock(now: OffsetDateTime) -> Table {
    let column = "print_0".to_owned();
    let row = Map::from_iter([(column.clone(), Value::from(format_time(now)))]);
    Table { columns: vec![(column, "datetime".to_owned())], rows: vec![row] }
}

/// A table's columns and visible rows; nothing where the workspace does not know the table yet.
fn load(data: &DataPlane, workspace_id: &str, name: &str) -> Option<Table> {
    if name == traces::TABLE {
        return Some(traces::table(data, workspace_id));
    }
    let table = data.state.resource(&format!("{workspace_id}/tables/{name}"))?;
    let columns = table.pointer("/properties/schema/columns")?.as_array()?;
    let columns = columns.iter().filter_map(|column| {
        let text = |field: &str| column.get(field).and_then(Value::as_str);
        Some((text("name")?.to_owned(), text("type")?.to_ascii_lowercase()))
    });
    let rows = data.rows.visible(workspace_id, name).into_iter().map(|stored| {
        let mut row = stored.row;
        row.insert(INGESTION_TIME.to_owned(), Value::from(format_time(stored.accepted_at)));
        row
    });
    Some(Table { columns: columns.collect(), rows: rows.collect() })
}

fn render(table: &Table) -> Value {
    let columns: Vec<Value> =
        table.columns.iter().map(|(name, kind)| json!({"name": name, "type": kind})).collect();
    let cells = |row: &Map<String, Value>| -> Vec<Value> {
        table
            .columns
            .iter()
            .map(|(name, kind)| match row.get(name) {
                // The API gives dynamic values as text that holds JSON.
                Some(value) if kind == "dynamic" && !value.is_null() && !value.is_string() => {
                    Value::from(value.to_string())
                }
                Some(value) => value.clone(),
                None => Value::Null,
            })
            .collect()
    };
    let rows: Vec<Vec<Value>> = table.rows.iter().map(cells).collect();
    json!({"tables": [{"name": "PrimaryResult", "columns": columns, "rows": rows}]})
}

/// `PT1H`, `P1D`, or two times parted by a slash.
fn read_timespan(text: &str, now: OffsetDateTime) -> Option<(OffsetDateTime, OffsetDateTime)> {
    if let Some((from, to)) = text.split_once('/') {
        return Some((parse_time(from)?, parse_time(to)?));
    }
    let rest = text.strip_prefix('P')?;
    let (rest, in_time) = rest.strip_prefix('T').map_or((rest, false), |rest| (rest, true));
    let (number, unit) = rest.split_at(rest.len().checked_sub(1)?);
    let number: i64 = number.parse().ok()?;
    let span = match (unit, in_time) {
        ("D", false) => Duration::days(number),
        ("H", true) => Duration::hours(number),
        ("M", true) => Duration::minutes(number),
        ("S", true) => Duration::seconds(number),
        _ => return None,
    };
    Some((now - span, now))
}

#[cfg(test)]
mod tests;
