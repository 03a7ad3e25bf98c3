//! The checkpoint's blob and the dead letters: the same expectations of the stand-in and of Azurite.

use std::sync::Arc;

use azure_storage_blob::{BlobContainerClient, BlobContainerClientOptions};
use contract::checkpoint::{Checkpoint, InFlight};
use contract::secret::Secret;
use contract::settings;
use simulator::azurite::Azurite;
use simulator::fault::{Action, Fault, Matcher};
use time::macros::datetime;
use url::Url;
use worker::checkpoint::blob::BlobPlace;
use worker::checkpoint::{CheckpointError, Place};
use worker::dead_letter::blob::BlobDeadLetters;
use worker::dead_letter::{DeadLetter, DeadLetters, Reason};
use worker::identity::{Credential, client_options};
use worker::settings::Identity;
use worker::world::World;

use crate::stage::Stage;

/// A container of either kind, and a world to call it from.
struct Storage {
    stage: Stage,
    container: Url,
    dead_letters: Url,
    _azurite: Option<Azurite>,
}

impl Storage {
    async fn stand_in() -> Self {
        let stage = Stage::new().await;
        let container = &stage.environment[settings::CHECKPOINT_CONTAINER_URL];
        let container = Url::parse(&format!("{container}/")).expect("a URL");
        let dead_letters = &stage.environment[settings::DEAD_LETTER_CONTAINER_URL];
        let dead_letters = Url::parse(dead_letters).expect("a URL");
        Self { stage, container, dead_letters, _azurite: None }
    }

    /// `None` where Azurite is not installed.
    #[expect(clippy::print_stdout, reason = "a test that is left out says so")]
    async fn azurite() -> Option<Self> {
        let stage = Stage::by_the_machines_clock().await;
        let azurite = Azurite::start(&stage.simulator.ground().certificates).await.expect("Azurite starts");
        let Some(azurite) = azurite else {
            println!("left out: Azurite is not installed; `npm ci` in tools/azurite");
            return None;
        };
        let container = azurite.blob().join("audit-checkpoints/").expect("a URL");
        let dead_letters = azurite.blob().join("dead-letters").expect("a URL");
        let storage = Self { stage, container, dead_letters, _azurite: Some(azurite) };
        for container in [&storage.container, &storage.dead_letters] {
            let mut url = container.clone();
            url.set_path(url.path().trim_end_matches('/').to_owned().as_str());
            let options = BlobContainerClientOptions {
                client_options: client_options(&storage.stage.http()),
                ..Default::default()
            };
            let client = BlobContainerClient::new(url, Some(Arc::new(storage.credential())), Some(options));
            client.expect("a client").create(None).await.expect("made");
        }
        Some(storage)
    }

    fn credential(&self) -> Credential {
        let value = |name: &str| self.stage.environment[name].clone();
        let identity = Identity::AppRegistration {
            tenant_id: value(settings::DELIVERY_TENANT_ID),
            client_id: value(settings::DELIVERY_CLIENT_ID),
            client_secret: Secret::new(value(settings::DELIVERY_CLIENT_SECRET)),
        };
        Credential::new(&identity, &self.stage.simulator.cloud_profile(), &self.stage.http()).expect("valid")
    }

    fn place(&self) -> Place {
        let place = BlobPlace::new(&self.container, "", self.credential(), &self.stage.http());
        Place::Blob(Box::new(place))
    }

    fn dead_letters(&self) -> DeadLetters {
        let (container, credential) = (self.dead_letters.clone(), self.credential());
        let letters = BlobDeadLetters::new(container, credential, self.stage.http(), self.world(4));
        DeadLetters::Blobs(Box::new(letters))
    }

    fn world(&self, seed: u64) -> World {
        World::of(self.stage.clock.clone(), self.stage.environment.clone()).seeded(seed)
    }
}

// BR-049
async fn one_holder_reads_and_writes_under_its_lease(storage: &Storage) {
    let (first, second) = (storage.world(1), storage.world(2));
    let place = storage.place();
    // The blob is not there yet: it is made.
    let mut held = place.take(&first).await.expect("storage answers").expect("free");
    assert!(place.take(&second).await.expect("storage answers").is_none());
    assert_eq!(held.read().await.expect("read"), Checkpoint::first());
    for events in 1..4 {
        let in_flight = vec![InFlight { batch: "b".to_owned(), events }];
        held.write(Checkpoint { in_flight, ..Checkpoint::first() }.write()).await.expect("written");
    }
    held.release().await;
    let mut held = place.take(&second).await.expect("storage answers").expect("free again");
    assert_eq!(held.read().await.expect("read").in_flight[0].events, 3);
    held.release().await;
}

