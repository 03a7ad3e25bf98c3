//! The mark that ends the description of an item of content: whose it is, and what was written.
//!
//! Content lives in the workspace, where things have no tags. Installations in the same workspace
//! share it: each leaves its mark, the first one looks after the item, the last one to go takes it
//! away. The fingerprint tells an item that a person has tuned from one that an older version wrote.

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::plan::change::{PropertyChange, differences};

/// How a mark begins.
const OPENING: &str = "[mimecast-sentinel:";
/// Bytes of a fingerprint: enough to tell the few bodies of one item apart.
const FINGERPRINT_BYTES: usize = 4;

/// A mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The installation that uses the item.
    pub installation: String,
    /// The item: `rule/password-spray`.
    pub item: String,
    /// Fingerprint of the body that was written.
    pub fingerprint: String,
}

impl Mark {
    /// The marks of a resource, oldest first, wherever its kind keeps a description.
    pub fn all(resource: &Value) -> Vec<Self> {
        description(resource)
            .and_then(|at| resource.pointer(&at)?.as_str())
            .map(|text| split(text).1)
            .unwrap_or_default()
    }

    /// As it stands in a description.
    pub fn text(&self) -> String {
        format!("{OPENING}{}:{}:{}]", self.installation, self.item, self.fingerprint)
    }
}

/// Gives a resource these marks in place of those that it has.
pub fn put_marks(resource: &mut Value, marks: &[Mark]) {
    let Some(place) = description(resource).and_then(|at| resource.pointer_mut(&at)) else { return };
    let mut text = split(place.as_str().unwrap_or_default()).0.to_owned();
    for mark in marks {
        text.push(' ');
        text.push_str(&mark.text());
    }
    *place = Value::String(text);
}

/// Where a resource keeps its description, as a JSON pointer: rules and workbooks as a property,
/// connector pages in their configuration, saved searches in a tag.
fn description(resource: &Value) -> Option<String> {
    let tags = resource.pointer("/properties/tags").and_then(Value::as_array);
    let tag = tags.and_then(|tags| tags.iter().position(|tag| tag["name"] == "description"));
    ["/properties/description", "/properties/connectorUiConfig/descriptionMarkdown"]
        .into_iter()
        .map(str::to_owned)
        .chain(tag.map(|index| format!("/properties/tags/{index}/value")))
        .find(|at| resource.pointer(at).is_some_and(Value::is_string))
}

/// A description without its marks, and the marks.
fn split(description: &str) -> (&str, Vec<Mark>) {
    let mut text = description.trim_end();
    let mut marks = Vec::new();
    while let Some((before, mark)) = last(text) {
        marks.insert(0, mark);
        text = before.trim_end();
    }
    (text, marks)
}

fn last(text: &str) -> Option<(&str, Mark)> {
    let (before, inside) = text.strip_suffix(']')?.rsplit_once(OPENING)?;
    let mut parts = inside.split(':').map(str::to_owned);
    let mark = Mark { installation: parts.next()?, item: parts.next()?, fingerprint: parts.next()? };
    parts.next().is_none().then_some((before, mark))
}

/// What becomes of an item that is there already.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// As it should be.
    Same,
    /// As an older version of ours left it, or as other answers asked for: it is brought up to date.
    Outdated(Vec<PropertyChange>),
    /// A person has changed it.
    Tuned(Vec<PropertyChange>),
}

/// Compares an item that is there with what we would write. Marks of others are no difference.
pub fn compare(wanted: &Value, actual: &Value, own: Option<&Mark>) -> Found {
    let mut seen = actual.clone();
    put_marks(&mut seen, own.map(std::slice::from_ref).unwrap_or_default());
    let changes = differences(wanted, &seen);
    if changes.is_empty() {
        return Found::Same;
    }
    let untouched = own.is_some_and(|mark| mark.fingerprint == fingerprint(&like(wanted, actual)));
    if untouched { Found::Outdated(changes) } else { Found::Tuned(changes) }
}

