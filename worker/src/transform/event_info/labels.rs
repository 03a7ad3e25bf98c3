//! The labels that close most eventInfo texts: `Date: …, Time: …, IP: …, Application: …, Method: …`.
//!
//! The text before them can hold anything, a message's subject among it, which its sender chose and
//! which may imitate labels. So they are read from the end back to the last date, and what stands
//! before that date is no label (W63). A text without a date is read whole.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::scan::{Steps, trimmed};

/// What the labels say. A value that is empty or the word `null` counts as absent.
#[derive(Debug, Default)]
pub(super) struct Labels<'a> {
    pub(super) application: Option<&'a str>,
    pub(super) method: Option<&'a str>,
    pub(super) reason: Option<&'a str>,
    pub(super) second_factor: Option<&'a str>,
    /// The address alone, without a port.
    pub(super) source: Option<&'a str>,
    /// A source is given, but it is no address.
    pub(super) source_unread: bool,
    /// Where the labels begin: what stands before is the sentence. The text's length where there are
    /// none.
    pub(super) start: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Label {
    Date,
    Time,
    Source,
    Application,
    Method,
    Reason,
    SecondFactor,
}

/// The labels that end with a letter, which is given as a small one. They are written in any case.
fn labels_ending(last: u8) -> &'static [(&'static str, Label)] {
    match last {
        b'e' => &[("Time", Label::Time), ("Date", Label::Date)],
        b'p' => &[("IP", Label::Source)],
        b's' => &[("IP Address", Label::Source)],
        b'n' => &[("Application", Label::Application), ("Reason", Label::Reason)],
        b'd' => &[("Method", Label::Method)],
        b'a' => &[("2FA", Label::SecondFactor)],
        _ => &[],
    }
}

/// What may stand before [`Label::Source`].
const REMOTE: &str = "Remote ";
/// The sentence form of a source, at the end of a text.
const SENTENCE: &str = "Remote IP is ";
/// How long the value after [`SENTENCE`] may be: room for an address with zone and port.
const SENTENCE_REACH_BYTES: usize = 80;
/// How long the name of a label that we do not know may be.
const UNKNOWN_LABEL_BYTES: usize = 40;

/// A label's value, and whether the label stood at the beginning of a part.
type Found<'a> = Option<(&'a str, Place)>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// After a comma, at the beginning of a line or of the text.
    PartStart,
    /// After a word.
    Inside,
}

impl<'a> Labels<'a> {
    /// Reads the labels at the end of `text`.
    pub(super) fn read(text: &'a str, steps: &mut Steps) -> Self {
        let sentence = sentence(text, steps);
        let mut start = sentence.map_or(text.len(), |(start, _)| start);
        let mut end = start;
        let mut looked_back_to = end;
        let mut dated = false;
        let (mut source, mut application): (Found<'a>, Found<'a>) = (None, None);
        let (mut method, mut reason, mut second_factor): (Found<'a>, Found<'a>, Found<'a>) =
            (None, None, None);

        for colon in memchr::memrchr_iter(b':', &text.as_bytes()[..end]) {
            steps.add(looked_back_to - colon);
            looked_back_to = colon;
            let Some((label, label_start)) = label_before(text, colon) else {
                if colon < end
                    && let Some(comma) = unknown_label_before(text, colon, steps)
                {
                    end = comma;
                }
                continue;
            };
            let value = value_in(text.get(colon + 1..end).unwrap_or_default());
            let place = place(text, label_start);
            let field = match label {
                Label::Date if value.starts_with(|first: char| first.is_ascii_digit()) => {
                    (start, dated) = (label_start, true);
                    break;
                }
                Label::Date | Label::Time => {
                    end = label_start;
                    continue;
                }
                Label::Source => &mut source,
                Label::Application => &mut application,
                Label::Method => &mut method,
                Label::Reason => &mut reason,
                Label::SecondFactor => &mut second_factor,
            };
            // The last one counts (BR-025).
            *field = field.or(Some((value, place)));
            if place == Place::PartStart || matches!(label, Label::Source | Label::Application) {
                start = label_start;
            }
            end = label_start;
        }
        steps.add(if dated { 0 } else { looked_back_to });

        let shown = |found: Found<'a>, without_date: Place| {
            let (value, place) = found?;
            // Without a date nothing says that the labels have begun: words such as `reason` are
            // common in sentences, and a value may be followed by more text.
            let value = match (dated, place == without_date || place == Place::PartStart) {
                (true, _) => value,
                (false, true) => value.split_once(", ").map_or(value, |(value, _)| value),
                (false, false) => return None,
            };
            present(value)
        };
        let sources = [shown(source, Place::Inside), sentence.and_then(|(_, value)| present(value))];
        let source = sources.iter().flatten().find_map(|value| address(value));
        Self {
            application: shown(application, Place::Inside),
            method: shown(method, Place::PartStart),
            reason: shown(reason, Place::PartStart),
            second_factor: shown(second_factor, Place::PartStart),
            source,
            source_unread: source.is_none() && sources.iter().flatten().next().is_some(),
            start,
        }
    }
}

