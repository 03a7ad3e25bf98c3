//! The environment read once into [`Settings`]; every problem is reported at once.
//!
//! Names, defaults and meanings are `contract::settings`.

pub mod duration;
mod reader;
pub mod several;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use contract::cloud::CloudProfile;
use contract::secret::Secret;
use url::Url;

use crate::world::World;
use reader::Reader;

/// Everything a run needs to know, complete and valid.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whose events: base URL and credentials.
    pub mimecast: MimecastSettings,
    /// What to collect, and how.
    pub collect: CollectSettings,
    /// How much one run may do.
    pub limits: RunLimits,
    /// Where to deliver, and who we are there.
    pub reporting: Reporting,
}

/// What is needed to deliver rows, health rows too. It may be complete where the rest is not.
#[derive(Debug, Clone)]
pub struct Reporting {
    /// Name of the installation.
    pub installation: String,
    /// SHA-256 of the worker package, empty where it is not known.
    pub package_hash: String,
    /// Key of the account, empty where there is one only.
    pub account: String,
    /// The Azure cloud.
    pub cloud: CloudProfile,
    /// Where to deliver to.
    pub destination: Destination,
}

/// Where rows, checkpoint and dead letters go.
#[derive(Debug, Clone)]
pub enum Destination {
    /// Azure.
    Azure(Box<AzureDestination>),
    /// Files in a folder.
    Folder(PathBuf),
}

/// The places in Azure, and who we are there.
#[derive(Debug, Clone)]
pub struct AzureDestination {
    /// Logs ingestion endpoint of the data collection rule.
    pub ingestion_endpoint: Url,
    /// Immutable id of the data collection rule.
    pub rule_id: String,
    /// Container of the checkpoint.
    pub checkpoint_container: Url,
    /// Container of the dead letters.
    pub dead_letter_container: Url,
    /// Who delivers rows.
    pub delivery_identity: Identity,
    /// Who reads and writes blobs.
    pub storage_identity: Identity,
}

/// Who signs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// The managed identity of the machine or app: the user-assigned one with this client id, or the
    /// system-assigned one.
    Managed {
        /// Client id of the user-assigned identity.
        client_id: Option<String>,
    },
    /// An app registration.
    AppRegistration {
        /// Its tenant.
        tenant_id: String,
        /// Its client id.
        client_id: String,
        /// Its secret.
        client_secret: Secret<String>,
    },
}

/// As messages name it: an administrator finds it by its client id.
impl fmt::Display for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Managed { client_id: Some(client_id) } => {
                write!(formatter, "the managed identity with the client id {client_id}")
            }
            Self::Managed { client_id: None } => {
                formatter.write_str("the system-assigned managed identity of this app")
            }
            // Its client id is a setting that is kept as a secret.
            Self::AppRegistration { tenant_id, .. } => {
                write!(formatter, "the app registration of DELIVERY_CLIENT_ID in the tenant {tenant_id}")
            }
        }
    }
}

/// The Mimecast account.
#[derive(Debug, Clone)]
pub struct MimecastSettings {
    /// Root of the API.
    pub base_url: Url,
    /// How calls are signed.
    pub access: MimecastAccess,
}

/// How calls to Mimecast are signed.
#[derive(Debug, Clone)]
pub enum MimecastAccess {
    /// API 2.0: client credentials.
    OAuth {
        /// Client id.
        client_id: Secret<String>,
        /// Client secret.
        client_secret: Secret<String>,
    },
    /// API 1.0: signed calls.
    Signed {
        /// Application id.
        app_id: Secret<String>,
        /// Application key.
        app_key: Secret<String>,
        /// Access key.
        access_key: Secret<String>,
        /// Secret key, base64.
        secret_key: Secret<String>,
        /// E-mail address and password of the service user, to renew an expired binding.
        login: Option<(Secret<String>, Secret<String>)>,
    },
}

/// What to collect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectSettings {
    /// How far back the first run reaches.
    pub first_run: Duration,
    /// How long before now a window ends.
    pub settle: Duration,
    /// How far a window reaches back behind the last closed one.
    pub overlap: Duration,
    /// Events per page.
    pub page_size: u16,
    /// Category codes; empty means all.
    pub categories: Vec<String>,
    /// Calls of the quota to leave for others.
    pub quota_reserve: u64,
}

/// How much one run may do before it ends cleanly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunLimits {
    /// Time for reading and delivering.
    pub budget: Duration,
    /// Events to read.
    pub events: u64,
}

impl RunLimits {
    /// The last part of the budget: nothing new is read in it, and what was read is delivered.
    pub fn grace(&self) -> Duration {
        LONGEST_GRACE.min(self.budget / 4)
    }
}

