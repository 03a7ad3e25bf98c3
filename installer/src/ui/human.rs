//! Events and plans for people.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use console::Style;
use serde_json::Value;

use super::lines::hanging;
use super::moving::Moving;
use super::{Event, Listener, Loudness, Page};
use crate::check::{Check, Side, State};
use crate::plan::change::{Change, PropertyChange};
use crate::plan::{Plan, Severity, output};
use crate::verify::{Outcome, Probe};

/// Values longer than this are cut in a plan; JSON has them whole.
const VALUE_LIMIT_CHARS: usize = 100;
/// Columns before a line's text: the longest prefix, right-aligned, and a blank.
const MARGIN_CHARS: usize = 10;

/// The listener: a line an event, and on a terminal a moving line for each step under way.
pub struct Lines {
    loudness: Loudness,
    colour: bool,
    moving: Option<Moving>,
    /// What happened while a question stands on the screen.
    held: Mutex<Option<Vec<Event>>>,
}

/// What stderr can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Screen {
    /// Whether it may be coloured.
    pub colour: bool,
    /// Whether it is a terminal whose lines can be drawn again.
    pub redraw: bool,
}

impl Lines {
    /// A listener.
    pub fn new(loudness: Loudness, screen: Screen) -> Self {
        let Screen { colour, redraw } = screen;
        let moving = (redraw && loudness != Loudness::Quiet).then(Moving::new);
        Self { loudness, colour, moving, held: Mutex::new(None) }
    }

    fn line(&self, prefix: &str, style: Style, text: &str) {
        let styled = if self.colour {
            style.force_styling(true).apply_to(prefix).to_string()
        } else {
            prefix.to_owned()
        };
        let padding = " ".repeat(MARGIN_CHARS.saturating_sub(prefix.chars().count() + 1));
        match &self.moving {
            // Drawn above the moving lines.
            Some(moving) => {
                let text = hanging(text, MARGIN_CHARS, moving.columns());
                moving.above(&format!("{padding}{styled} {text}"));
            }
            None => {
                let _ = writeln!(io::stderr().lock(), "{padding}{styled} {text}");
            }
        }
    }

    fn show(&self, event: &Event) {
        match event {
            Event::SignedIn { method, account, tenant, cloud } => {
                let text = format!("in as {account} ({method}), tenant {tenant}, cloud {cloud}");
                self.line("signed", Style::new().green(), &text);
            }
            Event::Looking { what } => self.line("looking", Style::new().cyan(), what),
            Event::Note { text } => self.line("note", Style::new().cyan(), text),
            // A failed check stands whole in the error that it leads to, a good one would be noise.
            Event::Checked { check } => match check.state {
                State::Failed => {}
                State::Good if self.loudness != Loudness::Verbose => {}
                state => {
                    let (prefix, style) = check_style(state);
                    self.line(prefix, style, &check.told());
                    if let Some(remedy) = &check.remedy {
                        remedy.lines().for_each(|each| self.line("", Style::new(), each));
                    }
                }
            },
            Event::Found { finding } => {
                let (prefix, style) = severity(finding.severity);
                self.line(prefix, style, &finding.message);
                if let Some(remedy) = &finding.remedy {
                    self.line("", Style::new(), remedy);
                }
            }
            Event::StepStarted { key, title, done, total } => {
                if let Some(moving) = &self.moving {
                    moving.progress(*done, *total);
                    moving.begin(key, title);
                } else if self.loudness == Loudness::Verbose {
                    self.line("running", Style::new().cyan(), &format!("{title} ({done} of {total} done)"));
                }
            }
            Event::StepWaiting { key, title, reason, usual_secs } => {
                self.line("waiting", Style::new().yellow(), &format!("{title}: {reason}"));
                if let (Some(moving), Some(usual_secs)) = (&self.moving, usual_secs) {
                    moving.expect(key, *usual_secs);
                }
            }
            Event::StepDone { key, title, millis, done, total } => {
                if let Some(moving) = &self.moving {
                    moving.end(key);
                    moving.progress(*done, *total);
                }
                self.line("done", Style::new().green(), &format!("{title} ({})", duration(*millis)));
            }
            Event::StepSkipped { key, title, reason } => {
                if let Some(moving) = &self.moving {
                    moving.end(key);
                }
                self.line("skipped", Style::new().dim(), &format!("{title}: {reason}"));
            }
            Event::StepFailed { key, title, error } => {
                if let Some(moving) = &self.moving {
                    moving.end(key);
                }
                self.line("failed", Style::new().red().bold(), &format!("{title}: {error}"));
            }
            Event::ProbeStarted { id, title } => {
                if let Some(moving) = &self.moving {
                    moving.begin(id, title);
                }
            }
            Event::ProbeWaiting { id, title, reason, usual_secs } => {
                self.line("waiting", Style::new().yellow(), &format!("{title}: {reason}"));
                if let Some(moving) = &self.moving {
                    moving.expect(id, *usual_secs);
                }
            }
            Event::ProbeSaw { id, title, result } => match &self.moving {
                Some(moving) => moving.retitle(id, &format!("{title}: {result}")),
                None if self.loudness == Loudness::Verbose => {
                    self.line("looking", Style::new().cyan(), &format!("{title}: {result}"));
                }
                None => {}
            },
            Event::Probed { probe } => {
                if let Some(moving) = &self.moving {
                    moving.end(probe.id);
                }
                let (prefix, style) = match probe.outcome {
                    Outcome::Good => ("done", Style::new().green()),
                    Outcome::Waiting => ("waiting", Style::new().yellow()),
                    Outcome::NotChecked => ("skipped", Style::new().dim()),
                    Outcome::Bad => ("failed", Style::new().red().bold()),
                };
                self.line(prefix, style, &probe_text(probe));
            }
        }
    }
}

