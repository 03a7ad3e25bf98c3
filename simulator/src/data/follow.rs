//! Lets the data planes follow the control plane.
//!
//! A container, a queue, a table or a site is one thing with two faces in Azure. Here the control
//! plane's resources are the truth, and after every call on it the data planes are brought in line.

use std::collections::BTreeSet;

use axum::Router;
use axum::extract::{Request, State as Shared};
use axum::http::{Method, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use serde_json::{Value, json};

use super::DataPlane;
use crate::publish;
use crate::state::resource::{Resource, key};

/// Type of containers and of queues, and what stands between them and their account.
pub(crate) const CONTAINERS: (&str, &str) =
    ("Microsoft.Storage/storageAccounts/blobServices/containers", "blobServices/default/containers");
pub(crate) const QUEUES: (&str, &str) =
    ("Microsoft.Storage/storageAccounts/queueServices/queues", "queueServices/default/queues");

/// The control plane's service, after each of whose calls the data planes follow.
pub(crate) fn follow(control_plane: Router, data: DataPlane) -> Router {
    control_plane.layer(middleware::from_fn_with_state(data, after))
}

async fn after(Shared(data): Shared<DataPlane>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let restarts = request.method() == Method::POST && path.to_ascii_lowercase().ends_with("/restart");
    let mut response = next.run(request).await;
    // Clients take Azure's time from here.
    if let Ok(date) = data.state.clock().http_date().parse() {
        response.headers_mut().insert(header::DATE, date);
    }
    data.reconcile();
    if restarts && response.status().is_success() {
        data.hosts.changed(&path[..path.len() - "/restart".len()]);
    }
    response
}

fn text<'a>(resource: &'a Value, pointer: &str) -> &'a str {
    resource.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

impl DataPlane {
    /// The accounts as they are now: name and moment of creation.
    fn accounts(&self) -> BTreeSet<(String, String)> {
        let accounts = self.state.resources_of("Microsoft.Storage/storageAccounts");
        let identity = |account: &Value| {
            (text(account, "/name").to_owned(), text(account, "/properties/creationTime").to_owned())
        };
        accounts.iter().map(identity).collect()
    }

    /// Account and name of every child of accounts of this type.
    fn children(&self, resource_type: &str) -> BTreeSet<(String, String)> {
        let children = self.state.resources_of(resource_type);
        let place = |child: &Value| {
            let id = text(child, "/id");
            // …/storageAccounts/<account>/<service>/default/<type>/<name>
            let account = id.rsplit('/').nth(4).unwrap_or_default();
            (account.to_owned(), text(child, "/name").to_owned())
        };
        children.iter().map(place).collect()
    }

    /// Brings the data planes in line with the resources, as after every call of the control plane.
    pub fn reconcile(&self) {
        let mut known = self.both_faces();
        let accounts = self.accounts();
        // An account that was deleted, be it that another took its name, takes all it held along.
        for (gone, _) in known.difference(&accounts) {
            self.blobs.remove_account(gone);
            self.queues.remove_account(gone);
        }
        *known = accounts;
        self.blobs.keep_only(&self.children(CONTAINERS.0));
        self.queues.keep_only(&self.children(QUEUES.0));
        let tables = self.state.resources_of("Microsoft.OperationalInsights/workspaces/tables");
        self.rows.keep_only(&tables.iter().map(|table| text(table, "/id").to_ascii_lowercase()).collect());
        self.hosts.reconcile();
        publish::publish_fetched(self);
    }

    /// Makes the control plane's face of a container or queue that was made on the data plane.
    pub(crate) fn adopt(&self, account: &str, (resource_type, between): (&str, &str), name: &str) {
        let Some(account) = self.storage_account(account) else { return };
        let id = format!("{account}/{between}/{name}");
        let body = json!({"id": id, "name": name, "type": resource_type, "properties": {}});
        let resource = Resource {
            id: id.clone(),
            resource_type: resource_type.to_owned(),
            body,
            hidden: Value::Null,
            unseen_reads: 0,
            unfinished_reads: 0,
        };
        self.state.lock().resources.entry(key(&id)).or_insert(resource);
    }

    /// Removes the control plane's face of a container or queue that was deleted on the data plane.
    pub(crate) fn abandon(&self, account: &str, (_, between): (&str, &str), name: &str) {
        if let Some(account) = self.storage_account(account) {
            self.state.lock().resources.remove(&key(&format!("{account}/{between}/{name}")));
        }
    }
}
