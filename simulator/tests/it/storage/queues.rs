//! Queues: messages sent, received, hidden, renewed and deleted.

use azure_core::http::RequestContent;
use azure_storage_blob::models::StorageErrorCode;
use azure_storage_queue::QueueClient;
use azure_storage_queue::models::{
    QueueClientGetPropertiesResultHeaders, QueueClientReceiveMessagesOptions, QueueMessage, ReceivedMessage,
};
use std::time::Duration;

use super::{Storage, refusal, refused};

super::on_both! {
    a_message_is_received_as_it_was_sent
    a_received_message_is_hidden_and_its_holder_may_delete_it
    a_renewed_message_has_another_receipt
    numbers_outside_the_limits_are_refused
    a_missing_queue_is_told
}

async fn send(queue: &QueueClient, text: &str) {
    let message = QueueMessage { message_text: Some(text.to_owned()) };
    queue.send_message(RequestContent::try_from(message).unwrap(), None).await.unwrap();
}

async fn receive(queue: &QueueClient, count: i32, seconds: i32) -> Vec<ReceivedMessage> {
    let options = QueueClientReceiveMessagesOptions {
        number_of_messages: Some(count),
        visibility_timeout: Some(seconds),
        ..Default::default()
    };
    queue.receive_messages(Some(options)).await.unwrap().into_model().unwrap().items.unwrap_or_default()
}

async fn count(queue: &QueueClient) -> Option<i64> {
    queue.get_properties(None).await.unwrap().approximate_messages_count().unwrap()
}

async fn a_message_is_received_as_it_was_sent(storage: &Storage) {
    let queue = storage.fresh_queue().await;
    let text = "{\"from\":\"2026-11-01\",\"who\":\"<a> & 'é' \\\"\"}";
    send(&queue, text).await;
    send(&queue, "second").await;
    assert_eq!(count(&queue).await, Some(2));
    let received = receive(&queue, 32, 30).await;
    let texts: Vec<_> = received.iter().map(|message| message.message_text.clone().unwrap()).collect();
    assert_eq!(texts, [text, "second"]);
    assert!(received.iter().all(|message| message.dequeue_count == Some(1)));
    queue.clear(None).await.unwrap();
    assert_eq!(count(&queue).await, Some(0));
}

async fn a_received_message_is_hidden_and_its_holder_may_delete_it(storage: &Storage) {
    let queue = storage.fresh_queue().await;
    send(&queue, "one").await;
    let message = receive(&queue, 1, 30).await.remove(0);
    assert!(receive(&queue, 1, 30).await.is_empty());
    assert_eq!(count(&queue).await, Some(1));
    let (id, receipt) = (message.message_id.unwrap(), message.pop_receipt.unwrap());
    queue.delete_message(&id, &receipt, None).await.unwrap();
    assert_eq!(count(&queue).await, Some(0));
    let again = refusal(queue.delete_message(&id, &receipt, None).await);
    assert_eq!(again, refused(404, StorageErrorCode::UnknownValue("MessageNotFound".to_owned())));
}

async fn a_renewed_message_has_another_receipt(storage: &Storage) {
    let queue = storage.fresh_queue().await;
    send(&queue, "one").await;
    let message = receive(&queue, 1, 30).await.remove(0);
    let (id, receipt) = (message.message_id.unwrap(), message.pop_receipt.unwrap());
    let answer = queue.update_message(&id, &receipt, 60, None).await.unwrap();
    let renewed = answer.headers().get_str(&"x-ms-popreceipt".into()).unwrap().to_owned();
    assert_ne!(renewed, receipt);
    let stale = refusal(queue.delete_message(&id, &receipt, None).await);
    assert_eq!(stale, refused(400, StorageErrorCode::UnknownValue("PopReceiptMismatch".to_owned())));
    // Hidden for no time: the next one gets it at once, for the second time.
    queue.update_message(&id, &renewed, 0, None).await.unwrap();
    let second = receive(&queue, 1, 30).await.remove(0);
    assert_eq!((second.message_text.as_deref(), second.dequeue_count), (Some("one"), Some(2)));
}

async fn numbers_outside_the_limits_are_refused(storage: &Storage) {
    let queue = storage.fresh_queue().await;
    for (count, seconds) in [(0, 30), (33, 30), (1, 0), (1, 604_801)] {
        let options = QueueClientReceiveMessagesOptions {
            number_of_messages: Some(count),
            visibility_timeout: Some(seconds),
            ..Default::default()
        };
        let refused = refusal(queue.receive_messages(Some(options)).await);
        assert_eq!(refused.0, 400, "{count} {seconds}");
    }
}

async fn a_missing_queue_is_told(storage: &Storage) {
    let queue = storage.fresh_queue().await;
    queue.delete(None).await.unwrap();
    assert!(!queue.exists().await.unwrap());
    let received = refusal(queue.receive_messages(None).await);
    assert_eq!(received, refused(404, StorageErrorCode::UnknownValue("QueueNotFound".to_owned())));
}

/// Only the stand-in has a clock to move.
#[tokio::test]
async fn a_message_that_is_not_deleted_comes_back() {
    let storage = Storage::stand_in().await;
    let queue = storage.fresh_queue().await;
    send(&queue, "one").await;
    receive(&queue, 1, 30).await.remove(0);
    let simulator = &storage.arm().unwrap().simulator;
    simulator.clock().advance(Duration::from_secs(30));
    assert_eq!(receive(&queue, 1, 30).await.remove(0).dequeue_count, Some(2));
    // A week is the life of a message. The token does not live as long.
    let name = queue.url().path_segments().unwrap().next_back().unwrap().to_owned();
    assert_eq!(simulator.data().queues.texts("stone", &name), ["one"]);
    simulator.clock().advance(Duration::from_secs(7 * 86_400));
    assert!(simulator.data().queues.texts("stone", &name).is_empty());
}
