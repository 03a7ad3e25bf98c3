//! What storage gives, read whole up to a limit: a blob that somebody else has put there must not fill
//! the memory.

use azure_core::error::ErrorKind;
use bytes::{Bytes, BytesMut};
use futures::{Stream, TryStreamExt};

use super::blob::StorageError;

/// Reads a body whole.
///
/// # Errors
/// [`StorageError`] where it breaks off, or where it is longer than this.
pub(crate) async fn whole(
    mut body: impl Stream<Item = azure_core::Result<Bytes>> + Unpin,
    limit_bytes: usize,
) -> Result<Bytes, StorageError> {
    let mut content = BytesMut::new();
    while let Some(chunk) = body.try_next().await? {
        if content.len() + chunk.len() > limit_bytes {
            let message = format!("the blob has more than {limit_bytes} bytes, which none of ours has");
            return Err(azure_core::Error::with_message(ErrorKind::DataConversion, message).into());
        }
        content.extend_from_slice(&chunk);
    }
    Ok(content.freeze())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures::executor::block_on;
    use futures::stream;

    use super::whole;

    #[test]
    fn what_fits_is_read_and_what_does_not_is_refused() {
        let body = || stream::iter([Ok(Bytes::from_static(b"abc")), Ok(Bytes::from_static(b"def"))]);
        assert_eq!(block_on(whole(body(), 6)).ok().as_deref(), Some(&b"abcdef"[..]));
        let refused = block_on(whole(body(), 5)).expect_err("too long");
        assert!(refused.too_large() && refused.to_string().contains("more than 5 bytes"), "{refused}");
    }
}
