//! Mimecast's rate limit: what its headers say, and how long to wait before the next call.
//!
//! `X-RateLimit-Reset` is in milliseconds until at least one call is given back; several public
//! clients read it as seconds or as a moment. `Retry-After` is in seconds or a date.
//! Source: Mimecast's page on rate limits, and `reference/rate-limit-headers.json` of the tests.

use std::time::Duration;

use reqwest::header::HeaderMap;
use time::OffsetDateTime;

use crate::retry::RetryPolicy;

/// The longest wait that a header is believed: quotas are said to be by the hour, and a header that
/// says more is damaged.
pub const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);

/// What the reset header counts in.
const RESET_UNIT: Duration = Duration::from_millis(1);

/// The wait after a 429 that names none.
pub const UNNAMED_WAIT: Duration = Duration::from_secs(30);

/// How calls are paced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pacing {
    /// Calls of each quota period that are left to other users of the same application.
    pub reserve: u64,
    /// How failed calls are tried again.
    pub retry: RetryPolicy,
    /// The longest wait for the quota; a longer one ends the reading.
    pub patience: Duration,
}

impl Default for Pacing {
    /// Nothing reserved; six attempts over about half a minute, longer outages are the next tick's.
    fn default() -> Self {
        let retry = RetryPolicy {
            attempts: 6,
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(30),
        };
        Self { reserve: 0, retry, patience: Duration::MAX }
    }
}

/// What Mimecast last said about the quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quota {
    /// Calls in one period.
    pub limit: Option<u64>,
    /// Calls left of them.
    pub remaining: Option<u64>,
    /// How long until calls are given back, counted from `seen_at`.
    pub reset_in: Option<Duration>,
    /// When it was said, on the world's steady clock.
    pub seen_at: Duration,
}

impl Quota {
    /// What an answer's headers say; where they are silent, what was known stays.
    pub fn updated(self, headers: &HeaderMap, seen_at: Duration) -> Self {
        let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
        let remaining = number("x-ratelimit-remaining");
        let reset_in = reset(headers);
        Self {
            limit: number("x-ratelimit-limit").or(self.limit),
            remaining: remaining.or(self.remaining),
            reset_in: reset_in.or(self.reset_in),
            seen_at: if remaining.is_some() || reset_in.is_some() { seen_at } else { self.seen_at },
        }
    }

    /// How long to wait before the next call, `now` on the steady clock.
    ///
    /// Nothing while more than a tenth of the period's calls is left beyond the reserve. Below that
    /// the calls that are left are spread over the time until the reset; with none left, that time
    /// itself.
    pub fn wait(&self, reserve: u64, now: Duration) -> Duration {
        let (Some(remaining), Some(reset_in)) = (self.remaining, self.reset_in) else {
            return Duration::ZERO;
        };
        let left = (self.seen_at + reset_in).saturating_sub(now);
        let usable = remaining.saturating_sub(reserve);
        let plenty = self.limit.map_or(10, |limit| limit.div_ceil(10).max(1));
        if usable == 0 {
            left
        } else if usable >= plenty {
            Duration::ZERO
        } else {
            left / u32::try_from(usable + 1).unwrap_or(u32::MAX)
        }
    }
}

/// How long a 429 asks to wait: `Retry-After` before the reset header, neither believed beyond
/// [`LONGEST_WAIT`], [`UNNAMED_WAIT`] where both are absent or damaged.
pub fn throttled_wait(headers: &HeaderMap, now: OffsetDateTime) -> Duration {
    retry_after(headers, now).or_else(|| reset(headers)).unwrap_or(UNNAMED_WAIT)
}