async fn a_write_over_somebody_elses_is_refused(storage: &Storage) {
    let world = storage.world(3);
    let place = storage.place();
    let mut first = place.take(&world).await.expect("storage answers").expect("free");
    first.read().await.expect("read");
    // The same lease in other hands, as after a pause in which nobody renewed it: only the version
    // tells the two apart.
    let mut second = place.take(&storage.world(3)).await.expect("storage answers").expect("the same lease");
    second.read().await.expect("read");
    second.write(Checkpoint::first().write()).await.expect("written");
    let refused = first.write(Checkpoint::first().write()).await.expect_err("the version has changed");
    assert!(matches!(refused, CheckpointError::Lost), "{refused:?}");
    second.write(Checkpoint::first().write()).await.expect("the other one goes on");
    second.release().await;
}

async fn letters_are_kept_once_listed_read_and_removed(storage: &Storage) {
    let letters = storage.dead_letters();
    assert!(letters.list().await.expect("listed").is_empty());
    let now = datetime!(2026-11-25 10:00 UTC);
    let row = |key: &str| format!(r#"{{"key":"C:{key}","uid":"<é & \"{key}\">"}}"#);
    let letter =
        |key: &str| DeadLetter::of_row(Reason::Refused, "InvalidRow", "not taken", row(key).into_bytes());
    letters.keep(&[letter("1"), letter("2")], now).await.expect("kept");
    // A run that is repeated after a crash keeps the same letters in the same file.
    letters.keep(&[letter("1"), letter("2")], now).await.expect("kept again");
    letters.keep(&[DeadLetter::of_record("not_an_object", b"\xff[")], now).await.expect("kept");
    let names = letters.list().await.expect("listed");
    assert_eq!(names.len(), 2, "{names:?}");
    let mut rows = Vec::new();
    for name in &names {
        for letter in letters.read(name).await.expect("read") {
            rows.extend(letter.row.map(|row| row.get().to_owned()));
        }
        letters.remove(name).await.expect("removed");
        letters.remove(name).await.expect("what is gone is fine");
    }
    assert_eq!(rows, [row("1"), row("2")]);
    assert!(letters.list().await.expect("listed").is_empty());
}

#[tokio::test]
async fn the_stand_in_holds_the_checkpoint_and_the_dead_letters() {
    let storage = Storage::stand_in().await;
    one_holder_reads_and_writes_under_its_lease(&storage).await;
    a_write_over_somebody_elses_is_refused(&storage).await;
    letters_are_kept_once_listed_read_and_removed(&storage).await;
}

#[tokio::test]
async fn azurite_holds_the_checkpoint_and_the_dead_letters() {
    let Some(storage) = Storage::azurite().await else { return };
    one_holder_reads_and_writes_under_its_lease(&storage).await;
    a_write_over_somebody_elses_is_refused(&storage).await;
    letters_are_kept_once_listed_read_and_removed(&storage).await;
}

/// It is read while the lease is on its way, which saves a call's time; what another process wrote in
/// between, or what could not be read then, is read under the lease.
#[tokio::test]
async fn a_checkpoint_that_was_read_before_its_lease_counts_only_at_the_leases_version() {
    let storage = Storage::stand_in().await;
    let (world, place) = (storage.world(1), storage.place());
    let written = |batch: &str| {
        let in_flight = vec![InFlight { batch: batch.to_owned(), events: 1 }];
        Checkpoint { in_flight, ..Checkpoint::first() }
    };
    let mut held = place.take(&world).await.expect("storage answers").expect("free");
    held.write(written("newest").write()).await.expect("written");
    held.release().await;
    let read = || Matcher::new("blob", "GET", "checkpoint.txt");
    let older = Action::Answer {
        status: 200,
        headers: vec![("etag".to_owned(), "\"0x8DEADBEEF\"".to_owned())],
        body: String::from_utf8(written("older").write()).expect("text"),
    };
    let faults = [
        ("undisturbed", None, 1),
        ("written in between", Some(Fault::once(read(), older)), 2),
        ("not readable at first", Some(Fault::answer(read(), 500, "")), 2),
        ("broken off", Some(Fault::once(read(), Action::Truncate(40))), 2),
    ];
    for (name, fault, reads) in faults {
        storage.stage.simulator.journal().take();
        if let Some(fault) = fault {
            storage.stage.simulator.faults().add(fault);
        }
        let mut held = place.take(&world).await.expect("storage answers").expect("free");
        assert_eq!(storage.stage.simulator.faults().left(), 0, "{name}");
        assert_eq!(held.read().await.expect("read"), written("newest"), "{name}");
        held.write(written("newest").write()).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        held.release().await;
        let calls = storage.stage.simulator.journal().of("blob");
        assert_eq!(calls.iter().filter(|call| call.method == "GET").count(), reads, "{name}: {calls:?}");
    }
}
