//! A published package: unpacked, with its `host.json` and its functions read.
//!
//! Follows <https://learn.microsoft.com/azure/azure-functions/functions-custom-handlers> and
//! <https://learn.microsoft.com/azure/azure-functions/functions-host-json>. Modes come from the zip:
//! a binary without its bit does not start (Azure/azure-functions-host#6160).

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use zip::ZipArchive;

use super::schedule::Schedule;

/// How long a function may run unless `host.json` says otherwise, on Flex Consumption:
/// <https://learn.microsoft.com/azure/azure-functions/functions-scale#timeout>.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// Why a package cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PackageError {
    #[error("the package is not a zip file")]
    Zip(#[source] zip::result::ZipError),
    #[error("unpacking `{0}`")]
    Unpack(String, #[source] std::io::Error),
    #[error("the entry `{0}` would leave the package's folder")]
    Escapes(String),
    #[error("`host.json` is missing at the root of the package")]
    NoHostFile,
    #[error("`{0}` is not valid JSON")]
    Json(String, #[source] serde_json::Error),
    #[error("`host.json` must say \"version\": \"2.0\"")]
    Version,
    #[error("`host.json` names no customHandler.description.defaultExecutablePath")]
    NoExecutable,
    #[error("the executable `{0}` is not in the package")]
    ExecutableMissing(String),
    #[error("the executable `{0}` may not be executed: its mode in the package is {1:o}")]
    NotExecutable(String, u32),
    #[error("functionTimeout `{0}` is not hh:mm:ss")]
    Timeout(String),
}

/// A package on disk. The folder goes with it.
#[derive(Debug)]
pub(crate) struct Package {
    directory: TempDir,
    pub(crate) executable: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) timeout: Duration,
    pub(crate) queues: QueueOptions,
    pub(crate) functions: Vec<Function>,
}

/// One folder with a `function.json`.
#[derive(Debug, Clone)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) config: Value,
    pub(crate) disabled: bool,
    /// What starts it, or why the host leaves it out.
    pub(crate) trigger: Result<Trigger, String>,
}

/// What starts a function, with the name of its binding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trigger {
    Timer { binding: String, schedule: Schedule, monitored: bool },
    Queue { binding: String, queue: String, connection: String },
}

/// `extensions.queues` of `host.json`:
/// <https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue#host-json>.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueueOptions {
    pub(crate) batch_size: usize,
    pub(crate) max_dequeue_count: u32,
    /// Whether texts are base64 on the wire.
    pub(crate) base64: bool,
    /// How long a message rests after a failure.
    pub(crate) visibility_timeout: Duration,
}

impl Function {
    /// The function as ARM lists it.
    pub(crate) fn listed(&self) -> Value {
        json!({"name": self.name, "config": self.config, "isDisabled": self.disabled})
    }
}

impl Package {
    /// Unpacks and reads a package with the settings of its site.
    pub(crate) fn open(zip: &[u8], settings: &BTreeMap<String, String>) -> Result<Self, PackageError> {
        let directory = tempfile::tempdir().map_err(|error| PackageError::Unpack(".".to_owned(), error))?;
        unpack(zip, directory.path())?;
        let root = directory.path();
        let host = read_json(root, "host.json")?.ok_or(PackageError::NoHostFile)?;
        if host.get("version").and_then(Value::as_str) != Some("2.0") {
            return Err(PackageError::Version);
        }
        let description = host.pointer("/customHandler/description");
        let name = description
            .and_then(|description| description.get("defaultExecutablePath")?.as_str())
            .filter(|name| !name.is_empty())
            .ok_or(PackageError::NoExecutable)?;
        let executable = root.join(name);
        let mode = fs::metadata(&executable)
            .ok()
            .filter(fs::Metadata::is_file)
            .ok_or_else(|| PackageError::ExecutableMissing(name.to_owned()))?
            .permissions()
            .mode();
        if mode & 0o111 == 0 {
            return Err(PackageError::NotExecutable(name.to_owned(), mode & 0o777));
        }
        let arguments = description.and_then(|description| description.get("arguments")?.as_array());
        let arguments = arguments
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(|argument| replace_settings(argument, settings))
            .collect();
        let timeout = match host.get("functionTimeout").and_then(Value::as_str) {
            None => DEFAULT_TIMEOUT,
            // Unbounded, as Flex Consumption allows; a year is longer than any test.
            Some("-1") => Duration::from_secs(365 * 86_400),
            Some(text) => timespan(text).ok_or_else(|| PackageError::Timeout(text.to_owned()))?,
        };
        let bundle = host.pointer("/extensionBundle/id").is_some();
        let functions = functions(root, settings, bundle)?;
        let queues = QueueOptions::read(&host);
        Ok(Self { executable, arguments, timeout, queues, functions, directory })
    }

    /// Its folder, the worker's working directory.
    pub(crate) fn root(&self) -> &Path {
        self.directory.path()
    }
}

impl QueueOptions {
    fn read(host: &Value) -> Self {
        let options = host.pointer("/extensions/queues");
        let field = |name: &str| options.and_then(|options| options.get(name));
        let number = |name: &str| field(name).and_then(Value::as_u64);
        Self {
            batch_size: number("batchSize")
                .and_then(|size| usize::try_from(size).ok())
                .unwrap_or(16)
                .clamp(1, 32),
            max_dequeue_count: number("maxDequeueCount").and_then(|count| count.try_into().ok()).unwrap_or(5),
            base64: field("messageEncoding").and_then(Value::as_str) != Some("none"),
            visibility_timeout: field("visibilityTimeout")
                .and_then(|text| timespan(text.as_str()?))
                .unwrap_or_default(),
        }
    }
}

