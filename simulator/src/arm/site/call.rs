//! Calls below a site: settings, references, keys, functions, restart, publishing policies.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::check_settings;
use crate::arm::error::ArmError;
use crate::arm::kind::Call;
use crate::arm::reply::Reply;
use crate::state::resource::{Resource, key};
use crate::state::site::{Reference, settings};

pub(super) fn call(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    let rest = call.rest.clone();
    let lower: Vec<String> = rest.iter().map(|each| each.to_ascii_lowercase()).collect();
    let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
    let need = |action: &str| format!("Microsoft.Web/sites/{action}");
    let action = match (call.method, lower.as_slice()) {
        ("POST", ["config", "appsettings", "list"]) => need("config/list/action"),
        ("PUT", ["config", "appsettings"]) | ("PUT" | "PATCH", ["config", "web"]) => need("config/write"),
        ("GET", ["config", ..]) => need("config/read"),
        ("POST", ["config", "configreferences", "appsettings", "refresh"]) => need("config/refresh/action"),
        ("POST", ["host", "default", "listkeys"]) => need("host/listkeys/action"),
        ("POST", ["host", "default", "sync"]) => need("host/sync/action"),
        ("POST", ["syncfunctiontriggers"]) => need("syncfunctiontriggers/action"),
        ("POST", ["restart"]) => need("restart/action"),
        ("POST", ["stop"]) => need("stop/action"),
        ("POST", ["start"]) => need("start/action"),
        ("GET", ["functions", ..]) => need("functions/read"),
        ("GET", ["basicpublishingcredentialspolicies", ..]) => {
            need("basicPublishingCredentialsPolicies/read")
        }
        ("PUT", ["basicpublishingcredentialspolicies", _]) => {
            need("basicPublishingCredentialsPolicies/write")
        }
        _ => return Err(call.unknown()),
    };
    call.need(&action)?;
    if !call.data.resources.contains_key(&key(&call.id)) {
        let message =
            format!("Cannot find site with name {}.", call.id.rsplit('/').next().unwrap_or_default());
        return Err(ArmError::not_found("NotFound", message).web());
    }
    match lower.as_slice() {
        ["config", "appsettings", "list"] => Ok(Reply::ok(dictionary(call))),
        ["config", "appsettings"] if call.method == "PUT" => put_settings(call),
        ["config", "web"] => web(call),
        ["config", "configreferences", "appsettings"] => references(call),
        ["config", "configreferences", "appsettings", "refresh"] => {
            call.data.refresh_references(&call.id, call.now);
            references(call)
        }
        ["config", "configreferences", "appsettings", _] => one_reference(call, &rest[3]),
        ["host", "default", "listkeys"] => {
            let master = call.data.master_key(&call.id);
            Ok(Reply::ok(json!({
                "masterKey": master, "functionKeys": {"default": master}, "systemKeys": {},
            })))
        }
        ["host", "default", "sync"] | ["syncfunctiontriggers"] => Ok(Reply::empty(StatusCode::NO_CONTENT)),
        ["restart"] => {
            change(call, |resource| {
                let count = resource.hidden["restarts"].as_u64().unwrap_or_default();
                resource.hidden["restarts"] = json!(count + 1);
            });
            Ok(Reply::empty(StatusCode::OK))
        }
        [word @ ("stop" | "start")] => {
            let state = if *word == "stop" { "Stopped" } else { "Running" };
            change(call, |resource| resource.body["properties"]["state"] = json!(state));
            Ok(Reply::empty(StatusCode::OK))
        }
        ["functions"] => {
            let functions = call.data.functions.get(&key(&call.id)).cloned().unwrap_or_default();
            Ok(Reply::list(functions.iter().map(|each| function(call, each)).collect()))
        }
        ["functions", _] => {
            let functions = call.data.functions.get(&key(&call.id)).cloned().unwrap_or_default();
            let wanted = |each: &&Value| {
                each.get("name")
                    .and_then(Value::as_str)
                    .is_some_and(|name| name.eq_ignore_ascii_case(&rest[1]))
            };
            let found = functions.iter().find(wanted).map(|each| Reply::ok(function(call, each)));
            found.ok_or_else(|| {
                ArmError::not_found("NotFound", format!("Function with name '{}' does not exist.", rest[1]))
                    .web()
            })
        }
        ["basicpublishingcredentialspolicies", ..] => policies(call, rest.get(1).map(String::as_str)),
        _ => Err(call.unknown()),
    }
}

fn change(call: &mut Call<'_>, change: impl FnOnce(&mut Resource)) {
    if let Some(resource) = call.data.resources.get_mut(&key(&call.id)) {
        change(resource);
    }
}

fn site<'a>(call: &'a Call<'_>) -> Option<&'a Resource> {
    call.data.resources.get(&key(&call.id))
}

/// A resource below the site, in App Service's shape.
fn below(call: &Call<'_>, path: &str, name: &str, kind: &str, properties: Value) -> Value {
    json!({
        "id": format!("{}/{path}", call.id),
        "name": name,
        "type": format!("Microsoft.Web/sites/{kind}"),
        "location": site(call).map(|site| site.text("/location")),
        "properties": properties,
    })
}

fn dictionary(call: &Call<'_>) -> Value {
    let settings: Map<String, Value> = site(call)
        .map(settings)
        .unwrap_or_default()
        .into_iter()
        .map(|(name, value)| (name, json!(value)))
        .collect();
    below(call, "config/appsettings", "appsettings", "config", Value::Object(settings))
}

