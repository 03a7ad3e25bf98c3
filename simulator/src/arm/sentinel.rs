//! `Microsoft.SecurityInsights`: Sentinel's content on a workspace.
//!
//! Follows <https://learn.microsoft.com/rest/api/securityinsights/>.

use serde_json::{Value, json};
use time::OffsetDateTime;

use super::error::ArmError;
use super::kind::{Kind, Place, Write};
use super::table;
use super::workspace::is_function;
use crate::state::resource::{Resource, key};
use crate::state::{Data, State};

const VERSIONS: &[&str] =
    &["2022-11-01", "2023-02-01", "2023-11-01", "2024-03-01", "2024-09-01", "2025-06-01", "2025-09-01"];
/// Newer types: stable from these versions on.
const CARD_VERSIONS: &[&str] = &["2024-09-01", "2025-06-01", "2025-09-01"];

const CONTENT: Kind = Kind {
    versions: VERSIONS,
    place: Place::Extension,
    etag: true,
    methods: &["PUT", "DELETE"],
    write: on_sentinel,
    ..Kind::BASE
};

pub(crate) static KINDS: &[Kind] = &[
    Kind { name: "Microsoft.SecurityInsights/onboardingStates", write: onboard, ..CONTENT },
    Kind { name: RULE_TYPE, write: alert_rule, remove: remove_rule, ..CONTENT },
    Kind {
        name: "Microsoft.SecurityInsights/dataConnectorDefinitions",
        versions: CARD_VERSIONS,
        system_data: true,
        write: card,
        ..CONTENT
    },
    Kind { name: "Microsoft.SecurityInsights/metadata", ..CONTENT },
    Kind { name: "Microsoft.SecurityInsights/contentPackages", ..CONTENT },
    Kind { name: "Microsoft.SecurityInsights/contentTemplates", ..CONTENT },
];

/// Type of analytics rules.
const RULE_TYPE: &str = "Microsoft.SecurityInsights/alertRules";
/// How long the id of a deleted rule can't be used again: about a day, by reports of users; Azure's
/// pages name no number.
const DELETED_RULE_REST: time::Duration = time::Duration::hours(24);
/// Limits of scheduled rules: <https://learn.microsoft.com/azure/sentinel/sentinel-service-limits>.
const ENTITY_MAPPINGS_LIMIT: usize = 10;
const CUSTOM_DETAILS_LIMIT: usize = 20;
const PERIOD_SECS: std::ops::RangeInclusive<u64> = 5 * 60..=14 * 24 * 3600;
/// Built-in tables that content may name beside custom ones; the real list is longer.
const BUILT_IN_TABLES: &[&str] = &[
    "AADNonInteractiveUserSignInLogs",
    "AuditLogs",
    "AzureActivity",
    "BehaviorAnalytics",
    "CommonSecurityLog",
    "DCRLogErrors",
    "EmailEvents",
    "Heartbeat",
    "IdentityInfo",
    "OfficeActivity",
    "SecurityAlert",
    "SecurityEvent",
    "SecurityIncident",
    "SentinelHealth",
    "SigninLogs",
    "Syslog",
    "ThreatIntelIndicators",
    "ThreatIntelligenceIndicator",
    "Usage",
    "Watchlist",
];
/// Words that begin a query and are no table.
const KEYWORDS: &[&str] =
    &["union", "let", "print", "search", "range", "datatable", "externaldata", "find", "materialize"];

impl State {
    /// Turns Sentinel on for a workspace: for setting a scene.
    pub fn onboard_sentinel(&self, workspace_id: &str) {
        let id = format!("{workspace_id}/providers/Microsoft.SecurityInsights/onboardingStates/default");
        let body = json!({
            "id": id, "name": "default", "type": KINDS[0].name,
            "properties": {"customerManagedKey": false},
        });
        let resource = Resource {
            resource_type: KINDS[0].name.to_owned(),
            body,
            hidden: Value::Null,
            unseen_reads: 0,
            unfinished_reads: 0,
            id: id.clone(),
        };
        self.lock().resources.insert(key(&id), resource);
    }
}

fn bad(message: impl Into<String>) -> ArmError {
    ArmError::bad("BadRequest", message)
}

