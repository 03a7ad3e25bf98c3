//! The checkpoint's blob: the same expectations of the stand-in and of Azurite.

use std::sync::Arc;

use azure_storage_blob::{BlobContainerClient, BlobContainerClientOptions};
use contract::checkpoint::{Checkpoint, InFlight};
use contract::secret::Secret;
use contract::settings;
use simulator::azurite::Azurite;
use url::Url;
use worker::checkpoint::blob::BlobPlace;
use worker::checkpoint::{CheckpointError, Place};
use worker::identity::{Credential, client_options};
use worker::settings::Identity;
use worker::world::World;

use crate::stage::Stage;

/// A container of either kind, and a world to call it from.
struct Storage {
    stage: Stage,
    container: Url,
    _azurite: Option<Azurite>,
}

impl Storage {
    async fn stand_in() -> Self {
        let stage = Stage::new().await;
        let container = &stage.environment[settings::CHECKPOINT_CONTAINER_URL];
        let container = Url::parse(&format!("{container}/")).expect("a URL");
        Self { stage, container, _azurite: None }
    }

    /// `None` where Azurite is not installed.
    #[expect(clippy::print_stdout, reason = "a test that is left out says so")]
    async fn azurite() -> Option<Self> {
        let stage = Stage::new().await;
        let azurite = Azurite::start(&stage.simulator.ground().certificates).await.expect("Azurite starts");
        let Some(azurite) = azurite else {
            println!("left out: Azurite is not installed; `npm ci` in tools/azurite");
            return None;
        };
        let container = azurite.blob().join("audit-checkpoints/").expect("a URL");
        let storage = Self { stage, container, _azurite: Some(azurite) };
        let mut url = storage.container.clone();
        url.set_path(url.path().trim_end_matches('/').to_owned().as_str());
        let options = BlobContainerClientOptions {
            client_options: client_options(&storage.stage.http()),
            ..Default::default()
        };
        let container = BlobContainerClient::new(url, Some(Arc::new(storage.credential())), Some(options));
        container.expect("a client").create(None).await.expect("made");
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
        held.write(&Checkpoint { in_flight, ..Checkpoint::first() }).await.expect("written");
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
    second.write(&Checkpoint::first()).await.expect("written");
    let refused = first.write(&Checkpoint::first()).await.expect_err("the version has changed");
    assert!(matches!(refused, CheckpointError::Lost), "{refused:?}");
    second.write(&Checkpoint::first()).await.expect("the other one goes on");
    second.release().await;
}

#[tokio::test]
async fn the_stand_in_holds_the_checkpoint() {
    let storage = Storage::stand_in().await;
    one_holder_reads_and_writes_under_its_lease(&storage).await;
    a_write_over_somebody_elses_is_refused(&storage).await;
}

#[tokio::test]
async fn azurite_holds_the_checkpoint() {
    let Some(storage) = Storage::azurite().await else { return };
    one_holder_reads_and_writes_under_its_lease(&storage).await;
    a_write_over_somebody_elses_is_refused(&storage).await;
}
