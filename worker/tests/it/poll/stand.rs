//! A simulated Mimecast with a client of ours for it, on a clock that only waits move.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use contract::secret::Secret;
use simulator::journal::{Detail, Journal};
use simulator::mimecast::{Mimecast as Simulated, SERVICE};
use simulator::server::Ground;
use simulator::tls::Certificates;
use time::OffsetDateTime;
use url::Url;
use worker::poll::{
    Credentials, Finished, Keys, Login, Mimecast, Pacing, PageToken, Pages, PollError, Step, Window,
};
use worker::world::{Clock, Deadline, Wait, World};

/// The simulator's clock as the worker's: a wait is over at once and moves it.
#[derive(Debug)]
pub(super) struct SharedClock {
    simulated: simulator::clock::Clock,
    waited: Mutex<Duration>,
}

impl SharedClock {
    /// Time passes on both sides.
    pub(super) fn advance(&self, by: Duration) {
        self.simulated.advance(by);
        *self.waited.lock().expect("no test panics while it holds this") += by;
    }

    /// How long the worker has waited, and tests have let pass.
    pub(super) fn waited(&self) -> Duration {
        *self.waited.lock().expect("no test panics while it holds this")
    }
}

impl Clock for SharedClock {
    fn now(&self) -> OffsetDateTime {
        self.simulated.now()
    }

    fn elapsed(&self) -> Duration {
        self.waited()
    }

    fn sleep(&self, duration: Duration) -> Wait {
        self.advance(duration);
        Box::pin(tokio::task::yield_now())
    }

    fn alarm(&self, duration: Duration) -> Wait {
        self.sleep(duration)
    }
}

/// All that a test of reading needs.
pub(super) struct Stand {
    pub(super) ground: Ground,
    pub(super) simulated: Simulated,
    pub(super) url: Url,
    pub(super) http: reqwest::Client,
    pub(super) clock: Arc<SharedClock>,
    pub(super) world: World,
    _directory: tempfile::TempDir,
}

impl Stand {
    /// With the simulator's own history.
    pub(super) async fn new() -> Self {
        Self::with(Simulated::new).await
    }

    /// Without any event.
    pub(super) async fn empty() -> Self {
        Self::with(Simulated::empty).await
    }

    async fn with(make: impl FnOnce(simulator::clock::Clock) -> Simulated) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let certificates = Certificates::make(directory.path()).expect("certificates");
        let authority = std::fs::read(&certificates.authority_file).expect("the authority");
        let ground = Ground::new(certificates, Journal::new(Detail::Bodies));
        let simulated = make(ground.clock.clone());
        let url = ground.listen(SERVICE, simulated.router()).await.expect("a port");
        let authority = reqwest::Certificate::from_pem(&authority).expect("a certificate");
        let http = reqwest::Client::builder()
            .tls_certs_only([authority])
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client");
        let clock = Arc::new(SharedClock { simulated: ground.clock.clone(), waited: Mutex::default() });
        let world = World::of(clock.clone(), [].into());
        Self { ground, simulated, url, http, clock, world, _directory: directory }
    }

    /// The credentials of API 2.0 that the simulator accepts.
    pub(super) fn oauth(&self) -> Credentials {
        let settings = self.simulated.settings();
        Credentials::OAuth {
            client_id: Secret::new(settings.client_id),
            client_secret: Secret::new(settings.client_secret),
        }
    }

    /// The credentials of API 1.0 that the simulator accepts, without the login.
    pub(super) fn signed(&self) -> Credentials {
        Credentials::Signed { keys: self.keys(), login: None }
    }

    /// The same with the login.
    pub(super) fn signed_with_login(&self) -> Credentials {
        let settings = self.simulated.settings();
        let login = Login { email: Secret::new(settings.email), password: Secret::new(settings.password) };
        Credentials::Signed { keys: self.keys(), login: Some(login) }
    }

    pub(super) fn keys(&self) -> Keys {
        let settings = self.simulated.settings();
        Keys {
            app_id: Secret::new(settings.app_id),
            app_key: Secret::new(settings.app_key),
            access_key: Secret::new(settings.access_key),
            secret_key: Secret::new(settings.secret_key),
        }
    }

    /// A client of the simulator.
    pub(super) fn client(&self, credentials: Credentials) -> Mimecast {
        self.paced(credentials, Pacing::default())
    }

    pub(super) fn paced(&self, credentials: Credentials, pacing: Pacing) -> Mimecast {
        Mimecast::new(self.http.clone(), self.url.clone(), credentials, pacing, self.world.clone())
    }

    /// A deadline that no test reaches by accident.
    pub(super) fn deadline(&self) -> Deadline {
        Deadline::after(&self.world, Duration::from_secs(20 * 60))
    }

    /// The days before the simulator's present.
    pub(super) fn days(&self, days: i64) -> Window {
        let now = self.ground.clock.now().replace_nanosecond(0).expect("whole seconds");
        Window { start: now - time::Duration::days(days), end: now }
    }

    /// The bodies of the requests for events, as sent.
    pub(super) fn page_requests(&self) -> Vec<serde_json::Value> {
        let entries = self.ground.journal.of(SERVICE);
        let pages = entries.iter().filter(|entry| entry.path() == "/api/audit/get-audit-events");
        pages.map(|entry| serde_json::from_slice(&entry.body).expect("a JSON request")).collect()
    }

    /// How many calls of a path there were.
    pub(super) fn calls(&self, path: &str) -> usize {
        self.ground.journal.of(SERVICE).iter().filter(|entry| entry.path() == path).count()
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        self.ground.stop();
    }
}

/// What came of reading a window.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) ids: Vec<String>,
    pub(super) malformed: usize,
    pub(super) pages: usize,
    pub(super) restarts: usize,
    pub(super) resume: Option<PageToken>,
    pub(super) finished: Option<Finished>,
}

/// Reads a window to its end, or to the first error.
pub(super) async fn read(pages: &mut Pages<'_>, read: &mut Read) -> Result<(), PollError> {
    loop {
        match pages.next().await? {
            Step::Records(chunk) => {
                for record in chunk.records() {
                    match record {
                        Ok(record) => read.ids.push(record.id.unwrap_or_default().into_owned()),
                        Err(_) => read.malformed += 1,
                    }
                }
            }
            Step::PageDone(done) => {
                read.pages += 1;
                read.resume = done.resume;
            }
            Step::Restarted(_) => read.restarts += 1,
            Step::Finished(finished) => {
                read.finished = Some(finished);
                return Ok(());
            }
        }
    }
}
