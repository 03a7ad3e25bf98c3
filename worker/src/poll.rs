//! Reads audit events from Mimecast: takes a window of time, gives its records page by page, with
//! the place after each page.
//!
//! Both generations of the API serve the same routes and the same answers; they differ in how a call
//! is signed. One engine reads both.
//!
//! * [`window`]: which window to read next, and what can no longer be read. Pure.
//! * [`pages`]: the pages of one window, until there are no more; [`ahead`]: the next one, asked for early.
//! * [`client`]: one call: signed, paced, tried again where that helps.
//! * [`body`], [`page`], [`scan`], [`record`]: an answer's records while it arrives, in bounded memory.
//! * [`quota`], [`token`], [`sign`], [`login`]: what a call needs.
//! * [`envelope`], [`error`]: what Mimecast says besides, and what it means.
//! * [`days`]: whether everything was read. Pure.
//!
//! Promises: no order of the events is assumed; the window stays the same for all its pages; a page
//! counts as read only when it has ended well; nothing that Mimecast sends is fatal to the process.

mod ahead;
mod body;
mod client;
pub mod days;
mod envelope;
mod error;
mod login;
mod page;
mod pages;
mod quota;
mod record;
mod scan;
mod sign;
mod token;
pub mod window;

use contract::secret::Secret;
use time::OffsetDateTime;
use time::macros::format_description;

pub use client::Mimecast;
pub use envelope::Failure;
pub use error::{Attempted, PollError, PollErrorKind, Side};
pub use login::Login;
pub use page::PageStream;
pub use pages::{Finished, PageDone, Pages, RestartCause, Step};
pub use quota::{LONGEST_WAIT, Pacing, Quota, UNNAMED_WAIT, retry_after, throttled_wait};
pub use record::{MalformedReason, MalformedRecord, Record};
pub use scan::{ELEMENT_LIMIT_BYTES, RecordChunk};
pub use sign::Keys;

/// The largest page that is asked for: the largest that any document or public client names. Some
/// routes cap a larger one silently.
pub const PAGE_SIZE_LIMIT: u16 = 500;

/// A span of time, read in one run of pages. Both ends are whole seconds, as the API's are.
///
/// The start is inclusive. Whether Mimecast includes the end is not documented: nothing here relies
/// on either, since the next window begins no later than this one ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Window {
    /// The first second.
    #[serde(with = "time::serde::timestamp")]
    pub start: OffsetDateTime,
    /// The last second, or the one after it.
    #[serde(with = "time::serde::timestamp")]
    pub end: OffsetDateTime,
}

/// A time as the API takes it. `+0000` is always accepted; one report says that `Z` is not.
pub(crate) fn api_time(at: OffsetDateTime) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]+0000");
    // Formatting a whole date into a text cannot fail; an empty text would only be refused.
    at.to_offset(time::UtcOffset::UTC).format(&format).unwrap_or_default()
}

/// What signs the calls.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// API 2.0.
    OAuth {
        /// The application's client id.
        client_id: Secret<String>,
        /// The application's client secret.
        client_secret: Secret<String>,
    },
    /// API 1.0.
    Signed {
        /// The four keys.
        keys: Keys,
        /// The service user, where an expired binding may be renewed.
        login: Option<Login>,
    },
}

/// A place in a list of pages. Opaque, and sent back as it came.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct PageToken(String);

impl PageToken {
    /// The token's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for PageToken {
    fn from(token: String) -> Self {
        Self(token)
    }
}

/// Which page is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// The window; the same for all its pages.
    pub window: Window,
    /// Events per page, 1 to [`PAGE_SIZE_LIMIT`]; others are brought into that range.
    pub page_size: u16,
    /// Codes of the categories that are wanted; empty means all.
    pub categories: Vec<String>,
    /// The place; `None` for the first page.
    pub token: Option<PageToken>,
}

/// What a page said besides its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageEnd {
    /// The place of the next page.
    pub next: Option<PageToken>,
    /// How many events the window holds.
    pub total_count: Option<u64>,
    /// How many elements this page held, malformed ones included.
    pub records: usize,
    /// Mimecast's own time when it gave the page.
    pub served_at: Option<OffsetDateTime>,
}
