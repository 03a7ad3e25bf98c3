//! A blob's lease: its states, and what each call does in each of them.
//!
//! Follows the two tables of <https://learn.microsoft.com/rest/api/storageservices/lease-blob>
//! ("Outcomes of lease operations" and "Outcomes of use attempts, by lease state").

use time::{Duration, OffsetDateTime};

use crate::storage::StorageError;

/// The lease of one blob.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Lease {
    /// Nobody holds it.
    #[default]
    Available,
    /// Held by this id; `until` is empty for an infinite lease.
    Leased { id: String, duration: Option<Duration>, until: Option<OffsetDateTime> },
    /// Broken, but still binding until then.
    Breaking { id: String, until: OffsetDateTime },
    /// No longer binding.
    Broken { id: String },
    /// Ran out, and nothing was written since.
    Expired { id: String, duration: Option<Duration> },
}

/// How a call uses the blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    Read,
    Write,
}

fn conflict(code: &'static str, message: &str) -> StorageError {
    StorageError::new(409, code, message)
}

fn already_present() -> StorageError {
    conflict("LeaseAlreadyPresent", "There is already a lease present.")
}

fn mismatch() -> StorageError {
    conflict(
        "LeaseIdMismatchWithLeaseOperation",
        "The lease ID specified did not match the lease ID for the blob.",
    )
}

fn not_present() -> StorageError {
    conflict("LeaseNotPresentWithLeaseOperation", "There is currently no lease on the blob.")
}

impl Lease {
    /// The lease as time has left it.
    pub(crate) fn at(self, now: OffsetDateTime) -> Self {
        match self {
            Self::Leased { id, duration, until: Some(until) } if until <= now => {
                Self::Expired { id, duration }
            }
            Self::Breaking { id, until } if until <= now => Self::Broken { id },
            other => other,
        }
    }

    /// The lease as if this much more time had passed for it.
    pub(crate) fn aged(self, by: std::time::Duration) -> Self {
        match self {
            Self::Leased { id, duration, until: Some(until) } => {
                Self::Leased { id, duration, until: Some(until - by) }
            }
            Self::Breaking { id, until } => Self::Breaking { id, until: until - by },
            other => other,
        }
    }

    fn hold(id: String, duration: Option<Duration>, now: OffsetDateTime) -> Self {
        Self::Leased { id, duration, until: duration.map(|duration| now + duration) }
    }

    /// Takes the lease under this id.
    ///
    /// # Errors
    /// 409 while another holds it, or while it is breaking.
    pub(crate) fn acquire(
        &self,
        id: String,
        duration: Option<Duration>,
        now: OffsetDateTime,
    ) -> Result<Self, StorageError> {
        match self {
            Self::Leased { id: held, .. } if *held != id => Err(already_present()),
            Self::Breaking { id: held, .. } if *held == id => Err(conflict(
                "LeaseIsBreakingAndCannotBeAcquired",
                "The lease ID matched, but the lease is currently in breaking state and can't be acquired until it is broken.",
            )),
            Self::Breaking { .. } => Err(already_present()),
            _ => Ok(Self::hold(id, duration, now)),
        }
    }

    /// Starts the lease's time anew; an expired one too, when nothing was written since.
    ///
    /// # Errors
    /// 409 for another id, and for a broken lease.
    pub(crate) fn renew(&self, id: &str, now: OffsetDateTime) -> Result<Self, StorageError> {
        match self {
            Self::Leased { id: held, duration, .. } | Self::Expired { id: held, duration } if held == id => {
                Ok(Self::hold(held.clone(), *duration, now))
            }
            Self::Breaking { id: held, .. } | Self::Broken { id: held } if held == id => Err(conflict(
                "LeaseIsBrokenAndCannotBeRenewed",
                "The lease ID matched, but the lease has been broken explicitly and can't be renewed.",
            )),
            _ => Err(mismatch()),
        }
    }

