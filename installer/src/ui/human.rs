//! Events and plans for people.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use console::Style;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::Value;

use super::{Event, Listener, Loudness};
use crate::plan::change::{Change, PropertyChange};
use crate::plan::{Plan, Severity, output};
use crate::verify::{Outcome, Probe};

/// Values longer than this are cut in a plan; JSON has them whole.
const VALUE_LIMIT_CHARS: usize = 100;

/// The listener: a line an event, and on a terminal a moving line for each step under way.
pub struct Lines {
    loudness: Loudness,
    colour: bool,
    moving: Option<MultiProgress>,
    bars: Mutex<HashMap<String, ProgressBar>>,
}

impl Lines {
    /// A listener. `redraw` is whether stderr is a terminal whose lines can be drawn again.
    pub fn new(loudness: Loudness, colour: bool, redraw: bool) -> Self {
        let moving = (redraw && loudness != Loudness::Quiet).then(MultiProgress::new);
        Self { loudness, colour, moving, bars: Mutex::new(HashMap::new()) }
    }

    fn line(&self, prefix: &str, style: Style, text: &str) {
        let styled = if self.colour {
            style.force_styling(true).apply_to(prefix).to_string()
        } else {
            prefix.to_owned()
        };
        let padding = " ".repeat(9_usize.saturating_sub(prefix.chars().count()));
        let line = format!("{padding}{styled} {text}");
        match &self.moving {
            // Drawn above the moving lines.
            Some(moving) => {
                let _ = moving.println(&line);
            }
            None => {
                let _ = writeln!(io::stderr().lock(), "{line}");
            }
        }
    }

    fn begin(&self, key: &str, title: &str) {
        let Some(moving) = &self.moving else { return };
        let bar = moving.add(ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template("  {spinner} {wide_msg} {elapsed:>4}") {
            bar.set_style(style);
        }
        bar.set_message(title.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        self.bars.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), bar);
    }

    fn end(&self, key: &str) {
        if let Some(bar) = self.bars.lock().unwrap_or_else(PoisonError::into_inner).remove(key) {
            bar.finish_and_clear();
        }
    }
}

impl Listener for Lines {
    fn on(&self, event: &Event) {
        if self.loudness == Loudness::Quiet {
            return;
        }
        match event {
            Event::SignedIn { method, account, tenant, cloud } => {
                let text = format!("in as {account} ({method}), tenant {tenant}, cloud {cloud}");
                self.line("signed", Style::new().green(), &text);
            }
            Event::Looking { what } => self.line("looking", Style::new().cyan(), what),
            Event::Note { text } => self.line("note", Style::new().cyan(), text),
            Event::Found { finding } => {
                let (prefix, style) = match finding.severity {
                    Severity::Refuses => ("refused", Style::new().red().bold()),
                    Severity::Warning => ("warning", Style::new().yellow()),
                    Severity::Note => ("note", Style::new().cyan()),
                };
                self.line(prefix, style, &finding.message);
                if let Some(remedy) = &finding.remedy {
                    self.line("", Style::new(), remedy);
                }
            }
            Event::StepStarted { key, title, done, total } => {
                if self.moving.is_some() {
                    self.begin(key, title);
                } else if self.loudness == Loudness::Verbose {
                    self.line("running", Style::new().cyan(), &format!("{title} ({done} of {total} done)"));
                }
            }
            Event::StepWaiting { key, title, reason } => {
                if let Some(bar) = self.bars.lock().unwrap_or_else(PoisonError::into_inner).get(key) {
                    bar.set_message(format!("{title}: {reason}"));
                } else {
                    self.line("waiting", Style::new().yellow(), &format!("{title}: {reason}"));
                }
            }
            Event::StepDone { key, title, millis } => {
                self.end(key);
                self.line("done", Style::new().green(), &format!("{title} ({})", duration(*millis)));
            }
            Event::StepSkipped { key, title, reason } => {
                self.end(key);
                self.line("skipped", Style::new().dim(), &format!("{title}: {reason}"));
            }
            Event::StepFailed { key, title, error } => {
                self.end(key);
                self.line("failed", Style::new().red().bold(), &format!("{title}: {error}"));
            }
            Event::Probed { probe } => {
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

/// A plan as people read it.
pub fn plan(plan: &Plan, colour: bool) -> String {
    let paint = |style: Style, text: String| {
        if colour { style.force_styling(true).apply_to(text).to_string() } else { text }
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
    for finding in &plan.findings {
        let (word, style) = match finding.severity {
            Severity::Refuses => ("refused", Style::new().red().bold()),
            Severity::Warning => ("warning", Style::new().yellow()),
            Severity::Note => ("note", Style::new().cyan()),
        };
        let _ = writeln!(text, "  {}: {}", paint(style, word.to_owned()), finding.message);
        if let Some(remedy) = &finding.remedy {
            let _ = writeln!(text, "           {remedy}");
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
