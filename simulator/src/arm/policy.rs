//! Azure Policy: deny effects, and the question that asks for them beforehand.
//!
//! Follows <https://learn.microsoft.com/azure/governance/policy/concepts/effect-deny> and
//! <https://learn.microsoft.com/rest/api/policyinsights/policy-restrictions>.

use serde_json::{Value, json};

use super::check::region;
use super::error::ArmError;
use super::kind::Call;
use super::reply::Reply;
use crate::state::resource::within;
use crate::state::{Data, State};

/// API versions of `checkPolicyRestrictions`.
pub(crate) const VERSIONS: &[&str] = &["2022-03-01", "2023-03-01", "2024-10-01"];

/// When a policy denies.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// The resource has no such tag.
    MissingTag(String),
    /// The location is none of these.
    LocationOutside(Vec<String>),
    /// The value at the pointer is this one.
    Is(String, Value),
    /// The value at the pointer is not this one, or absent.
    IsNot(String, Value),
    /// Always: the type itself is denied.
    Always,
}

/// An assignment of a policy with the effect `deny`.
#[derive(Debug, Clone, PartialEq)]
pub struct DenyPolicy {
    /// Name of the assignment.
    pub name: String,
    /// Scope of the assignment.
    pub scope: String,
    /// Type of resources, or `*`.
    pub resource_type: String,
    /// When it denies.
    pub condition: Condition,
}

impl DenyPolicy {
    fn denies(&self, resource_type: &str, id: &str, body: &Value) -> bool {
        let of_type = self.resource_type == "*" || self.resource_type.eq_ignore_ascii_case(resource_type);
        of_type
            && within(&self.scope, id)
            && match &self.condition {
                Condition::MissingTag(tag) => body.pointer(&format!("/tags/{tag}")).is_none(),
                Condition::LocationOutside(allowed) => {
                    let given = body.get("location").and_then(Value::as_str).map(region);
                    given.is_some_and(|given| !allowed.iter().any(|each| region(each) == given))
                }
                Condition::Is(pointer, value) => body.pointer(pointer) == Some(value),
                Condition::IsNot(pointer, value) => body.pointer(pointer) != Some(value),
                Condition::Always => true,
            }
    }

    fn field(&self) -> &str {
        match &self.condition {
            Condition::MissingTag(_) => "tags",
            Condition::LocationOutside(_) => "location",
            Condition::Is(pointer, _) | Condition::IsNot(pointer, _) => pointer,
            Condition::Always => "type",
        }
    }

    fn assignment_id(&self) -> String {
        format!("{}/providers/Microsoft.Authorization/policyAssignments/{}", self.scope, self.name)
    }

    fn definition_id(&self) -> String {
        format!("{}/providers/Microsoft.Authorization/policyDefinitions/{}", self.scope, self.name)
    }
}

impl State {
    /// Assigns a policy.
    pub fn add_policy(&self, policy: DenyPolicy) {
        self.lock().policies.push(policy);
    }
}

/// Refuses what a policy denies.
pub(crate) fn enforce(data: &Data, resource_type: &str, id: &str, body: &Value) -> Result<(), ArmError> {
    let denying: Vec<&DenyPolicy> =
        data.policies.iter().filter(|policy| policy.denies(resource_type, id, body)).collect();
    if denying.is_empty() {
        return Ok(());
    }
    let name = id.rsplit('/').next().unwrap_or_default();
    let identifiers: Vec<Value> = denying
        .iter()
        .map(|policy| {
            json!({
                "policyAssignment": {"name": policy.name, "id": policy.assignment_id()},
                "policyDefinition": {"name": policy.name, "id": policy.definition_id()},
            })
        })
        .collect();
    let message = format!(
        "Resource '{name}' was disallowed by policy. Policy identifiers: '{}'.",
        Value::Array(identifiers)
    );
    let additional = denying
        .iter()
        .map(|policy| {
            json!({
                "type": "PolicyViolation",
                "info": {
                    "policyAssignmentName": policy.name,
                    "policyAssignmentDisplayName": policy.name,
                    "policyAssignmentId": policy.assignment_id(),
                    "policyAssignmentScope": policy.scope,
                    "policyDefinitionId": policy.definition_id(),
                    "policyDefinitionName": policy.name,
                    "policyDefinitionDisplayName": policy.name,
                    "policyDefinitionEffect": "deny",
                    "evaluationDetails": {"evaluatedExpressions": [{
                        "result": "True",
                        "expressionKind": "Field",
                        "path": policy.field(),
                        "expressionValue": body.pointer(policy.field()),
                    }]},
                },
            })
        })
        .collect();
    Err(ArmError::forbidden("RequestDisallowedByPolicy", message).target(name).additional(additional))
}

/// `checkPolicyRestrictions` on a subscription or a group: what would happen to this body.
pub(crate) fn restrictions(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    call.need("Microsoft.PolicyInsights/checkPolicyRestrictions/read")?;
    let details = call.body.get("resourceDetails").cloned().unwrap_or_default();
    let content = details.get("resourceContent").filter(|content| content.is_object());
    let Some(content) = content else {
        return Err(ArmError::bad(
            "InvalidCheckRestrictionsRequest",
            "The request must have resourceDetails.resourceContent.",
        ));
    };
    let resource_type = content.get("type").and_then(Value::as_str).unwrap_or_default();
    let name = content.get("name").and_then(Value::as_str).unwrap_or("unnamed");
    let scope = details.get("scope").and_then(Value::as_str).unwrap_or(&call.id);
    let id = format!("{scope}/providers/{resource_type}/{name}");
    let denying = call.data.policies.iter().filter(|policy| policy.denies(resource_type, &id, content));
    let mut evaluations = Vec::new();
    let mut fields = Vec::new();
    for policy in denying {
        let info = json!({
            "policyDefinitionId": policy.definition_id(),
            "policyAssignmentId": policy.assignment_id(),
        });
        evaluations.push(json!({
            "policyInfo": info,
            "evaluationResult": "NonCompliant",
            "evaluationDetails": {"evaluatedExpressions": [{
                "result": "True",
                "expressionKind": "field",
                "expression": policy.field(),
                "path": policy.field(),
                "expressionValue": content.pointer(policy.field()),
            }]},
            "effectDetails": {"policyEffect": "Deny"},
        }));
        fields.push(json!({
            "field": policy.field(),
            "restrictions": [{"result": "Deny", "policy": info, "policyEffect": "Deny"}],
        }));
    }
    Ok(Reply::ok(json!({
        "fieldRestrictions": fields,
        "contentEvaluationResult": {"policyEvaluations": evaluations},
    })))
}
