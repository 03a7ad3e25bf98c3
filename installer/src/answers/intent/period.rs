//! Periods as people write them, and as a timer's schedule has them.

/// Seconds of a text such as `90s`, `15m`, `2h` or `7d`.
pub fn duration_secs(text: &str) -> Option<u64> {
    let unit = match text.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 24 * 3600,
        _ => return None,
    };
    let digits = &text[..text.len() - 1];
    if digits.is_empty() || !digits.chars().all(|each| each.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

/// The six-field NCRONTAB schedule of a period: minutes that divide an hour, or whole hours that
/// divide a day. Any other period would not be even around the hour's or the day's end.
pub(super) fn schedule(period_secs: u64) -> Option<String> {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 3600;
    const DAY: u64 = 24 * HOUR;
    match period_secs {
        MINUTE => Some("0 * * * * *".to_owned()),
        HOUR => Some("0 0 * * * *".to_owned()),
        DAY => Some("0 0 0 * * *".to_owned()),
        secs if secs > MINUTE && secs < HOUR && secs.is_multiple_of(MINUTE) && HOUR.is_multiple_of(secs) => {
            Some(format!("0 */{} * * * *", secs / MINUTE))
        }
        secs if secs > HOUR && secs < DAY && secs.is_multiple_of(HOUR) && DAY.is_multiple_of(secs) => {
            Some(format!("0 0 */{} * * *", secs / HOUR))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{duration_secs, schedule};

    #[test]
    fn periods_become_even_schedules() {
        for (period, expected) in [
            ("1m", Some("0 * * * * *")),
            ("5m", Some("0 */5 * * * *")),
            ("30m", Some("0 */30 * * * *")),
            ("60m", Some("0 0 * * * *")),
            ("2h", Some("0 0 */2 * * *")),
            ("1d", Some("0 0 0 * * *")),
            ("7m", None),
            ("90s", None),
            ("5h", None),
            ("0m", None),
            ("2d", None),
        ] {
            assert_eq!(schedule(duration_secs(period).expect("a duration")).as_deref(), expected, "{period}");
        }
        assert!(duration_secs("99999999999999999999d").is_none());
    }
}
