//! Packages taken in and refused.

use std::io::{Cursor, Write};
use std::time::Duration;

use contract::resources::STORAGE_BLOB_DATA_OWNER;
use serde_json::{Value, json};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::{place, router};
use crate::data::scene::{Answer, GROUP, Scene};
use crate::state::role::{READER, WEBSITE_CONTRIBUTOR};
use crate::state::{Pace, resource};

fn package(name: &str) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file(name, SimpleFileOptions::default()).unwrap();
    zip.write_all(br#"{"version":"2.0"}"#).unwrap();
    zip.finish().unwrap().into_inner()
}

async fn post(scene: &Scene, site: &str, audience: &str, body: Vec<u8>) -> Answer {
    let token = format!("Bearer {}", scene.token(audience));
    let headers = [("authorization", token.as_str()), ("content-type", "application/zip")];
    let service = router(scene.data.clone(), site);
    scene.send(&service, "POST", "/api/publish?RemoteBuild=false", &headers, body).await
}

async fn read(scene: &Scene, site: &str, id: &str) -> Answer {
    let token = format!("Bearer {}", scene.token(ARM));
    let headers = [("authorization", token.as_str())];
    let service = router(scene.data.clone(), site);
    scene.send(&service, "GET", &format!("/api/deployments/{id}"), &headers, Vec::new()).await
}

const ARM: &str = "https://management.azure.com";

/// A scene with a site, its deployment container, and somebody who may publish.
fn scene() -> (Scene, String) {
    let scene = Scene::with_roles();
    scene.data.state.give_role(&scene.somebody.object_id, GROUP, WEBSITE_CONTRIBUTOR);
    let site = scene.site(&[]);
    with_container(&scene);
    (scene, site)
}

fn with_container(scene: &Scene) {
    let account = scene.data.storage_account("account").unwrap();
    let id = format!("{account}/blobServices/default/containers/deployments");
    scene.put(&id, "Microsoft.Storage/storageAccounts/blobServices/containers", "deployments", json!({}));
    scene.data.reconcile();
}

#[tokio::test]
async fn a_package_is_stored_and_its_deployment_is_read_until_it_ends() {
    let (scene, site) = scene();
    scene.data.state.set_pace(Pace { polls: 2, unseen_reads: 1, ..Pace::default() });
    let zip = package("host.json");
    let accepted = post(&scene, &site, ARM, zip.clone()).await;
    assert_eq!(accepted.status, 202);
    let id: String = serde_json::from_slice(&accepted.body).unwrap();
    assert_eq!(scene.data.blobs.content("account", "deployments", "released-package.zip").unwrap(), zip);
    // BR-142: early 404, then under way, then the end.
    assert_eq!(read(&scene, &site, &id).await.status, 404);
    for _ in 0..2 {
        let running = read(&scene, &site, &id).await;
        assert_eq!((running.status, &running.json()["status"]), (202, &json!(2)));
    }
    let ended = read(&scene, &site, &id).await;
    assert_eq!(
        (ended.status, &ended.json()["status"], &ended.json()["complete"]),
        (200, &json!(4), &json!(true))
    );
    assert_eq!(read(&scene, &site, "other").await.status, 404);
}

#[tokio::test]
async fn a_package_without_a_host_file_fails_in_its_deployment() {
    let (scene, site) = scene();
    scene.data.state.set_pace(Pace { polls: 0, ..Pace::default() });
    for (body, reason) in
        [(package("app/host.json"), "host.json was not found"), (b"no".to_vec(), "not a zip file")]
    {
        let accepted = post(&scene, &site, ARM, body).await;
        let id: String = serde_json::from_slice(&accepted.body).unwrap();
        let ended = read(&scene, &site, &id).await.json();
        assert_eq!(ended["status"], 3);
        assert!(ended["status_text"].as_str().unwrap().contains(reason), "{ended}");
    }
}

#[tokio::test]
async fn the_first_deployment_fails_inside_until_the_role_has_spread() {
    // BR-107
    let scene = Scene::with_roles();
    scene.data.state.give_role(&scene.somebody.object_id, GROUP, WEBSITE_CONTRIBUTOR);
    let site = scene.site_without_roles(&[]);
    with_container(&scene);
    let refused = post(&scene, &site, ARM, package("host.json")).await;
    let text = String::from_utf8(refused.body).unwrap();
    assert_eq!(refused.status, 400);
    assert!(text.contains("BlobUploadFailedException") && text.contains("403"), "{text}");
    let resource = scene.data.state.resource(&site).unwrap();
    let principal = resource.pointer("/identity/principalId").and_then(Value::as_str).unwrap();
    scene.data.state.give_role(principal, GROUP, STORAGE_BLOB_DATA_OWNER);
    assert_eq!(post(&scene, &site, ARM, package("host.json")).await.status, 202);
}

#[tokio::test]
async fn a_missing_container_is_told() {
    let scene = Scene::with_roles();
    scene.data.state.give_role(&scene.somebody.object_id, GROUP, WEBSITE_CONTRIBUTOR);
    let site = scene.site(&[]);
    let refused = post(&scene, &site, ARM, package("host.json")).await;
    assert_eq!(refused.status, 400);
    assert!(String::from_utf8(refused.body).unwrap().contains("ContainerNotFound"));
}

#[tokio::test]
async fn publishing_wants_a_token_for_arm_and_the_right() {
    let (scene, site) = scene();
    assert_eq!(post(&scene, &site, "https://storage.azure.com", package("host.json")).await.status, 401);
    scene.data.state.clock().advance(Duration::from_secs(1));
    let reader = Scene::new();
    reader.data.state.give_role(&reader.somebody.object_id, GROUP, READER);
    let site = reader.site(&[]);
    assert_eq!(post(&reader, &site, ARM, package("host.json")).await.status, 403);
    reader.data.state.lock().resources.remove(&resource::key(&site));
    assert_eq!(post(&reader, &site, ARM, package("host.json")).await.status, 404);
}

#[test]
fn a_container_has_its_account_in_the_host_or_in_the_path() {
    let found = |url| place(url).unwrap();
    let expected = ("stone".to_owned(), "deployments".to_owned());
    assert_eq!(found("https://stone.blob.core.windows.net/deployments"), expected);
    assert_eq!(found("https://127.0.0.1:4443/stone/deployments"), expected);
    assert_eq!(place("https://stone.blob.core.windows.net/"), None);
}
