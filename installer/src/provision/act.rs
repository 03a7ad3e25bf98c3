//! Carries out one step.

use bytes::Bytes;
use serde_json::{Value, json};
use url::Url;

use super::wait::{Waited, wait_for, wait_until};
use super::{Material, ProvisionError, Surroundings, rotate, rule, trial};
use crate::azure::blob::Access;
use crate::azure::vault::{NewVersion, Vault};
use crate::azure::{Age, Azure, AzureError, ResourceId};
use crate::deploy;
use crate::deploy::kept::{self, KeptError};
use crate::deploy::publish::{Runs, Unpublished};
use crate::inventory::Assignment;
use crate::plan::template::{api_version, assignment_name};
use crate::plan::{Action, Finding, Step, role_command};
use crate::ui::failure::told;
use crate::ui::{Event, Ui, Usual};
use crate::world::World;

/// Type of role assignments below their scope.
const ASSIGNMENTS: &str = "Microsoft.Authorization/roleAssignments";

/// Why a data call may take a while.
const ROLE_SPREADS: Usual = Usual {
    reason: "a role given a moment ago usually works within two minutes, at times thirty",
    secs: 120,
};
/// Why a resource may take a while.
const AZURE_MAKES_IT: Usual = Usual { reason: "Azure usually does it within a minute", secs: 60 };
/// Why a first deployment takes a while.
const FIRST_DEPLOYMENT: Usual = Usual {
    reason: "a first deployment usually takes one to five minutes: the host's name and role must be known first",
    secs: 180,
};
/// Why a secret may take a while.
const VAULT_IS_NEW: Usual =
    Usual { reason: "the name of a new vault is usually known everywhere within a minute", secs: 60 };
/// Why a registration takes a while.
const REGISTERING: Usual = Usual { reason: "registering usually takes a minute or two", secs: 90 };
/// Why a deletion takes a while.
const DELETING: Usual = Usual { reason: "Azure usually takes it away within a minute", secs: 60 };
/// Why a migration takes a while.
const MIGRATING: Usual = Usual { reason: "migrating a table usually takes some minutes", secs: 180 };
/// Why a rule may take a while.
const SCHEMA_SPREADS: Usual =
    Usual { reason: "a new table or function is usually known to queries within ten minutes", secs: 600 };
/// Why purging takes a while.
const PURGING: Usual = Usual { reason: "purging usually takes a minute", secs: 60 };

/// A step, and what carrying it out takes.
pub(super) struct Doing<'a> {
    pub(super) azure: &'a Azure,
    pub(super) ui: &'a Ui,
    pub(super) world: &'a World,
    pub(super) step: &'a Step,
    pub(super) material: &'a Material,
    pub(super) surroundings: Surroundings,
    /// Whether a step that it builds on was passed over: a right that was not given.
    pub(super) without: bool,
}

/// How a step ended, where it did not fail.
#[derive(Debug)]
pub(super) enum Ended {
    /// Done, with the resource as Azure has it now, or null.
    Made(Value),
    /// Passed over, and why.
    Skipped(String),
}

impl Ended {
    /// Done, and no resource came of it.
    const NOTHING: Self = Self::Made(Value::Null);
}

