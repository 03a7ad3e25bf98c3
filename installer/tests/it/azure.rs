//! The Azure client against scripted services: every answer that a test needs, in its order.

mod blobs;
mod host;
mod operations;
mod poisoned;
mod publishing;
mod queries;
mod requests;
mod sdk;
mod sign_in;
mod simulated;
pub(crate) mod stand;
mod vault;
