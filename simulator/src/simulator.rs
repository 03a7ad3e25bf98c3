//! The whole simulator: all services started, one tenant with a workspace, and the ways into it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use contract::cloud::CloudProfile;
use contract::secret::Secret;
use tempfile::TempDir;
use uuid::Uuid;

use crate::arm;
use crate::clock::Clock;
use crate::data::DataPlane;
use crate::data::follow::follow;
use crate::entra;
use crate::fault::Faults;
use crate::journal::{Detail, Journal};
use crate::mimecast::Mimecast;
use crate::server::Ground;
use crate::state::role::OWNER;
use crate::state::{AddressKind, Endpoints, State};
use crate::tls::Certificates;
use crate::{blob, functions, ingestion, mimecast, publish, query, queue, vault};

/// Group of the workspace that is there from the start.
pub const WORKSPACE_GROUP: &str = "rg-security";
/// Name of that workspace.
pub const WORKSPACE: &str = "law-security";
/// Its region.
pub const REGION: &str = "westeurope";

/// How to start.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How much the journal keeps.
    pub journal: Detail,
    /// The time that it begins with, and that its history leads up to; the machine's by itself.
    pub clock: Clock,
}

/// Somebody who signs in with a secret, and what the tests need to know of the tenant.
#[derive(Debug, Clone)]
pub struct Person {
    /// The tenant.
    pub tenant_id: String,
    /// The application's client id.
    pub client_id: String,
    /// Its object id.
    pub object_id: String,
    /// Its secret, made at start.
    pub client_secret: Secret<String>,
}

/// The running simulator. It stops when it is dropped.
#[derive(Debug)]
pub struct Simulator {
    ground: Ground,
    state: State,
    data: DataPlane,
    mimecast: Mimecast,
    person: Person,
    subscription_id: String,
    workspace_id: String,
    directory: TempDir,
}

impl Simulator {
    /// Starts every service on free ports of 127.0.0.1.
    ///
    /// # Errors
    /// When no port can be bound or no temporary folder can be made.
    pub async fn start(options: Options) -> io::Result<Self> {
        let directory = tempfile::tempdir()?;
        let certificates = Certificates::make(directory.path())?;
        let mut ground = Ground::new(certificates, Journal::new(options.journal));
        ground.clock = options.clock;
        let state = State::new(ground.clone(), &Uuid::new_v4().to_string());
        let data = DataPlane::new(state.clone());
        let of_sites = data.clone();
        state.serve(
            AddressKind::Site,
            Arc::new(move |_, site_id| functions::router(of_sites.clone(), site_id)),
        );
        let of_scm = data.clone();
        state.serve(AddressKind::Scm, Arc::new(move |_, site_id| publish::router(of_scm.clone(), site_id)));
        let mimecast = Mimecast::new(ground.clock.clone());

        let endpoints = Endpoints {
            resource_manager: ground.listen("arm", follow(arm::router(state.clone()), data.clone())).await?,
            entra: ground.listen("entra", entra::router(state.clone())).await?,
            identity: ground.listen("identity", entra::identity_router(state.clone())).await?,
            ingestion: ground.listen("ingestion", ingestion::router(data.clone())).await?,
            log_query: ground.listen("query", query::router(data.clone())).await?,
            blob: ground.listen("blob", blob::router(data.clone())).await?,
            queue: ground.listen("queue", queue::router(data.clone())).await?,
            table: ground.listen("table", Router::new()).await?,
            mimecast: ground.listen(mimecast::SERVICE, mimecast.router()).await?,
        };
        state.set_endpoints(endpoints);
        state.serve(AddressKind::Vault, Arc::new(vault::router));

        let subscription_id = Uuid::new_v4().to_string();
        state.add_subscription(&subscription_id, "Security Operations");
        let group = state.add_group(&subscription_id, WORKSPACE_GROUP, REGION);
        let workspace_id = state.add_workspace(&group, WORKSPACE, REGION);
        state.onboard_sentinel(&workspace_id);
        let (principal, client_secret) = state.add_application("installer");
        state.give_role(&principal.object_id, &format!("/subscriptions/{subscription_id}"), OWNER);
        let person = Person {
            tenant_id: state.tenant_id().to_owned(),
            client_id: principal.client_id,
            object_id: principal.object_id,
            client_secret,
        };
        Ok(Self { ground, state, data, mimecast, person, subscription_id, workspace_id, directory })
    }

    /// The endpoints as a custom cloud. The audiences are the public cloud's.
    #[expect(clippy::expect_used, reason = "the public cloud is one of the names that are known")]
    pub fn cloud_profile(&self) -> CloudProfile {
        let endpoints = self.state.endpoints();
        let public = CloudProfile::parse("public").expect("a known cloud");
        CloudProfile {
            name: "custom".to_owned(),
            resource_manager: endpoints.resource_manager.clone(),
            authority: endpoints.entra.clone(),
            log_query: endpoints.log_query.clone(),
            host_suffixes: Vec::new(),
            ..public
        }
    }

    /// PEM file of the certificate authority that clients must trust.
    pub fn ca_file(&self) -> &Path {
        &self.ground.certificates.authority_file
    }

    /// A folder of this run, removed with the simulator.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Owner of the subscription, who installs.
    pub fn person(&self) -> &Person {
        &self.person
    }

    /// The subscription.
    pub fn subscription_id(&self) -> &str {
        &self.subscription_id
    }

    /// ARM id of the workspace that is there from the start, with Sentinel on.
    pub fn workspace_id(&self) -> &str {
        &self.workspace_id
    }

    /// What the services hold.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What the data planes hold: blobs, queues, rows.
    pub fn data(&self) -> &DataPlane {
        &self.data
    }

    /// The Mimecast account; its base URL is among the state's endpoints.
    pub fn mimecast(&self) -> &Mimecast {
        &self.mimecast
    }

    /// What was asked and answered.
    pub fn journal(&self) -> &Journal {
        &self.ground.journal
    }

    /// Failures on demand.
    pub fn faults(&self) -> &Faults {
        &self.ground.faults
    }

    /// The clock that the services believe in.
    pub fn clock(&self) -> &Clock {
        &self.ground.clock
    }

    /// The listeners.
    pub fn ground(&self) -> &Ground {
        &self.ground
    }

    /// The environment in which a client finds the simulator and is the [`Simulator::person`].
    pub fn environment(&self) -> BTreeMap<String, String> {
        let ca_file = self.ca_file().display().to_string();
        let cloud = serde_json::to_string(&self.cloud_profile()).unwrap_or_default();
        let authority = self.state.endpoints().entra.to_string();
        [
            ("SSL_CERT_FILE", ca_file.clone()),
            ("REQUESTS_CA_BUNDLE", ca_file),
            ("AZURE_AUTHORITY_HOST", authority),
            ("AZURE_TENANT_ID", self.person.tenant_id.clone()),
            ("AZURE_CLIENT_ID", self.person.client_id.clone()),
            ("AZURE_CLIENT_SECRET", self.person.client_secret.expose().clone()),
            ("AZURE_SUBSCRIPTION_ID", self.subscription_id.clone()),
            ("MIMECAST_SENTINEL_CLOUD", cloud),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.data.hosts.stop();
        self.ground.stop();
    }
}
