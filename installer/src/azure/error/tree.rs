//! Azure's nested errors as a tree: wrappers go, leaves stay.
//!
//! Every resource provider nests its errors in its own way, and many put a whole JSON document into
//! a `message`. The shapes follow
//! <https://github.com/microsoft/api-guidelines/blob/vNext/azure/Guidelines.md#error-response-body>,
//! and the captured ones in `tests/data/arm_errors`.

use serde::Serialize;
use serde_json::Value;

/// How deep a nest is followed. The deepest seen has five levels; the limit is for a hostile body.
const DEEPEST: usize = 12;
/// How many leaves are kept: a refused template can name hundreds of resources.
const MOST_LEAVES: usize = 50;
/// How much of an unreadable body is shown, in characters.
const RAW_CHARACTERS: usize = 2_000;

/// Codes that only say that something inside failed.
const WRAPPERS: &[&str] = &[
    "BadRequest",
    "Conflict",
    "DeploymentFailed",
    "Failed",
    "InvalidTemplateDeployment",
    "MultipleErrorsOccurred",
    "ResourceDeploymentFailure",
    "ResourceOperationFailure",
];

/// One error that says something by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErrorLeaf {
    /// Azure's code; empty where there is only a text.
    pub code: String,
    /// Azure's text.
    pub message: String,
    /// The property or resource that Azure names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

/// What a refusing body says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ErrorTree {
    /// The errors at the leaves, in Azure's order, none twice.
    pub leaves: Vec<ErrorLeaf>,
    /// Codes of the wrappers around them, outermost first.
    pub wrappers: Vec<String>,
    /// Names of policy assignments that refused, from `additionalInfo`.
    pub policies: Vec<String>,
    /// The body itself, cut, where nothing in it could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
}

impl ErrorTree {
    /// Reads a body: JSON of any known shape, JSON inside its texts, or text.
    pub fn parse(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let text = text.trim_start_matches('\u{feff}').trim();
        let mut tree = Self::default();
        if let Ok(value) = serde_json::from_str::<Value>(text) {
            tree.read(&value, 0);
            tree.tidy();
        } else {
            tree.read_xml(text);
        }
        if tree.leaves.is_empty() && !text.is_empty() {
            tree.raw = Some(text.chars().take(RAW_CHARACTERS).collect());
        }
        tree
    }

    /// The same for a body that is parsed already.
    pub fn from_value(value: &Value) -> Self {
        let mut tree = Self::default();
        tree.read(value, 0);
        tree.tidy();
        if tree.leaves.is_empty() {
            tree.raw = Some(value.to_string().chars().take(RAW_CHARACTERS).collect());
        }
        tree
    }

    /// The error of an answer that has a code in its headers and no body.
    pub fn of_code(code: &str) -> Self {
        let mut tree = Self::default();
        tree.push(code, "", None);
        tree
    }

    /// Takes every occurrence of a secret out of the texts.
    pub(super) fn redact(&mut self, secret: &str) {
        if secret.is_empty() {
            return;
        }
        // As it stands, and as it stands in JSON.
        let quoted = Value::from(secret).to_string();
        let forms = [quoted.trim_matches('"'), secret];
        let leaves = self.leaves.iter_mut().flat_map(|leaf| {
            [Some(&mut leaf.code), Some(&mut leaf.message), leaf.target.as_mut()].into_iter().flatten()
        });
        for text in leaves.chain(&mut self.raw).chain(&mut self.wrappers) {
            for form in forms {
                if text.contains(form) {
                    *text = text.replace(form, "(redacted)");
                }
            }
        }
    }

    /// Whether a leaf or a wrapper has this code, whatever its case.
    pub fn has_code(&self, code: &str) -> bool {
        let leaves = self.leaves.iter().map(|leaf| leaf.code.as_str());
        leaves.chain(self.wrappers.iter().map(String::as_str)).any(|each| each.eq_ignore_ascii_case(code))
    }

