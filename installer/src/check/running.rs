//! An installation that is there: references, host, timer, package, keys, and its last runs.

use contract::resources::{PACKAGE_TAG, TIMER_FUNCTION};
use contract::run_errors;
use serde_json::{Map, Value};

use super::{Check, Side};
use crate::azure::{Azure, AzureError, ResourceId};
use crate::deploy::publish::site_url;
use crate::inventory::Inventory;
use crate::plan::ids::Ids;
use crate::plan::tag;
use crate::plan::template::SITES_VERSION;
use crate::verify::health::{Health, Silent, whose};
use crate::verify::probe::HOST_REMEDY;
use crate::verify::{reference, text};

const REFERENCES: &str = "https://learn.microsoft.com/azure/app-service/app-service-key-vault-references#troubleshoot-key-vault-references";
const TRIGGERS: &str =
    "https://learn.microsoft.com/azure/azure-functions/functions-deployment-technologies#trigger-syncing";
const KEYS: &str = "https://learn.microsoft.com/azure/storage/common/shared-key-authorization-prevent";
/// A setting by which Azure reaches the storage account with a key instead of the identity (BR-105).
const INJECTED: &str = "AzureWebJobsStorage";
/// From here on the newest event is late by more than a few runs.
const LAG_WORTH_A_WORD_SECS: i64 = 60 * 60;

/// Looks at the installation whose inventory this is; `health` is what its health table says, where it could be
/// read.
pub async fn check(
    azure: &Azure,
    inventory: &Inventory,
    ids: &Ids,
    health: &Result<Health, AzureError>,
) -> Vec<Check> {
    let Ok(site_id) = ResourceId::parse(&ids.function_app) else { return Vec::new() };
    let site = inventory.resource(&ids.function_app).cloned().unwrap_or_default();
    let (references, host, timer) =
        futures::join!(references(azure, &site_id), host(azure, &site_id, &site), timer(azure, &site_id));
    let mut checks = vec![references, package(&site), host, timer, keys(inventory, ids)];
    checks.extend(last_runs(health));
    checks
}

/// Whether the settings that refer to a vault were resolved (BR-126, BR-127).
async fn references(azure: &Azure, site_id: &ResourceId) -> Check {
    const TITLE: &str = "Key Vault references";
    let list = match reference::references(azure, site_id).await {
        Ok(list) => list,
        Err(error) => return Check::refused("references", Side::Running, TITLE, &error),
    };
    let (mut open, mut remedies) = (Vec::new(), Vec::new());
    for each in list.iter().filter(|each| !each.resolved()) {
        open.push(format!("`{}` is {}", each.setting, each.status));
        let remedy = reference::remedy(azure, site_id, each).await;
        if !remedies.contains(&remedy) {
            remedies.push(remedy);
        }
    }
    if open.is_empty() {
        return Check::good("references", Side::Running, TITLE, format!("{} resolved", list.len()));
    }
    Check::fails("references", Side::Running, TITLE, open.join(", "), remedies.join("\n")).link(REFERENCES)
}

fn package(site: &Value) -> Check {
    const TITLE: &str = "worker package";
    match tag(site, PACKAGE_TAG) {
        Some(sha256) => Check::good("package-published", Side::Running, TITLE, sha256),
        None => Check::fails(
            "package-published",
            Side::Running,
            TITLE,
            "none was published",
            "`mimecast-sentinel install` completes the installation",
        ),
    }
}

async fn host(azure: &Azure, site_id: &ResourceId, site: &Value) -> Check {
    const TITLE: &str = "Functions host";
    let status = async {
        let url = site_url(site).ok_or_else(|| AzureError::Incomplete {
            what: format!("reading {site_id}"),
            missing: "defaultHostName",
        })?;
        let key = azure.master_key(site_id).await?;
        azure.host_status(&url, &key).await
    };
    match status.await {
        Ok(status) if status.healthy() => Check::good("host", Side::Running, TITLE, status.state),
        Ok(status) => Check::fails(
            "host",
            Side::Running,
            TITLE,
            format!("{} {}", status.state, status.errors.join("; ")),
            HOST_REMEDY,
        ),
        Err(error) if error.status() == Some(403) => Check::refused("host", Side::Running, TITLE, &error),
        Err(error) => Check::broken("host", Side::Running, TITLE, &error),
    }
}

/// Whether the timer's function is registered (BR-099).
async fn timer(azure: &Azure, site_id: &ResourceId) -> Check {
    const TITLE: &str = "timer";
    match azure.functions(site_id).await {
        Ok(functions) => match functions.iter().find(|each| each.name.eq_ignore_ascii_case(TIMER_FUNCTION)) {
            Some(function) if function.disabled => Check::warns(
                "timer",
                Side::Running,
                TITLE,
                format!("function `{TIMER_FUNCTION}` is paused"),
                "`mimecast-sentinel resume`",
            ),
            Some(_) => Check::good(
                "timer",
                Side::Running,
                TITLE,
                format!("function `{TIMER_FUNCTION}` is registered"),
            ),
            None => Check::fails(
                "timer",
                Side::Running,
                TITLE,
                format!("function `{TIMER_FUNCTION}` is not registered"),
                format!(
                    "az rest --method post --url \"{}/syncfunctiontriggers?api-version={SITES_VERSION}\"",
                    site_id.path()
                ),
            )
            .link(TRIGGERS),
        },
        Err(error) => Check::refused("timer", Side::Running, TITLE, &error),
    }
}

