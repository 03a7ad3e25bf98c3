//! Addresses that lead elsewhere, from wherever they come: no credential is sent there.

use axum::Router;
use bytes::Bytes;
use contract::cloud::CloudProfile;
use contract::secret::Secret;
use flate2::Compression;
use flate2::write::GzEncoder;
use installer::azure::publish::Service;
use installer::azure::vault::Vault;
use installer::azure::{Access, AzureError};
use std::io::Write as _;
use url::Url;

use super::stand::{Stand, Surroundings, id, turn};

/// Signed in by the stand's own sign-in, and otherwise as in the public cloud: there no address of this
/// machine is anybody's of Azure.
async fn in_the_public_cloud() -> (Stand, Url) {
    let mut surroundings = Surroundings::new().await;
    let authority = surroundings.cloud.authority.clone();
    surroundings.options.cloud = CloudProfile { authority, ..CloudProfile::public() };
    let stand = surroundings.connect().await;
    let elsewhere = stand.ground.listen("elsewhere", Router::new()).await.unwrap();
    (stand, elsewhere)
}

/// What a poisoned setting, tag, answer or checkpoint could hold in place of an address of Azure's.
fn poisoned(elsewhere: &Url) -> Vec<Url> {
    let mut others = vec![elsewhere.to_string(), elsewhere.to_string().replace("https", "http")];
    others.push(elsewhere.to_string().replace("https://", "https://kv-one.vault.azure.net@"));
    others.extend(
        [
            "https://kv-one.vault.azure.net.example.com/",
            "https://kv-one.vault.azure.net:8443/",
            "http://kv-one.vault.azure.net/",
            "https://person:word@kv-one.vault.azure.net/",
            "https://vaultazure.net/",
            "https://azure.net/",
            // A machine that anybody may have under a name of Azure's.
            "https://anybody.westeurope.cloudapp.azure.com/",
            "https://169.254.169.254/metadata/",
            "https://[::1]/",
            "file:///etc/passwd",
        ]
        .map(str::to_owned),
    );
    others.iter().map(|text| Url::parse(text).unwrap()).collect()
}

#[tokio::test]
async fn no_address_that_azure_answers_takes_a_credential_elsewhere() {
    let (stand, elsewhere) = in_the_public_cloud().await;
    let (azure, key) = (&stand.azure, Secret::new("canary-master".to_owned()));
    let mut tried = 0;
    for url in poisoned(&elsewhere) {
        let vault = Vault { id: id("/providers/Microsoft.KeyVault/vaults/kv-one"), uri: url.clone() };
        let value = Secret::new("canary-value".to_owned());
        let access = Access::Standing;
        let refused: Vec<Result<(), AzureError>> = vec![
            // `defaultHostName` of the site, and its publishing endpoint.
            azure.host_status(&url, &key).await.map(drop),
            azure.run_function(&url, &key, "SyncWork", "sync").await,
            azure.publish(&url, Service::OneDeploy, Bytes::from_static(b"zip"), access).await.map(drop),
            azure.publish(&url, Service::ZipDeployment, Bytes::from_static(b"zip"), access).await.map(drop),
            // `primaryEndpoints` of the storage account.
            azure.upload_if_absent(&url, "checkpoint.txt", Bytes::new(), access).await.map(drop),
            azure.upload_if_changed(&url, "a.zip", Bytes::new(), access).await.map(drop),
            azure.blob_exists(&url, "a.zip", access).await.map(drop),
            azure.download(&url, "a.zip", 10, access).await.map(drop),
            azure.blob_names(&url, "", access).await.map(drop),
            azure.delete_blob(&url, "a.zip", access).await.map(drop),
            // `vaultUri` of the vault.
            azure.secret_value(&vault, "mimecast-client-secret", None, access).await.map(drop),
            azure.secret_versions(&vault, "mimecast-client-secret", access).await.map(drop),
            azure.disable_secret_version(&vault, "mimecast-client-secret", "1", access).await.map(drop),
        ];
        drop(value);
        for (call, refused) in refused.into_iter().enumerate() {
            assert!(
                matches!(&refused, Err(AzureError::ForeignHost { .. })),
                "call {call} to {url}: {refused:?}"
            );
            tried += 1;
        }
    }
    assert_eq!(tried, 13 * 13);
    let reached = stand.ground.journal.entries();
    assert!(reached.iter().all(|entry| entry.service == "entra"), "{reached:?}");
}

#[tokio::test]
async fn no_redirect_takes_a_key_or_a_blobs_token_elsewhere() {
    let stand = Stand::expecting([]).await;
    let elsewhere = stand.ground.listen("elsewhere", Router::new()).await.unwrap();
    let (azure, key) = (&stand.azure, Secret::new("canary-master".to_owned()));
    let away = |method, path| turn(method, path, 307).header("location", elsewhere.to_string());
    stand.expect([
        away("GET", "/admin/host/status"),
        away("GET", "/c/a.zip"),
        away("PUT", "/c/a.zip"),
        away("POST", "/v1/workspaces/w/query"),
    ]);
    let container = stand.root().join("c").unwrap();
    let name = "a.zip";
    assert!(azure.host_status(stand.root(), &key).await.is_err());
    assert!(azure.download(&container, name, 10, Access::Standing).await.is_err());
    assert!(azure.upload_if_absent(&container, name, Bytes::new(), Access::Standing).await.is_err());
    assert!(azure.query("w", "T", "").await.is_err());
    stand.done();
    assert!(stand.ground.journal.entries().iter().all(|entry| entry.service != "elsewhere"));
}

/// Twenty megabytes that travel as twenty kilobytes.
fn bomb() -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..20 {
        encoder.write_all(&[b' '; 1024 * 1024]).unwrap();
    }
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_compressed_answer_is_bounded_by_what_it_unpacks_to() {
    let path = id("/providers/Microsoft.Web/sites/func-x");
    let bomb = bomb();
    assert!(bomb.len() < 64 * 1024);
    let stand =
        Stand::expecting([turn("GET", path.path(), 200).header("content-encoding", "gzip").bytes(bomb)])
            .await;
    let error = stand.azure.get(&path, "2024-11-01").await.unwrap_err();
    assert!(matches!(error, AzureError::TooLong { limit_bytes: 16_777_216, .. }), "{error:?}");
    stand.done();
}