impl Doing<'_> {
    /// Does the work, and tells why it takes long, once it does.
    async fn when_slow<T>(&self, usual: Usual, work: impl Future<Output = T>) -> T {
        self.told_when_slow(usual.reason, Some(usual.secs), work).await
    }

    async fn told_when_slow<T>(
        &self,
        reason: &str,
        usual_secs: Option<u64>,
        work: impl Future<Output = T>,
    ) -> T {
        let mut work = std::pin::pin!(work);
        let slow = tokio::time::sleep(self.azure.timings().poll_every);
        tokio::select! {
            done = &mut work => return done,
            () = slow => {}
        }
        self.ui.say(Event::StepWaiting {
            key: self.step.key.clone(),
            title: self.step.title.clone(),
            reason: reason.to_owned(),
            usual_secs,
        });
        work.await
    }

    /// Says that a setting which nobody asked for was taken away.
    fn removed(&self, name: &str) {
        self.ui.say(Event::Note {
            text: format!(
                "the setting `{name}`, which Azure had added, overrides the sign-in by identity: taken away"
            ),
        });
    }

    /// Turns a refusal of something optional into a word on what follows from it.
    fn pass_over(
        &self,
        optional: bool,
        done: Result<(), AzureError>,
        follows: &str,
    ) -> Result<Ended, AzureError> {
        match done {
            Ok(()) => Ok(Ended::NOTHING),
            Err(error) if optional && error.status() == Some(403) => {
                Ok(Ended::Skipped(format!("this account may not use the blobs there; {follows}")))
            }
            Err(error) => Err(error),
        }
    }

    /// Does what the action says.
    pub(super) async fn act(&self, action: Action) -> Result<Ended, ProvisionError> {
        let Self { azure, ui, world, step, material, surroundings, .. } = *self;
        let refused = |source: AzureError| ProvisionError::Step { title: step.title.clone(), source };
        let parse = |id: &str| ResourceId::parse(id).map_err(|error| refused(AzureError::Id(error)));
        let missing =
            |what: &str| ProvisionError::Material { title: step.title.clone(), what: what.to_owned() };
        let not_kept = |source: KeptError| ProvisionError::Kept { title: step.title.clone(), source };
        match action {
            Action::PutResource { id, api_version, body } if rule::of_rule(&id) => {
                let put = rule::put(azure, &id, &api_version, &body);
                self.when_slow(SCHEMA_SPREADS, put).await.map(Ended::Made).map_err(refused)
            }
            Action::PutResource { id, api_version, body } => {
                let id = parse(&id)?;
                let made = self.when_slow(AZURE_MAKES_IT, put(azure, &id, &api_version, &body, surroundings));
                let made = made.await.map_err(refused)?;
                match lost_column(&body, &made) {
                    None => Ok(Ended::Made(made)),
                    Some(column) => Err(ProvisionError::Column { title: step.title.clone(), column }),
                }
            }
            Action::AssignRole { scope, api_version, body, optional } => {
                let text = |name: &str| body["properties"][name].as_str().unwrap_or_default().to_owned();
                let role = text("roleDefinitionId").rsplit('/').next().unwrap_or_default().to_owned();
                let name = assignment_name(&scope, &text("principalId"), &role);
                let id = parse(&format!("{scope}/providers/{ASSIGNMENTS}/{name}"))?;
                let given =
                    self.when_slow(AZURE_MAKES_IT, put(azure, &id, &api_version, &body, surroundings));
                match given.await {
                    // The same role for the same principal under another name: it is given.
                    Err(error) if error.has_code("RoleAssignmentExists") => Ok(Ended::Made(body)),
                    // A condition on the right to give roles shows only when it is used.
                    Err(error) if optional && error.status() == Some(403) => {
                        Ok(Ended::Skipped(format!("this account may not give it: {}", told(error.cause()))))
                    }
                    other => other.map(Ended::Made).map_err(refused),
                }
            }
            Action::UnassignRole { scope, api_version, principal_id, role } => {
                if self.without {
                    return Ok(Ended::Skipped("it was not given".to_owned()));
                }
                let name = assignment_name(&scope, &principal_id, &role);
                let id = parse(&format!("{scope}/providers/{ASSIGNMENTS}/{name}"))?;
                azure.delete(&id, &api_version).await.map_err(refused)?;
                Ok(Ended::NOTHING)
            }
            Action::TellOwner { setting, command } => {
                ui.say(Event::Found {
                    finding: Finding::warns(
                        "foreign-vault",
                        format!("for the owner: {}", step.title),
                        &command,
                    ),
                });
                Ok(Ended::Made(json!({ "setting": setting, "command": command })))
            }
            Action::PutSecret { vault_id, vault_uri, name, answer } => {
                let value = material
                    .secrets
                    .get(&answer)
                    .ok_or_else(|| missing(&format!("the value of `{answer}`")))?;
                let vault = Vault {
                    id: parse(&vault_id)?,
                    uri: url(&vault_uri).ok_or_else(|| missing("the vault's address"))?,
                };
                // A vault that was there has told who may use it; no role is given for this.
                let access = match surroundings {
                    Surroundings::New => Access::JustGranted,
                    Surroundings::Settled => Access::Standing,
                };
                let writing = azure.set_secret(&vault, &name, NewVersion::settled(value), access);
                self.when_slow(VAULT_IS_NEW, writing).await.map_err(refused)?;
                Ok(Ended::NOTHING)
            }
            Action::RegisterProvider { subscription_id, namespace } => {
                let registering = register(azure, &subscription_id, &namespace);
                self.when_slow(REGISTERING, registering).await.map_err(refused)?;
                Ok(Ended::NOTHING)
            }
            Action::MigrateTable { id, api_version } => {
                let id = parse(&id)?;
                let migrating = azure.post(&id, "migrate", &api_version, &Value::Null);
                self.when_slow(MIGRATING, migrating).await.map(Ended::Made).map_err(refused)
            }
            Action::AwaitRole { scope, api_version, principal_id, principal_type, role } => {
                let waiting = await_role(azure, &scope, &api_version, &principal_id, &role);
                let command = role_command(&scope, &principal_id, &principal_type, &role);
                match self.told_when_slow(&command, None, waiting).await.map_err(refused)? {
                    Waited::Seen => Ok(Ended::NOTHING),
                    Waited::NotWithin(waited) => Err(ProvisionError::NotGiven {
                        title: step.title.clone(),
                        command,
                        waited_secs: waited.as_secs(),
                    }),
                }
            }
            Action::UploadIfAbsent { container_url, blob, text, optional } => {
                let container = url(&container_url).ok_or_else(|| missing("the container's address"))?;
                let optional = optional || self.without;
                let uploading =
                    azure.upload_if_absent(&container, &blob, Bytes::from(text), access(optional));
                let uploaded = self.when_slow(ROLE_SPREADS, uploading).await.map(drop);
                self.pass_over(optional, uploaded, "the worker makes it on its first run").map_err(refused)
            }
            Action::UploadPackage { container_url, sha256, optional } => {
                let container = url(&container_url).ok_or_else(|| missing("the container's address"))?;
                let package = material.package.clone().ok_or_else(|| missing("the worker package"))?;
                let name = kept::blob_name(&sha256);
                let optional = optional || self.without;
                let uploading = azure.upload_if_absent(&container, &name, package, access(optional));
                let uploaded = self.when_slow(ROLE_SPREADS, uploading).await.map(drop);
                let without = "going back to this package later is not possible";
                self.pass_over(optional, uploaded, without).map_err(refused)
            }
            Action::Publish { site_id, sha256, previous, stored_in, put_back } => {
                let named = Named { site_id: parse(&site_id)?, sha256, previous, stored_in };
                let (runs, error) = match self.publish(&named).await {
                    Ok(site) => return Ok(Ended::Made(site)),
                    Err(unpublished) => unpublished,
                };
                let Some(before) = put_back else { return Err(error) };
                let done = trial::put_back_unpublished(azure, ui, &before, runs, &error).await;
                Err(match done {
                    Ok(()) => ProvisionError::NotPublished(Box::new(error)),
                    Err(source) => ProvisionError::Trial { title: step.title.clone(), source },
                })
            }
            Action::CheckPackage { container_url, sha256, optional } => {
                let container = url(&container_url).ok_or_else(|| missing("the container's address"))?;
                let name = kept::blob_name(&sha256);
                let optional = optional || self.without;
                let looking = azure.blob_exists(&container, &name, access(optional));
                match self.when_slow(ROLE_SPREADS, looking).await {
                    Ok(true) => Ok(Ended::NOTHING),
                    Ok(false) => Err(not_kept(KeptError::Missing(name))),
                    Err(error) => {
                        let without = "it cannot be put back by itself where the new one does not work";
                        self.pass_over(optional, Err(error), without).map_err(refused)
                    }
                }
            }
            Action::PrunePackages { container_url, keep } => {
                let container = url(&container_url).ok_or_else(|| missing("the container's address"))?;
                let pruned = kept::prune(azure, &container, &keep, access(self.without)).await;
                self.pass_over(true, pruned, "older packages stay until another time").map_err(refused)
            }
            Action::BeginTrial(what) => {
                trial::begin(azure, &what).await.map_err(refused)?;
                Ok(Ended::NOTHING)
            }
            Action::EndTrial { site_id } => {
                trial::end(azure, ui, &site_id).await;
                Ok(Ended::NOTHING)
            }
            Action::TryPackage(what) => trial::run(azure, ui, world, &what)
                .await
                .map(Ended::Made)
                .map_err(|source| ProvisionError::Trial { title: step.title.clone(), source }),
            Action::RotateSecrets(what) => rotate::run(azure, ui, world, &what, &material.secrets)
                .await
                .map(Ended::Made)
                .map_err(|source| ProvisionError::Rotate { title: step.title.clone(), source }),
            Action::MergeSettings { site_id, set, remove } => {
                let id = parse(&site_id)?;
                let before = azure.app_settings(&id).await.map_err(refused)?;
                let mut settings = before.clone();
                for name in &remove {
                    if settings.remove(name).is_some() {
                        self.removed(name);
                    }
                }
                settings.extend(set);
                // A write starts the app anew.
                if settings == before {
                    return Ok(Ended::Skipped("they are as they should be".to_owned()));
                }
                azure.set_app_settings(&id, &settings).await.map_err(refused)?;
                Ok(Ended::NOTHING)
            }
            Action::PurgeVault { id, api_version } => {
                let id = parse(&id)?;
                let purging = azure.post(&id, "purge", &api_version, &Value::Null);
                match self.when_slow(PURGING, purging).await {
                    // Somebody else was faster.
                    Err(error) if error.status() == Some(404) => Ok(Ended::NOTHING),
                    purged => purged.map(Ended::Made).map_err(refused),
                }
            }
            Action::Delete { id, api_version } => {
                let id = parse(&id)?;
                self.when_slow(DELETING, azure.delete(&id, &api_version)).await.map_err(refused)?;
                Ok(Ended::NOTHING)
            }
            Action::DeleteEmptyGroup { id, api_version } => {
                let left = resources_in(azure, &id).await.map_err(refused)?;
                if left > 0 {
                    return Ok(Ended::Skipped(format!("{left} other resources are in it")));
                }
                let id = parse(&id)?;
                self.when_slow(DELETING, azure.delete(&id, &api_version)).await.map_err(refused)?;
                Ok(Ended::NOTHING)
            }
        }
    }
}

