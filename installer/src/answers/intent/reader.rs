//! Reads one answer after another: its value, or the problem with it.

use std::collections::BTreeMap;

use contract::cloud::{CloudProfile, HostKind};
use contract::settings::KEY_VAULT_REFERENCE_PREFIX;
use url::Url;

use super::{
    Account, Collect, Delivery, MimecastApi, WorkQueue, WorkspaceAnswer, cloud, duration_secs, schedule,
};
use crate::answers::given::{Given, Origin, Problem, Value};
use crate::answers::keys;
use crate::answers::secret::{SecretSource, VaultSecret};
use crate::world::World;

/// Tag names that begin so are the installation's own.
const OWN_TAG_PREFIX: &str = "mimecast-sentinel-";
/// Azure takes 50 tags on a resource; five are ours
/// (<https://learn.microsoft.com/azure/azure-resource-manager/management/tag-resources>).
const TAG_LIMIT: usize = 45;
/// Storage accounts take 128 characters in a tag's name, everything takes 256 in its value (same page).
const TAG_NAME_LIMIT: usize = 128;
const TAG_VALUE_LIMIT: usize = 256;
/// Mimecast keeps 60 days open to its API (design 5.2).
const HISTORY_LIMIT_SECS: u64 = 60 * 24 * 3600;

/// Reads answers and gathers every problem.
pub(super) struct Reader<'a> {
    pub(super) given: &'a Given,
    pub(super) problems: Vec<Problem>,
}

