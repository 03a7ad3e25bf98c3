//! Finds the elements of a page in the bytes as they arrive.
//!
//! The answer is one JSON object. The elements of its `data` come out as soon as they are whole;
//! `meta` and `fail` are kept for the end; everything else is passed over. What is held at once is
//! one element and what has just arrived, whatever the size of the page.

mod landmark;
#[cfg(test)]
mod tests;
mod value;

use std::ops::Range;

use super::record::{MalformedReason, MalformedRecord, Plain, Record};
use landmark::Landmark;
use value::{Progress, Value};

/// The largest element that is read, in bytes. Mimecast documents no limit; the largest texts seen
/// are some tens of KiB, and a column of Azure holds 64 KiB.
pub const ELEMENT_LIMIT_BYTES: usize = 1024 * 1024;

/// How much of a larger element is kept to be set aside.
const TOO_LARGE_KEPT_BYTES: usize = 64 * 1024;

/// The largest `meta` or `fail` that is read, in bytes; `fail` echoes parts of a request.
const ENVELOPE_LIMIT_BYTES: usize = 256 * 1024;

/// The longest member name that is told apart, in bytes; longer ones are none of ours.
const NAME_LIMIT_BYTES: usize = 64;

/// Some whole elements of a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordChunk {
    bytes: Vec<u8>,
    elements: Vec<Element>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Element {
    range: Range<usize>,
    too_large: bool,
    /// Where its fields are, if that was seen when its end was.
    plain: Option<Plain>,
}

impl Element {
    fn read<'a>(&self, bytes: &'a [u8]) -> Result<Record<'a>, MalformedReason> {
        if self.too_large {
            return Err(MalformedReason::TooLarge);
        }
        let plain = self.plain.and_then(|plain| plain.record(std::str::from_utf8(bytes).ok()?));
        plain.map_or_else(|| Record::parse(bytes), Ok)
    }
}

impl RecordChunk {
    /// The elements, each read now: a record, or what is to be set aside.
    pub fn records(&self) -> impl Iterator<Item = Result<Record<'_>, MalformedRecord<'_>>> {
        self.elements.iter().map(|element| {
            let bytes = &self.bytes[element.range.clone()];
            element.read(bytes).map_err(|reason| MalformedRecord { bytes, reason })
        })
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.elements.len()
    }

    /// How much memory they take, in bytes.
    pub fn size_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }
}

/// Why the bytes are no page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScanError {
    /// The first byte opens no JSON object.
    NotAnObject,
    /// The object's structure is broken.
    Broken,
    /// `meta` or `fail` is larger than any that is real.
    EnvelopeTooLarge,
    /// The bytes end before the object does.
    Cut,
}

/// What stood beside the elements, as it came. Empty where the member was absent.
#[derive(Debug, Default)]
pub(crate) struct Envelope {
    pub(crate) meta: Vec<u8>,
    pub(crate) fail: Vec<u8>,
    /// Whether there was a member `data`, be it null.
    pub(crate) data: bool,
    /// How many elements `data` held.
    pub(crate) elements: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member {
    Data,
    Meta,
    Fail,
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Start,
    /// After `{` (true) or after a comma (false) of the outer object.
    BeforeName {
        first: bool,
    },
    Name,
    BeforeColon(Member),
    BeforeValue(Member),
    Value(Member),
    AfterValue,
    /// After `[` or after a comma of `data`.
    BeforeElement,
    Element,
    /// In an element that is no JSON: where it ends is being looked for.
    Damaged(Landmark),
    AfterElement,
    Done,
}

/// The reader of one page's bytes.
#[derive(Debug)]
pub(crate) struct Scanner {
    place: Place,
    /// Elements that are whole, with at the end what is not whole yet.
    chunk: RecordChunk,
    /// Where the element that is being read begins in `chunk.bytes`.
    element_start: usize,
    value: Value,
    name: Vec<u8>,
    name_escaped: bool,
    envelope: Envelope,
    too_large: bool,
}

impl Scanner {
    pub(crate) fn new() -> Self {
        Self {
            place: Place::Start,
            chunk: RecordChunk::default(),
            element_start: 0,
            value: Value::default(),
            name: Vec::new(),
            name_escaped: false,
            envelope: Envelope::default(),
            too_large: false,
        }
    }

