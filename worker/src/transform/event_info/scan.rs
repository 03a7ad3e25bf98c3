//! Searching in an event's text, with a count of the bytes looked at.
//!
//! The count is what the test of linear time measures; keeping it costs an addition a search.

/// How many bytes have been looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Steps(pub(super) usize);

impl Steps {
    pub(super) fn add(&mut self, bytes: usize) {
        self.0 += bytes;
    }

    /// The first place of `needle`, as an offset in `text`.
    pub(super) fn find(&mut self, text: &str, needle: &str) -> Option<usize> {
        let (&first, rest) = needle.as_bytes().split_first()?;
        for start in memchr::memchr_iter(first, text.as_bytes()) {
            self.add(needle.len());
            if text.as_bytes()[start + 1..].starts_with(rest) {
                self.add(start);
                return Some(start);
            }
        }
        self.add(text.len());
        None
    }

    /// The last place of `needle`.
    pub(super) fn find_last(&mut self, text: &str, needle: &str) -> Option<usize> {
        let (&first, rest) = needle.as_bytes().split_first()?;
        for start in memchr::memrchr_iter(first, text.as_bytes()) {
            self.add(needle.len());
            if text.as_bytes()[start + 1..].starts_with(rest) {
                self.add(text.len() - start);
                return Some(start);
            }
        }
        self.add(text.len());
        None
    }

    /// What stands before and after the first `needle`.
    pub(super) fn split_once<'a>(&mut self, text: &'a str, needle: &str) -> Option<(&'a str, &'a str)> {
        let start = self.find(text, needle)?;
        Some((&text[..start], &text[start + needle.len()..]))
    }

    /// What stands before the first `needle`, or the whole text.
    pub(super) fn before<'a>(&mut self, text: &'a str, needle: &str) -> &'a str {
        self.find(text, needle).map_or(text, |start| &text[..start])
    }

    /// The text up to the first byte that is one of `ends`.
    pub(super) fn until<'a>(&mut self, text: &'a str, ends: &[u8]) -> &'a str {
        let end = text.bytes().position(|byte| ends.contains(&byte)).unwrap_or(text.len());
        self.add(end);
        &text[..end]
    }
}

/// The text without what may surround a value: blanks, line ends and commas.
pub(super) fn trimmed(text: &str) -> &str {
    let surrounds = |byte: &u8| matches!(byte, b' ' | b',' | b'\t' | b'\r' | b'\n');
    let bytes = text.as_bytes();
    let start = bytes.iter().position(|byte| !surrounds(byte)).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|byte| !surrounds(byte)).map_or(start, |last| last + 1);
    &text[start..end]
}
