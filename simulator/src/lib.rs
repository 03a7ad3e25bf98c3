//! The outside world on localhost: Azure and Mimecast, as strict as the real ones.
//!
//! Both shipped binaries are tested against this crate and the demo runs on it. It is never a
//! dependency of a shipped crate. Every behaviour cites the page that it follows.
//!
//! * [`tls`]: a certificate authority made at start; everything speaks https.
//! * [`server`]: listeners on loopback, each request journalled and open to faults.
//! * [`journal`]: what was asked and answered, for tests to read.
//! * [`fault`]: failures on demand, at any call.
//! * [`clock`]: the time that the services believe in.
//! * [`state`]: what the simulated Azure holds, and who may do what.
//! * [`entra`]: sign-in and managed identities.
//! * [`simulator`]: all of it started.

pub mod clock;
pub mod entra;
pub mod fault;
pub mod journal;
pub mod server;
pub mod simulator;
pub mod state;
pub mod tls;

pub use simulator::{Options, Simulator};
