//! The same installation for several Mimecast accounts: a vault with a secret for each, the queue, and
//! an account of its own on Mimecast's side for each.

use std::collections::BTreeMap;
use std::io;

use contract::resources::{KEY_VAULT_SECRETS_USER, STORAGE_QUEUE_DATA_CONTRIBUTOR, SYNC_QUEUE};
use contract::settings::{self, account_secret};
use serde_json::json;
use url::Url;

use super::{GROUP, STORAGE_ACCOUNT};
use crate::mimecast::{self, Mimecast};
use crate::simulator::Simulator;
use crate::state::AddressKind;

/// The vault's name.
const VAULT: &str = "kv-installed";

/// One account on Mimecast's side.
#[derive(Debug, Clone)]
pub struct ServedAccount {
    /// Its key in the installation.
    pub key: String,
    /// The account.
    pub mimecast: Mimecast,
    /// Root of its API.
    pub base_url: Url,
}

impl Simulator {
    /// Adds an account on Mimecast's side, without any event, at an address of its own.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn add_mimecast(&self, key: &str) -> io::Result<ServedAccount> {
        let mimecast = Mimecast::empty(self.clock().clone());
        mimecast.configure(|settings| settings.client_id = format!("EXAMPLE-{key}"));
        let base_url = self.ground().listen(mimecast::SERVICE, mimecast.router()).await?;
        Ok(ServedAccount { key: key.to_owned(), mimecast, base_url })
    }

    /// As [`Simulator::installed`], for accounts of these keys.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn installed_for(
        &self,
        keys: &[&str],
    ) -> io::Result<(BTreeMap<String, String>, Vec<ServedAccount>)> {
        let mut environment = self.installed();
        let worker = environment.get(settings::DELIVERY_CLIENT_ID).cloned().unwrap_or_default();
        let worker = self.state().principal_by_client_id(&worker);
        let worker = worker.map(|principal| principal.object_id).unwrap_or_default();
        let group = format!("/subscriptions/{}/resourceGroups/{GROUP}", self.subscription_id());

        let storage = format!("{group}/providers/Microsoft.Storage/storageAccounts/{STORAGE_ACCOUNT}");
        let kind = "Microsoft.Storage/storageAccounts/queueServices/queues";
        self.put(
            &format!("{storage}/queueServices/default/queues/{SYNC_QUEUE}"),
            kind,
            SYNC_QUEUE,
            json!({}),
        );
        self.data().reconcile();
        self.state().give_role(&worker, &storage, STORAGE_QUEUE_DATA_CONTRIBUTOR);

        let vault = format!("{group}/providers/Microsoft.KeyVault/vaults/{VAULT}");
        let vault_uri = self.state().open(AddressKind::Vault, &vault).await?;
        let properties = json!({"vaultUri": vault_uri, "enableRbacAuthorization": true});
        self.put(&vault, "Microsoft.KeyVault/vaults", VAULT, properties);
        self.state().give_role(&worker, &vault, KEY_VAULT_SECRETS_USER);

        let mut accounts = Vec::new();
        for key in keys {
            let account = self.add_mimecast(key).await?;
            let own = account.mimecast.settings();
            let secret = json!({
                "api": "2.0",
                "base_url": account.base_url,
                "client_id": own.client_id,
                "client_secret": own.client_secret,
            });
            self.state().put_secret(&vault, &account_secret(key), &secret.to_string());
            accounts.push(account);
        }
        for setting in
            [settings::MIMECAST_BASE_URL, settings::MIMECAST_CLIENT_ID, settings::MIMECAST_CLIENT_SECRET]
        {
            environment.remove(setting);
        }
        environment.insert(settings::MIMECAST_ACCOUNTS.to_owned(), keys.join(","));
        environment.insert(settings::ACCOUNT_VAULT_URL.to_owned(), vault_uri.to_string());
        Ok((environment, accounts))
    }

    /// ARM id of that installation's vault.
    pub fn installed_vault(&self) -> String {
        let group = format!("/subscriptions/{}/resourceGroups/{GROUP}", self.subscription_id());
        format!("{group}/providers/Microsoft.KeyVault/vaults/{VAULT}")
    }
}