    /// Follows one value. True when something was found in it.
    fn read(&mut self, value: &Value, depth: usize) -> bool {
        if depth > DEEPEST || self.leaves.len() >= MOST_LEAVES {
            return false;
        }
        match value {
            Value::Array(items) => {
                let mut found = false;
                for item in items {
                    found |= self.read(item, depth + 1);
                }
                found
            }
            Value::Object(_) => self.read_object(value, depth),
            // An error that is JSON in a string, or a string alone where an error belongs.
            Value::String(text) => self.read_text(text, depth),
            _ => false,
        }
    }

    fn read_object(&mut self, value: &Value, depth: usize) -> bool {
        let field = |names: &[&str]| {
            let object = value.as_object()?;
            names.iter().find_map(|name| {
                object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
            })
        };
        // `error` (the guidelines), `odata.error` (storage and old providers), `statusMessage` and
        // `properties` (operations): the error is one level further in.
        for wrapper in ["error", "odata.error", "statusMessage"] {
            if let Some(inner) = field(&[wrapper]).filter(|inner| !inner.is_null()) {
                // `{"error":"invalid_client","error_description":"AADSTS…"}` is Entra's own shape.
                if let (Value::String(code), Some(Value::String(text))) =
                    (inner, field(&["error_description"]))
                {
                    self.push(code, text, None);
                    return true;
                }
                if self.read(inner, depth + 1) {
                    return true;
                }
            }
        }
        if let Some(properties @ Value::Object(_)) = field(&["properties"])
            && self.read(properties, depth + 1)
        {
            return true;
        }

        let mut code = field(&["code", "errorCode"]).map(words).unwrap_or_default();
        // App Service says `BadRequest` or `Conflict` and puts its own number beside it.
        if let Some(number) = field(&["ExtendedCode"]).map(words).filter(|number| !number.is_empty())
            && generic(&code)
        {
            code = number;
        }
        let message = field(&["message", "errorMessage", "status_text", "exceptionMessage"])
            .map(words)
            .unwrap_or_default();
        let target = field(&["target"]).and_then(Value::as_str).filter(|target| !target.is_empty());
        if let Some(Value::Array(infos)) = field(&["additionalInfo"]) {
            self.read_policies(infos);
        }

        let before = self.leaves.len();
        let mut found = false;
        for nest in ["details", "innererror", "innerErrors", "ErrorEntity"] {
            if let Some(inner) = field(&[nest]) {
                found |= self.read(inner, depth + 1);
            }
        }
        // A message that is itself JSON with an error in it says more than this level does.
        if !found && message.trim_start().starts_with(['{', '[']) {
            found = self.read_text(&message, depth);
        }
        if !found && let Some((_, inner)) = message.split_once('{') {
            // `The request failed: {"error":{…}}`
            let inner = format!("{{{}", inner.trim_end().trim_end_matches(['\'', '.', '`']));
            if let Ok(inner) = serde_json::from_str::<Value>(&inner) {
                found = self.read(&inner, depth + 1);
            }
        }
        if found {
            if !code.is_empty() && !self.wrappers.contains(&code) {
                self.wrappers.push(code.clone());
            }
            // Key Vault and others give the precise code inside and the only text outside.
            let inside = &self.leaves[before..];
            if !message.is_empty() && inside.iter().all(|leaf| leaf.message.is_empty()) {
                let inner = inside.iter().find(|leaf| !generic(&leaf.code)).map(|leaf| leaf.code.clone());
                self.leaves.truncate(before);
                self.push(&inner.unwrap_or(code), &message, target);
            }
            return true;
        }
        if code.is_empty() && message.is_empty() {
            return false;
        }
        if self.policies.is_empty() {
            self.read_policies_in_text(&message);
        }
        let shown = match self.policies.as_slice() {
            [] => message.as_str(),
            // The list of names is told beside the text.
            _ => message.split(" Policy identifiers: ").next().unwrap_or_default(),
        };
        self.push(&code, shown, target);
        true
    }

    /// Follows a text that may be a JSON document, perhaps one in a string of its own.
    fn read_text(&mut self, text: &str, depth: usize) -> bool {
        let trimmed = text.trim();
        if !trimmed.starts_with(['{', '[', '"']) {
            return false;
        }
        serde_json::from_str::<Value>(trimmed).is_ok_and(|inner| self.read(&inner, depth + 1))
    }

