//! DEFLATE (RFC 1951) for rows: text into one block, as quickly as it goes.
//!
//! Rows repeat the fields of the rows before them and carry an id that nothing compresses. So repetitions
//! are looked up in one table, ever more seldom where none is found, and everything else is written in the
//! code that the format fixes, in which ASCII has eight bits: eight characters are turned at once. A
//! library's quickest level takes two and a half times as long for a tenth less (`docs/decisions/speed.md`).
//!
//! Pure, and the same bytes for the same text.

/// The longest text of a block: what a stored block can hold and a position of two bytes can name.
pub(super) const BLOCK_BYTES: usize = u16::MAX as usize;

/// Codes have at most nine bits for a byte; then there are the heads, and room to write eight bytes at once.
const SPACE_BYTES: usize = BLOCK_BYTES / 8 * 9 + 64;

/// A repetition is taken from this length on. The format has them from three; the short ones cost as much
/// time as the long ones and save next to nothing.
const SHORTEST_MATCH: usize = 5;
/// The longest of the format.
const LONGEST_MATCH: usize = 258;
/// How far back a repetition may lie.
const FARTHEST: usize = 32 * 1024;
/// The table of places has two to the power of this.
const TABLE_BITS: u32 = 13;
/// After this many looks in vain, in two's powers, the looks are one byte further apart.
const PATIENCE_BITS: u32 = 3;
/// Looks end so far before the text does: they take eight bytes at once.
const END_BYTES: usize = 16;

/// What ends a block, and its number of bits: symbol 256.
const END_OF_BLOCK: (u64, u32) = (0, 7);
/// What begins a block with the fixed codes: not the last one, of type 1.
const FIXED_BLOCK: (u64, u32) = (0b010, 3);
/// The last one, without a byte.
const EMPTY_LAST_BLOCK: (u64, u32) = (0b011, 10);
/// What a stored block has beside its text: the rest of a byte, and the length twice.
const STORED_BYTES: usize = 5;
/// What begins a stored block: not the last one, of type 0.
const STORED_BLOCK: (u64, u32) = (0b000, 3);

/// Each length from three on: its code with the extra bits, and how many they are.
const LENGTHS: [(u16, u8); LONGEST_MATCH - 2] = lengths();

const fn lengths() -> [(u16, u8); LONGEST_MATCH - 2] {
    let mut table = [(0, 0); LONGEST_MATCH - 2];
    let mut above = 0;
    while above < table.len() as u32 {
        let (symbol, extra_bits) = match above {
            255 => (285, 0),
            0..8 => (257 + above, 0),
            _ => {
                let extra_bits = above.ilog2() - 2;
                (257 + 4 * extra_bits + (above >> extra_bits), extra_bits)
            }
        };
        // Symbols 256 to 279 have seven bits from 0 on, 280 to 287 eight from 0b1100_0000 on.
        let (code, bits) = if symbol < 280 { (symbol - 256, 7) } else { (0xc0 + symbol - 280, 8) };
        let extra = above & ((1 << extra_bits) - 1);
        table[above as usize] =
            ((first_bit_first(code, bits) | extra << bits) as u16, (bits + extra_bits) as u8);
        above += 1;
    }
    table
}

/// The code of each distance's symbol.
const DISTANCES: [u8; 32] = distances();

const fn distances() -> [u8; 32] {
    let mut table = [0; 32];
    let mut symbol = 0;
    while symbol < 32 {
        table[symbol as usize] = first_bit_first(symbol, 5) as u8;
        symbol += 1;
    }
    table
}

/// A code as it is written: its highest bit comes first.
const fn first_bit_first(code: u32, bits: u32) -> u32 {
    code.reverse_bits() >> (u32::BITS - bits)
}

/// The block that is being written. Bits fill bytes from the lowest on.
#[derive(Debug)]
struct Writer<'a> {
    space: &'a mut [u8],
    at: usize,
    pending: Pending,
}

