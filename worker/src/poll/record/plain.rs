//! Records as they nearly always are: an object of texts without escapes. Anything else is left to the JSON
//! library; a test holds that both read the same.

use std::borrow::Cow;

use super::Record;

/// Reads a record whose members are all texts without escapes; `None` where it is something else, which
/// may be a record too.
pub(super) fn read(element: &str) -> Option<Record<'_>> {
    let mut record = Record::default();
    let mut rest = behind(element, b'{')?;
    loop {
        let (name, after_name) = text(rest)?;
        let (value, after_value) = text(behind(after_name, b':')?)?;
        if let Some(field) = record.field(name) {
            *field = Some(Cow::Borrowed(value));
        }
        match behind(after_value, b',') {
            Some(next) => rest = next,
            None => return behind(after_value, b'}')?.trim_ascii().is_empty().then_some(record),
        }
    }
}

/// A text without escapes, and what follows it.
fn text(rest: &str) -> Option<(&str, &str)> {
    let inside = behind(rest, b'"')?;
    let end = memchr::memchr2(b'"', b'\\', inside.as_bytes())?;
    let after = inside[end..].strip_prefix('"')?;
    Some((&inside[..end], after))
}

/// What stands behind this mark, with blanks before it or none.
fn behind(rest: &str, mark: u8) -> Option<&str> {
    if rest.as_bytes().first() == Some(&mark) {
        return Some(&rest[1..]);
    }
    rest.trim_start_matches([' ', '\t', '\n', '\r']).strip_prefix(char::from(mark))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Record;
    use super::read;

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
