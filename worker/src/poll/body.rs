//! The body of an answer, plain: unpacked here where it came packed.
//!
//! The HTTP library unpacks too, 8 KiB at a time, each through a buffer of its own. A page has some
//! 400 KiB, and unpacking it is a tenth of all work: `docs/decisions/speed.md`.

use bytes::{Buf, Bytes};
use flate2::{Decompress, FlushDecompress, Status};
use reqwest::header::{CONTENT_ENCODING, HeaderMap, HeaderValue};

/// What a call's `Accept-Encoding` may say.
pub(super) const ACCEPTED: HeaderValue = HeaderValue::from_static("gzip");

/// The most that is given out at once, in bytes: twice what gzip looks back.
pub(super) const PIECE_BYTES: usize = 64 * 1024;

/// Why a body could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the connection broke off")]
    Transport(#[source] reqwest::Error),
    #[error("the answer's compression is damaged")]
    Damaged(#[from] flate2::DecompressError),
    #[error("the compressed answer ends too early")]
    Cut,
}

/// The body of an answer, as it arrives.
#[derive(Debug)]
pub(super) struct Body {
    response: reqwest::Response,
    /// What has arrived and was not given out.
    arrived: Bytes,
    gzip: Option<Gzip>,
    /// What was given out last.
    piece: Piece,
}

#[derive(Debug)]
enum Piece {
    Plain(Bytes),
    Unpacked(Vec<u8>),
}

#[derive(Debug)]
struct Gzip {
    inflate: Decompress,
    /// Where in it we are.
    place: Place,
}

#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// Before the first byte of all.
    Start,
    /// In a member (RFC 1952, 2.2: a stream may have several).
    Member,
    /// Behind one.
    End,
}

