//! Rows into bodies: JSON arrays under the byte limit, filled as full as they come, compressed while
//! they fill. Pure.
//!
//! A row is written straight into the buffer that the compressor reads. Only the compressed body is
//! kept, with the place where each row ends; [`Batch::rows`] gives the plain rows back for the rare
//! case that Azure refuses the whole and it has to be divided.

mod deflate;
mod gzip;

use bytes::Bytes;
use time::OffsetDateTime;
use uuid::Uuid;

use gzip::{Encoder, PIECE_BYTES};

/// Largest body before compression. Azure takes 1 MB, compressed and uncompressed
/// (<https://learn.microsoft.com/azure/azure-monitor/service-limits#logs-ingestion-api>); the rest is
/// reserve, because how Azure counts is not published.
pub const LIMIT_BYTES: usize = 950_000;

/// How bodies are compressed, in a word: by ourselves (`batch/deflate.rs`), in 1.0 µs for an event where
/// zlib's level 1 takes 2.4 and level 6 3.5 to 6.8, for calls whose number the plain size decides.
pub const COMPRESSION: &str = "DEFLATE in fixed codes";

/// Room for what is gathered before the compressor is called: a piece, and the row that fills it up.
const GATHERED_BYTES: usize = PIECE_BYTES + 8 * 1024;

/// What is remembered of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Hash of the event's identity.
    pub hash: u64,
    /// Time of the event, where it could be read.
    pub event_time: Option<OffsetDateTime>,
}

/// A body ready to be sent.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Identity: the call's `x-ms-client-request-id`, and the name in the checkpoint's journal.
    pub id: Uuid,
    /// The gzip-compressed JSON array.
    pub body: Bytes,
    /// Its size before compression.
    pub plain_bytes: usize,
    /// One for each row, in their order.
    pub marks: Vec<Mark>,
    /// Where each row ends in the plain body.
    ends: Vec<u32>,
}

impl Batch {
    /// How many rows it holds.
    pub fn len(&self) -> usize {
        self.marks.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// The plain rows.
    ///
    /// # Errors
    /// When the body does not decompress, which would be our own fault.
    pub fn rows(&self) -> std::io::Result<Rows> {
        let mut plain = Vec::with_capacity(self.plain_bytes);
        std::io::copy(&mut flate2::read::GzDecoder::new(&*self.body), &mut plain)?;
        Ok(Rows { plain, ends: self.ends.clone() })
    }
}

/// The plain rows of a batch.
#[derive(Debug)]
pub struct Rows {
    plain: Vec<u8>,
    ends: Vec<u32>,
}

impl Rows {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// One row, a JSON object.
    pub fn row(&self, index: usize) -> &[u8] {
        self.plain.get(self.start(index)..self.end(index)).unwrap_or_default()
    }

    /// Rows `range` as a compressed JSON array of their own.
    pub fn body(&self, range: std::ops::Range<usize>) -> Bytes {
        let mut encoder = Encoder::new();
        encoder.push(b"[");
        if !range.is_empty() {
            encoder
                .push(self.plain.get(self.start(range.start)..self.end(range.end - 1)).unwrap_or_default());
        }
        encoder.push(b"]");
        encoder.finish()
    }

    /// How large the array of rows `range` is before compression.
    pub fn plain_bytes(&self, range: std::ops::Range<usize>) -> usize {
        if range.is_empty() { 2 } else { self.end(range.end - 1) - self.start(range.start) + 2 }
    }

    /// Behind the bracket, or behind the comma that follows the row before.
    fn start(&self, index: usize) -> usize {
        index.checked_sub(1).map_or(1, |before| self.end(before) + 1)
    }

    fn end(&self, index: usize) -> usize {
        self.ends.get(index).map_or(0, |end| *end as usize)
    }
}

/// A JSON array of a few rows, compressed.
pub fn compress_array<'a>(rows: impl IntoIterator<Item = &'a [u8]>) -> Bytes {
    let mut plain = vec![b'['];
    for (index, row) in rows.into_iter().enumerate() {
        if index > 0 {
            plain.push(b',');
        }
        plain.extend_from_slice(row);
    }
    plain.push(b']');
    let mut encoder = Encoder::new();
    encoder.push(&plain);
    encoder.finish()
}

/// What became of a row.
#[derive(Debug)]
pub enum Pushed {
    /// It is in the batch that is filling.
    Kept,
    /// It began a new batch; this one is full.
    Full(Batch),
    /// By itself it is larger than a body may be. It is given back.
    TooLarge(Vec<u8>),
}

