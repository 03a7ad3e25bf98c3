//! The place that is kept: read at the start of a run, written after each accepted batch, on
//! condition that nobody else has it.

pub mod blob;
pub(crate) mod bounded;
pub mod file;
pub mod lease;
pub mod remembered;

use std::fmt::Write as _;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use contract::checkpoint::{Checkpoint, Unreadable, checkpoint_name};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use crate::world::{Deadline, World};
use blob::{BlobHeld, BlobPlace, StorageError};
use file::FileHeld;

/// Longest wait for the lease with all repeats.
const TAKE_SECS: u64 = 30;

/// Why the checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The lease could not be taken.
    #[error("could not lease the checkpoint")]
    Take {
        /// Why.
        #[source]
        source: StorageError,
    },
    /// It could not be read.
    #[error("could not read the checkpoint")]
    Read {
        /// Why.
        #[source]
        source: StorageError,
    },
    /// It is larger than any of ours, and was left as it is.
    #[error(
        "the checkpoint is none of ours and was left as it is. Empty it to begin with a first run, or put a time such as 2026-01-01T00:00:00Z into it to go on from there"
    )]
    TooLarge {
        /// How large it is allowed to be.
        #[source]
        source: StorageError,
    },
    /// It could not be written.
    #[error("could not write the checkpoint")]
    Write {
        /// Why.
        #[source]
        source: StorageError,
    },
    /// The lease has gone to somebody else, or somebody has written in spite of it.
    #[error("lost the checkpoint to another process; nothing was written after that")]
    Lost,
    /// Its content is not ours.
    #[error(
        "the checkpoint is unreadable; its content is kept as `{kept_as}`. Empty it to begin with a first run, or put a time such as 2026-01-01T00:00:00Z into it to go on from there"
    )]
    Unreadable {
        /// Name under which the content is kept.
        kept_as: String,
        /// What is wrong with it.
        #[source]
        source: Unreadable,
    },
    /// The folder cannot be used.
    #[error("could not use the folder `{}`", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A name that cannot be part of a URL.
    #[error("`{name}` cannot be the name of a blob")]
    Name {
        /// The name.
        name: String,
    },
}

impl CheckpointError {
    /// The code that goes into health rows and logs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "checkpoint_unreadable",
            Self::Take { source } | Self::Read { source } | Self::Write { source } => match source.status() {
                Some(401 | 403) => "checkpoint_denied",
                Some(404) => "checkpoint_not_found",
                _ => "checkpoint_unavailable",
            },
            Self::Lost => "checkpoint_lost",
            Self::Unreadable { .. } => "checkpoint_unreadable",
            Self::Folder { .. } | Self::Name { .. } => "checkpoint_folder",
        }
    }
}

/// Where the checkpoint of an account lives.
#[derive(Debug, Clone)]
pub enum Place {
    /// In a blob.
    Blob(Box<BlobPlace>),
    /// In a folder.
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Key of the account.
        account: String,
    },
}

impl Place {
    /// A place beside this one, under another key.
    pub fn beside(&self, key: &str) -> Self {
        match self {
            Self::Blob(place) => Self::Blob(Box::new(place.beside(key))),
            Self::Folder { folder, .. } => Self::Folder { folder: folder.clone(), account: key.to_owned() },
        }
    }

    /// When Azure last took something, by the stored checkpoint. It is not taken hold of, and may be
    /// somebody else's to write. `None` too where it cannot be read: who needs it does so as well.
    pub async fn delivered_at(&self, world: &World) -> Option<OffsetDateTime> {
        let content = match self {
            Self::Blob(place) => place.content(world).await.ok()?,
            Self::Folder { folder, account } => {
                std::fs::read(folder.join(checkpoint_name(account))).ok()?.into()
            }
        };
        Checkpoint::read(&content).ok()?.delivered_at
    }

    /// Takes hold of the checkpoint. `None`: another process has it.
    ///
    /// # Errors
    /// [`CheckpointError`] when that is not possible.
    pub async fn take(&self, world: &World) -> Result<Option<Held>, CheckpointError> {
        match self {
            Self::Blob(place) => {
                let deadline = Deadline::after(world, Duration::from_secs(TAKE_SECS));
                Ok(place.take(world, deadline).await?.map(Box::new).map(Held::Blob))
            }
            Self::Folder { folder, account } => FileHeld::take(folder, account)
                .map(|held| held.map(Held::File))
                .map_err(|source| CheckpointError::Folder { folder: folder.clone(), source }),
        }
    }
}

/// The checkpoint, held.
#[derive(Debug)]
pub enum Held {
    /// A leased blob.
    Blob(Box<BlobHeld>),
    /// A locked file.
    File(FileHeld),
}

impl Held {
    /// Reads it. Content that is not ours is kept aside once, and the run must stop.
    ///
    /// # Errors
    /// [`CheckpointError::Unreadable`] then, others where the place cannot be read.
    pub async fn read(&mut self) -> Result<Checkpoint, CheckpointError> {
        let content = match self {
            Self::Blob(held) => held.read().await?,
            Self::File(held) => held.read().map_err(|source| held.folder_error(source))?.into(),
        };
        match Checkpoint::read(&content) {
            Ok(checkpoint) => Ok(checkpoint),
            Err(source) => {
                let kept_as = rejected_name(&content);
                match self {
                    Self::Blob(held) => held.keep_aside(&kept_as, &content).await?,
                    Self::File(held) => {
                        held.keep_aside(&kept_as, &content).map_err(|source| held.folder_error(source))?
                    }
                }
                Err(CheckpointError::Unreadable { kept_as, source })
            }
        }
    }

    /// Writes what [`Checkpoint::write`] gave.
    ///
    /// # Errors
    /// [`CheckpointError::Lost`] when it is no longer ours, others where the place does not take it.
    pub async fn write(&mut self, content: impl Into<Bytes>) -> Result<(), CheckpointError> {
        let content = content.into();
        match self {
            Self::Blob(held) => held.write(content).await,
            Self::File(held) => held.write(&content).map_err(|source| held.folder_error(source)),
        }
    }

    /// Whether the next write may count on it.
    pub fn alive(&self, world: &World) -> bool {
        match self {
            Self::Blob(held) => held.lease().alive(world),
            Self::File(_) => true,
        }
    }

    /// Ends when it is lost.
    pub fn lost(&self) -> impl Future<Output = ()> + Send + use<> {
        let lost = match self {
            Self::Blob(held) => Some(held.lease().lost()),
            Self::File(_) => None,
        };
        async move {
            match lost {
                Some(lost) => lost.await,
                None => std::future::pending().await,
            }
        }
    }

    /// Lets go.
    pub async fn release(self) {
        match self {
            Self::Blob(held) => held.release().await,
            Self::File(held) => drop(held),
        }
    }
}

/// The same content gets the same name, so that it is kept once however often the run is tried.
fn rejected_name(content: &[u8]) -> String {
    let mut name = String::from("checkpoint.rejected-");
    for byte in Sha256::digest(content).iter().take(6) {
        let _ = write!(name, "{byte:02x}");
    }
    name + ".txt"
}