impl Body {
    pub(super) fn new(response: reqwest::Response) -> Self {
        let packed = response.headers().get(CONTENT_ENCODING).is_some_and(|encoding| *encoding == ACCEPTED);
        // 15 is the largest window that gzip has.
        let gzip = packed.then(|| Gzip { inflate: Decompress::new_gzip(15), place: Place::Start });
        let piece = if packed {
            Piece::Unpacked(Vec::with_capacity(PIECE_BYTES))
        } else {
            Piece::Plain(Bytes::new())
        };
        Self { response, arrived: Bytes::new(), gzip, piece }
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The next bytes, at most [`PIECE_BYTES`] and never none; `None` at the end.
    ///
    /// # Errors
    /// When the body ends early or its compression is damaged.
    pub(super) async fn next(&mut self) -> Result<Option<&[u8]>, BodyError> {
        loop {
            let ready = match (&mut self.piece, &mut self.gzip) {
                (Piece::Unpacked(piece), Some(gzip)) => gzip.unpack(&mut self.arrived, piece)?,
                (Piece::Plain(piece), _) => {
                    *piece = self.arrived.split_to(self.arrived.len().min(PIECE_BYTES));
                    !piece.is_empty()
                }
                (Piece::Unpacked(_), None) => false,
            };
            if ready {
                break;
            }
            // Let go of, so that the connection can use its memory again.
            self.arrived = Bytes::new();
            match self.response.chunk().await.map_err(BodyError::Transport)? {
                Some(bytes) => self.arrived = bytes,
                None if self.gzip.as_ref().is_some_and(|gzip| gzip.place == Place::Member) => {
                    return Err(BodyError::Cut);
                }
                None => return Ok(None),
            }
        }
        Ok(Some(match &self.piece {
            Piece::Plain(piece) => piece,
            Piece::Unpacked(piece) => piece,
        }))
    }

    /// Reads the body up to a limit; more of it is left unread.
    pub(super) async fn bounded(mut self, limit_bytes: usize) -> Result<Vec<u8>, BodyError> {
        let mut body = Vec::new();
        while let Some(bytes) = self.next().await? {
            let room = limit_bytes - body.len();
            body.extend_from_slice(&bytes[..room.min(bytes.len())]);
            if body.len() == limit_bytes {
                break;
            }
        }
        Ok(body)
    }
}

impl Gzip {
    /// Unpacks some of what has arrived into `piece`; `false` when more must arrive first.
    fn unpack(&mut self, arrived: &mut Bytes, piece: &mut Vec<u8>) -> Result<bool, BodyError> {
        // A full piece may have left something behind where nothing more arrives.
        let mut more = piece.len() == piece.capacity();
        piece.clear();
        loop {
            if self.place != Place::Member {
                if arrived.is_empty() {
                    return Ok(false);
                }
                if self.place == Place::End {
                    self.inflate = Decompress::new_gzip(15);
                }
                self.place = Place::Member;
            }
            if arrived.is_empty() && !more {
                return Ok(false);
            }
            more = false;
            let before = self.inflate.total_in();
            let status = self.inflate.decompress_vec(arrived, piece, FlushDecompress::None)?;
            // No more than there was.
            arrived.advance((self.inflate.total_in() - before) as usize);
            if status == Status::StreamEnd {
                self.place = Place::End;
            }
            if !piece.is_empty() {
                return Ok(true);
            }
            if status == Status::BufError {
                return Ok(false);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use futures::executor::block_on;
    use futures::stream;

    use super::{Body, BodyError, PIECE_BYTES};

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
        encoder.write_all(content).expect("memory");
        encoder.finish().expect("memory")
    }

    /// A body that arrives in parts of this size.
    fn body(content: &[u8], part: usize, encoding: Option<&str>) -> Body {
        let parts: Vec<Result<Vec<u8>, std::io::Error>> =
            content.chunks(part).map(|part| Ok(part.to_vec())).collect();
        let mut response = axum::http::Response::builder();
        if let Some(encoding) = encoding {
            response = response.header("content-encoding", encoding);
        }
        let body = reqwest::Body::wrap_stream(stream::iter(parts));
        Body::new(response.body(body).expect("an answer").into())
    }

    fn read(mut body: Body) -> Result<Vec<u8>, BodyError> {
        let mut whole = Vec::new();
        while let Some(piece) = block_on(body.next())? {
            assert!((1..=PIECE_BYTES).contains(&piece.len()));
            whole.extend_from_slice(piece);
        }
        // The end stays the end.
        assert!(block_on(body.next())?.is_none());
        Ok(whole)
    }

    fn page() -> Vec<u8> {
        (0..300_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 27) as u8 + b'0').collect()
    }

    #[test]
    fn what_came_packed_and_what_came_plain_is_the_same() {
        let packed = gzip(&page());
        for part in [1, 7, 1_000, packed.len(), 1_000_000] {
            assert!(read(body(&packed, part, Some("gzip"))).expect("whole") == page(), "{part}");
            assert!(read(body(&page(), part, None)).expect("whole") == page(), "{part}");
        }
        // Much of one byte, which leaves whole pieces behind when nothing arrives any more.
        let same = vec![b'a'; 10 * PIECE_BYTES];
        assert!(read(body(&gzip(&same), 1_000_000, Some("gzip"))).expect("whole") == same);
        for size in [PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1] {
            assert_eq!(read(body(&gzip(&same[..size]), 64, Some("gzip"))).expect("whole").len(), size);
        }
    }

    #[test]
    fn several_members_are_one_body_and_none_is_an_empty_one() {
        let two = [gzip(b"one, "), gzip(b""), gzip(b"two")].concat();
        for part in [1, two.len()] {
            assert_eq!(read(body(&two, part, Some("gzip"))).expect("whole"), b"one, two");
        }
        assert_eq!(read(body(b"", 1, Some("gzip"))).expect("nothing"), b"");
        assert_eq!(read(body(&gzip(b""), 1, Some("gzip"))).expect("nothing"), b"");
        assert_eq!(read(body(b"", 1, None)).expect("nothing"), b"");
    }

    #[test]
    fn what_is_cut_or_damaged_is_no_body() {
        let packed = gzip(&page());
        for end in [1, 9, packed.len() / 2, packed.len() - 1] {
            let cut = read(body(&packed[..end], 1_000, Some("gzip")));
            assert!(matches!(cut, Err(BodyError::Cut)), "{end}: {cut:?}");
        }
        let mut damaged = packed.clone();
        // The checksum.
        let at = damaged.len() - 6;
        damaged[at] ^= 1;
        let behind = [&packed[..], b"no member"].concat();
        for content in [&damaged[..], b"no gzip at all", &behind] {
            let refused = read(body(content, 1_000, Some("gzip")));
            assert!(matches!(refused, Err(BodyError::Damaged(_))), "{refused:?}");
        }
    }

    #[test]
    fn a_bomb_is_read_up_to_the_limit() {
        let bomb = gzip(&vec![0; 50_000_000]);
        let read = block_on(body(&bomb, 1_000, Some("gzip")).bounded(100_000)).expect("read");
        assert_eq!(read.len(), 100_000);
    }
}
