//! The sentence before the labels: what was done, to what, and to whom.
//!
//! Mimecast writes it in many forms, one for each part of its product, and tells nobody which. The
//! forms that have been seen are read here, each by its own function, in the order in which they can be
//! told apart. A sentence of no known form gives nothing.

use super::scan::{Steps, trimmed};

/// What a sentence says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sentence<'a> {
    pub(super) operation: Option<&'a str>,
    pub(super) object: Option<&'a str>,
    pub(super) target_user: Option<&'a str>,
    pub(super) reason: Option<&'a str>,
    /// The sentence has a form that we know, even where it names nothing.
    pub(super) known: bool,
}

/// How long an operation is at most: longer is a text, not the name of what was done.
const OPERATION_BYTES: usize = 100;
/// How long a label inside a sentence may be.
const LABEL_BYTES: usize = 40;
/// The longest e-mail address (RFC 5321, 4.5.3.1).
const ADDRESS_BYTES: usize = 320;

impl<'a> Sentence<'a> {
    /// Reads a sentence, which is given without the labels and without blanks around it.
    pub(super) fn read(text: &'a str, steps: &mut Steps) -> Self {
        authentication(text, steps)
            .or_else(|| action_performed(text, steps))
            .or_else(|| list(text, steps))
            .or_else(|| audit_log_entry(text, steps))
            .or_else(|| successfully(text, steps))
            .or_else(|| refused_user(text, steps))
            .or_else(|| for_user(text, steps))
            .or_else(|| connector(text, steps))
            .or_else(|| policy(text, steps))
            .or_else(|| api_application(text, steps))
            .or_else(|| dashed(text, steps))
            .or_else(|| named(text, steps))
            .or_else(|| mailbox(text, steps))
            .or_else(|| without_content(text))
            .unwrap_or_default()
    }

    fn of(operation: Option<&'a str>, object: Option<&'a str>, target_user: Option<&'a str>) -> Self {
        let some = |value: &&str| !value.is_empty();
        Self {
            operation: operation.map(trimmed).filter(some),
            object: object.map(trimmed).filter(some),
            target_user: target_user.map(trimmed).filter(some),
            reason: None,
            known: true,
        }
    }
}

/// `Successful authentication for a@example.com <Name>`.
fn authentication<'a>(text: &'a str, steps: &mut Steps) -> Option<Sentence<'a>> {
    const WORDS: &str = " authentication for ";
    let opening = &text[..text.floor_char_boundary(OPERATION_BYTES)];
    let place = steps.find(opening, WORDS)?;
    let operation = &text[..place + " authentication".len()];
    let user = user_at_start(&text[place + WORDS.len()..], steps);
    Some(Sentence::of(Some(operation), None, Some(user)))
}

/// `Action Performed - Deleted New Folder by a@example.com<Name>`, and what administrators of Mimecast
/// itself did, in the same form.
fn action_performed<'a>(text: &'a str, steps: &mut Steps) -> Option<Sentence<'a>> {
    let action = text.strip_prefix("Action Performed - ")?;
    let action = action[..end_before_actor(action, steps)].trim_end_matches(['.', ' ']);
    let first = steps.until(action, b" ");
    let rest = action.get(first.len() + 1..).unwrap_or_default();
    if first.contains('@') {
        return Some(Sentence::of(Some(rest), None, Some(first)));
    }
    if let Some((operation, named)) = steps.split_once(action, " with name \"") {
        return Some(Sentence::of(Some(operation), Some(steps.until(named, b"\"")), None));
    }
    if first.ends_with("ed") && !rest.is_empty() {
        return Some(Sentence::of(Some(first), Some(rest), None));
    }
    Some(Sentence::of(Some(action), None, None))
}

/// Where the actor begins who closes a sentence: ` by a@example.com<Name>`. The last such place counts,
/// since the name of what was done to may hold the same words.
fn end_before_actor(text: &str, steps: &mut Steps) -> usize {
    const BY: &str = " by ";
    let mut end = text.len();
    while let Some(place) = steps.find_last(&text[..end], BY) {
        let actor = &text[place + BY.len()..];
        let actor = &actor[..actor.floor_char_boundary(ADDRESS_BYTES)];
        if steps.until(actor, b" <").contains('@') {
            return place;
        }
        end = place;
    }
    text.len()
}

/// `[Export type : Download,Name :watchlist_view,Requested By :a@example.com,…]`.
fn list<'a>(text: &'a str, steps: &mut Steps) -> Option<Sentence<'a>> {
    let inside = text.strip_prefix('[')?;
    let value = |name: &str, steps: &mut Steps| {
        let (_, value) = steps.split_once(inside, name)?;
        Some(steps.until(value, b",]"))
    };
    let operation = value("Export type :", steps)?;
    let object = value(",Name :", steps);
    Some(Sentence::of(Some(operation), object, None))
}

