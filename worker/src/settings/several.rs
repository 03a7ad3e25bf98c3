//! The settings of an installation that serves several accounts: what they share, and how the secret
//! of one becomes its [`Settings`].

use std::path::{Path, PathBuf};
use std::time::Duration;

use contract::cloud::HostKind;
use contract::secret::Secret;
use contract::settings as names;
use serde_json::Value;
use url::Url;

use super::{Identity, Problem, Reader, Reporting, Settings, SettingsError};
use crate::world::World;

/// The longest key: it is part of names of blobs and secrets.
const KEY_LIMIT: usize = 24;

/// The period where the schedule has none that can be told.
const UNTOLD_PERIOD: Duration = Duration::from_secs(5 * 60);

/// What all accounts share.
#[derive(Debug, Clone)]
pub struct Several {
    /// The accounts' keys, at least one, each once.
    pub keys: Vec<String>,
    /// The vault with one secret for each account.
    pub vault: Url,
    /// Who reads them there.
    pub identity: Identity,
    /// Where to deliver, and who we are there.
    pub reporting: Reporting,
    folder: Option<PathBuf>,
}

impl Several {
    /// Whether the environment names several accounts.
    pub fn wanted(world: &World) -> bool {
        world.environment(names::MIMECAST_ACCOUNTS).is_some()
    }

    /// Reads what is shared. `folder` delivers to files instead of Azure.
    ///
    /// # Errors
    /// [`SettingsError`] with every problem at once.
    pub fn read(world: &World, folder: Option<&Path>) -> Result<Self, SettingsError> {
        let mut reader = Reader { world, problems: Vec::new() };
        reader.unresolved_references();
        let cloud = reader.cloud();
        let reporting = reader.whole_reporting(cloud.as_ref(), folder);
        let vault = reader.url(names::ACCOUNT_VAULT_URL, cloud.as_ref(), HostKind::Azure);
        let (_, identity) = reader.identities();
        let text = reader.text(names::MIMECAST_ACCOUNTS).unwrap_or_default();
        let mut keys: Vec<String> = Vec::new();
        for key in text.split(',').map(str::trim).filter(|key| !key.is_empty()) {
            let fits = key.len() <= KEY_LIMIT
                && key.bytes().all(|each| each.is_ascii_lowercase() || each.is_ascii_digit() || each == b'-');
            if !fits {
                let accepted = "accepted are 1 to 24 lower-case letters, digits and hyphens";
                reader.problem(names::MIMECAST_ACCOUNTS, format!("names the account `{key}`; {accepted}"));
            } else if keys.iter().any(|other| other == key) {
                reader.problem(names::MIMECAST_ACCOUNTS, format!("names the account `{key}` twice"));
            }
            keys.push(key.to_owned());
        }
        if keys.is_empty() {
            reader.problem(names::MIMECAST_ACCOUNTS, "names no account");
        }
        // An account's own problems are the account's; what is shared is checked here once.
        reader.collect();
        reader.limits();
        reader.queue(cloud.as_ref());
        match (reader.problems.is_empty(), vault, identity, reporting) {
            (true, Some(vault), Some(identity), Some(reporting)) => {
                Ok(Self { keys, vault, identity, reporting, folder: folder.map(Path::to_owned) })
            }
            (_, _, _, reporting) => {
                Err(SettingsError { problems: reader.problems, reporting: reporting.map(Box::new) })
            }
        }
    }

    /// The settings of one account: the shared ones, and those in its secret.
    ///
    /// # Errors
    /// [`SettingsError`] with every problem at once, which can be reported under the account's key.
    pub fn account(
        &self,
        world: &World,
        key: &str,
        own: impl IntoIterator<Item = (&'static str, Secret<String>)>,
    ) -> Result<Settings, SettingsError> {
        let own = own.into_iter().map(|(name, value)| (name.to_owned(), value.expose().clone()));
        let absent = names::OF_AN_ACCOUNT.iter().map(|name| ((*name).to_owned(), String::new()));
        let world = world.clone().with_environment(absent.chain(own));
        match Settings::read(&world, self.folder.as_deref()) {
            Ok(mut settings) => {
                key.clone_into(&mut settings.reporting.account);
                Ok(settings)
            }
            Err(error) => Err(self.problem_of(key, error.problems)),
        }
    }

    /// Problems of one account, to be reported under its key.
    pub fn problem_of(&self, key: &str, problems: Vec<Problem>) -> SettingsError {
        let reporting = Reporting { account: key.to_owned(), ..self.reporting.clone() };
        SettingsError { problems, reporting: Some(Box::new(reporting)) }
    }
}

/// A value in an account's secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Member {
    /// The value itself.
    Value(Secret<String>),
    /// The address of the secret that holds it, in a vault of the person's own.
    Kept(Url),
}

