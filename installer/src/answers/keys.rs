//! Every key of the answers: its shape, its default and its description.
//!
//! The reader, the checks, the commented file of `answers init`, the JSON Schema and the reference
//! page all come from [`ALL`].

/// What kind of value a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Text without control characters.
    Text,
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// `true` or `false`.
    Boolean,
    /// A whole number between the two, both included.
    Whole(u32, u32),
    /// A whole number with a unit: `s`, `m`, `h` or `d`.
    Duration,
    /// An id of 32 hexadecimal digits in five groups.
    Guid,
    /// The id of an Azure resource, `/subscriptions/…`.
    ResourceId,
    /// An https address, or a Key Vault reference to one.
    Url,
    /// Where a secret is kept.
    Secret,
    /// Texts by name.
    TextMap,
    /// A list of texts.
    TextList,
}

impl Shape {
    /// What is accepted, for messages.
    pub fn accepted(self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Choice(choices) => choices.join(", "),
            Self::Boolean => "true, false".to_owned(),
            Self::Whole(low, high) => format!("a whole number from {low} to {high}"),
            Self::Duration => "a duration such as 90s, 15m, 2h or 7d".to_owned(),
            Self::Guid => "an id such as 00000000-0000-0000-0000-000000000000".to_owned(),
            Self::ResourceId => "an Azure resource id that begins with /subscriptions/".to_owned(),
            Self::Url => "an https address".to_owned(),
            Self::Secret => {
                "{env: NAME}, {file: PATH}, {key_vault: URI}, {prompt: true} or @Microsoft.KeyVault(…)"
                    .to_owned()
            }
            Self::TextMap => "names with texts, such as {owner: secops}".to_owned(),
            Self::TextList => "a list of texts, such as [a, b]".to_owned(),
        }
    }
}

/// One key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Its path, with dots.
    pub path: &'static str,
    /// What it takes.
    pub shape: Shape,
    /// What holds when it is not given.
    pub default: Option<&'static str>,
    /// A value for the commented example.
    pub example: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

const fn key(
    path: &'static str,
    shape: Shape,
    default: Option<&'static str>,
    example: &'static str,
    meaning: &'static str,
) -> Key {
    Key { path, shape, default, example, meaning }
}

/// The prefix of the environment variables that answer keys: `azure.location` is
/// `MIMECAST_SENTINEL_ANSWER_AZURE_LOCATION`.
pub const VARIABLE_PREFIX: &str = "MIMECAST_SENTINEL_ANSWER_";

impl Key {
    /// The environment variable that answers this key. Secrets have none: for them the worker's own
    /// setting name is read, see [`Key::setting`].
    pub fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.path.replace('.', "_").to_ascii_uppercase())
    }

    /// The worker's setting of the same meaning: for a secret, the variable that is read when the
    /// answers do not say where the secret is kept.
    pub fn setting(&self) -> Option<&'static str> {
        use contract::settings;
        Some(match self.path {
            "mimecast.client_id" => settings::MIMECAST_CLIENT_ID,
            "mimecast.client_secret" => settings::MIMECAST_CLIENT_SECRET,
            "mimecast.email" => settings::MIMECAST_EMAIL,
            "mimecast.password" => settings::MIMECAST_PASSWORD,
            "mimecast.app_id" => settings::MIMECAST_APP_ID,
            "mimecast.app_key" => settings::MIMECAST_APP_KEY,
            "mimecast.access_key" => settings::MIMECAST_ACCESS_KEY,
            "mimecast.secret_key" => settings::MIMECAST_SECRET_KEY,
            "delivery.app_registration.client_id" => settings::DELIVERY_CLIENT_ID,
            "delivery.app_registration.client_secret" => settings::DELIVERY_CLIENT_SECRET,
            _ => return None,
        })
    }
}

const DEFAULT_NAME: Option<&str> = Some("mimecast-audit");

