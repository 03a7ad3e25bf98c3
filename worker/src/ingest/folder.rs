//! Rows as JSON lines in a folder, one file a table.

use std::fs::OpenOptions;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

/// A folder that takes rows.
#[derive(Debug, Clone)]
pub struct FolderSink {
    folder: PathBuf,
}

impl FolderSink {
    /// A sink in this folder, which is made where it is missing.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Appends rows to the stream's file, and comes back when they are on disk.
    ///
    /// # Errors
    /// When the folder does not take them.
    pub fn append<'a>(&self, stream: &str, rows: impl Iterator<Item = &'a [u8]>) -> io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        let table = stream.trim_start_matches("Custom-");
        let path = self.folder.join(format!("{table}.jsonl"));
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
        let mut lines = Vec::new();
        if torn(&mut file)? {
            lines.push(b'\n');
        }
        for row in rows {
            lines.extend_from_slice(row);
            lines.push(b'\n');
        }
        file.write_all(&lines)?;
        file.sync_data()
    }
}

/// Whether the last line was not written to its end, by a process that was killed.
fn torn(file: &mut std::fs::File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

#[cfg(test)]
mod tests {
    use contract::streams::{AUDIT_STREAM, HEALTH_STREAM};

    use super::FolderSink;

    #[test]
    fn rows_become_lines_of_their_tables_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let sink = FolderSink::new(folder.path().join("made"));
        let rows = [br#"{"n":1}"#.as_slice(), br#"{"n":2}"#];
        sink.append(AUDIT_STREAM, rows.into_iter()).expect("written");
        sink.append(AUDIT_STREAM, rows.into_iter().take(1)).expect("written");
        let audit =
            std::fs::read_to_string(folder.path().join("made/MimecastAudit_CL.jsonl")).expect("there");
        assert_eq!(audit, "{\"n\":1}\n{\"n\":2}\n{\"n\":1}\n");
    }

    #[test]
    fn a_torn_line_does_not_spoil_the_next() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("MimecastAuditHealth_CL.jsonl");
        std::fs::write(&path, "{\"Resu").expect("written");
        FolderSink::new(folder.path().to_owned())
            .append(HEALTH_STREAM, [b"{}".as_slice()].into_iter())
            .expect("written");
        assert_eq!(std::fs::read_to_string(path).expect("there"), "{\"Resu\n{}\n");
    }
}
