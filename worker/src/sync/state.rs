//! What a window leaves in the checkpoint: when it is opened, and when it is closed.

use std::time::Duration;

use contract::checkpoint::{Checkpoint, DayCount, OpenWindow, Purpose};
use time::OffsetDateTime;

use super::deliver::Progress;
use super::read::Resume;
use super::{Account, RunError};
use crate::batch::LIMIT_BYTES;
use crate::poll::window::{self, Chosen, WindowState};
use crate::poll::{PageToken, Window};
use crate::report::Report;

/// How far this machine's clock may run ahead of Mimecast's before nothing is read at all.
const CLOCK_MARGIN: Duration = Duration::from_secs(5 * 60);

/// What happened longer ago than this has all arrived when it is read. What is remembered stands in the checkpoint,
/// which is written before each body of a backlog. Should a day of a backlog look incomplete nevertheless, the hours
/// that differ come twice.
const LATEST_ARRIVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// A slice is meant to fill its bodies, each of them the whole of it but this share, so that a few events more than
/// expected do not begin another one.
const SPARE_OF_BODIES: f64 = 0.005;

/// What was read of a window.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counts {
    /// Events.
    pub(super) read: u64,
    /// Of them, seen before.
    pub(super) repeated: u64,
}

impl Account {
    /// Notes the window in the state, and gives the place to begin at.
    pub(super) fn open_window(
        &self,
        progress: &mut Progress<'_>,
        chosen: &Chosen,
        report: &mut Report,
    ) -> Resume {
        let Window { start, end } = chosen.window;
        report.window_start.get_or_insert(start);
        report.window_end = Some(end);
        let purpose = progress.checkpoint.open.as_ref().map(|open| open.purpose).unwrap_or_default();
        // While the past is read again, what the next window needs stays.
        let closes_at = match purpose {
            Purpose::Advance => end,
            Purpose::Reread => progress.checkpoint.closed_until.unwrap_or(end),
        };
        // The window may close earlier than it ends, where this machine's clock runs ahead.
        let needed = closes_at - self.settings.collect.overlap - self.settings.collect.settle - CLOCK_MARGIN;
        let collected_from = *progress.checkpoint.collected_from.get_or_insert(start);
        let wanted = match purpose {
            Purpose::Advance => {
                let unchecked = unchecked_from(collected_from, &progress.checkpoint.days);
                wanted_from(end, self.world.now(), needed, unchecked)
            }
            // The next slice begins in the second in which this one ends.
            Purpose::Reread => start,
        };
        progress.remembered.set_horizon(needed, wanted);
        match progress.checkpoint.open.as_ref().filter(|_| chosen.resumed || purpose == Purpose::Reread) {
            Some(open) => Resume { token: open.next_page.clone().map(PageToken::from), pages: open.pages },
            None => {
                let open = OpenWindow { start, end, purpose: Purpose::Advance, next_page: None, pages: 0 };
                progress.checkpoint.open = Some(open);
                Resume::default()
            }
        }
    }

    /// Everything of the window is safe: the watermark moves, or the past range grows shorter. `counts`
    /// are of this run's part of it.
    pub(super) async fn close(
        &self,
        progress: &mut Progress<'_>,
        chosen: &Chosen,
        served_at: Option<OffsetDateTime>,
        counts: Counts,
        report: &mut Report,
    ) -> Result<(), RunError> {
        let Window { start, end } = chosen.window;
        let open = progress.checkpoint.open.take();
        match open.map(|open| open.purpose).unwrap_or_default() {
            Purpose::Advance => {
                let closed = window::closed_until(chosen.window, served_at, self.settings.collect.settle);
                // Never back, whatever the clock did.
                let closed = progress.checkpoint.closed_until.map_or(closed, |before| before.max(closed));
                progress.checkpoint.closed_until = Some(closed);
                report.watermark = Some(closed);
                if !chosen.resumed && chosen.more {
                    let slice = Duration::try_from(end - chosen.new_from).unwrap_or_default();
                    let aimed = aimed_events(report.delivered, report.delivered_bytes);
                    let learned = window::learned_slice(slice, counts.read - counts.repeated, aimed);
                    progress.checkpoint.slice_secs = Some(learned.as_secs().max(1));
                }
            }
            Purpose::Reread => {
                let whole_hour = start.unix_timestamp() % 3_600 == 0 && end - start == time::Duration::HOUR;
                if whole_hour && !chosen.resumed {
                    let hour = usize::from(start.hour());
                    if let Some(count) = progress.day(start).hours.get_mut(hour) {
                        *count = u32::try_from(counts.read).unwrap_or(u32::MAX);
                    }
                }
                if let Some(range) = progress.checkpoint.reread.first_mut() {
                    range.from = range.from.max(end);
                }
                progress.checkpoint.reread.retain(|range| range.from < range.to);
            }
        }
        progress.checkpoint.in_flight.clear();
        progress.remembered.close();
        Ok(progress.save().await?)
    }

