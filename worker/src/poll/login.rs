//! What the login of an API 1.0 service user can mend: an expired binding, and the wrong region.
//!
//! Only where e-mail address and password are given, and bounded: the number of bindings is limited,
//! so the same one is renewed, at most once in [`RENEWAL_PAUSE`].

use std::sync::PoisonError;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use contract::cloud::is_mimecast;
use contract::secret::Secret;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde_json::json;
use url::Url;

use super::client::{Access, Mimecast, read_answer, transport};
use super::error::{Attempted, PollError, PollErrorKind};
use super::sign::{self, Keys};
use crate::world::Deadline;

/// Route of the login.
const LOGIN_PATH: &str = "/api/login/login";
/// Route of the discovery of an address's region.
const DISCOVER_PATH: &str = "/api/login/discover-authentication";
/// The host that serves the discovery for all regions.
const DISCOVERY_URL: &str = "https://api.mimecast.com/";

/// The least time between two renewals: a binding that expires again sooner is not mended by them.
const RENEWAL_PAUSE: Duration = Duration::from_secs(15 * 60);

/// A service user of API 1.0.
#[derive(Debug, Clone)]
pub struct Login {
    /// Its address.
    pub email: Secret<String>,
    /// Its password in Mimecast's cloud.
    pub password: Secret<String>,
}

impl Mimecast {
    /// Mends what stood in the way of a call, where the login can: `true`, the call can be made again.
    ///
    /// # Errors
    /// When the mending itself fails; that is then the cause to show.
    pub(super) async fn mend(&self, error: &PollError, _deadline: Deadline) -> Result<bool, PollError> {
        let Access::Signed { keys, login: Some(login), renewed_at } = &self.access else { return Ok(false) };
        match error.kind {
            PollErrorKind::BindingExpired => {
                let mut renewed_at = renewed_at.lock().await;
                let now = self.world.elapsed();
                if renewed_at.is_some_and(|at| now < at + RENEWAL_PAUSE) {
                    return Ok(false);
                }
                // Noted before the attempt: one that fails is not repeated at once either.
                *renewed_at = Some(now);
                let current = keys.lock().unwrap_or_else(PoisonError::into_inner).clone();
                if let Some(renewed) = self.renew_binding(&current, login).await? {
                    *keys.lock().unwrap_or_else(PoisonError::into_inner) = renewed;
                }
                Ok(true)
            }
            PollErrorKind::WrongRegion => {
                let keys = keys.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let Some(url) = self.discover(&keys, login).await? else { return Ok(false) };
                let mut base_url = self.base_url.lock().unwrap_or_else(PoisonError::into_inner);
                let moved = *base_url != url;
                *base_url = url;
                Ok(moved)
            }
            _ => Ok(false),
        }
    }

    /// Renews the binding by the same call that made it. Gives the new keys where the answer holds
    /// others than ours; mostly the old ones live on.
    async fn renew_binding(&self, keys: &Keys, login: &Login) -> Result<Option<Keys>, PollError> {
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Binding {
            access_key: Option<String>,
            secret_key: Option<String>,
        }
        let attempted = Attempted::RenewBinding;
        let mut headers = self.unsigned(attempted, keys)?;
        let basic = STANDARD.encode(format!("{}:{}", login.email.expose(), login.password.expose()));
        let basic = HeaderValue::try_from(format!("Basic-Cloud {basic}"))
            .map_err(|_| PollError::new(attempted, PollErrorKind::CredentialsRefused))?;
        headers.insert(AUTHORIZATION, basic);
        let body = json!({"data": [{
            "userName": login.email.expose(),
            "accessKey": keys.access_key.expose(),
        }]});
        let binding: Binding = self.post(attempted, &self.base_url(), LOGIN_PATH, headers, body).await?;
        Ok(match (binding.access_key, binding.secret_key) {
            (Some(access_key), Some(secret_key)) => Some(Keys {
                access_key: Secret::new(access_key),
                secret_key: Secret::new(secret_key),
                ..keys.clone()
            }),
            _ => None,
        })
    }

