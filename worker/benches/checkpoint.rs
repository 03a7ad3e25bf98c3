//! What the checkpoint costs: remembering events, and writing and reading the file, small and as large as
//! it gets.
//!
//! `cargo bench -p worker --bench checkpoint`. It prints figures and asserts nothing.

#![expect(clippy::unwrap_used, reason = "a checkpoint that cannot be read ends the program")]

mod timing;

use std::time::Duration;

use contract::checkpoint::Checkpoint;
use time::OffsetDateTime;
use time::macros::datetime;
use timing::{Shown, heading, measure};
use worker::checkpoint::remembered::{HashesSeen, LIMIT, Remembered};

/// When the first event of all happened.
const FIRST: OffsetDateTime = datetime!(2026-11-25 00:00 UTC);

fn main() {
    heading("event");
    let events: Vec<(u64, OffsetDateTime)> = (0..LIMIT as u64).map(event).collect();
    let remembered = remembered(LIMIT);
    let mut seen = HashesSeen::default();
    remembered.look_up(&mut seen);
    measure("an event looked up among them all", Shown::Speed, &events, |(hash, _)| {
        u64::from(seen.contains(hash))
    });
    heading("file");
    for count in [500, 50_000, LIMIT] {
        let kept = self::remembered(count);
        let mut content = Vec::new();
        measure(&format!("{count} events: written"), Shown::Bytes, &[()], |()| {
            Checkpoint::first().write_with(kept.groups(), &mut content);
            content.len() as u64
        });
        let file = [content];
        measure(&format!("{count} events: read"), Shown::Speed, &file, |content| {
            let checkpoint = Checkpoint::read(content).unwrap();
            Remembered::from_checkpoint(checkpoint.remembered).len() as u64
        });
    }
}

/// Hashes look random, and a busy account has ten events a second.
fn event(number: u64) -> (u64, OffsetDateTime) {
    (number.wrapping_mul(0x9e37_79b9_7f4a_7c15), FIRST + Duration::from_millis(number * 100))
}

fn remembered(count: usize) -> Remembered {
    let mut remembered = Remembered::default();
    remembered.set_horizon(FIRST, FIRST);
    for (hash, at) in (0..count as u64).map(event) {
        remembered.insert(hash, Some(at));
    }
    remembered
}
