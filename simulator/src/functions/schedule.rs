//! NCRONTAB: six fields, seconds first, UTC.
//!
//! Follows <https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer#ncrontab-expressions>.

use std::ops::RangeInclusive;

use time::{Date, Duration, OffsetDateTime, Time, UtcOffset};

/// When a timer fires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Schedule {
    /// Allowed values of each field as bits: second, minute, hour, day, month, weekday (0 is Sunday).
    fields: [u64; 6],
}

/// An expression that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a schedule of six fields")]
pub(crate) struct InvalidSchedule(String);

const RANGES: [RangeInclusive<u32>; 6] = [0..=59, 0..=59, 0..=23, 1..=31, 1..=12, 0..=6];

impl Schedule {
    /// Reads an expression. Names of months and days are not known here.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidSchedule> {
        let invalid = || InvalidSchedule(text.to_owned());
        let parts: Vec<&str> = text.split_whitespace().collect();
        if parts.len() != RANGES.len() {
            return Err(invalid());
        }
        let mut fields = [0; 6];
        for ((part, range), bits) in parts.iter().zip(RANGES).zip(&mut fields) {
            for item in part.split(',') {
                *bits |= values(item, &range).ok_or_else(invalid)?;
            }
        }
        Ok(Self { fields })
    }

    fn has(&self, field: usize, value: u8) -> bool {
        self.fields[field] & (1 << value) != 0
    }

    fn on(&self, date: Date) -> bool {
        self.has(3, date.day())
            && self.has(4, date.month().into())
            && self.has(5, date.weekday().number_days_from_sunday())
    }

    /// The first time after this one, within the next four years.
    pub(crate) fn next(&self, after: OffsetDateTime) -> Option<OffsetDateTime> {
        let after = after.to_offset(UtcOffset::UTC).replace_nanosecond(0).ok()? + Duration::seconds(1);
        let of = |field: usize| (0..60_u8).filter(move |value| self.has(field, *value));
        (0..4 * 366).map(|days| after.date() + Duration::days(days)).filter(|date| self.on(*date)).find_map(
            |date| {
                let earliest = if date == after.date() { after.time() } else { Time::MIDNIGHT };
                of(2).filter(|hour| *hour >= earliest.hour()).find_map(|hour| {
                    of(1).find_map(|minute| {
                        of(0).find_map(|second| {
                            let time = Time::from_hms(hour, minute, second).ok()?;
                            (time >= earliest).then(|| date.with_time(time).assume_utc())
                        })
                    })
                })
            },
        )
    }
}

/// The values of one item: `*`, `*/n`, `a`, `a-b` or `a-b/n`.
fn values(item: &str, range: &RangeInclusive<u32>) -> Option<u64> {
    let (span, step) = match item.split_once('/') {
        Some((span, step)) => (span, step.parse().ok().filter(|step| *step > 0)?),
        None => (item, 1),
    };
    let span = match span.split_once('-') {
        _ if span == "*" => range.clone(),
        Some((from, to)) => from.parse().ok()?..=to.parse().ok()?,
        None => {
            let value = span.parse().ok()?;
            value..=value
        }
    };
    let inside = range.contains(span.start()) && range.contains(span.end()) && span.start() <= span.end();
    inside.then(|| span.step_by(step).fold(0, |bits, value| bits | 1 << value))
}

#[cfg(test)]
mod tests {
    use super::Schedule;
    use time::OffsetDateTime;
    use time::macros::datetime;

    fn next(schedule: &str, after: OffsetDateTime) -> Option<OffsetDateTime> {
        Schedule::parse(schedule).unwrap().next(after)
    }

    #[test]
    fn the_next_time_is_after_now() {
        let now = datetime!(2026-11-24 10:05:00 UTC);
        assert_eq!(next("0 */5 * * * *", now), Some(datetime!(2026-11-24 10:10:00 UTC)));
        assert_eq!(next("0 */5 * * * *", datetime!(2026-11-24 10:04:59.9 UTC)), Some(now));
        assert_eq!(next("30 0 0 1 1 *", now), Some(datetime!(2027-01-01 00:00:30 UTC)));
        assert_eq!(next("0 0 9-17/4 * * 1-5", now), Some(datetime!(2026-11-24 13:00:00 UTC)));
        // 28 November 2026 is a Saturday.
        assert_eq!(next("0 0 9 * * 6,0", now), Some(datetime!(2026-11-28 09:00:00 UTC)));
        assert_eq!(next("0 0 0 30 2 *", now), None);
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for bad in
            ["", "* * * * *", "60 * * * * *", "* * * 0 * *", "*/0 * * * * *", "5-1 * * * * *", "x * * * * *"]
        {
            assert!(Schedule::parse(bad).is_err(), "{bad}");
        }
    }
}
