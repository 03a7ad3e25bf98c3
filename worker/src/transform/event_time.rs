//! `eventTime` in every spelling that has been seen, to UTC.
//!
//! The interface sends `2021-10-18T08:45:02+0000`; the push service a `Z`; other offsets, offsets with a
//! colon, fractions and hours of one digit have been met. A text without an offset is UTC, as all of
//! Mimecast's times are. Clock texts inside eventInfo are local and are never read (BR-025).

use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

/// Reads an `eventTime`; `None` where it is no time.
///
/// Any number of fraction digits is read, the tenth and later are cut (BR-057). A leap second counts
/// as the second before it.
pub fn read(text: &str) -> Option<OffsetDateTime> {
    let mut rest = Rest(text.trim().as_bytes());
    let year = rest.number(4, 4)?;
    rest.skip(b"-")?;
    let month = Month::try_from(u8::try_from(rest.number(1, 2)?).ok()?).ok()?;
    rest.skip(b"-")?;
    let day = rest.number(1, 2)?;
    rest.skip(b"Tt ")?;
    let hour = rest.number(1, 2)?;
    rest.skip(b":")?;
    let minute = rest.number(2, 2)?;
    let (mut second, mut nanosecond) = (0, 0);
    if rest.skip(b":").is_some() {
        second = rest.number(2, 2)?;
        if rest.skip(b".,").is_some() {
            nanosecond = rest.fraction()?;
        }
    }
    if second == 60 {
        (second, nanosecond) = (59, 999_999_999);
    }
    let offset = rest.offset()?;
    let byte = |number: u32| u8::try_from(number).ok();
    let date = Date::from_calendar_date(i32::try_from(year).ok()?, month, byte(day)?).ok()?;
    let time = Time::from_hms_nano(byte(hour)?, byte(minute)?, byte(second)?, nanosecond).ok()?;
    let utc =
        PrimitiveDateTime::new(date, time).assume_offset(offset).checked_to_utc()?.to_offset(UtcOffset::UTC);
    // A year beyond four digits has no place in a row.
    (1..=9999).contains(&utc.year()).then_some(utc)
}

/// Appends a time as `2021-10-18T08:45:02Z`, with a fraction where there is one, to 100 nanoseconds,
/// which is what Log Analytics keeps. The year must have four digits at most and not be negative.
pub fn write(time: OffsetDateTime, out: &mut Vec<u8>) {
    let time = time.to_offset(UtcOffset::UTC);
    let year = time.year().unsigned_abs();
    digits(year / 100, out);
    digits(year % 100, out);
    let (_, month, day) = time.to_calendar_date();
    for (separator, number) in [
        (b'-', u8::from(month)),
        (b'-', day),
        (b'T', time.hour()),
        (b':', time.minute()),
        (b':', time.second()),
    ] {
        out.push(separator);
        digits(u32::from(number), out);
    }
    let mut fraction = time.nanosecond() / 100;
    if fraction > 0 {
        out.push(b'.');
        let mut unit = 1_000_000;
        while fraction > 0 {
            out.push(digit(fraction / unit));
            fraction %= unit;
            unit /= 10;
        }
    }
    out.push(b'Z');
}

/// Appends a number below 100 as two digits.
fn digits(number: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&[digit(number / 10), digit(number)]);
}

/// The last decimal digit of a number.
fn digit(number: u32) -> u8 {
    b"0123456789"[(number % 10) as usize]
}

