//! Records that cannot be delivered, kept as JSON lines with the reason and the event's identity.
//!
//! A file's name is a digest of what it holds: a run that is repeated after a crash writes the same
//! file again, and nothing is kept twice.

pub mod blob;

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use crate::checkpoint::blob::StorageError;
use crate::checkpoint::file::replace;
use blob::BlobDeadLetters;

/// Folder of the dead letters where there is no container.
const FOLDER: &str = "dead-letters";

/// One record that cannot be delivered.
#[derive(Debug, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Why.
    pub reason: Reason,
    /// The other side's code for it, or ours.
    pub code: String,
    /// Its words.
    pub message: String,
    /// Identity of the event, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_key: Option<String>,
    /// The row that was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<Box<RawValue>>,
    /// The record as received, base64, where no row could be made of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
}

/// Why a record cannot be delivered: a closed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Azure refuses its content.
    Refused,
    /// By itself it is larger than Azure takes.
    TooLarge,
    /// It is no event: no row could be made of it.
    Malformed,
}

impl DeadLetter {
    /// A row that was not accepted.
    pub fn of_row(reason: Reason, code: &str, message: &str, row: Vec<u8>) -> Self {
        #[derive(Deserialize)]
        struct Keyed {
            #[serde(alias = "eventKey_s")]
            key: Option<String>,
        }
        let event_key = serde_json::from_slice::<Keyed>(&row).ok().and_then(|keyed| keyed.key);
        let (row, record) = match String::from_utf8(row).map(RawValue::from_string) {
            Ok(Ok(row)) => (Some(row), None),
            // A row that is not JSON would be our own fault; it is kept all the same.
            Ok(Err(_)) => (None, None),
            Err(error) => (None, Some(STANDARD.encode(error.into_bytes()))),
        };
        Self { reason, code: code.to_owned(), message: message.to_owned(), event_key, row, record }
    }

    /// A record of which no row could be made.
    pub fn of_record(code: &str, record: &[u8]) -> Self {
        Self {
            reason: Reason::Malformed,
            code: code.to_owned(),
            message: "the record is no audit event".to_owned(),
            event_key: None,
            row: None,
            record: Some(STANDARD.encode(record)),
        }
    }
}

/// Why dead letters cannot be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum DeadLetterError {
    /// The container does not take or give them.
    #[error("could not {attempted} in the dead-letter container")]
    Storage {
        /// What was being attempted.
        attempted: &'static str,
        /// Why.
        #[source]
        source: StorageError,
    },
    /// The folder does not take or give them.
    #[error("could not use the dead letters in `{}`", path.display())]
    Folder {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file holds something else.
    #[error("`{name}` holds no dead letters")]
    Content {
        /// Name of the file.
        name: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

impl DeadLetterError {
    /// Whether it is one file that cannot be used: it is none of ours, and others may be.
    pub fn of_the_file(&self) -> bool {
        match self {
            Self::Storage { source, .. } => source.too_large(),
            Self::Folder { .. } => false,
            Self::Content { .. } => true,
        }
    }

    /// The code that goes into health rows and logs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Storage { source, .. } if source.too_large() => "dead_letters_unreadable",
            Self::Storage { source, .. } => match source.status() {
                Some(401 | 403) => "dead_letters_denied",
                Some(404) => "dead_letters_not_found",
                _ => "dead_letters_unavailable",
            },
            Self::Folder { .. } => "dead_letters_folder",
            Self::Content { .. } => "dead_letters_unreadable",
        }
    }
}

/// Where dead letters are kept.
#[derive(Debug)]
pub enum DeadLetters {
    /// A container.
    Blobs(Box<BlobDeadLetters>),
    /// A folder.
    Folder(PathBuf),
}

impl DeadLetters {
    /// Dead letters beside rows in a folder.
    pub fn in_folder(folder: &Path) -> Self {
        Self::Folder(folder.join(FOLDER))
    }

