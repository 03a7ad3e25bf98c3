//! Whether the worker's runs are good: a run is asked for, and good rows are waited for in the health table.

use std::collections::BTreeSet;
use std::time::Duration;

use contract::resources::TIMER_FUNCTION;
use contract::run_errors;
use contract::streams::HEALTH_TABLE;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::probe::{Host, Patience, Subject, with_remedy};
use super::{Outcome, Probe};
use crate::azure::Azure;
use crate::ui::Usual;
use crate::ui::failure::told;

/// The probe's short word.
pub(super) const RUN: &str = "run";
/// A run is asked for again when this long has passed without a good one: by then a role may have
/// spread.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(60);
/// The same after a run that found another's lease: where a restart ended that other one, the lease ends
/// within the minute that it lasts.
const ASK_AGAIN_WHEN_BUSY: Duration = Duration::from_secs(15);
/// The same after a run to which nothing had settled: a window is a second long at least.
const ASK_AGAIN_WHEN_IDLE: Duration = Duration::from_secs(2);
/// How many rows are looked at, the newest first: more than all accounts write while one of them is waited
/// for.
const ROWS_LOOKED_AT: usize = 500;
/// Why a run takes a while: a role on the rule can take half an hour
/// (<https://learn.microsoft.com/azure/azure-monitor/logs/logs-ingestion-api-overview>).
const RUN_SHOWS: Usual = Usual {
    reason: "a run's row usually shows within ten minutes; 45 can be normal after an installation",
    secs: 600,
};

/// What to do where no row has told of a reason yet.
const WITHOUT_A_ROW: &str =
    "up to 45 minutes can be normal after an installation; `mimecast-sentinel status` looks again";

/// The runs that count.
#[derive(Debug, Clone, Default)]
pub(super) struct Runs {
    /// The workspace's own id.
    pub(super) workspace_customer_id: String,
    /// The installation's name.
    pub(super) installation: String,
    /// SHA-256 of the package that they are of; any where it is empty.
    pub(super) sha256: String,
    /// They are newer than this time of Azure's.
    pub(super) after: Option<String>,
    /// They began at this time of their host's or later: one that was under way then tells of what was before.
    pub(super) begun_since: Option<OffsetDateTime>,
}

impl Runs {
    /// Their rows, the newest first.
    pub(super) fn query(&self) -> String {
        let mut query = format!("{HEALTH_TABLE} | where Installation == \"{}\"", self.installation);
        if !self.sha256.is_empty() {
            query.push_str(&format!(" and PackageHash == \"{}\"", self.sha256));
        }
        if let Some(after) = &self.after {
            query.push_str(&format!(" and TimeGenerated > datetime({after})"));
        }
        // A row bears the time of the run's end; when it began is looked at in the row.
        if let Some(since) = self.begun_since.and_then(|since| since.format(&Rfc3339).ok()) {
            query.push_str(&format!(" and TimeGenerated >= datetime({since})"));
        }
        format!("{query} | top {ROWS_LOOKED_AT} by TimeGenerated desc")
    }

    /// Time of the newest row that can be seen; none where there is none, or it may not be seen.
    pub(super) async fn newest_seen(&self, azure: &Azure) -> Option<String> {
        let rows = azure.query(&self.workspace_customer_id, &self.query(), "").await.ok()?;
        let newest = rows.records().next()?;
        Some(text(&newest, "TimeGenerated").to_owned()).filter(|time| !time.is_empty())
    }

    /// Whether this row is of a run that began in time.
    fn begun_in_time(&self, row: &Map<String, Value>) -> bool {
        let Some(since) = self.begun_since else { return true };
        let ended = OffsetDateTime::parse(text(row, "TimeGenerated"), &Rfc3339).ok();
        let lasted = row.get("DurationMs").and_then(Value::as_i64).unwrap_or_default();
        ended.is_some_and(|ended| ended - time::Duration::milliseconds(lasted) >= since)
    }
}