/// Whether a key opens what only identities should.
fn keys(inventory: &Inventory, ids: &Ids) -> Check {
    const TITLE: &str = "access by keys";
    let injected = inventory.settings.as_ref().is_some_and(|settings| settings.contains_key(INJECTED));
    let account = inventory.resource(&ids.storage_account);
    let shared =
        account.is_some_and(|account| account["properties"]["allowSharedKeyAccess"] == Value::Bool(true));
    let found = match (injected, shared) {
        (true, _) => {
            format!("the app has the setting `{INJECTED}`, which holds a key of the storage account")
        }
        (false, true) => "the storage account can be opened with its keys".to_owned(),
        (false, false) => return Check::good("keys", Side::Running, TITLE, "none; identities alone"),
    };
    Check::fails("keys", Side::Running, TITLE, found, "`mimecast-sentinel install` takes it away").link(KEYS)
}

/// The last run of each account, and the accounts whose runs stay away.
fn last_runs(health: &Result<Health, AzureError>) -> Vec<Check> {
    const TITLE: &str = "last run";
    let health = match health {
        Ok(health) => health,
        Err(error) => return vec![Check::refused("last-run", Side::Running, TITLE, error)],
    };
    let unseen = |account: &str| {
        Check::fails(
            "last-run",
            Side::Running,
            TITLE,
            format!("none{} was seen", whose(account)),
            "the first rows take up to 45 minutes; after that the app's own log tells: `mimecast-sentinel doctor --bundle FILE` has its last day",
        )
    };
    let silent = |silent: &Silent| {
        Check::fails(
            "silent",
            Side::Running,
            TITLE,
            silent.told(),
            "the worker is not started, or its rows do not arrive: see host, timer and workspace here; the app's own log tells more: `mimecast-sentinel doctor --bundle FILE` has its last day. After `mimecast-sentinel resume` the first run takes some minutes",
        )
    };
    let mut checks: Vec<Check> = health.silent.iter().map(silent).collect();
    checks.extend(health.unseen.iter().map(|account| unseen(account)));
    let is_silent =
        |row: &Map<String, Value>| health.silent.iter().any(|silent| silent.account == text(row, "Account"));
    // How a run ended that is long over would only draw the eye from that there is none since.
    checks.extend(
        health.last.iter().filter(|row| !is_silent(row) || text(row, "Result") == "failed").map(last_run),
    );
    if checks.is_empty() {
        checks.push(unseen(""));
    }
    checks
}

fn last_run(last: &Map<String, Value>) -> Check {
    const TITLE: &str = "last run";
    let text = |name: &str| text(last, name);
    let number = |name: &str| last.get(name).and_then(Value::as_i64).unwrap_or_default();
    let at = match text("Account") {
        "" => text("TimeGenerated").to_owned(),
        account => format!("{}, account `{account}`", text("TimeGenerated")),
    };
    if text("Result") == "failed" {
        let what =
            format!("of {at} failed in {} ({}): {}", text("Stage"), text("ErrorCode"), text("Message"));
        return Check::fails(
            "last-run",
            Side::Running,
            TITLE,
            what,
            run_errors::find(text("ErrorCode")).map_or(
                "the next tick goes on where it stopped; docs/reference/errors.md explains its code",
                |error| error.remedy,
            ),
        );
    }
    if number("LagSeconds") > LAG_WORTH_A_WORD_SECS {
        return Check::warns(
            "lag",
            Side::Running,
            TITLE,
            format!("of {at} is {} behind", super::span(number("LagSeconds").unsigned_abs())),
            "a backlog is worked off run by run; where it grows, collect more often (`collect.every`)",
        );
    }
    Check::good("last-run", Side::Running, TITLE, format!("of {at}: {}", text("Result")))
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::last_runs;
    use crate::check::{Check, State};
    use crate::verify::health::{Health, Silent};

    fn row(row: Value) -> Map<String, Value> {
        row.as_object().cloned().unwrap_or_default()
    }

    fn of(rows: impl IntoIterator<Item = Value>) -> Health {
        Health { last: rows.into_iter().map(row).collect(), ..Health::default() }
    }

    fn found(health: Health) -> Vec<(String, State)> {
        last_runs(&Ok(health)).into_iter().map(|check| (check.id, check.state)).collect()
    }

    #[test]
    fn the_last_run_is_judged_by_its_result_and_its_lag() {
        let one = |id: &str, state: State| vec![(id.to_owned(), state)];
        assert_eq!(found(of([json!({ "Result": "ok", "LagSeconds": 90 })])), one("last-run", State::Good));
        assert_eq!(found(of([json!({ "Result": "ok", "LagSeconds": 9_000 })])), one("lag", State::Warning));
        assert_eq!(found(of([json!({ "Result": "failed" })])), one("last-run", State::Failed));
        assert_eq!(found(of([])), one("last-run", State::Failed));
    }

    #[test]
    fn no_account_hides_behind_another() {
        let checks = last_runs(&Ok(of([
            json!({ "Account": "a", "Result": "ok" }),
            json!({ "Account": "b", "Result": "failed", "Stage": "poll" }),
        ])));
        let failed: Vec<&Check> = checks.iter().filter(|check| check.failed()).collect();
        assert_eq!((checks.len(), failed.len()), (2, 1));
        assert!(failed[0].result.contains("account `b`"), "{}", failed[0].result);
        let health =
            Health { unseen: vec!["c".to_owned()], ..of([json!({ "Account": "a", "Result": "ok" })]) };
        assert!(last_runs(&Ok(health)).iter().any(|check| check.failed() && check.result.contains("`c`")));
    }

    #[test]
    fn a_good_run_of_long_ago_is_not_good() {
        let silent =
            Silent { account: String::new(), last_at: "2026-11-22T10:00:00Z".to_owned(), within_secs: 1_800 };
        let health = Health { silent: vec![silent], ..of([json!({ "Account": "", "Result": "ok" })]) };
        assert_eq!(found(health), [("silent".to_owned(), State::Failed)]);
    }
}
