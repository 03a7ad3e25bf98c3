//! The events of an account, and which of them a window holds.

use std::ops::Range;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::Bytes;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use flate2::{Compress, Compression, FlushCompress};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Iso8601;
use time::macros::format_description;

use super::access::Settings;
use super::answer::{self, Answer};

/// The project's own audit events, newest first. Sources are those of public samples; people,
/// addresses and accounts are made up.
const RECORDED: &str = include_str!("../../data/audit-events.json");

/// How long before the present the newest of them happened.
const NEWEST_AGE: time::Duration = time::Duration::minutes(10);

/// The longest gap between two of them that is kept: with 45 events the oldest is then within the
/// six days that the demo's first run reaches back.
const LONGEST_GAP: time::Duration = time::Duration::hours(2);

/// The account code in the ids of events that are made up here.
const ACCOUNT_CODE: &str = "CUSA0A0000";

/// The `secureid` of a real id: sixteen bytes that differ from event to event, then a tail that does
/// not, which looks as random.
const SECURE_ID: [u8; 60] = {
    let mut bytes = [0; 60];
    let (mut at, mut state) = (16, 0x2545_f491_u32);
    while at < bytes.len() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        bytes[at] = (state >> 24) as u8;
        at += 1;
    }
    bytes
};

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
    json: Bytes,
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

/// The order in which a window's events are listed. Public captures show the newest first; Mimecast
/// promises nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// As all captures show.
    #[default]
    NewestFirst,
    /// The other way round.
    OldestFirst,
    /// In no order of time, but the same at each call.
    Shuffled,
}

/// An event as it is served.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Served {
    id: String,
    audit_type: String,
    user: String,
    event_time: String,
    event_info: String,
    category: String,
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

/// A history that is made as it is served: evenly spaced events with the texts of the project's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Synthetic {
    /// How many events.
    pub count: u64,
    /// When the newest of them happened.
    pub newest: OffsetDateTime,
    /// The time between two of them.
    pub spacing: Duration,
}

impl Synthetic {
    /// The number of the event at a place of the list, newest first.
    fn at(&self, index: u64) -> OffsetDateTime {
        whole_seconds(self.newest - self.spacing * u32::try_from(index).unwrap_or(u32::MAX))
    }

    /// The places of the events from `start` on and before `end`, in a list that is newest first.
    fn within(&self, start: OffsetDateTime, end: OffsetDateTime) -> Range<u64> {
        // The list is sorted, so both ends are found by halving.
        let first_before = |moment: OffsetDateTime| {
            let (mut low, mut high) = (0, self.count);
            while low < high {
                let middle = low + (high - low) / 2;
                if self.at(middle) < moment { high = middle } else { low = middle + 1 }
            }
            low
        };
        first_before(end)..first_before(start)
    }
}

/// What an account holds.
#[derive(Debug, Default)]
pub(super) struct History {
    /// Newest first.
    listed: Vec<Event>,
    synthetic: Option<(Synthetic, Arc<Stock>)>,
}

impl History {
    pub(super) fn recorded(now: OffsetDateTime) -> Self {
        Self { listed: Event::recorded(now), synthetic: None }
    }

    pub(super) fn synthetic(synthetic: Synthetic) -> Self {
        let blocks = usize::try_from(synthetic.count.div_ceil(BLOCK_EVENTS) + 1).unwrap_or(usize::MAX);
        let stock = Stock {
            templates: recorded().iter().map(Template::of).collect(),
            ids: std::iter::repeat_with(OnceLock::new).take(blocks).collect(),
        };
        Self { listed: Vec::new(), synthetic: Some((synthetic, Arc::new(stock))) }
    }

    pub(super) fn listed(&self) -> &[Event] {
        &self.listed
    }

    pub(super) fn add(&mut self, events: impl IntoIterator<Item = Event>) {
        self.listed.extend(events);
        // Stable: events of one second stay in the order in which they were added.
        self.listed.sort_by_key(|event| std::cmp::Reverse(event.at));
    }

