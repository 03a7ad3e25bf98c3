//! Worker packages for tests: the real worker under several hashes, and ones that do not work.

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use installer::deploy::package::Package;
use serde_json::json;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::stage::package;

/// The real worker, with a file beside it that makes it another package.
pub(crate) fn variant(folder: &Path, name: &str) -> PathBuf {
    let mut zip = ZipWriter::new_append(Cursor::new(std::fs::read(package()).unwrap())).unwrap();
    zip.start_file("variant.txt", SimpleFileOptions::default()).unwrap();
    zip.write_all(name.as_bytes()).unwrap();
    write(folder, name, &zip.finish().unwrap().into_inner())
}

/// A package whose worker is the simulator's example of a custom handler, told what to do.
pub(crate) fn handler(folder: &Path, name: &str, told: &[&str]) -> PathBuf {
    // Built with the tests, beside them.
    let built = Path::new(env!("CARGO_BIN_EXE_mimecast-sentinel")).with_file_name("examples").join("handler");
    let worker = std::fs::read(&built).unwrap_or_else(|error| panic!("{}: {error}", built.display()));
    let host = json!({
        "version": "2.0",
        "customHandler": { "description": { "defaultExecutablePath": "worker", "arguments": told } }
    });
    let timer = json!({ "bindings": [
        { "type": "timerTrigger", "direction": "in", "name": "timer", "schedule": "%MIMECAST_SCHEDULE%" }
    ]});
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    // Not compressed: it would take longer than sending it.
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (file, content, mode) in [
        ("host.json", host.to_string().into_bytes(), 0o644),
        ("Sync/function.json", timer.to_string().into_bytes(), 0o644),
        ("variant.txt", name.as_bytes().to_vec(), 0o644),
        ("worker", worker, 0o755),
    ] {
        zip.start_file(file, options.unix_permissions(mode)).unwrap();
        zip.write_all(&content).unwrap();
    }
    write(folder, name, &zip.finish().unwrap().into_inner())
}

/// SHA-256 of a package, as its tag names it.
pub(crate) fn hash(package: &Path) -> String {
    Package::of(std::fs::read(package).unwrap()).unwrap().sha256
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(format!("{name}.zip"));
    std::fs::write(&path, bytes).unwrap();
    path
}
