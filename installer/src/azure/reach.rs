//! Whether Azure was ever reached, and who is told that a call is made again.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::error::AzureError;
use super::retry::Retry;

/// So often a host is tried that never answered: a machine without a network is not waited for.
const FIRST_TRIES: u32 = 3;

type Listener = Box<dyn Fn(&str) + Send + Sync>;

/// What a client knows of the network.
#[derive(Default)]
pub(super) struct Reach {
    answered: AtomicBool,
    listener: OnceLock<Listener>,
}

impl fmt::Debug for Reach {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Reach").field("answered", &self.answered).finish_non_exhaustive()
    }
}

impl Reach {
    /// Has this one told of calls that are made again; the first stays.
    pub(super) fn listen(&self, listener: Listener) {
        // A client that is handed on tells whom it told before.
        let _ = self.listener.set(listener);
    }

    /// Some answer came, whatever it says.
    pub(super) fn answered(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }

    /// What to do after a call has failed so many times, of which this is the last error: what was `decided`, but
    /// for a host that cannot be reached before any was.
    pub(super) fn again(&self, error: &AzureError, decided: Retry, failed: u32, within: Duration) -> Retry {
        let AzureError::Send { source, .. } = error else { return decided };
        let never_reached = source.is_connect() && !self.answered.load(Ordering::Relaxed);
        if decided == Retry::Never || never_reached && failed >= FIRST_TRIES {
            return Retry::Never;
        }
        if failed == 1
            && let Some(listener) = self.listener.get()
        {
            let until = match never_reached {
                true => format!("{FIRST_TRIES} times"),
                false => format!("for up to {} s", within.as_secs()),
            };
            listener(&format!("{error}; it is tried again, {until}"));
        }
        decided
    }
}
