//! The one place of the chores that writes to the terminal.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this module is the chores' way to the terminal"
)]

/// Prints a line of data.
pub(crate) fn line(text: &str) {
    println!("{text}");
}

/// Prints a line that is no data.
pub(crate) fn remark(text: &str) {
    eprintln!("{text}");
}

/// Prints a heading, set off by an empty line.
pub(crate) fn heading(text: &str) {
    println!("\n=== {text}");
}

/// Prints an error with its causes, the way both binaries do.
pub(crate) fn failure(error: &anyhow::Error) {
    eprintln!("\nerror: {error}");
    for cause in error.chain().skip(1) {
        eprintln!("  caused by: {cause}");
    }
}
