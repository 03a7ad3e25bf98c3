//! Plans the roles: given by the installer, or by an administrator and waited for.

use super::change::Change;
use super::desired::Desired;
use super::step::{Action, Finding, Step};
use super::{Planner, output};
use crate::answers::intent::RoleAssignments;

impl Planner<'_> {
    pub(super) fn role(&mut self, resource: Desired) {
        let scope = resource.scope.clone().unwrap_or_default();
        let principal = resource.body["properties"]["principalId"].as_str().unwrap_or_default().to_owned();
        let role = resource.body["properties"]["roleDefinitionId"]
            .as_str()
            .and_then(|id| id.rsplit('/').next())
            .unwrap_or_default()
            .to_owned();
        if self.inventory.assignments.iter().any(|each| each.is(&scope, &principal, &role)) {
            return self.keep(&resource);
        }
        if self.intent.role_assignments == RoleAssignments::External {
            self.findings.push(Finding::warns(
                "role-to-give",
                format!("{} is to be given by an administrator, and is waited for", resource.title),
                role_command(&scope, &output::readable(&principal), &role),
            ));
            self.steps.push(Step {
                key: resource.key,
                title: resource.title,
                action: Action::AwaitRole {
                    scope,
                    api_version: resource.api_version.to_owned(),
                    principal_id: principal,
                    role,
                },
                depends_on: resource.depends_on,
                change: Change::Run,
                undo: None,
            });
            return;
        }
        let api_version = resource.api_version.to_owned();
        self.steps.push(Step {
            key: resource.key,
            title: resource.title,
            action: Action::AssignRole {
                scope: scope.clone(),
                api_version: api_version.clone(),
                body: resource.body,
            },
            depends_on: resource.depends_on,
            change: Change::Create,
            undo: Some(Action::UnassignRole { scope, api_version, principal_id: principal, role }),
        });
    }
}

/// The command by which an administrator gives a role.
pub fn role_command(scope: &str, principal_id: &str, role: &str) -> String {
    format!(
        "az role assignment create --role {role} --assignee-object-id '{principal_id}' --assignee-principal-type ServicePrincipal --scope '{scope}'"
    )
}
