//! Where in Azure: subscription, workspace, resource group and region, each listed.

use futures::{StreamExt, stream};
use serde_json::Value;

use super::{Asked, Guide};
use crate::answers::intent::normal_location;
use crate::azure::{Azure, AzureError};
use crate::check::region::{flex_memory, flex_regions};
use crate::commands::gather;
use crate::plan::template::{RESOURCES_VERSION, SITES_VERSION, api_version};
use crate::ui::{Failure, Turn};

/// Reads that are under way at the same time.
const READS_AT_ONCE: usize = 8;
/// Subscriptions whose workspaces are listed; whoever sees more names the workspace by its id.
const SUBSCRIPTIONS_LOOKED_INTO: usize = 30;

/// A subscription that the account sees.
pub(super) struct Subscription {
    id: String,
    name: String,
    tenant_id: Option<String>,
}

/// The subscriptions that can be installed into, by name.
pub(super) async fn subscriptions(azure: &Azure) -> Result<Vec<Subscription>, AzureError> {
    let mut all: Vec<Subscription> = azure
        .list("/subscriptions", RESOURCES_VERSION)
        .await?
        .iter()
        // Nothing can be made in one that is disabled, deleted or warned of.
        .filter(|each| matches!(each["state"].as_str(), None | Some("Enabled" | "PastDue")))
        .filter_map(|each| {
            let id = each["subscriptionId"].as_str()?.to_owned();
            let name = each["displayName"].as_str().unwrap_or(&id).to_owned();
            Some(Subscription { id, name, tenant_id: each["tenantId"].as_str().map(str::to_owned) })
        })
        .collect();
    all.sort_by_key(|each| each.name.to_lowercase());
    Ok(all)
}

