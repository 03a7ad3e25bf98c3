//! Why Mimecast could not be read: a closed list, each kind with whether to try again and what to do.

use std::fmt;
use std::time::Duration;

use crate::retry::{Ended, Exhausted, Retry, Retryable};

use super::envelope::Failure;

/// A call that failed.
#[derive(Debug, thiserror::Error)]
#[error("could not {attempted}: {kind}{}", Details(self))]
pub struct PollError {
    /// What was being attempted.
    pub attempted: Attempted,
    /// What stood in the way.
    pub kind: PollErrorKind,
    /// HTTP status of the answer, where there was one.
    pub status: Option<u16>,
    /// Mimecast's own code for it.
    pub code: Option<String>,
    /// Mimecast's own words for it. Never those of the token and login routes, which can repeat
    /// credentials.
    pub message: Option<String>,
    /// What Mimecast's support asks for: the answer's `x-request-id`, else our `x-mc-req-id`.
    pub request_id: Option<String>,
    /// How many attempts were made.
    pub attempts: u32,
    /// What the transport or the answer's body said. Boxed, so that the error stays small.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What a call was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempted {
    /// A token for API 2.0.
    GetToken,
    /// A page of events.
    ReadPage,
    /// The count of a window's events.
    CountEvents,
    /// The list of categories, as a test of the connection.
    ListCategories,
    /// The region of an API 1.0 account.
    DiscoverRegion,
    /// The renewal of an API 1.0 binding.
    RenewBinding,
}

impl fmt::Display for Attempted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::GetToken => "get a Mimecast API 2.0 token",
            Self::ReadPage => "read a page of Mimecast audit events",
            Self::CountEvents => "count Mimecast audit events",
            Self::ListCategories => "list Mimecast audit categories",
            Self::DiscoverRegion => "find the region of the Mimecast account",
            Self::RenewBinding => "renew the Mimecast access key",
        })
    }
}

/// The closed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PollErrorKind {
    /// No connection, no name, no TLS, or no answer in time.
    Unreachable,
    /// The answer ended before it was complete.
    Cut,
    /// The answer is not what this API gives: a gateway's page, or JSON of another shape.
    Unreadable,
    /// 5xx, or a failure that Mimecast calls retryable.
    ServerFault,
    /// 504: Mimecast did not finish in time. A narrower window asks less of it.
    GatewayTimeout,
    /// 429.
    Throttled(Duration),
    /// Waiting for the quota would pass the run's budget.
    QuotaSpent(Duration),
    /// The API 2.0 token ran out.
    TokenExpired,
    /// The API 2.0 token was not accepted.
    TokenRefused,
    /// Client id and secret, or the four keys, were not accepted.
    CredentialsRefused,
    /// This machine's clock is far from Mimecast's, which breaks signatures and windows.
    ClockSkew,
    /// The API 1.0 application id or key is not known.
    ApplicationRefused,
    /// 418: the API 1.0 access key has expired.
    BindingExpired,
    /// The API 2.0 application lacks the product.
    ProductMissing,
    /// The role lacks the right.
    RoleMissing,
    /// The account lives in another region.
    WrongRegion,
    /// No such path, or not by this method: this is not the host of this API.
    WrongHost,
    /// Mimecast does not accept the request's content.
    RequestRefused,
    /// Mimecast no longer accepts the page token: the window must be read from its start.
    PageTokenRefused,
    /// Paging goes in a circle.
    PagingLoop,
}

/// Which side has to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Mimecast's service.
    Mimecast,
    /// The Mimecast application, its role, or the credentials given to us.
    Settings,
    /// The network between, or this machine.
    Here,
}

