//! The zlib stream of an id, unpacked with tables no larger than its codes.
//!
//! An id holds about 140 bytes in one block of DEFLATE (RFC 1951). A reader that is made for streams of
//! any length fills tables of 1,500 places before it reads the first of them, which is most of its work
//! here; the codes of so short a block need 300. Whatever is unusual is left to the library
//! (`None`, which says nothing about the stream), so that this decides nothing of its own:
//! what is unpacked here is what zlib unpacks. Why it is here at all: `docs/decisions/speed.md`.

use super::{DECODED_BYTES, ENCODED_BYTES};

/// Longest code that a table is made for. Those of 140 bytes have seven or eight bits.
const LONGEST_CODE: usize = 9;
/// Codes of literals and lengths, and of distances, of a block (RFC 1951, 3.2.7).
const LITERALS: usize = 286;
const DISTANCES: usize = 30;
/// The literal that ends a block.
const END_OF_BLOCK: usize = 256;
/// In this order the lengths of the codes for lengths of codes come (RFC 1951, 3.2.7).
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
/// Base and extra bits of the lengths 257 to 285, and of the distances (RFC 1951, 3.2.5).
const LENGTH_BASES: [u16; 29] = [
    3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195,
    227, 258,
];
const LENGTH_EXTRAS: [u8; 29] =
    [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const DISTANCE_BASES: [u16; 30] = [
    1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073,
    4097, 6145, 8193, 12289, 16385, 24577,
];
const DISTANCE_EXTRAS: [u8; 30] =
    [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13];

/// Unpacks ids one after another, with the same tables.
pub(super) struct Unpacker {
    lengths: Code<{ 19 + 2 }>,
    literals: Code<{ LITERALS + 2 }>,
    distances: Code<{ DISTANCES + 2 }>,
    /// Lengths of the codes of literals and, behind them, distances.
    code_lengths: [u8; LITERALS + DISTANCES],
}

impl Unpacker {
    pub(super) fn new() -> Self {
        Self {
            lengths: Code::new(),
            literals: Code::new(),
            distances: Code::new(),
            code_lengths: [0; LITERALS + DISTANCES],
        }
    }

    /// Unpacks the first `length` bytes of `stream`, all of them, and gives how many bytes came of it.
    /// `None`: the stream is broken, unpacks to more than fits, or is not of the usual kind.
    pub(super) fn unpack(
        &mut self,
        stream: &[u8; ENCODED_BYTES],
        length: usize,
        out: &mut [u8; DECODED_BYTES],
    ) -> Option<usize> {
        let header = u16::from_be_bytes([stream[0], stream[1]]);
        // DEFLATE, no dictionary, and the check that makes it a multiple (RFC 1950, 2.2).
        if header & 0x0f20 != 0x0800 || header >> 12 > 7 || !header.is_multiple_of(31) {
            return None;
        }
        let mut bits = Bits { stream, at: 2, hold: 0, held: 0 };
        bits.fill();
        // The last block is the only one, and has codes of its own.
        if bits.take(3) != 0b101 {
            return None;
        }
        self.read_codes(&mut bits)?;
        let written = read_block(&mut bits, &self.literals, &self.distances, out)?;
        let end = bits.bytes_used();
        let sum = stream.get(end..)?.first_chunk::<4>()?;
        (end + sum.len() == length && u32::from_be_bytes(*sum) == simd_adler32::adler32(&&out[..written]))
            .then_some(written)
    }

    /// The codes that a block begins with.
    fn read_codes(&mut self, bits: &mut Bits<'_>) -> Option<()> {
        let literals = bits.take(5) + 257;
        let distances = bits.take(5) + 1;
        let orders = bits.take(4) + 4;
        if literals > LITERALS || distances > DISTANCES {
            return None;
        }
        let mut lengths = [0; 19];
        for symbols in ORDER.get(..orders)?.chunks(16) {
            // For sixteen of three bits each.
            bits.fill();
            for &symbol in symbols {
                lengths[symbol] = bits.take(3) as u8;
            }
        }
        self.lengths.build(&lengths)?;
        let lengths = &mut self.code_lengths;
        let all = literals + distances;
        let mut at = 0;
        while at < all {
            bits.fill();
            let (length, times) = match bits.symbol(&self.lengths) {
                length @ 0..16 => {
                    // At most fifteen.
                    lengths[at] = length as u8;
                    at += 1;
                    continue;
                }
                16 => (*lengths.get(at.checked_sub(1)?)?, bits.take(2) + 3),
                17 => (0, bits.take(3) + 3),
                _ => (0, bits.take(7) + 11),
            };
            if at + times > all {
                return None;
            }
            lengths[at..at + times].fill(length);
            at += times;
        }
        let (literals, distances) = lengths[..all].split_at(literals);
        if literals[END_OF_BLOCK] == 0 {
            return None;
        }
        self.literals.build(literals)?;
        self.distances.build(distances)
    }
}

/// Reads the block's content, and gives how many bytes it has.
fn read_block(
    bits: &mut Bits<'_>,
    literals: &Code<{ LITERALS + 2 }>,
    distances: &Code<{ DISTANCES + 2 }>,
    out: &mut [u8; DECODED_BYTES],
) -> Option<usize> {
    let mut written = 0;
    // A copy that stays in registers.
    let mut near = *bits;
    loop {
        // Three codes, and what the last of them can need: to ask each time whether it is there would cost more.
        near.fill();
        let mut symbol = near.symbol(literals);
        for _ in 0..2 {
            if symbol >= END_OF_BLOCK {
                break;
            }
            *out.get_mut(written)? = symbol as u8;
            written += 1;
            symbol = near.symbol(literals);
        }
        if symbol < END_OF_BLOCK {
            *out.get_mut(written)? = symbol as u8;
            written += 1;
            continue;
        }
        if symbol == END_OF_BLOCK {
            *bits = near;
            return Some(written);
        }
        let code = symbol - END_OF_BLOCK - 1;
        let extra = near.take(u32::from(*LENGTH_EXTRAS.get(code)?));
        let length = usize::from(*LENGTH_BASES.get(code)?) + extra;
        let code = near.symbol(distances);
        let extra = near.take(u32::from(*DISTANCE_EXTRAS.get(code)?));
        let distance = usize::from(*DISTANCE_BASES.get(code)?) + extra;
        let from = written.checked_sub(distance)?;
        if written + length > out.len() {
            return None;
        }
        // What is copied may be what is being written.
        for offset in 0..length {
            out[written + offset] = out[from + offset];
        }
        written += length;
    }
}

/// A prefix code as a table: the next bits give the symbol and how many of them it takes.
struct Code<const PLACES: usize> {
    /// Symbol in the upper twelve bits, length of its code in the lower four.
    table: [u16; 1 << LONGEST_CODE],
    /// Which of the next bits are looked at.
    mask: usize,
    /// The symbols in the order of their codes, behind two places for what has no code.
    symbols: [u16; PLACES],
}

impl<const PLACES: usize> Code<PLACES> {
    fn new() -> Self {
        Self { table: [0; 1 << LONGEST_CODE], mask: 0, symbols: [0; PLACES] }
    }

    /// Makes the table of the code whose symbols have codes of these lengths, 0 for none (RFC 1951, 3.2.2).
    /// `None` where a code is longer than a table is made for, where there are more codes than are counted,
    /// or where the code is not complete.
    fn build(&mut self, lengths: &[u8]) -> Option<()> {
        // Most symbols have no code, many of them in a row; those in between are treated like the others, since
        // which they are cannot be guessed.
        let eights = || {
            let eights = (0..).step_by(8).zip(lengths.chunks(8));
            eights.filter(|(_, eight)| eight.iter().fold(0, |any, length| any | length) != 0)
        };
        let (mut counts, mut coded, mut longest) = (Counts(0), 0, 0);
        for (_, eight) in eights() {
            for &length in eight {
                counts.count(length);
                coded += u32::from(length != 0);
                longest = longest.max(length);
            }
        }
        let longest = usize::from(longest);
        if longest > LONGEST_CODE || coded > COUNTED {
            return None;
        }
        let mut places = counts.places();
        for (first, eight) in eights() {
            for (symbol, &length) in (first..).zip(eight) {
                *self.symbols.get_mut(places.of(length))? = symbol;
                places.count(length);
            }
        }
        let mut symbols = self.symbols[2..].iter();
        let mut code = 0_u16;
        for length in 1..=longest {
            let half = 1 << (length - 1);
            if code > 0 {
                // What was made for the shorter codes goes for either value of the next bit.
                let (made, rest) = self.table.split_at_mut(half);
                rest[..half].copy_from_slice(made);
                code <<= 1;
            }
            for &symbol in symbols.by_ref().take(counts.of(length as u8)) {
                // Codes come with their first bit first, which is the lowest.
                let place = usize::from(*REVERSED.get(usize::from(code))? >> (LONGEST_CODE - length));
                *self.table.get_mut(place)? = symbol << 4 | length as u16;
                code += 1;
            }
            if code > 1 << length {
                return None;
            }
        }
        // Fewer codes leave bits without a meaning.
        if code != 1 << longest {
            return None;
        }
        self.mask = (1 << longest) - 1;
        Some(())
    }
}

/// How many codes have each length, seven bits for each: in a register, since one count waits for the one
/// before where it goes through memory. The bit that is left is that of symbols without a code.
#[derive(Clone, Copy)]
struct Counts(u64);

/// What counts a code of each length.
const ONE: [u64; 16] = {
    let mut ones = [1 << 63; 16];
    let mut length = 1;
    while length <= LONGEST_CODE {
        ones[length] = 1 << (7 * (length - 1));
        length += 1;
    }
    ones
};

/// The most that is counted: with two places before them, what seven bits hold.
const COUNTED: u32 = 125;

impl Counts {
    /// Where the bits of a length begin.
    fn shift(length: u8) -> u32 {
        7 * u32::from(length.wrapping_sub(1).min(9))
    }

    fn count(&mut self, length: u8) {
        self.0 = self.0.wrapping_add(ONE[usize::from(length & 15)]);
    }

    fn of(self, length: u8) -> usize {
        (self.0 >> Self::shift(length)) as usize & 127
    }

    /// Where the codes of each length begin, behind the places 0 and 1 for symbols without a code.
    fn places(self) -> Self {
        let (mut places, mut place) = (0, 2);
        for length in 1..=LONGEST_CODE as u8 {
            places |= place << Self::shift(length);
            place += self.of(length) as u64;
        }
        Self(places)
    }
}

/// Every code of the longest length, its last bit first.
const REVERSED: [u16; 1 << LONGEST_CODE] = {
    let mut reversed = [0; 1 << LONGEST_CODE];
    let mut code = 0;
    while code < reversed.len() {
        reversed[code] = (code as u16).reverse_bits() >> (16 - LONGEST_CODE);
        code += 1;
    }
    reversed
};

/// The stream, bit by bit, the lowest of each byte first.
#[derive(Clone, Copy)]
struct Bits<'a> {
    stream: &'a [u8; ENCODED_BYTES],
    /// The next byte to take in. Behind the stream's end comes what nobody wrote for it: that it was read is
    /// seen at the end, by how much was used.
    at: usize,
    hold: u64,
    held: u32,
}