/// Bits that fill no byte yet, and how many they are: at most seven between two calls.
#[derive(Debug, Clone, Copy, Default)]
struct Pending {
    bits: u64,
    count: u32,
}

impl Writer<'_> {
    /// At most 57 bits may be put between two calls of [`Writer::flush`].
    #[inline(always)]
    fn put(&mut self, (bits, count): (u64, u32)) {
        self.pending.bits |= bits << self.pending.count;
        self.pending.count += count;
    }

    /// Writes the whole bytes.
    #[inline(always)]
    fn flush(&mut self) {
        let Pending { bits, count } = &mut self.pending;
        self.space[self.at..self.at + 8].copy_from_slice(&bits.to_le_bytes());
        self.at += (*count / 8) as usize;
        *bits >>= *count & !7;
        *count &= 7;
    }

    /// The bytes from `from` to `to` as they are.
    #[inline(always)]
    fn literals(&mut self, text: &[u8], mut from: usize, to: usize) {
        const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
        while from < to {
            // Seven, so that with the pending bits they are no more than 64.
            let (bytes, count) = if from + 8 <= text.len() {
                (eight(text, from), (to - from).min(7))
            } else {
                (text[from].into(), 1)
            };
            let mask = (1 << (8 * count)) - 1;
            if bytes & mask & HIGH_BITS == 0 {
                // The codes of 0 to 143 have eight bits, from 0b0011_0000 on. Nothing is carried from one
                // byte to the next; then each byte's bits are turned round.
                let codes = (bytes & mask) + 0x3030_3030_3030_3030;
                self.put((codes.reverse_bits().swap_bytes() & mask, 8 * count as u32));
                from += count;
            } else {
                self.put(literal(text[from]));
                from += 1;
            }
            self.flush();
        }
    }

    /// A repetition of what lies `distance` bytes before it.
    #[inline(always)]
    fn repetition(&mut self, mut length: usize, distance: usize) {
        let above = distance as u32 - 1;
        let extra_bits = (above | 2).ilog2() - 1;
        let symbol = 2 * extra_bits + (above >> extra_bits);
        let extra = above & ((1 << extra_bits) - 1);
        let place = (u64::from(DISTANCES[symbol as usize & 31]) | u64::from(extra) << 5, 5 + extra_bits);
        loop {
            // What is left is none, or at least three.
            let now = if length <= LONGEST_MATCH { length } else { LONGEST_MATCH.min(length - 3) };
            let (code, bits) = LENGTHS[now - 3];
            self.put((code.into(), bits.into()));
            self.put(place);
            self.flush();
            length -= now;
            if length == 0 {
                return;
            }
        }
    }
}

/// A byte's own code.
fn literal(byte: u8) -> (u64, u32) {
    let byte = u32::from(byte);
    match byte {
        0..144 => (first_bit_first(0x30 + byte, 8).into(), 8),
        _ => (first_bit_first(0x190 + byte - 144, 9).into(), 9),
    }
}

/// Compresses texts one after another into the blocks of one stream.
#[derive(Debug)]
pub(super) struct Deflate {
    /// Where texts with a hash were last seen.
    places: Box<[u16; 1 << TABLE_BITS]>,
    space: Box<[u8]>,
    pending: Pending,
}

impl Deflate {
    /// With some 90 KB of memory.
    pub(super) fn new() -> Self {
        Self {
            places: Box::new([0; 1 << TABLE_BITS]),
            space: vec![0; SPACE_BYTES].into(),
            pending: Pending::default(),
        }
    }

    /// Appends a block of this text, of at most [`BLOCK_BYTES`], to `stream`. All of them together take at
    /// most six bytes each beside their texts, which are stored as they are where codes make them longer.
    pub(super) fn block(&mut self, text: &[u8], stream: &mut Vec<u8>) {
        debug_assert!(text.len() <= BLOCK_BYTES);
        let before = self.pending;
        let mut writer = Writer { space: &mut self.space, at: 0, pending: before };
        writer.put(FIXED_BLOCK);
        writer.flush();
        self.places.fill(0);
        encode(text, &mut self.places, &mut writer);
        writer.put(END_OF_BLOCK);
        writer.flush();
        let Writer { at: end, pending, .. } = writer;
        if end > text.len() + STORED_BYTES {
            self.pending = before;
            self.stored(text, stream);
        } else {
            self.pending = pending;
            stream.extend_from_slice(&self.space[..end]);
        }
    }

