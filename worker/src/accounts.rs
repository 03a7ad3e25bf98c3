//! Whose work it is: the only account's, or one of several.
//!
//! The only account works when the timer fires. Of several, the timer only puts one message each on the
//! queue `sync-work`, and each message is the work of one account, on whichever instance takes it. Long
//! backfills are cut into slices that go the same way. The Functions host hides, renews, deletes and
//! poisons messages; we only put them.
//!
//! An account's failure is its health row and a good answer: a message is poison only where it cannot be
//! read. What a person asked for is put again, later, until it is done.

pub mod message;
pub mod queue;
pub mod vault;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use contract::settings as names;
use futures::{StreamExt, stream};
use serde_json::json;
use time::OffsetDateTime;

use crate::command::{Backfill, Slice, Work};
use crate::http;
use crate::identity::Credential;
use crate::poll::window::{RETENTION, slices};
use crate::report::{Failure, Level, Log, Report, RunResult, Stage, Trigger, chain};
use crate::settings::several::{Several, queue as queue_url, schedule_period};
use crate::settings::{Destination, Problem, Settings, SettingsError};
use crate::sync::{Account, Clients, OpenError, Reporter};
use crate::world::World;
use message::Message;
use queue::{QueueError, WorkQueue};
use vault::AccountVault;

/// How long an account's settings are kept before they are read again.
const KEPT: Duration = Duration::from_secs(60 * 60);

/// So many messages are put, and without a queue so many accounts worked on, at once.
const AT_ONCE: usize = 8;

/// A backfill is cut at every midnight, UTC: a day is a few runs' work at most, and a place between two
/// slices is where an event of that very second may come twice.
const SLICE: Duration = Duration::from_secs(24 * 60 * 60);

/// How long an account that shares its instance with others waits for Mimecast's quota. A longer wait is
/// for the next tick: an instance works on one message at a time.
const PATIENCE: Duration = Duration::from_secs(30);

/// The first wait before work that a person asked for is tried again; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(60);
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);

/// How often such work is tried: about a day, with the waits above.
const ATTEMPTS: u32 = 30;

/// The accounts of this installation.
#[derive(Debug)]
pub struct Accounts {
    world: World,
    log: Log,
    queue: Option<WorkQueue>,
    served: Served,
}

#[derive(Debug)]
enum Served {
    One(Arc<Account>),
    Several(Box<Fleet>),
}

/// Several accounts, opened as their messages come.
#[derive(Debug)]
struct Fleet {
    several: Several,
    vault: AccountVault,
    clients: Clients,
    open: Mutex<HashMap<String, Opened>>,
}

/// An account with when its settings were read, in time since the world began.
#[derive(Debug, Clone)]
struct Opened {
    account: Arc<Account>,
    read_at: Duration,
}

