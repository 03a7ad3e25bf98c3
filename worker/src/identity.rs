//! Who we are to Azure.
//!
//! Credentials are `azure_identity`'s, over the crate's one HTTP client and with their own retries
//! off: the one retry loop of the crate repeats what failed.

mod bounded;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use azure_core::cloud::CustomConfiguration;
use azure_core::credentials::{AccessToken, Secret, TokenCredential, TokenRequestOptions};
use azure_core::error::ErrorKind;
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{ClientOptions, Context, Request, RetryOptions, StatusCode, Transport};
use azure_identity::{
    ClientSecretCredential, ClientSecretCredentialOptions, ManagedIdentityCredential,
    ManagedIdentityCredentialOptions, UserAssignedId,
};
use contract::cloud::CloudProfile;

use bounded::Bounded;

use crate::retry::Retry;
use crate::settings::Identity;

/// No answer to Azure's crates is longer: above the largest dead letter, which has a limit of its own.
const ANSWER_LIMIT_BYTES: usize = 72 * 1024 * 1024;

/// Options for every client of Azure's crates: our HTTP client, no retries of their own.
pub fn client_options(http: &reqwest::Client) -> ClientOptions {
    ClientOptions {
        transport: Some(Transport::new(Bounded::over(Arc::new(http.clone()), ANSWER_LIMIT_BYTES))),
        retry: RetryOptions::none(),
        ..ClientOptions::default()
    }
}

/// The same for a client that signs in with this credential: a token that the service refuses before its
/// time is replaced by a new one, once.
pub fn signed_in_options(http: &reqwest::Client, credential: &Credential) -> ClientOptions {
    let renewal: Arc<dyn Policy> = Arc::new(RenewRefused(credential.clone()));
    ClientOptions { per_call_policies: vec![renewal], ..client_options(http) }
}

/// Stands before the policy that adds the token, which forgets its own copy of a refused one.
#[derive(Debug)]
struct RenewRefused(Credential);

#[async_trait::async_trait]
impl Policy for RenewRefused {
    async fn send(&self, context: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        let Some((following, rest)) = next.split_first() else {
            return Err(azure_core::Error::with_message(ErrorKind::Other, "the pipeline ends too early"));
        };
        let answer = following.send(context, request, rest).await?;
        if answer.status() != StatusCode::Unauthorized {
            return Ok(answer);
        }
        self.0.renew()?;
        request.body_mut().reset().await?;
        following.send(context, request, rest).await
    }
}

/// What an error of Azure's crates says about another attempt: what the network or the service may
/// have mended by then is worth one.
pub(crate) fn advice(error: &azure_core::Error) -> Retry {
    match error.kind() {
        ErrorKind::HttpResponse { status, .. } => match u16::from(*status) {
            408 | 429 | 500.. => Retry::Backoff,
            _ => Retry::Never,
        },
        ErrorKind::Connection | ErrorKind::Io | ErrorKind::Credential => Retry::Backoff,
        _ => Retry::Never,
    }
}

/// A credential that can be made anew, because Azure's crates keep a token until it expires, also one
/// that a service has refused.
#[derive(Clone)]
pub struct Credential {
    identity: Identity,
    http: reqwest::Client,
    authority: String,
    made: Arc<Mutex<Arc<dyn TokenCredential>>>,
}

impl fmt::Debug for Credential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Credential").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl Credential {
    /// The credential of this identity in this cloud.
    ///
    /// # Errors
    /// When `azure_identity` refuses the parameters.
    pub fn new(
        identity: &Identity,
        cloud: &CloudProfile,
        http: &reqwest::Client,
    ) -> azure_core::Result<Self> {
        let authority = cloud.authority.as_str().to_owned();
        let made = make(identity, &authority, http)?;
        Ok(Self {
            identity: identity.clone(),
            http: http.clone(),
            authority,
            made: Arc::new(Mutex::new(made)),
        })
    }

    /// Who signs in.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Forgets the token, so that the next one is new.
    ///
    /// # Errors
    /// When `azure_identity` refuses the parameters, which it did not before.
    pub fn renew(&self) -> azure_core::Result<()> {
        let made = make(&self.identity, &self.authority, &self.http)?;
        *self.made.lock().unwrap_or_else(PoisonError::into_inner) = made;
        Ok(())
    }
}

#[async_trait::async_trait]
impl TokenCredential for Credential {
    async fn get_token(
        &self,
        scopes: &[&str],
        options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let credential = self.made.lock().unwrap_or_else(PoisonError::into_inner).clone();
        credential.get_token(scopes, options).await
    }
}

fn make(
    identity: &Identity,
    authority: &str,
    http: &reqwest::Client,
) -> azure_core::Result<Arc<dyn TokenCredential>> {
    let mut client_options = client_options(http);
    match identity {
        // The identity's endpoint is in the environment, which the crate reads for each token: the
        // header's value changes while the process runs.
        // BR-147
        Identity::Managed { client_id } => {
            let user_assigned_id = client_id.clone().map(UserAssignedId::ClientId);
            let options = ManagedIdentityCredentialOptions { user_assigned_id, client_options };
            Ok(ManagedIdentityCredential::new(Some(options))?)
        }
        Identity::AppRegistration { tenant_id, client_id, client_secret } => {
            let mut cloud = CustomConfiguration::default();
            authority.clone_into(&mut cloud.authority_host);
            client_options.cloud = Some(Arc::new(cloud.into()));
            let secret = Secret::new(client_secret.expose().clone());
            let options = ClientSecretCredentialOptions { client_options };
            Ok(ClientSecretCredential::new(tenant_id, client_id.clone(), secret, Some(options))?)
        }
    }
}
