//! What an expression can refer to: parameters, variables, where it is deployed to, other resources.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::expression::{inside, parse};
use super::function::{check, evaluate};
use super::{Target, invalid};
use crate::arm::Incoming;
use crate::arm::address::Address;
use crate::arm::error::ArmError;
use crate::entra::Caller;
use crate::state::State;
use crate::state::resource::key;

/// The world of one template's expressions.
pub(super) struct Frame<'a> {
    pub(super) state: &'a State,
    pub(super) caller: &'a Caller,
    pub(super) target: Target,
    pub(super) parameters: Map<String, Value>,
    /// The variables as written; each is evaluated where it is used.
    pub(super) variables: Map<String, Value>,
    /// Whether other resources may be read here: only while the deployment runs, and only in
    /// `properties` and outputs
    /// (<https://learn.microsoft.com/azure/azure-resource-manager/templates/template-functions-resource#valid-uses-1>).
    pub(super) running: bool,
}

impl Frame<'_> {
    /// The value with every expression in it evaluated, in names of members too.
    pub(super) fn value(&self, value: &Value) -> Result<Value, ArmError> {
        match value {
            Value::String(text) => self.text(text),
            Value::Array(items) => items.iter().map(|item| self.value(item)).collect(),
            Value::Object(members) => {
                let mut evaluated = Map::new();
                for (name, value) in members {
                    let name = match self.text(name)? {
                        Value::String(name) => name,
                        _ => return Err(invalid(format!("The property name '{name}' is no text."))),
                    };
                    evaluated.insert(name, self.value(value)?);
                }
                Ok(Value::Object(evaluated))
            }
            other => Ok(other.clone()),
        }
    }

    fn text(&self, text: &str) -> Result<Value, ArmError> {
        match inside(text) {
            Some(expression) => evaluate(&parse(expression)?, self),
            None => {
                Ok(json!(text.strip_prefix("[[").map_or_else(|| text.to_owned(), |rest| format!("[{rest}"))))
            }
        }
    }

    pub(super) fn parameter(&self, name: &str) -> Result<Value, ArmError> {
        let found = self.parameters.iter().find(|(each, _)| each.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone()).ok_or_else(|| {
            invalid(format!(
                "The template parameter '{name}' is not found. Please see https://aka.ms/arm-syntax-parameters \
                 for usage details."
            ))
        })
    }

    pub(super) fn variable(&self, name: &str) -> Result<Value, ArmError> {
        let found = self.variables.iter().find(|(each, _)| each.eq_ignore_ascii_case(name));
        let (_, value) = found.ok_or_else(|| {
            invalid(format!(
                "The template variable '{name}' is not found. Please see https://aka.ms/arm-syntax-variables for \
                 usage details."
            ))
        })?;
        // A variable is known before anything is made. One that refers to itself does not see itself.
        let mut variables = self.variables.clone();
        variables.retain(|each, _| !each.eq_ignore_ascii_case(name));
        let inner = Frame {
            parameters: self.parameters.clone(),
            variables,
            target: self.target.clone(),
            running: false,
            ..*self
        };
        inner.value(value)
    }

    /// `reference`: another resource's properties, or the whole of it.
    pub(super) fn reference(&self, id: &str, version: Option<&str>, full: bool) -> Result<Value, ArmError> {
        if !self.running {
            return Err(invalid(
                "The template function 'reference' is not expected at this location. Please see \
                 https://aka.ms/arm-functions for usage details.",
            ));
        }
        let Some(version) = version.filter(|_| id.starts_with("/subscriptions/")) else {
            return Err(invalid("The simulator takes 'reference' with a whole id and an API version alone."));
        };
        let incoming = Incoming {
            method: axum::http::Method::GET,
            address: Address::parse(id)?,
            query: [("api-version".to_owned(), version.to_owned())].into(),
            body: bytes::Bytes::new(),
            caller: self.caller.clone(),
        };
        let reply = crate::arm::dispatch(self.state, &mut self.state.lock(), &incoming)?;
        let body = reply.body.unwrap_or_default();
        Ok(if full { body } else { body.get("properties").cloned().unwrap_or_default() })
    }

    pub(super) fn subscription(&self) -> Value {
        let id = &self.target.subscription_id;
        json!({
            "id": format!("/subscriptions/{id}"),
            "subscriptionId": id,
            "tenantId": self.state.tenant_id(),
        })
    }

    pub(super) fn resource_group(&self) -> Value {
        self.state.resource(&self.target.group_id()).unwrap_or_default()
    }

    /// The cloud's name alone: no template of ours asks for more.
    pub(super) fn environment(&self) -> Value {
        json!({"name": "AzureCloud"})
    }
}

/// Checks every expression of a template, those of nested templates too, before anything is evaluated.
///
/// # Errors
/// `InvalidTemplate` for one that cannot be read or that calls a function that is not known.
pub(super) fn check_expressions(value: &Value) -> Result<(), ArmError> {
    let checked = |text: &str| match inside(text) {
        Some(expression) => check(&parse(expression)?),
        None => Ok(()),
    };
    match value {
        Value::String(text) => checked(text),
        Value::Array(items) => items.iter().try_for_each(check_expressions),
        Value::Object(members) => members.iter().try_for_each(|(name, value)| {
            checked(name)?;
            check_expressions(value)
        }),
        _ => Ok(()),
    }
}

/// Leaves out members that are null: to a resource provider they are not there. Templates rely on it,
/// see the examples of
/// <https://learn.microsoft.com/azure/azure-resource-manager/templates/template-functions-object#null>.
pub(super) fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name, without_nulls(value)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

/// Resources in an order in which each comes after what it depends on: places in the list.
///
/// # Errors
/// `InvalidTemplate` for something that is not in the template, or that depends on itself.
pub(super) fn ordered(resources: &[(String, Vec<String>)]) -> Result<Vec<usize>, ArmError> {
    let mut order = Vec::new();
    let mut done: HashSet<String> = HashSet::new();
    for (id, before) in resources {
        if let Some(missing) =
            before.iter().find(|each| !resources.iter().any(|(id, _)| key(id) == key(each)))
        {
            return Err(invalid(format!(
                "The resource '{missing}' is not defined in the template, and '{id}' depends on it. Please see \
                 https://aka.ms/arm-syntax for usage details."
            )));
        }
    }
    while order.len() < resources.len() {
        let ready: Vec<usize> = (0..resources.len())
            .filter(|at| !order.contains(at) && resources[*at].1.iter().all(|each| done.contains(&key(each))))
            .collect();
        if ready.is_empty() {
            return Err(invalid(
                "Circular dependency detected on resource. Please see https://aka.ms/arm-syntax-resources for \
                 usage details.",
            ));
        }
        for at in ready {
            done.insert(key(&resources[at].0));
            order.push(at);
        }
    }
    Ok(order)
}
