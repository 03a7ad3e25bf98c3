//! Ids of made-up events, as the real ones are.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use flate2::{Compress, Compression, FlushCompress};

/// The account code in the ids of events that are made up here.
const ACCOUNT_CODE: &str = "CUSA0A0000";

/// The `secureid` of a real id: sixteen bytes that differ from event to event, then a tail that does
/// not, which looks as random.
const SECURE_ID: [u8; 60] = {
    let mut bytes = [0; 60];
    let (mut at, mut state) = (16, 0x2545_f491_u32);
    while at < bytes.len() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        bytes[at] = (state >> 24) as u8;
        at += 1;
    }
    bytes
};

/// Makes event ids as the real ones are: base64url without padding of zlib-compressed JSON.
pub(super) struct EventIds {
    compress: Compress,
    compressed: Vec<u8>,
}

impl EventIds {
    pub(super) fn new() -> Self {
        Self { compress: Compress::new(Compression::best(), true), compressed: Vec::with_capacity(512) }
    }

    pub(super) fn write(&mut self, number: u64, body: &mut Vec<u8>) {
        let mut secure = SECURE_ID;
        secure[..8].copy_from_slice(&mix(number, b"first").to_be_bytes());
        secure[8..16].copy_from_slice(&mix(number, b"second").to_be_bytes());
        let decoded = format!(
            r#"{{"secureid":"{}","auditlogid":{number},"customercode":"{ACCOUNT_CODE}","version":1}}"#,
            STANDARD.encode(secure),
        );
        self.compressed.clear();
        self.compress.reset();
        // The room is several times what such a text needs, and writing into memory cannot fail.
        let _ = self.compress.compress_vec(decoded.as_bytes(), &mut self.compressed, FlushCompress::Finish);
        let start = body.len();
        body.resize(start + self.compressed.len().div_ceil(3) * 4, 0);
        let written = URL_SAFE_NO_PAD.encode_slice(&self.compressed, &mut body[start..]).unwrap_or(0);
        body.truncate(start + written);
    }
}

/// The id of a made-up event.
pub(super) fn event_id(number: u64) -> String {
    let mut id = Vec::new();
    EventIds::new().write(number, &mut id);
    String::from_utf8(id).unwrap_or_default()
}

/// Mixes a number and some bytes to a number that looks random (FNV-1a, then a final shuffle).
pub(super) fn mix(number: u64, bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for &byte in bytes {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash ^= hash >> 31;
    hash.wrapping_mul(0xbf58_476d_1ce4_e5b9)
}
