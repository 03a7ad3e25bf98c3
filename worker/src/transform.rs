//! One record of Mimecast's becomes one row of ours.
//!
//! Takes a [`Record`], gives a JSON object in the form of the stream or of the table. Pure: no clock, no
//! I/O. No record is lost here: what cannot be read leaves its column empty, is marked or counted
//! ([`ShapeCounts`]), and the texts as received are in the row.

pub mod event_info;
pub mod event_key;
pub mod event_time;
mod json;
pub mod shapes;

use contract::streams::transform::{
    Computed, Labels, NOTHING, account_of, authenticated_user_of, authentication_of,
};
use contract::streams::{AUDIT_COLUMNS, Column, UNKNOWN};
use time::OffsetDateTime;

use crate::poll::Record;
use event_info::{EventInfo, Shape};
use event_key::{EventKey, KeyReader};
use shapes::{KNOWN_AUDIT_TYPES, ShapeCounts};

/// The longest field that is sent, in bytes of UTF-8. Azure cuts longer ones at 64 KB and says nothing
/// (<https://learn.microsoft.com/azure/azure-monitor/fundamentals/service-limits>), so they are cut
/// before, on a character boundary, and marked (BR-050, BR-051).
pub const FIELD_LIMIT_BYTES: usize = 65_000;

/// Makes rows, with scratch memory that is used again for each.
pub struct Transformer {
    account: String,
    form: RowForm,
    cells: Vec<Cell>,
    keys: KeyReader,
    key_text: String,
    counts: ShapeCounts,
}

/// What is known of a row beside its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowFacts {
    /// The time of the event, where it could be read.
    pub event_time: Option<OffsetDateTime>,
    /// A field was cut.
    pub truncated: bool,
}

impl Transformer {
    /// Rows as the stream declares them: short names, and without what the rule's transform makes.
    ///
    /// `account` is the key of the account in the answers, for events whose id does not tell it.
    pub fn new(account: &str) -> Self {
        Self::of(account, RowForm::Stream)
    }

    /// Rows as the table holds them, with every column: for files, where no rule completes them.
    pub fn whole(account: &str) -> Self {
        Self::of(account, RowForm::Table)
    }

    fn of(account: &str, form: RowForm) -> Self {
        Self {
            account: account.to_owned(),
            form,
            cells: AUDIT_COLUMNS.iter().filter_map(|column| Cell::of(column, form)).collect(),
            keys: KeyReader::new(),
            key_text: String::new(),
            counts: ShapeCounts::default(),
        }
    }

    /// The event's identity.
    pub fn key(&mut self, record: &Record<'_>) -> EventKey {
        self.keys.key(record)
    }

    /// Appends the event's row, one JSON object, to `out`. `arrival` stands in for a time that cannot be
    /// read.
    pub fn row(
        &mut self,
        record: &Record<'_>,
        key: &EventKey,
        arrival: OffsetDateTime,
        out: &mut Vec<u8>,
    ) -> RowFacts {
        self.key_text.clear();
        key.write(&mut self.key_text);
        let values = Values::of(record, key, &self.key_text, &self.account, arrival);
        values.write(&self.cells, self.form, out);

        let audit_type = record.audit_type.as_deref().unwrap_or_default();
        self.counts.rows += 1;
        self.counts.cut_rows += u64::from(values.truncated);
        self.counts.unread_times += u64::from(values.event_time.is_none());
        if !KNOWN_AUDIT_TYPES.contains(&audit_type) {
            self.counts.count_type(audit_type);
        }
        if values.info.shape == Shape::Unknown {
            self.counts.count_shape(audit_type, record.event_info.as_deref().unwrap_or_default());
        }
        RowFacts { event_time: values.event_time, truncated: values.truncated }
    }

    /// What was met and not known, since this transformer was made.
    pub fn counts(&self) -> &ShapeCounts {
        &self.counts
    }
}

/// Whose names and columns a row has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RowForm {
    Stream,
    Table,
}

/// One column of a row.
struct Cell {
    /// The name, as in `"eventInfo_s":`.
    opening: Vec<u8>,
    /// The value that the table is to have.
    value: for<'a> fn(&Values<'a>) -> Value<'a>,
    /// What the rule's transform makes of a row without it.
    computed: Option<Computed>,
}

impl Cell {
    /// The column's cell, where rows of this form have one.
    fn of(column: &Column, form: RowForm) -> Option<Self> {
        let name = match form {
            RowForm::Stream => column.sent_as?,
            RowForm::Table => column.name,
        };
        Some(Self {
            opening: format!("\"{name}\":").into_bytes(),
            value: value_of(column.name)?,
            computed: column.computed,
        })
    }
}

/// A value as the table is to have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value<'a> {
    Text(&'a str),
    Time(Option<OffsetDateTime>),
    Flag(bool),
    /// The old connector's event id, of a category.
    EventId(&'a str),
}

impl Value<'_> {
    /// Whether it is this text. Mostly both are the same part of one text, which is seen without reading it.
    fn is(self, text: &str) -> bool {
        matches!(self, Self::Text(own) if std::ptr::eq(own, text) || own == text)
    }
}