    pub(super) fn window_settings(&self) -> window::CollectSettings {
        let collect = &self.settings.collect;
        window::CollectSettings {
            first_run: collect.first_run,
            settle: collect.settle,
            overlap: collect.overlap,
        }
    }
}

/// What the choice of a window depends on.
pub(super) fn state(checkpoint: &Checkpoint) -> WindowState {
    let open = checkpoint.open.as_ref().filter(|open| open.purpose == Purpose::Advance);
    WindowState {
        closed_until: checkpoint.closed_until,
        open: open.map(|open| Window { start: open.start, end: open.end }),
        slice: checkpoint.slice_secs.map(Duration::from_secs),
    }
}

/// From when on events are best remembered when a window that ends at `end` is closed: since the first day that
/// is not checked, in case it is found incomplete; of a backlog only since what the next window needs.
fn wanted_from(
    end: OffsetDateTime,
    now: OffsetDateTime,
    needed: OffsetDateTime,
    unchecked: OffsetDateTime,
) -> OffsetDateTime {
    if end + LATEST_ARRIVAL < now { needed } else { unchecked }
}

/// How many events the next slice aims at: about [`window::SLICE_EVENTS`], and as many as fill whole bodies, where
/// `rows` of them took `bytes`.
fn aimed_events(rows: u64, bytes: u64) -> f64 {
    let usual = window::SLICE_EVENTS as f64;
    if bytes == 0 {
        return usual;
    }
    let rows_a_body = LIMIT_BYTES as f64 * rows as f64 / bytes as f64;
    let bodies = (usual / rows_a_body).round();
    // Where rows are so short that a body holds more, its size decides nothing.
    if bodies < 1.0 { usual } else { bodies * rows_a_body * (1.0 - SPARE_OF_BODIES) }
}

/// The start of the first day whose completeness has not been checked. Of a day of which nothing was delivered
/// yet there is no count, so that the one after the last that was checked is such a day too: were it passed
/// over, its first events would be forgotten, and repeated if it turned out to be incomplete.
fn unchecked_from(collected_from: OffsetDateTime, days: &[DayCount]) -> OffsetDateTime {
    let from = collected_from.date();
    let counted = days.iter().find(|day| !day.checked && day.day >= from).map(|day| day.day);
    let after_checked = days.iter().rfind(|day| day.checked).and_then(|day| day.day.next_day());
    let first = counted.into_iter().chain(after_checked).min().unwrap_or(from);
    first.midnight().assume_utc()
}

#[cfg(test)]
mod tests {
    use contract::checkpoint::DayCount;
    use time::macros::{date, datetime};

    use super::{aimed_events, unchecked_from, wanted_from};

    #[test]
    fn a_slice_aims_at_bodies_that_are_full() {
        // 950,000 bytes hold 1,520 rows of 625; 8.2 bodies are as many as usual.
        let full = 8.0 * 1_520.0;
        assert!((aimed_events(10, 6_250) - full * 0.995).abs() < 0.001);
        // Rows of 400 bytes: 5.3 bodies of 2,375.
        assert!((aimed_events(10, 4_000) - 5.0 * 2_375.0 * 0.995).abs() < 0.001);
        // Nothing is known, or a body holds all of them.
        assert_eq!(aimed_events(0, 0), 12_500.0);
        assert_eq!(aimed_events(100, 1_000), 12_500.0);
    }

    #[test]
    fn of_a_backlog_no_more_is_remembered_than_the_next_window_needs() {
        let (unchecked, needed) = (datetime!(2026-11-20 00:00 UTC), datetime!(2026-11-20 08:39 UTC));
        let end = datetime!(2026-11-20 09:00 UTC);
        for (now, expected) in [
            (datetime!(2026-11-20 09:01 UTC), unchecked),
            (datetime!(2026-11-21 09:00 UTC), unchecked),
            (datetime!(2026-11-21 09:00:01 UTC), needed),
        ] {
            assert_eq!(wanted_from(end, now, needed, unchecked), expected, "{now}");
        }
    }

    #[test]
    fn a_day_of_which_nothing_came_yet_is_unchecked_too() {
        let day = |day, checked| DayCount { day, hours: [0; 24], unplaced: 0, checked };
        let from = datetime!(2026-11-20 09:00 UTC);
        // Nothing is known yet, as in the first window.
        assert_eq!(unchecked_from(from, &[]), datetime!(2026-11-20 00:00 UTC));
        let (first, second) = (date!(2026 - 11 - 21), date!(2026 - 11 - 22));
        assert_eq!(unchecked_from(from, &[day(first, true)]), datetime!(2026-11-22 00:00 UTC));
        assert_eq!(
            unchecked_from(from, &[day(first, true), day(second, false)]),
            datetime!(2026-11-22 00:00 UTC)
        );
        assert_eq!(
            unchecked_from(from, &[day(first, false), day(second, true)]),
            datetime!(2026-11-21 00:00 UTC)
        );
        // What lies before the first run is never checked.
        assert_eq!(
            unchecked_from(from, &[day(date!(2026 - 11 - 19), false)]),
            datetime!(2026-11-20 00:00 UTC)
        );
    }
}
