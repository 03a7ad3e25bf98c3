//! Any content is a checkpoint or is refused with a reason; what is one is written and read again as the same.

use contract::checkpoint::Checkpoint;

/// Panics where the property does not hold.
pub(crate) fn check(data: &[u8]) {
    match Checkpoint::read(data) {
        Ok(read) => assert_eq!(Checkpoint::read(&read.write()), Ok(read)),
        Err(refused) => assert!(!refused.reason.is_empty()),
    }
}
