//! The queries of the connector's page.

use anyhow::{Context, Result};
use contract::streams::{AUDIT_TABLE, HEALTH_TABLE};
use installer::content::CONNECTED_QUERY;
use installer::plan::template::Templates;
use serde_json::{Value, json};

use super::Query;

/// Every query of the page, as the page's body has it.
pub(super) fn queries() -> Result<Vec<Query>> {
    let context = json!({
        "workspace": { "id": "/workspace" },
        "connector": {
            "name": "connector", "audit_table": AUDIT_TABLE, "health_table": HEALTH_TABLE,
            "connected_query": CONNECTED_QUERY.trim_end(),
        },
    });
    let body = Templates::read()?.render("connector", &context)?;
    let page = body.pointer("/properties/connectorUiConfig").context("the page has no configuration")?;
    let mut queries = Vec::new();
    for (list, member) in [
        ("graphQueries", "/baseQuery"),
        ("sampleQueries", "/query"),
        ("dataTypes", "/lastDataReceivedQuery"),
        ("connectivityCriteria", "/value/0"),
    ] {
        let entries = page[list].as_array().with_context(|| format!("the page has no {list}"))?;
        for (place, entry) in (1..).zip(entries) {
            let text = entry.pointer(member).and_then(Value::as_str);
            let text = text.with_context(|| format!("{list} {place} has no query"))?.to_owned();
            queries.push(Query { name: format!("page/{list} {place}"), text });
        }
    }
    Ok(queries)
}
