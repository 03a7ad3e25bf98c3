//! Which window to read next, and what can no longer be read. Pure: it takes the time, gives a choice.
//!
//! A window begins one overlap before the last closed one ended, inclusive, since events can arrive
//! late and several can share the second of a boundary; what comes twice is removed by its key. It
//! ends a settling time before now. Windows follow one another from the checkpoint, never from the
//! clock, so missed ticks leave no hole. A backlog is read in slices whose length follows its volume.

use std::time::Duration;

use time::OffsetDateTime;

use super::Window;

/// How far back Mimecast lets events be read (its page on get-audit-events).
pub const RETENTION: Duration = Duration::from_secs(60 * 24 * 60 * 60);

/// The most events that one open window should hold: what is remembered of them stays under a
/// megabyte and a stop costs little.
pub const OPEN_LIMIT_EVENTS: u64 = 50_000;

/// How many events a slice aims at: far enough below the limit that a busier hour still fits. Each slice can end
/// with a body that is not full, and its events are in the checkpoint that is written before each body: with
/// fewer there are more calls, with more each takes more memory and time (`docs/decisions/speed.md`).
pub(crate) const SLICE_EVENTS: u64 = OPEN_LIMIT_EVENTS / 4;

/// The first slice, before anything is known of the volume.
const FIRST_SLICE: Duration = Duration::from_secs(60 * 60);

/// The shortest slice: the API's times are whole seconds.
const SHORTEST_SLICE: Duration = Duration::from_secs(1);

/// How much longer or shorter one slice can make the next: quiet nights say little of busy mornings.
const SLICE_STEP: u32 = 8;

/// How the settings bound the windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CollectSettings {
    /// How far back the first run reaches; more than [`RETENTION`] is cut to it.
    pub first_run: Duration,
    /// How long events may take to settle: a window ends this long before now.
    pub settle: Duration,
    /// How far a window reaches back behind the last closed one.
    pub overlap: Duration,
}

/// What is known from the runs before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WindowState {
    /// The end of the last closed window; `None` before the first is closed.
    pub closed_until: Option<OffsetDateTime>,
    /// The window that was being read when a run ended.
    pub open: Option<Window>,
    /// The length of a slice that [`learned_slice`] gave.
    pub slice: Option<Duration>,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Read this window.
    Read(Chosen),
    /// Nothing has settled since the last window.
    CaughtUp,
    /// The checkpoint lies in the future: this machine's clock is, or was, wrong. Nothing is read
    /// until the clock has passed the checkpoint, since what lies before it was read.
    ClockBehind {
        /// How far.
        by: Duration,
    },
}

/// A window to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chosen {
    /// The window.
    pub window: Window,
    /// Where the new stretch begins: what lies before it in the window was read before.
    pub new_from: OffsetDateTime,
    /// Whether it is the one that was open, to be gone on with.
    pub resumed: bool,
    /// Whether more has settled than this window holds.
    pub more: bool,
    /// A stretch that was never read and cannot be any more. To be reported loudly, once.
    pub gap: Option<Gap>,
}

/// A stretch of time whose events are lost: Mimecast gives them out for sixty days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Its start.
    pub from: OffsetDateTime,
    /// Its end.
    pub to: OffsetDateTime,
}

/// The oldest time of which Mimecast still gives out events.
pub fn oldest(now: OffsetDateTime) -> OffsetDateTime {
    whole_seconds_up(now - RETENTION)
}

/// The latest time at which a window may end: what happened later may not have settled.
pub fn settled(now: OffsetDateTime, settle: Duration) -> OffsetDateTime {
    whole_seconds(now - settle)
}

/// A checkpoint that is less than this ahead of the clock is an ordinary correction of it.
const ORDINARY_CORRECTION: Duration = Duration::from_secs(5 * 60);

