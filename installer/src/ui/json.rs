//! Events for programs: one JSON object a line on stderr.

use std::io::{self, Write};

use super::{Event, Listener, Loudness};

/// The listener.
pub struct Lines {
    loudness: Loudness,
}

impl Lines {
    /// A listener of this loudness.
    pub fn new(loudness: Loudness) -> Self {
        Self { loudness }
    }
}

impl Listener for Lines {
    fn on(&self, event: &Event) {
        if self.loudness == Loudness::Quiet && !matches!(event, Event::StepFailed { .. }) {
            return;
        }
        if let Ok(line) = serde_json::to_string(event) {
            // Progress that nobody can read is no reason to stop the work.
            let _ = writeln!(io::stderr().lock(), "{line}");
        }
    }
}