/// Replaces the whole set
/// (<https://learn.microsoft.com/rest/api/appservice/web-apps/update-application-settings>).
fn put_settings(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    let given = call.body.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    let flex = site(call).is_some_and(|site| site.text("/properties/sku") == "FlexConsumption");
    check_settings(&given, flex)?;
    change(call, |resource| resource.hidden["appSettings"] = Value::Object(given));
    // Every change of settings fetches the references again, and restarts the site.
    call.data.refresh_references(&call.id, call.now);
    change(call, |resource| {
        let count = resource.hidden["restarts"].as_u64().unwrap_or_default();
        resource.hidden["restarts"] = json!(count + 1);
    });
    Ok(Reply::ok(dictionary(call)))
}

/// `config/web`: the whole configuration, settings apart.
fn web(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    if call.method != "GET" {
        let given = call.body.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
        change(call, |resource| {
            for (name, value) in
                given.into_iter().filter(|(name, value)| name != "appSettings" && !value.is_null())
            {
                resource.hidden["web"][name.clone()] = value.clone();
                if let Some(shown) = resource.body.pointer_mut(&format!("/properties/siteConfig/{name}")) {
                    *shown = value;
                }
            }
        });
    }
    let mut all = json!({
        "numberOfWorkers": 1, "alwaysOn": false, "http20Enabled": false, "minTlsVersion": "1.2",
        "scmMinTlsVersion": "1.2", "ftpsState": "FtpsOnly", "linuxFxVersion": "", "use32BitWorkerProcess": false,
        "webSocketsEnabled": false, "remoteDebuggingEnabled": false, "functionAppScaleLimit": 0,
    });
    let own = site(call).map(|site| site.hidden["web"].clone()).unwrap_or_default();
    for (name, value) in own.as_object().into_iter().flatten() {
        all[name] = value.clone();
    }
    Ok(Reply::ok(below(call, "config/web", call.id.rsplit('/').next().unwrap_or_default(), "config", all)))
}

fn reference_body(call: &Call<'_>, setting: &str, reference: &Reference) -> Value {
    let identity = if reference.identity == "SystemAssigned" { "SystemAssigned" } else { "UserAssigned" };
    let properties = json!({
        "reference": reference.text,
        "status": reference.status,
        "vaultName": reference.vault_name,
        "secretName": reference.secret_name,
        "secretVersion": (!reference.secret_version.is_empty()).then_some(&reference.secret_version),
        "identityType": {"type": identity, "userAssignedIdentities":
            if identity == "UserAssigned" { json!({reference.identity.as_str(): {}}) } else { Value::Null }},
        "details": reference.details,
        "source": "KeyVault",
        "activeVersion": reference.active_version,
    });
    let path = format!("config/configreferences/appsettings/{setting}");
    below(call, &path, setting, "config/configreferences", properties)
}

fn references(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    let all = call.data.resolve_references(&call.id, call.now);
    Ok(Reply::list(all.iter().map(|(name, reference)| reference_body(call, name, reference)).collect()))
}

fn one_reference(call: &mut Call<'_>, setting: &str) -> Result<Reply, ArmError> {
    let all = call.data.resolve_references(&call.id, call.now);
    let found = all.iter().find(|(name, _)| name.eq_ignore_ascii_case(setting));
    found.map(|(name, reference)| Reply::ok(reference_body(call, name, reference))).ok_or_else(|| {
        ArmError::not_found("NotFound", format!("The setting '{setting}' is no Key Vault reference.")).web()
    })
}

fn function(call: &Call<'_>, function: &Value) -> Value {
    let name = function.get("name").and_then(Value::as_str).unwrap_or_default();
    let site_name = call.id.rsplit('/').next().unwrap_or_default();
    let host = site(call).map_or("", |site| site.text("/properties/defaultHostName"));
    let mut body = below(
        call,
        &format!("functions/{name}"),
        &format!("{site_name}/{name}"),
        "functions",
        json!({
            "name": name,
            "function_app_id": null,
            "script_root_path_href": format!("https://{host}/admin/vfs/home/site/wwwroot/{name}/"),
            "config_href": format!("https://{host}/admin/vfs/home/site/wwwroot/{name}/function.json"),
            "href": format!("https://{host}/admin/functions/{name}"),
            "config": function.get("config"),
            "files": null,
            "test_data": "",
            "invoke_url_template": null,
            "language": "Custom",
            "isDisabled": function.get("isDisabled").and_then(Value::as_bool).unwrap_or_default(),
        }),
    );
    if body["location"].is_null() {
        body["location"] = json!("");
    }
    body
}

/// Whether FTP and SCM take user names and passwords
/// (<https://learn.microsoft.com/azure/app-service/configure-basic-auth-disable>).
fn policies(call: &mut Call<'_>, name: Option<&str>) -> Result<Reply, ArmError> {
    let names: Vec<&str> = match name {
        None => vec!["ftp", "scm"],
        Some(name) if name.eq_ignore_ascii_case("ftp") => vec!["ftp"],
        Some(name) if name.eq_ignore_ascii_case("scm") => vec!["scm"],
        Some(_) => return Err(call.unknown()),
    };
    if call.method == "PUT" {
        let Some(allow) = call.body.pointer("/properties/allow").and_then(Value::as_bool) else {
            return Err(ArmError::bad("BadRequest", "The property 'allow' is required.").web());
        };
        let name = names[0].to_owned();
        change(call, |resource| resource.hidden["policies"][name] = json!(allow));
    }
    let body = |name: &str| {
        let allow = site(call).map(|site| site.hidden["policies"][name].clone());
        let path = format!("basicPublishingCredentialsPolicies/{name}");
        below(call, &path, name, "basicPublishingCredentialsPolicies", json!({"allow": allow}))
    };
    match name {
        Some(_) => Ok(Reply::ok(body(names[0]))),
        None => Ok(Reply::list(names.iter().map(|name| body(name)).collect())),
    }
}