impl Listener for Lines {
    fn on(&self, event: &Event) {
        if self.loudness == Loudness::Quiet {
            return;
        }
        if let Some(held) = &mut *self.held.lock().unwrap_or_else(PoisonError::into_inner) {
            return held.push(event.clone());
        }
        self.show(event);
    }

    fn hold(&self) {
        if let Some(moving) = &self.moving {
            moving.hide();
        }
        self.held.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default();
    }

    fn release(&self) {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(held) = held else { return };
        if let Some(moving) = &self.moving {
            moving.unhide();
        }
        for event in &held {
            self.show(event);
        }
    }

    fn settle(&self) {
        self.release();
        if let Some(moving) = &self.moving {
            moving.clear();
        }
    }
}

fn severity(severity: Severity) -> (&'static str, Style) {
    match severity {
        Severity::Refuses => ("refused", Style::new().red().bold()),
        Severity::Warning => ("warning", Style::new().yellow()),
        Severity::Note => ("note", Style::new().cyan()),
    }
}

fn check_style(state: State) -> (&'static str, Style) {
    match state {
        State::Good => ("good", Style::new().green()),
        State::Warning => ("warning", Style::new().yellow()),
        State::NotChecked => ("skipped", Style::new().dim()),
        State::Failed => ("failed", Style::new().red().bold()),
    }
}

/// Checks as people read them: grouped by side, each fault with its remedy, in lines of so many columns where
/// that is known.
pub fn checks(checks: &[Check], page: Page) -> String {
    /// Columns before a check's text: two blanks, the longest state, two blanks.
    const INDENT_CHARS: usize = 12;
    let fitted = |text: &str| {
        page.columns.map_or_else(|| text.to_owned(), |columns| hanging(text, INDENT_CHARS, columns))
    };
    let mut text = String::new();
    for side in Side::ALL {
        let here: Vec<&Check> = checks.iter().filter(|check| check.side == side).collect();
        if here.is_empty() {
            continue;
        }
        let _ = writeln!(text, "{}", side.heading());
        for check in here {
            let (word, style) = check_style(check.state);
            let padding = " ".repeat(8_usize.saturating_sub(word.len()));
            let word = if page.colour {
                style.force_styling(true).apply_to(word).to_string()
            } else {
                word.to_owned()
            };
            let told = fitted(&format!("{} [{}]", check.told(), check.id));
            let _ = writeln!(text, "  {word}{padding}  {told}");
            for line in check.remedy.iter().flat_map(|remedy| remedy.lines()).chain(check.link) {
                let _ = writeln!(text, "{}{}", " ".repeat(INDENT_CHARS), fitted(line));
            }
        }
    }
    let count = |state: State| checks.iter().filter(|check| check.state == state).count();
    let parts = [
        (State::Good, "good"),
        (State::Warning, "with a warning"),
        (State::NotChecked, "not checked"),
        (State::Failed, "failed"),
    ];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(state, _)| count(*state) > 0)
        .map(|(state, word)| format!("{} {word}", count(*state)))
        .collect();
    let _ = writeln!(text, "Checks: {}.", parts.join(", "));
    text
}

