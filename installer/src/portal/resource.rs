//! One resource of the template, under all choices, and the deployment that it is part of.

use serde_json::{Value, json};

use super::choice::{given, parameter_of, workspace_id};
use super::content;
use super::node::{Condition, Node, Part};
use super::print::Printed;
use super::symbol::{RESOURCE_GROUP_NAME, SUBSCRIPTION_ID, Scope, symbol};
use crate::plan::desired::{Conduct, Desired};
use crate::plan::template::Templates;

/// The type of a deployment, nested ones too.
pub(super) const DEPLOYMENTS: &str = "Microsoft.Resources/deployments";

/// The deployment that a resource is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The template itself.
    Outer,
    /// What is written to the workspace, in its own group and subscription.
    Workspace,
    /// The rule, whose region is the workspace's, and the roles, whose names hold the identity's
    /// principal: both are known only when the deployment runs, and only a nested template takes
    /// such a value for a name or a region.
    RuleAndRoles,
}

impl Place {
    fn of(resource_type: &str) -> Self {
        let namespace = resource_type.split('/').next().unwrap_or_default();
        match (namespace, resource_type) {
            ("Microsoft.OperationalInsights" | "Microsoft.SecurityInsights", _) => Self::Workspace,
            ("Microsoft.Authorization", _)
            | (_, "Microsoft.Insights/dataCollectionRules" | "Microsoft.Insights/diagnosticSettings") => {
                Self::RuleAndRoles
            }
            _ => Self::Outer,
        }
    }

    /// What the deployment's name ends with, and the symbols of its group.
    pub(super) fn deployment(self) -> (&'static str, [&'static str; 2]) {
        match self {
            Self::Workspace => ("workspace", ["workspaceSubscriptionId", "workspaceGroupName"]),
            Self::Outer | Self::RuleAndRoles => ("access", [SUBSCRIPTION_ID, RESOURCE_GROUP_NAME]),
        }
    }

    /// The deployment's id, for what comes after it.
    fn id(self) -> String {
        let (ending, [subscription, group]) = self.deployment();
        format!(
            "/subscriptions/{}/resourceGroups/{}/providers/{DEPLOYMENTS}/{}-{ending}",
            symbol(subscription),
            symbol(group),
            symbol("deploymentName")
        )
    }
}

/// One resource under all choices.
pub(super) struct Resource {
    pub(super) key: String,
    pub(super) resource_type: String,
    pub(super) api_version: &'static str,
    pub(super) place: Place,
    pub(super) when: Option<Condition>,
    /// The id; of a role assignment, without its name.
    pub(super) id: String,
    pub(super) scope: Option<String>,
    pub(super) depends_on: Vec<String>,
    pub(super) body: Node,
}

impl Resource {
    pub(super) fn of(templates: &Templates, known: Desired, when: Option<Condition>, node: Node) -> Self {
        let mut body = Node::Object(Vec::new());
        let mut depends_on = Vec::new();
        if let Node::Object(parts) = node {
            for part in parts {
                match (part.name.as_str(), part.node) {
                    ("body", node) => body = node,
                    (_, Node::Object(before)) => {
                        depends_on = before.into_iter().map(|each| each.name).collect()
                    }
                    _ => {}
                }
            }
        }
        let place = Place::of(&known.resource_type);
        // Beside what the answers decide: what the deployment may not do, or may leave.
        let extra = match (known.resource_type.as_str(), &known.conduct) {
            ("Microsoft.Authorization/roleAssignments", _) => Some(Condition::is("assignRoles")),
            ("Microsoft.OperationalInsights/workspaces/tables", _) => Some(Condition::is("createTables")),
            // What is left out stays as the vault has it.
            (_, Conduct::Secret(answer)) => Some(Condition::is(&given(parameter_of(answer)))),
            (_, Conduct::Content) => content::condition(templates, &known.key),
            _ => None,
        };
        let when = match (when, extra) {
            (Some(one), Some(other)) => Some(one.and(other)),
            (one, other) => one.or(other),
        };
        if let Conduct::Secret(answer) = &known.conduct {
            put(&mut body, "value", Node::Leaf(json!(symbol(parameter_of(answer)))));
        }
        Self {
            key: known.key,
            api_version: known.api_version,
            place,
            when,
            id: known.id,
            scope: known.scope.map(|scope| scope.replace(&workspace_id(), &symbol("workspaceId"))),
            depends_on,
            body,
            resource_type: known.resource_type,
        }
    }

