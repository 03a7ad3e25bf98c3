//! The shape of `checkpoint.txt`: how far one account has been collected and delivered.
//!
//! One JSON document with a `version`. The worker writes only the current version; it reads every
//! version of ours, the old connector's two formats, and nothing at all (the first run). Anything
//! else is [`Unreadable`] and is never guessed at.
//!
//! Versions live beside each other: an upgrade that is put back leaves an older worker with the checkpoint
//! of a newer one. So within a version members may be added, and a reader passes over those that it does
//! not know; what an older worker may not pass over needs a new version (`docs/decisions/checkpoint.md`).

use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use time::format_description::FormatItem;
use time::macros::format_description;
use time::{Date, OffsetDateTime};

/// Name of the blob or file of an installation with one account.
pub const CHECKPOINT_NAME: &str = "checkpoint.txt";

/// The version that is written.
pub const CHECKPOINT_VERSION: u32 = 1;

/// The name of an account's checkpoint: [`CHECKPOINT_NAME`] for the only one (empty key), else with
/// the account's key in it.
pub fn checkpoint_name(account: &str) -> String {
    if account.is_empty() { CHECKPOINT_NAME.to_owned() } else { format!("checkpoint-{account}.txt") }
}

/// The key under which a slice of a backfill keeps its own place beside the account's: it is read
/// while the account goes on, and other slices with it. `request` tells one backfill from the next
/// one of the same range.
pub fn slice_key(account: &str, request: &str, from: OffsetDateTime) -> String {
    let separator = if account.is_empty() { "" } else { "." };
    format!("{account}{separator}backfill-{request}-{}", from.unix_timestamp())
}

/// What a checkpoint takes beside the hashes, about: the counts of sixty days, mostly.
const REST_BYTES: usize = 16 * 1024;
/// In such steps the buffer grows: a checkpoint grows with each batch.
const STEP_BYTES: usize = 32 * 1024;
/// What a group takes beside its hashes: `{"minute":4294967295,"ids":""},`.
const GROUP_BYTES: usize = 31;

/// How far one account has been collected and delivered.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Version of the format.
    pub version: u32,
    /// Everything before this time has been delivered; absent before the first window is closed.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub closed_until: Option<OffsetDateTime>,
    /// The window that is being read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<OpenWindow>,
    /// Batches that were sent, or about to be, when this was written. After a crash their events are
    /// sent again, because nobody knows whether Azure had taken them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub in_flight: Vec<InFlight>,
    /// Events that were delivered and may be read again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remembered: Vec<RememberedIds>,
    /// Delivered events of each day that Mimecast still gives out, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<DayCount>,
    /// Past ranges that wait to be read again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reread: Vec<TimeRange>,
    /// Where collecting began: the start of the first window of all.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub collected_from: Option<OffsetDateTime>,
    /// Length of the next slice of a backlog, as the volume of the last ones has taught.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slice_secs: Option<u64>,
    /// When Azure last took something from us.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub delivered_at: Option<OffsetDateTime>,
}

/// A window that is being read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenWindow {
    /// Its start, inclusive.
    #[serde(with = "time::serde::rfc3339")]
    pub start: OffsetDateTime,
    /// Its end. It stays the same for all pages.
    #[serde(with = "time::serde::rfc3339")]
    pub end: OffsetDateTime,
    /// What the window is for.
    #[serde(default)]
    pub purpose: Purpose,
    /// Token of the next page to read; absent at the beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_page: Option<String>,
    /// Pages whose events have all been delivered.
    #[serde(default)]
    pub pages: u64,
}

/// What a window is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// The next stretch of time; closing it moves the watermark.
    #[default]
    Advance,
    /// A past stretch that was found incomplete or asked for; the watermark stays.
    Reread,
}

/// A batch that was sent, or about to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InFlight {
    /// Its identity, which is also the call's `x-ms-client-request-id`.
    pub batch: String,
    /// How many events it holds.
    pub events: u64,
}

/// Identities of delivered events: 8-byte hashes, base64 of their big-endian bytes one after another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RememberedIds {
    /// The minute of the events, counted from 1970-01-01T00:00Z. Zero holds those of the open window
    /// that the next window will not reach back to, and is dropped when the window closes.
    pub minute: u32,
    /// The hashes.
    #[serde(with = "base64_hashes")]
    pub ids: Vec<u64>,
}

