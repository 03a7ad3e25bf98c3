//! Installs, upgrades and removes the Mimecast connector for Microsoft Sentinel.
//!
//! The path of an installation, and so the order in which to read:
//!
//! * [`answers`]: flags, environment, YAML and prompts become a complete and valid `Intent`.
//! * [`inventory`]: what Azure has now, and which of it is ours.
//! * [`plan`]: both become ordered steps and findings; pure.
//! * [`check`]: whether the plan can be carried out, found out before anything is written.
//! * [`provision`]: carries the steps out.
//! * [`deploy`]: the worker package, made and published.
//! * [`verify`]: proof that events arrive.
//!
//! [`commands`] are walks along this path. [`azure`] and [`mimecast`] call out, [`ui`] talks,
//! [`world`] is everything that comes from outside the process, [`content`] is what the analyst gets,
//! [`portal`] renders the same resources as a deployment template.

pub mod answers;
pub mod check;
pub mod deploy;
pub mod inventory;
pub mod plan;
pub mod provision;
pub mod verify;

pub mod azure;
pub mod commands;
pub mod content;
pub mod mimecast;
pub mod portal;
pub mod ui;
pub mod world;
