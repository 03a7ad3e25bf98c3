//! One run: the path of an event as one function.
//!
//! ```text
//! hold the checkpoint → read it → choose a window
//!   → pages → records → rows → batches → accepted → place noted
//!   → close the window → next window … → health row
//! ```
//!
//! Fetching the next page overlaps delivering the last: two halves of a window, joined by a channel of
//! one batch. What is held at once is a page of usual size or a piece of a larger one, the batch that
//! fills, one that waits and one that is on its way, whatever the backlog.

mod again;
mod deliver;
mod open;
mod read;
mod replay;
mod slice;
mod state;

use contract::checkpoint::{Checkpoint, Purpose};
use serde_json::json;
use time::OffsetDateTime;
use tokio::sync::mpsc;

use crate::checkpoint::remembered::LIMIT as REMEMBERED;
use crate::checkpoint::{CheckpointError, Held, Place};
use crate::command::Work;
use crate::dead_letter::DeadLetters;
use crate::ingest::{Delivery, IngestError, Standing};
use crate::poll::window::{self, Choice, Chosen};
use crate::poll::{Mimecast, Pages, PollError, PollErrorKind};
use crate::report::{Failure, Level, Log, Report, RunResult, Stage, chain};
use crate::settings::Settings;
use crate::world::{Deadline, World};
use again::Reread;
use deliver::{DeliverError, Progress};
pub use open::{Clients, OpenError, Reporter, send_health};
use read::{Bounds, ReadEnd, Reader, Scratch};
use replay::ReplayError;
use state::{Counts, state};

/// One Mimecast account with everything that a run needs. Lives as long as the process.
#[derive(Debug)]
pub struct Account {
    world: World,
    log: Log,
    settings: Settings,
    mimecast: Mimecast,
    delivery: Delivery,
    place: Place,
    dead_letters: DeadLetters,
}

/// Why a run stopped.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Poll(#[from] PollError),
    #[error(transparent)]
    Deliver(#[from] DeliverError),
    #[error(transparent)]
    Replay(#[from] ReplayError),
}

impl RunError {
    fn failure(&self) -> Failure {
        match self {
            Self::Checkpoint(error) => Failure::new(Stage::Checkpoint, error.code(), error),
            Self::Poll(error) => Failure::new(Stage::Poll, error.kind.code(), error),
            Self::Deliver(error) => error.failure(),
            Self::Replay(error) => error.failure(),
        }
    }

    /// Whether another window may go well where this one did not.
    fn may_be_of_the_window(&self) -> bool {
        match self {
            Self::Poll(error) => !error.only_time_is_needed(),
            Self::Deliver(DeliverError::Ingest(error)) => {
                matches!(error.cause, IngestError::EverythingRefused { .. })
            }
            _ => false,
        }
    }
}

/// How a window ended without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WindowEnd {
    Closed,
    BudgetUsed,
}

impl Account {
    /// Does what is asked: one run from beginning to end, its health row included. Never fails: the
    /// report says how it went.
    pub async fn work(&self, work: Work) -> Report {
        let trigger = work.trigger();
        let mut report = Report::begin(&self.world, trigger);
        self.log.event(Level::Info, "run_started", json!({ "run": report.run_id, "trigger": trigger }));
        let mut standing = Standing::Settled;
        let mut taken = None;
        let place = match work {
            Work::Slice(slice) => self.place_of(slice),
            _ => self.place.clone(),
        };
        // The sign-in takes as long as storage does, and needs nothing of it.
        let ahead = async {
            if work != Work::Replay {
                self.mimecast.sign_in_ahead().await;
            }
        };
        match tokio::join!(place.take(&self.world), ahead).0 {
            Ok(Some(mut held)) => {
                let lost = held.lost();
                let ended = tokio::select! {
                    biased;
                    ended = self.collect(work, &mut held, &mut report, &mut standing) => ended,
                    // Whatever was about to be written is not.
                    () = lost => Err(CheckpointError::Lost.into()),
                };
                match ended {
                    Err(RunError::Poll(error)) if error.only_time_is_needed() => {
                        report.result = RunResult::Partial;
                        report.wait = error.kind.wait();
                        report.notes.push(format!("{}; the next run goes on", chain(&error)));
                    }
                    Err(error) => report.fail(error.failure()),
                    Ok(()) => {}
                }
                taken = Some(held);
            }
            Ok(None) => {
                report.result = RunResult::Busy;
                report
                    .notes
                    .push("another run holds the checkpoint; this one left the work to it".to_owned());
            }
            Err(error) => report.fail(Failure::new(Stage::Checkpoint, error.code(), &error)),
        }
        let quota = self.mimecast.quota();
        (report.quota_limit, report.quota_remaining) = (quota.limit, quota.remaining);
        let reporting = &self.settings.reporting;
        // Neither needs the other.
        let release = async {
            if let Some(held) = taken {
                held.release().await;
            }
        };
        let health =
            open::deliver_health(&report, reporting, &self.delivery, standing, &self.world, &self.log);
        tokio::join!(release, health);
        self.log.run_ended(&report);
        report
    }

