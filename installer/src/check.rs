//! Check: whether a plan can be carried out, found out before anything is written. Reads only.
//!
//! Each check has a short stable id, the side that it looks at, what was found, and for a fault the next
//! step. They run beside each other; one that fails stops an installation before its first write.
//!
//! * [`sign_in`]: who is signed in, and to which subscription.
//! * [`mimecast`]: token, product, role, clock, and how much there is to collect.
//! * [`rights`]: every planned action against the rights that the account has.
//! * [`policy`]: every planned body against the policies in force.
//! * [`region`]: what the regions offer; [`quota`]: room in them; [`names`]: names that must be free in the
//!   world.
//! * [`workspace`]: the workspace takes rows, and nobody else feeds it from the same account.
//! * [`running`]: an installation that is there.
//! * [`explained`]: what each id is about.

pub mod explained;
pub mod mimecast;
pub mod names;
mod old_connector;
pub mod policy;
pub mod quota;
pub mod region;
pub mod rights;
pub mod running;
pub mod sign_in;
pub mod workspace;

use std::fmt;

use serde::Serialize;

use crate::answers::Intent;
use crate::azure::{Azure, AzureError};
use crate::inventory::Inventory;
use crate::plan::{Finding, Plan, Severity};

/// The side that a check looks at, and so whose turn it is when it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The account on this machine.
    SignIn,
    /// Mimecast.
    Mimecast,
    /// The subscription and group in which the resources are made.
    Azure,
    /// The workspace, often another team's.
    Workspace,
    /// The installation that is there.
    Running,
}

impl Side {
    /// Every side, in the order in which they are shown.
    pub const ALL: [Self; 5] = [Self::SignIn, Self::Mimecast, Self::Azure, Self::Workspace, Self::Running];

    /// As a heading.
    pub fn heading(self) -> &'static str {
        match self {
            Self::SignIn => "sign-in",
            Self::Mimecast => "Mimecast",
            Self::Azure => "Azure, where it is installed",
            Self::Workspace => "workspace",
            Self::Running => "installation",
        }
    }
}

/// What became of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// As it should be.
    Good,
    /// It goes, and something is worth a word.
    Warning,
    /// It could not be looked at.
    NotChecked,
    /// It cannot go like this.
    Failed,
}

/// One check with its result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// A short word, stable, for scripts and for the documentation.
    pub id: String,
    /// Which side was looked at.
    pub side: Side,
    /// What was looked at.
    pub title: String,
    /// What became of it.
    pub state: State,
    /// What was found; for a fault, its cause.
    pub result: String,
    /// What to do about it, with the command where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// Where to read on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<&'static str>,
}

impl Check {
    fn new(id: &str, side: Side, title: &str, state: State, result: impl Into<String>) -> Self {
        Self {
            id: id.to_owned(),
            side,
            title: title.to_owned(),
            state,
            result: result.into(),
            remedy: None,
            link: None,
        }
    }

    /// A check that found all well.
    pub fn good(id: &str, side: Side, title: &str, result: impl Into<String>) -> Self {
        Self::new(id, side, title, State::Good, result)
    }

    /// A check that found a reason to stop.
    pub fn fails(
        id: &str,
        side: Side,
        title: &str,
        result: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { remedy: Some(remedy.into()), ..Self::new(id, side, title, State::Failed, result) }
    }

    /// A check that found something worth a word.
    pub fn warns(
        id: &str,
        side: Side,
        title: &str,
        result: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { remedy: Some(remedy.into()), ..Self::new(id, side, title, State::Warning, result) }
    }

    /// A check that could not be made.
    pub fn unchecked(id: &str, side: Side, title: &str, why: impl Into<String>) -> Self {
        Self::new(id, side, title, State::NotChecked, why)
    }

    /// A check that Azure did not let us make.
    pub fn refused(id: &str, side: Side, title: &str, error: &AzureError) -> Self {
        Self::unchecked(id, side, title, cause(error))
    }

    /// A call that failed where nothing goes without it: with the advice that we have for it.
    pub fn broken(id: &str, side: Side, title: &str, error: &AzureError) -> Self {
        let hint = error.hint();
        Self {
            remedy: hint.as_ref().map(|hint| hint.text.clone()),
            link: hint.map(|hint| hint.link),
            ..Self::new(id, side, title, State::Failed, cause(error))
        }
    }

    /// The same with a page to read on.
    #[must_use]
    pub fn link(mut self, link: &'static str) -> Self {
        self.link = Some(link);
        self
    }

    /// A finding of the plan, as a check.
    pub fn of_finding(finding: &Finding) -> Self {
        let state = match finding.severity {
            Severity::Refuses => State::Failed,
            Severity::Warning => State::Warning,
            Severity::Note => State::Good,
        };
        let of_workspace = matches!(finding.id.as_str(), "classic-table" | "column-type" | "no-sentinel");
        let side = if of_workspace { Side::Workspace } else { Side::Azure };
        Self {
            remedy: finding.remedy.clone(),
            ..Self::new(&finding.id, side, "plan", state, finding.message.clone())
        }
    }

    /// What was looked at and what was found; a result that begins with its subject names it once.
    pub fn told(&self) -> String {
        match self.result.starts_with(&self.title) {
            true => self.result.clone(),
            false => format!("{}: {}", self.title, self.result),
        }
    }

    /// Whether it stops an installation.
    pub fn failed(&self) -> bool {
        self.state == State::Failed
    }
}

/// Without colour and on as many lines as it needs: for the list under an error.
impl fmt::Display for Check {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({}): {}", self.side.heading(), self.id, self.result)?;
        if let Some(remedy) = &self.remedy {
            for line in remedy.lines() {
                write!(formatter, "\n    {line}")?;
            }
        }
        if let Some(link) = self.link {
            write!(formatter, "\n    {link}")?;
        }
        Ok(())
    }
}

/// An error with its causes, on one line.
fn cause(error: &AzureError) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(source) = next {
        let more = source.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        next = source.source();
    }
    text
}

/// Every check of a plan, beside each other.
pub async fn before(azure: &Azure, intent: &Intent, inventory: &Inventory, plan: &Plan) -> Vec<Check> {
    let (rights, policies, names, regions, quota, workspace) = futures::join!(
        rights::check(azure, inventory, plan),
        policy::check(azure, inventory, plan),
        names::check(azure, intent, inventory, plan),
        region::check(azure, intent, plan),
        quota::check(azure, intent, plan),
        workspace::check(azure, intent, inventory, plan),
    );
    [rights, policies, names, regions, quota, workspace].concat()
}

/// A length of time as people say it, in the largest unit of which there are two.
fn span(secs: u64) -> String {
    let units = [(86_400, "days"), (3_600, "hours"), (60, "minutes")];
    match units.into_iter().find(|(unit, _)| secs >= 2 * unit) {
        Some((unit, name)) => format!("{} {name}", secs / unit),
        None => format!("{secs} seconds"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Check, Side};

    #[test]
    fn a_length_of_time_is_said_in_two_of_a_unit_or_more() {
        let spans = [119, 120, 7_199, 7_200, 172_799, 172_800].map(super::span);
        assert_eq!(spans, ["119 seconds", "2 minutes", "119 minutes", "2 hours", "47 hours", "2 days"]);
    }

    #[test]
    fn a_failed_check_says_side_cause_and_next_step() {
        let check = Check::fails("flex", Side::Azure, "plan", "no such plan here", "choose another\nor wait")
            .link("https://example.com/");
        assert_eq!(
            check.to_string(),
            "Azure, where it is installed (flex): no such plan here\n    choose another\n    or wait\n    https://example.com/"
        );
    }
}