    /// Keeps letters in a file, and comes back with its name when they are safe. No letters, no file.
    ///
    /// # Errors
    /// When they are not safe.
    pub async fn keep(
        &self,
        letters: &[DeadLetter],
        now: OffsetDateTime,
    ) -> Result<Option<String>, DeadLetterError> {
        if letters.is_empty() {
            return Ok(None);
        }
        let mut content = Vec::new();
        let name = |source| DeadLetterError::Content { name: String::new(), source };
        for letter in letters {
            serde_json::to_writer(&mut content, letter).map_err(name)?;
            content.push(b'\n');
        }
        let name = file_name(letters, &content, now);
        match self {
            Self::Blobs(blobs) => blobs.write(&name, content).await?,
            Self::Folder(folder) => {
                // The place moves past these records: they must survive a power cut, whole.
                std::fs::create_dir_all(folder)
                    .and_then(|()| replace(folder, &name, &content))
                    .map_err(|source| DeadLetterError::Folder { path: folder.join(&name), source })?;
            }
        }
        Ok(Some(name))
    }

    /// Names of the files, oldest first.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn list(&self) -> Result<Vec<String>, DeadLetterError> {
        let mut names = match self {
            Self::Blobs(blobs) => blobs.list().await?,
            Self::Folder(folder) => {
                files(folder).map_err(|source| DeadLetterError::Folder { path: folder.clone(), source })?
            }
        };
        names.retain(|name| name.ends_with(".jsonl"));
        names.sort();
        Ok(names)
    }

    /// The letters of a file.
    ///
    /// # Errors
    /// When it cannot be read, or is something else.
    pub async fn read(&self, name: &str) -> Result<Vec<DeadLetter>, DeadLetterError> {
        let content = match self {
            Self::Blobs(blobs) => blobs.read(name).await?,
            Self::Folder(folder) => {
                let path = folder.join(name);
                std::fs::read(&path).map_err(|source| DeadLetterError::Folder { path, source })?
            }
        };
        let lines = content.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        lines
            .map(serde_json::from_slice)
            .collect::<Result<_, _>>()
            .map_err(|source| DeadLetterError::Content { name: name.to_owned(), source })
    }

    /// Removes a file whose letters have been delivered.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub async fn remove(&self, name: &str) -> Result<(), DeadLetterError> {
        match self {
            Self::Blobs(blobs) => blobs.remove(name).await,
            Self::Folder(folder) => {
                let path = folder.join(name);
                std::fs::remove_file(&path).map_err(|source| DeadLetterError::Folder { path, source })
            }
        }
    }
}

fn files(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

/// The day, and a digest of the identities: of the content where an event has none.
fn file_name(letters: &[DeadLetter], content: &[u8], now: OffsetDateTime) -> String {
    let mut digest = Sha256::new();
    if letters.iter().all(|letter| letter.event_key.is_some()) {
        for key in letters.iter().filter_map(|letter| letter.event_key.as_deref()) {
            digest.update(key);
            digest.update("\n");
        }
    } else {
        digest.update(content);
    }
    let mut name = now.date().to_string();
    name.push('-');
    for byte in digest.finalize().iter().take(8) {
        let _ = write!(name, "{byte:02x}");
    }
    name + ".jsonl"
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::{DeadLetter, DeadLetters, Reason};

    #[tokio::test]
    async fn letters_are_kept_once_and_read_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let letters = DeadLetters::in_folder(folder.path());
        assert!(letters.list().await.expect("listed").is_empty());
        let now = datetime!(2026-11-25 10:00 UTC);
        let letter = || {
            DeadLetter::of_row(Reason::Refused, "InvalidRow", "no", br#"{"key":"C:1","uid":"x"}"#.to_vec())
        };
        letters.keep(&[letter()], now).await.expect("kept");
        letters.keep(&[letter()], now).await.expect("kept again");
        letters.keep(&[DeadLetter::of_record("not_an_object", b"\xff[")], now).await.expect("kept");
        let names = letters.list().await.expect("listed");
        assert_eq!(names.len(), 2);
        let mut keys = Vec::new();
        for name in &names {
            for letter in letters.read(name).await.expect("read") {
                keys.push((letter.event_key, letter.row.map(|row| row.get().to_owned()), letter.record));
            }
            letters.remove(name).await.expect("removed");
        }
        keys.sort();
        assert_eq!(
            keys,
            [
                (None, None, Some("/1s=".to_owned())),
                (Some("C:1".to_owned()), Some(r#"{"key":"C:1","uid":"x"}"#.to_owned()), None),
            ]
        );
        assert!(letters.list().await.expect("listed").is_empty());
    }
}
