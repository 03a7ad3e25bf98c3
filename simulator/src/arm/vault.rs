//! `Microsoft.KeyVault`: vaults with soft delete, and secrets written through ARM.
//!
//! Follows <https://learn.microsoft.com/rest/api/keyvault/keyvault/vaults> and
//! <https://learn.microsoft.com/azure/key-vault/general/soft-delete-overview>.

use axum::http::StatusCode;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::check::region;
use super::error::ArmError;
use super::kind::{Call, Kind, Place, Write};
use super::operation::{self, Tracking};
use super::reply::Reply;
use crate::state::resource::{Resource, key};
use crate::state::secret::{DeletedVault, NewSecret};
use crate::state::{AddressKind, Data};

/// Versions before 2026-02-01 end on 27 Feb 2027
/// (<https://learn.microsoft.com/azure/key-vault/general/access-control-default>).
/// The newest is what Microsoft's own library sends (`azure-mgmt-keyvault` 14.1.0).
pub(crate) const VERSIONS: &[&str] =
    &["2021-10-01", "2022-07-01", "2023-02-01", "2023-07-01", "2024-11-01", "2026-02-01", "2026-05-15"];

pub(crate) static KINDS: &[Kind] = &[
    Kind {
        name: "Microsoft.KeyVault/vaults",
        versions: VERSIONS,
        created: StatusCode::OK,
        system_data: true,
        write: vault,
        remove: delete_vault,
        ..Kind::BASE
    },
    Kind {
        name: "Microsoft.KeyVault/vaults/secrets",
        versions: VERSIONS,
        place: Place::Child,
        created: StatusCode::OK,
        methods: &["PUT", "PATCH"],
        write: secret,
        ..Kind::BASE
    },
];

/// How long a deleted vault can be recovered, in days: the page above.
const RETENTION_DAYS: std::ops::RangeInclusive<i64> = 7..=90;
/// The longest value of a secret, in bytes
/// (<https://learn.microsoft.com/azure/key-vault/secrets/about-secrets>).
pub(crate) const VALUE_LIMIT_BYTES: usize = 25 * 1024;

/// Whether a vault's name is legal.
pub(crate) fn legal_name(name: &str) -> bool {
    let legal = |each: char| each.is_ascii_alphanumeric() || each == '-';
    (3..=24).contains(&name.len())
        && name.chars().all(legal)
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && !name.ends_with('-')
        && !name.contains("--")
}

fn vault(write: &mut Write<'_>) -> Result<(), ArmError> {
    let name = write.name().to_owned();
    if !legal_name(&name) {
        let message = format!(
            "The vault name '{name}' is invalid. A vault's name must be between 3-24 alphanumeric characters. \
             The name must begin with a letter, end with a letter or digit, and not contain consecutive hyphens."
        );
        return Err(ArmError::bad("VaultNameNotValid", message));
    }
    let mode = write.take("createMode");
    let recover =
        mode.as_ref().and_then(Value::as_str).is_some_and(|mode| mode.eq_ignore_ascii_case("recover"));
    if write.existing.is_none() {
        let deleted = write.data.deleted_vaults.get(&name.to_ascii_lowercase()).cloned();
        match deleted {
            Some(deleted) if recover => return bring_back(write, deleted),
            Some(deleted) if key(&deleted.id) == key(&write.id) => {
                let message = "A vault with the same name already exists in deleted state. You need to either \
                               recover or purge existing key vault. Follow this link \
                               https://go.microsoft.com/fwlink/?linkid=2149745 for more information on soft delete.";
                return Err(ArmError::conflict("ConflictError", message));
            }
            Some(_) => return Err(taken(&name)),
            None if recover => {
                let message =
                    format!("A deleted vault with the name '{name}' does not exist in this location.");
                return Err(ArmError::not_found("DeletedVaultNotFound", message));
            }
            None => {}
        }
        let elsewhere = write.data.resources.values().any(|each| {
            each.resource_type == KINDS[0].name && each.text("/name").eq_ignore_ascii_case(&name)
        });
        if elsewhere || write.data.taken_names.contains(&name.to_ascii_lowercase()) {
            return Err(taken(&name));
        }
    }
    check_properties(write)?;
    finish(write);
    Ok(())
}

