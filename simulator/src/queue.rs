//! Azure Queue Storage: queues and messages with their visibility, in this process.
//!
//! Stands in for Azurite where Rust is all there is; the same tests run against both.
//! Follows <https://learn.microsoft.com/rest/api/storageservices/queue-service-rest-api>.

mod store;

use std::fmt::Write as _;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use quick_xml::escape::escape;
use time::Duration;

pub use self::store::Queues;
pub(crate) use self::store::find;
use self::store::{Message, create, delete};
use crate::data::DataPlane;
use crate::data::follow::QUEUES;
use crate::state::role::Need;
use crate::storage::{Call, Reply, StorageError, answer, http_date, leaves};

/// Largest message: <https://learn.microsoft.com/azure/storage/queues/scalability-targets>.
const MESSAGE_BYTES: usize = 64 * 1024;
/// Longest time to hide a message, and how long one lives unless asked otherwise, in seconds:
/// <https://learn.microsoft.com/rest/api/storageservices/put-message>.
const WEEK_SECS: i64 = 7 * 24 * 60 * 60;
/// Largest number of messages in one call, and how long they are hidden by default:
/// <https://learn.microsoft.com/rest/api/storageservices/get-messages>.
const MESSAGES_PER_CALL: i64 = 32;
const HIDDEN_SECS: i64 = 30;

/// The service, for all accounts: `/<account>/<queue>/messages`.
pub fn router(data: DataPlane) -> Router {
    Router::new().fallback(serve).with_state(data)
}

async fn serve(
    State(data): State<DataPlane>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let call = Call::read(method, uri, headers, body);
    let result = handle(&data, &call);
    answer(&call, data.queues.now(), result)
}

/// The right that a call needs:
/// <https://learn.microsoft.com/rest/api/storageservices/authorize-with-azure-active-directory#permissions-for-queue-service-operations>.
fn need(call: &Call) -> Need<'static> {
    match (call.method.as_str(), &call.child) {
        ("GET", Some(_)) if call.query("peekonly") == Some("true") => {
            Need::Data("Microsoft.Storage/storageAccounts/queueServices/queues/messages/read")
        }
        ("GET", Some(_)) => {
            Need::Data("Microsoft.Storage/storageAccounts/queueServices/queues/messages/process/action")
        }
        ("POST", Some(_)) => {
            Need::Data("Microsoft.Storage/storageAccounts/queueServices/queues/messages/add/action")
        }
        ("DELETE", Some(_)) => {
            Need::Data("Microsoft.Storage/storageAccounts/queueServices/queues/messages/delete")
        }
        (_, Some(_)) => Need::Data("Microsoft.Storage/storageAccounts/queueServices/queues/messages/write"),
        ("GET" | "HEAD", None) => Need::Action("Microsoft.Storage/storageAccounts/queueServices/queues/read"),
        ("DELETE", None) => Need::Action("Microsoft.Storage/storageAccounts/queueServices/queues/delete"),
        (_, None) => Need::Action("Microsoft.Storage/storageAccounts/queueServices/queues/write"),
    }
}

fn handle(data: &DataPlane, call: &Call) -> Result<Reply, StorageError> {
    data.authorize_storage(call, "queueServices/default/queues", need(call))?;
    let Some(name) = call.parent.as_deref() else { return list(data, call) };
    match call.child.as_deref() {
        None => on_queue(data, call, name),
        Some("messages") => on_messages(data, call, name),
        Some(path) => match path.strip_prefix("messages/") {
            Some(id) => on_message(data, call, name, id),
            None => Err(StorageError::not_in_stand_in(call)),
        },
    }
}

fn list(data: &DataPlane, call: &Call) -> Result<Reply, StorageError> {
    if call.method != Method::GET || call.query("comp") != Some("list") || call.query("marker").is_some() {
        return Err(StorageError::not_in_stand_in(call));
    }
    let prefix = call.query("prefix").unwrap_or_default();
    let mut xml = format!("<EnumerationResults ServiceEndpoint=\"/{}/\"><Queues>", escape(&call.account));
    for (account, name) in data.queues.lock().keys() {
        if *account == call.account && name.starts_with(prefix) {
            let _ = write!(xml, "<Queue><Name>{name}</Name></Queue>");
        }
    }
    xml.push_str("</Queues><NextMarker/></EnumerationResults>");
    Ok(Reply::new(200).xml(&xml))
}

