//! Rows of Markdown tables.

use std::fmt::Write as _;

/// Adds a row; a bar in a cell does not part it.
pub(super) fn row(page: &mut String, cells: &[&str]) {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    let _ = writeln!(page, "| {} |", cells.join(" | "));
}