fn check_properties(write: &mut Write<'_>) -> Result<(), ArmError> {
    let bad = |message: &str| Err(ArmError::bad("BadRequest", message));
    if !write.text("/properties/tenantId").eq_ignore_ascii_case(write.state.tenant_id()) {
        return bad("The property \"tenantId\" must be the tenant of the subscription.");
    }
    let (family, sku) = (write.text("/properties/sku/family"), write.text("/properties/sku/name"));
    if !family.eq_ignore_ascii_case("A")
        || !["standard", "premium"].contains(&sku.to_ascii_lowercase().as_str())
    {
        return bad("The property \"sku\" must have family \"A\" and name \"standard\" or \"premium\".");
    }
    // https://learn.microsoft.com/azure/key-vault/general/access-control-default: roles from this version on.
    write.default("enableRbacAuthorization", json!(true));
    let policies = write.value("/properties/accessPolicies").is_some();
    if write.value("/properties/enableRbacAuthorization") != Some(&json!(true)) && !policies {
        return bad("The parameter \"accessPolicies\" is not specified.");
    }
    if write.value("/properties/enableSoftDelete") == Some(&json!(false)) {
        return bad("The property \"enableSoftDelete\" can be set to false only for creating new vault.");
    }
    if write.value("/properties/enablePurgeProtection") == Some(&json!(false)) {
        return bad(
            "The property \"enablePurgeProtection\" cannot be set to false. Enabling the purge protection for a \
             vault is an irreversible action.",
        );
    }
    let days = write.value("/properties/softDeleteRetentionInDays").and_then(Value::as_i64);
    let before = write
        .existing
        .as_ref()
        .and_then(|existing| existing.body.pointer("/properties/softDeleteRetentionInDays")?.as_i64());
    if days.is_some_and(|days| !RETENTION_DAYS.contains(&days)) {
        return bad("The property \"softDeleteRetentionInDays\" must be between 7 and 90.");
    }
    if let (Some(days), Some(before)) = (days, before)
        && days != before
    {
        return bad(
            "The property \"softDeleteRetentionInDays\" has been set already and it can't be modified.",
        );
    }
    let retention = days.or(before).unwrap_or(*RETENTION_DAYS.end());
    write.set("softDeleteRetentionInDays", json!(retention));
    write.default("accessPolicies", json!([]));
    let protected =
        write.existing.as_ref().and_then(|each| each.body.pointer("/properties/enablePurgeProtection"));
    if protected == Some(&json!(true)) {
        write.set("enablePurgeProtection", json!(true));
    }
    Ok(())
}

fn finish(write: &mut Write<'_>) {
    let at = (AddressKind::Vault, key(&write.id));
    let uri = write.data.addresses.get(&at).map(ToString::to_string).unwrap_or_default();
    write.set("vaultUri", json!(uri));
    write.default("enabledForDeployment", json!(false));
    write.default("enableSoftDelete", json!(true));
    write.default("publicNetworkAccess", json!("Enabled"));
    write.set("provisioningState", json!("Succeeded"));
    write.data.secrets.entry(key(&write.id)).or_default();
}

fn taken(name: &str) -> ArmError {
    let message = format!(
        "The vault name '{name}' is already in use. Vault names are globally unique so it is possible that the \
         name is already taken. If you are sure that the vault name was not taken then it is possible that a \
         vault with the same name was recently deleted but not purged after being placed in a recoverable state."
    );
    ArmError::conflict("VaultAlreadyExists", message)
}

