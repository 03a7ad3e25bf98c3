//! The fields that every ASIM parser must give.

use serde_json::Value;

use super::engine::{Analysis, Runs};

/// Mandatory in every schema, with the alias that Microsoft's tester asks for as well
/// (<https://learn.microsoft.com/azure/sentinel/normalization-common-fields>).
const MANDATORY: &[&str] = &[
    "TimeGenerated",
    "Type",
    "EventCount",
    "EventStartTime",
    "EventEndTime",
    "EventType",
    "EventResult",
    "EventProduct",
    "EventVendor",
    "EventSchema",
    "EventSchemaVersion",
    "Dvc",
];

/// Mandatory in the schema AuditEvent besides
/// (<https://learn.microsoft.com/azure/sentinel/normalization-schema-audit>).
const MANDATORY_OF_AUDIT: &[&str] = &["Operation", "Object"];

/// Aliases and recommended fields that must at least be there.
const OF_AUTHENTICATION: &[&str] = &[
    "User",
    "IpAddr",
    "Src",
    "Application",
    "LogonTarget",
    "Dst",
    "TargetUsername",
    "TargetUsernameType",
    "SrcIpAddr",
    "EventResultDetails",
    "EventSeverity",
    "EventUid",
    "LogonMethod",
];
const OF_AUDIT: &[&str] = &[
    "User",
    "IpAddr",
    "Src",
    "Application",
    "Value",
    "Dst",
    "ActorUsername",
    "ActorUsernameType",
    "SrcIpAddr",
    "ObjectType",
    "NewValue",
    "EventResultDetails",
    "EventSeverity",
    "EventUid",
];

/// The values that a field may have, where the schema closes the list.
const CLOSED: &[(&str, &[&str])] = &[
    ("EventResult", &["Success", "Partial", "Failure", "NA"]),
    ("EventSeverity", &["Informational", "Low", "Medium", "High"]),
    (
        "EventType",
        &[
            "Logon",
            "Logoff",
            "Elevate",
            "Set",
            "Read",
            "Create",
            "Delete",
            "Execute",
            "Install",
            "Clear",
            "Enable",
            "Disable",
            "Initialize",
            "Start",
            "Stop",
            "Other",
        ],
    ),
    (
        "ObjectType",
        &[
            "Cloud Resource",
            "Configuration Atom",
            "Policy Rule",
            "Event Log",
            "Scheduled Task",
            "Service",
            "Directory Service Object",
            "Other",
        ],
    ),
    (
        "LogonMethod",
        &[
            "",
            "Managed Identity",
            "Service Principal",
            "Username & Password",
            "Multi factor authentication",
            "Passwordless",
            "PKI",
            "PAM",
            "Other",
        ],
    ),
    ("ActorUsernameType", &["", "UPN", "Simple"]),
    ("TargetUsernameType", &["", "UPN", "Simple"]),
];

/// Each field that is missing, empty in a row of the samples, or outside its closed list.
pub(super) fn missing(analysis: &Analysis, runs: &Runs) -> Vec<String> {
    let mut missing = Vec::new();
    for (parser, own, others) in [
        ("AuthenticationMimecastAudit", &[][..], OF_AUTHENTICATION),
        ("AuditEventMimecastAudit", MANDATORY_OF_AUDIT, OF_AUDIT),
    ] {
        for form in ["vim", "ASim"] {
            let name = format!("functions/{form}{parser}");
            let declared = analysis.columns.get(&name);
            let outcome = runs.results.get(&name);
            for field in MANDATORY.iter().chain(own).chain(others) {
                if !declared.is_some_and(|columns| columns.contains_key(*field)) {
                    missing.push(format!("{name}: no field `{field}`"));
                }
            }
            let Some(outcome) = outcome else { continue };
            for row in 0..outcome.rows.len() {
                for field in MANDATORY.iter().chain(own) {
                    let value = outcome.value(row, field);
                    if value.is_none_or(|value| value.is_null() || value.as_str() == Some("")) {
                        missing.push(format!("{name}: `{field}` is empty in row {row}"));
                    }
                }
                for (field, allowed) in CLOSED {
                    let value = outcome.value(row, field).and_then(Value::as_str);
                    if let Some(value) = value.filter(|value| !allowed.contains(value)) {
                        missing
                            .push(format!("{name}: `{field}` is `{value}`, which the schema does not know"));
                    }
                }
            }
        }
    }
    missing
}
