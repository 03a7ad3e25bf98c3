//! What a query is made of, once it is understood.

use time::{Duration, OffsetDateTime};

/// A query that is understood.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Query {
    pub(super) table: String,
    pub(super) steps: Vec<Step>,
}

/// One step of the pipeline.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    Count,
    Where(Vec<Condition>),
    Top {
        rows: usize,
        by: Vec<Order>,
    },
    Take(usize),
    OrderBy(Vec<Order>),
    /// New name and column.
    Project(Vec<(String, String)>),
    Distinct(Vec<String>),
    Summarize {
        aggregates: Vec<(String, Aggregate)>,
        by: Vec<(String, Group)>,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Order {
    pub(super) column: String,
    pub(super) descending: bool,
}

/// The function that gives when a row was accepted; a row holds it under this name, which is no column's
/// (<https://learn.microsoft.com/kusto/query/ingestion-time-function>).
pub(super) const INGESTION_TIME: &str = "ingestion_time()";

/// One condition; those of a `where` are joined by `and`.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Condition {
    Compare {
        column: String,
        operator: Operator,
        literal: Literal,
    },
    In {
        column: String,
        literals: Vec<Literal>,
    },
    Between {
        column: String,
        from: Literal,
        to: Literal,
    },
    /// `isempty`, `isnull` and their opposites.
    Empty {
        column: String,
        wanted: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    EqualIgnoringCase,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Has,
    Contains,
    StartsWith,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Text(String),
    Number(i64),
    Boolean(bool),
    Time(OffsetDateTime),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Aggregate {
    Count,
    DistinctCount(String),
    Max(String),
    Min(String),
    Sum(String),
    /// `arg_max(column, *)`: the whole row.
    Latest(String),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Group {
    Column(String),
    Bin(String, Duration),
}

/// What is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the simulator's query does not know `{0}`")]
pub(super) struct Unknown(pub(super) String);
