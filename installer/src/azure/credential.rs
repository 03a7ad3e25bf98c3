//! Signing in: the ways of `azure_identity`, which one worked, and its tokens.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use azure_core::cloud::CustomConfiguration;
use azure_core::credentials::{AccessToken, TokenCredential};
use azure_core::http::{ClientOptions, HttpClient, RetryOptions, Transport};
use azure_identity::{
    AzureCliCredential, AzureCliCredentialOptions, AzureDeveloperCliCredential,
    AzureDeveloperCliCredentialOptions, ClientAssertionCredentialOptions, ClientSecretCredential,
    ClientSecretCredentialOptions, Executor, ManagedIdentityCredential, ManagedIdentityCredentialOptions,
    UserAssignedId, WorkloadIdentityCredential, WorkloadIdentityCredentialOptions,
};
use contract::cloud::CloudProfile;
use contract::secret::Secret;
use time::OffsetDateTime;

use super::bounded::Bounded;
use super::claims::{Claims, PrincipalKind};
use super::error::AzureError;
use super::http::ANSWER_LIMIT_BYTES;
use super::retry::{RetryPolicy, retry};

/// Tokens are renewed this long before they end, so that none ends on the way
/// (the same five minutes as Microsoft's libraries).
const RENEW_BEFORE: time::Duration = time::Duration::minutes(5);

/// How to sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AuthMethod {
    /// The account of `az login`.
    Cli,
    /// The account of `azd auth login`.
    Azd,
    /// `AZURE_TENANT_ID`, `AZURE_CLIENT_ID` and `AZURE_CLIENT_SECRET` or `AZURE_FEDERATED_TOKEN_FILE`.
    Environment,
    /// A federated token in a file, as Kubernetes and pipelines give it.
    Workload,
    /// The managed identity of the machine that this runs on.
    Managed,
    /// The environment where it is complete, then `az`, then `azd`, then a managed identity where
    /// the environment announces one.
    #[default]
    Auto,
}

impl AuthMethod {
    /// All methods, in the order of the help text.
    pub const ALL: [Self; 6] =
        [Self::Auto, Self::Cli, Self::Azd, Self::Environment, Self::Workload, Self::Managed];

    /// The word of `--auth`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cli => "cli",
            Self::Azd => "azd",
            Self::Environment => "environment",
            Self::Workload => "workload",
            Self::Managed => "managed",
            Self::Auto => "auto",
        }
    }

    /// The method of a word of `--auth`.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name() == word)
    }
}

/// The environment's sign-in values, read by the caller's world.
#[derive(Debug, Clone, Default)]
pub struct EnvironmentValues {
    /// `AZURE_TENANT_ID`.
    pub tenant_id: Option<String>,
    /// `AZURE_CLIENT_ID`.
    pub client_id: Option<String>,
    /// `AZURE_CLIENT_SECRET`.
    pub client_secret: Option<Secret<String>>,
    /// `AZURE_FEDERATED_TOKEN_FILE`.
    pub federated_token_file: Option<PathBuf>,
    /// Whether `IDENTITY_ENDPOINT` is set, as on App Service, Functions and Azure's agents.
    pub managed_identity: bool,
}

impl EnvironmentValues {
    /// Reads the values with the caller's way of reading a variable. Empty ones count as absent.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let read = |name: &str| variable(name).filter(|value| !value.is_empty());
        Self {
            tenant_id: read("AZURE_TENANT_ID"),
            client_id: read("AZURE_CLIENT_ID"),
            client_secret: read("AZURE_CLIENT_SECRET").map(Secret::new),
            federated_token_file: read("AZURE_FEDERATED_TOKEN_FILE").map(PathBuf::from),
            managed_identity: read("IDENTITY_ENDPOINT").is_some(),
        }
    }

    fn announces_a_service(&self) -> bool {
        self.client_id.is_some() && (self.client_secret.is_some() || self.federated_token_file.is_some())
    }
}

/// One way of signing in that was tried and failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInAttempt {
    /// The way.
    pub method: AuthMethod,
    /// Why it gave no token.
    pub reason: String,
    /// Whether there was no answer at all.
    pub unreached: bool,
}

