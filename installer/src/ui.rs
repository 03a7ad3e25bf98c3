//! The terminal: data on stdout, talk on stderr, and nothing else prints.
//!
//! The engine emits [`Event`]s; a listener for people and one for programs show them.

pub mod event;
pub mod failure;
pub mod human;
pub mod json;
pub mod lines;
mod moving;
pub mod question;

use std::io::{self, Write};
use std::sync::Arc;

use serde_json::Value;

use crate::world::World;
pub use event::{Event, Usual};
pub use failure::{Code, Failure};
pub use question::{Turn, Unanswered};

/// What the output is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Output {
    /// People.
    #[default]
    Human,
    /// Programs: one JSON document on stdout, one JSON object a line on stderr.
    Json,
}

/// How much is said on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Loudness {
    /// Errors alone.
    Quiet,
    /// What happens.
    #[default]
    Normal,
    /// What happens, in detail.
    Verbose,
}

/// What data is printed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Page {
    /// Whether it may be coloured.
    pub colour: bool,
    /// How wide the terminal is; `None` where data goes elsewhere.
    pub columns: Option<usize>,
}

/// Hears what happens.
pub trait Listener: Send + Sync {
    /// Shows one event.
    fn on(&self, event: &Event);

    /// Leaves the terminal to a question: what happens from now on is shown after it.
    fn hold(&self) {}

    /// Shows what happened meanwhile.
    fn release(&self) {}

    /// Takes away what was drawn for the time of the work alone.
    fn settle(&self) {}
}

/// The terminal, as one value that is passed to whoever has something to say.
#[derive(Clone)]
pub struct Ui {
    output: Output,
    page: Page,
    colour_of_talk: bool,
    /// How wide the terminal is on which is talked; `None` where talk goes elsewhere.
    columns_of_talk: Option<usize>,
    listener: Arc<dyn Listener>,
}

impl Ui {
    /// A listener that fits the output, the terminal and the loudness. Colour is used on a terminal
    /// alone, and never with `NO_COLOR` set (<https://no-color.org>).
    pub fn new(world: &World, output: Output, loudness: Loudness, no_color: bool) -> Self {
        let colour = |terminal: bool| {
            terminal
                && !no_color
                && world.variable("NO_COLOR").is_none()
                && world.variable("TERM") != Some("dumb")
        };
        let listener: Arc<dyn Listener> = match output {
            Output::Json => Arc::new(json::Lines::new(loudness)),
            Output::Human => {
                let redraw = world.terminal.error
                    && world.variable("CI").is_none()
                    && world.variable("TERM") != Some("dumb");
                let screen = human::Screen { colour: colour(world.terminal.error), redraw };
                Arc::new(human::Lines::new(loudness, screen))
            }
        };
        let columns =
            |terminal: console::Term| terminal.size_checked().map(|(_, columns)| usize::from(columns));
        Self {
            output,
            page: Page {
                colour: colour(world.terminal.output),
                columns: if world.terminal.output { columns(console::Term::stdout()) } else { None },
            },
            colour_of_talk: colour(world.terminal.error),
            columns_of_talk: if world.terminal.error { columns(console::Term::stderr()) } else { None },
            listener,
        }
    }

    /// Tells what happens.
    pub fn say(&self, event: Event) {
        self.listener.on(&event);
    }

    /// Prints a command's data: the text for people or the JSON for programs.
    ///
    /// # Errors
    /// When stdout cannot be written to, such as a pipe that was closed.
    pub fn data(&self, text: &str, json: &Value) -> io::Result<()> {
        let mut out = io::stdout().lock();
        match self.output {
            Output::Human => out.write_all(text.as_bytes())?,
            Output::Json => writeln!(out, "{json:#}")?,
        }
        out.flush()
    }

    /// The same where the text for people is sentences: on a terminal its lines are broken at spaces.
    ///
    /// # Errors
    /// As [`Ui::data`].
    pub fn told(&self, text: &str, json: &Value) -> io::Result<()> {
        let broken = self.page.columns.map(|columns| lines::indented(text, columns));
        self.data(broken.as_deref().unwrap_or(text), json)
    }

    /// Prints for people what a question is about; with `--output json` it is not printed, since
    /// stdout holds one document there.
    ///
    /// # Errors
    /// When stdout cannot be written to.
    pub fn show(&self, text: &str) -> io::Result<()> {
        if self.output == Output::Human {
            let mut out = io::stdout().lock();
            out.write_all(text.as_bytes())?;
            out.flush()?;
        }
        Ok(())
    }

    /// Shows why a command failed: for people on stderr, for programs as the document on stdout.
    pub fn failure(&self, failure: &Failure) {
        // Nothing can be told about a stream that does not take it.
        let _ = match self.output {
            Output::Human => {
                let text = failure.text();
                let text = self
                    .columns_of_talk
                    .map_or_else(|| text.clone(), |columns| lines::indented(&text, columns));
                io::stderr().lock().write_all(text.as_bytes())
            }
            Output::Json => writeln!(io::stdout().lock(), "{:#}", failure.json()),
        };
    }

    /// Asks a yes-or-no question while work goes on; anything but a yes is a no. What happens meanwhile is
    /// shown after [`Ui::settle`] or [`Ui::answered`]. The terminal is left as it is, so that the work may
    /// end while the question stands.
    pub async fn ask_meanwhile(&self, world: &World, question: &str) -> bool {
        self.listener.hold();
        let _ = write!(io::stderr().lock(), "\n{question} [y/N] ");
        let line = world.read_line().await.unwrap_or_default();
        matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes")
    }

    /// The question is over: shows what happened meanwhile.
    pub fn answered(&self) {
        self.listener.release();
    }

    /// The work is over: what was drawn for its time alone goes.
    pub fn settle(&self) {
        self.listener.settle();
    }

    /// What the output is made for.
    pub fn output(&self) -> Output {
        self.output
    }

    /// What data is printed on.
    pub fn page(&self) -> Page {
        self.page
    }
}