/// Reads the JSON object of an account's secret: its members by the names of their settings. A member
/// is a text, a number, or `{"key_vault": "https://…/secrets/…"}`.
///
/// # Errors
/// Every problem with it, without its values.
pub fn document(text: &str) -> Result<Vec<(&'static str, Member)>, Vec<Problem>> {
    let problem = |what: String| Problem { setting: names::MIMECAST_ACCOUNTS, what };
    let value: Value = serde_json::from_str(text.trim_start_matches('\u{feff}')).unwrap_or_default();
    let Value::Object(object) = value else {
        return Err(vec![problem("names an account whose secret is no JSON object".to_owned())]);
    };
    let mut members = Vec::new();
    let mut problems = Vec::new();
    for (member, value) in object {
        let Some(name) = names::OF_AN_ACCOUNT.iter().find(|name| names::account_member(name) == member)
        else {
            problems
                .push(problem(format!("names an account whose secret has `{member}`, which is not known")));
            continue;
        };
        let kept = value.get("key_vault").and_then(Value::as_str).and_then(|text| Url::parse(text).ok());
        match (value, kept) {
            (_, Some(address)) => members.push((*name, Member::Kept(address))),
            (Value::String(value), _) => members.push((*name, Member::Value(Secret::new(value)))),
            (Value::Number(value), _) => {
                members.push((*name, Member::Value(Secret::new(value.to_string()))));
            }
            _ => problems.push(problem(format!(
                "names an account whose `{member}` is neither a text nor the address of a secret"
            ))),
        }
    }
    if problems.is_empty() { Ok(members) } else { Err(problems) }
}

/// The time between two ticks of a schedule, as far as its form tells: the forms that the installer
/// writes (`0 */5 * * * *`, `0 0 */2 * * *` and their kin), else five minutes. A message that lives a
/// little too long or too short is made good by the next tick.
pub fn period(schedule: &str) -> Duration {
    const MINUTE: u64 = 60;
    let fields: Vec<&str> = schedule.split_whitespace().collect();
    let [_, minute, hour, ..] = fields.as_slice() else { return UNTOLD_PERIOD };
    let every = |field: &str| field.strip_prefix("*/").and_then(|number| number.parse::<u64>().ok());
    let secs = match (*minute, *hour) {
        ("*", _) => MINUTE,
        (minute, _) if every(minute).is_some() => every(minute).unwrap_or(5) * MINUTE,
        (minute, "*") if minute.parse::<u64>().is_ok() => 60 * MINUTE,
        (_, hour) if every(hour).is_some() => every(hour).unwrap_or(1) * 60 * MINUTE,
        (minute, hour) if minute.parse::<u64>().is_ok() && hour.parse::<u64>().is_ok() => 24 * 60 * MINUTE,
        _ => return UNTOLD_PERIOD,
    };
    Duration::from_secs(secs.max(MINUTE))
}

/// The period of the environment's schedule.
pub fn schedule_period(world: &World) -> Duration {
    let reader = Reader { world, problems: Vec::new() };
    period(&reader.text(names::MIMECAST_SCHEDULE).unwrap_or_default())
}

