//! What the simulated Azure holds: one tenant, its principals, its resources and who may do what.
//!
//! * [`principal`]: people, applications with secrets, managed identities.
//! * [`role`]: role definitions, assignments, and whether somebody may do something.
//! * [`resource`]: resources by id.
//! * [`subscription`]: subscriptions and their registered providers.
//! * [`secret`]: the secrets of vaults, deleted ones too.
//! * [`site`]: settings of sites and their Key Vault references.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use axum::Router;
use serde_json::Value;
use time::OffsetDateTime;
use url::Url;

use crate::arm::deployment::Deployment;
use crate::arm::operation::Operation;
use crate::arm::policy::DenyPolicy;
use crate::clock::Clock;
use crate::publish::Fetched;
use crate::server::Ground;

pub mod principal;
pub mod resource;
pub mod role;
pub mod secret;
pub mod site;
pub mod subscription;

use principal::Principal;
use resource::{Resource, key};
use role::{Assignment, RoleDefinition};
use secret::{DeletedVault, VaultSecrets};
use site::Reference;
use subscription::Subscription;

/// The root URLs of the simulated services. Each ends in a slash.
#[derive(Debug, Clone)]
pub struct Endpoints {
    /// Azure Resource Manager.
    pub resource_manager: Url,
    /// Microsoft Entra sign-in.
    pub entra: Url,
    /// Managed identity endpoint of App Service.
    pub identity: Url,
    /// Logs Ingestion API of every rule.
    pub ingestion: Url,
    /// Log Analytics query.
    pub log_query: Url,
    /// Blobs; an account's root is this with its name and a slash.
    pub blob: Url,
    /// Queues, likewise.
    pub queue: Url,
    /// Tables, likewise. Nobody answers there: only the real host's own diagnostics write to them.
    pub table: Url,
    /// Mimecast API, both generations.
    pub mimecast: Url,
}

/// How long Azure takes over things. The default takes no time but the polling of long operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// How often a long operation answers "in progress" before it ends.
    pub polls: u32,
    /// `Retry-After` of a long operation, in seconds.
    pub retry_after_secs: u32,
    /// How many reads of a resource that was just made answer 404
    /// (<https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/error-not-found>).
    pub unseen_reads: u32,
    /// From when a role assignment works, by the simulator's clock
    /// (<https://learn.microsoft.com/azure/role-based-access-control/troubleshooting#symptom---role-assignment-changes-are-not-being-detected>).
    pub role_spread: Duration,
    /// From when role assignments may name a principal that was just made, unless they say its type
    /// (<https://learn.microsoft.com/azure/role-based-access-control/troubleshooting#symptom---assigning-a-role-to-a-new-principal-sometimes-fails>).
    pub directory_spread: Duration,
    /// From when a table that was just made is known to queries and rules.
    pub table_spread: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            polls: 1,
            retry_after_secs: 0,
            unseen_reads: 0,
            role_spread: Duration::ZERO,
            directory_spread: Duration::ZERO,
            table_spread: Duration::ZERO,
        }
    }
}

/// Resources that get an address of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddressKind {
    /// A Key Vault's data plane (`vaultUri`).
    Vault,
    /// A site's own host (`defaultHostName`).
    Site,
    /// A site's publishing host.
    Scm,
}

/// Makes the service of one resource, given its ARM id.
pub type RouterMaker = Arc<dyn Fn(State, &str) -> Router + Send + Sync>;

/// Everything that the simulator knows; clones share it.
#[derive(Clone)]
pub struct State {
    shared: Arc<Shared>,
}

struct Shared {
    ground: Ground,
    endpoints: OnceLock<Endpoints>,
    makers: Mutex<HashMap<AddressKind, RouterMaker>>,
    signing_key: [u8; 32],
    tenant_id: String,
    data: Mutex<Data>,
}

