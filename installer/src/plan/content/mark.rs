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

/// How many members together a newer version may have dropped from an item.
const MEMBERS_DROPPED: usize = 4;
/// How many combinations of so many members are tried.
const COMBINATIONS_TRIED: usize = 400;

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
    if own.is_some_and(|mark| written_by_us(wanted, actual, &mark.fingerprint)) {
        return Found::Outdated(changes);
    }
    // Another mark is no change of a person's.
    put_marks(&mut seen, &Mark::all(wanted));
    let of_a_person = differences(wanted, &seen);
    Found::Tuned(if of_a_person.is_empty() { changes } else { of_a_person })
}

/// Whether what is there is a body of ours with this fingerprint: in the shape of what we would write, or
/// with members beside it that an older version wrote and this one does not.
///
/// Which of the members that are not ours any more were written and which Azure adds by itself, nothing
/// tells: so each is tried, and each few together. A wrong one among the combinations that are tried passes
/// for the right one less than once in two million items.
fn written_by_us(wanted: &Value, actual: &Value, expected: &str) -> bool {
    let shaped = like(wanted, actual);
    let mut beside = Vec::new();
    members_beside(wanted, actual, "", &mut beside);
    let mut tried = vec![(shaped, 0)];
    for _ in 0..=MEMBERS_DROPPED {
        if tried.iter().any(|(body, _)| fingerprint(body) == expected) {
            return true;
        }
        // One member more, always behind the last one, so that no combination comes twice.
        let more = tried.iter().flat_map(|(body, first)| {
            beside.iter().enumerate().skip(*first).filter_map(|(place, at)| {
                let mut body = body.clone();
                let (parent, name) = at.rsplit_once('/')?;
                let member = actual.pointer(at)?.clone();
                body.pointer_mut(parent)?.as_object_mut()?.insert(unescaped(name), member);
                Some((body, place + 1))
            })
        });
        tried = more.take(COMBINATIONS_TRIED).collect();
    }
    false
}

/// Pointers to the members of `actual` that have no place in `wanted`. What Azure gives every resource is
/// never written as content.
fn members_beside(wanted: &Value, actual: &Value, at: &str, found: &mut Vec<String>) {
    const OF_AZURE: [&str; 7] = ["id", "name", "type", "etag", "systemData", "tags", "location"];
    let (Value::Object(entries), Value::Object(there)) = (wanted, actual) else { return };
    for (name, value) in there {
        let pointer = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
        match entries.get(name) {
            Some(wanted) => members_beside(wanted, value, &pointer, found),
            None if at.is_empty() && OF_AZURE.contains(&name.as_str()) => {}
            None => found.push(pointer),
        }
    }
}

fn unescaped(name: &str) -> String {
    name.replace("~1", "/").replace("~0", "~")
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
    fn members_that_this_version_does_not_write_any_more_are_no_persons() {
        let with = |details: Value| {
            let mut body = json!({ "kind": "Scheduled", "properties": {
                "query": "T", "customDetails": details, "description": "A rule." } });
            let own = mark("one", &body);
            put_marks(&mut body, &[own]);
            body
        };
        let found = |wanted: &Value, actual: &Value| compare(wanted, actual, Mark::all(actual).first());
        // As Azure gives it back: with members of its own, beside and inside.
        let read_back = |body: &Value| {
            let mut read = body.clone();
            read["id"] = json!("/x");
            read["etag"] = json!("\"1\"");
            for name in
                ["lastModifiedUtc", "templateVersion", "alertRuleTemplateName", "incidentConfiguration"]
            {
                read["properties"][name] = json!(null);
            }
            read
        };
        let new = with(json!({ "User": "user_s" }));
        for older in [
            json!({ "User": "user_s", "Method": "method_s" }),
            json!({ "User": "user_s", "Method": "method_s", "a/b~c": "x", "Last": "y" }),
            json!({ "Account": "account_s" }),
            json!({}),
        ] {
            let older = read_back(&with(older));
            assert!(matches!(found(&new, &older), Found::Outdated(_)), "{older}");
            let mut tuned = older.clone();
            tuned["properties"]["query"] = json!("T | where not(noise)");
            let Found::Tuned(changes) = found(&new, &tuned) else { panic!("it was tuned: {older}") };
            assert!(changes.iter().any(|change| change.path == "properties.query"));
            assert!(changes.iter().all(|change| !change.path.contains("description")), "{changes:?}");
        }
        // A whole branch, and beside it what a person changed in a member that is gone.
        let older = read_back(&with(json!({ "User": "user_s", "Method": "method_s" })));
        let mut without = with(json!({}));
        without["properties"].as_object_mut().expect("an object").remove("customDetails");
        let own = mark("one", &without);
        put_marks(&mut without, &[own]);
        assert!(matches!(found(&without, &older), Found::Outdated(_)));
        let mut tuned = older.clone();
        tuned["properties"]["customDetails"]["Method"] = json!("of a person");
        assert!(matches!(found(&without, &tuned), Found::Tuned(_)));
        assert!(matches!(found(&new, &tuned), Found::Tuned(_)));
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
