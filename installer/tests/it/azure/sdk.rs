//! What goes through the management crates: the right calls, with everything that our own calls have.

use std::collections::BTreeMap;

use axum::Router;
use installer::azure::{AzureError, Function, NameCheck, ResourceId};
use serde_json::{Value, json};

use super::stand::{SUBSCRIPTION, Stand, cause, id, token, turn};

const VERSION: &str = "2023-05-01";
const WEB_VERSION: &str = "2024-04-01";

fn account() -> ResourceId {
    id("/providers/Microsoft.Storage/storageAccounts/stx")
}

fn site() -> ResourceId {
    id("/providers/Microsoft.Web/sites/func-x")
}

fn account_body() -> Value {
    json!({
        "sku": {"name": "Standard_LRS"},
        "kind": "StorageV2",
        "location": "westeurope",
        "tags": {"owner": "secops"},
        "properties": {"allowSharedKeyAccess": false, "minimumTlsVersion": "TLS1_2"}
    })
}

/// The library marks its calls: `azsdk-rust-mgmt_storage/0.21.0 (…)`; ours replace that by our own
/// name, so what tells them apart is what only the library would do.
#[tokio::test]
async fn a_storage_account_is_made_by_the_library_and_watched_by_us() {
    let path = account().path().to_owned();
    let ready =
        json!({"name": "stx", "unknownToTheModel": 1, "properties": {"provisioningState": "Succeeded"}});
    let stand = Stand::expecting([
        turn("PUT", &path, 202).header("location", "{root}/subscriptions/op/1?monitor=true"),
        turn("GET", "/subscriptions/op/1", 202),
        turn("GET", "/subscriptions/op/1", 200).json(ready.clone()),
        turn("GET", &path, 200).json(ready.clone()),
    ])
    .await;
    // The library's own poller would send the PUT again and read the answer through its model.
    let made = stand.azure.put(&account(), VERSION, &account_body()).await.unwrap();
    assert_eq!(made, ready);
    stand.done();
    let calls = stand.calls();
    assert_eq!(calls[0].target, format!("{path}?api-version={VERSION}"));
    assert_eq!(serde_json::from_slice::<Value>(&calls[0].body).unwrap(), account_body());
    assert_eq!(calls[0].header("authorization"), Some(format!("Bearer {}", token(0)).as_str()));
    assert!(uuid::Uuid::parse_str(calls[0].header("x-ms-client-request-id").unwrap()).is_ok());
    assert!(calls[0].header("user-agent").unwrap().starts_with("mimecast-sentinel/"));
}

#[tokio::test]
async fn containers_and_queues_are_made_and_read_by_the_library() {
    let container =
        account().child("blobServices", "default").unwrap().child("containers", "packages").unwrap();
    let queue = account().child("queueServices", "default").unwrap().child("queues", "sync-work").unwrap();
    for (id, body) in [
        (container, json!({"properties": {"publicAccess": "None"}})),
        (queue, json!({"properties": {"metadata": {}}})),
    ] {
        let made = json!({"id": id.path(), "properties": {"etag": "1"}});
        let stand = Stand::expecting([
            turn("PUT", id.path(), 201).json(made.clone()),
            turn("GET", id.path(), 200).json(made.clone()),
            turn("GET", id.path(), 200).json(made.clone()),
            turn("GET", id.path(), 404)
                .json(json!({"error": {"code": "ContainerNotFound", "message": "no"}})),
        ])
        .await;
        assert_eq!(stand.azure.put(&id, VERSION, &body).await.unwrap(), made);
        assert_eq!(stand.azure.get(&id, VERSION).await.unwrap(), Some(made));
        assert_eq!(stand.azure.get(&id, VERSION).await.unwrap(), None);
        stand.done();
        assert_eq!(serde_json::from_slice::<Value>(&stand.calls()[0].body).unwrap(), body);
    }
}

#[tokio::test]
async fn a_body_that_the_library_would_change_is_not_sent() {
    let stand = Stand::expecting([]).await;
    let mut body = account_body();
    body["properties"]["ofTomorrow"] = json!(true);
    let error = stand.azure.put(&account(), VERSION, &body).await.unwrap_err();
    assert!(matches!(&error, AzureError::Model { .. }), "{error:?}");
    // With another version it is a call of our own, which carries anything.
    stand.expect([
        turn("PUT", account().path(), 200).json(json!({})),
        turn("GET", account().path(), 200).json(json!({})),
    ]);
    assert!(stand.azure.put(&account(), "2024-01-01", &body).await.is_ok());
    stand.done();
}

#[tokio::test]
async fn what_azure_refuses_comes_back_through_the_library_as_it_is() {
    let refusal = json!({"error": {"code": "InvalidTemplateDeployment", "message": "See inner.", "details": [
        {"code": "StorageAccountAlreadyTaken", "message": "The storage account named stx is already taken."}
    ]}});
    let path = account().path().to_owned();
    let stand = Stand::expecting([
        turn("PUT", &path, 503),
        turn("PUT", &path, 409).json(refusal).header("x-ms-request-id", "their-id"),
    ])
    .await;
    let error = stand.azure.put(&account(), VERSION, &account_body()).await.unwrap_err();
    stand.done();
    let (attempts, last) = cause(&error);
    assert_eq!(attempts, 2, "once by us after the 503, and not once more by the library");
    assert!(matches!(last, AzureError::Refused(_)), "{last:?}");
    assert_eq!(error.code(), Some("StorageAccountAlreadyTaken"));
    assert_eq!(error.request_id(), Some("their-id"));
    assert!(error.hint().is_some());
}

