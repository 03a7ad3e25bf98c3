//! `rotate`: a new version of a Mimecast secret, proven by a run before the old one is disabled.

use contract::secret::Secret;
use serde_json::{Value, json};

use super::arguments::{Global, RotateOptions};
use super::{gather, install, runs, unwritable, upgrade};
use crate::answers::Intent;
use crate::answers::intent::secret_name;
use crate::answers::secret::{SecretSource, Secrets, usable};
use crate::azure::http_client;
use crate::mimecast::{self, MimecastError};
use crate::plan::rotation::{ROTATE_STEP, rotation};
use crate::provision::Material;
use crate::ui::failure::Kind;
use crate::ui::{Code, Event, Failure, Ui, human};
use crate::world::World;

/// How far back new values are tried: their rights count, not how much there is.
const DAY_SECS: u64 = 24 * 60 * 60;

/// Runs the command.
pub(super) async fn run(
    world: &World,
    ui: &Ui,
    global: &Global,
    options: &RotateOptions,
) -> Result<u8, Failure> {
    let found = runs::find(world, ui, global, &options.answers).await?;
    let intent = upgrade::intent(world, global, &options.answers, &found)?;
    let inventory = upgrade::inventory(world, &found, &intent).await?;
    let named = options.secret.as_deref();
    let (keys, chosen) = if intent.several_accounts() {
        (accounts(&intent, named)?, Vec::new())
    } else {
        let chosen = chosen(&intent, named)?;
        (chosen.iter().map(|(key, _)| key.clone()).collect(), chosen)
    };
    let plan =
        rotation(&intent, &inventory, &keys, options.wait).map_err(|error| Failure::internal(&error))?;
    ui.show(&human::plan(&plan, ui.page())).map_err(unwritable)?;
    install::require_unrefused(&plan)?;
    let secrets = match intent.several_accounts() {
        true => gather::secrets(world, ui, &intent).await?,
        false => values(world, ui, &chosen).await?,
    };
    try_at_mimecast(world, ui, &intent, &secrets).await?;
    install::confirm(world, ui, options.yes, "Write the new versions?").await?;
    let material = Material { secrets: secrets.into_values(), package: None };
    let made = install::carry_out(&found.azure, ui, world, &plan, &material).await?;
    let result = made.resources.get(ROTATE_STEP).cloned().unwrap_or_default();
    if let Some(failure) = not_good(&result).or_else(|| unproven(&result)) {
        return Err(failure);
    }
    let names = |list: &Value| -> String {
        let names: Vec<&str> = list.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        names.join(", ")
    };
    let rotated = names(&result["rotated"]);
    let text = if rotated.is_empty() {
        format!("Nothing to do: {} in the vault is what was given.\n", names(&result["unchanged"]))
    } else {
        format!("Rotated: {rotated}. A good run was seen with the new version; the old one is disabled.\n")
    };
    ui.told(&text, &json!({ "rotation": result })).map_err(unwritable)?;
    Ok(0)
}

/// What the person reads when new values were not good; `None` where they were.
pub fn not_good(rotation: &Value) -> Option<Failure> {
    upgrade::put_back_failure("the new value was not good, and the old one was put back", rotation)
}

/// What the person reads when new values are in use and nobody could look whether they work; `None` where it was
/// looked.
pub fn unproven(rotation: &Value) -> Option<Failure> {
    let reason = rotation["unproven"].as_str()?;
    let mut failure = Failure::user(
        Code::Unproven,
        format!("the new value is in use and was not proven, since no run could be looked at: {reason}"),
    );
    failure.kind = Kind::Partial;
    failure.problems.push("the old version stays enabled beside the new one".to_owned());
    if let Some(advice) = rotation["advice"].as_str() {
        failure.problems.push(format!("what to do: {advice}; with it run the same command with the same value again: a good run then proves it, and the old version is disabled"));
    }
    Some(failure)
}

/// The paths of the accounts that are meant: each of several accounts has one secret, with all that is
/// its own in it.
fn accounts(intent: &Intent, named: Option<&str>) -> Result<Vec<String>, Failure> {
    let meant: Vec<String> = intent
        .accounts
        .iter()
        .filter(|account| named.is_none_or(|named| account.key.eq_ignore_ascii_case(named)))
        .map(|account| account.path.clone())
        .collect();
    if meant.is_empty() {
        return Err(Failure::problems(
            Code::NoSuchSecret,
            format!("`{}` is no account of this installation; its accounts are:", named.unwrap_or_default()),
            intent.accounts.iter().map(|account| account.key.clone()),
        ));
    }
    Ok(meant)
}