/// Why the accounts cannot be served at all.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// Settings that cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Clients that cannot be made.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The queue's or the vault's client cannot be made.
    #[error("could not make the client of `{setting}`")]
    Client {
        /// The setting with its address.
        setting: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handled {
    /// It is dealt with.
    Done(String),
    /// It could not be dealt with, and must come again.
    Failed(String),
    /// It cannot be read and will never be.
    Unreadable(String),
}

impl Accounts {
    /// Reads the settings and makes the clients. Nothing is called yet. `folder` delivers to files.
    ///
    /// # Errors
    /// [`AccountsError`] when the settings cannot be used or a client cannot be made.
    pub fn open(world: &World, folder: Option<&std::path::Path>, log: &Log) -> Result<Self, AccountsError> {
        Self::open_with(world, folder, log, http::client().map_err(OpenError::from)?)
    }

    /// The same over this HTTP client.
    ///
    /// # Errors
    /// As [`Accounts::open`].
    pub fn open_with(
        world: &World,
        folder: Option<&std::path::Path>,
        log: &Log,
        http: http::Client,
    ) -> Result<Self, AccountsError> {
        let (served, reporting, clients) = if Several::wanted(world) {
            let several = Several::read(world, folder)?;
            let clients = Clients::new(&several.reporting, http)?;
            let cloud = &several.reporting.cloud;
            let credential =
                Credential::new(&several.identity, cloud, &clients.http).map_err(OpenError::from)?;
            let vault = AccountVault::new(&several.vault, cloud, credential, &clients.http, world)
                .map_err(|error| client_error(names::ACCOUNT_VAULT_URL, error))?;
            let reporting = several.reporting.clone();
            let fleet = Fleet { several, vault, clients: clients.clone(), open: Mutex::default() };
            (Served::Several(Box::new(fleet)), reporting, clients)
        } else {
            let settings = Settings::read(world, folder)?;
            let reporting = settings.reporting.clone();
            let clients = Clients::new(&reporting, http)?;
            let account = Account::open_over(settings, world, log, &clients, Duration::MAX)?;
            (Served::One(Arc::new(account)), reporting, clients)
        };
        let unusable = |problem: Problem| SettingsError {
            problems: vec![problem],
            reporting: Some(Box::new(reporting.clone())),
        };
        let url = queue_url(world).map_err(unusable)?;
        let queue = match (&reporting.destination, &clients.storage) {
            (Destination::Azure(_), Some(credential)) => url
                .map(|url| WorkQueue::new(&url, credential.clone(), &clients.http, world))
                .transpose()
                .map_err(|error| client_error(names::SYNC_QUEUE_URL, error))?,
            _ => None,
        };
        Ok(Self { world: world.clone(), log: log.clone(), queue, served })
    }

    /// Does by itself what is asked, for all accounts: the standalone form, which has no queue.
    pub async fn work(&self, work: Work) -> Vec<Report> {
        match &self.served {
            Served::One(account) => vec![account.work(work).await],
            Served::Several(fleet) if work == Work::Replay => vec![self.replay(fleet).await],
            Served::Several(fleet) => {
                let keys = stream::iter(fleet.several.keys.iter());
                keys.map(|key| self.account_work(key, work)).buffer_unordered(AT_ONCE).collect().await
            }
        }
    }

    /// The timer has fired: the only account works, of several each gets its message.
    pub async fn tick(&self, work: Work) -> Report {
        match &self.served {
            Served::One(account) => account.work(work).await,
            Served::Several(fleet) => self.put_ticks(fleet, work.trigger()).await,
        }
    }

    /// A message has come.
    pub async fn handle(&self, text: &str) -> Handled {
        let message = match Message::read(text) {
            Ok(message) => message,
            Err(error) => {
                self.log.event(Level::Error, "message_not_understood", json!({ "message": error }));
                return Handled::Unreadable(error);
            }
        };
        let key = match (&self.served, &message.account) {
            (Served::One(_), None) => "",
            (Served::One(_), Some(key)) if key.is_empty() => "",
            (Served::Several(fleet), _) if message.work == Work::Replay => {
                return self.for_everybody(fleet, &message).await;
            }
            (Served::Several(fleet), Some(key)) if fleet.several.keys.contains(key) => key.as_str(),
            (Served::Several(fleet), None) => return self.for_everybody(fleet, &message).await,
            // The account was taken out of the installation while its message waited.
            (_, Some(key)) => {
                let text = format!("there is no account `{key}` here; its message is dropped");
                self.log.event(Level::Warning, "account_unknown", json!({ "account": key, "message": text }));
                return Handled::Done(text);
            }
        };
        match message.work {
            Work::Backfill(backfill) if !backfill.only_missing => self.cut(key, backfill).await,
            work => {
                let report = self.account_work(key, work).await;
                self.settle(key, &message, &report).await
            }
        }
    }

    /// One account's work. Where its settings cannot be had, that is what its health row says.
    async fn account_work(&self, key: &str, work: Work) -> Report {
        let work = match work {
            Work::Sync(Trigger::Manual) if !key.is_empty() => Work::Sync(Trigger::Queue),
            other => other,
        };
        let fleet = match &self.served {
            Served::One(account) => return account.work(work).await,
            Served::Several(fleet) => fleet,
        };
        let account = match fleet.account(key, &self.world, &self.log).await {
            Ok(account) => account,
            Err(error) => {
                let http = fleet.clients.http.clone();
                return Reporter::over(error, &self.world, &self.log, http).run(work.trigger()).await;
            }
        };
        let report = account.work(work).await;
        // Credentials may have been replaced in the vault: the next run reads them again.
        if report.failure.as_ref().is_some_and(|failure| failure.stage == Stage::Poll) {
            fleet.forget(key);
        }
        report
    }

    /// Sends dead letters again. They are whole rows, of whichever account, in one container: one run under
    /// the first account's hold sends them all. That of another account serves where the first one's
    /// settings cannot be had.
    async fn replay(&self, fleet: &Fleet) -> Report {
        let mut chosen = fleet.several.keys.first().map_or("", String::as_str);
        for key in &fleet.several.keys {
            if fleet.account(key, &self.world, &self.log).await.is_ok() {
                chosen = key;
                break;
            }
        }
        self.account_work(chosen, Work::Replay).await
    }

    async fn put_ticks(&self, fleet: &Fleet, trigger: Trigger) -> Report {
        let mut report = Report::begin(&self.world, trigger);
        let life = schedule_period(&self.world);
        let keys = &fleet.several.keys;
        let put = stream::iter(keys.iter()).map(|key| async move {
            let message = Message::new(Some(key), Work::Sync(Trigger::Queue));
            (key, self.put(&message, Duration::ZERO, Some(life)).await)
        });
        let mut failed: Vec<&str> = Vec::new();
        let mut put = put.buffer_unordered(AT_ONCE);
        while let Some((key, done)) = put.next().await {
            if let Err(error) = done {
                failed.push(key);
                report.fail(error);
            }
        }
        self.log.event(
            Level::Info,
            "tick",
            json!({ "run": report.run_id, "accounts": keys.len(), "failed": failed }),
        );
        if !failed.is_empty() {
            report.notes.push(format!("no work for the accounts {}", failed.join(", ")));
            let reporting = &fleet.several.reporting;
            let http = fleet.clients.http.clone();
            crate::sync::send_health(&report, reporting, http, &self.world, &self.log).await;
        }
        self.log.run_ended(&report);
        report
    }

    /// What a person asked for without naming an account.
    async fn for_everybody(&self, fleet: &Fleet, message: &Message) -> Handled {
        let work = message.work;
        match work {
            Work::Sync(trigger) => {
                let report = self.put_ticks(fleet, trigger).await;
                answer(&report)
            }
            Work::Replay => {
                let report = self.replay(fleet).await;
                self.settle("", message, &report).await
            }
            Work::Backfill(_) | Work::Slice(_) => {
                for key in &fleet.several.keys {
                    let message = Message::new(Some(key), work);
                    if let Err(failure) = self.put(&message, Duration::ZERO, None).await {
                        return self.not_put(&failure);
                    }
                }
                Handled::Done(format!("{work}: asked of {} accounts", fleet.several.keys.len()))
            }
        }
    }

    /// Cuts a backfill into slices, one message each.
    async fn cut(&self, key: &str, backfill: Backfill) -> Handled {
        let now = self.world.now();
        let from = backfill.from.max(now - RETENTION);
        let to = backfill.to.min(now);
        let request = self.world.identity().as_fields().0;
        let first = slices(from, to.min(next_midnight(from)), SLICE);
        let windows: Vec<_> = first.chain(slices(next_midnight(from), to, SLICE)).collect();
        for window in &windows {
            let slice = Slice { request, from: window.start, to: window.end };
            let message = Message::new(Some(key).filter(|key| !key.is_empty()), Work::Slice(slice));
            if let Err(failure) = self.put(&message, Duration::ZERO, None).await {
                return self.not_put(&failure);
            }
        }
        let text = format!("{} cut into {} slices", Work::Backfill(backfill), windows.len());
        self.log.event(
            Level::Info,
            "backfill_cut",
            json!({ "account": key, "slices": windows.len(), "message": text }),
        );
        Handled::Done(text)
    }

    /// Ends a message: what the timer asks for comes again by itself; what a person asked for is put
    /// again until it is done.
    async fn settle(&self, key: &str, message: &Message, report: &Report) -> Handled {
        let again = match (message.work, report.result) {
            // A tick that finds the account held is dropped: the run that holds it does the work.
            (_, RunResult::Ok) | (Work::Sync(_), _) => None,
            (Work::Slice(_), RunResult::Partial) => Some((message.attempt, breather(report))),
            (Work::Backfill(_), RunResult::Partial) if report.wait.is_some() => {
                Some((message.attempt, breather(report)))
            }
            // The account's own checkpoint holds the ranges, and its next runs read them.
            (Work::Backfill(_), RunResult::Partial) => None,
            (_, RunResult::Busy | RunResult::Failed | RunResult::Partial) => {
                let doubled = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(message.attempt));
                Some((message.attempt + 1, doubled.min(LONGEST_WAIT)))
            }
        };
        match again {
            Some((attempt, _)) if attempt >= ATTEMPTS => {
                let text = format!("{} was given up after {attempt} attempts", message.work);
                self.log.event(Level::Error, "work_given_up", json!({ "account": key, "message": text }));
                Handled::Done(text)
            }
            Some((attempt, delay)) => {
                let next = Message { attempt, ..message.clone() };
                match self.put(&next, delay, None).await {
                    Ok(()) => answer(report),
                    Err(failure) => self.not_put(&failure),
                }
            }
            None => answer(report),
        }
    }

    async fn put(&self, message: &Message, delay: Duration, life: Option<Duration>) -> Result<(), Failure> {
        let Some(queue) = &self.queue else {
            return Err(Failure {
                stage: Stage::Queue,
                code: "queue_not_set".to_owned(),
                message: format!("{} is missing: there is no queue to put work on", names::SYNC_QUEUE_URL),
            });
        };
        let put = queue.put(message, delay, life).await;
        put.map_err(|error: QueueError| Failure::new(Stage::Queue, error.code(), &error))
    }

    fn not_put(&self, failure: &Failure) -> Handled {
        self.log.event(Level::Error, "message_not_put", json!({ "message": failure.message }));
        Handled::Failed(failure.message.clone())
    }
}

