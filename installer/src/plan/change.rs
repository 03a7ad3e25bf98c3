//! What differs between a body that is wanted and a resource that is there, property by property.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::output;

/// One property that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PropertyChange {
    /// Its path, with dots.
    pub path: String,
    /// What Azure has; absent when it has nothing there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What is wanted.
    pub after: Value,
}

/// What a step does to its resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It is not there and is made.
    Create,
    /// It is there and differs in these properties.
    Update(Vec<PropertyChange>),
    /// It is taken away.
    Delete,
    /// Something is done that leaves no resource of its own.
    Run,
}

/// The differences of `wanted` from `actual`.
///
/// Only what is wanted counts: properties that Azure adds by itself are no difference. Names of
/// properties, ids and regions are compared without regard to case, since Azure gives them back in
/// a case of its own; the order of a list of things with names or ids does not count. A value that
/// is known only later is no difference as long as it is not known.
pub fn differences(wanted: &Value, actual: &Value) -> Vec<PropertyChange> {
    let mut found = Vec::new();
    compare("", wanted, Some(actual), &mut found);
    found
}

fn compare(path: &str, wanted: &Value, actual: Option<&Value>, found: &mut Vec<PropertyChange>) {
    match (wanted, actual) {
        (Value::Object(entries), Some(Value::Object(there))) => {
            for (name, value) in entries {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                let other = there.get(name).or_else(|| {
                    there.iter().find(|(each, _)| each.eq_ignore_ascii_case(name)).map(|(_, other)| other)
                });
                compare(&path, value, other, found);
            }
        }
        // An object of which nothing is there is shown by its leaves, like any other drift.
        (Value::Object(entries), None | Some(Value::Null)) if !entries.is_empty() => {
            for (name, value) in entries {
                compare(&format!("{path}.{name}"), value, None, found);
            }
        }
        (Value::Array(items), Some(Value::Array(there)))
            if items.iter().all(|item| identity(item).is_some()) =>
        {
            for item in items {
                let name = identity(item).unwrap_or_default();
                let other = there
                    .iter()
                    .find(|each| identity(each).is_some_and(|other| other.eq_ignore_ascii_case(name)));
                compare(&format!("{path}[{name}]"), item, other, found);
            }
            for extra in there.iter().filter_map(identity) {
                if !items.iter().filter_map(identity).any(|name| name.eq_ignore_ascii_case(extra)) {
                    found.push(PropertyChange {
                        path: format!("{path}[{extra}]"),
                        before: Some(Value::from("present")),
                        after: Value::Null,
                    });
                }
            }
        }
        (Value::Array(items), Some(Value::Array(there))) if items.len() == there.len() => {
            for (index, (item, other)) in items.iter().zip(there).enumerate() {
                compare(&format!("{path}[{index}]"), item, Some(other), found);
            }
        }
        // Nothing wanted and nothing there: Azure leaves empty lists and objects out.
        (Value::Array(items), None | Some(Value::Null)) if items.is_empty() => {}
        (Value::Object(entries), None | Some(Value::Null)) if entries.is_empty() => {}
        (Value::Null, None) => {}
        (wanted, actual) => {
            if !actual.is_some_and(|actual| same(path, wanted, actual)) && !unknown(wanted) {
                found.push(PropertyChange {
                    path: path.to_owned(),
                    before: actual.filter(|actual| !actual.is_null()).cloned(),
                    after: wanted.clone(),
                });
            }
        }
    }
}

/// What a thing in a list is called, where it has a name or an id.
fn identity(item: &Value) -> Option<&str> {
    item.get("name").or_else(|| item.get("id")).or_else(|| item.get("category")).and_then(Value::as_str)
}

fn unknown(wanted: &Value) -> bool {
    wanted.as_str().is_some_and(output::pending)
}

fn same(path: &str, wanted: &Value, actual: &Value) -> bool {
    match (wanted, actual) {
        (Value::String(wanted), Value::String(actual)) => {
            wanted == actual || loose(path, wanted) && normal(wanted) == normal(actual)
        }
        // `2048` and `"2048"`, as some resource types give numbers back.
        (Value::Number(wanted), Value::Number(actual)) => wanted.as_f64() == actual.as_f64(),
        _ => wanted == actual,
    }
}

