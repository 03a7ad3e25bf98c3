//! The signature of API 1.0: HMAC-SHA1 over date, request id, path and application key.
//!
//! Source: Mimecast's page on authorization; vectors in `tests/data/mimecast/reference`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use contract::secret::Secret;
use hmac::{Hmac, Mac};
use sha1::Sha1;
use time::OffsetDateTime;
use time::macros::format_description;

/// The four keys of API 1.0.
#[derive(Debug, Clone)]
pub struct Keys {
    /// The application's id.
    pub app_id: Secret<String>,
    /// The application's key.
    pub app_key: Secret<String>,
    /// The access key of the binding.
    pub access_key: Secret<String>,
    /// The secret key of the binding, base64.
    pub secret_key: Secret<String>,
}

/// The value of `x-mc-date`. It is signed, so the header must be byte-equal to it.
pub(super) fn date(now: OffsetDateTime) -> String {
    let format = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] UTC"
    );
    // Formatting a whole date into a text cannot fail; an empty date would only be refused.
    now.to_offset(time::UtcOffset::UTC).format(&format).unwrap_or_default()
}

/// The value of `Authorization` for one call of `path`. `None` where the secret key is no base64.
pub(super) fn authorization(keys: &Keys, date: &str, request_id: &str, path: &str) -> Option<Secret<String>> {
    let key = STANDARD.decode(keys.secret_key.expose().trim()).ok()?;
    let mut mac = Hmac::<Sha1>::new_from_slice(&key).ok()?;
    mac.update(format!("{date}:{request_id}:{path}:{}", keys.app_key.expose()).as_bytes());
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    Some(Secret::new(format!("MC {}:{signature}", keys.access_key.expose())))
}

#[cfg(test)]
mod tests {
    use contract::secret::Secret;
    use time::macros::datetime;

    use super::{Keys, authorization, date};

    #[test]
    fn every_vector_is_signed_as_given() {
        let vectors: Vec<serde_json::Value> =
            serde_json::from_str(include_str!("../../tests/data/mimecast/reference/signing-vectors.json"))
                .expect("a list");
        assert_eq!(vectors.len(), 4);
        for vector in vectors {
            let text = |name: &str| vector[name].as_str().expect("a text").to_owned();
            let keys = Keys {
                app_id: Secret::new("unsigned".to_owned()),
                app_key: Secret::new(text("applicationKey")),
                access_key: Secret::new(text("accessKey")),
                secret_key: Secret::new(text("secretKey")),
            };
            let signed = authorization(&keys, &text("x-mc-date"), &text("x-mc-req-id"), &text("uri"));
            assert_eq!(signed.expect("a signature").expose(), &text("authorization"));
        }
    }

    #[test]
    fn the_date_is_english_and_utc() {
        assert_eq!(date(datetime!(2015-11-24 12:50:11 UTC)), "Tue, 24 Nov 2015 12:50:11 UTC");
        assert_eq!(date(datetime!(2026-01-01 02:00:00 +02:00)), "Thu, 01 Jan 2026 00:00:00 UTC");
    }
}
