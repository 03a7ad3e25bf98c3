//! What an installation's Azure resources are called and how they are marked as ours.

use sha2::{Digest, Sha256};

/// Tag that carries the installation's name. Azure refuses `<>%&\?/` in tag names
/// (<https://learn.microsoft.com/azure/azure-resource-manager/management/tag-resources>).
pub const INSTALLATION_TAG: &str = "mimecast-sentinel-installation";
/// Tag that carries the version of the installer that last wrote the resource.
pub const VERSION_TAG: &str = "mimecast-sentinel-version";
/// Site tag that names the published package by its SHA-256.
pub const PACKAGE_TAG: &str = "mimecast-sentinel-package";
/// Site tag with the SHA-256 of the published worker's own file.
pub const WORKER_TAG: &str = "mimecast-sentinel-worker";
/// How many digits of the SHA-256 of its own file a worker reports behind its version.
pub const WORKER_HASH_DIGITS: usize = 16;
/// Site tag that names the package before it.
pub const PREVIOUS_PACKAGE_TAG: &str = "mimecast-sentinel-package-previous";
/// Tag of a secret's version that is being tried, or was.
pub const TRIAL_TAG: &str = "mimecast-sentinel-trial";

/// Container of the checkpoint.
pub const CHECKPOINT_CONTAINER: &str = "audit-checkpoints";
/// The checkpoint's blob.
pub const CHECKPOINT_BLOB: &str = "checkpoint.txt";
/// Container of the worker packages, by hash.
pub const PACKAGES_CONTAINER: &str = "packages";
/// Container that the Functions platform deploys from.
pub const DEPLOYMENTS_CONTAINER: &str = "deployments";
/// Container of the records that Azure refused.
pub const DEAD_LETTER_CONTAINER: &str = "dead-letters";
/// Queue of the work of several accounts and of backfills.
pub const SYNC_QUEUE: &str = "sync-work";

/// Name of the timer function, and so its path under the worker.
pub const TIMER_FUNCTION: &str = "Sync";
/// Name of the queue function.
pub const QUEUE_FUNCTION: &str = "SyncWork";
/// How long the host lets one invocation work, in seconds: `functionTimeout` of `host.json`.
pub const FUNCTION_TIMEOUT_SECS: u64 = 30 * 60;

/// An Azure built-in role: its name for people and its definition's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Role {
    /// The name in the portal.
    pub name: &'static str,
    /// Id of the role definition
    /// (<https://learn.microsoft.com/azure/role-based-access-control/built-in-roles>).
    pub definition_id: &'static str,
}

/// Read and write blobs and leases; the Functions host needs it for its own storage.
pub const STORAGE_BLOB_DATA_OWNER: Role =
    Role { name: "Storage Blob Data Owner", definition_id: "b7e6dc6d-f1e8-4753-8033-0f276bb0955b" };
/// Read and write blobs: what the person who installs needs to upload.
pub const STORAGE_BLOB_DATA_CONTRIBUTOR: Role =
    Role { name: "Storage Blob Data Contributor", definition_id: "ba92f5b4-2d11-453d-a403-e96b0029c9fe" };
/// Read and write queue messages.
pub const STORAGE_QUEUE_DATA_CONTRIBUTOR: Role =
    Role { name: "Storage Queue Data Contributor", definition_id: "974c5e8b-45b9-4653-ba55-5f855dd0fb88" };
/// Write the host's diagnostic events.
pub const STORAGE_TABLE_DATA_CONTRIBUTOR: Role =
    Role { name: "Storage Table Data Contributor", definition_id: "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3" };
/// Read the secrets that the app settings refer to.
pub const KEY_VAULT_SECRETS_USER: Role =
    Role { name: "Key Vault Secrets User", definition_id: "4633458b-17de-408a-b874-0445c86b69e6" };
/// Write secrets: for the operator named in the answers.
pub const KEY_VAULT_SECRETS_OFFICER: Role =
    Role { name: "Key Vault Secrets Officer", definition_id: "b86a8fe4-44ce-4948-aee5-eccb2c155cd7" };
/// Send rows through the data collection rule.
pub const MONITORING_METRICS_PUBLISHER: Role =
    Role { name: "Monitoring Metrics Publisher", definition_id: "3913510d-42f4-4e42-8a64-420c390055eb" };

/// Names derived from the installation, so that a second run finds what the first one made.
///
/// Only for resources that do not exist yet: names read back from Azure win over these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceNames {
    /// User-assigned managed identity.
    pub identity: String,
    /// Storage account, 3 to 24 lower-case letters and digits, unique in the world.
    pub storage_account: String,
    /// Key Vault, 3 to 24 letters, digits and hyphens, unique in the world.
    pub key_vault: String,
    /// Application Insights component.
    pub application_insights: String,
    /// Data collection rule.
    pub data_collection_rule: String,
    /// App Service plan.
    pub plan: String,
    /// Function App, unique in the world.
    pub function_app: String,
}

impl ResourceNames {
    /// Derives the names from the installation's name, its subscription and its resource group.
    ///
    /// The globally unique ones end in eight hexadecimal digits of a hash of all three, so that two
    /// installations of one name in two groups do not meet.
    pub fn derive(installation: &str, subscription_id: &str, resource_group: &str) -> Self {
        let seed = format!("{subscription_id}/{resource_group}/{installation}").to_ascii_lowercase();
        let digest = Sha256::digest(seed.as_bytes());
        let hash: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        let words = installation.to_ascii_lowercase();
        let letters: String = words.chars().filter(char::is_ascii_alphanumeric).take(14).collect();
        let short: String = words.chars().take(12).collect();
        let short = short.trim_matches('-');
        Self {
            identity: format!("id-{words}"),
            storage_account: format!("st{letters}{hash}"),
            key_vault: format!("kv-{short}-{hash}"),
            application_insights: format!("appi-{words}"),
            data_collection_rule: format!("dcr-{words}"),
            plan: format!("plan-{words}"),
            function_app: format!("func-{words}-{hash}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ResourceNames;

    fn derive(name: &str, group: &str) -> ResourceNames {
        ResourceNames::derive(name, "00000000-0000-0000-0000-000000000001", group)
    }

    #[test]
    fn names_fit_azures_rules_for_the_longest_and_the_shortest_installation() {
        for name in ["ab", "mimecast-audit", "a-very-long-installation-name-32"] {
            let names = derive(name, "rg-mimecast-audit");
            let storage = &names.storage_account;
            assert!((3..=24).contains(&storage.len()), "{storage}");
            assert!(storage.chars().all(|each| each.is_ascii_lowercase() || each.is_ascii_digit()));
            let vault = &names.key_vault;
            assert!((3..=24).contains(&vault.len()) && !vault.contains("--"), "{vault}");
            assert!(names.function_app.len() <= 60);
        }
    }

    #[test]
    fn names_are_stable_and_differ_between_groups() {
        assert_eq!(derive("mimecast-audit", "rg-one"), derive("mimecast-audit", "RG-ONE"));
        assert_ne!(
            derive("mimecast-audit", "rg-one").storage_account,
            derive("mimecast-audit", "rg-two").storage_account
        );
    }
}
