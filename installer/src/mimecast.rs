//! One look at Mimecast before anything is made: are the credentials right, may they read audit
//! events, and how many are there.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use contract::secret::Secret;
use hmac::{Hmac, Mac};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, DATE};
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use sha1::Sha1;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use time::macros::format_description;

use crate::answers::intent::{Account, MimecastApi};
use crate::answers::secret::Secrets;

/// The path of the audit events, the same in both generations (facts 1.3, 2.3).
const AUDIT_PATH: &str = "/api/audit/get-audit-events";
/// No answer to these calls is near this size; a wrong host may send anything.
const ANSWER_LIMIT_BYTES: usize = 1024 * 1024;
const TIMEOUT: Duration = Duration::from_secs(30);
/// Clocks further apart than this are worth a word: Mimecast signs with the time, and windows are
/// cut by it.
const SKEW_LIMIT_SECS: i64 = 300;

/// What Mimecast said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MimecastFacts {
    /// Events of the last 24 hours, where the answer counts them.
    pub events_a_day: Option<u64>,
    /// Events that the first run would read, where they were counted.
    pub events_first_run: Option<u64>,
    /// One of the newest events, where there is one.
    pub newest: Option<Newest>,
    /// By how much our clock is ahead of Mimecast's, where that is more than five minutes.
    pub skew_secs: Option<i64>,
}

/// An event, by what tells it from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newest {
    /// Who did it.
    pub user: String,
    /// What was done.
    pub audit_type: String,
    /// The same in words.
    pub event_info: String,
}

/// Why a look was not possible or not good.
#[derive(Debug, thiserror::Error)]
pub enum MimecastError {
    /// A credential is kept where we cannot read it.
    #[error("`{key}` is in a vault that was not read")]
    Unread {
        /// Key of the answers.
        key: String,
    },
    /// The host was not reached.
    #[error("no answer from the Mimecast host `{host}`")]
    Send {
        /// The host.
        host: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The credentials are wrong.
    #[error("Mimecast refused the credentials (HTTP {status}{})", in_brackets(.code))]
    Credentials {
        /// HTTP status.
        status: u16,
        /// Mimecast's code.
        code: String,
    },
    /// The credentials are right and may not do this.
    #[error("Mimecast does not let these credentials read audit events (HTTP {status}{})", in_brackets(.code))]
    Forbidden {
        /// HTTP status.
        status: u16,
        /// Mimecast's code.
        code: String,
    },
    /// The application of API 2.0 was made without the product of audit events.
    #[error("the Mimecast application has no product that reads audit events (HTTP {status}{})", in_brackets(.code))]
    Product {
        /// HTTP status.
        status: u16,
        /// Mimecast's code.
        code: String,
    },
    /// The account lives in another region than the host.
    #[error("the Mimecast account is not in the region of `{host}`")]
    Region {
        /// The host.
        host: String,
    },
    /// The binding of API 1.0 has ended.
    #[error("the Mimecast access key has expired (HTTP 418)")]
    Expired,
    /// Another answer than the documented ones.
    #[error("Mimecast answered with HTTP {status}{}", in_brackets(.code))]
    Answer {
        /// HTTP status.
        status: u16,
        /// Mimecast's code.
        code: String,
    },
    /// A signed call was refused, and this machine's clock is far from Mimecast's.
    #[error(
        "Mimecast refused the signature, and this machine's clock is {} seconds {} Mimecast's",
        .skew_secs.abs(),
        if *.skew_secs > 0 { "ahead of" } else { "behind" }
    )]
    Clock {
        /// By how much our clock is ahead.
        skew_secs: i64,
    },
    /// The secret key of API 1.0 is not base64.
    #[error("`{key}` is not base64, as Mimecast shows it")]
    SecretKey {
        /// Key of the answers.
        key: String,
    },
}

fn in_brackets(code: &str) -> String {
    if code.is_empty() { String::new() } else { format!(", {code}") }
}

