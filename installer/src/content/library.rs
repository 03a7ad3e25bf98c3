//! The items of `templates/content/`, each a query beside its description.
//!
//! To add one: write `NAME.kql` and `NAME.json`, and add the name to the list below.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An embedded item: its name, its description's JSON and its query.
type Embedded = (&'static str, &'static str, &'static str);

macro_rules! items {
    ($folder:literal: $($name:literal),+ $(,)?) => {
        &[$((
            $name,
            include_str!(concat!("../../../templates/content/", $folder, "/", $name, ".json")),
            include_str!(concat!("../../../templates/content/", $folder, "/", $name, ".kql")),
        )),+]
    };
}

/// The workspace functions, in the order in which they may be made: each after those it calls.
const FUNCTIONS: &[Embedded] = items!["functions":
    "MimecastAuditView",
    "MimecastAuditHealthView",
    "vimAuthenticationMimecastAudit",
    "ASimAuthenticationMimecastAudit",
    "vimAuditEventMimecastAudit",
    "ASimAuditEventMimecastAudit",
];

const RULES: &[Embedded] = items!["rules":
    "anti-spoofing-policy",
    "api-application-changed",
    "audit-silence",
    "challenge-storm",
    "connector-failing",
    "connector-lagging",
    "dead-letters",
    "delivery-route-changed",
    "directory-connector-changed",
    "disabled-account-tried",
    "discovery-spree",
    "mailbox-export",
    "message-content-viewed",
    "password-changed-by-another",
    "password-guessing-source",
    "password-guessing-user",
    "password-spray",
    "policy-changed",
    "remediated-mail-restored",
    "rows-refused-after-acceptance",
    "success-after-failures",
    "support-login",
    "unauthorised-api-request",
];

const HUNTS: &[Embedded] = items!["hunting":
    "administrator-by-source",
    "archive-exports",
    "basic-authentication",
    "console-logon-without-second-factor",
    "device-enrolled",
    "domains-changed",
    "first-seen-source",
    "groups-changed",
    "mailboxes-searched",
    "managed-url-permitted",
    "message-views",
    "page-data-exports",
    "permission-denied-logon",
    "policy-timeline",
    "role-and-account-changes",
    "support-access-timeline",
    "threat-feed-downloads",
];

/// Why an item cannot be read. Always a fault of the project's own files.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// The description is not what its kind wants.
    #[error("reading the description of `{name}`")]
    Description {
        /// The item.
        name: String,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// The workbook names a tile without a query.
    #[error("the workbook names the tile `{0}`, which has no query")]
    Tile(String),
}

/// What an item relies on, so that a reader can judge it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StandsOn {
    /// Mimecast's names of the events.
    pub audit_types: Vec<String>,
    /// Columns of the view, or of another table.
    pub fields: Vec<String>,
    /// The sample event that shows it; none where only the event's name is known.
    pub sample: Option<String>,
}

/// A workspace function.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Function {
    /// Its alias in queries.
    #[serde(skip)]
    pub name: &'static str,
    /// What it gives.
    pub description: String,
    /// Its parameters as Log Analytics takes them: `name:type=default, …`.
    pub parameters: String,
    /// The custom unifying parser that calls it, for an ASIM parser.
    #[serde(default)]
    pub register_in: Option<String>,
    /// Its body.
    #[serde(skip)]
    pub query: &'static str,
}

/// An analytic rule.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// Name of its files.
    #[serde(skip)]
    pub name: &'static str,
    /// Title in Sentinel.
    pub display_name: String,
    /// What an alert means.
    pub description: String,
    /// `Informational`, `Low`, `Medium` or `High`.
    pub severity: String,
    /// Whether `rules: recommended` turns it on.
    pub enabled_by_default: bool,
    /// MITRE ATT&CK tactics.
    pub tactics: Vec<String>,
    /// MITRE ATT&CK techniques.
    pub techniques: Vec<String>,
    /// How often it runs, ISO 8601.
    pub query_frequency: String,
    /// How far back it reads, ISO 8601.
    pub query_period: String,
    /// Entities of an alert, by columns of the result.
    pub entity_mappings: Value,
    /// Details of an alert, by columns of the result.
    pub custom_details: Value,
    /// Title of an alert.
    pub alert_display_name_format: String,
    /// What it relies on.
    #[serde(skip_serializing)]
    pub stands_on: StandsOn,
    /// The query.
    #[serde(skip)]
    pub query: &'static str,
}

/// A hunting query.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hunt {
    /// Name of its files.
    #[serde(skip)]
    pub name: &'static str,
    /// Title in Sentinel.
    pub display_name: String,
    /// What it shows.
    pub description: String,
    /// MITRE ATT&CK tactics.
    pub tactics: Vec<String>,
    /// MITRE ATT&CK techniques.
    pub techniques: Vec<String>,
    /// What it relies on.
    pub stands_on: StandsOn,
    /// Whether the events' texts are not known yet.
    pub unconfirmed: bool,
    /// The query.
    #[serde(skip)]
    pub query: &'static str,
}