/// The value, unless it stands for none.
fn present(value: &str) -> Option<&str> {
    (!value.is_empty() && !value.eq_ignore_ascii_case("null")).then_some(value)
}

/// The sentence form of the source, where the text ends with it: where it begins, and its value.
fn sentence<'a>(text: &'a str, steps: &mut Steps) -> Option<(usize, &'a str)> {
    let end = text.trim_ascii_end().trim_end_matches(['.', ',']).len();
    let reach = &text.as_bytes()[..end][end.saturating_sub(SENTENCE_REACH_BYTES)..];
    steps.add(reach.len());
    let value_start = end - reach.len() + memchr::memrchr(b' ', reach)? + 1;
    let start = text[..value_start].strip_suffix(SENTENCE)?.len();
    Some((start, &text[value_start..end]))
}

/// The label whose name ends at `colon`, with a blank or none between them, and where the label begins.
fn label_before(text: &str, colon: usize) -> Option<(Label, usize)> {
    let bytes = text.as_bytes();
    let spaced = colon > 0 && bytes[colon - 1] == b' ';
    // `2FA:` may also begin an IPv6 address, and a colon inside a word closes no label.
    if !spaced && bytes.get(colon + 1).is_some_and(|next| !matches!(next, b' ' | b'\r' | b'\n')) {
        return None;
    }
    let name_end = colon - usize::from(spaced);
    let last = *bytes.get(name_end.checked_sub(1)?)?;
    for &(name, label) in labels_ending(last.to_ascii_lowercase()) {
        let Some(start) = name_end.checked_sub(name.len()) else { continue };
        if !bytes[start..name_end].eq_ignore_ascii_case(name.as_bytes()) || !begins_a_word(bytes, start) {
            continue;
        }
        let remote = start.checked_sub(REMOTE.len()).filter(|&remote| {
            label == Label::Source
                && bytes[remote..start].eq_ignore_ascii_case(REMOTE.as_bytes())
                && begins_a_word(bytes, remote)
        });
        return Some((label, remote.unwrap_or(start)));
    }
    None
}

fn begins_a_word(bytes: &[u8], start: usize) -> bool {
    start == 0
        || matches!(
            bytes[start - 1],
            b' ' | b',' | b'\n' | b'\r' | b'\t' | b'[' | b']' | b'(' | b')' | b';' | b'>'
        )
}

fn place(text: &str, start: usize) -> Place {
    match text.as_bytes()[..start].trim_ascii_end().last() {
        None | Some(b',') => Place::PartStart,
        _ if text.as_bytes()[start - 1] == b'\n' => Place::PartStart,
        _ => Place::Inside,
    }
}

/// Where the comma stands after which a label that we do not know begins that ends at `colon`.
fn unknown_label_before(text: &str, colon: usize, steps: &mut Steps) -> Option<usize> {
    let bytes = text.as_bytes();
    if bytes.get(colon + 1).is_some_and(|&next| next != b' ') {
        return None;
    }
    let reach = colon.saturating_sub(UNKNOWN_LABEL_BYTES);
    let is_part_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b' ' | b'(' | b')');
    let name = bytes[reach..colon].iter().rev().take_while(|byte| is_part_of_name(byte)).count();
    steps.add(name);
    let comma = (colon - name).checked_sub(1)?;
    (name > 0 && bytes[comma] == b',').then_some(comma)
}

/// The value in what stands between a label and the next: of one line, without a second colon.
fn value_in(text: &str) -> &str {
    let text = text.trim_ascii_start();
    let line = memchr::memchr2(b'\r', b'\n', text.as_bytes()).map_or(text, |end| &text[..end]);
    let value = trimmed(line);
    // `IP: : 192.0.2.77,,` (W62). An IPv6 address may begin with colons, but not with a blank after one.
    value.strip_prefix(": ").map_or(value, trimmed)
}

