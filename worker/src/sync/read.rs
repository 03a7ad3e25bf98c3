//! The reading half of a window: pages to records, records to rows, rows to batches.

use std::collections::HashMap;

use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use tokio::sync::mpsc;

use crate::batch::{Batch, Batcher, LIMIT_BYTES, Mark, Pushed};
use crate::checkpoint::remembered::{HashesSeen, Remembered};
use crate::dead_letter::{DeadLetter, Reason};
use crate::poll::window::{self, Chosen};
use crate::poll::{PageToken, Pages, PollError, RecordChunk, Step, Window};
use crate::transform::Transformer;
use crate::world::{Deadline, World};

/// What goes from the reading half to the delivering half.
#[derive(Debug, Default)]
pub(super) struct Parcel {
    /// Rows to deliver.
    pub(super) batch: Option<Batch>,
    /// Records that cannot be delivered, met among those rows.
    pub(super) letters: Vec<DeadLetter>,
    /// What is remembered of them, once they are safe: they come again with the overlap.
    pub(super) set_aside: Vec<Mark>,
    /// Where the next run can go on once all this is safe.
    pub(super) resume: Resume,
}

/// A place in the pages of a window.
#[derive(Debug, Clone, Default)]
pub(super) struct Resume {
    /// Token of the next page; `None` for the first.
    pub(super) token: Option<PageToken>,
    /// Pages before it.
    pub(super) pages: u64,
}

/// How reading ended.
#[derive(Debug)]
pub(super) enum ReadEnd {
    /// Every page was read; the first was served at this time of Mimecast's.
    Finished(Option<OffsetDateTime>),
    /// The budget is used up; the next run goes on.
    BudgetUsed,
    /// The window holds too much: this narrower one is to be read instead, and nothing of it was
    /// handed on.
    TooMuch(Window),
    /// The delivering half has ended.
    Abandoned,
}

/// Counts of the reading half.
#[derive(Debug, Clone, Default)]
pub(super) struct ReadCounts {
    /// Events read.
    pub(super) read: u64,
    /// Of them, seen before.
    pub(super) repeated: u64,
    /// Events without a readable time, and records that are no events.
    pub(super) unplaced: u32,
    /// How often the window was begun again.
    pub(super) restarts: u32,
    /// Seconds that are the times of the events of this window, for the hours of a re-read.
    pub(super) hours: [u32; 24],
}

/// What bounds the reading.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// No page is begun after this.
    pub(super) deadline: Deadline,
    /// No page is begun after so many events.
    pub(super) events: u64,
    /// The window, where it may be narrowed.
    pub(super) narrow: Option<Chosen>,
}

/// So many events are looked up while a slice of a backlog is read: its own, and those of the overlap before it.
const USUALLY_SEEN: usize = window::SLICE_EVENTS as usize / 8 * 9;

/// What the reading half works with from one window of a run to the next: memory of some hundred KiB each,
/// which would leave holes if every window had its own.
pub(super) struct Scratch {
    pub(super) transformer: Transformer,
    seen: HashesSeen,
    batcher: Batcher,
}

impl Scratch {
    pub(super) fn new(transformer: Transformer) -> Self {
        // A table that grows leaves the memory of all its smaller ones behind.
        let seen = HashesSeen::with_capacity_and_hasher(USUALLY_SEEN, Default::default());
        Self { transformer, seen, batcher: Batcher::new() }
    }
}

/// The reading half. It keeps rows of the page that is being read and what fills the batch, no more.
pub(super) struct Reader<'a> {
    world: &'a World,
    scratch: &'a mut Scratch,
    letters: Vec<DeadLetter>,
    set_aside: Vec<Mark>,
    malformed: Malformed,
    resume: Resume,
    handed_on: bool,
    sender: mpsc::Sender<Parcel>,
    /// Counts so far.
    pub(super) counts: ReadCounts,
}

/// The delivering half has ended.
struct Gone;

/// Elements that are no records and have no identity, told apart by their bytes and by how many of
/// the same came before in this pass of the window: two of them are two.
#[derive(Debug, Default)]
struct Malformed(HashMap<[u8; 32], u64>);

impl Malformed {
    /// What is remembered of the next such element.
    fn hash(&mut self, bytes: &[u8]) -> u64 {
        let before = self.0.entry(Sha256::digest(bytes).into()).or_default();
        let digest = Sha256::new_with_prefix(b"malformed").chain_update(before.to_be_bytes());
        *before += 1;
        let digest: [u8; 32] = digest.chain_update(bytes).finalize().into();
        digest.iter().take(8).fold(0, |hash, &byte| hash << 8 | u64::from(byte))
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        world: &'a World,
        scratch: &'a mut Scratch,
        remembered: &Remembered,
        resume: Resume,
        sender: mpsc::Sender<Parcel>,
    ) -> Self {
        remembered.look_up(&mut scratch.seen);
        // A window that was given up may have left rows.
        scratch.batcher.clear();
        Self {
            world,
            scratch,
            letters: Vec::new(),
            set_aside: Vec::new(),
            malformed: Malformed::default(),
            resume,
            handed_on: false,
            sender,
            counts: ReadCounts::default(),
        }
    }