/// Asks for a run and waits until these accounts each have a good one, or any has where none is named.
pub(super) async fn good_run(
    patience: &Patience<'_>,
    runs: &Runs,
    accounts: &BTreeSet<String>,
    host: &Host,
) -> Probe {
    let mut look = patience.begin(RUN, "run of the worker", RUN_SHOWS);
    let query = runs.query();
    let mut asked: Option<u64> = None;
    let mut pause = ASK_AGAIN_AFTER;
    loop {
        let due = asked.is_none_or(|at| patience.watch.millis() - at >= pause.as_millis() as u64);
        let mut refused = None;
        if due {
            refused = patience.azure.run_function(&host.url, &host.key, TIMER_FUNCTION, "").await.err();
            asked = Some(patience.watch.millis());
        }
        let rows: Vec<Map<String, Value>> =
            match patience.azure.query(&runs.workspace_customer_id, &query, "").await {
                Ok(rows) => rows.records().filter(|row| runs.begun_in_time(row)).collect(),
                Err(error) if error.status() == Some(403) => {
                    return with_remedy(
                        look.found(Outcome::NotChecked, "this account may not query the workspace"),
                        "the role Log Analytics Reader on the workspace is needed to see rows",
                    );
                }
                // A table that is new is not known to queries at once.
                Err(error) if error.has_code("SEM0100") => Vec::new(),
                Err(error) => {
                    refused.get_or_insert(error);
                    Vec::new()
                }
            };
        let mut remedy = WITHOUT_A_ROW;
        let (result, failed) = match (judge(&rows, accounts), refused) {
            (Judged::Good(result), _) => return look.found(Outcome::Good, result),
            (Judged::NotSeen(_), Some(error)) => (told(error.cause()), false),
            (Judged::NotSeen(result), None) => (result, false),
            (Judged::Idle(result), _) => {
                pause = ASK_AGAIN_WHEN_IDLE;
                (result, false)
            }
            (Judged::NotGood { result, failed, error_code }, _) => {
                pause = if failed { ASK_AGAIN_AFTER } else { ASK_AGAIN_WHEN_BUSY };
                remedy = run_errors::find(&error_code).map_or(remedy, |known| known.remedy);
                (result, failed)
            }
        };
        // Nothing better comes where no further run is asked for within the limit.
        let asked_last = asked.is_some_and(|at| patience.ends_within(at, ASK_AGAIN_AFTER));
        if patience.over() || failed && asked_last {
            let outcome = if failed { Outcome::Bad } else { Outcome::Waiting };
            return with_remedy(look.found(outcome, result), remedy);
        }
        look.again(&result).await;
    }
}

/// Within how long a good run is news: runs are this far apart at most where nobody has asked for rarer ones.
const NEWS: &str = "2h";

/// Whether a good run of each account is known that came after `changed_at`, a time of Azure's, and not long ago.
/// Looks once, and asks for nothing.
pub(super) async fn known_to_work(azure: &Azure, subject: &Subject, changed_at: Option<&str>) -> bool {
    let mut query = format!(
        "{HEALTH_TABLE} | where Installation == \"{}\" and PackageHash == \"{}\" and ingestion_time() > ago({NEWS})",
        subject.installation, subject.sha256
    );
    if let Some(changed_at) = changed_at {
        query.push_str(&format!(" and ingestion_time() > datetime({changed_at})"));
    }
    query.push_str(&format!(" | top {ROWS_LOOKED_AT} by TimeGenerated desc"));
    let found = azure.query(&subject.workspace_customer_id, &query, "").await;
    found.is_ok_and(|rows| {
        matches!(judge(&rows.records().collect::<Vec<_>>(), &subject.accounts), Judged::Good(_))
    })
}

/// What rows say of the accounts that count.
#[derive(Debug, PartialEq, Eq)]
enum Judged {
    Good(String),
    /// The newest run of one of them was not good.
    NotGood {
        result: String,
        failed: bool,
        /// Why, as `contract::run_errors` has it; empty where it says nothing.
        error_code: String,
    },
    /// The runs of one of them ended well without asking Mimecast for anything, which proves nothing.
    Idle(String),
    /// One of them has no row yet.
    NotSeen(String),
}

/// Judges rows, the newest first: each account by its newest.
fn judge(rows: &[Map<String, Value>], accounts: &BTreeSet<String>) -> Judged {
    if accounts.is_empty() {
        return judge_one(telling(rows, |_| true));
    }
    let mut delivered = 0;
    for account in accounts {
        let newest = telling(rows, |row| text(row, "Account").eq_ignore_ascii_case(account));
        match judge_one(newest) {
            Judged::Good(_) => {
                delivered += newest.and_then(|row| row.get("Delivered")?.as_u64()).unwrap_or(0);
            }
            Judged::NotGood { result, failed, error_code } => {
                let result = format!("account `{account}`: {result}");
                return Judged::NotGood { result, failed, error_code };
            }
            Judged::Idle(result) => return Judged::Idle(format!("account `{account}`: {result}")),
            Judged::NotSeen(result) => return Judged::NotSeen(format!("account `{account}`: {result}")),
        }
    }
    let whose = match accounts.first() {
        Some(only) if accounts.len() == 1 => format!("account `{only}`"),
        _ => format!("{} accounts", accounts.len()),
    };
    Judged::Good(format!("good for {whose}, {delivered} rows delivered"))
}

