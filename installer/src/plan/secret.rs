//! Plans the secrets of our vault. Their values cannot be compared: one that is there is kept, unless what
//! is kept beside it has changed.

use contract::settings::MIMECAST_SENTINEL_ANSWERS;
use serde_json::Value;

use super::change::{Change, PropertyChange};
use super::desired::Desired;
use super::step::{Action, Step};
use super::{Kept, Planner, output};
use crate::answers::recorded;

impl Planner<'_> {
    pub(super) fn secret(&mut self, resource: Desired, answer: String) {
        let actual = self.inventory.resource(&resource.id);
        let changes = if actual.is_some() { self.account_changes(&answer) } else { Vec::new() };
        if let Some(actual) = actual.filter(|_| changes.is_empty()) {
            let version = actual["properties"]["secretUriWithVersion"]
                .as_str()
                .and_then(|uri| uri.rsplit('/').next())
                .map(|version| format!(", version {version}"))
                .unwrap_or_default();
            self.kept.push(Kept {
                key: resource.key.clone(),
                title: format!("{} (its value is kept{version})", resource.title),
            });
            return;
        }
        let vault_uri = output::mark("key_vault", "/properties/vaultUri");
        self.steps.push(Step {
            key: resource.key,
            title: resource.title,
            action: Action::PutSecret {
                vault_id: self.ids.key_vault.clone(),
                vault_uri: output::fill_text(&vault_uri, &|step, pointer| self.known(step, pointer)),
                name: resource.id.rsplit('/').next().unwrap_or_default().to_owned(),
                answer,
            },
            depends_on: resource.depends_on,
            change: if changes.is_empty() { Change::Create } else { Change::Update(changes) },
            // It goes with its vault.
            undo: None,
        });
    }

    /// What the secret of one of several accounts holds beside its secrets, as far as it differs from what
    /// was recorded when it was written: its value cannot be compared, and no app setting has it.
    fn account_changes(&self, path: &str) -> Vec<PropertyChange> {
        let account = self.intent.accounts.iter().find(|account| account.path == path);
        let settings = self.inventory.settings.as_ref();
        let recorded = settings.and_then(|settings| settings.get(MIMECAST_SENTINEL_ANSWERS));
        let (Some(account), Some(recorded)) = (account, recorded) else { return Vec::new() };
        let changes = recorded::account_differences(recorded, &self.intent.recorded, &account.key);
        changes
            .into_iter()
            .map(|(word, before, after)| PropertyChange {
                path: word,
                before: before.map(Value::from),
                after: after.map_or(Value::Null, Value::from),
            })
            .collect()
    }
}
