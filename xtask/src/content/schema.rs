//! The tables that the queries read, as a workspace has them.

use std::collections::BTreeMap;

use contract::streams::{AUDIT_COLUMNS, AUDIT_TABLE, Column, ColumnType, HEALTH_COLUMNS, HEALTH_TABLE};

/// The vendor's table of its later connector.
pub(super) const VENDOR_TABLE: &str = "Audit_CL";
/// Azure's table of errors of data collection rules.
pub(super) const RULE_ERRORS_TABLE: &str = "DCRLogErrors";

/// Which connector's tables a workspace holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// This connector's, and the vendor's with its newest columns.
    Ours,
    /// The old connector's classic table, and the vendor's in its first, classic form.
    Classic,
}

/// Columns by name, with KQL's word for the type.
pub(super) type Columns = Vec<(String, &'static str)>;

/// The tables of a workspace.
pub(super) fn tables(form: Form) -> BTreeMap<&'static str, Columns> {
    let named = |columns: &[(&str, &'static str)]| -> Columns {
        columns.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect()
    };
    // Columns of the old tables as exported rows show them; the rule errors as Azure Monitor's page lists
    // them (https://learn.microsoft.com/azure/azure-monitor/reference/tables/dcrlogerrors).
    let audit = match form {
        Form::Ours => ours(AUDIT_COLUMNS),
        Form::Classic => named(&[
            ("TimeGenerated", "datetime"),
            ("id_s", "string"),
            ("auditType_s", "string"),
            ("user_s", "string"),
            ("eventTime_t", "datetime"),
            ("eventInfo_s", "string"),
            ("Category", "string"),
            ("mimecastEventId_s", "string"),
            ("mimecastEventCategory_s", "string"),
            ("app_s", "string"),
            ("src_s", "string"),
            ("method_s", "string"),
        ]),
    };
    let vendor = match form {
        Form::Ours => named(&[
            ("TimeGenerated", "datetime"),
            ("id", "string"),
            ("auditType", "string"),
            ("user", "string"),
            ("eventTime", "datetime"),
            ("eventInfo", "string"),
            ("category", "string"),
        ]),
        Form::Classic => named(&[
            ("TimeGenerated", "datetime"),
            ("id_s", "string"),
            ("auditType_s", "string"),
            ("user_s", "string"),
            ("eventTime_t", "datetime"),
            ("eventInfo_s", "string"),
            ("Category", "string"),
        ]),
    };
    let rule_errors = named(&[
        ("TimeGenerated", "datetime"),
        ("InputStreamId", "string"),
        ("Message", "string"),
        ("OperationName", "string"),
    ]);
    BTreeMap::from([
        (AUDIT_TABLE, audit),
        (HEALTH_TABLE, ours(HEALTH_COLUMNS)),
        (VENDOR_TABLE, vendor),
        (RULE_ERRORS_TABLE, rule_errors),
    ])
}

fn ours(columns: &[Column]) -> Columns {
    columns.iter().map(|column| (column.name.to_owned(), word(column.column_type))).collect()
}

fn word(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::String => "string",
        ColumnType::DateTime => "datetime",
        ColumnType::Long => "long",
        ColumnType::Boolean => "bool",
        ColumnType::Dynamic => "dynamic",
    }
}