/// The wait that `Retry-After` names, as seconds or as a date.
pub fn retry_after(headers: &HeaderMap, now: OffsetDateTime) -> Option<Duration> {
    let text = headers.get(reqwest::header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<f64>() {
        Ok(secs) if secs >= 0.0 => Duration::try_from_secs_f64(secs).unwrap_or(LONGEST_WAIT),
        Ok(_) => return None,
        Err(_) => {
            let at = OffsetDateTime::parse(text, &time::format_description::well_known::Rfc2822).ok()?;
            Duration::try_from(at - now).unwrap_or(Duration::ZERO)
        }
    };
    Some(wait.min(LONGEST_WAIT))
}

/// The wait that the reset header names, in milliseconds, and one more: the whole number may have been cut, and a
/// call that comes that much too early is refused.
fn reset(headers: &HeaderMap) -> Option<Duration> {
    ["x-ratelimit-reset", "x-mimecast-ratelimit-reset"].iter().find_map(|&name| {
        let millis = headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok()?;
        Some(Duration::from_millis(millis).saturating_add(RESET_UNIT).min(LONGEST_WAIT))
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
    use time::macros::datetime;

    use super::{LONGEST_WAIT, Quota, UNNAMED_WAIT, throttled_wait};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    // BR-021
    #[test]
    fn a_429_is_waited_out_by_its_headers_in_their_units() {
        let now = datetime!(2026-11-25 10:00 UTC);
        for (pairs, expected) in [
            (&[("x-ratelimit-reset", "20000")][..], Duration::from_millis(20_001)),
            (&[("x-ratelimit-reset", "1750")], Duration::from_millis(1751)),
            (&[("x-mimecast-ratelimit-reset", "41250")], Duration::from_millis(41_251)),
            (&[("retry-after", "2"), ("x-ratelimit-reset", "1750")], Duration::from_secs(2)),
            (&[("retry-after", "Wed, 25 Nov 2026 10:00:30 GMT")], Duration::from_secs(30)),
            (&[("retry-after", "Wed, 25 Nov 2026 09:00:00 GMT")], Duration::ZERO),
            (&[("x-ratelimit-reset", "999999999")], LONGEST_WAIT),
            (&[("retry-after", "1e300")], LONGEST_WAIT),
            (&[("retry-after", "soon"), ("x-ratelimit-reset", "1750")], Duration::from_millis(1751)),
            (&[("retry-after", "-5"), ("x-ratelimit-reset", "later")], UNNAMED_WAIT),
            (&[], UNNAMED_WAIT),
        ] {
            assert_eq!(throttled_wait(&headers(pairs), now), expected, "{pairs:?}");
        }
    }

    fn quota(limit: u64, remaining: u64, reset_secs: u64) -> Quota {
        Quota {
            limit: Some(limit),
            remaining: Some(remaining),
            reset_in: Some(Duration::from_secs(reset_secs)),
            seen_at: Duration::from_secs(100),
        }
    }

    #[test]
    fn calls_slow_down_as_the_quota_runs_out_and_leave_the_reserve() {
        let now = Duration::from_secs(100);
        assert_eq!(quota(300, 297, 54).wait(0, now), Duration::ZERO);
        assert_eq!(quota(300, 30, 54).wait(0, now), Duration::ZERO);
        assert_eq!(quota(300, 26, 54).wait(0, now), Duration::from_secs(2));
        assert_eq!(quota(300, 0, 54).wait(0, now), Duration::from_secs(54));
        // The last calls belong to others.
        assert_eq!(quota(300, 100, 54).wait(100, now), Duration::from_secs(54));
        assert_eq!(quota(300, 126, 54).wait(100, now), Duration::from_secs(2));
        // Time that has passed counts.
        assert_eq!(quota(300, 0, 54).wait(0, Duration::from_secs(150)), Duration::from_secs(4));
        assert_eq!(quota(300, 0, 54).wait(0, Duration::from_secs(500)), Duration::ZERO);
        assert_eq!(Quota::default().wait(1000, now), Duration::ZERO);
    }

    #[test]
    fn an_answer_without_the_headers_leaves_the_quota_as_it_was() {
        let known = quota(300, 7, 54);
        assert_eq!(known.updated(&headers(&[]), Duration::from_secs(9999)), known);
        let updated = known.updated(&headers(&[("x-ratelimit-remaining", "6")]), Duration::from_secs(101));
        assert_eq!((updated.remaining, updated.seen_at), (Some(6), Duration::from_secs(101)));
    }
}