fn on_queue(data: &DataPlane, call: &Call, name: &str) -> Result<Reply, StorageError> {
    let now = data.queues.now();
    let _faces = data.both_faces();
    let mut queues = data.queues.lock();
    match (call.method.as_str(), call.query("comp")) {
        ("PUT", None) => {
            let new = create(&mut queues, &call.account, name, call.metadata())?;
            drop(queues);
            data.adopt(&call.account, QUEUES, name);
            Ok(Reply::new(if new { 201 } else { 204 }))
        }
        ("DELETE", None) => {
            delete(&mut queues, &call.account, name)?;
            drop(queues);
            data.abandon(&call.account, QUEUES, name);
            Ok(Reply::new(204))
        }
        ("GET" | "HEAD", Some("metadata")) => {
            let queue = find(&mut queues, &call.account, name)?;
            let count = queue.count(now);
            Ok(Reply::new(200)
                .metadata(&queue.metadata)
                .header("x-ms-approximate-messages-count", count.to_string()))
        }
        ("PUT", Some("metadata")) => {
            find(&mut queues, &call.account, name)?.metadata = call.metadata();
            Ok(Reply::new(204))
        }
        _ => Err(StorageError::not_in_stand_in(call)),
    }
}

/// A duration from the query, in whole seconds within a range.
fn seconds(
    call: &Call,
    name: &str,
    range: std::ops::RangeInclusive<i64>,
    default: i64,
) -> Result<Duration, StorageError> {
    let seconds = call.query_number(name)?.unwrap_or(default);
    if range.contains(&seconds) {
        Ok(Duration::seconds(seconds))
    } else {
        Err(StorageError::out_of_range_query(name))
    }
}

fn on_messages(data: &DataPlane, call: &Call, name: &str) -> Result<Reply, StorageError> {
    let now = data.queues.now();
    let mut queues = data.queues.lock();
    let queue = find(&mut queues, &call.account, name)?;
    match call.method.as_str() {
        "POST" => {
            let hidden_for = seconds(call, "visibilitytimeout", 0..=WEEK_SECS, 0)?;
            let lives_for = match call.query_number("messagettl")?.unwrap_or(WEEK_SECS) {
                -1 => None,
                seconds if seconds > 0 => Some(Duration::seconds(seconds)),
                _ => return Err(StorageError::out_of_range_query("messagettl")),
            };
            if lives_for.is_some_and(|lives_for| hidden_for >= lives_for) {
                return Err(StorageError::out_of_range_query("visibilitytimeout"));
            }
            let text = read_message(&call.body)?;
            let message = queue.send(text, hidden_for, lives_for, now);
            Ok(Reply::new(201).xml(&document(&[message], Part::Sent)))
        }
        "GET" => {
            let count = call.query_number("numofmessages")?.unwrap_or(1);
            if !(1..=MESSAGES_PER_CALL).contains(&count) {
                return Err(StorageError::out_of_range_query("numofmessages"));
            }
            let count = usize::try_from(count).unwrap_or(1);
            if call.query("peekonly") == Some("true") {
                let messages = queue.peek(count, now);
                return Ok(Reply::new(200).xml(&document(&messages, Part::Peeked)));
            }
            let hide_for = seconds(call, "visibilitytimeout", 1..=WEEK_SECS, HIDDEN_SECS)?;
            let messages = queue.receive(count, hide_for, now);
            Ok(Reply::new(200).xml(&document(&messages, Part::Received)))
        }
        "DELETE" => {
            queue.clear();
            Ok(Reply::new(204))
        }
        _ => Err(StorageError::not_in_stand_in(call)),
    }
}