/// What the lock guards.
#[derive(Default)]
pub(crate) struct Data {
    pub(crate) pace: Pace,
    pub(crate) resources: BTreeMap<String, Resource>,
    pub(crate) principals: BTreeMap<String, Principal>,
    pub(crate) role_definitions: BTreeMap<String, RoleDefinition>,
    pub(crate) assignments: BTreeMap<String, Assignment>,
    pub(crate) subscriptions: BTreeMap<String, Subscription>,
    pub(crate) operations: HashMap<String, Operation>,
    /// Template deployments by lower-case id.
    pub(crate) deployments: HashMap<String, Deployment>,
    pub(crate) policies: Vec<DenyPolicy>,
    /// Addresses by kind and lower-case id. They stay when the resource goes: its name is kept for it.
    pub(crate) addresses: HashMap<(AddressKind, String), Url>,
    /// Secrets by lower-case id of their vault. They stay while the vault is soft-deleted.
    pub(crate) secrets: BTreeMap<String, VaultSecrets>,
    /// Soft-deleted vaults by lower-case name.
    pub(crate) deleted_vaults: BTreeMap<String, DeletedVault>,
    /// When Sentinel rules were deleted, by lower-case id.
    pub(crate) deleted_rules: HashMap<String, OffsetDateTime>,
    /// Names that are taken by others in the world, lower case.
    pub(crate) taken_names: HashSet<String>,
    /// Whether a new Function App gets a connection string of its storage account that nobody asked for.
    pub(crate) injects_storage_key: bool,
    /// Regions without Flex Consumption, and regions without quota for any plan.
    pub(crate) no_flex_regions: HashSet<String>,
    /// Version of the custom runtime that a region's catalogue of stacks lists, where it is another than
    /// usual.
    pub(crate) custom_runtimes: HashMap<String, String>,
    pub(crate) no_quota_regions: HashSet<String>,
    /// Key Vault references by lower-case site id and setting.
    pub(crate) references: HashMap<String, BTreeMap<String, Reference>>,
    /// Packages that deployment templates named, on their way to their sites.
    pub(crate) fetched_packages: Vec<Fetched>,
    /// Functions that a site's package holds, by lower-case site id.
    pub(crate) functions: HashMap<String, Vec<Value>>,
    /// Master keys by lower-case site id.
    pub(crate) master_keys: HashMap<String, String>,
    /// Lower-case site id by the value of `X-IDENTITY-HEADER` that was given to its worker.
    pub(crate) identity_headers: HashMap<String, String>,
}

impl fmt::Debug for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("State").field("tenant_id", &self.shared.tenant_id).finish_non_exhaustive()
    }
}

impl State {
    /// An empty tenant on this ground.
    pub fn new(ground: Ground, tenant_id: &str) -> Self {
        let mut signing_key = [0; 32];
        fastrand::fill(&mut signing_key);
        let data = Data { role_definitions: role::built_in(), ..Data::default() };
        Self {
            shared: Arc::new(Shared {
                ground,
                endpoints: OnceLock::new(),
                makers: Mutex::default(),
                signing_key,
                tenant_id: tenant_id.to_owned(),
                data: Mutex::new(data),
            }),
        }
    }

    /// Says where the services listen, once.
    pub fn set_endpoints(&self, endpoints: Endpoints) {
        // A second call would be a fault of the start-up; the first one holds.
        let _ = self.shared.endpoints.set(endpoints);
    }

    /// Where the services listen.
    ///
    /// # Panics
    /// Before [`State::set_endpoints`]: no service is reachable by then.
    #[expect(clippy::expect_used, reason = "the start-up sets them before any address is given out")]
    pub fn endpoints(&self) -> &Endpoints {
        self.shared.endpoints.get().expect("endpoints are set at start")
    }

    /// Says which service answers at the addresses of this kind.
    pub fn serve(&self, kind: AddressKind, maker: RouterMaker) {
        self.shared.makers.lock().unwrap_or_else(PoisonError::into_inner).insert(kind, maker);
    }

    /// The address of a resource, opened where it has none yet; journalled as `vault`, `site` or `scm`.
    ///
    /// # Errors
    /// When no port can be bound.
    pub(crate) async fn open(&self, kind: AddressKind, resource_id: &str) -> io::Result<Url> {
        let known = (kind, key(resource_id));
        if let Some(url) = self.lock().addresses.get(&known) {
            return Ok(url.clone());
        }
        let maker = self.shared.makers.lock().unwrap_or_else(PoisonError::into_inner).get(&kind).cloned();
        let router = maker.map_or_else(Router::new, |maker| maker(self.clone(), resource_id));
        let service = match kind {
            AddressKind::Vault => "vault",
            AddressKind::Site => "site",
            AddressKind::Scm => "scm",
        };
        let url = self.shared.ground.listen(service, router).await?;
        self.lock().addresses.insert(known, url.clone());
        Ok(url)
    }

