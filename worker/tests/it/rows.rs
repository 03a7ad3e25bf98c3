//! Rows of real events and of hard cases, against columns that were worked out from their texts, and
//! against rows of the old connector.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use contract::streams::transform::{audit_row, audit_transform_kql};
use contract::streams::{AUDIT_COLUMNS, ColumnType};
use proptest::prelude::*;
use regex::Regex;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::macros::datetime;
use worker::poll::Record;
use worker::transform::{FIELD_LIMIT_BYTES, Transformer, event_time};

const ARRIVAL: OffsetDateTime = datetime!(2026-11-25 12:00 UTC);
const ACCOUNT: &str = "main";

type Row = Map<String, Value>;

fn data(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/records").join(path)
}

fn text_of(path: &str) -> String {
    std::fs::read_to_string(data(path)).unwrap()
}

/// The record of a JSON object.
fn record_of(object: &Value) -> Record<'_> {
    let field = |name: &str| object[name].as_str().map(Into::into);
    Record {
        id: field("id"),
        audit_type: field("auditType"),
        user: field("user"),
        event_time: field("eventTime"),
        event_info: field("eventInfo"),
        category: field("category"),
    }
}

/// The rows of a record: as it is sent, and whole.
fn rows_of(record: &Record<'_>, account: &str) -> [Row; 2] {
    [Transformer::new(account), Transformer::whole(account)].map(|mut transformer| {
        let key = transformer.key(record);
        let mut row = Vec::new();
        transformer.row(record, &key, ARRIVAL, &mut row);
        serde_json::from_slice(&row).unwrap()
    })
}

/// `expected.txt`: the columns of each record.
fn expected() -> BTreeMap<String, BTreeMap<String, String>> {
    let text = text_of("expected.txt");
    let mut records: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.split_once(" = ") {
            Some((column, value)) => {
                let earlier = records.get_mut(&current).unwrap().insert(column.to_owned(), value.to_owned());
                assert_eq!(earlier, None, "{current}: {column} twice");
            }
            None => {
                current = line.to_owned();
                assert_eq!(records.insert(current.clone(), BTreeMap::new()), None, "{current} twice");
            }
        }
    }
    records
}

fn files(folder: &str) -> BTreeSet<String> {
    let names = std::fs::read_dir(data(folder)).unwrap().map(|entry| entry.unwrap().file_name());
    names.map(|name| format!("{folder}/{}", name.to_string_lossy().trim_end_matches(".json"))).collect()
}

// BR-025, BR-050, BR-054, BR-057
#[test]
fn every_record_gives_the_columns_worked_out_from_its_text() {
    let expected = expected();
    let covered: BTreeSet<String> = expected.keys().cloned().collect();
    let present: BTreeSet<String> = files("events").union(&files("edge")).cloned().collect();
    assert_eq!(covered, present);
    assert_eq!(present.len(), 45 + 18);

    for (name, columns) in &expected {
        let object: Value = serde_json::from_str(&text_of(&format!("{name}.json"))).unwrap();
        let received = |field: &str| object[field].as_str().unwrap_or_default();
        let [_, row] = rows_of(&record_of(&object), ACCOUNT);

        let mut wanted = Row::new();
        for column in AUDIT_COLUMNS {
            let stated = columns.get(column.name).map(String::as_str);
            let value = match (column.name, stated) {
                ("id_s", None) => json!(received("id")),
                ("auditType_s", None) => json!(received("auditType")),
                ("user_s", None) => json!(received("user")),
                ("eventInfo_s", None) => {
                    let text = received("eventInfo");
                    json!(&text[..text.len().min(65_000)])
                }
                ("Category", None) => json!(received("category")),
                ("mimecastEventCategory_s", None) => json!("audit"),
                ("account_s", None) => {
                    json!(if columns["eventKey_s"].starts_with("CUSA0A0000:") {
                        "CUSA0A0000"
                    } else {
                        ACCOUNT
                    })
                }
                ("TimeGenerated", None) => {
                    json!(columns.get("eventTime_t").map_or("2026-11-25T12:00:00Z", String::as_str))
                }
                ("eventTime_t", None) => Value::Null,
                ("app_s" | "src_s" | "method_s", None) => json!("unknown"),
                (_, stated) if column.column_type == ColumnType::Boolean => json!(stated == Some("true")),
                (_, stated) => json!(stated.unwrap_or_default()),
            };
            wanted.insert(column.name.to_owned(), value);
        }
        assert_eq!(
            columns.keys().find(|column| !wanted.contains_key(*column)),
            None,
            "{name}: no such column"
        );
        for (column, value) in &wanted {
            assert_eq!(row.get(column), Some(value), "{name}: {column}");
        }
        assert_eq!(row.len(), wanted.len(), "{name}");
    }
}

