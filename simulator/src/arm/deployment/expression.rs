//! Expressions of the template language, taken apart.
//!
//! Follows <https://learn.microsoft.com/azure/azure-resource-manager/templates/template-expressions>.

use super::invalid;
use crate::arm::error::ArmError;

/// The longest expression
/// (<https://learn.microsoft.com/azure/azure-resource-manager/templates/best-practices#template-limits>).
const LENGTH_LIMIT: usize = 24_576;

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expression {
    /// A text in single quotes.
    Text(String),
    /// A whole number.
    Number(i64),
    /// A call of a function.
    Call(String, Vec<Self>),
    /// A member of an object by name.
    Member(Box<Self>, String),
    /// An item of a list or a member of an object by an expression.
    Index(Box<Self>, Box<Self>),
}

/// The inside of a text that is an expression: in brackets, unless the first bracket is doubled.
pub(super) fn inside(text: &str) -> Option<&str> {
    text.strip_prefix('[').filter(|rest| !rest.starts_with('['))?.strip_suffix(']')
}

/// Takes an expression apart.
///
/// # Errors
/// `InvalidTemplate` where it is none.
pub(super) fn parse(text: &str) -> Result<Expression, ArmError> {
    if text.len() > LENGTH_LIMIT {
        let message = format!("The language expression length limit exceeded. Limit: '{LENGTH_LIMIT}'.");
        return Err(invalid(message));
    }
    let mut reader = Reader { text, at: 0 };
    let expression = reader.expression()?;
    reader.blanks();
    if reader.at < text.len() { Err(reader.unexpected()) } else { Ok(expression) }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn blanks(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn takes(&mut self, word: char) -> bool {
        self.blanks();
        let taken = self.rest().starts_with(word);
        if taken {
            self.at += word.len_utf8();
        }
        taken
    }

    fn unexpected(&self) -> ArmError {
        invalid(format!(
            "Unable to parse language expression '{}': unexpected '{}' at position {}.",
            self.text,
            self.rest().chars().next().map_or_else(|| "end".to_owned(), |each| each.to_string()),
            self.at
        ))
    }

    fn word(&mut self) -> Result<String, ArmError> {
        let rest = self.rest();
        let end = rest.find(|each: char| !each.is_ascii_alphanumeric() && each != '_').unwrap_or(rest.len());
        let word = rest[..end].to_owned();
        if word.is_empty() {
            return Err(self.unexpected());
        }
        self.at += end;
        Ok(word)
    }

    fn expression(&mut self) -> Result<Expression, ArmError> {
        let mut expression = self.first()?;
        loop {
            if self.takes('.') {
                expression = Expression::Member(Box::new(expression), self.word()?);
            } else if self.takes('[') {
                let index = self.expression()?;
                if !self.takes(']') {
                    return Err(self.unexpected());
                }
                expression = Expression::Index(Box::new(expression), Box::new(index));
            } else {
                return Ok(expression);
            }
        }
    }

    fn first(&mut self) -> Result<Expression, ArmError> {
        self.blanks();
        if self.takes('\'') {
            return self.quoted();
        }
        if self.rest().starts_with(|each: char| each.is_ascii_digit() || each == '-') {
            let rest = self.rest();
            let end = rest[1..].find(|each: char| !each.is_ascii_digit()).map_or(rest.len(), |end| end + 1);
            let number = rest[..end].parse().map_err(|_| self.unexpected())?;
            self.at += end;
            return Ok(Expression::Number(number));
        }
        let name = self.word()?;
        if !self.takes('(') {
            return Err(self.unexpected());
        }
        let mut arguments = Vec::new();
        if self.takes(')') {
            return Ok(Expression::Call(name, arguments));
        }
        loop {
            arguments.push(self.expression()?);
            if self.takes(')') {
                return Ok(Expression::Call(name, arguments));
            }
            if !self.takes(',') {
                return Err(self.unexpected());
            }
        }
    }

    /// A text up to its closing quote; two quotes are one.
    fn quoted(&mut self) -> Result<Expression, ArmError> {
        let mut text = String::new();
        loop {
            let Some(end) = self.rest().find('\'') else { return Err(self.unexpected()) };
            text.push_str(&self.rest()[..end]);
            self.at += end + 1;
            if !self.rest().starts_with('\'') {
                return Ok(Expression::Text(text));
            }
            text.push('\'');
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Expression, inside, parse};

    #[test]
    fn calls_members_and_indices_nest() {
        let parsed = parse("split(variables('a'), '/')[2].b").unwrap();
        let Expression::Member(index, member) = parsed else { panic!("a member") };
        assert_eq!(member, "b");
        let Expression::Index(call, at) = *index else { panic!("an index") };
        assert_eq!(*at, Expression::Number(2));
        let Expression::Call(name, arguments) = *call else { panic!("a call") };
        assert_eq!((name.as_str(), arguments.len()), ("split", 2));
        assert_eq!(parse("'it''s'").unwrap(), Expression::Text("it's".to_owned()));
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        for text in ["", "a", "f(", "f(,)", "f() g()", "'open", "f()[", "f()."] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse(&format!("'{}'", "a".repeat(24_600))).is_err());
    }

    #[test]
    fn a_doubled_bracket_begins_a_text() {
        assert_eq!(inside("[f()]"), Some("f()"));
        assert_eq!(inside("[[0,1]"), None);
        assert_eq!(inside("plain"), None);
    }
}
