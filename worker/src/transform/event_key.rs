//! The identity of an event, by which it is not delivered twice.
//!
//! Mimecast's id is base64url over a zlib stream of JSON with the account's code and a number that
//! grows with time. The rest of the id differs with the credentials that read the event, so code and
//! number together are the identity; where the id is something else, the id itself is; where there is
//! none, a digest of all fields.

mod content;
mod unpack;

use std::fmt::{self, Write as _};

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use flate2::{Decompress, FlushDecompress, Status};
use sha2::{Digest as _, Sha256};

use crate::poll::Record;
use content::Content;
use unpack::Unpacker;

/// Real ids have about 190 characters. What is longer than this is not decoded.
const ENCODED_BYTES: usize = 1_024;
/// Real ids hold about 140 bytes of JSON. An id that unpacks to more is not decoded, however small it
/// is: the buffer is all that it can fill.
const DECODED_BYTES: usize = 1_024;
/// Account codes have about ten characters.
const CODE_BYTES: usize = 32;
/// An undecodable id up to this length is its own identity; of a longer one the digest is.
const RAW_BYTES: usize = 1_024;

/// Ids use the alphabet of URLs, without padding; padding would change nothing.
const ALPHABET: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// An event's identity.
#[derive(Clone, PartialEq, Eq)]
pub struct EventKey {
    form: Form,
    hash: u64,
}

#[derive(Clone, PartialEq, Eq)]
enum Form {
    /// `CUSA0A0000:320498276`.
    Counted { code: [u8; CODE_BYTES], code_bytes: u8, number: u64 },
    /// The id as received.
    Raw(Box<str>),
    /// `sha256-…`, over all fields.
    Digest([u8; 16]),
}

impl EventKey {
    /// The identity in eight bytes, for the checkpoint. It must never change between versions.
    ///
    /// Two events of one account whose ids decode have different hashes: the number is mixed by a
    /// function that can be undone.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Mimecast's code of the account, where the id tells it.
    pub fn account(&self) -> Option<&str> {
        match &self.form {
            Form::Counted { code, code_bytes, .. } => {
                std::str::from_utf8(&code[..usize::from(*code_bytes)]).ok()
            }
            Form::Raw(_) | Form::Digest(_) => None,
        }
    }

    /// Appends the text form, which is what the column `eventKey_s` holds.
    pub fn write(&self, out: &mut String) {
        match &self.form {
            Form::Counted { number, .. } => {
                out.push_str(self.account().unwrap_or_default());
                out.push(':');
                write_number(*number, out);
            }
            Form::Raw(id) => out.push_str(id),
            Form::Digest(digest) => {
                out.push_str("sha256-");
                for byte in digest {
                    // Writing to memory cannot fail.
                    let _ = write!(out, "{byte:02x}");
                }
            }
        }
    }

    fn counted(decoded: &Content<'_>) -> Option<Self> {
        let text = decoded.code.as_bytes();
        if text.is_empty() || !text.iter().all(u8::is_ascii_alphanumeric) {
            return None;
        }
        let mut code = [0; CODE_BYTES];
        code.get_mut(..text.len())?.copy_from_slice(text);
        let code_bytes = u8::try_from(text.len()).ok()?;
        let number = decoded.number;
        Some(Self { form: Form::Counted { code, code_bytes, number }, hash: mixed(fnv(text), number) })
    }

    fn raw(id: &str) -> Self {
        let digest = Sha256::new().chain_update(b"id\0").chain_update(id).finalize();
        Self { form: Form::Raw(id.into()), hash: first_eight(&digest) }
    }

    fn digest(record: &Record<'_>) -> Self {
        let mut digest = Sha256::new();
        let fields = [
            &record.id,
            &record.audit_type,
            &record.user,
            &record.event_time,
            &record.event_info,
            &record.category,
        ];
        for field in fields {
            // The length before each field keeps `ab`,`c` and `a`,`bc` apart; an absent field counts
            // as an empty one.
            let text = field.as_deref().unwrap_or_default();
            digest.update((text.len() as u64).to_le_bytes());
            digest.update(text);
        }
        let digest = digest.finalize();
        let mut short = [0; 16];
        short.copy_from_slice(&digest[..16]);
        Self { form: Form::Digest(short), hash: first_eight(&digest) }
    }
}

impl fmt::Display for EventKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.write(&mut text);
        formatter.write_str(&text)
    }
}

