//! One site's Functions host: which package it runs, its workers, and what became of them.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use time::OffsetDateTime;
use tokio::sync::{oneshot, watch};
use tokio::task::AbortHandle;
use uuid::Uuid;

use super::invocation::{Cause, Failure, Invocation, TimerStatus, queue_payload, read_answer, timer_payload};
use super::package::{Function, Package, Trigger};
use super::process::{Exit, Lines, Process};
use super::{Firing, HostOptions, storage};
use crate::state::State;

/// Three errors within thirty minutes stop the host (azure-functions-host, `WorkerConcurrency` and
/// `HttpWorkerChannel` restart policy).
const FAULTS: usize = 3;
const FAULT_WINDOW: time::Duration = time::Duration::minutes(30);
/// The host's own patience beyond `functionTimeout` (azure-functions-host, `DefaultHttpWorkerService`).
const PATIENCE: Duration = Duration::from_secs(60);
/// How often the schedule is compared with the simulator's clock.
const TICK: Duration = Duration::from_millis(200);

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

    /// Runs one worker for as long as this start of the host lasts.
    async fn run_worker(
        self: Arc<Self>,
        instance: usize,
        generation: u64,
        package: Arc<Package>,
        environment: BTreeMap<String, String>,
        tell: oneshot::Sender<()>,
    ) {
        let mut tell = Some(tell);
        loop {
            let limit = self.options().start_limit;
            let started = Process::start(&package, &environment, &self.lines, &self.http, limit).await;
            let (fault, last) = match started {
                Err(error) => (chain(&error), false),
                Ok(process) => {
                    let process = Arc::new(process);
                    {
                        let mut inner = self.lock();
                        if inner.generation != generation {
                            return;
                        }
                        if let Some(place) = inner.processes.get_mut(instance) {
                            *place = Some(process.clone());
                        }
                    }
                    if let Some(tell) = tell.take() {
                        // Nobody waits where the start was given up.
                        let _ = tell.send(());
                    }
                    let exit = process.ended().await;
                    match exit {
                        Exit::Code(200) => (String::new(), false),
                        Exit::Code(0) => (String::new(), true),
                        Exit::Code(code) => (format!("the worker exited with code {code}"), false),
                        Exit::Killed => ("the worker was killed".to_owned(), false),
                    }
                }
            };
            let mut inner = self.lock();
            if inner.generation != generation {
                return;
            }
            if let Some(place) = inner.processes.get_mut(instance) {
                *place = None;
            }
            if last {
                inner.condition = Condition::WorkerEnded;
                return;
            }
            if !fault.is_empty() {
                let now = self.state.now();
                inner.faults.retain(|at| now - *at < FAULT_WINDOW);
                inner.faults.push(now);
                if inner.faults.len() >= FAULTS {
                    let text = format!("exceeded language worker restart retry count: {fault}");
                    inner.condition = Condition::Error(vec![text]);
                    for process in inner.processes.iter_mut().filter_map(Option::take) {
                        process.kill();
                    }
                    return;
                }
            }
        }
    }

    /// Fires the timers when the simulator's clock says so. A time that was missed fires once, late.
    async fn follow_schedules(self: Arc<Self>) {
        loop {
            tokio::time::sleep(TICK).await;
            let now = self.state.now();
            let Some(package) = self.package() else { continue };
            for function in package.functions.iter().filter(|function| !function.disabled) {
                let Ok(Trigger::Timer { schedule, .. }) = &function.trigger else { continue };
                let status = self.timer_status(&function.name, || schedule.next(now), now);
                if status.is_some_and(|status| status.next <= now) {
                    // One at a time: a timer does not overlap itself.
                    self.fire(&function.name).await;
                }
            }
        }
    }

    fn timer_status(
        &self,
        function: &str,
        next: impl FnOnce() -> Option<OffsetDateTime>,
        now: OffsetDateTime,
    ) -> Option<TimerStatus> {
        let mut inner = self.lock();
        if let Some(status) = inner.timers.get(function) {
            return Some(*status);
        }
        let status = TimerStatus { last: None, next: next()?, last_updated: now };
        inner.timers.insert(function.to_owned(), status);
        Some(status)
    }

    /// The function of this name, if the host has loaded it.
    fn loaded(&self, name: &str) -> Result<(Function, Trigger), Failure> {
        let package = self.package();
        let function = package.iter().flat_map(|package| &package.functions).find(|each| each.name == name);
        let function = function.ok_or_else(|| Failure::NotRun(format!("there is no function `{name}`")))?;
        match &function.trigger {
            Ok(trigger) => Ok((function.clone(), trigger.clone())),
            Err(reason) => Err(Failure::NotRun(format!("the function `{name}` is in error: {reason}"))),
        }
    }

    /// Runs a timer function as the timer does when it is due, and moves its schedule on.
    pub(crate) async fn fire(&self, name: &str) -> Invocation {
        let now = self.state.now();
        let payload = self.loaded(name).and_then(|(function, trigger)| match trigger {
            Trigger::Timer { .. } if function.disabled => {
                Err(Failure::NotRun(format!("the function `{name}` is disabled")))
            }
            Trigger::Timer { binding, schedule, monitored } => {
                let status = self.timer_status(name, || Some(now), now);
                // More than a minute late is past due here; the host compares with its monitor's interval.
                let past_due = status.is_some_and(|status| now - status.next > time::Duration::minutes(1));
                let payload = timer_payload(name, &binding, status.filter(|_| monitored), past_due, now);
                let next = schedule.next(now).unwrap_or(now);
                let moved = TimerStatus { last: Some(now), next, last_updated: now };
                self.lock().timers.insert(name.to_owned(), moved);
                Ok(payload)
            }
            Trigger::Queue { .. } => Err(Failure::NotRun(format!("the function `{name}` has no timer"))),
        });
        self.invoke(name, Cause::Timer, 0, payload).await
    }

    /// Runs a function as the admin endpoint does. A timer function gets an ordinary payload whatever
    /// the input is (azure-webjobs-sdk-extensions, `TimerTriggerBinding.BindAsync`); a queue function
    /// gets the input as its message.
    pub(crate) async fn run_by_hand(&self, name: &str, input: &str) -> Invocation {
        let now = self.state.now();
        let payload = self.loaded(name).map(|(_, trigger)| match trigger {
            Trigger::Timer { binding, monitored, .. } => {
                let status = self.lock().timers.get(name).copied();
                timer_payload(name, &binding, status.filter(|_| monitored), false, now)
            }
            Trigger::Queue { binding, .. } => queue_payload(name, &binding, input, None, now),
        });
        self.invoke(name, Cause::Admin, 0, payload).await
    }

    /// Sends an invocation to a worker, reads its answer strictly and keeps what became of it.
    pub(crate) async fn invoke(
        &self,
        function: &str,
        cause: Cause,
        instance: usize,
        payload: Result<Value, Failure>,
    ) -> Invocation {
        let _under_way = self.begin();
        let id = Uuid::new_v4();
        let started_at = self.state.now();
        let outcome = match payload {
            Ok(payload) => self.send(function, instance, id, &payload).await,
            Err(failure) => Err(failure),
        };
        let invocation =
            Invocation { id, function: function.to_owned(), cause, instance, started_at, outcome };
        self.lock().invocations.push(invocation.clone());
        invocation
    }

    async fn send(
        &self,
        function: &str,
        instance: usize,
        id: Uuid,
        payload: &Value,
    ) -> Result<serde_json::Map<String, Value>, Failure> {
        let (process, timeout) = {
            let inner = self.lock();
            let process = inner.processes.get(instance).cloned().flatten();
            let timeout = inner.package.as_ref().map(|package| package.timeout).unwrap_or_default();
            let reason = || Failure::NotRun(format!("no worker serves: {:?}", inner.condition));
            (process.ok_or_else(reason)?, timeout)
        };
        let request = self
            .http
            .post(format!("http://127.0.0.1:{}/{function}", process.port))
            .header("x-azure-functions-invocationid", id.to_string())
            .header("x-azure-functions-hostversion", super::HOST_VERSION)
            .header("user-agent", format!("Azure-Functions-Host/{}", super::HOST_VERSION))
            .header("content-type", "application/json; charset=utf-8")
            .body(payload.to_string())
            .timeout(timeout + PATIENCE);
        let failed = |error: reqwest::Error| {
            if error.is_timeout() {
                // A timeout restarts the worker.
                process.kill();
                Failure::TimedOut
            } else {
                Failure::NoAnswer(chain(&error))
            }
        };
        let response = request.send().await.map_err(failed)?;
        let status = response.status().as_u16();
        let content_type =
            response.headers().get("content-type").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = response.bytes().await.map_err(failed)?;
        read_answer(status, content_type.as_deref(), &body)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.stop();
    }
}
