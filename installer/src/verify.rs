//! Verify: proof that what was deployed works. Probes with results and remedies.

pub mod health;
pub mod probe;
pub mod reference;
mod rows;
mod run;
pub mod trial;

pub(crate) use run::{newest, text};
use serde::Serialize;

/// What a probe found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// As it should be.
    Good,
    /// Not yet, and that is normal.
    Waiting,
    /// It could not be looked at.
    NotChecked,
    /// Not as it should be.
    Bad,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Probe {
    /// A short word, stable, for scripts.
    pub id: &'static str,
    /// What was looked at.
    pub title: String,
    /// What was found.
    pub outcome: Outcome,
    /// The same in words.
    pub result: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// Every probe of one look.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The probes, in the order of the path from the host to the rows.
    pub probes: Vec<Probe>,
    /// Rows of audit events that were found in the table: those that came after the change, or all where there
    /// has been no event since.
    pub audit_rows: Option<u64>,
    /// Seconds from the beginning of the command to the first new row that was seen.
    pub first_row_secs: Option<u64>,
}

impl Report {
    /// Whether something is not as it should be.
    pub fn bad(&self) -> bool {
        self.any(Outcome::Bad)
    }

    /// Whether a probe has found this.
    pub fn any(&self, outcome: Outcome) -> bool {
        self.probes.iter().any(|probe| probe.outcome == outcome)
    }
}