fn judge_one(row: Option<&Map<String, Value>>) -> Judged {
    let Some(row) = row else {
        return Judged::NotSeen("accepted, its health row is not visible yet".to_owned());
    };
    let result = text(row, "Result");
    if idle(row) {
        return Judged::Idle(format!(
            "{result}, but it asked Mimecast for nothing, since nothing had settled"
        ));
    }
    if good(row) {
        let delivered = row.get("Delivered").map(ToString::to_string).unwrap_or_default();
        return Judged::Good(format!("{result}, {delivered} rows delivered"));
    }
    let words = match (text(row, "Stage"), text(row, "Message")) {
        ("", "") => result.to_owned(),
        ("", message) => format!("{result}: {message}"),
        (stage, message) => format!("{result} in {stage}: {message}"),
    };
    let error_code = text(row, "ErrorCode").to_owned();
    Judged::NotGood { result: words, failed: result == "failed", error_code }
}

/// The newest row of those that count, of rows of which the newest is the first. One of a run that left the
/// work to another tells nothing of the work, and counts only where there is no other.
pub(crate) fn newest(
    rows: &[Map<String, Value>],
    counts: impl Fn(&Map<String, Value>) -> bool,
) -> Option<&Map<String, Value>> {
    let mut of_them = rows.iter().filter(|row| counts(row));
    let first = of_them.next()?;
    std::iter::once(first).chain(of_them).find(|row| text(row, "Result") != "busy").or(Some(first))
}

/// The newest row that tells whether Mimecast can be read; where none does, the newest of all.
pub(super) fn telling(
    rows: &[Map<String, Value>],
    counts: impl Fn(&Map<String, Value>) -> bool,
) -> Option<&Map<String, Value>> {
    newest(rows, |row| counts(row) && !idle(row)).or_else(|| newest(rows, &counts))
}

/// Whether this row is of a run that ended well and had no range to read: one that began in the second in which
/// the one before had ended, or that found the clock behind. It never called Mimecast.
fn idle(row: &Map<String, Value>) -> bool {
    good(row) && text(row, "WindowEnd").is_empty()
}

/// Whether this row is of a good run.
pub(super) fn good(row: &Map<String, Value>) -> bool {
    matches!(text(row, "Result"), "ok" | "partial")
}

