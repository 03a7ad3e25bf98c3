//! What the analyst gets: views, ASIM parsers, analytic rules, hunts, the workbook and the connector's
//! page, as data from `templates/content/`.
//!
//! Takes nothing from outside; gives typed items and the bodies that Azure wants. Pure.

pub mod asim;
pub mod library;
pub mod workbook;

pub use library::{ContentError, Function, Hunt, Library, Rule, StandsOn};

/// Whether the connector is alive: a good run within the last hour. Gives one row on an empty table too.
pub const CONNECTED_QUERY: &str = include_str!("../../templates/content/connected.kql");
