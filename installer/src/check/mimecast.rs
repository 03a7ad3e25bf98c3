//! Mimecast: token, product, role, one audit call, the clock, and how much there is to collect.

use super::{Check, Side};
use crate::answers::Intent;
use crate::answers::intent::{Account, MimecastApi, duration_secs};
use crate::mimecast::{MimecastError, MimecastFacts};

const LINK_TWO: &str = "https://integrations.mimecast.com/documentation/api-overview/api-2-overview/";
const LINK_ONE: &str =
    "https://integrations.mimecast.com/documentation/api-overview/authentication-and-authorization/";
/// Bytes of one event in the table, for the forecast: an estimate from the sample events' rows.
const ROW_BYTES: u64 = 700;
/// How far the clock may be off before a signed call of API 1.0 is at risk. Mimecast publishes no
/// figure; a quarter of an hour is the usual one.
const SKEW_REFUSED_SECS: i64 = 15 * 60;

/// Whether the first run of an installation is still to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstRun {
    /// It is.
    ToCome,
    /// It was.
    Done,
}

/// What Mimecast said of one account, as checks.
pub fn checks(
    intent: &Intent,
    account: &Account,
    seen: &Result<MimecastFacts, MimecastError>,
    first_run: FirstRun,
) -> Vec<Check> {
    let title = if account.key.is_empty() {
        "Mimecast".to_owned()
    } else {
        format!("Mimecast account `{}`", account.key)
    };
    let link = match account.api {
        MimecastApi::Two => LINK_TWO,
        MimecastApi::One => LINK_ONE,
    };
    match seen {
        Ok(facts) => {
            let read =
                Check::good("mimecast", Side::Mimecast, &title, volume(intent, &title, facts, first_run));
            std::iter::once(read).chain(facts.skew_secs.map(|skew| clock(account, skew))).collect()
        }
        Err(error @ MimecastError::Unread { .. }) => {
            vec![Check {
                remedy: Some(error.remedy().to_owned()),
                ..Check::unchecked("mimecast-unread", Side::Mimecast, &title, error.to_string())
            }]
        }
        Err(error) => {
            let mut cause = error.to_string();
            let mut next = std::error::Error::source(error);
            while let Some(source) = next {
                cause = format!("{cause}: {source}");
                next = source.source();
            }
            vec![Check::fails(id(error), Side::Mimecast, &title, cause, error.remedy()).link(link)]
        }
    }
}

/// Which check an error belongs to.
fn id(error: &MimecastError) -> &'static str {
    match error {
        MimecastError::Unread { .. } => "mimecast-unread",
        MimecastError::Send { .. } => "mimecast-host",
        MimecastError::Credentials { .. } => "mimecast-credentials",
        MimecastError::Forbidden { .. } => "mimecast-role",
        MimecastError::Product { .. } => "mimecast-product",
        MimecastError::Region { .. } => "mimecast-region",
        MimecastError::Expired => "mimecast-binding",
        MimecastError::Answer { .. } => "mimecast-answer",
        MimecastError::Clock { .. } => "clock",
        MimecastError::SecretKey { .. } => "mimecast-secret-key",
    }
}

/// About how much there is: a day, and the first run where one is still to come.
pub fn volume(intent: &Intent, whose: &str, facts: &MimecastFacts, first_run: FirstRun) -> String {
    let Some(events) = facts.events_a_day else {
        return format!("{whose} lets the credentials read audit events");
    };
    let megabytes = events.saturating_mul(ROW_BYTES).div_ceil(1_000_000);
    let first = facts.events_first_run.or_else(|| {
        duration_secs(&intent.collect.first_run).map(|secs| events.saturating_mul(secs) / 86_400)
    });
    let first = first
        .filter(|_| first_run == FirstRun::ToCome)
        .map(|count| format!("; the first run reads about {count} of the last {}", intent.collect.first_run));
    format!(
        "{whose} has {events} audit events of the last 24 hours: about {megabytes} MB a day in the workspace{}",
        first.unwrap_or_default()
    )
}

/// A clock that is off. The worker has Azure's own clock; what suffers is what this machine signs, which
/// is every call of API 1.0.
fn clock(account: &Account, skew_secs: i64) -> Check {
    let found = format!(
        "this machine's clock is {} {} Mimecast's",
        super::span(skew_secs.unsigned_abs()),
        if skew_secs > 0 { "ahead of" } else { "behind" }
    );
    let remedy = "set the clock (`timedatectl set-ntp true`; under WSL `sudo hwclock -s`): tokens, and calls of API 1.0, are good for a time";
    if skew_secs.abs() > SKEW_REFUSED_SECS && account.api == MimecastApi::One {
        Check::fails("clock", Side::SignIn, "clock", found, remedy)
    } else {
        Check::warns("clock", Side::SignIn, "clock", found, remedy)
    }
}
