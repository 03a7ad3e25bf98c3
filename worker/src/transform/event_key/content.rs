//! What an id holds: `{"secureid":"…","auditlogid":319300802,"customercode":"CUSA0A0000","version":1}`.

use serde::Deserialize;

/// What is read of it; the rest is of no use.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Content<'a> {
    /// The event's number within the account.
    #[serde(rename = "auditlogid")]
    pub(super) number: u64,
    /// The account's code.
    #[serde(rename = "customercode", borrow)]
    pub(super) code: &'a str,
}

impl<'a> Content<'a> {
    /// Reads it; `None` where it is something else.
    pub(super) fn read(json: &'a [u8]) -> Option<Self> {
        Self::plain(json).or_else(|| serde_json::from_slice(json).ok())
    }

    /// Reads what ids nearly always hold, texts without escapes and whole numbers without blanks between
    /// them; anything else is left to the JSON library, and a test holds that both read the same.
    fn plain(json: &'a [u8]) -> Option<Self> {
        let (mut number, mut code) = (None, None);
        let mut rest = json.strip_prefix(b"{")?;
        loop {
            let (name, after) = text(rest)?;
            let value = after.strip_prefix(b":")?;
            // A name that comes twice is refused by the library.
            rest = match name {
                b"auditlogid" if number.is_none() => {
                    let (read, after) = whole_number(value)?;
                    number = Some(read);
                    after
                }
                b"customercode" if code.is_none() => {
                    let (read, after) = text(value)?;
                    code = Some(std::str::from_utf8(read).ok()?);
                    after
                }
                b"auditlogid" | b"customercode" => return None,
                _ if value.first() == Some(&b'"') => text(value)?.1,
                _ => whole_number(value)?.1,
            };
            match rest.split_first()? {
                (b',', next) => rest = next,
                (b'}', []) => return Some(Self { number: number?, code: code? }),
                _ => return None,
            }
        }
    }
}

/// A text of printable ASCII without escapes, and what follows it.
fn text(json: &[u8]) -> Option<(&[u8], &[u8])> {
    let inside = json.strip_prefix(b"\"")?;
    let end = memchr::memchr2(b'"', b'\\', inside)?;
    let (text, after) = inside.split_at(end);
    // Without a way out, so that sixteen are looked at together.
    let printable = text.iter().fold(true, |all, byte| all & (b' '..=b'~').contains(byte));
    printable.then_some((text, after.strip_prefix(b"\"")?))
}

/// A number of at most nineteen digits, which fits; and what follows it.
fn whole_number(json: &[u8]) -> Option<(u64, &[u8])> {
    let digits = json.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, after) = json.split_at(digits);
    if digits == 0 || digits > 19 || (digits > 1 && number[0] == b'0') {
        return None;
    }
    Some((number.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')), after))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Content;

    #[test]
    fn what_ids_hold_is_read_without_the_library() {
        let json =
            br#"{"secureid":"Nww+/j0","auditlogid":319300802,"customercode":"CUSA0A0000","version":1}"#;
        assert_eq!(Content::plain(json), Some(Content { number: 319_300_802, code: "CUSA0A0000" }));
    }

    #[test]
    fn what_is_unusual_is_left_to_the_library() {
        for json in [
            "",
            "{",
            "{}",
            "null",
            r#"{"auditlogid":1}"#,
            r#"{"auditlogid":1,"customercode":"A""#,
            r#"{"auditlogid":1,"customercode":"A"} "#,
            r#"{"auditlogid": 1,"customercode":"A"}"#,
            r#"{"auditlogid":01,"customercode":"A"}"#,
            r#"{"auditlogid":1.0,"customercode":"A"}"#,
            r#"{"auditlogid":1,"auditlogid":1,"customercode":"A"}"#,
            r#"{"auditlogid":"1","customercode":"A"}"#,
            r#"{"auditlogid":1,"customercode":"\u0041"}"#,
            r#"{"auditlogid":1,"customercode":"A","x":null}"#,
            r#"{"auditlogid":18446744073709551615,"customercode":"A"}"#,
        ] {
            assert_eq!(Content::plain(json.as_bytes()), None, "{json}");
        }
        // The largest number of 64 bits.
        let largest = br#"{"auditlogid":18446744073709551615,"customercode":"A"}"#;
        assert_eq!(Content::read(largest), Some(Content { number: u64::MAX, code: "A" }));
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_the_library_reads(
            members in prop::collection::vec(
                (
                    prop::sample::select(vec!["auditlogid", "customercode", "version", "", "a\\u0062"]),
                    "\"[ -!#-\\[\\]-~]{0,9}\"|0|[0-9]{1,20}|\"[ -~\u{e9}\n]{0,6}\"|null|-1|1e2|\\[\\]|x| 7",
                ),
                0..4,
            ),
            number in "0|[1-9][0-9]{0,19}",
            code in "[A-Z0-9]{0,9}",
            places in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
            end in "\\}|\\}|\\}|\\} |\\}\\}|",
        ) {
            let mut members: Vec<String> =
                members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
            members.insert(places.0.index(members.len() + 1), format!("\"auditlogid\":{number}"));
            members.insert(places.1.index(members.len() + 1), format!("\"customercode\":\"{code}\""));
            let json = format!("{{{}{end}", members.join(","));
            if let Some(read) = Content::plain(json.as_bytes()) {
                prop_assert_eq!(Some(read), serde_json::from_slice(json.as_bytes()).ok(), "{}", json);
            }
        }
    }
}
