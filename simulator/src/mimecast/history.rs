//! The events of an account, and which of them a window holds.
//!
//! * [`event`]: one audit event; [`id`]: the ids of those that are made up.
//! * [`page`]: what is served of them at once.

mod event;
mod id;
mod page;

use std::ops::Range;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::Value;
use time::OffsetDateTime;

use super::access::Settings;
use super::answer::{self, Answer};
pub use event::{Arrival, Event};
use event::{parse_request_time, recorded, whole_seconds};
use id::mix;
pub(super) use page::Page;
use page::{BLOCK_EVENTS, Events, Made, Stock, Template};

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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use time::macros::datetime;

    use super::event::{Served, parse_time, recorded};
    use super::{History, Synthetic};

    #[test]
    fn the_recorded_history_is_moved_with_order_and_texts_kept() {
        let now = datetime!(2026-11-25 10:00:00.5 UTC);
        let history = History::recorded(now);
        let original = recorded();
        assert_eq!((history.listed.len(), original.len()), (45, 45));
        assert_eq!(history.listed[0].at, datetime!(2026-11-25 09:50:00 UTC));
        assert!(history.listed[44].at > now - Duration::from_secs(6 * 24 * 60 * 60));
        for (moved, served) in history.listed.iter().zip(&original) {
            let json: Served = serde_json::from_slice(moved.json()).expect("an event");
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
            assert_eq!(body, super::id::event_id(number).as_bytes());
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
