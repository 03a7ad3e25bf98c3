//! Tries what an upgrade changed, and puts back what was there before where it does not work.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use url::Url;

use super::PutBackError;
use crate::azure::blob::Access;
use crate::azure::{Azure, AzureError, ResourceId};
use crate::deploy::{kept, publish};
use crate::plan::{PackageBefore, Trial, Watched};
use crate::ui::{Event, Ui};
use crate::verify::trial::{Before, TrialError, pass};
use crate::world::World;

/// Why the trial gave no result: what is new does not work, and what was there could not be put back.
#[derive(Debug, thiserror::Error)]
#[error("what is new does not work ({reason}), and what was there before could not be put back")]
pub struct NotPutBack {
    /// Why what is new does not work.
    pub reason: String,
    /// Why what was there could not be put back.
    #[source]
    pub source: PutBackError,
}

/// Runs the trial. Its result has `put_back` with the reason where what was there before runs again,
/// and `works_again` with whether it was seen to.
pub(super) async fn run(azure: &Azure, ui: &Ui, world: &World, trial: &Trial) -> Result<Value, NotPutBack> {
    let before = Before::look(azure, &trial.watched).await;
    let watched = before.working(&trial.watched);
    let Err(error) = pass(azure, ui, world, &watched, &before).await else {
        if let Some(package) = &trial.package_before {
            prune(azure, ui, &trial.watched, package).await;
        }
        return Ok(json!({ "passed": true }));
    };
    let reason = in_words(&error);
    ui.say(Event::Note {
        text: format!("the trial was not passed ({reason}); putting back what ran before"),
    });
    put_back(azure, trial).await.map_err(|source| NotPutBack { reason: reason.clone(), source })?;
    let old = Watched {
        sha256: trial.package_before.as_ref().map_or_else(String::new, |package| package.sha256.clone()),
        ..watched
    };
    let before = Before::look(azure, &old).await;
    let again = pass(azure, ui, world, &old, &before).await;
    Ok(json!({ "put_back": reason, "advice": error.advice(), "works_again": again.is_ok() }))
}

async fn put_back(azure: &Azure, trial: &Trial) -> Result<(), PutBackError> {
    let site_id = ResourceId::parse(&trial.watched.site_id).map_err(AzureError::Id)?;
    // The package first: nothing is changed where it cannot be had.
    let package = match &trial.package_before {
        Some(before) => {
            let package = kept::fetch(azure, &url(before)?, &before.sha256, Access::JustGranted).await?;
            Some((before, package))
        }
        None => None,
    };
    if !trial.settings_before.is_empty() {
        let settings = azure.app_settings(&site_id).await?;
        azure.set_app_settings(&site_id, &as_before(settings, &trial.settings_before)).await?;
    }
    if let Some((before, package)) = package {
        let previous = before.previous.as_deref();
        publish::publish(azure, &site_id, package, &before.sha256, previous).await?;
    }
    Ok(())
}

/// The settings with these as they were; the others stay as they are now.
fn as_before(
    mut settings: BTreeMap<String, String>,
    before: &BTreeMap<String, Option<String>>,
) -> BTreeMap<String, String> {
    for (name, value) in before {
        match value {
            Some(value) => settings.insert(name.clone(), value.clone()),
            None => settings.remove(name),
        };
    }
    settings
}

/// Deletes the packages that are neither the present one nor the one before. That it is not done is no
/// fault of the upgrade's: the next one does it.
async fn prune(azure: &Azure, ui: &Ui, watched: &Watched, before: &PackageBefore) {
    let keep = [watched.sha256.clone(), before.sha256.clone()];
    let pruned = match url(before) {
        Ok(container) => kept::prune(azure, &container, &keep, Access::JustGranted).await,
        Err(error) => Err(error),
    };
    if let Err(error) = pruned {
        ui.say(Event::Note { text: format!("older packages stay in the storage account: {error}") });
    }
}

fn url(before: &PackageBefore) -> Result<Url, AzureError> {
    Url::parse(&before.container_url).map_err(|_| AzureError::Incomplete {
        what: "putting the package back".to_owned(),
        missing: "usable address of the container",
    })
}

/// An error with its causes on one line.
pub(super) fn in_words(error: &TrialError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::as_before;

    #[test]
    fn settings_that_an_upgrade_made_go_and_those_that_it_changed_come_back() {
        let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let now = map(&[("CHANGED", "new"), ("MADE", "new"), ("MY_EXTRA", "set meanwhile")]);
        let before =
            BTreeMap::from([("CHANGED".to_owned(), Some("old".to_owned())), ("MADE".to_owned(), None)]);
        assert_eq!(as_before(now, &before), map(&[("CHANGED", "old"), ("MY_EXTRA", "set meanwhile")]));
    }
}