    /// Takes the next bytes of the body.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) -> Result<(), ScanError> {
        // Nearly all of them belong to elements.
        self.chunk.bytes.reserve(bytes.len());
        while !bytes.is_empty() {
            let used = match self.place {
                Place::Element => self.element(bytes),
                Place::Value(member) => self.member(member, bytes)?,
                Place::Name => self.name(bytes[0]),
                Place::Damaged(landmark) => {
                    self.damaged(landmark, bytes[0])?;
                    1
                }
                _ => self.step(bytes[0])?,
            };
            bytes = &bytes[used..];
        }
        Ok(())
    }

    /// The elements that have become whole since the last call.
    pub(crate) fn take(&mut self) -> Option<RecordChunk> {
        if self.chunk.elements.is_empty() {
            return None;
        }
        let rest = match self.place {
            Place::Element => self.chunk.bytes.split_off(self.element_start),
            Place::Damaged(landmark) => {
                self.place = Place::Damaged(landmark.moved(self.element_start));
                self.chunk.bytes.split_off(self.element_start)
            }
            _ => Vec::new(),
        };
        self.element_start = 0;
        let mut next = RecordChunk { bytes: rest, elements: Vec::new() };
        std::mem::swap(&mut next, &mut self.chunk);
        Some(next)
    }

    /// The end of the body.
    pub(crate) fn finish(self) -> Result<Envelope, ScanError> {
        match self.place {
            Place::Done => Ok(self.envelope),
            Place::Start => Err(ScanError::NotAnObject),
            _ => Err(ScanError::Cut),
        }
    }

