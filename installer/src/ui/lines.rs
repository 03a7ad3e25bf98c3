//! Breaking texts into lines.

/// How a line begins that is a command: it is copied, and so stays whole.
const COMMANDS: [&str; 3] = ["az ", "azd ", "mimecast-sentinel "];

/// A text in lines of at most this many columns, broken at spaces. What has no space stays whole, since
/// ids and addresses are copied; so does a line that is a command.
pub fn broken(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        if COMMANDS.iter().any(|command| paragraph.starts_with(command)) {
            lines.push(paragraph.to_owned());
            continue;
        }
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

/// Every line of a text broken in this way, with its further lines two columns under its own beginning.
pub fn indented(text: &str, columns: usize) -> String {
    let fitted = |line: &str| {
        let told = line.trim_start();
        let indent = line.chars().count() - told.chars().count();
        if line.chars().count() <= columns {
            return format!("{line}\n");
        }
        format!("{}{}\n", " ".repeat(indent), hanging(told, indent + 2, columns))
    };
    text.lines().map(fitted).collect()
}

#[cfg(test)]
mod tests {
    use super::{hanging, indented};

    #[test]
    fn a_failure_is_broken_at_spaces_and_what_is_copied_is_not() {
        let id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-one";
        let text = format!(
            "error: could not read `{id}`\n  caused by: no network here\n    az login --tenant one-long-name.example.com\n"
        );
        assert_eq!(
            indented(&text, 30),
            format!(
                "error: could not read\n  `{id}`\n  caused by: no network here\n    az login --tenant one-long-name.example.com\n"
            )
        );
    }

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
