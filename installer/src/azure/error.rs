//! What can go wrong with Azure, whether to try again, and what the person can do.

mod hint;
mod refusal;
#[cfg(test)]
mod tests;
mod tree;

use std::path::PathBuf;
use std::time::Duration;

use azure_core::error::ErrorKind;

pub use hint::{Hint, Row as Advice, advice};
pub use refusal::Refusal;
pub use tree::{ErrorLeaf, ErrorTree};

use super::credential::SignInAttempt;
use super::id::IdError;
use super::retry::Retry;

/// A failed call to Azure, or a sign-in that gave no token.
#[derive(Debug, thiserror::Error)]
pub enum AzureError {
    /// No way of signing in that was tried gave a token.
    #[error("could not sign in to Azure: {}", attempts(.tried))]
    SignIn {
        /// What was tried, in order.
        tried: Vec<SignInAttempt>,
    },
    /// The token is for another tenant than the one asked for.
    #[error("signed in to tenant `{actual}`, not to `{expected}`")]
    WrongTenant {
        /// The tenant of the answers or of `--tenant`.
        expected: String,
        /// The tenant that the token names.
        actual: String,
    },
    /// A token for one service could not be had after sign-in.
    #[error("getting a token for `{scope}`")]
    Token {
        /// The service's scope.
        scope: String,
        /// What the sign-in library says.
        #[source]
        source: azure_core::Error,
    },
    /// A file of trusted certificates could not be used.
    #[error("reading the trusted certificates in `{}`", .path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The HTTP client could not be made.
    #[error("making the HTTP client")]
    Client(#[source] reqwest::Error),
    /// A URL in an answer would take the token to a host that is not this cloud's.
    #[error("{what}: the answer leads to `{host}`, which is not a host of this cloud; no token was sent")]
    ForeignHost {
        /// What was being done.
        what: String,
        /// Where the URL leads.
        host: String,
    },
    /// An id in an answer is none.
    #[error(transparent)]
    Id(#[from] IdError),
    /// The request did not get through, or its answer was cut off.
    #[error("{what}: no answer from `{host}`")]
    Send {
        /// What was being done.
        what: String,
        /// The host that was asked.
        host: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The answer is longer than any that this call can have.
    #[error("{what}: the answer is longer than {limit_bytes} bytes")]
    TooLong {
        /// What was being done.
        what: String,
        /// The limit.
        limit_bytes: usize,
    },
    /// The answer is not what the service documents.
    #[error("{what}: the answer could not be read")]
    Answer {
        /// What was being done.
        what: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The answer lacks something that the service documents.
    #[error("{what}: the answer has no `{missing}`")]
    Incomplete {
        /// What was being done.
        what: String,
        /// What is not there.
        missing: &'static str,
    },
    /// Azure answered with an error.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// A long operation was accepted and then failed or was cancelled.
    #[error("{}: Azure ended the operation with `{state}`", .refusal.what)]
    OperationFailed {
        /// `Failed` or `Canceled`, as Azure wrote it.
        state: String,
        /// The error that the operation reports.
        #[source]
        refusal: Box<Refusal>,
    },
    /// A long operation was still going on when we stopped looking.
    #[error("{what}: still `{state}` after {} seconds (looked at {url})", .waited.as_secs())]
    StillRunning {
        /// What was being done.
        what: String,
        /// The last state seen.
        state: String,
        /// How long we looked.
        waited: Duration,
        /// What we looked at, without its query.
        url: String,
    },
    /// A call failed each time it was tried.
    #[error("gave up after {attempts} attempts")]
    GaveUp {
        /// How many.
        attempts: u32,
        /// The last attempt's error.
        #[source]
        cause: Box<AzureError>,
    },
    /// A body of ours has something that the management library's model would drop.
    #[error("{what}: the management library cannot carry this body")]
    Model {
        /// What was being done.
        what: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The storage library could not reach the service, or not read its answer.
    #[error("{what}: no usable answer from the storage service")]
    Storage {
        /// What was being done.
        what: String,
        /// Why.
        #[source]
        source: azure_core::Error,
    },
    /// The management library could not make its request or read its answer.
    #[error("{what}: the management library failed")]
    Library {
        /// What was being done.
        what: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

fn attempts(tried: &[SignInAttempt]) -> String {
    let each: Vec<String> =
        tried.iter().map(|attempt| format!("{} ({})", attempt.method.name(), attempt.reason)).collect();
    if each.is_empty() { "no way of signing in is available".to_owned() } else { each.join("; ") }
}

/// Whether an error of Microsoft's libraries means that nobody answered. The identity library wraps the error
/// of its call in one of its own.
pub(super) fn unreached(error: &azure_core::Error) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        let kind = error.downcast_ref::<azure_core::Error>().map(azure_core::Error::kind);
        if matches!(kind, Some(ErrorKind::Connection | ErrorKind::Io)) {
            return true;
        }
        next = error.source();
    }
    false
}

/// Whether an error of Microsoft's libraries passes: a lost connection, or a service that says so.
/// The identity library wraps the error of its call in one of its own.
fn library_retry(error: &azure_core::Error) -> Retry {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<azure_core::Error>() {
            match error.kind() {
                ErrorKind::Connection | ErrorKind::Io => return Retry::Backoff,
                ErrorKind::HttpResponse { status, .. } => {
                    // 410 is the metadata service while it is being updated.
                    let passing = matches!(u16::from(*status), 408 | 410 | 429 | 500 | 502 | 503 | 504);
                    return if passing { Retry::Backoff } else { Retry::Never };
                }
                _ => {}
            }
        }
        next = error.source();
    }
    Retry::Never
}

impl AzureError {
    /// Whether the same call is worth repeating.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Token { source, .. } => library_retry(source),
            Self::Send { source, .. } if source.is_builder() => Retry::Never,
            Self::Send { .. } => Retry::Backoff,
            Self::Storage { source, .. } => library_retry(source),
            Self::Refused(refusal) => refusal.retry(),
            Self::SignIn { .. }
            | Self::WrongTenant { .. }
            | Self::Certificates { .. }
            | Self::Client(_)
            | Self::ForeignHost { .. }
            | Self::Id(_)
            | Self::TooLong { .. }
            | Self::Answer { .. }
            | Self::Incomplete { .. }
            | Self::OperationFailed { .. }
            | Self::StillRunning { .. }
            | Self::GaveUp { .. }
            | Self::Model { .. }
            | Self::Library { .. } => Retry::Never,
        }
    }

    /// The error itself, out of the count of its attempts.
    pub fn cause(&self) -> &Self {
        match self {
            Self::GaveUp { cause, .. } => cause.cause(),
            other => other,
        }
    }

    /// The answer that Azure refused with, through any wrapping.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self.cause() {
            Self::Refused(refusal) | Self::OperationFailed { refusal, .. } => Some(refusal),
            _ => None,
        }
    }

