//! Containers and blobs: written, read, listed, on condition.

use azure_core::http::{Etag, RequestContent};
use azure_storage_blob::models::{
    BlobClientDownloadOptions, BlobClientGetPropertiesResultHeaders, BlobClientUploadOptions,
    BlobContainerClientListBlobsOptions, StorageErrorCode,
};
use futures::TryStreamExt;
use std::num::NonZero;

use super::{Storage, refusal, refused};

fn content(text: &str) -> RequestContent<bytes::Bytes, azure_core::http::NoFormat> {
    RequestContent::from(text.as_bytes().to_vec())
}

async fn text(blob: &azure_storage_blob::BlobClient) -> String {
    let body = blob.download(None).await.unwrap().body.collect().await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

super::on_both! {
    a_container_is_made_once_and_goes_with_its_blobs
    a_blob_is_read_as_it_was_written
    an_empty_blob_is_read_as_empty
    creating_only_leaves_what_is_there
    a_write_on_condition_loses_to_a_write_between
    a_large_blob_is_put_together_from_blocks
    blobs_are_listed_by_name_in_pages
}

async fn a_container_is_made_once_and_goes_with_its_blobs(storage: &Storage) {
    let container = storage.container(&storage.fresh());
    assert!(!container.exists().await.unwrap());
    let blob = container.blob_client("blob");
    let missing = refusal(blob.upload(content("x"), None).await);
    assert_eq!(missing, refused(404, StorageErrorCode::ContainerNotFound));
    container.create(None).await.unwrap();
    assert!(container.exists().await.unwrap());
    let again = refusal(container.create(None).await);
    assert_eq!(again, refused(409, StorageErrorCode::ContainerAlreadyExists));
    blob.upload(content("x"), None).await.unwrap();
    container.delete(None).await.unwrap();
    assert!(!container.exists().await.unwrap());
    assert!(!blob.exists().await.unwrap());
    assert_eq!(refusal(container.delete(None).await), refused(404, StorageErrorCode::ContainerNotFound));
}

async fn a_blob_is_read_as_it_was_written(storage: &Storage) {
    let blob = storage.fresh_blob().await;
    assert!(!blob.exists().await.unwrap());
    assert_eq!(refusal(blob.download(None).await), refused(404, StorageErrorCode::BlobNotFound));
    let metadata = [("sha256".to_owned(), "abc".to_owned())].into();
    let options = BlobClientUploadOptions {
        metadata: Some(metadata),
        blob_content_type: Some("text/plain".to_owned()),
        ..Default::default()
    };
    let written = blob.upload(content("the content"), Some(options)).await.unwrap();
    assert_eq!(text(&blob).await, "the content");
    let read = blob.get_properties(None).await.unwrap();
    assert_eq!(read.etag().unwrap(), written.etag);
    assert_eq!(read.content_length().unwrap(), Some(11));
    assert_eq!(read.content_type().unwrap().as_deref(), Some("text/plain"));
    assert_eq!(read.metadata().unwrap()["sha256"], "abc");
    // Another write replaces the metadata too, and has another ETag.
    let second = blob.upload(content("more"), None).await.unwrap();
    assert_ne!(second.etag, written.etag);
    assert!(!blob.get_properties(None).await.unwrap().metadata().unwrap().contains_key("sha256"));
    blob.delete(None).await.unwrap();
    assert_eq!(refusal(blob.delete(None).await), refused(404, StorageErrorCode::BlobNotFound));
}

async fn an_empty_blob_is_read_as_empty(storage: &Storage) {
    let blob = storage.fresh_blob().await;
    blob.upload(content(""), None).await.unwrap();
    assert_eq!(text(&blob).await, "");
}

async fn creating_only_leaves_what_is_there(storage: &Storage) {
    let blob = storage.fresh_blob().await;
    let create_only = || Some(BlobClientUploadOptions::default().if_not_exists());
    blob.upload(content("first"), create_only()).await.unwrap();
    let second = refusal(blob.upload(content("second"), create_only()).await);
    assert_eq!(second, refused(409, StorageErrorCode::BlobAlreadyExists));
    assert_eq!(text(&blob).await, "first");
}

async fn a_write_on_condition_loses_to_a_write_between(storage: &Storage) {
    let blob = storage.fresh_blob().await;
    let only_over =
        |etag: Option<Etag>| Some(BlobClientUploadOptions { if_match: etag, ..Default::default() });
    let nothing_there = refusal(blob.upload(content("x"), only_over(Some("\"0x1\"".into()))).await);
    assert_eq!(nothing_there, refused(412, StorageErrorCode::ConditionNotMet));
    let first = blob.upload(content("first"), None).await.unwrap().etag;
    let second = blob.upload(content("second"), only_over(first.clone())).await.unwrap().etag;
    let lost = refusal(blob.upload(content("third"), only_over(first.clone())).await);
    assert_eq!(lost, refused(412, StorageErrorCode::ConditionNotMet));
    assert_eq!(text(&blob).await, "second");
    let stale = BlobClientDownloadOptions { if_match: first, ..Default::default() };
    assert_eq!(refusal(blob.download(Some(stale)).await), refused(412, StorageErrorCode::ConditionNotMet));
    let known = BlobClientDownloadOptions { if_none_match: second, ..Default::default() };
    assert_eq!(refusal(blob.download(Some(known)).await).0, 304);
}

async fn a_large_blob_is_put_together_from_blocks(storage: &Storage) {
    let blob = storage.fresh_blob().await;
    // Parts of 1,000 bytes make the client stage blocks and commit them; reading is in parts too.
    let long: String = (0..500).map(|number| format!("{number:08}")).collect();
    let options = BlobClientUploadOptions { partition_size: NonZero::new(1000), ..Default::default() };
    blob.upload(content(&long), Some(options)).await.unwrap();
    assert_eq!(text(&blob).await, long);
    let in_parts = BlobClientDownloadOptions { partition_size: NonZero::new(1500), ..Default::default() };
    let body = blob.download(Some(in_parts)).await.unwrap().body.collect().await.unwrap();
    assert_eq!(body, long.as_bytes());
}

async fn blobs_are_listed_by_name_in_pages(storage: &Storage) {
    let container = storage.container(&storage.fresh());
    container.create(None).await.unwrap();
    // No `&`: the client library's reader of lists stops at entities.
    for name in ["b/2 x", "a", "b/1", "c"] {
        container.blob_client(name).upload(content("x"), None).await.unwrap();
    }
    let names = async |prefix: Option<&str>, page: Option<i32>| -> Vec<String> {
        let options = BlobContainerClientListBlobsOptions {
            prefix: prefix.map(str::to_owned),
            maxresults: page,
            ..Default::default()
        };
        let items = container.list_blobs(Some(options)).unwrap();
        items.map_ok(|item| item.name.unwrap()).try_collect().await.unwrap()
    };
    assert_eq!(names(None, None).await, ["a", "b/1", "b/2 x", "c"]);
    assert_eq!(names(None, Some(1)).await, ["a", "b/1", "b/2 x", "c"]);
    assert_eq!(names(Some("b/"), None).await, ["b/1", "b/2 x"]);
}