/// How many events of one UTC day have been delivered, by hour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayCount {
    /// The day, `YYYY-MM-DD`.
    #[serde(with = "day_text")]
    pub day: Date,
    /// Delivered events of each hour, 24 numbers.
    pub hours: [u32; 24],
    /// Events whose time could not be read, and records that were set aside, while the day was
    /// collected: each may be one of the day's.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unplaced: u32,
    /// Whether its completeness has been checked.
    #[serde(default)]
    pub checked: bool,
}

/// A past stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeRange {
    /// Its start, inclusive.
    #[serde(with = "time::serde::rfc3339")]
    pub from: OffsetDateTime,
    /// Its end.
    #[serde(with = "time::serde::rfc3339")]
    pub to: OffsetDateTime,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// The content is neither a checkpoint of ours nor one of the old connector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the content is no checkpoint: {reason}")]
pub struct Unreadable {
    /// What is wrong with it.
    pub reason: String,
}

/// The old connector's state between windows: the bounds of the stretch that it had not read yet, and
/// the end of the window that it belonged to (`facts/reference.md` 1.2).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OldWindow {
    start_time: Option<String>,
    end_time: Option<String>,
    first_endtime: Option<String>,
}

impl Checkpoint {
    /// The state before the first run.
    pub fn first() -> Self {
        Self { version: CHECKPOINT_VERSION, ..Self::default() }
    }

    /// Reads the content of a checkpoint.
    ///
    /// # Errors
    /// [`Unreadable`] when it is none of the accepted forms.
    pub fn read(content: &[u8]) -> Result<Self, Unreadable> {
        let text = std::str::from_utf8(content).map_err(|_| unreadable("it is not UTF-8"))?;
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.is_empty() {
            return Ok(Self::first());
        }
        if !text.starts_with('{') {
            let at = old_time(text).ok_or_else(|| unreadable("it is neither JSON nor a time"))?;
            return Ok(Self { closed_until: Some(at), ..Self::first() });
        }
        let value: serde_json::Value = serde_json::from_str(text).map_err(unreadable)?;
        match value.get("version") {
            Some(version) if version.as_u64() == Some(u64::from(CHECKPOINT_VERSION)) => {
                let read: Self = serde_json::from_value(value).map_err(unreadable)?;
                read.checked()
            }
            Some(version) => Err(unreadable(format!(
                "its version is {version}, this worker knows up to {CHECKPOINT_VERSION}; a newer worker wrote it"
            ))),
            None => {
                let old: OldWindow = serde_json::from_value(value).map_err(unreadable)?;
                Self::from_old_window(&old)
            }
        }
    }

    /// The content to write: one line of JSON.
    pub fn write(&self) -> Vec<u8> {
        let mut content = Vec::new();
        self.write_with(self.remembered.iter().map(|group| (group.minute, &*group.ids)), &mut content);
        content
    }

    /// Puts the content to write in place of what is in this buffer, which can be used again and again. What
    /// is remembered is given in groups of a minute, in place of the checkpoint's own.
    #[expect(clippy::expect_used, reason = "text, numbers and times of years that RFC 3339 can write")]
    pub fn write_with<'a>(
        &self,
        remembered: impl Iterator<Item = (u32, &'a [u64])> + Clone,
        content: &mut Vec<u8>,
    ) {
        let groups = remembered.clone();
        let hashes: usize = groups.map(|(_, ids)| GROUP_BYTES + base64_hashes::text_bytes(ids)).sum();
        content.clear();
        content.reserve_exact((hashes + REST_BYTES).next_multiple_of(STEP_BYTES));
        serde_json::to_writer(&mut *content, &self.without_hashes()).expect("a checkpoint is always JSON");
        // The hashes are nearly all of it and need no escapes, which JSON's writer would look for.
        if hashes > 0 {
            content.pop();
            content.extend_from_slice(b",\"remembered\":");
            let mut before = b'[';
            for (minute, ids) in remembered {
                content.push(before);
                before = b',';
                content.extend_from_slice(b"{\"minute\":");
                serde_json::to_writer(&mut *content, &minute).expect("a number is always JSON");
                content.extend_from_slice(b",\"ids\":\"");
                base64_hashes::write(ids, content);
                content.extend_from_slice(b"\"}");
            }
            content.extend_from_slice(b"]}");
        }
    }

