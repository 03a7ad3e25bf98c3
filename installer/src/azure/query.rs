//! Queries of a Log Analytics workspace.

use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Azure;
use super::error::{AzureError, ErrorTree, Refusal};
use super::http::{Call, under};

/// A query's primary result.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Rows {
    /// The columns' names.
    pub columns: Vec<String>,
    /// The rows, each with a value for each column.
    pub rows: Vec<Vec<Value>>,
}

impl Rows {
    /// The rows as objects.
    pub fn records(&self) -> impl Iterator<Item = Map<String, Value>> {
        self.rows.iter().map(|row| self.columns.iter().cloned().zip(row.iter().cloned()).collect())
    }

    /// The first value of the first row, where there is one: what `| count` gives.
    pub fn single(&self) -> Option<&Value> {
        self.rows.first()?.first()
    }
}

#[derive(Debug, Deserialize)]
struct Answered {
    #[serde(default)]
    tables: Vec<Table>,
    /// Beside the tables where only a part of the data could be searched.
    #[serde(default)]
    error: Value,
}

#[derive(Debug, Deserialize)]
struct Table {
    name: String,
    columns: Vec<Column>,
    rows: Vec<Vec<Value>>,
}

#[derive(Debug, Deserialize)]
struct Column {
    name: String,
}

impl Azure {
    /// What time it is by the workspace's clock, as a query writes it: the one by which `ingestion_time()` is
    /// told.
    ///
    /// # Errors
    /// As [`Azure::query`].
    pub async fn workspace_time(&self, workspace_id: &str) -> Result<String, AzureError> {
        let rows = self.query(workspace_id, "print now()", "").await?;
        let time = rows.single().and_then(Value::as_str).map(str::to_owned);
        time.ok_or_else(|| AzureError::Incomplete {
            what: "asking the workspace for its time".to_owned(),
            missing: "print_0",
        })
    }

    /// Runs a query over the last `timespan` (ISO 8601, such as `PT1H`; empty leaves it to the
    /// query). `workspace_id` is the workspace's own GUID, `properties.customerId`.
    ///
    /// # Errors
    /// [`AzureError`] when the service refuses, or answers for a part of the data only.
    pub async fn query(&self, workspace_id: &str, query: &str, timespan: &str) -> Result<Rows, AzureError> {
        let what = "querying the workspace".to_owned();
        let cloud = &self.inner.cloud;
        let url = under(&cloud.log_query, &["v1", "workspaces", workspace_id, "query"], &what)?;
        let mut body = json!({"query": query});
        if !timespan.is_empty() {
            body["timespan"] = timespan.into();
        }
        let call = Call::new(what.clone(), Method::POST, url, &cloud.log_query_scope).json(&body);
        let answer = self.send(&call).await?;
        let answered: Answered = answer.json(&what)?;
        if !answered.error.is_null() {
            return Err(AzureError::Refused(Box::new(Refusal {
                what,
                status: answer.status,
                tree: ErrorTree::from_value(&answered.error),
                request_id: Some(answer.request_id),
                retry_after: None,
            })));
        }
        let primary = answered.tables.into_iter().find(|table| table.name == "PrimaryResult");
        let table = primary.ok_or(AzureError::Incomplete { what, missing: "PrimaryResult" })?;
        let columns = table.columns.into_iter().map(|column| column.name).collect();
        Ok(Rows { columns, rows: table.rows })
    }
}
