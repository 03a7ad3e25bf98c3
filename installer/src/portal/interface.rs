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
    /// What must hold beside it, as an expression of the form's language, and the words where it does not.
    rule: Option<(&'static str, &'static str)>,
    /// Whether it must be filled wherever it is shown.
    required: bool,
    /// Where it is shown: an expression of the form's language.
    visible: Option<&'static str>,
}

const fn field(parameter: &'static str, label: &'static str) -> Field {
    Field { parameter, label, shape: None, rule: None, required: false, visible: None }
}

const fn credential(parameter: &'static str, label: &'static str, visible: &'static str) -> Field {
    Field { required: true, visible: Some(visible), ..field(parameter, label) }
}

const TWO: &str = "[equals(steps('mimecast').mimecastApi, '2.0')]";
const ONE: &str = "[equals(steps('mimecast').mimecastApi, '1.0')]";
const REACH: (&str, &str) = (
    "^([1-9][0-9]{0,5}s|[1-9][0-9]{0,3}m|([1-9][0-9]{0,2}|1[0-3][0-9]{2}|14[0-3][0-9]|1440)h|([1-9]|[1-5][0-9]|60)d)$",
    "A number and a unit, s, m, h or d: 60d at most.",
);
const WITHIN_A_DAY: (&str, &str) =
    ("^([0-9]{1,4}s|[0-9]{1,3}m|(1?[0-9]|2[0-4])h|1d)$", "A number and a unit, s, m or h: a day at most.");
const OPEN_DAYS: (&str, &str) =
    ("^(0|[4-9]|[1-9][0-9]|[1-6][0-9]{2}|7[0-2][0-9]|730)$", "4 to 730, or 0 for what the workspace has.");