/// The queue, where one is used.
///
/// # Errors
/// What is wrong with its URL.
pub fn queue(world: &World) -> Result<Option<Url>, Problem> {
    let mut reader = Reader { world, problems: Vec::new() };
    let cloud = reader.cloud();
    let url = reader.queue(cloud.as_ref());
    match reader.problems.pop() {
        Some(problem) => Err(problem),
        None => Ok(url),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use time::macros::datetime;

    use super::{Member, Several, document, period};
    use crate::settings::{MimecastAccess, Settings, SettingsError, duration};
    use crate::world::{ManualClock, World};

    const SHARED: &[(&str, &str)] = &[
        ("MIMECAST_ACCOUNTS", "alpha, beta"),
        ("ACCOUNT_VAULT_URL", "https://kv-one.vault.azure.net"),
        ("LOGS_INGESTION_ENDPOINT", "https://dcr-x-westeurope.logs.z1.ingest.monitor.azure.com"),
        ("DATA_COLLECTION_RULE_ID", "dcr-0123456789abcdef0123456789abcdef"),
        ("CHECKPOINT_CONTAINER_URL", "https://stx.blob.core.windows.net/audit-checkpoints"),
        ("DEAD_LETTER_CONTAINER_URL", "https://stx.blob.core.windows.net/dead-letters"),
        // Left over from when there was one account only: of no account.
        ("MIMECAST_CLIENT_ID", "left-over"),
    ];

    fn world(changes: &[(&str, &str)]) -> World {
        let all = SHARED.iter().chain(changes);
        let environment = all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        World::of(ManualClock::at(datetime!(2026-11-25 10:00 UTC)), environment)
    }

    fn problems(error: &SettingsError) -> String {
        assert!(error.reporting.is_some(), "{error}");
        error.to_string()
    }

    fn account(several: &Several, world: &World, key: &str, text: &str) -> Result<Settings, SettingsError> {
        let values = document(text).expect("an account").into_iter().map(|(name, member)| match member {
            Member::Value(value) => (name, value),
            Member::Kept(address) => panic!("{address}"),
        });
        several.account(world, key, values)
    }

    #[test]
    fn each_account_has_what_is_shared_and_what_is_its_own() {
        let world = world(&[("MIMECAST_OVERLAP", "20m")]);
        let several = Several::read(&world, None).expect("complete");
        assert_eq!(several.keys, ["alpha", "beta"]);
        let text = r#"{"base_url":"https://api.services.mimecast.com","client_id":"a","client_secret":"canary","page_size":100}"#;
        assert!(!format!("{:?}", document(text)).contains("canary"));
        let settings = account(&several, &world, "alpha", text).expect("complete");
        assert_eq!(settings.reporting.account, "alpha");
        assert_eq!(settings.collect.page_size, 100);
        assert_eq!(settings.collect.overlap, Duration::from_secs(20 * 60));
        assert!(matches!(settings.mimecast.access, MimecastAccess::OAuth { .. }));
    }

    #[test]
    fn an_accounts_fault_is_its_own_and_names_no_value() {
        let world = world(&[]);
        let several = Several::read(&world, None).expect("complete");
        let text = r#"{"base_url":"https://example.com","client_secret":"canary"}"#;
        let error = account(&several, &world, "beta", text).expect_err("incomplete");
        let text = problems(&error);
        assert_eq!(error.reporting.as_ref().expect("reportable").account, "beta");
        assert!(text.contains("MIMECAST_CLIENT_ID is missing"), "{text}");
        assert!(text.contains("MIMECAST_BASE_URL") && !text.contains("canary"), "{text}");
        for wrong in ["canary", "[]", r#"{"sentinel_cloud":"canary"}"#, r#"{"client_id":["canary"]}"#] {
            let found = document(wrong).expect_err("wrong");
            assert!(!format!("{found:?}").contains("canary"), "{found:?}");
        }
    }

    #[test]
    fn a_value_may_stay_in_a_vault_of_the_persons_own() {
        let address = "https://kv-security.vault.azure.net/secrets/mimecast-client-secret";
        let found = document(&format!(r#"{{"client_secret":{{"key_vault":"{address}"}}}}"#));
        let address = address.parse().expect("a URL");
        assert_eq!(found.expect("read"), [("MIMECAST_CLIENT_SECRET", Member::Kept(address))]);
    }

    #[test]
    fn keys_and_the_vault_are_checked() {
        let wrong =
            world(&[("MIMECAST_ACCOUNTS", "Alpha"), ("ACCOUNT_VAULT_URL", "https://vault.example.com")]);
        let error = Several::read(&wrong, None);
        let text = problems(&error.expect_err("two problems"));
        assert!(text.contains("`Alpha`") && text.contains("ACCOUNT_VAULT_URL"), "{text}");
        let shared = world(&[
            ("MIMECAST_ACCOUNTS", "Alpha"),
            ("MIMECAST_RUN_BUDGET", "long"),
            ("MIMECAST_RUN_EVENTS", "many"),
            ("SYNC_QUEUE_URL", "https://queue.example.com/sync-work"),
        ]);
        let text = problems(&Several::read(&shared, None).expect_err("four problems"));
        for name in ["`Alpha`", "MIMECAST_RUN_BUDGET", "MIMECAST_RUN_EVENTS", "SYNC_QUEUE_URL"] {
            assert!(text.contains(name), "{text}");
        }
        let twice = Several::read(&world(&[("MIMECAST_ACCOUNTS", "a,b,a")]), None).expect_err("twice");
        assert!(problems(&twice).contains("twice"));
    }

    #[test]
    fn a_tick_lives_as_long_as_the_schedule_says() {
        for (schedule, expected) in [
            ("0 */5 * * * *", "5m"),
            ("0 * * * * *", "1m"),
            ("0 0 * * * *", "1h"),
            ("0 0 */2 * * *", "2h"),
            ("0 0 0 * * *", "1d"),
            ("0 0,30 * * * *", "5m"),
            ("every day", "5m"),
        ] {
            assert_eq!(Some(period(schedule)), duration::parse(expected), "{schedule}");
        }
    }
}
