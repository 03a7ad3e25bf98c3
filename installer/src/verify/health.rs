//! What the health table says of an installation: the newest run of each account, and whose runs stay away.

use serde_json::{Map, Value};

/// An account whose runs stay away, or the only one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silent {
    /// Its key; empty where there is one account only.
    pub account: String,
    /// When its newest run ended.
    pub last_at: String,
    /// Within what time there should have been one.
    pub within_secs: u64,
}

impl Silent {
    /// What is wrong.
    pub fn told(&self) -> String {
        let whose = whose(&self.account);
        format!(
            "no run{whose} was seen for {} minutes; the last is of {}",
            self.within_secs / 60,
            self.last_at
        )
    }
}

/// Whose run it is, in words that follow the run.
pub fn whose(account: &str) -> String {
    if account.is_empty() { String::new() } else { format!(" of account `{account}`") }
}

/// What the table says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Health {
    /// The newest run of each account, by its key. One that left the work to another counts only where there
    /// is no other.
    pub last: Vec<Map<String, Value>>,
    /// The accounts whose runs stay away.
    pub silent: Vec<Silent>,
    /// The accounts that have no run at all; the empty key where there is one account only.
    pub unseen: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::Silent;

    #[test]
    fn whoever_is_silent_is_named_with_the_time_of_the_last_run() {
        let silent = |account: &str| Silent {
            account: account.to_owned(),
            last_at: "2026-11-25T10:00:00Z".to_owned(),
            within_secs: 1_800,
        };
        assert_eq!(silent("").told(), "no run was seen for 30 minutes; the last is of 2026-11-25T10:00:00Z");
        assert!(silent("b").told().starts_with("no run of account `b` was seen for 30 minutes"));
    }
}
