//! The parts of an intent: each a choice among few, or what belongs together.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::answers::secret::SecretSource;

/// Who gives the roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoleAssignments {
    /// This installer.
    Installer,
    /// An administrator, by printed commands.
    External,
}

/// The workspace, as it was named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkspaceAnswer {
    /// By resource id.
    ResourceId(String),
    /// By the workspace's own id, to be looked up.
    WorkspaceId(String),
}

/// Generation of the Mimecast API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MimecastApi {
    /// OAuth client credentials.
    Two,
    /// Signed calls.
    One,
}

impl MimecastApi {
    /// As the setting has it.
    pub fn text(self) -> &'static str {
        match self {
            Self::Two => "2.0",
            Self::One => "1.0",
        }
    }
}

/// One Mimecast account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its short name; empty where there is one only.
    pub key: String,
    /// Generation of its API.
    pub api: MimecastApi,
    /// Address of its API, or a Key Vault reference to it.
    pub base_url: String,
    /// Where its credentials are kept, by the word of the key (`client_id`).
    pub secrets: BTreeMap<&'static str, SecretSource>,
    /// Path of its keys in the answers: `mimecast`, or `accounts.0`.
    pub path: String,
}

/// How the worker signs in to deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// The managed identity.
    Managed,
    /// An app registration.
    AppRegistration {
        /// Its client id.
        client_id: SecretSource,
        /// Its client secret.
        client_secret: SecretSource,
        /// Its tenant.
        tenant_id: String,
    },
}

/// How events are collected. Durations are the texts of the worker's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collect {
    /// Six-field NCRONTAB schedule.
    pub schedule: String,
    /// How far back the first run reaches.
    pub first_run: String,
    /// How long events may take to appear.
    pub settle: String,
    /// How far each run reaches back.
    pub overlap: String,
    /// Category codes, all when empty.
    pub categories: Vec<String>,
    /// Whether there is a work queue in any case.
    pub work_queue: WorkQueue,
}

/// When work goes through a storage queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkQueue {
    /// Where there are several accounts.
    Auto,
    /// In any case, so that a past range can be asked for.
    Always,
}

/// The plan of the Function App.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hosting {
    /// Flex Consumption with this much memory.
    FlexConsumption {
        /// Memory of an instance.
        memory_mb: u32,
    },
    /// Dedicated B1, always on.
    Dedicated,
}

/// What to do with a soft-deleted vault of the installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDeletedVault {
    /// Recover it.
    Recover,
    /// Purge it and make a new one.
    Purge,
    /// Leave it and take a new name.
    NewName,
}

/// Which analytics rules to add.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rules {
    /// The recommended ones.
    Recommended,
    /// All of them.
    All,
    /// None.
    Off,
}

/// Sentinel content to add.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    /// The connector's page.
    pub connector_page: bool,
    /// The workbook.
    pub workbook: bool,
    /// Analytics rules.
    pub rules: Rules,
    /// Hunting queries.
    pub hunting: bool,
    /// Parsers for ASIM.
    pub asim: bool,
    /// Whether the workspace's custom unifying parsers call them.
    pub asim_unifying: bool,
}

/// What becomes of content that a person has changed by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TunedContent {
    /// It stays as it is.
    Keep,
    /// It is written anew, as if nobody had changed it.
    Reset,
}