    /// One byte between values; gives 1, or 0 where the byte begins a value and is read there.
    fn step(&mut self, byte: u8) -> Result<usize, ScanError> {
        if matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
            return Ok(1);
        }
        let (place, used) = match (self.place, byte) {
            // A byte order mark before the object is passed over, as the whitespace is.
            (Place::Start, 0xef | 0xbb | 0xbf) => (Place::Start, 1),
            (Place::Start, b'{') => (Place::BeforeName { first: true }, 1),
            (Place::Start, _) => return Err(ScanError::NotAnObject),
            (Place::BeforeName { .. }, b'"') => {
                self.begin_name();
                (Place::Name, 1)
            }
            (Place::BeforeName { first: true }, b'}') => (Place::Done, 1),
            (Place::BeforeColon(member), b':') => (Place::BeforeValue(member), 1),
            (Place::BeforeValue(Member::Data), b'[') => {
                self.envelope.data = true;
                (Place::BeforeElement, 1)
            }
            (Place::BeforeValue(member), _) => {
                self.value = Value::default();
                match member {
                    Member::Data => self.envelope.data = true,
                    Member::Meta => self.envelope.meta.clear(),
                    Member::Fail => self.envelope.fail.clear(),
                    Member::Other => {}
                }
                (Place::Value(member), 0)
            }
            (Place::AfterValue, b',') => (Place::BeforeName { first: false }, 1),
            (Place::AfterValue, b'}') => (Place::Done, 1),
            // Also after a comma: one comma too many is no reason to lose the page.
            (Place::BeforeElement, b']') => (Place::AfterValue, 1),
            (Place::BeforeElement, b',') => {
                self.begin_element(self.chunk.bytes.len());
                self.end_element(self.chunk.bytes.len());
                (Place::BeforeElement, 1)
            }
            (Place::BeforeElement, _) => {
                self.begin_element(self.chunk.bytes.len());
                (Place::Element, 0)
            }
            (Place::AfterElement, b',') => (Place::BeforeElement, 1),
            (Place::AfterElement, b']') => (Place::AfterValue, 1),
            // Bytes after the object: nothing of ours, and no reason to refuse what was read.
            (Place::Done, _) => (Place::Done, 1),
            _ => return Err(ScanError::Broken),
        };
        self.place = place;
        Ok(used)
    }

    fn name(&mut self, byte: u8) -> usize {
        match byte {
            _ if self.name_escaped => self.name_escaped = false,
            b'\\' => self.name_escaped = true,
            b'"' => {
                let member = match self.name.as_slice() {
                    b"data" => Member::Data,
                    b"meta" => Member::Meta,
                    b"fail" => Member::Fail,
                    _ => Member::Other,
                };
                self.place = Place::BeforeColon(member);
                return 1;
            }
            _ => {}
        }
        if self.name.len() < NAME_LIMIT_BYTES {
            self.name.push(byte);
        }
        1
    }

    fn member(&mut self, member: Member, bytes: &[u8]) -> Result<usize, ScanError> {
        let progress = self.value.advance(bytes);
        let used = match progress {
            Progress::More => bytes.len(),
            Progress::End(end) => end,
            Progress::Broken(_) => return Err(ScanError::Broken),
        };
        let kept = match member {
            Member::Meta => Some(&mut self.envelope.meta),
            Member::Fail => Some(&mut self.envelope.fail),
            Member::Data | Member::Other => None,
        };
        if let Some(kept) = kept {
            kept.extend_from_slice(&bytes[..used]);
            if kept.len() > ENVELOPE_LIMIT_BYTES {
                return Err(ScanError::EnvelopeTooLarge);
            }
        }
        if matches!(progress, Progress::End(_)) {
            self.place = Place::AfterValue;
        }
        Ok(used)
    }

    fn begin_element(&mut self, start: usize) {
        self.element_start = start;
        self.value = Value::default();
        self.too_large = false;
        self.place = Place::Element;
    }

    fn element(&mut self, bytes: &[u8]) -> usize {
        // Most elements are whole here and of the plainest form, of which end and fields are found at once.
        if self.chunk.bytes.len() == self.element_start
            && let Some((plain, end)) = Plain::find(bytes)
            && end <= ELEMENT_LIMIT_BYTES
        {
            self.keep(&bytes[..end]);
            self.push_element(self.chunk.bytes.len(), Some(plain));
            self.place = Place::AfterElement;
            return end;
        }
        match self.value.advance(bytes) {
            Progress::More => {
                self.keep(bytes);
                bytes.len()
            }
            Progress::End(end) => {
                self.keep(&bytes[..end]);
                self.end_element(self.chunk.bytes.len());
                self.place = Place::AfterElement;
                end
            }
            Progress::Broken(at) => {
                self.keep(&bytes[..at]);
                self.place = Place::Damaged(Landmark::None);
                at
            }
        }
    }

    /// Adds bytes to the element that is being read; past the limit only its beginning stays.
    fn keep(&mut self, bytes: &[u8]) {
        self.chunk.bytes.extend_from_slice(bytes);
        if self.too_large || self.chunk.bytes.len() - self.element_start > ELEMENT_LIMIT_BYTES {
            self.too_large = true;
            self.chunk.bytes.truncate(self.element_start + TOO_LARGE_KEPT_BYTES);
        }
    }

    fn end_element(&mut self, end: usize) {
        self.push_element(end, None);
    }

    fn push_element(&mut self, end: usize, plain: Option<Plain>) {
        let range = self.element_start..end;
        self.chunk.elements.push(Element { range, too_large: self.too_large, plain });
        self.envelope.elements += 1;
    }

    /// One byte of an element whose texts are not closed as they should be. Its end is where the
    /// next element, or the end of the list, can be told by what surrounds it; one such element
    /// must not cost the page, since the same page would come again at every tick.
    fn damaged(&mut self, landmark: Landmark, byte: u8) -> Result<(), ScanError> {
        self.keep(&[byte]);
        if self.too_large {
            return Err(ScanError::Broken);
        }
        let length = self.chunk.bytes.len();
        let next = match (landmark, byte) {
            (Landmark::Closed { .. }, b' ' | b'\t' | b'\r' | b'\n')
            | (Landmark::Comma { .. }, b' ' | b'\t' | b'\r' | b'\n')
            | (Landmark::Opened { .. }, b' ' | b'\t' | b'\r' | b'\n')
            | (Landmark::ListClosed { .. }, b' ' | b'\t' | b'\r' | b'\n')
            | (Landmark::ListComma { .. }, b' ' | b'\t' | b'\r' | b'\n') => landmark,
            (Landmark::Closed { end }, b',') => Landmark::Comma { end },
            (Landmark::Closed { end }, b']') => Landmark::ListClosed { end },
            (Landmark::Comma { end }, b'{') => Landmark::Opened { end, start: length - 1 },
            (Landmark::Opened { end, start }, b'"') => {
                self.end_element(end);
                self.begin_element(start);
                let begun = self.chunk.bytes[start..].to_vec();
                // `{`, spaces and a quote: neither an end nor damage.
                self.value.advance(&begun);
                return Ok(());
            }
            (Landmark::ListClosed { end }, b'}') => {
                self.end_element(end);
                self.place = Place::Done;
                return Ok(());
            }
            (Landmark::ListClosed { end }, b',') => Landmark::ListComma { end },
            (Landmark::ListComma { end }, b'"') => {
                self.end_element(end);
                self.begin_name();
                return Ok(());
            }
            (_, b'}') => Landmark::Closed { end: length },
            _ => Landmark::None,
        };
        self.place = Place::Damaged(next);
        Ok(())
    }

    fn begin_name(&mut self) {
        self.name.clear();
        self.name_escaped = false;
        self.place = Place::Name;
    }
}
