//! What Azure's answer to a body means: each with whether to try again, and what to do.
//!
//! The table is <https://learn.microsoft.com/azure/azure-monitor/logs/logs-ingestion-api-overview>
//! with what users report of it.

use std::time::Duration;

use reqwest::header::HeaderMap;
use time::OffsetDateTime;

use crate::retry::{Retry, Retryable};

/// Between attempts while a new role or rule may not have spread yet.
const SETTLING_WAIT: Duration = Duration::from_secs(30);

/// A wait that Azure asks for is not believed beyond this.
const LONGEST_ASKED_WAIT: Duration = Duration::from_secs(15 * 60);

/// Whether Azure has ever taken something from this installation: until then a refusal may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Never yet: roles and rules take up to 30 minutes to work.
    Settling,
    /// It has.
    Settled,
}

/// A body that was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// No token.
    #[error("could not sign in to deliver")]
    Token {
        /// Why.
        #[source]
        source: azure_core::Error,
    },
    /// The call did not come to an answer.
    #[error("could not reach the logs ingestion endpoint")]
    Unreachable {
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// Larger than Azure takes, or the connection was cut while a large body was on its way.
    #[error("Azure found the body too large ({answer})")]
    TooLarge {
        /// What it said.
        answer: Answer,
    },
    /// Something in the body or the stream is wrong.
    #[error("Azure refused the content ({answer})")]
    Refused {
        /// What it said.
        answer: Answer,
    },
    /// The token was refused twice.
    #[error("Azure refused the token ({answer}): check the cloud and the identity of the delivery")]
    Unauthorized {
        /// What it said.
        answer: Answer,
    },
    /// The identity may not send to the rule.
    #[error("{}", forbidden(answer, *standing))]
    Forbidden {
        /// What it said.
        answer: Answer,
        /// Whether it may pass.
        standing: Standing,
    },
    /// There is no such endpoint, rule or stream.
    #[error("{}", not_found(answer, *standing))]
    NotFound {
        /// What it said.
        answer: Answer,
        /// Whether it may pass.
        standing: Standing,
    },
    /// Too many calls or bytes for the rule.
    #[error("Azure asks to slow down ({answer})")]
    Throttled {
        /// What it said.
        answer: Answer,
        /// How long to wait.
        after: Duration,
    },
    /// Azure has a fault.
    #[error("Azure could not take the body now ({answer})")]
    Unavailable {
        /// What it said.
        answer: Answer,
        /// How long to wait, where it said so.
        after: Option<Duration>,
    },
    /// An answer that the API does not have.
    #[error(
        "the logs ingestion endpoint answered what it should not ({answer}); check LOGS_INGESTION_ENDPOINT"
    )]
    Unexpected {
        /// What it said.
        answer: Answer,
    },
    /// The folder does not take rows.
    #[error("could not write rows to the folder")]
    Folder {
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// So many refusals with nothing accepted mean that the fault is not in the records.
    #[error(
        "Azure refused {refused} records one by one, and took none of all that were sent with them, so nothing was set aside; the last refusal: {answer}"
    )]
    EverythingRefused {
        /// How many.
        refused: usize,
        /// What it said.
        answer: Answer,
    },
}

/// The parts of an answer that say why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Azure's code.
    pub code: String,
    /// Azure's words.
    pub message: String,
    /// What the call named: rule and stream.
    pub target: String,
    /// Who called, as [`crate::settings::Identity`] names itself; empty where that is not known.
    pub caller: String,
    /// What Azure's support asks for.
    pub request_id: String,
}

impl std::fmt::Display for Answer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.status)?;
        for part in [&self.code, &self.message] {
            if !part.is_empty() {
                write!(formatter, " {part}")?;
            }
        }
        if !self.request_id.is_empty() {
            write!(formatter, ", request {}", self.request_id)?;
        }
        Ok(())
    }
}

fn forbidden(answer: &Answer, standing: Standing) -> String {
    let target = &answer.target;
    let caller = if answer.caller.is_empty() { "the identity" } else { &answer.caller };
    match standing {
        Standing::Settling => format!(
            "{caller} may not send to {target} yet ({answer}): a new role takes up to 30 minutes to \
             work, and the next run tries again; if it lasts, give it the role Monitoring \
             Metrics Publisher on the data collection rule"
        ),
        Standing::Settled => format!(
            "{caller} may not send to {target} ({answer}): give it the role Monitoring Metrics \
             Publisher on the data collection rule"
        ),
    }
}