#[tokio::test]
async fn a_storage_name_is_free_or_refused_in_azures_words() {
    let path = format!("/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Storage/checkNameAvailability");
    let stand = Stand::expecting([
        turn("POST", &path, 200).json(json!({"nameAvailable": true})),
        turn("POST", &path, 200)
            .json(json!({"nameAvailable": false, "reason": "AlreadyExists", "message": "is taken"})),
    ])
    .await;
    assert_eq!(stand.azure.check_storage_name(SUBSCRIPTION, "stx").await.unwrap(), NameCheck::Free);
    let taken = stand.azure.check_storage_name(SUBSCRIPTION, "stx").await.unwrap();
    assert_eq!(taken, NameCheck::Refused("is taken".to_owned()));
    stand.done();
    let asked: Value = serde_json::from_slice(&stand.calls()[0].body).unwrap();
    assert_eq!(asked, json!({"name": "stx", "type": "Microsoft.Storage/storageAccounts"}));
}

// BR-115: what the person has set is among what is read, and goes back with the rest.
#[tokio::test]
async fn settings_are_read_and_written_whole() {
    let path = site().path().to_owned();
    let settings = json!({"MIMECAST_API": "2.0", "MY_EXTRA": "1", "EMPTY": ""});
    let stand = Stand::expecting([
        turn("POST", format!("{path}/config/appsettings/list"), 200)
            .json(json!({"name": "appsettings", "properties": settings})),
        turn("PUT", format!("{path}/config/appsettings"), 200)
            .json(json!({"name": "appsettings", "properties": settings})),
        turn("POST", format!("{path}/config/appsettings/list"), 200).json(json!({"properties": null})),
    ])
    .await;
    let read = stand.azure.app_settings(&site()).await.unwrap();
    assert_eq!(read["MY_EXTRA"], "1");
    assert_eq!(stand.azure.set_app_settings(&site(), &read).await.unwrap(), read);
    assert_eq!(stand.azure.app_settings(&site()).await.unwrap(), BTreeMap::new());
    stand.done();
    let calls = stand.calls();
    assert!(calls[1].target.ends_with(&format!("?api-version={WEB_VERSION}")));
    assert_eq!(serde_json::from_slice::<Value>(&calls[1].body).unwrap(), json!({"properties": settings}));
}

#[tokio::test]
async fn functions_are_listed_over_all_pages_of_this_cloud_alone() {
    let path = format!("{}/functions", site().path());
    let page = |name: &str, disabled: Value, next: Value| json!({"value": [{"name": format!("func-x/{name}"), "properties": {"isDisabled": disabled}}], "nextLink": next});
    let stand = Stand::expecting([
        turn("GET", &path, 200).json(page("Sync", json!(false), json!(format!("{{root}}{path}?p=2")))),
        turn("GET", &path, 200).json(page("SyncWork", json!(true), Value::Null)),
    ])
    .await;
    let functions = stand.azure.functions(&site()).await.unwrap();
    let expected = [("Sync", false), ("SyncWork", true)]
        .map(|(name, disabled)| Function { name: name.to_owned(), disabled });
    assert_eq!(functions, expected);
    stand.done();

    let elsewhere = stand.ground.listen("elsewhere", Router::new()).await.unwrap();
    stand.expect([turn("GET", &path, 200).json(page("Sync", json!(false), json!(elsewhere.to_string())))]);
    let error = stand.azure.functions(&site()).await.unwrap_err();
    assert!(matches!(error, AzureError::ForeignHost { .. }), "{error:?}");
    assert!(stand.ground.journal.entries().iter().all(|entry| entry.service != "elsewhere"));
    stand.done();
}

// BR-099
#[tokio::test]
async fn keys_triggers_and_restart_are_actions_of_the_site() {
    let path = site().path().to_owned();
    let stand = Stand::expecting([
        turn("POST", format!("{path}/host/default/listkeys"), 200)
            .json(json!({"masterKey": "canary-master", "functionKeys": {}, "systemKeys": {}})),
        turn("POST", format!("{path}/host/default/listkeys"), 200).json(json!({"masterKey": null})),
        turn("POST", format!("{path}/syncfunctiontriggers"), 204),
        turn("POST", format!("{path}/restart"), 200),
    ])
    .await;
    let key = stand.azure.master_key(&site()).await.unwrap();
    assert_eq!(key.expose(), "canary-master");
    let error = stand.azure.master_key(&site()).await.unwrap_err();
    assert!(matches!(error, AzureError::Incomplete { missing: "masterKey", .. }), "{error:?}");
    stand.azure.sync_triggers(&site()).await.unwrap();
    stand.azure.restart(&site()).await.unwrap();
    stand.done();
    assert!(stand.calls().iter().all(|call| call.target.contains(&format!("api-version={WEB_VERSION}"))));
}