/// `Creating the auditLog entry for failed authentication, emailAddress :…[…,emailAddress=a@example.com,…]`:
/// a Java object printed into the text.
fn audit_log_entry<'a>(text: &'a str, steps: &mut Steps) -> Option<Sentence<'a>> {
    let entry = text.strip_prefix("Creating the auditLog entry for ")?;
    let operation = steps.until(entry, b",");
    let target = steps.split_once(entry, "emailAddress=").map(|(_, value)| steps.until(value, b",]"));
    Some(Sentence::of(Some(operation), None, target))
}

/// `Successfully updated 3 'Sync and Recover' tasks associated with …`, and the same with Mimecast's
/// own spelling, `Succesfully enrolled user for user device enrollment`, with the user's name or without.
fn successfully<'a>(text: &'a str, steps: &mut Steps) -> Option<Sentence<'a>> {
    let done = text.strip_prefix("Successfully ").or_else(|| text.strip_prefix("Succesfully "))?;
    let operation = steps.until(done, b" ");
    let rest = done.get(operation.len() + 1..)?;
    // `enrolled user for user device enrollment`: the user is not named.
    if let Some(object) = rest.strip_prefix("user for ") {
        return Some(Sentence::of(Some(operation), Some(object), None));
    }
    if let Some(user) = rest.strip_prefix("user ") {
        let target = steps.until(user, b" ,");
        let object = user[target.len()..].strip_prefix(" for ");
        return Some(Sentence::of(Some(operation), object, Some(target)));
    }
    let mut object = steps.until(rest, b",\n");
    for end in [" associated ", " for ", " from ", " to "] {
        object = steps.before(object, end);
    }
    Some(Sentence::of(Some(operation), Some(object), None))
}

/// `User a@example.com attempted to access the mimecast-matfe but does not have the required permissions
/// to do so`.
fn refused_user<'a>(text: &'a str, steps: &mut Steps) -> Option<Sentence<'a>> {
    const ATTEMPT: &str = " attempted to access ";
    let user = text.strip_prefix("User ")?;
    let target = steps.until(user, b" ");
    let tried = user[target.len()..].strip_prefix(ATTEMPT)?;
    let (object, reason) = steps.split_once(tried, " but ").unwrap_or((tried, ""));
    let object = object.strip_prefix("the ").unwrap_or(object);
    let operation = &user[target.len()..][..ATTEMPT.len()];
    let reason = Some(trimmed(reason)).filter(|reason| !reason.is_empty());
    Some(Sentence { reason, ..Sentence::of(Some(operation), Some(object), Some(target)) })
}

/// `Password reset for user: a@example.org User Password Changed`.
fn for_user<'a>(text: &'a str, steps: &mut Steps) -> Option<Sentence<'a>> {
    let opening = &text[..text.floor_char_boundary(OPERATION_BYTES)];
    let (operation, _) = steps.split_once(opening, " for user: ")?;
    let user = &text[operation.len() + " for user: ".len()..];
    Some(Sentence::of(Some(operation), None, Some(user_at_start(user, steps))))
}

/// `Connector creation for Microsoft O365`, and on the next line `Name: Sync and Recover - 365, …`.
fn connector<'a>(text: &'a str, steps: &mut Steps) -> Option<Sentence<'a>> {
    let kind = text.strip_prefix("Connector ")?;
    let action = steps.until(kind, b" \n");
    let operation = &text[.."Connector ".len() + action.len()];
    let rest = kind[action.len()..].strip_prefix(" for ")?;
    let object = match steps.split_once(rest, "\nName: ") {
        Some((_, name)) => value_until_label(name, steps),
        None => steps.until(rest, b"\n"),
    };
    Some(Sentence::of(Some(operation), Some(object), None))
}

/// `Anti-Spoofing [TEMP] F(@example.com) T(Internal) [Active] […]`: the policy's name, whom it is from
/// and to. What was done to it is the auditType's to say.
fn policy<'a>(text: &'a str, steps: &mut Steps) -> Option<Sentence<'a>> {
    let (name, rest) = steps.split_once(text, " F(")?;
    steps.find(rest, " T(")?;
    Some(Sentence::of(None, Some(name), None))
}

/// `API Gateway Application testing Updated. Application Program Interface Addendum (…) acknowledged`.
fn api_application<'a>(text: &'a str, steps: &mut Steps) -> Option<Sentence<'a>> {
    let application = text.strip_prefix("API Gateway Application ")?;
    let first = steps.before(application, ". ");
    let name_end = first.bytes().rposition(|byte| byte == b' ').unwrap_or(0);
    steps.add(first.len() - name_end);
    Some(Sentence::of(Some(&first[name_end..]), Some(&first[..name_end]), None))
}