const KEPT_DAYS: (&str, &str) = (
    "^(0|[4-9]|[1-9][0-9]{1,2}|[1-3][0-9]{3}|4[0-2][0-9]{2}|43[0-7][0-9]|438[0-3])$",
    "4 to 4383, or 0 for what the workspace has.",
);
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
                rule: Some((
                    "[or(equals(steps('mimecast').mimecastApi, '1.0'), not(contains(steps('mimecast').mimecastBaseURL, '-api.mimecast.com')))]",
                    "This host is one of API 1.0. API 2.0 is at https://api.services.mimecast.com, or at uk-api or us-api there.",
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
            Field { visible: Some(ONE), ..field("keepMimecastLogin", "Keep both as the Key Vault has them") },
        ],
    ),
    (
        "collecting",
        "Collecting",
        &[
            field("collectEvery", "How often"),
            Field { shape: Some(REACH), required: true, ..field("firstRun", "First run reaches back") },
            Field { shape: Some(WITHIN_A_DAY), required: true, ..field("settle", "Events settle within") },
            Field { shape: Some(WITHIN_A_DAY), required: true, ..field("overlap", "Each run reaches back") },
            Field {
                shape: Some(("^$|^[a-z0-9_]+(,[a-z0-9_]+)*$", "Category codes, separated by commas.")),
                ..field("categories", "Categories")
            },
            field("workQueue", "Queue for past ranges"),
            field("paused", "Begin paused"),
            field("createTables", "Make the tables"),
            Field {
                shape: Some(OPEN_DAYS),
                required: true,
                ..field("retentionDays", "Days open to queries")
            },
            Field {
                shape: Some(KEPT_DAYS),
                required: true,
                ..field("totalRetentionDays", "Days kept at all")
            },
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
            Field {
                shape: Some(("^$|^[0-9a-f]{64}$", "64 hexadecimal digits in lower case.")),
                ..field("workerSha256", "SHA-256 of the worker in it")
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
            field("ruleGeneration", "Generation of the rules' ids"),
            field("huntingQueries", "Hunting queries"),
            field("asimParsers", "ASIM parsers"),
            field("asimUnifyingParsers", "Custom unifying parsers"),
            field("createUnifyingParsers", "Make those parsers"),
            field("createContent", "Write the content"),
        ],
    ),
    (
        "elsewhere",
        "Elsewhere",
        &[
            field("workspaceResourceId", "Workspace of Microsoft Sentinel, where it is another"),
            Field {
                shape: Some(("^[A-Za-z0-9 ]*$", "A region such as westeurope.")),
                ..field("appInsightsLocation", "Region of Application Insights")
            },
            field("activeDirectoryAppId", "App registration: client id"),
            field("activeDirectoryAppSecret", "App registration: client secret"),
            Field {
                shape: Some(GUID),
                ..field("activeDirectoryObjectId", "App registration: object id of its service principal")
            },
            Field { shape: Some(GUID), ..field("activeDirectoryTenantId", "App registration: tenant") },
            field("tags", "Tags"),
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

/// What a field gives to the template: a hidden one gives nothing, which the template takes as an empty
/// text; a number comes as a text; what is empty where the template would work it out is worked out here.
fn output(step: &str, name: &str) -> Value {
    let value = format!("steps('{step}').{name}");
    let kind = parameter::ALL.iter().find(|each| each.name == name).map(|each| each.kind);
    json!(match (name, kind) {
        ("workspaceResourceId", _) => format!("[coalesce({value}.id, '')]"),
        ("appInsightsLocation", _) => format!("[if(empty({value}), location(), {value})]"),
        ("activeDirectoryTenantId", _) => format!("[if(empty({value}), subscription().tenantId, {value})]"),
        (_, Some(Kind::Texts)) => format!("[coalesce({value}['{TAGGED}'], parse('{{}}'))]"),
        (_, Some(Kind::Whole(..))) => format!("[int({value})]"),
        (_, Some(Kind::Secret)) => format!("[coalesce({value}, '')]"),
        // A hidden one is not "No" by itself.
        ("keepMimecastLogin", _) => format!("[coalesce({value}, false)]"),
        _ => format!("[{value}]"),
    })
}

/// The type whose tags the form asks for; the template puts them on everything.
const TAGGED: &str = "Microsoft.Web/sites";

/// A field of a type of its own, which takes no shape.
fn picker(field: &Field, parameter: &Parameter) -> Option<Value> {
    match parameter.name {
        "workspaceResourceId" => Some(json!({
            "name": parameter.name,
            "type": "Microsoft.Solutions.ResourceSelector",
            "label": field.label,
            "toolTip": parameter.meaning,
            "resourceType": "Microsoft.OperationalInsights/workspaces",
            "constraints": {"required": false},
        })),
        "tags" => Some(json!({
            "name": parameter.name,
            "type": "Microsoft.Common.TagsByResource",
            "toolTip": parameter.meaning,
            "resources": [TAGGED],
        })),
        _ => None,
    }
}

fn element(field: &Field) -> Option<Value> {
    let parameter: &Parameter = parameter::ALL.iter().find(|each| each.name == field.parameter)?;
    if let Some(picker) = picker(field, parameter) {
        return Some(picker);
    }
    let mut element = json!({
        "name": parameter.name,
        "toolTip": parameter.meaning,
        "visible": field.visible.map_or(json!(true), |visible| json!(visible)),
    });
    let mut constraints = json!({"required": field.required});
    let shape = field.shape.map(|(regex, message)| json!({"regex": regex, "message": message}));
    let rule = field.rule.map(|(holds, message)| json!({"isValid": holds, "message": message}));
    let validations: Vec<Value> = shape.into_iter().chain(rule).collect();
    if !validations.is_empty() {
        constraints["validations"] = json!(validations);
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
            // What the template works out is left empty here.
            match parameter.default {
                parameter::Default::Text(text) if !text.starts_with('[') => {
                    element["defaultValue"] = json!(text)
                }
                parameter::Default::Zero => element["defaultValue"] = json!("0"),
                _ => {}
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
    use crate::portal::parameter::Kind;

    #[test]
    fn every_output_is_a_parameter_and_every_parameter_is_asked_for() {
        let form = interface();
        let outputs = form["parameters"]["outputs"].as_object().expect("outputs");
        for name in outputs.keys() {
            assert!(parameter::ALL.iter().any(|each| each.name == name), "{name}");
        }
        // The cloud is where the portal is, and the last two are kept for old parameters files alone.
        const NOT_ASKED: [&str; 3] = ["cloud", "workspaceId", "workspaceKey"];
        for each in parameter::ALL {
            assert_ne!(outputs.contains_key(each.name), NOT_ASKED.contains(&each.name), "{}", each.name);
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
            let basic = &element["constraints"]["regex"];
            let of_step = &element["constraints"]["validations"][0]["regex"];
            let Value::String(pattern) = (if basic.is_null() { of_step } else { basic }) else { continue };
            let pattern = jsonschema::validator_for(&json!({"pattern": pattern})).expect("a pattern");
            let default = &element["defaultValue"];
            assert!(default.is_null() || pattern.is_valid(default), "{element}");
            assert!(!pattern.is_valid(&json!("not so!")), "{element}");
        }
    }

    #[test]
    fn what_the_installer_would_refuse_does_not_pass_a_field() {
        for ((pattern, _), good, bad) in [
            (super::REACH, &["1s", "9999m", "1440h", "60d"][..], &["0d", "61d", "90d", "1441h", "7"][..]),
            (super::WITHIN_A_DAY, &["0s", "60s", "15m", "24h", "1d"], &["2d", "25h", "soon"]),
            (super::OPEN_DAYS, &["0", "4", "30", "699", "730"], &["3", "731", "1000", "-4"]),
            (super::KEPT_DAYS, &["0", "4", "365", "4000", "4383"], &["3", "4384", "5000"]),
        ] {
            let pattern = jsonschema::validator_for(&json!({"pattern": pattern})).expect("a pattern");
            assert!(good.iter().all(|text| pattern.is_valid(&json!(text))), "{good:?}");
            assert!(bad.iter().all(|text| !pattern.is_valid(&json!(text))), "{bad:?}");
        }
    }
}
