//! The closed set of KQL that the simulator reads.
//!
//! A pipeline of `count`, `where`, `top`, `take`, `project`, `order by`, `summarize` and `distinct`
//! over one table. Anything else is refused by its text, so that no answer is made up.
//! The language: <https://learn.microsoft.com/kusto/query/>.

use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::syntax::{
    Aggregate, Condition, Group, INGESTION_TIME, Literal, Operator, Order, Query, Step, Unknown,
};
use super::token::{Token, tokens};

/// Reads a query. `now` is what `now()` and `ago()` mean.
pub(super) fn parse(text: &str, now: OffsetDateTime) -> Result<Query, Unknown> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, now };
    let table = parser.word()?;
    let mut steps = Vec::new();
    while !parser.ended() {
        parser.symbol("|")?;
        steps.push(parser.step()?);
    }
    Ok(Query { table, steps })
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    now: OffsetDateTime,
}

impl Parser {
    fn ended(&self) -> bool {
        self.at == self.tokens.len()
    }

    /// An error that shows where the query is no longer understood.
    fn unknown(&self) -> Unknown {
        let rest = self.tokens.iter().skip(self.at).map(|token| match token {
            Token::Word(word) => word.clone(),
            Token::Text(text) => format!("\"{text}\""),
            Token::Symbol(symbol) => (*symbol).to_owned(),
        });
        let rest = rest.collect::<Vec<_>>().join(" ");
        Unknown(if rest.is_empty() { "an end here".to_owned() } else { rest })
    }

    fn word(&mut self) -> Result<String, Unknown> {
        match self.tokens.get(self.at) {
            Some(Token::Word(word)) => {
                self.at += 1;
                Ok(word.clone())
            }
            _ => Err(self.unknown()),
        }
    }

    fn symbol(&mut self, wanted: &'static str) -> Result<(), Unknown> {
        if self.takes(wanted) { Ok(()) } else { Err(self.unknown()) }
    }

    fn takes(&mut self, wanted: &'static str) -> bool {
        let found = self.tokens.get(self.at) == Some(&Token::Symbol(wanted));
        self.at += usize::from(found);
        found
    }

    fn takes_word(&mut self, wanted: &str) -> bool {
        let found = matches!(self.tokens.get(self.at), Some(Token::Word(word)) if word == wanted);
        self.at += usize::from(found);
        found
    }

    fn number(&mut self) -> Result<usize, Unknown> {
        let at = self.at;
        self.word()?.parse().map_err(|_| {
            self.at = at;
            self.unknown()
        })
    }

    fn step(&mut self) -> Result<Step, Unknown> {
        let at = self.at;
        match self.word()?.as_str() {
            "count" => Ok(Step::Count),
            "where" => self.separated_by_and().map(Step::Where),
            "take" | "limit" => self.number().map(Step::Take),
            "top" => {
                let rows = self.number()?;
                self.by()?;
                Ok(Step::Top { rows, by: self.list(Self::order)? })
            }
            "order" | "sort" => {
                self.by()?;
                self.list(Self::order).map(Step::OrderBy)
            }
            "project" => self.list(Self::projection).map(Step::Project),
            "distinct" => self.list(Self::word).map(Step::Distinct),
            "summarize" => {
                let aggregates = self.list(Self::aggregate)?;
                let by = if self.takes_word("by") { self.list(Self::group)? } else { Vec::new() };
                Ok(Step::Summarize { aggregates, by })
            }
            _ => {
                self.at = at;
                Err(self.unknown())
            }
        }
    }

    fn by(&mut self) -> Result<(), Unknown> {
        if self.takes_word("by") { Ok(()) } else { Err(self.unknown()) }
    }

    fn list<T>(&mut self, item: impl Fn(&mut Self) -> Result<T, Unknown>) -> Result<Vec<T>, Unknown> {
        let mut items = vec![item(self)?];
        while self.takes(",") {
            items.push(item(self)?);
        }
        Ok(items)
    }

    fn separated_by_and(&mut self) -> Result<Vec<Condition>, Unknown> {
        let mut conditions = vec![self.condition()?];
        while self.takes_word("and") {
            conditions.push(self.condition()?);
        }
        Ok(conditions)
    }

    fn order(&mut self) -> Result<Order, Unknown> {
        let column = self.word()?;
        // Descending is the default of the language.
        let descending = !self.takes_word("asc");
        if descending {
            self.takes_word("desc");
        }
        Ok(Order { column, descending })
    }

