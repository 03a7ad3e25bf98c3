//! JSON whose members stand in the order in which people read them.

use std::fmt;

use serde_json::Value;

/// A JSON value with ordered objects; its text ends without a line break.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Printed {
    /// A value without parts, or one whose order does not matter.
    Value(Value),
    /// An object.
    Object(Vec<(String, Self)>),
    /// A list.
    List(Vec<Self>),
}

impl Printed {
    /// A text.
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Value(Value::String(text.into()))
    }

    /// An object of these members.
    pub(super) fn object<const COUNT: usize>(members: [(&str, Self); COUNT]) -> Self {
        Self::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    fn write(&self, formatter: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        let indent = "  ".repeat(depth + 1);
        let end = "  ".repeat(depth);
        match self {
            Self::Object(members) if !members.is_empty() => {
                for (index, (name, value)) in members.iter().enumerate() {
                    let before = if index == 0 { "{\n" } else { ",\n" };
                    write!(formatter, "{before}{indent}{}: ", Value::from(name.as_str()))?;
                    value.write(formatter, depth + 1)?;
                }
                write!(formatter, "\n{end}}}")
            }
            Self::List(items) if !items.is_empty() => {
                for (index, item) in items.iter().enumerate() {
                    write!(formatter, "{}{indent}", if index == 0 { "[\n" } else { ",\n" })?;
                    item.write(formatter, depth + 1)?;
                }
                write!(formatter, "\n{end}]")
            }
            Self::Object(_) => formatter.write_str("{}"),
            Self::List(_) => formatter.write_str("[]"),
            Self::Value(value) => write!(formatter, "{value}"),
        }
    }
}

impl fmt::Display for Printed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(formatter, 0)
    }
}
