//! The installer's stages against the simulator, and its binary as a whole.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

mod answers;
mod azure;
mod install;
mod interrupted;
mod packages;
mod plan;
mod portal;
mod refusals;
mod rotate;
mod runs;
mod stage;
mod teardown;
mod upgrade;
mod walks;
mod within;
