//! Failures on demand, at any call.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Which calls a fault meets. An empty text meets every call.
#[derive(Debug, Clone, Default)]
pub struct Matcher {
    /// Name of the service, exactly.
    pub service: String,
    /// HTTP method, exactly.
    pub method: String,
    /// Part of the path with its query, without regard to case.
    pub target_contains: String,
}

impl Matcher {
    /// Meets calls of this service, method and part of the target; `""` is any.
    pub fn new(service: &str, method: &str, target_contains: &str) -> Self {
        Self {
            service: service.to_owned(),
            method: method.to_owned(),
            target_contains: target_contains.to_ascii_lowercase(),
        }
    }

    fn meets(&self, service: &str, method: &str, target: &str) -> bool {
        (self.service.is_empty() || self.service == service)
            && (self.method.is_empty() || self.method == method)
            && target.to_ascii_lowercase().contains(&self.target_contains)
    }
}

/// What happens to a call that a fault meets.
#[derive(Debug, Clone)]
pub enum Action {
    /// This answer in place of the service's. The service does not see the call.
    Answer {
        /// HTTP status.
        status: u16,
        /// Extra headers.
        headers: Vec<(String, String)>,
        /// Body, sent as it is.
        body: String,
    },
    /// The connection is closed without an answer, and the service does not see the call.
    DropBefore,
    /// The service does the work, then the connection is closed: the answer is lost.
    DropAfter,
    /// The service does the work; only this many bytes of the answer's body arrive.
    Truncate(usize),
    /// The service answers this much later.
    Delay(Duration),
}

/// A fault: which calls, from which one, how many of them, and what happens.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Which calls.
    pub matcher: Matcher,
    /// How many matching calls pass unharmed first.
    pub skip: usize,
    /// How many calls it then meets.
    pub times: usize,
    /// What happens.
    pub action: Action,
}

impl Fault {
    /// The next matching call gets this status and body.
    pub fn answer(matcher: Matcher, status: u16, body: &str) -> Self {
        Self::once(matcher, Action::Answer { status, headers: Vec::new(), body: body.to_owned() })
    }

    /// The next matching call meets this action.
    pub fn once(matcher: Matcher, action: Action) -> Self {
        Self { matcher, skip: 0, times: 1, action }
    }

    /// The same for this many calls.
    pub fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    /// The same, after this many matching calls have passed.
    pub fn skip(mut self, skip: usize) -> Self {
        self.skip = skip;
        self
    }
}

/// The faults that are set; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    set: Arc<Mutex<Vec<Fault>>>,
}

impl Faults {
    /// Sets a fault.
    pub fn add(&self, fault: Fault) {
        self.set.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
    }

    /// Removes all faults.
    pub fn clear(&self) {
        self.set.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// How many faults are left to meet calls: none where every one that was set has met its own.
    pub fn left(&self) -> usize {
        self.set.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The actions for one call, in the order in which the faults were set; uses them up.
    pub(crate) fn meet(&self, service: &str, method: &str, target: &str) -> Vec<Action> {
        let mut set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        let mut actions = Vec::new();
        for fault in set.iter_mut().filter(|fault| fault.matcher.meets(service, method, target)) {
            if fault.skip > 0 {
                fault.skip -= 1;
            } else if fault.times > 0 {
                fault.times -= 1;
                actions.push(fault.action.clone());
            }
        }
        set.retain(|fault| fault.times > 0);
        actions
    }
}
