//! What an event's free text says: who, from where, with what, and what was done.
//!
//! Takes the text as received, gives slices of it. Nothing here fails: a text that no form fits gives
//! no values and says so ([`EventInfo::shape`]), and the row keeps the text whole.
//!
//! A text is a sentence and the labels that close it. The labels are read from the end
//! ([`labels`]), the sentence by its form ([`sentence`]). Both are linear in the text's length and
//! allocate nothing.

mod labels;
mod scan;
mod sentence;

use contract::streams::transform::authentication_of;

use labels::Labels;
use scan::{Steps, trimmed};
use sentence::Sentence;

/// The values found in an eventInfo text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EventInfo<'a> {
    /// The application, as in `Application: Administration Console`.
    pub application: Option<&'a str>,
    /// The address that the request came from, without a port.
    pub source: Option<&'a str>,
    /// The authentication method.
    pub method: Option<&'a str>,
    /// Why something failed.
    pub reason: Option<&'a str>,
    /// The second factor of an authentication.
    pub second_factor: Option<&'a str>,
    /// The user whom the event is about.
    pub target_user: Option<&'a str>,
    /// What was done, in the text's own words.
    pub operation: Option<&'a str>,
    /// What it was done to: the name of a case, a file, a policy, a group.
    pub object: Option<&'a str>,
    /// Whether the text had a form that we know.
    pub shape: Shape,
}

impl<'a> EventInfo<'a> {
    /// The same with each value changed.
    pub(super) fn map(self, mut change: impl FnMut(&'a str) -> &'a str) -> Self {
        Self {
            application: self.application.map(&mut change),
            source: self.source.map(&mut change),
            method: self.method.map(&mut change),
            reason: self.reason.map(&mut change),
            second_factor: self.second_factor.map(&mut change),
            target_user: self.target_user.map(&mut change),
            operation: self.operation.map(&mut change),
            object: self.object.map(&mut change),
            shape: self.shape,
        }
    }
}

/// Whether a text had a form that we know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Shape {
    /// Nothing to read.
    #[default]
    Empty,
    /// Its sentence or its labels were read.
    Known,
    /// Nothing could be read of it, or a source that is no address.
    Unknown,
}

/// Reads an eventInfo text.
pub fn read(text: &str) -> EventInfo<'_> {
    read_counting(text, &mut Steps::default())
}

fn read_counting<'a>(text: &'a str, steps: &mut Steps) -> EventInfo<'a> {
    if trimmed(text).is_empty() {
        return EventInfo::default();
    }
    let labels = Labels::read(text, steps);
    let sentence = Sentence::read(trimmed(&text[..labels.start]), steps);
    let known = (sentence.known || labels.start < text.len()) && !labels.source_unread;
    EventInfo {
        application: labels.application,
        source: labels.source,
        method: labels.method,
        reason: labels.reason.or(sentence.reason),
        second_factor: labels.second_factor,
        target_user: sentence.target_user,
        // The rule's transform finds this one form by itself, so both must find it alike.
        operation: authentication_of(text).or(sentence.operation),
        object: sentence.object,
        shape: if known { Shape::Known } else { Shape::Unknown },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{EventInfo, Shape, read, read_counting, scan::Steps};

    fn steps_of(text: &str) -> usize {
        let mut steps = Steps::default();
        read_counting(text, &mut steps);
        steps.0
    }

    /// Texts that would be slow for a reader that looks at parts of them again and again.
    #[test]
    fn the_work_grows_with_the_length_and_no_faster() {
        let repeated = [
            ":",
            " :",
            ": ",
            "a:",
            ",a: ",
            ", Aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: ",
            " IP: ",
            ", IP: x",
            "Date: x, ",
            "Remote IP is ",
            " by ",
            " by a@b",
            " - ",
            "\n",
            "\"",
            "[",
            "]",
            "emailAddress=",
            ", Subject: ",
            ", Processed: ",
            "User ",
            " for user: ",
            "Case: ",
            ". ",
            " F(",
            "authentication for ",
            "a",
            " ",
            "é",
            "A B: C: ",
        ];
        let openings = [
            "",
            "Action Performed - ",
            "User a@b ",
            "[",
            "Creating the auditLog entry for ",
            "Successfully ",
            "x - ",
            "x - Source: ",
            "Mailbox export downloaded. Download filename (",
            "Connector creation for ",
            "API Gateway Application ",
            "Restored. Restored data from ",
        ];
        for opening in openings {
            for part in repeated {
                let text = format!("{opening}{}", part.repeat(20_000 / part.len()));
                let steps = steps_of(&text);
                // Each of the few searches looks at the text at most once, at some places with a
                // bounded reach; 60 for each byte leaves room for all of them.
                assert!(steps < 60 * text.len(), "{steps} steps for {} bytes: {opening}{part}", text.len());
            }
        }
    }

    #[test]
    fn nothing_to_read_is_no_unknown_shape() {
        for text in ["", " ", "\r\n", ", ,"] {
            assert_eq!(read(text), EventInfo::default(), "{text:?}");
        }
        assert_eq!(read("free text that nobody has seen yet").shape, Shape::Unknown);
        assert_eq!(read("No changes found.").shape, Shape::Known);
    }

    proptest! {
        #[test]
        fn any_text_is_read_to_slices_of_it(text in "\\PC{0,80}|[a-zA-Z:, \\-\\[\\]()@\"\n]{0,200}") {
            let info = read(&text);
            let range = text.as_bytes().as_ptr_range();
            for value in [
                info.application, info.source, info.method, info.reason, info.second_factor, info.target_user,
                info.operation, info.object,
            ].into_iter().flatten() {
                prop_assert!(!value.is_empty());
                let bytes = value.as_bytes().as_ptr_range();
                prop_assert!(range.start <= bytes.start && bytes.end <= range.end);
            }
        }

        #[test]
        fn labels_are_found_after_any_sentence(sentence in "\\PC{0,120}", app in "[A-Za-z0-9]( ?[A-Za-z0-9-]){0,20}") {
            let text = format!(
                "{sentence}, Date: 2021-10-11, Time: 18:17:30 BST, IP: 192.0.2.15, Application: {app}, Method: Two Step Auth, 2FA: TOTP"
            );
            let info = read(&text);
            prop_assert_eq!(info.source, Some("192.0.2.15"));
            prop_assert_eq!(info.application, Some(app.as_str()).filter(|app| !app.eq_ignore_ascii_case("null")));
            prop_assert_eq!(info.method, Some("Two Step Auth"));
            prop_assert_eq!(info.second_factor, Some("TOTP"));
        }
    }
}
