//! Recorded answers, served on demand.

use serde::Deserialize;
use serde_json::Value;

use crate::fault::Action;

/// An answer as the sample files hold it: status, headers, and a body that is JSON or, where it is
/// empty, HTML or broken, text.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Recorded {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    #[serde(default)]
    pub headers: std::collections::BTreeMap<String, String>,
    /// A body of JSON.
    #[serde(default)]
    pub body: Option<Value>,
    /// Any other body.
    #[serde(default)]
    pub raw_body: Option<String>,
}

impl Recorded {
    /// Reads a sample file's text.
    ///
    /// # Errors
    /// When it is not of that form.
    pub fn parse(text: &str) -> serde_json::Result<Self> {
        serde_json::from_str(text)
    }

    /// The body as it is sent.
    pub fn body(&self) -> String {
        match (&self.body, &self.raw_body) {
            (Some(body), _) => body.to_string(),
            (None, Some(raw)) => raw.clone(),
            (None, None) => String::new(),
        }
    }

    /// The action of a fault that answers so. The length is left to HTTP.
    pub fn action(&self) -> Action {
        let headers = self.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("content-length"));
        Action::Answer {
            status: self.status,
            headers: headers.map(|(name, value)| (name.clone(), value.clone())).collect(),
            body: self.body(),
        }
    }
}
