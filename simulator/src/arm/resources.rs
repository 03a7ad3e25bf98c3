//! Subscriptions, resource groups, providers, tags, and lists over all types.
//!
//! Follows <https://learn.microsoft.com/rest/api/resources/>.

use std::collections::HashMap;

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::engine::{page, remove};
use super::error::ArmError;
use super::kind::{Call, Kind};
use super::operation::{self, Tracking};
use super::reply::Reply;
use super::{authorization, check, policy};
use crate::state::resource::{Resource, key, within};
use crate::state::subscription::{Registration, Subscription};
use crate::state::{Data, State};

/// API versions of subscriptions, groups, providers, tags and lists of resources.
pub(crate) const VERSIONS: &[&str] = &[
    "2016-06-01",
    "2018-05-01",
    "2019-05-01",
    "2019-10-01",
    "2020-01-01",
    "2020-06-01",
    "2020-10-01",
    "2021-01-01",
    "2021-04-01",
    "2022-09-01",
    "2022-12-01",
    "2023-07-01",
    "2024-03-01",
    "2024-07-01",
    "2024-11-01",
    "2025-04-01",
];
/// Type of resource groups.
pub(crate) const GROUP_TYPE: &str = "Microsoft.Resources/resourceGroups";
/// The longest name of a resource group
/// (<https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules>).
const GROUP_NAME_LIMIT: usize = 90;

impl State {
    /// Makes a resource group: for setting a scene.
    pub fn add_group(&self, subscription_id: &str, name: &str, location: &str) -> String {
        let id = format!("/subscriptions/{subscription_id}/resourceGroups/{name}");
        let resource = group(&id, name, location, json!({}));
        self.lock().resources.insert(key(&id), resource);
        id
    }
}

fn group(id: &str, name: &str, location: &str, tags: Value) -> Resource {
    let body = json!({
        "id": id,
        "name": name,
        "type": GROUP_TYPE,
        "location": location,
        "tags": tags,
        "properties": {"provisioningState": "Succeeded"},
    });
    Resource {
        id: id.to_owned(),
        resource_type: GROUP_TYPE.to_owned(),
        body,
        hidden: Value::Null,
        unseen_reads: 0,
        unfinished_reads: 0,
    }
}

/// Calls without a provider: `/subscriptions…`, `/tenants`, groups, and lists of resources.
pub(crate) fn scoped(call: &mut Call<'_>, query: &HashMap<String, String>) -> Result<Reply, ArmError> {
    check::api_version(query, "Microsoft.Resources/subscriptions", VERSIONS)?;
    let segments: Vec<String> = call.address.path.split('/').skip(1).map(str::to_ascii_lowercase).collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match (call.method, segments.as_slice()) {
        ("GET", ["tenants"]) => {
            let tenant = call.state.tenant_id();
            Ok(Reply::list(vec![json!({"id": format!("/tenants/{tenant}"), "tenantId": tenant})]))
        }
        ("GET", ["subscriptions"]) => {
            let seen = call.data.subscriptions.values().filter(|each| visible(call, &each.id));
            Ok(Reply::list(seen.map(|each| subscription(call.state, each)).collect()))
        }
        ("GET", ["subscriptions", id]) => {
            call.need("Microsoft.Resources/subscriptions/read")?;
            let found = call.data.subscriptions.get(*id).map(|each| subscription(call.state, each));
            found.map(Reply::ok).ok_or_else(|| call.unknown())
        }
        ("GET", ["subscriptions", _, "locations"]) => {
            call.need("Microsoft.Resources/subscriptions/locations/read")?;
            Ok(Reply::list(check::REGIONS.iter().map(|(name, title)| location(call, name, title)).collect()))
        }
        ("GET", ["subscriptions", id, "providers"]) => {
            call.need("Microsoft.Resources/subscriptions/providers/read")?;
            let known = call.data.subscriptions.get(*id).map(|each| each.providers.clone());
            let all = known.unwrap_or_default();
            Ok(Reply::list(all.iter().map(|(name, state)| provider_body(id, name, *state)).collect()))
        }
        ("GET", ["subscriptions", _, "resourcegroups"]) => list_groups(call, query),
        (
            "GET",
            ["subscriptions", _, "resources"] | ["subscriptions", _, "resourcegroups", _, "resources"],
        ) => list_resources(call, query),
        (_, ["subscriptions", _, "resourcegroups", _]) => one_group(call),
        _ => Err(call.unknown()),
    }
}

fn visible(call: &Call<'_>, subscription_id: &str) -> bool {
    let scope = format!("/subscriptions/{subscription_id}");
    let object_id = &call.caller.object_id;
    // A role anywhere in a subscription shows the subscription.
    call.data.assignments.values().any(|each| {
        each.principal_id.eq_ignore_ascii_case(object_id)
            && (within(&scope, &each.scope) || within(&each.scope, &scope))
    })
}

