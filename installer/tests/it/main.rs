//! The installer's stages against the simulator, and its binary as a whole.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

mod answers;
mod azure;
mod foreign;
mod install;
mod interrupted;
mod packages;
mod late;
mod plan;
mod portal;
mod refusals;
mod rotate;
mod runs;
mod stage;
mod stopped;
mod teardown;
mod upgrade;
mod walks;
mod terminal;
mod within;
