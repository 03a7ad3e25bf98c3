//! The time that the simulated services believe in.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use time::OffsetDateTime;
use time::macros::format_description;

/// A clock that follows the machine's and can be moved forward or back, so that waits of minutes
/// pass in tests without sleeping.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    offset_nanos: Arc<AtomicI64>,
}

impl Clock {
    /// The present time, UTC.
    #[expect(
        clippy::disallowed_methods,
        reason = "the simulator is a world of its own, and this is its clock"
    )]
    pub fn now(&self) -> OffsetDateTime {
        let offset = time::Duration::nanoseconds(self.offset_nanos.load(Ordering::SeqCst));
        OffsetDateTime::now_utc() + offset
    }

    /// The present time as the header `Date` has it.
    pub fn http_date(&self) -> String {
        http_date(self.now())
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let nanos = i64::try_from(by.as_nanos()).unwrap_or(i64::MAX);
        self.offset_nanos.fetch_add(nanos, Ordering::SeqCst);
    }

    /// Moves the clock back, as a clock that was corrected.
    pub fn set_back(&self, by: Duration) {
        let nanos = i64::try_from(by.as_nanos()).unwrap_or(i64::MAX);
        self.offset_nanos.fetch_sub(nanos, Ordering::SeqCst);
    }
}

/// A time as the header `Date` has it.
pub(crate) fn http_date(at: OffsetDateTime) -> String {
    let format = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    at.format(&format).unwrap_or_default()
}