    /// Gives the lease back.
    ///
    /// # Errors
    /// 409 for an id that does not hold it.
    pub(crate) fn release(&self, id: &str) -> Result<Self, StorageError> {
        match self {
            Self::Leased { id: held, .. }
            | Self::Breaking { id: held, .. }
            | Self::Broken { id: held }
            | Self::Expired { id: held, .. }
                if held == id =>
            {
                Ok(Self::Available)
            }
            _ => Err(mismatch()),
        }
    }

    /// Hands the lease on to another id.
    ///
    /// # Errors
    /// 409 unless it is held by one of the two.
    pub(crate) fn change(&self, id: &str, proposed: &str) -> Result<Self, StorageError> {
        match self {
            Self::Leased { id: held, duration, until } if held == id || held == proposed => {
                Ok(Self::Leased { id: proposed.to_owned(), duration: *duration, until: *until })
            }
            Self::Leased { .. } => Err(mismatch()),
            Self::Breaking { id: held, .. } if held == id => Err(conflict(
                "LeaseIsBreakingAndCannotBeChanged",
                "The lease ID matched, but the lease is currently in breaking state and can't be changed.",
            )),
            Self::Breaking { .. } => Err(mismatch()),
            _ => Err(not_present()),
        }
    }

    /// Breaks the lease whoever holds it, and says how long it still binds.
    ///
    /// # Errors
    /// 409 where there never was one.
    pub(crate) fn break_it(
        &self,
        period: Option<Duration>,
        now: OffsetDateTime,
    ) -> Result<(Self, Duration), StorageError> {
        let (id, left) = match self {
            Self::Available => return Err(not_present()),
            // An infinite lease breaks at once unless a period is asked for.
            Self::Leased { id, until: None, .. } => (id, period.unwrap_or(Duration::ZERO)),
            Self::Leased { id, until: Some(until), .. } | Self::Breaking { id, until } => {
                let left = *until - now;
                (id, period.map_or(left, |period| period.min(left)))
            }
            Self::Broken { id } | Self::Expired { id, .. } => (id, Duration::ZERO),
        };
        let lease = if left > Duration::ZERO {
            Self::Breaking { id: id.clone(), until: now + left }
        } else {
            Self::Broken { id: id.clone() }
        };
        Ok((lease, left))
    }

    /// Whether a call with this lease id (or none) may use the blob.
    ///
    /// # Errors
    /// 412 with the code that tells the cases apart.
    pub(crate) fn check(&self, id: Option<&str>, wanted: Use) -> Result<(), StorageError> {
        let refuse = |code, message: &str| Err(StorageError::new(412, code, message));
        match (self, id) {
            (Self::Leased { id: held, .. } | Self::Breaking { id: held, .. }, Some(id)) if held == id => {
                Ok(())
            }
            (Self::Leased { .. } | Self::Breaking { .. }, Some(_)) => refuse(
                "LeaseIdMismatchWithBlobOperation",
                "The lease ID specified did not match the lease ID for the blob.",
            ),
            (Self::Leased { .. } | Self::Breaking { .. }, None) if wanted == Use::Write => refuse(
                "LeaseIdMissing",
                "There is currently a lease on the blob and no lease ID was specified in the request.",
            ),
            (Self::Broken { .. } | Self::Expired { .. }, Some(_)) => {
                refuse("LeaseLost", "A lease ID was specified, but the lease for the blob has expired.")
            }
            (Self::Available, Some(_)) => {
                refuse("LeaseNotPresentWithBlobOperation", "There is currently no lease on the blob.")
            }
            (_, None) => Ok(()),
        }
    }

    /// The lease after a write: one that ran out is gone, and can no longer be renewed.
    pub(crate) fn after_write(self) -> Self {
        match self {
            Self::Broken { .. } | Self::Expired { .. } => Self::Available,
            held => held,
        }
    }

    /// `x-ms-lease-status` and `x-ms-lease-state`.
    pub(crate) fn status_and_state(&self) -> (&'static str, &'static str) {
        match self {
            Self::Available => ("unlocked", "available"),
            Self::Leased { .. } => ("locked", "leased"),
            Self::Breaking { .. } => ("locked", "breaking"),
            Self::Broken { .. } => ("unlocked", "broken"),
            Self::Expired { .. } => ("unlocked", "expired"),
        }
    }