impl PollErrorKind {
    /// The code that goes into health rows and logs.
    pub fn code(self) -> &'static str {
        match self {
            Self::Unreachable => "mimecast_unreachable",
            Self::Cut => "mimecast_answer_cut",
            Self::Unreadable => "mimecast_answer_unreadable",
            Self::ServerFault => "mimecast_server_fault",
            Self::GatewayTimeout => "mimecast_gateway_timeout",
            Self::Throttled(_) => "mimecast_throttled",
            Self::QuotaSpent(_) => "mimecast_quota_spent",
            Self::TokenExpired => "mimecast_token_expired",
            Self::TokenRefused => "mimecast_token_refused",
            Self::CredentialsRefused => "mimecast_credentials_refused",
            Self::ClockSkew => "mimecast_clock_skew",
            Self::ApplicationRefused => "mimecast_application_refused",
            Self::BindingExpired => "mimecast_access_key_expired",
            Self::ProductMissing => "mimecast_product_missing",
            Self::RoleMissing => "mimecast_role_missing",
            Self::WrongRegion => "mimecast_wrong_region",
            Self::WrongHost => "mimecast_wrong_host",
            Self::RequestRefused => "mimecast_request_refused",
            Self::PageTokenRefused => "mimecast_page_token_refused",
            Self::PagingLoop => "mimecast_paging_loop",
        }
    }

    /// Whether trying the same call again can help.
    fn advice(self) -> Retry {
        match self {
            Self::Unreachable | Self::Cut | Self::Unreadable | Self::ServerFault | Self::GatewayTimeout => {
                Retry::Backoff
            }
            // Seen intermittently in public clients, which treat them as passing.
            Self::TokenRefused | Self::ApplicationRefused => Retry::Backoff,
            Self::TokenExpired => Retry::After(Duration::ZERO),
            Self::Throttled(wait) => Retry::After(wait),
            Self::QuotaSpent(_)
            | Self::CredentialsRefused
            | Self::ClockSkew
            | Self::BindingExpired
            | Self::ProductMissing
            | Self::RoleMissing
            | Self::WrongRegion
            | Self::WrongHost
            | Self::RequestRefused
            | Self::PageTokenRefused
            | Self::PagingLoop => Retry::Never,
        }
    }

    /// How many attempts this kind is worth, where that is fewer than the policy's.
    pub(super) fn attempts(self) -> u32 {
        match self {
            // A second refusal of a fresh token or key is no accident.
            Self::TokenExpired | Self::TokenRefused | Self::ApplicationRefused => 2,
            Self::Unreadable => 3,
            _ => u32::MAX,
        }
    }

    /// How long the quota asks to wait, where it is what stands in the way.
    pub fn wait(self) -> Option<Duration> {
        match self {
            Self::Throttled(wait) | Self::QuotaSpent(wait) => Some(wait),
            _ => None,
        }
    }

    /// Which side has to act.
    pub fn side(self) -> Side {
        match self {
            Self::Unreachable | Self::ClockSkew => Side::Here,
            Self::Cut
            | Self::Unreadable
            | Self::ServerFault
            | Self::GatewayTimeout
            | Self::Throttled(_)
            | Self::QuotaSpent(_)
            | Self::TokenExpired
            | Self::PageTokenRefused
            | Self::PagingLoop => Side::Mimecast,
            Self::TokenRefused
            | Self::CredentialsRefused
            | Self::ApplicationRefused
            | Self::BindingExpired
            | Self::ProductMissing
            | Self::RoleMissing
            | Self::WrongRegion
            | Self::WrongHost
            | Self::RequestRefused => Side::Settings,
        }
    }

    /// What to do now.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Unreachable => {
                "nothing was lost and the next run tries again; if it lasts, check that this machine can reach the host by https (name, proxy, firewall)"
            }
            Self::Cut | Self::Unreadable | Self::ServerFault | Self::GatewayTimeout => {
                "nothing was lost and the next run tries again; if it lasts, give Mimecast's support the request id"
            }
            Self::Throttled(_) | Self::QuotaSpent(_) => {
                "nothing was lost and the next run goes on; give this connector a Mimecast application of its own, since the quota is shared inside one"
            }
            Self::TokenExpired => "the next run gets a new token",
            Self::TokenRefused | Self::CredentialsRefused => {
                "check client id and client secret (API 2.0) or the four keys (API 1.0) and that the application is active; the secret's value is needed, not its id; keys of a new API 1.0 application take 30 minutes to work"
            }
            Self::ClockSkew => {
                "set this machine's clock: while it is wrong, signed calls are refused and a window could end in a future whose events are still to come"
            }
            Self::ApplicationRefused => "check the application id and the application key of API 1.0",
            Self::BindingExpired => {
                "create new access and secret keys for the API 1.0 application, with an authentication profile whose cache never expires, and store them with `mimecast-sentinel rotate`; or move to API 2.0"
            }
            Self::ProductMissing => {
                "make a new API 2.0 application with the product `Audit Events`: products cannot be changed after an application is saved"
            }
            Self::RoleMissing => "give the application's role the right `Account | Logs | Read`",
            Self::WrongRegion => {
                "set the base URL to the host of the account's region; the account code's first letters name it (CUSA us, CUSB usb, CUK eu, CDE de, CCA ca, CSA za, CAU au)"
            }
            Self::WrongHost => {
                "check the base URL: API 2.0 is served by https://api.services.mimecast.com and its regional forms, API 1.0 by https://<region>-api.mimecast.com"
            }
            Self::RequestRefused => {
                "check the categories in the settings; if they are right, report this with the request id"
            }
            Self::PageTokenRefused => "the window is read again from its start",
            Self::PagingLoop => {
                "the place is kept and a narrower window is tried; if it lasts, give Mimecast's support the request id"
            }
        }
    }
}