/// What was read before it is delivered in this time, with the repeats of [`crate::ingest`].
const LONGEST_GRACE: Duration = Duration::from_secs(5 * 60);

/// One setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The setting's name.
    pub setting: &'static str,
    /// What is wrong with it, without its value where that may be a secret.
    pub what: String,
}

/// Settings that cannot be used.
#[derive(Debug, Clone)]
pub struct SettingsError {
    /// Every problem.
    pub problems: Vec<Problem>,
    /// What is needed to report them, where that much is complete.
    pub reporting: Option<Box<Reporting>>,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Problem { setting, what }) in self.problems.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(formatter, "{separator}{setting} {what}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SettingsError {}

impl Settings {
    /// Reads the environment. `folder` delivers to files instead of Azure.
    ///
    /// # Errors
    /// [`SettingsError`] with every problem at once.
    pub fn read(world: &World, folder: Option<&Path>) -> Result<Self, SettingsError> {
        let mut reader = Reader { world, problems: Vec::new() };
        reader.unresolved_references();
        let cloud = reader.cloud();
        let reporting = reader.whole_reporting(cloud.as_ref(), folder);
        let mimecast = reader.mimecast(cloud.as_ref());
        let collect = reader.collect();
        let limits = reader.limits();
        reader.queue(cloud.as_ref());
        match (reader.problems.is_empty(), mimecast, reporting) {
            (true, Some(mimecast), Some(reporting)) => Ok(Self { mimecast, collect, limits, reporting }),
            (_, _, reporting) => {
                Err(SettingsError { problems: reader.problems, reporting: reporting.map(Box::new) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;
    use std::time::Duration;

    use time::macros::datetime;

    use super::{Destination, Identity, MimecastAccess, Settings, SettingsError};
    use crate::world::{ManualClock, World};

    const COMPLETE: &[(&str, &str)] = &[
        ("MIMECAST_BASE_URL", "https://api.services.mimecast.com"),
        ("MIMECAST_CLIENT_ID", "client"),
        ("MIMECAST_CLIENT_SECRET", "canary-secret"),
        ("LOGS_INGESTION_ENDPOINT", "https://dcr-x-westeurope.logs.z1.ingest.monitor.azure.com"),
        ("DATA_COLLECTION_RULE_ID", "dcr-0123456789abcdef0123456789abcdef"),
        ("CHECKPOINT_CONTAINER_URL", "https://stx.blob.core.windows.net/audit-checkpoints"),
        ("DEAD_LETTER_CONTAINER_URL", "https://stx.blob.core.windows.net/dead-letters"),
        ("MIMECAST_SENTINEL_IDENTITY_CLIENT_ID", "11111111-1111-1111-1111-111111111111"),
    ];

    fn read(changes: &[(&str, &str)], folder: Option<&Path>) -> Result<Settings, SettingsError> {
        let mut environment: BTreeMap<String, String> =
            COMPLETE.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        environment.extend(changes.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())));
        Settings::read(&World::of(ManualClock::at(datetime!(2026-11-25 10:00 UTC)), environment), folder)
    }

    #[test]
    fn the_complete_set_with_defaults() {
        let settings = read(&[], None).expect("complete");
        assert_eq!(settings.collect.first_run, Duration::from_secs(7 * 86_400));
        assert_eq!(settings.collect.page_size, 500);
        assert!(matches!(settings.mimecast.access, MimecastAccess::OAuth { .. }));
        let Destination::Azure(azure) = settings.reporting.destination else { panic!("Azure") };
        assert_eq!(
            azure.checkpoint_container.as_str(),
            "https://stx.blob.core.windows.net/audit-checkpoints/"
        );
        let identity =
            Identity::Managed { client_id: Some("11111111-1111-1111-1111-111111111111".to_owned()) };
        assert_eq!((&azure.delivery_identity, &azure.storage_identity), (&identity, &identity));
    }

    // BR-075
    #[test]
    fn every_problem_is_named_at_once_and_no_secret_is_printed() {
        let error = read(
            &[
                ("LOGS_INGESTION_ENDPOINT", ""),
                ("DATA_COLLECTION_RULE_ID", ""),
                (
                    "MIMECAST_CLIENT_ID",
                    "@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net/secrets/canary)",
                ),
                ("MIMECAST_PAGE_SIZE", "501"),
                ("MIMECAST_OVERLAP", "soon"),
                ("MIMECAST_BASE_URL", "https://mimecast.com.example.com"),
                ("CHECKPOINT_CONTAINER_URL", "http://127.0.0.1/audit-checkpoints"),
                ("MIMECAST_RUN_EVENTS", "none"),
                ("SYNC_QUEUE_URL", "https://queue.example.com/sync-work"),
            ],
            None,
        )
        .expect_err("nine problems");
        let named: Vec<&str> = error.problems.iter().map(|problem| problem.setting).collect();
        assert_eq!(
            named,
            [
                "MIMECAST_CLIENT_ID",
                "LOGS_INGESTION_ENDPOINT",
                "DATA_COLLECTION_RULE_ID",
                "CHECKPOINT_CONTAINER_URL",
                "MIMECAST_BASE_URL",
                "MIMECAST_PAGE_SIZE",
                "MIMECAST_OVERLAP",
                "MIMECAST_RUN_EVENTS",
                "SYNC_QUEUE_URL",
            ]
        );
        let text = format!("{error} {error:?}");
        assert!(!text.contains("canary"), "{text}");
        assert!(error.reporting.is_none());
    }

    // BR-042: what comes after the budget fits into the rest of the function's time.
    #[test]
    fn under_the_host_a_run_ends_before_the_functions_time() {
        let hosted = ("FUNCTIONS_CUSTOMHANDLER_PORT", "40000");
        for (budget, taken) in [("20m", true), ("25m", true), ("26m", false), ("1d", false)] {
            let setting = ("MIMECAST_RUN_BUDGET", budget);
            assert_eq!(read(&[hosted, setting], None).is_ok(), taken, "{budget}");
            assert!(read(&[setting], None).is_ok(), "{budget} by itself");
        }
        let longest = read(&[hosted, ("MIMECAST_RUN_BUDGET", "25m")], None).expect("taken").limits;
        assert!(longest.budget < Duration::from_secs(contract::resources::FUNCTION_TIMEOUT_SECS));
        assert_eq!(longest.grace(), Duration::from_secs(300));
        let short = read(&[("MIMECAST_RUN_BUDGET", "1m")], None).expect("taken").limits;
        assert_eq!(short.grace(), Duration::from_secs(15));
    }

    #[test]
    fn a_fault_on_the_mimecast_side_can_still_be_reported() {
        let error = read(&[("MIMECAST_CLIENT_SECRET", "")], None).expect_err("missing");
        assert_eq!(error.to_string(), "MIMECAST_CLIENT_SECRET is missing");
        assert!(error.reporting.is_some());
    }

    #[test]
    fn an_app_registration_delivers_and_the_identity_keeps_the_checkpoint() {
        let registration = [
            ("DELIVERY_TENANT_ID", "22222222-2222-2222-2222-222222222222"),
            ("DELIVERY_CLIENT_ID", "app"),
            ("DELIVERY_CLIENT_SECRET", "canary-secret"),
        ];
        let settings = read(&registration, None).expect("complete");
        let Destination::Azure(azure) = settings.reporting.destination else { panic!("Azure") };
        assert!(
            matches!(&azure.delivery_identity, Identity::AppRegistration { client_id, .. } if client_id == "app")
        );
        assert!(matches!(azure.storage_identity, Identity::Managed { .. }));
        let error = read(&registration[..1], None).expect_err("two are missing");
        assert_eq!(error.to_string(), "DELIVERY_CLIENT_ID is missing; DELIVERY_CLIENT_SECRET is missing");
    }

    #[test]
    fn files_need_no_azure() {
        let nothing: Vec<_> = COMPLETE[3..].iter().map(|&(name, _)| (name, "")).collect();
        let settings = read(&nothing, Some(Path::new("out"))).expect("complete");
        assert!(
            matches!(settings.reporting.destination, Destination::Folder(folder) if folder == Path::new("out"))
        );
    }

    // BR-010
    #[test]
    fn the_other_generations_keys_do_not_do() {
        let error = read(&[("MIMECAST_API", "1.0")], None).expect_err("four keys are missing");
        assert_eq!(error.problems.len(), 4);
        let error = read(&[("MIMECAST_API", "3.0")], None).expect_err("unknown");
        assert_eq!(error.to_string(), "MIMECAST_API is `3.0`; accepted are 2.0 and 1.0");
    }

    #[test]
    fn a_custom_cloud_is_read_from_its_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("cloud.json");
        let profile = contract::cloud::CloudProfile::parse("public").expect("known");
        std::fs::write(&file, serde_json::to_vec(&profile).expect("JSON")).expect("written");
        let file = file.to_str().expect("UTF-8");
        let base_url = ("MIMECAST_BASE_URL", "https://127.0.0.1:4443");
        let settings = read(&[base_url, ("MIMECAST_SENTINEL_CLOUD", file)], None).expect("complete");
        assert!(settings.reporting.cloud.custom());
        let error = read(&[base_url], None).expect_err("loopback under the public cloud");
        assert_eq!(error.problems.len(), 1);
    }
}
