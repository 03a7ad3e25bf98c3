//! OpenAPI 2.0 as JSON Schema: the body of a resource's `PUT`, with everything it refers to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::{Found, read};

/// The description of a type in a file, if it is there.
pub(super) fn find(path: &Path, resource_type: &str) -> Option<Found> {
    let mut bundle = Bundle::default();
    let body = bundle.body(path, resource_type)?;
    Some(Found { schema: json!({"allOf": [body], "definitions": bundle.definitions}), name: None })
}

/// The types that a path names: with the last name too where that is fixed.
fn types_of(path: &str) -> [String; 2] {
    let Some((_, rest)) = path.rsplit_once("/providers/") else {
        let group = path.to_ascii_lowercase().ends_with("/resourcegroups/{resourcegroupname}");
        return [if group { "Microsoft.Resources/resourceGroups" } else { "" }.to_owned(), String::new()];
    };
    let segments: Vec<&str> = rest.split('/').collect();
    let types: Vec<&str> =
        segments.iter().enumerate().filter(|(at, _)| at % 2 == 1).map(|(_, it)| *it).collect();
    let last = segments.last().copied().unwrap_or_default();
    let plain = format!("{}/{}", segments.first().copied().unwrap_or_default(), types.join("/"));
    let named = if last.starts_with('{') { String::new() } else { format!("{plain}/{last}") };
    [plain, named]
}

/// Definitions gathered from several files into one schema.
#[derive(Default)]
struct Bundle {
    files: BTreeMap<PathBuf, Value>,
    definitions: Map<String, Value>,
}

impl Bundle {
    fn file(&mut self, path: &Path) -> &Value {
        self.files.entry(path.to_owned()).or_insert_with(|| read(path).unwrap_or_default())
    }

    /// The schema of the body of the type's `PUT` in this file.
    fn body(&mut self, path: &Path, resource_type: &str) -> Option<Value> {
        let document = self.file(path).clone();
        let paths = document.get("paths")?.as_object()?;
        let (_, operations) = paths.iter().find(|(template, operations)| {
            let named = types_of(template).iter().any(|each| each.eq_ignore_ascii_case(resource_type));
            named && operations.get("put").is_some()
        })?;
        let parameters = operations.get("put")?.get("parameters")?.as_array()?;
        for parameter in parameters {
            let (at, parameter) = self.resolve(path, parameter.clone());
            if parameter.get("in").and_then(Value::as_str) == Some("body") {
                return Some(self.schema(&at, parameter.get("schema")?));
            }
        }
        None
    }

    /// Follows a reference to the file and the value that it names.
    fn resolve(&mut self, path: &Path, value: Value) -> (PathBuf, Value) {
        let Some(reference) = value.get("$ref").and_then(Value::as_str) else {
            return (path.to_owned(), value);
        };
        let (file, pointer) = reference.split_once('#').unwrap_or((reference, ""));
        let at = if file.is_empty() { path.to_owned() } else { normal(&path.with_file_name(""), file) };
        let found = self.file(&at).pointer(pointer).cloned().unwrap_or_default();
        self.resolve(&at, found)
    }

    /// Turns a schema into JSON Schema. What it refers to becomes a definition.
    fn schema(&mut self, path: &Path, schema: &Value) -> Value {
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let (at, found) = self.resolve(path, schema.clone());
            // `/` and `~` have a meaning in references.
            let name = format!("{}.{}", at.display(), reference.rsplit('/').next().unwrap_or_default());
            let name: String =
                name.chars().map(|each| if each.is_ascii_alphanumeric() { each } else { '_' }).collect();
            if !self.definitions.contains_key(&name) {
                // In place before its parts are looked at: types may hold themselves.
                self.definitions.insert(name.clone(), Value::Null);
                let made = self.schema(&at, &found);
                self.definitions.insert(name.clone(), made);
            }
            return json!({"$ref": format!("#/definitions/{name}")});
        }
        let object = schema.get("properties").is_some() || schema.get("allOf").is_some();
        if object { self.object(path, schema) } else { self.plain(path, schema) }
    }

    fn plain(&mut self, path: &Path, schema: &Value) -> Value {
        const KEPT: &[&str] =
            &["type", "minLength", "maxLength", "pattern", "minimum", "maximum", "minItems", "maxItems"];
        let mut made = Map::new();
        for name in KEPT {
            if let Some(value) = schema.get(*name) {
                made.insert((*name).to_owned(), value.clone());
            }
        }
        let open = schema.pointer("/x-ms-enum/modelAsString") == Some(&json!(true));
        if let Some(values) = schema.get("enum").filter(|_| !open) {
            made.insert("enum".to_owned(), values.clone());
        }
        if let Some(items) = schema.get("items") {
            let items = self.schema(path, items);
            made.insert("items".to_owned(), items);
        }
        if let Some(additional) = schema.get("additionalProperties").filter(|each| each.is_object()) {
            let additional = self.schema(path, additional);
            made.insert("additionalProperties".to_owned(), additional);
        }
        Value::Object(made)
    }

    /// An object, its bases drawn in so that unknown properties can be told.
    fn object(&mut self, path: &Path, schema: &Value) -> Value {
        let mut parts = Parts::default();
        self.gather(path, schema, &mut parts);
        let mut properties = Map::new();
        for (name, (at, property)) in parts.properties {
            let value = self.schema(&at, &property);
            properties.insert(name, value);
        }
        for name in parts.read_only {
            properties.insert(name, json!(false));
        }
        let additional = match parts.additional {
            Some((at, additional)) => self.schema(&at, &additional),
            // What a subtype adds is not known here.
            None => json!(parts.discriminated),
        };
        json!({
            "type": "object",
            "properties": properties,
            "required": parts.required,
            "additionalProperties": additional,
        })
    }

    fn gather(&mut self, path: &Path, schema: &Value, parts: &mut Parts) {
        for base in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            let (at, base) = self.resolve(path, base.clone());
            self.gather(&at, &base, parts);
        }
        for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            if property.get("readOnly") == Some(&json!(true)) {
                parts.read_only.push(name.clone());
            } else {
                parts.properties.insert(name.clone(), (path.to_owned(), property.clone()));
            }
        }
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        parts
            .required
            .extend(required.filter(|name| !parts.read_only.iter().any(|each| *name == each)).cloned());
        if let Some(additional) = schema.get("additionalProperties").filter(|each| each.is_object()) {
            parts.additional = Some((path.to_owned(), additional.clone()));
        }
        parts.discriminated |= schema.get("discriminator").is_some();
    }
}

/// What an object and its bases have together.
#[derive(Default)]
struct Parts {
    properties: BTreeMap<String, (PathBuf, Value)>,
    read_only: Vec<String>,
    required: Vec<Value>,
    additional: Option<(PathBuf, Value)>,
    discriminated: bool,
}

/// A relative path from a folder, without `..`: one file has one name.
fn normal(folder: &Path, relative: &str) -> PathBuf {
    let mut path = folder.to_owned();
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                path.pop();
            }
            part => path.push(part),
        }
    }
    path
}
