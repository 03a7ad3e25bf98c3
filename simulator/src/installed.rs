//! An installation as the installer leaves it, put straight into the state: for tests of the worker
//! alone, which have no installer to make it.

pub mod accounts;

use std::collections::BTreeMap;

use contract::resources::{
    CHECKPOINT_CONTAINER, DEAD_LETTER_CONTAINER, MONITORING_METRICS_PUBLISHER, STORAGE_BLOB_DATA_OWNER,
    SYNC_QUEUE,
};
use contract::settings;
use contract::streams::transform::{audit_transform_kql, health_transform_kql, sent_columns};
use contract::streams::{
    AUDIT_COLUMNS, AUDIT_STREAM, AUDIT_TABLE, Column, HEALTH_COLUMNS, HEALTH_STREAM, HEALTH_TABLE,
};
use serde_json::{Value, json};

use crate::simulator::Simulator;
use crate::state::resource::{Resource, key};

/// The storage account's name.
pub const STORAGE_ACCOUNT: &str = "stinstalled";
/// The rule's immutable id.
pub const RULE_ID: &str = "dcr-0000000000000000000000000000000a";
/// Its group.
const GROUP: &str = "rg-installed";

impl Simulator {
    /// Puts an installation into the state and gives the environment of its worker: storage, both
    /// tables, the rule, and an app registration that delivers and keeps the checkpoint.
    pub fn installed(&self) -> BTreeMap<String, String> {
        let group = format!("/subscriptions/{}/resourceGroups/{GROUP}", self.subscription_id());
        let id = |resource_type: &str, name: &str| format!("{group}/providers/{resource_type}/{name}");
        let storage = id("Microsoft.Storage/storageAccounts", STORAGE_ACCOUNT);
        self.put(&storage, "Microsoft.Storage/storageAccounts", STORAGE_ACCOUNT, json!({}));
        for container in [CHECKPOINT_CONTAINER, DEAD_LETTER_CONTAINER] {
            let kind = "Microsoft.Storage/storageAccounts/blobServices/containers";
            self.put(
                &format!("{storage}/blobServices/default/containers/{container}"),
                kind,
                container,
                json!({}),
            );
        }
        for (table, columns) in [(AUDIT_TABLE, AUDIT_COLUMNS), (HEALTH_TABLE, HEALTH_COLUMNS)] {
            let named: Vec<Value> = columns
                .iter()
                .map(|column| json!({"name": column.name, "type": column.column_type.in_table()}))
                .collect();
            let table_id = format!("{}/tables/{table}", self.workspace_id());
            let properties = json!({"schema": {"name": table, "columns": named}});
            self.put(&table_id, "Microsoft.OperationalInsights/workspaces/tables", table, properties);
        }
        self.data().reconcile();
        let rule = id("Microsoft.Insights/dataCollectionRules", "dcr-installed");
        self.put(&rule, "Microsoft.Insights/dataCollectionRules", "dcr-installed", self.rule());

        let (worker, secret) = self.state().add_application("worker");
        self.state().give_role(&worker.object_id, &storage, STORAGE_BLOB_DATA_OWNER);
        self.state().give_role(&worker.object_id, &rule, MONITORING_METRICS_PUBLISHER);

        let endpoints = self.state().endpoints();
        let container = |name: &str| format!("{}{STORAGE_ACCOUNT}/{name}", endpoints.blob);
        let mimecast = self.mimecast().settings();
        [
            ("SSL_CERT_FILE", self.ca_file().display().to_string()),
            (
                settings::MIMECAST_SENTINEL_CLOUD,
                serde_json::to_string(&self.cloud_profile()).unwrap_or_default(),
            ),
            (settings::MIMECAST_SENTINEL_INSTALLATION, "installed".to_owned()),
            (settings::MIMECAST_BASE_URL, endpoints.mimecast.to_string()),
            (settings::MIMECAST_CLIENT_ID, mimecast.client_id),
            (settings::MIMECAST_CLIENT_SECRET, mimecast.client_secret),
            (settings::LOGS_INGESTION_ENDPOINT, endpoints.ingestion.to_string()),
            (settings::DATA_COLLECTION_RULE_ID, RULE_ID.to_owned()),
            (settings::CHECKPOINT_CONTAINER_URL, container(CHECKPOINT_CONTAINER)),
            (settings::DEAD_LETTER_CONTAINER_URL, container(DEAD_LETTER_CONTAINER)),
            (settings::SYNC_QUEUE_URL, format!("{}{STORAGE_ACCOUNT}/{SYNC_QUEUE}", endpoints.queue)),
            (settings::DELIVERY_TENANT_ID, self.state().tenant_id().to_owned()),
            (settings::DELIVERY_CLIENT_ID, worker.client_id),
            (settings::DELIVERY_CLIENT_SECRET, secret.expose().clone()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    fn rule(&self) -> Value {
        let declared = |columns: &'static [Column]| {
            let columns: Vec<Value> = sent_columns(columns)
                .map(|(name, kind)| json!({"name": name, "type": kind.in_rule()}))
                .collect();
            json!({"columns": columns})
        };
        let flow = |stream: &str, transform: String| {
            json!({
                "streams": [stream],
                "destinations": ["workspace"],
                "transformKql": transform,
                "outputStream": stream,
            })
        };
        json!({
            "immutableId": RULE_ID,
            "streamDeclarations": {
                AUDIT_STREAM: declared(AUDIT_COLUMNS),
                HEALTH_STREAM: declared(HEALTH_COLUMNS),
            },
            "destinations": {
                "logAnalytics": [{"workspaceResourceId": self.workspace_id(), "name": "workspace"}],
            },
            "dataFlows": [
                flow(AUDIT_STREAM, audit_transform_kql()),
                flow(HEALTH_STREAM, health_transform_kql()),
            ],
        })
    }

    fn put(&self, id: &str, resource_type: &str, name: &str, properties: Value) {
        let resource = Resource {
            id: id.to_owned(),
            resource_type: resource_type.to_owned(),
            body: json!({"id": id, "name": name, "type": resource_type, "properties": properties}),
            hidden: Value::Null,
            unseen_reads: 0,
            unfinished_reads: 0,
        };
        self.state().lock().resources.insert(key(id), resource);
    }
}
