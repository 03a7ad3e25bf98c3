//! The one HTTP client of the crate.

use std::time::Duration;

pub use reqwest::{Client, Error};

/// Longest wait for a connection. Azure's own clients use the same.
const CONNECT_SECS: u64 = 20;
/// Longest silence within an answer. Azure's own clients use the same; Mimecast cuts its gateway off
/// at about a minute.
const SILENCE_SECS: u64 = 60;

/// Makes the client: TLS by rustls with the machine's certificates (or those of `SSL_CERT_FILE`),
/// gzip, and no redirects, because a redirect could carry credentials to another host.
///
/// # Errors
/// When the machine's certificates cannot be read.
pub fn client() -> Result<Client, Error> {
    Client::builder()
        .user_agent(concat!("mimecast-sentinel-worker/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(CONNECT_SECS))
        .read_timeout(Duration::from_secs(SILENCE_SECS))
        .gzip(true)
        .build()
}