impl fmt::Debug for EventKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "EventKey({self})")
    }
}

/// Makes keys, with one decompressor for all of them.
pub(super) struct KeyReader {
    unpacker: Unpacker,
    /// For what is not packed as ids are.
    decompressor: Decompress,
    encoded: Box<[u8; ENCODED_BYTES]>,
    decoded: Box<[u8; DECODED_BYTES]>,
}

impl KeyReader {
    pub(super) fn new() -> Self {
        Self {
            unpacker: Unpacker::new(),
            decompressor: Decompress::new(true),
            encoded: Box::new([0; ENCODED_BYTES]),
            decoded: Box::new([0; DECODED_BYTES]),
        }
    }

    pub(super) fn key(&mut self, record: &Record<'_>) -> EventKey {
        let id = record.id.as_deref().unwrap_or_default();
        match self.decode(id).as_ref().and_then(EventKey::counted) {
            Some(key) => key,
            None if id.trim().is_empty() || id.len() > RAW_BYTES => EventKey::digest(record),
            None => EventKey::raw(id),
        }
    }

    fn decode(&mut self, id: &str) -> Option<Content<'_>> {
        if id.len() > ENCODED_BYTES {
            return None;
        }
        let length = ALPHABET.decode_slice(id, &mut self.encoded[..]).ok()?;
        let unpacked = self.unpacker.unpack(&self.encoded, length, &mut self.decoded);
        let written = unpacked.or_else(|| self.unpack_by_the_library(length))?;
        Content::read(&self.decoded[..written])
    }

    fn unpack_by_the_library(&mut self, length: usize) -> Option<usize> {
        self.decompressor.reset(true);
        let packed = &self.encoded[..length];
        let status =
            self.decompressor.decompress(packed, &mut self.decoded[..], FlushDecompress::Finish).ok()?;
        let used = usize::try_from(self.decompressor.total_in()).ok()?;
        let written = usize::try_from(self.decompressor.total_out()).ok()?;
        (status == Status::StreamEnd && used == length).then_some(written)
    }
}