/// Chooses the next window.
pub fn choose(now: OffsetDateTime, state: &WindowState, settings: &CollectSettings) -> Choice {
    let oldest = oldest(now);
    let settled = settled(now, settings.settle);
    let first = whole_seconds(now - settings.first_run.min(RETENTION));
    // At least the last settled second, so that the first run always leaves a checkpoint.
    let first = first.min(settled - SHORTEST_SLICE).max(oldest);

    if let Some(window) = state.open
        && window.end > oldest
    {
        let new_from = state.closed_until.map_or(window.start, |closed| closed.max(window.start));
        let gap = (new_from < oldest).then_some(Gap { from: new_from, to: oldest });
        return Choice::Read(Chosen { window, new_from, resumed: true, more: window.end < settled, gap });
    }

    let closed = state.closed_until.map(whole_seconds);
    let new_from = closed.map_or(first, |closed| closed.max(oldest));
    let lost_from = closed.or(state.open.map(|window| window.start));
    let gap = lost_from.filter(|&from| from < oldest).map(|from| Gap { from, to: oldest });
    if new_from >= settled {
        let ahead = Duration::try_from(new_from - now).unwrap_or(Duration::ZERO);
        return if ahead > ORDINARY_CORRECTION {
            Choice::ClockBehind { by: ahead }
        } else {
            Choice::CaughtUp
        };
    }
    let start = match closed {
        Some(_) => (new_from - settings.overlap).max(oldest),
        // Nothing was read before, so nothing can have come late.
        None => new_from,
    };
    let slice = state.slice.unwrap_or(FIRST_SLICE).clamp(SHORTEST_SLICE, RETENTION);
    let end = whole_seconds(new_from + slice).min(settled);
    let window = Window { start: whole_seconds(start), end };
    Choice::Read(Chosen { window, new_from, resumed: false, more: end < settled, gap })
}

/// The length of the next slice, which is to hold `aimed` events, after one of this length (its new stretch) held
/// `events`.
pub fn learned_slice(slice: Duration, events: u64, aimed: f64) -> Duration {
    let aimed = slice.mul_f64(aimed / events.max(1) as f64);
    let slice = slice.max(SHORTEST_SLICE);
    aimed.clamp(slice / SLICE_STEP, slice.saturating_mul(SLICE_STEP)).clamp(SHORTEST_SLICE, RETENTION)
}

/// A narrower window in place of one that holds too much: `events` is the count that its first page
/// named. `None` where it holds little enough, or cannot be narrowed.
pub fn narrowed(chosen: &Chosen, events: u64) -> Option<Window> {
    if events <= OPEN_LIMIT_EVENTS {
        return None;
    }
    let length = chosen.window.end - chosen.new_from;
    shortened(chosen, length * (SLICE_EVENTS as f64 / events as f64))
}

/// Half of a window that could not be read, or of which too much would have to be remembered.
/// `None` where it cannot be halved.
pub fn halved(chosen: &Chosen) -> Option<Window> {
    shortened(chosen, (chosen.window.end - chosen.new_from) / 2)
}

fn shortened(chosen: &Chosen, length: time::Duration) -> Option<Window> {
    let end = whole_seconds(chosen.new_from + length).max(chosen.new_from + SHORTEST_SLICE);
    (end < chosen.window.end).then_some(Window { start: chosen.window.start, end })
}

/// Up to where a window counts as read, once all its pages are. `served_at` is Mimecast's own time
/// when it gave the first page: where this machine's clock runs ahead, the window ended in a future
/// whose events had not happened, and the checkpoint must not pass them.
pub fn closed_until(window: Window, served_at: Option<OffsetDateTime>, settle: Duration) -> OffsetDateTime {
    let settled = served_at.map_or(window.end, |at| whole_seconds(at - settle));
    window.end.min(settled.max(window.start))
}

/// Cuts a past stretch into windows of at most this length, oldest first.
pub fn slices(from: OffsetDateTime, to: OffsetDateTime, length: Duration) -> impl Iterator<Item = Window> {
    let length = length.max(SHORTEST_SLICE);
    let mut start = whole_seconds(from);
    let to = whole_seconds(to);
    std::iter::from_fn(move || {
        let window = Window { start, end: whole_seconds(start + length).min(to) };
        start = window.end;
        (window.start < window.end).then_some(window)
    })
}

fn whole_seconds(at: OffsetDateTime) -> OffsetDateTime {
    at.replace_nanosecond(0).unwrap_or(at)
}

