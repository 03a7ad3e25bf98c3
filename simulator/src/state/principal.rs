//! People, applications and managed identities.

use contract::secret::Secret;
use time::OffsetDateTime;
use uuid::Uuid;

use super::State;

/// What a principal is, in the words of role assignments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrincipalKind {
    /// A person.
    User,
    /// An application's service principal or a managed identity.
    ServicePrincipal,
    /// A group.
    Group,
}

impl PrincipalKind {
    /// The word in `principalType`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::ServicePrincipal => "ServicePrincipal",
            Self::Group => "Group",
        }
    }
}

/// A secret of an application.
#[derive(Debug, Clone)]
pub struct ApplicationSecret {
    /// The secret.
    pub value: Secret<String>,
    /// When it stops working.
    pub expires_at: OffsetDateTime,
}

/// An identity from elsewhere that may sign in as an application
/// (<https://learn.microsoft.com/entra/workload-id/workload-identity-federation>).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FederatedCredential {
    /// `iss` of the assertion.
    pub issuer: String,
    /// `sub` of the assertion.
    pub subject: String,
    /// `aud` of the assertion.
    pub audience: String,
}

/// Somebody who can sign in or be given a role.
#[derive(Debug, Clone)]
pub struct Principal {
    /// Id in the directory (`oid`).
    pub object_id: String,
    /// Id by which it signs in (`appid`); empty for people and groups.
    pub client_id: String,
    /// Name for people; a person's is the user principal name.
    pub name: String,
    /// What it is.
    pub kind: PrincipalKind,
    /// An application's secrets.
    pub secrets: Vec<ApplicationSecret>,
    /// Who else may sign in as this application.
    pub federated: Vec<FederatedCredential>,
    /// ARM id of the managed identity or of the resource it belongs to.
    pub managed_by: Option<String>,
    /// Object ids of the groups it is in.
    pub groups: Vec<String>,
    /// When it was made.
    pub created_at: OffsetDateTime,
}

impl State {
    /// Adds an application with one secret, made here, which works for 180 days.
    pub fn add_application(&self, name: &str) -> (Principal, Secret<String>) {
        let value = Secret::new(format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple()));
        let now = self.now();
        let principal = Principal {
            client_id: Uuid::new_v4().to_string(),
            secrets: vec![ApplicationSecret {
                value: value.clone(),
                expires_at: now + time::Duration::days(180),
            }],
            ..new(name, PrincipalKind::ServicePrincipal, now)
        };
        self.add_principal(principal.clone());
        (principal, value)
    }

    /// Adds a person or a group.
    pub fn add_person(&self, name: &str, kind: PrincipalKind) -> Principal {
        let principal = new(name, kind, self.now());
        self.add_principal(principal.clone());
        principal
    }

    /// Adds or replaces a principal by its object id.
    pub fn add_principal(&self, principal: Principal) {
        self.lock().principals.insert(principal.object_id.to_ascii_lowercase(), principal);
    }

    /// The principal of this object id.
    pub fn principal(&self, object_id: &str) -> Option<Principal> {
        self.lock().principals.get(&object_id.to_ascii_lowercase()).cloned()
    }

    /// The application or managed identity that signs in with this client id.
    pub fn principal_by_client_id(&self, client_id: &str) -> Option<Principal> {
        let data = self.lock();
        data.principals
            .values()
            .find(|each| !each.client_id.is_empty() && each.client_id.eq_ignore_ascii_case(client_id))
            .cloned()
    }
}

fn new(name: &str, kind: PrincipalKind, now: OffsetDateTime) -> Principal {
    Principal {
        object_id: Uuid::new_v4().to_string(),
        client_id: String::new(),
        name: name.to_owned(),
        kind,
        secrets: Vec::new(),
        federated: Vec::new(),
        managed_by: None,
        groups: Vec::new(),
        created_at: now,
    }
}

/// A managed identity's principal.
pub(crate) fn managed_identity(name: &str, resource_id: &str, now: OffsetDateTime) -> Principal {
    Principal {
        client_id: Uuid::new_v4().to_string(),
        managed_by: Some(resource_id.to_owned()),
        ..new(name, PrincipalKind::ServicePrincipal, now)
    }
}
