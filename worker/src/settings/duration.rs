//! Lengths of time as people write them: `90s`, `15m`, `2h`, `7d`.

use std::time::Duration;

/// Reads a whole number followed by `s`, `m`, `h` or `d`; `None` where the text is something else.
pub fn parse(text: &str) -> Option<Duration> {
    let text = text.trim();
    let (unit_at, unit) = text.char_indices().next_back()?;
    let secs_per_unit = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    let digits = text[..unit_at].trim_end();
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(secs_per_unit).map(Duration::from_secs)
}

/// The shortest text that reads back as this length, in whole seconds.
pub fn text(duration: Duration) -> String {
    let secs: u64 = duration.as_secs();
    for (unit, secs_per_unit) in [("d", 86_400), ("h", 3_600), ("m", 60)] {
        if secs > 0 && secs.is_multiple_of(secs_per_unit) {
            return format!("{}{unit}", secs / secs_per_unit);
        }
    }
    format!("{secs}s")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{parse, text};

    #[test]
    fn reads_each_unit_and_nothing_else() {
        for (given, secs) in [("90s", 90), ("15m", 900), ("2h", 7_200), ("7d", 604_800), (" 0s ", 0)] {
            assert_eq!(parse(given), Some(Duration::from_secs(secs)), "{given}");
        }
        for given in ["", "7", "d", "-1d", "+1d", "1.5h", "1w", "1µ", "99999999999999999999d", "٣d"] {
            assert_eq!(parse(given), None, "{given}");
        }
    }

    #[test]
    fn writes_the_largest_unit_that_fits() {
        for (secs, expected) in [(604_800, "7d"), (5_400, "90m"), (61, "61s"), (0, "0s")] {
            assert_eq!(text(Duration::from_secs(secs)), expected);
        }
    }
}
