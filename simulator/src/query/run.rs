//! Carries a query out over rows.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use time::OffsetDateTime;

use super::syntax::{Aggregate, Condition, Group, INGESTION_TIME, Literal, Operator, Order, Query, Step};
use crate::ingestion::{format_time, parse_time};
use crate::rows::Row;

/// Columns with their types, and rows.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Table {
    pub(super) columns: Vec<(String, String)>,
    pub(super) rows: Vec<Row>,
}

/// A column that the table lacks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Failed to resolve scalar expression named '{0}'")]
pub(super) struct NoColumn(String);

/// A value made comparable.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
enum Key {
    Null,
    Boolean(bool),
    Number(f64),
    Time(OffsetDateTime),
    Text(String),
}

impl Table {
    fn type_of(&self, column: &str) -> Result<&str, NoColumn> {
        if column == INGESTION_TIME {
            return Ok("datetime");
        }
        self.columns
            .iter()
            .find(|(name, _)| name == column)
            .map(|(_, column_type)| column_type.as_str())
            .ok_or_else(|| NoColumn(column.to_owned()))
    }

    /// Carries out the steps.
    pub(super) fn run(mut self, query: &Query) -> Result<Self, NoColumn> {
        for step in &query.steps {
            self = self.step(step)?;
        }
        Ok(self)
    }

    fn step(mut self, step: &Step) -> Result<Self, NoColumn> {
        match step {
            Step::Count => {
                let mut row = Row::new();
                row.insert("Count".to_owned(), Value::from(self.rows.len()));
                Ok(Self { columns: vec![("Count".to_owned(), "long".to_owned())], rows: vec![row] })
            }
            Step::Where(conditions) => {
                for condition in conditions {
                    let (column, kind) = match condition {
                        Condition::Compare { column, .. }
                        | Condition::In { column, .. }
                        | Condition::Between { column, .. }
                        | Condition::Empty { column, .. } => (column, self.type_of(column)?.to_owned()),
                    };
                    self.rows.retain(|row| holds(condition, row.get(column), &kind));
                }
                Ok(self)
            }
            Step::Take(rows) => {
                self.rows.truncate(*rows);
                Ok(self)
            }
            Step::OrderBy(by) => self.sorted(by),
            Step::Top { rows, by } => {
                let mut sorted = self.sorted(by)?;
                sorted.rows.truncate(*rows);
                Ok(sorted)
            }
            Step::Project(columns) => self.project(columns),
            Step::Distinct(columns) => {
                let named: Vec<_> = columns.iter().map(|name| (name.clone(), name.clone())).collect();
                let mut projected = self.project(&named)?;
                let mut seen = BTreeSet::new();
                projected.rows.retain(|row| seen.insert(Value::from(row.clone()).to_string()));
                Ok(projected)
            }
            Step::Summarize { aggregates, by } => self.summarize(aggregates, by),
        }
    }

    fn sorted(mut self, by: &[Order]) -> Result<Self, NoColumn> {
        let by = by
            .iter()
            .map(|order| Ok((order, self.type_of(&order.column)?.to_owned())))
            .collect::<Result<Vec<_>, _>>()?;
        self.rows.sort_by(|left, right| {
            by.iter().fold(Ordering::Equal, |so_far, (order, kind)| {
                let of = |row: &Row| key(row.get(&order.column), kind);
                let here = of(left).partial_cmp(&of(right)).unwrap_or(Ordering::Equal);
                so_far.then(if order.descending { here.reverse() } else { here })
            })
        });
        Ok(self)
    }

    fn project(self, columns: &[(String, String)]) -> Result<Self, NoColumn> {
        let typed = columns
            .iter()
            .map(|(name, column)| Ok((name.clone(), self.type_of(column)?.to_owned())))
            .collect::<Result<Vec<_>, _>>()?;
        let pick = |row: &Row| {
            columns
                .iter()
                .map(|(name, column)| (name.clone(), row.get(column).cloned().unwrap_or(Value::Null)))
                .collect()
        };
        Ok(Self { rows: self.rows.iter().map(pick).collect(), columns: typed })
    }

