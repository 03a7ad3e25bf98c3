//! Which modules alone may open a door to the outside (invariants 5 and 6).

use super::sources::{self, Source};

/// Each file outside `allowed` that holds one of the texts in its shipped part.
fn strays(needles: &[&str], allowed: &[&str]) -> Vec<String> {
    sources::shipped_crates()
        .iter()
        .filter(|source| !source.within(allowed))
        .flat_map(|source| source.places_of(needles))
        .collect()
}

/// Clippy holds the macros and functions named in `clippy.toml`; this holds who may be excused.
#[test]
fn only_ui_writes_to_the_terminal() {
    let talk = [
        "clippy::print_stdout",
        "clippy::print_stderr",
        "io::stdout",
        "io::stderr",
        "Term::stdout",
        "Term::stderr",
        "indicatif::",
        "dialoguer::",
    ];
    // The worker's two ways out: the host's log lines, and its command line's answer.
    let allowed = ["installer/src/ui", "worker/src/report", "worker/src/main"];
    assert_eq!(strays(&talk, &allowed), [""; 0]);
}

#[test]
fn only_world_reads_environment_clock_and_arguments() {
    let world = ["installer/src/world", "worker/src/world"];
    assert_eq!(strays(&["clippy::disallowed_methods", "io::stdin"], &world), [""; 0]);
    // The Azure client measures its deadlines with the runtime's clock, which its tests pause.
    let deadlines = ["installer/src/world", "worker/src/world", "installer/src/azure"];
    assert_eq!(strays(&["Instant::now"], &deadlines), [""; 0]);
}

#[test]
fn only_the_named_modules_call_out() {
    // The client is built in one file of each crate; the others are handed it.
    let building = ["Client::builder", "ClientBuilder", "Client::new()"];
    assert_eq!(strays(&building, &["installer/src/azure", "worker/src/http"]), [""; 0]);
    let calling = ["reqwest::"];
    let clients = [
        "installer/src/azure",
        "installer/src/mimecast",
        "worker/src/http",
        "worker/src/identity",
        "worker/src/poll",
        "worker/src/ingest",
        "worker/src/checkpoint",
        "worker/src/dead_letter/blob",
    ];
    assert_eq!(strays(&calling, &clients), [""; 0]);
}

#[test]
fn only_host_serves() {
    let serving = ["axum::", "TcpListener", "hyper::server"];
    assert_eq!(strays(&serving, &["worker/src/host"]), [""; 0]);
}

/// A second loop of waits would be a second opinion on when to give up.
#[test]
fn the_worker_waits_between_attempts_in_one_place() {
    let waits: Vec<String> = sources::shipped_crates()
        .iter()
        .filter(|source: &&Source| source.within(&["worker/src"]))
        // `poll/client` waits before a call, as Mimecast's quota asks: not between attempts.
        .filter(|source| !source.within(&["worker/src/retry", "worker/src/world", "worker/src/poll/client"]))
        .flat_map(|source| source.places_of(&[".sleep(", "time::sleep"]))
        .collect();
    assert_eq!(waits, [""; 0]);
}
