//! The cases that the engine runs.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use contract::streams::{AUDIT_TABLE, HEALTH_TABLE};
use installer::content::Rule;
use serde_json::{Value, json};
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use super::Content;
use super::engine::{Case, Repeated, Rows};
use super::schema::VENDOR_TABLE;
use super::traces::{Traces, engine_time, table_row};
use crate::workspace;

/// The present of everything that runs, so that the same queries give the same rows whenever they run.
pub(super) const NOW: OffsetDateTime = datetime!(2026-11-20 12:00 UTC);

/// Filters of the ASIM parsers that must give exactly the sample events of these kinds: the call, and the
/// kinds in the samples that it selects.
pub(super) const ASIM_FILTERS: &[(&str, &[&str])] = &[
    ("vimAuthenticationMimecastAudit(eventresult = 'Failure')", &["Logon Authentication Failed"]),
    ("vimAuthenticationMimecastAudit(eventresult = 'Partial')", &["Logon Requires Challenge"]),
    (
        "vimAuthenticationMimecastAudit(username_has_any = dynamic(['support.one']))",
        &["Mimecast Support Login"],
    ),
    ("vimAuthenticationMimecastAudit(srchostname_has_any = dynamic(['host']))", &[]),
    ("vimAuthenticationMimecastAudit(eventtype_in = dynamic(['Logoff']))", &[]),
    ("vimAuthenticationMimecastAudit(disabled = true)", &[]),
    ("vimAuthenticationMimecastAudit(endtime = ago(30d))", &[]),
    ("vimAuditEventMimecastAudit(eventtype_in = dynamic(['Execute']))", &["Completed Directory Sync"]),
    ("vimAuditEventMimecastAudit(operation_has_any = dynamic(['Policy']))", &["New Policy"]),
    ("vimAuditEventMimecastAudit(newvalue_has_any = dynamic(['Anti-Spoofing']))", &["New Policy"]),
    ("vimAuditEventMimecastAudit(eventresult = 'Failure')", &[]),
    ("vimAuditEventMimecastAudit(starttime = now(1d))", &[]),
    (
        "vimAuditEventMimecastAudit(srcipaddr_has_any_prefix = dynamic(['198.51.100.44']))",
        &["API Application Updated"],
    ),
];

/// The sample events, newest first, with times moved so that the newest is five minutes old and each is a
/// minute older than the one before.
pub(super) fn sample_events(now: OffsetDateTime) -> Result<Vec<Value>> {
    let file = workspace::root().join("simulator/data/audit-events.json");
    let text = std::fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
    let mut events: Vec<Value> = serde_json::from_slice(&text)?;
    for (place, event) in (0_i64..).zip(&mut events) {
        let at = now - Duration::minutes(5 + place);
        event["eventTime"] = Value::from(engine_time(at)?.replace(' ', "T") + "+0000");
    }
    Ok(events)
}

/// The cases over this connector's tables: both traces of each rule, and everything else over the samples.
pub(super) fn ours(content: &Content) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for rule in &content.library.rules {
        let Some(traces) = Traces::of(rule.name)? else { continue };
        let further = traces.further.iter().map(|further| (further.because.as_str(), &further.trace));
        for (kind, trace) in
            [("attack", &traces.attack), ("benign", &traces.benign)].into_iter().chain(further)
        {
            cases.push(Case {
                name: format!("rules/{} ({kind})", rule.name),
                query: rule.query.to_owned(),
                tables: trace.tables(NOW)?,
                runs: Repeated::ONCE,
            });
        }
        if let Some(day) = &traces.day {
            cases.push(Case {
                name: format!("rules/{} (a day)", rule.name),
                query: rule.query.to_owned(),
                tables: day.trace.tables(NOW)?,
                runs: day_of(rule)?,
            });
        }
    }
    let samples = samples(NOW)?;
    let others = content.queries.iter().filter(|query| !query.name.starts_with("rules/"));
    for query in others {
        let tables = samples.clone();
        cases.push(Case {
            name: query.name.clone(),
            query: query.text.clone(),
            tables,
            runs: Repeated::ONCE,
        });
    }
    for (call, _) in ASIM_FILTERS {
        cases.push(Case {
            name: (*call).to_owned(),
            query: format!("{call} | project EventOriginalType"),
            tables: samples.clone(),
            runs: Repeated::ONCE,
        });
    }
    Ok(cases)
}

/// A day of a rule's runs.
fn day_of(rule: &Rule) -> Result<Repeated> {
    let minutes = rule.query_frequency.strip_prefix("PT").and_then(|text| text.strip_suffix('M'));
    let minutes: u32 = minutes.and_then(|text| text.parse().ok()).with_context(|| {
        format!("{} runs every {}, which is no number of minutes", rule.name, rule.query_frequency)
    })?;
    Ok(Repeated { runs: 24 * 60 / minutes, every_seconds: minutes * 60 })
}

fn samples(now: OffsetDateTime) -> Result<BTreeMap<&'static str, Rows>> {
    let mut rows = Vec::new();
    for event in sample_events(now)? {
        let mut row = table_row(&event, now)?;
        row.insert("_ingested".to_owned(), Value::from(engine_time(now)?));
        rows.push(Value::Object(row));
    }
    let run = json!({
        "TimeGenerated": engine_time(now - Duration::minutes(4))?,
        "RunId": "1", "Installation": "mimecast-audit", "Account": "", "Trigger": "timer", "Result": "ok",
        "LagSeconds": 60, "Read": 45, "Repeated": 0, "Delivered": 45, "DeadLettered": 0,
        "QuotaLimit": 300, "QuotaRemaining": 297, "DurationMs": 812,
    });
    Ok(BTreeMap::from([(AUDIT_TABLE, rows), (HEALTH_TABLE, vec![run])]))
}

/// Name of the case over the old connectors' tables.
pub(super) const CLASSIC_VIEW: &str = "the view over the tables of older connectors";

/// The view over a workspace that only older connectors have filled: one event in both tables, one in each.
pub(super) fn classic() -> Result<Vec<Case>> {
    let at = engine_time(NOW - Duration::minutes(10))?;
    let info = "Failed authentication for pat.user@example.org <User, Pat>, Date: 2026-11-20, Time: 09:47:55 BST, \
                IP: 192.0.2.15, Application: mimecast-moa, Method: Office 365, Reason: Wrong password";
    let row = |id: &str, parsed: bool| {
        let mut row = json!({
            "TimeGenerated": at, "_ingested": at, "id_s": id, "auditType_s": "Logon Authentication Failed",
            "user_s": "pat.user@example.org", "eventTime_t": at, "eventInfo_s": info,
            "Category": "authentication_logs",
        });
        if parsed {
            row["app_s"] = json!("mimecast-moa");
            row["src_s"] = json!("192.0.2.15");
            row["method_s"] = json!("unknown");
        }
        row
    };
    let tables = BTreeMap::from([
        (AUDIT_TABLE, vec![row("both", true), row("old only", true)]),
        (VENDOR_TABLE, vec![row("both", false), row("vendor only", false)]),
    ]);
    Ok(vec![Case {
        name: CLASSIC_VIEW.to_owned(),
        query: "MimecastAuditView() | project EventId, SourceIp, Application, Method, AuditType | sort by EventId asc"
            .to_owned(),
        tables,
        runs: Repeated::ONCE,
    }])
}