    /// The name as a template has it: the names of the parents first.
    fn name(&self, scope: &mut Scope<'_>) -> String {
        if let Some(parts) = content::id_parts(&self.key, &self.resource_type) {
            let parts: Vec<String> = parts.iter().map(|part| scope.text(part)).collect();
            return format!("[guid({})]", parts.join(", "));
        }
        if self.resource_type == "Microsoft.Authorization/roleAssignments" {
            let text = |name: &str, scope: &mut Scope<'_>| match self.property(name) {
                Some(node) => node.expression(scope),
                None => "''".to_owned(),
            };
            let role = match self.property("roleDefinitionId") {
                Some(Node::Leaf(Value::String(id))) => id.rsplit('/').next().unwrap_or_default().to_owned(),
                _ => String::new(),
            };
            let on = scope.text(self.scope.as_deref().unwrap_or_default());
            return format!("[guid(toLower({on}), toLower({}), '{role}')]", text("principalId", scope));
        }
        let path = self.id.rsplit("/providers/").next().unwrap_or_default();
        let names: Vec<&str> = path.split('/').skip(2).step_by(2).collect();
        scope.json_text(&names.join("/"))
    }

    fn property(&self, name: &str) -> Option<&Node> {
        let Node::Object(parts) = &self.body else { return None };
        let Node::Object(properties) = &parts.iter().find(|part| part.name == "properties")?.node else {
            return None;
        };
        properties.iter().find(|part| part.name == name).map(|part| &part.node)
    }

    pub(super) fn write(&self, all: &[Self], scope: &mut Scope<'_>) -> Printed {
        let mut members = vec![
            ("type".to_owned(), Printed::text(&self.resource_type)),
            ("apiVersion".to_owned(), Printed::text(self.api_version)),
            ("name".to_owned(), Printed::text(self.name(scope))),
        ];
        if let Some(on) = &self.scope {
            members.push(("scope".to_owned(), Printed::text(scope.json_text(on))));
        }
        if let Some(when) = &self.when {
            members.push(("condition".to_owned(), Printed::text(format!("[{}]", when.expression(scope)))));
        }
        let before = dependencies(&[self], self.place, all);
        if !before.is_empty() {
            let before = before.iter().map(|id| Printed::text(scope.json_text(id))).collect();
            members.push(("dependsOn".to_owned(), Printed::List(before)));
        }
        if let Printed::Object(body) = self.body.plain(scope) {
            let (properties, rest): (Vec<_>, Vec<_>) =
                body.into_iter().partition(|(name, _)| name == "properties");
            members.extend(rest);
            members.extend(properties);
        }
        Printed::Object(members)
    }
}

fn put(body: &mut Node, name: &str, node: Node) {
    let Node::Object(parts) = body else { return };
    for part in parts.iter_mut().filter(|part| part.name == "properties") {
        if let Node::Object(properties) = &mut part.node {
            properties.push(Part { name: name.to_owned(), when: None, node: node.clone() });
        }
    }
}

/// Ids of what has to come before these resources of one deployment.
pub(super) fn dependencies(of: &[&Resource], place: Place, all: &[Resource]) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for key in of.iter().flat_map(|resource| &resource.depends_on) {
        // The group is there, and the checkpoint is made by the worker.
        let Some(before) = all.iter().find(|each| each.key == *key) else { continue };
        let id = if before.place == Place::Outer || (before.place == place && of.len() == 1) {
            before.id.clone()
        } else if before.place == place {
            continue;
        } else {
            before.place.id()
        };
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids
}