    /// `x-ms-lease-duration` of a held lease.
    pub(crate) fn duration_word(&self) -> Option<&'static str> {
        match self {
            Self::Leased { duration: None, .. } => Some("infinite"),
            Self::Leased { duration: Some(_), .. } => Some("fixed"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Lease, Use};
    use time::macros::datetime;
    use time::{Duration, OffsetDateTime};

    const NOW: OffsetDateTime = datetime!(2026-11-24 10:00:00 UTC);
    const MINUTE: Option<Duration> = Some(Duration::seconds(60));

    fn held() -> Lease {
        Lease::Available.acquire("a".to_owned(), MINUTE, NOW).unwrap()
    }

    fn code<T: std::fmt::Debug>(result: Result<T, crate::storage::StorageError>) -> &'static str {
        result.unwrap_err().code
    }

    #[test]
    fn the_second_holder_is_refused_until_the_time_is_over() {
        assert_eq!(code(held().acquire("b".to_owned(), MINUTE, NOW)), "LeaseAlreadyPresent");
        let later = NOW + Duration::seconds(60);
        assert!(held().at(later).acquire("b".to_owned(), MINUTE, later).is_ok());
    }

    #[test]
    fn the_holder_may_ask_again() {
        assert!(held().acquire("a".to_owned(), MINUTE, NOW).is_ok());
    }

    #[test]
    fn an_expired_lease_is_renewed_only_if_nothing_was_written() {
        let later = NOW + Duration::seconds(61);
        let expired = held().at(later);
        assert!(expired.renew("a", later).is_ok());
        assert_eq!(code(expired.after_write().renew("a", later)), "LeaseIdMismatchWithLeaseOperation");
    }

    #[test]
    fn breaking_binds_for_the_rest_of_the_time_at_most() {
        let (lease, left) = held().break_it(Some(Duration::seconds(90)), NOW).unwrap();
        assert_eq!(left, Duration::seconds(60));
        assert_eq!(code(lease.check(None, Use::Write)), "LeaseIdMissing");
        assert_eq!(code(lease.renew("a", NOW)), "LeaseIsBrokenAndCannotBeRenewed");
        let (lease, left) = held().break_it(Some(Duration::ZERO), NOW).unwrap();
        assert_eq!((lease, left), (Lease::Broken { id: "a".to_owned() }, Duration::ZERO));
        assert_eq!(code(Lease::Available.break_it(None, NOW)), "LeaseNotPresentWithLeaseOperation");
    }

    #[test]
    fn a_write_needs_the_holders_id_and_a_read_needs_none() {
        assert_eq!(code(held().check(None, Use::Write)), "LeaseIdMissing");
        assert_eq!(code(held().check(Some("b"), Use::Write)), "LeaseIdMismatchWithBlobOperation");
        assert_eq!(held().check(Some("a"), Use::Write), Ok(()));
        assert_eq!(held().check(None, Use::Read), Ok(()));
        assert_eq!(code(held().check(Some("b"), Use::Read)), "LeaseIdMismatchWithBlobOperation");
        let expired = held().at(NOW + Duration::seconds(60));
        assert_eq!(code(expired.check(Some("a"), Use::Write)), "LeaseLost");
        assert_eq!(expired.check(None, Use::Write), Ok(()));
        assert_eq!(code(Lease::Available.check(Some("a"), Use::Write)), "LeaseNotPresentWithBlobOperation");
    }

    #[test]
    fn changing_hands_keeps_the_time() {
        let changed = held().change("a", "b").unwrap();
        assert_eq!(changed.check(Some("b"), Use::Write), Ok(()));
        assert_eq!(code(held().change("x", "y")), "LeaseIdMismatchWithLeaseOperation");
        assert_eq!(code(Lease::Available.change("a", "b")), "LeaseNotPresentWithLeaseOperation");
    }
}
