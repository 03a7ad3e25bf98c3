//! The data planes, beside the control plane's [`State`]: blobs, queues, rows, packages and hosts.

use crate::blob::Blobs;
use crate::entra::{Audience, Denied, caller};
use crate::queue::Queues;
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
}

impl DataPlane {
    /// Empty data planes for this control plane.
    pub fn new(state: State) -> Self {
        let clock = state.clock().clone();
        Self { blobs: Blobs::new(clock.clone()), queues: Queues::new(clock), state }
    }

    /// The ARM id of the storage account of this name.
    pub(crate) fn storage_account(&self, name: &str) -> Option<String> {
        self.state.resources_of("Microsoft.Storage/storageAccounts").into_iter().find_map(|account| {
            let text = |field: &str| account.get(field).and_then(serde_json::Value::as_str);
            (text("name")? == name).then(|| text("id").map(str::to_owned))?
        })
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