/// What of `actual` has a place in `wanted`, in its shape: Azure adds properties of its own.
fn like(wanted: &Value, actual: &Value) -> Value {
    match (wanted, actual) {
        (Value::Object(entries), Value::Object(there)) => {
            let kept = entries.iter().filter_map(|(name, value)| {
                let other = there.get(name)?;
                Some((name.clone(), like(value, other)))
            });
            Value::Object(kept.collect())
        }
        (_, other) => other.clone(),
    }
}

/// Hexadecimal digits of a hash of a body, its marks, tags, region and workspace apart.
pub fn fingerprint(body: &Value) -> String {
    let mut body = body.clone();
    if let Some(members) = body.as_object_mut() {
        members.remove("tags");
        members.remove("location");
    }
    put_marks(&mut body, &[]);
    // Maps are sorted by name, so the same body gives the same text. A workbook names its workspace in
    // its own text too, which a deployment template knows only when it runs.
    let mut text = body.to_string();
    if let Some(workspace) = body.pointer("/properties/sourceId").and_then(Value::as_str) {
        text = text.replace(workspace, "");
    }
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(FINGERPRINT_BYTES).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Found, Mark, compare, fingerprint, put_marks};

    fn mark(installation: &str, body: &Value) -> Mark {
        Mark {
            installation: installation.to_owned(),
            item: "rule/a".to_owned(),
            fingerprint: fingerprint(body),
        }
    }

    fn rule(query: &str) -> Value {
        let mut body = json!({ "properties": { "query": query, "description": "A rule." } });
        let own = mark("one", &body);
        put_marks(&mut body, &[own]);
        body
    }

    #[test]
    fn marks_are_read_back_wherever_the_kind_keeps_a_description() {
        let text =
            "What it is. [mimecast-sentinel:one:rule/a:0a1b2c3d] [mimecast-sentinel:two:rule/a:0a1b2c3d]";
        for resource in [
            json!({ "properties": { "description": text } }),
            json!({ "properties": { "connectorUiConfig": { "descriptionMarkdown": text } } }),
            json!({ "properties": { "tags": [{ "name": "tactics", "value": "x" }, { "name": "description", "value": text }] } }),
        ] {
            let marks = Mark::all(&resource);
            assert_eq!(
                marks.iter().map(|mark| mark.installation.as_str()).collect::<Vec<_>>(),
                ["one", "two"]
            );
            assert_eq!((marks[0].item.as_str(), marks[0].fingerprint.as_str()), ("rule/a", "0a1b2c3d"));
            let mut again = resource.clone();
            put_marks(&mut again, &marks);
            assert_eq!(again, resource);
        }
        for stranger in ["[mimecast-sentinel:a:b]", "another team's", "[mimecast-sentinel:a:b:c] and more"] {
            assert_eq!(Mark::all(&json!({ "properties": { "description": stranger } })), []);
        }
        assert_eq!(Mark::all(&json!({ "properties": { "description": null } })), []);
    }

    #[test]
    fn what_a_person_tuned_is_told_from_what_an_older_version_wrote() {
        let (old, new) = (rule("T | where a"), rule("T | where b"));
        let found = |wanted: &Value, actual: &Value| compare(wanted, actual, Mark::all(actual).first());
        assert_eq!(found(&new, &new), Found::Same);
        // Azure adds properties of its own, and another installation its mark.
        let mut read_back = old.clone();
        read_back["properties"]["lastModifiedUtc"] = json!("2026-11-24T10:00:00Z");
        let both = [Mark::all(&old)[0].clone(), mark("two", &old)];
        put_marks(&mut read_back, &both);
        assert_eq!(found(&old, &read_back), Found::Same);
        assert!(matches!(found(&new, &read_back), Found::Outdated(_)));
        read_back["properties"]["query"] = json!("T | where a and not(noise)");
        for wanted in [&new, &old] {
            let Found::Tuned(changes) = found(wanted, &read_back) else { panic!("it was tuned") };
            assert!(changes.iter().any(|change| change.path == "properties.query"));
        }
        // Without its mark nothing proves that it is as we left it.
        put_marks(&mut read_back, &[]);
        assert!(matches!(found(&old, &read_back), Found::Tuned(_)));
    }
}