    fn projection(&mut self) -> Result<(String, String), Unknown> {
        let name = self.word()?;
        let column = if self.takes("=") { self.word()? } else { name.clone() };
        Ok((name, column))
    }

    fn condition(&mut self) -> Result<Condition, Unknown> {
        let at = self.at;
        let mut column = self.word()?;
        if column == "ingestion_time" {
            self.symbol("(")?;
            self.symbol(")")?;
            INGESTION_TIME.clone_into(&mut column);
        } else if self.takes("(") {
            let wanted = match column.as_str() {
                "isempty" | "isnull" => true,
                "isnotempty" | "isnotnull" => false,
                _ => {
                    self.at = at;
                    return Err(self.unknown());
                }
            };
            let column = self.word()?;
            self.symbol(")")?;
            return Ok(Condition::Empty { column, wanted });
        }
        if self.takes_word("in") {
            self.symbol("(")?;
            let literals = self.list(Self::literal)?;
            self.symbol(")")?;
            return Ok(Condition::In { column, literals });
        }
        if self.takes_word("between") {
            self.symbol("(")?;
            let from = self.literal()?;
            self.symbol("..")?;
            let to = self.literal()?;
            self.symbol(")")?;
            return Ok(Condition::Between { column, from, to });
        }
        let operator = match self.tokens.get(self.at) {
            Some(Token::Symbol("==")) => Operator::Equal,
            Some(Token::Symbol("!=")) => Operator::NotEqual,
            Some(Token::Symbol("=~")) => Operator::EqualIgnoringCase,
            Some(Token::Symbol("<")) => Operator::Less,
            Some(Token::Symbol("<=")) => Operator::LessOrEqual,
            Some(Token::Symbol(">")) => Operator::Greater,
            Some(Token::Symbol(">=")) => Operator::GreaterOrEqual,
            Some(Token::Word(word)) if word == "has" => Operator::Has,
            Some(Token::Word(word)) if word == "contains" => Operator::Contains,
            Some(Token::Word(word)) if word == "startswith" => Operator::StartsWith,
            _ => return Err(self.unknown()),
        };
        self.at += 1;
        Ok(Condition::Compare { column, operator, literal: self.literal()? })
    }

    fn literal(&mut self) -> Result<Literal, Unknown> {
        if let Some(Token::Text(text)) = self.tokens.get(self.at) {
            self.at += 1;
            return Ok(Literal::Text(text.clone()));
        }
        let at = self.at;
        let word = self.word()?;
        let literal = match word.as_str() {
            "true" => Some(Literal::Boolean(true)),
            "false" => Some(Literal::Boolean(false)),
            "now" => {
                self.symbol("(")?;
                self.symbol(")")?;
                Some(Literal::Time(self.now))
            }
            "ago" => {
                self.symbol("(")?;
                let span = timespan(&self.word()?);
                self.symbol(")")?;
                span.map(|span| Literal::Time(self.now - span))
            }
            "datetime" => {
                self.symbol("(")?;
                let text = match self.tokens.get(self.at) {
                    Some(Token::Text(text) | Token::Word(text)) => text.clone(),
                    _ => return Err(self.unknown()),
                };
                self.at += 1;
                self.symbol(")")?;
                OffsetDateTime::parse(&text, &Rfc3339).ok().map(Literal::Time)
            }
            number => number.parse().ok().map(Literal::Number),
        };
        literal.ok_or_else(|| {
            self.at = at;
            self.unknown()
        })
    }

    fn aggregate(&mut self) -> Result<(String, Aggregate), Unknown> {
        let at = self.at;
        let mut function = self.word()?;
        let mut name = None;
        if self.takes("=") {
            name = Some(std::mem::replace(&mut function, self.word()?));
        }
        self.symbol("(")?;
        let (default, aggregate) = match function.as_str() {
            "count" => ("count_".to_owned(), Aggregate::Count),
            "arg_max" => {
                let column = self.word()?;
                self.symbol(",")?;
                self.symbol("*")?;
                (column.clone(), Aggregate::Latest(column))
            }
            "dcount" | "max" | "min" | "sum" => {
                let column = self.word()?;
                let default = format!("{function}_{column}");
                let aggregate = match function.as_str() {
                    "dcount" => Aggregate::DistinctCount(column),
                    "max" => Aggregate::Max(column),
                    "min" => Aggregate::Min(column),
                    _ => Aggregate::Sum(column),
                };
                (default, aggregate)
            }
            _ => {
                self.at = at;
                return Err(self.unknown());
            }
        };
        self.symbol(")")?;
        Ok((name.unwrap_or(default), aggregate))
    }

