//! What the answers mean: complete and valid, or every problem at once.

mod period;
mod reader;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use contract::cloud::CloudProfile;
use contract::settings::{MIMECAST_SENTINEL_CLOUD, account_secret};
use serde::{Deserialize, Serialize};

use super::given::{Given, Origin, Problem, Value};
use super::keys;
use super::secret::SecretSource;
use crate::world::World;
pub use period::duration_secs;
use period::schedule;
use reader::Reader;

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

/// The cloud that was given: by name, by its endpoints as JSON, or by a file of them; else the one
/// of `MIMECAST_SENTINEL_CLOUD`, else the public one.
///
/// # Errors
/// What is wrong with it, for the person who gave it.
pub fn cloud(given: &Given, world: &World) -> Result<CloudProfile, String> {
    let text = match given.answer("azure.cloud").map(|answer| &answer.value) {
        Some(Value::Text(text)) => text.as_str(),
        _ => world.variable(MIMECAST_SENTINEL_CLOUD).unwrap_or("public"),
    };
    let named = matches!(text, "public" | "us-government" | "china") || text.starts_with('{');
    let profile = if named {
        text.to_owned()
    } else {
        let read = world.read_text(Path::new(text)).map_err(|error| {
            format!("`{text}` is no known cloud (public, us-government, china) and cannot be read as a file: {error}")
        })?;
        if !read.trim_start().starts_with('{') {
            return Err(format!("the file `{text}` is not a JSON object of endpoints"));
        }
        read
    };
    CloudProfile::parse(&profile).map_err(|error| match std::error::Error::source(&error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    })
}

/// A region as ids have it: `West Europe` is `westeurope`.
pub fn normal_location(location: &str) -> String {
    location.chars().filter(|each| !each.is_whitespace()).collect::<String>().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Delivery, Hosting, Intent, MimecastApi};
    use crate::answers::given::{Given, Origin};
    use crate::answers::yaml;
    use crate::world::World;

    const COMPLETE: &str = "\
azure:
  subscription_id: 00000000-0000-0000-0000-000000000001
  resource_group: rg-mimecast-audit
workspace:
  resource_id: /subscriptions/00000000-0000-0000-0000-000000000002/resourceGroups/rg-sentinel/providers/Microsoft.OperationalInsights/workspaces/log-sentinel
mimecast:
  client_id: {env: ID}
  client_secret: {env: SECRET}
