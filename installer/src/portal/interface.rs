//! `createUiDefinition.json`: the portal's form for the template.
//!
//! Follows <https://learn.microsoft.com/azure/azure-resource-manager/managed-applications/create-uidefinition-overview>.

use serde_json::{Map, Value, json};

use super::parameter::{self, Kind, Parameter};

/// One field of the form.
struct Field {
    /// The parameter that it fills.
    parameter: &'static str,
    label: &'static str,
    /// What the text must look like, and the words for one that does not.
    shape: Option<(&'static str, &'static str)>,
    /// Whether it must be filled wherever it is shown.
    required: bool,
    /// Where it is shown: an expression of the form's language.
    visible: Option<&'static str>,
}

const fn field(parameter: &'static str, label: &'static str) -> Field {
    Field { parameter, label, shape: None, required: false, visible: None }
}

const fn credential(parameter: &'static str, label: &'static str, visible: &'static str) -> Field {
    Field { required: true, visible: Some(visible), ..field(parameter, label) }
}

const TWO: &str = "[equals(steps('mimecast').mimecastApi, '2.0')]";
const ONE: &str = "[equals(steps('mimecast').mimecastApi, '1.0')]";
const DURATION: (&str, &str) = ("^[1-9][0-9]{0,5}[smhd]$", "A number and a unit: s, m, h or d.");
const GUID: (&str, &str) = (
    "^$|^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
    "An id such as 00000000-0000-0000-0000-000000000000.",
);

/// The steps after the standard first one: name, label, fields.
const STEPS: &[(&str, &str, &[Field])] = &[
    (
        "mimecast",
        "Mimecast",
        &[
            field("mimecastApi", "API generation"),
            Field {
                shape: Some((
                    "^(https://[a-z0-9-]+(\\.[a-z0-9-]+)*\\.mimecast\\.com/?|@Microsoft\\.KeyVault\\(.+\\))$",
                    "An https address under mimecast.com, or a Key Vault reference.",
                )),
                required: true,
                ..field("mimecastBaseURL", "API address")
            },
            credential("mimecastClientId", "Client id", TWO),
            credential("mimecastClientSecret", "Client secret", TWO),
            credential("mimecastAppId", "Application id", ONE),
            credential("mimecastAppKey", "Application key", ONE),
            credential("mimecastAccessKey", "Access key", ONE),
            credential("mimecastSecretKey", "Secret key", ONE),
            Field { visible: Some(ONE), ..field("mimecastEmail", "Service user's address") },
            Field { visible: Some(ONE), ..field("mimecastPassword", "Service user's password") },
        ],
    ),
    (
        "collecting",
        "Collecting",
        &[
            field("collectEvery", "How often"),
            Field { shape: Some(DURATION), required: true, ..field("firstRun", "First run reaches back") },
            Field {
                shape: Some(("^$|^[a-z0-9_]+(,[a-z0-9_]+)*$", "Category codes, separated by commas.")),
                ..field("categories", "Categories")
            },
            field("workQueue", "Queue for past ranges"),
            field("createTables", "Make the tables"),
        ],
    ),
    (
        "hosting",
        "Hosting",
        &[
            field("hostingPlan", "Plan"),
            field("instanceMemoryMB", "Memory (MB)"),
            Field { shape: Some(GUID), ..field("objectId", "Who may write the secrets") },
            field("assignRoles", "Give the roles"),
            field("purgeProtection", "Key Vault purge protection"),
            field("recoverVault", "Recover a deleted Key Vault"),
            Field { shape: Some(("^$|^https://.+$", "An https address.")), ..field("packageUri", "Package") },
            Field {
                shape: Some(("^$|^[0-9a-f]{64}$", "64 hexadecimal digits in lower case.")),
                ..field("packageSha256", "SHA-256 of the package")
            },
        ],
    ),
    (
        "content",
        "Content",
        &[
            field("connectorPage", "Connector's page"),
            field("createConnectorPage", "Write the page"),
            field("workbook", "Workbook"),
            field("analyticsRules", "Analytics rules"),
            field("huntingQueries", "Hunting queries"),
            field("asimParsers", "ASIM parsers"),
            field("asimUnifyingParsers", "Custom unifying parsers"),
        ],
    ),
];

/// The whole form.
pub(super) fn interface() -> Value {
    let mut outputs = Map::new();
    outputs.insert("appName".to_owned(), json!("[basics('appName')]"));
    outputs.insert("location".to_owned(), json!("[location()]"));
    outputs.insert("AppInsightsWorkspaceResourceID".to_owned(), json!("[basics('workspace').id]"));
    let steps: Vec<Value> = STEPS
        .iter()
        .map(|(step, label, fields)| {
            let elements: Vec<Value> = fields.iter().filter_map(element).collect();
            for field in *fields {
                outputs.insert(field.parameter.to_owned(), output(step, field.parameter));
            }
            json!({"name": step, "label": label, "elements": elements})
        })
        .collect();
    json!({
        "$schema": "https://schema.management.azure.com/schemas/0.1.2-preview/CreateUIDefinition.MultiVm.json#",
        "handler": "Microsoft.Azure.CreateUIDef",
        "version": "0.1.2-preview",
        "parameters": {"basics": basics(), "steps": steps, "outputs": outputs},
    })
}