impl MimecastError {
    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Unread { .. } => {
                "it is tried by the worker's first run; `mimecast-sentinel doctor` shows then whether the reference was resolved"
            }
            Self::Send { .. } => "check `mimecast.base_url`, the proxy and the firewall",
            Self::Credentials { .. } => {
                "check the client id and the client secret's value (not its id), that they belong to this base_url's region, and this machine's clock; a new application needs up to 30 minutes"
            }
            Self::Forbidden { .. } => {
                "give the role of the Mimecast application (API 2.0) or of the service user (API 1.0) the right Account | Logs | Read"
            }
            Self::Product { .. } => {
                "the Mimecast application needs the product Audit Events; products cannot be added to an application later, so make a new one with it"
            }
            Self::Region { .. } => {
                "set `mimecast.base_url` to the host of the account's own region (API 1.0: eu-api, de-api, us-api, ca-api, za-api, au-api or je-api, each .mimecast.com)"
            }
            Self::Expired => "bind the service user again and use the new access key and secret key",
            Self::Answer { .. } => "try again in some minutes; if it stays, check `mimecast.base_url`",
            Self::Clock { .. } => {
                "set the clock (`timedatectl set-ntp true`; under WSL `sudo hwclock -s`): a signed call is good for some minutes around its time"
            }
            Self::SecretKey { .. } => "copy the secret key again, whole",
        }
    }
}

/// Gets a token where the generation has one, and asks for one event of the last day and for the count
/// of as long as the first run reaches back.
///
/// # Errors
/// [`MimecastError`]. Nothing that Mimecast sent is in it but codes: its refusals repeat the
/// credentials.
pub async fn look(
    http: &Client,
    account: &Account,
    secrets: &Secrets,
    now: OffsetDateTime,
    first_run_secs: u64,
) -> Result<MimecastFacts, MimecastError> {
    let secret = |word: &str| {
        let key = format!("{}.{word}", account.path);
        secrets.value(&key).cloned().ok_or(MimecastError::Unread { key })
    };
    let access = match account.api {
        MimecastApi::Two => {
            Access::Token(token(http, account, &secret("client_id")?, &secret("client_secret")?).await?)
        }
        MimecastApi::One => Access::Keys(Keys {
            app_id: secret("app_id")?,
            app_key: secret("app_key")?,
            access_key: secret("access_key")?,
            secret_key: secret("secret_key")?,
        }),
    };
    let (skew_secs, answer) = ask(http, account, &access, now, time::Duration::DAY).await?;
    let count = |answer: &Value| answer["meta"]["pagination"]["totalCount"].as_u64();
    let reach = time::Duration::seconds(i64::try_from(first_run_secs).unwrap_or(i64::MAX));
    // A count that is only for the forecast: without it the forecast is made from the day's.
    let events_first_run = match ask(http, account, &access, now, reach).await {
        Ok((_, answer)) => count(&answer),
        Err(_) => None,
    };
    Ok(MimecastFacts { events_a_day: count(&answer), events_first_run, newest: newest(&answer), skew_secs })
}

/// Asks for one event of as long back as `reach`; gives the clock's difference and the answer.
async fn ask(
    http: &Client,
    account: &Account,
    access: &Access,
    now: OffsetDateTime,
    reach: time::Duration,
) -> Result<(Option<i64>, Value), MimecastError> {
    let day = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]+0000");
    let text = |time: OffsetDateTime| time.format(&day).unwrap_or_default();
    let body = json!({
        "meta": { "pagination": { "pageSize": 1 } },
        "data": [{ "startDateTime": text(now - reach), "endDateTime": text(now) }],
    });
    let url = format!("{}{AUDIT_PATH}", account.base_url);
    let request = http.post(url).header(CONTENT_TYPE, "application/json").body(body.to_string());
    let request = match access {
        Access::Token(token) => request.bearer_auth(token.expose()),
        Access::Keys(keys) => sign(request, keys, &format!("{}.secret_key", account.path), now)?,
    };
    let (status, skew_secs, answer) = send(request, account, now).await?;
    refused(status, &answer).map_err(|error| match error {
        MimecastError::Region { .. } => MimecastError::Region { host: host(account) },
        // Mimecast names no reason for a bad signature; such a clock is one.
        MimecastError::Credentials { status, code } => match (access, skew_secs) {
            (Access::Keys(_), Some(skew_secs)) => MimecastError::Clock { skew_secs },
            _ => MimecastError::Credentials { status, code },
        },
        other => other,
    })?;
    Ok((skew_secs, answer))
}

