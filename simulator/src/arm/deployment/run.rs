//! Makes what a template declares, each resource after what it depends on.

use std::collections::{HashMap, HashSet};

use axum::http::Method;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::frame::{Frame, without_nulls};
use super::prepare::{Prepared, Unit, prepare};
use super::{TYPE, invalid};
use crate::arm::address::Address;
use crate::arm::error::ArmError;
use crate::arm::{Incoming, authorization, check, dispatch, open_addresses_of};
use crate::entra::Caller;
use crate::publish;
use crate::state::State;
use crate::state::resource::key;
use crate::state::subscription::Registration;

/// Type of what a site takes beside its own configuration: here `onedeploy` and `zipdeploy` alone.
const EXTENSIONS: &str = "Microsoft.Web/sites/extensions";

/// What came of a deployment.
#[derive(Default)]
pub(super) struct Done {
    /// Ids of what was made, by nested deployments too.
    pub(super) made: Vec<String>,
    pub(super) operations: Vec<Value>,
    pub(super) outputs: Map<String, Value>,
    pub(super) failure: Option<ArmError>,
}

/// Runs a template that was prepared.
pub(super) fn run<'a>(
    state: &'a State,
    caller: &'a Caller,
    prepared: &'a Prepared<'a>,
    name: &'a str,
) -> BoxFuture<'a, Done> {
    async move {
        let frame = Frame {
            parameters: prepared.frame.parameters.clone(),
            variables: prepared.frame.variables.clone(),
            target: prepared.frame.target.clone(),
            running: true,
            ..prepared.frame
        };
        let mut done = Done::default();
        let mut failed: HashSet<String> = HashSet::new();
        let mut refusals = Vec::new();
        for unit in prepared.order.iter().filter_map(|&at| prepared.units.get(at)) {
            // What depends on something that failed is not begun; the rest goes on.
            if unit.before.iter().any(|id| failed.contains(&key(id))) {
                failed.insert(key(&unit.id));
                continue;
            }
            if !unit.wanted {
                continue;
            }
            let made = if unit.resource_type.eq_ignore_ascii_case(TYPE) {
                nested(state, caller, &frame, unit).await
            } else {
                one(state, caller, &frame, unit).await.map(|()| vec![unit.id.clone()])
            };
            done.operations.push(operation(name, unit, made.as_ref().err()));
            match made {
                Ok(made) => done.made.extend(made),
                Err(error) => {
                    failed.insert(key(&unit.id));
                    refusals.push(error);
                }
            }
        }
        if refusals.is_empty() {
            match outputs(&frame, &prepared.outputs) {
                Ok(outputs) => done.outputs = outputs,
                Err(error) => refusals.push(error),
            }
        }
        if !refusals.is_empty() {
            let message = "At least one resource deployment operation failed. Please list deployment operations for \
                           details. Please see https://aka.ms/arm-deployment-operations for usage details.";
            done.failure = Some(ArmError::conflict("DeploymentFailed", message).details(refusals));
        }
        done
    }
    .boxed()
}

fn outputs(frame: &Frame<'_>, declared: &Map<String, Value>) -> Result<Map<String, Value>, ArmError> {
    let mut outputs = Map::new();
    for (name, output) in declared {
        let kind = output["type"].as_str().unwrap_or_default();
        let value = frame.value(&output["value"])?;
        // Secure outputs are kept from everybody
        // (https://learn.microsoft.com/azure/azure-resource-manager/templates/outputs#secure-outputs).
        let secure = kind.to_ascii_lowercase().starts_with("secure");
        outputs.insert(
            name.clone(),
            if secure { json!({"type": kind}) } else { json!({"type": kind, "value": value}) },
        );
    }
    Ok(outputs)
}

/// The longest package that is fetched, in bytes: Azure's own limit of one gigabyte is no matter here.
const PACKAGE_LIMIT_BYTES: usize = 64 * 1024 * 1024;

/// Fetches the package that a site's extension names, for the site to take it: `onedeploy` on Flex Consumption
/// (<https://learn.microsoft.com/azure/azure-functions/functions-infrastructure-as-code#remote-package>),
/// `zipdeploy` elsewhere (<https://github.com/projectkudu/kudu/wiki/ARMTemplate:-RunFromPackage-sample>).
async fn package(state: &State, caller: &Caller, frame: &Frame<'_>, unit: &Unit) -> Result<(), ArmError> {
    let (site_id, extension) = unit.id.rsplit_once("/extensions/").unwrap_or_default();
    let action = format!("{EXTENSIONS}/write");
    authorization::check(&state.lock(), caller, &unit.id, &action, state.now())?;
    let properties = frame.value(unit.body.get("properties").unwrap_or(&Value::Null))?;
    let failed = |text: String| ArmError::bad("BadRequest", text).web();
    let site = state.resource(site_id).unwrap_or_default();
    publish::require_way(&site, extension, properties.get("type").and_then(Value::as_str)).map_err(failed)?;
    let address = properties["packageUri"].as_str().unwrap_or_default();
    let fetch = async {
        // Nobody signs in for it, and the address may be anywhere.
        let answer = reqwest::get(address).await?.error_for_status()?;
        answer.bytes().await
    };
    let zip = fetch
        .await
        .map_err(|error| failed(format!("Failed to download package from '{address}': {error}")))?;
    if zip.len() > PACKAGE_LIMIT_BYTES {
        return Err(failed(format!("The package has {} bytes.", zip.len())));
    }
    let fetched = publish::admit(state, site_id, zip).map_err(failed)?;
    state.lock().fetched_packages.push(fetched);
    Ok(())
}