    /// A stored block: its head, the rest of that byte, the text's length and the length's complement.
    fn stored(&mut self, text: &[u8], stream: &mut Vec<u8>) {
        let length = text.len() as u16;
        self.put_bytes(STORED_BLOCK, stream);
        stream.extend_from_slice(&length.to_le_bytes());
        stream.extend_from_slice(&(!length).to_le_bytes());
        stream.extend_from_slice(text);
    }

    /// Bits, and what fills up their last byte.
    fn put_bytes(&mut self, (bits, count): (u64, u32), stream: &mut Vec<u8>) {
        let Pending { bits: before, count: pending } = std::mem::take(&mut self.pending);
        let bits = before | bits << pending;
        stream.extend_from_slice(&bits.to_le_bytes()[..(pending + count).div_ceil(8) as usize]);
    }

    /// Ends the stream, so that another can be begun.
    pub(super) fn end(&mut self, stream: &mut Vec<u8>) {
        self.put_bytes(EMPTY_LAST_BLOCK, stream);
    }

    /// Forgets the stream that was begun.
    pub(super) fn clear(&mut self) {
        self.pending = Pending::default();
    }
}

/// Writes a text in fixed codes.
///
/// It is one function because it is a quarter slower where the search is one of its own.
#[inline(always)]
fn encode(text: &[u8], places: &mut [u16; 1 << TABLE_BITS], writer: &mut Writer<'_>) {
    // What lies before this is written.
    let mut done = 0;
    let mut at = 1;
    let last = text.len().saturating_sub(END_BYTES);
    'text: while at < last {
        let mut looks = 1_usize << PATIENCE_BITS;
        let distance = loop {
            if at > last {
                break 'text;
            }
            let bytes = eight(text, at);
            let place = &mut places[hash(bytes)];
            // Where nothing was noted it is the text's beginning, as good as any place that is alike.
            let before = usize::from(std::mem::replace(place, at as u16));
            let differing = eight(text, before) ^ bytes;
            if differing << (64 - 8 * SHORTEST_MATCH) == 0 && at - before <= FARTHEST {
                break at - before;
            }
            at += looks >> PATIENCE_BITS;
            looks += 1;
        };
        let end = at + SHORTEST_MATCH + alike(text, at + SHORTEST_MATCH, distance);
        while at > done && at > distance && text[at - 1] == text[at - 1 - distance] {
            at -= 1;
        }
        writer.literals(text, done, at);
        writer.repetition(end - at, distance);
        (done, at) = (end, end);
        if at <= last {
            places[hash(eight(text, at - 2))] = (at - 2) as u16;
        }
    }
    writer.literals(text, done, text.len());
}

/// How many bytes from `at` on are as those `distance` before them.
#[inline(always)]
fn alike(text: &[u8], mut at: usize, distance: usize) -> usize {
    let start = at;
    while at + 8 <= text.len() {
        let differing = eight(text, at) ^ eight(text, at - distance);
        if differing != 0 {
            return at - start + (differing.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while at < text.len() && text[at] == text[at - distance] {
        at += 1;
    }
    at - start
}

/// Where the table notes a text that begins with these bytes.
#[inline(always)]
fn hash(bytes: u64) -> usize {
    // 2^64 over the golden ratio, as Knuth's multiplicative hashing has it.
    let mixed = (bytes << (64 - 8 * SHORTEST_MATCH)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> (64 - TABLE_BITS)) as usize
}

/// Eight bytes from `at` on, the first one lowest.
#[inline(always)]
fn eight(text: &[u8], at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&text[at..at + 8]);
    u64::from_le_bytes(bytes)
}