    /// The HTTP status of a refusal.
    pub fn status(&self) -> Option<u16> {
        self.refusal().map(|refusal| refusal.status)
    }

    /// Azure's most specific error code.
    pub fn code(&self) -> Option<&str> {
        self.refusal().and_then(Refusal::code)
    }

    /// Whether any error in the tree has this code, whatever its case.
    pub fn has_code(&self, code: &str) -> bool {
        self.refusal().is_some_and(|refusal| refusal.tree.has_code(code))
    }

    /// The id to give to Microsoft's support.
    pub fn request_id(&self) -> Option<&str> {
        self.refusal().and_then(|refusal| refusal.request_id.as_deref())
    }

    /// What the person can do about it, where we know.
    pub fn hint(&self) -> Option<Hint> {
        hint::find(self)
    }

    /// This error without a secret that the call sent, should the service have repeated it.
    pub(super) fn without(mut self, secret: &str) -> Self {
        match &mut self {
            Self::Refused(refusal) | Self::OperationFailed { refusal, .. } => refusal.tree.redact(secret),
            Self::GaveUp { attempts, cause } => {
                let attempts = *attempts;
                let cause = std::mem::replace(cause, Box::new(Self::SignIn { tried: Vec::new() }));
                return Self::GaveUp { attempts, cause: Box::new(cause.without(secret)) };
            }
            _ => {}
        }
        self
    }

    /// This error as the end of so many attempts.
    pub(super) fn after(self, attempts: u32) -> Self {
        if attempts > 1 { Self::GaveUp { attempts, cause: Box::new(self) } } else { self }
    }
}