/// Puts one resource, in the name of the one who deploys.
async fn one(state: &State, caller: &Caller, frame: &Frame<'_>, unit: &Unit) -> Result<(), ArmError> {
    register(state, caller, unit);
    if unit.resource_type.eq_ignore_ascii_case(EXTENSIONS) {
        return package(state, caller, frame, unit).await;
    }
    let mut body = unit.body.clone();
    if let Some(properties) = body.get_mut("properties") {
        *properties = frame.value(properties)?;
    }
    let incoming = Incoming {
        method: Method::PUT,
        address: Address::parse(&unit.id)?,
        query: HashMap::from([("api-version".to_owned(), unit.api_version.clone())]),
        body: without_nulls(Value::Object(body)).to_string().into(),
        caller: caller.clone(),
    };
    open_addresses_of(state, &incoming).await?;
    let mut data = state.lock();
    dispatch(state, &mut data, &incoming)?;
    // Azure waits for a resource before it goes on to the next.
    if let Some(resource) = data.resources.get_mut(&key(&unit.id)) {
        resource.unfinished_reads = 0;
        resource.unseen_reads = 0;
    }
    Ok(())
}

/// Registers the resource's provider, where the caller may: what a template declares is registered by
/// deploying it (<https://learn.microsoft.com/azure/azure-resource-manager/management/resource-providers-and-types>).
fn register(state: &State, caller: &Caller, unit: &Unit) {
    let namespace = unit.resource_type.split('/').next().unwrap_or_default();
    let subscription_id = unit.target.subscription_id.clone();
    let mut data = state.lock();
    let scope = format!("/subscriptions/{subscription_id}");
    if data.registered(&subscription_id, namespace)
        || !authorization::may(&data, caller, &scope, &format!("{namespace}/register/action"), state.now())
    {
        return;
    }
    if let Some(subscription) = data.subscriptions.get_mut(&subscription_id) {
        subscription.providers.insert(namespace.to_ascii_lowercase(), Registration::Registered);
    }
}

async fn nested(
    state: &State,
    caller: &Caller,
    frame: &Frame<'_>,
    unit: &Unit,
) -> Result<Vec<String>, ArmError> {
    let name = unit.id.rsplit('/').next().unwrap_or_default();
    authorization::check(&state.lock(), caller, &unit.id, &format!("{TYPE}/write"), state.now())?;
    {
        let data = state.lock();
        let address = Address::parse(&unit.id)?;
        check::subscription(&data, &address, &Method::PUT)?;
        check::group(&data, &address)?;
    }
    let properties = unit.body.get("properties").cloned().unwrap_or_default();
    if properties.pointer("/expressionEvaluationOptions/scope") != Some(&json!("inner")) {
        // https://learn.microsoft.com/azure/azure-resource-manager/templates/linked-templates#expression-evaluation-scope-in-nested-templates
        return Err(invalid("The simulator takes nested templates with the expression scope 'inner' alone."));
    }
    let given = frame.value(&properties["parameters"])?;
    let given = given.as_object().cloned().unwrap_or_default();
    let prepared = prepare(state, caller, unit.target.clone(), &properties["template"], &given)?;
    let done = run(state, caller, &prepared, name).await;
    done.failure.map_or(Ok(done.made), Err)
}

fn operation(deployment: &str, unit: &Unit, failure: Option<&ArmError>) -> Value {
    let (state, code) = if failure.is_some() { ("Failed", "Conflict") } else { ("Succeeded", "Created") };
    let id = Uuid::new_v4().simple().to_string();
    json!({
        "id": format!("{}/operations/{id}", unit.target.deployment_id(deployment)),
        "operationId": id,
        "properties": {
            "provisioningOperation": "Create",
            "provisioningState": state,
            "statusCode": code,
            "statusMessage": failure.map(|failure| json!({"error": failure.object()})),
            "targetResource": {
                "id": unit.id,
                "resourceType": unit.resource_type,
                "resourceName": unit.id.rsplit('/').next(),
            },
        },
    })
}
