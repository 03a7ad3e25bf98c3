//! The template functions that our templates use, and no other.
//!
//! Follows <https://learn.microsoft.com/azure/azure-resource-manager/templates/template-functions>.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use uuid::{Uuid, uuid};

use super::expression::Expression;
use super::frame::Frame;
use super::invalid;
use crate::arm::error::ArmError;

/// Namespace of `guid`: a GUID of version 5 over its arguments, joined by hyphens.
const GUID_NAMESPACE: Uuid = uuid!("11fb06fb-712d-4ddd-98c7-e71bbd588830");
/// Length of what `uniqueString` gives
/// (<https://learn.microsoft.com/azure/azure-resource-manager/templates/template-functions-string#uniquestring>).
const UNIQUE_LENGTH: usize = 13;

/// Every function that is known, with the fewest and the most arguments it takes.
const KNOWN: &[(&str, usize, usize)] = &[
    ("and", 2, usize::MAX),
    ("concat", 1, usize::MAX),
    ("contains", 2, 2),
    ("createArray", 0, usize::MAX),
    ("createObject", 0, usize::MAX),
    ("empty", 1, 1),
    ("endsWith", 2, 2),
    ("environment", 0, 0),
    ("equals", 2, 2),
    ("false", 0, 0),
    ("greater", 2, 2),
    ("guid", 1, usize::MAX),
    ("if", 3, 3),
    ("int", 1, 1),
    ("last", 1, 1),
    ("length", 1, 1),
    ("less", 2, 2),
    ("mul", 2, 2),
    ("not", 1, 1),
    ("null", 0, 0),
    ("or", 2, usize::MAX),
    ("parameters", 1, 1),
    ("reference", 1, 3),
    ("replace", 3, 3),
    ("resourceGroup", 0, 0),
    ("resourceId", 2, usize::MAX),
    ("split", 2, 2),
    ("startsWith", 2, 2),
    ("string", 1, 1),
    ("sub", 2, 2),
    ("subscription", 0, 0),
    ("subscriptionResourceId", 2, usize::MAX),
    ("take", 2, 2),
    ("toLower", 1, 1),
    ("true", 0, 0),
    ("union", 2, usize::MAX),
    ("uniqueString", 1, usize::MAX),
    ("variables", 1, 1),
];

/// Checks that every function of an expression is known and has arguments that it can take.
///
/// # Errors
/// `InvalidTemplate`, naming the function.
pub(super) fn check(expression: &Expression) -> Result<(), ArmError> {
    match expression {
        Expression::Text(_) | Expression::Number(_) => Ok(()),
        Expression::Member(of, _) => check(of),
        Expression::Index(of, at) => check(of).and_then(|()| check(at)),
        Expression::Call(name, arguments) => {
            let known = KNOWN.iter().find(|(known, ..)| known.eq_ignore_ascii_case(name));
            let Some((_, fewest, most)) = known else {
                return Err(invalid(format!(
                    "The template function '{name}' is not valid. Please see https://aka.ms/arm-functions for \
                     usage details."
                )));
            };
            if !(*fewest..=*most).contains(&arguments.len()) {
                return Err(invalid(format!(
                    "Unable to evaluate template language function '{name}': it does not take {} argument(s). \
                     Please see https://aka.ms/arm-functions for usage details.",
                    arguments.len()
                )));
            }
            arguments.iter().try_for_each(check)
        }
    }
}

/// The value of an expression.
///
/// # Errors
/// `InvalidTemplate`, or what reading another resource gives.
pub(super) fn evaluate(expression: &Expression, frame: &Frame<'_>) -> Result<Value, ArmError> {
    match expression {
        Expression::Text(text) => Ok(json!(text)),
        Expression::Number(number) => Ok(json!(number)),
        Expression::Member(of, name) => member(&evaluate(of, frame)?, name),
        Expression::Index(of, at) => {
            let (of, at) = (evaluate(of, frame)?, evaluate(at, frame)?);
            match (&of, &at) {
                (Value::Array(items), Value::Number(number)) => {
                    let item = number.as_u64().and_then(|at| items.get(usize::try_from(at).ok()?));
                    item.cloned().ok_or_else(|| {
                        let message =
                            format!("The language expression property array index '{at}' is out of bounds.");
                        invalid(message)
                    })
                }
                (_, Value::String(name)) => member(&of, name),
                _ => Err(wrong("[]", "an index of another type")),
            }
        }
        Expression::Call(name, arguments) => call(&name.to_ascii_lowercase(), arguments, frame),
    }
}

