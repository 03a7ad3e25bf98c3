//! Reads each setting and notes every problem with it.

use std::path::Path;
use std::time::Duration;

use contract::cloud::{CloudProfile, HostKind};
use contract::resources::FUNCTION_TIMEOUT_SECS;
use contract::secret::Secret;
use contract::settings as names;
use url::Url;

use super::{
    AzureDestination, CollectSettings, Destination, Identity, MimecastAccess, MimecastSettings, Problem,
    Reporting, RunLimits, duration,
};
use crate::world::World;

/// Longest first run: Mimecast keeps audit events for 60 days.
const LONGEST_REACH: Duration = Duration::from_secs(60 * 86_400);

/// Longest budget of a run where no host ends it.
const LONGEST_BUDGET: Duration = Duration::from_secs(86_400);

/// What a run may need after its budget: the last call and the last write come to their ends, and the
/// health row goes out. The Functions host must not end it before that.
const AFTER_BUDGET_SECS: u64 = 5 * 60;

/// Whether delivering depends on this setting.
fn delivering(setting: &str) -> bool {
    [
        names::LOGS_INGESTION_ENDPOINT,
        names::DATA_COLLECTION_RULE_ID,
        names::DELIVERY_TENANT_ID,
        names::DELIVERY_CLIENT_ID,
        names::DELIVERY_CLIENT_SECRET,
        names::MIMECAST_SENTINEL_IDENTITY_CLIENT_ID,
        names::MIMECAST_SENTINEL_CLOUD,
        names::CHECKPOINT_CONTAINER_URL,
        names::DEAD_LETTER_CONTAINER_URL,
    ]
    .contains(&setting)
}

/// Reads settings one by one and notes every problem.
pub(super) struct Reader<'a> {
    pub(super) world: &'a World,
    pub(super) problems: Vec<Problem>,
}

