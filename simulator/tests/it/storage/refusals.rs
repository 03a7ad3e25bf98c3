//! The shapes of refusals, asked for without a library between.

use simulator::state::role::OWNER;

use super::Storage;
use crate::support::client;

super::on_both! {
    refusals_are_xml_with_the_code_in_a_header
    a_head_request_has_the_code_in_the_header_alone
    a_put_without_a_blob_type_is_refused
    a_range_outside_the_blob_is_refused
    bad_names_are_refused
}

async fn refusals_are_xml_with_the_code_in_a_header(storage: &Storage) {
    let url = storage.blob.join("missing-container/blob").unwrap();
    let refused = storage.raw("GET", url, &[], "").await;
    assert_eq!((refused.status, refused.code.as_str()), (404, "ContainerNotFound"));
    assert_eq!(refused.headers["content-type"], "application/xml");
    assert!(refused.body.contains("<Code>ContainerNotFound</Code>"), "{}", refused.body);
    assert!(refused.headers.contains_key("x-ms-request-id"));
}

async fn a_head_request_has_the_code_in_the_header_alone(storage: &Storage) {
    let url = storage.fresh_blob().await.url().clone();
    let refused = storage.raw("HEAD", url, &[], "").await;
    assert_eq!((refused.status, refused.code.as_str(), refused.body.as_str()), (404, "BlobNotFound", ""));
}

async fn a_put_without_a_blob_type_is_refused(storage: &Storage) {
    let url = storage.fresh_blob().await.url().clone();
    assert_eq!(storage.raw("PUT", url, &[], "x").await.status, 400);
}

async fn a_range_outside_the_blob_is_refused(storage: &Storage) {
    let url = storage.fresh_blob().await.url().clone();
    storage.raw("PUT", url.clone(), &[("x-ms-blob-type", "BlockBlob")], "0123456789").await;
    let part = storage.raw("GET", url.clone(), &[("range", "bytes=2-4")], "").await;
    assert_eq!((part.status, part.body.as_str()), (206, "234"));
    assert_eq!(part.headers["content-range"], "bytes 2-4/10");
    let outside = storage.raw("GET", url, &[("range", "bytes=20-30")], "").await;
    assert_eq!((outside.status, outside.code.as_str()), (416, "InvalidRange"));
}

async fn bad_names_are_refused(storage: &Storage) {
    for name in ["Upper", "a--b"] {
        let url = storage.blob.join(&format!("{name}?restype=container")).unwrap();
        let refused = storage.raw("PUT", url, &[], "").await;
        assert_eq!((refused.status, refused.code.as_str()), (400, "InvalidResourceName"), "{name}");
        let url = storage.queue.join(name).unwrap();
        assert_eq!(storage.raw("PUT", url, &[], "").await.status, 400, "{name}");
    }
}

/// Azurite has no roles; the stand-in has Azure's.
#[tokio::test]
async fn a_token_and_a_data_role_are_needed() {
    let storage = Storage::stand_in().await;
    let url = storage.fresh_blob().await.url().clone();
    let arm = storage.arm().unwrap();
    let http = client(&arm.simulator);
    let get = async |token: Option<&str>| {
        let mut request = http.get(url.clone()).header("x-ms-version", "2023-11-03");
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.unwrap();
        let code = response.headers().get("x-ms-error-code").map(|code| code.to_str().unwrap().to_owned());
        (response.status().as_u16(), code.unwrap_or_default())
    };
    assert_eq!(get(None).await, (401, "NoAuthenticationInformation".to_owned()));
    let for_arm = arm.token_for("https://management.azure.com/.default").await;
    assert_eq!(get(Some(&for_arm)).await, (401, "InvalidAuthenticationInfo".to_owned()));
    // BR-059: Owner gives no right on data.
    let (stranger, secret) = arm.simulator.state().add_application("stranger");
    let subscription = format!("/subscriptions/{}", arm.simulator.subscription_id());
    arm.simulator.state().give_role(&stranger.object_id, &subscription, OWNER);
    let scope = "https://storage.azure.com/.default";
    let token =
        crate::support::sign_in(&arm.simulator, &http, &stranger.client_id, secret.expose(), scope).await;
    assert_eq!(get(Some(&token)).await, (403, "AuthorizationPermissionMismatch".to_owned()));
}
