//! The pages of one window, until there are no more.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};

use time::OffsetDateTime;

use super::ahead::Ahead;

use super::client::{CLOCK_SKEW, Mimecast};
use super::error::{Attempted, PollError, PollErrorKind};
use super::page::PageStream;
use super::scan::RecordChunk;
use super::{PageRequest, PageToken, Window};
use crate::retry::{Retryable, pause};
use crate::world::Deadline;

/// One step through the pages of a window.
#[derive(Debug)]
pub enum Step {
    /// Events, in the order in which they came. They may be delivered, but the place has not moved.
    Records(RecordChunk),
    /// A page has ended well: what was given before may be counted as read.
    PageDone(PageDone),
    /// The window is being read again from its first page; a place that was stored is void.
    Restarted(RestartCause),
    /// There are no more pages.
    Finished(Finished),
}

/// A page that ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageDone {
    /// Where to go on, after a stop too. `None`: this was the last page, or the window is about to be
    /// read from its start again.
    pub resume: Option<PageToken>,
    /// How many events the window holds, where Mimecast says so.
    pub total_count: Option<u64>,
    /// How many elements this page held, malformed ones included.
    pub records: usize,
}

/// The end of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Finished {
    /// How many events the window holds, where Mimecast says so.
    pub total_count: Option<u64>,
    /// How many elements were read since the window's start, or since the place resumed from;
    /// repeats are counted each time.
    pub records: u64,
    /// How often the window was begun again.
    pub restarts: u32,
    /// Mimecast's own time when it gave the first of these pages: see
    /// [`super::window::closed_until`].
    pub served_at: Option<OffsetDateTime>,
}

/// Why a window is read again from its first page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartCause {
    /// Mimecast gave a token that it had given before.
    TokenRepeated,
    /// Mimecast no longer accepts the token.
    TokenRefused,
}

/// How often a window is begun again before that counts as an error.
const RESTARTS: u32 = 1;

/// How much of a page is gathered before its events are given out, in bytes: a whole page of usual events,
/// whose successor can then be asked for before any of them is worked on. Of a larger page they are given
/// out as it comes.
const GATHERED_BYTES: usize = 1024 * 1024;

/// Reads one window. After an error it can be asked again: it goes on at the page that failed.
///
/// A page whose body breaks off is asked for again, so some of its events may come twice, as may
/// those of a window that is begun again: repeats are removed by the event's key.
#[derive(Debug)]
pub struct Pages<'a> {
    mimecast: &'a Mimecast,
    request: PageRequest,
    deadline: Deadline,
    stream: Option<PageStream>,
    /// The next page, asked for while this one's events are worked on.
    ahead: Option<Ahead<'a>>,
    /// Events of this page that were not given out yet, and what comes after them.
    chunks: VecDeque<RecordChunk>,
    then: Option<Result<Step, PollError>>,
    /// Hashes of the tokens that were followed in this pass.
    followed: HashSet<u64>,
    hasher: RandomState,
    /// Failures of the present page.
    failures: u32,
    resumed: bool,
    finished: Option<Finished>,
    so_far: Finished,
}

impl<'a> Pages<'a> {
    /// Begins at the window's first page, or at the place where an earlier run stopped.
    pub fn new(
        mimecast: &'a Mimecast,
        window: Window,
        page_size: u16,
        categories: Vec<String>,
        resume: Option<PageToken>,
        deadline: Deadline,
    ) -> Self {
        Self {
            mimecast,
            resumed: resume.is_some(),
            request: PageRequest { window, page_size, categories, token: resume },
            deadline,
            stream: None,
            ahead: None,
            chunks: VecDeque::new(),
            then: None,
            followed: HashSet::new(),
            hasher: RandomState::new(),
            failures: 0,
            finished: None,
            so_far: Finished::default(),
        }
    }

    /// The window that is read.
    pub fn window(&self) -> Window {
        self.request.window
    }

    /// The next step. After [`Step::Finished`] it is given again.
    ///
    /// # Errors
    /// When a page cannot be had within its attempts and the deadline. The place has not moved past
    /// what was given as done.
    pub async fn next(&mut self) -> Result<Step, PollError> {
        loop {
            if let Some(chunk) = self.chunks.pop_front() {
                return Ok(Step::Records(chunk));
            }
            let read = match self.then.take() {
                Some(then) => then.map(Some),
                None => match self.finished {
                    Some(finished) => return Ok(Step::Finished(finished)),
                    None => self.read().await,
                },
            };
            match read {
                Ok(Some(step)) => return Ok(step),
                Ok(None) => {}
                // What came before it is whole, and is given out first.
                Err(error) if !self.chunks.is_empty() => self.then = Some(Err(error)),
                Err(error) => {
                    self.stream = None;
                    if let Some(step) = self.recover(error).await? {
                        return Ok(step);
                    }
                }
            }
        }
    }

