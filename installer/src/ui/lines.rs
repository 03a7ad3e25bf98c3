//! Breaking texts into lines.

/// A text in lines of at most this many columns, broken at spaces. What has no space stays whole, since
/// ids and addresses are copied.
pub fn broken(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > columns {
                lines.push(std::mem::take(&mut line));
            } else if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

/// The same with the further lines indented by as many blanks as stand before the first.
pub fn hanging(text: &str, indent: usize, columns: usize) -> String {
    /// The narrowest text that is worth breaking into lines.
    const LEAST_WIDTH_CHARS: usize = 20;
    let width = columns.saturating_sub(indent).max(LEAST_WIDTH_CHARS);
    broken(text, width).join(&format!("\n{}", " ".repeat(indent)))
}

#[cfg(test)]
mod tests {
    use super::hanging;

    #[test]
    fn long_lines_break_at_spaces_under_their_own_beginning() {
        assert_eq!(hanging("one two", 10, 60), "one two");
        assert_eq!(
            hanging("a role given a moment ago usually works", 10, 40),
            "a role given a moment ago\n          usually works"
        );
        // An id is copied, so it stays in one piece.
        let id = "x".repeat(50);
        assert_eq!(hanging(&format!("of {id}"), 10, 40), format!("of\n          {id}"));
        assert_eq!(hanging("first\nsecond", 10, 60), "first\n          second");
    }
}