impl fmt::Display for PollErrorKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Unreachable => "Mimecast could not be reached",
            Self::Cut => "Mimecast's answer ended before it was complete",
            Self::Unreadable => "Mimecast's answer is not what its API gives",
            Self::ServerFault => "Mimecast had a fault",
            Self::GatewayTimeout => "Mimecast's service did not answer its gateway in time",
            Self::Throttled(wait) => {
                return write!(formatter, "Mimecast's quota is used up for {} seconds", seconds(*wait));
            }
            Self::QuotaSpent(wait) => {
                return write!(
                    formatter,
                    "Mimecast's quota, less the reserve, is used up for {} seconds, longer than this run may take",
                    seconds(*wait)
                );
            }
            Self::TokenExpired => "the token had expired",
            Self::TokenRefused => "Mimecast did not accept the token",
            Self::CredentialsRefused => "Mimecast did not accept the credentials",
            Self::ClockSkew => "this machine's clock differs from Mimecast's by minutes",
            Self::ApplicationRefused => "Mimecast does not know the application",
            Self::BindingExpired => "the access key has expired",
            Self::ProductMissing => "the application lacks the product that serves audit events",
            Self::RoleMissing => "the application's role lacks the right to read audit events",
            Self::WrongRegion => "the account lives in another region",
            Self::WrongHost => "the host does not serve this route",
            Self::RequestRefused => "Mimecast refused the request",
            Self::PageTokenRefused => "Mimecast no longer accepts the page token",
            Self::PagingLoop => "paging goes in a circle",
        })
    }
}

/// Whole seconds, rounded up.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

struct Details<'a>(&'a PollError);

impl fmt::Display for Details<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = self.0;
        let mut parts = Vec::new();
        if let Some(status) = error.status {
            parts.push(format!("HTTP {status}"));
        }
        if let Some(code) = &error.code {
            parts.push(code.clone());
        }
        if let Some(message) = &error.message {
            parts.push(format!("`{message}`"));
        }
        if error.attempts > 1 {
            parts.push(format!("{} attempts", error.attempts));
        }
        if let Some(id) = &error.request_id {
            parts.push(format!("request id {id}"));
        }
        if parts.is_empty() { Ok(()) } else { write!(formatter, " ({})", parts.join(", ")) }
    }
}

impl Retryable for PollError {
    fn retry(&self) -> Retry {
        if self.attempts >= self.kind.attempts() { Retry::Never } else { self.kind.advice() }
    }
}

impl PollError {
    /// An error of this kind and no more.
    pub(super) fn new(attempted: Attempted, kind: PollErrorKind) -> Self {
        Self {
            attempted,
            kind,
            status: None,
            code: None,
            message: None,
            request_id: None,
            attempts: 1,
            source: None,
        }
    }