/// Every key, in the order of the file.
pub const ALL: &[Key] = &[
    key("version", Shape::Choice(&["1"]), Some("1"), "1", "Version of this file's layout."),
    key(
        "name",
        Shape::Text,
        DEFAULT_NAME,
        "mimecast-audit",
        "Name of the installation: 2 to 32 lower-case letters, digits and hyphens. The names of what is made derive from it.",
    ),
    key(
        "azure.cloud",
        Shape::Text,
        Some("public"),
        "public",
        "Azure cloud: public, us-government, china, or the path of a file with the endpoints of a custom cloud.",
    ),
    key(
        "azure.tenant_id",
        Shape::Guid,
        None,
        "00000000-0000-0000-0000-000000000000",
        "Tenant to sign in to; without it, the one that the subscription belongs to.",
    ),
    key(
        "azure.subscription_id",
        Shape::Guid,
        None,
        "00000000-0000-0000-0000-000000000000",
        "Subscription in which the resources are made.",
    ),
    key("azure.resource_group", Shape::Text, None, "rg-mimecast-audit", "Resource group for the resources."),
    key(
        "azure.create_resource_group",
        Shape::Boolean,
        Some("true"),
        "true",
        "Whether to make the resource group when it is absent.",
    ),
    key(
        "azure.location",
        Shape::Text,
        None,
        "westeurope",
        "Region of the resources; without it, the workspace's. The data collection rule always lives in the workspace's.",
    ),
    key(
        "azure.tags",
        Shape::TextMap,
        None,
        "{owner: secops}",
        "Tags for everything that is made, beside the installation's own.",
    ),
    key(
        "azure.operator_object_id",
        Shape::Guid,
        None,
        "00000000-0000-0000-0000-000000000000",
        "Object id of the person or group that may later write the secrets (Key Vault Secrets Officer).",
    ),
    key(
        "azure.role_assignments",
        Shape::Choice(&["installer", "external"]),
        Some("installer"),
        "installer",
        "Who gives the roles: this installer, or an administrator by the commands that it prints (external).",
    ),
    key(
        "workspace.resource_id",
        Shape::ResourceId,
        None,
        "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-sentinel/providers/Microsoft.OperationalInsights/workspaces/log-sentinel",
        "The Log Analytics workspace of Microsoft Sentinel. It is never written to, only its tables.",
    ),
    key(
        "workspace.workspace_id",
        Shape::Guid,
        None,
        "00000000-0000-0000-0000-000000000000",
        "The workspace's own id, instead of its resource id: it is looked up.",
    ),
    key(
        "table.on_classic",
        Shape::Choice(&["stop", "migrate"]),
        Some("stop"),
        "stop",
        "What to do when the old connector's classic table is there: stop, or migrate it, which cannot be undone.",
    ),
    key(
        "table.retention_days",
        Shape::Whole(4, 730),
        None,
        "90",
        "Days that rows stay open to queries; only where it shall differ from the workspace's.",
    ),
    key(
        "table.total_retention_days",
        Shape::Whole(4, 4383),
        None,
        "365",
        "Days that rows are kept at all; only where it shall differ from the workspace's.",
    ),
    key(
        "mimecast.api",
        Shape::Choice(&["2.0", "1.0"]),
        Some("2.0"),
        "\"2.0\"",
        "Generation of the Mimecast API. 2.0 takes client_id and client_secret; 1.0 takes app_id, app_key, access_key and secret_key.",
    ),
    key(
        "mimecast.base_url",
        Shape::Url,
        Some("https://api.services.mimecast.com"),
        "https://api.services.mimecast.com",
        "Address of the Mimecast API. uk-api and us-api keep the data in their region; API 1.0 has one host for each region.",
    ),
    key(
        "mimecast.client_id",
        Shape::Secret,
        None,
        "{env: MIMECAST_CLIENT_ID}",
        "Client id of the API 2.0 application.",
    ),
    key(
        "mimecast.client_secret",
        Shape::Secret,
        None,
        "{env: MIMECAST_CLIENT_SECRET}",
        "Client secret of the API 2.0 application.",
    ),
    key("mimecast.app_id", Shape::Secret, None, "{env: MIMECAST_APP_ID}", "Application id (API 1.0)."),
    key("mimecast.app_key", Shape::Secret, None, "{env: MIMECAST_APP_KEY}", "Application key (API 1.0)."),
    key("mimecast.access_key", Shape::Secret, None, "{env: MIMECAST_ACCESS_KEY}", "Access key (API 1.0)."),
    key(
        "mimecast.secret_key",
        Shape::Secret,
        None,
        "{env: MIMECAST_SECRET_KEY}",
        "Secret key, base64 (API 1.0).",
    ),
    key(
        "mimecast.email",
        Shape::Secret,
        None,
        "{env: MIMECAST_EMAIL}",
        "Address of the service user (API 1.0), only to renew a binding that expires.",
    ),
    key(
        "mimecast.password",
        Shape::Secret,
        None,
        "{env: MIMECAST_PASSWORD}",
        "Password of the service user (API 1.0), only to renew a binding that expires.",
    ),
    key(
        "delivery.identity",
        Shape::Choice(&["managed"]),
        Some("managed"),
        "managed",
        "How the worker signs in to deliver: its managed identity. An app registration is given by delivery.app_registration.",
    ),
    key(
        "delivery.app_registration.client_id",
        Shape::Secret,
        None,
        "{env: DELIVERY_CLIENT_ID}",
        "Client id of an app registration that delivers in place of the managed identity.",
    ),
    key(
        "delivery.app_registration.client_secret",
        Shape::Secret,
        None,
        "{env: DELIVERY_CLIENT_SECRET}",
        "Client secret of that app registration.",
    ),
    key(
        "delivery.app_registration.tenant_id",
        Shape::Guid,
        None,
        "00000000-0000-0000-0000-000000000000",
        "Tenant of that app registration.",
    ),
    key(
        "collect.every",
        Shape::Duration,
        Some("5m"),
        "5m",
        "How often to collect: minutes that divide an hour, or whole hours that divide a day.",
    ),
    key(
        "collect.first_run",
        Shape::Duration,
        Some("7d"),
        "7d",
        "How far back the first run reaches, at most 60d.",
    ),
    key(
        "collect.settle",
        Shape::Duration,
        Some("60s"),
        "60s",
        "How long events may take to appear at Mimecast: a run reads up to this long before now.",
    ),
    key(
        "collect.overlap",
        Shape::Duration,
        Some("15m"),
        "15m",
        "How far each run reaches back behind the last one, for late events. What was read before is left out.",
    ),
    key(
        "collect.work_queue",
        Shape::Choice(&["auto", "always"]),
        Some("auto"),
        "auto",
        "Whether work may go through a storage queue, which several accounts and the commands backfill and replay need: auto has one with several accounts.",
    ),
    key(
        "collect.categories",
        Shape::TextList,
        None,
        "[]",
        "Category codes to collect; an empty list means all.",
    ),
    key(
        "hosting.plan",
        Shape::Choice(&["flex-consumption", "dedicated"]),
        Some("flex-consumption"),
        "flex-consumption",
        "Plan of the Function App: Flex Consumption, or dedicated (B1, always on) where a region lacks it.",
    ),
    key(
        "hosting.memory_mb",
        Shape::Choice(&["512", "2048", "4096"]),
        Some("512"),
        "512",
        "Memory of an instance on Flex Consumption.",
    ),
    key(
        "monitoring.app_insights_location",
        Shape::Text,
        None,
        "westeurope",
        "Region of Application Insights; without it, that of the other resources.",
    ),
    key(
        "monitoring.app_insights_workspace_id",
        Shape::ResourceId,
        None,
        "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-ops/providers/Microsoft.OperationalInsights/workspaces/log-ops",
        "Workspace of Application Insights; without it, the workspace above.",
    ),
    key(
        "vault.on_deleted",
        Shape::Choice(&["recover", "purge", "new-name"]),
        Some("recover"),
        "recover",
        "What to do with a soft-deleted vault of this installation: recover it, purge it, or take a new name.",
    ),
    key(
        "vault.purge_protection",
        Shape::Boolean,
        Some("false"),
        "false",
        "Whether the vault may never be purged before its time. Once on, it cannot be taken off.",
    ),
    key(
        "content.connector_page",
        Shape::Boolean,
        Some("true"),
        "true",
        "Whether to add the connector's page to Microsoft Sentinel.",
    ),
    key("content.workbook", Shape::Boolean, Some("true"), "true", "Whether to add the workbook."),
    key(
        "content.rules",
        Shape::Choice(&["recommended", "all", "off"]),
        Some("recommended"),
        "recommended",
        "Which analytics rules to add.",
    ),
    key("content.hunting", Shape::Boolean, Some("true"), "true", "Whether to add the hunting queries."),
    key("content.asim", Shape::Boolean, Some("true"), "true", "Whether to add the parsers for ASIM."),
    key(
        "content.asim_unifying",
        Shape::Boolean,
        Some("true"),
        "true",
        "Whether the workspace's custom unifying parsers call those of ours. false: they are left as they are.",
    ),
];

