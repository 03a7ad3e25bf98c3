//! The installer's stages against the simulator, and its binary as a whole.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

mod answers;
mod azure;
mod completions;
mod content;
mod doctor;
mod faults;
mod foreign;
mod guided;
mod install;
mod interrupted;
mod late;
mod packages;
mod plan;
mod portal;
mod refusals;
mod rotate;
mod runs;
mod stage;
mod stopped;
mod teardown;
mod terminal;
mod upgrade;
mod walks;
mod within;