/// What tells the event of an answer from others.
fn newest(answer: &Value) -> Option<Newest> {
    let event = answer["data"].as_array()?.first()?;
    let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
    Some(Newest { user: text("user"), audit_type: text("auditType"), event_info: text("eventInfo") })
        .filter(|event| !event.event_info.is_empty())
}

fn host(account: &Account) -> String {
    account.base_url.trim_start_matches("https://").to_owned()
}

/// What a call is let in by.
enum Access {
    /// API 2.0.
    Token(Secret<String>),
    /// API 1.0.
    Keys(Keys),
}

struct Keys {
    app_id: Secret<String>,
    app_key: Secret<String>,
    access_key: Secret<String>,
    secret_key: Secret<String>,
}

async fn token(
    http: &Client,
    account: &Account,
    client_id: &Secret<String>,
    client_secret: &Secret<String>,
) -> Result<Secret<String>, MimecastError> {
    let form = [
        ("client_id", client_id.expose().as_str()),
        ("client_secret", client_secret.expose().as_str()),
        ("grant_type", "client_credentials"),
    ];
    let request = http.post(format!("{}/oauth/token", account.base_url)).form(&form);
    let (status, _, answer) = send(request, account, OffsetDateTime::UNIX_EPOCH).await?;
    match answer["access_token"].as_str() {
        Some(token) if status.is_success() => Ok(Secret::new(token.to_owned())),
        // Only the short codes: the description repeats what was sent (facts 2.2).
        _ if matches!(status.as_u16(), 400 | 401 | 403) => {
            Err(MimecastError::Credentials { status: status.as_u16(), code: fail_code(&answer) })
        }
        _ => Err(MimecastError::Answer { status: status.as_u16(), code: fail_code(&answer) }),
    }
}

/// Signs a call of API 1.0 (facts 1.2).
fn sign(
    request: RequestBuilder,
    keys: &Keys,
    secret_key_name: &str,
    now: OffsetDateTime,
) -> Result<RequestBuilder, MimecastError> {
    let date_format = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] UTC"
    );
    let date = now.format(&date_format).unwrap_or_default();
    let request_id = uuid::Uuid::new_v4().to_string();
    let unreadable = || MimecastError::SecretKey { key: secret_key_name.to_owned() };
    let key = STANDARD.decode(keys.secret_key.expose()).map_err(|_| unreadable())?;
    let signature =
        signature(&key, &date, &request_id, AUDIT_PATH, keys.app_key.expose()).ok_or_else(unreadable)?;
    Ok(request
        .header("x-mc-app-id", keys.app_id.expose())
        .header("x-mc-req-id", request_id)
        .header("x-mc-date", date)
        .header(AUTHORIZATION, format!("MC {}:{signature}", keys.access_key.expose())))
}

fn signature(key: &[u8], date: &str, request_id: &str, path: &str, app_key: &str) -> Option<String> {
    let mut mac = Hmac::<Sha1>::new_from_slice(key).ok()?;
    mac.update(format!("{date}:{request_id}:{path}:{app_key}").as_bytes());
    Some(STANDARD.encode(mac.finalize().into_bytes()))
}

