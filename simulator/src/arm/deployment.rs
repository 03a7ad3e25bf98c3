//! Template deployments to resource groups.
//!
//! Follows <https://learn.microsoft.com/rest/api/resources/deployments> and, for what a template means,
//! <https://learn.microsoft.com/azure/azure-resource-manager/templates/syntax>. Each resource is written
//! as if it had been put alone, so rights, policies and its service decide as they always do.
//!
//! * [`expression`], [`function`], [`frame`]: the template language, as far as our templates use it.
//! * [`prepare`]: what is checked before anything is made. [`run`]: the making.

use axum::http::{Method, StatusCode};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::error::ArmError;
use super::operation::{self, Tracking};
use super::reply::Reply;
use super::{Incoming, authorization, check, resources};
use crate::state::State;
use crate::state::resource::key;

mod expression;
mod frame;
mod function;
mod prepare;
mod run;

/// The resource type of deployments.
const TYPE: &str = "Microsoft.Resources/deployments";
/// The longest name of a deployment
/// (<https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules>).
const NAME_LIMIT: usize = 64;

/// A deployment that was made.
#[derive(Debug, Clone)]
pub(crate) struct Deployment {
    /// As a read gives it.
    body: Value,
    /// Its operations, one for each resource.
    operations: Vec<Value>,
}

/// Where a template is deployed to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    subscription_id: String,
    group: String,
}

impl Target {
    fn group_id(&self) -> String {
        format!("/subscriptions/{}/resourceGroups/{}", self.subscription_id, self.group)
    }

    fn deployment_id(&self, name: &str) -> String {
        format!("{}/providers/{TYPE}/{name}", self.group_id())
    }
}

/// A refusal of a template.
fn invalid(message: impl Into<String>) -> ArmError {
    let message = message.into();
    ArmError::bad("InvalidTemplate", format!("Deployment template validation failed: '{message}'."))
}

/// What a call wants of a deployment.
struct Wanted {
    target: Target,
    name: String,
    rest: Vec<String>,
}

/// The deployment that a path names, in one of its two spellings:
/// `{group}/providers/Microsoft.Resources/deployments/{name}/…` and `{group}/deployments/{name}/operations/…`.
fn wanted(incoming: &Incoming) -> Option<Wanted> {
    let address = &incoming.address;
    let target = Target { subscription_id: address.subscription.clone()?, group: address.group.clone()? };
    let words: Vec<&str> = address.path.split('/').skip(5).collect();
    let is = |word: &&str, wanted: &str| word.eq_ignore_ascii_case(wanted);
    let rest = match words.as_slice() {
        [providers, namespace, deployments, rest @ ..]
            if is(providers, "providers")
                && is(namespace, "Microsoft.Resources")
                && is(deployments, "deployments") =>
        {
            rest
        }
        [deployments, rest @ ..] if is(deployments, "deployments") => rest,
        _ => return None,
    };
    let (name, rest) = rest.split_first()?;
    let rest = rest.iter().map(|word| word.to_ascii_lowercase()).collect();
    Some(Wanted { target, name: (*name).to_owned(), rest })
}

/// Answers a call that is about a deployment; `None` for any other.
pub(super) async fn answer(state: &State, incoming: &Incoming) -> Option<Result<Reply, ArmError>> {
    let wanted = wanted(incoming)?;
    Some(call(state, incoming, &wanted).await)
}

