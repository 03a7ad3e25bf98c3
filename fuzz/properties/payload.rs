//! Any body of an invocation is work, or is refused with words.

use worker::host::payload::Invocation;

/// Panics where the property does not hold.
pub(crate) fn check(data: &[u8]) {
    if let Err(refusal) = Invocation::read(data).work() {
        assert!(!refusal.is_empty());
    }
}