fn unpack(zip: &[u8], root: &Path) -> Result<(), PackageError> {
    let mut archive = ZipArchive::new(Cursor::new(zip)).map_err(PackageError::Zip)?;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(PackageError::Zip)?;
        let name = entry.name().map_err(PackageError::Zip)?.into_owned();
        let path = root.join(entry.enclosed_name().ok_or_else(|| PackageError::Escapes(name.clone()))?);
        let failed = |error| PackageError::Unpack(name.clone(), error);
        if entry.is_dir() {
            fs::create_dir_all(&path).map_err(failed)?;
            continue;
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        let mode = entry.unix_mode().unwrap_or(0o644) & 0o777;
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(failed)?;
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&path)
            .map_err(failed)?;
        std::io::Write::write_all(&mut file, &content).map_err(failed)?;
        // The process's mask may have taken bits away.
        file.set_permissions(fs::Permissions::from_mode(mode)).map_err(failed)?;
    }
    Ok(())
}

fn read_json(root: &Path, name: &str) -> Result<Option<Value>, PackageError> {
    let Ok(text) = fs::read(root.join(name)) else { return Ok(None) };
    serde_json::from_slice(&text).map(Some).map_err(|error| PackageError::Json(name.to_owned(), error))
}

fn functions(
    root: &Path,
    settings: &BTreeMap<String, String>,
    bundle: bool,
) -> Result<Vec<Function>, PackageError> {
    let entries = fs::read_dir(root).map_err(|error| PackageError::Unpack(".".to_owned(), error))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| root.join(name).is_dir())
        .collect();
    names.sort();
    let mut functions = Vec::new();
    for name in names {
        if let Some(config) = read_json(root, &format!("{name}/function.json"))? {
            let trigger = trigger(&config, settings, bundle);
            // Both spellings of the disabling setting:
            // https://learn.microsoft.com/azure/azure-functions/disable-function
            let disabled = [format!("AzureWebJobs.{name}.Disabled"), format!("AzureWebJobs_{name}_Disabled")]
                .iter()
                .filter_map(|setting| settings.get(setting))
                .any(|value| value == "1" || value.eq_ignore_ascii_case("true"));
            functions.push(Function { name, config, disabled, trigger });
        }
    }
    Ok(functions)
}

fn trigger(config: &Value, settings: &BTreeMap<String, String>, bundle: bool) -> Result<Trigger, String> {
    let bindings = config.get("bindings").and_then(Value::as_array).into_iter().flatten();
    let text = |binding: &Value, field: &str| binding.get(field).and_then(Value::as_str).map(str::to_owned);
    let triggers: Vec<&Value> = bindings
        .filter(|binding| text(binding, "type").is_some_and(|kind| kind.ends_with("Trigger")))
        .collect();
    let [binding] = triggers.as_slice() else {
        return Err(format!("a function needs one trigger and this one has {}", triggers.len()));
    };
    let required = |field: &str| text(binding, field).ok_or_else(|| format!("the binding has no `{field}`"));
    let flag = |field: &str| binding.get(field).and_then(Value::as_bool);
    match required("type")?.as_str() {
        "timerTrigger" if flag("runOnStartup") == Some(true) => {
            Err("the simulator does not run timers on start-up".to_owned())
        }
        "timerTrigger" => {
            let schedule = resolve(&required("schedule")?, settings)?;
            let schedule = Schedule::parse(&schedule).map_err(|error| error.to_string())?;
            Ok(Trigger::Timer {
                binding: required("name")?,
                schedule,
                monitored: flag("useMonitor") != Some(false),
            })
        }
        "queueTrigger" if !bundle => {
            Err("the binding type queueTrigger is not registered: `host.json` has no extensionBundle"
                .to_owned())
        }
        "queueTrigger" => Ok(Trigger::Queue {
            binding: required("name")?,
            queue: resolve(&required("queueName")?, settings)?,
            connection: text(binding, "connection").unwrap_or_else(|| "AzureWebJobsStorage".to_owned()),
        }),
        other => Err(format!("the simulator does not know the trigger `{other}`")),
    }
}

/// A whole text `%SETTING%` is replaced by the setting, which must exist.
fn resolve(text: &str, settings: &BTreeMap<String, String>) -> Result<String, String> {
    match text.strip_prefix('%').and_then(|text| text.strip_suffix('%')) {
        None => Ok(text.to_owned()),
        Some(name) => {
            settings.get(name).cloned().ok_or_else(|| format!("'%{name}%' does not resolve to a value"))
        }
    }
}

/// Every `%SETTING%` within a text is replaced; one that does not exist stays.
fn replace_settings(text: &str, settings: &BTreeMap<String, String>) -> String {
    let replace = |text: String, (name, value): (&String, &String)| text.replace(&format!("%{name}%"), value);
    settings.iter().fold(text.to_owned(), replace)
}

/// `hh:mm:ss`.
fn timespan(text: &str) -> Option<Duration> {
    let parts: Vec<u64> = text.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    match parts.as_slice() {
        [hours, minutes, seconds] if *minutes < 60 && *seconds < 60 => {
            Some(Duration::from_secs(hours * 3600 + minutes * 60 + seconds))
        }
        _ => None,
    }
}
