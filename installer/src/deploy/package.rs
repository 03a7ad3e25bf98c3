//! The worker package: the function's files and the worker binary, as one zip.
//!
//! The same worker gives the same bytes on every machine and at every time, since the package is
//! known by its hash.

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write};

use contract::resources::{QUEUE_FUNCTION, SYNC_QUEUE, TIMER_FUNCTION};
use contract::settings::MIMECAST_SCHEDULE;
use serde_json::json;
use sha2::{Digest, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

use crate::plan::template::json_registry;

/// Name of the worker in the package, and so in `host.json`.
pub const EXECUTABLE: &str = "mimecast-sentinel-worker";
/// Readable by all, which the host insists on
/// (<https://github.com/Azure/azure-functions-host/issues/11528>).
const FILE_MODE: u32 = 0o644;
/// Executable by all: the host runs the worker as another user than the one that unpacks it.
const EXECUTABLE_MODE: u32 = 0o755;
/// Far above any build of the worker; a mistaken file should not be read into memory.
pub(super) const PACKAGE_LIMIT_BYTES: usize = 256 * 1024 * 1024;
/// The first four bytes of an ELF file, and of a zip.
const ELF: &[u8] = b"\x7fELF";
const ZIP: &[u8] = b"PK\x03\x04";
/// `e_machine` of x86-64 in an ELF header, at offset 18 (System V ABI, AMD64 supplement).
const X86_64: [u8; 2] = [0x3e, 0];

const HOST: &str = include_str!("../../../templates/function/host.json.hbs");
const TIMER: &str = include_str!("../../../templates/function/timer.json.hbs");
const QUEUE: &str = include_str!("../../../templates/function/queue.json.hbs");

/// The package that this build carries, if it carries one.
pub const BUILT_IN: Option<&[u8]> = include!(concat!(env!("OUT_DIR"), "/built_in.rs"));

/// A worker package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// The zip.
    pub bytes: bytes::Bytes,
    /// Its SHA-256, in lower-case hexadecimal digits.
    pub sha256: String,
}

/// Which functions a package has. The queue's needs an extension bundle, which the host fetches and
/// loads at each start: a package has it only where there is a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Functions {
    /// The timer's alone.
    Timer,
    /// The timer's and the queue's.
    TimerAndQueue,
}

