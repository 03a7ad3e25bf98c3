//! Invocations: what is sent to a worker, and what its answer means.

use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use super::{Host, chain};
use crate::functions::HOST_VERSION;
use crate::functions::invocation::{Cause, Failure, Invocation, queue_payload, read_answer, timer_payload};
use crate::functions::package::{Function, Trigger};

/// The host's own patience beyond `functionTimeout` (azure-functions-host, `DefaultHttpWorkerService`).
const PATIENCE: Duration = Duration::from_secs(60);
impl Host {
    /// The function of this name, if the host has loaded it.
    pub(super) fn loaded(&self, name: &str) -> Result<(Function, Trigger), Failure> {
        let package = self.package();
        let function = package.iter().flat_map(|package| &package.functions).find(|each| each.name == name);
        let function = function.ok_or_else(|| Failure::NotRun(format!("there is no function `{name}`")))?;
        match &function.trigger {
            Ok(trigger) => Ok((function.clone(), trigger.clone())),
            Err(reason) => Err(Failure::NotRun(format!("the function `{name}` is in error: {reason}"))),
        }
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
            .header("x-azure-functions-hostversion", HOST_VERSION)
            .header("user-agent", format!("Azure-Functions-Host/{}", HOST_VERSION))
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
