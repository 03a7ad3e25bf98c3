//! Plans the vault whose name a deleted one holds.

use super::Planner;
use super::change::Change;
use super::desired::Desired;
use super::step::{Action, Finding, Step};
use crate::answers::intent::OnDeletedVault;

impl Planner<'_> {
    pub(super) fn deleted_vault(&mut self, resource: &mut Desired) {
        if let Some(deleted) = &self.inventory.deleted_vault {
            if deleted.ours && self.intent.on_deleted_vault == OnDeletedVault::Purge {
                let key = "key_vault/purge".to_owned();
                self.steps.push(Step {
                    key: key.clone(),
                    title: format!("deleted {}, purged for good", resource.title),
                    action: Action::PurgeVault {
                        id: deleted.id.clone(),
                        api_version: resource.api_version.to_owned(),
                    },
                    depends_on: resource.depends_on.clone(),
                    change: Change::Run,
                    undo: None,
                });
                resource.depends_on.push(key);
            } else if deleted.ours {
                self.findings.push(Finding::notes(
                    "deleted-vault",
                    format!(
                        "{} was deleted and is recovered, with the secrets that were in it",
                        resource.title
                    ),
                ));
            } else {
                self.findings.push(Finding::refuses(
                    "deleted-vault",
                    format!(
                        "the name of {} is held by a deleted vault that was `{}`",
                        resource.title, deleted.vault_id
                    ),
                    "choose another `name`, or have that vault purged by its owner",
                ));
            }
        }
    }
}