impl SignInAttempt {
    fn failed(method: AuthMethod, error: &azure_core::Error) -> Self {
        let unreached = super::error::unreached(error);
        let mut reason = reason(error);
        // The library says only that its call failed.
        let mut cause = std::error::Error::source(error);
        while let Some(deeper) = cause.and_then(std::error::Error::source) {
            cause = Some(deeper);
        }
        if let Some(cause) = cause.filter(|_| unreached) {
            reason = format!("{reason}: {cause}");
        }
        Self { method, reason, unreached }
    }
}

/// Who is signed in, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// The way that worked.
    pub method: AuthMethod,
    /// Tenant of the token.
    pub tenant_id: Option<String>,
    /// Object id: what role assignments take.
    pub object_id: Option<String>,
    /// User name, or the application's id.
    pub name: Option<String>,
    /// Person or program.
    pub kind: PrincipalKind,
}

/// The time, from the caller's world.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> OffsetDateTime + Send + Sync>);

impl Clock {
    /// A clock that asks this function.
    pub fn new(now: impl Fn() -> OffsetDateTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    pub(super) fn now(&self) -> OffsetDateTime {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Clock")
    }
}

/// What credentials are made from.
#[derive(Debug)]
pub(super) struct SignIn {
    pub(super) method: AuthMethod,
    pub(super) cloud: CloudProfile,
    pub(super) tenant: Option<String>,
    pub(super) environment: EnvironmentValues,
    pub(super) http: Arc<dyn HttpClient>,
    pub(super) executor: Option<Arc<dyn Executor>>,
    pub(super) clock: Clock,
}

impl SignIn {
    /// Tries the methods in order until one gives a token for Azure Resource Manager.
    pub(super) async fn run(self, policy: &RetryPolicy) -> Result<(Tokens, SignedIn), AzureError> {
        let scope = self.cloud.resource_manager_scope.clone();
        let sign_in = Arc::new(self);
        let mut tried = Vec::new();
        for method in sign_in.methods() {
            let failed = |error| SignInAttempt::failed(method, error);
            let tokens = match sign_in.credential(method) {
                Ok(credential) => Tokens::new(sign_in.clone(), method, credential),
                Err(error) => {
                    tried.push(failed(&error));
                    continue;
                }
            };
            match retry(policy, AzureError::retry, || tokens.get(&scope)).await {
                Ok(token) => return Ok((tokens, sign_in.signed_in(method, &token)?)),
                Err(error) => match error.cause() {
                    AzureError::Token { source, .. } => tried.push(failed(source)),
                    _ => return Err(error),
                },
            }
        }
        Err(AzureError::SignIn { tried })
    }

    fn methods(&self) -> Vec<AuthMethod> {
        if self.method != AuthMethod::Auto {
            return vec![self.method];
        }
        // A machine's own identity is never taken unasked where only its metadata service would
        // tell of it: on a virtual machine that would sign in somebody else than the person.
        [
            (AuthMethod::Environment, self.environment.announces_a_service()),
            (AuthMethod::Cli, true),
            (AuthMethod::Azd, true),
            (AuthMethod::Managed, self.environment.managed_identity),
        ]
        .into_iter()
        .filter_map(|(method, available)| available.then_some(method))
        .collect()
    }

    fn signed_in(&self, method: AuthMethod, token: &AccessToken) -> Result<SignedIn, AzureError> {
        let claims = Claims::read(token.token.secret());
        // A tenant given by its domain cannot be compared with the token's id.
        let asked = self.tenant.as_ref().filter(|tenant| uuid::Uuid::try_parse(tenant).is_ok());
        if let (Some(expected), Some(actual)) = (asked, &claims.tid)
            && !expected.eq_ignore_ascii_case(actual)
        {
            return Err(AzureError::WrongTenant { expected: expected.clone(), actual: actual.clone() });
        }
        Ok(SignedIn {
            method,
            name: claims.name(),
            kind: claims.kind(),
            tenant_id: claims.tid,
            object_id: claims.oid,
        })
    }