    /// The page that a query asks for, as things stand after `pages` pages.
    pub(super) fn page(&self, query: &Query, settings: &Settings, now: OffsetDateTime, pages: u64) -> Page {
        let oldest = now - settings.retention;
        let start = query.start.max(oldest);
        let end = if settings.end_inclusive { query.end + Duration::from_secs(1) } else { query.end };
        if let Some((synthetic, stock)) = &self.synthetic {
            let within = synthetic.within(start, end);
            let total = within.end.saturating_sub(within.start);
            let first = within.start + (query.offset as u64).min(total);
            let last = (first + query.size as u64).min(within.end.max(first));
            let made = Made { synthetic: *synthetic, range: first..last, stock: stock.clone() };
            return Page {
                total: usize::try_from(total).unwrap_or(usize::MAX),
                offset: query.offset,
                size: query.size,
                events: Events::Made(made),
            };
        }
        let arrived = |event: &Event| match event.arrival {
            Arrival::Present => true,
            Arrival::At(at) => at <= now,
            Arrival::AfterPages(after) => after < pages,
        };
        let wanted = |event: &&Event| {
            event.at >= start
                && event.at < end
                && arrived(event)
                && (query.categories.is_empty() || query.categories.contains(&event.category))
        };
        let mut listed: Vec<&Event> = self.listed.iter().filter(wanted).collect();
        match settings.order {
            Order::NewestFirst => {}
            Order::OldestFirst => listed.reverse(),
            Order::Shuffled => listed.sort_by_key(|event| mix(event.json.len() as u64, event.json.as_ref())),
        }
        let total = listed.len();
        let events = listed.iter().skip(query.offset).take(query.size).map(|event| event.json.clone());
        Page { total, offset: query.offset, size: query.size, events: Events::Listed(events.collect()) }
    }
}

/// What a request asks for.
#[derive(Debug)]
pub(super) struct Query {
    start: OffsetDateTime,
    end: OffsetDateTime,
    categories: Vec<String>,
    size: usize,
    offset: usize,
}

impl Query {
    /// Reads a request's body, as strictly as the documents are.
    pub(super) fn read(request: &Value, settings: &Settings, generation: u64) -> Result<Self, Answer> {
        let item = &request["data"][0];
        let missing: Vec<_> =
            ["startDateTime", "endDateTime"].into_iter().filter(|&name| item[name].is_null()).collect();
        if !missing.is_empty() {
            return Err(Answer::missing(&missing));
        }
        let moment = |name: &str| {
            item[name].as_str().and_then(parse_request_time).ok_or_else(|| {
                Answer::failed(
                    400,
                    "err_validation_value_not_allowed",
                    &format!("{name} is not a valid date"),
                )
            })
        };
        let pagination = &request["meta"]["pagination"];
        let size = match &pagination["pageSize"] {
            Value::String(size) => size.parse().unwrap_or(25),
            size => size.as_u64().unwrap_or(25),
        };
        let offset = match pagination["pageToken"].as_str() {
            None => 0,
            Some(token) => answer::page_offset(token, generation)
                .ok_or_else(|| Answer::failed(400, "err_audit_siem_invalid_token", "0007 Invalid token"))?,
        };
        let categories = item["categories"].as_array().into_iter().flatten();
        Ok(Self {
            start: moment("startDateTime")?,
            end: moment("endDateTime")?,
            categories: categories.filter_map(|code| Some(code.as_str()?.to_owned())).collect(),
            size: usize::try_from(size).unwrap_or(usize::MAX).clamp(1, settings.page_size_limit),
            offset,
        })
    }
}

/// A page before it is written.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) total: usize,
    pub(super) offset: usize,
    pub(super) size: usize,
    events: Events,
}

#[derive(Debug)]
enum Events {
    Listed(Vec<Bytes>),
    Made(Made),
}

#[derive(Debug)]
struct Made {
    synthetic: Synthetic,
    range: Range<u64>,
    stock: Arc<Stock>,
}

/// What the events of a synthetic history are made of.
#[derive(Debug)]
struct Stock {
    templates: Vec<Template>,
    /// Ids by blocks of numbers, each made when it is first served: making one costs more than all
    /// the rest of an event, and measurements serve the same history again and again.
    ids: Vec<OnceLock<IdBlock>>,
}

/// How many ids are made at once.
const BLOCK_EVENTS: u64 = 500;

