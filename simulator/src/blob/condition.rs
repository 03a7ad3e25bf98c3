//! Conditional headers: `If-Match`, `If-None-Match` and the two of time.
//!
//! Follows <https://learn.microsoft.com/rest/api/storageservices/specifying-conditional-headers-for-blob-service-operations>.

use time::OffsetDateTime;

use super::lease::Use;
use crate::storage::{Call, StorageError, parse_http_date};

/// What a call asks of the blob's present version.
#[derive(Debug, Clone, Default)]
pub(crate) struct Conditions {
    if_match: Option<String>,
    if_none_match: Option<String>,
    if_modified_since: Option<OffsetDateTime>,
    if_unmodified_since: Option<OffsetDateTime>,
}

fn not_met(status: u16) -> StorageError {
    StorageError::new(
        status,
        "ConditionNotMet",
        "The condition specified using HTTP conditional header(s) is not met.",
    )
}

impl Conditions {
    /// Reads them from a call.
    ///
    /// # Errors
    /// `InvalidHeaderValue` for a time that is none.
    pub(crate) fn read(call: &Call) -> Result<Self, StorageError> {
        let etag = |name: &str| call.header(name).map(|value| value.trim_matches('"').to_owned());
        let time = |name: &str| match call.header(name) {
            Some(text) => parse_http_date(text).map(Some).ok_or_else(|| StorageError::invalid_header(name)),
            None => Ok(None),
        };
        Ok(Self {
            if_match: etag("if-match"),
            if_none_match: etag("if-none-match"),
            if_modified_since: time("if-modified-since")?,
            if_unmodified_since: time("if-unmodified-since")?,
        })
    }

    /// Checks them against the blob's ETag (without quotes) and time, or its absence.
    ///
    /// # Errors
    /// 412 `ConditionNotMet`; 304 for a read that nothing has changed for; 409 `BlobAlreadyExists`
    /// for a write that was only to create.
    pub(crate) fn check(
        &self,
        present: Option<(&str, OffsetDateTime)>,
        wanted: Use,
    ) -> Result<(), StorageError> {
        let Some((etag, modified)) = present else {
            return if self.if_match.is_some() { Err(not_met(412)) } else { Ok(()) };
        };
        // HTTP times have whole seconds.
        let modified = modified.replace_nanosecond(0).unwrap_or(modified);
        if self.if_match.as_deref().is_some_and(|wanted| wanted != "*" && wanted != etag)
            || self.if_unmodified_since.is_some_and(|since| modified > since)
        {
            return Err(not_met(412));
        }
        let unchanged = self.if_none_match.as_deref().is_some_and(|known| known == "*" || known == etag)
            || self.if_modified_since.is_some_and(|since| modified <= since);
        match wanted {
            _ if !unchanged => Ok(()),
            Use::Read => Err(not_met(304)),
            Use::Write if self.if_none_match.as_deref() == Some("*") => {
                Err(StorageError::new(409, "BlobAlreadyExists", "The specified blob already exists."))
            }
            Use::Write => Err(not_met(412)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Conditions, Use};
    use time::macros::datetime;
    use time::{Duration, OffsetDateTime};

    const WRITTEN: OffsetDateTime = datetime!(2026-11-24 10:00:00.5 UTC);

    fn status(conditions: &Conditions, present: bool, wanted: Use) -> u16 {
        let present = present.then_some(("0x1", WRITTEN));
        conditions.check(present, wanted).map_or_else(|error| error.status, |()| 200)
    }

    #[test]
    fn creating_only_fails_where_the_blob_is() {
        let create = Conditions { if_none_match: Some("*".to_owned()), ..Conditions::default() };
        assert_eq!(status(&create, false, Use::Write), 200);
        assert_eq!(status(&create, true, Use::Write), 409);
    }

    #[test]
    fn a_stale_etag_is_refused_and_so_is_any_where_there_is_no_blob() {
        let fresh = Conditions { if_match: Some("0x1".to_owned()), ..Conditions::default() };
        let stale = Conditions { if_match: Some("0x2".to_owned()), ..Conditions::default() };
        assert_eq!(status(&fresh, true, Use::Write), 200);
        assert_eq!(status(&stale, true, Use::Write), 412);
        assert_eq!(status(&fresh, false, Use::Write), 412);
    }

    #[test]
    fn a_read_of_what_is_known_is_304() {
        let known = Conditions { if_none_match: Some("0x1".to_owned()), ..Conditions::default() };
        assert_eq!(status(&known, true, Use::Read), 304);
        let since = Conditions { if_modified_since: Some(WRITTEN), ..Conditions::default() };
        assert_eq!(status(&since, true, Use::Read), 304);
        let before =
            Conditions { if_modified_since: Some(WRITTEN - Duration::seconds(2)), ..Conditions::default() };
        assert_eq!(status(&before, true, Use::Read), 200);
    }
}