    /// Reads on; `None` when the page was opened, or some of it gathered.
    async fn read(&mut self) -> Result<Option<Step>, PollError> {
        let Some(stream) = &mut self.stream else {
            let stream = match self.ahead.take() {
                Some(ahead) => ahead.page().await?,
                None => self.mimecast.open_page(&self.request, self.deadline).await?,
            };
            // A list that begins in the future grows at its head while it is read.
            let ahead = stream.served_at().is_some_and(|at| self.request.window.end > at + CLOCK_SKEW);
            if ahead && self.request.token.is_none() {
                return Err(PollError::new(Attempted::ReadPage, PollErrorKind::ClockSkew));
            }
            self.stream = Some(stream);
            return Ok(None);
        };
        let mut gathered = 0;
        while let Some(chunk) = stream.next().await? {
            gathered += chunk.size_bytes();
            self.chunks.push_back(chunk);
            if gathered >= GATHERED_BYTES {
                return Ok(None);
            }
        }
        // What the first page says may make the window another one.
        let first = self.request.token.is_none();
        let end = self.page_end()?;
        if !first && matches!(&end, Step::PageDone(done) if done.resume.is_some()) {
            self.ahead = Some(Ahead::ask(self.mimecast, self.request.clone(), self.deadline).await);
        }
        self.then = Some(Ok(end));
        Ok(None)
    }

    /// The end of a page's body: what it says of the next one.
    fn page_end(&mut self) -> Result<Step, PollError> {
        let Some(stream) = self.stream.take() else { return Ok(Step::Finished(self.so_far)) };
        let end = stream.end()?;
        self.failures = 0;
        self.so_far.records += end.records as u64;
        self.so_far.total_count = end.total_count.or(self.so_far.total_count);
        self.so_far.served_at = self.so_far.served_at.or(end.served_at);
        let done = |resume| PageDone { resume, total_count: end.total_count, records: end.records };
        let Some(next) = end.next.filter(|_| end.records > 0) else {
            self.finished = Some(self.so_far);
            return Ok(Step::PageDone(done(None)));
        };
        if self.follow(&next) {
            self.request.token = Some(next.clone());
            return Ok(Step::PageDone(done(Some(next))));
        }
        // A token for the second time. Where every event has come, that is only an odd end.
        let complete = self.so_far.total_count.is_some_and(|total| self.so_far.records >= total);
        if complete && !self.resumed {
            self.finished = Some(self.so_far);
            return Ok(Step::PageDone(done(None)));
        }
        self.restart(RestartCause::TokenRepeated)
    }

    /// Notes a token; `false` where it was followed before.
    fn follow(&mut self, token: &PageToken) -> bool {
        if self.followed.is_empty()
            && let Some(first) = &self.request.token
        {
            self.followed.insert(self.hasher.hash_one(first));
        }
        self.followed.insert(self.hasher.hash_one(token))
    }

    fn restart(&mut self, cause: RestartCause) -> Result<Step, PollError> {
        self.stream = None;
        self.followed.clear();
        self.request.token = None;
        self.resumed = false;
        if self.so_far.restarts >= RESTARTS {
            self.so_far = Finished::default();
            let kind = match cause {
                RestartCause::TokenRepeated => PollErrorKind::PagingLoop,
                RestartCause::TokenRefused => PollErrorKind::PageTokenRefused,
            };
            return Err(PollError::new(Attempted::ReadPage, kind));
        }
        self.so_far = Finished { restarts: self.so_far.restarts + 1, ..Finished::default() };
        Ok(Step::Restarted(cause))
    }

    /// After an error: asks for the same page again where that can help, begins again where the
    /// token is what was refused.
    async fn recover(&mut self, error: PollError) -> Result<Option<Step>, PollError> {
        if error.kind == PollErrorKind::PageTokenRefused && self.request.token.is_some() {
            return match self.restart(RestartCause::TokenRefused) {
                Ok(step) => Ok(Some(step)),
                Err(_) => Err(error),
            };
        }
        // The attempts to open a page are the client's own; only what broke off in its body is new.
        if !matches!(
            error.kind,
            PollErrorKind::Cut
                | PollErrorKind::Unreadable
                | PollErrorKind::ServerFault
                | PollErrorKind::Throttled(_)
        ) || error.attempts > 1
        {
            return Err(error);
        }
        self.failures += 1;
        let error = PollError { attempts: self.failures, ..error };
        let mimecast = self.mimecast;
        match pause(&mimecast.pacing.retry, self.deadline, &mimecast.world, self.failures, error.retry())
            .await
        {
            Ok(()) => Ok(None),
            Err(_) => Err(error),
        }
    }
}