impl Fleet {
    /// An account, with its settings as they were read within the last hour.
    async fn account(&self, key: &str, world: &World, log: &Log) -> Result<Arc<Account>, SettingsError> {
        let kept = self.lock().get(key).cloned();
        if let Some(Opened { account, read_at }) = kept
            && world.elapsed().saturating_sub(read_at) < KEPT
        {
            return Ok(account);
        }
        let read_at = world.elapsed();
        let values = self.vault.account(key).await;
        let values = values.map_err(|problems| self.several.problem_of(key, problems))?;
        let settings = self.several.account(world, key, values)?;
        let account = Account::open_over(settings, world, log, &self.clients, PATIENCE).map_err(|error| {
            let what = format!("names the account `{key}`, which cannot be worked on: {}", chain(&error));
            self.several.problem_of(key, vec![Problem { setting: names::MIMECAST_ACCOUNTS, what }])
        })?;
        let account = Arc::new(account);
        self.lock().insert(key.to_owned(), Opened { account: account.clone(), read_at });
        Ok(account)
    }

    fn forget(&self, key: &str) {
        self.lock().remove(key);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Opened>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long work that has more to read leaves the instance to others: a run that found no call of the
/// quota left would otherwise come again at once, before the ticks of other accounts.
fn breather(report: &Report) -> Duration {
    let least = if report.read == 0 { FIRST_WAIT } else { Duration::ZERO };
    report.wait.unwrap_or_default().clamp(least, LONGEST_WAIT)
}

/// A run's failure is the account's, not the message's.
fn answer(report: &Report) -> Handled {
    match &report.failure {
        Some(failure) if failure.stage == Stage::Queue => Handled::Failed(report.summary()),
        _ => Handled::Done(report.summary()),
    }
}

fn client_error(
    setting: &'static str,
    source: impl std::error::Error + Send + Sync + 'static,
) -> AccountsError {
    AccountsError::Client { setting, source: Box::new(source) }
}

fn next_midnight(at: OffsetDateTime) -> OffsetDateTime {
    at.to_offset(time::UtcOffset::UTC).replace_time(time::Time::MIDNIGHT) + SLICE
}
