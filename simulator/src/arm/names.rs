//! Whether a name is free in the world: storage accounts, sites, vaults.

use serde_json::{Value, json};

use super::error::ArmError;
use super::kind::Call;
use super::reply::Reply;
use super::{site, storage, vault};

/// <https://learn.microsoft.com/rest/api/storagerp/storage-accounts/check-name-availability>
pub(crate) fn storage(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    let name =
        name(call, "Microsoft.Storage/storageAccounts", "Microsoft.Storage/checknameavailability/read")?;
    if let Some(problem) = storage::name_problem(&name) {
        return Ok(answer("AccountNameInvalid", &problem));
    }
    if taken(call, "Microsoft.Storage/storageAccounts", &name) {
        return Ok(answer("AlreadyExists", &format!("The storage account named {name} is already taken.")));
    }
    Ok(Reply::ok(json!({"nameAvailable": true})))
}

/// <https://learn.microsoft.com/rest/api/appservice/check-name-availability>
pub(crate) fn site(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    let name = name(call, "Microsoft.Web/sites", "Microsoft.Web/checknameavailability/read")?;
    if !site::legal_name(&name) {
        return Ok(answer("Invalid", &format!("The app name '{name}' is invalid.")));
    }
    if taken(call, "Microsoft.Web/sites", &name) {
        let message = format!("Hostname '{name}' already exists. Please select a different name.");
        return Ok(answer("AlreadyExists", &message));
    }
    Ok(Reply::ok(json!({"nameAvailable": true, "reason": "", "message": ""})))
}

/// <https://learn.microsoft.com/rest/api/keyvault/keyvault/vaults/check-name-availability>
pub(crate) fn vault(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    let name = name(call, "Microsoft.KeyVault/vaults", "Microsoft.KeyVault/checkNameAvailability/read")?;
    if !vault::legal_name(&name) {
        return Ok(answer("AccountNameInvalid", &format!("The vault name '{name}' is invalid.")));
    }
    let deleted = call.data.deleted_vaults.contains_key(&name.to_ascii_lowercase());
    if deleted || taken(call, "Microsoft.KeyVault/vaults", &name) {
        return Ok(answer("AlreadyExists", &format!("The vault name '{name}' is already in use.")));
    }
    Ok(Reply::ok(json!({"nameAvailable": true})))
}

fn name(call: &Call<'_>, kind: &str, action: &str) -> Result<String, ArmError> {
    call.need(action)?;
    let text = |name: &str| call.body.get(name).and_then(Value::as_str).unwrap_or_default();
    let plain = text("type").rsplit('/').next() == kind.rsplit('/').next();
    if call.method != "POST" || text("name").is_empty() || !plain {
        let message = format!("The request must be a POST with a name and the type '{kind}'.");
        return Err(ArmError::bad("InvalidRequestContent", message));
    }
    Ok(text("name").to_owned())
}

fn taken(call: &Call<'_>, kind: &str, name: &str) -> bool {
    call.data.taken_names.contains(&name.to_ascii_lowercase())
        || call
            .data
            .resources
            .values()
            .any(|each| each.resource_type == kind && each.text("/name").eq_ignore_ascii_case(name))
}

fn answer(reason: &str, message: &str) -> Reply {
    Reply::ok(json!({"nameAvailable": false, "reason": reason, "message": message}))
}
