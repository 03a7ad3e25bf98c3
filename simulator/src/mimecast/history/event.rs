//! One audit event: made up, recorded, or anything at all.

use axum::body::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Iso8601;
use time::macros::format_description;

use super::id::event_id;

/// The project's own audit events, newest first. Sources are those of public samples; people,
/// addresses and accounts are made up.
const RECORDED: &str = include_str!("../../../data/audit-events.json");

/// How long before the present the newest of them happened.
const NEWEST_AGE: time::Duration = time::Duration::minutes(10);

/// The longest gap between two of them that is kept: with 45 events the oldest is then within the
/// six days that the demo's first run reaches back.
const LONGEST_GAP: time::Duration = time::Duration::hours(2);

/// One audit event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When it happened, whole seconds.
    pub at: OffsetDateTime,
    /// From when on it is served.
    pub arrival: Arrival,
    /// Mimecast's id of it; empty where it has none.
    pub id: String,
    /// Its category's code.
    pub category: String,
    pub(super) json: Bytes,
}

/// From when on an event is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Arrival {
    /// Always.
    #[default]
    Present,
    /// Late: from this moment of the simulator's clock on.
    At(OffsetDateTime),
    /// Late: once this many pages have been answered, so also between two pages of one window.
    AfterPages(u64),
}

/// An event as it is served.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Served {
    pub(super) id: String,
    pub(super) audit_type: String,
    pub(super) user: String,
    pub(super) event_time: String,
    pub(super) event_info: String,
    pub(super) category: String,
}

impl Event {
    /// A logon that is made up, told from others by its number.
    pub fn numbered(number: u64, at: OffsetDateTime) -> Self {
        let at = whole_seconds(at);
        let served = Served {
            id: event_id(number),
            audit_type: "User Logged On".to_owned(),
            user: format!("user{number}@example.com"),
            event_time: event_time(at),
            event_info: format!(
                "Successful authentication for user{number}@example.com <User {number}>, Date: {}, IP: 192.0.2.{}, Application: Administration Console, Method: Cloud",
                at.date(),
                number % 254 + 1,
            ),
            category: "authentication_logs".to_owned(),
        };
        Self::served(served, at)
    }

    /// An event of this JSON, which may be anything: it is served as it is.
    pub fn raw(at: OffsetDateTime, category: &str, json: &[u8]) -> Self {
        let id = serde_json::from_slice::<Value>(json)
            .ok()
            .and_then(|event| Some(event["id"].as_str()?.to_owned()))
            .unwrap_or_default();
        Self {
            at: whole_seconds(at),
            arrival: Arrival::Present,
            id,
            category: category.to_owned(),
            json: Bytes::copy_from_slice(json),
        }
    }

    /// The project's own events, newest first, moved so that they end shortly before the present: order kept,
    /// gaps cut, events of one second kept together, texts untouched.
    pub fn recorded(now: OffsetDateTime) -> Vec<Self> {
        let mut moved = whole_seconds(now - NEWEST_AGE);
        let mut previous: Option<OffsetDateTime> = None;
        let mut listed = Vec::new();
        for mut served in recorded() {
            let Some(original) = parse_time(&served.event_time) else { continue };
            if let Some(previous) = previous {
                moved -= (previous - original).clamp(time::Duration::ZERO, LONGEST_GAP);
            }
            previous = Some(original);
            let zulu = served.event_time.ends_with('Z');
            served.event_time =
                if zulu { event_time(moved).replace("+0000", "Z") } else { event_time(moved) };
            listed.push(Self::served(served, moved));
        }
        listed
    }

    /// The same, arriving so.
    pub fn arriving(mut self, arrival: Arrival) -> Self {
        self.arrival = arrival;
        self
    }

    /// The event as it is served.
    pub fn json(&self) -> &[u8] {
        &self.json
    }

    fn served(served: Served, at: OffsetDateTime) -> Self {
        let json = serde_json::to_vec(&served).unwrap_or_default();
        Self { at, arrival: Arrival::Present, id: served.id, category: served.category, json: json.into() }
    }
}

pub(super) fn recorded() -> Vec<Served> {
    serde_json::from_str(RECORDED).unwrap_or_default()
}

pub(super) fn whole_seconds(at: OffsetDateTime) -> OffsetDateTime {
    at.replace_nanosecond(0).unwrap_or(at)
}

/// A time as events carry it.
pub(super) fn event_time(at: OffsetDateTime) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]+0000");
    at.format(&format).unwrap_or_default()
}

pub(super) fn parse_time(text: &str) -> Option<OffsetDateTime> {
    parse_request_time(text).or_else(|| OffsetDateTime::parse(text, &Iso8601::DEFAULT).ok())
}

/// A time as requests must carry it; one public report says that `Z` is refused.
pub(super) fn parse_request_time(text: &str) -> Option<OffsetDateTime> {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");
    let text = text.strip_suffix("+0000")?;
    Some(time::PrimitiveDateTime::parse(text, &format).ok()?.assume_utc())
}