    fn credential(&self, method: AuthMethod) -> azure_core::Result<Arc<dyn TokenCredential>> {
        let tenant_id = self.tenant.clone();
        match method {
            AuthMethod::Cli | AuthMethod::Auto => {
                let options = AzureCliCredentialOptions {
                    tenant_id,
                    executor: self.executor.clone(),
                    ..AzureCliCredentialOptions::default()
                };
                Ok(AzureCliCredential::new(Some(options))?)
            }
            AuthMethod::Azd => {
                let options =
                    AzureDeveloperCliCredentialOptions { tenant_id, executor: self.executor.clone() };
                Ok(AzureDeveloperCliCredential::new(Some(options))?)
            }
            AuthMethod::Environment => match &self.environment.client_secret {
                Some(secret) => {
                    let client_id = required(self.environment.client_id.clone(), "AZURE_CLIENT_ID")?;
                    let tenant_id = self.tenant_or_environment()?;
                    let options = ClientSecretCredentialOptions { client_options: self.client_options() };
                    let secret = azure_core::credentials::Secret::new(secret.expose().clone());
                    Ok(ClientSecretCredential::new(&tenant_id, client_id, secret, Some(options))?)
                }
                None if self.environment.federated_token_file.is_some() => {
                    self.credential(AuthMethod::Workload)
                }
                None => required(None, "AZURE_CLIENT_SECRET or AZURE_FEDERATED_TOKEN_FILE"),
            },
            AuthMethod::Workload => {
                let options = WorkloadIdentityCredentialOptions {
                    credential_options: ClientAssertionCredentialOptions {
                        client_options: self.client_options(),
                    },
                    client_id: Some(required(self.environment.client_id.clone(), "AZURE_CLIENT_ID")?),
                    tenant_id: Some(self.tenant_or_environment()?),
                    token_file_path: Some(required(
                        self.environment.federated_token_file.clone(),
                        "AZURE_FEDERATED_TOKEN_FILE",
                    )?),
                };
                Ok(WorkloadIdentityCredential::new(Some(options))?)
            }
            AuthMethod::Managed => {
                let options = ManagedIdentityCredentialOptions {
                    user_assigned_id: self.environment.client_id.clone().map(UserAssignedId::ClientId),
                    client_options: self.client_options(),
                };
                Ok(ManagedIdentityCredential::new(Some(options))?)
            }
        }
    }

    fn tenant_or_environment(&self) -> azure_core::Result<String> {
        let tenant = self.tenant.clone().or_else(|| self.environment.tenant_id.clone());
        required(tenant, "AZURE_TENANT_ID")
    }

    fn client_options(&self) -> ClientOptions {
        let mut cloud = CustomConfiguration::default();
        cloud.authority_host = self.cloud.authority.to_string();
        ClientOptions {
            cloud: Some(Arc::new(cloud.into())),
            ..single_try(self.http.clone(), ANSWER_LIMIT_BYTES)
        }
    }
}

fn required<T>(value: Option<T>, name: &str) -> azure_core::Result<T> {
    let message = || format!("{name} is not set");
    value.ok_or_else(|| azure_core::Error::with_message_fn(azure_core::error::ErrorKind::Credential, message))
}

/// The library's text without its link, which our own hint replaces, on one line.
fn reason(error: &azure_core::Error) -> String {
    let text = error.to_string();
    let text = text.split("\nTo troubleshoot").next().unwrap_or_default();
    let text = text.split_once("authentication failed.").map_or(text, |(_, rest)| rest);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Options of Microsoft's clients without a retry loop of their own: ours is the one. No answer is read beyond
/// this limit.
pub(super) fn single_try(http: Arc<dyn HttpClient>, limit_bytes: usize) -> ClientOptions {
    ClientOptions {
        transport: Some(Transport::new(Bounded::over(http, limit_bytes))),
        retry: RetryOptions::none(),
        ..ClientOptions::default()
    }
}

/// The signed-in credential with its tokens kept until shortly before they end: `az` would
/// otherwise be started for every call.
#[derive(Debug, Clone)]
pub(super) struct Tokens {
    sign_in: Arc<SignIn>,
    method: AuthMethod,
    credential: Arc<Mutex<Arc<dyn TokenCredential>>>,
    kept: Arc<Mutex<HashMap<String, AccessToken>>>,
    /// One request for a token at a time: parallel calls at the start need one, not ten.
    asking: Arc<tokio::sync::Mutex<()>>,
}

impl Tokens {
    fn new(sign_in: Arc<SignIn>, method: AuthMethod, credential: Arc<dyn TokenCredential>) -> Self {
        let credential = Arc::new(Mutex::new(credential));
        Self { sign_in, method, credential, kept: Arc::default(), asking: Arc::default() }
    }

    /// A token for this scope.
    pub(super) async fn get(&self, scope: &str) -> Result<AccessToken, AzureError> {
        if let Some(token) = self.fresh(scope) {
            return Ok(token);
        }
        let _one = self.asking.lock().await;
        if let Some(token) = self.fresh(scope) {
            return Ok(token);
        }
        let credential = self.credential.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let token = credential
            .get_token(&[scope], None)
            .await
            .map_err(|source| AzureError::Token { scope: scope.to_owned(), source })?;
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).insert(scope.to_owned(), token.clone());
        Ok(token)
    }

    /// Forgets this token, which a service has refused, unless a newer one is kept already.
    pub(super) fn forget(&self, scope: &str, refused: &AccessToken) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.get(scope).is_some_and(|token| token.token == refused.token) {
            kept.remove(scope);
            // The library's credentials keep tokens of their own and would give this one again.
            if let Ok(renewed) = self.sign_in.credential(self.method) {
                *self.credential.lock().unwrap_or_else(PoisonError::into_inner) = renewed;
            }
        }
    }

