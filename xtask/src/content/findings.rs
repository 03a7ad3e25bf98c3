//! What the results say that they should not.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::Value;
use time::OffsetDateTime;

use super::Content;
use super::cases::{ASIM_FILTERS, CLASSIC_VIEW, sample_events};
use super::engine::{Analysis, Outcome, Runs};
use super::traces::Traces;

/// Columns that a rule's alert names and its query does not give.
pub(super) fn columns(content: &Content, analysis: &Analysis) -> Vec<String> {
    let mut findings = Vec::new();
    for rule in &content.library.rules {
        let empty = BTreeMap::new();
        let given = analysis.columns.get(&format!("rules/{}", rule.name)).unwrap_or(&empty);
        let entities = rule.entity_mappings.as_array().into_iter().flatten();
        let of_entities = entities
            .flat_map(|entity| entity["fieldMappings"].as_array().into_iter().flatten())
            .filter_map(|mapping| mapping["columnName"].as_str());
        let of_details = rule.custom_details.as_object().into_iter().flat_map(|map| map.values());
        let of_title = rule.alert_display_name_format.split("{{").skip(1);
        let named = of_entities
            .chain(of_details.filter_map(Value::as_str))
            .chain(of_title.filter_map(|part| part.split("}}").next()));
        for column in named.filter(|column| !given.contains_key(*column)) {
            findings.push(format!(
                "rules/{}: the alert names `{column}`, which the query does not give",
                rule.name
            ));
        }
    }
    findings
}

/// Rules that do not fire on their attack, or fire on what is none; and how many have both traces.
pub(super) fn traces(content: &Content, runs: &Runs) -> Result<(usize, Vec<String>)> {
    let mut findings = Vec::new();
    let mut traced = 0;
    for rule in &content.library.rules {
        let name = rule.name;
        let Some(traces) = Traces::of(name)? else {
            findings.push(format!("rules/{name}: no traces"));
            continue;
        };
        traced += 1;
        let attack = ("attack", 1, &traces.expect);
        let further =
            traces.further.iter().map(|further| (further.because.as_str(), further.alerts, &further.expect));
        for (kind, alerts, expect) in std::iter::once(attack).chain(further) {
            let query = format!("rules/{name} ({kind})");
            let Some(outcome) = runs.results.get(&query) else { continue };
            if outcome.rows.len() != alerts {
                findings.push(format!("{query}: {} rows, expected {alerts}", outcome.rows.len()));
            }
            for (column, expected) in expect {
                let found = outcome.value(0, column);
                if found != Some(expected) {
                    findings.push(format!("{query}: `{column}` is {found:?}, expected {expected}"));
                }
            }
        }
        findings.extend(day(name, &traces, runs));
        if let Some(benign) = runs.results.get(&format!("rules/{name} (benign)"))
            && !benign.rows.is_empty()
        {
            findings.push(format!("rules/{name}: fires on the benign trace: {:?}", benign.rows[0]));
        }
    }
    Ok((traced, findings))
}

/// How often the rule fired in a day for whom, where that is not as it should be.
fn day(name: &str, traces: &Traces, runs: &Runs) -> Option<String> {
    let day = traces.day.as_ref()?;
    let outcome = runs.results.get(&format!("rules/{name} (a day)"))?;
    let mut fired: BTreeMap<&str, usize> = day.alerts.keys().map(|entity| (entity.as_str(), 0)).collect();
    for row in &outcome.rows {
        // The first column is the number of the run.
        let entity = row.get(1).and_then(Value::as_str).unwrap_or_default();
        *fired.entry(entity).or_default() += 1;
    }
    let as_expected = fired.iter().all(|(entity, times)| day.alerts.get(*entity) == Some(times));
    (!as_expected).then(|| format!("rules/{name}: fires {fired:?} times in a day, expected {:?}", day.alerts))
}