/// The key of this path.
pub fn find(path: &str) -> Option<&'static Key> {
    ALL.iter().find(|key| key.path == path)
}

/// The key of each account in the list `accounts` that says how the account is called.
pub const ACCOUNT_KEY: Key = key(
    "accounts.key",
    Shape::Text,
    None,
    "first",
    "Short name of the account: it names its checkpoint, its secret and its health rows.",
);

/// Place and key of a path in the list of accounts: `accounts.0.client_id` is `(0, "client_id")`.
pub fn account_path(path: &str) -> Option<(usize, &str)> {
    let (index, name) = path.strip_prefix("accounts.")?.split_once('.')?;
    Some((index.parse().ok()?, name))
}

/// The key of a path, where each account takes the keys of `mimecast`.
pub fn resolve(path: &str) -> Option<&'static Key> {
    match account_path(path) {
        Some((_, "key")) => Some(&ACCOUNT_KEY),
        Some((_, name)) => find(&format!("mimecast.{name}")),
        None => find(path),
    }
}

/// Whether some key lies below this path.
pub fn section(path: &str) -> bool {
    ALL.iter()
        .any(|key| key.path.strip_prefix(path).is_some_and(|rest| path.is_empty() || rest.starts_with('.')))
}

/// The key most like this path, if one is near enough to be meant.
pub fn nearest(path: &str) -> Option<&'static str> {
    // Below 0.7 the Jaro-Winkler measure pairs words that merely share letters.
    const NEAR: f64 = 0.7;
    let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
    let likeness = |known: &str| {
        let whole = strsim::jaro_winkler(path, known);
        // A right word in a wrong section is the commonest slip after a typing error.
        let word = strsim::jaro_winkler(&last(path), &last(known)) * 0.95;
        whole.max(word)
    };
    ALL.iter()
        .map(|key| (likeness(key.path), key.path))
        .filter(|(likeness, _)| *likeness >= NEAR)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, path)| path)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{ALL, Shape, find, nearest, section};

    #[test]
    fn paths_are_unique_and_described() {
        let paths: HashSet<_> = ALL.iter().map(|key| key.path).collect();
        assert_eq!(paths.len(), ALL.len());
        for key in ALL {
            assert!(key.meaning.ends_with('.') && key.meaning.len() > 10, "{}", key.path);
            assert!(!section(key.path), "{} is a value and a section", key.path);
        }
    }

    #[test]
    fn secrets_have_no_default_and_a_setting() {
        for key in ALL.iter().filter(|key| key.shape == Shape::Secret) {
            assert!(key.default.is_none() && key.setting().is_some(), "{}", key.path);
        }
    }

    #[test]
    fn a_slip_finds_the_key_that_was_meant() {
        for (slip, meant) in [
            ("azure.locaton", "azure.location"),
            ("subscription_id", "azure.subscription_id"),
            ("azure.resource-group", "azure.resource_group"),
            ("mimecast.clientSecret", "mimecast.client_secret"),
        ] {
            assert_eq!(nearest(slip), Some(meant), "{slip}");
        }
        assert_eq!(nearest("zzz"), None);
    }

    #[test]
    fn variables_are_named_after_their_keys() {
        let key = find("azure.location").expect("a key");
        assert_eq!(key.variable(), "MIMECAST_SENTINEL_ANSWER_AZURE_LOCATION");
    }
}
