//! What the rule's transform makes of a sent row.
//!
//! The computed columns come from a closed set of expressions, so that the same list gives the rule's
//! KQL text and, for the simulator and the tests, the value that Azure would store.
//! Only functions of the published list are used
//! (<https://learn.microsoft.com/azure/azure-monitor/data-collection/data-collection-transformations-kql>,
//! which has neither `coalesce` nor `replace_string`).

use serde_json::{Map, Value};

use super::{AUDIT_COLUMNS, Column, ColumnType};

/// How the transform makes a column that was not sent. The names are those of the stream's fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Computed {
    /// The same text in every row.
    Constant(&'static str),
    /// False.
    False,
    /// What another field holds.
    SameAs(&'static str),
    /// True where another field, a time, was not sent.
    IsMissing(&'static str),
    /// The old connector's event id, made of the category: `audit_` and the category without a
    /// `_logs` at its end; `audit_other` where there is no category.
    EventId(&'static str),
    /// The words `… authentication` that an event's text begins with, as in `Failed authentication for
    /// a@example.com`; empty where it begins otherwise.
    AuthenticationOf(&'static str),
    /// The account code in an event key `CODE:number`; empty where the key has another form.
    AccountOf(&'static str),
}

impl Computed {
    /// The expression in KQL.
    fn kql(self) -> String {
        match self {
            Self::Constant(text) => format!("'{text}'"),
            Self::False => "false".to_owned(),
            Self::SameAs(field) => field.to_owned(),
            Self::IsMissing(field) => format!("isnull({field})"),
            Self::EventId(field) => format!(
                "iif(isempty({field}), 'audit_other', strcat('audit_', iif({field} endswith_cs '_logs', \
                 substring({field}, 0, strlen({field}) - 5), {field})))"
            ),
            Self::AuthenticationOf(field) => {
                format!("extract('^([A-Za-z]+ authentication) for ', 1, {field})")
            }
            Self::AccountOf(field) => format!("extract('^([A-Za-z0-9]+):[0-9]+$', 1, {field})"),
        }
    }

    /// What the expression gives for a sent row. Text that is missing is empty text, as in KQL.
    fn value(self, sent: &Map<String, Value>) -> Value {
        let text = |field: &str| sent.get(field).and_then(Value::as_str).unwrap_or_default();
        match self {
            Self::Constant(text) => Value::from(text),
            Self::False => Value::Bool(false),
            Self::SameAs(field) => sent.get(field).cloned().unwrap_or(Value::Null),
            Self::IsMissing(field) => Value::Bool(sent.get(field).is_none_or(Value::is_null)),
            Self::EventId(field) => match text(field) {
                "" => Value::from("audit_other"),
                category => {
                    let category = category.strip_suffix("_logs").unwrap_or(category);
                    Value::from(format!("audit_{category}"))
                }
            },
            Self::AuthenticationOf(field) => Value::from(authentication_of(text(field)).unwrap_or_default()),
            Self::AccountOf(field) => Value::from(account_of(text(field)).unwrap_or_default()),
        }
    }
}

/// The words `… authentication` that a text begins with, where one word and a ` for ` stand around it.
pub fn authentication_of(text: &str) -> Option<&str> {
    const AUTHENTICATION: &str = " authentication";
    let word = text.bytes().take_while(u8::is_ascii_alphabetic).count();
    let rest = text[word..].strip_prefix(AUTHENTICATION)?;
    (word > 0 && rest.starts_with(" for ")).then(|| &text[..word + AUTHENTICATION.len()])
}

/// The account code in an event key of the form `CODE:number`.
pub fn account_of(key: &str) -> Option<&str> {
    let (account, number) = key.split_once(':')?;
    let of_letters_and_digits =
        !account.is_empty() && account.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let of_digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    (of_letters_and_digits && of_digits).then_some(account)
}

/// The columns that the worker sends, for the stream's declaration: each with its name there
/// ([`Column::sent_as`]) and its type ([`ColumnType::in_rule`]).
pub fn sent_columns(columns: &'static [Column]) -> impl Iterator<Item = (&'static str, ColumnType)> {
    columns.iter().filter_map(|column| Some((column.sent_as?, column.column_type)))
}

/// The transform of the rule's flow into [`super::AUDIT_TABLE`].
pub fn audit_transform_kql() -> String {
    let columns: Vec<String> = AUDIT_COLUMNS.iter().map(assignment).collect();
    format!("source | project {}", columns.join(", "))
}

/// The transform of the rule's flow into [`super::HEALTH_TABLE`]: its rows are sent whole.
pub fn health_transform_kql() -> String {
    "source".to_owned()
}

/// `name = expression` of one column.
fn assignment(column: &Column) -> String {
    let name = column.name;
    match (column.sent_as, column.computed) {
        (Some(field), None) if field == name => name.to_owned(),
        (Some(field), None) => format!("{name} = {field}"),
        (Some(field), Some(computed)) => {
            let missing = match column.column_type {
                ColumnType::String => "isempty",
                _ => "isnull",
            };
            format!("{name} = iif({missing}({field}), {}, {field})", computed.kql())
        }
        (None, computed) => {
            format!("{name} = {}", computed.map_or_else(|| "''".to_owned(), Computed::kql))
        }
    }
}

/// The row of [`super::AUDIT_TABLE`] that [`audit_transform_kql`] makes of a sent row: every column of
/// the table, missing text as `""` and anything else that is missing as `null`. Fields that the stream
/// does not declare are dropped, as Azure drops them.
pub fn audit_row(sent: &Map<String, Value>) -> Map<String, Value> {
    AUDIT_COLUMNS.iter().map(|column| (column.name.to_owned(), stored(column, sent))).collect()
}

fn stored(column: &Column, sent: &Map<String, Value>) -> Value {
    let given = column
        .sent_as
        .and_then(|field| sent.get(field))
        .filter(|value| !value.is_null() && value.as_str() != Some(""));
    match (given, column.computed, column.column_type) {
        (Some(value), _, _) => value.clone(),
        (None, Some(computed), _) => computed.value(sent),
        (None, None, ColumnType::String) => Value::from(""),
        (None, None, _) => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{account_of, audit_row, audit_transform_kql};

    fn row(sent: Value) -> serde_json::Map<String, Value> {
        audit_row(sent.as_object().expect("an object"))
    }

    #[test]
    fn the_transform_keeps_within_azures_limits() {
        let kql = audit_transform_kql();
        // https://learn.microsoft.com/azure/azure-monitor/fundamentals/service-limits
        assert!(kql.len() < 15_360, "{}", kql.len());
        // The functions of the published list that it may use.
        let supported = ["iif", "isnull", "isempty", "strcat", "substring", "strlen", "extract"];
        for call in kql.split('(').filter(|text| text.ends_with(|last: char| last.is_alphanumeric())) {
            let name = call.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next().expect("one part");
            assert!(supported.contains(&name), "{name}");
        }
    }

    #[test]
    fn a_sent_time_is_the_time_of_generation() {
        let row = row(json!({"at": "2021-10-18T08:45:02Z"}));
        assert_eq!(row["TimeGenerated"], "2021-10-18T08:45:02Z");
        assert_eq!(row["eventTime_t"], "2021-10-18T08:45:02Z");
        assert_eq!(row["timeUnread_b"], false);
    }

    #[test]
    fn an_arrival_stands_in_for_a_time_that_could_not_be_read() {
        let row = row(json!({"arrival": "2026-11-20T10:00:00Z"}));
        assert_eq!(row["TimeGenerated"], "2026-11-20T10:00:00Z");
        assert_eq!(row["eventTime_t"], Value::Null);
        assert_eq!(row["timeUnread_b"], true);
    }

    #[test]
    fn the_event_id_follows_from_the_category() {
        for (category, expected) in [
            ("reporting_logs", "audit_reporting"),
            // The one category without the ending.
            ("integrations_and_apis", "audit_integrations_and_apis"),
            // Only an ending is cut, unlike the old connector, which cut every `_logs` (W66).
            ("a_logs_b", "audit_a_logs_b"),
            ("", "audit_other"),
        ] {
            assert_eq!(row(json!({"cat": category}))["mimecastEventId_s"], expected);
        }
        assert_eq!(row(json!({}))["mimecastEventCategory_s"], "audit");
    }

    #[test]
    fn what_was_not_sent_is_filled_in() {
        let row = row(json!({"app": "Web", "src": "", "key": "CUSA0A0000:320498276", "undeclared": 1}));
        assert_eq!(row["app_s"], "Web");
        assert_eq!(row["src_s"], "unknown");
        assert_eq!(row["method_s"], "unknown");
        assert_eq!(row["reason_s"], "");
        assert_eq!(row["account_s"], "CUSA0A0000");
        assert_eq!(row["truncated_b"], false);
        assert!(!row.contains_key("undeclared"));
    }

    #[test]
    fn a_sent_account_wins_over_the_keys() {
        assert_eq!(row(json!({"key": "mock_audit_event_id_12345", "account": "main"}))["account_s"], "main");
        assert_eq!(row(json!({"key": "mock_audit_event_id_12345"}))["account_s"], "");
    }

    #[test]
    fn an_authentication_names_itself() {
        for (text, expected) in [
            ("Failed authentication for a@example.com, Date: 2021-10-11", "Failed authentication"),
            ("Re: Failed authentication for a", ""),
            ("Failed authentication, for a", ""),
            (" authentication for a", ""),
            ("", ""),
        ] {
            assert_eq!(row(json!({"info": text}))["operation_s"], expected, "{text}");
        }
        assert_eq!(row(json!({"info": "x", "op": "Viewed Case"}))["operation_s"], "Viewed Case");
    }

    #[test]
    fn only_a_key_of_code_and_number_has_an_account() {
        assert_eq!(account_of("CUSA0A0000:1"), Some("CUSA0A0000"));
        for key in ["", ":1", "CUSA:", "CUSA:1a", "CU SA:1", "CUSA"] {
            assert_eq!(account_of(key), None, "{key}");
        }
    }
}