    fn without_hashes(&self) -> Self {
        Self {
            version: self.version,
            closed_until: self.closed_until,
            open: self.open.clone(),
            in_flight: self.in_flight.clone(),
            remembered: Vec::new(),
            days: self.days.clone(),
            reread: self.reread.clone(),
            collected_from: self.collected_from,
            slice_secs: self.slice_secs,
            delivered_at: self.delivered_at,
        }
    }

    fn checked(self) -> Result<Self, Unreadable> {
        if self.open.as_ref().is_some_and(|open| open.start >= open.end) {
            return Err(unreadable("its open window ends before it starts"));
        }
        Ok(self)
    }

    /// The old connector read a window from its end towards its start: what lies between `start_time`
    /// and `end_time` is unread. Everything before the start is delivered, and that is where we go on.
    fn from_old_window(old: &OldWindow) -> Result<Self, Unreadable> {
        let time = |text: &Option<String>| match text.as_deref() {
            None | Some("") => Ok(None),
            Some(text) => old_time(text)
                .map(Some)
                .ok_or_else(|| unreadable(format!("`{text}` is not a time of the old connector"))),
        };
        let (start, end, first_end) =
            (time(&old.start_time)?, time(&old.end_time)?, time(&old.first_endtime)?);
        let closed_until = match (start, end, first_end) {
            (_, _, None) => None,
            (Some(start), Some(end), Some(_)) if start < end => Some(start),
            (_, _, Some(first_end)) => Some(first_end),
        };
        Ok(Self { closed_until, ..Self::first() })
    }
}

fn unreadable(reason: impl ToString) -> Unreadable {
    Unreadable { reason: reason.to_string() }
}

/// A time as the old connector wrote it (`2021-10-11T17:17:30+0000`), or in RFC 3339.
fn old_time(text: &str) -> Option<OffsetDateTime> {
    const OLD: &[FormatItem<'_>] = format_description!(
        "[year]-[month]-[day]T[hour]:[minute]:[second][offset_hour sign:mandatory][offset_minute]"
    );
    let parsed = OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339)
        .or_else(|_| OffsetDateTime::parse(text, OLD));
    // Before or behind these years RFC 3339 has no way to write it.
    parsed.ok()?.checked_to_offset(time::UtcOffset::UTC).filter(|at| (1..=9999).contains(&at.year()))
}

mod base64_hashes {
    use base64::Engine as _;
    use serde::de::Error as _;
    use serde::ser::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::STANDARD;

    /// Hashes that are encoded together: a multiple of three, whose bytes make whole groups of base64. A minute
    /// has no more of them as a rule.
    const TOGETHER: usize = 24;

    pub(super) fn serialize<S: Serializer>(hashes: &[u64], serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = Vec::new();
        write(hashes, &mut text);
        serializer.serialize_str(std::str::from_utf8(&text).map_err(S::Error::custom)?)
    }

    /// How long the text of these hashes is: four characters for each three bytes begun.
    pub(super) fn text_bytes(hashes: &[u64]) -> usize {
        (8 * hashes.len()).div_ceil(3) * 4
    }

    /// Appends the text of these hashes, piece by piece: there can be most of a megabyte of them before each
    /// batch.
    pub(super) fn write(hashes: &[u64], out: &mut Vec<u8>) {
        let mut text = [0; 8 * TOGETHER / 3 * 4];
        for hashes in hashes.chunks(TOGETHER) {
            let mut bytes = [[0; 8]; TOGETHER];
            for (place, hash) in bytes.iter_mut().zip(hashes) {
                *place = hash.to_be_bytes();
            }
            let bytes = bytes[..hashes.len()].as_flattened();
            // It fits.
            let length = STANDARD.encode_slice(bytes, &mut text).unwrap_or_default();
            out.extend_from_slice(&text[..length]);
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u64>, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text.as_bytes()).map_err(D::Error::custom)?;
        let (hashes, rest) = bytes.as_chunks::<8>();
        if !rest.is_empty() {
            return Err(D::Error::custom("the hashes are not a multiple of eight bytes"));
        }
        Ok(hashes.iter().map(|bytes| u64::from_be_bytes(*bytes)).collect())
    }
}