    /// The listeners, the journal and the faults.
    pub fn ground(&self) -> &Ground {
        &self.shared.ground
    }

    /// The clock that the services believe in.
    pub fn clock(&self) -> &Clock {
        &self.shared.ground.clock
    }

    /// The present time of the services.
    pub fn now(&self) -> OffsetDateTime {
        self.clock().now()
    }

    /// The tenant.
    pub fn tenant_id(&self) -> &str {
        &self.shared.tenant_id
    }

    /// How long things take from now on.
    pub fn set_pace(&self, pace: Pace) {
        self.lock().pace = pace;
    }

    /// How long things take.
    pub fn pace(&self) -> Pace {
        self.lock().pace
    }

    pub(crate) fn signing_key(&self) -> &[u8] {
        &self.shared.signing_key
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Data> {
        self.shared.data.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A resource as ARM gives it, with what is write-only left out.
    pub fn resource(&self, id: &str) -> Option<Value> {
        self.lock().resources.get(&key(id)).map(|resource| resource.body.clone())
    }

    /// All resources of a type such as `Microsoft.Web/sites`, as ARM gives them.
    pub fn resources_of(&self, resource_type: &str) -> Vec<Value> {
        self.lock()
            .resources
            .values()
            .filter(|resource| resource.resource_type.eq_ignore_ascii_case(resource_type))
            .map(|resource| resource.body.clone())
            .collect()
    }

    /// The ids of everything that exists now: resources, their children and role assignments.
    pub fn resource_ids(&self) -> Vec<String> {
        self.lock().resources.values().map(|resource| resource.id.clone()).collect()
    }

    /// Marks names as taken by somebody else in the world: storage accounts, vaults, sites.
    pub fn take_name(&self, name: &str) {
        self.lock().taken_names.insert(name.to_ascii_lowercase());
    }

    /// Makes new Function Apps on Flex Consumption come with a connection string of their storage account beside the
    /// sign-in by identity, as Azure's have been seen to
    /// (<https://github.com/Azure/azure-functions-host/issues/11796>).
    pub fn inject_storage_key(&self) {
        self.lock().injects_storage_key = true;
    }

    /// Takes Flex Consumption away from a region.
    pub fn remove_flex(&self, region: &str) {
        self.lock().no_flex_regions.insert(region.to_owned());
    }

    /// Has a region's catalogue of stacks list this version of the custom runtime alone.
    pub fn list_custom_runtime(&self, region: &str, version: &str) {
        self.lock().custom_runtimes.insert(region.to_owned(), version.to_owned());
    }

    /// Takes away the subscription's quota for plans in a region.
    pub fn remove_quota(&self, region: &str) {
        self.lock().no_quota_regions.insert(region.to_owned());
    }

    /// Changes a resource's body and what lies beside it, as somebody else would by hand. Gives whether
    /// it is there.
    pub fn edit(&self, id: &str, change: impl FnOnce(&mut Value, &mut Value)) -> bool {
        let mut data = self.lock();
        let found = data.resources.get_mut(&key(id));
        found.map(|resource| change(&mut resource.body, &mut resource.hidden)).is_some()
    }

    /// What a resource has beside its body: values that can be written and not read, such as a
    /// site's settings.
    pub fn hidden(&self, id: &str) -> Option<Value> {
        self.lock().resources.get(&key(id)).map(|resource| resource.hidden.clone())
    }

    /// The value of `IDENTITY_HEADER` for the processes of a site. The same on every call for a site.
    pub fn identity_header(&self, site_id: &str) -> String {
        let site = key(site_id);
        let mut data = self.lock();
        if let Some((header, _)) = data.identity_headers.iter().find(|(_, known)| **known == site) {
            return header.clone();
        }
        let header = uuid::Uuid::new_v4().simple().to_string().to_ascii_uppercase();
        data.identity_headers.insert(header.clone(), site);
        header
    }
}
