//! Scripted services on loopback, and a client that is signed in to them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use contract::cloud::CloudProfile;
use contract::secret::Secret;
use installer::azure::{
    AuthMethod, Azure, AzureError, Clock, ConnectOptions, EnvironmentValues, ResourceId, Timings,
};
use serde_json::{Value, json};
use simulator::journal::{Detail, Entry, Journal};
use simulator::server::Ground;
use simulator::tls::Certificates;
use time::OffsetDateTime;
use time::macros::datetime;
use url::Url;

pub(super) const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000001";
pub(super) const TENANT: &str = "33333333-3333-3333-3333-333333333333";
pub(super) const OBJECT: &str = "11111111-1111-1111-1111-111111111111";
/// The client secret: looked for where it must not be.
pub(super) const CLIENT_SECRET: &str = "canary-client-secret";

/// One expected request and its answer.
pub(super) struct Turn {
    method: &'static str,
    target: String,
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

/// An expected request, by its method and the beginning of its path, answered with this status.
pub(super) fn turn(method: &'static str, target: impl Into<String>, status: u16) -> Turn {
    Turn { method, target: target.into(), status, headers: Vec::new(), body: Vec::new() }
}

impl Turn {
    /// With this body. `{root}` in it stands for the service's root URL without its last slash.
    pub(super) fn json(mut self, body: Value) -> Self {
        self.body = body.to_string().into_bytes();
        self
    }

    /// With this text for a body.
    pub(super) fn text(mut self, body: &str) -> Self {
        self.body = body.as_bytes().to_vec();
        self
    }

    /// With these bytes for a body.
    pub(super) fn bytes(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self
    }

    /// With this header. `{root}` in it stands for the service's root URL without its last slash.
    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// What a service has yet to be asked.
#[derive(Clone, Default)]
pub(super) struct Script {
    turns: Arc<Mutex<VecDeque<Turn>>>,
    surprises: Arc<Mutex<Vec<String>>>,
}

impl Script {
    fn answer(&self, request: &Request) -> Response {
        let host = request.headers()["host"].to_str().unwrap().to_owned();
        let root = format!("https://{host}");
        let asked = format!("{} {}", request.method(), request.uri());
        let mut turns = self.turns.lock().unwrap();
        let fits = turns.front().is_some_and(|turn| {
            request.method() == turn.method && request.uri().path().starts_with(turn.target.as_str())
        });
        if !fits {
            let expected = turns.front().map(|turn| format!("{} {}", turn.method, turn.target));
            self.surprises.lock().unwrap().push(format!("{asked} where {expected:?} was expected"));
            // A status that no retry and no reading takes for anything else.
            return Response::builder().status(418).body(Body::empty()).unwrap();
        }
        let turn = turns.pop_front().unwrap();
        let mut response = Response::builder().status(turn.status);
        for (name, value) in turn.headers {
            response = response.header(name, value.replace("{root}", &root));
        }
        let body = match String::from_utf8(turn.body) {
            Ok(text) => text.replace("{root}", &root).into_bytes(),
            Err(other) => other.into_bytes(),
        };
        response.body(Body::from(body)).unwrap()
    }
}

/// The services and the signed-in client.
pub(super) struct Stand {
    pub(super) ground: Ground,
    pub(super) azure: Azure,
    pub(super) cloud: CloudProfile,
    pub(super) clock: ManualClock,
    script: Script,
    directory: tempfile::TempDir,
}

/// A time that only tests move.
#[derive(Clone)]
pub(super) struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    pub(super) fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_secs()).unwrap(), Ordering::SeqCst);
    }

    /// Now, in seconds since 1970.
    pub(super) fn seconds(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }

    fn clock(&self) -> Clock {
        let seconds = self.0.clone();
        Clock::new(move || OffsetDateTime::from_unix_timestamp(seconds.load(Ordering::SeqCst)).unwrap())
    }
}

/// Delays that a test does not notice; limits that it does not reach.
pub(crate) fn timings() -> Timings {
    let mut timings = Timings::default().scaled(0.001);
    for policy in [&mut timings.calls, &mut timings.settling, &mut timings.role_spreading] {
        policy.within = Duration::from_secs(60);
    }
    timings.operation = Duration::from_secs(60);
    timings
}

/// A token for this object, with a number that tells it from the others.
pub(super) fn token(number: usize) -> String {
    let claims = json!({"oid": OBJECT, "tid": TENANT, "appid": "app-1", "idtyp": "app", "n": number});
    format!("e30.{}.canary-signature", URL_SAFE_NO_PAD.encode(claims.to_string()))
}

/// Everything but the client: the ground, its cloud, and the options to connect with.
pub(super) struct Surroundings {
    pub(super) ground: Ground,
    pub(super) cloud: CloudProfile,
    pub(super) clock: ManualClock,
    pub(super) script: Script,
    pub(super) options: ConnectOptions,
    directory: tempfile::TempDir,
}

