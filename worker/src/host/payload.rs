//! What the Functions host sends: the documented form and the one that its code gives.
//!
//! The host encodes texts as JSON once more (`"\"text\""`); documents show them bare. Both are read.

use serde_json::Value;

use crate::command::Work;
use crate::report::Trigger;

/// One invocation.
#[derive(Debug, Clone, PartialEq)]
pub struct Invocation {
    /// What the trigger brought.
    data: Value,
}

impl Invocation {
    /// Reads a request's body. Anything at all is an invocation: that it came is what matters.
    pub fn read(body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let data = member(&body, "data").and_then(|data| {
            // The binding is called `timer` in our function.json; a person's own may be called otherwise.
            member(data, "timer").or_else(|| data.as_object()?.values().next())
        });
        Self { data: data.map(decoded).unwrap_or_default() }
    }

    /// The message that a queue brought.
    pub(super) fn text(&self) -> String {
        match &self.data {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            // The documented form shows an object as what it is.
            other => other.to_string(),
        }
    }

    /// What is to be done: what the schedule asks for, or what a person's text says.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn work(&self) -> Result<Work, String> {
        match &self.data {
            Value::String(text) if !text.trim().is_empty() => Work::parse(text),
            Value::String(_) => Ok(Work::Sync(Trigger::Manual)),
            _ => Ok(Work::Sync(Trigger::Timer)),
        }
    }
}

/// A member by its name, without regard to case: hosts have spelt them both ways.
fn member<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    value.as_object()?.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// Undoes the host's second encoding of texts.
fn decoded(value: &Value) -> Value {
    match value {
        Value::String(text) => match serde_json::from_str(text) {
            Ok(inner @ (Value::String(_) | Value::Object(_))) => inner,
            _ => value.clone(),
        },
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::Invocation;
    use crate::command::Work;
    use crate::report::Trigger;

    fn work(body: &str) -> Result<Work, String> {
        Invocation::read(body.as_bytes()).work()
    }

    #[test]
    fn the_timer_in_both_spellings() {
        let tidy = r#"{"Data":{"timer":{"Schedule":{"AdjustForDST":true},"ScheduleStatus":null,"IsPastDue":false}},"Metadata":{}}"#;
        let encoded =
            r#"{"Data":{"timer":"{\"Schedule\":{\"AdjustForDST\":true},\"IsPastDue\":true}"},"Metadata":{}}"#;
        let lower = r#"{"data":{"timer":{"isPastDue":false}},"metadata":{}}"#;
        for body in [tidy, encoded, lower, "{}", "", "not JSON", "null"] {
            assert_eq!(work(body), Ok(Work::Sync(Trigger::Timer)), "{body}");
        }
    }

    #[test]
    fn a_message_in_both_spellings() {
        let message = r#"{"account":"alpha","work":"sync"}"#;
        let once = serde_json::to_string(message).expect("JSON");
        let twice = serde_json::to_string(&once).expect("JSON");
        for shown in [message, &once, &twice] {
            let body = format!(r#"{{"Data":{{"msg":{shown}}},"Metadata":{{"DequeueCount":"1"}}}}"#);
            assert_eq!(Invocation::read(body.as_bytes()).text(), message);
        }
        assert_eq!(Invocation::read(b"{}").text(), "");
    }

    #[test]
    fn a_persons_text_in_both_spellings() {
        for body in [r#"{"Data":{"timer":"replay"}}"#, r#"{"Data":{"timer":"\"replay\""}}"#] {
            assert_eq!(work(body), Ok(Work::Replay), "{body}");
        }
        assert_eq!(work(r#"{"Data":{"timer":""}}"#), Ok(Work::Sync(Trigger::Manual)));
        assert!(work(r#"{"Data":{"timer":"dance"}}"#).is_err());
    }
}