    /// Whether a narrower window may pass where this one did not.
    pub fn narrower_may_pass(&self) -> bool {
        matches!(self.kind, PollErrorKind::GatewayTimeout | PollErrorKind::PagingLoop)
    }

    /// Whether the run may end well and the next one go on, since only time is needed.
    pub fn only_time_is_needed(&self) -> bool {
        matches!(self.kind, PollErrorKind::Throttled(_) | PollErrorKind::QuotaSpent(_))
    }

    /// The last attempt's error with the count of attempts; a wait for the quota that did not fit
    /// becomes [`PollErrorKind::QuotaSpent`].
    pub(super) fn exhausted(exhausted: Exhausted<Self>) -> Self {
        let Exhausted { attempts, mut cause, ended } = exhausted;
        cause.attempts = attempts;
        if let (Ended::Deadline, PollErrorKind::Throttled(wait)) = (ended, cause.kind) {
            cause.kind = PollErrorKind::QuotaSpent(wait);
        }
        cause
    }
}

/// The kind of a refusal: HTTP status, `meta.status` and the failures together. `paged`: whether
/// the request carried a page token.
pub(super) fn kind(
    status: u64,
    failures: &[Failure],
    paged: bool,
    throttled_wait: impl FnOnce() -> Duration,
) -> PollErrorKind {
    if let Some(kind) = failures.iter().find_map(|failure| by_code(failure, paged)) {
        return kind;
    }
    match status {
        200..=299 => match failures.first() {
            Some(failure) if failure.retryable => PollErrorKind::ServerFault,
            Some(_) => PollErrorKind::RequestRefused,
            None => PollErrorKind::Unreadable,
        },
        401 => PollErrorKind::CredentialsRefused,
        403 => PollErrorKind::RoleMissing,
        // Most likely the token: the same request without one was accepted.
        400 if paged => PollErrorKind::PageTokenRefused,
        // A redirect is never followed: it could carry credentials to another host.
        300..=399 | 404 | 405 => PollErrorKind::WrongHost,
        408 => PollErrorKind::Unreachable,
        418 => PollErrorKind::BindingExpired,
        429 => PollErrorKind::Throttled(throttled_wait()),
        504 => PollErrorKind::GatewayTimeout,
        500..=599 => PollErrorKind::ServerFault,
        _ => PollErrorKind::RequestRefused,
    }
}

/// The kind that Mimecast's own code names, where it names one.
fn by_code(failure: &Failure, paged: bool) -> Option<PollErrorKind> {
    let message = failure.message.as_deref().unwrap_or_default();
    let kind = match failure.code.as_deref().unwrap_or_default() {
        "token_expired" => PollErrorKind::TokenExpired,
        "token_verification_failed" => PollErrorKind::TokenRefused,
        "unauthorized"
        | "InvalidClientIdentifier"
        | "err_xdk_client_unauthorized"
        | "err_xdk_invalid_signature"
        | "err_xdk_credentials_missing"
        | "err_xdk_authentication_type" => {
            if message.contains("Unauthorized Request") {
                PollErrorKind::TokenRefused
            } else {
                PollErrorKind::CredentialsRefused
            }
        }
        "app_forbidden" => PollErrorKind::ProductMissing,
        "err_xdk_operation_forbidden_for_address" | "err_xdk_forbidden" => PollErrorKind::RoleMissing,
        "err_xdk_binding_expired" => PollErrorKind::BindingExpired,
        "err_developer_key" => PollErrorKind::ApplicationRefused,
        "err_audit_log_incorrect_region" => PollErrorKind::WrongRegion,
        "GatewayTimeout" => PollErrorKind::GatewayTimeout,
        code if paged && (code.ends_with("_invalid_token") || message.contains("0007 Invalid token")) => {
            PollErrorKind::PageTokenRefused
        }
        _ if message.contains("Unauthorized Request") => PollErrorKind::TokenRefused,
        _ => return None,
    };
    Some(kind)
}
