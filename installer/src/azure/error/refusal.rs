//! One refusing answer of Azure.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::super::retry::Retry;
use super::tree::ErrorTree;

/// What Azure refused, with what it said about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// What was being done, such as `creating storage account `stx` in `rg-y``.
    pub what: String,
    /// HTTP status; 200 where the failure came in the body of an operation's status.
    pub status: u16,
    /// The error, unwrapped.
    pub tree: ErrorTree,
    /// Azure's id of the request, or ours where it gave none.
    pub request_id: Option<String>,
    /// The delay that the service asked for.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
}

impl std::error::Error for Refusal {}

impl Refusal {
    /// The code of the first leaf, else of the innermost wrapper.
    pub fn code(&self) -> Option<&str> {
        let leaves = self.tree.leaves.iter().map(|leaf| leaf.code.as_str());
        let wrappers = self.tree.wrappers.iter().rev().map(String::as_str);
        leaves.chain(wrappers).find(|code| !code.is_empty())
    }

    /// Whether to send the same request again.
    pub(super) fn retry(&self) -> Retry {
        let advised = self.retry_after.map_or(Retry::Backoff, Retry::After);
        if self
            .tree
            .leaves
            .iter()
            .any(|leaf| PASSING_CODES.iter().any(|code| code.eq_ignore_ascii_case(&leaf.code)))
        {
            return advised;
        }
        match self.status {
            // https://learn.microsoft.com/azure/architecture/best-practices/retry-service-specific
            408 | 429 | 500 | 502 | 503 | 504 => advised,
            _ => Retry::Never,
        }
    }
}

/// Refusals that pass by themselves within minutes, although their status says otherwise.
const PASSING_CODES: &[&str] = &[
    // Another change of the same resource is under way
    // (https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/common-deployment-errors).
    "AnotherOperationInProgress",
    "OperationInProgress",
    "ConcurrentOperationInProgress",
    "ResourceGroupBeingDeleted",
    "StorageAccountOperationInProgress",
    // Azure says itself that the same request may be sent again.
    "RetryableError",
    // A principal made a moment ago is not known to every directory server yet
    // (https://learn.microsoft.com/azure/role-based-access-control/troubleshooting).
    "PrincipalNotFound",
];

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: Azure refused the request", self.what)?;
        if self.status != 200 {
            write!(formatter, " ({})", self.status)?;
        }
        for leaf in &self.tree.leaves {
            let colon = if leaf.code.is_empty() || leaf.message.is_empty() { "" } else { ": " };
            write!(formatter, "\n  {}{colon}{}", leaf.code, leaf.message)?;
            if let Some(target) = &leaf.target {
                write!(formatter, " (at `{target}`)")?;
            }
        }
        if let Some(raw) = &self.tree.raw {
            write!(formatter, "\n  {raw}")?;
        }
        if !self.tree.policies.is_empty() {
            write!(formatter, "\n  refused by policy: {}", self.tree.policies.join(", "))?;
        }
        Ok(())
    }
}
