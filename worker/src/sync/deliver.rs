//! The delivering half of a window: each batch is noted in the checkpoint, sent, and then counted as
//! delivered. The checkpoint never passes a record that was neither accepted nor set aside.

use bytes::Bytes;
use contract::checkpoint::{Checkpoint, DayCount, InFlight};
use contract::streams::AUDIT_STREAM;
use serde_json::json;
use time::OffsetDateTime;
use tokio::sync::mpsc;

use super::Account;
use super::read::Parcel;
use crate::batch::{Batch, Mark};
use crate::checkpoint::remembered::Remembered;
use crate::checkpoint::{CheckpointError, Held};
use crate::dead_letter::{DeadLetter, DeadLetterError, Reason};
use crate::ingest::{IngestError, Outcome, Standing, Witness};
use crate::report::{Failure, Level, Report, Stage};
use crate::retry::Exhausted;
use crate::world::{Deadline, World};

/// Days that are kept: Mimecast's sixty and the one that is running.
const DAYS_KEPT: usize = 62;

/// Why delivering stopped.
#[derive(Debug, thiserror::Error)]
pub(super) enum DeliverError {
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error("could not deliver a batch")]
    Ingest(#[source] Box<Exhausted<IngestError>>),
    #[error("could not set records aside")]
    DeadLetters(#[from] DeadLetterError),
}

impl DeliverError {
    pub(super) fn failure(&self) -> Failure {
        match self {
            Self::Checkpoint(error) => Failure::new(Stage::Checkpoint, error.code(), error),
            Self::Ingest(error) => Failure::new(Stage::Ingest, error.cause.code(), self),
            Self::DeadLetters(error) => Failure::new(Stage::Ingest, error.code(), self),
        }
    }
}

/// The state that is kept, and the hold on it.
pub(super) struct Progress<'a> {
    pub(super) account: &'a Account,
    pub(super) held: &'a mut Held,
    pub(super) checkpoint: Checkpoint,
    pub(super) remembered: Remembered,
    /// What this run has seen of Azure's judgement.
    witness: Witness,
    /// What was accepted is not in the stored checkpoint yet.
    unsaved: bool,
    /// Memory for what is written, used again before each batch.
    content: Vec<u8>,
}

impl<'a> Progress<'a> {
    pub(super) fn new(account: &'a Account, held: &'a mut Held, mut checkpoint: Checkpoint) -> Self {
        let remembered = Remembered::from_checkpoint(std::mem::take(&mut checkpoint.remembered));
        let witness = Witness::default();
        Self { account, held, checkpoint, remembered, witness, unsaved: false, content: Vec::new() }
    }

