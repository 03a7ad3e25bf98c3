//! Queries whose rows are known to the last value: the parsers over events that few accounts have, and the
//! sign of the connector's life over runs of every kind.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use contract::streams::{AUDIT_TABLE, HEALTH_TABLE};
use installer::content::CONNECTED_QUERY;
use installer::content::workbook::Workbook;
use serde_json::{Map, Value, json};
use time::{Duration, OffsetDateTime};

use super::cases::NOW;
use super::engine::{Case, Repeated, Rows, Runs};
use super::schema::VENDOR_TABLE;
use super::traces::{engine_time, table_row};

/// A query with the rows that it must give.
struct Expected {
    name: &'static str,
    query: String,
    tables: BTreeMap<&'static str, Rows>,
    rows: Value,
}

/// The cases.
pub(super) fn cases() -> Result<Vec<Case>> {
    let case = |expected: Expected| Case {
        name: expected.name.to_owned(),
        query: expected.query,
        tables: expected.tables,
        runs: Repeated::ONCE,
    };
    Ok(all()?.into_iter().map(case).collect())
}

/// Each that gave other rows.
pub(super) fn differing(runs: &Runs) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for expected in all()? {
        let Some(outcome) = runs.results.get(expected.name) else { continue };
        let found = json!(outcome.rows);
        if found != expected.rows {
            findings.push(format!("{}: gives {found}, expected {}", expected.name, expected.rows));
        }
    }
    Ok(findings)
}

fn all() -> Result<Vec<Expected>> {
    Ok([connected()?, both_connectors()?, users_in_texts()?, late_history()?].into_iter().flatten().collect())
}

/// The sign on the connector's page.
fn connected() -> Result<Vec<Expected>> {
    let runs = |minutes_ago: &[i64], result: &str| -> Result<BTreeMap<&'static str, Rows>> {
        let row = |minutes: &i64| {
            let at = engine_time(NOW - Duration::minutes(*minutes))?;
            Ok(
                json!({ "TimeGenerated": at, "Installation": "mimecast-audit", "Account": "", "Result": result }),
            )
        };
        Ok(BTreeMap::from([(HEALTH_TABLE, minutes_ago.iter().map(row).collect::<Result<_>>()?)]))
    };
    let sign = |name, tables, connected: bool| Expected {
        name,
        query: CONNECTED_QUERY.to_owned(),
        tables,
        rows: json!([[connected]]),
    };
    Ok(vec![
        sign("connected: an empty table", BTreeMap::new(), false),
        sign("connected: a fresh run", runs(&[5, 10, 15], "ok")?, true),
        sign("connected: a run every six hours", runs(&[300, 660, 1020], "ok")?, true),
        sign("connected: dead for a day", runs(&[1440, 1445, 1450], "ok")?, false),
        sign("connected: nothing but failures", runs(&[5, 10, 15], "failed")?, false),
    ])
}

/// An event that this connector and the vendor's collected: ours tells more, and wins although the other's
/// row is younger.
fn both_connectors() -> Result<Vec<Expected>> {
    let at = NOW - Duration::hours(2);
    let info = "Password reset for user: pat.user@example.org User Password Changed, Remote IP is null";
    let mut event = event(at, "User Password Changed", "user_account_and_role_logs", info);
    event["user"] = json!("alex.admin@example.com");
    let ours = arrived(table_row(&event, NOW)?, at + Duration::minutes(1))?;
    let theirs = vendors(&event, at + Duration::minutes(50))?;
    let tables = BTreeMap::from([(AUDIT_TABLE, vec![ours]), (VENDOR_TABLE, vec![theirs])]);
    Ok(vec![Expected {
        name: "the view over the tables of both connectors",
        query: "MimecastAuditView() | project User, TargetUser, Operation, SourceTable, FirstIngestedAt"
            .to_owned(),
        tables,
        rows: json!([[
            "alex.admin@example.com",
            "pat.user@example.org",
            "Password reset",
            AUDIT_TABLE,
            engine_time(at + Duration::minutes(1))?
        ]]),
    }])
}

