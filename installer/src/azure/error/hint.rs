//! What the person can do about an error, by Azure's code, most specific first.

use super::AzureError;

/// Advice for one error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// What to do, in one or two sentences; commands in backticks.
    pub text: String,
    /// Where to read on.
    pub link: &'static str,
}

pub(super) fn find(_error: &AzureError) -> Option<Hint> {
    None
}