/// Appends a number in decimal.
fn write_number(number: u64, out: &mut String) {
    // The longest number has 20 digits.
    let mut digits = [0; 20];
    let mut start = digits.len();
    let mut rest = number;
    loop {
        start -= 1;
        digits[start] = b"0123456789"[(rest % 10) as usize];
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    // Digits are ASCII.
    out.push_str(std::str::from_utf8(&digits[start..]).unwrap_or_default());
}

/// FNV-1a in 64 bits (<http://www.isthe.com/chongo/tech/comp/fnv/>).
fn fnv(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// A number under a seed, by the finalizer of SplitMix64 (<https://prng.di.unimi.it/splitmix64.c>):
/// for one seed, different numbers give different values.
fn mixed(seed: u64, number: u64) -> u64 {
    let mut value = seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

fn first_eight(digest: &[u8]) -> u64 {
    digest.iter().take(8).fold(0, |value, byte| value << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;
    use proptest::prelude::*;

    use super::{ALPHABET, DECODED_BYTES, ENCODED_BYTES, EventKey, KeyReader};
    use crate::poll::Record;
    use base64::Engine as _;

    fn packed(content: &[u8]) -> String {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(content).unwrap();
        ALPHABET.encode(encoder.finish().unwrap()).trim_end_matches('=').to_owned()
    }

    fn key_of(id: &str) -> EventKey {
        KeyReader::new().key(&Record { id: Some(Cow::Borrowed(id)), ..Record::default() })
    }

    fn content(code: &str, number: &str) -> String {
        format!(r#"{{"secureid":"bF9lP+My\/lfL","auditlogid":{number},"customercode":"{code}","version":1}}"#)
    }

    #[test]
    fn an_id_that_decodes_gives_account_and_number() {
        let key = key_of(&packed(content("CUSA0A0000", "319319084").as_bytes()));
        assert_eq!(key.to_string(), "CUSA0A0000:319319084");
        assert_eq!(key.account(), Some("CUSA0A0000"));
    }

    #[test]
    fn the_same_event_read_with_other_credentials_is_the_same() {
        let mine = packed(br#"{"secureid":"one","auditlogid":7,"customercode":"CUSA1","version":1}"#);
        let theirs =
            packed(br#"{"version":2,"customercode":"CUSA1","auditlogid":7,"secureid":"two","more":[]}"#);
        assert_ne!(mine, theirs);
        assert_eq!(key_of(&mine), key_of(&theirs));
    }

    #[test]
    fn an_id_of_another_kind_is_its_own_identity() {
        let whole = packed(content("CUSA1", "7").as_bytes());
        let cut = &whole[..whole.len() - 4];
        let longer = format!("{whole}AAAA");
        for id in [
            "mock_audit_event_id_12345",
            "320498276",
            "été",
            cut,
            &longer,
            &packed(b"not json"),
            &packed(b"{}"),
            &packed(content("", "7").as_bytes()),
            &packed(content("CUSA:1", "7").as_bytes()),
            &packed(content(&"C".repeat(33), "7").as_bytes()),
            &packed(content("CUSA1", "-7").as_bytes()),
            &packed(content("CUSA1", "7.5").as_bytes()),
            &packed(content("CUSA1", "\"7\"").as_bytes()),
            &packed(content("CUSA1", "18446744073709551616").as_bytes()),
        ] {
            let key = key_of(id);
            assert_eq!(key.to_string(), id);
            assert_eq!(key.account(), None);
        }
    }

    #[test]
    fn a_bomb_is_not_unpacked() {
        // 10 MB of zeroes in 10 kB, and what just does not fit in half as much.
        for size in [10_000_000, DECODED_BYTES + 1] {
            let bomb = packed(&vec![b'0'; size]);
            let mut reader = KeyReader::new();
            assert!(reader.decode(&bomb).is_none());
            assert!(reader.decompressor.total_out() <= DECODED_BYTES as u64);
        }
        let padded = packed(format!("{}{}", " ".repeat(900), content("CUSA1", "7")).as_bytes());
        assert!(padded.len() < ENCODED_BYTES);
        assert_eq!(key_of(&padded).to_string(), "CUSA1:7");
    }

    #[test]
    fn the_decompressor_recovers_from_a_bad_id() {
        let mut reader = KeyReader::new();
        let good = packed(content("CUSA1", "7").as_bytes());
        for _ in 0..3 {
            assert!(reader.decode("eNqrVipOTS4tSs1MUbJSKg12LC6M0Q").is_none());
            assert!(reader.decode(&good).is_some());
        }
    }

    // BR-017
    #[test]
    fn without_an_id_all_fields_are_the_identity() {
        let record = |user: &'static str, event_info: &'static str| Record {
            user: Some(Cow::Borrowed(user)),
            event_info: Some(Cow::Borrowed(event_info)),
            ..Record::default()
        };
        let key = |record: &Record<'_>| KeyReader::new().key(record);
        assert_eq!(key(&record("a", "bc")), key(&record("a", "bc")));
        assert_ne!(key(&record("a", "bc")), key(&record("ab", "c")));
        assert!(key(&record("a", "bc")).to_string().starts_with("sha256-"));
        let blank = Record { id: Some(Cow::Borrowed(" ")), ..record("a", "bc") };
        assert!(key(&blank).to_string().starts_with("sha256-"));
        let long = Record { id: Some(Cow::Owned("x".repeat(1_025))), ..Record::default() };
        assert!(key(&long).to_string().starts_with("sha256-"));
    }

    /// The checkpoint of an earlier version holds these numbers. They were computed apart from
    /// this code, from the definitions of FNV-1a, SplitMix64 and SHA-256.
    #[test]
    fn hashes_never_change() {
        assert_eq!(
            key_of(&packed(content("CUSA0A0000", "320498276").as_bytes())).hash(),
            0xb83d_d78d_add6_35b8
        );
        assert_eq!(key_of("mock_audit_event_id_12345").hash(), 0xd7d3_e193_f64b_5411);
        assert_eq!(KeyReader::new().key(&Record::default()).hash(), 0x17b0_761f_87b0_81d5);
    }

    proptest! {
        #[test]
        fn any_id_has_a_key(id in "\\PC{0,60}|[A-Za-z0-9_-]{0,300}") {
            let key = key_of(&id);
            prop_assert!(!key.to_string().is_empty());
            prop_assert_eq!(key.hash(), key_of(&id).hash());
        }

        #[test]
        fn numbers_of_one_account_have_hashes_of_their_own(one: u64, other: u64) {
            let hash = |number: u64| key_of(&packed(content("CUSA1", &number.to_string()).as_bytes())).hash();
            prop_assert_eq!(hash(one) == hash(other), one == other);
        }
    }
}
