//! What ARM checks of every request, before a resource's own service sees it.

use std::collections::HashMap;

use axum::http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::address::Address;
use super::error::ArmError;
use super::kind::{Kind, Place};
use crate::state::Data;
use crate::state::resource::{Resource, key};

/// Regions of the public cloud, by name and by the name for people that App Service gives back.
pub(crate) const REGIONS: &[(&str, &str)] = &[
    ("australiaeast", "Australia East"),
    ("brazilsouth", "Brazil South"),
    ("canadacentral", "Canada Central"),
    ("centralindia", "Central India"),
    ("centralus", "Central US"),
    ("eastasia", "East Asia"),
    ("eastus", "East US"),
    ("eastus2", "East US 2"),
    ("francecentral", "France Central"),
    ("germanywestcentral", "Germany West Central"),
    ("italynorth", "Italy North"),
    ("japaneast", "Japan East"),
    ("koreacentral", "Korea Central"),
    ("northcentralus", "North Central US"),
    ("northeurope", "North Europe"),
    ("norwayeast", "Norway East"),
    ("southafricanorth", "South Africa North"),
    ("southcentralus", "South Central US"),
    ("southeastasia", "Southeast Asia"),
    ("swedencentral", "Sweden Central"),
    ("switzerlandnorth", "Switzerland North"),
    ("uaenorth", "UAE North"),
    ("uksouth", "UK South"),
    ("ukwest", "UK West"),
    ("westeurope", "West Europe"),
    ("westus", "West US"),
    ("westus2", "West US 2"),
    ("westus3", "West US 3"),
];

/// Characters that Azure refuses in tag names
/// (<https://learn.microsoft.com/azure/azure-resource-manager/management/tag-resources#limitations>).
const TAG_NAME_REFUSED: &str = r"<>%&\?/";
/// How many tags a resource may have, and how long names and values may be: the same page.
const TAGS_LIMIT: usize = 50;
const TAG_NAME_LIMIT: usize = 512;
const TAG_VALUE_LIMIT: usize = 256;

/// A region's name without blanks and in lower case: `West Europe` and `westeurope` are one.
pub(crate) fn region(text: &str) -> String {
    text.chars().filter(|each| !each.is_whitespace()).collect::<String>().to_ascii_lowercase()
}

/// The name for people of a region.
pub(crate) fn region_title(name: &str) -> String {
    let known = REGIONS.iter().find(|(each, _)| *each == region(name));
    known.map_or_else(|| name.to_owned(), |(_, title)| (*title).to_owned())
}

/// Checks that `api-version` is there and known to the type.
pub(crate) fn api_version(
    query: &HashMap<String, String>,
    name: &str,
    known: &[&str],
) -> Result<(), ArmError> {
    let given =
        query.iter().find(|(name, _)| name.eq_ignore_ascii_case("api-version")).map(|(_, value)| value);
    let Some(given) = given.filter(|given| !given.is_empty()) else {
        let message = "The api-version query parameter (?api-version=) is required for all requests.";
        return Err(ArmError::bad("MissingApiVersionParameter", message));
    };
    if known.contains(&given.as_str()) {
        return Ok(());
    }
    let (namespace, kind) = name.split_once('/').unwrap_or((name, ""));
    let message = format!(
        "No registered resource provider found for location '' and API version '{given}' for type '{kind}'. \
         The supported api-versions are '{}'. Namespace: {namespace}.",
        known.join(", ")
    );
    Err(ArmError::bad("NoRegisteredProviderFound", message))
}

/// Checks that the subscription is one of the tenant's, and for a write that it is enabled: a disabled one
/// can only be read (<https://learn.microsoft.com/azure/cost-management-billing/manage/subscription-states>).
pub(crate) fn subscription(data: &Data, address: &Address, method: &Method) -> Result<(), ArmError> {
    let Some(id) = &address.subscription else { return Ok(()) };
    let Some(subscription) = data.subscriptions.get(id) else {
        let message = format!("The subscription '{id}' could not be found.");
        return Err(ArmError::not_found("SubscriptionNotFound", message));
    };
    let writes = [Method::PUT, Method::PATCH, Method::DELETE].contains(method);
    if writes && subscription.state == "Disabled" {
        let message = format!(
            "The subscription '{id}' is disabled and therefore marked as read only. You cannot perform any \
             write actions on this subscription until it is re-enabled."
        );
        return Err(ArmError::conflict("ReadOnlyDisabledSubscription", message));
    }
    Ok(())
}

/// Checks that the group exists
/// (<https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/error-not-found>).
pub(crate) fn group(data: &Data, address: &Address) -> Result<(), ArmError> {
    let (Some(subscription), Some(group)) = (&address.subscription, &address.group) else { return Ok(()) };
    let id = format!("/subscriptions/{subscription}/resourceGroups/{group}");
    if data.resources.contains_key(&key(&id)) {
        return Ok(());
    }
    let message = format!("Resource group '{group}' could not be found.");
    Err(ArmError::not_found("ResourceGroupNotFound", message))
}

/// Checks that the namespace is registered in the subscription
/// (<https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/error-register-resource-provider>).
pub(crate) fn registered(data: &Data, address: &Address) -> Result<(), ArmError> {
    let (Some(subscription), Some(namespace)) = (&address.subscription, &address.provider) else {
        return Ok(());
    };
    if data.registered(subscription, namespace) {
        return Ok(());
    }
    let message = format!(
        "The subscription is not registered to use namespace '{namespace}'. See \
         https://aka.ms/rps-not-found for how to register subscriptions."
    );
    Err(ArmError::conflict("MissingSubscriptionRegistration", message))
}

