//! Any body is read as a page without a panic; how its bytes are parted makes no difference, save for how
//! many events are given before a fault; and the events of a page that is valid JSON are all found.

use bytes::Bytes;
use futures::executor::block_on;
use serde_json::Value;
use worker::poll::PageStream;

/// What was read of a page: its events and what became of it.
type Read = (Vec<String>, Result<(Option<String>, usize), String>);

/// Panics where the property does not hold. The first byte says how the rest is parted.
pub(crate) fn check(data: &[u8]) {
    let Some((first, body)) = data.split_first() else { return };
    let whole = read(body, body.len().max(1));
    let parted = read(body, usize::from(*first).max(1));
    assert_eq!(parted.1, whole.1);
    if whole.1.is_ok() {
        assert_eq!(parted.0, whole.0);
    } else {
        // A piece in which a fault is found gives none of its events: the page is read again.
        let both = parted.0.len().min(whole.0.len());
        assert_eq!(parted.0[..both], whole.0[..both]);
    }
    let Ok(Value::Object(page)) = serde_json::from_slice(body) else { return };
    let named = String::from_utf8_lossy(body).matches("data").count();
    // A member that is named twice, or by an escape, is none of Mimecast's.
    if let (Some(Value::Array(events)), 1) = (page.get("data"), named) {
        assert_eq!(whole.0.len(), events.len());
    }
}

fn read(body: &[u8], piece_bytes: usize) -> Read {
    let pieces: Vec<_> = body
        .chunks(piece_bytes)
        .map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece)))
        .collect();
    let body = reqwest::Body::wrap_stream(futures::stream::iter(pieces));
    let mut page = PageStream::new(http::Response::new(body).into(), false, None);
    let mut events = Vec::new();
    loop {
        match block_on(page.next()) {
            Ok(Some(chunk)) => events.extend(chunk.records().map(|record| format!("{record:?}"))),
            Ok(None) => break,
            Err(error) => return (events, Err(format!("{:?}", error.kind))),
        }
    }
    let end = page.end().map(|end| (end.next.map(|next| next.as_str().to_owned()), end.records));
    (events, end.map_err(|error| format!("{:?}", error.kind)))
}
