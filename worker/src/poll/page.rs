//! One page of events, read while it arrives.

use super::body::Body;
use super::client::{server_date, unread};
use super::envelope::{Meta, failures};
use super::error::{self, Attempted, PollError, PollErrorKind};
use super::scan::{Envelope, RecordChunk, ScanError, Scanner};
use super::{PageEnd, quota};

/// The body of a page. What is held at once is one element and what has just arrived.
#[derive(Debug)]
pub struct PageStream {
    body: Body,
    scanner: Option<Scanner>,
    envelope: Envelope,
    paged: bool,
    request_id: Option<String>,
}

impl PageStream {
    /// Reads from this answer, whose status was good. `paged`: the request carried a page token.
    pub fn new(response: reqwest::Response, paged: bool, request_id: Option<String>) -> Self {
        Self {
            body: Body::new(response),
            scanner: Some(Scanner::new()),
            envelope: Envelope::default(),
            paged,
            request_id,
        }
    }

    /// The next events of `data`, as soon as they have arrived whole; `None` at the body's end.
    ///
    /// # Errors
    /// When the body ends early or is no page. What was given before is whole and can be used.
    pub async fn next(&mut self) -> Result<Option<RecordChunk>, PollError> {
        loop {
            let Some(scanner) = &mut self.scanner else { return Ok(None) };
            if let Some(chunk) = scanner.take() {
                return Ok(Some(chunk));
            }
            let read = match self.body.next().await {
                Ok(Some(piece)) => scanner.push(piece),
                Ok(None) => match self.scanner.take().map(Scanner::finish) {
                    Some(Ok(envelope)) => {
                        self.envelope = envelope;
                        return Ok(None);
                    }
                    Some(Err(error)) => Err(error),
                    None => return Ok(None),
                },
                Err(cause) => return Err(self.identified(unread(Attempted::ReadPage, cause))),
            };
            self.unreadable(read)?;
        }
    }

    fn unreadable(&self, read: Result<(), ScanError>) -> Result<(), PollError> {
        read.map_err(|error| {
            let kind = match error {
                ScanError::Cut => PollErrorKind::Cut,
                ScanError::NotAnObject | ScanError::Broken | ScanError::EnvelopeTooLarge => {
                    PollErrorKind::Unreadable
                }
            };
            self.identified(PollError::new(Attempted::ReadPage, kind))
        })
    }

    /// What stood beside the events, after [`PageStream::next`] gave `None`.
    ///
    /// # Errors
    /// When `meta.status` or `fail` say that the call failed, whatever the HTTP status, or when there
    /// was no `data` at all. Events that came with a failure can be used, but the place must not move.
    pub fn end(self) -> Result<PageEnd, PollError> {
        let meta = Meta::read(&self.envelope.meta);
        let failures = failures(&self.envelope.fail);
        let status = meta.status.unwrap_or(200);
        if !failures.is_empty() || !(200..=299).contains(&status) || !self.envelope.data {
            let wait = || quota::throttled_wait(self.body.headers(), time::OffsetDateTime::UNIX_EPOCH);
            let kind = error::kind(status, &failures, self.paged, wait);
            let failure = failures.into_iter().next().unwrap_or_default();
            let error = PollError {
                status: u16::try_from(status).ok(),
                code: failure.code,
                message: failure.message,
                ..PollError::new(Attempted::ReadPage, kind)
            };
            return Err(self.identified(error));
        }
        Ok(PageEnd {
            served_at: self.served_at(),
            next: meta.next,
            total_count: meta.total_count,
            records: self.envelope.elements,
        })
    }

    /// Mimecast's own time when it gave the page.
    pub(super) fn served_at(&self) -> Option<time::OffsetDateTime> {
        server_date(self.body.headers())
    }

    fn identified(&self, error: PollError) -> PollError {
        PollError { status: error.status.or(Some(200)), request_id: self.request_id.clone(), ..error }
    }
}
