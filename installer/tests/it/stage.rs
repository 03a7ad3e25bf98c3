//! A simulator and the way to run the binary against it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use contract::resources::INSTALLATION_TAG;
use installer::azure::{AuthMethod, Azure, Clock, ConnectOptions, EnvironmentValues};
use installer::deploy::package::Package;
use serde_json::Value;
use simulator::simulator::{Options, Simulator};
use tokio::process::{Child, Command};

use crate::azure::stand::timings;

/// No run of these tests comes near this; one that hangs shall not hang the whole suite.
const RUN_LIMIT: Duration = Duration::from_secs(180);
/// Waits are a hundredth of what they are with Azure.
const TIMINGS_SCALE: &str = "0.01";

/// What a run printed and how it ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// Asserts the exit code and shows everything where it is another.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "\n--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr);
        self
    }

    /// stdout as the one JSON document that it should be.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

/// A simulator, an answers file, and an environment that holds nothing else.
pub(crate) struct Stage {
    pub(crate) simulator: Simulator,
    pub(crate) directory: tempfile::TempDir,
    pub(crate) environment: BTreeMap<String, String>,
    /// Folders of programs, apart from where cargo leaves everything beside each other.
    programs: OnceLock<[tempfile::TempDir; 2]>,
}

/// What lies beside the installer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beside {
    /// Nothing.
    Nothing,
    /// The worker's package, as after `cargo build --bins` or in what is given out.
    Worker,
}

