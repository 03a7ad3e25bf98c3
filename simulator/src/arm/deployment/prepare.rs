//! What is checked of a template before anything is made: parameters, expressions, names, order.

use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::frame::{Frame, check_expressions, ordered};
use super::{TYPE, Target, invalid};
use crate::arm::error::ArmError;
use crate::entra::Caller;
use crate::state::State;

/// The most parameters and resources of a template
/// (<https://learn.microsoft.com/azure/azure-resource-manager/templates/best-practices#template-limits>).
const PARAMETERS_LIMIT: usize = 256;
const RESOURCES_LIMIT: usize = 800;

/// A resource of a template, with everything outside its properties evaluated.
pub(super) struct Unit {
    pub(super) id: String,
    pub(super) resource_type: String,
    pub(super) api_version: String,
    /// Whether its condition holds.
    pub(super) wanted: bool,
    pub(super) before: Vec<String>,
    /// The members of the body, `properties` as written and the others evaluated.
    pub(super) body: Map<String, Value>,
    /// Where a nested deployment goes to.
    pub(super) target: Target,
}

/// A template that may run.
pub(super) struct Prepared<'a> {
    pub(super) frame: Frame<'a>,
    pub(super) units: Vec<Unit>,
    pub(super) order: Vec<usize>,
    pub(super) outputs: Map<String, Value>,
    declared: Map<String, Value>,
}

impl Prepared<'_> {
    /// Ids of what would be made.
    pub(super) fn ids(&self) -> Vec<String> {
        self.units.iter().filter(|unit| unit.wanted).map(|unit| unit.id.clone()).collect()
    }

    /// The present time.
    pub(super) fn now(&self) -> OffsetDateTime {
        self.frame.state.now()
    }

    /// The parameters with their types; secure ones without values.
    pub(super) fn shown_parameters(&self) -> Value {
        let of = |(name, value): (&String, &Value)| {
            let kind = self.declared.get(name).and_then(|each| each["type"].as_str()).unwrap_or_default();
            let shown = match kind.to_ascii_lowercase().as_str() {
                "securestring" => json!({"type": "SecureString"}),
                "secureobject" => json!({"type": "SecureObject"}),
                _ => json!({"type": kind, "value": value}),
            };
            (name.clone(), shown)
        };
        self.frame.parameters.iter().map(of).collect::<Map<_, _>>().into()
    }
}

/// Checks a template and its parameters' values.
///
/// # Errors
/// `InvalidTemplate`, as Azure refuses it before anything is made.
pub(super) fn prepare<'a>(
    state: &'a State,
    caller: &'a Caller,
    target: Target,
    template: &Value,
    given: &Map<String, Value>,
) -> Result<Prepared<'a>, ArmError> {
    const MEMBERS: &[&str] =
        &["$schema", "contentVersion", "metadata", "parameters", "variables", "resources", "outputs"];
    let members = template.as_object().cloned().unwrap_or_default();
    if let Some(other) = members.keys().find(|name| !MEMBERS.contains(&name.as_str())) {
        return Err(invalid(format!("The template member '{other}' is unknown or not simulated.")));
    }
    for needed in ["$schema", "contentVersion", "resources"] {
        if !members.contains_key(needed) {
            return Err(invalid(format!("The template has no '{needed}'.")));
        }
    }
    check_expressions(template)?;
    let object = |name: &str| members.get(name).and_then(Value::as_object).cloned().unwrap_or_default();
    let declared = object("parameters");
    let variables = object("variables");
    let mut frame = Frame { state, caller, target, parameters: Map::new(), variables, running: false };
    parameters(&mut frame, &declared, given)?;
    let resources = members.get("resources").and_then(Value::as_array).cloned().unwrap_or_default();
    if declared.len() > PARAMETERS_LIMIT || resources.len() > RESOURCES_LIMIT {
        return Err(invalid("The template has too many parameters or resources."));
    }
    let units: Vec<Unit> =
        resources.iter().map(|resource| unit(&frame, resource)).collect::<Result<_, _>>()?;
    for (at, unit) in units.iter().enumerate() {
        if units[..at].iter().any(|other| other.id.eq_ignore_ascii_case(&unit.id)) {
            return Err(invalid(format!(
                "The resource '{}' is defined multiple times in a template. Please see \
                 https://aka.ms/arm-syntax-resources for usage details.",
                unit.id
            )));
        }
    }
    let graph: Vec<(String, Vec<String>)> =
        units.iter().map(|unit| (unit.id.clone(), unit.before.clone())).collect();
    let order = ordered(&graph)?;
    Ok(Prepared { frame, units, order, outputs: object("outputs"), declared })
}