    fn world(&self) -> &'a World {
        &self.account.world
    }

    fn standing(&self) -> Standing {
        if self.checkpoint.delivered_at.is_some() { Standing::Settled } else { Standing::Settling }
    }

    /// Writes the checkpoint.
    pub(super) async fn save(&mut self) -> Result<(), CheckpointError> {
        if !self.held.alive(self.world()) {
            return Err(CheckpointError::Lost);
        }
        let mut content = std::mem::take(&mut self.content);
        self.checkpoint.write_with(self.remembered.groups(), &mut content);
        let content = Bytes::from(content);
        let written = self.held.write(content.clone()).await;
        // Where nobody else has it any more, its memory is as it was.
        if content.is_unique() {
            self.content = content.into();
        }
        self.unsaved &= written.is_err();
        written
    }

    /// Delivers what comes until nothing more does.
    pub(super) async fn deliver(
        &mut self,
        receiver: &mut mpsc::Receiver<Parcel>,
        deadline: Deadline,
        report: &mut Report,
    ) -> Result<(), DeliverError> {
        loop {
            // What Azure has taken is written down at once: a kill before that repeats it. Where delivering
            // is slower than reading, the next batch is there by now, and its own note tells of both.
            if self.unsaved && receiver.is_empty() && !receiver.is_closed() {
                self.save().await?;
            }
            let parcel = receiver.recv().await;
            let Some(parcel) = parcel else { return Ok(()) };
            self.parcel(parcel, deadline, report).await?;
        }
    }

    async fn parcel(
        &mut self,
        parcel: Parcel,
        deadline: Deadline,
        report: &mut Report,
    ) -> Result<(), DeliverError> {
        let Parcel { batch, mut letters, set_aside, resume } = parcel;
        let mut failed = None;
        if let Some(batch) = batch {
            let outcome = self.send(&batch, deadline).await?;
            self.count(&batch, &outcome, report);
            letters.extend(outcome.refused.into_iter().map(|refused| {
                let reason = if refused.answer.status == 400 { Reason::Refused } else { Reason::TooLarge };
                DeadLetter::of_row(reason, &refused.answer.code, &refused.answer.message, refused.row)
            }));
            failed = outcome.error.map(|error| (error, outcome.in_doubt));
        }
        if !letters.is_empty() {
            self.account.dead_letters.keep(&letters, self.world().now()).await?;
            report.dead_lettered += letters.len() as u64;
            let fields = json!({ "run": report.run_id, "records": letters.len(), "code": letters.first().map(|letter| &letter.code) });
            self.account.log.event(Level::Error, "records_set_aside", fields);
            for mark in set_aside {
                self.delivered(mark);
            }
        }
        if let Some((error, in_doubt)) = failed {
            if !in_doubt {
                // Azure has said that it took nothing of the rest.
                self.checkpoint.in_flight.clear();
            }
            // What was accepted of it is remembered; the rest is read again.
            if let Err(lost) = self.save().await {
                self.account.log.event(
                    Level::Warning,
                    "checkpoint_not_written",
                    json!({ "message": lost.to_string() }),
                );
            }
            return Err(DeliverError::Ingest(Box::new(error)));
        }
        if let Some(open) = &mut self.checkpoint.open {
            open.next_page = resume.token.map(|token| token.as_str().to_owned());
            open.pages = resume.pages;
        }
        self.checkpoint.in_flight.clear();
        self.unsaved = true;
        Ok(())
    }

    /// Notes the batch as being in flight, and sends it.
    async fn send(&mut self, batch: &Batch, deadline: Deadline) -> Result<Outcome, DeliverError> {
        self.checkpoint.in_flight =
            vec![InFlight { batch: batch.id.to_string(), events: batch.len() as u64 }];
        self.save().await?;
        let (world, standing) = (self.world(), self.standing());
        let delivery = &self.account.delivery;
        Ok(delivery.deliver(world, AUDIT_STREAM, batch, standing, &mut self.witness, deadline).await)
    }

    fn count(&mut self, batch: &Batch, outcome: &Outcome, report: &mut Report) {
        let accepted: usize = outcome.accepted.iter().map(ExactSizeIterator::len).sum();
        if accepted > 0 {
            self.checkpoint.delivered_at = Some(self.world().now());
            report.batches += 1;
            report.delivered += accepted as u64;
            if accepted == batch.len() {
                report.delivered_bytes += batch.plain_bytes as u64;
            }
        }
        for range in &outcome.accepted {
            for &mark in batch.marks.get(range.clone()).unwrap_or_default() {
                self.delivered(mark);
            }
        }
        // A refused record is kept elsewhere and must not be read into a batch again.
        for refused in &outcome.refused {
            if let Some(&mark) = batch.marks.get(refused.index) {
                self.delivered(mark);
            }
        }
        let fields = json!({
            "run": report.run_id,
            "batch": batch.id.to_string(),
            "events": batch.len(),
            "accepted": accepted,
            "bytes": batch.plain_bytes,
            "compressed": batch.body.len(),
        });
        self.account.log.event(Level::Info, "batch", fields);
    }

    /// Remembers an event that is safe. One whose time cannot be read happened before the end of its
    /// window, so that no window which holds it reaches back behind that.
    fn delivered(&mut self, mark: Mark) {
        let window_end = self.checkpoint.open.as_ref().map(|open| open.end);
        self.remembered.insert(mark.hash, mark.event_time.or(window_end));
        if let Some(at) = mark.event_time {
            let hour = usize::from(at.hour());
            if let Some(count) = self.day(at).hours.get_mut(hour) {
                *count = count.saturating_add(1);
            }
        }
    }

    /// Events of an hour that were delivered, as far as its day is still kept.
    pub(super) fn delivered_in_hour(&self, at: OffsetDateTime) -> u64 {
        let days = &self.checkpoint.days;
        let day = days.binary_search_by_key(&at.date(), |count| count.day).ok();
        let hour = day.and_then(|day| days.get(day)?.hours.get(usize::from(at.hour())));
        hour.map_or(0, |&hour| u64::from(hour))
    }

    /// The counts of a time's day.
    pub(super) fn day(&mut self, at: OffsetDateTime) -> &mut DayCount {
        let day = at.date();
        let days = &mut self.checkpoint.days;
        let index = match days.binary_search_by_key(&day, |count| count.day) {
            Ok(index) => index,
            Err(index) => {
                let count = DayCount { day, hours: [0; 24], unplaced: 0, checked: false };
                days.insert(index, count);
                if days.len() > DAYS_KEPT {
                    days.remove(0);
                }
                index.min(days.len() - 1)
            }
        };
        &mut days[index]
    }
}
