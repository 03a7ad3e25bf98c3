//! The worker's settings: app settings in Azure, plain environment variables elsewhere.
//!
//! The installer writes them, the worker reads them, `docs/reference/settings.md` lists them.
//! All of them come from here.

/// One setting: its name, what it means, and how it is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// The environment variable's name.
    pub name: &'static str,
    /// What it means, for the reference page.
    pub meaning: &'static str,
    /// The value that holds when it is absent.
    pub default: Option<&'static str>,
    /// Whether its value is a secret: written to Azure only as a Key Vault reference, never a flag.
    pub secret: bool,
}

macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $constant:ident = $name:literal $(default $default:literal)? $(as $secret:ident)?;)+) => {
        $($(#[doc = $doc])+ pub const $constant: &str = $name;)+

        /// Every setting, in the order of the reference page.
        pub const ALL: &[Setting] = &[$(Setting {
            name: $name,
            meaning: concat!($($doc),+),
            default: settings!(@default $($default)?),
            secret: settings!(@secret $($secret)?),
        }),+];
    };
    (@default) => { None };
    (@default $default:literal) => { Some($default) };
    (@secret) => { false };
    (@secret secret) => { true };
}

settings! {
    /// Mimecast API generation: `2.0` (OAuth) or `1.0` (signed calls).
    MIMECAST_API = "MIMECAST_API" default "2.0";
    /// Mimecast host, https under `mimecast.com`; other hosts only with a custom cloud.
    MIMECAST_BASE_URL = "MIMECAST_BASE_URL";
    /// API 2.0 application's client id.
    MIMECAST_CLIENT_ID = "MIMECAST_CLIENT_ID" as secret;
    /// API 2.0 application's client secret.
    MIMECAST_CLIENT_SECRET = "MIMECAST_CLIENT_SECRET" as secret;
    /// API 1.0 service user's e-mail address, only for renewing an expired binding.
    MIMECAST_EMAIL = "MIMECAST_EMAIL" as secret;
    /// API 1.0 service user's password, only for renewing an expired binding.
    MIMECAST_PASSWORD = "MIMECAST_PASSWORD" as secret;
    /// API 1.0 application id.
    MIMECAST_APP_ID = "MIMECAST_APP_ID" as secret;
    /// API 1.0 application key.
    MIMECAST_APP_KEY = "MIMECAST_APP_KEY" as secret;
    /// API 1.0 access key.
    MIMECAST_ACCESS_KEY = "MIMECAST_ACCESS_KEY" as secret;
    /// API 1.0 secret key, base64.
    MIMECAST_SECRET_KEY = "MIMECAST_SECRET_KEY" as secret;
    /// When the timer fires: six-field NCRONTAB, seconds first, UTC.
    MIMECAST_SCHEDULE = "MIMECAST_SCHEDULE" default "0 */5 * * * *";
    /// How far back the first run reaches, at most `60d`.
    MIMECAST_FIRST_RUN = "MIMECAST_FIRST_RUN" default "7d";
    /// How long events may take to settle: a window ends this long before now.
    MIMECAST_SETTLE = "MIMECAST_SETTLE" default "60s";
    /// How far a window reaches back behind the last closed one, for late events.
    MIMECAST_OVERLAP = "MIMECAST_OVERLAP" default "15m";
    /// Events per page, 1 to 500.
    MIMECAST_PAGE_SIZE = "MIMECAST_PAGE_SIZE" default "500";
    /// Category codes to collect, separated by commas; empty means all.
    MIMECAST_CATEGORIES = "MIMECAST_CATEGORIES" default "";
    /// How long one run may work before it ends cleanly; under Azure Functions at most `25m`.
    MIMECAST_RUN_BUDGET = "MIMECAST_RUN_BUDGET" default "20m";
    /// How many events one run may read before it ends cleanly.
    MIMECAST_RUN_EVENTS = "MIMECAST_RUN_EVENTS" default "1000000";
    /// Calls of the Mimecast quota to leave for others in each quota period.
    MIMECAST_QUOTA_RESERVE = "MIMECAST_QUOTA_RESERVE" default "0";
    /// Keys of the accounts, separated by commas, where one installation serves several.
    MIMECAST_ACCOUNTS = "MIMECAST_ACCOUNTS";
    /// URL of the Key Vault that holds the settings of each of several accounts, one secret each.
    ACCOUNT_VAULT_URL = "ACCOUNT_VAULT_URL";
    /// Logs ingestion endpoint of the data collection rule.
    LOGS_INGESTION_ENDPOINT = "LOGS_INGESTION_ENDPOINT";
    /// Immutable id of the data collection rule, `dcr-` and 32 hexadecimal digits.
    DATA_COLLECTION_RULE_ID = "DATA_COLLECTION_RULE_ID";
    /// URL of the container that holds `checkpoint.txt`.
    CHECKPOINT_CONTAINER_URL = "CHECKPOINT_CONTAINER_URL";
    /// URL of the container for records that Azure refused.
    DEAD_LETTER_CONTAINER_URL = "DEAD_LETTER_CONTAINER_URL";
    /// URL of the queue `sync-work`, where several accounts or backfills are used.
    SYNC_QUEUE_URL = "SYNC_QUEUE_URL";
    /// Client id of the user-assigned identity that signs the worker in.
    MIMECAST_SENTINEL_IDENTITY_CLIENT_ID = "MIMECAST_SENTINEL_IDENTITY_CLIENT_ID";
    /// Tenant of the app registration that delivers, instead of the identity.
    DELIVERY_TENANT_ID = "DELIVERY_TENANT_ID";
    /// Client id of the app registration that delivers, instead of the identity.
    DELIVERY_CLIENT_ID = "DELIVERY_CLIENT_ID" as secret;
    /// Client secret of the app registration that delivers, instead of the identity.
    DELIVERY_CLIENT_SECRET = "DELIVERY_CLIENT_SECRET" as secret;
    /// Azure cloud: `public`, `us-government`, `china`, or a custom profile (a file's path or its JSON).
    MIMECAST_SENTINEL_CLOUD = "MIMECAST_SENTINEL_CLOUD" default "public";
    /// The installation's name, for the health rows.
    MIMECAST_SENTINEL_INSTALLATION = "MIMECAST_SENTINEL_INSTALLATION";
    /// SHA-256 of the worker package, for the health rows.
    MIMECAST_SENTINEL_PACKAGE = "MIMECAST_SENTINEL_PACKAGE";
    /// The answers that made the installation, compact JSON without secrets.
    MIMECAST_SENTINEL_ANSWERS = "MIMECAST_SENTINEL_ANSWERS";
    /// What ran before an upgrade whose trial is not over, compact JSON; the installer takes it away after the trial.
    MIMECAST_SENTINEL_TRIAL = "MIMECAST_SENTINEL_TRIAL";
    /// The port that the Functions host tells the worker to listen on.
    FUNCTIONS_CUSTOMHANDLER_PORT = "FUNCTIONS_CUSTOMHANDLER_PORT";
}

/// The settings that one of several accounts may have for itself. In the account's secret they stand
/// as members of one JSON object, without the prefix and in lower case: `client_id`.
pub const OF_AN_ACCOUNT: &[&str] = &[
    MIMECAST_API,
    MIMECAST_BASE_URL,
    MIMECAST_CLIENT_ID,
    MIMECAST_CLIENT_SECRET,
    MIMECAST_EMAIL,
    MIMECAST_PASSWORD,
    MIMECAST_APP_ID,
    MIMECAST_APP_KEY,
    MIMECAST_ACCESS_KEY,
    MIMECAST_SECRET_KEY,
    MIMECAST_CATEGORIES,
    MIMECAST_PAGE_SIZE,
    MIMECAST_QUOTA_RESERVE,
];

/// Name in the vault of an account's secret.
pub fn account_secret(key: &str) -> String {
    format!("mimecast-account-{key}")
}

/// Member of an account's secret that stands for a setting.
pub fn account_member(setting: &str) -> String {
    setting.trim_start_matches("MIMECAST_").to_ascii_lowercase()
}

/// How an unresolved Key Vault reference begins, as the Functions host leaves it in the environment.
/// Source: <https://learn.microsoft.com/azure/app-service/app-service-key-vault-references>.
pub const KEY_VAULT_REFERENCE_PREFIX: &str = "@Microsoft.KeyVault(";

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::ALL;

    #[test]
    fn names_are_unique_and_documented() {
        let names: HashSet<_> = ALL.iter().map(|setting| setting.name).collect();
        assert_eq!(names.len(), ALL.len());
        assert!(ALL.iter().all(|setting| setting.meaning.trim().ends_with('.')));
    }

    #[test]
    fn credentials_are_marked_secret_and_have_no_default() {
        for name in [super::MIMECAST_CLIENT_SECRET, super::MIMECAST_PASSWORD, super::DELIVERY_CLIENT_SECRET] {
            let setting = ALL.iter().find(|setting| setting.name == name).expect("listed");
            assert!(setting.secret && setting.default.is_none(), "{name}");
        }
    }
}
