//! What the engine tells while it works.

use serde::Serialize;

use crate::check::Check;
use crate::plan::Finding;
use crate::verify::Probe;

/// A wait that is normal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usual {
    /// What for, and how long it usually takes, in words.
    pub reason: &'static str,
    /// The same as a number, for a bar: an expectation, no limit.
    pub secs: u64,
}

/// Something that happened. With `--output json` each is one line on stderr.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// Who is signed in, and how.
    SignedIn {
        /// The way that worked.
        method: String,
        /// User name, or the application's id.
        account: String,
        /// The tenant.
        tenant: String,
        /// The cloud.
        cloud: String,
    },
    /// Something is being looked at.
    Looking {
        /// What.
        what: String,
    },
    /// Something good to know.
    Note {
        /// What.
        text: String,
    },
    /// A check before anything is written gave a result.
    Checked {
        /// The check.
        check: Check,
    },
    /// A finding of the plan or of a check.
    Found {
        /// The finding.
        finding: Finding,
    },
    /// A step begins.
    StepStarted {
        /// Its key.
        key: String,
        /// What it is about.
        title: String,
        /// How many steps are done.
        done: usize,
        /// How many there are.
        total: usize,
    },
    /// A step waits for something that is normal to wait for.
    StepWaiting {
        /// Its key.
        key: String,
        /// What it is about.
        title: String,
        /// What for, and how long that usually takes.
        reason: String,
        /// How many seconds that usually takes, where it is known.
        #[serde(skip_serializing_if = "Option::is_none")]
        usual_secs: Option<u64>,
    },
    /// A step is done.
    StepDone {
        /// Its key.
        key: String,
        /// What it is about.
        title: String,
        /// How long it took.
        millis: u64,
        /// How many steps are done now.
        done: usize,
        /// How many there are.
        total: usize,
    },
    /// A step was not needed.
    StepSkipped {
        /// Its key.
        key: String,
        /// What it is about.
        title: String,
        /// Why.
        reason: String,
    },
    /// A step failed.
    StepFailed {
        /// Its key.
        key: String,
        /// What it is about.
        title: String,
        /// What happened.
        error: String,
    },
    /// A probe of the running installation begins.
    ProbeStarted {
        /// Its short word.
        id: String,
        /// What is looked at.
        title: String,
    },
    /// A probe has not found all well yet, which is normal.
    ProbeWaiting {
        /// Its short word.
        id: String,
        /// What is looked at.
        title: String,
        /// How long it usually takes.
        reason: String,
        /// How many seconds that usually takes.
        usual_secs: u64,
    },
    /// What a probe that goes on has found, whenever that is something new.
    ProbeSaw {
        /// Its short word.
        id: String,
        /// What is looked at.
        title: String,
        /// What was found.
        result: String,
    },
    /// A probe of the running installation gave a result.
    Probed {
        /// The probe.
        probe: Probe,
    },
}
