//! Questions on the terminal, each of which can be given up by Ctrl-C.
//!
//! A question is drawn and read in a thread of its own, so that a signal ends the command while it waits for
//! keys. Whatever becomes of it, the terminal is as it was before.

use std::io::{self, Write};

use console::Term;
use contract::secret::Secret;

use super::lines::broken;
use super::{Failure, Ui};
use crate::world::modes::{Hushed, read_hidden_line};
use crate::world::{SignalsGoTo, World};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// The person gave up.
    #[error("stopped; nothing was changed")]
    Stopped,
    /// The terminal could not be read.
    #[error("the question could not be asked")]
    Terminal(#[source] io::Error),
}

impl From<io::Error> for Unanswered {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::Interrupted => Self::Stopped,
            _ => Self::Terminal(error),
        }
    }
}

impl From<dialoguer::Error> for Unanswered {
    fn from(dialoguer::Error::IO(error): dialoguer::Error) -> Self {
        error.into()
    }
}

impl From<Unanswered> for Failure {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Stopped => Self::stopped(),
            Unanswered::Terminal(_) => Self::of(&unanswered),
        }
    }
}

/// An answer, or the wish to go back to the question before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn<T> {
    /// The answer.
    Given(T),
    /// To the question before.
    Back,
}

/// First entry of a menu from which one can go back.
pub const BACK: &str = "< back";
/// The same as the text of a field.
const BACK_KEY: &str = "<";
/// Columns of a menu's entry that are not its text.
const MENU_MARGIN_CHARS: usize = 3;

/// The terminal while a question stands on it.
struct Standing {
    /// Put back when this is dropped.
    modes: Hushed,
    answered: bool,
}

impl Drop for Standing {
    fn drop(&mut self) {
        if !self.answered {
            self.modes.abandon();
            // Menus hide the cursor. There is nobody to tell where this fails.
            let term = Term::stderr();
            let _ = term.show_cursor();
            let _ = term.write_line("");
        }
    }
}

/// Asks in a thread of its own.
async fn ask<T, E>(
    world: &World,
    question: impl FnOnce(&Term) -> Result<T, E> + Send + 'static,
) -> Result<T, Unanswered>
where
    T: Send + 'static,
    E: Into<Unanswered> + Send + 'static,
{
    // From here on a signal is the command's: it drops this question, and with it the terminal's modes.
    // A prompt that reads Ctrl-C sends that signal itself, so there must be somebody who takes it.
    let _signals = world.signals()?;
    world.signals_go_to.send_if_modified(|now| {
        let first = *now == SignalsGoTo::System;
        if first {
            *now = SignalsGoTo::CommandBefore;
        }
        first
    });
    let mut standing = Standing { modes: world.hush()?, answered: false };
    let (sender, receiver) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        // Nobody listens any more where a signal came first.
        let _ = sender.send(question(&Term::stderr()));
    });
    let answer = receiver.await.map_err(|_| Unanswered::Stopped)?.map_err(Into::into)?;
    standing.answered = true;
    Ok(answer)
}

impl Ui {
    /// Explains something before a question: a heading, where there is one, and a text in the terminal's lines.
    pub fn explain(&self, heading: &str, text: &str) {
        let columns = usize::from(Term::stderr().size().1);
        let mut shown = String::from("\n");
        if !heading.is_empty() {
            let bold = console::Style::new().bold().force_styling(self.colour_of_talk);
            shown.push_str(&format!("{}\n", bold.apply_to(heading)));
        }
        for line in broken(text, columns) {
            shown.push_str(&line);
            shown.push('\n');
        }
        // Nothing can be told about a stream that does not take it.
        let _ = io::stderr().lock().write_all(shown.as_bytes());
    }

    /// Whether questions can be asked.
    pub fn asks(&self, world: &World) -> bool {
        world.terminal.input && world.terminal.error && self.output == super::Output::Human
    }

