//! Counts of what the transform met and did not know, for the health row.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// How many auditTypes are counted by name; the rest are counted together.
const NAMED_TYPES: usize = 20;
/// The name under which the rest are counted. It is no auditType of Mimecast's.
const OTHER_TYPES: &str = "(other)";
/// How long an auditType is shown.
const TYPE_BYTES: usize = 100;
/// How long a sample is.
const SAMPLE_CHARACTERS: usize = 240;

/// The auditTypes that have been met in public samples and documents.
pub const KNOWN_AUDIT_TYPES: &[&str] = &[
    "API Application Created",
    "API Application Updated",
    "Account Updated",
    "Archive Mailbox Export Download",
    "Archive Mailbox Restore",
    "Case Action",
    "Completed Directory Sync",
    "Connectors Management",
    "Content Definition Adjustments",
    "Custom Report Definition Created",
    "Discovery Case Adjustments",
    "Domain Adjustments",
    "Existing Archive Task Changed",
    "Existing Policy Changed",
    "Existing Route Changed",
    "Folder Log Entry",
    "Logon Authentication Failed",
    "Logon Requires Challenge",
    "Message Action",
    "Mimecast Support Login",
    "New Delivery Route",
    "New Policy",
    "Page Data Exports",
    "Policy Deleted",
    "Profile Group (Address) Log Entry",
    "Profile Group (unlink) Log Entry",
    "Remediation Incident Adjustment",
    "Review Set Action",
    "Search Action",
    "Threat Intel Feed Download",
    "Unauthorized API Request",
    "User Logged On",
    "User Password Changed",
    "White URL Created",
];

/// Words of Mimecast's own texts, which a sample may show; everything else in it is masked.
const SHOWN_WORDS: &[&str] = &[
    "2FA",
    "Action",
    "Application",
    "Case",
    "Created",
    "Date",
    "Deleted",
    "Failed",
    "IP",
    "Message",
    "Method",
    "Name",
    "Performed",
    "Policy",
    "Reason",
    "Remote",
    "Review",
    "Set",
    "Source",
    "Successful",
    "Successfully",
    "Time",
    "Updated",
    "User",
    "Viewed",
    "authentication",
    "by",
    "for",
    "from",
    "in",
    "is",
    "of",
    "on",
    "the",
    "to",
    "user",
    "with",
];

/// What a run met that it did not know. A row is delivered all the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShapeCounts {
    /// Rows made.
    pub rows: u64,
    /// Rows of which a field was longer than Azure stores.
    pub cut_rows: u64,
    /// Rows whose `eventTime` could not be read.
    pub unread_times: u64,
    /// By auditType.
    unknown: BTreeMap<String, Unknown>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Unknown {
    types: u64,
    shapes: u64,
    sample: Option<String>,
}

impl ShapeCounts {
    /// Rows of an auditType that we do not know.
    pub fn unknown_types(&self) -> u64 {
        self.unknown.values().map(|unknown| unknown.types).sum()
    }

    /// Rows whose eventInfo had no shape that we know.
    pub fn unknown_shapes(&self) -> u64 {
        self.unknown.values().map(|unknown| unknown.shapes).sum()
    }

    /// The value of the health column `UnknownShapes`: `null` where there is nothing to tell, else an
    /// object by auditType of `{"unknownType": n, "unknownShape": n, "sample": "masked text"}`.
    pub fn to_json(&self) -> Value {
        if self.unknown.is_empty() {
            return Value::Null;
        }
        let entry = |(name, unknown): (&String, &Unknown)| {
            let counts = [("unknownType", unknown.types), ("unknownShape", unknown.shapes)];
            let mut entry: Map<String, Value> = counts
                .into_iter()
                .filter(|(_, count)| *count > 0)
                .map(|(name, count)| (name.to_owned(), json!(count)))
                .collect();
            if let Some(sample) = &unknown.sample {
                entry.insert("sample".to_owned(), json!(sample));
            }
            (name.clone(), Value::Object(entry))
        };
        Value::Object(self.unknown.iter().map(entry).collect())
    }

    /// Counts a row of an auditType that is not among [`KNOWN_AUDIT_TYPES`].
    pub(super) fn count_type(&mut self, audit_type: &str) {
        self.of(audit_type).types += 1;
    }