/// All content.
#[derive(Debug, Clone, PartialEq)]
pub struct Library {
    /// Workspace functions, each after those it calls.
    pub functions: Vec<Function>,
    /// Analytic rules.
    pub rules: Vec<Rule>,
    /// Hunting queries.
    pub hunts: Vec<Hunt>,
}

impl Library {
    /// Reads the embedded content.
    ///
    /// # Errors
    /// [`ContentError`] for a description that is not what its kind wants.
    pub fn load() -> Result<Self, ContentError> {
        let functions = read(FUNCTIONS, |function: &mut Function, name, query| {
            (function.name, function.query) = (name, query);
        })?;
        let rules = read(RULES, |rule: &mut Rule, name, query| (rule.name, rule.query) = (name, query))?;
        let hunts = read(HUNTS, |hunt: &mut Hunt, name, query| (hunt.name, hunt.query) = (name, query))?;
        Ok(Self { functions, rules, hunts })
    }
}

fn read<T: for<'de> Deserialize<'de>>(
    embedded: &'static [Embedded],
    complete: impl Fn(&mut T, &'static str, &'static str),
) -> Result<Vec<T>, ContentError> {
    embedded
        .iter()
        .map(|(name, description, query)| {
            let mut item: T = serde_json::from_str(description)
                .map_err(|source| ContentError::Description { name: (*name).to_owned(), source })?;
            complete(&mut item, name, query.trim_end());
            Ok(item)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use super::Library;

    fn folder(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../templates/content").join(name)
    }

    fn files(name: &str, ending: &str) -> BTreeSet<String> {
        std::fs::read_dir(folder(name))
            .expect("the folder is there")
            .filter_map(|entry| entry.expect("readable").file_name().into_string().ok())
            .filter_map(|file| file.strip_suffix(ending).map(str::to_owned))
            .collect()
    }

    #[test]
    fn every_file_is_in_the_library() {
        let library = Library::load().expect("the content is valid");
        let names = |items: Vec<&str>| items.into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
        for ending in [".kql", ".json"] {
            let functions = names(library.functions.iter().map(|item| item.name).collect());
            assert_eq!(files("functions", ending), functions);
            assert_eq!(files("rules", ending), names(library.rules.iter().map(|item| item.name).collect()));
            assert_eq!(files("hunting", ending), names(library.hunts.iter().map(|item| item.name).collect()));
        }
    }

    /// Minutes of an ISO 8601 duration, which must be written as Azure gives it back: no unit holds as much
    /// as the next one, or the plan would take the answer for a person's change.
    fn minutes(duration: &str) -> u32 {
        let rest = duration.strip_prefix('P').expect("a duration");
        let (days, clock) = rest.split_once('T').unwrap_or((rest, ""));
        let (mut total, mut digits) = (0, String::new());
        for (text, units) in [(days, &[('D', 24 * 60, 15)][..]), (clock, &[('H', 60, 24), ('M', 1, 60)][..])]
        {
            for each in text.chars() {
                if each.is_ascii_digit() {
                    digits.push(each);
                    continue;
                }
                let (_, length, limit) =
                    units.iter().find(|(unit, ..)| *unit == each).unwrap_or_else(|| panic!("{duration}"));
                let number: u32 = std::mem::take(&mut digits).parse().expect("a number");
                assert!(number < *limit, "{duration}");
                total += number * length;
            }
        }
        total
    }

    /// Limits of a scheduled rule: 5 minutes to 14 days, the period no shorter than the frequency,
    /// and a period of two days or more at most once an hour
    /// (<https://learn.microsoft.com/azure/sentinel/create-analytics-rules>).
    #[test]
    fn sentinel_accepts_every_schedule() {
        for rule in Library::load().expect("valid").rules {
            let (frequency, period) = (minutes(&rule.query_frequency), minutes(&rule.query_period));
            assert!((5..=14 * 24 * 60).contains(&frequency) && period <= 14 * 24 * 60, "{}", rule.name);
            assert!(period >= frequency, "{}", rule.name);
            assert!(period < 2 * 24 * 60 || frequency >= 60, "{}", rule.name);
        }
    }

    /// A rule without a known sample stays off until someone has seen its event.
    #[test]
    fn what_a_sample_shows_is_on_by_default_and_nothing_else() {
        for rule in Library::load().expect("valid").rules {
            assert_eq!(rule.stands_on.sample.is_some(), rule.enabled_by_default, "{}", rule.name);
            assert!(
                !rule.stands_on.audit_types.is_empty() || !rule.stands_on.fields.is_empty(),
                "{} stands on nothing",
                rule.name
            );
        }
    }

    /// A first run and a backfill write old events at a new time: only both times together tell what
    /// happened just now.
    #[test]
    fn every_rule_over_events_bounds_both_their_times() {
        let rules = Library::load().expect("valid").rules;
        let over_events: Vec<_> =
            rules.iter().filter(|rule| rule.query.contains("MimecastAuditView()")).collect();
        assert!(over_events.len() >= 12, "{}", over_events.len());
        for rule in over_events {
            for bound in [
                "EventTime between (ago(",
                "TimeGenerated > ago(",
                "where (TimeGenerated - EventTime) between (-1d .. 1d)",
            ] {
                assert!(rule.query.contains(bound), "{}: no `{bound}`", rule.name);
            }
        }
    }
}