/// Sends a call; gives status, clock difference and what JSON there is.
async fn send(
    request: RequestBuilder,
    account: &Account,
    now: OffsetDateTime,
) -> Result<(StatusCode, Option<i64>, Value), MimecastError> {
    let failed =
        |source: reqwest::Error| MimecastError::Send { host: host(account), source: source.without_url() };
    let mut response = request.timeout(TIMEOUT).send().await.map_err(failed)?;
    let status = response.status();
    let skew_secs = response
        .headers()
        .get(DATE)
        .and_then(|date| date.to_str().ok())
        .and_then(|date| OffsetDateTime::parse(&date.replace("GMT", "+0000"), &Rfc2822).ok())
        .map(|theirs| (now - theirs).whole_seconds())
        .filter(|skew| skew.abs() > SKEW_LIMIT_SECS);
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_LIMIT_BYTES {
            break;
        }
    }
    Ok((status, skew_secs, serde_json::from_slice(&body).unwrap_or(Value::Null)))
}

/// The first code in a `fail` list or an OAuth error. Codes are words of Mimecast's own; anything
/// longer might repeat what was sent.
fn fail_code(answer: &Value) -> String {
    let first = &answer["fail"][0];
    [&first["errors"][0]["code"], &first["code"], &answer["error"]]
        .into_iter()
        .filter_map(Value::as_str)
        .find(|code| {
            code.len() <= 60 && code.chars().all(|each| each.is_ascii_alphanumeric() || "_- ".contains(each))
        })
        .unwrap_or_default()
        .to_owned()
}

/// HTTP 200 does not mean success: `fail` and `meta.status` count (facts 1.7, 1.8).
fn refused(status: StatusCode, answer: &Value) -> Result<(), MimecastError> {
    let code = fail_code(answer);
    let failed = answer["fail"].as_array().is_some_and(|fail| !fail.is_empty());
    let status = match answer["meta"]["status"].as_u64().and_then(|status| u16::try_from(status).ok()) {
        Some(inner) if status.is_success() && inner != 200 => inner,
        _ => status.as_u16(),
    };
    let forbidden = status == 403 || code.contains("forbidden") || code.contains("unauthorized");
    match status {
        418 => Err(MimecastError::Expired),
        _ if code == "err_audit_log_incorrect_region" => Err(MimecastError::Region { host: String::new() }),
        _ if code == "app_forbidden" => Err(MimecastError::Product { status, code }),
        401 => Err(MimecastError::Credentials { status, code }),
        _ if forbidden => Err(MimecastError::Forbidden { status, code }),
        200..300 if !failed => Ok(()),
        _ => Err(MimecastError::Answer { status, code }),
    }
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;
    use serde_json::json;

    use super::{MimecastError, fail_code, refused, signature};

    #[test]
    fn the_published_vector_is_reproduced() {
        // Facts 1.2: recomputed from a public client.
        let text = signature(
            b"SecretKey",
            "Sun, 21 Aug 2022 13:49:40 UTC",
            "3d796b76-4180-40e5-8f7c-6e0fd643b1a9",
            "/api/test/some-url",
            "ApplicationKey",
        );
        assert_eq!(text.as_deref(), Some("WOywLsnZlsE+D6bp/ug6uch5kxc="));
    }

    #[test]
    fn http_200_with_a_fail_is_no_success() {
        // BR-014
        let fail = json!({ "meta": { "status": 200 }, "data": [], "fail": [{ "errors": [{ "code": "err_xdk_operation_forbidden_for_address" }] }] });
        assert!(matches!(refused(StatusCode::OK, &fail), Err(MimecastError::Forbidden { .. })));
        let fail = json!({ "meta": { "status": 403 }, "data": [], "fail": [] });
        assert!(matches!(refused(StatusCode::OK, &fail), Err(MimecastError::Forbidden { .. })));
        assert!(
            refused(StatusCode::OK, &json!({ "meta": { "status": 200 }, "data": [], "fail": [] })).is_ok()
        );
        assert!(matches!(refused(StatusCode::IM_A_TEAPOT, &json!(null)), Err(MimecastError::Expired)));
    }

    #[test]
    fn a_refusal_that_repeats_the_credentials_is_not_shown() {
        // Facts 2.2
        let answer = json!({ "error": "invalid client_secret=canary-value!", "fail": [] });
        assert_eq!(fail_code(&answer), "");
        assert_eq!(fail_code(&json!({ "error": "invalid_client" })), "invalid_client");
    }
}