/// Events without a user, and such whose texts hold words that mean something elsewhere.
fn users_in_texts() -> Result<Vec<Expected>> {
    let at = NOW - Duration::hours(1);
    let logon = "Successful authentication for pat.user@example.org <Pat User>, Date: 2026-11-20, Time: 10:00:00 GMT, \
                 IP: 192.0.2.15, Application: Web, Method: Cloud";
    let deleted = "Action Performed - Deleted New Folder by alex.admin@example.com<Alex Admin> Date: 2026-11-20 \
                   Time: 19:23:10 +0100 IP: 192.0.2.15 Application: Administration Console";
    let search = "Executed Search - Source: Search, Search Criteria: {\"keywords\":\"deleted invoices\"}, \
                  Date: 2026-11-20, Time: 15:35:53+0000, IP: 192.0.2.15, Application: mimecast-case-review";
    let row = |kind: &str, category: &str, info: &str| {
        arrived(table_row(&event(at, kind, category, info), NOW)?, at)
    };
    let logons = |table, row| -> BTreeMap<&'static str, Rows> { BTreeMap::from([(table, vec![row])]) };
    let audit = vec![
        row("Folder Log Entry", "profile_group_logs", deleted)?,
        row("Search Action", "case_review_logs", search)?,
        row("Completed Directory Sync", "", "No changes found.")?,
    ];
    let users = "vimAuthenticationMimecastAudit(username_has_any = dynamic(['pat.user'])) | project TargetUsername, User, TargetDomain";
    let user = json!([["pat.user@example.org", "pat.user@example.org", "example.org"]]);
    Ok(vec![
        Expected {
            name: "ASIM: a logon without a user",
            query: users.to_owned(),
            tables: logons(AUDIT_TABLE, row("User Logged On", "authentication_logs", logon)?),
            rows: user.clone(),
        },
        Expected {
            name: "ASIM: a logon without a user in the vendor's table",
            query: users.to_owned(),
            tables: logons(
                VENDOR_TABLE,
                vendors(&event(at, "User Logged On", "authentication_logs", logon), at)?,
            ),
            rows: user,
        },
        Expected {
            name: "ASIM: actors, types and objects",
            query:
                "vimAuditEventMimecastAudit() | project EventOriginalType, EventType, ActorUsername, Object \
                    | sort by EventOriginalType asc"
                    .to_owned(),
            tables: BTreeMap::from([(AUDIT_TABLE, audit)]),
            rows: json!([
                ["Completed Directory Sync", "Execute", "", "Completed Directory Sync"],
                ["Folder Log Entry", "Delete", "alex.admin@example.com", "New Folder"],
                ["Search Action", "Read", "", "case_review_logs"],
            ]),
        },
    ])
}

/// A logon of last week that arrived now, so that Azure has replaced TimeGenerated: the filters go by the
/// event's own time.
fn late_history() -> Result<Vec<Expected>> {
    let at = NOW - Duration::days(5);
    let info =
        "Successful authentication for pat.user@example.org, IP: 192.0.2.15, Application: Web, Method: Cloud";
    let mut row = table_row(&event(at, "User Logged On", "authentication_logs", info), NOW)?;
    row.insert("TimeGenerated".to_owned(), Value::from(engine_time(NOW)?));
    let tables = BTreeMap::from([(AUDIT_TABLE, vec![arrived(row, NOW)?])]);
    let counted = |name, filters: &str, count: u32| Expected {
        name,
        query: format!("vimAuthenticationMimecastAudit({filters}) | count"),
        tables: tables.clone(),
        rows: json!([[count]]),
    };
    let workbook = Workbook::load()?;
    let mut tiles = workbook.groups.iter().flat_map(|group| &group.tiles);
    let by_category =
        tiles.find(|tile| tile.query == "events-by-category").context("the tile is not there")?;
    Ok(vec![
        Expected {
            name: "the tile of events by category shows last week's events in last week",
            query: by_category.text()?.to_owned(),
            tables: tables.clone(),
            rows: json!([["authentication_logs", engine_time(at)?, 1]]),
        },
        counted("ASIM: last week's events in last week", "starttime = ago(6d), endtime = ago(4d)", 1),
        counted("ASIM: last week's events since", "starttime = ago(4d)", 0),
        counted("ASIM: last week's events before", "endtime = ago(6d)", 0),
    ])
}

fn event(at: OffsetDateTime, kind: &str, category: &str, info: &str) -> Value {
    let time = engine_time(at).unwrap_or_default().replace(' ', "T") + "+0000";
    json!({ "id": kind, "auditType": kind, "eventTime": time, "eventInfo": info, "category": category })
}

fn arrived(mut row: Map<String, Value>, at: OffsetDateTime) -> Result<Value> {
    row.insert("_ingested".to_owned(), Value::from(engine_time(at)?));
    Ok(Value::Object(row))
}

/// The row of the vendor's connector, whose TimeGenerated is the arrival.
fn vendors(event: &Value, arrival: OffsetDateTime) -> Result<Value> {
    let mut row = event.clone();
    let time = event["eventTime"].as_str().unwrap_or_default();
    row["eventTime"] = Value::from(time.trim_end_matches("+0000").replace('T', " "));
    row["TimeGenerated"] = Value::from(engine_time(arrival)?);
    row["_ingested"] = row["TimeGenerated"].clone();
    Ok(row)
}
