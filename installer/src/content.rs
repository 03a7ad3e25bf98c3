//! What the analyst gets: views, ASIM parsers, analytic rules, hunts, the workbook and the connector's
//! page, as data from `templates/content/`.
//!
//! Takes nothing from outside; gives typed items and the bodies that Azure wants. Pure.

pub mod asim;
pub mod library;
pub mod workbook;

pub use library::{ContentError, Function, Hunt, Library, Rule, StandsOn};