/// `Viewed Case - Case: Class Action`, `Threat intel multiple feeds download  - file.zip`,
/// `Remediation Incident Created -  TR-CUSA0A0000-01420-M, type : manual, …`.
fn dashed<'a>(text: &'a str, steps: &mut Steps) -> Option<Sentence<'a>> {
    const DASH: &str = " - ";
    let opening = &text[..text.floor_char_boundary(OPERATION_BYTES)];
    let (operation, _) = steps.split_once(opening, DASH)?;
    if !is_phrase(trimmed(operation)) {
        return None;
    }
    let about = trimmed(&text[operation.len() + DASH.len()..]);
    let object =
        if label_at(about, steps) { reviewed(about, steps) } else { Some(steps.before(about, ", ")) };
    Some(Sentence::of(Some(operation), object, None))
}

/// What a review was of: a message by its subject, a review set or a case by its name. A search has no
/// name; its criteria stay in the text.
fn reviewed<'a>(about: &'a str, steps: &mut Steps) -> Option<&'a str> {
    if steps.find(about, "Search Criteria: ").is_some() {
        return None;
    }
    if let Some((_, subject)) = steps.split_once(about, ", Subject: ") {
        // The subject is free text and may imitate the next label: the last one ends it.
        return Some(steps.find_last(subject, ", Processed: ").map_or(subject, |end| &subject[..end]));
    }
    for name in ["Review Set: ", "Case: "] {
        if let Some((_, value)) = steps.split_once(about, name) {
            return Some(value_until_label(value, steps));
        }
    }
    let set = about.strip_prefix("Source: Review Set - ")?;
    Some(steps.before(set, ", "))
}

/// `White URL Created: URL: https://www.example.net/, Match Type: domain, …`.
fn named<'a>(text: &'a str, steps: &mut Steps) -> Option<Sentence<'a>> {
    let opening = &text[..text.floor_char_boundary(OPERATION_BYTES)];
    let (operation, _) = steps.split_once(opening, ": ")?;
    let rest = &text[operation.len() + 2..];
    if !is_phrase(operation) || !label_at(rest, steps) {
        return None;
    }
    let (_, value) = steps.split_once(rest, ":")?;
    Some(Sentence::of(Some(operation), Some(value_until_label(value, steps)), None))
}

/// `Archive mailbox restore created. Restored data from a@example.org to b@example.com by …`,
/// `Mailbox export downloaded. Download filename (HTML Report recovery id): eNq… by …`.
fn mailbox<'a>(text: &'a str, steps: &mut Steps) -> Option<Sentence<'a>> {
    let (operation, detail) = steps.split_once(text, ". ")?;
    let detail = &detail[..end_before_actor(detail, steps)];
    if let Some(owner) = detail.strip_prefix("Restored data from ") {
        return Some(Sentence::of(Some(operation), None, Some(user_at_start(owner, steps))));
    }
    let file = detail.strip_prefix("Download filename (")?;
    let (_, file) = steps.split_once(file, "): ")?;
    Some(Sentence::of(Some(operation), Some(file), None))
}

/// Sentences that say nothing more than that nothing happened.
fn without_content(text: &str) -> Option<Sentence<'_>> {
    (text == "No changes found.").then(|| Sentence::of(None, None, None))
}

/// The user that a text begins with, as `a@example.com <Name>` or `a@example.com<Name>`.
fn user_at_start<'a>(text: &'a str, steps: &mut Steps) -> &'a str {
    steps.until(text, b" ,<\n")
}

/// A short run of words, without anything that belongs to a value.
fn is_phrase(text: &str) -> bool {
    !text.is_empty() && !text.contains([':', '"', '\'', '(', '[', '{', ',', '\n', '='])
}

/// Whether a text begins with a label: words, then a colon with a blank after it or before it.
fn label_at(text: &str, steps: &mut Steps) -> bool {
    let reach = &text.as_bytes()[..text.len().min(LABEL_BYTES)];
    let words = reach.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b' ').count();
    steps.add(words);
    words > 0
        && text.as_bytes().get(words) == Some(&b':')
        && (text.as_bytes()[words - 1] == b' ' || text.as_bytes().get(words + 1) == Some(&b' '))
}

/// A value up to the comma after which the next label begins, or to the end of its line.
fn value_until_label<'a>(text: &'a str, steps: &mut Steps) -> &'a str {
    let line = steps.until(text, b"\n");
    for comma in memchr::memchr_iter(b',', line.as_bytes()) {
        let next = &line[comma + 1..];
        if label_at(next.strip_prefix(' ').unwrap_or(next), steps) {
            return &line[..comma];
        }
    }
    line
}