    fn fresh(&self, scope: &str) -> Option<AccessToken> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(scope).filter(|token| token.expires_on - RENEW_BEFORE > self.sign_in.clock.now()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use azure_core::http::headers::Headers;
    use azure_core::http::{AsyncRawResponse, HttpClient, Request, StatusCode};
    use contract::cloud::CloudProfile;
    use time::OffsetDateTime;
    use time::macros::datetime;

    use super::{AuthMethod, Clock, EnvironmentValues, SignIn};
    use crate::azure::Timings;

    const NOW: OffsetDateTime = datetime!(2026-11-24 10:00 UTC);

    /// Stands for the metadata service of a virtual machine, which has a fixed address of its own.
    #[derive(Debug, Default)]
    struct Metadata(Mutex<Vec<String>>);

    #[async_trait::async_trait]
    impl HttpClient for Metadata {
        async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
            self.0.lock().unwrap().push(request.url().to_string());
            // `expires_on` comes as text or as a number.
            let expires = NOW.unix_timestamp() + 3_600;
            let body = format!(
                r#"{{"access_token":"t","expires_on":"{expires}","resource":"r","token_type":"Bearer"}}"#
            );
            Ok(AsyncRawResponse::from_bytes(StatusCode::Ok, Headers::new(), body))
        }
    }

    // BR-147
    #[tokio::test]
    async fn a_managed_identity_is_asked_for_by_its_client_id() {
        let metadata = Arc::new(Metadata::default());
        let sign_in = SignIn {
            method: AuthMethod::Managed,
            cloud: CloudProfile::parse("public").unwrap(),
            tenant: None,
            environment: EnvironmentValues {
                client_id: Some("11111111-2222-3333-4444-555555555555".to_owned()),
                ..EnvironmentValues::default()
            },
            http: metadata.clone(),
            executor: None,
            clock: Clock::new(|| NOW),
        };
        let (_, signed_in) = sign_in.run(&Timings::default().sign_in).await.unwrap();
        assert_eq!(signed_in.method, AuthMethod::Managed);
        let asked = metadata.0.lock().unwrap().clone();
        assert_eq!(asked.len(), 1);
        for part in [
            "http://169.254.169.254/metadata/identity/oauth2/token",
            "client_id=11111111-2222-3333-4444-555555555555",
            "resource=https%3A%2F%2Fmanagement.azure.com",
        ] {
            assert!(asked[0].contains(part), "{part} in {asked:?}");
        }
    }

    #[test]
    fn automatic_sign_in_asks_a_managed_identity_only_where_one_is_announced() {
        let methods = |environment: EnvironmentValues| {
            SignIn {
                method: AuthMethod::Auto,
                cloud: CloudProfile::parse("public").unwrap(),
                tenant: None,
                environment,
                http: Arc::new(Metadata::default()),
                executor: None,
                clock: Clock::new(|| NOW),
            }
            .methods()
        };
        let read = |set: &'static [&'static str]| {
            EnvironmentValues::read(move |name| set.contains(&name).then(|| "x".to_owned()))
        };
        assert_eq!(methods(read(&[])), [AuthMethod::Cli, AuthMethod::Azd]);
        assert_eq!(
            methods(read(&["AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "IDENTITY_ENDPOINT"])),
            [AuthMethod::Environment, AuthMethod::Cli, AuthMethod::Azd, AuthMethod::Managed]
        );
        assert_eq!(methods(read(&["AZURE_CLIENT_ID"])), [AuthMethod::Cli, AuthMethod::Azd]);
        for method in AuthMethod::ALL {
            assert_eq!(AuthMethod::parse(method.name()), Some(method));
        }
    }
}
