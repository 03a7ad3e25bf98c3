//! `completions`: a script that lets a shell complete commands and flags.

use clap::CommandFactory as _;
use serde_json::json;

use super::arguments::{Arguments, CompletionsOptions};
use super::unwritable;
use crate::ui::{Failure, Ui};

/// Runs the command.
pub(super) fn run(ui: &Ui, options: &CompletionsOptions) -> Result<u8, Failure> {
    let mut command = Arguments::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut command, name.as_str(), &mut script);
    // clap_complete 4.6.11 writes the hyphen of the program's own name in two ways for bash, by one of
    // which nothing behind the first word would be found.
    let script =
        String::from_utf8_lossy(&script).replace(&name.replace('-', "__subcmd__"), &name.replace('-', "__"));
    ui.data(&script, &json!({ "completions": script })).map_err(unwritable)?;
    Ok(0)
}
