//! What a failed command shows: what happened, why, what is done, and what to do now.
//!
//! The only place that knows whose fault a thing is, and so the exit code.

mod code;

use std::error::Error;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::azure::{AzureError, Hint};
pub use code::Code;

/// Whose fault a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Something for the person to put right; nothing was changed.
    User,
    /// Azure refused, or the run was stopped, after something had changed.
    Partial,
    /// Our own expectation broke.
    Internal,
    /// The person stopped it.
    Interrupted,
}

impl Kind {
    /// The exit code.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::User => 1,
            Self::Partial => 3,
            Self::Internal => 70,
            Self::Interrupted => 130,
        }
    }
}

/// A failed command.
#[derive(Debug)]
pub struct Failure {
    /// Whose fault it is.
    pub kind: Kind,
    /// What failed, in a word that `docs/reference/errors.md` explains.
    pub code: Code,
    /// What happened, then its causes, outermost first.
    pub chain: Vec<String>,
    /// Further problems of the same rank, such as all that is wrong with the answers.
    pub problems: Vec<String>,
    /// What had been done before.
    pub done: Vec<String>,
    /// How to go on.
    pub to_go_on: Option<String>,
    /// What to do about the cause.
    pub hint: Option<Hint>,
    /// Azure's id of the request.
    pub request_id: Option<String>,
}

impl Failure {
    /// A failure that the person can put right.
    pub fn user(code: Code, message: impl Into<String>) -> Self {
        Self {
            kind: Kind::User,
            code,
            chain: vec![message.into()],
            problems: Vec::new(),
            done: Vec::new(),
            to_go_on: None,
            hint: None,
            request_id: None,
        }
    }

    /// The same with every problem listed.
    pub fn problems<P: std::fmt::Display>(
        code: Code,
        message: impl Into<String>,
        problems: impl IntoIterator<Item = P>,
    ) -> Self {
        Self {
            problems: problems.into_iter().map(|problem| problem.to_string()).collect(),
            ..Self::user(code, message)
        }
    }

    /// The person gave up before anything was changed.
    pub fn stopped() -> Self {
        Self { kind: Kind::Interrupted, ..Self::user(Code::Stopped, "stopped; nothing was changed") }
    }

    /// Our own fault.
    pub fn internal(error: &dyn Error) -> Self {
        Self { kind: Kind::Internal, chain: chain(error), ..Self::user(Code::Internal, "") }
    }

    /// A failed stage, with what Azure says about it wherever in the chain it stands.
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        let azure = code::azure_error(error);
        Self {
            chain: chain(error),
            hint: azure.and_then(AzureError::hint),
            request_id: azure.and_then(AzureError::request_id).map(str::to_owned),
            ..Self::user(Code::of(error), "")
        }
    }

    /// The same, after these things had been done.
    #[must_use]
    pub fn after(mut self, done: Vec<String>, to_go_on: &str) -> Self {
        if !done.is_empty() && self.kind == Kind::User {
            self.kind = Kind::Partial;
        }
        self.done = done;
        self.to_go_on = Some(to_go_on.to_owned());
        self
    }

    /// The text for people. Readable without colour.
    pub fn text(&self) -> String {
        let heading = match self.kind {
            Kind::User | Kind::Partial | Kind::Interrupted => "error",
            Kind::Internal => "internal error",
        };
        let mut text = String::new();
        let mut chain = self.chain.iter();
        let _ = writeln!(text, "{heading}: {}", chain.next().map_or("", String::as_str));
        for cause in chain {
            let mut lines = cause.lines();
            let _ = writeln!(text, "  caused by: {}", lines.next().unwrap_or_default());
            for line in lines {
                let _ = writeln!(text, "    {}", line.trim_start());
            }
        }
        for problem in &self.problems {
            let _ = writeln!(text, "  {problem}");
        }
        if !self.done.is_empty() || self.to_go_on.is_some() {
            let done = if self.done.is_empty() { "nothing".to_owned() } else { self.done.join(", ") };
            let _ = writeln!(text, "\n  done so far: {done}");
            if let Some(to_go_on) = &self.to_go_on {
                let _ = writeln!(text, "  to go on:    {to_go_on}");
            }
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(text, "\nhint: {}", hint.text);
            let _ = writeln!(text, "link: {}", hint.link);
        }
        if let Some(request_id) = &self.request_id {
            let _ = writeln!(text, "request id: {request_id}");
        }
        let _ = writeln!(text, "code: {}", self.code.word());
        if self.kind == Kind::Internal {
            text.push_str("\nThis is a fault of the installer. Please report it with the lines above.\n");
        }
        text
    }

    /// The same for programs.
    pub fn json(&self) -> Value {
        json!({ "error": {
            "code": self.code.word(),
            "message": self.chain.first(),
            "causes": self.chain.iter().skip(1).collect::<Vec<_>>(),
            "problems": self.problems,
            "done": self.done,
            "to_go_on": self.to_go_on,
            "hint": self.hint.as_ref().map(|hint| hint.text.as_str()),
            "link": self.hint.as_ref().map(|hint| hint.link),
            "request_id": self.request_id,
            "exit_code": self.kind.exit_code(),
        }})
    }
}

/// An error with its causes, in one line.
pub fn told(error: &dyn Error) -> String {
    chain(error).join(": ")
}

/// An error and its sources. A source that repeats the text above it is left out.
fn chain(error: &dyn Error) -> Vec<String> {
    let mut texts = vec![error.to_string()];
    let mut next = error.source();
    while let Some(source) = next {
        let text = source.to_string();
        if texts.last() != Some(&text) {
            texts.push(text);
        }
        next = source.source();
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::{Code, Failure, Kind};

    #[derive(Debug, thiserror::Error)]
    #[error("making the table")]
    struct Outer(#[source] Inner);
    #[derive(Debug, thiserror::Error)]
    #[error("no room")]
    struct Inner;

    #[test]
    fn what_why_and_what_now_stand_in_that_order() {
        let failure = Failure::of(&Outer(Inner)).after(vec!["resource group".to_owned()], "run it again");
        assert_eq!(failure.kind, Kind::Partial);
        assert_eq!(
            failure.text(),
            "error: making the table\n  caused by: no room\n\n  done so far: resource group\n  to go on:    run it again\ncode: internal\n"
        );
        assert_eq!(failure.json()["error"]["exit_code"], 3);
    }

    #[test]
    fn nothing_done_is_the_persons_to_put_right() {
        let failure = Failure::user(Code::File, "no").after(Vec::new(), "run it again");
        assert_eq!((failure.kind, failure.kind.exit_code()), (Kind::User, 1));
        assert!(failure.text().contains("done so far: nothing"));
    }
}
