//! A tenant with a storage account, a workspace, a rule and somebody to use them: for the tests of
//! the data planes, which have no control plane to ask.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request};
use contract::resources::{
    MONITORING_METRICS_PUBLISHER, STORAGE_BLOB_DATA_CONTRIBUTOR, STORAGE_BLOB_DATA_OWNER,
    STORAGE_QUEUE_DATA_CONTRIBUTOR,
};
use contract::streams::transform::{audit_transform_kql, health_transform_kql, sent_columns};
use contract::streams::{
    AUDIT_COLUMNS, AUDIT_STREAM, AUDIT_TABLE, Column, HEALTH_COLUMNS, HEALTH_STREAM, HEALTH_TABLE,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;
use url::Url;

use super::DataPlane;
use crate::entra::token::sign;
use crate::journal::{Detail, Journal};
use crate::server::Ground;
use crate::state::principal::{Principal, managed_identity};
use crate::state::resource::{Resource, key};
use crate::state::role::LOG_ANALYTICS_READER;
use crate::state::{Endpoints, State};
use crate::tls::Certificates;

pub(crate) const GROUP: &str = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg";
pub(crate) const RULE: &str = "dcr-00000000000000000000000000000001";
pub(crate) const CUSTOMER: &str = "00000000-0000-0000-0000-0000000000c1";

pub(crate) struct Scene {
    pub(crate) data: DataPlane,
    pub(crate) somebody: Principal,
    _directory: TempDir,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    pub(crate) fn error_code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

impl Scene {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a folder");
        let certificates = Certificates::make(directory.path()).expect("certificates");
        let ground = Ground::new(certificates, Journal::new(Detail::Bodies));
        let state = State::new(ground, "00000000-0000-0000-0000-0000000000aa");
        let nowhere = Url::parse("https://127.0.0.1:1/").expect("a URL");
        state.set_endpoints(Endpoints {
            resource_manager: nowhere.clone(),
            entra: nowhere.clone(),
            identity: nowhere.clone(),
            ingestion: nowhere.clone(),
            log_query: nowhere.clone(),
            blob: nowhere.clone(),
            queue: nowhere.clone(),
            table: nowhere.clone(),
            mimecast: nowhere,
        });
        let (somebody, _) = state.add_application("somebody");
        let scene = Self { data: DataPlane::new(state), somebody, _directory: directory };
        scene.add("Microsoft.Storage/storageAccounts", "account", json!({}));
        let workspace =
            scene.add("Microsoft.OperationalInsights/workspaces", "ws", json!({"customerId": CUSTOMER}));
        for (table, columns) in [(AUDIT_TABLE, AUDIT_COLUMNS), (HEALTH_TABLE, HEALTH_COLUMNS)] {
            let schema = json!({"name": table, "columns": named(columns)});
            let id = format!("{workspace}/tables/{table}");
            let kind = "Microsoft.OperationalInsights/workspaces/tables";
            scene.put(&id, kind, table, json!({"schema": schema}));
        }
        let flow = |stream: &str, kql: String| json!({"streams": [stream], "destinations": ["la"], "transformKql": kql, "outputStream": stream});
        let declare = |columns: &'static [Column]| {
            let columns =
                sent_columns(columns).map(|(name, kind)| json!({"name": name, "type": kind.in_rule()}));
            json!({"columns": columns.collect::<Vec<_>>()})
        };
        scene.add(
            "Microsoft.Insights/dataCollectionRules",
            "rule",
            json!({
                "immutableId": RULE,
                "streamDeclarations":
                    {AUDIT_STREAM: declare(AUDIT_COLUMNS), HEALTH_STREAM: declare(HEALTH_COLUMNS)},
                "destinations": {"logAnalytics": [{"workspaceResourceId": workspace, "name": "la"}]},
                "dataFlows": [
                    flow(AUDIT_STREAM, audit_transform_kql()),
                    flow(HEALTH_STREAM, health_transform_kql()),
                ],
            }),
        );
        scene
    }

    /// The same with every role that the calls need.
    pub(crate) fn with_roles() -> Self {
        let scene = Self::new();
        for role in [
            STORAGE_BLOB_DATA_CONTRIBUTOR,
            STORAGE_QUEUE_DATA_CONTRIBUTOR,
            MONITORING_METRICS_PUBLISHER,
            LOG_ANALYTICS_READER,
        ] {
            scene.data.state.give_role(&scene.somebody.object_id, GROUP, role);
        }
        scene
    }

    /// Adds a resource to the group and gives its id.
    pub(crate) fn add(&self, resource_type: &str, name: &str, properties: Value) -> String {
        let id = format!("{GROUP}/providers/{resource_type}/{name}");
        self.put(&id, resource_type, name, properties);
        id
    }

    pub(crate) fn put(&self, id: &str, resource_type: &str, name: &str, properties: Value) {
        let resource = Resource {
            id: id.to_owned(),
            resource_type: resource_type.to_owned(),
            body: json!({"id": id, "name": name, "type": resource_type, "properties": properties}),
            hidden: Value::Null,
            unseen_reads: 0,
            unfinished_reads: 0,
        };
        self.data.state.lock().resources.insert(key(id), resource);
    }

    /// Adds a site with a system-assigned identity, which may use the account, and these settings; gives
    /// its id.
    pub(crate) fn site(&self, settings: &[(&str, &str)]) -> String {
        let id = self.site_without_roles(settings);
        let site = self.data.state.resource(&id).expect("just made");
        let principal = site.pointer("/identity/principalId").and_then(Value::as_str).expect("made");
        for role in [STORAGE_BLOB_DATA_OWNER, STORAGE_QUEUE_DATA_CONTRIBUTOR] {
            self.data.state.give_role(principal, GROUP, role);
        }
        id
    }

    /// The same without a role for its identity.
    pub(crate) fn site_without_roles(&self, settings: &[(&str, &str)]) -> String {
        let id = self.add("Microsoft.Web/sites", "func", json!({}));
        let identity = managed_identity("func", &id, self.data.state.now());
        let assigned = json!({"type": "SystemAssigned", "principalId": identity.object_id});
        self.data.state.add_principal(identity);
        let storage = json!({
            "type": "blobContainer",
            "value": "https://127.0.0.1:1/account/deployments",
            "authentication": {"type": "SystemAssignedIdentity"},
        });
        {
            let mut data = self.data.state.lock();
            let site = data.resources.get_mut(&key(&id)).expect("just made");
            site.body["identity"] = assigned;
            site.body["properties"]["functionAppConfig"]["deployment"]["storage"] = storage;
        }
        self.set_settings(&id, settings);
        id
    }

    /// Replaces a site's settings by the host's storage and these.
    pub(crate) fn set_settings(&self, site_id: &str, settings: &[(&str, &str)]) {
        let mut all = json!({"AzureWebJobsStorage__accountName": "account"});
        for (name, value) in settings {
            all[*name] = json!(value);
        }
        let mut data = self.data.state.lock();
        data.resources.get_mut(&key(site_id)).expect("a site").hidden = json!({"appSettings": all});
    }

    /// A token of somebody's for this audience.
    pub(crate) fn token(&self, audience: &str) -> String {
        sign(&self.data.state, &self.somebody, audience, 3600)
    }

    /// Sends a request to a service.
    pub(crate) async fn send(
        &self,
        router: &Router,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body)).expect("a request");
        let response = router.clone().oneshot(request).await.expect("infallible");
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.expect("a body").to_vec();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }
}

fn named(columns: &[Column]) -> Vec<Value> {
    columns.iter().map(|column| json!({"name": column.name, "type": column.column_type.in_table()})).collect()
}
