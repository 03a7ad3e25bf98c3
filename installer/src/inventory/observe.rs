//! Reads what Azure has: the installation, its parts, and the workspace.

use std::collections::BTreeMap;

use contract::resources::{CHECKPOINT_CONTAINER, INSTALLATION_TAG, PACKAGES_CONTAINER, ResourceNames};
use contract::settings::MIMECAST_SENTINEL_ANSWERS;
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::Value;

use super::{
    Assignment, Caller, DeletedVault, Inventory, Provider, Workspace, content, foreign, installation_of,
    names_of,
};
use crate::answers::intent::{Intent, OnDeletedVault, WorkspaceAnswer, normal_location};
use crate::azure::{Azure, AzureError, ResourceId};
use crate::plan::desired::{Conduct, desired};
use crate::plan::ids::Ids;
use crate::plan::removal::Subject;
use crate::plan::template::{TemplateError, Templates, api_version};

/// Reads that are under way at the same time.
const READS_AT_ONCE: usize = 12;

/// Names of a vault that are tried where deleted ones hold the first.
const VAULT_NAMES_TRIED: u32 = 9;

/// The providers whose resources are made. Authorization is always there.
const PROVIDERS: &[&str] = &[
    "Microsoft.Web",
    "Microsoft.Storage",
    "Microsoft.KeyVault",
    "Microsoft.Insights",
    "Microsoft.ManagedIdentity",
];
/// The provider that is needed where the workspace is.
const WORKSPACE_PROVIDERS: &[&str] = &["Microsoft.OperationalInsights"];

