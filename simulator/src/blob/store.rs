//! Containers and blobs in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use time::OffsetDateTime;

use super::condition::Conditions;
use super::lease::{Lease, Use};
use crate::clock::Clock;
use crate::storage::{StorageError, valid_name};

/// `x-ms-meta-*` pairs.
pub(crate) type Metadata = Vec<(String, String)>;

/// A container.
#[derive(Debug)]
pub(crate) struct Container {
    pub(crate) etag: String,
    pub(crate) modified: OffsetDateTime,
    pub(crate) metadata: Metadata,
    pub(crate) blobs: BTreeMap<String, Blob>,
}

/// A block blob. Blocks may be staged before it exists.
#[derive(Debug, Default)]
pub(crate) struct Blob {
    pub(crate) version: Option<Version>,
    pub(crate) lease: Lease,
    /// Blocks that were put and not yet committed, by their id as sent (base64).
    pub(crate) staged: BTreeMap<String, Bytes>,
}

/// What a blob holds.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) content: Bytes,
    pub(crate) etag: String,
    pub(crate) created: OffsetDateTime,
    pub(crate) modified: OffsetDateTime,
    pub(crate) metadata: Metadata,
    pub(crate) content_type: String,
    /// The blocks that the content was committed from: id and bytes.
    pub(crate) blocks: Vec<(String, Bytes)>,
}

/// What a write brings besides the content.
#[derive(Debug, Clone)]
pub(crate) struct Write {
    pub(crate) conditions: Conditions,
    pub(crate) lease_id: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) content_type: String,
}

/// Where a committed block is taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BlockSource {
    Committed,
    Uncommitted,
    Latest,
}

#[derive(Debug, Default)]
pub(crate) struct Accounts {
    pub(crate) containers: BTreeMap<(String, String), Container>,
    changes: u64,
}

/// Every account's containers and blobs; clones share them.
#[derive(Debug, Clone)]
pub struct Blobs {
    accounts: Arc<Mutex<Accounts>>,
    clock: Clock,
}

fn key(account: &str, container: &str) -> (String, String) {
    (account.to_owned(), container.to_owned())
}

pub(crate) fn container_not_found() -> StorageError {
    StorageError::new(404, "ContainerNotFound", "The specified container does not exist.")
}

pub(crate) fn blob_not_found() -> StorageError {
    StorageError::new(404, "BlobNotFound", "The specified blob does not exist.")
}

impl Blobs {
    /// No account yet.
    pub fn new(clock: Clock) -> Self {
        Self { accounts: Arc::default(), clock }
    }

    pub(crate) fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes and removes containers so that these are left, each by account and name.
    pub(crate) fn keep_only(&self, wanted: &BTreeSet<(String, String)>) {
        let now = self.now();
        let mut accounts = self.lock();
        accounts.containers.retain(|place, _| wanted.contains(place));
        for (account, name) in wanted {
            // One that is there already stays as it is; the control plane has checked the name.
            let _ = accounts.create_container(account, name, Vec::new(), now);
        }
    }

    /// Removes an account with all that it holds.
    pub(crate) fn remove_account(&self, account: &str) {
        self.lock().containers.retain(|(owner, _), _| owner != account);
    }

    /// The content of a blob, for the platform itself and for tests.
    pub fn content(&self, account: &str, container: &str, blob: &str) -> Option<Bytes> {
        let accounts = self.lock();
        let found = accounts.containers.get(&key(account, container))?.blobs.get(blob)?;
        found.version.as_ref().map(|version| version.content.clone())
    }

    /// The names of a container's blobs, sorted; nothing where there is no such container.
    pub fn names(&self, account: &str, container: &str) -> Option<Vec<String>> {
        let accounts = self.lock();
        let container = accounts.containers.get(&key(account, container))?;
        Some(
            container
                .blobs
                .iter()
                .filter(|(_, blob)| blob.version.is_some())
                .map(|(name, _)| name.clone())
                .collect(),
        )
    }

    /// Ends a blob's lease at once, whoever holds it: for those who know that the holder is dead.
    pub fn break_lease(&self, account: &str, container: &str, blob: &str) {
        let mut accounts = self.lock();
        let container = accounts.containers.get_mut(&key(account, container));
        if let Some(blob) = container.and_then(|container| container.blobs.get_mut(blob)) {
            blob.lease = Lease::default();
        }
    }

    /// Lets time pass for a blob's lease alone, so that it runs out while every clock stays as it is.
    pub fn age_lease(&self, account: &str, container: &str, blob: &str, by: Duration) {
        let mut accounts = self.lock();
        let container = accounts.containers.get_mut(&key(account, container));
        if let Some(blob) = container.and_then(|container| container.blobs.get_mut(blob)) {
            blob.lease = std::mem::take(&mut blob.lease).aged(by);
        }
    }

