//! What the simulated services hold, read from them directly and told in a few lines.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use contract::settings::KEY_VAULT_REFERENCE_PREFIX;
use contract::streams::AUDIT_TABLE;
use serde_json::{Map, Value};
use simulator::simulator::Simulator;

use super::table;
use crate::screen;

/// A row as Log Analytics holds it.
pub(super) type Row = Map<String, Value>;

/// How many rows are shown.
const ROWS_SHOWN: usize = 12;
/// The columns that are shown: eighty characters with the margin.
const SHOWN: [table::Shown; 4] = [
    table::Shown { column: "eventTime_t", width: 20 },
    table::Shown { column: "auditType_s", width: 20 },
    table::Shown { column: "user_s", width: 17 },
    table::Shown { column: "src_s", width: 13 },
];
/// How ids of tables read: they are shared and stay by design.
const TABLES: &str = "/tables/";

/// The ids of everything that exists in the simulated subscription, role assignments too.
pub(super) fn everything(simulator: &Simulator) -> BTreeSet<String> {
    simulator.state().resource_ids().into_iter().collect()
}

/// The Function App that the installation made.
pub(crate) fn site(simulator: &Simulator) -> Result<String> {
    let sites = simulator.state().resources_of("Microsoft.Web/sites");
    let id = sites.first().and_then(|site| site.get("id")).and_then(Value::as_str);
    id.map(str::to_owned).context("the installation made no Function App")
}

/// The audit rows, newest event first.
pub(super) fn rows(simulator: &Simulator) -> Vec<Row> {
    let mut rows = simulator.data().rows.of(AUDIT_TABLE);
    rows.sort_by_key(|row| std::cmp::Reverse(text(row, "eventTime_t").to_owned()));
    rows
}

/// The health rows.
#[cfg(test)]
pub(super) fn health_rows(simulator: &Simulator) -> Vec<Row> {
    simulator.data().rows.of(contract::streams::HEALTH_TABLE)
}

/// How many different events are among the rows.
pub(super) fn distinct(rows: &[Row]) -> usize {
    rows.iter()
        .map(|row| text(row, "eventKey_s"))
        .filter(|key| !key.is_empty())
        .collect::<BTreeSet<_>>()
        .len()
}

fn text<'a>(row: &'a Row, column: &str) -> &'a str {
    row.get(column).and_then(Value::as_str).unwrap_or_default()
}

/// Tells how the app got its secrets: by reference alone.
pub(super) fn show_settings(simulator: &Simulator, site: &str) {
    let hidden = simulator.state().hidden(site).unwrap_or_default();
    let settings = hidden.get("appSettings").and_then(Value::as_object).cloned().unwrap_or_default();
    screen::line(&format!("    app settings: {}, secrets among them by reference alone:", settings.len()));
    for (name, value) in &settings {
        if let Some(value) = value.as_str().filter(|value| value.starts_with(KEY_VAULT_REFERENCE_PREFIX)) {
            screen::line(&format!("      {name}"));
            screen::line(&format!("        {}", without_host(value)));
        }
    }
}

/// A reference with the vault's address left out, which is different every time and long.
fn without_host(reference: &str) -> String {
    match (reference.find("https://"), reference.find("/secrets/")) {
        (Some(start), Some(end)) if start < end => format!("{}…{}", &reference[..start], &reference[end..]),
        _ => reference.to_owned(),
    }
}

/// Tells what the analyst got, in one line.
pub(super) fn show_content(simulator: &Simulator) {
    let state = simulator.state();
    let count = |kind: &str| state.resources_of(kind).len();
    let searches = state.resources_of("Microsoft.OperationalInsights/workspaces/savedSearches");
    let hunts = searches.iter().filter(|each| each["properties"]["category"] == "Hunting Queries").count();
    screen::line(&format!(
        "    in Sentinel: {} rules, {hunts} hunts, {} functions, {} workbook, {} page",
        count("Microsoft.SecurityInsights/alertRules"),
        searches.len() - hunts,
        count("Microsoft.Insights/workbooks"),
        count("Microsoft.SecurityInsights/dataConnectorDefinitions"),
    ));
}

/// Shows the newest rows as a table.
pub(super) fn show_rows(rows: &[Row]) {
    screen::line(&format!("    {AUDIT_TABLE}: {} rows, the newest:", rows.len()));
    screen::line("");
    for line in table::lines(&SHOWN, rows.get(..ROWS_SHOWN).unwrap_or(rows)) {
        screen::line(&format!("    {line}"));
    }
}

/// Shows what was made and is still there, and counts it without the tables.
pub(super) fn show_left(before: &BTreeSet<String>, after: &BTreeSet<String>) -> usize {
    let (tables, left): (Vec<&String>, Vec<&String>) =
        after.difference(before).partition(|id| id.contains(TABLES));
    for id in &left {
        screen::line(&format!("    left behind: {id}"));
    }
    if left.is_empty() {
        screen::line("    nothing but the tables, which are shared and keep their rows:");
    }
    for name in tables.iter().filter_map(|id| id.rsplit('/').next()) {
        screen::line(&format!("      {name}"));
    }
    left.len()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::{Row, distinct, show_left, without_host};

    fn row(value: Value) -> Row {
        value.as_object().expect("an object").clone()
    }

    #[test]
    fn a_row_without_a_key_is_no_event() {
        let rows = [
            row(json!({"eventKey_s": "C1:a"})),
            row(json!({"eventKey_s": "C1:a"})),
            row(json!({"eventKey_s": "C1:b"})),
            row(json!({"id_s": "x"})),
        ];
        assert_eq!(distinct(&rows), 2);
    }

    #[test]
    fn references_are_shown_without_the_vaults_address() {
        let reference = "@Microsoft.KeyVault(SecretUri=https://kv.example.com/secrets/a)";
        assert_eq!(without_host(reference), "@Microsoft.KeyVault(SecretUri=…/secrets/a)");
    }

    #[test]
    fn tables_stay_and_everything_else_new_is_left_behind() {
        let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<BTreeSet<_>>();
        let before = ids(&["/w"]);
        let after = ids(&["/w", "/w/tables/MimecastAudit_CL", "/g/storageaccounts/st"]);
        assert_eq!(show_left(&before, &after), 1);
    }
}