/// How many resources a group holds. What the group's list still has of those that were just deleted does not
/// count: the list lags behind, reading a resource does not
/// (<https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/error-not-found>).
async fn resources_in(azure: &Azure, group: &str) -> Result<usize, AzureError> {
    let listed = azure.list(&format!("{group}/resources"), crate::plan::template::RESOURCES_VERSION).await?;
    let mut count = 0;
    for resource in listed {
        let text = |name: &str| resource[name].as_str().unwrap_or_default();
        // How others' kinds are read is not known: they are there.
        let there = match (ResourceId::parse(text("id")), api_version(text("type"))) {
            (Ok(id), Ok(version)) => azure.get(&id, version).await?.is_some(),
            _ => true,
        };
        count += usize::from(there);
    }
    Ok(count)
}

/// The package that an app shall run, by its hash.
struct Named {
    site_id: ResourceId,
    sha256: String,
    previous: Option<String>,
    /// Address of the container that keeps it; absent where it comes with the plan.
    stored_in: Option<String>,
}

impl Doing<'_> {
    /// Publishes a package; gives the site, or what the app runs after the failure.
    async fn publish(&self, named: &Named) -> Result<Value, (Runs, ProvisionError)> {
        let title = || self.step.title.clone();
        let missing =
            |what: &str| (Runs::AsBefore, ProvisionError::Material { title: title(), what: what.to_owned() });
        let package = match &named.stored_in {
            None => self.material.package.clone().ok_or_else(|| missing("the worker package"))?,
            Some(container) => {
                let container = url(container).ok_or_else(|| missing("the container's address"))?;
                let fetching = kept::fetch(self.azure, &container, &named.sha256, access(self.without));
                self.when_slow(ROLE_SPREADS, fetching)
                    .await
                    .map_err(|source| (Runs::AsBefore, ProvisionError::Kept { title: title(), source }))?
            }
        };
        let previous = named.previous.as_deref();
        let publishing =
            deploy::publish::publish(self.azure, &named.site_id, package, &named.sha256, previous);
        self.when_slow(FIRST_DEPLOYMENT, publishing)
            .await
            .map_err(|Unpublished { runs, source }| (runs, ProvisionError::Step { title: title(), source }))
    }
}

