//! `Microsoft.Storage`: accounts, containers, queues.
//!
//! Follows <https://learn.microsoft.com/rest/api/storagerp/>.

use axum::http::StatusCode;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::error::ArmError;
use super::kind::{Call, Kind, Place, Speed, Write};
use super::reply::Reply;
use crate::state::resource::{Resource, key};

/// The newest is what Microsoft's own library sends (`azure-mgmt-storage` 25.3.0).
pub(crate) const VERSIONS: &[&str] = &[
    "2021-09-01",
    "2022-09-01",
    "2023-01-01",
    "2023-04-01",
    "2023-05-01",
    "2024-01-01",
    "2025-06-01",
    "2026-09-01",
];

pub(crate) static KINDS: &[Kind] = &[
    Kind {
        name: "Microsoft.Storage/storageAccounts",
        versions: VERSIONS,
        created: StatusCode::ACCEPTED,
        put: Speed::Located,
        write: account,
        call: Some(call),
        ..Kind::BASE
    },
    Kind {
        name: "Microsoft.Storage/storageAccounts/blobServices",
        versions: VERSIONS,
        place: Place::Child,
        created: StatusCode::OK,
        methods: &["PUT"],
        write: default_only,
        ..Kind::BASE
    },
    Kind {
        name: "Microsoft.Storage/storageAccounts/blobServices/containers",
        versions: VERSIONS,
        place: Place::Child,
        etag: true,
        write: container,
        ..Kind::BASE
    },
    Kind {
        name: "Microsoft.Storage/storageAccounts/fileServices",
        versions: VERSIONS,
        place: Place::Child,
        created: StatusCode::OK,
        methods: &["PUT"],
        write: default_only,
        ..Kind::BASE
    },
    // Older connectors keep their place in one; ours has none.
    Kind {
        name: "Microsoft.Storage/storageAccounts/fileServices/shares",
        versions: VERSIONS,
        place: Place::Child,
        etag: true,
        write: share,
        ..Kind::BASE
    },
    Kind {
        name: "Microsoft.Storage/storageAccounts/queueServices",
        versions: VERSIONS,
        place: Place::Child,
        created: StatusCode::OK,
        methods: &["PUT"],
        write: default_only,
        ..Kind::BASE
    },
    Kind {
        name: "Microsoft.Storage/storageAccounts/queueServices/queues",
        versions: VERSIONS,
        place: Place::Child,
        created: StatusCode::OK,
        write: queue,
        ..Kind::BASE
    },
];

/// Why a storage account's name is not legal, if it is not (BR-130).
pub(crate) fn name_problem(name: &str) -> Option<String> {
    let legal = |each: char| each.is_ascii_lowercase() || each.is_ascii_digit();
    let good = (3..=24).contains(&name.len()) && name.chars().all(legal);
    (!good).then(|| {
        format!(
            "{name} is not a valid storage account name. Storage account name must be between 3 and 24 \
             characters in length and use numbers and lower-case letters only."
        )
    })
}

fn account(write: &mut Write<'_>) -> Result<(), ArmError> {
    let name = write.name().to_owned();
    if let Some(problem) = name_problem(&name) {
        return Err(ArmError::bad("AccountNameInvalid", problem));
    }
    let elsewhere = write.data.resources.values().any(|each| {
        each.resource_type == KINDS[0].name && each.text("/name") == name && key(&each.id) != key(&write.id)
    });
    if write.data.taken_names.contains(&name) || elsewhere {
        let message = format!("The storage account named {name} is already taken.");
        return Err(ArmError::conflict("StorageAccountAlreadyTaken", message));
    }
    let sku = write.text("/sku/name").to_owned();
    if sku.is_empty() || (write.text("/kind").is_empty() && write.existing.is_none()) {
        let message = "The values for the request properties 'sku.name' and 'kind' are required.";
        return Err(ArmError::bad("InvalidRequestPropertyValue", message));
    }
    // https://azure.microsoft.com/updates: general-purpose v1 and blob-only accounts ended on 1 Sep 2026.
    if ["Storage", "BlobStorage"].contains(&write.text("/kind")) {
        let message = format!("Accounts of kind '{}' can no longer be made.", write.text("/kind"));
        return Err(ArmError::bad("AccountKindNotSupported", message));
    }
    write.body["sku"]["tier"] = json!(sku.split('_').next());
    let at = write.at();
    let region = write.text("/location").to_owned();
    write.default("minimumTlsVersion", json!("TLS1_2"));
    write.default("allowBlobPublicAccess", json!(false));
    write.default("allowCrossTenantReplication", json!(false));
    write.default("supportsHttpsTrafficOnly", json!(true));
    write.default("accessTier", json!("Hot"));
    write.default(
        "networkAcls",
        json!({
            "bypass": "AzureServices", "virtualNetworkRules": [], "ipRules": [], "defaultAction": "Allow",
        }),
    );
    let service = json!({"keyType": "Account", "enabled": true, "lastEnabledTime": at});
    write.output(
        "encryption",
        || json!({"services": {"file": service, "blob": service}, "keySource": "Microsoft.Storage"}),
    );
    write.output("creationTime", || at.clone());
    write.output("keyCreationTime", || json!({"key1": at, "key2": at}));
    write.output("primaryLocation", || json!(region));
    write.set("privateEndpointConnections", json!([]));
    write.set("statusOfPrimary", json!("available"));
    write.set("provisioningState", json!("Succeeded"));
    let endpoints = write.state.endpoints();
    let primary = json!({
        "blob": format!("{}{name}/", endpoints.blob),
        "queue": format!("{}{name}/", endpoints.queue),
        "table": format!("{}{name}/", endpoints.table),
    });
    write.set("primaryEndpoints", primary);
    if write.existing.is_none() {
        for service in ["blobServices", "queueServices", "fileServices"] {
            let id = format!("{}/{service}/default", write.id);
            let resource_type = format!("{}/{service}", KINDS[0].name);
            let body = json!({
                "id": id, "name": "default", "type": resource_type,
                "properties": {"cors": {"corsRules": []}},
            });
            let resource = Resource {
                resource_type,
                body,
                hidden: Value::Null,
                unseen_reads: 0,
                unfinished_reads: 0,
                id: id.clone(),
            };
            write.data.resources.insert(key(&id), resource);
        }
    }
    Ok(())
}