    fn summarize(self, aggregates: &[(String, Aggregate)], by: &[(String, Group)]) -> Result<Self, NoColumn> {
        let mut columns = Vec::new();
        for (name, group) in by {
            let (Group::Column(column) | Group::Bin(column, _)) = group;
            columns.push((name.clone(), self.type_of(column)?.to_owned()));
        }
        for (name, aggregate) in aggregates {
            match aggregate {
                Aggregate::Count => columns.push((name.clone(), "long".to_owned())),
                Aggregate::DistinctCount(column) => {
                    self.type_of(column)?;
                    columns.push((name.clone(), "long".to_owned()));
                }
                Aggregate::Max(column) | Aggregate::Min(column) | Aggregate::Sum(column) => {
                    columns.push((name.clone(), self.type_of(column)?.to_owned()));
                }
                Aggregate::Latest(column) => {
                    self.type_of(column)?;
                    let rest = self.columns.iter().filter(|known| !columns.contains(known));
                    columns.extend(rest.cloned().collect::<Vec<_>>());
                }
            }
        }
        let mut groups: BTreeMap<String, (Row, Vec<&Row>)> = BTreeMap::new();
        for row in &self.rows {
            let head: Row = by.iter().map(|(name, group)| (name.clone(), grouped(group, row))).collect();
            let name = Value::from(head.clone()).to_string();
            groups.entry(name).or_insert_with(|| (head, Vec::new())).1.push(row);
        }
        // Without groups there is one row, even of nothing.
        if by.is_empty() && groups.is_empty() {
            groups.insert(String::new(), (Row::new(), Vec::new()));
        }
        let mut rows = Vec::new();
        for (_, (mut head, members)) in groups {
            for (name, aggregate) in aggregates {
                self.aggregate(name, aggregate, &members, &mut head);
            }
            rows.push(head);
        }
        Ok(Self { columns, rows })
    }

    fn aggregate(&self, name: &str, aggregate: &Aggregate, members: &[&Row], into: &mut Row) {
        let extreme = |column: &str, wanted: Ordering| {
            let kind = self.type_of(column).unwrap_or_default();
            let keyed = members.iter().map(|row| (key(row.get(column), kind), *row));
            keyed
                .filter(|(key, _)| *key != Key::Null)
                .reduce(|best, next| if next.0.partial_cmp(&best.0) == Some(wanted) { next } else { best })
        };
        let value = |found: Option<(Key, &Row)>, column: &str| {
            found.and_then(|(_, row)| row.get(column).cloned()).unwrap_or(Value::Null)
        };
        let result = match aggregate {
            Aggregate::Count => Value::from(members.len()),
            // Exact here, where the real one estimates.
            Aggregate::DistinctCount(column) => {
                let seen: BTreeSet<_> =
                    members.iter().filter_map(|row| row.get(column)).map(Value::to_string).collect();
                Value::from(seen.len())
            }
            Aggregate::Max(column) => value(extreme(column, Ordering::Greater), column),
            Aggregate::Min(column) => value(extreme(column, Ordering::Less), column),
            Aggregate::Sum(column) => {
                Value::from(members.iter().filter_map(|row| row.get(column)?.as_i64()).sum::<i64>())
            }
            Aggregate::Latest(column) => {
                if let Some((_, row)) = extreme(column, Ordering::Greater) {
                    for (name, value) in row {
                        into.entry(name.clone()).or_insert_with(|| value.clone());
                    }
                }
                return;
            }
        };
        into.insert(name.to_owned(), result);
    }
}

fn grouped(group: &Group, row: &Row) -> Value {
    match group {
        Group::Column(column) => row.get(column).cloned().unwrap_or(Value::Null),
        Group::Bin(column, span) => {
            let Some(at) = row.get(column).and_then(Value::as_str).and_then(parse_time) else {
                return Value::Null;
            };
            let (at, span) = (at.unix_timestamp(), span.whole_seconds());
            OffsetDateTime::from_unix_timestamp(at.div_euclid(span) * span)
                .map_or(Value::Null, |start| Value::from(format_time(start)))
        }
    }
}

fn key(value: Option<&Value>, kind: &str) -> Key {
    match value {
        None | Some(Value::Null) => Key::Null,
        Some(Value::Bool(value)) => Key::Boolean(*value),
        Some(Value::Number(number)) => Key::Number(number.as_f64().unwrap_or(f64::NAN)),
        Some(Value::String(text)) if kind == "datetime" => parse_time(text).map_or(Key::Null, Key::Time),
        Some(Value::String(text)) => Key::Text(text.clone()),
        Some(other) => Key::Text(other.to_string()),
    }
}

#[expect(clippy::cast_precision_loss, reason = "the numbers of the tables are far below 2^53")]
fn literal_key(literal: &Literal) -> Key {
    match literal {
        Literal::Text(text) => Key::Text(text.clone()),
        Literal::Number(number) => Key::Number(*number as f64),
        Literal::Boolean(value) => Key::Boolean(*value),
        Literal::Time(at) => Key::Time(*at),
    }
}