fn onboard(write: &mut Write<'_>) -> Result<(), ArmError> {
    if write.name() != "default" {
        return Err(bad("The onboarding state's name must be 'default'."));
    }
    if !write.address.scope.to_ascii_lowercase().contains("/microsoft.operationalinsights/workspaces/") {
        return Err(bad("Sentinel is turned on for a workspace."));
    }
    write.default("customerManagedKey", json!(false));
    Ok(())
}

/// Everything but the onboarding itself needs it.
fn on_sentinel(write: &mut Write<'_>) -> Result<(), ArmError> {
    let state =
        format!("{}/providers/Microsoft.SecurityInsights/onboardingStates/default", write.address.scope);
    if write.data.resources.contains_key(&key(&state)) {
        return Ok(());
    }
    let workspace = write.address.scope.rsplit('/').next().unwrap_or_default();
    Err(bad(format!("Workspace '{workspace}' is not onboarded to Microsoft Sentinel.")))
}

fn card(write: &mut Write<'_>) -> Result<(), ArmError> {
    on_sentinel(write)?;
    // "Only the update operation requires the etag value":
    // https://learn.microsoft.com/azure/sentinel/data-connector-ui-definitions-reference.
    if let Some(existing) = &write.existing
        && write.text("/etag") != existing.text("/etag")
    {
        let message = "The definition was changed, or the etag of what is there was not given.";
        return Err(ArmError::conflict("Conflict", message));
    }
    if write.text("/kind") != "Customizable" {
        return Err(bad(format!("The kind '{}' is not supported.", write.text("/kind"))));
    }
    const REQUIRED: &[&str] = &[
        "title",
        "publisher",
        "descriptionMarkdown",
        "graphQueries",
        "dataTypes",
        "connectivityCriteria",
        "permissions",
        "instructionSteps",
    ];
    for name in REQUIRED {
        if write.value(&format!("/properties/connectorUiConfig/{name}")).is_none() {
            return Err(bad(format!("'{name}' is required in connectorUiConfig.")));
        }
    }
    let at = write.at();
    write.output("createdTimeUtc", || at.clone());
    write.set("lastModifiedUtc", at);
    Ok(())
}

fn alert_rule(write: &mut Write<'_>) -> Result<(), ArmError> {
    on_sentinel(write)?;
    let deleted = write.data.deleted_rules.get(&key(&write.id)).copied();
    if write.existing.is_none() && deleted.is_some_and(|deleted| deleted + DELETED_RULE_REST > write.now) {
        let message = format!(
            "The rule with ID '{}' was recently deleted. You need to allow some time before re-using the same ID. \
             Please try again later.",
            write.name()
        );
        return Err(ArmError::conflict("Conflict", message));
    }
    match write.text("/kind") {
        "Scheduled" => scheduled(write)?,
        "NRT" => {}
        other => return Err(bad(format!("The kind '{other}' of the rule is not supported here."))),
    }
    for name in ["displayName", "query", "severity", "suppressionDuration"] {
        if write.text(&format!("/properties/{name}")).is_empty() {
            return Err(bad(format!("Invalid data model: '{name}' is required.")));
        }
    }
    for name in ["enabled", "suppressionEnabled"] {
        if write.value(&format!("/properties/{name}")).and_then(Value::as_bool).is_none() {
            return Err(bad(format!("Invalid data model: '{name}' is required.")));
        }
    }
    if !["High", "Medium", "Low", "Informational"].contains(&write.text("/properties/severity")) {
        return Err(bad("Invalid data model: 'severity' must be High, Medium, Low or Informational."));
    }
    let length = |name: &str| match write.value(&format!("/properties/{name}")) {
        Some(Value::Array(list)) => list.len(),
        Some(Value::Object(map)) => map.len(),
        _ => 0,
    };
    if length("entityMappings") > ENTITY_MAPPINGS_LIMIT || length("customDetails") > CUSTOM_DETAILS_LIMIT {
        let message = format!(
            "A rule has at most {ENTITY_MAPPINGS_LIMIT} entity mappings and {CUSTOM_DETAILS_LIMIT} custom details."
        );
        return Err(bad(message));
    }
    check_query(write)?;
    let at = write.at();
    write.set("lastModifiedUtc", at);
    Ok(())
}

