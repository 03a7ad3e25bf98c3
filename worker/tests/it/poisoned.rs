//! Addresses that lead elsewhere, and content that is too large: no credential goes there, and none of it
//! fills the memory.

use std::collections::BTreeMap;
use std::net::TcpListener;

use contract::settings as names;
use simulator::fault::{Action, Fault, Matcher};
use simulator::installed::STORAGE_ACCOUNT;
use time::macros::datetime;
use worker::report::RunResult;
use worker::settings::Settings;
use worker::settings::several::{self, Several};
use worker::world::{ManualClock, World};

use crate::stage::Stage;

/// A port of this machine on which nobody should ever call.
struct Elsewhere(TcpListener);

impl Elsewhere {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a listener that does not wait");
        Self(listener)
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}/", self.0.local_addr().expect("an address"))
    }

    fn nobody_called(&self) -> bool {
        matches!(self.0.accept(), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    }
}

/// Complete settings in the public cloud.
fn complete() -> BTreeMap<String, String> {
    [
        (names::MIMECAST_SENTINEL_CLOUD, "public"),
        (names::MIMECAST_BASE_URL, "https://api.services.mimecast.com"),
        (names::MIMECAST_CLIENT_ID, "id"),
        (names::MIMECAST_CLIENT_SECRET, "secret"),
        (names::LOGS_INGESTION_ENDPOINT, "https://dcr-x-westeurope.logs.z1.ingest.monitor.azure.com"),
        (names::DATA_COLLECTION_RULE_ID, "dcr-0123456789abcdef0123456789abcdef"),
        (names::CHECKPOINT_CONTAINER_URL, "https://stx.blob.core.windows.net/audit-checkpoints"),
        (names::DEAD_LETTER_CONTAINER_URL, "https://stx.blob.core.windows.net/dead-letters"),
        (names::SYNC_QUEUE_URL, "https://stx.queue.core.windows.net/sync-work"),
        (names::MIMECAST_SENTINEL_IDENTITY_CLIENT_ID, "00000000-0000-0000-0000-000000000001"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

#[test]
fn a_poisoned_address_in_a_setting_is_refused_by_name() {
    let world = |environment| World::of(ManualClock::at(datetime!(2026-11-25 12:00 UTC)), environment);
    assert!(Settings::read(&world(complete()), None).is_ok());
    let mut several = complete();
    several.insert(names::MIMECAST_ACCOUNTS.to_owned(), "alpha".to_owned());
    several.insert(names::ACCOUNT_VAULT_URL.to_owned(), "https://kv-one.vault.azure.net".to_owned());
    assert!(Several::read(&world(several.clone()), None).is_ok());
    let elsewhere = Elsewhere::new();
    for setting in [
        names::MIMECAST_BASE_URL,
        names::LOGS_INGESTION_ENDPOINT,
        names::CHECKPOINT_CONTAINER_URL,
        names::DEAD_LETTER_CONTAINER_URL,
        names::ACCOUNT_VAULT_URL,
        names::SYNC_QUEUE_URL,
    ] {
        let right = several.get(setting).expect("set").clone();
        let host = right.trim_start_matches("https://").split('/').next().unwrap_or_default().to_owned();
        for poisoned in [
            elsewhere.url("https"),
            elsewhere.url("http"),
            right.replace("https://", "http://"),
            format!("https://{host}.example.com/"),
            format!("https://{host}:8443/"),
            format!("https://person:word@{host}/"),
            elsewhere.url("https").replace("https://", &format!("https://{host}@")),
            "https://169.254.169.254/".to_owned(),
            "https://anybody.westeurope.cloudapp.azure.com/".to_owned(),
            "https://anybody.azurewebsites.net/".to_owned(),
        ] {
            let (mut one, mut more) = (complete(), several.clone());
            one.insert(setting.to_owned(), poisoned.clone());
            more.insert(setting.to_owned(), poisoned.clone());
            let queue = several::queue(&world(one.clone()));
            let problems = match (Settings::read(&world(one), None), Several::read(&world(more), None), queue)
            {
                (_, _, Err(problem)) => vec![problem],
                (Err(error), ..) | (_, Err(error), _) => error.problems,
                _ => panic!("{setting} was taken: {poisoned}"),
            };
            assert!(problems.iter().any(|problem| problem.setting == setting), "{setting}: {poisoned}");
        }
    }
    assert!(elsewhere.nobody_called());
}

#[tokio::test]
async fn no_redirect_takes_a_credential_elsewhere() {
    let elsewhere = Elsewhere::new();
    for (service, method) in [("mimecast", "POST"), ("ingestion", "POST"), ("blob", "GET"), ("entra", "POST")]
    {
        let stage = Stage::new().await;
        let away = Action::Answer {
            status: 307,
            headers: vec![("location".to_owned(), elsewhere.url("https"))],
            body: String::new(),
        };
        stage.simulator.faults().add(Fault::once(Matcher::new(service, method, ""), away).times(1_000));
        let report = stage.run().await;
        assert_eq!(report.result, RunResult::Failed, "{service}: {}", stage.lines.text());
        assert!(stage.simulator.faults().left() == 1, "{service} was asked");
        assert!(elsewhere.nobody_called(), "{service}");
    }
}

#[tokio::test]
async fn a_checkpoint_that_is_too_large_stops_the_run_unread() {
    let stage = Stage::new().await;
    let huge = bytes::Bytes::from(vec![b'1'; 9 * 1024 * 1024]);
    let blobs = &stage.simulator.data().blobs;
    assert!(blobs.place(STORAGE_ACCOUNT, "audit-checkpoints", "checkpoint.txt", huge.clone()));
    let report = stage.run().await;
    assert_eq!(report.result, RunResult::Failed);
    let failure = report.failure.expect("a failure");
    assert_eq!(failure.code, "checkpoint_unreadable", "{failure:?}");
    assert!(failure.message.contains("Empty it") && failure.message.contains("8388608 bytes"), "{failure:?}");
    assert_eq!(stage.rows().len(), 0, "nothing was read or delivered from nowhere");
    assert_eq!(stage.blob("audit-checkpoints", "checkpoint.txt"), Some(huge), "it is left as it is");
}
