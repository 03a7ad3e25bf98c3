//! Rows as JSON lines in a folder, with the columns that the table in Azure would have.

use std::fs::OpenOptions;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use contract::streams::{AUDIT_STREAM, transform};
use serde_json::{Map, Value};

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
            if stream == AUDIT_STREAM {
                let sent: Map<String, Value> = serde_json::from_slice(row)?;
                serde_json::to_writer(&mut lines, &transform::audit_row(&sent))?;
            } else {
                lines.extend_from_slice(row);
            }
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
    fn rows_become_lines_with_the_tables_columns() {
        let folder = tempfile::tempdir().expect("a folder");
        let sink = FolderSink::new(folder.path().join("made"));
        sink.append(AUDIT_STREAM, [br#"{"uid":"1","at":"2026-11-25T10:00:00Z"}"#.as_slice()].into_iter())
            .expect("written");
        sink.append(HEALTH_STREAM, [br#"{"Result":"ok"}"#.as_slice()].into_iter()).expect("written");
        let audit =
            std::fs::read_to_string(folder.path().join("made/MimecastAudit_CL.jsonl")).expect("there");
        let row: serde_json::Value = serde_json::from_str(audit.trim_end()).expect("one line of JSON");
        assert_eq!((&row["id_s"], &row["TimeGenerated"]), (&"1".into(), &"2026-11-25T10:00:00Z".into()));
        let health =
            std::fs::read_to_string(folder.path().join("made/MimecastAuditHealth_CL.jsonl")).expect("there");
        assert_eq!(health, "{\"Result\":\"ok\"}\n");
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
