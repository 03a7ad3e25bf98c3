//! The Functions host's admin endpoints, opened by the app's master key.

use contract::secret::Secret;
use reqwest::Method;
use reqwest::header::DATE;
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use url::Url;

use super::Azure;
use super::error::AzureError;
use super::http::{Call, Caller, Repeat, under};

/// What the host says of itself at `/admin/host/status`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HostStatus {
    /// `Running` when all is well; `Error`, `Offline`, `Starting`, …
    pub state: String,
    /// The host's version.
    pub version: Option<String>,
    /// The host's id.
    pub id: Option<String>,
    /// Why it could not start.
    #[serde(deserialize_with = "null_is_empty")]
    pub errors: Vec<String>,
    /// When it said so, by its own clock in whole seconds: the one by which its worker's runs are timed.
    #[serde(skip)]
    pub at: Option<OffsetDateTime>,
}

impl HostStatus {
    /// Whether the host runs and has nothing to complain of.
    pub fn healthy(&self) -> bool {
        self.state.eq_ignore_ascii_case("Running") && self.errors.is_empty()
    }
}

fn null_is_empty<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl Azure {
    /// The host's status. `site` is `https://` and the site's `defaultHostName`.
    ///
    /// # Errors
    /// [`AzureError`] when the host refuses the key or does not answer.
    pub async fn host_status(&self, site: &Url, key: &Secret<String>) -> Result<HostStatus, AzureError> {
        let what = "asking the Functions host how it is";
        let call = host_call(what, Method::GET, site, &["admin", "host", "status"], key)?;
        let answer = self.send(&call).await?;
        let at = answer.header(DATE.as_str()).and_then(read_date);
        Ok(HostStatus { at, ..answer.json(what)? })
    }

    /// Runs a function once, now, with this text as its trigger's input. The host answers 202 as
    /// soon as it has accepted the run
    /// (<https://learn.microsoft.com/azure/azure-functions/functions-manually-run-non-http>).
    ///
    /// # Errors
    /// As [`Azure::host_status`]. A run that may have begun is not asked for again.
    pub async fn run_function(
        &self,
        site: &Url,
        key: &Secret<String>,
        function: &str,
        input: &str,
    ) -> Result<(), AzureError> {
        let what = format!("running function `{function}`");
        let mut call = host_call(&what, Method::POST, site, &["admin", "functions", function], key)?
            .json(&json!({"input": input}));
        call.repeat = Repeat::OnlyWhenRefused;
        self.send(&call).await.map(drop)
    }
}

/// A date as HTTP has it, such as `Tue, 24 Nov 2026 10:00:00 GMT`.
fn read_date(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(&text.replace("GMT", "+0000"), &Rfc2822).ok()
}

fn host_call<'a>(
    what: &str,
    method: Method,
    site: &Url,
    path: &[&str],
    key: &'a Secret<String>,
) -> Result<Call<'a>, AzureError> {
    let url = under(site, path, what)?;
    let mut call = Call::new(what.to_owned(), method, url, "").at_a_site();
    call.caller = Caller::FunctionsKey(key);
    Ok(call)
}
