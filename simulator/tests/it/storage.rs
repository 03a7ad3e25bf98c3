//! Blobs and queues: the same expectations of the stand-in and of Azurite.
//!
//! Each test is a function over a [`Storage`] and runs twice. Where Azurite is not installed, its half
//! says so and is left out.

mod blobs;
mod leases;
mod queues;
mod refusals;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use azure_core::credentials::{AccessToken, Secret, TokenCredential, TokenRequestOptions};
use azure_core::http::{ClientOptions, Transport, Url};
use azure_storage_blob::models::StorageErrorCode;
use azure_storage_blob::{BlobClient, BlobContainerClient, BlobContainerClientOptions};
use azure_storage_queue::{QueueClient, QueueClientOptions};
use contract::resources::{STORAGE_BLOB_DATA_OWNER, STORAGE_QUEUE_DATA_CONTRIBUTOR};
use reqwest::Method;
use serde_json::json;
use simulator::azurite::Azurite;

use crate::support::{Arm, client};

/// A storage account of either kind, and a person with every right on it.
pub(crate) struct Storage {
    pub(crate) blob: Url,
    pub(crate) queue: Url,
    token: String,
    http: reqwest::Client,
    names: AtomicU32,
    arm: Arm,
    azurite: Option<Azurite>,
}

#[derive(Debug)]
struct Token(String);

#[async_trait::async_trait]
impl TokenCredential for Token {
    async fn get_token(
        &self,
        _scopes: &[&str],
        _options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let expires_on =
            azure_core::time::OffsetDateTime::UNIX_EPOCH + std::time::Duration::from_secs(1 << 33);
        Ok(AccessToken::new(Secret::new(self.0.clone()), expires_on))
    }
}

/// An answer to a raw request.
#[derive(Debug)]
pub(crate) struct Raw {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: String,
}

impl Storage {
    async fn stand_in() -> Self {
        let arm = Arm::start().await;
        arm.make_group().await;
        let id = format!("{}/providers/Microsoft.Storage/storageAccounts/stone", arm.group());
        let body = json!({"sku": {"name": "Standard_LRS"}, "kind": "StorageV2", "location": "westeurope",
            "properties": {}});
        arm.put(&id, "2023-05-01", body).await.good();
        let endpoints = arm.simulator.state().endpoints();
        let (blob, queue) = (endpoints.blob.join("stone/"), endpoints.queue.join("stone/"));
        Self::of(blob.unwrap(), queue.unwrap(), arm, None, &id).await
    }

    #[expect(clippy::print_stdout, reason = "a test that is left out says so")]
    async fn azurite() -> Option<Self> {
        let arm = Arm::start().await;
        let azurite = Azurite::start(&arm.simulator.ground().certificates).await.expect("Azurite starts");
        let Some(azurite) = azurite else {
            println!("left out: Azurite is not installed; `npm ci` in tools/azurite");
            return None;
        };
        let (blob, queue) = (azurite.blob().clone(), azurite.queue().clone());
        let nowhere = arm.group();
        Some(Self::of(blob, queue, arm, Some(azurite), &nowhere).await)
    }

    async fn of(blob: Url, queue: Url, arm: Arm, azurite: Option<Azurite>, scope: &str) -> Self {
        for role in [STORAGE_BLOB_DATA_OWNER, STORAGE_QUEUE_DATA_CONTRIBUTOR] {
            arm.simulator.state().give_role(&arm.simulator.person().object_id, scope, role);
        }
        let token = arm.token_for("https://storage.azure.com/.default").await;
        let http = client(&arm.simulator);
        Self { blob, queue, token, http, names: AtomicU32::new(0), arm, azurite }
    }

    /// A name that nothing has yet.
    pub(crate) fn fresh(&self) -> String {
        format!("thing-{}", self.names.fetch_add(1, Ordering::Relaxed))
    }

    fn options(&self) -> ClientOptions {
        ClientOptions {
            transport: Some(Transport::new(Arc::new(self.http.clone()))),
            ..ClientOptions::default()
        }
    }

    fn credential(&self) -> Option<Arc<dyn TokenCredential>> {
        Some(Arc::new(Token(self.token.clone())))
    }

    /// A container's client.
    pub(crate) fn container(&self, name: &str) -> BlobContainerClient {
        let options = BlobContainerClientOptions { client_options: self.options(), ..Default::default() };
        let url = self.blob.join(name).unwrap();
        BlobContainerClient::new(url, self.credential(), Some(options)).unwrap()
    }

    /// The client of a blob in a new container.
    pub(crate) async fn fresh_blob(&self) -> BlobClient {
        let container = self.container(&self.fresh());
        container.create(None).await.unwrap();
        container.blob_client("folder/some blob+1.txt")
    }

    /// The client of a new queue.
    pub(crate) async fn fresh_queue(&self) -> QueueClient {
        let options = QueueClientOptions { client_options: self.options(), ..Default::default() };
        let url = self.queue.join(&self.fresh()).unwrap();
        let queue = QueueClient::new(url, self.credential(), Some(options)).unwrap();
        queue.create(None).await.unwrap();
        queue
    }

    /// A request without any library between.
    pub(crate) async fn raw(&self, method: &str, url: Url, headers: &[(&str, &str)], body: &str) -> Raw {
        let mut request = self
            .http
            .request(Method::from_bytes(method.as_bytes()).unwrap(), url)
            .header("x-ms-version", "2023-11-03")
            .bearer_auth(&self.token)
            .body(body.to_owned());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let code = headers.get("x-ms-error-code").map(|code| code.to_str().unwrap().to_owned());
        Raw { status, code: code.unwrap_or_default(), headers, body: response.text().await.unwrap() }
    }

    /// Whether this is the stand-in, whose clock can be moved.
    pub(crate) fn arm(&self) -> Option<&Arm> {
        self.azurite.is_none().then_some(&self.arm)
    }
}

/// The status and the code of a refusal.
#[track_caller]
pub(crate) fn refusal<T>(result: azure_core::Result<T>) -> (u16, String) {
    match result {
        Ok(_) => panic!("it was not refused"),
        Err(error) => {
            let status = error.http_status().map_or(0, |status| status.into());
            let code = match error.kind() {
                azure_core::error::ErrorKind::HttpResponse { error_code, .. } => error_code.clone(),
                _ => None,
            };
            (status, code.unwrap_or_else(|| error.to_string()))
        }
    }
}

/// A refusal to compare with.
pub(crate) fn refused(status: u16, code: StorageErrorCode) -> (u16, String) {
    (status, code.as_ref().to_owned())
}

/// Runs expectations against the stand-in one by one, and gathers them for Azurite.
macro_rules! on_both {
    ($($name:ident)+) => {
        mod stand_in {
            $(#[tokio::test]
            async fn $name() {
                super::$name(&super::super::Storage::stand_in().await).await;
            })+
        }

        /// All expectations of this file.
        pub(super) async fn all(storage: &Storage) {
            $($name(storage).await;)+
        }
    };
}
use on_both;

/// One Azurite for all: it takes seconds to start.
#[tokio::test]
async fn azurite_does_the_same() {
    if let Some(storage) = Storage::azurite().await {
        blobs::all(&storage).await;
        leases::all(&storage).await;
        queues::all(&storage).await;
        refusals::all(&storage).await;
    }
}