/// Where a column's value comes from. A test holds that every column has its line here.
fn value_of(column: &str) -> Option<for<'a> fn(&Values<'a>) -> Value<'a>> {
    Some(match column {
        "TimeGenerated" => |values| Value::Time(Some(values.generated)),
        "id_s" => |values| Value::Text(values.id),
        "auditType_s" => |values| Value::Text(values.audit_type),
        "user_s" => |values| Value::Text(values.user),
        "eventInfo_s" => |values| Value::Text(values.event_info),
        "eventTime_t" => |values| Value::Time(values.event_time),
        "Category" => |values| Value::Text(values.category),
        "mimecastEventId_s" => |values| Value::EventId(values.category),
        "mimecastEventCategory_s" => |_| Value::Text("audit"),
        "app_s" => |values| Value::Text(values.info.application.unwrap_or(UNKNOWN)),
        "src_s" => |values| Value::Text(values.info.source.unwrap_or(UNKNOWN)),
        "method_s" => |values| Value::Text(values.info.method.unwrap_or(UNKNOWN)),
        "reason_s" => |values| Value::Text(values.info.reason.unwrap_or_default()),
        "secondFactor_s" => |values| Value::Text(values.info.second_factor.unwrap_or_default()),
        "targetUser_s" => |values| Value::Text(values.info.target_user.unwrap_or_default()),
        "operation_s" => |values| Value::Text(values.info.operation.unwrap_or_default()),
        "object_s" => |values| Value::Text(values.info.object.unwrap_or_default()),
        "eventKey_s" => |values| Value::Text(values.key),
        "account_s" => |values| Value::Text(values.account),
        "truncated_b" => |values| Value::Flag(values.truncated),
        "timeUnread_b" => |values| Value::Flag(values.event_time.is_none()),
        _ => return None,
    })
}

/// The values of a row.
struct Values<'a> {
    id: &'a str,
    audit_type: &'a str,
    user: &'a str,
    event_info: &'a str,
    category: &'a str,
    info: EventInfo<'a>,
    event_time: Option<OffsetDateTime>,
    /// The time of the event, else its arrival.
    generated: OffsetDateTime,
    key: &'a str,
    account: &'a str,
    truncated: bool,
}

impl<'a> Values<'a> {
    fn of(
        record: &'a Record<'_>,
        event_key: &'a EventKey,
        key: &'a str,
        account: &'a str,
        arrival: OffsetDateTime,
    ) -> Self {
        let mut truncated = false;
        let mut cut = |text: Option<&'a str>| {
            let text = text.unwrap_or_default();
            truncated |= text.len() > FIELD_LIMIT_BYTES;
            &text[..text.floor_char_boundary(FIELD_LIMIT_BYTES)]
        };
        // The labels close the text, so it is read whole, also where it is cut.
        let info = record.event_info.as_deref().map(event_info::read).unwrap_or_default();
        let event_time = record.event_time.as_deref().and_then(event_time::read);
        let known_account = event_key.account().unwrap_or(account);
        Self {
            id: cut(record.id.as_deref()),
            audit_type: cut(record.audit_type.as_deref()),
            user: cut(record.user.as_deref()),
            event_info: cut(record.event_info.as_deref()),
            category: cut(record.category.as_deref()),
            info: info.map(|value| cut(Some(value))),
            event_time,
            generated: event_time.unwrap_or(arrival),
            key,
            account: if known_account.is_empty() {
                account_of(key).unwrap_or_default()
            } else {
                known_account
            },
            truncated,
        }
    }

    fn write(&self, cells: &[Cell], form: RowForm, out: &mut Vec<u8>) {
        // The rule reads the text that is sent, which may be cut.
        let labels = match form {
            RowForm::Stream => Labels::of(self.event_info),
            RowForm::Table => Labels::default(),
        };
        let mut separator = b'{';
        for cell in cells {
            let mut value = (cell.value)(self);
            if form == RowForm::Stream {
                if self.left_out(value, cell.computed, &labels) {
                    continue;
                }
                if matches!(value, Value::Text("")) {
                    // The rule would fill it.
                    value = Value::Text(NOTHING);
                }
            }
            out.push(separator);
            separator = b',';
            out.extend_from_slice(&cell.opening);
            match value {
                Value::Text(text) => json::write_text(text, out),
                Value::Time(Some(time)) => {
                    out.push(b'"');
                    event_time::write(time, out);
                    out.push(b'"');
                }
                Value::Time(None) => out.extend_from_slice(b"null"),
                Value::Flag(true) => out.extend_from_slice(b"true"),
                Value::Flag(false) => out.extend_from_slice(b"false"),
                Value::EventId(category) => json::write_text(&old_event_id(category), out),
            }
        }
        out.push(b'}');
    }

    /// Whether the table has this value without its being sent: it is empty, or the rule's transform
    /// makes it.
    fn left_out(&self, value: Value<'_>, computed: Option<Computed>, labels: &Labels<'_>) -> bool {
        match computed {
            None => matches!(value, Value::Text("") | Value::Time(None)),
            Some(Computed::Constant(text)) => value == Value::Text(text),
            Some(Computed::False) => value == Value::Flag(false),
            // The time of generation is the event's, where that is known.
            Some(Computed::SameAs(_)) => value == Value::Time(self.event_time),
            Some(Computed::AuthenticationOf(_)) => {
                value.is(authentication_of(self.event_info).unwrap_or_default())
            }
            Some(Computed::AuthenticatedUserOf(_)) => {
                value.is(authenticated_user_of(self.event_info).unwrap_or_default())
            }
            Some(Computed::LabelOf { label, otherwise, .. }) => {
                value.is(labels.get(label).unwrap_or(otherwise))
            }
            Some(Computed::AccountOf(_)) => value.is(account_of(self.key).unwrap_or_default()),
            // These are made whatever is sent.
            Some(Computed::IsMissing(_) | Computed::EventId(_)) => true,
        }
    }
}

/// The event id as the old connector wrote it.
fn old_event_id(category: &str) -> String {
    match category {
        "" => "audit_other".to_owned(),
        category => format!("audit_{}", category.strip_suffix("_logs").unwrap_or(category)),
    }
}