fn scheduled(write: &Write<'_>) -> Result<(), ArmError> {
    let period = |name: &str| {
        let text = write.text(&format!("/properties/{name}"));
        seconds(text).filter(|secs| PERIOD_SECS.contains(secs)).ok_or_else(|| {
            bad(format!(
                "Invalid data model: '{name}' is '{text}' and must be between 5 minutes and 14 days."
            ))
        })
    };
    if period("queryPeriod")? < period("queryFrequency")? {
        return Err(bad("Invalid data model: 'queryPeriod' must not be shorter than 'queryFrequency'."));
    }
    let operators = ["GreaterThan", "LessThan", "Equal", "NotEqual"];
    if !operators.contains(&write.text("/properties/triggerOperator")) {
        return Err(bad("Invalid data model: 'triggerOperator' is not known."));
    }
    if write.value("/properties/triggerThreshold").and_then(Value::as_u64).is_none() {
        return Err(bad("Invalid data model: 'triggerThreshold' is required."));
    }
    Ok(())
}

/// Reads the ISO 8601 durations that rules have: days, hours and minutes.
fn seconds(text: &str) -> Option<u64> {
    let rest = text.strip_prefix('P')?;
    let (days, clock) = rest.split_once('T').unwrap_or((rest, ""));
    let part = |text: &str, units: &[(char, u64)]| {
        let mut total = 0;
        let mut digits = String::new();
        for each in text.chars() {
            if each.is_ascii_digit() {
                digits.push(each);
                continue;
            }
            let (_, unit) = units.iter().find(|(letter, _)| *letter == each)?;
            total += digits.parse::<u64>().ok()?.checked_mul(*unit)?;
            digits.clear();
        }
        digits.is_empty().then_some(total)
    };
    Some(part(days, &[('D', 86_400), ('W', 604_800)])? + part(clock, &[('H', 3600), ('M', 60), ('S', 1)])?)
}

/// The query is checked against the live schema: its tables and functions must be known by now.
fn check_query(write: &Write<'_>) -> Result<(), ArmError> {
    let query = write.text("/properties/query");
    if query.len() > 10_000 {
        return Err(bad("Invalid data model: 'query' is longer than 10,000 characters."));
    }
    let workspace = &write.address.scope;
    let word = |each: char| each.is_ascii_alphanumeric() || each == '_';
    for name in query.split(|each: char| !word(each)).filter(|name| name.ends_with("_CL")) {
        if table::known(write.data, workspace, name, write.now).is_none() {
            let message = format!(
                "Failed to run the analytics rule query. One of the tables does not exist. Table: '{name}'."
            );
            return Err(bad(message));
        }
    }
    // The last statement's source: a table, a function, or an operator.
    let last = query.rsplit(';').map(str::trim).find(|statement| !statement.is_empty()).unwrap_or_default();
    let last =
        last.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let source: String = last.trim_start().chars().take_while(|each| word(*each)).collect();
    let local = query.contains(&format!("let {source} ")) || query.contains(&format!("let {source}="));
    let known = source.is_empty()
        || local
        || source.starts_with('_')
        || source.ends_with("_CL")
        || KEYWORDS.contains(&source.as_str())
        || BUILT_IN_TABLES.contains(&source.as_str())
        || is_function(&write.data.resources, workspace, &source);
    if known {
        return Ok(());
    }
    let what =
        if last.trim_start()[source.len()..].starts_with('(') { "function" } else { "table or function" };
    let message = format!("Failed to run the analytics rule query. Unknown {what}: '{source}'.");
    Err(bad(message))
}

fn remove_rule(data: &mut Data, resource: &Resource, now: OffsetDateTime) -> Result<(), ArmError> {
    data.deleted_rules.insert(key(&resource.id), now);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn durations_of_rules_are_read() {
        assert_eq!(seconds("PT5M"), Some(300));
        assert_eq!(seconds("P14D"), Some(1_209_600));
        assert_eq!(seconds("P1DT1H"), Some(90_000));
        assert_eq!(seconds("PT5"), None);
        assert_eq!(seconds("5m"), None);
    }
}