/// The fields beside the standard ones for subscription, group and region.
fn basics() -> Vec<Value> {
    vec![
        json!({
            "name": "appName",
            "type": "Microsoft.Common.TextBox",
            "label": "Name",
            "defaultValue": "mimecast-audit",
            "toolTip": meaning("appName"),
            "constraints": {
                "required": true,
                "regex": "^[a-z](?:[a-z0-9]|-(?=[a-z0-9])){1,31}$",
                "validationMessage": "2 to 32 lower-case letters, digits and hyphens, beginning with a letter.",
            },
        }),
        json!({
            "name": "workspace",
            "type": "Microsoft.Solutions.ResourceSelector",
            "label": "Workspace of Microsoft Sentinel",
            "toolTip": meaning("AppInsightsWorkspaceResourceID"),
            "resourceType": "Microsoft.OperationalInsights/workspaces",
            "constraints": {"required": true},
        }),
    ]
}

fn meaning(name: &str) -> &'static str {
    parameter::ALL.iter().find(|each| each.name == name).map_or("", |each| each.meaning)
}

/// What a field gives to the template: a hidden one gives nothing, which the template takes as an empty text.
fn output(step: &str, name: &str) -> Value {
    let value = format!("steps('{step}').{name}");
    let secret = parameter::ALL.iter().any(|each| each.name == name && each.kind == Kind::Secret);
    if secret { json!(format!("[coalesce({value}, '')]")) } else { json!(format!("[{value}]")) }
}

fn element(field: &Field) -> Option<Value> {
    let parameter: &Parameter = parameter::ALL.iter().find(|each| each.name == field.parameter)?;
    let mut element = json!({
        "name": parameter.name,
        "toolTip": parameter.meaning,
        "visible": field.visible.map_or(json!(true), |visible| json!(visible)),
    });
    let mut constraints = json!({"required": field.required});
    if let Some((regex, message)) = field.shape {
        constraints["regex"] = json!(regex);
        constraints["validationMessage"] = json!(message);
    }
    let choice = |label: &str, value: Value| json!({"label": label, "value": value});
    let kind = match (parameter.kind, parameter.allowed) {
        (Kind::Secret, _) => {
            element["label"] = json!({"password": field.label, "confirmPassword": field.label});
            element["options"] = json!({"hideConfirmation": true});
            "Microsoft.Common.PasswordBox"
        }
        (Kind::Flag, _) => {
            let on = parameter.default == parameter::Default::Flag(true);
            element["defaultValue"] = json!(if on { "Yes" } else { "No" });
            constraints["allowedValues"] = json!([choice("Yes", json!(true)), choice("No", json!(false))]);
            "Microsoft.Common.OptionsGroup"
        }
        (_, []) => {
            if let parameter::Default::Text(text) = parameter.default {
                element["defaultValue"] = json!(text);
            }
            "Microsoft.Common.TextBox"
        }
        (_, allowed) => {
            // A default that the template works out from other parameters is the first here.
            let default = match parameter.default {
                parameter::Default::Text(text) if allowed.contains(&text) => text,
                _ => allowed.first().copied().unwrap_or_default(),
            };
            element["defaultValue"] = json!(default);
            constraints["allowedValues"] = allowed.iter().map(|each| choice(each, json!(each))).collect();
            "Microsoft.Common.DropDown"
        }
    };
    if parameter.kind != Kind::Secret {
        element["label"] = json!(field.label);
    }
    element["type"] = json!(kind);
    element["constraints"] = constraints;
    Some(element)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{interface, parameter};
    use crate::portal::parameter::{Default, Kind};

    #[test]
    fn every_output_is_a_parameter_and_what_must_be_given_is_asked_for() {
        let form = interface();
        let outputs = form["parameters"]["outputs"].as_object().expect("outputs");
        for name in outputs.keys() {
            assert!(parameter::ALL.iter().any(|each| each.name == name), "{name}");
        }
        for needed in parameter::ALL.iter().filter(|each| each.default == Default::None) {
            assert!(outputs.contains_key(needed.name), "{}", needed.name);
        }
    }

    #[test]
    fn secrets_are_hidden_and_every_field_gives_its_output() {
        let form = interface();
        let outputs = form["parameters"]["outputs"].as_object().expect("outputs");
        for step in form["parameters"]["steps"].as_array().expect("steps") {
            for element in step["elements"].as_array().expect("elements") {
                let name = element["name"].as_str().expect("a name");
                let place = format!("steps('{}').{name}", step["name"].as_str().expect("a name"));
                assert!(outputs[name].as_str().is_some_and(|output| output.contains(&place)), "{name}");
                let known = parameter::ALL.iter().find(|each| each.name == name).expect("a parameter");
                let hidden = element["type"] == "Microsoft.Common.PasswordBox";
                assert_eq!(hidden, known.kind == Kind::Secret, "{name}");
                let default = &element["defaultValue"];
                let allowed = element["constraints"]["allowedValues"].as_array();
                assert!(allowed.is_none_or(|all| all.iter().any(|each| each["label"] == *default)), "{name}");
            }
        }
    }

    #[test]
    fn patterns_compile_and_take_the_defaults() {
        let form = interface();
        let steps = form["parameters"]["steps"].as_array().expect("steps");
        let all = form["parameters"]["basics"].as_array().expect("basics").iter();
        for element in all.chain(steps.iter().flat_map(|step| step["elements"].as_array().expect("elements")))
        {
            let Value::String(pattern) = &element["constraints"]["regex"] else { continue };
            let pattern = jsonschema::validator_for(&json!({"pattern": pattern})).expect("a pattern");
            let default = &element["defaultValue"];
            assert!(default.is_null() || pattern.is_valid(default), "{element}");
            assert!(!pattern.is_valid(&json!("not so!")), "{element}");
        }
    }
}