impl Reader<'_> {
    pub(super) fn problem(&mut self, setting: &'static str, what: impl Into<String>) {
        // An unresolved reference was named already; that its text is no URL says nothing more.
        if self.problems.iter().all(|problem| problem.setting != setting) {
            self.problems.push(Problem { setting, what: what.into() });
        }
    }

    /// Names each setting that still holds the text of a Key Vault reference: the Functions host hands
    /// that on where it could not resolve it.
    // BR-062, BR-127
    pub(super) fn unresolved_references(&mut self) {
        for setting in names::ALL {
            let value = self.world.environment(setting.name).unwrap_or_default();
            if value.trim_start().starts_with(names::KEY_VAULT_REFERENCE_PREFIX) {
                self.problem(
                    setting.name,
                    "holds a Key Vault reference that was not resolved: check that the secret exists and \
                     that the app's identity has the role Key Vault Secrets User on it, then refresh the \
                     references",
                );
            }
        }
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        let default = || names::ALL.iter().find(|setting| setting.name == name)?.default;
        let value = self.world.environment(name).map(str::trim).filter(|value| !value.is_empty());
        value.or_else(default).map(str::to_owned)
    }

    pub(super) fn required(&mut self, name: &'static str) -> Option<String> {
        let value = self.text(name).filter(|value| !value.is_empty());
        if value.is_none() {
            self.problem(name, "is missing");
        }
        value
    }

    pub(super) fn secret(&mut self, name: &'static str) -> Option<Secret<String>> {
        self.required(name).map(Secret::new)
    }

    pub(super) fn duration(&mut self, name: &'static str, least: Duration, most: Duration) -> Duration {
        let text = self.text(name).unwrap_or_default();
        match duration::parse(&text) {
            Some(value) if (least..=most).contains(&value) => value,
            _ => {
                let (least, most) = (duration::text(least), duration::text(most));
                self.problem(
                    name,
                    format!("is `{text}`; accepted is {least} to {most}, written like 90s, 15m, 2h or 7d"),
                );
                Duration::ZERO
            }
        }
    }

    pub(super) fn number(&mut self, name: &'static str, least: u64, most: u64) -> u64 {
        let text = self.text(name).unwrap_or_default();
        match text.parse() {
            Ok(value) if (least..=most).contains(&value) => value,
            _ => {
                self.problem(name, format!("is `{text}`; accepted is a whole number from {least} to {most}"));
                least
            }
        }
    }

    pub(super) fn url(
        &mut self,
        name: &'static str,
        cloud: Option<&CloudProfile>,
        kind: HostKind,
    ) -> Option<Url> {
        let text = self.required(name)?;
        let Ok(mut url) = Url::parse(&text) else {
            self.problem(name, format!("is `{text}`, which is no URL"));
            return None;
        };
        if let Some(cloud) = cloud
            && !cloud.allows(&url, kind)
        {
            let whose = match kind {
                HostKind::Mimecast => "an https host under mimecast.com",
                HostKind::Azure | HostKind::Site => "an https host of the Azure cloud",
            };
            self.problem(
                name,
                format!(
                    "is `{url}`, which is not {whose}; credentials go to no other (cloud `{}`)",
                    cloud.name
                ),
            );
            return None;
        }
        // So that joining a path adds to it.
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        Some(url)
    }

    pub(super) fn cloud(&mut self) -> Option<CloudProfile> {
        let text = self.text(names::MIMECAST_SENTINEL_CLOUD)?;
        let profile = match Path::new(&text).is_file() {
            true => std::fs::read_to_string(&text).map_err(|error| error.to_string()),
            false => Ok(text.clone()),
        };
        let parsed = profile.and_then(|profile| {
            CloudProfile::parse(profile.trim_start_matches('\u{feff}')).map_err(|error| {
                let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
                format!("{error}{}", source.unwrap_or_default())
            })
        });
        match parsed {
            Ok(profile) => Some(profile),
            Err(error) => {
                self.problem(names::MIMECAST_SENTINEL_CLOUD, format!("cannot be used: {error}"));
                None
            }
        }
    }

    /// What is needed to deliver, where nothing of it has a problem.
    pub(super) fn whole_reporting(
        &mut self,
        cloud: Option<&CloudProfile>,
        folder: Option<&Path>,
    ) -> Option<Reporting> {
        let reporting = self.reporting(cloud, folder);
        reporting.filter(|_| self.problems.iter().all(|problem| !delivering(problem.setting)))
    }

    pub(super) fn reporting(
        &mut self,
        cloud: Option<&CloudProfile>,
        folder: Option<&Path>,
    ) -> Option<Reporting> {
        let destination = match folder {
            Some(folder) => Some(Destination::Folder(folder.to_owned())),
            None => self.azure(cloud).map(Box::new).map(Destination::Azure),
        };
        Some(Reporting {
            installation: self.text(names::MIMECAST_SENTINEL_INSTALLATION).unwrap_or_default(),
            package_hash: self.text(names::MIMECAST_SENTINEL_PACKAGE).unwrap_or_default(),
            account: String::new(),
            cloud: cloud?.clone(),
            destination: destination?,
        })
    }

    pub(super) fn azure(&mut self, cloud: Option<&CloudProfile>) -> Option<AzureDestination> {
        let ingestion_endpoint = self.url(names::LOGS_INGESTION_ENDPOINT, cloud, HostKind::Azure);
        let rule_id = self.required(names::DATA_COLLECTION_RULE_ID).filter(|id| {
            let valid = id.strip_prefix("dcr-").is_some_and(|digits| {
                digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
            });
            if !valid {
                self.problem(
                    names::DATA_COLLECTION_RULE_ID,
                    format!(
                        "is `{id}`; expected is the rule's immutable id: `dcr-` and 32 hexadecimal digits"
                    ),
                );
            }
            valid
        });
        let checkpoint_container = self.url(names::CHECKPOINT_CONTAINER_URL, cloud, HostKind::Azure);
        let dead_letter_container = self.url(names::DEAD_LETTER_CONTAINER_URL, cloud, HostKind::Azure);
        let (delivery_identity, storage_identity) = self.identities();
        Some(AzureDestination {
            ingestion_endpoint: ingestion_endpoint?,
            rule_id: rule_id?,
            checkpoint_container: checkpoint_container?,
            dead_letter_container: dead_letter_container?,
            delivery_identity: delivery_identity?,
            storage_identity: storage_identity?,
        })
    }

    /// Who delivers and who keeps the checkpoint. An app registration delivers where one is set; blobs
    /// are the managed identity's, unless there is an app registration and no identity is named.
    pub(super) fn identities(&mut self) -> (Option<Identity>, Option<Identity>) {
        let identity = self.text(names::MIMECAST_SENTINEL_IDENTITY_CLIENT_ID);
        let registration =
            [names::DELIVERY_TENANT_ID, names::DELIVERY_CLIENT_ID, names::DELIVERY_CLIENT_SECRET];
        let managed = Identity::Managed { client_id: identity.clone() };
        if registration.iter().all(|name| self.text(name).is_none()) {
            return (Some(managed.clone()), Some(managed));
        }
        let [tenant_id, client_id, client_secret] = registration.map(|name| self.required(name));
        let registration = (|| {
            Some(Identity::AppRegistration {
                tenant_id: tenant_id?,
                client_id: client_id?,
                client_secret: Secret::new(client_secret?),
            })
        })();
        let storage = if identity.is_some() { Some(managed) } else { registration.clone() };
        (registration, storage)
    }

    pub(super) fn mimecast(&mut self, cloud: Option<&CloudProfile>) -> Option<MimecastSettings> {
        let base_url = self.url(names::MIMECAST_BASE_URL, cloud, HostKind::Mimecast);
        let access = match self.text(names::MIMECAST_API).unwrap_or_default().as_str() {
            "2.0" => {
                let client_id = self.secret(names::MIMECAST_CLIENT_ID);
                let client_secret = self.secret(names::MIMECAST_CLIENT_SECRET);
                (|| Some(MimecastAccess::OAuth { client_id: client_id?, client_secret: client_secret? }))()
            }
            "1.0" => {
                let [app_id, app_key, access_key, secret_key] = [
                    names::MIMECAST_APP_ID,
                    names::MIMECAST_APP_KEY,
                    names::MIMECAST_ACCESS_KEY,
                    names::MIMECAST_SECRET_KEY,
                ]
                .map(|name| self.secret(name));
                let [email, password] =
                    [names::MIMECAST_EMAIL, names::MIMECAST_PASSWORD].map(|name| self.text(name));
                let login =
                    email.zip(password).map(|(email, password)| (Secret::new(email), Secret::new(password)));
                (|| {
                    Some(MimecastAccess::Signed {
                        app_id: app_id?,
                        app_key: app_key?,
                        access_key: access_key?,
                        secret_key: secret_key?,
                        login,
                    })
                })()
            }
            other => {
                self.problem(names::MIMECAST_API, format!("is `{other}`; accepted are 2.0 and 1.0"));
                None
            }
        };
        Some(MimecastSettings { base_url: base_url?, access: access? })
    }

    /// How much one run may do.
    // BR-042
    pub(super) fn limits(&mut self) -> RunLimits {
        let hosted = self.world.environment(names::FUNCTIONS_CUSTOMHANDLER_PORT).is_some();
        let longest = match hosted {
            true => Duration::from_secs(FUNCTION_TIMEOUT_SECS - AFTER_BUDGET_SECS),
            false => LONGEST_BUDGET,
        };
        RunLimits {
            budget: self.duration(names::MIMECAST_RUN_BUDGET, Duration::from_secs(1), longest),
            events: self.number(names::MIMECAST_RUN_EVENTS, 1, u64::MAX),
        }
    }

    /// The queue, where one is used.
    pub(super) fn queue(&mut self, cloud: Option<&CloudProfile>) -> Option<Url> {
        self.text(names::SYNC_QUEUE_URL)?;
        self.url(names::SYNC_QUEUE_URL, cloud, HostKind::Azure)
    }

    pub(super) fn collect(&mut self) -> CollectSettings {
        let day = Duration::from_secs(86_400);
        let categories = self.text(names::MIMECAST_CATEGORIES).unwrap_or_default();
        let page_size = self.number(names::MIMECAST_PAGE_SIZE, 1, 500);
        CollectSettings {
            first_run: self.duration(names::MIMECAST_FIRST_RUN, Duration::ZERO, LONGEST_REACH),
            settle: self.duration(names::MIMECAST_SETTLE, Duration::ZERO, day),
            overlap: self.duration(names::MIMECAST_OVERLAP, Duration::ZERO, day),
            page_size: u16::try_from(page_size).unwrap_or(500),
            categories: categories
                .split(',')
                .map(str::trim)
                .filter(|code| !code.is_empty())
                .map(str::to_owned)
                .collect(),
            quota_reserve: self.number(names::MIMECAST_QUOTA_RESERVE, 0, u64::MAX),
        }
    }
}