/// Names of members are compared without regard to case.
fn member(of: &Value, name: &str) -> Result<Value, ArmError> {
    let found = of.as_object().and_then(|members| {
        members.iter().find(|(each, _)| each.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
    });
    found.ok_or_else(|| {
        let there: Vec<&str> = of.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        invalid(format!(
            "The language expression property '{name}' doesn't exist, available properties are '{}'.",
            there.join(", ")
        ))
    })
}

fn wrong(function: &str, what: &str) -> ArmError {
    invalid(format!("Unable to evaluate template language function '{function}': {what}."))
}

fn call(name: &str, arguments: &[Expression], frame: &Frame<'_>) -> Result<Value, ArmError> {
    // Only the branch that is taken is evaluated
    // (https://learn.microsoft.com/azure/azure-resource-manager/templates/template-functions-logical#if).
    if name == "if" {
        let [condition, one, other] = arguments else {
            return Err(wrong(name, "three arguments are needed"));
        };
        let taken = match evaluate(condition, frame)? {
            Value::Bool(true) => one,
            Value::Bool(false) => other,
            _ => return Err(wrong(name, "the condition is no boolean")),
        };
        return evaluate(taken, frame);
    }
    let values: Vec<Value> =
        arguments.iter().map(|argument| evaluate(argument, frame)).collect::<Result<_, _>>()?;
    let text = |at: usize| {
        values
            .get(at)
            .and_then(Value::as_str)
            .ok_or_else(|| wrong(name, &format!("argument {} is no text", at + 1)))
    };
    let boolean = |value: &Value| value.as_bool().ok_or_else(|| wrong(name, "an argument is no boolean"));
    Ok(match name {
        "parameters" => frame.parameter(text(0)?)?,
        "variables" => frame.variable(text(0)?)?,
        "reference" => {
            let full = match values.get(2) {
                None => false,
                Some(word) if word == "Full" => true,
                Some(_) => return Err(wrong(name, "the third argument can only be 'Full'")),
            };
            let version = if values.len() > 1 { Some(text(1)?) } else { None };
            frame.reference(text(0)?, version, full)?
        }
        "subscription" => frame.subscription(),
        "resourcegroup" => frame.resource_group(),
        "environment" => frame.environment(),
        "resourceid" => json!(resource_id(name, &frame.target.group_id(), &values)?),
        "subscriptionresourceid" => {
            let scope = format!("/subscriptions/{}", frame.target.subscription_id);
            json!(resource_id(name, &scope, &values)?)
        }
        "concat" => concat(name, &values)?,
        "union" => union(name, &values)?,
        "createarray" => Value::Array(values),
        "createobject" => create_object(name, &values)?,
        "null" => Value::Null,
        "true" => json!(true),
        "false" => json!(false),
        "not" => json!(!boolean(&values[0])?),
        "and" => {
            let all: Vec<bool> = values.iter().map(boolean).collect::<Result<_, _>>()?;
            json!(all.iter().all(|&each| each))
        }
        "or" => {
            let all: Vec<bool> = values.iter().map(boolean).collect::<Result<_, _>>()?;
            json!(all.iter().any(|&each| each))
        }
        "equals" => json!(values[0] == values[1]),
        "greater" | "less" | "mul" | "sub" => numbers(name, &values[0], &values[1])?,
        "int" => match &values[0] {
            Value::Number(number) => json!(number),
            Value::String(text) => {
                let number: Result<i64, _> = text.parse();
                json!(number.map_err(|_| wrong(name, &format!("'{text}' is no whole number")))?)
            }
            _ => return Err(wrong(name, "the argument is neither a number nor a text")),
        },
        // Of texts alone; case counts here
        // (https://learn.microsoft.com/azure/azure-resource-manager/templates/template-functions-string#contains).
        "contains" => json!(text(0)?.contains(text(1)?)),
        "length" => json!(match &values[0] {
            Value::Array(items) => items.len(),
            _ => text(0)?.chars().count(),
        }),
        "last" => json!(text(0)?.chars().last().map(String::from).unwrap_or_default()),
        "empty" => json!(match &values[0] {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(members) => members.is_empty(),
            Value::Bool(_) | Value::Number(_) =>
                return Err(wrong(name, "the argument can't be empty or not")),
        }),
        // Without regard to case
        // (https://learn.microsoft.com/azure/azure-resource-manager/templates/template-functions-string#startswith).
        "startswith" => json!(text(0)?.to_lowercase().starts_with(&text(1)?.to_lowercase())),
        "endswith" => json!(text(0)?.to_lowercase().ends_with(&text(1)?.to_lowercase())),
        "tolower" => json!(text(0)?.to_lowercase()),
        "replace" => json!(text(0)?.replace(text(1)?, text(2)?)),
        "split" => text(0)?.split(text(1)?).collect(),
        "take" => {
            let count = values[1].as_u64().and_then(|count| usize::try_from(count).ok());
            let count = count.ok_or_else(|| wrong(name, "the count is no whole number"))?;
            json!(text(0)?.chars().take(count).collect::<String>())
        }
        "string" => json!(match &values[0] {
            Value::String(text) => text.clone(),
            // True and False, as .NET writes them
            // (https://learn.microsoft.com/azure/azure-resource-manager/templates/template-functions-string#string).
            Value::Bool(true) => "True".to_owned(),
            Value::Bool(false) => "False".to_owned(),
            other => other.to_string(),
        }),
        "guid" => {
            let parts: Vec<&str> = (0..values.len()).map(text).collect::<Result<_, _>>()?;
            json!(Uuid::new_v5(&GUID_NAMESPACE, parts.join("-").as_bytes()).to_string())
        }
        "uniquestring" => {
            let parts: Vec<&str> = (0..values.len()).map(text).collect::<Result<_, _>>()?;
            json!(unique(&parts))
        }
        other => return Err(wrong(other, "it is not simulated")),
    })
}

/// What two whole numbers give.
fn numbers(name: &str, one: &Value, other: &Value) -> Result<Value, ArmError> {
    let (Some(one), Some(other)) = (one.as_i64(), other.as_i64()) else {
        return Err(wrong(name, "an argument is no whole number"));
    };
    let too_large = || wrong(name, "the result is too large");
    Ok(match name {
        "greater" => json!(one > other),
        "less" => json!(one < other),
        "mul" => json!(one.checked_mul(other).ok_or_else(too_large)?),
        _ => json!(one.checked_sub(other).ok_or_else(too_large)?),
    })
}

/// A stand-in for `uniqueString`, whose way is not documented: as long, of the same letters, and the
/// same for the same arguments. Its values are not Azure's.
fn unique(parts: &[&str]) -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let digest = Sha256::digest(format!("simulated uniqueString: {}", parts.join("-")));
    digest.iter().take(UNIQUE_LENGTH).map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect()
}

