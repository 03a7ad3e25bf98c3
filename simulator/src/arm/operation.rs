//! Long operations: 201 or 202 first, then polling.
//!
//! Follows <https://learn.microsoft.com/azure/azure-resource-manager/management/async-operations>.

use axum::http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::address::Address;
use super::error::ArmError;
use super::reply::Reply;
use crate::state::resource::key;
use crate::state::{Data, State};

/// An operation under way or done.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    /// How many polls still answer that it is under way.
    polls: u32,
    /// What `Location` gives at the end: a resource's id, or nothing after a delete.
    resource: Option<String>,
    /// What it ends with where it fails.
    failure: Option<Value>,
}

/// Which header names the operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tracking {
    /// `Azure-AsyncOperation` and `Location`.
    Status,
    /// `Location` alone.
    Location,
}

/// Starts an operation and adds its headers to a reply.
pub(crate) fn start(
    state: &State,
    data: &mut Data,
    address: &Address,
    tracking: Tracking,
    resource: Option<&str>,
    reply: Reply,
) -> Reply {
    start_ending(state, data, address, tracking, resource, None, reply)
}

/// The same for one that ends with a failure, if there is one.
pub(crate) fn start_ending(
    state: &State,
    data: &mut Data,
    address: &Address,
    tracking: Tracking,
    resource: Option<&str>,
    failure: Option<Value>,
    mut reply: Reply,
) -> Reply {
    let id = Uuid::new_v4().to_string();
    let operation = Operation { polls: data.pace.polls, resource: resource.map(key), failure };
    data.operations.insert(id.clone(), operation);
    let namespace = address.provider.as_deref().unwrap_or("Microsoft.Resources");
    let subscription = address.subscription.as_deref().unwrap_or_default();
    // Real ones carry long tokens in the query: a client must keep the whole URL.
    let url = |collection: &str| {
        format!(
            "{}subscriptions/{subscription}/providers/{namespace}/locations/global/{collection}/{id}\
             ?api-version=2024-03-01&t={}&c={}",
            state.endpoints().resource_manager,
            Uuid::new_v4().simple(),
            "MIIHhzCCBm-gAwIBAgITHgWEEq".repeat(8),
        )
    };
    if tracking == Tracking::Status {
        reply.headers.push(("azure-asyncoperation", url("operationStatuses")));
    }
    reply.headers.push(("location", url("operationResults")));
    reply.headers.push(("retry-after", data.pace.retry_after_secs.to_string()));
    reply
}

/// Answers a poll, if the address is one.
pub(crate) fn poll(data: &mut Data, address: &Address) -> Option<Result<Reply, ArmError>> {
    let (collection, id) = address.pairs.get(1)?;
    if !address.pairs.first()?.0.eq_ignore_ascii_case("locations") {
        return None;
    }
    let status = collection.eq_ignore_ascii_case("operationStatuses");
    if !status && !collection.eq_ignore_ascii_case("operationResults") {
        return None;
    }
    let retry_after = data.pace.retry_after_secs.to_string();
    let Some(operation) = data.operations.get_mut(id) else {
        let message = format!("The operation '{id}' was not found.");
        return Some(Err(ArmError::not_found("OperationNotFound", message)));
    };
    let running = operation.polls > 0;
    operation.polls = operation.polls.saturating_sub(1);
    let operation = operation.clone();
    if !running && let Some(resource) = operation.resource.as_ref().and_then(|id| data.resources.get_mut(id))
    {
        resource.unfinished_reads = 0;
    }
    let mut reply = if status {
        let failure = operation.failure.as_ref().filter(|_| !running);
        let word = match failure {
            _ if running => "InProgress",
            Some(_) => "Failed",
            None => "Succeeded",
        };
        let mut body = json!({"id": address.path, "name": id, "status": word});
        if let Some(failure) = failure {
            body["error"] = failure.clone();
        }
        Reply::ok(body)
    } else if running {
        Reply::empty(StatusCode::ACCEPTED)
    } else {
        let resource = operation.resource.as_ref().and_then(|id| data.resources.get(id));
        resource.map_or_else(
            || Reply::empty(StatusCode::NO_CONTENT),
            |resource| Reply::ok(super::engine::view(resource)),
        )
    };
    if running {
        reply.headers.push(("retry-after", retry_after));
    }
    Some(Ok(reply))
}