/// Whether case and blanks don't count for this value: ids, regions, and the words of enumerations,
/// which Azure spells as it likes.
fn loose(path: &str, wanted: &str) -> bool {
    let last = path.rsplit('.').next().unwrap_or(path);
    wanted.to_ascii_lowercase().starts_with("/subscriptions/")
        || matches!(
            last,
            "location"
                | "kind"
                | "type"
                | "tier"
                | "Application_Type"
                | "Flow_Type"
                | "IngestionMode"
                | "tenantId"
                | "principalId"
                | "ftpsState"
                | "publicNetworkAccess"
                | "family"
        )
}

fn normal(text: &str) -> String {
    if text.starts_with('/') {
        return text.trim_end_matches('/').to_ascii_lowercase();
    }
    text.chars().filter(|each| !each.is_whitespace()).collect::<String>().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::differences;
    use crate::plan::output::mark;

    fn paths(wanted: &Value, actual: &Value) -> Vec<String> {
        differences(wanted, actual).into_iter().map(|change| change.path).collect()
    }

    #[test]
    fn what_azure_adds_or_spells_its_own_way_is_no_difference() {
        let wanted = json!({
            "location": "westeurope",
            "kind": "StorageV2",
            "tags": {},
            "properties": {
                "serverFarmId": "/subscriptions/S/resourceGroups/rg/providers/Microsoft.Web/serverfarms/p",
                "accessPolicies": [],
                "instanceMemoryMB": 512,
                "identity": mark("identity", "/properties/principalId"),
                "logs": [{ "category": "LogErrors", "enabled": true }]
            }
        });
        let actual = json!({
            "id": "/subscriptions/s/x",
            "location": "West Europe",
            "kind": "storagev2",
            "properties": {
                "ServerFarmId": "/subscriptions/s/resourcegroups/RG/providers/Microsoft.Web/serverFarms/p",
                "instanceMemoryMB": 512.0,
                "identity": "something",
                "provisioningState": "Succeeded",
                "logs": [{ "category": "LogErrors", "enabled": true, "retentionPolicy": { "enabled": false } }]
            }
        });
        assert_eq!(paths(&wanted, &actual), Vec::<String>::new());
    }

    #[test]
    fn drift_in_one_property_is_that_property() {
        let wanted = json!({ "properties": { "a": { "b": true, "c": "x" }, "list": [{ "name": "one", "v": 1 }, { "name": "two", "v": 2 }] } });
        let mut actual = wanted.clone();
        assert!(differences(&wanted, &actual).is_empty());
        actual["properties"]["a"]["b"] = json!(false);
        assert_eq!(paths(&wanted, &actual), ["properties.a.b"]);
        actual = wanted.clone();
        actual["properties"]["list"] = json!([{ "name": "two", "v": 3 }, { "name": "one", "v": 1 }]);
        assert_eq!(paths(&wanted, &actual), ["properties.list[two].v"]);
        actual["properties"]["list"] = json!([{ "name": "one", "v": 1 }]);
        assert_eq!(paths(&wanted, &actual), ["properties.list[two].name", "properties.list[two].v"]);
        actual = wanted.clone();
        actual["properties"]["list"].as_array_mut().expect("a list").push(json!({ "name": "three" }));
        assert_eq!(paths(&wanted, &actual), ["properties.list[three]"]);
        actual = wanted.clone();
        actual["properties"]["a"] = Value::Null;
        assert_eq!(paths(&wanted, &actual), ["properties.a.b", "properties.a.c"]);
    }

    #[test]
    fn texts_keep_their_case_where_case_matters() {
        let wanted = json!({ "properties": { "transformKql": "source" } });
        let actual = json!({ "properties": { "transformKql": "Source" } });
        let found = differences(&wanted, &actual);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].before.clone(), found[0].after.clone()),
            (Some(json!("Source")), json!("source"))
        );
    }
}
