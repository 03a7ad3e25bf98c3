//! Writing JSON texts into a buffer.
//!
//! A row's names are known and its values are slices, so nothing is gained from building a value
//! first; this is the inner loop of the worker after compression.

/// How many bytes are looked at together. Most texts need no escape; a block without one is found
/// without a branch for each byte, which compilers turn into vector instructions.
const BLOCK_BYTES: usize = 32;
/// The same for short texts and for what blocks leave over.
const WORD_BYTES: usize = 8;

/// Appends a text with its quotes.
pub(super) fn write_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    write_content(text.as_bytes(), out);
    out.push(b'"');
}

fn write_content(text: &[u8], out: &mut Vec<u8>) {
    if is_clean(text) {
        out.extend_from_slice(text);
        return;
    }
    let mut rest = text;
    while let Some(place) = rest.iter().position(|&byte| must_escape(byte)) {
        out.extend_from_slice(&rest[..place]);
        write_escape(rest[place], out);
        rest = &rest[place + 1..];
    }
    out.extend_from_slice(rest);
}

/// Whether a text needs no escape.
fn is_clean(text: &[u8]) -> bool {
    match text.len() {
        BLOCK_BYTES.. => is_clean_by::<BLOCK_BYTES>(text),
        WORD_BYTES.. => is_clean_by::<WORD_BYTES>(text),
        _ => is_clean_block(text),
    }
}

/// The same, for a text of at least so many bytes. What its blocks leave over is looked at together
/// with bytes before it, as one more block.
fn is_clean_by<const BYTES: usize>(text: &[u8]) -> bool {
    for block in text.as_chunks::<BYTES>().0 {
        if !is_clean_block(block) {
            return false;
        }
    }
    text.last_chunk::<BYTES>().is_none_or(|last| is_clean_block(last))
}

fn is_clean_block(block: &[u8]) -> bool {
    !block.iter().fold(false, |found, &byte| found | must_escape(byte))
}

/// RFC 8259, section 7: the quote, the backslash and the control characters up to U+001F.
fn must_escape(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

fn write_escape(byte: u8, out: &mut Vec<u8>) {
    let short = match byte {
        b'"' => b'"',
        b'\\' => b'\\',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::write_text;

    fn written(text: &str) -> String {
        let mut out = Vec::new();
        write_text(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_character_below_256_is_written_as_by_serde_json() {
        for code in 0..=255_u8 {
            let text = format!("before {} after", char::from(code));
            assert_eq!(written(&text), serde_json::to_string(&text).unwrap(), "{code:#x}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_written_as_by_serde_json(text in any::<String>()) {
            prop_assert_eq!(written(&text), serde_json::to_string(&text).unwrap());
        }

        /// Escapes on both sides of the borders between blocks.
        #[test]
        fn escapes_at_any_place(length in 0_usize..100, places in proptest::collection::vec((0_usize..100, 0_u8..0x40), 0..6)) {
            let mut text = "x".repeat(length).into_bytes();
            for (place, byte) in places {
                if let Some(at) = text.get_mut(place) {
                    *at = byte;
                }
            }
            let text = String::from_utf8(text).unwrap();
            prop_assert_eq!(written(&text), serde_json::to_string(&text).unwrap());
        }
    }
}