#[derive(Debug)]
struct IdBlock {
    bytes: Vec<u8>,
    /// Where each id ends.
    ends: Vec<usize>,
}

impl Stock {
    fn write_id(&self, number: u64, body: &mut Vec<u8>) {
        let (block, place) = ((number / BLOCK_EVENTS) as usize, (number % BLOCK_EVENTS) as usize);
        let block = self.ids[block].get_or_init(|| IdBlock::from(number / BLOCK_EVENTS * BLOCK_EVENTS));
        let start = if place == 0 { 0 } else { block.ends[place - 1] };
        body.extend_from_slice(&block.bytes[start..block.ends[place]]);
    }
}

impl IdBlock {
    /// The block whose first id has this number.
    fn from(first: u64) -> Self {
        let mut ids = EventIds::new();
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for number in first..first + BLOCK_EVENTS {
            ids.write(number, &mut bytes);
            ends.push(bytes.len());
        }
        bytes.shrink_to_fit();
        Self { bytes, ends }
    }
}

impl Page {
    /// How many events the page holds.
    pub(super) fn count(&self) -> usize {
        match &self.events {
            Events::Listed(events) => events.len(),
            Events::Made(made) => usize::try_from(made.range.end - made.range.start).unwrap_or(usize::MAX),
        }
    }

    /// Writes the events, with commas between them.
    pub(super) fn write(&self, body: &mut Vec<u8>) {
        match &self.events {
            Events::Listed(events) => {
                for (index, event) in events.iter().enumerate() {
                    if index > 0 {
                        body.push(b',');
                    }
                    body.extend_from_slice(event);
                }
            }
            Events::Made(made) => made.write(body),
        }
    }
}

impl Made {
    fn write(&self, body: &mut Vec<u8>) {
        for index in self.range.clone() {
            if index > self.range.start {
                body.push(b',');
            }
            let number = self.synthetic.count - index;
            let templates = &self.stock.templates;
            let template = &templates[(number % templates.len() as u64) as usize];
            body.extend_from_slice(b"{\"id\":\"");
            self.stock.write_id(number, body);
            body.extend_from_slice(&template.before_time);
            body.extend_from_slice(event_time(self.synthetic.at(index)).as_bytes());
            body.extend_from_slice(&template.after_time);
        }
    }
}

/// The bytes of an event around its id and its time.
#[derive(Debug)]
struct Template {
    before_time: Vec<u8>,
    after_time: Vec<u8>,
}

impl Template {
    fn of(served: &Served) -> Self {
        let before = json!({"auditType": served.audit_type, "user": served.user}).to_string();
        let after = json!({"eventInfo": served.event_info, "category": served.category}).to_string();
        Self {
            before_time: format!("\",{},\"eventTime\":\"", &before[1..before.len() - 1]).into_bytes(),
            after_time: format!("\",{}", &after[1..]).into_bytes(),
        }
    }
}

/// Makes event ids as the real ones are: base64url without padding of zlib-compressed JSON.
struct EventIds {
    compress: Compress,
    compressed: Vec<u8>,
}

impl EventIds {
    fn new() -> Self {
        Self { compress: Compress::new(Compression::best(), true), compressed: Vec::with_capacity(512) }
    }

    fn write(&mut self, number: u64, body: &mut Vec<u8>) {
        let mut secure = SECURE_ID;
        secure[..8].copy_from_slice(&mix(number, b"first").to_be_bytes());
        secure[8..16].copy_from_slice(&mix(number, b"second").to_be_bytes());
        let decoded = format!(
            r#"{{"secureid":"{}","auditlogid":{number},"customercode":"{ACCOUNT_CODE}","version":1}}"#,
            STANDARD.encode(secure),
        );
        self.compressed.clear();
        self.compress.reset();
        // The room is several times what such a text needs, and writing into memory cannot fail.
        let _ = self.compress.compress_vec(decoded.as_bytes(), &mut self.compressed, FlushCompress::Finish);
        let start = body.len();
        body.resize(start + self.compressed.len().div_ceil(3) * 4, 0);
        let written = URL_SAFE_NO_PAD.encode_slice(&self.compressed, &mut body[start..]).unwrap_or(0);
        body.truncate(start + written);
    }
}

