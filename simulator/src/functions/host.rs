//! One site's Functions host: which package it runs, its workers, and what became of them.

mod invoke;
mod timers;
mod worker;

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use time::OffsetDateTime;
use tokio::sync::{oneshot, watch};
use tokio::task::AbortHandle;
use uuid::Uuid;

use super::invocation::{Invocation, TimerStatus};
use super::package::{Function, Package, Trigger};
use super::process::{Lines, Process};
use super::{Firing, HostOptions, storage};
use crate::state::State;

/// What a host is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Nothing was published yet.
    Empty,
    /// Its workers serve.
    Running,
    /// A worker ended with code 0. The host does not start it again.
    WorkerEnded,
    /// It stopped, for these reasons.
    Error(Vec<String>),
}

#[derive(Debug)]
struct Inner {
    zip: Option<Bytes>,
    package: Option<Arc<Package>>,
    processes: Vec<Option<Arc<Process>>>,
    tasks: Vec<AbortHandle>,
    /// Changes with every start, so that what watches an earlier one knows that it is over.
    generation: u64,
    condition: Condition,
    faults: Vec<OffsetDateTime>,
    timers: BTreeMap<String, TimerStatus>,
    invocations: Vec<Invocation>,
    /// The site's settings at the last start, references resolved.
    settings: BTreeMap<String, String>,
    /// Whether the host gave up for want of rights on its storage, which may yet come.
    waits_for_storage: bool,
}

/// The host of one site.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) site_id: String,
    pub(crate) state: State,
    pub(crate) http: reqwest::Client,
    pub(crate) lines: Lines,
    options: Arc<Mutex<HostOptions>>,
    /// One start at a time.
    control: tokio::sync::Mutex<()>,
    /// Starts that were asked for and are not over.
    starts: watch::Sender<u64>,
    /// Invocations under way.
    busy: watch::Sender<u64>,
    inner: Mutex<Inner>,
}

/// Something under way that calls may wait for. It is over when this is dropped.
#[derive(Debug)]
pub(crate) struct Begun(watch::Sender<u64>);