mod day_text {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};
    use time::Date;
    use time::format_description::FormatItem;
    use time::macros::format_description;

    const FORMAT: &[FormatItem<'_>] = format_description!("[year]-[month]-[day]");

    pub(super) fn serialize<S: Serializer>(day: &Date, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&day.format(FORMAT).map_err(serde::ser::Error::custom)?)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Date, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Date::parse(&text, FORMAT).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::{date, datetime};

    use super::{Checkpoint, DayCount, InFlight, OpenWindow, Purpose, RememberedIds, TimeRange};

    fn closed_until(content: &str) -> Option<time::OffsetDateTime> {
        let read = Checkpoint::read(content.as_bytes()).expect(content);
        assert_eq!(read, Checkpoint { closed_until: read.closed_until, ..Checkpoint::first() });
        read.closed_until
    }

    #[test]
    fn nothing_blank_and_a_byte_order_mark_are_the_first_run() {
        for content in ["", " \r\n\t", "\u{feff}", "\u{feff}\n"] {
            assert_eq!(closed_until(content), None);
        }
    }

    // BR-030
    #[test]
    fn the_old_connectors_single_time_is_read() {
        assert_eq!(closed_until("2021-10-11T17:17:30+0000"), Some(datetime!(2021-10-11 17:17:30 UTC)));
        assert_eq!(closed_until("2026-01-01T00:00:00Z\n"), Some(datetime!(2026-01-01 00:00 UTC)));
        assert_eq!(closed_until("\u{feff}2026-01-01T01:00:00+0100"), Some(datetime!(2026-01-01 00:00 UTC)));
    }

    #[test]
    fn a_time_that_could_not_be_written_again_is_none() {
        // The first was found by the fuzzer.
        for text in [
            "-2021-04-11T17:17:31-0400",
            "0000-12-31T23:59:59Z",
            "9999-12-31T23:59:59-05:00",
            "{\"first_endtime\": \"-0001-01-01T00:00:00+0000\"}",
        ] {
            assert!(Checkpoint::read(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn the_old_connectors_window_goes_on_where_nothing_is_lost() {
        // Read up to the start: the next window follows the whole one.
        let whole = r#"{"start_time":"2024-01-10T10:00:00+0000","end_time":"2024-01-10T10:00:00+0000","first_endtime":"2024-01-10T11:00:00+0000"}"#;
        assert_eq!(closed_until(whole), Some(datetime!(2024-01-10 11:00 UTC)));
        // Stopped in the middle: from its start again.
        let middle = r#"{"start_time":"2024-01-10T10:00:00+0000","end_time":"2024-01-10T10:30:00+0000","first_endtime":"2024-01-10T11:00:00+0000"}"#;
        assert_eq!(closed_until(middle), Some(datetime!(2024-01-10 10:00 UTC)));
        assert_eq!(closed_until("{}"), None);
    }

    // BR-058
    #[test]
    fn anything_else_is_refused_with_the_reason() {
        for (content, part) in [
            ("24/11/2026 10:00", "neither JSON nor a time"),
            ("{\"version\":2}", "a newer worker wrote it"),
            ("{\"version\":1", "EOF"),
            ("{\"offset\":0}", "unknown field"),
            ("{\"start_time\":\"yesterday\",\"end_time\":\"\",\"first_endtime\":\"\"}", "yesterday"),
            ("{\"version\":1,\"remembered\":[{\"minute\":1,\"ids\":\"AAAA\"}]}", "eight bytes"),
            (
                "{\"version\":1,\"open\":{\"start\":\"2026-01-02T00:00:00Z\",\"end\":\"2026-01-01T00:00:00Z\"}}",
                "ends before it starts",
            ),
        ] {
            let error = Checkpoint::read(content.as_bytes()).expect_err(content);
            assert!(error.to_string().contains(part), "{content}: {error}");
        }
        assert!(Checkpoint::read(&[0xff, 0xfe, 0x00]).is_err());
    }

    #[test]
    fn a_whole_checkpoint_reads_back_as_written() {
        let checkpoint = Checkpoint {
            closed_until: Some(datetime!(2026-11-25 10:00 UTC)),
            open: Some(OpenWindow {
                start: datetime!(2026-11-25 09:45 UTC),
                end: datetime!(2026-11-25 10:05 UTC),
                purpose: Purpose::Advance,
                next_page: Some("eNq-_w==".to_owned()),
                pages: 3,
            }),
            in_flight: vec![InFlight { batch: "b".to_owned(), events: 7 }],
            remembered: vec![RememberedIds { minute: 29_400_000, ids: vec![1, u64::MAX] }],
            days: vec![DayCount { day: date!(2026 - 11 - 24), hours: [3; 24], unplaced: 1, checked: true }],
            reread: vec![TimeRange {
                from: datetime!(2026-11-24 10:00 UTC),
                to: datetime!(2026-11-24 11:00 UTC),
            }],
            collected_from: Some(datetime!(2026-11-20 10:00 UTC)),
            slice_secs: Some(3_600),
            delivered_at: None,
            ..Checkpoint::first()
        };
        assert_eq!(Checkpoint::read(&checkpoint.write()).expect("reads back"), checkpoint);
    }

    /// Written by hand from what the format says, as an installation has it in its container: it may never
    /// have to be changed.
    const GOLDEN: &str = r#"{
        "version": 1,
        "closed_until": "2026-11-25T10:00:00Z",
        "open": {
            "start": "2026-11-25T09:45:00Z",
            "end": "2026-11-25T10:05:00Z",
            "purpose": "advance",
            "next_page": "eNq-_w==",
            "pages": 3
        },
        "in_flight": [{"batch": "0f3c", "events": 7}],
        "remembered": [{"minute": 29926665, "ids": "AAAAAAAAAAH//////////w=="}],
        "days": [{
            "day": "2026-11-24",
            "hours": [3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4],
            "unplaced": 1,
            "checked": true
        }],
        "reread": [{"from": "2026-11-24T10:00:00Z", "to": "2026-11-24T11:00:00Z"}],
        "collected_from": "2026-11-20T10:00:00Z",
        "slice_secs": 3600,
        "delivered_at": "2026-11-25T10:01:30Z"
    }"#;

    fn golden() -> Checkpoint {
        let mut hours = [3; 24];
        hours[23] = 4;
        Checkpoint {
            version: 1,
            closed_until: Some(datetime!(2026-11-25 10:00 UTC)),
            open: Some(OpenWindow {
                start: datetime!(2026-11-25 09:45 UTC),
                end: datetime!(2026-11-25 10:05 UTC),
                purpose: Purpose::Advance,
                next_page: Some("eNq-_w==".to_owned()),
                pages: 3,
            }),
            in_flight: vec![InFlight { batch: "0f3c".to_owned(), events: 7 }],
            remembered: vec![RememberedIds { minute: 29_926_665, ids: vec![1, u64::MAX] }],
            days: vec![DayCount { day: date!(2026 - 11 - 24), hours, unplaced: 1, checked: true }],
            reread: vec![TimeRange {
                from: datetime!(2026-11-24 10:00 UTC),
                to: datetime!(2026-11-24 11:00 UTC),
            }],
            collected_from: Some(datetime!(2026-11-20 10:00 UTC)),
            slice_secs: Some(3_600),
            delivered_at: Some(datetime!(2026-11-25 10:01:30 UTC)),
        }
    }

    // BR-011
    #[test]
    fn the_format_is_read_and_written_as_it_was() {
        assert_eq!(Checkpoint::read(GOLDEN.as_bytes()).expect("reads"), golden());
        let json = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).expect("JSON");
        assert_eq!(json(&golden().write()), json(GOLDEN.as_bytes()));
    }

    #[test]
    fn what_a_newer_worker_added_to_this_version_is_passed_over_wherever_it_is() {
        fn add_everywhere(value: &mut serde_json::Value) -> usize {
            match value {
                serde_json::Value::Object(members) => {
                    let inside: usize = members.values_mut().map(add_everywhere).sum();
                    members.insert("of_a_newer_worker".to_owned(), serde_json::json!({ "any": [1] }));
                    inside + 1
                }
                serde_json::Value::Array(items) => items.iter_mut().map(add_everywhere).sum(),
                _ => 0,
            }
        }
        let mut newer: serde_json::Value = serde_json::from_str(GOLDEN).expect("JSON");
        // The document itself and one of each of its five kinds of parts.
        assert_eq!(add_everywhere(&mut newer), 6);
        assert_eq!(Checkpoint::read(newer.to_string().as_bytes()).expect("reads"), golden());
        // A purpose of a window that is not known cannot be passed over.
        let unknown = GOLDEN.replace("advance", "of_a_newer_worker");
        assert!(Checkpoint::read(unknown.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn no_content_panics(content in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Checkpoint::read(&content);
        }

        #[test]
        fn hashes_survive(ids in proptest::collection::vec(any::<u64>(), 0..50)) {
            let remembered = vec![RememberedIds { minute: 1, ids }];
            let checkpoint = Checkpoint { remembered, ..Checkpoint::first() };
            prop_assert_eq!(Checkpoint::read(&checkpoint.write()).expect("reads back"), checkpoint);
        }
    }
}
