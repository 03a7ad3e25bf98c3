//! Any six texts are a valid row, and the rule's transform makes of a sent row what is written whole.

use contract::streams::transform::audit_row;
use serde_json::{Map, Value};
use time::macros::datetime;
use worker::poll::Record;
use worker::transform::Transformer;

/// Panics where the property does not hold.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // U+0001 parts the fields; a field that is missing stays absent.
    let mut fields = text.split('\u{1}').map(Into::into);
    let record = Record {
        event_info: fields.next(),
        id: fields.next(),
        audit_type: fields.next(),
        user: fields.next(),
        event_time: fields.next(),
        category: fields.next(),
    };
    let [sent, whole] = [Transformer::new("main"), Transformer::whole("main")].map(|mut transformer| {
        let key = transformer.key(&record);
        let mut row = Vec::new();
        transformer.row(&record, &key, datetime!(2026-11-25 12:00 UTC), &mut row);
        serde_json::from_slice::<Map<String, Value>>(&row).expect("a JSON object")
    });
    assert_eq!(audit_row(&sent), whole);
    assert_eq!(whole["eventInfo_s"].as_str(), record.event_info.as_deref());
}
