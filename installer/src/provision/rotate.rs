//! Gives secrets new versions, proves them by a run, and puts the old values back where they do not work.

use std::collections::BTreeMap;

use contract::secret::Secret;
use serde_json::{Value, json};
use url::Url;

use super::PutBackError;
use super::trial::{NotPutBack, in_words};
use crate::azure::blob::Access;
use crate::azure::vault::{NewVersion, SecretVersion, Standing, Vault};
use crate::azure::{Azure, AzureError, ResourceId};
use crate::plan::Rotation;
use crate::plan::template::SITES_VERSION;
use crate::ui::{Event, Ui};
use crate::verify::trial::{Seen, pass};
use crate::world::World;

/// The right on the vault may have been given a moment ago.
const ACCESS: Access = Access::JustGranted;

/// Why a rotation came to no end.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// Azure refused; what had been written was put back.
    #[error("Azure refused on the way; the old values are in use")]
    Azure(#[from] AzureError),
    /// The new values are proven and in use, and Azure refused to end the old ones.
    #[error(
        "a good run was seen with the new version of {names}, which stays in use; Azure refused to note that or to disable the old version"
    )]
    OldStays {
        /// The secrets.
        names: String,
        /// What Azure says.
        #[source]
        source: AzureError,
    },
    /// A new value was not given.
    #[error("the value of `{0}` was not given")]
    Value(String),
    /// The old values could not be put back.
    #[error(transparent)]
    NotPutBack(#[from] NotPutBack),
}

/// A secret whose present version is new.
struct Turned {
    name: String,
    version: String,
    /// The other versions that can still be read.
    old: Vec<String>,
    /// The value that it had when it was last seen to work.
    old_value: Option<Secret<String>>,
}

/// Rotates. The result names the secrets that were `rotated` and those `unchanged`, and has `put_back`
/// with the reason where the old values are in use again; `unproven` with the reason where no run could be looked
/// at, so that the new values are in use and the old versions stay enabled beside them.
pub(super) async fn run(
    azure: &Azure,
    ui: &Ui,
    world: &World,
    rotation: &Rotation,
    values: &BTreeMap<String, Secret<String>>,
) -> Result<Value, RotateError> {
    let site_id = ResourceId::parse(&rotation.watched.site_id).map_err(AzureError::Id)?;
    let vault = Vault {
        id: ResourceId::parse(&rotation.vault_id).map_err(AzureError::Id)?,
        uri: Url::parse(&rotation.vault_uri).map_err(|_| AzureError::Incomplete {
            what: "rotating secrets".to_owned(),
            missing: "vault's address",
        })?,
    };
    let (mut turned, mut unchanged) = (Vec::new(), Vec::new());
    for (name, answer) in &rotation.secrets {
        let value = values.get(answer).ok_or_else(|| RotateError::Value(answer.clone()))?;
        match turn(azure, &vault, name, value).await {
            Ok(Some(new)) => turned.push(new),
            Ok(None) => unchanged.push(name.clone()),
            Err(error) => {
                let reason = error.to_string();
                put_back(azure, &vault, &site_id, &turned)
                    .await
                    .map_err(|source| NotPutBack { reason, source })?;
                return Err(error.into());
            }
        }
    }
    if turned.is_empty() {
        return Ok(json!({ "rotated": [], "unchanged": unchanged }));
    }
    let names: Vec<&str> = turned.iter().map(|each| each.name.as_str()).collect();
    let proof = async {
        read_anew(azure, &site_id).await?;
        pass(azure, ui, world, &rotation.watched).await
    };
    match proof.await {
        Ok(Seen::GoodRun) => {}
        Ok(Seen::NoRun { reason, remedy }) => {
            return Ok(
                json!({ "rotated": names, "unchanged": unchanged, "unproven": reason, "advice": remedy }),
            );
        }
        Err(error) => {
            let reason = in_words(&error);
            ui.say(Event::Note {
                text: format!("no good run was seen ({reason}); putting the old values back"),
            });
            put_back(azure, &vault, &site_id, &turned)
                .await
                .map_err(|source| NotPutBack { reason: reason.clone(), source })?;
            let advice = error.advice();
            return Ok(
                json!({ "rotated": names, "unchanged": unchanged, "put_back": reason, "advice": advice }),
            );
        }
    }
    settle(azure, &vault, &turned).await?;
    Ok(json!({ "rotated": names, "unchanged": unchanged }))
}