/// Why the inventory could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// Azure refused a read.
    #[error("reading what Azure has")]
    Read(#[from] AzureError),
    /// A template did not give its resource.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The workspace is not there, or may not be seen.
    #[error("the workspace `{0}` is not there, or this account may not read it")]
    NoWorkspace(String),
    /// The account's object id is not in its token.
    #[error("the token of this account names no {0}")]
    Anonymous(&'static str),
}

impl From<crate::azure::IdError> for InventoryError {
    fn from(error: crate::azure::IdError) -> Self {
        Self::Read(AzureError::Id(error))
    }
}

/// Takes the inventory that a plan for these answers needs.
///
/// # Errors
/// [`InventoryError`] when Azure refuses a read or the workspace is not there.
pub async fn observe(azure: &Azure, intent: &Intent) -> Result<Inventory, InventoryError> {
    let caller = caller(azure)?;
    let subject = Subject {
        installation: intent.name.clone(),
        subscription_id: intent.subscription_id.clone(),
        resource_group: intent.resource_group.clone(),
    };
    let (workspace, owned) =
        futures::future::try_join(workspace(azure, intent), owned(azure, &subject)).await?;
    let names = names_of(&intent.name, &intent.subscription_id, &intent.resource_group, &owned);
    let mut inventory = empty(caller, workspace, names, owned);

    if intent.on_deleted_vault == OnDeletedVault::NewName {
        free_vault_name(azure, intent, &mut inventory).await?;
    }
    let templates = Templates::read()?;
    let wanted = desired(templates, intent, &inventory)?;
    let reads: Vec<(String, &'static str)> = wanted
        .iter()
        // Roles are listed by scope, and content in the workspace is listed as a whole.
        .filter(|resource| resource.conduct != Conduct::Role && !content::listed(resource))
        .map(|resource| (resource.id.clone(), resource.api_version))
        .collect();
    let ids = Ids::of(&intent.subscription_id, &intent.resource_group, &inventory.names);
    let (resources, providers, content) = futures::future::try_join3(
        read_all(azure, reads),
        providers(azure, intent, &inventory.workspace),
        content::observe(azure, &inventory.workspace.id),
    )
    .await?;
    inventory.resources = resources;
    inventory.providers = providers;
    (inventory.sentinel, inventory.content) = (content.sentinel, content.items);

    let scopes: Vec<String> = wanted
        .iter()
        .filter_map(|resource| resource.scope.clone().filter(|_| resource.conduct == Conduct::Role))
        .chain([ids.container(CHECKPOINT_CONTAINER), ids.container(PACKAGES_CONTAINER)])
        .collect();
    let there = inventory.resource(&ids.key_vault).is_some();
    let deleted = async {
        if there {
            Ok(None)
        } else {
            deleted_vault(azure, intent, &inventory, &inventory.names.key_vault).await
        }
    };
    let (assignments, deleted_vault) =
        futures::future::try_join(assignments(azure, &inventory.resources, scopes), deleted).await?;
    inventory.assignments = assignments;
    inventory.deleted_vault = deleted_vault;
    site(azure, &ids, &mut inventory).await?;
    foreign::observe(azure, intent, &ids, &mut inventory).await?;
    Ok(inventory)
}

/// Takes the inventory of an installation without its answers: from tags, by name. Its content is looked
/// for in the workspace that its rule sends to, or its recorded answers name; `workspace_id` is the one to
/// look in where both are gone.
///
/// # Errors
/// [`InventoryError`] when Azure refuses a read.
pub async fn observe_installation(
    azure: &Azure,
    subject: &Subject,
    workspace_id: Option<&str>,
) -> Result<Inventory, InventoryError> {
    let caller = caller(azure)?;
    let owned = owned(azure, subject).await?;
    let names = names_of(&subject.installation, &subject.subscription_id, &subject.resource_group, &owned);
    let ids = Ids::of(&subject.subscription_id, &subject.resource_group, &names);
    let workspace = Workspace { id: String::new(), customer_id: String::new(), location: String::new() };
    let mut inventory = empty(caller, workspace, names, owned);

    let mut reads = vec![(ids.group.clone(), api_version("Microsoft.Resources/resourceGroups")?)];
    for resource in &inventory.owned {
        if let (Some(id), Some(kind)) = (resource["id"].as_str(), resource["type"].as_str())
            && let Ok(version) = api_version(kind)
        {
            reads.push((id.to_owned(), version));
        }
    }
    inventory.resources = read_all(azure, reads).await?;
    let mut scopes: Vec<String> =
        inventory.owned.iter().filter_map(|resource| resource["id"].as_str().map(str::to_owned)).collect();
    if inventory.resource(&ids.storage_account).is_some() {
        scopes.extend([ids.container(CHECKPOINT_CONTAINER), ids.container(PACKAGES_CONTAINER)]);
    }
    let present: BTreeMap<String, Value> =
        scopes.iter().map(|scope| (scope.to_ascii_lowercase(), Value::Null)).collect();
    inventory.assignments = assignments(azure, &present, scopes).await?;
    let destination = inventory
        .resource(&ids.data_collection_rule)
        .and_then(|rule| {
            rule["properties"]["destinations"]["logAnalytics"][0]["workspaceResourceId"].as_str()
        })
        .map(str::to_owned);
    inventory.workspace.id = destination.unwrap_or_default();
    site(azure, &ids, &mut inventory).await?;
    if inventory.workspace.id.is_empty() {
        inventory.workspace.id = recorded_workspace(inventory.settings.as_ref())
            .or_else(|| workspace_id.map(str::to_owned))
            .unwrap_or_default();
    }
    if !inventory.workspace.id.is_empty() {
        inventory.content = content::observe(azure, &inventory.workspace.id).await?.items;
    }
    Ok(inventory)
}

/// The workspace of the recorded answers: for an installation whose rule is not there.
fn recorded_workspace(settings: Option<&BTreeMap<String, String>>) -> Option<String> {
    let answers: Value = serde_json::from_str(settings?.get(MIMECAST_SENTINEL_ANSWERS)?).ok()?;
    answers["workspace"]["resource_id"].as_str().map(str::to_owned)
}

fn empty(caller: Caller, workspace: Workspace, names: ResourceNames, owned: Vec<Value>) -> Inventory {
    Inventory {
        caller,
        workspace,
        names,
        resources: BTreeMap::new(),
        owned,
        settings: None,
        assignments: Vec::new(),
        providers: Vec::new(),
        delivery_principal: None,
        foreign_secrets: Vec::new(),
        deleted_vault: None,
        sentinel: None,
        content: Vec::new(),
    }
}

fn caller(azure: &Azure) -> Result<Caller, InventoryError> {
    let signed_in = azure.signed_in();
    Ok(Caller {
        object_id: signed_in.object_id.clone().ok_or(InventoryError::Anonymous("object id"))?,
        principal_type: signed_in.kind.principal_type().to_owned(),
        tenant_id: signed_in.tenant_id.clone().ok_or(InventoryError::Anonymous("tenant"))?,
    })
}

async fn workspace(azure: &Azure, intent: &Intent) -> Result<Workspace, InventoryError> {
    let version = api_version("Microsoft.OperationalInsights/workspaces")?;
    let (named, found) = match &intent.workspace {
        WorkspaceAnswer::ResourceId(id) => (id, azure.get(&ResourceId::parse(id)?, version).await?),
        WorkspaceAnswer::WorkspaceId(customer_id) => {
            (customer_id, workspace_of(azure, &intent.subscription_id, customer_id).await?)
        }
    };
    let found = found.ok_or_else(|| InventoryError::NoWorkspace(named.clone()))?;
    // The id that was given keeps its spelling; one that was looked up has Azure's.
    let id = match &intent.workspace {
        WorkspaceAnswer::ResourceId(id) => id.clone(),
        WorkspaceAnswer::WorkspaceId(_) => found["id"].as_str().unwrap_or_default().to_owned(),
    };
    Ok(Workspace {
        id,
        customer_id: found["properties"]["customerId"].as_str().unwrap_or_default().to_owned(),
        location: normal_location(found["location"].as_str().unwrap_or_default()),
    })
}

/// The workspace of a subscription with this id of its own, if it is there and may be seen.
///
/// # Errors
/// [`InventoryError`] when Azure refuses the list.
pub async fn workspace_of(
    azure: &Azure,
    subscription_id: &str,
    customer_id: &str,
) -> Result<Option<Value>, InventoryError> {
    let path = format!("/subscriptions/{subscription_id}/providers/Microsoft.OperationalInsights/workspaces");
    let all = azure.list(&path, api_version("Microsoft.OperationalInsights/workspaces")?).await?;
    Ok(all.into_iter().find(|workspace| {
        workspace["properties"]["customerId"].as_str().is_some_and(|id| id.eq_ignore_ascii_case(customer_id))
    }))
}

/// Every resource of the group that carries the installation's tag.
async fn owned(azure: &Azure, subject: &Subject) -> Result<Vec<Value>, InventoryError> {
    let group =
        format!("/subscriptions/{}/resourceGroups/{}", subject.subscription_id, subject.resource_group);
    // The name has neither quotes nor blanks (a rule of the answers), so it needs no escaping.
    let path = format!(
        "{group}/resources?%24filter=tagName%20eq%20%27{INSTALLATION_TAG}%27%20and%20tagValue%20eq%20%27{}%27",
        subject.installation
    );
    match azure.list(&path, api_version("Microsoft.Resources")?).await {
        Ok(resources) => Ok(resources
            .into_iter()
            .filter(|each| installation_of(each) == Some(&subject.installation))
            .collect()),
        // The group is not there yet.
        Err(error) if error.status() == Some(404) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

async fn read_all(
    azure: &Azure,
    reads: Vec<(String, &'static str)>,
) -> Result<BTreeMap<String, Value>, InventoryError> {
    let found: Vec<Option<(String, Value)>> = stream::iter(reads)
        .map(|(path, version)| async move {
            let found = azure.get(&ResourceId::parse(&path)?, version).await?;
            Ok::<_, InventoryError>(found.map(|value| (path.to_ascii_lowercase(), value)))
        })
        .buffer_unordered(READS_AT_ONCE)
        .try_collect()
        .await?;
    Ok(found.into_iter().flatten().collect())
}

async fn providers(
    azure: &Azure,
    intent: &Intent,
    workspace: &Workspace,
) -> Result<Vec<Provider>, InventoryError> {
    let version = api_version("Microsoft.Resources")?;
    let there = ResourceId::parse(&workspace.id)?.subscription_id().to_owned();
    let needed = PROVIDERS
        .iter()
        .map(|namespace| (intent.subscription_id.clone(), *namespace))
        .chain(WORKSPACE_PROVIDERS.iter().map(|namespace| (there.clone(), *namespace)));
    stream::iter(needed)
        .map(|(subscription_id, namespace)| async move {
            let id = format!("/subscriptions/{subscription_id}/providers/{namespace}");
            let state = match azure.get(&ResourceId::parse(&id)?, version).await {
                Ok(found) => found.and_then(|found| found["registrationState"].as_str().map(str::to_owned)),
                // Whoever may not see it may still use it where it is registered.
                Err(error) if error.status() == Some(403) => None,
                Err(error) => return Err(error.into()),
            };
            let registered = state.map(|state| state.eq_ignore_ascii_case("Registered"));
            Ok(Provider { subscription_id, namespace: namespace.to_owned(), registered })
        })
        .buffered(READS_AT_ONCE)
        .try_collect()
        .await
}

/// The roles given exactly at these scopes, of those scopes that are there.
async fn assignments(
    azure: &Azure,
    resources: &BTreeMap<String, Value>,
    mut scopes: Vec<String>,
) -> Result<Vec<Assignment>, InventoryError> {
    let version = api_version("Microsoft.Authorization/roleAssignments")?;
    scopes.sort_unstable();
    scopes.dedup();
    scopes.retain(|scope| resources.contains_key(&scope.to_ascii_lowercase()));
    let lists: Vec<Vec<Assignment>> = stream::iter(scopes)
        .map(|scope| async move {
            let path =
                format!("{scope}/providers/Microsoft.Authorization/roleAssignments?%24filter=atScope()");
            let list = match azure.list(&path, version).await {
                Ok(list) => list,
                Err(error) if error.status() == Some(404) => Vec::new(),
                Err(error) => return Err(InventoryError::from(error)),
            };
            let here = list.iter().filter_map(Assignment::of);
            Ok(here.filter(|each| each.scope.trim_end_matches('/').eq_ignore_ascii_case(&scope)).collect())
        })
        .buffer_unordered(READS_AT_ONCE)
        .try_collect()
        .await?;
    Ok(lists.into_iter().flatten().collect())
}

/// Reads what a site's own answer leaves out: its settings, and the configuration, which comes back
/// empty in the site itself (<https://learn.microsoft.com/rest/api/appservice/web-apps/get>).
async fn site(azure: &Azure, ids: &Ids, inventory: &mut Inventory) -> Result<(), InventoryError> {
    let Some(site) = inventory.resources.get_mut(&ids.function_app.to_ascii_lowercase()) else {
        return Ok(());
    };
    let id = ResourceId::parse(&ids.function_app)?;
    let config = ResourceId::parse(&format!("{}/config/web", ids.function_app))?;
    let version = api_version("Microsoft.Web/sites/config")?;
    let (settings, config) =
        futures::future::try_join(azure.app_settings(&id), azure.get(&config, version)).await?;
    inventory.settings = Some(settings);
    if let Some(mut config) = config {
        site["properties"]["siteConfig"] = config["properties"].take();
    }
    Ok(())
}

/// Takes the first derived vault name that no deleted vault holds, unless our vault is there.
async fn free_vault_name(
    azure: &Azure,
    intent: &Intent,
    inventory: &mut Inventory,
) -> Result<(), InventoryError> {
    let there = |resource: &Value| {
        resource["type"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("Microsoft.KeyVault/vaults"))
    };
    if inventory.owned.iter().any(there) {
        return Ok(());
    }
    for generation in 2..=VAULT_NAMES_TRIED {
        let name = inventory.names.key_vault.clone();
        if deleted_vault(azure, intent, inventory, &name).await?.is_none() {
            break;
        }
        // Another seed gives another hash, the same one each time.
        let seed = format!("{}#{generation}", intent.resource_group);
        inventory.names.key_vault =
            ResourceNames::derive(&intent.name, &intent.subscription_id, &seed).key_vault;
    }
    Ok(())
}

/// Whether our vault's name is held by a deleted vault. The list is a right on the subscription:
/// whoever may not see it learns it when the vault is made.
async fn deleted_vault(
    azure: &Azure,
    intent: &Intent,
    inventory: &Inventory,
    name: &str,
) -> Result<Option<DeletedVault>, InventoryError> {
    let ids = Ids::of(&intent.subscription_id, &intent.resource_group, &inventory.names);
    let location = intent.location.as_ref().unwrap_or(&inventory.workspace.location);
    let id = format!(
        "/subscriptions/{}/providers/Microsoft.KeyVault/locations/{location}/deletedVaults/{}",
        intent.subscription_id, name
    );
    let found = match azure.get(&ResourceId::parse(&id)?, api_version("Microsoft.KeyVault")?).await {
        Ok(found) => found,
        Err(error) if error.status() == Some(403) => None,
        Err(error) => return Err(error.into()),
    };
    Ok(found.map(|deleted| {
        let vault_id = deleted["properties"]["vaultId"].as_str().unwrap_or_default().to_owned();
        let tagged = deleted["properties"]["tags"]
            .as_object()
            .is_some_and(|tags| tags.get(INSTALLATION_TAG).and_then(Value::as_str) == Some(&intent.name));
        let ours = tagged && vault_id.eq_ignore_ascii_case(&ids.key_vault);
        DeletedVault { id: id.clone(), ours, vault_id }
    }))
}