/// What is left to read.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    /// Takes one byte where it is one of these.
    fn skip(&mut self, accepted: &[u8]) -> Option<()> {
        let (first, rest) = self.0.split_first()?;
        accepted.contains(first).then(|| self.0 = rest)
    }

    /// Takes a number of so many digits.
    fn number(&mut self, at_least: usize, at_most: usize) -> Option<u32> {
        let count = self.0.iter().take(at_most).take_while(|byte| byte.is_ascii_digit()).count();
        if count < at_least {
            return None;
        }
        let (digits, rest) = self.0.split_at(count);
        self.0 = rest;
        Some(digits.iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0')))
    }

    /// Takes the digits of a fraction, as nanoseconds.
    fn fraction(&mut self) -> Option<u32> {
        let count = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 {
            return None;
        }
        let (digits, rest) = self.0.split_at(count);
        self.0 = rest;
        let digits = digits.iter().map(|digit| u32::from(digit - b'0')).chain(std::iter::repeat(0));
        Some(digits.take(9).fold(0, |number, digit| number * 10 + digit))
    }

    /// Takes what must be the rest: `Z`, `UTC`, `GMT`, an offset, or nothing.
    fn offset(&mut self) -> Option<UtcOffset> {
        let text = self.0.trim_ascii_start();
        if text.is_empty() || [&b"Z"[..], b"UTC", b"GMT"].iter().any(|name| text.eq_ignore_ascii_case(name)) {
            return Some(UtcOffset::UTC);
        }
        self.0 = text;
        let sign = match text[0] {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        self.0 = &text[1..];
        let hours = i8::try_from(self.number(2, 2)?).ok()?;
        let minutes = match self.0 {
            [] => 0,
            _ => {
                // `+01:00` and `+0100`.
                let _ = self.skip(b":");
                i8::try_from(self.number(2, 2)?).ok()?
            }
        };
        if !self.0.is_empty() || minutes > 59 {
            return None;
        }
        UtcOffset::from_hms(sign * hours, sign * minutes, 0).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::OffsetDateTime;
    use time::macros::datetime;

    use super::{read, write};

    fn written(time: OffsetDateTime) -> String {
        let mut out = Vec::new();
        write(time, &mut out);
        String::from_utf8(out).unwrap()
    }

    // BR-057
    #[test]
    fn one_instant_in_every_spelling() {
        for text in [
            "2021-10-11T17:17:30+0000",
            "2021-10-11T17:17:30Z",
            "2021-10-11T17:17:30z",
            "2021-10-11t17:17:30+00:00",
            "2021-10-11T17:17:30-00:00",
            "2021-10-11T18:17:30+0100",
            "2021-10-11T18:17:30+01:00",
            "2021-10-11T18:17:30+01",
            "2021-10-11T13:17:30-04:00",
            "2021-10-12T02:47:30+0930",
            "2021-10-11T17:17:30",
            "2021-10-11 17:17:30",
            "2021-10-11 17:17:30 UTC",
            "2021-10-11T17:17:30 GMT",
            "2021-10-11T17:17:30.0+0000",
            "2021-10-11T17:17:30.000000000Z",
            " 2021-10-11T17:17:30+0000\n",
        ] {
            assert_eq!(read(text), Some(datetime!(2021-10-11 17:17:30 UTC)), "{text}");
        }
    }

    #[test]
    fn hours_of_one_digit_and_times_without_seconds() {
        assert_eq!(read("2022-05-31T9:05:31+0000"), Some(datetime!(2022-05-31 9:05:31 UTC)));
        assert_eq!(read("2022-05-31T09:05Z"), Some(datetime!(2022-05-31 9:05 UTC)));
    }

    // BR-057
    #[test]
    fn fractions_of_any_length() {
        for (text, nanosecond) in [
            ("1", 100_000_000),
            ("12", 120_000_000),
            ("123", 123_000_000),
            ("123456", 123_456_000),
            ("1234567", 123_456_700),
            ("123456789", 123_456_789),
            ("1234567899999", 123_456_789),
        ] {
            let time = read(&format!("2026-11-20T10:00:00.{text}+0000")).unwrap();
            assert_eq!(time.nanosecond(), nanosecond, "{text}");
        }
        assert_eq!(read("2026-11-20T10:00:00,5Z").unwrap().nanosecond(), 500_000_000);
    }

    #[test]
    fn a_leap_second_is_the_end_of_its_minute() {
        assert_eq!(read("2016-12-31T23:59:60Z"), Some(datetime!(2016-12-31 23:59:59.999_999_999 UTC)));
    }

    #[test]
    fn what_is_no_time() {
        for text in [
            "",
            "not a date",
            "2021-10-11",
            "2021-10-11T",
            "2021-10-11T17",
            "2021-13-11T17:17:30Z",
            "2021-02-29T00:00:00Z",
            "2021-10-11T24:00:00Z",
            "2021-10-11T17:60:30Z",
            "2021-10-11T17:17:61Z",
            "2021-10-11T17:17:30.Z",
            "2021-10-11T17:17:30+",
            "2021-10-11T17:17:30+1",
            "2021-10-11T17:17:30+0060",
            "2021-10-11T17:17:30+00000",
            "2021-10-11T17:17:30+99:00",
            "2021-10-11T17:17:30 BST",
            "2021-10-11T17:17:30Zz",
            "21-10-11T17:17:30Z",
            "0000-01-01T00:00:00Z",
            "0001-01-01T00:00:00+0100",
            "9999-12-31T23:59:59-0100",
            "1634546702",
            "２021-10-11T17:17:30Z",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_time_is_written_in_utc_with_the_fraction_it_has() {
        assert_eq!(written(datetime!(2021-10-11 17:17:30 UTC)), "2021-10-11T17:17:30Z");
        assert_eq!(written(datetime!(2021-10-11 17:17:30.12 +1)), "2021-10-11T16:17:30.12Z");
        assert_eq!(written(datetime!(0987-01-02 03:04:05.123_456_789 UTC)), "0987-01-02T03:04:05.1234567Z");
        assert_eq!(written(datetime!(2021-10-11 17:17:30.000_000_099 UTC)), "2021-10-11T17:17:30Z");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(seconds in -62_135_596_800_i64..253_402_300_800, fraction in 0_u32..10_000_000) {
            let time = OffsetDateTime::from_unix_timestamp(seconds).unwrap().replace_nanosecond(fraction * 100).unwrap();
            let text = written(time);
            prop_assert_eq!(read(&text), Some(time));
            prop_assert_eq!(OffsetDateTime::parse(&text, &time::format_description::well_known::Rfc3339).unwrap(), time);
        }

        #[test]
        fn no_text_is_too_odd(text in "\\PC{0,40}|[0-9TZ:+. -]{0,40}") {
            let _ = read(&text);
        }
    }
}
