//! Bodies in gzip (RFC 1952), filled piece by piece. Pure.

use bytes::Bytes;

use super::deflate::{BLOCK_BYTES, Deflate};

/// How much is best given at a time: one block.
pub(super) const PIECE_BYTES: usize = BLOCK_BYTES;

/// What a member begins with: its mark, DEFLATE, no name and no time, "the fastest way", no known system.
const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];

/// A gzip compressor whose memory is kept from one body to the next.
#[derive(Debug)]
pub(super) struct Encoder {
    deflate: Deflate,
    checksum: crc32fast::Hasher,
    plain_bytes: u32,
    body: Vec<u8>,
    /// How large the last body was: the next one is likely to be as large.
    last_bytes: usize,
}

impl Encoder {
    pub(super) fn new() -> Self {
        Self {
            deflate: Deflate::new(),
            checksum: crc32fast::Hasher::new(),
            plain_bytes: 0,
            body: Vec::new(),
            last_bytes: 0,
        }
    }

    /// Takes more of the body, as one block for each [`PIECE_BYTES`]; what lies in another piece is not
    /// found again.
    #[expect(clippy::cast_possible_truncation, reason = "at most the length of a block")]
    pub(super) fn push(&mut self, plain: &[u8]) {
        if self.body.is_empty() {
            self.body.reserve(self.last_bytes + BLOCK_BYTES / 2);
            self.body.extend_from_slice(&HEAD);
        }
        self.checksum.update(plain);
        for piece in plain.chunks(BLOCK_BYTES) {
            self.deflate.block(piece, &mut self.body);
            // The format counts modulo 2^32.
            self.plain_bytes = self.plain_bytes.wrapping_add(piece.len() as u32);
        }
    }

    /// Ends the body, and begins the next.
    pub(super) fn finish(&mut self) -> Bytes {
        if self.body.is_empty() {
            self.body.extend_from_slice(&HEAD);
        }
        self.deflate.end(&mut self.body);
        let checksum = std::mem::take(&mut self.checksum).finalize();
        self.body.extend_from_slice(&checksum.to_le_bytes());
        self.body.extend_from_slice(&std::mem::take(&mut self.plain_bytes).to_le_bytes());
        self.last_bytes = self.body.len();
        let mut body = std::mem::take(&mut self.body);
        // Three of them can be held at once.
        body.shrink_to_fit();
        Bytes::from(body)
    }

    /// Forgets what it was given.
    pub(super) fn clear(&mut self) {
        self.deflate.clear();
        self.checksum = crc32fast::Hasher::new();
        self.plain_bytes = 0;
        self.body.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::{Encoder, PIECE_BYTES};

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = Encoder::new();
        encoder.push(plain);
        encoder.finish().to_vec()
    }

    /// What another's reader makes of it, which also compares checksum and length.
    fn opened(body: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        let mut reader = flate2::bufread::GzDecoder::new(body);
        reader.read_to_end(&mut plain).expect("gzip");
        assert!(reader.into_inner().is_empty(), "nothing follows");
        plain
    }

    /// Numbers that no compressor finds an order in.
    fn noise(seed: u64) -> impl Iterator<Item = u64> {
        std::iter::successors(Some(seed | 1), |x| {
            let x = x ^ (x << 13);
            let x = x ^ (x >> 7);
            Some(x ^ (x << 17))
        })
    }

    fn noisy_bytes(length: usize, seed: u64) -> Vec<u8> {
        noise(seed).map(|number| (number >> 32) as u8).take(length).collect()
    }

    fn base64_like(length: usize, seed: u64) -> Vec<u8> {
        const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        noise(seed).map(|number| LETTERS[(number >> 32) as usize % 64]).take(length).collect()
    }

    /// Worked out by hand from RFC 1951 and RFC 1952: a block in fixed codes with `a` (0b1001_0001) and its
    /// end (seven zeros), then the empty last block; the checksum of `a` is e8b7be43 in every table of it.
    #[test]
    fn one_letter_is_written_as_the_format_has_it() {
        let expected = [
            [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255].as_slice(),
            // 0, 10 reversed: type 1. Then 1001_0001 from the highest bit on, 000_0000; 1, type 1, 000_0000.
            // Lowest bit first: 010 1|0010|001 0|000|000 1|10 00|00000
            &[0b0100_1010, 0b0000_0100, 0b0000_1100, 0],
            &[0x43, 0xbe, 0xb7, 0xe8],
            &[1, 0, 0, 0],
        ];
        assert_eq!(gzip(b"a"), expected.concat());
    }

