//! The past, again: whether whole days are complete, and ranges that are read once more.
//!
//! Ranges wait in the checkpoint, so that a long backfill is taken up by the next run.

use std::time::Duration;

use contract::checkpoint::{OpenWindow, Purpose, TimeRange};
use serde_json::json;
use time::OffsetDateTime;

use super::deliver::Progress;
use super::read::Scratch;
use super::{Account, RunError, WindowEnd};
use crate::command::Backfill;
use crate::poll::Window;
use crate::poll::days::{self, Verdict};
use crate::poll::window::{self, Chosen, slices};
use crate::report::{Failure, Level, Report, RunResult, chain};
use crate::world::Deadline;

/// What became of the next past hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reread {
    /// It was read.
    Read,
    /// It could not be read, and waits behind the others.
    Postponed,
    /// The budget was used up before it was read.
    BudgetUsed,
}

impl Reread {
    pub(super) fn window_end(self) -> WindowEnd {
        match self {
            Self::Read | Self::Postponed => WindowEnd::Closed,
            Self::BudgetUsed => WindowEnd::BudgetUsed,
        }
    }
}

/// Past ranges are read by the hour: so much is repeated at most where one event was missing.
const SLICE: Duration = Duration::from_secs(3_600);

impl Account {
    /// Compares each closed day with what Mimecast holds, and puts the hours that differ among the
    /// ranges to read again. Completeness is a second opinion: a fault in asking for it is noted and
    /// fails nothing.
    pub(super) async fn check_days(
        &self,
        progress: &mut Progress<'_>,
        now: OffsetDateTime,
        deadline: Deadline,
        report: &mut Report,
    ) -> Result<(), RunError> {
        let (Some(from), Some(closed)) =
            (progress.checkpoint.collected_from, progress.checkpoint.closed_until)
        else {
            return Ok(());
        };
        let overlap = self.settings.collect.overlap;
        let due: Vec<_> = days::due_days(from, closed, overlap, now).collect();
        let mut changed = false;
        for day in due {
            let count = progress.day(day.midnight().assume_utc());
            if count.checked {
                continue;
            }
            let (hours, unplaced) = (count.hours, u64::from(count.unplaced));
            if deadline.passed(&self.world) {
                break;
            }
            let delivered = hours.iter().map(|&hour| u64::from(hour)).sum();
            let Some(counted) = self.count(days::day_window(day), deadline, report).await else { break };
            // Mimecast gives no count: there is nothing to compare with.
            let verdict =
                counted.map_or(Verdict::Complete, |counted| days::verdict(delivered, unplaced, counted));
            self.log.event(
                if matches!(verdict, Verdict::Missing(_)) { Level::Warning } else { Level::Info },
                "day_checked",
                json!({ "day": day.to_string(), "delivered": delivered, "unplaced": unplaced, "counted": counted }),
            );
            if let Verdict::Missing(missing) = verdict {
                let Some(ranges) = self.differing_hours(day, &hours, deadline, report).await else { break };
                progress.checkpoint.reread.extend(ranges);
                report.notes.push(format!(
                    "{missing} events of {day} had not been delivered; the hours that differ are read again"
                ));
            }
            progress.day(day.midnight().assume_utc()).checked = true;
            changed = true;
        }
        if changed {
            progress.save().await?;
        }
        Ok(())
    }

    /// How many events Mimecast holds; outer `None` where it could not be asked.
    async fn count(&self, window: Window, deadline: Deadline, report: &mut Report) -> Option<Option<u64>> {
        match self.mimecast.count(window, &self.settings.collect.categories, deadline).await {
            Ok(counted) => Some(counted),
            Err(error) => {
                let fields = json!({ "run": report.run_id, "message": chain(&error) });
                self.log.event(Level::Warning, "completeness_not_checked", fields);
                None
            }
        }
    }

    async fn differing_hours(
        &self,
        day: time::Date,
        hours: &[u32; 24],
        deadline: Deadline,
        report: &mut Report,
    ) -> Option<Vec<TimeRange>> {
        let mut ranges = Vec::new();
        for (hour, &delivered) in (0_u8..).zip(hours) {
            let counted = self.count(days::hour_window(day, hour), deadline, report).await?;
            if counted.is_some_and(|counted| counted > u64::from(delivered)) {
                let from = day.midnight().assume_utc() + SLICE * u32::from(hour);
                ranges.push(TimeRange { from, to: from + SLICE });
            }
        }
        Some(ranges)
    }

    /// Puts what a person asked for among the ranges to read again, as far as Mimecast gives it out and
    /// it has settled.
    pub(super) async fn ask_again(
        &self,
        progress: &mut Progress<'_>,
        backfill: Backfill,
        deadline: Deadline,
        report: &mut Report,
    ) -> Result<(), RunError> {
        let (oldest, settled) = self.readable();
        let (from, to) = (backfill.from.max(oldest), backfill.to.min(settled));
        if (from, to) != (backfill.from, backfill.to) {
            report.notes.push(format!(
                "of the range that was asked for, what lies between {oldest} and {settled} is read: Mimecast gives \
                 events out for sixty days, and the newest are collected when they have settled"
            ));
        }
        if !backfill.only_missing {
            ask(progress, from, to);
            return Ok(progress.save().await?);
        }
        // Counts are by whole hours, of which the oldest may be given out in part only.
        let first = Some(floor_hour(from)).filter(|&hour| hour >= oldest);
        for window in slices(first.unwrap_or_else(|| floor_hour(from) + SLICE), to, SLICE) {
            let delivered = progress.delivered_in_hour(window.start);
            // The count's end may be inclusive; the last second of the hour is the same either way.
            let counting = Window { start: window.start, end: window.end - Duration::from_secs(1) };
            let Some(counted) = self.count(counting, deadline, report).await else {
                report.notes.push(format!(
                    "the hours from {} on could not be compared and are not read again; ask for them once more",
                    window.start
                ));
                break;
            };
            if counted.is_none_or(|counted| counted > delivered) {
                ask(progress, window.start, window.end);
            }
        }
        Ok(progress.save().await?)
    }

