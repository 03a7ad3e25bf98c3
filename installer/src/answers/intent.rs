//! What the answers mean: complete and valid, or every problem at once.

mod cloud;
mod parts;
mod period;
mod reader;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use contract::cloud::CloudProfile;
use contract::settings::account_secret;

use super::given::{Given, Origin, Problem};
use super::keys;
use super::secret::SecretSource;
use crate::world::World;
pub use cloud::cloud;
pub use parts::{
    Account, Collect, Content, Delivery, Hosting, MimecastApi, OnDeletedVault, RoleAssignments, Rules,
    TunedContent, WorkQueue, WorkspaceAnswer,
};
pub use period::duration_secs;
use period::schedule;
use reader::Reader;

/// The complete and valid answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// Name of the installation.
    pub name: String,
    /// The cloud's endpoints.
    pub cloud: CloudProfile,
    /// Tenant to sign in to.
    pub tenant_id: Option<String>,
    /// Subscription of the resources.
    pub subscription_id: String,
    /// Their resource group.
    pub resource_group: String,
    /// Whether to make the group when it is absent.
    pub create_resource_group: bool,
    /// Their region; the workspace's without it.
    pub location: Option<String>,
    /// Tags beside ours.
    pub tags: BTreeMap<String, String>,
    /// Who may write the secrets later.
    pub operator_object_id: Option<String>,
    /// Who gives the roles.
    pub role_assignments: RoleAssignments,
    /// The workspace.
    pub workspace: WorkspaceAnswer,
    /// Whether a classic table is migrated.
    pub migrate_classic_table: bool,
    /// Days open to queries, where asked for.
    pub retention_days: Option<u32>,
    /// Days kept at all, where asked for.
    pub total_retention_days: Option<u32>,
    /// The Mimecast accounts, at least one.
    pub accounts: Vec<Account>,
    /// How the worker delivers.
    pub delivery: Delivery,
    /// How events are collected.
    pub collect: Collect,
    /// The Function App's plan.
    pub hosting: Hosting,
    /// Region of Application Insights.
    pub app_insights_location: Option<String>,
    /// Its workspace.
    pub app_insights_workspace_id: Option<String>,
    /// A soft-deleted vault.
    pub on_deleted_vault: OnDeletedVault,
    /// Whether the vault may never be purged early.
    pub purge_protection: bool,
    /// Sentinel content.
    pub content: Content,
    /// Content that was changed by hand. No answer, but a word of the command: it is not recorded.
    pub tuned_content: TunedContent,
    /// The answers as compact JSON, to be recorded in the app's settings. No secret is in it.
    pub recorded: String,
}

impl Intent {
    /// Whether the answers list accounts, be it one: each then has its own secret and its own place.
    pub fn several_accounts(&self) -> bool {
        self.accounts.iter().any(|account| !account.key.is_empty())
    }

    /// The keys of the accounts, where the answers list them.
    pub fn account_keys(&self) -> BTreeSet<String> {
        self.accounts.iter().map(|account| account.key.clone()).filter(|key| !key.is_empty()).collect()
    }

    /// Whether the installation has the work queue and the function that takes from it.
    pub fn work_queue(&self) -> bool {
        self.several_accounts() || self.collect.work_queue == WorkQueue::Always
    }

    /// The secrets of our vault: the name of each, and the key of the answers under which its value is.
    /// What is kept in another vault is not among them, but each of several accounts has one secret,
    /// which says where its values are.
    pub fn vault_secrets(&self) -> Vec<(String, String)> {
        let accounts = self.accounts.iter().filter(|account| !account.key.is_empty());
        let accounts = accounts.map(|account| (account_secret(&account.key), account.path.clone()));
        let single = self.secret_sources().into_iter().filter(|(path, source)| {
            keys::account_path(path).is_none() && !matches!(source, SecretSource::KeyVault(_))
        });
        accounts.chain(single.map(|(path, _)| (secret_name(&path), path))).collect()
    }

    /// Every place of a secret, with the path of its key.
    pub fn secret_sources(&self) -> Vec<(String, &SecretSource)> {
        let mut sources: Vec<(String, &SecretSource)> = self
            .accounts
            .iter()
            .flat_map(|account| {
                account.secrets.iter().map(|(word, source)| (format!("{}.{word}", account.path), source))
            })
            .collect();
        if let Delivery::AppRegistration { client_id, client_secret, .. } = &self.delivery {
            sources.push(("delivery.app_registration.client_id".to_owned(), client_id));
            sources.push(("delivery.app_registration.client_secret".to_owned(), client_secret));
        }
        sources
    }