    #[test]
    fn nothing_is_a_body_too() {
        assert_eq!(opened(&Encoder::new().finish()), b"");
        assert_eq!(opened(&gzip(b"")), b"");
    }

    #[test]
    fn every_length_of_a_repetition_comes_back() {
        for length in 0..1_100 {
            let mut plain = b"0123456789abcdef, ".to_vec();
            plain.extend(std::iter::repeat_n(b'x', length));
            plain.extend_from_slice(b"0123456789abcdefg");
            assert_eq!(opened(&gzip(&plain)), plain, "{length}");
        }
    }

    #[test]
    fn every_distance_comes_back_and_none_too_far_is_taken() {
        let around = (5..16).flat_map(|bits| [-2, -1, 0, 1, 2].map(|by| (1_i32 << bits) + by));
        for distance in (1..400).chain(around) {
            let distance = usize::try_from(distance).expect("positive");
            // Something that nothing compresses, much of one letter, and the first again.
            let unlike = base64_like(distance.min(300), 7);
            let mut plain = unlike.clone();
            plain.resize(distance, b'.');
            plain.extend_from_slice(&unlike);
            plain.extend_from_slice(b"the end, behind which eight bytes can be looked at");
            let body = gzip(&plain);
            assert_eq!(opened(&body), plain, "{distance}");
            // The format reaches back 32 KiB. Of what is shorter than 300 less could be saved.
            if distance >= 300 {
                let runs = distance / 258 * 2;
                assert_eq!(body.len() < 450 + runs, distance <= 32_768, "{distance}: {}", body.len());
            }
        }
    }

    #[test]
    fn what_codes_make_longer_is_stored() {
        for length in [1, 100, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES + 5] {
            let plain = noisy_bytes(length, 3);
            let body = gzip(&plain);
            assert_eq!(opened(&body), plain, "{length}");
            // Head and end, the empty last block, and at most six bytes for each block.
            assert!(body.len() <= plain.len() + 18 + 3 + 6 * length.div_ceil(PIECE_BYTES), "{length}");
        }
    }

    #[test]
    fn a_body_is_the_same_whatever_came_before_it() {
        let text = base64_like(1_000, 1).repeat(3);
        let mut encoder = Encoder::new();
        encoder.push(&noisy_bytes(100_000, 5));
        encoder.finish();
        encoder.push(&noisy_bytes(10, 6));
        encoder.clear();
        encoder.push(&text);
        assert_eq!(encoder.finish(), gzip(&text));
    }

    /// Rows of a few texts that repeat and one that does not.
    #[test]
    fn rows_take_less_than_half() {
        let rows: Vec<u8> = (0..2_000)
            .flat_map(|row| {
                let id = String::from_utf8(base64_like(190, row + 1)).expect("ASCII");
                format!(
                    "{{\"uid\":\"{id}\",\"audit\":\"Logon\",\"user\":\"pat.user{}@example.com\",\"info\":\"Successful \
                     authentication for pat.user{}@example.com, Date: 2026-11-25, IP: 192.0.2.{}, Application: Web\",\
                     \"at\":\"2026-11-25T10:00:{:02}Z\",\"cat\":\"authentication_logs\",\"key\":\"CUSA0A0000:{row}\"}},",
                    row % 37, row % 37, row % 200, row % 60,
                )
                .into_bytes()
            })
            .collect();
        let body = gzip(&rows);
        assert_eq!(opened(&body), rows);
        assert!(body.len() * 2 < rows.len(), "{} of {}", body.len(), rows.len());
    }

    proptest! {
        #[test]
        fn whatever_is_compressed_is_read_back_by_others(
            parts in prop::collection::vec(
                prop_oneof![
                    prop::collection::vec(any::<u8>(), 0..300),
                    "[a-c]{0,80}".prop_map(String::into_bytes),
                    "\\PC{0,80}".prop_map(String::into_bytes),
                    (any::<u8>(), 0_usize..2_000).prop_map(|(byte, length)| vec![byte; length]),
                ],
                0..40,
            ),
            picks in prop::collection::vec(any::<prop::sample::Index>(), 0..400),
        ) {
            let mut encoder = Encoder::new();
            let mut plain = Vec::new();
            for pick in picks.iter().filter(|_| !parts.is_empty()) {
                plain.extend_from_slice(&parts[pick.index(parts.len())]);
            }
            let (first, second) = plain.split_at(plain.len() / 3);
            encoder.push(first);
            encoder.push(second);
            let body = encoder.finish();
            prop_assert_eq!(opened(&body), plain);
        }
    }
}