/// Takes the given values in, and the defaults of the others.
fn parameters(
    frame: &mut Frame<'_>,
    declared: &Map<String, Value>,
    given: &Map<String, Value>,
) -> Result<(), ArmError> {
    let unknown: Vec<&str> = given
        .keys()
        .filter(|name| !declared.keys().any(|each| each.eq_ignore_ascii_case(name)))
        .map(String::as_str)
        .collect();
    if !unknown.is_empty() {
        let known: Vec<&str> = declared.keys().map(String::as_str).collect();
        return Err(invalid(format!(
            "The template parameters '{}' in the parameters file are not valid; they are not present in the \
             original template and can therefore not be provided at deployment time. The only supported \
             parameters for this template are '{}'. Please see https://aka.ms/arm-pass-parameter-values for \
             usage details.",
            unknown.join(", "),
            known.join(", ")
        )));
    }
    // A default may use other parameters, also ones that are declared later.
    let mut waiting: Vec<(&String, &Value)> = Vec::new();
    for (name, declaration) in declared {
        let value = given.iter().find(|(each, _)| each.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        match value {
            Some(value) => match value.get("value").filter(|value| !value.is_null()) {
                Some(value) => {
                    check_parameter(name, declaration, value)?;
                    frame.parameters.insert(name.clone(), value.clone());
                }
                None => {
                    let message =
                        format!("The parameter '{name}' has no value; references are not simulated.");
                    return Err(invalid(message));
                }
            },
            None if declaration.get("defaultValue").is_some() => waiting.push((name, declaration)),
            None => {
                return Err(invalid(format!(
                    "The value for the template parameter '{name}' at line '1' and column '1' is not provided. \
                     Please see https://aka.ms/arm-create-parameter-file for usage details."
                )));
            }
        }
    }
    while !waiting.is_empty() {
        let before = waiting.len();
        let mut refusal = None;
        waiting.retain(|(name, declaration)| match frame.value(&declaration["defaultValue"]) {
            Ok(value) => match check_parameter(name, declaration, &value) {
                Ok(()) => {
                    frame.parameters.insert((*name).clone(), value);
                    false
                }
                Err(error) => {
                    refusal = Some(error);
                    true
                }
            },
            Err(error) => {
                refusal = Some(error);
                true
            }
        });
        if let (Some(refusal), true) = (refusal, waiting.len() == before) {
            return Err(refusal);
        }
    }
    Ok(())
}

/// Checks a value against its declaration
/// (<https://learn.microsoft.com/azure/azure-resource-manager/templates/parameters>).
fn check_parameter(name: &str, declaration: &Value, value: &Value) -> Result<(), ArmError> {
    let kind = declaration["type"].as_str().unwrap_or_default().to_ascii_lowercase();
    let fits = match kind.as_str() {
        "string" | "securestring" => value.is_string(),
        "int" => value.is_i64(),
        "bool" => value.is_boolean(),
        "object" | "secureobject" => value.is_object(),
        "array" => value.is_array(),
        _ => {
            return Err(invalid(format!(
                "The type '{kind}' of the template parameter '{name}' is not valid."
            )));
        }
    };
    if !fits {
        return Err(invalid(format!(
            "Template parameter JToken type is not valid. Expected '{kind}' for the parameter '{name}'. Please \
             see https://aka.ms/arm-create-parameter-file for usage details."
        )));
    }
    if let Some(allowed) = declaration["allowedValues"].as_array()
        && !allowed.contains(value)
    {
        let allowed: Vec<String> = allowed
            .iter()
            .map(|each| each.as_str().map_or_else(|| each.to_string(), str::to_owned))
            .collect();
        return Err(invalid(format!(
            "The provided value for the template parameter '{name}' is not valid. The value is not part of the \
             allowed value(s): '{}'.",
            allowed.join(",")
        )));
    }
    let limit = |limit: &str| declaration[limit].as_i64();
    let (size, least, most) = match value {
        Value::Number(number) => (number.as_i64(), limit("minValue"), limit("maxValue")),
        Value::String(text) => {
            (i64::try_from(text.chars().count()).ok(), limit("minLength"), limit("maxLength"))
        }
        _ => (None, None, None),
    };
    if let Some(size) = size
        && (least.is_some_and(|least| size < least) || most.is_some_and(|most| size > most))
    {
        return Err(invalid(format!(
            "The provided value for the template parameter '{name}' is not valid. Length or value should be \
             between '{}' and '{}'.",
            least.unwrap_or_default(),
            most.unwrap_or(i64::MAX)
        )));
    }
    Ok(())
}

/// Reads a resource: everything but its properties has to be known now.
fn unit(frame: &Frame<'_>, resource: &Value) -> Result<Unit, ArmError> {
    /// What belongs to the template and not to the resource.
    const OF_THE_TEMPLATE: &[&str] = &[
        "type",
        "apiVersion",
        "name",
        "scope",
        "condition",
        "dependsOn",
        "comments",
        "subscriptionId",
        "resourceGroup",
    ];
    let members = resource.as_object().cloned().unwrap_or_default();
    for refused in ["copy", "resources"] {
        if members.contains_key(refused) {
            return Err(invalid(format!("The resource member '{refused}' is not simulated.")));
        }
    }
    let evaluated = |name: &str| members.get(name).map(|value| frame.value(value)).transpose();
    let text = |name: &str| match evaluated(name)? {
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text)),
        None => Ok(None),
        Some(_) => Err(invalid(format!("The resource member '{name}' is no text."))),
    };
    let needed = |name: &str| text(name)?.ok_or_else(|| invalid(format!("A resource has no '{name}'.")));
    let (resource_type, api_version, name) = (needed("type")?, needed("apiVersion")?, needed("name")?);
    let mut target = frame.target.clone();
    if resource_type.eq_ignore_ascii_case(TYPE) {
        if let Some(subscription_id) = text("subscriptionId")? {
            target.subscription_id = subscription_id.to_ascii_lowercase();
        }
        if let Some(group) = text("resourceGroup")? {
            target.group = group;
        }
    }
    let scope = match text("scope")? {
        None => target.group_id(),
        Some(id) if id.starts_with("/subscriptions/") => id,
        // Without a slash at its beginning: relative to the group, as type and name
        // (https://learn.microsoft.com/azure/azure-resource-manager/templates/scope-extension-resources).
        Some(other) => {
            return Err(invalid(format!("The scope '{other}' is no whole id; others are not simulated.")));
        }
    };
    let (namespace, kinds) = resource_type.split_once('/').unwrap_or((&resource_type, ""));
    let (kinds, names): (Vec<&str>, Vec<&str>) = (kinds.split('/').collect(), name.split('/').collect());
    if kinds.len() != names.len() || names.contains(&"") {
        return Err(invalid(format!(
            "The template resource '{name}' for type '{resource_type}' has incorrect segment lengths. A nested \
             resource type must have identical number of segments as its resource name. Please see \
             https://aka.ms/arm-syntax-resources for usage details."
        )));
    }
    let path: String = kinds.iter().zip(&names).map(|(kind, name)| format!("/{kind}/{name}")).collect();
    let wanted = match evaluated("condition")? {
        None | Some(Value::Bool(true)) => true,
        Some(Value::Bool(false)) => false,
        Some(_) => return Err(invalid(format!("The condition of the resource '{name}' is no boolean."))),
    };
    let before = match evaluated("dependsOn")? {
        None => Vec::new(),
        Some(Value::Array(ids)) => ids.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Some(_) => return Err(invalid(format!("The dependsOn of the resource '{name}' is no list."))),
    };
    let mut body = Map::new();
    for (member, value) in members.iter().filter(|(member, _)| !OF_THE_TEMPLATE.contains(&member.as_str())) {
        let value = if member == "properties" { value.clone() } else { frame.value(value)? };
        body.insert(member.clone(), value);
    }
    let id = format!("{scope}/providers/{namespace}{path}");
    Ok(Unit { id, resource_type, api_version, wanted, before, body, target })
}
