//! Values that another step makes: marks in text, found and filled in one place.
//!
//! A template writes `{{output "identity" "/properties/principalId"}}`; the rendered body carries
//! `⟦identity#/properties/principalId⟧` until the value is known. The plan shows it as known later,
//! `provision` fills it in.

use serde_json::Value;

/// The two characters that enclose a mark. Answers may not hold them.
pub const MARKS: [char; 2] = ['\u{27e6}', '\u{27e7}'];

/// The mark for a value of a step, by JSON pointer into the resource as it is read back.
pub fn mark(step: &str, pointer: &str) -> String {
    format!("{}{step}#{pointer}{}", MARKS[0], MARKS[1])
}

/// Steps whose values a body waits for.
pub fn waits_for(value: &Value) -> Vec<String> {
    let mut steps = Vec::new();
    visit(value, &mut |text| {
        for (step, _) in marks(text) {
            if !steps.iter().any(|each| each == step) {
                steps.push(step.to_owned());
            }
        }
    });
    steps
}

/// The first mark that is not filled: step and pointer.
pub fn first(value: &Value) -> Option<(String, String)> {
    let mut found = None;
    visit(value, &mut |text| {
        if found.is_none() {
            found = marks(text).next().map(|(step, pointer)| (step.to_owned(), pointer.to_owned()));
        }
    });
    found
}

/// Whether a text holds a mark.
pub fn pending(text: &str) -> bool {
    marks(text).next().is_some()
}

/// The text with its marks replaced by words for people.
pub fn readable(text: &str) -> String {
    let mut shown = text.to_owned();
    for (step, pointer) in marks(text) {
        let what = pointer.rsplit('/').next().unwrap_or(pointer);
        shown = shown.replace(&mark(step, pointer), &format!("(known after {step}: {what})"));
    }
    shown
}

/// Fills every mark whose value `known` gives; the others stay.
pub fn fill(value: &mut Value, known: &impl Fn(&str, &str) -> Option<String>) {
    match value {
        Value::String(text) => *text = fill_text(text, known),
        Value::Array(items) => items.iter_mut().for_each(|item| fill(item, known)),
        Value::Object(entries) => {
            let filled = std::mem::take(entries)
                .into_iter()
                .map(|(name, mut item)| {
                    fill(&mut item, known);
                    (fill_text(&name, known), item)
                })
                .collect();
            *entries = filled;
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The same for one text.
pub fn fill_text(text: &str, known: &impl Fn(&str, &str) -> Option<String>) -> String {
    let mut filled = text.to_owned();
    for (step, pointer) in marks(text) {
        if let Some(value) = known(step, pointer) {
            filled = filled.replace(&mark(step, pointer), &value);
        }
    }
    filled
}

/// Looks a pointer up in a resource and gives its value as text. Names are compared without regard
/// to case, as Azure's own spelling of a property varies between versions.
pub fn look_up(resource: &Value, pointer: &str) -> Option<String> {
    let mut here = resource;
    for word in pointer.split('/').skip(1) {
        here = here
            .as_object()?
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(word))
            .map(|(_, value)| value)?;
    }
    match here {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn marks(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split(MARKS[0]).skip(1).filter_map(|rest| rest.split_once(MARKS[1])?.0.split_once('#'))
}

fn visit(value: &Value, see: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => see(text),
        Value::Array(items) => items.iter().for_each(|item| visit(item, see)),
        Value::Object(entries) => entries.iter().for_each(|(name, item)| {
            see(name);
            visit(item, see);
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{fill, look_up, mark, pending, readable, waits_for};

    #[test]
    fn marks_are_found_filled_and_shown() {
        let mut body = json!({ "url": format!("{}deployments", mark("storage", "/properties/blob")),
            "list": [mark("identity", "/id")], "plain": "text" });
        assert_eq!(waits_for(&body), ["identity", "storage"]);
        let text = body["url"].as_str().expect("text").to_owned();
        assert!(pending(&text));
        assert_eq!(readable(&text), "(known after storage: blob)deployments");
        fill(&mut body, &|step, pointer| {
            (step == "storage" && pointer == "/properties/blob").then(|| "https://x/".to_owned())
        });
        assert_eq!(body["url"], "https://x/deployments");
        assert_eq!(waits_for(&body), ["identity"]);
    }

    #[test]
    fn a_value_is_found_whatever_the_case_of_its_name() {
        let resource =
            json!({ "properties": { "ConnectionString": "InstrumentationKey=1", "count": 3, "none": null } });
        assert_eq!(
            look_up(&resource, "/properties/connectionString").as_deref(),
            Some("InstrumentationKey=1")
        );
        assert_eq!(look_up(&resource, "/properties/count").as_deref(), Some("3"));
        assert_eq!(look_up(&resource, "/properties/none"), None);
        assert_eq!(look_up(&resource, "/properties/absent/deeper"), None);
    }
}