#[test]
fn what_the_rule_makes_of_a_sent_row_is_the_whole_row() {
    for name in files("events").union(&files("edge")) {
        let object: Value = serde_json::from_str(&text_of(&format!("{name}.json"))).unwrap();
        for account in [ACCOUNT, ""] {
            let [sent, whole] = rows_of(&record_of(&object), account);
            assert_eq!(audit_row(&sent), whole, "{name}");
            assert_sent_fields_are_declared(&sent);
        }
    }
}

/// The fields that the rule reads from an event's text where they are not sent.
const READ_FIELDS: [&str; 6] = ["app", "src", "method", "reason", "factor", "target"];

/// Each text with the fields of [`READ_FIELDS`] that its row sends, worked out by hand.
#[test]
fn a_row_sends_what_the_rule_would_read_otherwise() {
    let long = "é".repeat(40_000);
    let texts: [(&str, &[(&str, &str)]); 24] = [
        (
            "Failed authentication for a@example.com <A>, Date: 2021-10-11, Time: 10:00:00 BST, IP: 192.0.2.15, \
             Application: Web, Method: Cloud, Reason: Account Locked, 2FA: TOTP",
            &[],
        ),
        // A subject that imitates labels which are not there.
        (
            "Viewed Message - Source: Search, Subject: Re: IP: 203.0.113.66, Method: evil, Reason: none, 2FA: x, \
             Viewed Content: True, Date: 2021-10-11, Time: 10:00:00+0000, IP: 192.0.2.15, Application: Web",
            &[("method", "unknown"), ("reason", ","), ("factor", ",")],
        ),
        (
            "Viewed Message - Source: Search, Subject: Re: IP: 203.0.113.66, Application: fake, Date: 2021-10-11",
            &[("src", "unknown"), ("app", "unknown")],
        ),
        ("x, Date: 2022-01-12, IP: : 192.0.2.77,, Application: Web", &[("src", "192.0.2.77")]),
        ("x, Date: 2022-01-12, IP: null, Application: Web", &[("src", "unknown")]),
        ("x, Date: 2022-01-12, IP: 300.1.1.1, Application: null", &[("src", "unknown"), ("app", "unknown")]),
        ("x, Date: 2022-01-12, Reason: null, 2FA: NULL", &[("reason", ","), ("factor", ",")]),
        ("x, Date: 2022-01-12, IP: , Application: ", &[]),
        ("x, Date: 2022-01-12, IP: 2001:db8:85a3::8a2e:370:7334, Application: Web", &[]),
        ("x, Date: 2022-01-12, IP: [2001:db8::1]:443", &[("src", "2001:db8::1")]),
        ("x, Date: 2022-01-12, IP: 203.0.113.9:51432", &[("src", "203.0.113.9")]),
        (
            "x, Date: 2022-01-12, Application: Smith, Jones and Co, Method: Cloud",
            &[("app", "Smith, Jones and Co")],
        ),
        ("x, Date: 2022-01-12, Application: Büro 🎫, Reason: שלום", &[]),
        ("x, Date: 2022-01-12, Application: Web \t", &[("app", "Web")]),
        ("x, Date: 2022-01-12, Application: Web\r\n", &[("app", "Web")]),
        ("x, Date: 2022-01-12, Reason: Account\nlocked, 2FA: TOTP", &[("reason", "Account")]),
        ("x Date: 2022-01-12 IP: 192.0.2.15 Application: Web", &[("src", "192.0.2.15")]),
        ("IP: 192.0.2.15, Application: Web", &[("src", "192.0.2.15")]),
        ("x, ip: 192.0.2.15, Application : Web", &[("src", "192.0.2.15"), ("app", "Web")]),
        ("user enrolled, Remote IP is 192.0.2.15", &[("src", "192.0.2.15")]),
        // Words in a sentence are no labels.
        ("Blocked for this Reason: spam by Method: none", &[("reason", ","), ("method", "unknown")]),
        // A date where the user should stand.
        ("Failed authentication for Date: 2022-01-12", &[("target", ",")]),
        ("Failed authentication for a@example.com\nName", &[("target", "a@example.com")]),
        ("No changes found.", &[]),
    ];
    let mut texts: Vec<(String, &[(&str, &str)])> =
        texts.into_iter().map(|(text, sent)| (text.to_owned(), sent)).collect();
    // The rule reads what is left of a text that was cut.
    let address: &[_] = &[("src", "192.0.2.15")];
    texts.push((format!("{long}, Date: 2022-01-12, IP: 192.0.2.15"), address));
    texts.push((format!("{}, Date: 2022-01-12, IP: 192.0.2.15", "a".repeat(64_966)), &[]));
    texts.push((format!("{}, Date: 2022-01-12, IP: 192.0.2.15", "a".repeat(64_967)), address));
    let kept = &long[..65_000];
    let application: &[_] = &[("app", kept)];
    texts.push((format!("x, Date: 2022-01-12, IP: 192.0.2.15, Application: {long}"), application));

    for (text, expected) in texts {
        let shown = &text[..text.len().min(120)];
        let record = Record { event_info: Some(text.as_str().into()), ..Record::default() };
        let [sent, whole] = rows_of(&record, ACCOUNT);
        assert_eq!(audit_row(&sent), whole, "{shown}");
        for field in READ_FIELDS {
            let expected = expected.iter().find(|(name, _)| *name == field).map(|(_, value)| *value);
            assert_eq!(sent.get(field).and_then(Value::as_str), expected, "{shown}: {field}");
        }
    }
}