/// `[subscription, [group,]] type, name, …` as an id
/// (<https://learn.microsoft.com/azure/azure-resource-manager/templates/template-functions-resource#resourceid>).
fn resource_id(function: &str, own: &str, values: &[Value]) -> Result<String, ArmError> {
    let words: Vec<&str> = values
        .iter()
        .map(|value| value.as_str().ok_or_else(|| wrong(function, "an argument is no text")))
        .collect::<Result<_, _>>()?;
    let at = words.iter().position(|word| word.contains('/'));
    let at = at.ok_or_else(|| wrong(function, "no argument is a resource type"))?;
    let scope = match words[..at] {
        [] => own.to_owned(),
        [subscription] if function == "subscriptionresourceid" => format!("/subscriptions/{subscription}"),
        [group] => {
            let subscription = own.split("/resourceGroups/").next().unwrap_or_default();
            format!("{subscription}/resourceGroups/{group}")
        }
        [subscription, group] => format!("/subscriptions/{subscription}/resourceGroups/{group}"),
        _ => return Err(wrong(function, "too many arguments stand before the resource type")),
    };
    let mut kinds = words[at].split('/');
    let namespace = kinds.next().unwrap_or_default();
    let (kinds, names): (Vec<&str>, _) = (kinds.collect(), &words[at + 1..]);
    if kinds.len() != names.len() {
        return Err(wrong(
            function,
            "the type requires as many resource names as it has segments after the first",
        ));
    }
    let path: String = kinds.iter().zip(names).map(|(kind, name)| format!("/{kind}/{name}")).collect();
    Ok(format!("{scope}/providers/{namespace}{path}"))
}

fn concat(name: &str, values: &[Value]) -> Result<Value, ArmError> {
    if values.iter().all(Value::is_array) {
        return Ok(Value::Array(values.iter().filter_map(Value::as_array).flatten().cloned().collect()));
    }
    let mut joined = String::new();
    for value in values {
        match value {
            Value::String(text) => joined.push_str(text),
            Value::Number(number) => joined.push_str(&number.to_string()),
            _ => return Err(wrong(name, "the arguments are neither all lists nor all texts")),
        }
    }
    Ok(json!(joined))
}

fn union(name: &str, values: &[Value]) -> Result<Value, ArmError> {
    fn merge(into: &mut Map<String, Value>, from: &Map<String, Value>) {
        for (name, value) in from {
            match (into.get_mut(name), value) {
                (Some(Value::Object(into)), Value::Object(from)) => merge(into, from),
                _ => {
                    into.insert(name.clone(), value.clone());
                }
            }
        }
    }
    let mut merged = Map::new();
    for value in values {
        match value {
            Value::Object(members) => merge(&mut merged, members),
            _ => return Err(wrong(name, "an argument is no object, and unions of lists are not simulated")),
        }
    }
    Ok(Value::Object(merged))
}

fn create_object(name: &str, values: &[Value]) -> Result<Value, ArmError> {
    let mut members = Map::new();
    for pair in values.chunks(2) {
        let [Value::String(member), value] = pair else {
            return Err(wrong(name, "the arguments are not pairs of a name and a value"));
        };
        members.insert(member.clone(), value.clone());
    }
    Ok(Value::Object(members))
}