/// Reads a body that must be a JSON object.
pub(crate) fn object(body: &[u8]) -> Result<Map<String, Value>, ArmError> {
    match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(ArmError::bad("InvalidRequestContent", "The request content must be a JSON object.")),
        Err(error) => {
            let message =
                format!("The request content was invalid and could not be deserialized: '{error}'.");
            Err(ArmError::bad("InvalidRequestContent", message))
        }
    }
}

/// Checks that what a resource is made on or under exists.
pub(crate) fn parent(data: &Data, kind: &Kind, address: &Address) -> Result<(), ArmError> {
    let parent = match (kind.place, address.pairs.len()) {
        (Place::Child, count) => address.id_of(count.saturating_sub(1)),
        (_, 1) if address.scope.contains("/providers/") => address.scope.clone(),
        _ => return Ok(()),
    };
    // A secret is a scope for roles, also one that was written through the vault alone
    // (<https://learn.microsoft.com/azure/key-vault/general/rbac-guide>).
    let secret = parent.rsplit_once("/secrets/").is_some_and(|(vault, name)| {
        data.resources.contains_key(&key(vault)) && data.secret(vault, name).is_some()
    });
    if secret || data.resources.contains_key(&key(&parent)) {
        Ok(())
    } else {
        Err(parent_missing(kind, &parent))
    }
}

pub(crate) fn parent_missing(kind: &Kind, parent: &str) -> ArmError {
    let short = kind.name.split_once('/').map_or(kind.name, |(_, short)| short);
    let message = format!(
        "Failed to perform 'write' on resource(s) of type '{short}', because the parent resource '{parent}' \
         could not be found."
    );
    ArmError::not_found("ParentResourceNotFound", message)
}

/// Checks location and tags, and gives the body to be completed by the kind.
pub(crate) fn envelope(
    kind: &Kind,
    address: &Address,
    given: &Map<String, Value>,
    existing: Option<&Resource>,
) -> Result<Map<String, Value>, ArmError> {
    for (name, expected) in [("name", address.name()), ("type", kind.name)] {
        if let Some(other) = given.get(name).and_then(Value::as_str)
            && !other.eq_ignore_ascii_case(expected)
        {
            let message =
                format!("The {name} '{other}' of the body is not '{expected}' of the request's path.");
            return Err(ArmError::bad("InvalidRequestContent", message));
        }
    }
    let mut body = given.clone();
    if kind.place == Place::Group {
        let location = location(kind, address, given, existing)?;
        body.insert("location".to_owned(), json!(location));
        let tags = given.get("tags").filter(|tags| !tags.is_null()).cloned().unwrap_or_else(|| json!({}));
        check_tags(&tags)?;
        body.insert("tags".to_owned(), tags);
    }
    if let Some(properties) = given.get("properties")
        && !properties.is_object()
        && !properties.is_null()
    {
        return Err(ArmError::bad("InvalidRequestContent", "'properties' must be an object."));
    }
    Ok(body)
}

fn location(
    kind: &Kind,
    address: &Address,
    given: &Map<String, Value>,
    existing: Option<&Resource>,
) -> Result<String, ArmError> {
    let text = given.get("location").and_then(Value::as_str).unwrap_or_default();
    if text.is_empty() {
        let message = "The location property is required for this definition.";
        return Err(ArmError::bad("LocationRequired", message));
    }
    let name = region(text);
    if name != "global" && !REGIONS.iter().any(|(known, _)| *known == name) {
        let message = format!(
            "The provided location '{text}' is not available for resource type '{}'. List of available \
             regions for the resource type is '{}'.",
            kind.name,
            REGIONS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(",")
        );
        return Err(ArmError::bad("LocationNotAvailableForResourceType", message));
    }
    if let Some(existing) = existing {
        let before = region(existing.text("/location"));
        if before != name {
            let message = format!(
                "The resource '{}' already exists in location '{before}' in resource group '{}'. A resource \
                 with the same name cannot be created in location '{name}'. Please select a new resource name.",
                address.name(),
                address.group.as_deref().unwrap_or_default(),
            );
            return Err(ArmError::conflict("InvalidResourceLocation", message));
        }
    }
    Ok(name)
}

/// Checks names, values and number of tags.
pub(crate) fn check_tags(tags: &Value) -> Result<(), ArmError> {
    let Some(tags) = tags.as_object() else {
        return Err(ArmError::bad("InvalidRequestContent", "'tags' must be an object."));
    };
    if tags.len() > TAGS_LIMIT {
        let message = format!("The number of tags {} is above the limit of {TAGS_LIMIT}.", tags.len());
        return Err(ArmError::bad("TagCountExceedsLimit", message));
    }
    for (name, value) in tags {
        if name.contains(|each: char| TAG_NAME_REFUSED.contains(each) || each.is_control()) {
            let message = format!(
                "The tag names '{name}' have reserved characters '<,>,%,&,\\,?,/' or control characters."
            );
            return Err(ArmError::bad("InvalidTagNameCharacters", message));
        }
        let Some(value) = value.as_str() else {
            let message = format!("The value of tag '{name}' must be a text.");
            return Err(ArmError::bad("InvalidRequestContent", message));
        };
        if name.chars().count() > TAG_NAME_LIMIT || value.chars().count() > TAG_VALUE_LIMIT {
            let message = format!(
                "The tag '{name}' is too long: names have at most {TAG_NAME_LIMIT} characters and values \
                 {TAG_VALUE_LIMIT}."
            );
            return Err(ArmError::new(StatusCode::BAD_REQUEST, "InvalidTagValueLength", message));
        }
    }
    Ok(())
}
