//! What was asked of the simulator and what it answered.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use time::OffsetDateTime;

/// One request with its answer.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Place in the journal, from 0.
    pub sequence: usize,
    /// When the request was complete, by the simulator's clock.
    pub at: OffsetDateTime,
    /// The service that was asked: `arm`, `entra`, `mimecast`, …
    pub service: String,
    /// HTTP method.
    pub method: String,
    /// Path with its query.
    pub target: String,
    /// Request headers, lower-case names, in the order received.
    pub headers: Vec<(String, String)>,
    /// Request body as received (still compressed where it was). Empty unless bodies are kept.
    pub body: Bytes,
    /// Status that the service itself gave, also where the client never heard of it; `None` where a
    /// fault answered in its place, or cut the connection first.
    pub served: Option<u16>,
    /// Status of the answer that was sent; `None` where the connection was dropped instead.
    pub status: Option<u16>,
    /// Body of the answer. Empty unless bodies are kept.
    pub answer: Bytes,
}

impl Entry {
    /// The path without its query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The first header of this lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether the request changed nothing by its method (`GET`, `HEAD`).
    pub fn read_only(&self) -> bool {
        matches!(self.method.as_str(), "GET" | "HEAD")
    }
}

/// How much the journal keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Detail {
    /// Calls with their bodies: for tests that look for what was sent.
    #[default]
    Bodies,
    /// Calls alone.
    Calls,
    /// Nothing: for measurements of millions of events.
    Nothing,
}

/// The journal itself; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Journal {
    entries: Arc<Mutex<Vec<Entry>>>,
    detail: Detail,
}

impl Journal {
    /// An empty journal that keeps this much.
    pub fn new(detail: Detail) -> Self {
        Self { entries: Arc::default(), detail }
    }

    /// Everything so far, in the order of completion.
    pub fn entries(&self) -> Vec<Entry> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The entries of one service.
    pub fn of(&self, service: &str) -> Vec<Entry> {
        let mut entries = self.entries();
        entries.retain(|entry| entry.service == service);
        entries
    }

    /// How many entries there are: a mark for [`Journal::since`].
    pub fn len(&self) -> usize {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether nothing was asked yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entries after a mark.
    pub fn since(&self, mark: usize) -> Vec<Entry> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(mark..).unwrap_or_default().to_vec()
    }

    /// Everything so far, which the journal forgets: for tests that go on for hours.
    pub fn take(&self) -> Vec<Entry> {
        std::mem::take(&mut *self.entries.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn record(&self, mut entry: Entry) {
        match self.detail {
            Detail::Nothing => return,
            Detail::Calls => {
                entry.body = Bytes::new();
                entry.answer = Bytes::new();
            }
            Detail::Bodies => {}
        }
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entry.sequence = entries.len();
        entries.push(entry);
    }
}
