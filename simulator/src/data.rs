//! The data planes, beside the control plane's [`State`]: blobs, queues, rows, packages and hosts.

pub(crate) mod follow;
#[cfg(test)]
pub(crate) mod scene;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::blob::Blobs;
use crate::entra::{Audience, Denied, caller};
use crate::functions::Hosts;
use crate::publish::Deployments;
use crate::queue::Queues;
use crate::rows::Rows;
use crate::state::State;
use crate::state::role::Need;
use crate::storage::{Call, StorageError};

/// What the data planes hold; clones share it.
#[derive(Debug, Clone)]
pub struct DataPlane {
    /// The control plane: resources, principals and rights.
    pub state: State,
    /// Storage accounts' containers.
    pub blobs: Blobs,
    /// Storage accounts' queues.
    pub queues: Queues,
    /// Workspaces' rows.
    pub rows: Rows,
    /// Sites' Functions hosts.
    pub hosts: Hosts,
    /// Sites' deployments.
    pub(crate) deployments: Deployments,
    /// Storage accounts as they were last seen: name and moment of creation. Held while the two faces
    /// of a container or queue are changed together.
    accounts: Arc<Mutex<BTreeSet<(String, String)>>>,
}

impl DataPlane {
    /// Empty data planes for this control plane.
    pub fn new(state: State) -> Self {
        let clock = state.clock().clone();
        Self {
            blobs: Blobs::new(clock.clone()),
            queues: Queues::new(clock.clone()),
            rows: Rows::new(clock),
            hosts: Hosts::new(state.clone()),
            deployments: Deployments::default(),
            accounts: Arc::default(),
            state,
        }
    }

    /// Keeps the control plane's changes away while both faces of a thing are changed here.
    pub(crate) fn both_faces(&self) -> MutexGuard<'_, BTreeSet<(String, String)>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The resource of a type whose text at `pointer` is this one, without regard to case.
    fn find(&self, resource_type: &str, pointer: &str, wanted: &str) -> Option<Value> {
        self.state.resources_of(resource_type).into_iter().find(|resource| {
            let found = resource.pointer(pointer).and_then(Value::as_str);
            found.is_some_and(|found| found.eq_ignore_ascii_case(wanted))
        })
    }

    /// The ARM id of the storage account of this name.
    pub(crate) fn storage_account(&self, name: &str) -> Option<String> {
        let account = self.find("Microsoft.Storage/storageAccounts", "/name", name)?;
        account.get("id")?.as_str().map(str::to_owned)
    }

    /// The data collection rule of this immutable id.
    pub(crate) fn rule(&self, immutable_id: &str) -> Option<Value> {
        self.find("Microsoft.Insights/dataCollectionRules", "/properties/immutableId", immutable_id)
    }

    /// The workspace of this customer id.
    pub(crate) fn workspace(&self, customer_id: &str) -> Option<Value> {
        self.find("Microsoft.OperationalInsights/workspaces", "/properties/customerId", customer_id)
    }

    /// Checks a storage call's version, token and right. `children` is the path from the account to
    /// its containers or queues.
    ///
    /// # Errors
    /// As Azure answers: 401 without a good token, 403 without the right, 404 for an unknown account.
    pub(crate) fn authorize_storage(
        &self,
        call: &Call,
        children: &str,
        need: Need<'_>,
    ) -> Result<(), StorageError> {
        let caller =
            caller(&call.headers, Audience::Storage, &self.state).map_err(|denied| match denied {
                Denied::Missing => StorageError::new(
                    401,
                    "NoAuthenticationInformation",
                    "Server failed to authenticate the request. Please refer to the information in the \
                 www-authenticate header.",
                ),
                other => StorageError::new(401, "InvalidAuthenticationInfo", other.to_string()),
            })?;
        call.check_version()?;
        let Some(account) = self.storage_account(&call.account) else {
            // In Azure the account's host name would not resolve.
            return Err(StorageError::new(404, "ResourceNotFound", "The specified resource does not exist."));
        };
        let scope = match &call.parent {
            Some(parent) => format!("{account}/{children}/{parent}"),
            None => account,
        };
        if self.state.allowed(&caller.object_id, &scope, need) {
            Ok(())
        } else {
            Err(StorageError::new(
                403,
                "AuthorizationPermissionMismatch",
                "This request is not authorized to perform this operation using this permission.",
            ))
        }
    }
}
