//! Blobs by the signed-in account's data role.

use bytes::Bytes;
use installer::azure::{Access, AzureError, Deleted, Uploaded};
use url::Url;

use super::stand::{Stand, cause, turn};

const BLOB: &str = "/audit-checkpoints/checkpoint.txt";

fn container(stand: &Stand) -> Url {
    stand.root().join("audit-checkpoints").unwrap()
}

fn xml(code: &str) -> String {
    format!(
        "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code><Message>words\nRequestId:r</Message></Error>"
    )
}

fn refused(method: &'static str, status: u16, code: &'static str) -> super::stand::Turn {
    turn(method, BLOB, status)
        .header("x-ms-error-code", code)
        .header("content-type", "application/xml")
        .text(&if method == "HEAD" { String::new() } else { xml(code) })
}

fn written() -> super::stand::Turn {
    turn("PUT", BLOB, 201).header("etag", "\"1\"").header("last-modified", "Tue, 24 Nov 2026 10:00:00 GMT")
}

#[tokio::test]
async fn an_empty_blob_is_written_only_where_there_is_none() {
    let stand = Stand::expecting([written(), refused("PUT", 409, "BlobAlreadyExists")]).await;
    let container = container(&stand);
    let upload =
        || stand.azure.upload_if_absent(&container, "checkpoint.txt", Bytes::new(), Access::Standing);
    assert_eq!(upload().await.unwrap(), Uploaded::Written);
    assert_eq!(upload().await.unwrap(), Uploaded::AlreadyThere);
    stand.done();
    for call in stand.calls() {
        assert_eq!(call.header("if-none-match"), Some("*"));
        assert_eq!(call.header("x-ms-blob-type"), Some("BlockBlob"));
        assert!(call.header("authorization").unwrap().starts_with("Bearer "));
        assert!(call.body.is_empty());
    }
}

// BR-125
#[tokio::test]
async fn a_role_given_a_moment_ago_is_waited_for() {
    let stand = Stand::expecting(
        [refused("PUT", 404, "ContainerNotFound")]
            .into_iter()
            .chain((0..5).map(|_| refused("PUT", 403, "AuthorizationPermissionMismatch")))
            .chain([turn("PUT", BLOB, 503), written()]),
    )
    .await;
    let container = container(&stand);
    let upload =
        stand.azure.upload_if_absent(&container, "checkpoint.txt", Bytes::new(), Access::JustGranted).await;
    assert_eq!(upload.unwrap(), Uploaded::Written);
    stand.done();
}

#[tokio::test]
async fn a_missing_role_and_a_firewall_are_told_apart_at_once() {
    for (code, access, words) in [
        ("AuthorizationPermissionMismatch", Access::Standing, "Storage Blob Data Contributor"),
        ("AuthorizationFailure", Access::JustGranted, "firewall"),
    ] {
        let stand = Stand::expecting([refused("PUT", 403, code).header("x-ms-request-id", "their-id")]).await;
        let container = container(&stand);
        let error = stand
            .azure
            .upload_if_absent(&container, "checkpoint.txt", Bytes::new(), access)
            .await
            .unwrap_err();
        stand.done();
        assert_eq!(error.code(), Some(code));
        assert_eq!(error.request_id(), Some("their-id"));
        assert!(error.hint().unwrap().text.contains(words), "{:?}", error.hint());
        assert!(error.to_string().contains("`checkpoint.txt`"), "{error}");
    }
}

#[tokio::test]
async fn an_upload_of_the_same_content_is_no_upload() {
    // SHA-256 of "abc": FIPS 180-4, appendix.
    let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let head = |hash: &str| turn("HEAD", BLOB, 200).header("x-ms-meta-sha256", hash);
    let stand = Stand::expecting([
        refused("HEAD", 404, "BlobNotFound"),
        written(),
        head(hash),
        head("of something else"),
        written(),
    ])
    .await;
    let container = container(&stand);
    for expected in [Uploaded::Written, Uploaded::AlreadyThere, Uploaded::Written] {
        let content = Bytes::from_static(b"abc");
        let upload = stand.azure.upload_if_changed(&container, "checkpoint.txt", content, Access::Standing);
        assert_eq!(upload.await.unwrap(), expected);
    }
    stand.done();
    assert_eq!(stand.calls()[1].header("x-ms-meta-sha256"), Some(hash));
    assert_eq!(stand.calls()[1].body, b"abc".as_slice());
}

