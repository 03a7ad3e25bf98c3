//! A rendering and everything in which renderings under other choices differ from it.

use serde_json::Value;

use super::print::Printed;
use super::symbol::{Scope, quoted};

/// When something holds, in terms of the template's symbols.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Condition {
    /// This symbol is true.
    Is(String),
    /// This symbol has this text.
    Equals(String, String),
    /// The other does not hold.
    Not(Box<Self>),
    /// Both hold.
    Both(Box<Self>, Box<Self>),
}

impl Condition {
    pub(super) fn is(name: &str) -> Self {
        Self::Is(name.to_owned())
    }

    pub(super) fn equals(name: &str, text: &str) -> Self {
        Self::Equals(name.to_owned(), text.to_owned())
    }

    pub(super) fn not(self) -> Self {
        match self {
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self::Both(Box::new(self), Box::new(other))
    }

    /// As an expression.
    pub(super) fn expression(&self, scope: &mut Scope<'_>) -> String {
        match self {
            Self::Is(name) => scope.symbol(name),
            Self::Equals(name, text) => format!("equals({}, {})", scope.symbol(name), quoted(text)),
            Self::Not(inner) => format!("not({})", inner.expression(scope)),
            Self::Both(one, other) => format!("and({}, {})", one.expression(scope), other.expression(scope)),
        }
    }
}

/// A part of an object or a list, with the condition under which it is there.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    /// Name of the member; of an item of a list, what identifies it.
    pub(super) name: String,
    pub(super) when: Option<Condition>,
    pub(super) node: Node,
}

/// A JSON value of which parts depend on conditions.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    /// A value without parts.
    Leaf(Value),
    /// An object.
    Object(Vec<Part>),
    /// A list.
    List(Vec<Part>),
    /// The first under the condition, else the second.
    Either(Condition, Box<Self>, Box<Self>),
}

impl From<&Value> for Node {
    fn from(value: &Value) -> Self {
        match value {
            Value::Object(entries) => Self::Object(
                entries
                    .iter()
                    .map(|(name, value)| Part { name: name.clone(), when: None, node: value.into() })
                    .collect(),
            ),
            Value::Array(items) => Self::List(
                items
                    .iter()
                    .map(|item| Part { name: identity(item).to_owned(), when: None, node: item.into() })
                    .collect(),
            ),
            other => Self::Leaf(other.clone()),
        }
    }
}

/// What an item of a list is called; empty where it has no name.
fn identity(item: &Value) -> &str {
    item.get("name").and_then(Value::as_str).unwrap_or_default()
}

impl Node {
    /// Takes a choice in: under the condition, what is `base` without the choice is `chosen`.
    ///
    /// Where earlier choices made parts of their own, the ones that are as in `base` change.
    pub(super) fn choose(&mut self, base: &Value, chosen: &Value, when: &Condition) {
        if base == chosen {
            return;
        }
        match (&mut *self, base, chosen) {
            (Self::Either(_, one, other), _, _) => {
                one.choose(base, chosen, when);
                other.choose(base, chosen, when);
            }
            (Self::Object(parts), Value::Object(base), Value::Object(chosen)) => {
                let base = base.iter().map(|(name, value)| (name.as_str(), value));
                let chosen = chosen.iter().map(|(name, value)| (name.as_str(), value));
                choose_parts(parts, &base.collect::<Vec<_>>(), &chosen.collect::<Vec<_>>(), when);
            }
            (Self::List(parts), Value::Array(base), Value::Array(chosen))
                if base.iter().chain(chosen).all(|item| !identity(item).is_empty()) =>
            {
                let named = |items: &'_ [Value]| -> Vec<(String, Value)> {
                    items.iter().map(|item| (identity(item).to_owned(), item.clone())).collect()
                };
                let (base, chosen) = (named(base), named(chosen));
                let base: Vec<_> = base.iter().map(|(name, value)| (name.as_str(), value)).collect();
                let chosen: Vec<_> = chosen.iter().map(|(name, value)| (name.as_str(), value)).collect();
                choose_parts(parts, &base, &chosen, when);
            }
            (node, _, _) if *node == Self::from(base) => {
                *node = Self::Either(when.clone(), Box::new(chosen.into()), Box::new(base.into()));
            }
            // What another choice put here is not what this choice changes.
            _ => {}
        }
    }

    /// As a value of a template: JSON as far as possible, expressions where a condition decides.
    ///
    /// A member that is there under a condition is null without it, which Azure takes for absent.
    pub(super) fn plain(&self, scope: &mut Scope<'_>) -> Printed {
        match self {
            Self::Leaf(Value::String(text)) => Printed::text(scope.json_text(text)),
            Self::Leaf(value) => Printed::Value(value.clone()),
            Self::Object(parts) => Printed::Object(
                parts
                    .iter()
                    .map(|part| {
                        let value = match &part.when {
                            None => part.node.plain(scope),
                            Some(when) => {
                                let when = when.expression(scope);
                                Printed::text(format!(
                                    "[if({when}, {}, null())]",
                                    part.node.expression(scope)
                                ))
                            }
                        };
                        (scope.json_text(&part.name), value)
                    })
                    .collect(),
            ),
            Self::List(parts) if parts.iter().all(|part| part.when.is_none()) => {
                Printed::List(parts.iter().map(|part| part.node.plain(scope)).collect())
            }
            Self::List(_) | Self::Either(..) => Printed::text(format!("[{}]", self.expression(scope))),
        }
    }

    /// As an expression.
    pub(super) fn expression(&self, scope: &mut Scope<'_>) -> String {
        match self {
            Self::Leaf(Value::String(text)) => scope.text(text),
            Self::Leaf(Value::Bool(value)) => format!("{value}()"),
            Self::Leaf(Value::Null) => "null()".to_owned(),
            Self::Leaf(value) => value.to_string(),
            Self::Object(parts) => joined("union", "createObject", parts, scope, |part, scope| {
                format!("{}, {}", scope.text(&part.name), part.node.expression(scope))
            }),
            Self::List(parts) => {
                joined("concat", "createArray", parts, scope, |part, scope| part.node.expression(scope))
            }
            Self::Either(when, one, other) => {
                let when = when.expression(scope);
                format!("if({when}, {}, {})", one.expression(scope), other.expression(scope))
            }
        }
    }
}

