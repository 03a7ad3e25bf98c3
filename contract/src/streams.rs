//! The two tables, their columns, and the streams that feed them.
//!
//! The table bodies, the rule's stream declarations and transform, the reference page and the
//! tests all come from these lists.
//!
//! A row travels in fewer and shorter fields than the table has columns: a body holds at most 1 MB
//! before compression, so each byte of a row is paid in calls, and what follows from a sent field by
//! a constant rule is made by the rule's transform ([`transform`]).

pub mod transform;

use transform::{Computed, Label};

/// The table of audit and authentication events.
pub const AUDIT_TABLE: &str = "MimecastAudit_CL";
/// The table of the worker's runs.
pub const HEALTH_TABLE: &str = "MimecastAuditHealth_CL";
/// The stream that feeds [`AUDIT_TABLE`]. Custom streams begin with `Custom-`
/// (<https://learn.microsoft.com/azure/azure-monitor/data-collection/data-collection-rule-structure>).
pub const AUDIT_STREAM: &str = "Custom-MimecastAudit_CL";
/// The stream that feeds [`HEALTH_TABLE`].
pub const HEALTH_STREAM: &str = "Custom-MimecastAuditHealth_CL";

/// What stands in the three columns that the old connector had for labels, where there is no such label.
pub const UNKNOWN: &str = "unknown";

/// A column's type. Tables and rules spell the time type differently: `dateTime` and `datetime`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// UTF-8 text, at most 64 KB a value.
    String,
    /// UTC time.
    DateTime,
    /// 64-bit whole number.
    Long,
    /// True or false.
    Boolean,
    /// Any JSON value.
    Dynamic,
}

impl ColumnType {
    /// The word in a table's schema (`Microsoft.OperationalInsights/workspaces/tables`).
    pub fn in_table(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::DateTime => "dateTime",
            Self::Long => "long",
            Self::Boolean => "boolean",
            Self::Dynamic => "dynamic",
        }
    }

    /// The word in a data collection rule's stream declaration.
    pub fn in_rule(self) -> &'static str {
        match self {
            Self::DateTime => "datetime",
            other => other.in_table(),
        }
    }
}

/// One column of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its name in the table.
    pub name: &'static str,
    /// Its type.
    pub column_type: ColumnType,
    /// Where its value comes from, for the reference page.
    pub meaning: &'static str,
    /// Its name in the stream; `None` where the worker never sends it.
    pub sent_as: Option<&'static str>,
    /// How the rule's transform makes it where the worker did not send it; `None` where it stays
    /// empty then. A row leaves out a field that is empty or equal to what this would give; an empty one that
    /// this would fill is sent as [`transform::NOTHING`].
    pub computed: Option<Computed>,
}

const fn sent(
    name: &'static str,
    sent_as: &'static str,
    column_type: ColumnType,
    meaning: &'static str,
) -> Column {
    Column { name, column_type, meaning, sent_as: Some(sent_as), computed: None }
}

const fn sent_or(
    name: &'static str,
    sent_as: &'static str,
    column_type: ColumnType,
    computed: Computed,
    meaning: &'static str,
) -> Column {
    Column { name, column_type, meaning, sent_as: Some(sent_as), computed: Some(computed) }
}

const fn computed(
    name: &'static str,
    column_type: ColumnType,
    computed: Computed,
    meaning: &'static str,
) -> Column {
    Column { name, column_type, meaning, sent_as: None, computed: Some(computed) }
}

/// A column that is sent under its own name.
const fn column(name: &'static str, column_type: ColumnType, meaning: &'static str) -> Column {
    sent(name, name, column_type, meaning)
}

use ColumnType::{Boolean, DateTime, Dynamic, Long, String as Text};

/// The columns of [`AUDIT_TABLE`]. The suffixed names are those of the old connector's table, which
/// saved queries know.
pub const AUDIT_COLUMNS: &[Column] = &[
    sent_or(
        "TimeGenerated",
        "arrival",
        DateTime,
        Computed::SameAs("at"),
        "Time of the event, or of its arrival where `eventTime` could not be read. Azure replaces it by the \
         time of ingestion when it is older than two days.",
    ),
    sent("id_s", "uid", Text, "`id` as received."),
    sent("auditType_s", "audit", Text, "`auditType` as received."),
    sent("user_s", "user", Text, "`user` as received."),
    sent("eventInfo_s", "info", Text, "`eventInfo` as received, whole up to the field limit."),
    sent("eventTime_t", "at", DateTime, "`eventTime` in UTC; empty where it could not be read."),
    sent("Category", "cat", Text, "`category` as received."),
    computed(
        "mimecastEventId_s",
        Text,
        Computed::EventId("cat"),
        "`audit_` and the category without a `_logs` at its end; `audit_other` where there is no category.",
    ),
    computed("mimecastEventCategory_s", Text, Computed::Constant("audit"), "Always `audit`."),
    sent_or(
        "app_s",
        "app",
        Text,
        Computed::LabelOf { field: "info", label: Label::Application, otherwise: UNKNOWN },
        "Application named in eventInfo; `unknown` where there is none.",
    ),
    sent_or(
        "src_s",
        "src",
        Text,
        Computed::LabelOf { field: "info", label: Label::Source, otherwise: UNKNOWN },
        "Source address named in eventInfo; `unknown` where there is none.",
    ),
    sent_or(
        "method_s",
        "method",
        Text,
        Computed::LabelOf { field: "info", label: Label::Method, otherwise: UNKNOWN },
        "Authentication method named in eventInfo; `unknown` where there is none.",
    ),
    sent_or(
        "reason_s",
        "reason",
        Text,
        Computed::LabelOf { field: "info", label: Label::Reason, otherwise: "" },
        "Reason of a failure named in eventInfo; empty where there is none.",
    ),
    sent_or(
        "secondFactor_s",
        "factor",
        Text,
        Computed::LabelOf { field: "info", label: Label::SecondFactor, otherwise: "" },
        "Second factor named in eventInfo; empty where there is none.",
    ),
    sent_or(
        "targetUser_s",
        "target",
        Text,
        Computed::AuthenticatedUserOf("info"),
        "User whom the event is about, where eventInfo names one.",
    ),
    sent_or(
        "operation_s",
        "op",
        Text,
        Computed::AuthenticationOf("info"),
        "What was done, where eventInfo says so.",
    ),
    sent("object_s", "obj", Text, "What it was done to, where eventInfo says so."),
    sent("eventKey_s", "key", Text, "Identity of the event, for queries that must not count twice."),
    sent_or(
        "account_s",
        "account",
        Text,
        Computed::AccountOf("key"),
        "Mimecast account code from the id, else the key of the account in the answers.",
    ),
    sent_or(
        "truncated_b",
        "cut",
        Boolean,
        Computed::False,
        "A field was longer than Azure stores and was cut.",
    ),
    computed(
        "timeUnread_b",
        Boolean,
        Computed::IsMissing("at"),
        "`eventTime` could not be read; TimeGenerated is the arrival.",
    ),
];