/// Recovers a vault as it was, with its secrets. Roles on it went with it.
fn bring_back(write: &mut Write<'_>, deleted: DeletedVault) -> Result<(), ArmError> {
    let name = write.name().to_ascii_lowercase();
    let before = deleted.body.get("location").and_then(Value::as_str).unwrap_or_default();
    if region(before) != region(write.text("/location")) || key(&deleted.id) != key(&write.id) {
        let message =
            format!("A deleted vault with the name '{name}' does not exist in this location or group.");
        return Err(ArmError::not_found("DeletedVaultNotFound", message));
    }
    let tags = write.body.get("tags").cloned();
    write.body = deleted.body;
    if let Some(tags) = tags.filter(|tags| tags.as_object().is_some_and(|tags| !tags.is_empty())) {
        write.body["tags"] = tags;
    }
    write.data.deleted_vaults.remove(&name);
    let secrets = write.data.secrets.get(&key(&write.id)).cloned().unwrap_or_default();
    for stored in secrets.values().filter(|stored| stored.deleted_at.is_none()) {
        let resource = secret_resource(&write.id, write.text("/properties/vaultUri"), stored);
        write.data.resources.insert(key(&resource.id), resource);
    }
    finish(write);
    Ok(())
}

/// A vault is never gone at once: it waits to be recovered or purged.
fn delete_vault(data: &mut Data, resource: &Resource, now: OffsetDateTime) -> Result<(), ArmError> {
    let days = resource.body.pointer("/properties/softDeleteRetentionInDays").and_then(Value::as_i64);
    let deleted = DeletedVault {
        id: resource.id.clone(),
        body: resource.body.clone(),
        deleted_at: now,
        retention_days: days.unwrap_or(*RETENTION_DAYS.end()),
    };
    data.deleted_vaults.insert(resource.text("/name").to_ascii_lowercase(), deleted);
    Ok(())
}

/// Writes a secret through the control plane: its value goes in and never comes out.
fn secret(write: &mut Write<'_>) -> Result<(), ArmError> {
    let name = write.name().to_owned();
    let legal = |each: char| each.is_ascii_alphanumeric() || each == '-';
    if name.is_empty() || name.len() > 127 || !name.chars().all(legal) {
        let message =
            format!("The secret name '{name}' is invalid: letters, digits and hyphens, at most 127.");
        return Err(ArmError::bad("BadRequest", message));
    }
    let vault_id = write.parent().map(|parent| parent.id.clone()).unwrap_or_default();
    let uri = write.parent().map(|parent| parent.text("/properties/vaultUri").to_owned()).unwrap_or_default();
    let value = write.take("value").and_then(|value| value.as_str().map(str::to_owned));
    if value.is_none() && write.existing.is_none() {
        return Err(ArmError::bad("BadRequest", "The property \"value\" is required for a new secret."));
    }
    if value.as_ref().is_some_and(|value| value.len() > VALUE_LIMIT_BYTES) {
        return Err(ArmError::bad("BadRequest", "The value of the secret is longer than 25 KB."));
    }
    if let Some(value) = value {
        let new = NewSecret {
            value,
            content_type: write.value("/properties/contentType").and_then(Value::as_str).map(str::to_owned),
            tags: write.body.get("tags").cloned().unwrap_or_else(|| json!({})),
            enabled: write.value("/properties/attributes/enabled").and_then(Value::as_bool),
            expires_at: None,
        };
        if write.data.write_secret(&vault_id, &name, new, write.now).is_none() {
            let message = format!("Secret {name} is currently in a deleted but recoverable state.");
            return Err(ArmError::conflict("ObjectIsDeletedButRecoverable", message));
        }
    }
    if let Some(stored) = write.data.secret(&vault_id, &name) {
        write.body = secret_resource(&vault_id, &uri, stored).body;
    }
    Ok(())
}

