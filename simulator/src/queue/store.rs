//! Queues and their messages in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::clock::Clock;
use crate::storage::{StorageError, valid_name};

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) id: String,
    /// Whoever received it last holds this; anybody else's is refused.
    pub(crate) pop_receipt: String,
    pub(crate) text: String,
    pub(crate) inserted: OffsetDateTime,
    /// Empty where it never expires.
    pub(crate) expires: Option<OffsetDateTime>,
    pub(crate) visible: OffsetDateTime,
    pub(crate) dequeue_count: u32,
}

/// One queue.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    pub(crate) metadata: Vec<(String, String)>,
    messages: Vec<Message>,
}

/// All queues by account and name.
pub(crate) type ByName = BTreeMap<(String, String), Queue>;

/// Every account's queues; clones share them.
#[derive(Debug, Clone)]
pub struct Queues {
    queues: Arc<Mutex<ByName>>,
    clock: Clock,
}

fn key(account: &str, name: &str) -> (String, String) {
    (account.to_owned(), name.to_owned())
}

impl Queues {
    /// No queue yet.
    pub fn new(clock: Clock) -> Self {
        Self { queues: Arc::default(), clock }
    }

    pub(crate) fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, ByName> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes and removes queues so that these are left, each by account and name.
    pub(crate) fn keep_only(&self, wanted: &BTreeSet<(String, String)>) {
        let mut queues = self.lock();
        queues.retain(|place, _| wanted.contains(place));
        for place in wanted {
            queues.entry(place.clone()).or_default();
        }
    }

    /// Removes an account's queues.
    pub(crate) fn remove_account(&self, account: &str) {
        self.lock().retain(|(owner, _), _| owner != account);
    }

    /// The texts of a queue's messages, visible or not, oldest first; for tests.
    pub fn texts(&self, account: &str, name: &str) -> Vec<String> {
        let now = self.now();
        let mut queues = self.lock();
        let Some(queue) = queues.get_mut(&key(account, name)) else { return Vec::new() };
        queue.forget_expired(now);
        queue.messages.iter().map(|message| message.text.clone()).collect()
    }
}

impl Queues {
    /// Takes the messages that can be seen now out of a queue, as one who received and deleted them,
    /// oldest first; for tests.
    pub fn take(&self, account: &str, name: &str) -> Vec<String> {
        let now = self.now();
        let mut queues = self.lock();
        let Some(queue) = queues.get_mut(&key(account, name)) else { return Vec::new() };
        queue.forget_expired(now);
        let taken = queue.messages.extract_if(.., |message| message.visible <= now);
        taken.map(|message| message.text).collect()
    }
}

/// The queue of this name.
pub(crate) fn find<'a>(
    queues: &'a mut ByName,
    account: &str,
    name: &str,
) -> Result<&'a mut Queue, StorageError> {
    queues
        .get_mut(&key(account, name))
        .ok_or_else(|| StorageError::new(404, "QueueNotFound", "The specified queue does not exist."))
}

/// Removes a queue with its messages.
pub(crate) fn delete(queues: &mut ByName, account: &str, name: &str) -> Result<(), StorageError> {
    find(queues, account, name)?;
    queues.remove(&key(account, name));
    Ok(())
}

/// Makes a queue; says whether it was new.
pub(crate) fn create(
    queues: &mut ByName,
    account: &str,
    name: &str,
    metadata: Vec<(String, String)>,
) -> Result<bool, StorageError> {
    if !valid_name(name) {
        return Err(StorageError::invalid_name(name));
    }
    match queues.get(&key(account, name)) {
        None => {
            queues.insert(key(account, name), Queue { metadata, messages: Vec::new() });
            Ok(true)
        }
        Some(queue) if queue.metadata == metadata => Ok(false),
        Some(_) => Err(StorageError::new(409, "QueueAlreadyExists", "The specified queue already exists.")),
    }
}

impl Queue {
    fn forget_expired(&mut self, now: OffsetDateTime) {
        self.messages.retain(|message| message.expires.is_none_or(|expires| expires > now));
    }

    /// How many messages there are, visible or not.
    pub(crate) fn count(&mut self, now: OffsetDateTime) -> usize {
        self.forget_expired(now);
        self.messages.len()
    }

    /// Adds a message.
    pub(crate) fn send(
        &mut self,
        text: String,
        hidden_for: Duration,
        lives_for: Option<Duration>,
        now: OffsetDateTime,
    ) -> Message {
        let message = Message {
            id: Uuid::new_v4().to_string(),
            pop_receipt: receipt(),
            text,
            inserted: now,
            expires: lives_for.map(|lives_for| now + lives_for),
            visible: now + hidden_for,
            dequeue_count: 0,
        };
        self.messages.push(message.clone());
        message
    }

    /// Takes up to this many visible messages and hides them for a while.
    pub(crate) fn receive(&mut self, count: usize, hide_for: Duration, now: OffsetDateTime) -> Vec<Message> {
        self.forget_expired(now);
        self.messages
            .iter_mut()
            .filter(|message| message.visible <= now)
            .take(count)
            .map(|message| {
                message.dequeue_count += 1;
                message.pop_receipt = receipt();
                message.visible = now + hide_for;
                message.clone()
            })
            .collect()
    }

    /// Looks at up to this many visible messages.
    pub(crate) fn peek(&mut self, count: usize, now: OffsetDateTime) -> Vec<Message> {
        self.forget_expired(now);
        self.messages.iter().filter(|message| message.visible <= now).take(count).cloned().collect()
    }

    /// Removes all messages.
    pub(crate) fn clear(&mut self) {
        self.messages.clear();
    }

    fn held(&mut self, id: &str, pop_receipt: &str, now: OffsetDateTime) -> Result<usize, StorageError> {
        self.forget_expired(now);
        let at = self.messages.iter().position(|message| message.id == id).ok_or_else(|| {
            StorageError::new(404, "MessageNotFound", "The specified message does not exist.")
        })?;
        if self.messages[at].pop_receipt == pop_receipt {
            Ok(at)
        } else {
            Err(StorageError::new(
                400,
                "PopReceiptMismatch",
                "The specified pop receipt did not match the pop receipt for a dequeued message.",
            ))
        }
    }

    /// Removes a message that the caller holds.
    pub(crate) fn delete(
        &mut self,
        id: &str,
        pop_receipt: &str,
        now: OffsetDateTime,
    ) -> Result<(), StorageError> {
        let at = self.held(id, pop_receipt, now)?;
        self.messages.remove(at);
        Ok(())
    }

    /// Hides a held message for another while, and replaces its text where one is given.
    pub(crate) fn update(
        &mut self,
        id: &str,
        held_by: &str,
        hide_for: Duration,
        text: Option<String>,
        now: OffsetDateTime,
    ) -> Result<Message, StorageError> {
        let at = self.held(id, held_by, now)?;
        let message = &mut self.messages[at];
        message.pop_receipt = receipt();
        message.visible = now + hide_for;
        if let Some(text) = text {
            message.text = text;
        }
        Ok(message.clone())
    }
}

fn receipt() -> String {
    Uuid::new_v4().simple().to_string()
}
