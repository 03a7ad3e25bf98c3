//! `export`: inventory and recorded answers, written as the files of `azuredeploy/`.

use std::path::Path;

use serde_json::json;

use super::arguments::{ExportOptions, Global};
use super::{runs, unwritable, upgrade};
use crate::portal::export::{PARAMETERS_FILE, files};
use crate::ui::{Failure, Ui};
use crate::world::World;

/// Runs the command.
pub(super) async fn run(
    world: &World,
    ui: &Ui,
    global: &Global,
    options: &ExportOptions,
) -> Result<u8, Failure> {
    let found = runs::find(world, ui, global, &options.answers).await?;
    let intent = upgrade::intent(world, global, &options.answers, &found)?;
    let inventory = upgrade::inventory(world, &found, &intent).await?;
    let files = files(&intent, &inventory).map_err(|error| Failure::of(&error))?;
    world.make_folder(&options.to).map_err(|error| unwritten(&options.to, &error))?;
    let mut written = Vec::new();
    for file in files {
        let path = options.to.join(file.name);
        world.write(&path, file.text.as_bytes()).map_err(|error| unwritten(&path, &error))?;
        written.push(path.display().to_string());
    }
    let subject = &found.selected.subject;
    let command = format!(
        "az deployment group create --subscription {} --resource-group {} --template-file {} --parameters @{}",
        subject.subscription_id,
        subject.resource_group,
        options.to.join(crate::portal::TEMPLATE_FILE).display(),
        options.to.join(PARAMETERS_FILE).display(),
    );
    let text = format!(
        "Wrote {}.\nNo secret is in them: what a parameter leaves out stays as the vault has it.\nTo deploy them: {command}\n",
        written.join(", ")
    );
    ui.data(&text, &json!({ "files": written, "command": command })).map_err(unwritable)?;
    Ok(0)
}

fn unwritten(path: &Path, error: &std::io::Error) -> Failure {
    let mut failure = Failure::of(error);
    failure.chain.insert(0, format!("could not write `{}`", path.display()));
    failure
}