    /// Writes a blob as the platform itself does, past every lease and condition; says whether the
    /// container is there.
    pub fn place(&self, account: &str, container: &str, blob: &str, content: Bytes) -> bool {
        let now = self.now();
        let mut accounts = self.lock();
        let etag = accounts.next_etag();
        let Some(container) = accounts.containers.get_mut(&key(account, container)) else { return false };
        let blob = container.blobs.entry(blob.to_owned()).or_default();
        let created = blob.version.as_ref().map_or(now, |version| version.created);
        blob.version = Some(Version {
            content,
            etag,
            created,
            modified: now,
            metadata: Vec::new(),
            content_type: "application/octet-stream".to_owned(),
            blocks: Vec::new(),
        });
        true
    }
}

impl Accounts {
    /// A new ETag, without its quotes.
    pub(crate) fn next_etag(&mut self) -> String {
        self.changes += 1;
        format!("0x8DE{:012X}", self.changes)
    }

    pub(crate) fn container(&self, account: &str, name: &str) -> Result<&Container, StorageError> {
        self.containers.get(&key(account, name)).ok_or_else(container_not_found)
    }

    pub(crate) fn container_mut(
        &mut self,
        account: &str,
        name: &str,
    ) -> Result<&mut Container, StorageError> {
        self.containers.get_mut(&key(account, name)).ok_or_else(container_not_found)
    }

    pub(crate) fn create_container(
        &mut self,
        account: &str,
        name: &str,
        metadata: Metadata,
        now: OffsetDateTime,
    ) -> Result<&Container, StorageError> {
        if !valid_name(name) && name != "$root" && name != "$web" {
            return Err(StorageError::invalid_name(name));
        }
        let etag = self.next_etag();
        match self.containers.entry(key(account, name)) {
            std::collections::btree_map::Entry::Occupied(_) => Err(StorageError::new(
                409,
                "ContainerAlreadyExists",
                "The specified container already exists.",
            )),
            std::collections::btree_map::Entry::Vacant(place) => {
                Ok(place.insert(Container { etag, modified: now, metadata, blobs: BTreeMap::new() }))
            }
        }
    }

    pub(crate) fn delete_container(&mut self, account: &str, name: &str) -> Result<(), StorageError> {
        self.containers.remove(&key(account, name)).map(drop).ok_or_else(container_not_found)
    }

    /// The committed blob for a read, with its lease as of now.
    pub(crate) fn read(
        &mut self,
        (account, container, blob): (&str, &str, &str),
        conditions: &Conditions,
        lease_id: Option<&str>,
        now: OffsetDateTime,
    ) -> Result<(&Version, &Lease), StorageError> {
        let container = self.container_mut(account, container)?;
        let blob = container.blobs.get_mut(blob).ok_or_else(blob_not_found)?;
        blob.lease = std::mem::take(&mut blob.lease).at(now);
        let version = blob.version.as_ref().ok_or_else(blob_not_found)?;
        conditions.check(Some((&version.etag, version.modified)), Use::Read)?;
        blob.lease.check(lease_id, Use::Read)?;
        Ok((version, &blob.lease))
    }

    /// The blob for a write, made empty where it is absent, after its conditions and lease agree.
    fn writable(
        &mut self,
        (account, container, blob): (&str, &str, &str),
        write: &Write,
        now: OffsetDateTime,
    ) -> Result<&mut Blob, StorageError> {
        let container = self.container_mut(account, container)?;
        if let Some(found) = container.blobs.get_mut(blob) {
            found.lease = std::mem::take(&mut found.lease).at(now);
            let present = found.version.as_ref().map(|version| (version.etag.as_str(), version.modified));
            write.conditions.check(present, Use::Write)?;
            found.lease.check(write.lease_id.as_deref(), Use::Write)?;
        } else {
            write.conditions.check(None, Use::Write)?;
            Lease::Available.check(write.lease_id.as_deref(), Use::Write)?;
        }
        Ok(container.blobs.entry(blob.to_owned()).or_default())
    }

    /// Replaces a blob by this content.
    pub(crate) fn write(
        &mut self,
        place: (&str, &str, &str),
        content: Bytes,
        blocks: Vec<(String, Bytes)>,
        write: Write,
        now: OffsetDateTime,
    ) -> Result<&Version, StorageError> {
        let etag = self.next_etag();
        let blob = self.writable(place, &write, now)?;
        let created = blob.version.as_ref().map_or(now, |version| version.created);
        blob.lease = std::mem::take(&mut blob.lease).after_write();
        blob.staged.clear();
        let Write { metadata, content_type, .. } = write;
        Ok(blob.version.insert(Version {
            content,
            etag,
            created,
            modified: now,
            metadata,
            content_type,
            blocks,
        }))
    }