fn choose_parts(parts: &mut Vec<Part>, base: &[(&str, &Value)], chosen: &[(&str, &Value)], when: &Condition) {
    let of = |list: &[(&str, &Value)], name: &str| -> Option<Value> {
        list.iter().find(|(each, _)| *each == name).map(|(_, value)| (*value).clone())
    };
    for part in parts.iter_mut() {
        match (of(base, &part.name), of(chosen, &part.name)) {
            (Some(base), Some(chosen)) => part.node.choose(&base, &chosen, when),
            (Some(_), None) => {
                let without = when.clone().not();
                part.when = Some(match part.when.take() {
                    Some(already) => already.and(without),
                    None => without,
                });
            }
            (None, _) => {}
        }
    }
    for (name, value) in chosen {
        if of(base, name).is_none() {
            parts.push(Part { name: (*name).to_owned(), when: Some(when.clone()), node: (*value).into() });
        }
    }
}

/// Parts in groups of the same condition, each group made by `make` and all joined by `join`.
fn joined(
    join: &str,
    make: &str,
    parts: &[Part],
    scope: &mut Scope<'_>,
    write: impl Fn(&Part, &mut Scope<'_>) -> String,
) -> String {
    let mut groups: Vec<String> = parts
        .chunk_by(|one, other| one.when == other.when)
        .map(|group| {
            let inside: Vec<String> = group.iter().map(|part| write(part, scope)).collect();
            let made = format!("{make}({})", inside.join(", "));
            match group.first().and_then(|part| part.when.as_ref()) {
                None => made,
                Some(when) => format!("if({}, {made}, {make}())", when.expression(scope)),
            }
        })
        .collect();
    match groups.len() {
        0 => format!("{make}()"),
        1 => groups.remove(0),
        _ => format!("{join}({})", groups.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::{Condition, Node};
    use crate::portal::symbol::{Names, Scope};

    /// The node of the first value, with each other one chosen by a condition of its own.
    fn printed(base: &Value, choices: &[(&str, &Value, &Value)]) -> Value {
        let mut node = Node::from(base);
        for (when, base, chosen) in choices {
            node.choose(base, chosen, &Condition::is(when));
        }
        let names = Names { symbols: BTreeMap::new(), steps: BTreeMap::new() };
        serde_json::from_str(&node.plain(&mut Scope::outer(&names)).to_string()).expect("JSON")
    }

    #[test]
    fn what_a_choice_changes_adds_and_takes_away_depends_on_it() {
        let base = json!({ "same": 1, "other": "a", "gone": true });
        let chosen = json!({ "same": 1, "other": "b", "new": { "deep": [1] } });
        assert_eq!(
            printed(&base, &[("x", &base, &chosen)]),
            json!({
                "same": 1,
                "other": "[if(parameters('x'), 'b', 'a')]",
                "gone": "[if(not(parameters('x')), true(), null())]",
                "new": "[if(parameters('x'), createObject('deep', createArray(1)), null())]",
            })
        );
    }

    #[test]
    fn a_choice_within_a_choice_changes_what_the_first_one_made() {
        let base = json!({ "a": 1 });
        let first = json!({ "a": 2 });
        let second = json!({ "a": 3 });
        assert_eq!(
            printed(&base, &[("x", &base, &first), ("y", &first, &second), ("z", &base, &second)]),
            json!({ "a": "[if(parameters('x'), if(parameters('y'), 3, 2), if(parameters('z'), 3, 1))]" })
        );
    }

    #[test]
    fn named_items_come_and_go_by_their_names() {
        let base = json!([{ "name": "a", "value": "1" }, { "name": "b", "value": "2" }]);
        let chosen = json!([{ "name": "b", "value": "3" }, { "name": "c", "value": "4" }]);
        assert_eq!(
            printed(&base, &[("x", &base, &chosen)]),
            json!(
                "[concat(if(not(parameters('x')), createArray(createObject('name', 'a', 'value', '1')), createArray()), \
                 createArray(createObject('name', 'b', 'value', if(parameters('x'), '3', '2'))), \
                 if(parameters('x'), createArray(createObject('name', 'c', 'value', '4')), createArray()))]"
            )
        );
    }
}