/// A right that we gave needs its time; one that we did not give is there or is not.
fn access(optional: bool) -> Access {
    if optional { Access::Standing } else { Access::JustGranted }
}

async fn put(
    azure: &Azure,
    id: &ResourceId,
    api_version: &str,
    body: &Value,
    surroundings: Surroundings,
) -> Result<Value, AzureError> {
    match surroundings {
        // An earlier run of this may have made them a moment before it was stopped.
        Surroundings::Settled => azure.put_on_new(id, api_version, body, Age::Unknown).await,
        Surroundings::New => azure.put_on_new(id, api_version, body, Age::New).await,
    }
}

/// The first column of a written table that is not there when the table is read back. A write replaces the
/// whole list, so a column that is missing is somebody's data that no query finds any more.
fn lost_column(written: &Value, read: &Value) -> Option<String> {
    let schema = "/properties/schema";
    let wanted = written.pointer(schema)?["columns"].as_array()?;
    let read = &read.pointer(schema).unwrap_or(&Value::Null);
    let there = |column: &Value| {
        ["columns", "standardColumns"].into_iter().filter_map(|list| read[list].as_array()).flatten().any(
            |each| {
                let same = |member: &str| {
                    let text =
                        |value: &Value| value[member].as_str().unwrap_or_default().to_ascii_lowercase();
                    text(each) == text(column)
                };
                same("name") && same("type")
            },
        )
    };
    wanted.iter().find(|column| !there(column)).map(|column| {
        let text = |member: &str| column[member].as_str().unwrap_or_default();
        format!("{} ({})", text("name"), text("type"))
    })
}

