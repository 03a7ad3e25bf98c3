//! Rows as a table for a terminal of eighty columns.

use serde_json::{Map, Value};

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
        lines.push(line(shown.iter().map(|column| text(row.get(column.column))).collect()));
    }
    lines
}

/// A value as a cell shows it.
fn text(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        // Line breaks inside a text would break the table.
        Some(Value::String(text)) => text.split_whitespace().collect::<Vec<_>>().join(" "),
        Some(other) => other.to_string(),
    }
}

/// A text in exactly this many characters.
fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return format!("{text:<width$}");
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    cut.push('…');
    cut
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