fn subscription(state: &State, subscription: &Subscription) -> Value {
    let tenant = state.tenant_id();
    json!({
        "id": format!("/subscriptions/{}", subscription.id),
        "subscriptionId": subscription.id,
        "tenantId": tenant,
        "displayName": subscription.name,
        "state": subscription.state,
        "subscriptionPolicies": {
            "locationPlacementId": "Public_2014-09-01",
            "quotaId": "PayAsYouGo_2014-09-01",
            "spendingLimit": "Off",
        },
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
        "tags": {},
    })
}

fn location(call: &Call<'_>, name: &str, title: &str) -> Value {
    let subscription = call.address.subscription.as_deref().unwrap_or_default();
    json!({
        "id": format!("/subscriptions/{subscription}/locations/{name}"),
        "name": name,
        "type": "Region",
        "displayName": title,
        "regionalDisplayName": title,
        "metadata": {"regionType": "Physical", "regionCategory": "Recommended"},
    })
}

fn list_groups(call: &mut Call<'_>, query: &HashMap<String, String>) -> Result<Reply, ArmError> {
    let scope = call.id.trim_end_matches("/resourcegroups").to_owned();
    let subscription = scope.split('/').take(3).collect::<Vec<_>>().join("/");
    let action = "Microsoft.Resources/subscriptions/resourceGroups/read";
    let filter = Filter::parse(query)?;
    let all = call.data.resources.values().filter(|each| {
        each.resource_type == GROUP_TYPE
            && within(&subscription, &each.id)
            && filter.passes(each)
            && authorization::may(call.data, call.caller, &each.id, action, call.now)
    });
    let value = all.map(|each| each.body.clone()).collect();
    Ok(page(call.state, value, call.address, query))
}

fn one_group(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    let id = call.address.path.clone();
    let name = call.address.group.clone().unwrap_or_default();
    let action = |verb: &str| format!("Microsoft.Resources/subscriptions/resourceGroups/{verb}");
    let existing = call.data.resources.get(&key(&id)).cloned();
    let missing = || {
        ArmError::not_found("ResourceGroupNotFound", format!("Resource group '{name}' could not be found."))
    };
    match call.method {
        "GET" => {
            call.need(&action("read"))?;
            existing.map(|existing| Reply::ok(existing.body)).ok_or_else(missing)
        }
        "HEAD" => {
            call.need(&action("read"))?;
            let status = existing.map_or(StatusCode::NOT_FOUND, |_| StatusCode::NO_CONTENT);
            Ok(Reply::empty(status))
        }
        "PUT" => {
            call.need(&action("write"))?;
            put_group(call, &id, &name, existing)
        }
        "PATCH" => {
            call.need(&action("write"))?;
            let mut existing = existing.ok_or_else(missing)?;
            if let Some(tags) = call.body.get("tags") {
                check::check_tags(tags)?;
                existing.body["tags"] = tags.clone();
            }
            let body = existing.body.clone();
            call.data.resources.insert(key(&id), existing);
            Ok(Reply::ok(body))
        }
        "DELETE" => {
            call.need(&action("delete"))?;
            existing.ok_or_else(missing)?;
            remove(call.data, &id, call.now)?;
            let reply = Reply::empty(StatusCode::ACCEPTED);
            Ok(operation::start(call.state, call.data, call.address, Tracking::Location, None, reply))
        }
        _ => Err(call.unknown()),
    }
}

fn put_group(
    call: &mut Call<'_>,
    id: &str,
    name: &str,
    existing: Option<Resource>,
) -> Result<Reply, ArmError> {
    let legal = |each: char| each.is_alphanumeric() || "-_.()".contains(each);
    if name.chars().count() > GROUP_NAME_LIMIT || !name.chars().all(legal) || name.ends_with('.') {
        let message = format!(
            "The provided resource group name '{name}' has invalid characters or length. It may hold letters, \
             digits, '-', '_', '.', '(' and ')', must not end with '.', and has at most {GROUP_NAME_LIMIT} \
             characters."
        );
        return Err(ArmError::bad("InvalidResourceGroupName", message));
    }
    let given = call.body.get("location").and_then(Value::as_str).unwrap_or_default();
    let region = check::region(given);
    if region.is_empty() {
        return Err(ArmError::bad(
            "LocationRequired",
            "The location property is required for this definition.",
        ));
    }
    if !check::REGIONS.iter().any(|(known, _)| *known == region) {
        let message = format!("The provided location '{given}' is not available for resource group.");
        return Err(ArmError::bad("LocationNotAvailableForResourceGroup", message));
    }
    if let Some(existing) = &existing
        && check::region(existing.text("/location")) != region
    {
        let message = format!(
            "Invalid resource group location '{region}'. The Resource group already exists in location '{}'.",
            existing.text("/location")
        );
        return Err(ArmError::conflict("InvalidResourceGroupLocation", message));
    }
    let tags = call.body.get("tags").filter(|tags| !tags.is_null()).cloned().unwrap_or_else(|| json!({}));
    check::check_tags(&tags)?;
    let id = existing.as_ref().map_or(id, |existing| &existing.id);
    let resource = group(id, name, &region, tags);
    policy::enforce(call.data, "Microsoft.Resources/subscriptions/resourceGroups", id, &resource.body)?;
    let body = resource.body.clone();
    call.data.resources.insert(key(id), resource);
    let status = if existing.is_none() { StatusCode::CREATED } else { StatusCode::OK };
    Ok(Reply { status, body: Some(body), headers: Vec::new() })
}