    /// Storage answers `<Error><Code>…</Code><Message>…</Message></Error>`
    /// (<https://learn.microsoft.com/rest/api/storageservices/status-and-error-codes2>).
    fn read_xml(&mut self, text: &str) {
        let element = |name: &str| {
            let rest = text.split_once(&format!("<{name}>"))?.1;
            Some(rest.split_once(&format!("</{name}>"))?.0)
        };
        if let Some(code) = element("Code") {
            // The message goes on with the request's id and time, which are told apart from it.
            let message = element("Message").unwrap_or_default().lines().next().unwrap_or_default();
            let detail = element("AuthenticationErrorDetail");
            let message = detail.map_or_else(|| message.to_owned(), |detail| format!("{message} {detail}"));
            self.push(code, &message, None);
        }
    }

    /// Policy refusals carry the assignment's name and the property that it looked at
    /// (<https://learn.microsoft.com/azure/governance/policy/troubleshoot/general>).
    fn read_policies(&mut self, infos: &[Value]) {
        for info in infos.iter().filter(|info| info["type"] == "PolicyViolation") {
            let info = &info["info"];
            let name = ["policyAssignmentDisplayName", "policyAssignmentName", "policyDefinitionDisplayName"]
                .iter()
                .find_map(|key| info[key].as_str().filter(|name| !name.is_empty()));
            let Some(name) = name else { continue };
            let looked_at = info["evaluationDetails"]["evaluatedExpressions"].as_array();
            // `type` and `location` only say which resources the policy is for.
            let property = looked_at.into_iter().flatten().find_map(|expression| {
                expression["path"].as_str().filter(|path| !matches!(*path, "type" | "location" | "kind"))
            });
            let policy = match property {
                Some(property) => format!("{name} ({property})"),
                None => name.to_owned(),
            };
            if !self.policies.contains(&policy) {
                self.policies.push(policy);
            }
        }
    }

    /// Older refusals name the assignments only in their text:
    /// `Policy identifiers: '[{"policyAssignment":{"name":"…","id":"…"},…}]'`.
    fn read_policies_in_text(&mut self, text: &str) {
        let Some((_, rest)) = text.split_once("Policy identifiers: '") else { return };
        let Some((list, _)) = rest.rsplit_once('\'') else { return };
        let Ok(Value::Array(identifiers)) = serde_json::from_str(list) else { return };
        let names = identifiers.iter().filter_map(|each| each["policyAssignment"]["name"].as_str());
        for name in names {
            if !self.policies.iter().any(|known| known == name) {
                self.policies.push(name.to_owned());
            }
        }
    }

    /// Drops leaves that say nothing which another does not say better: a generic code without a
    /// text, a text whose code another leaf has.
    fn tidy(&mut self) {
        let all = self.leaves.clone();
        let better = |leaf: &ErrorLeaf, other: &ErrorLeaf| {
            let repeats = other.message == leaf.message && generic(&leaf.code) && !generic(&other.code);
            let empty = leaf.message.is_empty()
                && !other.message.is_empty()
                && (generic(&leaf.code) || leaf.code == other.code);
            repeats || empty
        };
        self.leaves.retain(|leaf| !all.iter().any(|other| better(leaf, other)));
    }

    fn push(&mut self, code: &str, message: &str, target: Option<&str>) {
        let leaf = ErrorLeaf {
            code: code.trim().to_owned(),
            message: message.trim().to_owned(),
            target: target.map(str::to_owned),
        };
        let same = |known: &ErrorLeaf| known.code == leaf.code && known.message == leaf.message;
        if self.leaves.len() < MOST_LEAVES && !self.leaves.iter().any(same) {
            self.leaves.push(leaf);
        }
    }
}

/// Whether a code says no more than that something failed.
fn generic(code: &str) -> bool {
    code.is_empty() || WRAPPERS.iter().any(|wrapper| wrapper.eq_ignore_ascii_case(code))
}

/// A code or message as text: some providers answer a number, others `{lang, value}`.
fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Object(object) => object.get("value").and_then(Value::as_str).unwrap_or_default().to_owned(),
        _ => String::new(),
    }
}
