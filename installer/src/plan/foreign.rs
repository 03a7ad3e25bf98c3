//! Plans the worker's access to secrets in vaults that are not ours. Such a vault is never written: either a
//! role is given on the one secret, or its owner is told the command.

use contract::resources::KEY_VAULT_SECRETS_USER;

use super::change::Change;
use super::desired::{self, Conduct};
use super::step::{Action, Finding, Step};
use super::template::TemplateError;
use super::{Planner, output, role_command};
use crate::answers::intent::RoleAssignments;
use crate::inventory::foreign::{ForeignSecret, ForeignVault};

/// What the keys of these steps begin with; the Function App comes after those that give roles.
pub(super) const ROLE_KEYS: &str = "role/foreign/";

impl Planner<'_> {
    pub(super) fn foreign_secrets(&mut self) -> Result<(), TemplateError> {
        let inventory = self.inventory;
        for secret in &inventory.foreign_secrets {
            if secret.resolved || self.lets_in(secret) {
                continue;
            }
            let key = format!("{ROLE_KEYS}{}/{}", secret.vault_name, secret.name);
            if self.has_step(&key) {
                continue;
            }
            match &secret.vault {
                Some(vault)
                    if vault.may_give_roles && self.intent.role_assignments == RoleAssignments::Installer =>
                {
                    self.give(secret, vault, &key)?;
                }
                vault => self.tell(secret, vault.as_ref()),
            }
        }
        Ok(())
    }

    /// Whether the vault itself shows that the worker may read a secret that no setting refers to.
    fn lets_in(&self, secret: &ForeignSecret) -> bool {
        let (None, Some(vault)) = (secret.setting, &secret.vault) else { return false };
        let Some(principal) = self.known("identity", "/properties/principalId") else { return false };
        let scope = format!("{}/secrets/{}", vault.id, secret.name);
        let by_role = self
            .inventory
            .assignments
            .iter()
            .any(|each| each.is(&scope, &principal, KEY_VAULT_SECRETS_USER.definition_id));
        by_role || vault.readers.iter().any(|reader| reader.eq_ignore_ascii_case(&principal))
    }

    /// Gives the worker the role on this one secret.
    fn give(&mut self, secret: &ForeignSecret, vault: &ForeignVault, key: &str) -> Result<(), TemplateError> {
        let scope = format!("{}/secrets/{}", vault.id, secret.name);
        let principal = output::mark("identity", "/properties/principalId");
        let mut context = desired::assignment(
            self.intent,
            KEY_VAULT_SECRETS_USER,
            &scope,
            &principal,
            "ServicePrincipal",
            "",
        );
        let rendered = self.templates.render("role_assignment", &context.take())?;
        let before = vec!["identity".to_owned()];
        let mut role =
            desired::resource(key, "role_assignment", rendered, &self.ids.group, before, Conduct::Role)?;
        role.title = format!(
            "role `{}` on secret `{}` of vault `{}`",
            KEY_VAULT_SECRETS_USER.name, secret.name, secret.vault_name
        );
        self.resource(role)
    }

    /// Says what the vault's owner has to do.
    fn tell(&mut self, secret: &ForeignSecret, vault: Option<&ForeignVault>) {
        let mark = output::mark("identity", "/properties/principalId");
        let principal = output::fill_text(&mark, &|step, pointer| self.known(step, pointer));
        let policy = format!(
            "az keyvault set-policy --name {} --object-id '{principal}' --secret-permissions get",
            secret.vault_name
        );
        let role = |vault_id: &str| {
            let scope = format!("{vault_id}/secrets/{}", secret.name);
            role_command(&scope, &principal, "ServicePrincipal", KEY_VAULT_SECRETS_USER.definition_id)
        };
        let (why, command) = match vault {
            Some(vault) if vault.by_roles => ("this account may not give roles there", role(&vault.id)),
            Some(_) => ("the vault decides by access policies, which are its owner's", policy),
            None => (
                "this account does not see the vault",
                format!(
                    "{policy} (a vault with access policies); {} (one with roles)",
                    role("<id of the vault>")
                ),
            ),
        };
        let message = format!(
            "the worker must be let read secret `{}` of vault `{}` by the vault's owner: {why}",
            secret.name, secret.vault_name
        );
        let shown = output::readable(&command);
        self.findings.push(Finding::warns("foreign-vault", message, shown));
        // Whether the owner has done it shows nowhere but in the runs, where no setting refers to the secret: told
        // once it is a step, and after that no plan is for ever without end.
        if secret.setting.is_none() && self.inventory.resource(&self.ids.function_app).is_some() {
            return;
        }
        self.steps.push(Step {
            key: format!("foreign/{}/{}", secret.vault_name, secret.name),
            title: format!("word to the owner of vault `{}` on secret `{}`", secret.vault_name, secret.name),
            action: Action::TellOwner { setting: secret.setting.map(str::to_owned), command },
            depends_on: vec!["identity".to_owned()],
            change: Change::Run,
            undo: None,
        });
    }
}
