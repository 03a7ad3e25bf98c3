//! One audit event as Mimecast gives it, borrowed from the page's bytes.

mod plain;

use std::borrow::Cow;
use std::fmt;

pub(super) use plain::Plain;
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

/// The six fields of an audit event. A field that is absent or null is `None`; fields that are not
/// known are skipped. All of them are text at Mimecast; a number or a truth value in their place is
/// taken as its text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record<'a> {
    /// Mimecast's id of the event.
    pub id: Option<Cow<'a, str>>,
    /// What kind of event it is.
    pub audit_type: Option<Cow<'a, str>>,
    /// Who acted; can be empty.
    pub user: Option<Cow<'a, str>>,
    /// When it happened, in one of the forms of ISO 8601.
    pub event_time: Option<Cow<'a, str>>,
    /// Free text.
    pub event_info: Option<Cow<'a, str>>,
    /// The category's code.
    pub category: Option<Cow<'a, str>>,
}

/// The names of the fields.
const FIELDS: [&str; 6] = ["id", "auditType", "user", "eventTime", "eventInfo", "category"];

/// An element of a page that is no record: set aside with its bytes, and counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MalformedRecord<'a> {
    /// The element as it came; of one that was too large, its beginning.
    pub bytes: &'a [u8],
    /// What is wrong with it.
    pub reason: MalformedReason,
}

/// What can be wrong with an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MalformedReason {
    /// It is not JSON.
    NotJson,
    /// It is JSON, but no object.
    NotAnObject,
    /// One of the six fields holds an object or a list.
    FieldNotText,
    /// It is larger than [`crate::poll::ELEMENT_LIMIT_BYTES`].
    TooLarge,
}

impl MalformedReason {
    /// The reason's code, for counts and dead letters.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::NotAnObject => "not_an_object",
            Self::FieldNotText => "field_not_text",
            Self::TooLarge => "too_large",
        }
    }
}

impl<'a> Record<'a> {
    /// Reads one element of a page.
    ///
    /// Damage inside texts is repaired rather than refused, since the event is worth more than the
    /// damaged character: bytes that are not UTF-8 and halves of surrogate pairs become U+FFFD, and
    /// bare control characters are taken as they are.
    ///
    /// # Errors
    /// [`MalformedReason`] where the element is no record even so.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, MalformedReason> {
        // Looked at as a whole: text by text it takes three times as long.
        let text = std::str::from_utf8(bytes).ok();
        match text.and_then(|text| serde_json::from_str::<Self>(text).ok()) {
            Some(record) => Ok(record),
            None => {
                let repaired = repair(bytes);
                serde_json::from_slice::<Record<'_>>(&repaired)
                    .map(Record::into_owned)
                    .map_err(|_| reason(&repaired))
            }
        }
    }

    /// The field of this name.
    fn field(&mut self, name: &str) -> Option<&mut Option<Cow<'a, str>>> {
        Some(match name {
            "id" => &mut self.id,
            "auditType" => &mut self.audit_type,
            "user" => &mut self.user,
            "eventTime" => &mut self.event_time,
            "eventInfo" => &mut self.event_info,
            "category" => &mut self.category,
            _ => return None,
        })
    }

    /// The same record, borrowed from nothing.
    pub fn into_owned(self) -> Record<'static> {
        let own = |text: Option<Cow<'_, str>>| text.map(|text| Cow::Owned(text.into_owned()));
        Record {
            id: own(self.id),
            audit_type: own(self.audit_type),
            user: own(self.user),
            event_time: own(self.event_time),
            event_info: own(self.event_info),
            category: own(self.category),
        }
    }
}

/// Why an element is no record.
fn reason(bytes: &[u8]) -> MalformedReason {
    match serde_json::from_slice::<serde_json::Value>(bytes) {
        Ok(serde_json::Value::Object(_)) => MalformedReason::FieldNotText,
        Ok(_) => MalformedReason::NotAnObject,
        Err(_) => MalformedReason::NotJson,
    }
}