fn default_only(write: &mut Write<'_>) -> Result<(), ArmError> {
    if write.name() == "default" {
        return Ok(());
    }
    Err(ArmError::bad("InvalidResourceName", "The name of the service must be 'default'."))
}

/// Whether a container's or queue's name is legal
/// (<https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata>).
fn legal_name(name: &str) -> bool {
    let legal = |each: char| each.is_ascii_lowercase() || each.is_ascii_digit() || each == '-';
    (3..=63).contains(&name.len())
        && name.chars().all(legal)
        && !name.contains("--")
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// A file share
/// (<https://learn.microsoft.com/rest/api/storagerp/file-shares/create>).
fn share(write: &mut Write<'_>) -> Result<(), ArmError> {
    if !legal_name(write.name()) {
        let message = format!("The specified resource name '{}' contains invalid characters.", write.name());
        return Err(ArmError::bad("InvalidResourceName", message));
    }
    write.default("shareQuota", json!(5120));
    write.default("enabledProtocols", json!("SMB"));
    Ok(())
}

fn container(write: &mut Write<'_>) -> Result<(), ArmError> {
    if !legal_name(write.name()) {
        let message = format!("The specified resource name '{}' contains invalid characters.", write.name());
        return Err(ArmError::bad("InvalidResourceName", message));
    }
    let public = write.text("/properties/publicAccess").to_owned();
    let account = write.id.split("/blobServices/").next().unwrap_or_default().to_owned();
    let account = write.data.resources.get(&key(&account));
    let allowed = account.and_then(|account| account.body.pointer("/properties/allowBlobPublicAccess"));
    if !public.is_empty() && public != "None" && allowed != Some(&json!(true)) {
        let message = "Public access is not permitted on this storage account.";
        return Err(ArmError::conflict("PublicAccessNotPermitted", message));
    }
    let at = write.at();
    write.default("publicAccess", json!("None"));
    write.default("defaultEncryptionScope", json!("$account-encryption-key"));
    write.default("denyEncryptionScopeOverride", json!(false));
    write.set("deleted", json!(false));
    write.set("remainingRetentionDays", json!(0));
    write.set("leaseStatus", json!("Unlocked"));
    write.set("leaseState", json!("Available"));
    write.set("hasImmutabilityPolicy", json!(false));
    write.set("hasLegalHold", json!(false));
    write.set("lastModifiedTime", at);
    Ok(())
}

fn queue(write: &mut Write<'_>) -> Result<(), ArmError> {
    if !legal_name(write.name()) {
        let message = format!("The specified resource name '{}' contains invalid characters.", write.name());
        return Err(ArmError::bad("InvalidResourceName", message));
    }
    write.default("metadata", json!({}));
    Ok(())
}

fn call(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    match (call.method, call.rest.first().map(String::as_str)) {
        ("POST", Some(name)) if name.eq_ignore_ascii_case("listKeys") => {
            call.need("Microsoft.Storage/storageAccounts/listkeys/action")?;
            let account = call.data.resources.get(&key(&call.id)).ok_or_else(|| {
                ArmError::not_found(
                    "ResourceNotFound",
                    format!("The storage account {} was not found.", call.id),
                )
            })?;
            let made = account.body.pointer("/properties/creationTime").cloned();
            let keys = ["key1", "key2"].map(|name| {
                // The same for an account as long as it lives; of nobody else's.
                let seed = format!("{}{name}{made:?}", account.id);
                let half = Sha256::digest(seed.as_bytes());
                let value = BASE64_STANDARD.encode([half, Sha256::digest(half)].concat());
                json!({"keyName": name, "value": value, "permissions": "FULL", "creationTime": made})
            });
            Ok(Reply::ok(json!({"keys": keys})))
        }
        _ => Err(call.unknown()),
    }
}