/// What the rule's own regular expressions find, in place of what the code says that they do.
struct RuleReader(BTreeMap<&'static str, Regex>);

impl RuleReader {
    fn new() -> Self {
        let kql = audit_transform_kql();
        let expressions = READ_FIELDS.into_iter().chain(["op", "account"]).map(|field| {
            let (_, rest) = kql.split_once(&format!("iif(isempty({field}), extract('")).unwrap();
            let (expression, rest) = rest.split_once("', 1, ").unwrap();
            let (read_from, _) = rest.split_once(&format!("), {field})")).unwrap();
            assert_eq!(read_from, if field == "account" { "key" } else { "info" });
            (field, Regex::new(expression).unwrap())
        });
        Self(expressions.collect())
    }

    /// The first group of a field's expression; empty where it finds nothing.
    fn find<'a>(&self, field: &str, text: &'a str) -> &'a str {
        self.0[field].captures(text).and_then(|found| found.get(1)).map_or("", |group| group.as_str())
    }

    fn assert_agrees(&self, text: &str) {
        let row = audit_row(json!({"info": text, "key": text}).as_object().unwrap());
        for (field, column, otherwise) in [
            ("app", "app_s", "unknown"),
            ("src", "src_s", "unknown"),
            ("method", "method_s", "unknown"),
            ("reason", "reason_s", ""),
            ("factor", "secondFactor_s", ""),
            ("target", "targetUser_s", ""),
            ("op", "operation_s", ""),
            ("account", "account_s", ""),
        ] {
            let found = Some(self.find(field, text)).filter(|found| !found.is_empty());
            assert_eq!(row[column], found.unwrap_or(otherwise), "{column}: {text:?}");
        }
    }
}

#[test]
fn the_rules_expressions_find_in_every_sample_what_the_code_says() {
    let reader = RuleReader::new();
    for name in files("events").union(&files("edge")) {
        let object: Value = serde_json::from_str(&text_of(&format!("{name}.json"))).unwrap();
        reader.assert_agrees(object["eventInfo"].as_str().unwrap_or_default());
    }
    for (field, text, expected) in [
        ("src", "a, IP: 192.0.2.1, b\r\nc, IP: 192.0.2.2\r\nd, e", "192.0.2.2\r\nd"),
        ("app", "x, Application: Büro 🎫", "Büro 🎫"),
        ("method", " Method: ", ""),
        ("reason", "Reason: a", ""),
        ("factor", "x, 2FA: a, 2FA: b, c", "b"),
        ("target", "Failed authentication for a@example.com <A>", "a@example.com"),
        ("target", "Failed authentication for <A>", ""),
        ("op", "Failed authentication for a@example.com <A>", "Failed authentication"),
        ("account", "CUSA0A0000:1", "CUSA0A0000"),
    ] {
        assert_eq!(reader.find(field, text), expected, "{text}");
        reader.assert_agrees(text);
    }
}

