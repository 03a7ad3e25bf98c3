//! What `azure_mgmt_web`'s models carry rightly: settings, functions, host keys, triggers, restart.

use std::collections::BTreeMap;

use azure_mgmt_web::Client;
use azure_mgmt_web::models::{ProxyOnlyResource, StringDictionary};
use contract::secret::Secret;
use futures::TryStreamExt;
use serde_json::{Map, Value};

use super::super::Azure;
use super::super::error::AzureError;
use super::super::id::ResourceId;
use super::{Parts, answer, unwrap};

/// A function as the Functions host has registered it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its name, without the app's.
    pub name: String,
    /// Whether a setting has disabled it.
    pub disabled: bool,
}

impl Azure {
    fn web(&self, what: &str) -> Client {
        let Parts { endpoint, credential, scopes, options } = self.management(what);
        Client::new(endpoint, credential, scopes, options)
    }

    /// The app's settings, all of them.
    ///
    /// # Errors
    /// [`AzureError`] when Azure refuses or the app does not exist.
    pub async fn app_settings(&self, site: &ResourceId) -> Result<BTreeMap<String, String>, AzureError> {
        let what = format!("reading the settings of {site}");
        let settings = self
            .web(&what)
            .web_apps_client()
            .list_application_settings(group(site, &what)?, site.name(), site.subscription_id())
            .await
            .map_err(|error| unwrap(&what, error))?;
        read_settings(&what, settings)
    }

    /// Replaces the app's settings by these: what is not among them is gone, so a caller reads and
    /// merges first. Gives what Azure then has.
    ///
    /// # Errors
    /// As [`Azure::app_settings`].
    pub async fn set_app_settings(
        &self,
        site: &ResourceId,
        settings: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, AzureError> {
        let what = format!("writing the settings of {site}");
        let properties: Map<String, Value> =
            settings.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
        let settings = StringDictionary {
            proxy_only_resource: ProxyOnlyResource::default(),
            properties: Some(Value::Object(properties)),
        };
        let written = self
            .web(&what)
            .web_apps_client()
            .update_application_settings(group(site, &what)?, site.name(), settings, site.subscription_id())
            .await
            .map_err(|error| unwrap(&what, error))?;
        read_settings(&what, written)
    }

    /// The functions that the host has registered.
    ///
    /// # Errors
    /// As [`Azure::app_settings`].
    pub async fn functions(&self, site: &ResourceId) -> Result<Vec<Function>, AzureError> {
        let what = format!("listing the functions of {site}");
        let pages = self
            .web(&what)
            .web_apps_client()
            .list_functions(group(site, &what)?, site.name(), site.subscription_id())
            .into_stream();
        let pages: Vec<_> = pages.try_collect().await.map_err(|error| unwrap(&what, error))?;
        let functions = pages.into_iter().flat_map(|page| page.value).filter_map(|function| {
            // Azure names it `app/function`.
            let name = function.proxy_only_resource.name?;
            let name = name.rsplit('/').next()?.to_owned();
            let disabled = function.properties.and_then(|properties| properties.is_disabled) == Some(true);
            Some(Function { name, disabled })
        });
        Ok(functions.collect())
    }

    /// The host's master key, for its admin calls.
    ///
    /// # Errors
    /// As [`Azure::app_settings`]; [`AzureError::Incomplete`] while the host has not made its keys.
    pub async fn master_key(&self, site: &ResourceId) -> Result<Secret<String>, AzureError> {
        let what = format!("reading the host keys of {site}");
        let keys = self
            .web(&what)
            .web_apps_client()
            .list_host_keys(group(site, &what)?, site.name(), site.subscription_id())
            .await
            .map_err(|error| unwrap(&what, error))?;
        let key = keys.master_key.filter(|key| !key.is_empty());
        key.map(Secret::new).ok_or(AzureError::Incomplete { what, missing: "masterKey" })
    }

    /// Tells the platform to read the app's triggers anew.
    ///
    /// # Errors
    /// As [`Azure::app_settings`].
    pub async fn sync_triggers(&self, site: &ResourceId) -> Result<(), AzureError> {
        let what = format!("syncing the triggers of {site}");
        let sent = self
            .web(&what)
            .web_apps_client()
            .sync_function_triggers(group(site, &what)?, site.name(), site.subscription_id())
            .send()
            .await;
        answer(&what, sent.map_err(|error| unwrap(&what, error))?.into()).await.map(drop)
    }

    /// Restarts the app.
    ///
    /// # Errors
    /// As [`Azure::app_settings`].
    pub async fn restart(&self, site: &ResourceId) -> Result<(), AzureError> {
        let what = format!("restarting {site}");
        let sent = self
            .web(&what)
            .web_apps_client()
            .restart(group(site, &what)?, site.name(), site.subscription_id())
            .send()
            .await;
        answer(&what, sent.map_err(|error| unwrap(&what, error))?.into()).await.map(drop)
    }
}

fn group<'a>(site: &'a ResourceId, what: &str) -> Result<&'a str, AzureError> {
    site.group().ok_or_else(|| AzureError::Incomplete { what: what.to_owned(), missing: "resource group" })
}

fn read_settings(what: &str, settings: StringDictionary) -> Result<BTreeMap<String, String>, AzureError> {
    // An app without settings answers null or leaves the word out.
    let properties = settings.properties.filter(|properties| !properties.is_null());
    let Some(properties) = properties else { return Ok(BTreeMap::new()) };
    serde_json::from_value(properties).map_err(|source| AzureError::Answer { what: what.to_owned(), source })
}
