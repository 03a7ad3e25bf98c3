//! Where the worker under torture keeps its place: the simulator's own blobs, or Azurite's.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use contract::resources::{CHECKPOINT_CONTAINER, DEAD_LETTER_CONTAINER};
use contract::settings;
use simulator::azurite::{Azurite, Front, installed};
use simulator::installed::STORAGE_ACCOUNT;
use simulator::simulator::Simulator;

/// Name of the checkpoint's blob.
const CHECKPOINT: &str = "checkpoint.txt";

/// Which blobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Blobs {
    /// Microsoft's emulator
    Azurite,
    /// The simulator's own
    StandIn,
}

impl Blobs {
    /// Azurite where it is installed.
    pub(super) fn best() -> Self {
        if installed().is_some() { Self::Azurite } else { Self::StandIn }
    }
}

/// The blobs of one worker.
#[derive(Debug)]
pub(super) enum Storage {
    Azurite(Box<Front>),
    StandIn,
}

impl Storage {
    /// Starts it, and tells the worker's environment where it is.
    pub(super) async fn start(
        blobs: Blobs,
        simulator: &Simulator,
        environment: &mut BTreeMap<String, String>,
    ) -> anyhow::Result<Self> {
        if blobs == Blobs::StandIn {
            return Ok(Self::StandIn);
        }
        let azurite = Azurite::start(&simulator.ground().certificates).await.context("starting Azurite")?;
        let azurite = azurite.context("Azurite is not installed: `cargo xtask test tools` fetches it")?;
        let front = azurite.behind(simulator).await?;
        for (setting, container) in [
            (settings::CHECKPOINT_CONTAINER_URL, CHECKPOINT_CONTAINER),
            (settings::DEAD_LETTER_CONTAINER_URL, DEAD_LETTER_CONTAINER),
        ] {
            front.create_container(container).await?;
            environment.insert(setting.to_owned(), front.blob().join(container)?.to_string());
        }
        Ok(Self::Azurite(Box::new(front)))
    }

    /// Lets the lease on the checkpoint run out by so much, where that is in our hands: Azurite has its
    /// own clock, and gives `false`.
    pub(super) fn age_lease(&self, simulator: &Simulator, by: Duration) -> bool {
        let ours = matches!(self, Self::StandIn);
        if ours {
            simulator.data().blobs.age_lease(STORAGE_ACCOUNT, CHECKPOINT_CONTAINER, CHECKPOINT, by);
        }
        ours
    }

    /// The content of the checkpoint.
    pub(super) async fn checkpoint(&self, simulator: &Simulator) -> anyhow::Result<Option<Vec<u8>>> {
        let content = match self {
            Self::Azurite(front) => front.content(CHECKPOINT_CONTAINER, CHECKPOINT).await?,
            Self::StandIn => {
                simulator.data().blobs.content(STORAGE_ACCOUNT, CHECKPOINT_CONTAINER, CHECKPOINT)
            }
        };
        Ok(content.map(|content| content.to_vec()))
    }

    /// Ends the lease on the checkpoint, whoever holds it.
    pub(super) async fn break_lease(&self, simulator: &Simulator) -> anyhow::Result<()> {
        match self {
            Self::Azurite(front) => front.break_lease(CHECKPOINT_CONTAINER, CHECKPOINT).await?,
            Self::StandIn => {
                simulator.data().blobs.break_lease(STORAGE_ACCOUNT, CHECKPOINT_CONTAINER, CHECKPOINT);
            }
        }
        Ok(())
    }

    /// The files of dead letters.
    pub(super) async fn dead_letters(&self, simulator: &Simulator) -> anyhow::Result<Vec<Vec<u8>>> {
        let mut files = Vec::new();
        match self {
            Self::Azurite(front) => {
                for name in front.names(DEAD_LETTER_CONTAINER).await? {
                    let content = front.content(DEAD_LETTER_CONTAINER, &name).await?;
                    files.extend(content.map(|content| content.to_vec()));
                }
            }
            Self::StandIn => {
                let blobs = &simulator.data().blobs;
                let names = blobs.names(STORAGE_ACCOUNT, DEAD_LETTER_CONTAINER).unwrap_or_default();
                let contents = names
                    .iter()
                    .filter_map(|name| blobs.content(STORAGE_ACCOUNT, DEAD_LETTER_CONTAINER, name));
                files.extend(contents.map(|content| content.to_vec()));
            }
        }
        Ok(files)
    }
}
