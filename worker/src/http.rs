//! The one HTTP client of the crate.

use std::time::Duration;

pub use reqwest::{Client, Error};

/// Longest wait for a connection. Azure's own clients use the same.
const CONNECT_SECS: u64 = 20;
/// Longest silence within an answer. Azure's own clients use the same; Mimecast cuts its gateway off
/// at about a minute.
const SILENCE_SECS: u64 = 60;

/// Makes the client with the machine's certificates, or those of `SSL_CERT_FILE`.
///
/// # Errors
/// When the certificates cannot be read.
pub fn client() -> Result<Client, Error> {
    builder().build()
}

/// How the client is made: no redirects, because a redirect could carry credentials to another host. It asks
/// for nothing packed: who does unpacks it (pages of events alone are worth it).
pub fn builder() -> reqwest::ClientBuilder {
    Client::builder()
        .user_agent(concat!("mimecast-sentinel-worker/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(CONNECT_SECS))
        .read_timeout(Duration::from_secs(SILENCE_SECS))
        .gzip(false)
}
