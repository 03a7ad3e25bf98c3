//! Tries what an upgrade changed, and puts back what was there before where it does not work.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;

use contract::resources::PACKAGE_TAG;
use contract::settings::{MIMECAST_SENTINEL_PACKAGE, MIMECAST_SENTINEL_TRIAL};
use serde_json::{Value, json};
use url::Url;

use super::{ProvisionError, PutBackError};
use crate::azure::blob::Access;
use crate::azure::{Azure, AzureError, ResourceId};
use crate::deploy::publish::Runs;
use crate::deploy::{kept, publish};
use crate::plan::template::SITES_VERSION;
use crate::plan::{PackageBefore, Trial, Unproven, Watched, tag};
use crate::ui::{Event, Ui};
use crate::verify::trial::{Seen, pass, working};
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

/// Notes in the app what runs now, with the accounts that work now where an earlier note does not say.
pub(super) async fn begin(azure: &Azure, trial: &Trial) -> Result<(), AzureError> {
    let site_id = ResourceId::parse(&trial.watched.site_id)?;
    let accounts = match &trial.before.accounts {
        Some(accounts) => accounts.clone(),
        None => working(azure, &trial.watched).await,
    };
    let noted = Unproven { accounts: Some(accounts), ..trial.before.clone() };
    let mut settings = azure.app_settings(&site_id).await?;
    settings.insert(MIMECAST_SENTINEL_TRIAL.to_owned(), noted.text());
    azure.set_app_settings(&site_id, &settings).await.map(drop)
}

/// Runs the trial. Its result has `put_back` with the reason where what was there before runs again,
/// and `works_again` with whether it was seen to; `unseen` with the reason where it was passed and no run could be
/// looked at.
pub(super) async fn run(azure: &Azure, ui: &Ui, world: &World, trial: &Trial) -> Result<Value, NotPutBack> {
    let watched = Watched { accounts: accounts(azure, trial).await, ..trial.watched.clone() };
    let error = match pass(azure, ui, world, &watched).await {
        Ok(seen) => {
            if let Some(package) = &trial.before.package {
                prune(azure, ui, &trial.watched, package).await;
            }
            return Ok(match seen {
                Seen::GoodRun => json!({ "passed": true }),
                Seen::NoRun { reason, remedy } => {
                    json!({ "passed": true, "unseen": reason, "advice": remedy })
                }
            });
        }
        Err(error) => error,
    };
    let reason = in_words(&error);
    ui.say(Event::Note {
        text: format!("the trial was not passed ({reason}); putting back what ran before"),
    });
    put_back(azure, trial, Runs::AsBefore)
        .await
        .map_err(|source| NotPutBack { reason: reason.clone(), source })?;
    let old = Watched { sha256: hash_before(trial), ..watched };
    let again = pass(azure, ui, world, &old).await;
    let works_again = matches!(again, Ok(Seen::GoodRun));
    Ok(json!({ "put_back": reason, "advice": error.advice(), "works_again": works_again }))
}

/// The accounts whose runs count: those that worked before anything was changed.
async fn accounts(azure: &Azure, trial: &Trial) -> BTreeSet<String> {
    let noted = async {
        let site_id = ResourceId::parse(&trial.watched.site_id).ok()?;
        Unproven::of(&azure.app_settings(&site_id).await.ok()?)?.accounts
    };
    match noted.await {
        Some(accounts) => trial.watched.accounts.intersection(&accounts).cloned().collect(),
        // The note was taken away by hand.
        None => working(azure, &trial.watched).await,
    }
}

/// The hash that the rows of what ran before bear; empty where it named none.
fn hash_before(trial: &Trial) -> String {
    let package = trial.before.package.as_ref().map(|package| &package.sha256);
    match trial.before.settings.get(MIMECAST_SENTINEL_PACKAGE) {
        Some(named) => named.clone().unwrap_or_default(),
        None => package.unwrap_or(&trial.watched.sha256).clone(),
    }
}

/// Takes the note away. Where that is refused, the next upgrade makes the trial once more, which is no fault of
/// this one's.
pub(super) async fn end(azure: &Azure, ui: &Ui, site_id: &str) {
    let ended = async {
        let site_id = ResourceId::parse(site_id)?;
        let mut settings = azure.app_settings(&site_id).await?;
        if settings.remove(MIMECAST_SENTINEL_TRIAL).is_some() {
            azure.set_app_settings(&site_id, &settings).await?;
        }
        Ok::<_, AzureError>(())
    };
    if let Err(error) = ended.await {
        ui.say(Event::Note {
            text: format!(
                "the setting `{MIMECAST_SENTINEL_TRIAL}` could not be taken away, so the next upgrade makes the trial once more: {error}"
            ),
        });
    }
}

/// Puts back what a publication that failed was to change: the settings, and the package where the app may run
/// another one.
pub(super) async fn put_back_unpublished(
    azure: &Azure,
    ui: &Ui,
    trial: &Trial,
    runs: Runs,
    error: &ProvisionError,
) -> Result<(), NotPutBack> {
    let reason = in_words(error);
    ui.say(Event::Note {
        text: format!("the package could not be published ({reason}); putting back what ran before"),
    });
    put_back(azure, trial, runs).await.map_err(|source| NotPutBack { reason, source })
}

/// Puts package and settings back, and takes the note away. With [`Runs::AsBefore`] the app's tag is right about
/// the package that it runs.
async fn put_back(azure: &Azure, trial: &Trial, runs: Runs) -> Result<(), PutBackError> {
    let site_id = ResourceId::parse(&trial.watched.site_id).map_err(AzureError::Id)?;
    if let Some(before) = &trial.before.package {
        let site = azure.get(&site_id, SITES_VERSION).await?.unwrap_or_default();
        if runs == Runs::Either || tag(&site, PACKAGE_TAG) != Some(before.sha256.as_str()) {
            // Nothing is changed where it cannot be had.
            let package = kept::fetch(azure, &url(before)?, &before.sha256, Access::JustGranted).await?;
            publish::publish(azure, &site_id, package, &before.sha256, before.previous.as_deref())
                .await
                .map_err(|unpublished| unpublished.source)?;
        }
    }
    // The note goes with the last of it: whoever comes after an interruption before goes on from there.
    let settings = azure.app_settings(&site_id).await?;
    let mut before = as_before(settings.clone(), &trial.before.settings);
    before.remove(MIMECAST_SENTINEL_TRIAL);
    if before != settings {
        azure.set_app_settings(&site_id, &before).await?;
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
    let mut keep = vec![watched.sha256.clone(), before.sha256.clone()];
    // What was on trial and is gone back from is not the one before.
    keep.extend(before.previous.clone().filter(|_| before.sha256 == watched.sha256));
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
pub(super) fn in_words(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
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