/// Why a file is no worker package.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// It is neither a zip nor a Linux program.
    #[error("the file is neither a zip nor a Linux program")]
    Kind,
    /// The program is for another machine.
    #[error("the worker is not built for Linux on x86-64, which Azure Functions runs")]
    Machine,
    /// The zip cannot be read or written.
    #[error("reading the zip")]
    Zip(#[from] zip::result::ZipError),
    /// A file of the zip cannot be read.
    #[error("reading the zip's files")]
    Read(#[from] std::io::Error),
    /// A file that the host needs is not where the host looks for it.
    #[error("the zip has no `{0}` at its root")]
    Missing(String),
    /// A file of the zip is not JSON.
    #[error("`{name}` in the zip is not JSON")]
    Json {
        /// The file.
        name: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The worker could not be started.
    #[error("`{0}` in the zip has no execute permission")]
    NotExecutable(String),
    /// A template of ours does not render.
    #[error("rendering the function's files")]
    Template(#[from] Box<handlebars::RenderError>),
}

impl Package {
    /// Takes a finished zip, or makes one of a worker binary.
    ///
    /// # Errors
    /// [`PackageError`] when the file is neither, or the host could not run it.
    pub fn of(file: Vec<u8>) -> Result<Self, PackageError> {
        if file.starts_with(ELF) {
            return Self::build(&file);
        }
        if !file.starts_with(ZIP) || file.len() > PACKAGE_LIMIT_BYTES {
            return Err(PackageError::Kind);
        }
        check(&file)?;
        Ok(Self::named(file))
    }

    /// Makes the package of a worker binary, with the timer's function.
    ///
    /// # Errors
    /// [`PackageError::Machine`] when it is not for Azure's machines.
    pub fn build(worker: &[u8]) -> Result<Self, PackageError> {
        require_machine(worker)?;
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, contents) in files(Functions::Timer)? {
            zip.start_file(name, options().unix_permissions(FILE_MODE))?;
            zip.write_all(contents.as_bytes())?;
        }
        zip.start_file(EXECUTABLE, options().unix_permissions(EXECUTABLE_MODE))?;
        zip.write_all(worker)?;
        Ok(Self::named(zip.finish()?.into_inner()))
    }

    /// The package with these functions: the same where it has them, else its worker and whatever lies
    /// beside it, as they are compressed there, with the files of ours that say so.
    ///
    /// # Errors
    /// [`PackageError`] when the package cannot be read.
    pub fn fitted(self, functions: Functions) -> Result<Self, PackageError> {
        let mut archive = ZipArchive::new(Cursor::new(&self.bytes))?;
        let queue = archive.by_name(&format!("{QUEUE_FUNCTION}/function.json")).is_ok();
        if queue == (functions == Functions::TimerAndQueue) {
            return Ok(self);
        }
        let name = executable(&mut archive)?;
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, contents) in files(functions)? {
            zip.start_file(name, options().unix_permissions(FILE_MODE))?;
            zip.write_all(contents.as_bytes())?;
        }
        zip.raw_copy_file_rename(archive.by_name(&name)?, EXECUTABLE)?;
        let ours = files(Functions::TimerAndQueue)?;
        for index in 0..archive.len() {
            let entry = archive.by_index_raw(index)?;
            let file = entry.name()?.into_owned();
            if file != name && file != EXECUTABLE && ours.iter().all(|(own, _)| *own != file) {
                zip.raw_copy_file(entry)?;
            }
        }
        Ok(Self::named(zip.finish()?.into_inner()))
    }

    fn named(bytes: Vec<u8>) -> Self {
        let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { bytes: bytes.into(), sha256 }
    }
}

/// SHA-256 of the worker in a package, as the worker itself makes it of its own file.
///
/// # Errors
/// [`PackageError`] when the package cannot be read.
pub fn worker_hash(package: &bytes::Bytes) -> Result<String, PackageError> {
    let mut archive = ZipArchive::new(Cursor::new(package))?;
    let name = executable(&mut archive)?;
    let entry = archive.by_name(&name).map_err(|_| PackageError::Missing(name.clone()))?;
    let mut hash = Sha256::new();
    std::io::copy(&mut entry.take(PACKAGE_LIMIT_BYTES as u64), &mut hash)?;
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// How every file of ours is written.
fn options() -> SimpleFileOptions {
    // One time for all: the zip's earliest, so that the bytes do not depend on when it was made.
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(9))
        .system(zip::System::Unix)
        .last_modified_time(DateTime::default())
}

/// The files of ours that tell the host what to run and when.
fn files(functions: Functions) -> Result<Vec<(String, String)>, PackageError> {
    let registry = json_registry();
    let render =
        |text: &str, context: serde_json::Value| registry.render_template(text, &context).map_err(Box::new);
    let queue = functions == Functions::TimerAndQueue;
    let host = render(HOST, json!({ "executable": EXECUTABLE, "queue": queue }))?;
    let timer = render(TIMER, json!({ "schedule_setting": MIMECAST_SCHEDULE }))?;
    let mut files = vec![("host.json".to_owned(), host), (format!("{TIMER_FUNCTION}/function.json"), timer)];
    if queue {
        let queue = render(QUEUE, json!({ "queue": SYNC_QUEUE }))?;
        files.push((format!("{QUEUE_FUNCTION}/function.json"), queue));
    }
    Ok(files)
}

/// The name of the worker, as `host.json` has it.
fn executable(archive: &mut ZipArchive<Cursor<&bytes::Bytes>>) -> Result<String, PackageError> {
    let host = "host.json".to_owned();
    let entry = archive.by_name(&host).map_err(|_| PackageError::Missing(host.clone()))?;
    let host: serde_json::Value =
        serde_json::from_reader(entry).map_err(|source| PackageError::Json { name: host, source })?;
    let name = host["customHandler"]["description"]["defaultExecutablePath"].as_str();
    name.map(str::to_owned).ok_or_else(|| PackageError::Missing("customHandler".to_owned()))
}

fn require_machine(worker: &[u8]) -> Result<(), PackageError> {
    // Class 64-bit at offset 4.
    if worker.starts_with(ELF) && worker.get(4) == Some(&2) && worker.get(18..20) == Some(&X86_64) {
        return Ok(());
    }
    Err(PackageError::Machine)
}

/// Checks that the host finds its files at the root and can run the worker.
fn check(file: &[u8]) -> Result<(), PackageError> {
    let mut archive = ZipArchive::new(Cursor::new(file))?;
    let mut texts = BTreeMap::new();
    for name in ["host.json".to_owned(), format!("{TIMER_FUNCTION}/function.json")] {
        let mut entry = archive.by_name(&name).map_err(|_| PackageError::Missing(name.clone()))?;
        let mut text = String::new();
        entry.by_ref().take(PACKAGE_LIMIT_BYTES as u64).read_to_string(&mut text)?;
        let value: serde_json::Value = serde_json::from_str(&text)
            .map_err(|source| PackageError::Json { name: name.clone(), source })?;
        texts.insert(name, value);
    }
    let executable = texts["host.json"]["customHandler"]["description"]["defaultExecutablePath"]
        .as_str()
        .ok_or_else(|| PackageError::Missing("customHandler".to_owned()))?
        .to_owned();
    let mut entry = archive.by_name(&executable).map_err(|_| PackageError::Missing(executable.clone()))?;
    let mut head = [0_u8; 20];
    entry.read_exact(&mut head)?;
    require_machine(&head)?;
    if entry.unix_mode().is_none_or(|mode| mode & 0o111 != 0o111) {
        return Err(PackageError::NotExecutable(executable));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read, Write};

    use zip::write::SimpleFileOptions;
    use zip::{ZipArchive, ZipWriter};

    use sha2::{Digest, Sha256};

    use super::{EXECUTABLE, Functions, Package, PackageError, worker_hash};

    fn worker() -> Vec<u8> {
        let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
        elf.resize(18, 0);
        elf.extend([0x3e, 0]);
        elf.resize(4096, 7);
        elf
    }

    #[test]
    fn the_same_worker_gives_the_same_bytes() {
        let (one, two) =
            (Package::build(&worker()).expect("a package"), Package::build(&worker()).expect("a package"));
        assert_eq!(one, two);
        assert_eq!(one.sha256.len(), 64);
    }

    #[test]
    fn files_stand_at_the_root_with_modes_that_unix_and_the_host_need() {
        // BR-061, BR-093, BR-094, BR-095
        let package = Package::build(&worker()).expect("a package");
        let mut archive = ZipArchive::new(Cursor::new(&package.bytes)).expect("a zip");
        let mut modes = Vec::new();
        for index in 0..archive.len() {
            let entry = archive.by_index(index).expect("an entry");
            modes.push((
                String::from_utf8_lossy(entry.name_raw()).into_owned(),
                entry.unix_mode().expect("a mode") & 0o777,
            ));
        }
        assert_eq!(
            modes,
            [
                ("host.json".to_owned(), 0o644),
                ("Sync/function.json".to_owned(), 0o644),
                (EXECUTABLE.to_owned(), 0o755)
            ]
        );
        // "Version made by" of each central directory header: the high byte is 3 for Unix.
        let bytes = &package.bytes;
        let headers: Vec<usize> =
            (0..bytes.len() - 4).filter(|&at| bytes[at..].starts_with(b"PK\x01\x02")).collect();
        assert_eq!(headers.len(), 3);
        assert!(headers.iter().all(|at| bytes[at + 5] == 3));
    }

    #[test]
    fn the_function_runs_the_worker_on_the_schedule_setting() {
        // BR-042, BR-113
        let package = Package::build(&worker()).expect("a package");
        let mut archive = ZipArchive::new(Cursor::new(&package.bytes)).expect("a zip");
        let mut json = |name: &str| -> serde_json::Value {
            let mut text = String::new();
            archive.by_name(name).expect("there").read_to_string(&mut text).expect("text");
            serde_json::from_str(&text).expect("JSON")
        };
        let host = json("host.json");
        assert_eq!(host["customHandler"]["description"]["defaultExecutablePath"], EXECUTABLE);
        assert_eq!(host["functionTimeout"], "00:30:00");
        assert_eq!(
            contract::resources::FUNCTION_TIMEOUT_SECS,
            30 * 60,
            "what the worker holds its budget to"
        );
        assert!(host.get("extensionBundle").is_none());
        let binding = &json("Sync/function.json")["bindings"][0];
        assert_eq!(binding["schedule"], "%MIMECAST_SCHEDULE%");
        assert_eq!(binding["runOnStartup"], false);
    }

    #[test]
    fn the_queues_function_comes_with_the_bundle_that_it_needs_and_goes_with_it() {
        let alone = Package::build(&worker()).expect("a package");
        let both = alone.clone().fitted(Functions::TimerAndQueue).expect("fitted");
        assert_eq!(alone.clone().fitted(Functions::TimerAndQueue).expect("fitted"), both);
        let mut archive = ZipArchive::new(Cursor::new(&both.bytes)).expect("a zip");
        let mut json = |name: &str| -> serde_json::Value {
            let mut text = String::new();
            archive.by_name(name).expect("there").read_to_string(&mut text).expect("text");
            serde_json::from_str(&text).expect("JSON")
        };
        let host = json("host.json");
        assert_eq!(host["extensionBundle"]["id"], "Microsoft.Azure.Functions.ExtensionBundle");
        let queues = &host["extensions"]["queues"];
        let rules = ["batchSize", "newBatchSize", "maxDequeueCount"].map(|name| queues[name].as_u64());
        assert_eq!(rules, [Some(1), Some(0), Some(2)]);
        assert_eq!(queues["messageEncoding"], "none");
        let binding = &json("SyncWork/function.json")["bindings"][0];
        assert_eq!((&binding["type"], &binding["queueName"]), (&"queueTrigger".into(), &"sync-work".into()));
        // The worker is the same bytes, and may still be executed.
        let mut program = archive.by_name(EXECUTABLE).expect("there");
        assert_eq!(program.unix_mode().map(|mode| mode & 0o777), Some(0o755));
        let mut bytes = Vec::new();
        program.read_to_end(&mut bytes).expect("reads");
        drop(program);
        assert_eq!(bytes, worker());
        assert_eq!(Package::of(both.bytes.to_vec()).expect("a package"), both);
        assert_eq!(both.fitted(Functions::Timer).expect("fitted"), alone);
    }

    #[test]
    fn what_lies_beside_the_worker_stays_when_the_functions_change() {
        let alone = Package::build(&worker()).expect("a package");
        let mut zip = ZipWriter::new_append(Cursor::new(alone.bytes.to_vec())).expect("a zip");
        zip.start_file("profile.json", SimpleFileOptions::default()).expect("a file");
        zip.write_all(b"{}").expect("written");
        let given = Package::of(zip.finish().expect("a zip").into_inner()).expect("a package");
        let fitted = given.fitted(Functions::TimerAndQueue).expect("fitted");
        let mut archive = ZipArchive::new(Cursor::new(&fitted.bytes)).expect("a zip");
        let mut names: Vec<String> =
            archive.file_names().map(|name| name.expect("text").into_owned()).collect();
        names.sort();
        assert_eq!(
            names,
            ["Sync/function.json", "SyncWork/function.json", "host.json", EXECUTABLE, "profile.json"]
        );
        let mut text = String::new();
        archive.by_name("profile.json").expect("there").read_to_string(&mut text).expect("text");
        assert_eq!(text, "{}");
    }

    #[test]
    fn the_workers_hash_is_that_of_its_file_whatever_lies_around_it() {
        let alone = Package::build(&worker()).expect("a package");
        let hash: String = Sha256::digest(worker()).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(worker_hash(&alone.bytes).expect("a worker"), hash);
        let both = alone.fitted(Functions::TimerAndQueue).expect("fitted");
        assert_eq!(worker_hash(&both.bytes).expect("a worker"), hash);
    }

    #[test]
    fn a_finished_package_is_taken_as_it_is() {
        let package = Package::build(&worker()).expect("a package");
        assert_eq!(Package::of(package.bytes.to_vec()).expect("a package"), package);
        assert_eq!(Package::of(worker()).expect("made"), package);
    }

    #[test]
    fn packages_that_the_host_could_not_run_are_refused() {
        // BR-009, BR-061, BR-094
        let zip = |files: &[(&str, &[u8], u32)]| {
            let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
            for (name, contents, mode) in files {
                zip.start_file(*name, SimpleFileOptions::default().unix_permissions(*mode)).expect("starts");
                zip.write_all(contents).expect("writes");
            }
            zip.finish().expect("a zip").into_inner()
        };
        let host: &[u8] = br#"{"customHandler":{"description":{"defaultExecutablePath":"worker"}}}"#;
        let worker = worker();
        let wrapped = zip(&[("top/host.json", host, 0o644)]);
        assert!(matches!(Package::of(wrapped), Err(PackageError::Missing(name)) if name == "host.json"));
        let other_name = zip(&[
            ("host.json", host, 0o644),
            ("Sync/function.json", b"{}", 0o644),
            ("Worker", &worker, 0o755),
        ]);
        assert!(matches!(Package::of(other_name), Err(PackageError::Missing(name)) if name == "worker"));
        let no_bit = zip(&[
            ("host.json", host, 0o644),
            ("Sync/function.json", b"{}", 0o644),
            ("worker", &worker, 0o644),
        ]);
        assert!(matches!(Package::of(no_bit), Err(PackageError::NotExecutable(_))));
        let mut arm = worker.clone();
        arm[18] = 0xb7;
        assert!(matches!(Package::of(arm), Err(PackageError::Machine)));
        assert!(matches!(Package::of(b"MZ".to_vec()), Err(PackageError::Kind)));
    }
}