impl Surroundings {
    /// One scripted service for every endpoint but sign-in, and a sign-in that gives tokens.
    pub(super) async fn new() -> Self {
        let issued = Arc::new(AtomicI64::new(0));
        let sign_in = Router::new().fallback(move || {
            let number = issued.fetch_add(1, Ordering::SeqCst);
            async move {
                let body = json!({
                    "token_type": "Bearer",
                    "expires_in": 3599,
                    "access_token": token(usize::try_from(number).unwrap()),
                });
                Response::builder()
                    .header("content-type", "application/json")
                    .body(Body::from(body.to_string()))
                    .unwrap()
            }
        });
        Self::with_sign_in(sign_in).await
    }

    /// The same with this service for sign-in.
    pub(super) async fn with_sign_in(sign_in: Router) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let certificates = Certificates::make(directory.path()).unwrap();
        let ground = Ground::new(certificates, Journal::new(Detail::Bodies));
        let script = Script::default();
        let authority = ground.listen("entra", sign_in).await.unwrap();
        let arm = ground.listen("arm", scripted(&script)).await.unwrap();
        let mut cloud = CloudProfile::parse("public").unwrap();
        "custom".clone_into(&mut cloud.name);
        cloud.resource_manager = arm.clone();
        cloud.resource_manager_scope = "https://management.example.com/.default".to_owned();
        cloud.authority = authority;
        cloud.log_query = arm;
        // Real tokens end by the machine's clock, so the manual one begins there.
        #[expect(clippy::disallowed_methods, reason = "azure_identity dates its tokens by this clock")]
        let now = OffsetDateTime::now_utc().max(datetime!(2026-01-01 0:00 UTC));
        let clock = ManualClock(Arc::new(AtomicI64::new(now.unix_timestamp())));
        let options = ConnectOptions {
            auth: AuthMethod::Environment,
            cloud: cloud.clone(),
            tenant: None,
            environment: EnvironmentValues {
                tenant_id: Some(TENANT.to_owned()),
                client_id: Some("app-1".to_owned()),
                client_secret: Some(Secret::new(CLIENT_SECRET.to_owned())),
                federated_token_file: None,
                managed_identity: false,
            },
            certificates: Some(ground.certificates.authority_file.clone()),
            timings: timings(),
            clock: clock.clock(),
            executor: None,
        };
        Self { ground, cloud, clock, script, options, directory }
    }

    pub(super) async fn connect(self) -> Stand {
        let azure = Azure::connect(self.options).await.unwrap();
        let Self { ground, cloud, clock, script, directory, .. } = self;
        Stand { ground, azure, cloud, clock, script, directory }
    }

    pub(super) fn folder(&self) -> &std::path::Path {
        self.directory.path()
    }
}

fn scripted(script: &Script) -> Router {
    let script = script.clone();
    Router::new().fallback(move |request: Request| {
        let answer = script.answer(&request);
        async move { answer }
    })
}

impl Stand {
    /// A signed-in client and a service that expects these requests in this order.
    pub(super) async fn expecting(turns: impl IntoIterator<Item = Turn>) -> Self {
        Self::with_timings(timings(), turns).await
    }

    /// The same with other delays.
    pub(super) async fn with_timings(timings: Timings, turns: impl IntoIterator<Item = Turn>) -> Self {
        let mut surroundings = Surroundings::new().await;
        surroundings.options.timings = timings;
        let stand = surroundings.connect().await;
        stand.expect(turns);
        stand
    }

    /// More expected requests.
    pub(super) fn expect(&self, turns: impl IntoIterator<Item = Turn>) {
        self.script.turns.lock().unwrap().extend(turns);
    }

    /// The root URL of the scripted service.
    pub(super) fn root(&self) -> &Url {
        &self.cloud.resource_manager
    }

    /// The scripted service's calls.
    pub(super) fn calls(&self) -> Vec<Entry> {
        self.ground.journal.entries().into_iter().filter(|entry| entry.service == "arm").collect()
    }

    /// Asserts that exactly the expected requests came.
    pub(super) fn done(&self) {
        let surprises = self.script.surprises.lock().unwrap();
        assert!(surprises.is_empty(), "unexpected: {surprises:#?}");
        let left: Vec<String> = self
            .script
            .turns
            .lock()
            .unwrap()
            .iter()
            .map(|turn| format!("{} {}", turn.method, turn.target))
            .collect();
        assert!(left.is_empty(), "never asked: {left:#?}");
        assert!(self.directory.path().exists());
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        self.ground.stop();
    }
}

/// The id of a resource in the tests' group.
pub(super) fn id(rest: &str) -> ResourceId {
    ResourceId::parse(&format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-y{rest}")).unwrap()
}

/// The cause under a count of attempts, with that count.
pub(super) fn cause(error: &AzureError) -> (u32, &AzureError) {
    match error {
        AzureError::GaveUp { attempts, cause } => (*attempts, cause),
        other => (1, other),
    }
}