/// A text of a row.
pub(crate) fn text<'a>(row: &'a Map<String, Value>, column: &str) -> &'a str {
    row.get(column).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Map, Value, json};
    use time::macros::datetime;

    use super::{Judged, Runs, judge};

    fn row(account: &str, result: &str) -> Map<String, Value> {
        let row = json!({
            "Account": account, "Result": result, "Stage": "poll", "Message": "no", "Delivered": 3,
            "ErrorCode": "mimecast_token_refused", "WindowEnd": "2026-11-25T10:00:00Z",
        });
        row.as_object().cloned().expect("an object")
    }

    fn idle(account: &str) -> Map<String, Value> {
        let mut row = row(account, "ok");
        row.insert("WindowEnd".to_owned(), Value::Null);
        row
    }

    #[test]
    fn a_run_that_asked_mimecast_for_nothing_proves_nothing() {
        let none = BTreeSet::new();
        assert!(matches!(judge(&[idle("")], &none), Judged::Idle(_)));
        // One that did ask counts, whatever came after it.
        assert!(matches!(judge(&[idle(""), row("", "ok")], &none), Judged::Good(_)));
        assert!(matches!(judge(&[idle(""), row("", "failed")], &none), Judged::NotGood { failed: true, .. }));
        let accounts: BTreeSet<String> = ["a", "b"].map(str::to_owned).into();
        let Judged::Idle(told) = judge(&[idle("b"), row("a", "ok")], &accounts) else { panic!("idle") };
        assert!(told.starts_with("account `b`: ok, but it asked Mimecast for nothing"), "{told}");
    }

    #[test]
    fn one_account_is_judged_by_its_newest_run() {
        let none = BTreeSet::new();
        assert!(matches!(judge(&[], &none), Judged::NotSeen(_)));
        assert_eq!(
            judge(&[row("", "partial"), row("", "failed")], &none),
            Judged::Good("partial, 3 rows delivered".to_owned())
        );
        assert_eq!(
            judge(&[row("", "failed"), row("", "ok")], &none),
            Judged::NotGood {
                result: "failed in poll: no".to_owned(),
                failed: true,
                error_code: "mimecast_token_refused".to_owned()
            }
        );
        // The lease was held by another run: a further one is waited for.
        assert!(matches!(judge(&[row("", "busy")], &none), Judged::NotGood { failed: false, .. }));
        // What that other run came to is what counts.
        assert!(matches!(judge(&[row("", "busy"), row("", "ok")], &none), Judged::Good(_)));
        let failed = judge(&[row("", "busy"), row("", "busy"), row("", "failed")], &none);
        assert!(matches!(failed, Judged::NotGood { failed: true, .. }));
    }

    #[test]
    fn each_of_several_accounts_needs_a_good_run_of_its_own() {
        let accounts: BTreeSet<String> = ["a", "b"].map(str::to_owned).into();
        assert_eq!(
            judge(&[row("a", "ok")], &accounts),
            Judged::NotSeen("account `b`: accepted, its health row is not visible yet".to_owned())
        );
        let mixed = [row("c", "failed"), row("B", "failed"), row("a", "ok"), row("b", "ok")];
        assert_eq!(
            judge(&mixed, &accounts),
            Judged::NotGood {
                result: "account `b`: failed in poll: no".to_owned(),
                failed: true,
                error_code: "mimecast_token_refused".to_owned()
            }
        );
        let good = [row("c", "failed"), row("b", "ok"), row("a", "ok"), row("b", "failed")];
        assert_eq!(judge(&good, &accounts), Judged::Good("good for 2 accounts, 6 rows delivered".to_owned()));
    }

    #[test]
    fn a_run_that_was_under_way_at_the_change_proves_nothing() {
        let runs = Runs { begun_since: Some(datetime!(2026-11-25 10:00 UTC)), ..Runs::default() };
        let lasting = |ended: &str, millis: u64| {
            let mut row = row("", "ok");
            row.insert("TimeGenerated".to_owned(), ended.into());
            row.insert("DurationMs".to_owned(), millis.into());
            row
        };
        assert!(runs.begun_in_time(&lasting("2026-11-25T10:00:01.5Z", 1_500)));
        assert!(!runs.begun_in_time(&lasting("2026-11-25T10:00:01.5Z", 1_501)));
        assert!(!runs.begun_in_time(&lasting("2026-11-25T09:59:59Z", 0)));
        assert!(Runs::default().begun_in_time(&lasting("2026-11-25T09:59:59Z", 0)));
    }

    #[test]
    fn the_query_names_what_counts() {
        let runs = Runs { installation: "one".to_owned(), ..Runs::default() };
        assert_eq!(
            runs.query(),
            "MimecastAuditHealth_CL | where Installation == \"one\" | top 500 by TimeGenerated desc"
        );
        let since = Some(datetime!(2026-11-25 00:00:02 UTC));
        let newer = Runs { sha256: "ab".to_owned(), begun_since: since, ..runs };
        assert!(newer.query().contains(
            " and PackageHash == \"ab\" and TimeGenerated >= datetime(2026-11-25T00:00:02Z) | top "
        ));
    }

    #[test]
    fn a_run_counts_by_when_it_began_and_not_by_when_its_row_came() {
        let runs = Runs { begun_since: Some(datetime!(2026-11-25 10:00:00 UTC)), ..Runs::default() };
        let row = |ended: &str, took: u64| {
            let mut row = row("", "ok");
            row.insert("TimeGenerated".to_owned(), json!(ended));
            row.insert("DurationMs".to_owned(), json!(took));
            row
        };
        assert!(runs.begun_in_time(&row("2026-11-25T10:00:05.0000000Z", 5_000)));
        assert!(!runs.begun_in_time(&row("2026-11-25T10:00:05.0000000Z", 5_001)), "it was under way");
        assert!(!runs.begun_in_time(&row("2026-11-25T09:58:00Z", 0)));
        assert!(!runs.begun_in_time(&row("soon", 0)));
        assert!(Runs::default().begun_in_time(&row("soon", 0)), "any counts where nothing was changed");
    }
}
