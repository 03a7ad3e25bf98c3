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
//! * [`data`]: the data planes that stand beside it.
//! * [`arm`]: Azure Resource Manager.
//! * [`vault`]: Key Vault's data plane.
//! * [`blob`], [`queue`]: Azure Storage in this process; [`azurite`]: the same by Microsoft.
//! * [`publish`], [`functions`]: packages taken in, and the host that runs them.
//! * [`ingestion`], [`rows`], [`query`]: rows taken in, kept and found again.
//! * [`mimecast`]: Mimecast's API, both generations.
//! * [`openapi`]: Microsoft's descriptions of request bodies, for tests.
//! * [`simulator`]: all of it started.

pub mod arm;
pub mod azurite;
pub mod blob;
pub mod clock;
pub mod data;
pub mod entra;
pub mod fault;
pub mod functions;
pub mod ingestion;
pub mod installed;
pub mod journal;
pub mod mimecast;
pub mod openapi;
pub mod publish;
pub mod query;
pub mod queue;
pub mod rows;
pub mod server;
pub mod simulator;
pub mod state;
mod storage;
pub mod tls;
pub mod vault;

pub use simulator::{Options, Simulator};