/// `docs/decisions/sent-rows.md` says how long the rows of the sample events are.
#[test]
fn rows_are_as_long_as_it_is_written() {
    let names = files("events");
    let mut bytes = [0; 3];
    for name in &names {
        let object: Value = serde_json::from_str(&text_of(&format!("{name}.json"))).unwrap();
        let fields = ["id", "auditType", "user", "eventTime", "eventInfo", "category"];
        let received: Row = fields.iter().map(|&field| (field.to_owned(), object[field].clone())).collect();
        let [sent, whole] = rows_of(&record_of(&object), ACCOUNT);
        for (sum, row) in bytes.iter_mut().zip([received, whole, sent]) {
            // With the comma after it.
            *sum += serde_json::to_string(&row).unwrap().len() + 1;
        }
    }
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/decisions/sent-rows.md");
    let page = std::fs::read_to_string(page).unwrap();
    for sum in bytes {
        let each = sum as f64 / names.len() as f64;
        let calls = (each * 1_000_000.0 / 950_000.0).ceil() as usize;
        let thousands = |number: usize| match number / 1_000 {
            0 => number.to_string(),
            thousands => format!("{thousands},{:03}", number % 1_000),
        };
        let cells = format!("| {} | {} |", each.round(), thousands(calls));
        assert!(page.contains(&cells), "{cells}");
    }
}

fn assert_sent_fields_are_declared(sent: &Row) {
    for (field, value) in sent {
        let column = AUDIT_COLUMNS.iter().find(|column| column.sent_as == Some(field)).expect(field);
        let fits = match column.column_type {
            ColumnType::String => value.as_str().is_some_and(|text| text.len() <= FIELD_LIMIT_BYTES),
            ColumnType::DateTime => value.as_str().is_some_and(|text| event_time::read(text).is_some()),
            ColumnType::Boolean => value.is_boolean(),
            ColumnType::Long | ColumnType::Dynamic => false,
        };
        assert!(fits, "{field}: {value}");
    }
}

#[test]
fn what_was_not_known_is_counted() {
    let mut transformer = Transformer::new(ACCOUNT);
    let mut rows = Vec::new();
    for name in files("events").union(&files("edge")) {
        let object: Value = serde_json::from_str(&text_of(&format!("{name}.json"))).unwrap();
        let record = record_of(&object);
        let key = transformer.key(&record);
        transformer.row(&record, &key, ARRIVAL, &mut rows);
    }
    let counts = transformer.counts();
    assert_eq!((counts.rows, counts.cut_rows, counts.unread_times), (63, 0, 1));
    // Only edge/11 has an auditType that nobody has seen; no text is of an unknown shape.
    assert_eq!(counts.to_json(), json!({"Something New": {"unknownType": 1}}));

    let record = Record {
        audit_type: Some("Case Action".into()),
        event_info: Some("Moved box 12 of pat.user@example.org elsewhere".into()),
        ..Record::default()
    };
    let key = transformer.key(&record);
    transformer.row(&record, &key, ARRIVAL, &mut rows);
    assert_eq!(
        transformer.counts().to_json()["Case Action"],
        json!({"unknownShape": 1, "sample": "xxxxx xxx 99 of xxx.xxxx@xxxxxxx.xxx xxxxxxxxx"})
    );
}