/// The address that a value begins with: alone, in brackets, with a zone or with a port.
fn address(value: &str) -> Option<&str> {
    let token = value.split([' ', ',', ';']).next().unwrap_or(value);
    if token.parse::<IpAddr>().is_ok() {
        return Some(token);
    }
    if let Some((inside, _)) = token.strip_prefix('[').and_then(|token| token.split_once(']')) {
        return inside.parse::<Ipv6Addr>().is_ok().then_some(inside);
    }
    if let Some((address, _zone)) = token.split_once('%') {
        return address.parse::<Ipv6Addr>().is_ok().then_some(address);
    }
    let (address, port) = token.split_once(':')?;
    (port.parse::<u16>().is_ok() && address.parse::<Ipv4Addr>().is_ok()).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::{Labels, Steps};

    fn read(text: &str) -> Labels<'_> {
        Labels::read(text, &mut Steps::default())
    }

    #[test]
    fn sources_in_every_form() {
        for (text, expected) in [
            ("x, Date: 2021-10-11, Time: 18:17:30 BST, IP: 192.0.2.15, Application: Web", Some("192.0.2.15")),
            ("x Date: 2021-10-11 Time: 16:39:17 +0100 IP: 192.0.2.15 Application: Web", Some("192.0.2.15")),
            ("x, Date: 2022-01-12, IP: : 192.0.2.77,, Application: Web", Some("192.0.2.77")),
            ("x, Date : 2022-01-12, IP : 192.0.2.15, Application : API", Some("192.0.2.15")),
            (
                "x, Date: 2022-01-12, IP: 2001:db8:85a3::8a2e:370:7334, Application: Web",
                Some("2001:db8:85a3::8a2e:370:7334"),
            ),
            // A group that reads like the label `2FA`.
            ("x, Date: 2022-01-12, IP: 2fa:1::7, Application: Web", Some("2fa:1::7")),
            ("x, Date: 2022-01-12, IP: ::1, Application: Web", Some("::1")),
            ("x, Date: 2022-01-12, IP: [2001:db8::1]:443, Application: Web", Some("2001:db8::1")),
            ("x, Date: 2022-01-12, IP: fe80::1%eth0, Application: Web", Some("fe80::1")),
            ("x, Date: 2022-01-12, IP: 203.0.113.9:51432, Application: Web", Some("203.0.113.9")),
            ("x, Date: 2022-01-12, IP: 192.0.2.1, 203.0.113.5, Application: Web", Some("192.0.2.1")),
            ("x, Date: 2022-01-12, IP: null, Application: Web", None),
            ("x, Date: 2022-01-12, IP: , Application: Web", None),
            ("dump[a=b] remote IP : 192.0.2.15 application : LFS", Some("192.0.2.15")),
            ("user enrolled, Remote IP is 192.0.2.15", Some("192.0.2.15")),
            ("user enrolled, Remote IP is 2001:db8::1.", Some("2001:db8::1")),
            ("Password reset, Remote IP is null", None),
            ("x, IP : null, Remote IP is 192.0.2.15", Some("192.0.2.15")),
            ("nothing at all", None),
        ] {
            let labels = read(text);
            assert_eq!(labels.source, expected, "{text}");
            assert!(!labels.source_unread, "{text}");
        }
    }

    #[test]
    fn a_source_that_is_no_address_is_told() {
        let labels = read("x, Date: 2022-01-12, IP: 300.1.1.1, Application: Web");
        assert_eq!((labels.source, labels.source_unread), (None, true));
    }

    #[test]
    fn labels_before_the_last_date_are_text() {
        let labels = read(
            "Subject: Date: 1999-01-01, IP: 203.0.113.66, Application: fake, Method: evil, Reason: none, \
             Date: 2026-11-20, Time: 10:00:00+0000, IP: 192.0.2.15, Application: mimecast-case-review",
        );
        assert_eq!(labels.source, Some("192.0.2.15"));
        assert_eq!(labels.application, Some("mimecast-case-review"));
        assert_eq!((labels.method, labels.reason), (None, None));
    }

    #[test]
    fn a_value_ends_at_the_next_label_known_or_not() {
        let labels = read(
            "x, Date: 2022-01-12, Application: Smith, Jones and Co, Region (grid): eu, Method: SP-initiated SAML\n\
             more, 2FA: TOTP",
        );
        assert_eq!(labels.application, Some("Smith, Jones and Co"));
        assert_eq!(labels.method, Some("SP-initiated SAML"));
        assert_eq!(labels.second_factor, Some("TOTP"));
    }

    #[test]
    fn without_a_date_a_word_inside_a_sentence_is_no_label() {
        let labels = read("Blocked for this reason: spam by method: none");
        assert_eq!((labels.reason, labels.method), (None, None));
        let labels = read("Refused, Reason: Account Locked, for good");
        assert_eq!(labels.reason, Some("Account Locked"));
    }

    #[test]
    fn the_last_occurrence_counts() {
        assert_eq!(read("a, IP: 192.0.2.1, b, IP: 192.0.2.2").source, Some("192.0.2.2"));
    }

    #[test]
    fn the_labels_begin_at_the_date() {
        let text = "Viewed Case - Case: Class Action, Date: 2021-10-12, Time: 09:19:53+0000";
        assert_eq!(&text[..read(text).start], "Viewed Case - Case: Class Action, ");
        let text = "dump] remote IP : 192.0.2.15 application : LFS";
        assert_eq!(&text[..read(text).start], "dump] ");
        assert_eq!(read("No changes found.").start, "No changes found.".len());
    }
}
