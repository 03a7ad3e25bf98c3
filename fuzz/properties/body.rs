//! What bodies hold is what was put into them, as another's reader unpacks it. The first byte says how often
//! the rest is put in, so that bodies become longer than the compressor's blocks; a byte of 1 ends a row.

use std::io::Read as _;

use uuid::Uuid;
use worker::batch::{Batcher, Mark, Pushed};

/// Small enough that a body is full now and then.
const LIMIT_BYTES: usize = 200_000;

/// Panics where the property does not hold.
pub(crate) fn check(data: &[u8]) {
    let Some((&times, rest)) = data.split_first() else { return };
    let mut batcher = Batcher::with_limit(LIMIT_BYTES);
    let mut bodies = Vec::new();
    let mut expected = vec![Vec::new()];
    for row in
        std::iter::repeat_n(rest, 1 + usize::from(times)).flat_map(|rest| rest.split(|&byte| byte == 1))
    {
        let pushed = batcher.push(Uuid::nil, |out| {
            out.extend_from_slice(row);
            Mark { hash: 0, event_time: None }
        });
        match pushed {
            Pushed::Kept => {}
            Pushed::Full(batch) => {
                bodies.push(batch);
                expected.push(Vec::new());
            }
            Pushed::TooLarge(given_back) => {
                assert_eq!(given_back, row);
                continue;
            }
        }
        expected.last_mut().expect("one").push(row);
    }
    bodies.extend(batcher.seal(Uuid::nil));
    expected.retain(|rows| !rows.is_empty());
    assert_eq!(bodies.len(), expected.len());
    for (batch, rows) in bodies.iter().zip(expected) {
        let mut plain = Vec::new();
        let mut reader = flate2::bufread::GzDecoder::new(&*batch.body);
        reader.read_to_end(&mut plain).expect("gzip");
        assert!(reader.into_inner().is_empty());
        assert!(plain == [b"[".as_slice(), &rows.join(&b','), b"]"].concat());
        assert_eq!((plain.len(), batch.len()), (batch.plain_bytes, rows.len()));
        assert!(plain.len() <= LIMIT_BYTES);
    }
}
