//! Bicep's `types.json` as JSON Schema.
//!
//! A file is a list of types that refer to each other by place. Flags of a property: 1 required,
//! 2 read-only, 4 write-only, 8 known at deployment.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::{Found, read};

const REQUIRED: u64 = 1;
const READ_ONLY: u64 = 2;
/// Properties of every resource that a `PUT` has in its path instead.
const IN_THE_PATH: &[&str] = &["id", "name", "type", "apiVersion"];

/// The description of a type in a file, if it is there.
pub(super) fn find(path: &Path, resource_type: &str) -> Option<Found> {
    let Value::Array(types) = read(path)? else { return None };
    let root = |resource_type: &str| {
        types.iter().find_map(|each| {
            let (name, _) = each.get("name")?.as_str()?.split_once('@')?;
            let resource = each.get("$type")?.as_str()? == "ResourceType";
            // Some types are described once for reading and once, under a shorter name, for writing.
            let resource = resource && each.get("writableScopes").and_then(Value::as_u64) != Some(0);
            (resource && name.eq_ignore_ascii_case(resource_type)).then(|| reference(each.get("body")))
        })
    };
    if let Some(root) = root(resource_type) {
        return Some(Found { schema: schema(&types, root), name: None });
    }
    let (shorter, name) = resource_type.rsplit_once('/')?;
    Some(Found { schema: schema(&types, root(shorter)?), name: Some(name.to_owned()) })
}

/// The place that a `{"$ref": "#/12"}` refers to.
fn reference(value: Option<&Value>) -> usize {
    let text = value.and_then(|value| value.get("$ref")).and_then(Value::as_str).unwrap_or_default();
    text.trim_start_matches("#/").parse().unwrap_or_default()
}

/// The schema of a type with the types that it leads to.
fn schema(types: &[Value], root: usize) -> Value {
    let mut definitions = Map::new();
    let mut open = vec![root];
    while let Some(at) = open.pop() {
        let Some(each) = types.get(at).filter(|_| !definitions.contains_key(&at.to_string())) else {
            continue;
        };
        let definition = definition(types, each, at == root);
        links(&definition, &mut open);
        definitions.insert(at.to_string(), definition);
    }
    json!({"$ref": format!("#/definitions/{root}"), "definitions": definitions})
}

/// The places that a schema refers to.
fn links(schema: &Value, into: &mut Vec<usize>) {
    match schema {
        Value::Object(object) => {
            let reference = object.get("$ref").and_then(Value::as_str);
            into.extend(reference.and_then(|text| text.rsplit('/').next()?.parse::<usize>().ok()));
            object.values().for_each(|each| links(each, into));
        }
        Value::Array(list) => list.iter().for_each(|each| links(each, into)),
        _ => {}
    }
}

fn link(value: Option<&Value>) -> Value {
    json!({"$ref": format!("#/definitions/{}", reference(value))})
}

fn definition(types: &[Value], each: &Value, root: bool) -> Value {
    let mut schema = match each.get("$type").and_then(Value::as_str).unwrap_or_default() {
        "StringType" => json!({"type": "string"}),
        "IntegerType" => json!({"type": "integer"}),
        "BooleanType" => json!({"type": "boolean"}),
        "NullType" => json!({"type": "null"}),
        "StringLiteralType" => json!({"enum": [each.get("value")]}),
        "UnionType" => {
            let elements = each.get("elements").and_then(Value::as_array);
            json!({"anyOf": elements.into_iter().flatten().map(|each| link(Some(each))).collect::<Vec<_>>()})
        }
        "ArrayType" => {
            let mut array = json!({"type": "array", "items": link(each.get("itemType"))});
            for (from, to) in [("minLength", "minItems"), ("maxLength", "maxItems")] {
                if let Some(limit) = each.get(from) {
                    array[to] = limit.clone();
                }
            }
            return array;
        }
        "ObjectType" => return object(each.get("properties"), None, each.get("additionalProperties"), root),
        "DiscriminatedObjectType" => return discriminated(types, each, root),
        _ => json!({}),
    };
    for (from, to) in [
        ("minLength", "minLength"),
        ("maxLength", "maxLength"),
        ("pattern", "pattern"),
        ("minValue", "minimum"),
        ("maxValue", "maximum"),
    ] {
        if let Some(limit) = each.get(from) {
            schema[to] = limit.clone();
        }
    }
    schema
}

fn object(properties: Option<&Value>, base: Option<&Value>, additional: Option<&Value>, root: bool) -> Value {
    let mut allowed = Map::new();
    let mut required = Vec::new();
    let all = [base, properties].into_iter().flatten().filter_map(Value::as_object).flatten();
    for (name, property) in all {
        let flags = property.get("flags").and_then(Value::as_u64).unwrap_or_default();
        let in_the_path = root && IN_THE_PATH.contains(&name.as_str());
        let schema = if in_the_path {
            json!(true)
        } else if flags & READ_ONLY != 0 {
            json!(false)
        } else {
            link(property.get("type"))
        };
        if flags & REQUIRED != 0 && !in_the_path {
            required.push(json!(name));
        }
        allowed.insert(name.clone(), schema);
    }
    let additional = additional.map_or(json!(false), |additional| link(Some(additional)));
    json!({"type": "object", "properties": allowed, "required": required, "additionalProperties": additional})
}

/// An object whose properties depend on one of them.
fn discriminated(types: &[Value], each: &Value, root: bool) -> Value {
    let by = each.get("discriminator").and_then(Value::as_str).unwrap_or_default();
    let elements = each.get("elements").and_then(Value::as_object).cloned().unwrap_or_default();
    let values: Vec<&String> = elements.keys().collect();
    let cases: Vec<Value> = elements
        .iter()
        .map(|(value, element)| {
            let element = types.get(reference(Some(element))).unwrap_or(&Value::Null);
            let then = object(element.get("properties"), each.get("baseProperties"), None, root);
            json!({"if": {"properties": {by: {"const": value}}, "required": [by]}, "then": then})
        })
        .collect();
    json!({"type": "object", "required": [by], "properties": {by: {"enum": values}}, "allOf": cases})
}
