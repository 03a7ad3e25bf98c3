//! Rows as a table for a terminal of eighty columns.

use serde_json::{Map, Value};

use crate::cell;

/// One column of the printed table.
pub(super) struct Shown {
    /// Name in the Log Analytics table, and the heading.
    pub(super) column: &'static str,
    /// Width in characters.
    pub(super) width: usize,
}

/// The lines of a table: a heading, a rule, and a line a row. Cells too long are cut and end in `…`.
pub(super) fn lines(shown: &[Shown], rows: &[Map<String, Value>]) -> Vec<String> {
    let line = |cells: Vec<String>| {
        let padded: Vec<String> =
            shown.iter().zip(cells).map(|(column, cell)| fit(&cell, column.width)).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![
        line(shown.iter().map(|column| column.column.to_owned()).collect()),
        line(shown.iter().map(|column| "-".repeat(column.width)).collect()),
    ];
    for row in rows {
        lines.push(line(shown.iter().map(|column| cell::text(row.get(column.column))).collect()));
    }
    lines
}

/// A text in exactly this many characters.
fn fit(text: &str, width: usize) -> String {
    format!("{:<width$}", cell::cut(text, width))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Shown, lines};

    #[test]
    fn long_cells_are_cut_and_breaks_are_spaces() {
        let shown = [Shown { column: "user_s", width: 8 }, Shown { column: "n", width: 2 }];
        let row = json!({"user_s": "Zoë\nof example.com", "n": 7});
        let rows = [row.as_object().expect("an object").clone()];
        assert_eq!(lines(&shown, &rows), ["user_s    n", "--------  --", "Zoë of …  7"]);
    }
}
