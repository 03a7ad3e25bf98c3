//! The worker's stages from outside, against the simulator where they call out.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation is a failed test")]

mod accounts;
mod again;
mod place;
mod poisoned;
mod poll;
mod program;
mod reject;
mod restart;
mod rows;
mod stage;
mod sync;
