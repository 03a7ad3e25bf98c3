//! What fails while the worker is tortured, and how often.
//!
//! Far more than in life, but only what can happen there: see `docs/decisions/torture.md`.

use std::time::Duration;

use contract::streams::AUDIT_STREAM;
use simulator::fault::{Action, Fault, Faults, Matcher};

/// One run in so many loses the answer of an ingestion call that Azure has accepted. Such an answer
/// costs a whole batch twice, whatever a worker does, because Azure knows no repeated call. A service
/// that keeps a promise of 99.9 % fails one call in a thousand in all ways together; here so many fail
/// in the worst of them.
const RUNS_PER_LOST_ACCEPTANCE: u32 = 1_000;

/// Faults of one run at most.
const FAULTS_PER_RUN: u8 = 2;

/// So many calls that a fault would meet pass before it at most: it meets any page and any batch.
const CALLS_BEFORE: usize = 3;

/// What was set.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Planned {
    pub(super) faults: u32,
    pub(super) lost_acceptances: u32,
}

/// Sets the faults of the next run, of every kind and at every service, in place of those before.
pub(super) fn plan(random: &mut fastrand::Rng, faults: &Faults) -> Planned {
    faults.clear();
    let mut planned = Planned { faults: u32::from(random.u8(..=FAULTS_PER_RUN)), ..Planned::default() };
    for _ in 0..planned.faults {
        faults.add(fault(random));
    }
    if random.u32(..RUNS_PER_LOST_ACCEPTANCE) == 0 {
        let upload = Matcher::new("ingestion", "POST", AUDIT_STREAM);
        faults.add(Fault::once(upload, Action::DropAfter));
        planned.lost_acceptances = 1;
        planned.faults += 1;
    }
    planned
}

fn fault(random: &mut fastrand::Rng) -> Fault {
    let (service, method, part) = match random.u8(..7) {
        0 => ("mimecast", "POST", "get-audit-events"),
        1 => ("mimecast", "POST", "oauth"),
        2 => ("entra", "POST", ""),
        3 => ("blob", "PUT", "checkpoint.txt"),
        4 => ("blob", "GET", "checkpoint.txt"),
        _ => ("ingestion", "POST", ""),
    };
    let action = match random.u8(..8) {
        0 => Action::DropBefore,
        // The ingestion's lost answers have their own rate.
        1 if service != "ingestion" => Action::DropAfter,
        2 if service != "ingestion" => Action::Truncate(random.usize(..200)),
        3 => answer(429, &[("retry-after", "0"), ("x-ratelimit-reset", "10")]),
        4 => answer(500, &[]),
        // Too large or not is decided by the body, and the worker divides it; nobody else says so.
        5 if service == "ingestion" => answer(413, &[]),
        6 => Action::Delay(Duration::from_millis(random.u64(..80))),
        7 if matches!(service, "ingestion" | "mimecast") => answer(401, &[]),
        _ => answer(503, &[]),
    };
    Fault::once(Matcher::new(service, method, part), action).skip(random.usize(..CALLS_BEFORE))
}

fn answer(status: u16, headers: &[(&str, &str)]) -> Action {
    Action::Answer {
        status,
        headers: headers.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect(),
        body: "{}".to_owned(),
    }
}