    /// Stages a block.
    pub(crate) fn stage(
        &mut self,
        place: (&str, &str, &str),
        id: &str,
        content: Bytes,
        write: &Write,
        now: OffsetDateTime,
    ) -> Result<(), StorageError> {
        let decoded = STANDARD.decode(id).map_err(|_| StorageError::invalid_query("blockid"))?;
        // At most 64 bytes before encoding, the same length for all of a blob:
        // https://learn.microsoft.com/rest/api/storageservices/put-block
        if decoded.is_empty() || decoded.len() > 64 {
            return Err(StorageError::out_of_range_query("blockid"));
        }
        let blob = self.writable(place, write, now)?;
        if blob.staged.keys().any(|known| known.len() != id.len()) {
            return Err(StorageError::new(
                400,
                "InvalidBlobOrBlock",
                "The specified blob or block content is invalid.",
            ));
        }
        blob.staged.insert(id.to_owned(), content);
        Ok(())
    }

    /// Makes the blob out of blocks.
    pub(crate) fn commit(
        &mut self,
        place: (&str, &str, &str),
        list: &[(BlockSource, String)],
        write: Write,
        now: OffsetDateTime,
    ) -> Result<&Version, StorageError> {
        let blob = self.writable(place, &write, now)?;
        let committed = blob.version.as_ref().map_or(&[][..], |version| version.blocks.as_slice());
        let blocks = list
            .iter()
            .map(|(source, id)| {
                let staged = || blob.staged.get(id);
                let before = || committed.iter().find(|(known, _)| known == id).map(|(_, content)| content);
                let content = match source {
                    BlockSource::Committed => before(),
                    BlockSource::Uncommitted => staged(),
                    BlockSource::Latest => staged().or_else(before),
                };
                content.map(|content| (id.clone(), content.clone())).ok_or_else(|| {
                    StorageError::new(400, "InvalidBlockList", "The specified block list is invalid.")
                })
            })
            .collect::<Result<Vec<_>, _>>();
        let blocks = match blocks {
            Ok(blocks) => blocks,
            Err(error) => {
                self.forget_if_empty(place);
                return Err(error);
            }
        };
        let mut content = BytesMut::new();
        for (_, block) in &blocks {
            content.extend_from_slice(block);
        }
        self.write(place, content.freeze(), blocks, write, now)
    }

    /// Drops a name that a refused commit made.
    fn forget_if_empty(&mut self, (account, container, name): (&str, &str, &str)) {
        if let Ok(container) = self.container_mut(account, container)
            && container.blobs.get(name).is_some_and(|blob| blob.version.is_none() && blob.staged.is_empty())
        {
            container.blobs.remove(name);
        }
    }

    /// Removes a blob.
    pub(crate) fn delete(
        &mut self,
        place: (&str, &str, &str),
        write: &Write,
        now: OffsetDateTime,
    ) -> Result<(), StorageError> {
        let (account, container, name) = place;
        let found = self.container(account, container)?.blobs.get(name);
        if found.is_none_or(|blob| blob.version.is_none()) {
            return Err(blob_not_found());
        }
        self.writable(place, write, now)?;
        self.container_mut(account, container)?.blobs.remove(name);
        Ok(())
    }

    /// Replaces the metadata, or the content type where no metadata is given.
    pub(crate) fn describe(
        &mut self,
        place: (&str, &str, &str),
        write: Write,
        change: Change,
        now: OffsetDateTime,
    ) -> Result<&Version, StorageError> {
        let (account, container, name) = place;
        let found = self.container(account, container)?.blobs.get(name);
        if found.is_none_or(|blob| blob.version.is_none()) {
            return Err(blob_not_found());
        }
        let etag = self.next_etag();
        let blob = self.writable(place, &write, now)?;
        let version = blob.version.as_mut().ok_or_else(blob_not_found)?;
        match change {
            Change::Metadata => version.metadata = write.metadata,
            Change::ContentType => version.content_type = write.content_type,
        }
        version.etag = etag;
        version.modified = now;
        Ok(version)
    }

    /// Acts on a blob's lease and gives the blob's version with what the action gave.
    pub(crate) fn lease<T>(
        &mut self,
        (account, container, name): (&str, &str, &str),
        conditions: &Conditions,
        now: OffsetDateTime,
        act: impl FnOnce(&Lease) -> Result<(Lease, T), StorageError>,
    ) -> Result<(&Version, T), StorageError> {
        let container = self.container_mut(account, container)?;
        let blob = container.blobs.get_mut(name).ok_or_else(blob_not_found)?;
        let version = blob.version.as_ref().ok_or_else(blob_not_found)?;
        conditions.check(Some((&version.etag, version.modified)), Use::Write)?;
        blob.lease = std::mem::take(&mut blob.lease).at(now);
        let (lease, given) = act(&blob.lease)?;
        blob.lease = lease;
        Ok((version, given))
    }
}

/// What [`Accounts::describe`] changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Metadata,
    ContentType,
}
