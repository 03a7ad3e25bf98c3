//! The two programs that read KQL: Microsoft's language service under Node, and an engine under Python.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};

use super::cases::NOW;
use super::schema::{self, Form};
use super::traces::engine_time;
use super::{Content, Query};
use crate::workspace;

/// What the language service says of all queries.
#[derive(Debug, Deserialize)]
pub(super) struct Analysis {
    pub(super) findings: Vec<Diagnostic>,
    /// Columns of each query's result, with their types.
    pub(super) columns: BTreeMap<String, BTreeMap<String, String>>,
}

/// One error or warning.
#[derive(Debug, Deserialize)]
pub(super) struct Diagnostic {
    query: String,
    line: usize,
    severity: String,
    message: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}: {}", self.query, self.line, self.severity, self.message)
    }
}

/// A table's rows in a case: objects by column.
pub(super) type Rows = Vec<Value>;

/// A query to run over rows.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) query: String,
    pub(super) tables: BTreeMap<&'static str, Rows>,
    pub(super) runs: Repeated,
}

/// How often a query runs over what has arrived by then, the last time at [`NOW`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Repeated {
    pub(super) runs: u32,
    pub(super) every_seconds: u32,
}

impl Repeated {
    /// Once, over everything.
    pub(super) const ONCE: Self = Self { runs: 1, every_seconds: 0 };
}

/// What the engine gave for all cases.
#[derive(Debug, Deserialize)]
pub(super) struct Runs {
    pub(super) results: BTreeMap<String, Outcome>,
    pub(super) errors: BTreeMap<String, String>,
}

/// The result of one case.
#[derive(Debug, Deserialize)]
pub(super) struct Outcome {
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Vec<Value>>,
}

impl Outcome {
    /// The value of a column in a row.
    pub(super) fn value(&self, row: usize, column: &str) -> Option<&Value> {
        let place = self.columns.iter().position(|name| name == column)?;
        self.rows.get(row)?.get(place)
    }
}

/// Analyses every query, and every function's body with its parameters declared.
pub(super) fn analyse(content: &Content, form: Form) -> Result<Analysis> {
    let tables: BTreeMap<_, _> = schema::tables(form)
        .into_iter()
        .map(|(name, columns)| {
            let columns: Vec<String> =
                columns.iter().map(|(column, kind)| format!("{column}:{kind}")).collect();
            (name, format!("({})", columns.join(", ")))
        })
        .collect();
    // A fault within a function's body does not show where the function is called, so the body is
    // analysed as a query of its own.
    let bodies = content.callables.iter().map(|callable| Query {
        name: format!("functions/{} (body)", callable.name),
        text: format!("{}{}", declarations(&callable.parameters), callable.body),
    });
    let queries: Vec<Value> = content
        .queries
        .iter()
        .cloned()
        .chain(bodies)
        .map(|query| json!({ "name": query.name, "text": query.text }))
        .collect();
    let input = json!({ "tables": tables, "functions": functions(content), "queries": queries });
    let script = workspace::root().join("tools/content/analyse.js");
    let answer = pipe(Command::new("node").arg(script), &input).context("analysing the queries")?;
    serde_json::from_slice(&answer).context("reading the analysis")
}

/// Runs the cases.
pub(super) fn run(content: &Content, form: Form, cases: &[Case]) -> Result<Runs> {
    let tables: BTreeMap<_, _> = schema::tables(form)
        .into_iter()
        .map(|(name, columns)| {
            let columns: serde_json::Map<String, Value> =
                columns.into_iter().map(|(column, kind)| (column, Value::from(kind))).collect();
            (name, json!({ "columns": columns }))
        })
        .collect();
    let cases: Vec<Value> = cases
        .iter()
        .map(|case| {
            json!({
                "name": case.name, "query": case.query, "tables": case.tables,
                "runs": case.runs.runs, "every_seconds": case.runs.every_seconds,
            })
        })
        .collect();
    let input = json!({
        "now": engine_time(NOW)?, "tables": tables, "functions": functions(content), "cases": cases,
    });
    let python = workspace::tools_folder().join("python/bin/python");
    let script = workspace::root().join("tools/content/run.py");
    let answer = pipe(Command::new(python).arg(script), &input).context("running the queries")?;
    serde_json::from_slice(&answer).context("reading the results")
}

fn functions(content: &Content) -> Vec<Value> {
    content
        .callables
        .iter()
        .map(|item| json!({ "name": item.name, "parameters": item.parameters, "body": item.body }))
        .collect()
}

/// `a:string='x', b:bool=false` as `let a = 'x'; let b = false;` on one line, so that line numbers stay
/// those of the file.
fn declarations(parameters: &str) -> String {
    parameters
        .split(", ")
        .filter_map(|part| {
            let (name, rest) = part.split_once(':')?;
            let (_, default) = rest.split_once('=')?;
            Some(format!("let {name} = {default}; "))
        })
        .collect()
}

fn pipe(command: &mut Command, input: &Value) -> Result<Vec<u8>> {
    let program = command.get_program().to_string_lossy().into_owned();
    let missing = || format!("could not start `{program}`; `cargo xtask test tools` fetches what it needs");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().with_context(missing)?;
    let text = serde_json::to_vec(input)?;
    let mut stdin = child.stdin.take().context("the program has no input")?;
    let writer = std::thread::spawn(move || stdin.write_all(&text));
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("`{program}` ended with {}", output.status);
    }
    writer.join().map_err(|_| anyhow::anyhow!("writing to `{program}` panicked"))??;
    Ok(output.stdout)
}
