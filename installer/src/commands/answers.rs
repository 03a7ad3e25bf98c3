//! `answers init | check | schema | import`: the answers file itself.

use std::path::Path;

use serde_json::json;

use super::arguments::{AnswersCommand, Global};
use super::{gather, unwritable};
use crate::answers::secret::Secrets;
use crate::answers::{Intent, import, initial, schema};
use crate::ui::{Event, Failure, Ui};
use crate::world::World;

/// Runs the command.
pub(super) fn run(world: &World, ui: &Ui, global: &Global, command: &AnswersCommand) -> Result<u8, Failure> {
    match command {
        AnswersCommand::Init => {
            let text = initial::file();
            ui.data(&text, &json!({ "answers": text })).map_err(unwritable)?;
        }
        AnswersCommand::Schema => {
            let schema = schema::schema();
            ui.data(&format!("{schema:#}\n"), &schema).map_err(unwritable)?;
        }
        AnswersCommand::Check { answers } => {
            let given = gather::given(world, global, answers)?;
            let intent = gather::intent(world, &given)?;
            ui.told(&summary(&intent), &json!({ "valid": true, "answers": given.to_json() }))
                .map_err(unwritable)?;
            // The file may well be checked where the secrets are not.
            let sources = intent.secret_sources();
            for error in Secrets::read(world, sources.iter().map(|(key, source)| (key.as_str(), *source)))
                .err()
                .unwrap_or_default()
            {
                ui.say(Event::Note { text: gather::full(&error) });
            }
        }
        AnswersCommand::Import { file } => {
            let imported = import::import(&read(world, file)?).map_err(|error| named(file, &error))?;
            let document = json!({ "answers": imported.answers, "notes": imported.notes });
            ui.data(&imported.answers, &document).map_err(unwritable)?;
            for note in imported.notes {
                ui.say(Event::Note { text: note });
            }
        }
    }
    Ok(0)
}

fn read(world: &World, file: &Path) -> Result<String, Failure> {
    world.read_text(file).map_err(|error| named(file, &error))
}

fn named(file: &Path, error: &(dyn std::error::Error + 'static)) -> Failure {
    let mut failure = Failure::of(error);
    failure.chain.insert(0, format!("could not read `{}`", file.display()));
    failure
}

fn summary(intent: &Intent) -> String {
    let accounts: Vec<String> = intent
        .accounts
        .iter()
        .map(|account| format!("Mimecast API {} at {}", account.api.text(), account.base_url))
        .collect();
    format!(
        "The answers are valid: installation `{}` in `{}`, {}.\n",
        intent.name,
        intent.resource_group,
        accounts.join(", ")
    )
}