    async fn collect(
        &self,
        work: Work,
        held: &mut Held,
        report: &mut Report,
        standing: &mut Standing,
    ) -> Result<(), RunError> {
        let limits = &self.settings.limits;
        if work == Work::Replay {
            return self.replay(Deadline::after(&self.world, limits.budget), report).await;
        }
        // Of reading; what was read is delivered in the rest of the budget.
        let deadline = Deadline::after(&self.world, limits.budget.saturating_sub(limits.grace()));
        if let Work::Slice(slice) = work {
            let read = self.slice(slice, held, deadline, report).await?;
            note_budget(read, report);
            return Ok(());
        }
        let checkpoint = held.read().await?;
        report.watermark = checkpoint.closed_until;
        self.note_in_flight(&checkpoint, report);
        let mut progress = Progress::new(self, held, checkpoint);
        let mut scratch = Scratch::new(self.transformer());
        let collected = self.catch_up(work, &mut progress, &mut scratch, deadline, report).await;
        report.unknown_shapes = scratch.transformer.counts().to_json();
        self.note_forgotten(&progress, report);
        if progress.checkpoint.delivered_at.is_none() {
            *standing = Standing::Settling;
        }
        note_budget(collected?, report);
        Ok(())
    }

    /// First what is due, then the past: what is new matters most.
    async fn catch_up(
        &self,
        work: Work,
        progress: &mut Progress<'_>,
        scratch: &mut Scratch,
        deadline: Deadline,
        report: &mut Report,
    ) -> Result<WindowEnd, RunError> {
        let now = self.world.now();
        // What a person asked for is noted first, whatever becomes of the rest; counting what is missing
        // takes calls, and what is due goes before it.
        let (whole, only_missing) = match work {
            Work::Backfill(backfill) if backfill.only_missing => (None, Some(backfill)),
            Work::Backfill(backfill) => (Some(backfill), None),
            _ => (None, None),
        };
        if let Some(backfill) = whole {
            self.ask_again(progress, backfill, deadline, report).await?;
        }
        let mut end = WindowEnd::Closed;
        // A past hour that is being read is finished first: there is one open window. Where it cannot be
        // read, it waits behind what is due.
        if progress.checkpoint.open.as_ref().is_some_and(|open| open.purpose == Purpose::Reread) {
            let next = self.reread_next(progress, scratch, deadline, report).await?;
            end = next.map_or(end, Reread::window_end);
        }
        if end == WindowEnd::Closed {
            end = self.windows(progress, scratch, now, deadline, report).await?;
        }
        if end == WindowEnd::Closed {
            self.check_days(progress, now, deadline, report).await?;
        }
        if let Some(backfill) = only_missing {
            self.ask_again(progress, backfill, deadline, report).await?;
        }
        match end {
            WindowEnd::Closed => self.reread(progress, scratch, deadline, report).await,
            WindowEnd::BudgetUsed => Ok(end),
        }
    }

    /// Reads window after window until everything that had settled when the run began is closed.
    async fn windows(
        &self,
        progress: &mut Progress<'_>,
        scratch: &mut Scratch,
        now: OffsetDateTime,
        deadline: Deadline,
        report: &mut Report,
    ) -> Result<WindowEnd, RunError> {
        loop {
            let chosen = match window::choose(now, &state(&progress.checkpoint), &self.window_settings()) {
                Choice::Read(chosen) => chosen,
                Choice::CaughtUp => return Ok(WindowEnd::Closed),
                Choice::ClockBehind { by } => {
                    report.result = RunResult::Partial;
                    let by = crate::settings::duration::text(by);
                    report.notes.push(format!(
                        "the checkpoint is {by} ahead of this machine's clock, which is or was wrong; \
                         nothing is read until the clock has passed it"
                    ));
                    return Ok(WindowEnd::Closed);
                }
            };
            if let Some(gap) = chosen.gap {
                let message = format!(
                    "events from {} to {} were not collected and can no longer be: Mimecast gives them out for sixty days",
                    gap.from, gap.to
                );
                self.log.event(Level::Error, "gap", json!({ "run": report.run_id, "message": message }));
                report.notes.push(message);
            }
            let (mut chosen, end) = (chosen, chosen.window.end);
            let spent = deadline.passed(&self.world) || report.read >= self.settings.limits.events;
            if spent
                || self.window(progress, scratch, &mut chosen, deadline, report).await?
                    == WindowEnd::BudgetUsed
            {
                return Ok(WindowEnd::BudgetUsed);
            }
            // All that had settled is read, wherever the watermark stands: it may be held back where this
            // machine's clock runs ahead of Mimecast's.
            if !chosen.more && chosen.window.end == end {
                return Ok(WindowEnd::Closed);
            }
        }
    }

