//! Any text is read without a panic, to values that are parts of it.

use worker::transform::event_info;

/// Panics where the property does not hold.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let info = event_info::read(text);
    let values = [
        info.application,
        info.source,
        info.method,
        info.reason,
        info.second_factor,
        info.target_user,
        info.operation,
        info.object,
    ];
    let whole = text.as_bytes().as_ptr_range();
    for value in values.into_iter().flatten() {
        assert!(!value.is_empty());
        let part = value.as_bytes().as_ptr_range();
        assert!(whole.start <= part.start && part.end <= whole.end);
    }
    if let Some(source) = info.source {
        assert!(source.parse::<std::net::IpAddr>().is_ok());
    }
}