/// The element with what is damaged inside its texts replaced by what JSON allows.
fn repair(bytes: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    let mut repaired = String::with_capacity(text.len() + 16);
    let mut inside_text = false;
    let mut rest = text.as_ref();
    while let Some(character) = rest.chars().next() {
        let mut taken = character.len_utf8();
        match character {
            '"' => {
                inside_text = !inside_text;
                repaired.push('"');
            }
            '\\' if inside_text => {
                taken = escape(rest, &mut repaired);
            }
            '\u{0}'..='\u{1f}' if inside_text => {
                repaired.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            other => repaired.push(other),
        }
        rest = &rest[taken..];
    }
    repaired.into_bytes()
}

/// Copies the escape at the start of `rest`, mended, and gives its length in bytes.
fn escape(rest: &str, repaired: &mut String) -> usize {
    let unit = |text: &str| -> Option<u32> {
        let digits = text.strip_prefix("\\u")?.get(..4)?;
        if digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            u32::from_str_radix(digits, 16).ok()
        } else {
            None
        }
    };
    match unit(rest) {
        Some(0xd800..=0xdbff)
            if rest.get(6..).and_then(unit).is_some_and(|low| (0xdc00..=0xdfff).contains(&low)) =>
        {
            repaired.push_str(&rest[..12]);
            12
        }
        Some(0xd800..=0xdfff) => {
            repaired.push_str("\\ufffd");
            6
        }
        Some(_) => {
            repaired.push_str(&rest[..6]);
            6
        }
        None => match rest[1..].chars().next() {
            Some(next @ ('"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't')) => {
                repaired.push('\\');
                repaired.push(next);
                2
            }
            // No escape of JSON: the backslash was meant as itself.
            _ => {
                repaired.push_str("\\\\");
                1
            }
        },
    }
}

/// A field's value as text.
struct Text<'a>(Option<Cow<'a, str>>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("text")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Some(Cow::Borrowed(text))))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Some(Cow::Owned(text.to_owned()))))
            }

            fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
                Ok(Text(None))
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Self::Value, E> {
                Ok(Text(Some(Cow::Owned(value.to_string()))))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
                Ok(Text(Some(Cow::Owned(value.to_string()))))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
                Ok(Text(Some(Cow::Owned(value.to_string()))))
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Self::Value, E> {
                Ok(Text(Some(Cow::Owned(value.to_string()))))
            }
        }

        deserializer.deserialize_any(TextVisitor)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Record<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RecordVisitor;

        impl<'de> Visitor<'de> for RecordVisitor {
            type Value = Record<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an audit event")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut record = Record::default();
                while let Some(Text(name)) = map.next_key::<Text<'de>>()? {
                    match record.field(name.as_deref().unwrap_or_default()) {
                        Some(field) => *field = map.next_value::<Text<'de>>()?.0,
                        None => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(record)
            }
        }

        deserializer.deserialize_map(RecordVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::{MalformedReason, Record};

    #[test]
    fn plain_texts_are_borrowed_and_absent_or_null_is_none() {
        let record =
            Record::parse(br#"{"id":"a","user":"","eventInfo":null,"more":{"x":[1]},"auditType":"T"}"#)
                .expect("a record");
        assert!(matches!(record.id, Some(std::borrow::Cow::Borrowed("a"))));
        assert_eq!(record.user.as_deref(), Some(""));
        assert_eq!((record.event_info, record.category, record.event_time), (None, None, None));
    }

    // BR-043
    #[test]
    fn damage_inside_texts_is_repaired() {
        let cases: [(&[u8], &str); 7] = [
            (br#"{"eventInfo":"a\ud800b"}"#, "a\u{fffd}b"),
            (br#"{"eventInfo":"a\udc00"}"#, "a\u{fffd}"),
            (br#"{"eventInfo":"\ud83d\ude00 \ud83d"}"#, "\u{1f600} \u{fffd}"),
            (b"{\"eventInfo\":\"a\x00b\x1bc\nd\"}", "a\0b\u{1b}c\nd"),
            (b"{\"eventInfo\":\"caf\xe9\"}", "caf\u{fffd}"),
            (br#"{"eventInfo":"C:\Users\x"}"#, "C:\\Users\\x"),
            (br#"{"eventInfo":"a\u00"}"#, "a\\u00"),
        ];
        for (bytes, expected) in cases {
            let record = Record::parse(bytes).unwrap_or_else(|reason| panic!("{expected}: {reason:?}"));
            assert_eq!(record.event_info.as_deref(), Some(expected));
        }
    }

    #[test]
    fn what_is_no_record_says_why() {
        for (bytes, reason) in [
            ("{\"id\":\"a\",,}", MalformedReason::NotJson),
            ("[1]", MalformedReason::NotAnObject),
            ("null", MalformedReason::NotAnObject),
            ("{\"id\":{\"a\":1}}", MalformedReason::FieldNotText),
        ] {
            assert_eq!(Record::parse(bytes.as_bytes()), Err(reason), "{bytes}");
        }
    }

    #[test]
    fn numbers_in_place_of_texts_are_their_text() {
        let record = Record::parse(br#"{"id":320498276,"user":true}"#).expect("a record");
        assert_eq!((record.id.as_deref(), record.user.as_deref()), (Some("320498276"), Some("true")));
    }
}
