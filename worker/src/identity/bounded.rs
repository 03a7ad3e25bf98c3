//! An HTTP client for Azure's crates that reads no endless answer: they collect what comes, whatever its length,
//! and unpack it before.

use std::fmt;
use std::sync::Arc;

use azure_core::error::ErrorKind;
use azure_core::http::{AsyncRawResponse, HttpClient, Request};
use futures::StreamExt;

/// A client whose answers end with an error behind so many bytes.
pub(super) struct Bounded {
    http: Arc<dyn HttpClient>,
    limit_bytes: usize,
}

impl Bounded {
    /// The client over this one.
    pub(super) fn over(http: Arc<dyn HttpClient>, limit_bytes: usize) -> Arc<dyn HttpClient> {
        Arc::new(Self { http, limit_bytes })
    }
}

impl fmt::Debug for Bounded {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Bounded").field("limit_bytes", &self.limit_bytes).finish_non_exhaustive()
    }
}

#[async_trait::async_trait]
impl HttpClient for Bounded {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let (status, headers, body) = self.http.execute_request(request).await?.deconstruct();
        let limit_bytes = self.limit_bytes;
        let mut left = limit_bytes;
        let bounded = body.map(move |chunk| {
            let chunk = chunk?;
            left = left.checked_sub(chunk.len()).ok_or_else(|| {
                // Not worth another attempt, unlike a connection that broke.
                let message = format!("the answer has more than {limit_bytes} bytes");
                azure_core::Error::with_message(ErrorKind::DataConversion, message)
            })?;
            Ok(chunk)
        });
        Ok(AsyncRawResponse::new(status, headers, Box::pin(bounded)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use azure_core::http::headers::Headers;
    use azure_core::http::{AsyncRawResponse, HttpClient, Method, Request, StatusCode};
    use bytes::Bytes;
    use futures::stream;
    use url::Url;

    use super::Bounded;

    /// Answers in two pieces of three bytes.
    #[derive(Debug)]
    struct Pieces;

    #[async_trait::async_trait]
    impl HttpClient for Pieces {
        async fn execute_request(&self, _: &Request) -> azure_core::Result<AsyncRawResponse> {
            let pieces = stream::iter([Ok(Bytes::from_static(b"abc")), Ok(Bytes::from_static(b"def"))]);
            Ok(AsyncRawResponse::new(StatusCode::Ok, Headers::new(), Box::pin(pieces)))
        }
    }

    #[tokio::test]
    async fn an_answer_of_any_client_is_cut_off_behind_its_limit() {
        let request = Request::new(Url::parse("https://example.com/").unwrap(), Method::Get);
        let read = async |limit_bytes: usize| {
            let answer = Bounded::over(Arc::new(Pieces), limit_bytes).execute_request(&request).await?;
            answer.into_body().collect().await
        };
        assert_eq!(read(6).await.unwrap(), Bytes::from_static(b"abcdef"));
        let error = read(5).await.unwrap_err();
        assert!(error.to_string().contains("more than 5 bytes"), "{error}");
    }
}