/// `$filter` of lists, as far as it is used: one comparison, or two joined by `and`.
struct Filter {
    tag_name: Option<String>,
    tag_value: Option<String>,
    resource_type: Option<String>,
}

impl Filter {
    fn parse(query: &HashMap<String, String>) -> Result<Self, ArmError> {
        let mut filter = Self { tag_name: None, tag_value: None, resource_type: None };
        let text = query.get("$filter").map_or("", String::as_str);
        for part in text.split(" and ").map(str::trim).filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once(" eq ").unwrap_or((part, ""));
            let value = value.trim().trim_matches('\'').to_owned();
            match name.trim().to_ascii_lowercase().as_str() {
                "tagname" => filter.tag_name = Some(value),
                "tagvalue" => filter.tag_value = Some(value),
                "resourcetype" => filter.resource_type = Some(value),
                _ => {
                    let message = format!("Invalid $filter '{text}' specified in the query string.");
                    return Err(ArmError::bad("InvalidFilterInQueryString", message));
                }
            }
        }
        if filter.tag_name.is_some() && filter.resource_type.is_some() {
            // https://learn.microsoft.com/rest/api/resources/resources/list: tags go with no other property.
            let message = format!("Invalid $filter '{text}': tags cannot be combined with other properties.");
            return Err(ArmError::bad("InvalidFilterInQueryString", message));
        }
        Ok(filter)
    }

    fn passes(&self, resource: &Resource) -> bool {
        let tag = self.tag_name.as_ref().map(|name| {
            let tags = resource.body.get("tags").and_then(Value::as_object);
            let found = tags.and_then(|tags| tags.iter().find(|(each, _)| each.eq_ignore_ascii_case(name)));
            found.and_then(|(_, value)| value.as_str()).map(str::to_owned)
        });
        let tagged = match (tag, &self.tag_value) {
            (None, _) => true,
            (Some(value), None) => value.is_some(),
            (Some(value), Some(wanted)) => value.as_ref() == Some(wanted),
        };
        let typed = self.resource_type.as_ref();
        tagged && typed.is_none_or(|wanted| resource.resource_type.eq_ignore_ascii_case(wanted))
    }
}

fn list_resources(call: &mut Call<'_>, query: &HashMap<String, String>) -> Result<Reply, ArmError> {
    check::group(call.data, call.address)?;
    let scope = call.address.path.rsplit_once('/').map_or("", |(scope, _)| scope).to_owned();
    let filter = Filter::parse(query)?;
    // Top-level resources alone, and of each only what ARM itself knows.
    let value = call.data.resources.values().filter(|each| {
        each.resource_type != GROUP_TYPE
            && each.body.get("location").is_some()
            && each.resource_type.matches('/').count() == 1
            && within(&scope, &each.id)
            && filter.passes(each)
            && {
                let action = format!("{}/read", each.resource_type);
                authorization::may(call.data, call.caller, &each.id, &action, call.now)
            }
    });
    let value = value.map(|each| summary(&each.body)).collect();
    Ok(page(call.state, value, call.address, query))
}

fn summary(body: &Value) -> Value {
    const KNOWN: &[&str] =
        &["id", "name", "type", "kind", "location", "managedBy", "sku", "identity", "tags"];
    let body = body.as_object().cloned().unwrap_or_default();
    body.into_iter().filter(|(name, _)| KNOWN.contains(&name.as_str())).collect::<Map<_, _>>().into()
}

