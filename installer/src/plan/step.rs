//! A step of a plan: what is done to which resource, what it waits for, and how it is undone.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::change::{Change, PropertyChange};
use super::unproven::Unproven;

/// One step. It carries everything that is needed to do it, so that doing it takes no decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Its name, unique in the plan; other steps and marks refer to it.
    pub key: String,
    /// What it is about, for people: `storage account `stmimecast…``.
    pub title: String,
    /// What is done.
    pub action: Action,
    /// Keys of the steps that come before it. A key that is no step of the plan is done already.
    pub depends_on: Vec<String>,
    /// What it changes.
    pub change: Change,
    /// What takes it back; absent where nothing is left to take back or where it is kept by rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Action>,
}

/// What a step does. Texts may hold marks of values that other steps make.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Action {
    /// Registers a resource provider in a subscription.
    RegisterProvider {
        /// The subscription.
        subscription_id: String,
        /// The provider, such as `Microsoft.Web`.
        namespace: String,
    },
    /// Makes or changes a resource.
    PutResource {
        /// Its ARM path.
        id: String,
        /// API version of its type.
        api_version: String,
        /// Its body.
        body: Value,
    },
    /// Gives a role. The assignment's name follows from scope, principal and role.
    AssignRole {
        /// Where.
        scope: String,
        /// API version.
        api_version: String,
        /// The assignment's body.
        body: Value,
        /// Whether the installation works without it, so that a refusal is told and passed over.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        optional: bool,
    },
    /// Takes a role back that was given by [`Action::AssignRole`] for these three.
    UnassignRole {
        /// Where.
        scope: String,
        /// API version.
        api_version: String,
        /// Whose.
        principal_id: String,
        /// Id of the role's definition.
        role: String,
    },
    /// Waits until an administrator has given a role.
    AwaitRole {
        /// Where.
        scope: String,
        /// API version.
        api_version: String,
        /// Whose.
        principal_id: String,
        /// What they are, as Azure names it; empty where that is not known.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        principal_type: String,
        /// Id of the role's definition.
        role: String,
    },
    /// Tells the owner of a vault that is not ours how to let the worker read a secret. Nothing is changed
    /// and nothing is waited for: the app's reference shows whether they have.
    TellOwner {
        /// The app setting that refers to the secret, where one does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        setting: Option<String>,
        /// The command.
        command: String,
    },
    /// Writes a secret. Its value is not in the plan: it is looked up by the key of the answers.
    PutSecret {
        /// ARM path of the vault.
        vault_id: String,
        /// Where the vault's own API answers.
        vault_uri: String,
        /// The secret's name.
        name: String,
        /// Key of the answers whose value it is.
        answer: String,
    },
    /// Turns a classic table into one that data collection rules can feed. One-way.
    MigrateTable {
        /// The table's ARM path.
        id: String,
        /// API version.
        api_version: String,
    },
    /// Writes a blob unless it is there.
    UploadIfAbsent {
        /// The container's address.
        container_url: String,
        /// The blob's name.
        blob: String,
        /// Its text.
        text: String,
        /// Whether the installation works without it, so that a refusal is told and passed over.
        optional: bool,
    },
    /// Keeps the worker package under the name of its hash.
    UploadPackage {
        /// The container's address.
        container_url: String,
        /// SHA-256 of the package.
        sha256: String,
        /// Whether the installation works without it, so that a refusal is told and passed over.
        optional: bool,
    },
    /// Publishes the worker package to the Function App and names it in the app's tags.
    Publish {
        /// ARM path of the site.
        site_id: String,
        /// SHA-256 of the package.
        sha256: String,
        /// SHA-256 of the package that was there before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        previous: Option<String>,
        /// Address of the container that keeps the package, where it is taken from there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stored_in: Option<String>,
        /// What is put back where it cannot be published, since settings were changed for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        put_back: Option<Box<Trial>>,
    },
    /// Makes sure that a package is kept under its hash, so that it can be put back.
    CheckPackage {
        /// The container's address.
        container_url: String,
        /// SHA-256 of the package.
        sha256: String,
        /// Whether a refusal to look is passed over.
        optional: bool,
    },
    /// Deletes the kept packages but these. That a person may not is passed over: the next one does it.
    PrunePackages {
        /// The container's address.
        container_url: String,
        /// SHA-256 of those that stay.
        keep: Vec<String>,
    },
    /// Notes in the app what runs now, before any of it is changed.
    BeginTrial(Trial),
    /// Tries what was published and set: host healthy, timer registered, one good run. Where that is not
    /// seen within the limit, puts back what was there before, and says so in its result.
    TryPackage(Trial),
    /// Takes the note away that [`Action::BeginTrial`] made: all is done.
    EndTrial {
        /// ARM path of the site.
        site_id: String,
    },
    /// Writes new versions of secrets, has the app read them, and proves them by a run. Where no good run
    /// is seen within the limit, puts the old values back, and says so in its result.
    RotateSecrets(Rotation),
    /// Changes app settings: the others stay as they are.
    MergeSettings {
        /// ARM path of the site.
        site_id: String,
        /// Settings to write.
        set: BTreeMap<String, String>,
        /// Settings to take away.
        remove: Vec<String>,
    },
    /// Purges a deleted vault, so that its name is free. What was in it is gone for good.
    PurgeVault {
        /// ARM path of the deleted vault.
        id: String,
        /// API version.
        api_version: String,
    },
    /// Deletes a resource. One that is gone already is fine.
    Delete {
        /// Its ARM path.
        id: String,
        /// API version of its type.
        api_version: String,
    },
    /// Deletes the resource group if nothing is in it any more.
    DeleteEmptyGroup {
        /// Its ARM path.
        id: String,
        /// API version.
        api_version: String,
    },
}

