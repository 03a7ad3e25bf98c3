//! Measures the memory that reading takes: 10,000 events, then 1,000,000, each by a process of its
//! own against a simulator in this one.
//!
//! `cargo run --workspace --example read_memory`
#![expect(clippy::print_stdout, reason = "a measurement is printed")]
#![expect(clippy::disallowed_methods, reason = "an example has no world of its own")]

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use contract::secret::Secret;
use simulator::journal::{Detail, Journal};
use simulator::mimecast::{Mimecast as Simulated, SERVICE, Synthetic};
use simulator::server::Ground;
use simulator::tls::Certificates;
use time::OffsetDateTime;
use url::Url;
use worker::poll::{Credentials, Mimecast, Pacing, Pages, Step, Window};
use worker::world::{Deadline, World};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.as_slice() {
        [_, url, events, span_secs] => read(url, events.parse()?, span_secs.parse()?).await,
        [program, ..] => measure(program).await,
        [] => Ok(()),
    }
}

/// Starts the simulator and lets a process of its own read from it.
async fn measure(program: &str) -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let ground = Ground::new(Certificates::make(directory.path())?, Journal::new(Detail::Nothing));
    let simulated = Simulated::empty(ground.clock.clone());
    simulated.configure(|settings| settings.quota = None);
    let url = ground.listen(SERVICE, simulated.router()).await?;
    for count in [10_000, 1_000_000] {
        let spacing = Duration::from_secs(1);
        simulated.synthesise(Synthetic { count, newest: ground.clock.now(), spacing });
        let mut child = Command::new(program);
        child.args([url.as_str(), &count.to_string(), &(count + 60).to_string()]);
        child.env("SSL_CERT_FILE", &ground.certificates.authority_file);
        let status = tokio::task::spawn_blocking(move || child.status()).await??;
        ensure!(status.success(), "the reader of {count} events ended with {status}");
    }
    ground.stop();
    Ok(())
}

/// Reads that many events and prints what it took.
async fn read(url: &str, events: u64, span_secs: u64) -> anyhow::Result<()> {
    let world = World::system();
    let credentials = Credentials::OAuth {
        client_id: Secret::new("EXAMPLE-CLIENT-ID".to_owned()),
        client_secret: Secret::new("EXAMPLE-CLIENT-SECRET".to_owned()),
    };
    let client = Mimecast::new(
        worker::http::client()?,
        Url::parse(url)?,
        credentials,
        Pacing::default(),
        world.clone(),
    );
    let now = OffsetDateTime::now_utc();
    let window = Window { start: now - Duration::from_secs(span_secs), end: now + Duration::from_secs(1) };
    let deadline = Deadline::after(&world, Duration::from_secs(60 * 60));
    let started = Instant::now();
    let mut pages = Pages::new(&client, window, 500, Vec::new(), None, deadline);
    let mut read = 0_u64;
    loop {
        match pages.next().await? {
            Step::Records(chunk) => read += chunk.records().filter(Result::is_ok).count() as u64,
            Step::Finished(_) => break,
            Step::PageDone(_) | Step::Restarted(_) => {}
        }
    }
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    println!(
        "{read} of {events} events in {:.1} s, peak memory {}",
        started.elapsed().as_secs_f64(),
        peak.trim()
    );
    ensure!(read == events, "{read} events of {events}");
    Ok(())
}