    /// The answers that count, as compact JSON. A variable that happens to be set and that these
    /// answers have no use for is not one of them.
    fn recorded(&self, given: &Given) -> String {
        let used: Vec<String> = self.secret_sources().into_iter().map(|(path, _)| path).collect();
        let mut counting = Given::default();
        for (path, answer) in given.iter() {
            let by_chance =
                matches!(&answer.origin, Origin::Variable(name) if !name.starts_with(keys::VARIABLE_PREFIX));
            if !by_chance || used.iter().any(|each| each == path) {
                counting.put(path, answer.value.clone(), answer.origin.clone());
            }
        }
        counting.to_json().to_string()
    }

    /// The meaning of what was given.
    ///
    /// # Errors
    /// Every problem: what is missing, and what cannot be.
    pub fn of(given: &Given, world: &World) -> Result<Self, Vec<Problem>> {
        let mut reader = Reader { given, problems: Vec::new() };
        let cloud = reader.cloud(world);
        let name = reader.name();
        let subscription_id = reader.required("azure.subscription_id");
        let resource_group = reader.resource_group();
        let workspace = reader.workspace();
        let accounts = reader.accounts(&cloud);
        let delivery = reader.delivery(&cloud);
        let collect = reader.collect();
        let (retention_days, total_retention_days) = reader.retention();
        let tags = reader.tags();
        let app_insights_workspace_id = reader.text("monitoring.app_insights_workspace_id");
        if let Some(id) = &app_insights_workspace_id {
            reader.workspace_id_shape("monitoring.app_insights_workspace_id", id);
        }
        let intent = Self {
            name,
            tenant_id: reader.text("azure.tenant_id"),
            subscription_id,
            resource_group,
            create_resource_group: reader.flag("azure.create_resource_group"),
            location: reader.text("azure.location").map(|location| normal_location(&location)),
            tags,
            operator_object_id: reader.text("azure.operator_object_id"),
            role_assignments: match reader.choice("azure.role_assignments").as_str() {
                "external" => RoleAssignments::External,
                _ => RoleAssignments::Installer,
            },
            workspace,
            migrate_classic_table: reader.choice("table.on_classic") == "migrate",
            retention_days,
            total_retention_days,
            accounts,
            delivery,
            collect,
            hosting: match reader.choice("hosting.plan").as_str() {
                "dedicated" => Hosting::Dedicated,
                _ => Hosting::FlexConsumption {
                    memory_mb: reader.choice("hosting.memory_mb").parse().unwrap_or(512),
                },
            },
            app_insights_location: reader
                .text("monitoring.app_insights_location")
                .map(|location| normal_location(&location)),
            app_insights_workspace_id,
            on_deleted_vault: match reader.choice("vault.on_deleted").as_str() {
                "purge" => OnDeletedVault::Purge,
                "new-name" => OnDeletedVault::NewName,
                _ => OnDeletedVault::Recover,
            },
            purge_protection: reader.flag("vault.purge_protection"),
            content: Content {
                connector_page: reader.flag("content.connector_page"),
                workbook: reader.flag("content.workbook"),
                rules: match reader.choice("content.rules").as_str() {
                    "all" => Rules::All,
                    "off" => Rules::Off,
                    _ => Rules::Recommended,
                },
                hunting: reader.flag("content.hunting"),
                asim: reader.flag("content.asim"),
                asim_unifying: reader.flag("content.asim_unifying"),
            },
            tuned_content: TunedContent::Keep,
            cloud,
            recorded: String::new(),
        };
        let intent = Self { recorded: intent.recorded(given), ..intent };
        reader.no_markers();
        if reader.problems.is_empty() { Ok(intent) } else { Err(reader.problems) }
    }
}

/// Name in the vault of the secret that an answer gives: `mimecast.client_secret` is kept as
/// `mimecast-client-secret`, the names that the old connector used.
pub fn secret_name(answer: &str) -> String {
    answer
        .trim_start_matches("delivery.")
        .chars()
        .map(|each| if each.is_ascii_alphanumeric() { each } else { '-' })
        .collect()
}

/// A region as ids have it: `West Europe` is `westeurope`.
pub fn normal_location(location: &str) -> String {
    location.chars().filter(|each| !each.is_whitespace()).collect::<String>().to_ascii_lowercase()
}