    /// Reads the waiting ranges, hour by hour. One that fails is put behind the others and ends this: the
    /// next run begins with another.
    pub(super) async fn reread(
        &self,
        progress: &mut Progress<'_>,
        scratch: &mut Scratch,
        deadline: Deadline,
        report: &mut Report,
    ) -> Result<WindowEnd, RunError> {
        while let Some(end) = self.reread_next(progress, scratch, deadline, report).await? {
            if end != Reread::Read {
                return Ok(end.window_end());
            }
        }
        Ok(WindowEnd::Closed)
    }

    /// Goes on with the past hour that is being read, or begins the next one. `None`: no range waits.
    pub(super) async fn reread_next(
        &self,
        progress: &mut Progress<'_>,
        scratch: &mut Scratch,
        deadline: Deadline,
        report: &mut Report,
    ) -> Result<Option<Reread>, RunError> {
        self.leave_out_unreadable(progress);
        let Some(&range) = progress.checkpoint.reread.first() else { return Ok(None) };
        if deadline.passed(&self.world) {
            return Ok(Some(Reread::BudgetUsed));
        }
        let resumed = progress.checkpoint.open.as_ref().filter(|open| open.purpose == Purpose::Reread);
        let resumed = resumed.map(|open| Window { start: open.start, end: open.end });
        let Some(window) = resumed.or_else(|| slices(range.from, range.to, SLICE).next()) else {
            progress.checkpoint.reread.remove(0);
            return Ok(Some(Reread::Read));
        };
        let mut chosen =
            Chosen { window, new_from: window.start, resumed: resumed.is_some(), more: false, gap: None };
        if resumed.is_none() {
            let Window { start, end } = window;
            let purpose = Purpose::Reread;
            progress.checkpoint.open = Some(OpenWindow { start, end, purpose, next_page: None, pages: 0 });
        }
        match self.window(progress, scratch, &mut chosen, deadline, report).await {
            Ok(WindowEnd::Closed) => Ok(Some(Reread::Read)),
            Ok(WindowEnd::BudgetUsed) => Ok(Some(Reread::BudgetUsed)),
            // A narrower window may have been tried: all of the hour is asked for again.
            Err(error) if error.may_be_of_the_window() => {
                self.postpone(progress, window, &error.failure(), report).await?;
                Ok(Some(Reread::Postponed))
            }
            Err(error) => Err(error),
        }
    }

    /// Puts a past hour that cannot be read behind the other ranges: it can be read again from its start
    /// at any time, and must not stand in the way of anything.
    async fn postpone(
        &self,
        progress: &mut Progress<'_>,
        window: Window,
        failure: &Failure,
        report: &mut Report,
    ) -> Result<(), RunError> {
        let checkpoint = &mut progress.checkpoint;
        checkpoint.open = None;
        if let Some(range) = checkpoint.reread.first_mut() {
            range.from = range.from.max(window.end);
        }
        checkpoint.reread.retain(|range| range.from < range.to);
        checkpoint.reread.push(TimeRange { from: window.start, to: window.end });
        let message = format!(
            "the past from {} to {} could not be read again, and waits behind the rest: {}",
            window.start, window.end, failure.message
        );
        let fields = json!({ "run": report.run_id, "code": failure.code, "message": message });
        self.log.event(Level::Warning, "reread_postponed", fields);
        report.result = RunResult::Partial;
        report.notes.push(message);
        Ok(progress.save().await?)
    }

    /// Cuts the waiting ranges to what can be read: the rest has aged out, or belongs to windows that are
    /// yet to come.
    fn leave_out_unreadable(&self, progress: &mut Progress<'_>) {
        let (oldest, settled) = self.readable();
        let checkpoint = &mut progress.checkpoint;
        // What was collected is in the past, also where this machine's clock is behind.
        let settled = checkpoint.closed_until.map_or(settled, |closed| closed.max(settled));
        let unreadable = |open: &mut OpenWindow| {
            open.purpose == Purpose::Reread && (open.start < oldest || open.end > settled)
        };
        checkpoint.open.take_if(unreadable);
        for range in &mut checkpoint.reread {
            range.from = range.from.max(oldest);
            range.to = range.to.min(settled);
        }
        checkpoint.reread.retain(|range| range.from < range.to);
        // What is being read belongs to the first range.
        if checkpoint.reread.is_empty() {
            checkpoint.open.take_if(|open| open.purpose == Purpose::Reread);
        }
    }

    /// From when to when Mimecast can be asked now.
    fn readable(&self) -> (OffsetDateTime, OffsetDateTime) {
        let now = self.world.now();
        (window::oldest(now), window::settled(now, self.settings.collect.settle))
    }
}

/// Puts a range behind those that wait, once.
fn ask(progress: &mut Progress<'_>, from: OffsetDateTime, to: OffsetDateTime) {
    let (range, waiting) = (TimeRange { from, to }, &mut progress.checkpoint.reread);
    if from < to && !waiting.contains(&range) {
        waiting.push(range);
    }
}

fn floor_hour(at: OffsetDateTime) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(at.unix_timestamp().div_euclid(3_600) * 3_600).unwrap_or(at)
}
