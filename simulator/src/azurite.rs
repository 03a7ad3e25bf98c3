//! Azurite, Microsoft's own storage emulator, started for tests that want it instead of the stand-in.
//!
//! It is installed by `npm ci` in `tools/azurite` (`cargo xtask test` does it). It speaks https with
//! the simulator's certificate and takes the simulator's tokens, of which it checks all but the
//! signature (<https://learn.microsoft.com/azure/storage/common/storage-use-azurite>).

mod front;

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::{Child, Command};
use url::Url;

use crate::functions::process::free_port;
use crate::tls::Certificates;

pub use front::Front;

/// The account that Azurite has.
pub const ACCOUNT: &str = "devstoreaccount1";
/// How long Azurite may take to listen: Node loads for seconds on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);
const START_POLL: Duration = Duration::from_millis(50);
/// How often other ports are tried, since a free port may be taken before Azurite binds it.
const ATTEMPTS: u32 = 3;

/// A running Azurite with nothing in it. It ends when it is dropped.
#[derive(Debug)]
pub struct Azurite {
    blob: Url,
    queue: Url,
    child: Child,
    _directory: TempDir,
}

/// The program, where it is installed.
pub fn installed() -> Option<PathBuf> {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?.join("tools/azurite");
    let program = tools.join("node_modules/azurite/dist/src/azurite.js");
    program.is_file().then_some(program)
}

impl Azurite {
    /// Starts Azurite on free ports; `None` where it is not installed.
    ///
    /// # Errors
    /// When Node cannot be started, or Azurite does not listen in time.
    pub async fn start(certificates: &Certificates) -> io::Result<Option<Self>> {
        let Some(program) = installed() else { return Ok(None) };
        let mut last = io::Error::from(io::ErrorKind::TimedOut);
        for _ in 0..ATTEMPTS {
            match Self::attempt(&program, certificates).await {
                Ok(azurite) => return Ok(Some(azurite)),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn attempt(program: &Path, certificates: &Certificates) -> io::Result<Self> {
        let directory = tempfile::tempdir()?;
        let complaints = directory.path().join("stderr");
        let (blob, queue, table) = (free_port()?, free_port()?, free_port()?);
        let mut child = Command::new("node")
            .arg(program)
            .args(["--silent", "--skipApiVersionCheck", "--disableTelemetry", "--inMemoryPersistence"])
            .args(["--oauth", "basic", "--cert"])
            .arg(&certificates.leaf_file)
            .arg("--key")
            .arg(&certificates.leaf_key_file)
            .args(["--blobPort", &blob.to_string(), "--queuePort", &queue.to_string()])
            .args(["--tablePort", &table.to_string()])
            // In memory, it takes no location; what it writes all the same goes here.
            .current_dir(directory.path())
            // Azurite ends when its standard input is a terminal's that closes.
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&complaints)?)
            .kill_on_drop(true)
            .spawn()?;
        let listening = async {
            for port in [blob, queue] {
                while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                    tokio::time::sleep(START_POLL).await;
                }
            }
        };
        tokio::select! {
            () = listening => {}
            status = child.wait() => {
                let said = std::fs::read_to_string(&complaints).unwrap_or_default();
                return Err(io::Error::other(format!("Azurite ended at once: {}: {}", status?, said.trim())));
            }
            () = tokio::time::sleep(START_LIMIT) => return Err(io::ErrorKind::TimedOut.into()),
        }
        let root =
            |port| Url::parse(&format!("https://127.0.0.1:{port}/{ACCOUNT}/")).map_err(io::Error::other);
        Ok(Self { blob: root(blob)?, queue: root(queue)?, child, _directory: directory })
    }

    /// Root of the account's blobs, with a slash at its end.
    pub fn blob(&self) -> &Url {
        &self.blob
    }

    /// Root of the account's queues, with a slash at its end.
    pub fn queue(&self) -> &Url {
        &self.queue
    }

    /// The process's id.
    pub fn process_id(&self) -> Option<u32> {
        self.child.id()
    }
}