    /// Asks a yes-or-no question; without a terminal the answer is no.
    ///
    /// # Errors
    /// [`Unanswered`].
    pub async fn confirm(&self, world: &World, question: &str) -> Result<bool, Unanswered> {
        if !self.asks(world) {
            return Ok(false);
        }
        let question = question.to_owned();
        ask(world, move |term| {
            dialoguer::Confirm::new().with_prompt(question).default(false).interact_on(term)
        })
        .await
    }

    /// Asks for a text; `None` where nobody can be asked.
    ///
    /// # Errors
    /// [`Unanswered`].
    pub async fn ask_text(&self, world: &World, question: &str) -> Result<Option<String>, Unanswered> {
        if !self.asks(world) {
            return Ok(None);
        }
        let question = question.to_owned();
        ask(world, move |term| {
            dialoguer::Input::new().with_prompt(question).allow_empty(true).interact_text_on(term)
        })
        .await
        .map(Some)
    }

    /// Asks for a secret without showing it; `None` where nobody can be asked.
    ///
    /// # Errors
    /// [`Unanswered`].
    pub async fn ask_secret(
        &self,
        world: &World,
        question: &str,
    ) -> Result<Option<Secret<String>>, Unanswered> {
        if !self.asks(world) {
            return Ok(None);
        }
        let question = question.to_owned();
        ask(world, move |term| {
            let mut out = io::stderr().lock();
            write!(out, "{question} (not shown): ")?;
            out.flush()?;
            drop(out);
            let typed = read_hidden_line()?;
            let length = typed.expose().chars().count();
            term.write_line(&format!("{length} characters"))?;
            Ok::<_, io::Error>(typed)
        })
        .await
        .map(Some)
    }

    /// Lets one entry of a menu be chosen, which begins at `first`. The entries are numbered from 0,
    /// without the one that leads back.
    ///
    /// # Errors
    /// [`Unanswered`].
    pub async fn choose(
        &self,
        world: &World,
        question: &str,
        entries: &[String],
        first: usize,
    ) -> Result<Turn<usize>, Unanswered> {
        let question = question.to_owned();
        let entries: Vec<String> = std::iter::once(BACK.to_owned()).chain(entries.iter().cloned()).collect();
        ask(world, move |term| {
            // An entry that is wider than the terminal would be drawn on two lines, of which one stays.
            let width = usize::from(term.size().1).saturating_sub(MENU_MARGIN_CHARS).max(MENU_MARGIN_CHARS);
            let narrow = entries.iter().map(|entry| console::truncate_str(entry, width, "…").into_owned());
            dialoguer::Select::new()
                .with_prompt(question)
                .items(narrow)
                .default((first + 1).min(entries.len() - 1))
                .interact_on_opt(term)
        })
        .await
        .map(|chosen| match chosen {
            None | Some(0) => Turn::Back,
            Some(place) => Turn::Given(place - 1),
        })
    }

    /// Asks for a text, with one that stands for an empty answer. `<` leads back.
    ///
    /// # Errors
    /// [`Unanswered`].
    pub async fn field(
        &self,
        world: &World,
        question: &str,
        usual: Option<&str>,
    ) -> Result<Turn<String>, Unanswered> {
        let (question, usual) = (question.to_owned(), usual.map(str::to_owned));
        let typed: String = ask(world, move |term| {
            let field = dialoguer::Input::<String>::new().with_prompt(question).allow_empty(true);
            match usual {
                Some(usual) => field.default(usual).interact_text_on(term),
                None => field.interact_text_on(term),
            }
        })
        .await?;
        Ok(if typed.trim() == BACK_KEY { Turn::Back } else { Turn::Given(typed.trim().to_owned()) })
    }

    /// Asks for a secret without showing it. `<` leads back.
    ///
    /// # Errors
    /// [`Unanswered`].
    pub async fn hidden_field(
        &self,
        world: &World,
        question: &str,
    ) -> Result<Turn<Secret<String>>, Unanswered> {
        let typed = self.ask_secret(world, question).await?.ok_or(Unanswered::Stopped)?;
        Ok(if typed.expose().trim() == BACK_KEY { Turn::Back } else { Turn::Given(typed) })
    }
}
