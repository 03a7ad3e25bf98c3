//! The installer's stages against the simulator, and its binary as a whole.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

mod answers;
mod apply;
mod azure;
mod completions;
mod content;
mod delivery;
mod doctor;
mod documented;
mod faults;
mod foreign;
mod guided;
mod install;
mod interrupted;
mod late;
mod least_rights;
mod left;
mod moved;
mod neighbours;
mod options;
mod packages;
mod plan;
mod portal;
mod proof;
mod refusals;
mod rotate;
mod runs;
mod seeds;
mod several;
mod stage;
mod stopped;
mod teardown;
mod terminal;
mod trial;
mod typed;
mod upgrade;
mod walks;
mod within;
