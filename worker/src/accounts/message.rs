//! What is on the queue: the work of one account, or what a person asked for.

use serde::{Deserialize, Serialize};

use crate::command::Work;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Whose work; `None` is everybody's, or the only account's.
    pub account: Option<String>,
    /// What is to be done.
    pub work: Work,
    /// How often it was tried before.
    pub attempt: u32,
}

/// The message on the wire.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    work: String,
    #[serde(default, skip_serializing_if = "is_first")]
    attempt: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_first(attempt: &u32) -> bool {
    *attempt == 0
}

impl Message {
    /// The first message for this work.
    pub fn new(account: Option<&str>, work: Work) -> Self {
        Self { account: account.map(str::to_owned), work, attempt: 0 }
    }

    /// Reads a message: a JSON object with `account` and `work`, or the work's text alone.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if !text.starts_with('{') {
            return Ok(Self::new(None, Work::parse(if text.is_empty() { "sync" } else { text })?));
        }
        let written: Written = serde_json::from_str(text).map_err(|error| {
            format!("the message cannot be read: {error}; accepted is {{\"account\": …, \"work\": …}}")
        })?;
        let work = Work::parse(&written.work)?;
        Ok(Self { account: written.account, work, attempt: written.attempt })
    }

    /// The message as [`Message::read`] reads it.
    pub fn write(&self) -> String {
        let Self { account, work, attempt } = self;
        let written = Written { account: account.clone(), work: work.to_string(), attempt: *attempt };
        // Texts and a number always serialise.
        serde_json::to_string(&written).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::Message;
    use crate::command::{Backfill, Slice, Work};
    use crate::report::Trigger;
    use time::macros::datetime;

    #[test]
    fn what_is_written_is_read() {
        let (from, to) = (datetime!(2026-11-01 00:00 UTC), datetime!(2026-11-02 00:00 UTC));
        for work in [
            Work::Sync(Trigger::Manual),
            Work::Replay,
            Work::Backfill(Backfill { from, to, only_missing: true }),
            Work::Backfill(Backfill { from, to, only_missing: false }),
            Work::Slice(Slice { request: 0xab, from, to }),
        ] {
            for account in [None, Some("alpha")] {
                let message = Message { attempt: 3, ..Message::new(account, work) };
                assert_eq!(Message::read(&message.write()), Ok(message));
            }
        }
    }

    #[test]
    fn a_person_writes_the_work_alone() {
        assert_eq!(Message::read(" replay\n"), Ok(Message::new(None, Work::Replay)));
        assert_eq!(Message::read(""), Ok(Message::new(None, Work::Sync(Trigger::Manual))));
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        for text in ["dance", "{", r#"{"work":"dance"}"#, r#"{"work":"sync","accuont":"a"}"#, "slice x a b"] {
            assert!(Message::read(text).is_err(), "{text}");
        }
    }
}