/// Fills batches.
#[derive(Debug)]
pub struct Batcher {
    limit: usize,
    encoder: Encoder,
    /// What the compressor has not had yet.
    plain: Vec<u8>,
    /// What it has had.
    encoded_bytes: usize,
    marks: Vec<Mark>,
    ends: Vec<u32>,
}

impl Batcher {
    /// Bodies of at most [`LIMIT_BYTES`].
    pub fn new() -> Self {
        Self::with_limit(LIMIT_BYTES)
    }

    /// Bodies of at most this many bytes before compression.
    pub fn with_limit(limit: usize) -> Self {
        Self {
            limit,
            encoder: Encoder::new(),
            plain: Vec::with_capacity(GATHERED_BYTES),
            encoded_bytes: 0,
            marks: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// Appends the row that `write` writes (one JSON object). `id` names the batch that this row may
    /// fill up.
    pub fn push(&mut self, id: impl FnOnce() -> Uuid, write: impl FnOnce(&mut Vec<u8>) -> Mark) -> Pushed {
        let before = self.plain.len();
        self.plain.push(if self.marks.is_empty() { b'[' } else { b',' });
        let mark = write(&mut self.plain);
        let row_bytes = self.plain.len() - before - 1;
        let mut pushed = Pushed::Kept;
        // One byte for the closing bracket.
        if self.encoded_bytes + self.plain.len() + 1 > self.limit {
            // A body of this row alone has its two brackets.
            if row_bytes + 2 > self.limit {
                let row = self.plain.split_off(before + 1);
                self.plain.truncate(before);
                return Pushed::TooLarge(row);
            }
            let row = self.plain.split_off(before + 1);
            self.plain.truncate(before);
            if let Some(full) = self.seal(id) {
                pushed = Pushed::Full(full);
            }
            self.plain.push(b'[');
            self.plain.extend_from_slice(&row);
        }
        self.marks.push(mark);
        #[expect(clippy::cast_possible_truncation, reason = "the limit is far below 4 GB")]
        self.ends.push((self.encoded_bytes + self.plain.len()) as u32);
        while self.plain.len() >= PIECE_BYTES {
            self.encode(PIECE_BYTES);
        }
        pushed
    }

    /// How many rows are waiting.
    pub fn len(&self) -> usize {
        self.marks.len()
    }

    /// Whether none are.
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// Ends the batch that is filling; `None` where it has no row.
    pub fn seal(&mut self, id: impl FnOnce() -> Uuid) -> Option<Batch> {
        if self.marks.is_empty() {
            return None;
        }
        self.plain.push(b']');
        self.encode(self.plain.len());
        let plain_bytes = std::mem::take(&mut self.encoded_bytes);
        // The next batch is likely to have as many rows.
        let rows = self.marks.len();
        Some(Batch {
            id: id(),
            body: self.encoder.finish(),
            plain_bytes,
            marks: std::mem::replace(&mut self.marks, Vec::with_capacity(rows)),
            ends: std::mem::replace(&mut self.ends, Vec::with_capacity(rows)),
        })
    }

    /// Forgets the batch that is filling.
    pub fn clear(&mut self) {
        self.plain.clear();
        self.encoded_bytes = 0;
        self.marks.clear();
        self.ends.clear();
        self.encoder.clear();
    }

    /// Compresses the first bytes of what is gathered.
    fn encode(&mut self, bytes: usize) {
        self.encoder.push(&self.plain[..bytes]);
        self.encoded_bytes += bytes;
        self.plain.drain(..bytes);
    }
}

impl Default for Batcher {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;
    use uuid::Uuid;

    use super::{Batch, Batcher, LIMIT_BYTES, Mark, Pushed};

    fn plain(body: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(body).read_to_end(&mut plain).expect("gzip");
        plain
    }

    fn push(batcher: &mut Batcher, row: &str) -> Pushed {
        batcher.push(Uuid::nil, |out| {
            out.extend_from_slice(row.as_bytes());
            Mark { hash: row.len() as u64, event_time: None }
        })
    }

    fn batches(limit: usize, rows: &[String]) -> (Vec<Batch>, Vec<Vec<u8>>) {
        let mut batcher = Batcher::with_limit(limit);
        let (mut batches, mut too_large) = (Vec::new(), Vec::new());
        for row in rows {
            match push(&mut batcher, row) {
                Pushed::Kept => {}
                Pushed::Full(batch) => batches.push(batch),
                Pushed::TooLarge(row) => too_large.push(row),
            }
        }
        batches.extend(batcher.seal(Uuid::nil));
        (batches, too_large)
    }

    #[test]
    fn a_body_may_be_exactly_as_large_as_the_limit() {
        // "[" + 3 + "," + 3 + "]" are nine bytes.
        let rows = ["123", "456"].map(str::to_owned);
        let (at_limit, _) = batches(9, &rows);
        assert_eq!(at_limit.len(), 1);
        assert_eq!(plain(&at_limit[0].body), b"[123,456]");
        let (below, _) = batches(8, &rows);
        assert_eq!(below.iter().map(|batch| plain(&batch.body)).collect::<Vec<_>>(), [b"[123]", b"[456]"]);
    }

    // BR-046
    #[test]
    fn a_row_too_large_by_itself_is_given_back_and_the_others_go_on() {
        let rows = ["1", "22222222", "3"].map(str::to_owned);
        let (batches, too_large) = batches(9, &rows);
        assert_eq!(batches.len(), 1);
        assert_eq!(plain(&batches[0].body), b"[1,3]");
        assert_eq!(too_large, [b"22222222"]);
    }

    #[test]
    fn a_row_too_large_at_the_beginning_leaves_nothing_behind() {
        let mut batcher = Batcher::with_limit(5);
        assert!(matches!(push(&mut batcher, "4444"), Pushed::TooLarge(_)));
        assert!(batcher.seal(Uuid::nil).is_none());
        assert!(matches!(push(&mut batcher, "333"), Pushed::Kept));
        assert_eq!(plain(&batcher.seal(Uuid::nil).expect("one row").body), b"[333]");
    }

    #[test]
    fn what_was_filling_can_be_forgotten() {
        let mut batcher = Batcher::with_limit(LIMIT_BYTES);
        // More than is gathered before the compressor is called, and some that it has not had.
        for _ in 0..5_000 {
            push(&mut batcher, "\"forgotten\"");
        }
        batcher.clear();
        assert!(batcher.seal(Uuid::nil).is_none());
        push(&mut batcher, "1");
        let batch = batcher.seal(Uuid::nil).expect("one row");
        assert_eq!((plain(&batch.body).as_slice(), batch.plain_bytes, batch.len()), (&b"[1]"[..], 3, 1));
        assert_eq!(batch.rows().expect("our own gzip").row(0), b"1");
    }

    // BR-006
    #[test]
    fn five_thousand_rows_of_two_kilobytes_fill_their_bodies() {
        let rows: Vec<String> =
            (0..5_000).map(|n| format!("{{\"n\":\"{n:06}\",\"text\":\"{}\"}}", "é".repeat(990))).collect();
        let (batches, too_large) = batches(LIMIT_BYTES, &rows);
        assert!(too_large.is_empty());
        assert!(batches.iter().all(|batch| batch.plain_bytes <= LIMIT_BYTES));
        let (_, full) = batches.split_last().expect("some");
        // No room for another row.
        assert!(full.iter().all(|batch| batch.plain_bytes + rows[0].len() + 1 > LIMIT_BYTES));
        let back: Vec<String> = batches
            .iter()
            .flat_map(|batch| {
                let values: Vec<Box<serde_json::value::RawValue>> =
                    serde_json::from_slice(&plain(&batch.body)).expect("a JSON array");
                assert_eq!(plain(&batch.body).len(), batch.plain_bytes);
                values.into_iter().map(|value| value.get().to_owned())
            })
            .collect();
        assert_eq!(back, rows);
    }

    proptest! {
        #[test]
        fn rows_come_back_whole_and_in_order(
            lengths in proptest::collection::vec(1_usize..60, 0..200),
            limit in 20_usize..400,
        ) {
            let rows: Vec<String> = lengths.iter().map(|&length| "7".repeat(length)).collect();
            let (batches, too_large) = batches(limit, &rows);
            let mut back = Vec::new();
            for batch in &batches {
                prop_assert!(batch.plain_bytes <= limit && batch.plain_bytes == plain(&batch.body).len());
                let divided = batch.rows().expect("our own gzip");
                prop_assert_eq!(divided.len(), batch.len());
                for (index, mark) in batch.marks.iter().enumerate() {
                    let row = String::from_utf8(divided.row(index).to_vec()).expect("digits");
                    prop_assert_eq!(mark.hash, row.len() as u64);
                    back.push(row);
                }
                let middle = divided.len() / 2;
                let first = plain(&divided.body(0..middle));
                let second = plain(&divided.body(middle..divided.len()));
                let count = |body: &[u8]| serde_json::from_slice::<Vec<Box<serde_json::value::RawValue>>>(body).expect("an array").len();
                prop_assert_eq!((count(&first), count(&second)), (middle, divided.len() - middle));
            }
            let fitting: Vec<String> = rows.iter().filter(|row| row.len() + 2 <= limit).cloned().collect();
            prop_assert_eq!(back, fitting);
            prop_assert_eq!(too_large.len(), rows.iter().filter(|row| row.len() + 2 > limit).count());
        }
    }
}