/// A secret as ARM shows it.
pub(crate) fn secret_resource(
    vault_id: &str,
    vault_uri: &str,
    stored: &crate::state::secret::StoredSecret,
) -> Resource {
    let name = &stored.name;
    let id = format!("{vault_id}/secrets/{name}");
    let mut body = json!({
        "id": id,
        "name": name,
        "type": "Microsoft.KeyVault/vaults/secrets",
        "properties": {"attributes": {}, "secretUri": format!("{vault_uri}secrets/{name}")},
    });
    if let Some(last) = stored.versions.last() {
        body["tags"] = last.tags.clone();
        body["properties"]["contentType"] = json!(last.content_type);
        body["properties"]["secretUriWithVersion"] =
            json!(format!("{vault_uri}secrets/{name}/{}", last.version));
        body["properties"]["attributes"] = json!({
            "enabled": last.enabled,
            "created": last.created_at.unix_timestamp(),
            "updated": last.updated_at.unix_timestamp(),
        });
    }
    Resource {
        resource_type: "Microsoft.KeyVault/vaults/secrets".to_owned(),
        body,
        hidden: Value::Null,
        unseen_reads: 0,
        unfinished_reads: 0,
        id,
    }
}

/// `deletedVaults`: the list, one, and purge.
pub(crate) fn deleted(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    super::resources::expire(call.data, call.now);
    let names: Vec<String> = call.address.pairs.iter().map(|(_, name)| name.clone()).collect();
    let subscription = call.address.subscription.clone().unwrap_or_default();
    let mine = |deleted: &DeletedVault| {
        deleted.id.to_ascii_lowercase().starts_with(&format!("/subscriptions/{subscription}/"))
    };
    match (call.method, names.as_slice(), call.address.tail.as_deref()) {
        ("GET", [], Some(_)) => {
            call.need("Microsoft.KeyVault/deletedVaults/read")?;
            let all = call.data.deleted_vaults.values().filter(|each| mine(each));
            Ok(Reply::list(all.map(deleted_body).collect()))
        }
        ("GET", [location, name], None) => {
            call.need("Microsoft.KeyVault/locations/deletedVaults/read")?;
            find(call, location, name).map(|deleted| Reply::ok(deleted_body(&deleted)))
        }
        ("POST", [location, name], Some(action)) if action.eq_ignore_ascii_case("purge") => {
            call.need("Microsoft.KeyVault/locations/deletedVaults/purge/action")?;
            let deleted = find(call, location, name)?;
            if deleted.body.pointer("/properties/enablePurgeProtection") == Some(&json!(true)) {
                let message = format!("Purge protection is enabled on the vault '{name}'.");
                return Err(ArmError::conflict("DeletedVaultPurge", message));
            }
            call.data.deleted_vaults.remove(&name.to_ascii_lowercase());
            call.data.secrets.remove(&key(&deleted.id));
            let reply = Reply::empty(StatusCode::ACCEPTED);
            Ok(operation::start(call.state, call.data, call.address, Tracking::Location, None, reply))
        }
        _ => Err(call.unknown()),
    }
}

fn find(call: &Call<'_>, location: &str, name: &str) -> Result<DeletedVault, ArmError> {
    let found = call.data.deleted_vaults.get(&name.to_ascii_lowercase()).filter(|deleted| {
        deleted.body.get("location").and_then(Value::as_str).map(region) == Some(region(location))
    });
    found.cloned().ok_or_else(|| {
        let message = format!("The specified deleted vault '{name}' does not exist in '{location}'.");
        ArmError::not_found("DeletedVaultNotFound", message)
    })
}

fn deleted_body(deleted: &DeletedVault) -> Value {
    let location = deleted.body.get("location").and_then(Value::as_str).unwrap_or_default();
    let name = deleted.body.get("name").and_then(Value::as_str).unwrap_or_default();
    let subscription: String = deleted.id.split('/').take(3).collect::<Vec<_>>().join("/");
    let time = |at: OffsetDateTime| at.format(&Rfc3339).unwrap_or_default();
    json!({
        "id": format!("{subscription}/providers/Microsoft.KeyVault/locations/{location}/deletedVaults/{name}"),
        "name": name,
        "type": "Microsoft.KeyVault/deletedVaults",
        "properties": {
            "vaultId": deleted.id,
            "location": location,
            "tags": deleted.body.get("tags"),
            "deletionDate": time(deleted.deleted_at),
            "scheduledPurgeDate": time(deleted.purged_at()),
            "purgeProtectionEnabled": deleted.body.pointer("/properties/enablePurgeProtection"),
        },
    })
}
