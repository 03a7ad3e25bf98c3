//! The two tables, their columns, and the streams that feed them.
//!
//! The table bodies, the rule's stream declarations and transform, the reference page and the
//! tests all come from these lists.

/// The table of audit and authentication events.
pub const AUDIT_TABLE: &str = "MimecastAudit_CL";
/// The table of the worker's runs.
pub const HEALTH_TABLE: &str = "MimecastAuditHealth_CL";
/// The stream that feeds [`AUDIT_TABLE`]. Custom streams begin with `Custom-`
/// (<https://learn.microsoft.com/azure/azure-monitor/data-collection/data-collection-rule-structure>).
pub const AUDIT_STREAM: &str = "Custom-MimecastAudit_CL";
/// The stream that feeds [`HEALTH_TABLE`].
pub const HEALTH_STREAM: &str = "Custom-MimecastAuditHealth_CL";

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
    /// The expression that makes it in the rule's transform, for columns that follow from sent ones
    /// by a constant rule; `None` where the worker sends it.
    pub computed: Option<&'static str>,
}

const fn column(name: &'static str, column_type: ColumnType, meaning: &'static str) -> Column {
    Column { name, column_type, meaning, computed: None }
}

use ColumnType::{Boolean, DateTime, Dynamic, Long, String as Text};

/// The columns of [`AUDIT_TABLE`]. The suffixed names are those of the old connector's table, which
/// saved queries know.
pub const AUDIT_COLUMNS: &[Column] = &[
    column(
        "TimeGenerated",
        DateTime,
        "Time of the event; Azure replaces it by the arrival when it is older than two days.",
    ),
    column("id_s", Text, "`id` as received."),
    column("auditType_s", Text, "`auditType` as received."),
    column("user_s", Text, "`user` as received."),
    column("eventInfo_s", Text, "`eventInfo` as received, whole up to the field limit."),
    column("eventTime_t", DateTime, "`eventTime` in UTC; empty where it could not be read."),
    column("Category", Text, "`category` as received."),
    column("mimecastEventId_s", Text, "`audit_` and the category without `_logs`."),
    column("mimecastEventCategory_s", Text, "Always `audit`."),
    column("app_s", Text, "Application named in eventInfo; `unknown` where there is none."),
    column("src_s", Text, "Source address named in eventInfo; `unknown` where there is none."),
    column("method_s", Text, "Authentication method named in eventInfo; `unknown` where there is none."),
    column("reason_s", Text, "Reason of a failure named in eventInfo; empty where there is none."),
    column("secondFactor_s", Text, "Second factor named in eventInfo; empty where there is none."),
    column("targetUser_s", Text, "User whom the event is about, where eventInfo names one."),
    column("operation_s", Text, "What was done, where eventInfo says so."),
    column("object_s", Text, "What it was done to, where eventInfo says so."),
    column("eventKey_s", Text, "Identity of the event, for queries that must not count twice."),
    column(
        "account_s",
        Text,
        "Mimecast account code from the id, else the key of the account in the answers.",
    ),
    column("truncated_b", Boolean, "A field was longer than Azure stores and was cut."),
    column("timeUnread_b", Boolean, "`eventTime` could not be read; TimeGenerated is the arrival."),
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
    column("UnknownShapes", Dynamic, "Number of eventInfo texts of unknown shape, by auditType."),
    column("WorkerVersion", Text, "Version of the worker."),
    column("PackageHash", Text, "SHA-256 of the worker package."),
];

#[cfg(test)]
mod tests {
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
}
