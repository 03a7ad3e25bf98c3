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
        let principal_type =
            resource.body["properties"]["principalType"].as_str().unwrap_or_default().to_owned();
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
                role_command(&scope, &output::readable(&principal), &principal_type, &role),
            ));
            self.steps.push(Step {
                key: resource.key,
                title: resource.title,
                action: Action::AwaitRole {
                    scope,
                    api_version: resource.api_version.to_owned(),
                    principal_id: principal,
                    principal_type,
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
                optional: false,
            },
            depends_on: resource.depends_on,
            change: Change::Create,
            undo: Some(Action::UnassignRole { scope, api_version, principal_id: principal, role }),
        });
    }
}

/// The command by which an administrator gives a role. An empty kind of the principal is left to the command to
/// find out.
pub fn role_command(scope: &str, principal_id: &str, principal_type: &str, role: &str) -> String {
    let kind = match principal_type {
        "" => String::new(),
        kind => format!(" --assignee-principal-type {kind}"),
    };
    format!(
        "az role assignment create --role {role} --assignee-object-id '{principal_id}'{kind} --scope '{scope}'"
    )
}

#[cfg(test)]
mod tests {
    use super::role_command;

    #[test]
    fn a_command_says_what_the_principal_is_only_where_that_is_known() {
        let of = |kind| role_command("/subscriptions/s", "p", kind, "r");
        assert_eq!(
            of("ServicePrincipal"),
            "az role assignment create --role r --assignee-object-id 'p' --assignee-principal-type \
             ServicePrincipal --scope '/subscriptions/s'"
        );
        // Without it the command looks in the directory: a person or a group is found as well.
        assert_eq!(
            of(""),
            "az role assignment create --role r --assignee-object-id 'p' --scope '/subscriptions/s'"
        );
    }
}
