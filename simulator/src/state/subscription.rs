//! Subscriptions and their registered resource providers.

use std::collections::BTreeMap;

use super::{Data, State};

/// Registration of a namespace in a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    /// Nobody asked for it.
    NotRegistered,
    /// Asked for; this many more reads show it so.
    Registering(u32),
    /// Done.
    Registered,
}

/// A subscription.
#[derive(Debug, Clone)]
pub(crate) struct Subscription {
    pub(crate) id: String,
    pub(crate) name: String,
    /// `Enabled`, `Disabled`, `PastDue`, `Warned` or `Deleted`.
    pub(crate) state: String,
    /// Registrations by lower-case namespace; absent ones are not registered.
    pub(crate) providers: BTreeMap<String, Registration>,
}

/// Namespaces that a subscription with a Sentinel workspace has registered already. The others are
/// registered by whoever needs them first.
const REGISTERED: &[&str] = &[
    "Microsoft.Authorization",
    "Microsoft.Insights",
    "Microsoft.OperationalInsights",
    "Microsoft.OperationsManagement",
    "Microsoft.PolicyInsights",
    "Microsoft.Resources",
    "Microsoft.SecurityInsights",
    "Microsoft.Storage",
];

impl Data {
    pub(crate) fn registered(&self, subscription_id: &str, namespace: &str) -> bool {
        let subscription = self.subscriptions.get(&subscription_id.to_ascii_lowercase());
        let state = subscription.and_then(|each| each.providers.get(&namespace.to_ascii_lowercase()));
        // A region's types can be used while others are still being registered (BR-129):
        // https://learn.microsoft.com/azure/azure-resource-manager/management/resource-providers-and-types
        matches!(state, Some(Registration::Registered | Registration::Registering(_)))
    }
}

impl State {
    /// Adds a subscription.
    pub fn add_subscription(&self, id: &str, name: &str) {
        let providers = REGISTERED
            .iter()
            .map(|namespace| (namespace.to_ascii_lowercase(), Registration::Registered))
            .collect();
        let subscription =
            Subscription { id: id.to_owned(), name: name.to_owned(), state: "Enabled".to_owned(), providers };
        self.lock().subscriptions.insert(id.to_ascii_lowercase(), subscription);
    }

    /// Sets the state of a subscription, such as `Disabled`.
    pub fn set_subscription_state(&self, subscription_id: &str, state: &str) {
        let mut data = self.lock();
        if let Some(subscription) = data.subscriptions.get_mut(&subscription_id.to_ascii_lowercase()) {
            state.clone_into(&mut subscription.state);
        }
    }

    /// Sets the registration of a namespace.
    pub fn set_registration(&self, subscription_id: &str, namespace: &str, registration: Registration) {
        let mut data = self.lock();
        if let Some(subscription) = data.subscriptions.get_mut(&subscription_id.to_ascii_lowercase()) {
            subscription.providers.insert(namespace.to_ascii_lowercase(), registration);
        }
    }
}
