//! What no worker can go below, for `cargo xtask bench`: `fetch` asks for a window's pages and does
//! nothing with them; `limit` holds their events in memory and makes bodies of them, nothing else.
//!
//! `bounds fetch|limit <address of Mimecast> <from> <to>`; the credentials are the worker's settings.
//! What it took is printed as one JSON object.
#![expect(clippy::print_stdout, reason = "a measurement is printed")]
#![expect(clippy::disallowed_methods, reason = "an example has no world of its own")]

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use contract::secret::Secret;
use contract::settings::{MIMECAST_CLIENT_ID, MIMECAST_CLIENT_SECRET};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use url::Url;
use uuid::Uuid;
use worker::batch::{Batch, Batcher, Mark, Pushed};
use worker::poll::{Credentials, Mimecast, PAGE_SIZE_LIMIT, Pacing, Pages, RecordChunk, Step, Window};
use worker::transform::Transformer;
use worker::world::{Deadline, World};

/// Longer than any measurement.
const LONGEST: Duration = Duration::from_secs(60 * 60);

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, url, from, to] = arguments.as_slice() else { bail!("four arguments are needed") };
    let window =
        Window { start: OffsetDateTime::parse(from, &Rfc3339)?, end: OffsetDateTime::parse(to, &Rfc3339)? };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let read = |keep| runtime.block_on(read(url, window, keep));
    let figures = match what.as_str() {
        "fetch" => {
            let began = Instant::now();
            let (events, pages, _) = read(Keep::Nothing)?;
            json!({ "events": events, "pages": pages, "wall_secs": began.elapsed().as_secs_f64() })
        }
        "limit" => limit(&read(Keep::Chunks)?.2)?,
        other => bail!("`{other}` is neither `fetch` nor `limit`"),
    };
    println!("{figures}");
    Ok(())
}

/// What to keep of the pages.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    Nothing,
    Chunks,
}

/// Reads a window as the worker does. Gives how many events and pages there were, and what is to be kept.
async fn read(url: &str, window: Window, keep: Keep) -> anyhow::Result<(usize, u64, Vec<RecordChunk>)> {
    let world = World::system();
    let secret = |name: &str| world.environment(name).map(str::to_owned).with_context(|| name.to_owned());
    let credentials = Credentials::OAuth {
        client_id: Secret::new(secret(MIMECAST_CLIENT_ID)?),
        client_secret: Secret::new(secret(MIMECAST_CLIENT_SECRET)?),
    };
    let (http, url) = (worker::http::client()?, Url::parse(url)?);
    let client = Mimecast::new(http, url, credentials, Pacing::default(), world.clone());
    let deadline = Deadline::after(&world, LONGEST);
    let mut pages = Pages::new(&client, window, PAGE_SIZE_LIMIT, Vec::new(), None, deadline);
    let (mut events, mut count, mut kept) = (0, 0, Vec::new());
    loop {
        match pages.next().await? {
            Step::Records(chunk) => {
                events += chunk.len();
                if keep == Keep::Chunks {
                    kept.push(chunk);
                }
            }
            Step::PageDone(_) => count += 1,
            Step::Restarted(cause) => bail!("the window was begun again: {cause:?}"),
            Step::Finished(_) => return Ok((events, count, kept)),
        }
    }
}

/// Parses, decodes ids, writes the rows that the stream takes and compresses them, on this thread.
fn limit(chunks: &[RecordChunk]) -> anyhow::Result<serde_json::Value> {
    let mut transformer = Transformer::new("");
    let mut batcher = Batcher::new();
    let arrival = OffsetDateTime::now_utc();
    let (mut events, mut bodies, mut plain_bytes) = (0_u64, 0_u64, 0_usize);
    let mut count = |batch: Batch| {
        bodies += 1;
        plain_bytes += batch.plain_bytes;
        std::hint::black_box(batch.body);
    };
    let before = spent()?;
    for record in chunks.iter().flat_map(RecordChunk::records) {
        let record = record.ok().context("a synthetic event is no record")?;
        events += 1;
        let key = transformer.key(&record);
        let pushed = batcher.push(Uuid::nil, |out| {
            let event_time = transformer.row(&record, &key, arrival, out).event_time;
            Mark { hash: key.hash(), event_time }
        });
        match pushed {
            Pushed::Kept => {}
            Pushed::Full(batch) => count(batch),
            Pushed::TooLarge(_) => bail!("a synthetic event is larger than a body"),
        }
    }
    batcher.seal(Uuid::nil).into_iter().for_each(&mut count);
    let cpu_secs = (spent()? - before).as_secs_f64();
    Ok(json!({ "events": events, "cpu_secs": cpu_secs, "bodies": bodies, "plain_bytes": plain_bytes }))
}

/// The time that this thread has spent on a processor, the first number of its `schedstat`
/// (<https://docs.kernel.org/scheduler/sched-stats.html>).
fn spent() -> anyhow::Result<Duration> {
    let figures = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = figures.split(' ').next().unwrap_or_default().parse()?;
    Ok(Duration::from_nanos(nanos))
}
