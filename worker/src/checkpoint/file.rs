//! The checkpoint in a folder: replaced atomically, held by a lock.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use contract::checkpoint::checkpoint_name;

/// The lock, held until it is dropped; the operating system lets go of it when the process dies.
#[derive(Debug)]
pub struct FileHeld {
    folder: PathBuf,
    name: String,
    _lock: File,
}

impl FileHeld {
    /// Takes the lock of an account's checkpoint in a folder, which is made where it is missing.
    /// `None`: another process has it.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn take(folder: &Path, account: &str) -> io::Result<Option<Self>> {
        std::fs::create_dir_all(folder)?;
        let name = checkpoint_name(account);
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(folder.join(format!("{name}.lock")))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self { folder: folder.to_owned(), name, _lock: lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// The content; empty where there is none yet.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn read(&self) -> io::Result<Vec<u8>> {
        match std::fs::read(self.folder.join(&self.name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            read => read,
        }
    }

    /// Replaces the content: after a crash there is the old one or the new one, never a part.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write(&self, content: &[u8]) -> io::Result<()> {
        replace(&self.folder, &self.name, content)
    }

    /// What went wrong, with the folder's name.
    pub(super) fn folder_error(&self, source: io::Error) -> super::CheckpointError {
        super::CheckpointError::Folder { folder: self.folder.clone(), source }
    }

    /// Keeps content aside under another name.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn keep_aside(&self, name: &str, content: &[u8]) -> io::Result<()> {
        replace(&self.folder, name, content)
    }
}

/// Writes a file beside the old one, makes sure that it is on disk, and puts it in the old one's place.
pub(crate) fn replace(folder: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let new = folder.join(format!("{name}.new"));
    let mut file = File::create(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&new, folder.join(name))?;
    // The new name too must survive a power cut.
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::FileHeld;

    #[test]
    fn one_holder_at_a_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = FileHeld::take(folder.path(), "").expect("writable").expect("free");
        assert!(FileHeld::take(folder.path(), "").expect("writable").is_none());
        assert!(FileHeld::take(folder.path(), "other").expect("writable").is_some());
        drop(first);
        assert!(FileHeld::take(folder.path(), "").expect("writable").is_some());
    }

    #[test]
    fn the_content_is_replaced_and_a_torn_new_file_does_not_matter() {
        let folder = tempfile::tempdir().expect("a folder");
        let held = FileHeld::take(folder.path(), "").expect("writable").expect("free");
        assert_eq!(held.read().expect("readable"), b"");
        held.write(b"one").expect("written");
        std::fs::write(folder.path().join("checkpoint.txt.new"), b"tor").expect("written");
        assert_eq!(held.read().expect("readable"), b"one");
        held.write(b"two").expect("written");
        assert_eq!(held.read().expect("readable"), b"two");
    }
}