/// The id of a made-up event.
pub(super) fn event_id(number: u64) -> String {
    let mut id = Vec::new();
    EventIds::new().write(number, &mut id);
    String::from_utf8(id).unwrap_or_default()
}

/// Mixes a number and some bytes to a number that looks random (FNV-1a, then a final shuffle).
fn mix(number: u64, bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for &byte in bytes {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash ^= hash >> 31;
    hash.wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

fn recorded() -> Vec<Served> {
    serde_json::from_str(RECORDED).unwrap_or_default()
}

fn whole_seconds(at: OffsetDateTime) -> OffsetDateTime {
    at.replace_nanosecond(0).unwrap_or(at)
}

/// A time as events carry it.
fn event_time(at: OffsetDateTime) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]+0000");
    at.format(&format).unwrap_or_default()
}

fn parse_time(text: &str) -> Option<OffsetDateTime> {
    parse_request_time(text).or_else(|| OffsetDateTime::parse(text, &Iso8601::DEFAULT).ok())
}

/// A time as requests must carry it; one public report says that `Z` is refused.
fn parse_request_time(text: &str) -> Option<OffsetDateTime> {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");
    let text = text.strip_suffix("+0000")?;
    Some(time::PrimitiveDateTime::parse(text, &format).ok()?.assume_utc())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use time::macros::datetime;

    use super::{History, Synthetic, parse_time, recorded};

    #[test]
    fn the_recorded_history_is_moved_with_order_and_texts_kept() {
        let now = datetime!(2026-11-25 10:00:00.5 UTC);
        let history = History::recorded(now);
        let original = recorded();
        assert_eq!((history.listed.len(), original.len()), (45, 45));
        assert_eq!(history.listed[0].at, datetime!(2026-11-25 09:50:00 UTC));
        assert!(history.listed[44].at > now - Duration::from_secs(6 * 24 * 60 * 60));
        for (moved, served) in history.listed.iter().zip(&original) {
            let json: super::Served = serde_json::from_slice(moved.json()).expect("an event");
            assert_eq!((&json.id, &json.event_info), (&served.id, &served.event_info));
            assert_eq!(parse_time(&json.event_time), Some(moved.at));
        }
        for (moved, served) in history.listed.windows(2).zip(original.windows(2)) {
            let gap = moved[0].at - moved[1].at;
            let times: Vec<_> =
                served.iter().map(|served| parse_time(&served.event_time).expect("a time")).collect();
            assert_eq!(gap, (times[0] - times[1]).min(time::Duration::hours(2)));
        }
    }

    #[test]
    fn made_up_ids_decode_as_real_ones_do() {
        let mut body = Vec::new();
        let history = History::synthetic(Synthetic {
            count: 1200,
            newest: datetime!(2026-11-25 10:00 UTC),
            spacing: Duration::from_secs(1),
        });
        let stock = &history.synthetic.as_ref().expect("synthetic").1;
        for number in [1, 499, 500, 501, 1200] {
            body.clear();
            stock.write_id(number, &mut body);
            assert_eq!(body, super::event_id(number).as_bytes());
            let compressed = URL_SAFE_NO_PAD.decode(&body).expect("base64url");
            let decoded: serde_json::Value =
                serde_json::from_reader(flate2::read::ZlibDecoder::new(&compressed[..])).expect("JSON");
            assert_eq!(decoded["auditlogid"], number);
            assert_eq!(decoded["secureid"].as_str().expect("a text").len(), 80);
            // Compressed with a code of its own, as the recorded ids are: the dearest kind to decode.
            assert_eq!(compressed[2] & 0b111, 0b101);
        }
    }

    #[test]
    fn a_synthetic_window_holds_the_events_of_its_seconds() {
        let newest = datetime!(2026-11-25 10:00 UTC);
        let synthetic = Synthetic { count: 1000, newest, spacing: Duration::from_millis(500) };
        assert_eq!(synthetic.within(newest, newest + Duration::from_secs(1)), 0..1);
        // 09:59:59 holds the two events half a second and a second before the newest.
        assert_eq!(synthetic.within(newest - Duration::from_secs(1), newest), 1..3);
        assert_eq!(synthetic.within(newest - Duration::from_secs(86_400), newest), 1..1000);
    }
}