/// Hunts and tiles that find nothing in the samples, and views that do not give each event once.
pub(super) fn samples(content: &Content, runs: &Runs) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    let events = sample_events(OffsetDateTime::UNIX_EPOCH)?;
    let rows = |name: &str| runs.results.get(name).map_or(0, |outcome| outcome.rows.len());
    for hunt in content.library.hunts.iter().filter(|hunt| !hunt.unconfirmed) {
        if rows(&format!("hunting/{}", hunt.name)) == 0 {
            findings.push(format!("hunting/{}: finds nothing in the samples", hunt.name));
        }
    }
    for tile in content.workbook.groups.iter().flat_map(|group| &group.tiles) {
        if rows(&format!("tiles/{}", tile.query)) == 0 {
            findings.push(format!("tiles/{}: empty over the samples", tile.query));
        }
    }
    let miscount = |name: &str, expected: usize| {
        let found = rows(name);
        (found != expected).then(|| format!("{name}: {found} rows over the samples, expected {expected}"))
    };
    let of_kind = |kinds: &[&str]| {
        events.iter().filter(|event| kinds.contains(&event["auditType"].as_str().unwrap_or_default())).count()
    };
    let authentication = of_kind(&[
        "User Logged On",
        "Logon Authentication Failed",
        "Logon Requires Challenge",
        "Mimecast Support Login",
    ]);
    findings.extend(miscount("functions/MimecastAuditView", events.len()));
    findings.extend(miscount("functions/MimecastAuditHealthView", 1));
    for form in ["vim", "ASim"] {
        findings.extend(miscount(&format!("functions/{form}AuthenticationMimecastAudit"), authentication));
        let others = events.len() - authentication;
        findings.extend(miscount(&format!("functions/{form}AuditEventMimecastAudit"), others));
    }
    for unifier in ["Im", "ASim"] {
        findings.extend(miscount(&format!("unifiers/{unifier}_AuthenticationCustom"), authentication));
        let others = events.len() - authentication;
        findings.extend(miscount(&format!("unifiers/{unifier}_AuditEventCustom"), others));
    }
    // The worker writes `unknown` for what an event does not name, since old queries ask for it.
    for (name, outcome) in runs.results.iter().filter(|(name, _)| name.starts_with("functions/")) {
        if outcome.rows.iter().flatten().any(|value| value.as_str() == Some("unknown")) {
            findings.push(format!("{name}: `unknown` is not turned into an empty text"));
        }
    }
    for (call, kinds) in ASIM_FILTERS {
        findings.extend(miscount(call, of_kind(kinds)));
        let selected = runs.results.get(*call).into_iter().flat_map(|outcome| &outcome.rows);
        let foreign = selected.filter(|row| !kinds.contains(&row[0].as_str().unwrap_or_default()));
        findings.extend(foreign.map(|row| format!("{call}: gives {}", row[0])));
    }
    Ok(findings)
}

/// What the view makes of the older connectors' rows.
pub(super) fn classic(runs: &Runs) -> Vec<String> {
    let Some(view) = runs.results.get(CLASSIC_VIEW) else { return Vec::new() };
    let ids = texts(view, "EventId");
    let mut findings = Vec::new();
    if ids != ["both", "old only", "vendor only"] {
        findings.push(format!("{CLASSIC_VIEW}: events {ids:?}"));
    }
    if texts(view, "SourceIp").iter().any(|source| source != "192.0.2.15")
        || texts(view, "Application").iter().any(|application| application != "mimecast-moa")
    {
        findings.push(format!("{CLASSIC_VIEW}: source or application is not read"));
    }
    if texts(view, "Method").iter().any(|method| method == "unknown") {
        findings.push(format!("{CLASSIC_VIEW}: `unknown` is not turned into an empty text"));
    }
    findings
}

fn texts(outcome: &Outcome, column: &str) -> Vec<String> {
    (0..outcome.rows.len())
        .map(|row| outcome.value(row, column).and_then(Value::as_str).unwrap_or_default().to_owned())
        .collect()
}