impl Reader<'_> {
    pub(super) fn problem(&mut self, path: &str, message: impl Into<String>) {
        let origin = self.given.answer(path).map_or(Origin::Missing, |answer| answer.origin.clone());
        self.problems.push(Problem { origin, key: Some(path.to_owned()), message: message.into() });
    }

    /// The text that was given, or the key's default.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        match self.given.answer(path).map(|answer| &answer.value) {
            Some(Value::Text(text)) => Some(text.clone()),
            _ => keys::resolve(path).and_then(|key| key.default).map(str::to_owned),
        }
    }

    pub(super) fn required(&mut self, path: &str) -> String {
        self.text(path).unwrap_or_else(|| {
            let meaning = keys::resolve(path).map_or("", |key| key.meaning);
            let variable = keys::resolve(path).map(keys::Key::variable).unwrap_or_default();
            self.problem(path, format!("is needed: {meaning} Give it in the file, or as {variable}"));
            String::new()
        })
    }

    /// A key with a default.
    pub(super) fn choice(&self, path: &str) -> String {
        self.text(path).unwrap_or_default()
    }

    pub(super) fn flag(&self, path: &str) -> bool {
        self.choice(path) == "true"
    }

    pub(super) fn cloud(&mut self, world: &World) -> CloudProfile {
        cloud(self.given, world).unwrap_or_else(|message| {
            self.problem("azure.cloud", message);
            CloudProfile::public()
        })
    }

    pub(super) fn name(&mut self) -> String {
        let name = self.choice("name");
        let fits = (2..=32).contains(&name.len())
            && name.starts_with(|first: char| first.is_ascii_lowercase())
            && !name.ends_with('-')
            && !name.contains("--")
            && name.chars().all(|each| each.is_ascii_lowercase() || each.is_ascii_digit() || each == '-');
        if !fits {
            self.problem(
                "name",
                format!(
                    "`{name}` is not accepted; accepted: 2 to 32 lower-case letters, digits and single hyphens, a letter first, no hyphen last"
                ),
            );
        }
        name
    }

    pub(super) fn resource_group(&mut self) -> String {
        let group = self.required("azure.resource_group");
        // https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules
        let fits = group.chars().count() <= 90
            && !group.ends_with('.')
            && group
                .chars()
                .all(|each| each.is_alphanumeric() || matches!(each, '-' | '_' | '.' | '(' | ')'));
        if !fits {
            self.problem(
                "azure.resource_group",
                format!(
                    "`{group}` is not accepted; accepted: up to 90 letters, digits, `-`, `_`, `.`, `(`, `)`, no dot last"
                ),
            );
        }
        group
    }

    pub(super) fn workspace(&mut self) -> WorkspaceAnswer {
        let resource_id = self.text("workspace.resource_id");
        match (resource_id, self.text("workspace.workspace_id")) {
            (Some(_), Some(_)) => {
                self.problem("workspace.workspace_id", "resource_id is given as well; give one of the two");
                WorkspaceAnswer::WorkspaceId(String::new())
            }
            (Some(id), None) => {
                self.workspace_id_shape("workspace.resource_id", &id);
                WorkspaceAnswer::ResourceId(id.trim_end_matches('/').to_owned())
            }
            (None, Some(id)) => WorkspaceAnswer::WorkspaceId(id.to_ascii_lowercase()),
            (None, None) => {
                self.problem(
                    "workspace.resource_id",
                    "is needed: the Log Analytics workspace of Microsoft Sentinel, by resource_id or by workspace_id",
                );
                WorkspaceAnswer::WorkspaceId(String::new())
            }
        }
    }

    pub(super) fn workspace_id_shape(&mut self, path: &str, id: &str) {
        let words: Vec<String> = id.trim_matches('/').split('/').map(str::to_ascii_lowercase).collect();
        let fits = matches!(
            words.iter().map(String::as_str).collect::<Vec<_>>().as_slice(),
            [
                "subscriptions",
                _,
                "resourcegroups",
                _,
                "providers",
                "microsoft.operationalinsights",
                "workspaces",
                _
            ]
        ) && words.iter().all(|word| !word.is_empty());
        if !fits {
            self.problem(
                path,
                "is not the id of a workspace; accepted: /subscriptions/…/resourceGroups/…/providers/Microsoft.OperationalInsights/workspaces/…",
            );
        }
    }

    pub(super) fn accounts(&mut self, cloud: &CloudProfile) -> Vec<Account> {
        let count = self
            .given
            .iter()
            .filter_map(|(path, _)| keys::account_path(path).map(|(index, _)| index + 1))
            .max()
            .unwrap_or(0);
        if count == 0 {
            return vec![self.account("mimecast", String::new(), cloud)];
        }
        if self.given.iter().any(|(path, answer)| {
            path.starts_with("mimecast.") && !matches!(answer.origin, Origin::Variable(_))
        }) {
            self.problem("mimecast", "`accounts` is given as well; give one of the two");
        }
        let mut taken = BTreeMap::new();
        (0..count)
            .map(|index| {
                let path = format!("accounts.{index}");
                let key_path = format!("{path}.key");
                let key = self.text(&key_path).unwrap_or_default();
                let fits = (1..=24).contains(&key.len())
                    && key
                        .chars()
                        .all(|each| each.is_ascii_lowercase() || each.is_ascii_digit() || each == '-');
                if !fits {
                    self.problem(&key_path, "is needed: 1 to 24 lower-case letters, digits and hyphens");
                } else if let Some(other) = taken.insert(key.clone(), index) {
                    self.problem(&key_path, format!("`{key}` is the key of accounts.{other} as well"));
                }
                self.account(&path, key, cloud)
            })
            .collect()
    }

    pub(super) fn account(&mut self, path: &str, key: String, cloud: &CloudProfile) -> Account {
        const TWO: &[&str] = &["client_id", "client_secret"];
        const ONE: &[&str] = &["app_id", "app_key", "access_key", "secret_key"];
        const ONE_RENEWAL: &[&str] = &["email", "password"];
        let api = match self.choice(&format!("{path}.api")).as_str() {
            "1.0" => MimecastApi::One,
            _ => MimecastApi::Two,
        };
        let base_url = self.base_url(&format!("{path}.base_url"), api, cloud);
        let mut secrets = BTreeMap::new();
        for &word in TWO.iter().chain(ONE).chain(ONE_RENEWAL) {
            let word_path = format!("{path}.{word}");
            let answer = self.given.answer(&word_path).cloned();
            let belongs = match api {
                MimecastApi::Two => TWO.contains(&word),
                MimecastApi::One => !TWO.contains(&word),
            };
            match answer {
                Some(answer) if belongs => {
                    if let Value::Secret(source) = answer.value {
                        self.foreign_vault(&word_path, &source, cloud);
                        secrets.insert(word, source);
                    }
                }
                // A variable of the other generation may well be set for something else.
                Some(answer) if !matches!(answer.origin, Origin::Variable(_)) => {
                    let (other, wanted) = match api {
                        MimecastApi::Two => ("1.0", TWO.join(", ")),
                        MimecastApi::One => ("2.0", ONE.join(", ")),
                    };
                    let message = format!(
                        "belongs to API {other}, and `{path}.api` is {}, which takes {wanted}",
                        api.text()
                    );
                    self.problem(&word_path, message);
                }
                Some(_) => {}
                None if belongs && !ONE_RENEWAL.contains(&word) => {
                    let setting = keys::resolve(&word_path).and_then(keys::Key::setting).unwrap_or_default();
                    let meaning = keys::resolve(&word_path).map_or("", |key| key.meaning);
                    let variable = if path == "mimecast" {
                        format!(", or set the environment variable {setting}")
                    } else {
                        String::new()
                    };
                    self.problem(
                        &word_path,
                        format!(
                            "is needed: {meaning} Accepted: {}{variable}",
                            keys::Shape::Secret.accepted()
                        ),
                    );
                }
                None => {}
            }
        }
        if secrets.contains_key("email") != secrets.contains_key("password") {
            self.problem(&format!("{path}.email"), "email and password are needed together, or neither");
        }
        Account { key, api, base_url, secrets, path: path.to_owned() }
    }

    pub(super) fn base_url(&mut self, path: &str, api: MimecastApi, cloud: &CloudProfile) -> String {
        let given = self.given.answer(path).is_some();
        let text = self.choice(path);
        if text.starts_with(KEY_VAULT_REFERENCE_PREFIX) {
            if VaultSecret::parse_reference(&text).is_none() {
                self.problem(path, "an incomplete Key Vault reference");
            }
            return text;
        }
        if api == MimecastApi::One && !given {
            self.problem(
                path,
                "is needed with API 1.0: the host of your region, such as https://eu-api.mimecast.com",
            );
            return text;
        }
        let Ok(url) = Url::parse(&text) else {
            self.problem(
                path,
                format!("`{text}` is not an address; accepted: https://api.services.mimecast.com"),
            );
            return text;
        };
        let host = url.host_str().unwrap_or_default();
        if !cloud.allows(&url, HostKind::Mimecast) {
            self.problem(path, format!("`{text}` is not an https host under mimecast.com"));
        } else if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            self.problem(path, format!("`{text}` has more than a host; accepted: https://{host}"));
        } else if api == MimecastApi::Two && host.ends_with("-api.mimecast.com") {
            self.problem(
                path,
                format!("`{host}` serves API 1.0 only; API 2.0 is at https://api.services.mimecast.com, or at uk-api or us-api there"),
            );
        }
        text.trim_end_matches('/').to_owned()
    }

    pub(super) fn foreign_vault(&mut self, path: &str, source: &SecretSource, cloud: &CloudProfile) {
        if let SecretSource::KeyVault(VaultSecret::Uri(uri)) = source
            && let Ok(url) = Url::parse(uri)
            && !cloud.allows(&url, HostKind::Azure)
        {
            let host = url.host_str().unwrap_or_default().to_owned();
            self.problem(path, format!("`{host}` is not a Key Vault of the cloud `{}`", cloud.name));
        }
    }

    pub(super) fn delivery(&mut self, cloud: &CloudProfile) -> Delivery {
        const PATH: &str = "delivery.app_registration";
        let asked = self
            .given
            .iter()
            .any(|(path, answer)| path.starts_with(PATH) && !matches!(answer.origin, Origin::Variable(_)));
        if !asked {
            return Delivery::Managed;
        }
        if self.given.has("delivery.identity") {
            self.problem("delivery.identity", "app_registration is given as well; give one of the two");
        }
        let mut secret = |word: &str| {
            let path = format!("{PATH}.{word}");
            match self.given.answer(&path).map(|answer| answer.value.clone()) {
                Some(Value::Secret(source)) => {
                    self.foreign_vault(&path, &source, cloud);
                    source
                }
                _ => {
                    self.problem(&path, format!("is needed; accepted: {}", keys::Shape::Secret.accepted()));
                    SecretSource::Prompt
                }
            }
        };
        let (client_id, client_secret) = (secret("client_id"), secret("client_secret"));
        let tenant_id = match self.text(&format!("{PATH}.tenant_id")).or_else(|| self.text("azure.tenant_id"))
        {
            Some(tenant_id) => tenant_id,
            None => self.required(&format!("{PATH}.tenant_id")),
        };
        Delivery::AppRegistration { client_id, client_secret, tenant_id }
    }

    pub(super) fn collect(&mut self) -> Collect {
        let every = self.choice("collect.every");
        let schedule = duration_secs(&every).and_then(schedule).unwrap_or_else(|| {
            self.problem(
                "collect.every",
                format!(
                    "`{every}` is not accepted; accepted: 1m, 2m, 3m, 4m, 5m, 6m, 10m, 12m, 15m, 20m, 30m, 1h, 2h, 3h, 4h, 6h, 8h, 12h, 1d"
                ),
            );
            String::new()
        });
        let first_run = self.choice("collect.first_run");
        if duration_secs(&first_run).is_none_or(|secs| secs == 0 || secs > HISTORY_LIMIT_SECS) {
            self.problem(
                "collect.first_run",
                format!("`{first_run}` is not accepted; accepted: up to 60d, which is what Mimecast keeps"),
            );
        }
        let categories = match self.given.answer("collect.categories").map(|answer| &answer.value) {
            Some(Value::List(categories)) => categories.clone(),
            _ => Vec::new(),
        };
        if categories.iter().any(|category| category.contains(',')) {
            self.problem("collect.categories", "a category code has no comma in it");
        }
        Collect {
            schedule,
            first_run,
            settle: self.choice("collect.settle"),
            overlap: self.choice("collect.overlap"),
            categories,
            work_queue: match self.choice("collect.work_queue").as_str() {
                "always" => WorkQueue::Always,
                _ => WorkQueue::Auto,
            },
        }
    }

    pub(super) fn retention(&mut self) -> (Option<u32>, Option<u32>) {
        let days = |text: Option<String>| text.and_then(|text| text.parse::<u32>().ok());
        let (open, total) =
            (days(self.text("table.retention_days")), days(self.text("table.total_retention_days")));
        if let (Some(open), Some(total)) = (open, total)
            && total < open
        {
            self.problem(
                "table.total_retention_days",
                format!("{total} is less than retention_days, which is {open}"),
            );
        }
        (open, total)
    }

    pub(super) fn tags(&mut self) -> BTreeMap<String, String> {
        const REFUSED: &[char] = &['<', '>', '%', '&', '\\', '?', '/'];
        let Some(Value::Map(tags)) = self.given.answer("azure.tags").map(|answer| answer.value.clone())
        else {
            return BTreeMap::new();
        };
        if tags.len() > TAG_LIMIT {
            self.problem("azure.tags", format!("{} tags; Azure leaves room for {TAG_LIMIT}", tags.len()));
        }
        for (name, value) in &tags {
            if name.is_empty() || name.contains(REFUSED) || name.chars().count() > TAG_NAME_LIMIT {
                self.problem(
                    "azure.tags",
                    format!("the name `{name}` is not accepted; accepted: up to {TAG_NAME_LIMIT} characters without < > % & \\ ? /"),
                );
            } else if name.to_ascii_lowercase().starts_with(OWN_TAG_PREFIX) {
                self.problem(
                    "azure.tags",
                    format!("names that begin with `{OWN_TAG_PREFIX}` are the installer's own"),
                );
            }
            if value.chars().count() > TAG_VALUE_LIMIT {
                self.problem(
                    "azure.tags",
                    format!("the value of `{name}` is longer than {TAG_VALUE_LIMIT} characters"),
                );
            }
        }
        tags
    }

    /// The marks of values that are known later may not come in through an answer.
    pub(super) fn no_markers(&mut self) {
        let holds = |text: &str| text.contains(crate::plan::output::MARKS);
        let found: Vec<String> = self
            .given
            .iter()
            .filter(|(_, answer)| match &answer.value {
                Value::Text(text) => holds(text),
                Value::List(texts) => texts.iter().any(|text| holds(text)),
                Value::Map(texts) => texts.iter().any(|(name, text)| holds(name) || holds(text)),
                Value::Secret(_) => false,
            })
            .map(|(path, _)| path.to_owned())
            .collect();
        for path in found {
            self.problem(&path, "the characters \u{27e6} and \u{27e7} are not accepted");
        }
    }
}
