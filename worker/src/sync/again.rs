//! The past, again: whether whole days are complete, and ranges that are read once more.
//!
//! Ranges wait in the checkpoint, so that a long backfill is taken up by the next run.

use std::time::Duration;

use contract::checkpoint::{OpenWindow, Purpose, TimeRange};
use serde_json::json;
use time::OffsetDateTime;

use super::deliver::Progress;
use super::{Account, RunError, WindowEnd};
use crate::command::Backfill;
use crate::poll::Window;
use crate::poll::days::{self, Verdict};
use crate::poll::window::{Chosen, slices};
use crate::report::{Level, Report, chain};
use crate::transform::Transformer;
use crate::world::Deadline;

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

    /// Puts what a person asked for among the ranges to read again.
    pub(super) async fn ask_again(
        &self,
        progress: &mut Progress<'_>,
        backfill: Backfill,
        deadline: Deadline,
        report: &mut Report,
    ) -> Result<(), RunError> {
        if !backfill.only_missing {
            progress.checkpoint.reread.push(TimeRange { from: backfill.from, to: backfill.to });
            return Ok(progress.save().await?);
        }
        for window in slices(floor_hour(backfill.from), backfill.to, SLICE) {
            let delivered = progress.delivered_in_hour(window.start);
            // The count's end may be inclusive; the last second of the hour is the same either way.
            let counting = Window { start: window.start, end: window.end - Duration::from_secs(1) };
            let Some(counted) = self.count(counting, deadline, report).await else { break };
            if counted.is_none_or(|counted| counted > delivered) {
                progress.checkpoint.reread.push(TimeRange { from: window.start, to: window.end });
            }
        }
        Ok(progress.save().await?)
    }

    /// Reads the waiting ranges, hour by hour.
    pub(super) async fn reread(
        &self,
        progress: &mut Progress<'_>,
        transformer: &mut Transformer,
        deadline: Deadline,
        report: &mut Report,
    ) -> Result<WindowEnd, RunError> {
        while let Some(&range) = progress.checkpoint.reread.first() {
            if deadline.passed(&self.world) {
                return Ok(WindowEnd::BudgetUsed);
            }
            let resumed = progress.checkpoint.open.as_ref().filter(|open| open.purpose == Purpose::Reread);
            let resumed = resumed.map(|open| Window { start: open.start, end: open.end });
            let Some(window) = resumed.or_else(|| slices(range.from, range.to, SLICE).next()) else {
                progress.checkpoint.reread.remove(0);
                continue;
            };
            let mut chosen =
                Chosen { window, new_from: window.start, resumed: resumed.is_some(), more: false, gap: None };
            if resumed.is_none() {
                let Window { start, end } = window;
                let purpose = Purpose::Reread;
                progress.checkpoint.open =
                    Some(OpenWindow { start, end, purpose, next_page: None, pages: 0 });
            }
            if self.window(progress, transformer, &mut chosen, deadline, report).await?
                == WindowEnd::BudgetUsed
            {
                return Ok(WindowEnd::BudgetUsed);
            }
        }
        Ok(WindowEnd::Closed)
    }
}

fn floor_hour(at: OffsetDateTime) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(at.unix_timestamp().div_euclid(3_600) * 3_600).unwrap_or(at)
}
