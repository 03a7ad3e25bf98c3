//! Records as they nearly always are: an object of texts without escapes. Anything else is left to the JSON
//! library; a test holds that both read the same.

use std::borrow::Cow;

use super::{FIELDS, Record};

/// Where the fields of such a record are in its bytes; what is absent is where nothing can be, at their
/// very beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::poll) struct Plain {
    fields: [(u32, u32); FIELDS.len()],
}

impl Plain {
    /// Reads the record that begins these bytes, and where it ends; `None` where it is something else, which
    /// may be a record too, or goes on behind them.
    pub(in crate::poll) fn find(bytes: &[u8]) -> Option<(Self, usize)> {
        let mut fields = [(0, 0); FIELDS.len()];
        let mut at = behind(bytes, 0, b'{')?;
        loop {
            let (start, end) = text(bytes, at)?;
            let field = FIELDS.iter().position(|name| name.as_bytes() == &bytes[start..end]);
            let (start, end) = text(bytes, behind(bytes, end + 1, b':')?)?;
            if let Some(field) = field {
                fields[field] = (u32::try_from(start).ok()?, u32::try_from(end).ok()?);
            }
            at = match behind(bytes, end + 1, b',') {
                Some(next) => next,
                None => return Some((Self { fields }, behind(bytes, end + 1, b'}')?)),
            };
        }
    }

    /// The record, whose text this is.
    pub(in crate::poll) fn record(self, element: &str) -> Option<Record<'_>> {
        let mut record = Record::default();
        for (name, (start, end)) in FIELDS.into_iter().zip(self.fields) {
            if start > 0 {
                *record.field(name)? = Some(Cow::Borrowed(element.get(start as usize..end as usize)?));
            }
        }
        Some(record)
    }
}

/// Where the text without escapes that comes next begins and ends.
fn text(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let start = behind(bytes, at, b'"')?;
    let end = start + memchr::memchr2(b'"', b'\\', &bytes[start..])?;
    (bytes[end] == b'"').then_some((start, end))
}

/// Behind this mark, with blanks before it or none.
fn behind(bytes: &[u8], mut at: usize, mark: u8) -> Option<usize> {
    loop {
        match *bytes.get(at)? {
            byte if byte == mark => return Some(at + 1),
            b' ' | b'\t' | b'\n' | b'\r' => at += 1,
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Record;
    use super::Plain;

    fn read(element: &str) -> Option<Record<'_>> {
        let (plain, end) = Plain::find(element.as_bytes())?;
        (end == element.len()).then(|| plain.record(element).expect("its own text"))
    }

    #[test]
    fn a_record_of_texts_is_read() {
        let element =
            r#"{"id":"a","auditType":"b","user":"","eventTime":"d","eventInfo":"ë, {f}:[g]","category":"h"}"#;
        let record = read(element).expect("texts alone");
        let fields = [
            record.id,
            record.audit_type,
            record.user,
            record.event_time,
            record.event_info,
            record.category,
        ];
        assert_eq!(
            fields.map(|field| field.expect("given").into_owned()),
            ["a", "b", "", "d", "ë, {f}:[g]", "h"]
        );
    }

    #[test]
    fn what_is_not_texts_alone_is_left_to_the_library() {
        for element in [
            "",
            "{",
            "{}",
            "[]",
            "null",
            r#"{"id"}"#,
            r#"{"id":}"#,
            r#"{"id":"a"#,
            r#"{"id":"a""#,
            r#"{"id":"a",}"#,
            r#"{"id":null}"#,
            r#"{"id":1}"#,
            r#"{"id":"a","x":{}}"#,
            r#"{"id":"a\n"}"#,
            r#"{"i\u0064":"a"}"#,
            r#"{"id":"a"}}"#,
            r#"{"id":"a"} 1"#,
            r#"{,"id":"a"}"#,
            r#"{"id":"a""user":"b"}"#,
            "{\"id\":\u{a0}\"a\"}",
        ] {
            assert_eq!(read(element), None, "{element}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_the_library_reads(
            members in prop::collection::vec(
                (
                    prop_oneof![
                        prop::sample::select(vec![
                            "id", "auditType", "user", "eventTime", "eventInfo", "category", "more", "ID", "\\u0069d",
                        ]).prop_map(str::to_owned),
                        "[a-z]{0,3}",
                    ],
                    prop_oneof![
                        "\"[ -!#-\\[\\]-~é\u{1f3ab}]{0,20}\"",
                        "\"[ -~]{0,10}\"",
                        "null|true|1|-2.5e3|\\{\\}|\\[1,\"a\"\\]|\"\\\\n\"|\"|x",
                    ],
                ),
                0..9,
            ),
            blanks in prop::collection::vec("[ \t\r\n]{0,2}", 4),
            cut in 0_usize..40,
        ) {
            let members: Vec<String> = members
                .into_iter()
                .map(|(name, value)| format!("{}\"{name}\"{}:{}{value}", blanks[0], blanks[1], blanks[2]))
                .collect();
            let whole = format!("{{{}{}}}{}", members.join(","), blanks[3], blanks[0]);
            // Whole three times in four.
            let end = if cut < 10 { whole.floor_char_boundary(whole.len().saturating_sub(cut)) } else { whole.len() };
            let element = &whole[..end];
            if let Some(record) = read(element) {
                let expected: Record<'_> = serde_json::from_str(element).map_err(|error| {
                    TestCaseError::fail(format!("the library refuses {element}: {error}"))
                })?;
                prop_assert_eq!(record, expected);
            }
        }
    }
}