/// The secrets that are meant, with where their values are.
fn chosen(intent: &Intent, named: Option<&str>) -> Result<Vec<(String, SecretSource)>, Failure> {
    let sources = intent.secret_sources();
    let of_mimecast =
        |key: &str| intent.accounts.iter().any(|account| key.starts_with(&format!("{}.", account.path)));
    let Some(named) = named else {
        let ours: Vec<(String, SecretSource)> = sources
            .into_iter()
            .filter(|(key, source)| of_mimecast(key) && !matches!(source, SecretSource::KeyVault(_)))
            .map(|(key, source)| (key, source.clone()))
            .collect();
        if ours.is_empty() {
            return Err(Failure::user(
                Code::ForeignSecret,
                "every Mimecast secret of this installation is in a vault that is not ours; its owner writes the new version there, and the app reads it within a day or at its next restart",
            ));
        }
        return Ok(ours);
    };
    let meant = |key: &str| {
        [key, &secret_name(key), key.rsplit('.').next().unwrap_or(key)]
            .iter()
            .any(|each| each.eq_ignore_ascii_case(named))
    };
    let found: Vec<&(String, &SecretSource)> = sources.iter().filter(|(key, _)| meant(key)).collect();
    match found.as_slice() {
        [(key, SecretSource::KeyVault(_))] => Err(Failure::user(
            Code::ForeignSecret,
            format!(
                "`{key}` is in a vault that is not ours; its owner writes the new version there, and the app reads it within a day or at its next restart"
            ),
        )),
        [(key, source)] => Ok(vec![(key.clone(), (*source).clone())]),
        [] => Err(Failure::problems(
            Code::NoSuchSecret,
            format!("`{named}` is no secret of this installation; its secrets are:"),
            sources.iter().map(|(key, _)| key.clone()),
        )),
        several => Err(Failure::problems(
            Code::NoSuchSecret,
            format!("`{named}` is the name of several secrets; give one of:"),
            several.iter().map(|(key, _)| key.clone()),
        )),
    }
}

/// The new values: from where the answers say, or asked for where they are not there and somebody can be
/// asked.
async fn values(world: &World, ui: &Ui, chosen: &[(String, SecretSource)]) -> Result<Secrets, Failure> {
    let mut secrets = Secrets::default();
    let mut unread = Vec::new();
    for (key, source) in chosen {
        let absent = match source {
            SecretSource::Variable(name) => world.variable(name).is_none(),
            SecretSource::Prompt => true,
            SecretSource::File(_) | SecretSource::KeyVault(_) => false,
        };
        let asked = match absent {
            true => ui.ask_secret(world, &format!("New value of {key}")).await?,
            false => None,
        };
        match asked {
            Some(value) => match usable(key, value.expose()) {
                Ok(value) => secrets.insert(key, value),
                Err(error) => return Err(Failure::of(&error)),
            },
            None => unread.push((key.as_str(), source)),
        }
    }
    let read = gather::read_secrets(world, ui, unread).await?;
    for (key, value) in read.into_values() {
        secrets.insert(&key, value);
    }
    Ok(secrets)
}

/// Tries the new values at Mimecast before anything is written, where all that a sign-in takes is here.
async fn try_at_mimecast(world: &World, ui: &Ui, intent: &Intent, secrets: &Secrets) -> Result<(), Failure> {
    let http = http_client(gather::certificates(world)).map_err(|error| Failure::of(&error))?;
    for account in &intent.accounts {
        let prefix = format!("{}.", account.path);
        let mut all = secrets.clone();
        let mut touched = false;
        for (key, source) in intent.secret_sources() {
            if !key.starts_with(&prefix) {
                continue;
            }
            touched |= secrets.value(&key).is_some();
            let known: Option<Secret<String>> = Secrets::read(world, [(key.as_str(), source)])
                .ok()
                .and_then(|read| read.value(&key).cloned());
            if let (None, Some(value)) = (secrets.value(&key), known) {
                all.insert(&key, value);
            }
        }
        if !touched {
            continue;
        }
        match mimecast::look(&http, account, &all, world.now(), DAY_SECS).await {
            Ok(_) => {}
            Err(MimecastError::Unread { key }) => ui.say(Event::Note {
                text: format!(
                    "not tried at Mimecast before it is written, since `{key}` is not here; the run tells"
                ),
            }),
            Err(error) => {
                let remedy = error.remedy();
                let mut failure = Failure::of(&error);
                failure
                    .chain
                    .insert(0, "the new values were tried at Mimecast; nothing was changed".to_owned());
                failure.problems.push(format!("what to do: {remedy}"));
                return Err(failure);
            }
        }
    }
    Ok(())
}
