//! Plans new versions of secrets in the installation's vault, with the right that it takes, given before
//! and taken back after.

use std::collections::BTreeMap;

use contract::resources::{KEY_VAULT_SECRETS_OFFICER, PACKAGE_TAG};

use super::change::Change;
use super::desired;
use super::ids::Ids;
use super::step::{Action, Finding, Rotation, Step, Watched};
use super::template::{TemplateError, Templates};
use super::{Plan, Planner, tag};
use crate::answers::intent::{Intent, RoleAssignments};
use crate::inventory::Inventory;

/// Key of the step that rotates. Its result says what became of it.
pub const ROTATE_STEP: &str = "rotate";
/// Name of the grant on the vault.
pub(super) const VAULT_GRANT: &str = "key_vault";

/// Plans giving new values to the secrets of these keys of the answers.
///
/// # Errors
/// [`TemplateError`] when a template does not give a resource; that is our fault.
pub fn rotation(
    intent: &Intent,
    inventory: &Inventory,
    answers: &[String],
    limit_secs: u64,
) -> Result<Plan, TemplateError> {
    let templates = Templates::read()?;
    let resources = desired::desired(templates, intent, inventory)?;
    let ids = Ids::of(&intent.subscription_id, &intent.resource_group, &inventory.names);
    let mut planner = Planner::new(intent, inventory, templates, &ids, &resources);
    planner.rotate(answers, limit_secs)?;
    planner.take_back()?;
    Ok(planner.finish())
}

impl Planner<'_> {
    fn rotate(&mut self, answers: &[String], limit_secs: u64) -> Result<(), TemplateError> {
        let Some(vault_uri) = self.known("key_vault", "/properties/vaultUri") else {
            self.findings.push(Finding::refuses(
                "no-vault",
                format!("the vault `{}` of the installation is not there", self.inventory.names.key_vault),
                "`mimecast-sentinel install` completes the installation",
            ));
            return Ok(());
        };
        let vault_id = self.ids.key_vault.clone();
        let grant = self.grant_role(
            &format!("grant/{VAULT_GRANT}"),
            KEY_VAULT_SECRETS_OFFICER,
            &vault_id,
            Vec::new(),
        )?;
        if self.intent.role_assignments == RoleAssignments::External {
            self.findings.push(Finding::notes(
                "role-needed",
                format!(
                    "you need the role `{}` on the vault `{}`: the old value is kept in memory to put it back, \
                     and the old version is disabled at the end",
                    KEY_VAULT_SECRETS_OFFICER.name, self.inventory.names.key_vault
                ),
            ));
        }
        let site = self.inventory.resource(&self.ids.function_app);
        let has_setting = self
            .inventory
            .settings
            .as_ref()
            .is_some_and(|settings| settings.contains_key(contract::settings::MIMECAST_SENTINEL_PACKAGE));
        // A worker that does not name its package in its rows is watched without.
        let sha256 = site
            .and_then(|site| tag(site, PACKAGE_TAG))
            .filter(|_| has_setting)
            .unwrap_or_default()
            .to_owned();
        let secrets: BTreeMap<String, String> =
            self.intent.vault_secrets().into_iter().filter(|(_, answer)| answers.contains(answer)).collect();
        // Only a run of the very account proves its new values.
        let rotated = self.intent.accounts.iter().filter(|account| answers.contains(&account.path));
        let accounts = rotated.map(|account| account.key.clone()).collect();
        let names: Vec<String> = secrets.keys().map(|name| format!("`{name}`")).collect();
        self.steps.push(Step {
            key: ROTATE_STEP.to_owned(),
            title: format!(
                "new version of {}, proven by a run, or else the old one is put back",
                names.join(", ")
            ),
            action: Action::RotateSecrets(Rotation {
                vault_id,
                vault_uri,
                secrets,
                watched: Watched {
                    site_id: self.ids.function_app.clone(),
                    installation: self.intent.name.clone(),
                    accounts,
                    workspace_customer_id: self.inventory.workspace.customer_id.clone(),
                    sha256,
                    limit_secs,
                },
            }),
            depends_on: grant.into_iter().collect(),
            change: Change::Run,
            undo: None,
        });
        Ok(())
    }
}
