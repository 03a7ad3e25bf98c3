//! What `--purge` takes away beyond the installation itself: tables, and deleted vaults for good.

use contract::streams::{AUDIT_TABLE, HEALTH_TABLE};
use serde_json::Value;

use super::{Extent, Removal, delete};
use crate::answers::intent::normal_location;
use crate::inventory::leftovers::VaultGone;
use crate::plan::change::Change;
use crate::plan::step::{Action, Finding, Step};
use crate::plan::template::{TemplateError, api_version};

impl Removal<'_> {
    /// Plans the tables; gives the keys of the steps. They go before the rule, which says where they are.
    pub(super) fn tables(&mut self, before: &[String]) -> Result<Vec<String>, TemplateError> {
        let mut keys = Vec::new();
        let Extent::Purge { tables } = self.extent else {
            self.findings.extend(self.leftovers.tables.iter().map(|table| {
                let message = format!(
                    "table `{}` stays, with its rows: other rules and queries may use it",
                    table.name
                );
                Finding::notes("tables", message)
            }));
            return Ok(keys);
        };
        for table in &self.leftovers.tables {
            let wanted = tables.iter().any(|each| each.eq_ignore_ascii_case(&table.name));
            match (table.stays(), wanted) {
                (None, true) => {
                    let key = format!("delete/{}", table.name);
                    let version = api_version("Microsoft.OperationalInsights/workspaces/tables")?;
                    let title = format!("table `{}`, with all its rows", table.name);
                    self.steps.push(delete(key.clone(), title, &table.id, version, before.to_vec()));
                    keys.push(key);
                }
                (None, false) => self.findings.push(Finding::notes(
                    "tables",
                    format!("table `{}` stays, since its name was not given", table.name),
                )),
                (Some(reason), true) => self.findings.push(Finding::refuses(
                    "table-needed",
                    format!("table `{}` cannot be deleted: {reason}", table.name),
                    "leave it out of --purge-table",
                )),
                (Some(reason), false) => {
                    let message = format!("table `{}` stays: {reason}", table.name);
                    self.findings.push(Finding::notes("tables", message));
                }
            }
        }
        for name in tables {
            if self.leftovers.tables.iter().any(|table| table.name.eq_ignore_ascii_case(name)) {
                continue;
            }
            let ours = [AUDIT_TABLE, HEALTH_TABLE].iter().any(|table| table.eq_ignore_ascii_case(name));
            self.findings.push(if !ours {
                Finding::refuses(
                    "no-table",
                    format!("there is no table `{name}` that this installation feeds"),
                    "leave it out of --purge-table",
                )
            } else if self.inventory.workspace.id.is_empty() {
                Finding::notes("tables", format!("table `{name}` was not looked for"))
            } else {
                // An attempt that was stopped may have deleted it.
                Finding::notes("tables", format!("table `{name}` is not there"))
            });
        }
        Ok(keys)
    }

    /// Plans what becomes of the vault after its deletion, which leaves it recoverable.
    pub(super) fn vault(&mut self, vault: &Value, deletion: &str) -> Result<(), TemplateError> {
        let name = vault["name"].as_str().unwrap_or_default();
        if !matches!(self.extent, Extent::Purge { .. }) {
            self.findings.push(Finding::notes(
                "vault-recoverable",
                format!(
                    "vault `{name}` is deleted so that it can be recovered; an installation of the same name recovers it, and until it ends by itself its name is taken"
                ),
            ));
            return Ok(());
        }
        let location = normal_location(vault["location"].as_str().unwrap_or_default());
        let gone = VaultGone {
            id: format!(
                "/subscriptions/{}/providers/Microsoft.KeyVault/locations/{location}/deletedVaults/{name}",
                self.subject.subscription_id
            ),
            name: name.to_owned(),
            protected: vault["properties"]["enablePurgeProtection"] == true,
        };
        self.for_good(&gone, vec![deletion.to_owned()])
    }

    /// Plans the vaults that an earlier teardown deleted.
    pub(super) fn deleted_vaults(&mut self) -> Result<(), TemplateError> {
        if matches!(self.extent, Extent::Purge { .. }) {
            for gone in &self.leftovers.deleted_vaults {
                self.for_good(gone, Vec::new())?;
            }
        }
        Ok(())
    }

    /// Purges a deleted vault, or says why not before anything is done.
    fn for_good(&mut self, gone: &VaultGone, depends_on: Vec<String>) -> Result<(), TemplateError> {
        let VaultGone { id, name, protected } = gone;
        if *protected {
            self.findings.push(Finding::warns(
                "vault-protected",
                format!("vault `{name}` has purge protection and cannot be purged"),
                "it is deleted, can be recovered, and ends by itself when its days are over",
            ));
            return Ok(());
        }
        if self.leftovers.may_purge == Some(false) {
            let location = id.split('/').nth_back(2).unwrap_or_default();
            self.findings.push(Finding::warns(
                "vault-right",
                format!("this account may not purge vault `{name}`, which is a right on the subscription"),
                format!("whoever has it: az keyvault purge --name {name} --location {location}"),
            ));
            return Ok(());
        }
        self.steps.push(Step {
            key: format!("purge/{name}"),
            title: format!("vault `{name}`, purged for good"),
            action: Action::PurgeVault {
                id: id.clone(),
                api_version: api_version("Microsoft.KeyVault/vaults")?.to_owned(),
            },
            depends_on,
            change: Change::Delete,
            undo: None,
        });
        Ok(())
    }
}