/// The columns of [`HEALTH_TABLE`]: one row for each run of the worker.
pub const HEALTH_COLUMNS: &[Column] = &[
    column("TimeGenerated", DateTime, "End of the run."),
    column("Installation", Text, "The installation's name."),
    column("Account", Text, "Key of the Mimecast account; empty where there is one only."),
    column("RunId", Text, "Identity of the run."),
    column(
        "Trigger",
        Text,
        "What started the run: `timer`, `manual`, `queue`, `backfill`, `replay` or `once`.",
    ),
    column("Result", Text, "`ok`, `partial`, `busy` or `failed`."),
    column(
        "Stage",
        Text,
        "The stage that failed: `settings`, `poll`, `ingest` or `checkpoint`; empty where none did.",
    ),
    column("ErrorCode", Text, "Code of the error, as docs/operations.md explains it."),
    column("Message", Text, "What happened and what to do."),
    column("WindowStart", DateTime, "Start of the range that was read."),
    column("WindowEnd", DateTime, "End of the range that was read."),
    column("Watermark", DateTime, "Everything before this time has been delivered."),
    column("LagSeconds", Long, "Seconds from the watermark to the end of the run."),
    column("Read", Long, "Events read."),
    column("Repeated", Long, "Events read again and left out."),
    column("Delivered", Long, "Events accepted by Azure."),
    column("DeadLettered", Long, "Events refused by Azure and kept in the dead letters."),
    column("QuotaLimit", Long, "Mimecast quota, as its answer says."),
    column("QuotaRemaining", Long, "What was left of it at the end of the run."),
    column("DurationMs", Long, "Length of the run in milliseconds."),
    column(
        "UnknownShapes",
        Dynamic,
        "For each auditType that is unknown or came with an eventInfo of unknown shape: how many, and one sample with its letters and digits masked.",
    ),
    column(
        "WorkerVersion",
        Text,
        "Version of the worker, and behind `+` how the SHA-256 of its own file begins.",
    ),
    column("PackageHash", Text, "SHA-256 of the worker package, as the app's setting names it."),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{AUDIT_COLUMNS, HEALTH_COLUMNS};

    /// The rules for column names of
    /// <https://learn.microsoft.com/azure/azure-monitor/logs/create-custom-table>.
    #[test]
    fn azure_accepts_every_column_name() {
        const RESERVED: &[&str] =
            &["_ResourceId", "id", "_SubscriptionId", "TenantId", "Type", "UniqueId", "Title"];
        for column in AUDIT_COLUMNS.iter().chain(HEALTH_COLUMNS) {
            let name = column.name;
            assert!(
                name.len() <= 45 && name.starts_with(|first: char| first.is_ascii_alphabetic()),
                "{name}"
            );
            assert!(name.chars().all(|each| each.is_ascii_alphanumeric() || each == '_'), "{name}");
            assert!(!RESERVED.contains(&name), "{name}");
        }
    }

    #[test]
    fn both_tables_have_a_time_of_generation() {
        for columns in [AUDIT_COLUMNS, HEALTH_COLUMNS] {
            assert_eq!(columns[0].name, "TimeGenerated");
        }
    }

    #[test]
    fn every_column_is_sent_or_computed_under_a_name_of_its_own() {
        for columns in [AUDIT_COLUMNS, HEALTH_COLUMNS] {
            let mut names = HashSet::new();
            let mut stream_names = HashSet::new();
            for column in columns {
                assert!(column.sent_as.is_some() || column.computed.is_some(), "{}", column.name);
                assert!(names.insert(column.name), "{}", column.name);
                if let Some(sent_as) = column.sent_as {
                    assert!(stream_names.insert(sent_as), "{sent_as}");
                }
            }
        }
    }
}