    fn group(&mut self) -> Result<(String, Group), Unknown> {
        let mut first = self.word()?;
        let mut name = None;
        if self.takes("=") {
            name = Some(std::mem::replace(&mut first, self.word()?));
        }
        if first != "bin" {
            return Ok((name.unwrap_or_else(|| first.clone()), Group::Column(first)));
        }
        self.symbol("(")?;
        let column = self.word()?;
        self.symbol(",")?;
        let at = self.at;
        let span = self.word()?;
        let span = timespan(&span).ok_or_else(|| {
            self.at = at;
            self.unknown()
        })?;
        self.symbol(")")?;
        Ok((name.unwrap_or_else(|| column.clone()), Group::Bin(column, span)))
    }
}

/// `30s`, `5m`, `1h`, `7d`.
fn timespan(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.len().checked_sub(1)?);
    let number: i64 = number.parse().ok()?;
    match unit {
        "s" => Some(Duration::seconds(number)),
        "m" => Some(Duration::minutes(number)),
        "h" => Some(Duration::hours(number)),
        "d" => Some(Duration::days(number)),
        _ => None,
    }
    .filter(|span| span.is_positive())
}

#[cfg(test)]
mod tests {
    use super::{Aggregate, Condition, Group, Literal, Operator, Order, Query, Step, parse};
    use time::macros::datetime;
    use time::{Duration, OffsetDateTime};

    const NOW: OffsetDateTime = datetime!(2026-11-24 10:00:00 UTC);

    fn steps(text: &str) -> Vec<Step> {
        parse(text, NOW).unwrap().steps
    }

    #[test]
    fn the_forms_that_our_binaries_send_are_read() {
        assert_eq!(
            parse("T_CL|count", NOW),
            Ok(Query { table: "T_CL".to_owned(), steps: vec![Step::Count] })
        );
        let order = || vec![Order { column: "TimeGenerated".to_owned(), descending: true }];
        assert_eq!(
            steps(
                "T | where Installation == 'mimecast-audit' and TimeGenerated > ago(1h) | top 5 by TimeGenerated desc"
            ),
            [
                Step::Where(vec![
                    Condition::Compare {
                        column: "Installation".to_owned(),
                        operator: Operator::Equal,
                        literal: Literal::Text("mimecast-audit".to_owned()),
                    },
                    Condition::Compare {
                        column: "TimeGenerated".to_owned(),
                        operator: Operator::Greater,
                        literal: Literal::Time(NOW - Duration::hours(1)),
                    },
                ]),
                Step::Top { rows: 5, by: order() },
            ]
        );
        assert_eq!(steps("T | order by TimeGenerated"), [Step::OrderBy(order())]);
        assert_eq!(
            steps(
                "T | summarize Events = count(), max(TimeGenerated) by Day = bin(TimeGenerated, 1d), account_s"
            ),
            [Step::Summarize {
                aggregates: vec![
                    ("Events".to_owned(), Aggregate::Count),
                    ("max_TimeGenerated".to_owned(), Aggregate::Max("TimeGenerated".to_owned())),
                ],
                by: vec![
                    ("Day".to_owned(), Group::Bin("TimeGenerated".to_owned(), Duration::days(1))),
                    ("account_s".to_owned(), Group::Column("account_s".to_owned())),
                ],
            }]
        );
        assert_eq!(
            steps("T | where at between (datetime(2026-11-23T00:00:00Z) .. datetime(2026-11-24T00:00:00Z))"),
            [Step::Where(vec![Condition::Between {
                column: "at".to_owned(),
                from: Literal::Time(datetime!(2026-11-23 00:00 UTC)),
                to: Literal::Time(datetime!(2026-11-24 00:00 UTC)),
            }])]
        );
    }

    #[test]
    fn anything_else_is_refused_by_its_text() {
        let refused = |text| parse(text, NOW).unwrap_err().0;
        assert_eq!(refused("T | join kind=inner (U) on id"), "join kind = inner ( U ) on id");
        assert_eq!(refused("T | where a == 1 or b == 2"), "or b == 2");
        assert_eq!(refused("T | where a == strcat('x')"), "strcat ( \"x\" )");
        assert_eq!(refused("T | summarize avg(a)"), "avg ( a )");
        assert_eq!(refused("T | top 5"), "an end here");
        assert!(parse("T | where a == 'x\\'y'", NOW).is_err());
        assert!(parse("T | extend a = 1; drop", NOW).is_err());
        assert!(parse("", NOW).is_err());
    }
}