impl Guide<'_> {
    /// Which subscription, and so which tenant.
    pub(super) async fn subscription(&mut self) -> Asked {
        let mut entries: Vec<String> =
            self.subscriptions.iter().map(|each| format!("{} ({})", each.name, each.id)).collect();
        entries.push("another one, by its id".to_owned());
        loop {
            let Turn::Given(place) = self.ui.choose(self.world, "Subscription", &entries, 0).await? else {
                return Ok(Turn::Back);
            };
            let Some(chosen) = self.subscriptions.get(place) else {
                match self.other("azure.subscription_id", "Subscription id").await? {
                    Turn::Back => continue,
                    Turn::Given(()) => return Ok(Turn::Given(())),
                }
            };
            let (id, tenant_id) = (chosen.id.clone(), chosen.tenant_id.clone());
            if let Some(tenant_id) = tenant_id {
                if !self.sign_in_to(&tenant_id).await? {
                    continue;
                }
                self.put("azure.tenant_id", &tenant_id);
            }
            self.put("azure.subscription_id", &id);
            return Ok(Turn::Given(()));
        }
    }

    /// Signs in to another tenant where the subscription is of another: a guest's token is of the home
    /// tenant unless another is asked for. Says whether that went well.
    async fn sign_in_to(&mut self, tenant_id: &str) -> Result<bool, Failure> {
        let now = self.azure.signed_in().tenant_id.as_deref();
        if now.is_none_or(|now| now.eq_ignore_ascii_case(tenant_id)) {
            return Ok(true);
        }
        let cloud = self.azure.cloud().clone();
        match gather::connect(self.world, self.ui, self.global, &cloud, Some(tenant_id)).await {
            Ok(azure) => {
                self.azure = azure;
                Ok(true)
            }
            Err(failure) => {
                self.ui.explain("That subscription is of another tenant", &failure.text());
                Ok(false)
            }
        }
    }

    /// Which workspace.
    pub(super) async fn workspace(&mut self) -> Asked {
        let found = self.workspaces().await;
        let mut entries: Vec<String> = found.iter().map(|each| each.label.clone()).collect();
        entries.push("another one, by its resource id or workspace id".to_owned());
        loop {
            let Turn::Given(place) = self.ui.choose(self.world, "Workspace", &entries, 0).await? else {
                return Ok(Turn::Back);
            };
            if let Some(chosen) = found.get(place) {
                self.put("workspace.resource_id", &chosen.id);
                return Ok(Turn::Given(()));
            }
            loop {
                match self.ui.field(self.world, "Resource id or workspace id", None).await? {
                    Turn::Back => break,
                    Turn::Given(text) => {
                        let path = if text.starts_with('/') {
                            "workspace.resource_id"
                        } else {
                            "workspace.workspace_id"
                        };
                        if self.put_checked(path, &text) {
                            return Ok(Turn::Given(()));
                        }
                    }
                }
            }
        }
    }

    /// The workspaces that the account sees, those of the chosen subscription first.
    async fn workspaces(&self) -> Vec<Workspace> {
        let own = self.value("azure.subscription_id").unwrap_or_default();
        let mut ids: Vec<(String, String)> =
            self.subscriptions.iter().map(|each| (each.id.clone(), each.name.clone())).collect();
        if !ids.iter().any(|(id, _)| id.eq_ignore_ascii_case(&own)) {
            ids.push((own.clone(), own.clone()));
        }
        ids.sort_by_key(|(id, _)| !id.eq_ignore_ascii_case(&own));
        ids.truncate(SUBSCRIPTIONS_LOOKED_INTO);
        let azure = &self.azure;
        let version = api_version("Microsoft.OperationalInsights/workspaces").unwrap_or_default();
        let lists: Vec<Vec<Workspace>> = stream::iter(ids)
            .map(|(id, name)| async move {
                let path = format!("/subscriptions/{id}/providers/Microsoft.OperationalInsights/workspaces");
                // What the account may not see it cannot choose either.
                let all = azure.list(&path, version).await.unwrap_or_default();
                let mut all: Vec<Workspace> =
                    all.iter().filter_map(|each| Workspace::of(each, &name)).collect();
                all.sort_by(|one, other| one.label.cmp(&other.label));
                all
            })
            .buffered(READS_AT_ONCE)
            .collect()
            .await;
        lists.into_iter().flatten().collect()
    }

    /// Which resource group: one that is made, or one that is there.
    pub(super) async fn resource_group(&mut self) -> Asked {
        let new = format!("rg-{}", self.value("name").unwrap_or_default());
        let mut groups = match self.list_groups().await {
            Ok(groups) => groups,
            Err(error) => {
                self.unlisted("Resource groups", &error);
                Vec::new()
            }
        };
        groups.retain(|group| !group.eq_ignore_ascii_case(&new));
        let mut entries = vec![format!("{new} (made where it is not there)"), "another new one".to_owned()];
        entries.extend(groups.iter().cloned());
        loop {
            match self.ui.choose(self.world, "Resource group", &entries, 0).await? {
                Turn::Back => return Ok(Turn::Back),
                Turn::Given(0) => self.put("azure.resource_group", &new),
                Turn::Given(1) => {
                    if self.other("azure.resource_group", "Name of the new group").await? == Turn::Back {
                        continue;
                    }
                }
                Turn::Given(place) => {
                    let Some(group) = groups.get(place - 2) else { continue };
                    self.put("azure.resource_group", group);
                }
            }
            return Ok(Turn::Given(()));
        }
    }

    async fn list_groups(&self) -> Result<Vec<String>, AzureError> {
        let subscription = self.value("azure.subscription_id").unwrap_or_default();
        let path = format!("/subscriptions/{subscription}/resourcegroups");
        let all = self.azure.list(&path, RESOURCES_VERSION).await?;
        let mut names: Vec<String> =
            all.iter().filter_map(|each| each["name"].as_str()).map(str::to_owned).collect();
        names.sort_by_key(|name| name.to_lowercase());
        Ok(names)
    }

    /// Which region, of those in which the worker runs on the chosen plan.
    pub(super) async fn region(&mut self) -> Asked {
        let mut regions = match self.regions().await {
            Ok(regions) => regions,
            Err(error) => {
                self.unlisted("Regions", &error);
                Vec::new()
            }
        };
        regions.sort_unstable();
        let near = self.workspace_region().await;
        if let Some(near) = near.filter(|near| regions.contains(near)) {
            regions.retain(|each| *each != near);
            regions.insert(0, near);
        }
        let mut entries = regions.clone();
        entries.push("another one, by its name".to_owned());
        loop {
            let Turn::Given(place) = self.ui.choose(self.world, "Region", &entries, 0).await? else {
                return Ok(Turn::Back);
            };
            match regions.get(place) {
                Some(region) => self.put("azure.location", region),
                None => {
                    if self.other("azure.location", "Region").await? == Turn::Back {
                        continue;
                    }
                }
            }
            return Ok(Turn::Given(()));
        }
    }

    async fn regions(&self) -> Result<Vec<String>, AzureError> {
        let subscription = self.value("azure.subscription_id").unwrap_or_default();
        if self.value("hosting.plan").as_deref() == Some("dedicated") {
            let path = format!("/subscriptions/{subscription}/providers/Microsoft.Web/geoRegions");
            let all = self.azure.list(&path, SITES_VERSION).await?;
            return Ok(all.iter().filter_map(|each| each["name"].as_str()).map(normal_location).collect());
        }
        let azure = &self.azure;
        let all: Vec<Option<String>> = stream::iter(flex_regions(azure, &subscription).await?)
            .map(|region| async move {
                // A region that does not say is listed: the checks look again before anything is made.
                let absent = matches!(flex_memory(azure, &region).await, Ok(None));
                (!absent).then_some(region)
            })
            .buffered(READS_AT_ONCE)
            .collect()
            .await;
        Ok(all.into_iter().flatten().collect())
    }

    /// The region of the chosen workspace, where it can be read.
    async fn workspace_region(&self) -> Option<String> {
        let id = self.value("workspace.resource_id")?;
        let id = crate::azure::ResourceId::parse(&id).ok()?;
        let version = api_version("Microsoft.OperationalInsights/workspaces").ok()?;
        let found = self.azure.get(&id, version).await.ok()??;
        found["location"].as_str().map(normal_location)
    }
}

/// A workspace of a list.
struct Workspace {
    id: String,
    label: String,
}

impl Workspace {
    fn of(found: &Value, subscription: &str) -> Option<Self> {
        let id = found["id"].as_str()?.to_owned();
        let name = found["name"].as_str()?;
        let region = normal_location(found["location"].as_str().unwrap_or_default());
        let group = id.split('/').nth(4).unwrap_or_default();
        let label = format!("{name} ({region}, group {group}, {subscription})");
        Some(Self { id, label })
    }
}
