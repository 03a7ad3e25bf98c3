//! What blobs and queues have in common: the shape of a call, of an answer and of an error.
//!
//! One listener stands for every storage account, with the account as the first part of the path,
//! as in Azurite. Errors are the XML and the `x-ms-error-code` header of
//! <https://learn.microsoft.com/rest/api/storageservices/status-and-error-codes2>.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use quick_xml::Reader;
use quick_xml::escape::{escape, resolve_predefined_entity};
use quick_xml::events::Event;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

/// The first service version that takes Microsoft Entra tokens
/// (<https://learn.microsoft.com/rest/api/storageservices/authorize-with-azure-active-directory>).
const FIRST_TOKEN_VERSION: &str = "2017-11-09";

const RFC_1123: &[BorrowedFormatItem<'_>] =
    format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");

/// A time as HTTP and the storage services write it.
pub(crate) fn http_date(at: OffsetDateTime) -> String {
    // The format asks for nothing that a date lacks, so this cannot fail; the fallback is a valid date.
    at.to_offset(time::UtcOffset::UTC)
        .format(RFC_1123)
        .unwrap_or_else(|_| "Thu, 01 Jan 1970 00:00:00 GMT".to_owned())
}

/// Reads a time as HTTP writes it.
pub(crate) fn parse_http_date(text: &str) -> Option<OffsetDateTime> {
    time::PrimitiveDateTime::parse(text, RFC_1123).ok().map(time::PrimitiveDateTime::assume_utc)
}

/// Why a storage call is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code} ({status}): {message}")]
pub(crate) struct StorageError {
    pub(crate) status: u16,
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl StorageError {
    pub(crate) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// A call that Azure has and the stand-in has not: named, so that nothing passes unnoticed.
    pub(crate) fn not_in_stand_in(call: &Call) -> Self {
        let operation = format!("{} {}", call.method, call.uri);
        Self::new(501, "NotImplemented", format!("the stand-in does not know `{operation}`"))
    }

    pub(crate) fn invalid_header(name: &str) -> Self {
        Self::new(
            400,
            "InvalidHeaderValue",
            format!("The value for one of the HTTP headers is not in the correct format: {name}."),
        )
    }

    pub(crate) fn missing_header(name: &str) -> Self {
        Self::new(
            400,
            "MissingRequiredHeader",
            format!("An HTTP header that's mandatory for this request is not specified: {name}."),
        )
    }

    pub(crate) fn invalid_query(name: &str) -> Self {
        Self::new(
            400,
            "InvalidQueryParameterValue",
            format!("Value for one of the query parameters specified in the request URI is invalid: {name}."),
        )
    }

    pub(crate) fn missing_query(name: &str) -> Self {
        Self::new(
            400,
            "MissingRequiredQueryParameter",
            format!("A query parameter that's mandatory for this request is not specified: {name}."),
        )
    }

    pub(crate) fn out_of_range_query(name: &str) -> Self {
        Self::new(
            400,
            "OutOfRangeQueryParameterValue",
            format!("One of the query parameters is outside the permissible range: {name}."),
        )
    }

    pub(crate) fn invalid_name(name: &str) -> Self {
        Self::new(400, "InvalidResourceName", format!("The specified resource name `{name}` is not valid."))
    }

    pub(crate) fn invalid_xml() -> Self {
        Self::new(400, "InvalidXmlDocument", "XML specified is not syntactically valid.")
    }
}

/// One call on a storage service.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The parts of the path, decoded: account, container or queue, and the rest as one text.
    pub(crate) account: String,
    pub(crate) parent: Option<String>,
    pub(crate) child: Option<String>,
    query: Vec<(String, String)>,
}

impl Call {
    /// Takes the path apart.
    pub(crate) fn read(method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Self {
        let decode = |text: &str| {
            // `form_urlencoded` reads `+` as a blank, which a path does not.
            let escaped = text.replace('+', "%2B");
            url::form_urlencoded::parse(escaped.as_bytes()).next().map(|(key, value)| {
                if value.is_empty() { key.into_owned() } else { format!("{key}={value}") }
            })
        };
        let mut parts = uri.path().trim_start_matches('/').splitn(3, '/');
        let mut next = || parts.next().filter(|part| !part.is_empty()).and_then(decode);
        let (account, parent, child) = (next().unwrap_or_default(), next(), next());
        let query = uri.query().map_or_else(Vec::new, |query| {
            url::form_urlencoded::parse(query.as_bytes()).into_owned().collect::<Vec<_>>()
        });
        Self { method, uri, headers, body, account, parent, child, query }
    }

    /// The first query parameter of this name, or nothing where it is absent.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A whole number from the query.
    ///
    /// # Errors
    /// Where it is given and is no number.
    pub(crate) fn query_number(&self, name: &str) -> Result<Option<i64>, StorageError> {
        self.query(name).map(str::parse).transpose().map_err(|_| StorageError::invalid_query(name))
    }

    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Refuses a call whose version header is absent or older than tokens are.
    ///
    /// # Errors
    /// `AuthenticationFailed`, as Azure answers.
    pub(crate) fn check_version(&self) -> Result<(), StorageError> {
        match self.header("x-ms-version") {
            // Versions are dates, which sort as text.
            Some(version) if version >= FIRST_TOKEN_VERSION => Ok(()),
            _ => Err(StorageError::new(
                403,
                "AuthenticationFailed",
                format!("A token needs x-ms-version {FIRST_TOKEN_VERSION} or later."),
            )),
        }
    }

    /// `x-ms-meta-*` headers, by lower-case name.
    pub(crate) fn metadata(&self) -> Vec<(String, String)> {
        self.headers
            .iter()
            .filter_map(|(name, value)| {
                let key = name.as_str().strip_prefix("x-ms-meta-")?;
                Some((key.to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            })
            .collect()
    }
}

/// An answer being made.
#[derive(Debug)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Bytes,
}

impl Reply {
    pub(crate) fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn metadata(mut self, metadata: &[(String, String)]) -> Self {
        for (key, value) in metadata {
            self.headers.push((format!("x-ms-meta-{key}"), value.clone()));
        }
        self
    }

    pub(crate) fn body(mut self, body: Bytes) -> Self {
        self.body = body;
        self
    }

    /// An XML document as the body.
    pub(crate) fn xml(self, document: &str) -> Self {
        let document = format!("<?xml version=\"1.0\" encoding=\"utf-8\"?>{document}");
        self.header("content-type", "application/xml").body(Bytes::from(document))
    }
}

/// Sends what a service decided, with the headers that every answer of storage carries.
pub(crate) fn answer(call: &Call, now: OffsetDateTime, result: Result<Reply, StorageError>) -> Response {
    let reply = result.unwrap_or_else(|error| {
        let mut reply = Reply::new(error.status).header("x-ms-error-code", error.code);
        if error.status == 401 {
            reply = reply.header(
                "www-authenticate",
                "Bearer authorization_uri=https://login.microsoftonline.com/common/oauth2/authorize \
                 resource_id=https://storage.azure.com",
            );
        }
        // 304 and the answer to HEAD have no body by HTTP's rules; the code is in the header.
        if error.status == 304 || call.method == Method::HEAD {
            return reply;
        }
        reply.xml(&format!(
            "<Error><Code>{}</Code><Message>{}</Message></Error>",
            error.code,
            escape(&error.message)
        ))
    });
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = if call.method == Method::HEAD { Body::empty() } else { Body::from(reply.body) };
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    let mut put = |name: &str, value: &str| {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            headers.insert(name, value);
        }
    };
    put(header::DATE.as_str(), &http_date(now));
    put("x-ms-request-id", &uuid::Uuid::new_v4().to_string());
    if let Some(version) = call.header("x-ms-version") {
        put("x-ms-version", version);
    }
    if let Some(id) = call.header("x-ms-client-request-id") {
        put("x-ms-client-request-id", id);
    }
    for (name, value) in &reply.headers {
        put(name, value);
    }
    response
}

/// The elements of an XML document that hold no others, with their texts, in order.
///
/// # Errors
/// `InvalidXmlDocument` where it is no XML or its root has another name.
pub(crate) fn leaves(document: &[u8], root: &str) -> Result<Vec<(String, String)>, StorageError> {
    let invalid = |_| StorageError::invalid_xml();
    let document = std::str::from_utf8(document).map_err(|_| StorageError::invalid_xml())?;
    let mut reader = Reader::from_str(document.trim_start_matches('\u{feff}'));
    // Each open element: its name, its text so far, and whether it holds others.
    let mut open: Vec<(String, String, bool)> = Vec::new();
    let mut found = Vec::new();
    let mut seen_root = false;
    loop {
        let event = reader.read_event().map_err(invalid)?;
        let piece = match event {
            Event::Start(element) | Event::Empty(element) if open.is_empty() => {
                seen_root |= element.name().as_ref() == root.as_bytes();
                if !seen_root {
                    return Err(StorageError::invalid_xml());
                }
                open.push((root.to_owned(), String::new(), true));
                continue;
            }
            Event::Start(element) => {
                let name = String::from_utf8_lossy(element.name().as_ref()).into_owned();
                if let Some((_, _, holds)) = open.last_mut() {
                    *holds = true;
                }
                open.push((name, String::new(), false));
                continue;
            }
            Event::Empty(element) => {
                found.push((String::from_utf8_lossy(element.name().as_ref()).into_owned(), String::new()));
                if let Some((_, _, holds)) = open.last_mut() {
                    *holds = true;
                }
                continue;
            }
            Event::End(_) => {
                if let Some((name, text, false)) = open.pop() {
                    found.push((name, text));
                }
                continue;
            }
            Event::Text(text) => text.decode().map_err(|_| StorageError::invalid_xml())?.into_owned(),
            Event::CData(text) => text.decode().map_err(|_| StorageError::invalid_xml())?.into_owned(),
            Event::GeneralRef(reference) => match reference.resolve_char_ref().map_err(invalid)? {
                Some(character) => character.to_string(),
                None => {
                    let name = reference.decode().map_err(|_| StorageError::invalid_xml())?;
                    resolve_predefined_entity(&name).ok_or_else(StorageError::invalid_xml)?.to_owned()
                }
            },
            Event::Eof if seen_root => return Ok(found),
            Event::Eof => return Err(StorageError::invalid_xml()),
            _ => continue,
        };
        if let Some((_, text, _)) = open.last_mut() {
            text.push_str(&piece);
        }
    }
}

/// Whether a name keeps the rule that containers and queues share: 3 to 63 lower-case letters,
/// digits and hyphens, beginning and ending with a letter or digit, no two hyphens together
/// (<https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata>).
pub(crate) fn valid_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (3..=63).contains(&name.len())
        && name.bytes().all(allowed)
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.contains("--")
}

#[cfg(test)]
mod tests {
    use super::{Call, http_date, leaves, parse_http_date, valid_name};
    use axum::http::{HeaderMap, Method};
    use bytes::Bytes;
    use time::macros::datetime;

    #[test]
    fn dates_are_written_as_http_has_them_and_read_back() {
        let at = datetime!(2026-11-05 03:04:09 UTC);
        assert_eq!(http_date(at), "Thu, 05 Nov 2026 03:04:09 GMT");
        assert_eq!(parse_http_date("Thu, 05 Nov 2026 03:04:09 GMT"), Some(at));
        assert_eq!(parse_http_date("yesterday"), None);
    }

    #[test]
    fn a_blob_name_keeps_its_slashes_and_signs() {
        let uri = "/account/container/a%20b/c+d%3De.txt?comp=lease".parse().unwrap();
        let call = Call::read(Method::PUT, uri, HeaderMap::new(), Bytes::new());
        assert_eq!(call.account, "account");
        assert_eq!(call.parent.as_deref(), Some("container"));
        assert_eq!(call.child.as_deref(), Some("a b/c+d=e.txt"));
        assert_eq!(call.query("comp"), Some("lease"));
    }

    #[test]
    fn leaves_keep_their_order_and_are_unescaped_once() {
        let document =
            "<?xml version=\"1.0\"?>\n<A><B>\n<C>x &amp;amp; &#233;</C><D/></B><C><![CDATA[<]]></C></A>";
        let pair = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        let expected = vec![pair("C", "x &amp; é"), pair("D", ""), pair("C", "<")];
        assert_eq!(leaves(document.as_bytes(), "A"), Ok(expected));
        assert_eq!(leaves(b"<A/>", "A"), Ok(Vec::new()));
        for bad in ["", "<B/>", "<A><B></A>", "text"] {
            assert!(leaves(bad.as_bytes(), "A").is_err(), "{bad}");
        }
    }

    #[test]
    fn names_follow_the_shared_rule() {
        for good in ["abc", "audit-checkpoints", "0a9"] {
            assert!(valid_name(good), "{good}");
        }
        for bad in ["ab", "Upper", "-abc", "abc-", "a--b", "a_b", &"a".repeat(64)] {
            assert!(!valid_name(bad), "{bad}");
        }
    }
}
