//! What `--purge` takes away beyond the installation itself: tables, and deleted vaults for good.

use serde_json::Value;

use super::{Extent, Subject, delete};
use crate::inventory::leftovers::{Leftovers, VaultGone};
use crate::plan::change::Change;
use crate::plan::step::{Action, Finding, Step};
use crate::plan::template::{TemplateError, api_version};

/// Plans the tables; gives the keys of the steps. They go before the rule, which says where they are.
pub(super) fn tables(
    leftovers: &Leftovers,
    extent: &Extent,
    before: &[String],
    steps: &mut Vec<Step>,
    findings: &mut Vec<Finding>,
) -> Result<Vec<String>, TemplateError> {
    let mut keys = Vec::new();
    let Extent::Purge { tables } = extent else {
        for table in &leftovers.tables {
            findings.push(Finding::notes(
                "tables",
                format!("table `{}` stays, with its rows: other rules and queries may use it", table.name),
            ));
        }
        return Ok(keys);
    };
    for table in &leftovers.tables {
        let wanted = tables.iter().any(|each| each.eq_ignore_ascii_case(&table.name));
        match (table.stays(), wanted) {
            (None, true) => {
                let key = format!("delete/{}", table.name);
                let version = api_version("Microsoft.OperationalInsights/workspaces/tables")?;
                let title = format!("table `{}`, with all its rows", table.name);
                steps.push(delete(key.clone(), title, &table.id, version, before.to_vec()));
                keys.push(key);
            }
            (None, false) => findings.push(Finding::notes(
                "tables",
                format!("table `{}` stays, since its name was not given", table.name),
            )),
            (Some(reason), true) => findings.push(Finding::refuses(
                "table-needed",
                format!("table `{}` cannot be deleted: {reason}", table.name),
                "leave it out of --purge-table",
            )),
            (Some(reason), false) => {
                findings.push(Finding::notes("tables", format!("table `{}` stays: {reason}", table.name)))
            }
        }
    }
    for name in tables {
        if !leftovers.tables.iter().any(|table| table.name.eq_ignore_ascii_case(name)) {
            findings.push(Finding::refuses(
                "no-table",
                format!("there is no table `{name}` that this installation feeds"),
                "leave it out of --purge-table",
            ));
        }
    }
    Ok(keys)
}

/// Plans what becomes of the vault after its deletion, which leaves it recoverable.
pub(super) fn vault(
    subject: &Subject,
    vault: &Value,
    leftovers: &Leftovers,
    extent: &Extent,
    deletion: &str,
    steps: &mut Vec<Step>,
    findings: &mut Vec<Finding>,
) -> Result<(), TemplateError> {
    let name = vault["name"].as_str().unwrap_or_default();
    if !matches!(extent, Extent::Purge { .. }) {
        findings.push(Finding::notes(
            "vault-recoverable",
            format!(
                "vault `{name}` is deleted so that it can be recovered; an installation of the same name recovers it, and until it ends by itself its name is taken"
            ),
        ));
        return Ok(());
    }
    let location: String = vault["location"]
        .as_str()
        .unwrap_or_default()
        .chars()
        .filter(|each| !each.is_whitespace())
        .collect::<String>()
        .to_ascii_lowercase();
    let gone = VaultGone {
        id: format!(
            "/subscriptions/{}/providers/Microsoft.KeyVault/locations/{location}/deletedVaults/{name}",
            subject.subscription_id
        ),
        name: name.to_owned(),
        protected: vault["properties"]["enablePurgeProtection"] == true,
    };
    for_good(&gone, leftovers, vec![deletion.to_owned()], steps, findings)
}

/// Plans the vaults that an earlier teardown deleted.
pub(super) fn deleted_vaults(
    leftovers: &Leftovers,
    extent: &Extent,
    steps: &mut Vec<Step>,
    findings: &mut Vec<Finding>,
) -> Result<(), TemplateError> {
    if matches!(extent, Extent::Purge { .. }) {
        for gone in &leftovers.deleted_vaults {
            for_good(gone, leftovers, Vec::new(), steps, findings)?;
        }
    }
    Ok(())
}

/// Purges a deleted vault, or says why not before anything is done.
fn for_good(
    gone: &VaultGone,
    leftovers: &Leftovers,
    depends_on: Vec<String>,
    steps: &mut Vec<Step>,
    findings: &mut Vec<Finding>,
) -> Result<(), TemplateError> {
    let VaultGone { id, name, protected } = gone;
    if *protected {
        findings.push(Finding::warns(
            "vault-protected",
            format!("vault `{name}` has purge protection and cannot be purged"),
            "it is deleted, can be recovered, and ends by itself when its days are over",
        ));
        return Ok(());
    }
    if leftovers.may_purge == Some(false) {
        let location = id.split('/').nth_back(2).unwrap_or_default();
        findings.push(Finding::warns(
            "vault-right",
            format!("this account may not purge vault `{name}`, which is a right on the subscription"),
            format!("whoever has it: az keyvault purge --name {name} --location {location}"),
        ));
        return Ok(());
    }
    steps.push(Step {
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
