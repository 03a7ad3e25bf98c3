//! The worker's app settings, from the answers.

use std::collections::BTreeMap;

use contract::resources::{QUEUE_FUNCTION, SYNC_QUEUE, TIMER_FUNCTION};
use contract::settings as names;
use serde_json::{Value, json};

use super::output;
use crate::answers::intent::{Delivery, Intent, secret_name};
use crate::answers::keys;
use crate::answers::secret::SecretSource;

/// The settings that follow from the answers alone, as names with values. A secret is only ever a
/// Key Vault reference.
pub fn settings(intent: &Intent) -> Vec<Value> {
    let mut list: Vec<(&str, String)> = Vec::new();
    if intent.several_accounts() {
        let keys: Vec<&str> = intent.accounts.iter().map(|account| account.key.as_str()).collect();
        list.push((names::MIMECAST_ACCOUNTS, keys.join(",")));
        list.push((names::ACCOUNT_VAULT_URL, output::mark("key_vault", "/properties/vaultUri")));
    } else {
        for account in &intent.accounts {
            list.push((names::MIMECAST_API, account.api.text().to_owned()));
            list.push((names::MIMECAST_BASE_URL, account.base_url.clone()));
        }
    }
    if intent.work_queue() {
        let endpoint = output::mark("storage_account", "/properties/primaryEndpoints/queue");
        list.push((names::SYNC_QUEUE_URL, format!("{endpoint}{SYNC_QUEUE}")));
    }
    // What one of several accounts keeps for itself is in its secret.
    let shared = |answer: &str| keys::account_path(answer).is_none();
    for (answer, source) in intent.secret_sources().into_iter().filter(|(answer, _)| shared(answer)) {
        if let Some(setting) = keys::resolve(&answer).and_then(keys::Key::setting) {
            list.push((setting, reference(&answer, source)));
        }
    }
    if let Delivery::AppRegistration { tenant_id, .. } = &intent.delivery {
        list.push((names::DELIVERY_TENANT_ID, tenant_id.clone()));
    }
    let collect = &intent.collect;
    list.push((names::MIMECAST_SCHEDULE, collect.schedule.clone()));
    list.push((names::MIMECAST_FIRST_RUN, collect.first_run.clone()));
    list.push((names::MIMECAST_SETTLE, collect.settle.clone()));
    list.push((names::MIMECAST_OVERLAP, collect.overlap.clone()));
    if !collect.categories.is_empty() {
        list.push((names::MIMECAST_CATEGORIES, collect.categories.join(",")));
    }
    // A custom cloud has no name that the worker could look up: it gets the endpoints themselves.
    let cloud =
        if intent.cloud.custom() { json!(intent.cloud).to_string() } else { intent.cloud.name.clone() };
    list.push((names::MIMECAST_SENTINEL_CLOUD, cloud));
    list.push((names::MIMECAST_SENTINEL_INSTALLATION, intent.name.clone()));
    list.push((names::MIMECAST_SENTINEL_ANSWERS, intent.recorded.clone()));
    list.into_iter().map(|(name, value)| json!({ "name": name, "value": value })).collect()
}

/// Settings of the worker that no answers give: those that a person may tune by, the package's hash,
/// which goes with the package, the note of an open trial, and the port, which the host tells.
const NOT_OF_ANSWERS: &[&str] = &[
    names::MIMECAST_PAGE_SIZE,
    names::MIMECAST_RUN_BUDGET,
    names::MIMECAST_RUN_EVENTS,
    names::MIMECAST_QUOTA_RESERVE,
    names::MIMECAST_SENTINEL_PACKAGE,
    names::MIMECAST_SENTINEL_TRIAL,
    names::FUNCTIONS_CUSTOMHANDLER_PORT,
];

/// Names of the worker's settings that answers decide: one that is there though these answers do not
/// ask for it is left from others, or was added by hand.
pub fn of_answers() -> impl Iterator<Item = &'static str> {
    names::ALL.iter().map(|setting| setting.name).filter(|name| !NOT_OF_ANSWERS.contains(name))
}

/// The settings that keep the functions from being triggered, each with the value `true`
/// (<https://learn.microsoft.com/azure/azure-functions/disable-function>).
pub fn disabling() -> [String; 2] {
    [TIMER_FUNCTION, QUEUE_FUNCTION].map(|function| format!("AzureWebJobs.{function}.Disabled"))
}

/// Whether an app with these settings is paused.
pub fn paused(settings: &BTreeMap<String, String>) -> bool {
    let [timer, _] = disabling();
    settings.get(&timer).is_some_and(|value| value == "true")
}

/// The reference to a secret: in our vault, or in the one that the answers name.
fn reference(answer: &str, source: &SecretSource) -> String {
    match source {
        SecretSource::KeyVault(secret) => secret.reference(),
        _ => format!(
            "{}SecretUri={}secrets/{})",
            names::KEY_VAULT_REFERENCE_PREFIX,
            output::mark("key_vault", "/properties/vaultUri"),
            secret_name(answer)
        ),
    }
}