impl Stage {
    /// Everything as it should be, and nothing installed.
    pub(crate) async fn start() -> Self {
        let simulator = Simulator::start(Options::default()).await.expect("starts");
        let directory = tempfile::tempdir().expect("a folder");
        let mimecast = simulator.mimecast().settings();
        let mut environment = simulator.environment();
        environment.extend(
            [
                ("MIMECAST_CLIENT_ID", mimecast.client_id.as_str()),
                ("MIMECAST_CLIENT_SECRET", mimecast.client_secret.as_str()),
                ("MIMECAST_SENTINEL_TIMINGS_SCALE", TIMINGS_SCALE),
                ("HOME", directory.path().to_str().expect("UTF-8")),
                ("PATH", "/nowhere"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let stage = Self { simulator, directory, environment, programs: OnceLock::new() };
        stage.answers("");
        stage
    }

    /// Writes the answers file, with more keys at its end; gives its path.
    pub(crate) fn answers(&self, more: &str) -> PathBuf {
        let base_url = self.simulator.state().endpoints().mimecast.to_string();
        let text = format!(
            "\
name: mimecast-audit
azure:
  subscription_id: {}
  resource_group: rg-mimecast-audit
  location: westeurope
  tags: {{owner: secops}}
workspace:
  resource_id: {}
mimecast:
  base_url: {}
  client_id: {{env: MIMECAST_CLIENT_ID}}
  client_secret: {{env: MIMECAST_CLIENT_SECRET}}
{more}",
            self.simulator.subscription_id(),
            self.simulator.workspace_id(),
            base_url.trim_end_matches('/'),
        );
        let path = self.directory.path().join("answers.yaml");
        std::fs::write(&path, text).expect("writes");
        path
    }

    /// The one Function App of the installation, by ARM path.
    pub(crate) fn site(&self) -> String {
        let site = self
            .installed()
            .into_iter()
            .find(|each| each["type"] == "Microsoft.Web/sites")
            .expect("a Function App");
        site["id"].as_str().expect("an id").to_owned()
    }

    /// The one Function App's settings.
    pub(crate) fn settings(&self) -> BTreeMap<String, String> {
        let hidden = self.simulator.state().hidden(&self.site()).expect("there");
        serde_json::from_value(hidden["appSettings"].clone()).expect("texts")
    }

    /// The binary in the hermetic environment, not started yet.
    pub(crate) fn binary(&self, arguments: &[&str]) -> Command {
        self.prepare(Path::new(env!("CARGO_BIN_EXE_mimecast-sentinel")), arguments)
    }

    /// The same of an installer that has its worker beside it, or has not.
    pub(crate) fn binary_with(&self, beside: Beside, arguments: &[&str]) -> Command {
        let folders = self.programs.get_or_init(|| {
            let installer = Path::new(env!("CARGO_BIN_EXE_mimecast-sentinel"));
            let folder = || {
                // Under the target's folder a program is linked, and not copied.
                let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
                std::fs::hard_link(installer, folder.path().join("mimecast-sentinel")).expect("links");
                folder
            };
            let folders = [folder(), folder()];
            let beside = folders[1].path().join("mimecast-sentinel-worker.zip");
            std::fs::hard_link(package(), beside).expect("links");
            folders
        });
        let folder = &folders[usize::from(beside == Beside::Worker)];
        self.prepare(&folder.path().join("mimecast-sentinel"), arguments)
    }

    fn prepare(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(&self.environment)
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Runs the binary.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Run {
        Self::ended(self.binary(arguments)).await
    }

    /// Runs an installer that has its worker beside it, or has not.
    pub(crate) async fn run_with(&self, beside: Beside, arguments: &[&str]) -> Run {
        Self::ended(self.binary_with(beside, arguments)).await
    }

    async fn ended(mut command: Command) -> Run {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = tokio::time::timeout(RUN_LIMIT, command.output()).await.expect("ends").expect("runs");
        Run {
            code: output.status.code().expect("no signal"),
            stdout: String::from_utf8(output.stdout).expect("UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }

    /// Runs a command with the answers file and the worker package.
    pub(crate) async fn command(&self, command: &str, more: &[&str]) -> Run {
        let package = package();
        self.run(&arguments(command, &package, more)).await
    }

    /// Starts a command in the same way, to be killed at will. What it prints is lost.
    pub(crate) fn start_command(&self, command: &str, more: &[&str]) -> Child {
        let package = package();
        let mut command = self.binary(&arguments(command, &package, more));
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts")
    }

    /// The same, not started yet, for whoever has more to say about its streams.
    pub(crate) fn prepared(&self, command: &str, more: &[&str]) -> Command {
        let package = package();
        self.binary(&arguments(command, &package, more))
    }

    /// Replaces a text of the answers file.
    pub(crate) fn reword_answers(&self, from: &str, to: &str) {
        let path = self.directory.path().join("answers.yaml");
        let text = std::fs::read_to_string(&path).expect("reads");
        assert!(text.contains(from), "{from} is in the answers");
        std::fs::write(&path, text.replace(from, to)).expect("writes");
    }

    /// Has the answers name the credentials of Mimecast's API 1.0, which the environment then holds.
    pub(crate) fn speak_one(&mut self) {
        self.reword_answers(
            "client_id: {env: MIMECAST_CLIENT_ID}\n  client_secret: {env: MIMECAST_CLIENT_SECRET}",
            "api: \"1.0\"\n  app_id: {env: MIMECAST_APP_ID}\n  app_key: {env: MIMECAST_APP_KEY}\n  \
             access_key: {env: MIMECAST_ACCESS_KEY}\n  secret_key: {env: MIMECAST_SECRET_KEY}",
        );
        let settings = self.simulator.mimecast().settings();
        for (name, value) in [
            ("MIMECAST_APP_ID", settings.app_id),
            ("MIMECAST_APP_KEY", settings.app_key),
            ("MIMECAST_ACCESS_KEY", settings.access_key),
            ("MIMECAST_SECRET_KEY", settings.secret_key),
        ] {
            self.environment.insert(name.to_owned(), value);
        }
    }

    /// Leaves the one account out of the answers: for those that list accounts.
    pub(crate) fn without_the_account(&self) {
        let path = self.directory.path().join("answers.yaml");
        let text = std::fs::read_to_string(&path).expect("reads");
        let (before, rest) = text.split_once("mimecast:\n").expect("an account");
        let after = rest.split_inclusive('\n').skip_while(|line| line.starts_with(' '));
        std::fs::write(&path, before.chars().chain(after.flat_map(str::chars)).collect::<String>())
            .expect("writes");
    }

    /// Takes every role of the signed-in account, and gives its object id.
    pub(crate) fn take_all_roles(&self) -> String {
        let state = self.simulator.state();
        let person = self.simulator.person().object_id.clone();
        for assignment in state.resources_of("Microsoft.Authorization/roleAssignments") {
            if assignment["properties"]["principalId"] == person.as_str() {
                state.take_role(assignment["id"].as_str().expect("an id"));
            }
        }
        person
    }

    /// Everything in the installation's group that carries its tag.
    pub(crate) fn installed(&self) -> Vec<Value> {
        let state = self.simulator.state();
        state
            .resource_ids()
            .into_iter()
            .filter_map(|id| state.resource(&id))
            .filter(|resource| resource["tags"][INSTALLATION_TAG] == "mimecast-audit")
            .collect()
    }

    /// How many roles a principal has.
    pub(crate) fn assignments_of(&self, object_id: &str) -> usize {
        let assignments = self.simulator.state().resources_of("Microsoft.Authorization/roleAssignments");
        assignments.iter().filter(|each| each["properties"]["principalId"] == object_id).count()
    }

    /// Writes that the management API has seen since a mark of the journal, as method and path.
    pub(crate) fn writes(&self, mark: usize) -> Vec<String> {
        self.simulator
            .journal()
            .since(mark)
            .into_iter()
            .filter(|entry| entry.service == "arm" && !entry.read_only())
            // A POST that lists, polls or asks reads, whatever its method says.
            .filter(|entry| !(entry.method == "POST" && entry.path().ends_with("/list")))
            .filter(|entry| {
                let path = entry.path().to_ascii_lowercase();
                !["/listkeys", "/checkpolicyrestrictions", "/checknameavailability"]
                    .iter()
                    .any(|question| path.ends_with(question))
            })
            .map(|entry| format!("{} {}", entry.method, entry.path()))
            .collect()
    }
}

fn arguments<'a>(command: &'a str, package: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec![command, "--answers", "answers.yaml"];
    if matches!(command, "plan" | "install" | "doctor") {
        arguments.extend(["--package", package.to_str().expect("UTF-8")]);
    }
    arguments.extend(more);
    arguments
}

/// The installer's own client, signed in as the simulator's person.
pub(crate) async fn connect(simulator: &Simulator) -> Azure {
    let person = simulator.person();
    let clock = simulator.clock().clone();
    Azure::connect(ConnectOptions {
        auth: AuthMethod::Environment,
        cloud: simulator.cloud_profile(),
        tenant: Some(person.tenant_id.clone()),
        environment: EnvironmentValues {
            tenant_id: None,
            client_id: Some(person.client_id.clone()),
            client_secret: Some(person.client_secret.clone()),
            federated_token_file: None,
            managed_identity: false,
        },
        certificates: Some(simulator.ca_file().to_owned()),
        timings: timings(),
        clock: Clock::new(move || clock.now()),
        executor: None,
    })
    .await
    .unwrap()
}

/// The types of these resources.
pub(crate) fn kinds(resources: &[Value]) -> Vec<String> {
    resources.iter().map(|each| each["type"].as_str().unwrap_or("untyped").to_owned()).collect()
}

/// The real worker, built with the workspace beside the binary under test, as a package. Compressing
/// an unoptimised worker takes seconds, so it is done once for all the tests' processes.
pub(crate) fn package() -> PathBuf {
    let worker =
        Path::new(env!("CARGO_BIN_EXE_mimecast-sentinel")).with_file_name("mimecast-sentinel-worker");
    let built = std::fs::metadata(&worker)
        .and_then(|metadata| metadata.modified())
        .unwrap_or_else(|error| panic!("build the workspace first: {}: {error}", worker.display()));
    let since = built.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_nanos();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let package = folder.join(format!("worker-{since}.zip"));
    if !package.is_file() {
        let bytes = Package::build(&std::fs::read(&worker).expect("reads")).expect("a package").bytes;
        // Under a name of its own first: other tests may be making the same file.
        let partial = tempfile::NamedTempFile::new_in(folder).expect("a file");
        std::fs::write(partial.path(), &bytes).expect("writes");
        partial.persist(&package).expect("renames");
    }
    package
}
