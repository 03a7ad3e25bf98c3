//! A page of events: some of a list, or made while it is written.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use axum::body::Bytes;
use serde_json::json;

use super::Synthetic;
use super::event::{Served, event_time};
use super::id::EventIds;

/// A page before it is written.
#[derive(Debug)]
pub(in crate::mimecast) struct Page {
    pub(in crate::mimecast) total: usize,
    pub(in crate::mimecast) offset: usize,
    pub(in crate::mimecast) size: usize,
    pub(super) events: Events,
}

#[derive(Debug)]
pub(super) enum Events {
    Listed(Vec<Bytes>),
    Made(Made),
}

#[derive(Debug)]
pub(super) struct Made {
    pub(super) synthetic: Synthetic,
    pub(super) range: Range<u64>,
    pub(super) stock: Arc<Stock>,
}

/// What the events of a synthetic history are made of.
#[derive(Debug)]
pub(super) struct Stock {
    pub(super) templates: Vec<Template>,
    /// Ids by blocks of numbers, each made when it is first served: making one costs more than all
    /// the rest of an event, and measurements serve the same history again and again.
    pub(super) ids: Vec<OnceLock<IdBlock>>,
}

/// How many ids are made at once.
pub(super) const BLOCK_EVENTS: u64 = 500;

#[derive(Debug)]
pub(super) struct IdBlock {
    bytes: Vec<u8>,
    /// Where each id ends.
    ends: Vec<usize>,
}

impl Stock {
    pub(super) fn write_id(&self, number: u64, body: &mut Vec<u8>) {
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
    pub(in crate::mimecast) fn count(&self) -> usize {
        match &self.events {
            Events::Listed(events) => events.len(),
            Events::Made(made) => usize::try_from(made.range.end - made.range.start).unwrap_or(usize::MAX),
        }
    }

    /// Writes the events, with commas between them.
    pub(in crate::mimecast) fn write(&self, body: &mut Vec<u8>) {
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
pub(super) struct Template {
    before_time: Vec<u8>,
    after_time: Vec<u8>,
}

impl Template {
    pub(super) fn of(served: &Served) -> Self {
        let before = json!({"auditType": served.audit_type, "user": served.user}).to_string();
        let after = json!({"eventInfo": served.event_info, "category": served.category}).to_string();
        Self {
            before_time: format!("\",{},\"eventTime\":\"", &before[1..before.len() - 1]).into_bytes(),
            after_time: format!("\",{}", &after[1..]).into_bytes(),
        }
    }
}
