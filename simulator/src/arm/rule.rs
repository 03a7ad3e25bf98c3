//! `Microsoft.Insights/dataCollectionRules`.
//!
//! Follows <https://learn.microsoft.com/azure/azure-monitor/data-collection/data-collection-rule-structure>
//! and <https://learn.microsoft.com/azure/azure-monitor/service-limits#data-collection-rules>.

use serde_json::{Value, json};
use uuid::Uuid;

use super::check::region;
use super::error::ArmError;
use super::kind::{Kind, Write};
use super::table;
use crate::state::State;
use crate::state::resource::{Resource, key};

/// Type of data collection rules.
pub(crate) const RULE_TYPE: &str = "Microsoft.Insights/dataCollectionRules";

pub(crate) static KINDS: &[Kind] = &[Kind {
    name: RULE_TYPE,
    versions: &["2021-04-01", "2022-06-01", "2023-03-11", "2024-03-11"],
    etag: true,
    system_data: true,
    write,
    ..Kind::BASE
}];

const COLUMN_TYPES: &[&str] = &["string", "int", "long", "real", "boolean", "datetime", "dynamic"];
const FLOWS_LIMIT: usize = 10;
const STREAMS_LIMIT: usize = 10;
const TRANSFORM_LIMIT: usize = 15_360;

impl State {
    /// The rule of this immutable id.
    pub fn rule_by_immutable_id(&self, immutable_id: &str) -> Option<Value> {
        self.resources_of(RULE_TYPE).into_iter().find(|each| {
            let own = each.pointer("/properties/immutableId").and_then(Value::as_str).unwrap_or_default();
            own.eq_ignore_ascii_case(immutable_id)
        })
    }
}

fn write(write: &mut Write<'_>) -> Result<(), ArmError> {
    let mut problems = Vec::new();
    streams(write, &mut problems);
    destinations(write, &mut problems)?;
    flows(write, &mut problems);
    if !problems.is_empty() {
        return Err(ArmError::bad("InvalidPayload", "Data collection rule is invalid").details(problems));
    }
    let direct = write.text("/kind") == "Direct";
    let before = write.existing.is_some();
    write.output("immutableId", || json!(format!("dcr-{}", Uuid::new_v4().simple())));
    let endpoint = write.state.endpoints().ingestion.as_str().trim_end_matches('/').to_owned();
    let kept = write.existing.as_ref().and_then(|each| each.body.pointer("/properties/endpoints")).cloned();
    match kept {
        Some(kept) => write.set("endpoints", kept),
        // Only a rule that is made with the kind Direct gets endpoints; they cannot be added later.
        None if direct && !before => {
            write.set("endpoints", json!({"logsIngestion": endpoint, "metricsIngestion": endpoint}));
        }
        None => {
            write.take("endpoints");
        }
    }
    write.set("provisioningState", json!("Succeeded"));
    Ok(())
}

fn problem(code: &str, target: &str, message: String) -> ArmError {
    ArmError::bad(code, message).target(target)
}

fn streams(write: &Write<'_>, problems: &mut Vec<ArmError>) {
    let declared = write.value("/properties/streamDeclarations").and_then(Value::as_object);
    let Some(declared) = declared else { return };
    if declared.len() > STREAMS_LIMIT {
        let message = format!("A rule has at most {STREAMS_LIMIT} streams.");
        problems.push(problem("InvalidStreamDeclaration", "properties.streamDeclarations", message));
    }
    for (name, stream) in declared {
        let target = format!("properties.streamDeclarations.{name}");
        if !name.starts_with("Custom-") {
            let message = format!("Stream '{name}' must begin with 'Custom-'.");
            problems.push(problem("InvalidStreamDeclaration", &target, message));
        }
        let columns = stream.get("columns").and_then(Value::as_array);
        if columns.is_none_or(Vec::is_empty) {
            let message = format!("Stream '{name}' declares no columns.");
            problems.push(problem("InvalidStreamDeclaration", &target, message));
        }
        for column in columns.into_iter().flatten() {
            let kind = column.get("type").and_then(Value::as_str).unwrap_or_default();
            if !COLUMN_TYPES.contains(&kind) {
                let column = column.get("name").and_then(Value::as_str).unwrap_or_default();
                let message =
                    format!("Column '{column}' has the type '{kind}', which is none of {COLUMN_TYPES:?}.");
                problems.push(problem("InvalidStreamDeclaration", &target, message));
            }
        }
    }
}

fn destinations(write: &mut Write<'_>, problems: &mut Vec<ArmError>) -> Result<(), ArmError> {
    let given = write.value("/properties/destinations/logAnalytics").and_then(Value::as_array).cloned();
    let mut given = given.unwrap_or_default();
    if given.is_empty() {
        let message = "The rule has no destination.".to_owned();
        problems.push(problem("InvalidDestination", "properties.destinations", message));
    }
    let rule_region = region(write.text("/location"));
    for (at, destination) in given.iter_mut().enumerate() {
        let target = format!("properties.destinations.logAnalytics[{at}]");
        let id = destination.get("workspaceResourceId").and_then(Value::as_str).unwrap_or_default();
        let Some(workspace) = write.data.resources.get(&key(id)) else {
            let message = format!("The workspace '{id}' does not exist.");
            problems.push(problem("InvalidDestination", &target, message));
            continue;
        };
        write.need_linked(&workspace.id, "Microsoft.OperationalInsights/workspaces/read")?;
        let there = region(workspace.text("/location"));
        if there != rule_region {
            let message = format!(
                "Workspace '{id}' is in '{there}' and the rule in '{rule_region}'. A rule must be in the region of \
                 its destination workspace."
            );
            problems.push(problem("InvalidDestination", &target, message));
        }
        destination["workspaceId"] = json!(workspace.text("/properties/customerId"));
    }
    if let Some(all) = write.body.pointer_mut("/properties/destinations/logAnalytics") {
        *all = Value::Array(given);
    }
    Ok(())
}

