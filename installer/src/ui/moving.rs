//! The lines of a terminal that are drawn again and again: one for each step or look under way, and one for
//! all steps.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// How often a spinner turns.
const TICK: Duration = Duration::from_millis(120);
/// Columns of the bar of a wait whose usual length is known.
const WAIT_COLUMNS: u64 = 10;
/// Columns of a terminal that does not say how wide it is.
const USUAL_COLUMNS: u16 = 80;

/// The moving lines.
pub(super) struct Moving {
    lines: MultiProgress,
    all: ProgressBar,
    steps: Mutex<HashMap<String, ProgressBar>>,
}

impl Moving {
    /// No lines yet.
    pub(super) fn new() -> Self {
        let all = ProgressBar::new(0);
        all.set_style(style("  {bar:20.green} {pos} of {len} steps, {since}"));
        Self { lines: MultiProgress::new(), all, steps: Mutex::default() }
    }

    /// How wide the terminal is.
    pub(super) fn columns(&self) -> usize {
        usize::from(console::Term::stderr().size_checked().map_or(USUAL_COLUMNS, |(_, columns)| columns))
    }

    /// Prints a line that stays, above those that move.
    pub(super) fn above(&self, line: &str) {
        // Where nothing moves the library would leave the cursor at the line's end.
        let _ = match self.all.length() {
            Some(0) | None => writeln!(io::stderr().lock(), "{line}"),
            Some(_) => self.lines.println(line),
        };
    }

    /// Something is under way: a step, or a look.
    pub(super) fn begin(&self, key: &str, title: &str) {
        let bar = ProgressBar::new_spinner();
        let bar = if self.all.length() == Some(0) || self.all.is_finished() {
            self.lines.add(bar)
        } else {
            self.lines.insert_before(&self.all, bar)
        };
        bar.set_style(style("  {spinner} {wide_msg} {since:>5}"));
        bar.set_message(title.to_owned());
        bar.enable_steady_tick(TICK);
        self.lock().insert(key.to_owned(), bar);
    }

    /// It is about this now.
    pub(super) fn retitle(&self, key: &str, title: &str) {
        if let Some(bar) = self.lock().get(key) {
            bar.set_message(title.to_owned());
        }
    }

    /// It usually takes this long.
    pub(super) fn expect(&self, key: &str, usual_secs: u64) {
        if let Some(bar) = self.lock().get(key) {
            bar.set_length(usual_secs.max(1));
            bar.set_style(style("  {spinner} {wide_msg} {usual} {since:>5}"));
        }
    }

    /// It is over.
    pub(super) fn end(&self, key: &str) {
        if let Some(bar) = self.lock().remove(key) {
            bar.finish_and_clear();
        }
    }

    /// So many steps are done.
    pub(super) fn progress(&self, done: usize, total: usize) {
        if self.all.length() == Some(0) {
            self.lines.add(self.all.clone());
            self.all.reset_elapsed();
            self.all.enable_steady_tick(TICK);
        }
        self.all.set_length(total as u64);
        self.all.set_position(done as u64);
        if done == total {
            self.all.finish_and_clear();
        }
    }

    /// Leaves the screen to a question.
    pub(super) fn hide(&self) {
        let _ = self.lines.clear();
        self.lines.set_draw_target(ProgressDrawTarget::hidden());
    }

    /// Takes the screen back.
    pub(super) fn unhide(&self) {
        self.lines.set_draw_target(ProgressDrawTarget::stderr());
    }

    /// Takes all lines away.
    pub(super) fn clear(&self) {
        for (_, bar) in self.lock().drain() {
            bar.finish_and_clear();
        }
        self.all.finish_and_clear();
        let _ = self.lines.clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, ProgressBar>> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A style of this template, with two words of ours: `since`, the time since the beginning, and `usual`, a
/// bar that is full when a wait has lasted as long as it usually does.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("##-")
        .with_key("since", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            let _ = out.write_str(&clock(state.elapsed().as_secs()));
        })
        .with_key("usual", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            let usual_secs = state.len().unwrap_or(1).max(1);
            let _ = out.write_str(&filled(state.elapsed().as_secs(), usual_secs));
        })
}

/// Minutes and seconds.
fn clock(secs: u64) -> String {
    format!("{}:{:02}", secs / 60, secs % 60)
}

/// A bar of how much of a usual wait is over.
fn filled(secs: u64, usual_secs: u64) -> String {
    let full = (secs * WAIT_COLUMNS / usual_secs).min(WAIT_COLUMNS);
    let mut bar = String::from("[");
    for column in 0..WAIT_COLUMNS {
        bar.push(if column < full { '#' } else { '-' });
    }
    let _ = write!(bar, "]");
    bar
}

#[cfg(test)]
mod tests {
    use super::{clock, filled, style};

    #[test]
    fn a_wait_fills_its_bar_and_not_more() {
        assert_eq!(filled(0, 60), "[----------]");
        assert_eq!(filled(30, 60), "[#####-----]");
        assert_eq!(filled(600, 60), "[##########]");
        assert_eq!(clock(125), "2:05");
    }

    #[test]
    fn templates_are_good() {
        // A bad one would fall back to the library's own without a word.
        for template in [
            "  {bar:20.green} {pos} of {len} steps, {since}",
            "  {spinner} {wide_msg} {since:>5}",
            "  {spinner} {wide_msg} {usual} {since:>5}",
        ] {
            assert!(indicatif::ProgressStyle::with_template(template).is_ok(), "{template}");
            style(template);
        }
    }
}
