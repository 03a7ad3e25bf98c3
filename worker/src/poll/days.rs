//! Whether everything was read. Pure.
//!
//! Completeness is checked, not promised: once a day is closed and late events have had their time,
//! one call asks Mimecast how many events it holds, and the answer is compared with what was
//! delivered of that day.

use std::time::Duration;

use time::{Date, OffsetDateTime, Time};

use super::Window;

/// What a comparison shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Everything was delivered.
    Complete,
    /// This many events were not: the day is to be read again.
    Missing(u64),
    /// This many more were delivered than Mimecast holds now. Reading again cannot help; it is said,
    /// because it can mean that events have got other ids.
    Surplus(u64),
}

/// The window whose count is compared for a day. Its end is the day's last second: were it the next
/// midnight, an API that includes the end would count the next day's first events, and a complete day
/// would look incomplete. Where the end is not included, the last second's events are not counted,
/// which looks like a surplus and does no harm.
pub fn day_window(day: Date) -> Window {
    let start = day.midnight().assume_utc();
    Window { start, end: start + Duration::from_secs(24 * 60 * 60 - 1) }
}

/// The same for one hour of a day, 0 to 23.
pub fn hour_window(day: Date, hour: u8) -> Window {
    let start = day.with_time(Time::MIDNIGHT).assume_utc() + Duration::from_secs(u64::from(hour) * 60 * 60);
    Window { start, end: start + Duration::from_secs(60 * 60 - 1) }
}

/// The days that can be compared: all their seconds, and one overlap more, are closed; and Mimecast
/// still gives out all of their events. A day of which only a part was collected, because the first
/// run began within it, is not among them.
pub fn due_days(
    collected_from: OffsetDateTime,
    closed_until: OffsetDateTime,
    overlap: Duration,
    now: OffsetDateTime,
) -> impl Iterator<Item = Date> {
    let oldest = collected_from.max(now - super::window::RETENTION);
    let first = if oldest.time() == Time::MIDNIGHT { Some(oldest.date()) } else { oldest.date().next_day() };
    std::iter::successors(first, |day| day.next_day())
        .take_while(move |day| day_window(*day).end + Duration::from_secs(1) + overlap <= closed_until)
}

/// Compares. `delivered`: distinct events of the day that were delivered; `set_aside`: elements that
/// could not be read or placed in time while the day was collected, each of which may be one of the
/// day's.
pub fn verdict(delivered: u64, set_aside: u64, counted: u64) -> Verdict {
    if counted > delivered + set_aside {
        Verdict::Missing(counted - delivered - set_aside)
    } else if counted < delivered {
        Verdict::Surplus(delivered - counted)
    } else {
        Verdict::Complete
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use time::macros::{date, datetime};

    use super::{Verdict, day_window, due_days, hour_window, verdict};

    #[test]
    fn a_difference_names_its_side() {
        assert_eq!(verdict(449, 0, 449), Verdict::Complete);
        assert_eq!(verdict(447, 0, 449), Verdict::Missing(2));
        assert_eq!(verdict(447, 1, 449), Verdict::Missing(1));
        assert_eq!(verdict(447, 2, 449), Verdict::Complete);
        assert_eq!(verdict(450, 0, 449), Verdict::Surplus(1));
        assert_eq!(verdict(0, 0, 3), Verdict::Missing(3));
    }

    #[test]
    fn only_whole_days_that_are_closed_are_compared() {
        let overlap = Duration::from_secs(900);
        let due = |from, closed, now| due_days(from, closed, overlap, now).collect::<Vec<_>>();
        let now = datetime!(2026-11-25 10:00 UTC);
        let from = datetime!(2026-11-20 10:00 UTC);
        assert_eq!(
            due(from, datetime!(2026-11-23 00:15 UTC), now),
            [date!(2026 - 11 - 21), date!(2026 - 11 - 22)]
        );
        assert_eq!(due(from, datetime!(2026-11-23 00:14:59 UTC), now), [date!(2026 - 11 - 21)]);
        assert_eq!(due(from, datetime!(2026-11-20 23:00 UTC), now), []);
        let midnight = datetime!(2026-11-21 00:00 UTC);
        assert_eq!(due(midnight, datetime!(2026-11-22 01:00 UTC), now), [date!(2026 - 11 - 21)]);
        // What has aged out cannot be counted any more.
        assert_eq!(
            due(from, datetime!(2026-11-23 01:00 UTC), datetime!(2027-01-20 12:00 UTC)),
            [date!(2026 - 11 - 22)]
        );
    }

    #[test]
    fn the_windows_of_a_day_hold_each_second_once() {
        let day = date!(2026 - 11 - 21);
        assert_eq!(day_window(day).start, datetime!(2026-11-21 00:00 UTC));
        assert_eq!(day_window(day).end, datetime!(2026-11-21 23:59:59 UTC));
        for hour in 0..23 {
            assert_eq!(hour_window(day, hour).end + Duration::from_secs(1), hour_window(day, hour + 1).start);
        }
        assert_eq!(hour_window(day, 23).end, day_window(day).end);
    }
}