impl Begun {
    fn new(count: &watch::Sender<u64>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count.clone())
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

async fn none_left(count: &watch::Sender<u64>) {
    // The sender is ours and lives as long as this call.
    let _ = count.subscribe().wait_for(|count| *count == 0).await;
}

/// An error with its causes on one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

impl Host {
    pub(crate) fn new(
        site_id: &str,
        state: State,
        http: reqwest::Client,
        options: Arc<Mutex<HostOptions>>,
    ) -> Self {
        Self {
            site_id: site_id.to_owned(),
            state,
            http,
            lines: Lines::default(),
            options,
            control: tokio::sync::Mutex::default(),
            starts: watch::Sender::default(),
            busy: watch::Sender::default(),
            inner: Mutex::new(Inner {
                zip: None,
                package: None,
                processes: Vec::new(),
                tasks: Vec::new(),
                generation: 0,
                condition: Condition::Empty,
                faults: Vec::new(),
                timers: BTreeMap::new(),
                invocations: Vec::new(),
                settings: BTreeMap::new(),
                waits_for_storage: false,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn condition(&self) -> Condition {
        self.lock().condition.clone()
    }

    pub(crate) fn package(&self) -> Option<Arc<Package>> {
        self.lock().package.clone()
    }

    pub(crate) fn invocations(&self) -> Vec<Invocation> {
        self.lock().invocations.clone()
    }

    fn options(&self) -> HostOptions {
        *self.options.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no start is under way.
    pub(crate) async fn settled(&self) {
        none_left(&self.starts).await;
    }

    /// Waits until no invocation is under way.
    pub(crate) async fn idle(&self) {
        none_left(&self.busy).await;
    }

    /// Marks an invocation as under way before it is sent.
    pub(crate) fn begin(&self) -> Begun {
        Begun::new(&self.busy)
    }

    /// Whether the package has this function.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.package().is_some_and(|package| package.functions.iter().any(|each| each.name == name))
    }

    /// Ids of the running workers.
    pub(crate) fn process_ids(&self) -> Vec<i32> {
        self.lock().processes.iter().flatten().map(|process| process.id()).collect()
    }

    /// Kills every worker and forgets what watched it.
    pub(crate) fn stop(&self) {
        let mut inner = self.lock();
        inner.generation += 1;
        for task in inner.tasks.drain(..) {
            task.abort();
        }
        for process in inner.processes.drain(..).flatten() {
            process.kill();
        }
    }

    /// Kills one worker, as a platform that takes the instance away.
    pub(crate) fn kill_worker(&self, instance: usize) -> bool {
        let process = self.lock().processes.get(instance).cloned().flatten();
        process.is_some_and(|process| {
            process.kill();
            true
        })
    }

    /// Takes a new package, which the next start uses.
    pub(crate) fn set_package(&self, zip: Bytes) {
        self.lock().zip = Some(zip);
    }

    /// [`Host::restart`] in the background. [`Host::settled`] waits for it from now on.
    pub(crate) fn restart_soon(self: &Arc<Self>) {
        let begun = Begun::new(&self.starts);
        let host = self.clone();
        tokio::spawn(async move {
            host.restart().await;
            drop(begun);
        });
    }

    /// Whether the site's settings or what its references resolve to have changed since the last start.
    pub(crate) fn outdated(&self) -> bool {
        let settings = self.state.site_environment(&self.site_id);
        self.lock().settings != settings
    }

    /// Starts a host again that gave up for want of rights on its storage. The real one tries by
    /// itself; a call stands for the time that passes there.
    pub(crate) async fn try_storage_again(self: &Arc<Self>) {
        if self.lock().waits_for_storage {
            self.restart().await;
        }
    }

    /// Starts anew with the present package and settings, and waits until the workers serve or the
    /// host has given up.
    pub(crate) async fn restart(self: &Arc<Self>) {
        let _one = self.control.lock().await;
        self.stop();
        self.lock().waits_for_storage = false;
        let Some(zip) = self.lock().zip.clone() else { return };
        let options = self.options();
        let settings = self.state.site_environment(&self.site_id);
        self.lock().settings.clone_from(&settings);
        let environment = self.environment(settings);
        let package = match Package::open(&zip, &environment) {
            Ok(package) => Arc::new(package),
            Err(error) => return self.give_up(vec![chain(&error)]),
        };
        self.state.set_functions(&self.site_id, package.functions.iter().map(Function::listed).collect());
        if let Err(refused) = storage::check(&self.state, &self.site_id, &environment) {
            self.lock().package = Some(package);
            self.give_up(vec![refused.to_string()]);
            self.lock().waits_for_storage = true;
            return;
        }
        let (generation, ready) = {
            let mut inner = self.lock();
            inner.package = Some(package.clone());
            inner.faults.clear();
            inner.condition = Condition::Running;
            inner.processes = vec![None; options.instances.max(1)];
            let generation = inner.generation;
            let mut ready = Vec::new();
            for instance in 0..inner.processes.len() {
                let (tell, told) = oneshot::channel();
                let run =
                    self.clone().run_worker(instance, generation, package.clone(), environment.clone(), tell);
                inner.tasks.push(tokio::spawn(run).abort_handle());
                ready.push(told);
            }
            (generation, ready)
        };
        for told in ready {
            // A worker that will never serve drops its end; the condition says why.
            let _ = told.await;
        }
        let mut inner = self.lock();
        if inner.generation != generation || inner.condition != Condition::Running {
            return;
        }
        if options.firing == Firing::Clock {
            inner.tasks.push(tokio::spawn(self.clone().follow_schedules()).abort_handle());
        }
        for function in &package.functions {
            if let Ok(Trigger::Queue { queue, connection, .. }) = &function.trigger
                && !function.disabled
            {
                for instance in 0..inner.processes.len() {
                    let listener = super::queue::Listener {
                        host: self.clone(),
                        function: function.name.clone(),
                        queue: queue.clone(),
                        connection: connection.clone(),
                        environment: environment.clone(),
                        options: package.queues,
                        instance,
                    };
                    inner.tasks.push(tokio::spawn(listener.run()).abort_handle());
                }
            }
        }
    }

    /// Everything that a worker of this site sees, but for its port.
    fn environment(&self, settings: BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut environment = settings;
        let name = self.site_id.rsplit('/').next().unwrap_or_default();
        let worker_id = Uuid::new_v4().to_string();
        let mut put = |name: &str, value: String| environment.insert(name.to_owned(), value);
        put("FUNCTIONS_CUSTOMHANDLER_WORKER_ID", worker_id.clone());
        put("FUNCTIONS_HTTPWORKER_ID", worker_id);
        put("FUNCTIONS_APP_ROOT_PATH", "/home/site/wwwroot".to_owned());
        put("WEBSITE_SITE_NAME", name.to_owned());
        put("WEBSITE_INSTANCE_ID", Uuid::new_v4().simple().to_string());
        put("HOME", "/home".to_owned());
        put("PATH", "/usr/local/bin:/usr/bin:/bin".to_owned());
        // Only a site with an identity has these: https://learn.microsoft.com/azure/app-service/overview-managed-identity
        if self.state.resource(&self.site_id).is_some_and(|site| site.get("identity").is_some()) {
            put("IDENTITY_ENDPOINT", format!("{}msi/token", self.state.endpoints().identity));
            put("IDENTITY_HEADER", self.state.identity_header(&self.site_id));
        }
        let authority = self.state.ground().certificates.authority_file.display().to_string();
        put("SSL_CERT_FILE", authority);
        environment
    }

    fn give_up(&self, reasons: Vec<String>) {
        self.stop();
        self.lock().condition = Condition::Error(reasons);
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.stop();
    }
}