    /// Counts a row whose text has no known shape, and keeps the first such text, masked.
    pub(super) fn count_shape(&mut self, audit_type: &str, text: &str) {
        let unknown = self.of(audit_type);
        unknown.shapes += 1;
        unknown.sample.get_or_insert_with(|| masked(text));
    }

    fn of(&mut self, audit_type: &str) -> &mut Unknown {
        let name = &audit_type[..audit_type.floor_char_boundary(TYPE_BYTES)];
        let name = match self.unknown.len() < NAMED_TYPES || self.unknown.contains_key(name) {
            true => name,
            false => OTHER_TYPES,
        };
        self.unknown.entry(name.to_owned()).or_default()
    }
}

/// A text's shape without what it says: letters become `x`, digits `9`, other characters beyond ASCII
/// `?`; the words of Mimecast's own texts stay, where they stand alone.
fn masked(text: &str) -> String {
    let mut shown = String::new();
    let mut length = 0;
    let mut rest = text;
    while let Some(first) = rest.chars().next()
        && length < SAMPLE_CHARACTERS
    {
        let word_bytes = rest.find(|each: char| !each.is_alphanumeric()).unwrap_or(rest.len());
        let (word, after) = rest.split_at(word_bytes.max(first.len_utf8()));
        let alone = shown.ends_with([' ', '\n']) || shown.is_empty();
        let alone = alone && (after.is_empty() || after.starts_with([' ', ',', ':', '.', '\n']));
        if alone && SHOWN_WORDS.contains(&word) {
            shown.push_str(word);
            length += word.len();
        } else {
            let before = shown.len();
            shown.extend(word.chars().take(SAMPLE_CHARACTERS - length).map(mask));
            length += shown.len() - before;
        }
        rest = after;
    }
    shown
}

/// One character of ASCII in place of any.
fn mask(each: char) -> char {
    match each {
        each if each.is_alphabetic() => 'x',
        each if each.is_numeric() => '9',
        ' ' | '\n' => each,
        each if each.is_ascii_graphic() => each,
        _ => '?',
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{KNOWN_AUDIT_TYPES, ShapeCounts, masked};

    #[test]
    fn a_sample_shows_the_shape_and_no_value() {
        assert_eq!(
            masked("Action Performed - Zoë <zoe@example.com> moved 12 to \"Box\" ✉, IP: 192.0.2.15"),
            "Action Performed - xxx <xxx@xxxxxxx.xxx> xxxxx 99 to \"xxx\" ?, IP: 999.9.9.99"
        );
        // A word that is part of an address is masked like the rest of it.
        assert_eq!(masked("for user@example.com: user\r\n"), "for xxxx@xxxxxxx.xxx: xxxx?\n");
        assert_eq!(masked(&"long ".repeat(100)).chars().count(), 240);
        assert_eq!(masked(&"l".repeat(100_000)).chars().count(), 240);
    }

    #[test]
    fn nothing_unknown_is_null() {
        assert_eq!(ShapeCounts::default().to_json(), Value::Null);
    }

    #[test]
    fn unknown_things_are_counted_by_type_with_the_first_sample() {
        let mut counts = ShapeCounts::default();
        counts.count_type("Something New");
        counts.count_shape("Something New", "first");
        counts.count_shape("Something New", "second one");
        counts.count_shape("Case Action", "third");
        assert_eq!((counts.unknown_types(), counts.unknown_shapes()), (1, 3));
        assert_eq!(
            counts.to_json(),
            json!({
                "Something New": {"unknownType": 1, "unknownShape": 2, "sample": "xxxxx"},
                "Case Action": {"unknownShape": 1, "sample": "xxxxx"},
            })
        );
    }

    #[test]
    fn the_count_is_bounded_whatever_comes() {
        let mut counts = ShapeCounts::default();
        for number in 0..1_000 {
            counts.count_type(&format!("{number} {}", "é".repeat(1_000)));
        }
        assert_eq!(counts.unknown_types(), 1_000);
        let shown = counts.to_json();
        let shown = shown.as_object().unwrap();
        assert_eq!(shown.len(), 21);
        assert_eq!(shown["(other)"], json!({"unknownType": 980}));
        assert!(shown.keys().all(|name| name.len() <= 100));
    }

    #[test]
    fn known_types_are_sorted_for_the_search() {
        assert!(KNOWN_AUDIT_TYPES.is_sorted());
    }
}