fn holds(condition: &Condition, value: Option<&Value>, kind: &str) -> bool {
    let value = key(value, kind);
    match condition {
        Condition::Empty { wanted, .. } => {
            let empty = value == Key::Null || value == Key::Text(String::new());
            empty == *wanted
        }
        Condition::In { literals, .. } => literals.iter().any(|literal| literal_key(literal) == value),
        Condition::Between { from, to, .. } => value >= literal_key(from) && value <= literal_key(to),
        Condition::Compare { operator, literal, .. } => {
            let literal = literal_key(literal);
            let text = |test: fn(&str, &str) -> bool| match (&value, &literal) {
                (Key::Text(value), Key::Text(literal)) => {
                    test(&value.to_lowercase(), &literal.to_lowercase())
                }
                _ => false,
            };
            // A missing value is neither before nor after anything.
            let order = if value == Key::Null { None } else { value.partial_cmp(&literal) };
            match operator {
                Operator::Equal => value == literal,
                Operator::NotEqual => value != literal,
                Operator::EqualIgnoringCase => text(|value, literal| value == literal),
                Operator::Less => order == Some(Ordering::Less),
                Operator::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
                Operator::Greater => order == Some(Ordering::Greater),
                Operator::GreaterOrEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
                Operator::Has => text(has_term),
                Operator::Contains => text(|value, literal| value.contains(literal)),
                Operator::StartsWith => text(|value, literal| value.starts_with(literal)),
            }
        }
    }
}

/// Whether `term` stands in `text` as a whole word.
fn has_term(text: &str, term: &str) -> bool {
    text.match_indices(term).any(|(at, found)| {
        let before = text[..at].chars().next_back();
        let after = text[at + found.len()..].chars().next();
        [before, after].iter().flatten().all(|neighbour| !neighbour.is_alphanumeric())
    })
}

#[cfg(test)]
mod tests {
    use super::{Table, has_term};
    use crate::query::parse::parse;
    use serde_json::{Value, json};
    use time::macros::datetime;

    fn run(query: &str) -> Vec<Value> {
        let rows = [
            json!({"TimeGenerated": "2026-11-24T09:00:00Z", "Result": "ok", "Read": 10, "Account": ""}),
            json!({"TimeGenerated": "2026-11-24T09:30:00.5Z", "Result": "failed", "Read": 0, "Account": "b"}),
            json!({"TimeGenerated": "2026-11-24T07:59:59Z", "Result": "ok", "Read": 5, "Account": "b"}),
        ];
        let columns =
            [("TimeGenerated", "datetime"), ("Result", "string"), ("Read", "long"), ("Account", "string")];
        let table = Table {
            columns: columns.map(|(name, kind)| (name.to_owned(), kind.to_owned())).to_vec(),
            rows: rows.into_iter().map(|row| row.as_object().unwrap().clone()).collect(),
        };
        let query = parse(query, datetime!(2026-11-24 10:00 UTC)).unwrap();
        table.run(&query).unwrap().rows.into_iter().map(Value::from).collect()
    }

    #[test]
    fn rows_are_counted_filtered_and_ordered() {
        assert_eq!(run("T | count"), [json!({"Count": 3})]);
        assert_eq!(run("T | where TimeGenerated >= ago(1h) | count"), [json!({"Count": 2})]);
        assert_eq!(run("T | where isempty(Account) | count"), [json!({"Count": 1})]);
        assert_eq!(run("T | where Result in ('ok', 'partial') and Read > 5 | count"), [json!({"Count": 1})]);
        assert_eq!(
            run("T | top 2 by TimeGenerated desc | project When = TimeGenerated, Read"),
            [
                json!({"When": "2026-11-24T09:30:00.5Z", "Read": 0}),
                json!({"When": "2026-11-24T09:00:00Z", "Read": 10}),
            ]
        );
        assert_eq!(run("T | distinct Result"), [json!({"Result": "ok"}), json!({"Result": "failed"})]);
    }

    #[test]
    fn groups_are_summarized() {
        assert_eq!(
            run(
                "T | summarize Events = sum(Read), Latest = max(TimeGenerated) by Result | order by Result asc"
            ),
            [
                json!({"Result": "failed", "Events": 0, "Latest": "2026-11-24T09:30:00.5Z"}),
                json!({"Result": "ok", "Events": 15, "Latest": "2026-11-24T09:00:00Z"}),
            ]
        );
        assert_eq!(
            run("T | summarize count() by bin(TimeGenerated, 1h) | order by TimeGenerated asc"),
            [
                json!({"TimeGenerated": "2026-11-24T07:00:00Z", "count_": 1}),
                json!({"TimeGenerated": "2026-11-24T09:00:00Z", "count_": 2}),
            ]
        );
        assert_eq!(
            run("T | summarize arg_max(TimeGenerated, *) by Account | where Account == 'b' | project Result"),
            [json!({"Result": "failed"})]
        );
        assert_eq!(
            run("T | where Read > 99 | summarize count(), dcount(Result)"),
            [json!({"count_": 0, "dcount_Result": 0})]
        );
    }

    #[test]
    fn has_looks_for_whole_words() {
        assert!(has_term("user logged on", "logged"));
        assert!(!has_term("user logged on", "log"));
    }
}
