//! Storage accounts, containers and queues through `azure_mgmt_storage`.

use azure_mgmt_storage::Client;
use azure_mgmt_storage::models::{
    BlobContainer, StorageAccountCheckNameAvailabilityParameters, StorageAccountCreateParameters,
    StorageQueue, storage_account_check_name_availability_parameters::Type,
};
use serde_json::Value;

use super::super::Azure;
use super::super::error::AzureError;
use super::super::http::Answer;
use super::super::id::ResourceId;
use super::{Parts, answer, model, unwrap};

/// The version that `azure_mgmt_storage` sends.
const API_VERSION: &str = "2023-05-01";

/// Whether a name that must be unique in the world is free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameCheck {
    /// Nobody has it.
    Free,
    /// Somebody has it, or it breaks the rules: Azure's words.
    Refused(String),
}

/// The kinds of resources that go through the library.
enum Kind<'a> {
    Account { account: &'a str },
    Container { account: &'a str, container: &'a str },
    Queue { account: &'a str, queue: &'a str },
}

impl<'a> Kind<'a> {
    /// The kind of an id in a resource group, if the library is to carry it.
    fn of(id: &'a ResourceId, api_version: &str) -> Option<Self> {
        if api_version != API_VERSION {
            return None;
        }
        let names: Vec<&str> = id.path().split('/').skip(1).collect();
        let lies_at =
            |at: usize, word: &str| names.get(at).is_some_and(|name| name.eq_ignore_ascii_case(word));
        if !lies_at(2, "resourceGroups") || !lies_at(5, "Microsoft.Storage") || !lies_at(6, "storageAccounts")
        {
            return None;
        }
        let account = *names.get(7)?;
        match names.len() {
            8 => Some(Self::Account { account }),
            12 if lies_at(8, "blobServices") && lies_at(10, "containers") => {
                Some(Self::Container { account, container: names[11] })
            }
            12 if lies_at(8, "queueServices") && lies_at(10, "queues") => {
                Some(Self::Queue { account, queue: names[11] })
            }
            _ => None,
        }
    }
}

impl Azure {
    fn storage(&self, what: &str) -> Client {
        let Parts { endpoint, credential, scopes, options } = self.management(what);
        Client::new(endpoint, credential, scopes, options)
    }

    /// The answer to reading a storage resource; `None` where the library is not to carry it.
    pub(in crate::azure) async fn storage_get(
        &self,
        what: &str,
        id: &ResourceId,
        api_version: &str,
    ) -> Option<Result<Answer, AzureError>> {
        let kind = Kind::of(id, api_version)?;
        let (client, group, subscription) = (self.storage(what), id.group()?, id.subscription_id());
        let sent = match kind {
            Kind::Account { account } => {
                let accounts = client.storage_accounts_client();
                accounts.get_properties(group, account, subscription).send().await.map(Into::into)
            }
            Kind::Container { account, container } => {
                let containers = client.blob_containers_client();
                containers.get(group, account, container, subscription).send().await.map(Into::into)
            }
            Kind::Queue { account, queue } => {
                client.queue_client().get(group, account, subscription, queue).send().await.map(Into::into)
            }
        };
        Some(match sent {
            Ok(response) => answer(what, response).await,
            Err(error) => Err(unwrap(what, error)),
        })
    }

    /// The first answer to writing a storage resource; `None` where the library is not to carry it.
    pub(in crate::azure) async fn storage_put(
        &self,
        what: &str,
        id: &ResourceId,
        api_version: &str,
        body: &Value,
    ) -> Option<Result<Answer, AzureError>> {
        let kind = Kind::of(id, api_version)?;
        let (client, group, subscription) = (self.storage(what), id.group()?, id.subscription_id());
        let send = async {
            let sent = match kind {
                Kind::Account { account } => {
                    let body: StorageAccountCreateParameters = model(what, body)?;
                    let accounts = client.storage_accounts_client();
                    accounts.create(group, account, body, subscription).send().await.map(Into::into)
                }
                Kind::Container { account, container } => {
                    let body: BlobContainer = model(what, body)?;
                    let containers = client.blob_containers_client();
                    containers
                        .create(group, account, container, body, subscription)
                        .send()
                        .await
                        .map(Into::into)
                }
                Kind::Queue { account, queue } => {
                    let body: StorageQueue = model(what, body)?;
                    let queues = client.queue_client();
                    queues.create(group, account, subscription, queue, body).send().await.map(Into::into)
                }
            };
            answer(what, sent.map_err(|error| unwrap(what, error))?).await
        };
        Some(send.await)
    }

    /// Whether a storage account may be called so.
    ///
    /// # Errors
    /// [`AzureError`] when Azure refuses to say.
    pub async fn check_storage_name(
        &self,
        subscription_id: &str,
        name: &str,
    ) -> Result<NameCheck, AzureError> {
        let what = format!("checking the storage account name `{name}`");
        let asked = StorageAccountCheckNameAvailabilityParameters::new(
            name.to_owned(),
            Type::MicrosoftStorageStorageAccounts,
        );
        let result = self
            .storage(&what)
            .storage_accounts_client()
            .check_name_availability(asked, subscription_id)
            .await
            .map_err(|error| unwrap(&what, error))?;
        Ok(match result.name_available {
            Some(true) => NameCheck::Free,
            _ => NameCheck::Refused(result.message.unwrap_or_else(|| format!("`{name}` is not available"))),
        })
    }
}