async fn call(state: &State, incoming: &Incoming, wanted: &Wanted) -> Result<Reply, ArmError> {
    let id = wanted.target.deployment_id(&wanted.name);
    check::api_version(&incoming.query, TYPE, resources::VERSIONS)?;
    {
        let data = state.lock();
        check::subscription(&data, &incoming.address, &incoming.method)?;
        check::group(&data, &incoming.address)?;
    }
    let need = |verb: &str| {
        let action = format!("{TYPE}/{verb}");
        authorization::check(&state.lock(), &incoming.caller, &id, &action, state.now())
    };
    let found = || {
        let found = state.lock().deployments.get(&key(&id)).cloned();
        found.ok_or_else(|| {
            let message = format!("Deployment '{}' could not be found.", wanted.name);
            ArmError::not_found("DeploymentNotFound", message)
        })
    };
    let rest: Vec<&str> = wanted.rest.iter().map(String::as_str).collect();
    match (&incoming.method, rest.as_slice()) {
        (&Method::GET, []) => {
            need("read")?;
            Ok(Reply::ok(found()?.body))
        }
        (&Method::HEAD, []) => {
            need("read")?;
            Ok(Reply::empty(found().map_or(StatusCode::NOT_FOUND, |_| StatusCode::NO_CONTENT)))
        }
        (&Method::GET, ["operations"]) => {
            need("operations/read")?;
            Ok(Reply::list(found()?.operations))
        }
        (&Method::DELETE, []) => {
            // The history alone goes, not what was made.
            need("delete")?;
            state.lock().deployments.remove(&key(&id));
            Ok(Reply::empty(StatusCode::NO_CONTENT))
        }
        (&Method::POST, ["validate"]) => {
            need("validate/action")?;
            let (properties, prepared) = prepared(state, incoming, wanted)?;
            let made: Vec<Value> = prepared.ids().into_iter().map(|id| json!({"id": id})).collect();
            let mut body = shown(&id, &wanted.name, &properties, &prepared, "Succeeded");
            body["properties"]["validatedResources"] = json!(made);
            Ok(Reply::ok(body))
        }
        (&Method::PUT, []) => {
            need("write")?;
            let (properties, prepared) = prepared(state, incoming, wanted)?;
            let mut body = shown(&id, &wanted.name, &properties, &prepared, "Accepted");
            let accepted = body.clone();
            let done = run::run(state, &incoming.caller, &prepared, &wanted.name).await;
            let failure = done.failure.as_ref().map(ArmError::object);
            body["properties"]["provisioningState"] =
                json!(if failure.is_some() { "Failed" } else { "Succeeded" });
            body["properties"]["outputResources"] = done.made.iter().map(|id| json!({"id": id})).collect();
            match &failure {
                Some(failure) => body["properties"]["error"] = failure.clone(),
                None => body["properties"]["outputs"] = done.outputs.into(),
            }
            let reply = Reply { status: StatusCode::CREATED, body: Some(accepted), headers: Vec::new() };
            let mut data = state.lock();
            let deployment = Deployment { body, operations: done.operations };
            data.deployments.insert(key(&id), deployment);
            let address = &incoming.address;
            Ok(operation::start_ending(state, &mut data, address, Tracking::Status, None, failure, reply))
        }
        _ => {
            let message = format!("Nothing answers {} {}.", incoming.method, incoming.address.path);
            Err(ArmError::not_found("InvalidResourceType", message))
        }
    }
}

/// Reads a request's template and checks everything that can be known before it runs.
fn prepared<'a>(
    state: &'a State,
    incoming: &'a Incoming,
    wanted: &Wanted,
) -> Result<(Map<String, Value>, prepare::Prepared<'a>), ArmError> {
    let legal = |each: char| each.is_alphanumeric() || "-_.()".contains(each);
    if wanted.name.chars().count() > NAME_LIMIT || !wanted.name.chars().all(legal) {
        let message = format!("The provided deployment name '{}' is invalid.", wanted.name);
        return Err(ArmError::bad("InvalidDeploymentName", message));
    }
    let request = check::object(&incoming.body)?;
    let properties = request.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    if properties.get("mode").and_then(Value::as_str) != Some("Incremental") {
        // https://learn.microsoft.com/azure/azure-resource-manager/templates/deployment-modes: Complete
        // deletes what the template lacks; nobody here asks for that.
        return Err(ArmError::bad(
            "InvalidRequestContent",
            "The simulator takes the mode 'Incremental' alone.",
        ));
    }
    let Some(template) = properties.get("template").filter(|template| template.is_object()) else {
        return Err(ArmError::bad("InvalidRequestContent", "The request has no template."));
    };
    let given = properties.get("parameters").and_then(Value::as_object).cloned().unwrap_or_default();
    let prepared = prepare::prepare(state, &incoming.caller, wanted.target.clone(), template, &given)?;
    Ok((properties, prepared))
}

/// A deployment as a read gives it: secure parameters without their values.
fn shown(
    id: &str,
    name: &str,
    properties: &Map<String, Value>,
    prepared: &prepare::Prepared<'_>,
    provisioning_state: &str,
) -> Value {
    json!({
        "id": id,
        "name": name,
        "type": TYPE,
        "properties": {
            "mode": properties.get("mode"),
            "provisioningState": provisioning_state,
            "parameters": prepared.shown_parameters(),
            "templateHash": "0",
            "correlationId": Uuid::new_v4().to_string(),
            "timestamp": crate::ingestion::format_time(prepared.now()),
            "duration": "PT1S",
            "providers": [],
            "dependencies": [],
        },
    })
}