fn flows(write: &Write<'_>, problems: &mut Vec<ArmError>) {
    let flows = write.value("/properties/dataFlows").and_then(Value::as_array).cloned().unwrap_or_default();
    if flows.is_empty() || flows.len() > FLOWS_LIMIT {
        let message = format!("A rule has 1 to {FLOWS_LIMIT} data flows.");
        problems.push(problem("InvalidDataFlow", "properties.dataFlows", message));
    }
    for (at, flow) in flows.iter().enumerate() {
        let target = format!("properties.dataFlows[{at}]");
        let names = |name: &str| -> Vec<String> {
            let list = flow.get(name).and_then(Value::as_array);
            list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        for stream in names("streams") {
            if write.body.pointer("/properties/streamDeclarations").and_then(|all| all.get(&stream)).is_none()
            {
                let message = format!("Stream '{stream}' is not declared.");
                problems.push(problem("InvalidStream", &target, message));
            }
        }
        let transform = flow.get("transformKql").and_then(Value::as_str).unwrap_or("source");
        if transform.len() > TRANSFORM_LIMIT || !transform.trim_start().starts_with("source") {
            let message = format!(
                "The transform must begin with 'source' and have at most {TRANSFORM_LIMIT} characters."
            );
            problems.push(problem("InvalidTransformQuery", &target, message));
        }
        let output = flow.get("outputStream").and_then(Value::as_str).unwrap_or_default();
        for name in names("destinations") {
            match workspace_of(write, &name) {
                None => {
                    let message = format!("Destination '{name}' is not declared.");
                    problems.push(problem("InvalidDestination", &target, message));
                }
                Some(workspace) => {
                    output_table(write, flow, output, &name, workspace, transform, &target, problems);
                }
            }
        }
    }
}

fn workspace_of<'a>(write: &'a Write<'_>, destination: &str) -> Option<&'a Resource> {
    let all = write.value("/properties/destinations/logAnalytics").and_then(Value::as_array)?;
    let named = all.iter().find(|each| each.get("name").and_then(Value::as_str) == Some(destination))?;
    write.data.resources.get(&key(named.get("workspaceResourceId")?.as_str()?))
}

/// Checks that the output's table exists and that the columns that go through unchanged fit it.
#[expect(clippy::too_many_arguments, reason = "the parts of one flow, which are used nowhere else together")]
fn output_table(
    write: &Write<'_>,
    flow: &Value,
    output: &str,
    destination: &str,
    workspace: &Resource,
    transform: &str,
    target: &str,
    problems: &mut Vec<ArmError>,
) {
    let name = output.strip_prefix("Custom-").unwrap_or_default();
    let Some(table) = table::known(write.data, &workspace.id, name, write.now) else {
        let message =
            format!("Table for output stream '{output}' is not available for destination '{destination}'.");
        problems.push(problem("InvalidOutputTable", target, message));
        return;
    };
    if table.text("/properties/schema/tableSubType") == "Classic" {
        let message = format!("Table '{name}' is a classic table, which no rule can feed. Migrate it first.");
        problems.push(problem("InvalidOutputTable", target, message));
        return;
    }
    let streams = flow.get("streams").and_then(Value::as_array);
    let stream = streams.and_then(|streams| streams.first()).and_then(Value::as_str).unwrap_or_default();
    let declared = write.body.pointer("/properties/streamDeclarations").and_then(|all| all.get(stream));
    let sent = declared.and_then(|stream| stream.get("columns")).and_then(Value::as_array);
    let stored = table.body.pointer("/properties/schema/columns").and_then(Value::as_array);
    let text = |column: &Value, name: &str| {
        column.get(name).and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase()
    };
    let mut clashes = Vec::new();
    for column in sent.into_iter().flatten() {
        let name = text(column, "name");
        let made = transform.to_ascii_lowercase().contains(&format!("{name} ="));
        let own = stored.into_iter().flatten().find(|each| text(each, "name") == name);
        if let Some(own) = own.filter(|own| !made && text(own, "type") != text(column, "type")) {
            let (produced, expected) = (text(column, "type"), text(own, "type"));
            clashes.push(format!("{name} [produced:'{produced}', output:'{expected}']"));
        }
    }
    let timed = sent.into_iter().flatten().any(|column| text(column, "name") == "timegenerated")
        || transform.contains("TimeGenerated");
    if !clashes.is_empty() {
        let message = format!(
            "Types of transform output columns do not match the ones defined by the output stream: {}",
            clashes.join(", ")
        );
        problems.push(problem("InvalidTransformOutput", target, message));
    }
    if !timed {
        let message = "The transform's output has no column 'TimeGenerated'.".to_owned();
        problems.push(problem("InvalidTransformOutput", target, message));
    }
}
