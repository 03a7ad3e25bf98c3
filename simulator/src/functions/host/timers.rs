//! The timers of a host: when each is due, and what fires it.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use super::Host;
use crate::functions::invocation::{Cause, Failure, Invocation, TimerStatus, timer_payload};
use crate::functions::package::Trigger;

/// How often the schedule is compared with the simulator's clock.
const TICK: Duration = Duration::from_millis(200);

impl Host {
    /// Fires the timers when the simulator's clock says so. A time that was missed fires once, late.
    pub(super) async fn follow_schedules(self: Arc<Self>) {
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
}