/// Waits until somebody has given the role.
async fn await_role(
    azure: &Azure,
    scope: &str,
    api_version: &str,
    principal_id: &str,
    role: &str,
) -> Result<Waited, AzureError> {
    let path = format!("{scope}/providers/{ASSIGNMENTS}?%24filter=atScope()");
    wait_for(azure, async || {
        let list = azure.list(&path, api_version).await?;
        Ok(list.iter().filter_map(Assignment::of).any(|each| each.is(scope, principal_id, role)))
    })
    .await
}

/// Registers a provider and waits until it is.
async fn register(azure: &Azure, subscription_id: &str, namespace: &str) -> Result<(), AzureError> {
    let version = crate::plan::template::RESOURCES_VERSION;
    let id = ResourceId::parse(&format!("/subscriptions/{subscription_id}/providers/{namespace}"))?;
    azure.post(&id, "register", version, &json!({})).await?;
    wait_until(azure, &id, version, |provider| provider["registrationState"] == "Registered").await
}

fn url(text: &str) -> Option<Url> {
    Url::parse(text).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::lost_column;

    #[test]
    fn a_column_that_is_not_read_back_is_named() {
        let written = json!({ "properties": { "schema": { "columns": [
            { "name": "TimeGenerated", "type": "dateTime" },
            { "name": "theirs_s", "type": "string" },
            { "name": "lag_d", "type": "real" },
        ] } } });
        let read = |columns: serde_json::Value| {
            let standard = json!([{ "name": "TenantId", "type": "guid" }, { "name": "timegenerated", "type": "datetime" }]);
            json!({ "properties": { "schema": { "columns": columns, "standardColumns": standard } } })
        };
        // In whatever list, order and case Azure gives them back.
        let all =
            read(json!([{ "name": "lag_d", "type": "Real" }, { "name": "theirs_s", "type": "string" }]));
        assert_eq!(lost_column(&written, &all), None);
        let fewer = read(json!([{ "name": "lag_d", "type": "real" }]));
        assert_eq!(lost_column(&written, &fewer), Some("theirs_s (string)".to_owned()));
        let other =
            read(json!([{ "name": "lag_d", "type": "long" }, { "name": "theirs_s", "type": "string" }]));
        assert_eq!(lost_column(&written, &other), Some("lag_d (real)".to_owned()));
        assert_eq!(lost_column(&written, &json!({})), Some("TimeGenerated (dateTime)".to_owned()));
        // What is no table has no columns to lose.
        assert_eq!(lost_column(&json!({ "location": "westeurope" }), &json!({})), None);
    }
}
