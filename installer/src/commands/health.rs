//! Reads what the health table says of an installation that was found.

use std::collections::BTreeSet;

use contract::streams::HEALTH_TABLE;
use serde_json::Map;

use super::gather;
use super::runs::{Found, paused};
use crate::answers::given::{Given, Value};
use crate::answers::intent::duration_secs;
use crate::answers::keys;
use crate::azure::AzureError;
use crate::verify;
use crate::verify::health::{Health, Silent};
use crate::world::World;

/// How long a row may be under way: usually three minutes, and more where the service is late
/// (<https://learn.microsoft.com/azure/azure-monitor/logs/data-ingestion-time>).
const UNDER_WAY_SECS: u64 = 15 * 60;
/// So many times in a row the timer may miss, such as while the app is moved to another machine.
const TICKS_MISSED: u64 = 3;

impl Found {
    /// Looks at the newest run of each account that the recorded answers name, or of all where none are
    /// recorded.
    ///
    /// Whether runs stay away is held against the workspace's own clock: this machine's may be wrong.
    pub(crate) async fn health(&self, world: &World) -> Result<Health, AzureError> {
        let of_ours =
            format!("{HEALTH_TABLE} | where Installation == \"{}\"", self.selected.subject.installation);
        let newest = |kept: &str| format!("{of_ours}{kept} | summarize arg_max(TimeGenerated, *) by Account");
        let mut rows: Vec<Map<String, serde_json::Value>> =
            self.query(&newest(" and Result != \"busy\"")).await?.records().collect();
        let known: BTreeSet<String> = rows.iter().map(|row| text(row, "Account").to_owned()).collect();
        let others = self.query(&newest("")).await?;
        rows.extend(others.records().filter(|row| !known.contains(text(row, "Account"))));

        let answers = gather::recorded(self.inventory.settings.as_ref()).and_then(|given| {
            let intent = gather::intent_in(world, &given, self.azure.cloud())?;
            Ok((given, intent))
        });
        let Ok((given, intent)) = answers else { return Ok(Health { last: rows, ..Health::default() }) };
        let keys: Vec<&str> = intent.accounts.iter().map(|account| account.key.as_str()).collect();
        // One that was taken out of the answers has rows still.
        let named = |row: &Map<String, serde_json::Value>| {
            keys.iter().any(|key| key.eq_ignore_ascii_case(text(row, "Account")))
        };
        rows.retain(named);
        let seen = |key: &str| rows.iter().any(|row| text(row, "Account").eq_ignore_ascii_case(key));
        let unseen = keys.iter().filter(|key| !seen(key)).map(|&key| key.to_owned()).collect();
        let mut silent = Vec::new();
        if !paused(&self.inventory) && !rows.is_empty() {
            let within_secs = due_within_secs(&given);
            let recent = format!("{of_ours} and TimeGenerated > ago({within_secs}s) | distinct Account");
            let recent = self.query(&recent).await?;
            let recent: BTreeSet<String> =
                recent.records().map(|row| text(&row, "Account").to_ascii_lowercase()).collect();
            silent = rows
                .iter()
                .filter(|row| !recent.contains(&text(row, "Account").to_ascii_lowercase()))
                .map(|row| Silent {
                    account: text(row, "Account").to_owned(),
                    last_at: text(row, "TimeGenerated").to_owned(),
                    within_secs,
                })
                .collect();
        }
        Ok(Health { last: rows, silent, unseen })
    }
}

/// Within what time every account has a run whose row is there.
fn due_within_secs(given: &Given) -> u64 {
    const EVERY: &str = "collect.every";
    let recorded = match given.answer(EVERY).map(|answer| &answer.value) {
        Some(Value::Text(text)) => Some(text.as_str()),
        _ => keys::find(EVERY).and_then(|key| key.default),
    };
    TICKS_MISSED * recorded.and_then(duration_secs).unwrap_or_default() + UNDER_WAY_SECS
}

fn text<'a>(row: &'a Map<String, serde_json::Value>, column: &str) -> &'a str {
    verify::text(row, column)
}

#[cfg(test)]
mod tests {
    use super::due_within_secs;
    use crate::answers::given::{Given, Origin, Value};

    #[test]
    fn a_run_is_due_after_three_ticks_and_the_time_that_rows_take() {
        let every = |text: Option<&str>| {
            let mut given = Given::default();
            if let Some(text) = text {
                given.put("collect.every", Value::Text(text.to_owned()), Origin::Recorded);
            }
            due_within_secs(&given)
        };
        // Three times five minutes, and a quarter of an hour.
        assert_eq!(every(None), 1_800);
        assert_eq!(every(Some("2h")), 22_500);
    }
}
