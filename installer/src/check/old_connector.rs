//! An older Mimecast connector in the group: both at work means that everything is collected twice.
//!
//! Its Function App may have any name. What tells it is the place that it keeps: a container, or in its later
//! forms a file share (facts/reference.md G1 to G4). Settings of an app that is not ours are not read: they hold
//! secrets.

use contract::resources::CHECKPOINT_CONTAINER;
use serde_json::Value;

use super::{Check, Side};
use crate::answers::Intent;
use crate::azure::{Azure, ResourceId};
use crate::inventory::{Inventory, installation_of};
use crate::plan::template::{RESOURCES_VERSION, api_version};

/// The file share in which the later forms keep their place, and its file.
const SHARE: &str = "mimecast-checkpoints";
const FILE: &str = "Audit";

/// Where an older connector keeps its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// `checkpoint.txt` in a container.
    Container,
    /// A file of a share.
    Share,
}

/// A place that was found, with the storage account that has it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Kept {
    account: String,
    place: Place,
}

/// Looks for Function Apps and places that are not ours and look like an older connector's. Whoever may not see
/// them cannot be warned of them.
pub(super) async fn check(azure: &Azure, intent: &Intent, inventory: &Inventory) -> Vec<Check> {
    let group = format!("/subscriptions/{}/resourceGroups/{}", intent.subscription_id, intent.resource_group);
    if inventory.resource(&group).is_none() {
        return Vec::new();
    }
    let sites = others(azure, &group, "Microsoft.Web/sites").await;
    if sites.is_empty() {
        return Vec::new();
    }
    let mut kept = Vec::new();
    for account in others(azure, &group, "Microsoft.Storage/storageAccounts").await {
        kept.extend(places(azure, &account).await);
    }
    let sites: Vec<&str> = sites.iter().filter_map(|site| site["name"].as_str()).collect();
    found(&sites, &kept, &intent.resource_group)
}

/// Resources of a type in the group that no installation of ours has marked.
async fn others(azure: &Azure, group: &str, kind: &str) -> Vec<Value> {
    let kind = kind.replace('/', "%2F");
    let path = format!("{group}/resources?%24filter=resourceType%20eq%20%27{kind}%27");
    let all = azure.list(&path, RESOURCES_VERSION).await.unwrap_or_default();
    all.into_iter().filter(|each| installation_of(each).is_none()).collect()
}

/// The places of an older connector in this storage account.
async fn places(azure: &Azure, account: &Value) -> Vec<Kept> {
    let (Some(id), Some(name)) = (account["id"].as_str(), account["name"].as_str()) else {
        return Vec::new();
    };
    let version = api_version("Microsoft.Storage/storageAccounts").unwrap_or_default();
    let there = async |path: String| match ResourceId::parse(&path) {
        Ok(id) => azure.get(&id, version).await.is_ok_and(|found| found.is_some()),
        Err(_) => false,
    };
    let (container, share) = futures::join!(
        there(format!("{id}/blobServices/default/containers/{CHECKPOINT_CONTAINER}")),
        there(format!("{id}/fileServices/default/shares/{SHARE}")),
    );
    [(container, Place::Container), (share, Place::Share)]
        .into_iter()
        .filter(|(there, _)| *there)
        .map(|(_, place)| Kept { account: name.to_owned(), place })
        .collect()
}

/// What is to be said of these Function Apps and places.
fn found(sites: &[&str], kept: &[Kept], group: &str) -> Vec<Check> {
    let named: Vec<&str> =
        sites.iter().filter(|name| name.to_ascii_lowercase().contains("mimecast")).copied().collect();
    // Where no name tells it, each of them may be the one.
    let suspects = if named.is_empty() { sites } else { named.as_slice() };
    let what = match (named.as_slice(), kept) {
        ([], []) => return Vec::new(),
        ([], [Kept { account, place }, ..]) => {
            let place = match place {
                Place::Container => format!("container `{CHECKPOINT_CONTAINER}`"),
                Place::Share => format!("file share `{SHARE}`"),
            };
            format!(
                "the storage account `{account}` of this group keeps the place of an older Mimecast connector ({place}); its Function App is {} `{}`",
                if suspects.len() == 1 { "likely" } else { "one of" },
                suspects.join("`, `")
            )
        }
        (names, _) => format!(
            "the Function App `{}` in this group looks like an older Mimecast connector",
            names.join("`, `")
        ),
    };
    let stop =
        suspects.iter().map(|name| format!("az functionapp stop --name {name} --resource-group {group}"));
    let mut remedy = vec![
        "both at work collect everything twice. After `install` and `mimecast-sentinel pause`, stop the old one:".to_owned(),
    ];
    remedy.extend(stop);
    // Of a place that was not seen either may be.
    let share = kept.iter().find(|kept| kept.place == Place::Share);
    if kept.is_empty() || kept.iter().any(|kept| kept.place == Place::Container) {
        remedy.push(format!(
            "copy its `checkpoint.txt` into the container `{CHECKPOINT_CONTAINER}` of this installation, then `mimecast-sentinel resume`: docs/operations.md, \"Take over from the old connector\""
        ));
    }
    if let Some(Kept { account, .. }) = share {
        remedy.push(format!(
            "its place is the file `{FILE}` of the share `{SHARE}` in `{account}`, of a form that is not ours: write its `start_time` alone into `checkpoint.txt` of this installation, or begin with a `collect.first_run` that reaches back to it, then `mimecast-sentinel resume`: docs/operations.md, \"Take over from the old connector\""
        ));
    }
    vec![Check::warns("old-connector", Side::Azure, "other connectors", what, remedy.join("\n"))]
}

#[cfg(test)]
mod tests {
    use super::{Kept, Place, found};

    fn kept(account: &str, place: Place) -> Kept {
        Kept { account: account.to_owned(), place }
    }

    #[test]
    fn a_name_or_a_place_tells_it_and_neither_tells_nothing() {
        assert_eq!(found(&["reports"], &[], "rg").len(), 0);
        let named = found(&["MimecastAuditOld", "reports"], &[], "rg").remove(0);
        assert!(named.result.contains("`MimecastAuditOld` in this group"), "{}", named.result);
        let remedy = named.remedy.expect("a remedy");
        assert!(
            remedy.contains("az functionapp stop --name MimecastAuditOld --resource-group rg\n"),
            "{remedy}"
        );
        assert!(!remedy.contains("reports"), "{remedy}");
        let by_place = found(&["audit7f3", "reports"], &[kept("staudit", Place::Container)], "rg").remove(0);
        for part in ["`staudit`", "`audit-checkpoints`", "one of `audit7f3`, `reports`"] {
            assert!(by_place.result.contains(part), "{part} in {}", by_place.result);
        }
    }

    #[test]
    fn the_place_of_a_share_is_not_copied_but_begun_from() {
        let later = found(&["audit7f3"], &[kept("staudit", Place::Share)], "rg").remove(0);
        let remedy = later.remedy.expect("a remedy");
        for part in ["`mimecast-checkpoints`", "`start_time`", "collect.first_run"] {
            assert!(remedy.contains(part), "{part} in {remedy}");
        }
        assert!(!remedy.contains("copy its `checkpoint.txt`"), "{remedy}");
    }
}