impl Bits<'_> {
    /// Takes in as much as there is room for: at least 56 bits are held then.
    #[inline]
    fn fill(&mut self) {
        if let Some(word) = self.stream.get(self.at..).and_then(|rest| rest.first_chunk::<8>()) {
            self.hold |= u64::from_le_bytes(*word) << self.held;
        }
        let bytes = (63 - self.held) / 8;
        self.at += bytes as usize;
        self.held += bytes * 8;
    }

    /// The next bits, which are held.
    #[inline]
    fn take(&mut self, bits: u32) -> usize {
        let taken = self.hold & ((1 << bits) - 1);
        self.skip(bits);
        taken as usize
    }

    /// Passes over bits, which are held.
    #[inline]
    fn skip(&mut self, bits: u32) {
        self.hold >>= bits;
        self.held -= bits;
    }

    /// The next symbol of a code, whose bits are held.
    #[inline]
    fn symbol<const PLACES: usize>(&mut self, code: &Code<PLACES>) -> usize {
        let entry = code.table[self.hold as usize & code.mask & ((1 << LONGEST_CODE) - 1)];
        self.skip(u32::from(entry & 15));
        usize::from(entry >> 4)
    }

    /// Bytes of the stream that were used, the last one perhaps in part.
    fn bytes_used(&self) -> usize {
        self.at - (self.held / 8) as usize
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::write::ZlibEncoder;
    use flate2::{Compression, Decompress, FlushDecompress, Status};
    use proptest::prelude::*;

    use super::{DECODED_BYTES, ENCODED_BYTES, Unpacker};

    fn packed(content: &[u8], level: u32) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(level));
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    /// What is behind the stream is left over from another, as in the reader of keys.
    fn unpacked(stream: &[u8]) -> Option<Vec<u8>> {
        let mut padded = [0xa5; ENCODED_BYTES];
        padded[..stream.len()].copy_from_slice(stream);
        let mut out = [0; DECODED_BYTES];
        let written = Unpacker::new().unpack(&padded, stream.len(), &mut out)?;
        Some(out[..written].to_vec())
    }

    fn by_the_library(stream: &[u8]) -> Option<Vec<u8>> {
        let (mut decompress, mut out) = (Decompress::new(true), vec![0; DECODED_BYTES]);
        let status = decompress.decompress(stream, &mut out, FlushDecompress::Finish).ok()?;
        out.truncate(decompress.total_out() as usize);
        (status == Status::StreamEnd && decompress.total_in() == stream.len() as u64).then_some(out)
    }

    #[test]
    fn ids_are_unpacked_here_and_not_left_to_the_library() {
        let dynamic = br#"{"secureid":"NwwZVYJHeH8Xel2bagCPItIsrPMAC6zLsfwj4Jt3ffEpwnBsxtaRPxPMuQCVj+IO","auditlogid":319300802,"customercode":"CUSA0A0000","version":1}"#;
        assert_eq!(unpacked(&packed(dynamic, 9)).as_deref(), Some(&dynamic[..]));
        // A block with the fixed codes.
        assert_eq!(unpacked(&packed(b"{}", 9)), None);
    }

    #[test]
    fn the_sample_ids_are_of_the_usual_kind() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/records/events");
        let mut usual = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let event: serde_json::Value =
                serde_json::from_slice(&std::fs::read(entry.unwrap().path()).unwrap()).unwrap();
            let Some(id) = event["id"].as_str().filter(|id| id.starts_with("eN")) else { continue };
            let stream = base64::Engine::decode(&super::super::ALPHABET, id).unwrap();
            let expected = by_the_library(&stream);
            assert!(expected.is_some() && unpacked(&stream) == expected, "{id}");
            usual += 1;
        }
        assert!(usual >= 40, "{usual} of the samples");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        /// Whatever this unpacks, the library unpacks to the same.
        #[test]
        fn what_is_unpacked_is_what_the_library_unpacks(
            content in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..300),
                "[A-Za-z0-9+/=\":,{}]{0,300}".prop_map(String::into_bytes),
            ],
            level in 0_u32..10,
            damage in proptest::option::of((0_usize..400, any::<u8>())),
            cut in proptest::option::of(0_usize..400),
        ) {
            let mut stream = packed(&content, level);
            if let Some((at, byte)) = damage && let Some(place) = stream.get_mut(at) {
                *place = byte;
            }
            if let Some(cut) = cut {
                stream.truncate(cut);
            }
            if let Some(here) = unpacked(&stream) {
                prop_assert_eq!(Some(here), by_the_library(&stream));
            }
        }
    }
}