/// The columns that the old connector wrote of an eventInfo, by its own rule: of the pieces between
/// commas, one that holds `Application:` gives the application, else `IP:` the source, else `Method:` the
/// method; the value is what stands between the piece's first `: ` and its second.
fn old_columns(event_info: &str) -> [(&'static str, String); 3] {
    let mut columns = [("app_s", "Application:"), ("src_s", "IP:"), ("method_s", "Method:")]
        .map(|(column, label)| (column, label, "unknown".to_owned()));
    for piece in event_info.split(',') {
        if let Some((_, _, value)) = columns.iter_mut().find(|(_, label, _)| piece.contains(*label))
            && let Some(found) = piece.split(": ").nth(1)
        {
            found.clone_into(value);
        }
    }
    columns.map(|(column, _, value)| (column, value))
}

/// The rows of the table in `docs/decisions/old-columns.md`: record, column, old value, our value.
fn written_differences() -> BTreeSet<[String; 4]> {
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/decisions/old-columns.md");
    let page = std::fs::read_to_string(page).unwrap();
    page.lines()
        .filter_map(|line| {
            let cells: Vec<&str> =
                line.strip_prefix('|')?.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
            let [record, column, old, ours, _why, _] = cells[..] else { return None };
            record.contains('/').then(|| [record, column, old, ours].map(str::to_owned))
        })
        .collect()
}

// W60, W61, W62, W63
#[test]
fn old_columns_differ_only_where_it_is_written_why() {
    let mut differences = BTreeSet::new();
    for name in files("events").union(&files("edge")) {
        let object: Value = serde_json::from_str(&text_of(&format!("{name}.json"))).unwrap();
        let [_, row] = rows_of(&record_of(&object), ACCOUNT);
        for (column, old) in old_columns(object["eventInfo"].as_str().unwrap_or_default()) {
            if row[column] != old {
                let ours = row[column].as_str().unwrap().to_owned();
                differences.insert([name.clone(), column.to_owned(), old, ours]);
            }
        }
        let category = object["category"].as_str().unwrap();
        assert_eq!(row["mimecastEventId_s"], format!("audit_{}", category.replace("_logs", "")), "{name}");
    }
    assert_eq!(differences, written_differences());
}

/// Rows exported from the old connector's table.
#[test]
fn rows_of_the_old_table_come_out_the_same() {
    let rows: Vec<Row> = serde_json::from_str(&text_of("old-table/MimecastAudit_CL-v1.json")).unwrap();
    assert_eq!(rows.len(), 2);
    // `12/27/2021, 2:13:00.000 PM`
    let shown = time::macros::format_description!(
        "[month padding:none]/[day padding:none]/[year], [hour repr:12 padding:none]:[minute]:[second].[subsecond] [period]"
    );
    for old in rows {
        let text = |column: &str| old[column].as_str().unwrap();
        let at = time::PrimitiveDateTime::parse(text("eventTime_t [UTC]"), shown).unwrap().assume_utc();
        assert_eq!(old["TimeGenerated [UTC]"], old["eventTime_t [UTC]"]);
        let received = json!({
            "id": old["id_s"], "auditType": old["auditType_s"], "user": old["user_s"], "eventInfo": old["eventInfo_s"],
            "category": old["Category"], "eventTime": format!("{}T{}+0000", at.date(), at.time().replace_nanosecond(0).unwrap()),
        });
        let [_, row] = rows_of(&record_of(&received), ACCOUNT);
        for column in [
            "id_s",
            "auditType_s",
            "user_s",
            "eventInfo_s",
            "Category",
            "mimecastEventId_s",
            "mimecastEventCategory_s",
            "app_s",
            "src_s",
            "method_s",
        ] {
            assert_eq!(row[column], old[column], "{column}");
        }
        for column in ["TimeGenerated", "eventTime_t"] {
            assert_eq!(event_time::read(row[column].as_str().unwrap()), Some(at));
        }
    }
}

/// The later connectors kept Mimecast's fields under other names.
#[test]
fn rows_of_the_later_connectors_hold_the_same_fields() {
    for (path, inside) in
        [("Audit_CL-v3.1.json", None), ("MimecastEvents_CL-push.json", Some("mimecast_body"))]
    {
        let rows: Value = serde_json::from_str(&text_of(&format!("old-table/{path}"))).unwrap();
        for old in rows.as_array().unwrap() {
            let old = inside.map_or(old, |inside| &old[inside]);
            let [_, row] = rows_of(&record_of(old), ACCOUNT);
            for (column, field) in [
                ("id_s", "id"),
                ("auditType_s", "auditType"),
                ("user_s", "user"),
                ("eventInfo_s", "eventInfo"),
                ("Category", "category"),
                ("eventTime_t", "eventTime"),
                ("TimeGenerated", "eventTime"),
            ] {
                assert_eq!(row[column], old[field], "{path}: {column}");
            }
        }
    }
}

// BR-050, BR-051
#[test]
fn a_field_is_cut_at_the_limit_on_a_character_boundary() {
    for (text, kept) in [
        ("a".repeat(65_000), 65_000),
        ("a".repeat(65_001), 65_000),
        ("€".repeat(23_334), 64_998),
        (format!("aa{}", "🎫".repeat(17_500)), 64_998),
    ] {
        let record = Record { event_info: Some(text.as_str().into()), ..Record::default() };
        let [_, row] = rows_of(&record, ACCOUNT);
        assert_eq!(row["eventInfo_s"], text[..kept], "{} bytes", text.len());
        assert_eq!(row["truncated_b"], text.len() > 65_000, "{} bytes", text.len());
    }
}

#[test]
fn a_row_is_added_to_what_is_there() {
    let mut transformer = Transformer::new(ACCOUNT);
    let record = Record { id: Some("x".into()), ..Record::default() };
    let key = transformer.key(&record);
    let mut out = b"[".to_vec();
    transformer.row(&record, &key, ARRIVAL, &mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        r#"[{"arrival":"2026-11-25T12:00:00Z","uid":"x","key":"x","account":"main"}"#
    );
}

fn any_text() -> impl Strategy<Value = Option<String>> {
    let label = prop_oneof![
        Just(", Date: 2021-10-11, Time: 10:00:00 BST".to_owned()),
        Just(", IP: 192.0.2.15".to_owned()),
        Just(", Application: unknown".to_owned()),
        Just(" remote IP : 2001:db8::1".to_owned()),
        Just("Action Performed - ".to_owned()),
        Just("Failed authentication for ".to_owned()),
        Just("IP: ".to_owned()),
        Just(", IP: : 192.0.2.77,,".to_owned()),
        Just(", IP: 300.1.1.1".to_owned()),
        Just(", IP: null".to_owned()),
        Just(", Application: Büro 🎫, Süd".to_owned()),
        Just(", Method: Cloud ".to_owned()),
        Just(", Reason: Account Locked".to_owned()),
        Just(" Reason: ".to_owned()),
        Just(", 2FA: TOTP\r\n".to_owned()),
        Just("Subject: Re: IP: 203.0.113.66, Method: evil, Reason: none, 2FA: x".to_owned()),
        Just(",".to_owned()),
        Just("<".to_owned()),
        Just(" by a@example.com<A>".to_owned()),
        Just("\u{0}\"\\\n".to_owned()),
        any::<String>(),
        "[a-z ]{0,40}",
    ];
    prop::option::weighted(0.9, prop::collection::vec(label, 0..6).prop_map(|parts| parts.concat()))
}

thread_local! {
    static RULE: RuleReader = RuleReader::new();
}

proptest! {
    #[test]
    fn the_rules_expressions_find_in_any_text_what_the_code_says(text in any_text()) {
        RULE.with(|rule| rule.assert_agrees(&text.unwrap_or_default()));
    }

    #[test]
    fn any_record_is_a_valid_row(
        id in any_text(), audit_type in any_text(), user in any_text(), event_info in any_text(), category in any_text(),
        event_time in prop::option::of("[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](Z|[+-]0[0-9]00)|\\PC{0,20}"),
        account in "[a-z]{0,8}|CUSA1",
        grown in 0_usize..3,
    ) {
        // Some texts are grown beyond the limit.
        let event_info = event_info.map(|text| if grown == 0 { text.repeat(65_000 / text.len().max(1) + 1) } else { text });
        let record = Record {
            id: id.as_deref().map(Into::into),
            audit_type: audit_type.as_deref().map(Into::into),
            user: user.as_deref().map(Into::into),
            event_time: event_time.as_deref().map(Into::into),
            event_info: event_info.as_deref().map(Into::into),
            category: category.as_deref().map(Into::into),
        };
        let [sent, whole] = rows_of(&record, &account);
        assert_sent_fields_are_declared(&sent);
        prop_assert!(!sent["key"].as_str().unwrap().is_empty());
        prop_assert_eq!(&audit_row(&sent), &whole);

        // Byte for byte as received, up to the limit and at most one character short of it.
        let received = event_info.unwrap_or_default();
        let kept = whole["eventInfo_s"].as_str().unwrap();
        prop_assert!(received.starts_with(kept));
        prop_assert!(kept == received || (kept.len() <= FIELD_LIMIT_BYTES && kept.len() > FIELD_LIMIT_BYTES - 4));
        for column in AUDIT_COLUMNS {
            let value = &whole[column.name];
            let fits = match column.column_type {
                ColumnType::String => value.is_string(),
                ColumnType::Boolean => value.is_boolean(),
                ColumnType::DateTime => value.is_string() || (value.is_null() && column.name == "eventTime_t"),
                ColumnType::Long | ColumnType::Dynamic => false,
            };
            prop_assert!(fits, "{}: {}", column.name, value);
        }
    }
}
