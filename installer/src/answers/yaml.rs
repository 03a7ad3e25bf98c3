//! Reads an answers file: strict YAML in, [`Given`] out, or every problem with its line.
//!
//! Values stay the text that was written: `0123`, `no` and `1e5` are not turned into something else.
//! JSON is YAML, so the recorded answers are read by the same code.

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::given::{Given, Origin, Problem, Value, check_scalar, read_text};
use super::keys::{self, Shape};
use super::secret::SecretSource;

/// Deeper than any key of the answers; deeper files are refused before they cost anything.
const DEPTH_LIMIT: usize = 8;

struct Node {
    line: usize,
    content: Content,
}

enum Content {
    Scalar { text: String, plain: bool },
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// Reads a file's text. `origin` makes the place of a line, so that recorded answers can say so.
///
/// # Errors
/// Every problem that was found; reading goes on after each, save for one that breaks the syntax.
pub fn read(text: &str, origin: impl Fn(usize) -> Origin) -> Result<Given, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut given = Given::default();
    let problem = |line: usize, key: Option<&str>, message: String| Problem {
        origin: origin(line),
        key: key.filter(|key| !key.is_empty()).map(str::to_owned),
        message,
    };
    let root = match parse(text) {
        Ok(Some(root)) => root,
        Ok(None) => return Ok(given),
        Err((line, message)) => return Err(vec![problem(line, None, message)]),
    };
    // Sections that are still to be walked, each with its path.
    let mut sections = vec![(String::new(), root)];
    while let Some((path, node)) = sections.pop() {
        let Content::Map(entries) = node.content else {
            let what = if path.is_empty() { "the file" } else { "this section" };
            problems.push(problem(node.line, Some(&path), format!("{what} takes keys with values")));
            continue;
        };
        let mut seen = std::collections::HashMap::new();
        for (word, child) in entries {
            let child_path = if path.is_empty() { word.clone() } else { format!("{path}.{word}") };
            if let Some(first) = seen.insert(word.clone(), child.line) {
                let message = format!("is given twice; first in line {first}");
                problems.push(problem(child.line, Some(&child_path), message));
                continue;
            }
            if empty(&child.content) {
                continue;
            }
            if let Some(key) = keys::resolve(&child_path) {
                match value(key.shape, &child) {
                    Ok(value) => given.put(&child_path, value, origin(child.line)),
                    Err((line, message)) => problems.push(problem(line, Some(&child_path), message)),
                }
            } else if child_path == "accounts" {
                match child.content {
                    Content::List(items) => sections.extend(
                        items
                            .into_iter()
                            .enumerate()
                            .map(|(index, item)| (format!("accounts.{index}"), item)),
                    ),
                    _ => problems.push(problem(
                        child.line,
                        Some("accounts"),
                        "takes a list; each entry has a key and the keys of `mimecast`".to_owned(),
                    )),
                }
            } else if keys::section(&child_path) {
                sections.push((child_path, child));
            } else {
                let meant = keys::nearest(&child_path)
                    .map(|nearest| format!("; did you mean `{nearest}`?"))
                    .unwrap_or_default();
                problems.push(problem(child.line, Some(&child_path), format!("unknown key{meant}")));
            }
        }
    }
    if problems.is_empty() {
        return Ok(given);
    }
    problems.sort_by_key(|problem| match problem.origin {
        Origin::File { line, .. } => line,
        _ => 0,
    });
    Err(problems)
}