    /// The API host of the region in which the user's account lives. `None` for an unknown address,
    /// and for a host that is not Mimecast's.
    async fn discover(&self, keys: &Keys, login: &Login) -> Result<Option<Url>, PollError> {
        #[derive(serde::Deserialize)]
        struct Discovered {
            region: Option<Region>,
        }
        #[derive(serde::Deserialize)]
        struct Region {
            api: Option<String>,
        }
        let attempted = Attempted::DiscoverRegion;
        let current = self.base_url();
        // Elsewhere than at Mimecast (a custom cloud) one host serves all routes.
        let asked = match Url::parse(DISCOVERY_URL) {
            Ok(url) if is_mimecast(&current) => url,
            _ => current.clone(),
        };
        let body = json!({"data": [{ "emailAddress": login.email.expose() }]});
        let headers = self.unsigned(attempted, keys)?;
        let found: Discovered = self.post(attempted, &asked, DISCOVER_PATH, headers, body).await?;
        let url = found.region.and_then(|region| Url::parse(&region.api?).ok());
        Ok(url.filter(|url| leads_on(&current, url)))
    }

    /// The headers of the two routes that are not signed.
    fn unsigned(&self, attempted: Attempted, keys: &Keys) -> Result<HeaderMap, PollError> {
        let header = |text: &str| {
            HeaderValue::try_from(text)
                .map_err(|_| PollError::new(attempted, PollErrorKind::CredentialsRefused))
        };
        let mut headers = HeaderMap::new();
        headers.insert("x-mc-app-id", header(keys.app_id.expose())?);
        headers.insert("x-mc-date", header(&sign::date(self.world.now()))?);
        headers.insert("x-mc-req-id", header(&self.world.identity().to_string())?);
        Ok(headers)
    }

    /// One call of such a route. What Mimecast says of it is not repeated: it can hold what was sent.
    async fn post<T: serde::de::DeserializeOwned>(
        &self,
        attempted: Attempted,
        base_url: &Url,
        path: &str,
        headers: HeaderMap,
        body: serde_json::Value,
    ) -> Result<T, PollError> {
        let silent = |error: PollError| PollError { code: None, message: None, ..error };
        let error = |kind| PollError::new(attempted, kind);
        let url = base_url.join(path).map_err(|_| error(PollErrorKind::WrongHost))?;
        let sent = self.http.post(url).headers(headers).json(&body).send().await;
        let response = sent.map_err(|cause| transport(attempted, cause))?;
        let request_id = super::client::request_id(response.headers());
        let status = response.status().as_u16();
        if status != 200 {
            let kind = match status {
                401 | 403 | 418 | 400 => PollErrorKind::CredentialsRefused,
                429 => {
                    let wait = super::quota::throttled_wait(response.headers(), self.world.now());
                    PollErrorKind::Throttled(wait)
                }
                500..=599 => PollErrorKind::ServerFault,
                _ => PollErrorKind::WrongHost,
            };
            return Err(PollError { status: Some(status), request_id, ..error(kind) });
        }
        let answer = read_answer(attempted, response, request_id, &self.world).await.map_err(silent)?;
        answer.first().ok_or_else(|| error(PollErrorKind::Unreadable))
    }
}

/// Whether the calls of an account may go from its present host to this one. Elsewhere than at Mimecast (a
/// custom cloud) the host stays the same.
fn leads_on(current: &Url, found: &Url) -> bool {
    let same = || (found.scheme(), found.host_str()) == (current.scheme(), current.host_str());
    if is_mimecast(current) { is_mimecast(found) } else { same() }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::leads_on;

    #[test]
    fn a_discovered_host_must_be_mimecasts() {
        let leads = |from: &str, to: &str| {
            leads_on(&Url::parse(from).expect("a URL"), &Url::parse(to).expect("a URL"))
        };
        let here = "https://eu-api.mimecast.com/";
        assert!(leads(here, "https://us-api.mimecast.com"));
        for elsewhere in [
            "https://us-api.mimecast.com.example.com",
            "https://us-api.mimecast.com:8443",
            "https://us-api.mimecast.com@example.com",
            "https://person@us-api.mimecast.com",
            "http://us-api.mimecast.com",
            "https://notmimecast.com",
            "https://127.0.0.1",
            "file:///us-api.mimecast.com",
        ] {
            assert!(!leads(here, elsewhere), "{elsewhere}");
        }
        assert!(leads("https://127.0.0.1:1/", "https://127.0.0.1:2/"));
        assert!(!leads("https://127.0.0.1:1/", "http://127.0.0.1:1/"));
        assert!(!leads("https://127.0.0.1:1/", "https://us-api.mimecast.com"));
    }
}