fn not_found(answer: &Answer, standing: Standing) -> String {
    let target = &answer.target;
    let calm = match standing {
        Standing::Settling => {
            "a new rule takes some minutes to work, and the next run tries again; if it lasts, "
        }
        Standing::Settled => "",
    };
    format!(
        "Azure does not know {target} ({answer}): {calm}compare LOGS_INGESTION_ENDPOINT and \
         DATA_COLLECTION_RULE_ID with the data collection rule and its streams"
    )
}

impl IngestError {
    /// What an answer that is no success means.
    // BR-070, BR-079
    pub fn of(answer: Answer, headers: &HeaderMap, standing: Standing, now: OffsetDateTime) -> Self {
        // Azure gives up on bodies that take it too long with these codes, whatever the status.
        let too_large = ["TimeoutExpired", "ReadyBody_ClientConnectionAbort", "ContentLengthLimitExceeded"]
            .iter()
            .any(|code| answer.code.eq_ignore_ascii_case(code));
        match answer.status {
            413 => Self::TooLarge { answer },
            _ if too_large => Self::TooLarge { answer },
            400 => Self::Refused { answer },
            401 => Self::Unauthorized { answer },
            403 => Self::Forbidden { answer, standing },
            404 => Self::NotFound { answer, standing },
            429 => {
                let after = retry_after(headers, now).unwrap_or(SETTLING_WAIT);
                Self::Throttled { answer, after }
            }
            408 | 500.. => Self::Unavailable { answer, after: retry_after(headers, now) },
            _ => Self::Unexpected { answer },
        }
    }

    /// The code that goes into health rows and logs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Token { .. } => "ingest_sign_in",
            Self::Unreachable { .. } => "ingest_unreachable",
            Self::TooLarge { .. } => "ingest_too_large",
            Self::Refused { .. } => "ingest_refused",
            Self::Unauthorized { .. } => "ingest_unauthorized",
            Self::Forbidden { standing: Standing::Settling, .. } => "ingest_forbidden_settling",
            Self::Forbidden { .. } => "ingest_forbidden",
            Self::NotFound { standing: Standing::Settling, .. } => "ingest_not_found_settling",
            Self::NotFound { .. } => "ingest_not_found",
            Self::Throttled { .. } => "ingest_throttled",
            Self::Unavailable { .. } => "ingest_unavailable",
            Self::Unexpected { .. } => "ingest_unexpected",
            Self::Folder { .. } => "ingest_folder",
            Self::EverythingRefused { .. } => "ingest_everything_refused",
        }
    }

    /// Whether Azure may have taken the body all the same: no answer came, or none that says what
    /// became of it.
    pub(super) fn leaves_open(&self) -> bool {
        match self {
            Self::Unreachable { source } => !source.is_connect(),
            Self::Unavailable { .. } | Self::Folder { .. } => true,
            Self::Unexpected { answer } => (200..300).contains(&answer.status),
            Self::Token { .. }
            | Self::TooLarge { .. }
            | Self::Refused { .. }
            | Self::Unauthorized { .. }
            | Self::Forbidden { .. }
            | Self::NotFound { .. }
            | Self::Throttled { .. }
            | Self::EverythingRefused { .. } => false,
        }
    }

    /// Why a single record may be set aside; `None` where the fault is not the record's.
    pub fn fault_of_content(&self) -> Option<&Answer> {
        match self {
            Self::TooLarge { answer } | Self::Refused { answer } => Some(answer),
            _ => None,
        }
    }
}

impl Retryable for IngestError {
    fn retry(&self) -> Retry {
        match self {
            Self::Token { .. } | Self::Unreachable { .. } | Self::Unavailable { after: None, .. } => {
                Retry::Backoff
            }
            Self::Throttled { after, .. } | Self::Unavailable { after: Some(after), .. } => {
                Retry::After(*after)
            }
            // BR-077
            Self::Forbidden { standing: Standing::Settling, .. }
            | Self::NotFound { standing: Standing::Settling, .. } => Retry::After(SETTLING_WAIT),
            Self::TooLarge { .. }
            | Self::Refused { .. }
            | Self::Unauthorized { .. }
            | Self::Forbidden { .. }
            | Self::NotFound { .. }
            | Self::Unexpected { .. }
            | Self::Folder { .. }
            | Self::EverythingRefused { .. } => Retry::Never,
        }
    }
}