fn probe_text(probe: &Probe) -> String {
    let mut text = format!("{}: {}", probe.title, probe.result);
    if let Some(remedy) = &probe.remedy {
        let _ = write!(text, "; {remedy}");
    }
    text
}

fn duration(millis: u64) -> String {
    match millis {
        0..1_000 => format!("{millis} ms"),
        1_000..60_000 => format!("{}.{} s", millis / 1_000, millis % 1_000 / 100),
        _ => format!("{} min {} s", millis / 60_000, millis % 60_000 / 1_000),
    }
}

/// A plan as people read it. What is found is told in lines of so many columns where that is known.
pub fn plan(plan: &Plan, page: Page) -> String {
    /// Columns before a finding's remedy.
    const INDENT_CHARS: usize = 11;
    let fitted = |text: &str, indent: usize| {
        page.columns.map_or_else(|| text.to_owned(), |columns| hanging(text, indent, columns))
    };
    let paint = |style: Style, text: String| {
        if page.colour { style.force_styling(true).apply_to(text).to_string() } else { text }
    };
    let mut text = String::new();
    let _ = writeln!(
        text,
        "Installation `{}` in resource group `{}`, subscription {}",
        plan.installation, plan.resource_group, plan.subscription_id
    );
    for step in &plan.steps {
        match &step.change {
            Change::Create => {
                let _ = writeln!(text, "  {} {}", paint(Style::new().green(), "+".to_owned()), step.title);
            }
            Change::Delete => {
                let _ = writeln!(text, "  {} {}", paint(Style::new().red(), "-".to_owned()), step.title);
            }
            Change::Run => {
                let _ = writeln!(text, "  {} {}", paint(Style::new().cyan(), ">".to_owned()), step.title);
            }
            Change::Update(changes) => {
                let _ = writeln!(text, "  {} {}", paint(Style::new().yellow(), "~".to_owned()), step.title);
                for change in changes {
                    let _ = writeln!(text, "      {}", property(change));
                }
            }
        }
    }
    for tuned in &plan.tuned {
        let _ = writeln!(text, "  {} {}", paint(Style::new().cyan(), "=".to_owned()), tuned.title);
        for change in &tuned.changes {
            let _ = writeln!(text, "      {} (stays)", property(change));
        }
    }
    for finding in &plan.findings {
        let (word, style) = severity(finding.severity);
        let message = fitted(&finding.message, word.len() + 4);
        let _ = writeln!(text, "  {}: {message}", paint(style, word.to_owned()));
        for line in finding.remedy.iter().flat_map(|remedy| remedy.lines()) {
            let _ = writeln!(text, "{}{}", " ".repeat(INDENT_CHARS), fitted(line, INDENT_CHARS));
        }
    }
    text.push_str(&summary(plan));
    text
}

/// The last line of a plan.
fn summary(plan: &Plan) -> String {
    if plan.empty() {
        return format!("Nothing to do: {} resources are as they should be.\n", plan.kept.len());
    }
    let count = |matches: fn(&Change) -> bool| plan.steps.iter().filter(|step| matches(&step.change)).count();
    let parts = [
        (count(|change| matches!(change, Change::Create)), "to create"),
        (count(|change| matches!(change, Change::Update(_))), "to change"),
        (count(|change| matches!(change, Change::Delete)), "to delete"),
        (count(|change| matches!(change, Change::Run)), "to run"),
        (plan.kept.len(), "to leave as they are"),
    ];
    let parts: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    format!("Plan: {}.\n", parts.join(", "))
}

/// A difference as one line.
pub fn property(change: &PropertyChange) -> String {
    let before = change.before.as_ref().map_or_else(|| "(absent)".to_owned(), value);
    let after = if change.after.is_null() { "(absent)".to_owned() } else { value(&change.after) };
    format!("{}: {before} -> {after}", change.path)
}

fn value(value: &Value) -> String {
    let text = match value {
        Value::String(text) => output::readable(text),
        other => other.to_string(),
    };
    if text.chars().count() > VALUE_LIMIT_CHARS {
        let cut: String = text.chars().take(VALUE_LIMIT_CHARS).collect();
        return format!("{cut}\u{2026}");
    }
    text
}
