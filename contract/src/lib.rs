//! What the installer and the worker must agree on.
//!
//! Data only: names, shapes and numbers, each written once. Nothing here does I/O, and nothing
//! here knows the installer, the worker or the simulator.
//!
//! * [`settings`]: the app settings that the installer writes and the worker reads.
//! * [`streams`]: the two tables, their columns and the streams that feed them.
//! * [`resources`]: what an installation's Azure resources are called and how they are marked.
//! * [`checkpoint`]: the shape of `checkpoint.txt`.
//! * [`cloud`]: the endpoints of each Azure cloud, and which hosts may be called.
//! * [`secret`]: text that cannot be printed.

pub mod checkpoint;
pub mod cloud;
pub mod resources;
pub mod run_errors;
pub mod secret;
pub mod settings;
pub mod streams;