fn on_message(data: &DataPlane, call: &Call, name: &str, id: &str) -> Result<Reply, StorageError> {
    let now = data.queues.now();
    let mut queues = data.queues.lock();
    let queue = find(&mut queues, &call.account, name)?;
    let receipt = call.query("popreceipt").ok_or_else(|| StorageError::missing_query("popreceipt"))?;
    match call.method.as_str() {
        "DELETE" => queue.delete(id, receipt, now).map(|()| Reply::new(204)),
        "PUT" => {
            if call.query("visibilitytimeout").is_none() {
                return Err(StorageError::missing_query("visibilitytimeout"));
            }
            let hide_for = seconds(call, "visibilitytimeout", 0..=WEEK_SECS, 0)?;
            let text = if call.body.is_empty() { None } else { Some(read_message(&call.body)?) };
            let message = queue.update(id, receipt, hide_for, text, now)?;
            Ok(Reply::new(204)
                .header("x-ms-popreceipt", message.pop_receipt)
                .header("x-ms-time-next-visible", http_date(message.visible)))
        }
        _ => Err(StorageError::not_in_stand_in(call)),
    }
}

/// Which parts of a message an answer shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Sent,
    Received,
    Peeked,
}

fn document(messages: &[Message], part: Part) -> String {
    let mut xml = "<QueueMessagesList>".to_owned();
    for message in messages {
        // One that never expires is shown with the last date there is.
        let expires = message.expires.map_or_else(|| "Fri, 31 Dec 9999 23:59:59 GMT".to_owned(), http_date);
        let _ = write!(
            xml,
            "<QueueMessage><MessageId>{}</MessageId><InsertionTime>{}</InsertionTime>\
             <ExpirationTime>{expires}</ExpirationTime>",
            message.id,
            http_date(message.inserted)
        );
        if part != Part::Peeked {
            let _ = write!(
                xml,
                "<PopReceipt>{}</PopReceipt><TimeNextVisible>{}</TimeNextVisible>",
                message.pop_receipt,
                http_date(message.visible)
            );
        }
        if part != Part::Sent {
            let _ = write!(
                xml,
                "<DequeueCount>{}</DequeueCount><MessageText>{}</MessageText>",
                message.dequeue_count,
                escape(message.text.as_str())
            );
        }
        xml.push_str("</QueueMessage>");
    }
    xml.push_str("</QueueMessagesList>");
    xml
}

/// Reads `<QueueMessage><MessageText>…</MessageText></QueueMessage>`.
fn read_message(body: &[u8]) -> Result<String, StorageError> {
    let found = leaves(body, "QueueMessage")?.into_iter().find(|(name, _)| name == "MessageText");
    let (_, text) = found.ok_or_else(StorageError::invalid_xml)?;
    if text.len() > MESSAGE_BYTES {
        return Err(StorageError::new(
            413,
            "RequestBodyTooLarge",
            "The request body is too large and exceeds the maximum permissible limit.",
        ));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::read_message;

    #[test]
    fn message_texts_are_unescaped_once() {
        let body = "<?xml version=\"1.0\"?><QueueMessage><MessageText>{&quot;a&quot;:&quot;&lt;b&gt; &amp;amp; &#233;&quot;}</MessageText></QueueMessage>";
        assert_eq!(read_message(body.as_bytes()), Ok("{\"a\":\"<b> &amp; é\"}".to_owned()));
        let empty = "<QueueMessage><MessageText/></QueueMessage>";
        assert_eq!(read_message(empty.as_bytes()), Ok(String::new()));
        assert!(read_message(b"<QueueMessage></QueueMessage>").is_err());
    }

    #[test]
    fn a_message_above_64_kib_is_refused() {
        let body = |bytes: usize| {
            format!("<QueueMessage><MessageText>{}</MessageText></QueueMessage>", "x".repeat(bytes))
        };
        assert!(read_message(body(64 * 1024).as_bytes()).is_ok());
        let refused = read_message(body(64 * 1024 + 1).as_bytes());
        assert_eq!(refused.map_err(|error| error.status), Err(413));
    }
}