/// `Retry-After`, in seconds or as a date; `None` where it is absent or no such thing.
fn retry_after(headers: &HeaderMap, now: OffsetDateTime) -> Option<Duration> {
    let value = headers.get(reqwest::header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match value.parse::<u64>() {
        Ok(secs) => Duration::from_secs(secs),
        Err(_) => {
            let date = OffsetDateTime::parse(value, &time::format_description::well_known::Rfc2822).ok()?;
            Duration::try_from(date - now).unwrap_or_default()
        }
    };
    Some(wait.min(LONGEST_ASKED_WAIT))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};
    use time::macros::datetime;

    use super::{Answer, IngestError, SETTLING_WAIT, Standing};
    use crate::retry::{Retry, Retryable};

    fn classify(
        status: u16,
        code: &str,
        retry_after: Option<&'static str>,
        standing: Standing,
    ) -> (&'static str, Retry) {
        let mut headers = HeaderMap::new();
        if let Some(value) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(value));
        }
        let answer = Answer { status, code: code.to_owned(), ..Answer::default() };
        let error = IngestError::of(answer, &headers, standing, datetime!(2026-11-25 10:00 UTC));
        (error.code(), error.retry())
    }

    // BR-070, BR-071, BR-077, BR-079
    #[test]
    fn each_answer_of_the_table() {
        use Standing::{Settled, Settling};
        let secs = Duration::from_secs;
        for (status, code, retry_after, standing, expected) in [
            (400, "InvalidPayload", None, Settled, ("ingest_refused", Retry::Never)),
            (401, "", None, Settled, ("ingest_unauthorized", Retry::Never)),
            (403, "", None, Settled, ("ingest_forbidden", Retry::Never)),
            (403, "", None, Settling, ("ingest_forbidden_settling", Retry::After(SETTLING_WAIT))),
            (404, "", None, Settled, ("ingest_not_found", Retry::Never)),
            (404, "", None, Settling, ("ingest_not_found_settling", Retry::After(SETTLING_WAIT))),
            (408, "", None, Settled, ("ingest_unavailable", Retry::Backoff)),
            (408, "TimeoutExpired", None, Settled, ("ingest_too_large", Retry::Never)),
            (400, "ReadyBody_ClientConnectionAbort", None, Settled, ("ingest_too_large", Retry::Never)),
            (413, "", None, Settled, ("ingest_too_large", Retry::Never)),
            (429, "", Some("2"), Settled, ("ingest_throttled", Retry::After(secs(2)))),
            (429, "", Some("soon"), Settled, ("ingest_throttled", Retry::After(SETTLING_WAIT))),
            (429, "", Some("99999999"), Settled, ("ingest_throttled", Retry::After(secs(900)))),
            (
                429,
                "",
                Some("Wed, 25 Nov 2026 10:00:07 GMT"),
                Settled,
                ("ingest_throttled", Retry::After(secs(7))),
            ),
            (500, "", None, Settled, ("ingest_unavailable", Retry::Backoff)),
            (503, "", Some("5"), Settled, ("ingest_unavailable", Retry::After(secs(5)))),
            (302, "", None, Settled, ("ingest_unexpected", Retry::Never)),
            (200, "", None, Settled, ("ingest_unexpected", Retry::Never)),
        ] {
            assert_eq!(classify(status, code, retry_after, standing), expected, "{status} {code}");
        }
    }

    #[test]
    fn a_refusal_names_who_was_refused_the_role_and_the_rule() {
        let caller = "the managed identity with the client id 1".to_owned();
        let target = "rule dcr-0, stream Custom-A".to_owned();
        let answer = Answer { status: 403, target, caller, ..Answer::default() };
        let error = IngestError::Forbidden { answer: answer.clone(), standing: Standing::Settled };
        let text = error.to_string();
        for named in ["Monitoring Metrics Publisher", &answer.target, &answer.caller] {
            assert!(text.contains(named), "{text}");
        }
        let calm = IngestError::Forbidden { answer, standing: Standing::Settling }.to_string();
        assert!(calm.contains("30 minutes") && calm.contains("the next run tries again"));
    }
}