    /// Reads the window's pages until they end, the bounds are reached, or something stands in the way.
    /// What was read is handed on in each case but the narrowing.
    pub(super) async fn read(&mut self, pages: &mut Pages<'_>, bounds: Bounds) -> Result<ReadEnd, PollError> {
        let end = self.steps(pages, bounds).await;
        if !matches!(end, Ok(ReadEnd::TooMuch(_) | ReadEnd::Abandoned)) && self.flush().await.is_err() {
            return Ok(ReadEnd::Abandoned);
        }
        end
    }

    /// Ends the channel and gives the counts.
    pub(super) fn finish(self) -> ReadCounts {
        self.counts
    }

    async fn steps(&mut self, pages: &mut Pages<'_>, bounds: Bounds) -> Result<ReadEnd, PollError> {
        loop {
            match pages.next().await? {
                Step::Records(chunk) => {
                    if self.take(&chunk).await.is_err() {
                        return Ok(ReadEnd::Abandoned);
                    }
                }
                Step::PageDone(done) => {
                    self.resume.pages += 1;
                    let last = done.resume.is_none();
                    // After the last page the window is closed, or begun again.
                    if !last {
                        self.resume.token = done.resume;
                    }
                    if let Some(narrower) = self.too_much(&bounds, done.total_count) {
                        return Ok(ReadEnd::TooMuch(narrower));
                    }
                    let spent = bounds.deadline.passed(self.world) || self.counts.read >= bounds.events;
                    if spent && !last {
                        return Ok(ReadEnd::BudgetUsed);
                    }
                }
                Step::Restarted(_) => {
                    self.counts.restarts += 1;
                    self.resume = Resume::default();
                    self.malformed = Malformed::default();
                }
                Step::Finished(finished) => return Ok(ReadEnd::Finished(finished.served_at)),
            }
        }
    }

    /// A narrower window, where the first page says that this one holds more than can be remembered.
    fn too_much(&self, bounds: &Bounds, total_count: Option<u64>) -> Option<Window> {
        let first = self.resume.pages == 1 && !self.handed_on;
        let chosen = bounds.narrow.as_ref().filter(|_| first)?;
        window::narrowed(chosen, total_count?)
    }

    async fn take(&mut self, chunk: &RecordChunk) -> Result<(), Gone> {
        let arrival = self.world.now();
        for record in chunk.records() {
            self.counts.read += 1;
            let record = match record {
                Ok(record) => record,
                Err(malformed) => {
                    let hash = self.malformed.hash(malformed.bytes);
                    if !self.scratch.seen.insert(hash) {
                        self.counts.repeated += 1;
                        continue;
                    }
                    self.counts.unplaced += 1;
                    self.set_aside.push(Mark { hash, event_time: None });
                    self.letters.push(DeadLetter::of_record(malformed.reason.code(), malformed.bytes));
                    continue;
                }
            };
            let key = self.scratch.transformer.key(&record);
            if !self.scratch.seen.insert(key.hash()) {
                self.counts.repeated += 1;
                continue;
            }
            let (world, transformer) = (self.world, &mut self.scratch.transformer);
            let mut event_time = None;
            let pushed = self.scratch.batcher.push(
                || world.identity(),
                |out| {
                    event_time = transformer.row(&record, &key, arrival, out).event_time;
                    Mark { hash: key.hash(), event_time }
                },
            );
            match event_time {
                Some(at) => self.counts.hours[usize::from(at.hour())] += 1,
                None => self.counts.unplaced += 1,
            }
            match pushed {
                Pushed::Kept => {}
                Pushed::Full(batch) => self.hand_on(Some(batch)).await?,
                Pushed::TooLarge(row) => {
                    let message = format!("the row alone has more than {LIMIT_BYTES} bytes");
                    self.set_aside.push(Mark { hash: key.hash(), event_time });
                    self.letters.push(DeadLetter::of_row(Reason::TooLarge, "row_too_large", &message, row));
                }
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Gone> {
        let batch = self.scratch.batcher.seal(|| self.world.identity());
        self.hand_on(batch).await
    }

    /// Rows of the page that is being read may be in the batch already; the place is the end of the
    /// page before, so that the rest of the page is read again after a stop.
    async fn hand_on(&mut self, batch: Option<Batch>) -> Result<(), Gone> {
        self.handed_on = true;
        let letters = std::mem::take(&mut self.letters);
        let set_aside = std::mem::take(&mut self.set_aside);
        let parcel = Parcel { batch, letters, set_aside, resume: self.resume.clone() };
        self.sender.send(parcel).await.map_err(|_| Gone)
    }
}
