//! One worker of a host: started, watched, and started again until it has failed too often.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::{Condition, Host, chain};
use crate::functions::package::Package;
use crate::functions::process::{Exit, Process};

/// Three errors within thirty minutes stop the host (azure-functions-host, `WorkerConcurrency` and
/// `HttpWorkerChannel` restart policy).
const FAULTS: usize = 3;
const FAULT_WINDOW: time::Duration = time::Duration::minutes(30);
impl Host {
    /// Runs one worker for as long as this start of the host lasts.
    pub(super) async fn run_worker(
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
}