#[tokio::test]
async fn blobs_are_looked_for_read_and_deleted() {
    let content = || {
        turn("GET", BLOB, 200)
            .header("etag", "\"1\"")
            .header("last-modified", "Tue, 24 Nov 2026 10:00:00 GMT")
            .header("x-ms-blob-type", "BlockBlob")
            .header("content-range", "bytes 0-3/4")
            .text("text")
    };
    let stand = Stand::expecting([
        turn("HEAD", BLOB, 200),
        refused("HEAD", 404, "BlobNotFound"),
        content(),
        content(),
        refused("GET", 404, "BlobNotFound"),
        turn("DELETE", BLOB, 202),
        refused("DELETE", 404, "BlobNotFound"),
    ])
    .await;
    let (azure, container, name, access) =
        (&stand.azure, container(&stand), "checkpoint.txt", Access::Standing);
    assert!(azure.blob_exists(&container, name, access).await.unwrap());
    assert!(!azure.blob_exists(&container, name, access).await.unwrap());
    let read = azure.download(&container, name, 4, access).await.unwrap();
    assert_eq!(read.as_deref(), Some(b"text".as_slice()));
    let error = azure.download(&container, name, 3, access).await.unwrap_err();
    assert!(matches!(error, AzureError::TooLong { limit_bytes: 3, .. }), "{error:?}");
    assert_eq!(azure.download(&container, name, 4, access).await.unwrap(), None);
    assert_eq!(azure.delete_blob(&container, name, access).await.unwrap(), Deleted::Removed);
    assert_eq!(azure.delete_blob(&container, name, access).await.unwrap(), Deleted::AlreadyGone);
    stand.done();
}

#[tokio::test]
async fn blobs_are_listed_over_all_pages() {
    let page = |names: &[&str], next: &str| {
        let blobs: String =
            names.iter().map(|name| format!("<Blob><Name>{name}</Name><Properties/></Blob>")).collect();
        let body = format!(
            "<?xml version=\"1.0\"?><EnumerationResults ServiceEndpoint=\"https://x/\" ContainerName=\"c\">\
             <Blobs>{blobs}</Blobs><NextMarker>{next}</NextMarker></EnumerationResults>"
        );
        turn("GET", "/audit-checkpoints", 200).header("content-type", "application/xml").text(&body)
    };
    let stand = Stand::expecting([page(&["a.zip", "b.zip"], "m"), page(&["c.zip"], "")]).await;
    let container = container(&stand);
    let names = stand.azure.blob_names(&container, "pre", Access::Standing).await.unwrap();
    assert_eq!(names, ["a.zip", "b.zip", "c.zip"]);
    stand.done();
    assert!(stand.calls()[0].target.contains("prefix=pre"), "{}", stand.calls()[0].target);
    assert!(stand.calls()[1].target.contains("marker=m"), "{}", stand.calls()[1].target);
}

#[tokio::test]
async fn passing_faults_are_retried_by_the_one_loop() {
    let stand = Stand::expecting([turn("PUT", BLOB, 500), turn("PUT", BLOB, 503), written()]).await;
    let container = container(&stand);
    let upload =
        stand.azure.upload_if_absent(&container, "checkpoint.txt", Bytes::new(), Access::Standing).await;
    assert_eq!(upload.unwrap(), Uploaded::Written);
    stand.done();
    let stand =
        Stand::expecting([turn("PUT", BLOB, 503), refused("PUT", 403, "KeyBasedAuthenticationNotPermitted")])
            .await;
    let container = self::container(&stand);
    let error = stand
        .azure
        .upload_if_absent(&container, "checkpoint.txt", Bytes::new(), Access::Standing)
        .await
        .unwrap_err();
    let (attempts, last) = cause(&error);
    assert!(matches!((attempts, last), (2, AzureError::Refused(_))), "{error:?}");
}