/// What is tried after an upgrade, and what is put back where it does not work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// What is watched.
    pub watched: Watched,
    /// What ran before.
    pub before: Unproven,
}

/// The package that an upgrade replaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageBefore {
    /// Its SHA-256.
    pub sha256: String,
    /// SHA-256 of the one before it, as the site's tag said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
    /// Address of the container that keeps it.
    pub container_url: String,
}

/// A running installation whose next good run is waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    /// ARM path of the site.
    pub site_id: String,
    /// The installation's name, as its health rows have it.
    pub installation: String,
    /// Keys of the accounts whose runs count, where it has several.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub accounts: BTreeSet<String>,
    /// The workspace's own id, for queries.
    pub workspace_customer_id: String,
    /// SHA-256 of the package whose run counts; any where it is empty.
    pub sha256: String,
    /// How long to wait for each thing that has to come.
    pub limit_secs: u64,
}

/// Secrets that get new versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    /// ARM path of the vault.
    pub vault_id: String,
    /// Where the vault's own API answers.
    pub vault_uri: String,
    /// Names of the secrets, with the keys of the answers whose values they get.
    pub secrets: BTreeMap<String, String>,
    /// What proves them.
    pub watched: Watched,
}

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The plan cannot be carried out.
    Refuses,
    /// It can, and something will be wrong or missing.
    Warning,
    /// Good to know.
    Note,
}

/// An item of content that a person has changed, and that stays as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tuned {
    /// For people.
    pub title: String,
    /// What the person changed: ours after theirs.
    pub changes: Vec<PropertyChange>,
}

/// Something that was seen while planning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Which kind of finding: a short word, stable, for scripts and for the documentation.
    pub id: String,
    /// Its weight.
    pub severity: Severity,
    /// What was seen.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Finding {
    /// A finding that stops the plan.
    pub fn refuses(id: &str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            id: id.to_owned(),
            severity: Severity::Refuses,
            message: message.into(),
            remedy: Some(remedy.into()),
        }
    }

    /// A finding that does not.
    pub fn warns(id: &str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::refuses(id, message, remedy) }
    }

    /// Something good to know.
    pub fn notes(id: &str, message: impl Into<String>) -> Self {
        Self { id: id.to_owned(), severity: Severity::Note, message: message.into(), remedy: None }
    }
}
