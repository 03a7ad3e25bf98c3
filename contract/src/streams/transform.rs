//! What the rule's transform makes of a sent row.
//!
//! The computed columns come from a closed set of expressions, so that the same list gives the rule's
//! KQL text and, for the simulator and the tests, the value that Azure would store.
//! Only functions of the published list are used
//! (<https://learn.microsoft.com/azure/azure-monitor/data-collection/data-collection-transformations-kql>,
//! which has neither `coalesce` nor `replace_string`).

use serde_json::{Map, Value};

use super::{AUDIT_COLUMNS, Column, ColumnType};

/// What a row sends for an empty text where the transform would make something of the event's text: it
/// cannot tell a text that is empty from one that was not sent. No value is this, since a value has no
/// comma at its beginning.
pub const NOTHING: &str = ",";

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
    /// The user after those words; empty where a text begins otherwise.
    AuthenticatedUserOf(&'static str),
    /// What stands after the last occurrence of a label; another text where that is nothing.
    LabelOf {
        /// The field that holds the event's text.
        field: &'static str,
        /// The label.
        label: Label,
        /// The other text.
        otherwise: &'static str,
    },
    /// The account code in an event key `CODE:number`; empty where the key has another form.
    AccountOf(&'static str),
}

impl Computed {
    /// The regular expression whose first group fills in the column's field before the columns are made,
    /// and the field that it is read from.
    ///
    /// None has a backslash, which KQL and JSON would each want escaped, and all mean the same to RE2 and
    /// to an engine that backtracks.
    fn pattern(self) -> Option<(String, &'static str)> {
        match self {
            Self::LabelOf { field, label, .. } => Some((format!("(?s)^.* {}: ([^,]*)", label.name()), field)),
            Self::AuthenticatedUserOf(field) => {
                Some(("^[A-Za-z]+ authentication for ([^ ,<]+)".to_owned(), field))
            }
            _ => None,
        }
    }

    /// Whether [`NOTHING`] stands for an empty text.
    fn knows_nothing(self) -> bool {
        matches!(self, Self::AuthenticatedUserOf(_) | Self::LabelOf { otherwise: "", .. })
    }

    /// The expression in KQL. Where [`Self::pattern`] has filled in the field, it is what stands for
    /// nothing.
    fn kql(self) -> String {
        match self {
            Self::Constant(text) | Self::LabelOf { otherwise: text, .. } => format!("'{text}'"),
            Self::AuthenticatedUserOf(_) => "''".to_owned(),
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
            Self::AuthenticatedUserOf(field) => {
                Value::from(authenticated_user_of(text(field)).unwrap_or_default())
            }
            Self::LabelOf { field, label, otherwise } => {
                Value::from(Labels::of(text(field)).get(label).unwrap_or(otherwise))
            }
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

/// The user whom a text names that begins as [`authentication_of`] wants it: up to a blank, a comma or a `<`.
pub fn authenticated_user_of(text: &str) -> Option<&str> {
    let rest = &text[authentication_of(text)?.len() + " for ".len()..];
    let end = rest.bytes().position(|byte| matches!(byte, b' ' | b',' | b'<'));
    let user = end.map_or(rest, |end| &rest[..end]);
    (!user.is_empty()).then_some(user)
}

/// A label that closes an event's text, as in `…, IP: 192.0.2.15, Application: Web`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// The application.
    Application,
    /// The address that the request came from.
    Source,
    /// The method of an authentication.
    Method,
    /// The reason of a failure.
    Reason,
    /// The second factor of an authentication.
    SecondFactor,
}

impl Label {
    const COUNT: usize = Self::SecondFactor as usize + 1;

    /// How it is written.
    const fn name(self) -> &'static str {
        match self {
            Self::Application => "Application",
            Self::Source => "IP",
            Self::Method => "Method",
            Self::Reason => "Reason",
            Self::SecondFactor => "2FA",
        }
    }

    /// The label that a text ends with, with a blank before it.
    fn at_the_end_of(text: &[u8]) -> Option<Self> {
        // Most colons close no label, which the letter before them tells.
        match text.last()? {
            b'P' if text.ends_with(b" IP") => Some(Self::Source),
            b'd' if text.ends_with(b" Method") => Some(Self::Method),
            b'A' if text.ends_with(b" 2FA") => Some(Self::SecondFactor),
            b'n' if text.ends_with(b" Application") => Some(Self::Application),
            b'n' if text.ends_with(b" Reason") => Some(Self::Reason),
            _ => None,
        }
    }
}

/// What stands in a text after the last occurrence of each label, up to the next comma or the end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Labels<'a>([Option<&'a str>; Label::COUNT]);

impl<'a> Labels<'a> {
    /// Reads them in one pass from the end.
    pub fn of(text: &'a str) -> Self {
        let bytes = text.as_bytes();
        let mut labels = Self::default();
        for colon in memchr::memrchr_iter(b':', bytes) {
            if bytes.get(colon + 1) != Some(&b' ') {
                continue;
            }
            let Some(label) = Label::at_the_end_of(&bytes[..colon]) else { continue };
            let found = &mut labels.0[label as usize];
            if found.is_none() {
                let after = &text[colon + 2..];
                let end = after.bytes().position(|byte| byte == b',').unwrap_or(after.len());
                *found = Some(&after[..end]);
            }
        }
        labels
    }

    /// What stands after a label; nothing where that is empty.
    pub fn get(&self, label: Label) -> Option<&'a str> {
        self.0[label as usize].filter(|value| !value.is_empty())
    }
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

/// The transform of the rule's flow into [`super::AUDIT_TABLE`]. It first fills in the fields that are read
/// from the event's text, so that no expression stands there twice, then makes the columns.
pub fn audit_transform_kql() -> String {
    let fields: Vec<String> = AUDIT_COLUMNS.iter().filter_map(filling_in).collect();
    let columns: Vec<String> = AUDIT_COLUMNS.iter().map(assignment).collect();
    format!("source | extend {} | project {}", fields.join(", "), columns.join(", "))
}

/// `field = expression` of a field that is read from the event's text where it was not sent.
fn filling_in(column: &Column) -> Option<String> {
    let field = column.sent_as?;
    let (expression, text) = column.computed?.pattern()?;
    Some(format!("{field} = iif(isempty({field}), extract('{expression}', 1, {text}), {field})"))
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
        (Some(field), Some(computed)) if computed.knows_nothing() => {
            format!("{name} = iif({field} == '{NOTHING}', {}, {field})", computed.kql())
        }
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
        (Some(value), Some(computed), _) if computed.knows_nothing() && value == NOTHING => Value::from(""),
        (Some(value), _, _) => value.clone(),
        (None, Some(computed), _) => computed.value(sent),
        (None, None, ColumnType::String) => Value::from(""),
        (None, None, _) => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Label, Labels, NOTHING, account_of, audit_row, audit_transform_kql};

    fn row(sent: Value) -> serde_json::Map<String, Value> {
        audit_row(sent.as_object().expect("an object"))
    }

    #[test]
    fn the_transform_keeps_within_azures_limits() {
        let kql = audit_transform_kql();
        // https://learn.microsoft.com/azure/azure-monitor/fundamentals/service-limits
        assert!(kql.len() < 15_360, "{}", kql.len());
        // The operators and functions of the published list that it may use.
        for operator in kql.split(" | ").skip(1) {
            assert!(operator.starts_with("extend ") || operator.starts_with("project "), "{operator}");
        }
        // Neither KQL's escapes nor JSON's are needed.
        assert!(!kql.contains(['\\', '"', '\n']), "{kql}");
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
    fn a_users_name_follows_the_authentication() {
        for (text, expected) in [
            ("Failed authentication for a@example.com, Date: 2021-10-11", "a@example.com"),
            ("Failed authentication for a@example.com<A>", "a@example.com"),
            ("Failed authentication for zoë@example.com <Z>", "zoë@example.com"),
            // The worker ends at a line's end, and sends what it found.
            ("Failed authentication for a\nb c", "a\nb"),
            ("Failed authentication for a", "a"),
            ("Failed authentication for <A>", ""),
            ("Failed authentication for ", ""),
            ("Re: Failed authentication for a", ""),
            ("", ""),
        ] {
            assert_eq!(row(json!({"info": text}))["targetUser_s"], expected, "{text}");
        }
        let failed = "Failed authentication for a, Reason: b";
        assert_eq!(row(json!({"info": failed, "target": "c"}))["targetUser_s"], "c");
        assert_eq!(row(json!({"info": failed, "target": NOTHING}))["targetUser_s"], "");
    }

    #[test]
    fn a_label_gives_what_follows_its_last_occurrence() {
        use Label::{Application, Method, Reason, SecondFactor, Source};
        for (text, label, expected) in [
            ("x, IP: 192.0.2.15, Application: Web", Source, Some("192.0.2.15")),
            ("x, IP: 192.0.2.15, Application: Web", Application, Some("Web")),
            ("x, IP: 192.0.2.15, Application: Web", Method, None),
            ("a, IP: 192.0.2.1, b, IP: 192.0.2.2", Source, Some("192.0.2.2")),
            ("x, IP: 2001:db8::1, Application: Web", Source, Some("2001:db8::1")),
            ("x, IP: : 192.0.2.77,, Application: Web", Source, Some(": 192.0.2.77")),
            ("x IP: 192.0.2.15 Application: Web", Source, Some("192.0.2.15 Application: Web")),
            ("x, Application: Smith, Jones and Co", Application, Some("Smith")),
            ("x, Application: Büro 🎫 ", Application, Some("Büro 🎫 ")),
            ("x, Reason: a\r\nb, 2FA: TOTP", Reason, Some("a\r\nb")),
            ("x, Reason: a\r\nb, 2FA: TOTP", SecondFactor, Some("TOTP")),
            // The last one counts, though nothing follows.
            ("x, Reason: a, Reason: ", Reason, None),
            ("x, Reason: a, Reason: , y", Reason, None),
            ("x, Reason: a, Reason:b", Reason, Some("a")),
            // Other spellings are none.
            ("IP: 192.0.2.15", Source, None),
            (" IP: 192.0.2.15", Source, Some("192.0.2.15")),
            ("x,IP: 192.0.2.15", Source, None),
            ("x\nIP: 192.0.2.15", Source, None),
            ("x, IP : 192.0.2.15", Source, None),
            ("x, ip: 192.0.2.15", Source, None),
            ("x, VIP: 192.0.2.15", Source, None),
            ("", Source, None),
        ] {
            assert_eq!(Labels::of(text).get(label), expected, "{text}");
        }
    }

    #[test]
    fn a_sent_label_wins_over_the_texts() {
        let text = "x, IP: null, Application: Web, Method: Cloud, Reason: a, 2FA: TOTP";
        let columns = ["app_s", "src_s", "method_s", "reason_s", "secondFactor_s"];
        let values = |sent: Value| {
            let row = row(sent);
            columns.map(|column| row[column].as_str().expect("text").to_owned())
        };
        assert_eq!(values(json!({"info": text})), ["Web", "null", "Cloud", "a", "TOTP"]);
        assert_eq!(
            values(json!({"info": text, "src": "unknown", "reason": NOTHING, "factor": NOTHING})),
            ["Web", "unknown", "Cloud", "", ""]
        );
        assert_eq!(values(json!({"info": "x"})), ["unknown", "unknown", "unknown", "", ""]);
    }

    #[test]
    fn only_a_key_of_code_and_number_has_an_account() {
        assert_eq!(account_of("CUSA0A0000:1"), Some("CUSA0A0000"));
        for key in ["", ":1", "CUSA:", "CUSA:1a", "CU SA:1", "CUSA"] {
            assert_eq!(account_of(key), None, "{key}");
        }
    }
}
