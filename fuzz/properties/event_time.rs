//! Any text is read without a panic; what is a time is written and read again as the same.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use worker::transform::event_time;

/// Panics where the property does not hold.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some(time) = event_time::read(text) else {
        // Whatever the standard's reader takes, ours takes too; save that it lets any byte part date
        // and time, where ours asks for a `T` or a blank.
        let parted = text.as_bytes().get(10).is_some_and(|byte| b"Tt ".contains(byte));
        let taken = OffsetDateTime::parse(text, &Rfc3339)
            .is_ok_and(|time| time.checked_to_utc().is_some_and(|time| (1..=9999).contains(&time.year())));
        assert!(!(parted && taken));
        return;
    };
    let mut written = Vec::new();
    event_time::write(time, &mut written);
    let written = std::str::from_utf8(&written).expect("a time is ASCII");
    let kept = time.replace_nanosecond(time.nanosecond() / 100 * 100).expect("fewer digits");
    assert_eq!(event_time::read(written), Some(kept));
    assert_eq!(OffsetDateTime::parse(written, &Rfc3339).expect("RFC 3339"), kept);
}