";

    fn of(text: &str) -> Result<Intent, Vec<String>> {
        let world = World::with_environment(BTreeMap::new());
        let given = yaml::read(text, |line| Origin::File { file: "a.yaml".to_owned(), line }).expect("reads");
        Intent::of(&given, &world).map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    fn one_problem(addition: &str) -> String {
        let mut found = of(&format!("{COMPLETE}{addition}")).expect_err("a problem");
        assert_eq!(found.len(), 1, "{found:#?}");
        found.remove(0)
    }

    #[test]
    fn few_answers_are_enough() {
        let intent = of(COMPLETE).expect("complete");
        assert_eq!(intent.name, "mimecast-audit");
        assert_eq!(intent.cloud.name, "public");
        assert_eq!(intent.collect.schedule, "0 */5 * * * *");
        assert_eq!(intent.delivery, Delivery::Managed);
        assert_eq!(intent.hosting, Hosting::FlexConsumption { memory_mb: 512 });
        assert_eq!(intent.accounts[0].api, MimecastApi::Two);
        assert_eq!(intent.accounts[0].base_url, "https://api.services.mimecast.com");
    }

    #[test]
    fn a_variable_of_the_other_generation_is_neither_wrong_nor_recorded() {
        let world = World::with_environment(BTreeMap::from([
            ("MIMECAST_APP_KEY".to_owned(), "value".to_owned()),
            ("MIMECAST_CLIENT_SECRET".to_owned(), "value".to_owned()),
        ]));
        let mut given = Given::secrets_from_environment(&world);
        let file = COMPLETE.replace("  client_secret: {env: SECRET}\n", "");
        given.overlay(yaml::read(&file, |line| Origin::File { file: "a".to_owned(), line }).expect("reads"));
        let intent = Intent::of(&given, &world).expect("complete");
        assert!(
            intent.recorded.contains(r#""client_secret":{"env":"MIMECAST_CLIENT_SECRET"}"#),
            "{}",
            intent.recorded
        );
        assert!(!intent.recorded.contains("app_key"), "{}", intent.recorded);
        let again = yaml::read(&intent.recorded, |_| Origin::Recorded).expect("reads");
        assert_eq!(Intent::of(&again, &world).expect("complete"), intent);
    }

    #[test]
    fn everything_that_is_missing_is_listed_at_once() {
        // BR-154, BR-155, BR-075
        let found = of("version: 1\n").expect_err("problems").join("\n");
        for key in [
            "azure.subscription_id",
            "azure.resource_group",
            "workspace.resource_id",
            "mimecast.client_id",
            "mimecast.client_secret",
        ] {
            assert!(found.contains(&format!("missing: {key}: is needed")), "{key} in {found}");
        }
    }

    #[test]
    fn keys_of_the_other_generation_are_refused_with_the_right_ones() {
        // BR-010
        let found = one_problem("  app_key: {env: KEY}\n");
        assert!(
            found.contains("mimecast.app_key") && found.contains("takes client_id, client_secret"),
            "{found}"
        );
        let found = of(&COMPLETE.replace("mimecast:\n", "mimecast:\n  api: '1.0'\n"))
            .expect_err("problems")
            .join("\n");
        for word in ["app_id", "app_key", "access_key", "secret_key", "base_url"] {
            assert!(found.contains(&format!("mimecast.{word}: is needed")), "{word} in {found}");
        }
        assert!(found.contains("mimecast.client_id: belongs to API 2.0"), "{found}");
    }

    #[test]
    fn only_mimecast_hosts_are_accepted() {
        for bad in
            ["http://api.services.mimecast.com", "https://mimecast.com.example.com", "https://example.com/"]
        {
            assert!(one_problem(&format!("  base_url: {bad}\n")).contains("mimecast.base_url"), "{bad}");
        }
        assert!(one_problem("  base_url: https://eu-api.mimecast.com\n").contains("serves API 1.0 only"));
        assert!(
            one_problem("  base_url: https://uk-api.services.mimecast.com/api\n")
                .contains("more than a host")
        );
    }

    #[test]
    fn names_that_azure_would_refuse_are_refused_here() {
        // BR-130
        for bad in [
            "Company-Name",
            "a",
            "9lives",
            "ends-",
            "two--hyphens",
            "a-name-that-is-a-good-deal-too-long-for-this",
        ] {
            assert!(one_problem(&format!("name: {bad}\n")).contains("a.yaml:9: name:"), "{bad}");
        }
    }

    #[test]
    fn tags_that_azure_would_refuse_are_refused_here() {
        let text =
            COMPLETE.replace("azure:\n", "azure:\n  tags: {'a/b': x, mimecast-sentinel-installation: y}\n");
        assert_eq!(of(&text).expect_err("two").len(), 2);
    }

    #[test]
    fn an_app_registration_needs_all_its_parts() {
        let found = of(&format!("{COMPLETE}delivery: {{app_registration: {{client_id: {{env: A}}}}}}\n"))
            .expect_err("problems");
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn a_workspace_is_named_in_one_way() {
        let text = COMPLETE
            .replace("workspace:\n", "workspace:\n  workspace_id: 00000000-0000-0000-0000-000000000003\n");
        assert!(of(&text).expect_err("one")[0].contains("give one of the two"));
        let text = COMPLETE.replace("workspaces/log-sentinel", "clusters/log-sentinel");
        assert!(of(&text).expect_err("one")[0].contains("not the id of a workspace"));
    }

    #[test]
    fn marks_of_later_values_cannot_come_in_through_an_answer() {
        let text = COMPLETE.replace("azure:\n", "azure:\n  tags: {a: '\u{27e6}vault#/id\u{27e7}'}\n");
        assert!(of(&text).expect_err("one")[0].contains("azure.tags"));
    }

    #[test]
    fn a_foreign_vault_must_be_one_of_the_cloud() {
        let text = COMPLETE.replace("{env: SECRET}", "{key_vault: 'https://kv.vault.example.com/secrets/a'}");
        assert!(of(&text).expect_err("one")[0].contains("not a Key Vault of the cloud `public`"));
    }

    #[test]
    fn a_first_run_reaches_no_further_back_than_mimecast_keeps() {
        assert!(one_problem("collect: {first_run: 61d}\n").contains("60d"));
    }
}
