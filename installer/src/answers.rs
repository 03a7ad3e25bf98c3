//! Answers: flags, environment, YAML and prompts in; an [`Intent`] out.
//!
//! All sources fill one [`Given`]; one conversion makes the [`Intent`], or reports every problem at
//! once. A secret is named here by where it is kept; its value is read only for the one call that
//! sends it.

pub mod file;
pub mod given;
pub mod import;
pub mod initial;
pub mod intent;
pub mod keys;
pub mod prompt;
pub mod recorded;
pub mod schema;
pub mod secret;
pub mod yaml;

pub use given::{Answer, Given, Origin, Problem, Value};
pub use intent::Intent;
pub use secret::{SecretSource, Secrets};