/// `key:` with nothing behind it is a key not given; so are YAML's words for nothing.
fn empty(content: &Content) -> bool {
    matches!(content, Content::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null"))
}

fn value(shape: Shape, node: &Node) -> Result<Value, (usize, String)> {
    let refuse = |message: String| Err((node.line, message));
    match (shape, &node.content) {
        (Shape::Secret, Content::Map(entries)) => match entries.as_slice() {
            [(word, Node { content: Content::Scalar { text, .. }, line })] => {
                SecretSource::parse_entry(word, text.trim())
                    .map(Value::Secret)
                    .map_err(|message| (*line, message))
            }
            _ => refuse(format!("accepted: {}", shape.accepted())),
        },
        (Shape::Url, Content::Map(entries)) => match entries.as_slice() {
            [(word, Node { content: Content::Scalar { text, .. }, line })] if word == "key_vault" => {
                match SecretSource::parse_entry(word, text.trim()) {
                    Ok(SecretSource::KeyVault(secret)) => Ok(Value::Text(secret.reference())),
                    Ok(_) => refuse(format!("accepted: {}", shape.accepted())),
                    Err(message) => Err((*line, message)),
                }
            }
            _ => refuse("accepted: an https address, or {key_vault: URI}".to_owned()),
        },
        (Shape::TextMap, Content::Map(entries)) => entries
            .iter()
            .map(|(name, child)| match &child.content {
                Content::Scalar { text, .. } => check_scalar(Shape::Text, text)
                    .map(|text| (name.clone(), text))
                    .map_err(|message| (child.line, format!("`{name}` {message}"))),
                _ => Err((child.line, format!("`{name}` takes one text"))),
            })
            .collect::<Result<_, _>>()
            .map(Value::Map),
        (Shape::TextList, Content::List(items)) => items
            .iter()
            .map(|item| match &item.content {
                Content::Scalar { text, .. } => {
                    check_scalar(Shape::Text, text).map_err(|message| (item.line, message))
                }
                _ => Err((item.line, "each entry takes one text".to_owned())),
            })
            .collect::<Result<_, _>>()
            .map(Value::List),
        (Shape::TextMap | Shape::TextList, _) | (_, Content::List(_) | Content::Map(_)) => {
            refuse(format!("accepted: {}", shape.accepted()))
        }
        (Shape::Boolean | Shape::Whole(..), Content::Scalar { text, plain: false }) => refuse(format!(
            "`{text}` is quoted, so it is text; accepted without quotes: {}",
            shape.accepted()
        )),
        (_, Content::Scalar { text, .. }) => read_text(shape, text).map_err(|message| (node.line, message)),
    }
}

/// Builds the tree of one document, with the line of each node.
fn parse(text: &str) -> Result<Option<Node>, (usize, String)> {
    // A collection that is still open: a map also holds the key that waits for its value.
    enum Open {
        List(Vec<Node>),
        Map(Vec<(String, Node)>, Option<String>),
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut open: Vec<(usize, Open)> = Vec::new();
    let mut root = None;
    for event in Parser::new_from_str(text) {
        let (event, span) = event
            .map_err(|error| (error.marker().line().max(1), format!("not valid YAML: {}", error.info())))?;
        let line = span.start.line().max(1);
        let finished = match event {
            Event::Alias(_) => return Err((line, "aliases (`*name`) are not accepted".to_owned())),
            Event::Scalar(_, _, anchor, _)
            | Event::SequenceStart(anchor, _)
            | Event::MappingStart(anchor, _)
                if anchor > 0 =>
            {
                return Err((line, "anchors (`&name`) are not accepted".to_owned()));
            }
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, Some(_))
            | Event::MappingStart(_, Some(_)) => {
                return Err((line, "tags (`!name`) are not accepted".to_owned()));
            }
            Event::Scalar(text, style, ..) => Some(Node {
                line,
                content: Content::Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain },
            }),
            Event::SequenceStart(..) | Event::MappingStart(..) => {
                if open.len() == DEPTH_LIMIT {
                    return Err((line, "nested deeper than any key is".to_owned()));
                }
                open.push((
                    line,
                    match event {
                        Event::SequenceStart(..) => Open::List(Vec::new()),
                        _ => Open::Map(Vec::new(), None),
                    },
                ));
                None
            }
            Event::SequenceEnd | Event::MappingEnd => open.pop().map(|(line, collection)| Node {
                line,
                content: match collection {
                    Open::List(items) => Content::List(items),
                    Open::Map(entries, _) => Content::Map(entries),
                },
            }),
            Event::DocumentStart(_) if root.is_some() => {
                return Err((line, "a second document begins; a file holds one".to_owned()));
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => None,
        };
        let Some(node) = finished else { continue };
        match open.last_mut() {
            None => root = Some(node),
            Some((_, Open::List(items))) => items.push(node),
            Some((_, Open::Map(entries, waiting))) => match waiting.take() {
                Some(key) => entries.push((key, node)),
                None => match node.content {
                    Content::Scalar { text, .. } => *waiting = Some(text),
                    _ => return Err((node.line, "a key must be one word".to_owned())),
                },
            },
        }
    }
    Ok(root.filter(|root| !empty(&root.content)))
}

#[cfg(test)]
mod tests {
    use super::{Given, Origin, Problem, Value, read};

    fn of(text: &str) -> Result<Given, Vec<Problem>> {
        read(text, |line| Origin::File { file: "answers.yaml".to_owned(), line })
    }

    fn problems(text: &str) -> Vec<String> {
        of(text).expect_err("problems").iter().map(ToString::to_string).collect()
    }

    fn text<'a>(given: &'a Given, path: &str) -> &'a str {
        match &given.answer(path).expect("given").value {
            Value::Text(text) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn values_stay_the_text_that_was_written() {
        // BR-158, BR-159
        for written in ["0123", "no", "1e5", "0x1F", "12:30", "on", "y", "1_000", "true", "2026-11-25"] {
            let given = of(&format!("azure: {{resource_group: {written}}}")).expect("read");
            assert_eq!(text(&given, "azure.resource_group"), written);
        }
    }

    #[test]
    fn a_byte_order_mark_and_carriage_returns_are_fine() {
        let given = of("\u{feff}name: one\r\nazure:\r\n  location: westeurope\r\n").expect("read");
        assert_eq!((text(&given, "name"), text(&given, "azure.location")), ("one", "westeurope"));
    }

    #[test]
    fn an_empty_value_is_a_key_not_given() {
        let given = of("name:\nazure:\n  location: ~\ncollect:\n").expect("read");
        assert!(!given.has("name") && !given.has("azure"));
        assert!(of("").expect("read").iter().next().is_none());
    }

    #[test]
    fn all_problems_come_at_once_each_with_line_and_key() {
        let found = problems(
            "name: one\nazure:\n  locaton: westeurope\n  create_resource_group: yes\nmimecast:\n  client_secret: canary-value\n  api: 3\nname: two\n",
        );
        assert_eq!(found.len(), 5, "{found:#?}");
        assert_eq!(found[0], "answers.yaml:3: azure.locaton: unknown key; did you mean `azure.location`?");
        assert_eq!(
            found[1],
            "answers.yaml:4: azure.create_resource_group: `yes` is not accepted; accepted: true, false"
        );
        assert!(
            found[2].starts_with("answers.yaml:6: mimecast.client_secret: a secret cannot be written here")
        );
        assert!(!found[2].contains("canary-value"));
        assert_eq!(found[3], "answers.yaml:7: mimecast.api: `3` is not accepted; accepted: 2.0, 1.0");
        assert_eq!(found[4], "answers.yaml:8: name: is given twice; first in line 1");
    }

    #[test]
    fn syntax_that_breaks_is_one_problem_with_its_line() {
        for bad in ["name: one\n  - two: [", "a: 'open", "{", "name: &a one\nazure: *a", "x: !!str y"] {
            assert_eq!(problems(bad).len(), 1, "{bad}");
        }
        assert!(problems("name: one\n---\nname: two\n")[0].contains("second document"));
    }

    #[test]
    fn deep_nesting_is_refused_and_does_no_harm() {
        let deep = "[".repeat(100_000);
        assert_eq!(problems(&deep).len(), 1);
    }

    #[test]
    fn every_form_of_a_secret_is_read() {
        let given = of(concat!(
            "mimecast:\n",
            "  client_id: {env: ID}\n",
            "  client_secret: {file: /run/secret}\n",
            "  app_id: {key_vault: 'https://kv.vault.azure.net/secrets/app'}\n",
            "  app_key: '@Microsoft.KeyVault(VaultName=kv;SecretName=key)'\n",
            "  access_key: {prompt: true}\n",
        ))
        .expect("read");
        assert_eq!(
            given.to_json().to_string(),
            concat!(
                r#"{"mimecast":{"access_key":{"prompt":true},"app_id":{"key_vault":"https://kv.vault.azure.net/secrets/app"},"#,
                r#""app_key":"@Microsoft.KeyVault(VaultName=kv;SecretName=key)","client_id":{"env":"ID"},"client_secret":{"file":"/run/secret"}}}"#
            )
        );
    }

    #[test]
    fn accounts_take_the_keys_of_mimecast() {
        let given = of("accounts:\n- key: one\n  client_id: {env: ONE}\n- key: two\n").expect("read");
        assert_eq!(text(&given, "accounts.0.key"), "one");
        assert_eq!(text(&given, "accounts.1.key"), "two");
        let found = problems("accounts:\n- key: one\n  client: {env: ONE}\n");
        assert!(found[0].starts_with("answers.yaml:3: accounts.0.client: unknown key"), "{found:?}");
    }

    #[test]
    fn what_is_recorded_reads_back_as_the_same_answers() {
        let file = of("name: one\nazure: {tags: {owner: secops}, create_resource_group: false}\ntable: {retention_days: 90}\ncollect: {categories: [a, b]}\naccounts: [{key: one, client_id: {env: A}}]\n").expect("read");
        let recorded = read(&file.to_json().to_string(), |_| Origin::Recorded).expect("read");
        assert_eq!(recorded.to_json(), file.to_json());
        assert!(recorded.iter().all(|(_, answer)| answer.origin == Origin::Recorded));
    }
}