fn whole_seconds_up(at: OffsetDateTime) -> OffsetDateTime {
    let whole = whole_seconds(at);
    if whole == at { at } else { whole + SHORTEST_SLICE }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use time::OffsetDateTime;
    use time::macros::datetime;

    use super::{
        Choice, Chosen, CollectSettings, Gap, OPEN_LIMIT_EVENTS, RETENTION, SLICE_EVENTS, WindowState,
        choose, closed_until, halved, learned_slice, narrowed, slices,
    };
    use crate::poll::Window;

    const NOW: OffsetDateTime = datetime!(2026-11-25 10:00:30.7 UTC);
    const HOUR: Duration = Duration::from_secs(3600);
    const SETTINGS: CollectSettings = CollectSettings {
        first_run: Duration::from_secs(7 * 24 * 3600),
        settle: Duration::from_secs(60),
        overlap: Duration::from_secs(15 * 60),
    };

    fn read(now: OffsetDateTime, state: &WindowState) -> Chosen {
        match choose(now, state, &SETTINGS) {
            Choice::Read(chosen) => chosen,
            other => panic!("{other:?}"),
        }
    }

    fn closed(at: OffsetDateTime) -> WindowState {
        WindowState { closed_until: Some(at), ..WindowState::default() }
    }

    #[test]
    fn the_first_run_reaches_back_as_set_and_ends_settled() {
        let chosen = read(NOW, &WindowState::default());
        assert_eq!(chosen.window.start, datetime!(2026-11-18 10:00:30 UTC));
        assert_eq!(chosen.window.end, datetime!(2026-11-18 11:00:30 UTC));
        assert!(chosen.more && !chosen.resumed && chosen.gap.is_none());
        let everything = WindowState { slice: Some(RETENTION), ..WindowState::default() };
        assert_eq!(read(NOW, &everything).window.end, datetime!(2026-11-25 09:59:30 UTC));
    }

    #[test]
    fn a_first_run_of_no_length_still_leaves_a_checkpoint() {
        let settings = CollectSettings { first_run: Duration::ZERO, ..SETTINGS };
        let Choice::Read(chosen) = choose(NOW, &WindowState::default(), &settings) else { panic!() };
        assert_eq!(chosen.window.end - chosen.window.start, time::Duration::SECOND);
    }

    #[test]
    fn a_first_run_beyond_sixty_days_is_cut_without_a_gap() {
        let settings = CollectSettings { first_run: 2 * RETENTION, ..SETTINGS };
        let Choice::Read(chosen) = choose(NOW, &WindowState::default(), &settings) else { panic!() };
        assert_eq!(chosen.window.start, datetime!(2026-09-26 10:00:31 UTC));
        assert_eq!(chosen.gap, None);
    }

    // BR-035: two ticks were skipped; the next window begins where the last one ended.
    // BR-038: inclusive, and one overlap before it.
    #[test]
    fn windows_follow_the_checkpoint_and_not_the_clock() {
        let state = closed(datetime!(2026-11-25 09:44:30 UTC));
        let chosen = read(NOW, &state);
        assert_eq!(chosen.window.start, datetime!(2026-11-25 09:29:30 UTC));
        assert_eq!(chosen.window.end, datetime!(2026-11-25 09:59:30 UTC));
        assert_eq!(chosen.new_from, datetime!(2026-11-25 09:44:30 UTC));
        assert!(!chosen.more);
    }

    #[test]
    fn nothing_is_read_until_something_has_settled() {
        assert_eq!(choose(NOW, &closed(datetime!(2026-11-25 09:59:30 UTC)), &SETTINGS), Choice::CaughtUp);
        // The clock was set back a little, then a lot.
        assert_eq!(choose(NOW, &closed(datetime!(2026-11-25 10:03 UTC)), &SETTINGS), Choice::CaughtUp);
        let behind = choose(NOW, &closed(datetime!(2026-11-25 11:00:30.7 UTC)), &SETTINGS);
        assert_eq!(behind, Choice::ClockBehind { by: HOUR - Duration::from_millis(700) });
    }

    // BR-045
    #[test]
    fn what_lies_beyond_sixty_days_is_a_gap_with_its_bounds() {
        let chosen = read(NOW, &closed(datetime!(2026-08-27 00:00 UTC)));
        let oldest = datetime!(2026-09-26 10:00:31 UTC);
        assert_eq!(chosen.gap, Some(Gap { from: datetime!(2026-08-27 00:00 UTC), to: oldest }));
        assert_eq!((chosen.window.start, chosen.new_from), (oldest, oldest));
        // Within sixty days there is none, even where the overlap reaches beyond.
        let chosen = read(NOW, &closed(datetime!(2026-09-26 10:05 UTC)));
        assert_eq!((chosen.gap, chosen.window.start), (None, oldest));
    }

    #[test]
    fn an_open_window_is_gone_on_with_unchanged() {
        let open = Window { start: datetime!(2026-11-25 08:00 UTC), end: datetime!(2026-11-25 09:00 UTC) };
        let state = WindowState { open: Some(open), ..closed(datetime!(2026-11-25 08:15 UTC)) };
        let chosen = read(NOW, &state);
        assert_eq!((chosen.window, chosen.resumed, chosen.more), (open, true, true));
        assert_eq!(chosen.new_from, datetime!(2026-11-25 08:15 UTC));

        // Part of it, then all of it, has aged out meanwhile.
        let later = open.start + RETENTION + Duration::from_secs(1800);
        let chosen = read(later, &state);
        let oldest = datetime!(2026-11-25 08:30 UTC);
        assert_eq!(chosen.gap, Some(Gap { from: datetime!(2026-11-25 08:15 UTC), to: oldest }));
        let chosen = read(later + HOUR, &state);
        assert!(!chosen.resumed);
        assert_eq!(
            chosen.gap,
            Some(Gap { from: datetime!(2026-11-25 08:15 UTC), to: datetime!(2026-11-25 09:30 UTC) })
        );
    }

    #[test]
    fn slices_follow_the_volume() {
        assert_eq!(learned_slice(HOUR, 0, SLICE_EVENTS as f64), 8 * HOUR);
        assert_eq!(learned_slice(HOUR, 6_250, SLICE_EVENTS as f64), 2 * HOUR);
        assert_eq!(learned_slice(HOUR, 50_000, SLICE_EVENTS as f64), HOUR / 4);
        assert_eq!(learned_slice(HOUR, 10_000_000, SLICE_EVENTS as f64), HOUR / 8);
        assert_eq!(learned_slice(RETENTION, 1, SLICE_EVENTS as f64), RETENTION);
        assert_eq!(
            learned_slice(Duration::from_secs(1), u64::MAX, SLICE_EVENTS as f64),
            Duration::from_secs(1)
        );
    }

    #[test]
    fn a_window_that_holds_too_much_is_narrowed_behind_what_was_read() {
        let chosen = read(NOW, &WindowState { slice: Some(HOUR), ..closed(datetime!(2026-11-25 06:00 UTC)) });
        assert_eq!(narrowed(&chosen, OPEN_LIMIT_EVENTS), None);
        // An eighth of the hour.
        let narrower = narrowed(&chosen, 100_000).expect("narrower");
        assert_eq!((narrower.start, narrower.end), (chosen.window.start, datetime!(2026-11-25 06:07:30 UTC)));
        let least = narrowed(&chosen, u64::MAX).expect("narrower");
        assert_eq!(least.end, datetime!(2026-11-25 06:00:01 UTC));
        assert_eq!(narrowed(&Chosen { window: least, ..chosen }, u64::MAX), None);
        assert_eq!(halved(&chosen).expect("a half").end, datetime!(2026-11-25 06:30 UTC));
        assert_eq!(halved(&Chosen { window: least, ..chosen }), None);
    }

    #[test]
    fn a_clock_that_runs_ahead_does_not_move_the_checkpoint_past_what_had_happened() {
        let window = Window { start: datetime!(2026-11-25 09:00 UTC), end: datetime!(2026-11-25 10:00 UTC) };
        let settle = Duration::from_secs(60);
        assert_eq!(closed_until(window, None, settle), window.end);
        assert_eq!(closed_until(window, Some(datetime!(2026-11-25 10:01 UTC)), settle), window.end);
        let ahead = closed_until(window, Some(datetime!(2026-11-25 09:58 UTC)), settle);
        assert_eq!(ahead, datetime!(2026-11-25 09:57 UTC));
        assert_eq!(closed_until(window, Some(datetime!(2026-11-25 08:00 UTC)), settle), window.start);
    }

    #[test]
    fn a_past_stretch_is_cut_without_hole_or_overlap() {
        let (from, to) = (datetime!(2026-11-01 00:00 UTC), datetime!(2026-11-01 02:30 UTC));
        let windows: Vec<_> = slices(from, to, HOUR).collect();
        assert_eq!(windows.len(), 3);
        assert!(windows.windows(2).all(|pair| pair[0].end == pair[1].start));
        assert_eq!((windows[0].start, windows[2].end), (from, to));
        assert_eq!(slices(to, from, HOUR).count(), 0);
    }

    proptest! {
        // BR-026: an idle run never moves the start backwards; BR-035: no second is left out.
        #[test]
        fn ticks_at_any_time_leave_no_hole_and_never_go_back(
            ticks in prop::collection::vec((0_u64..20_000, 1_u64..200_000), 1..60),
        ) {
            let mut now = NOW;
            let mut state = WindowState::default();
            let mut previous: Option<Window> = None;
            for (passed, slice_secs) in ticks {
                now += Duration::from_secs(passed);
                state.slice = Some(Duration::from_secs(slice_secs));
                let Choice::Read(chosen) = choose(now, &state, &SETTINGS) else { continue };
                let window = chosen.window;
                prop_assert!(window.start < window.end && window.end <= now - SETTINGS.settle);
                prop_assert_eq!(chosen.gap, None);
                if let Some(previous) = previous {
                    // Only the window after a very short first one may reach before its start.
                    prop_assert!(window.start >= previous.start.min(previous.end - SETTINGS.overlap));
                    prop_assert_eq!(chosen.new_from, previous.end);
                    prop_assert!(window.end > previous.end);
                }
                previous = Some(window);
                state.closed_until = Some(window.end);
            }
        }
    }
}