/// Ends the trial of proven versions, and the old ones. A refusal for one secret does not keep the others from it.
async fn settle(azure: &Azure, vault: &Vault, turned: &[Turned]) -> Result<(), RotateError> {
    let (mut names, mut refusal) = (Vec::new(), None);
    for each in turned {
        let ended = async {
            // Before the old ones go: with none of them left this one is what an interrupted rotation goes back to.
            azure.settle_secret_version(vault, &each.name, &each.version, ACCESS).await?;
            for version in &each.old {
                azure.disable_secret_version(vault, &each.name, version, ACCESS).await?;
            }
            Ok(())
        };
        if let Err(error) = ended.await {
            names.push(format!("`{}`", each.name));
            refusal.get_or_insert(error);
        }
    }
    match refusal {
        None => Ok(()),
        Some(source) => Err(RotateError::OldStays { names: names.join(", "), source }),
    }
}

/// Writes the new version, as one that is on trial. `None` where the present one has this value and is the
/// only one that can be read: with another one readable an earlier rotation was stopped, and goes on here.
async fn turn(
    azure: &Azure,
    vault: &Vault,
    name: &str,
    value: &Secret<String>,
) -> Result<Option<Turned>, AzureError> {
    let versions = azure.secret_versions(vault, name, ACCESS).await?;
    let readable: Vec<&SecretVersion> = versions.iter().filter(|version| version.enabled).collect();
    let current = azure.secret_version(vault, name).await?.filter(|version| version.enabled);
    let current_value = match &current {
        Some(_) => azure.secret_value(vault, name, None, ACCESS).await?,
        None => None,
    };
    let turned = |version: &str, old_value: Option<Secret<String>>| {
        let others = readable.iter().map(|each| &each.version).filter(|each| *each != version);
        let (name, version) = (name.to_owned(), version.to_owned());
        Some(Turned { name, version, old: others.cloned().collect(), old_value })
    };
    let unchanged =
        current.as_ref().zip(current_value.as_ref()).filter(|(_, there)| there.expose() == value.expose());
    if let Some((current, _)) = unchanged {
        let others: Vec<&SecretVersion> =
            readable.iter().copied().filter(|each| each.version != current.version).collect();
        if others.is_empty() && current.standing == Standing::Settled {
            return Ok(None);
        }
        return Ok(turned(&current.version, good_value(azure, vault, name, &others).await?));
    }
    let old_value = match &current {
        Some(current) if current.standing == Standing::Settled => current_value,
        // A rotation was stopped before its proof: what it wrote is not what worked.
        _ => good_value(azure, vault, name, &readable).await?,
    };
    let written = azure.set_secret(vault, name, NewVersion::on_trial(value), ACCESS).await?;
    Ok(turned(&written.version, old_value))
}

/// The value of the newest of these versions that is not on trial.
async fn good_value(
    azure: &Azure,
    vault: &Vault,
    name: &str,
    versions: &[&SecretVersion],
) -> Result<Option<Secret<String>>, AzureError> {
    let settled = versions.iter().filter(|version| version.standing == Standing::Settled);
    match settled.max_by_key(|version| version.created_secs) {
        Some(good) => azure.secret_value(vault, name, Some(&good.version), ACCESS).await,
        None => Ok(None),
    }
}

/// Has the app resolve its references now, and the worker read them.
async fn read_anew(azure: &Azure, site_id: &ResourceId) -> Result<(), AzureError> {
    // Without it a reference is looked at once a day
    // (https://learn.microsoft.com/azure/app-service/app-service-key-vault-references#rotation).
    azure.post(site_id, "config/configreferences/appsettings/refresh", SITES_VERSION, &Value::Null).await?;
    azure.restart(site_id).await
}

/// Makes the old values the present ones again. A vault's newest version is the one that counts, so each
/// is written once more; the refused version and the old one that it repeats can't be read any longer.
async fn put_back(
    azure: &Azure,
    vault: &Vault,
    site_id: &ResourceId,
    turned: &[Turned],
) -> Result<(), PutBackError> {
    for each in turned {
        let Some(value) = &each.old_value else { return Err(PutBackError::NoOldValue(each.name.clone())) };
        azure.set_secret(vault, &each.name, NewVersion::settled(value), ACCESS).await?;
        for version in each.old.iter().chain([&each.version]) {
            azure.disable_secret_version(vault, &each.name, version, ACCESS).await?;
        }
    }
    if !turned.is_empty() {
        read_anew(azure, site_id).await?;
    }
    Ok(())
}