    /// One window, narrowed until it holds what can be remembered.
    async fn window(
        &self,
        progress: &mut Progress<'_>,
        scratch: &mut Scratch,
        chosen: &mut Chosen,
        deadline: Deadline,
        report: &mut Report,
    ) -> Result<WindowEnd, RunError> {
        loop {
            let (read, repeated, delivered) = (report.read, report.repeated, report.delivered);
            match self.pages(progress, scratch, chosen, deadline, report).await {
                Ok(ReadEnd::TooMuch(narrower)) => chosen.window = narrower,
                Ok(ReadEnd::Finished(served_at)) => {
                    let counts = Counts { read: report.read - read, repeated: report.repeated - repeated };
                    self.close(progress, chosen, served_at, counts, report).await?;
                    return Ok(WindowEnd::Closed);
                }
                Ok(ReadEnd::BudgetUsed | ReadEnd::Abandoned) => {
                    progress.save().await?;
                    return Ok(WindowEnd::BudgetUsed);
                }
                Err(RunError::Poll(error)) => {
                    // A narrower window asks less of Mimecast, but only one that gave nothing yet can be
                    // put in place of this.
                    let narrows =
                        matches!(error.kind, PollErrorKind::GatewayTimeout | PollErrorKind::PagingLoop);
                    let fresh =
                        report.delivered == delivered && !chosen.resumed && !deadline.passed(&self.world);
                    match window::halved(chosen).filter(|_| narrows && fresh) {
                        Some(narrower) => chosen.window = narrower,
                        None => return Err(error.into()),
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads and delivers the pages of a window, both at once.
    async fn pages(
        &self,
        progress: &mut Progress<'_>,
        scratch: &mut Scratch,
        chosen: &Chosen,
        deadline: Deadline,
        report: &mut Report,
    ) -> Result<ReadEnd, RunError> {
        let collect = &self.settings.collect;
        let resume = self.open_window(progress, chosen, report);
        let advancing =
            progress.checkpoint.open.as_ref().is_some_and(|open| open.purpose == Purpose::Advance);
        let mut pages = Pages::new(
            &self.mimecast,
            chosen.window,
            collect.page_size,
            collect.categories.clone(),
            resume.token.clone(),
            deadline,
        );
        let bounds = Bounds {
            deadline,
            events: self.settings.limits.events.saturating_sub(report.read),
            narrow: Some(*chosen).filter(|_| !chosen.resumed && advancing),
        };
        let (sender, mut receiver) = mpsc::channel(1);
        let mut reader = Reader::new(&self.world, scratch, &progress.remembered, resume, sender);
        let delivery_deadline = deadline.later(self.settings.limits.grace());
        let reading = async {
            let end = reader.read(&mut pages, bounds).await;
            // The channel closes, and the other half ends after what is in it.
            (end, reader.finish())
        };
        let delivering = async {
            let delivered = progress.deliver(&mut receiver, delivery_deadline, report).await;
            drop(receiver);
            delivered
        };
        let ((end, counts), delivered) = tokio::join!(reading, delivering);
        report.read += counts.read;
        report.repeated += counts.repeated;
        let unplaced = counts.unplaced;
        if unplaced > 0 {
            let day = progress.day(chosen.window.end);
            day.unplaced = day.unplaced.saturating_add(unplaced);
        }
        if counts.restarts > 0 {
            report
                .notes
                .push("Mimecast's paging broke off and the window was read again from its start".to_owned());
        }
        // A fault in delivering is why reading was given up, where it was.
        delivered?;
        match end {
            Ok(end) => Ok(end),
            Err(error) => {
                progress.save().await?;
                Err(error.into())
            }
        }
    }

    /// After a crash: these batches may have been taken by Azure, and are sent again.
    fn note_in_flight(&self, checkpoint: &Checkpoint, report: &mut Report) {
        if checkpoint.in_flight.is_empty() {
            return;
        }
        let events: u64 = checkpoint.in_flight.iter().map(|batch| batch.events).sum();
        let batches: Vec<&str> = checkpoint.in_flight.iter().map(|batch| batch.batch.as_str()).collect();
        report.notes.push(format!(
            "the last run ended while {events} events were on their way; they are sent again and may be there twice"
        ));
        let fields = json!({ "run": report.run_id, "batches": batches, "events": events });
        self.log.event(Level::Warning, "batches_in_doubt", fields);
    }

    /// A window can hold more than is remembered where Mimecast does not say beforehand how much it holds.
    fn note_forgotten(&self, progress: &Progress<'_>, report: &mut Report) {
        let forgotten = progress.remembered.forgotten();
        if forgotten == 0 {
            return;
        }
        let message = format!(
            "{forgotten} delivered events could not be remembered, since at most {REMEMBERED} are; where they are \
             read again they come twice, which the default functions hide; the next windows are shorter"
        );
        self.log.event(Level::Warning, "forgotten", json!({ "run": report.run_id, "message": message }));
        report.notes.push(message);
    }
}

fn note_budget(end: WindowEnd, report: &mut Report) {
    if end == WindowEnd::BudgetUsed {
        report.result = RunResult::Partial;
        report.notes.push("the run's budget is used up; the next run goes on".to_owned());
    }
}