/// `/subscriptions/{s}/providers/{namespace}[/register]`.
pub(crate) fn provider(call: &mut Call<'_>, _: &HashMap<String, String>) -> Result<Reply, ArmError> {
    let namespace = call.address.provider.clone().unwrap_or_default();
    let subscription_id = call.address.subscription.clone().unwrap_or_default();
    let known = Kind::in_namespace(&namespace).next().is_some()
        || OTHERS.iter().any(|each| each.eq_ignore_ascii_case(&namespace));
    if !known {
        let message = format!("The resource namespace '{namespace}' is invalid.");
        return Err(ArmError::not_found("InvalidResourceNamespace", message));
    }
    let register = call.address.tail.is_some();
    match (call.method, register) {
        ("GET", false) => call.need("Microsoft.Resources/subscriptions/providers/read")?,
        ("POST", true) => call.need(&format!("{namespace}/register/action"))?,
        _ => return Err(call.unknown()),
    }
    let polls = call.data.pace.polls;
    let Some(subscription) = call.data.subscriptions.get_mut(&subscription_id) else {
        return Err(call.unknown());
    };
    let state = subscription.providers.entry(namespace.to_ascii_lowercase());
    let state = state.or_insert(Registration::NotRegistered);
    if register {
        if *state == Registration::NotRegistered {
            *state = Registration::Registering(polls);
        }
    } else if let Registration::Registering(left) = *state {
        *state = match left.checked_sub(1) {
            Some(left) => Registration::Registering(left),
            None => Registration::Registered,
        };
    }
    Ok(Reply::ok(provider_body(&subscription_id, &namespace, *state)))
}

/// Namespaces that have no resource types here but can be registered.
const OTHERS: &[&str] = &[
    "Microsoft.AlertsManagement",
    "Microsoft.App",
    "Microsoft.OperationsManagement",
    "Microsoft.PolicyInsights",
    "Microsoft.Resources",
];

fn provider_body(subscription_id: &str, namespace: &str, state: Registration) -> Value {
    let word = match state {
        Registration::NotRegistered => "NotRegistered",
        Registration::Registering(_) => "Registering",
        Registration::Registered => "Registered",
    };
    let locations: Vec<&str> = check::REGIONS.iter().map(|(_, title)| *title).collect();
    let types: Vec<Value> = Kind::in_namespace(namespace)
        .map(|kind| {
            json!({
                "resourceType": kind.name.split_once('/').map(|(_, short)| short),
                "locations": locations,
                "apiVersions": kind.versions,
                "capabilities": "None",
            })
        })
        .collect();
    json!({
        "id": format!("/subscriptions/{subscription_id}/providers/{namespace}"),
        "namespace": namespace,
        "registrationPolicy": "RegistrationRequired",
        "registrationState": word,
        "resourceTypes": types,
    })
}

/// `{scope}/providers/Microsoft.Resources/tags/default`
/// (<https://learn.microsoft.com/rest/api/resources/tags>).
pub(crate) fn tags(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    let id = call.address.scope.clone();
    let verb = match call.method {
        "GET" => "read",
        "PUT" | "PATCH" => "write",
        "DELETE" => "delete",
        _ => return Err(call.unknown()),
    };
    call.need(&format!("Microsoft.Resources/tags/{verb}"))?;
    let given = call.body.pointer("/properties/tags").cloned().unwrap_or_else(|| json!({}));
    let operation = call.body.get("operation").and_then(Value::as_str).unwrap_or_default().to_owned();
    let method = call.method;
    let Some(resource) = call.data.resources.get_mut(&key(&id)) else {
        return Err(ArmError::not_found("ResourceNotFound", format!("The resource '{id}' was not found.")));
    };
    let mut tags = resource.body.get("tags").and_then(Value::as_object).cloned().unwrap_or_default();
    let given = given.as_object().cloned().unwrap_or_default();
    match (method, operation.as_str()) {
        ("GET", _) => {}
        ("DELETE", _) => tags.clear(),
        ("PUT", _) | ("PATCH", "Replace") => tags = given,
        ("PATCH", "Merge") => tags.extend(given),
        ("PATCH", "Delete") => tags.retain(|name, value| given.get(name) != Some(value)),
        _ => {
            return Err(ArmError::bad(
                "InvalidRequestContent",
                "The operation must be Merge, Replace or Delete.",
            ));
        }
    }
    let tags = Value::Object(tags);
    check::check_tags(&tags)?;
    resource.body["tags"] = tags.clone();
    Ok(Reply::ok(json!({
        "id": format!("{id}/providers/Microsoft.Resources/tags/default"),
        "name": "default",
        "type": "Microsoft.Resources/tags",
        "properties": {"tags": tags},
    })))
}

/// Ends what is due by the clock: soft-deleted vaults after their retention.
pub(crate) fn expire(data: &mut Data, now: time::OffsetDateTime) {
    let due: Vec<String> = data
        .deleted_vaults
        .iter()
        .filter(|(_, each)| each.purged_at() <= now)
        .map(|(name, _)| name.clone())
        .collect();
    for name in due {
        if let Some(vault) = data.deleted_vaults.remove(&name) {
            data.secrets.remove(&key(&vault.id));
        }
    }
}
