//! Random walks through the life of an installation: whatever happens in whatever order, a plan is empty
//! in the end or nothing of ours is left.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use contract::resources::{PACKAGE_TAG, PREVIOUS_PACKAGE_TAG};
use contract::settings::MIMECAST_SENTINEL_PACKAGE;
use contract::streams::{AUDIT_TABLE, HEALTH_TABLE};
use futures::StreamExt;
use installer::commands;
use installer::world::World;
use serde_json::json;
use simulator::clock::Clock;
use simulator::data::DataPlane;
use simulator::state::State;
use time::format_description::well_known::Rfc3339;

use crate::packages::{handler, hash};
use crate::stage::{Stage, kinds};

/// Walks, each with a seed of its own.
const WALKS: u64 = 20;
/// Walks at the same time: their waits fill each other's.
const AT_ONCE: usize = 4;
/// What a walk does before its end.
const STEPS: usize = 4;

/// What is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Absent,
    Installed,
    DataKept,
}

struct Walk {
    stage: Stage,
    random: fastrand::Rng,
    packages: Arc<Vec<PathBuf>>,
    standing: Standing,
    secrets: u32,
    /// What was done, to be shown where it goes wrong.
    done: Vec<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn any_order_of_commands_ends_with_an_empty_plan_or_with_nothing_of_ours() {
    let folder = tempfile::tempdir().unwrap();
    // Workers that answer well and do nothing: what they would report is put into the health table.
    let packages: Vec<PathBuf> = ["a", "b", "c"].map(|name| handler(folder.path(), name, &[])).into();
    let packages = Arc::new(packages);
    let walks = futures::stream::iter(0..WALKS).map(|seed| {
        let packages = packages.clone();
        let runtime = tokio::runtime::Handle::current();
        // A thread of its own: the walks run on all cores.
        tokio::task::spawn_blocking(move || {
            runtime.block_on(async {
                let stage = Stage::start().await;
                let reports = tokio::spawn(report_runs(
                    stage.simulator.state().clone(),
                    stage.simulator.data().clone(),
                    stage.simulator.clock().clone(),
                    stage.simulator.workspace_id().to_owned(),
                ));
                let random = fastrand::Rng::with_seed(seed);
                let done = vec![format!("seed {seed}")];
                let mut walk = Walk { stage, random, packages, standing: Standing::Absent, secrets: 0, done };
                walk.go().await;
                reports.abort();
            })
        })
    });
    let ended: Vec<_> = walks.buffer_unordered(AT_ONCE).collect().await;
    let failed: Vec<String> =
        ended.into_iter().filter_map(Result::err).map(|error| error.to_string()).collect();
    assert_eq!(failed, [""; 0]);
}

/// Puts a health row into the table for every run of a worker that reports nothing itself.
async fn report_runs(state: State, data: DataPlane, clock: Clock, workspace_id: String) {
    let mut reported = BTreeSet::new();
    loop {
        for site in state.resources_of("Microsoft.Web/sites") {
            let id = site["id"].as_str().expect("an id");
            for run in data.hosts.invocations(id) {
                if !reported.insert(run.id.to_string()) {
                    continue;
                }
                let hash = state.site_environment(id).get(MIMECAST_SENTINEL_PACKAGE).cloned();
                let row = json!({
                    "TimeGenerated": clock.now().format(&Rfc3339).expect("a time"),
                    "Installation": "mimecast-audit",
                    "PackageHash": hash,
                    "Result": if run.outcome.is_ok() { "ok" } else { "failed" },
                    "WindowEnd": clock.now().format(&Rfc3339).expect("a time"),
                    "Delivered": 0,
                });
                data.rows.add(&workspace_id, HEALTH_TABLE, row.as_object().cloned());
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

impl Walk {
    async fn go(&mut self) {
        for _ in 0..STEPS {
            self.step().await;
        }
        if self.standing == Standing::Installed && self.random.bool() {
            self.teardown().await;
        }
        match self.standing {
            Standing::Installed => self.mended().await,
            Standing::Absent => self.nothing_left(),
            Standing::DataKept => {
                self.command(0, &["teardown", "--yes"]).await;
                self.nothing_left();
            }
        }
    }

    async fn step(&mut self) {
        if self.standing != Standing::Installed {
            let package = self.a_package();
            self.command(0, &["install", "--yes", "--no-wait", "--package", &package]).await;
            self.standing = Standing::Installed;
            return;
        }
        match self.random.u8(0..12) {
            0..3 => {
                let package = self.a_package();
                self.command(0, &["upgrade", "--yes", "--wait", "60s", "--package", &package]).await;
            }
            3..5 => {
                let (_, previous) = self.tagged();
                let code = if previous.is_some() { 0 } else { 1 };
                self.command(code, &["upgrade", "--yes", "--rollback", "--wait", "60s"]).await;
            }
            5..7 => self.rotate().await,
            7..10 => self.drift(),
            _ => self.teardown().await,
        }
    }

    async fn rotate(&mut self) {
        self.secrets += 1;
        let secret = format!("secret-{}", self.secrets);
        self.stage.environment.insert("MIMECAST_CLIENT_SECRET".to_owned(), secret.clone());
        self.stage.simulator.mimecast().configure(move |settings| settings.client_secret = secret);
        self.command(0, &["rotate", "--yes", "--wait", "60s", "client_secret"]).await;
    }

    /// Changes something behind the installer's back.
    fn drift(&mut self) {
        let state = self.stage.simulator.state();
        let of = |kind: &str| {
            let all = self.stage.installed();
            let found = all.iter().find(|each| each["type"] == kind).cloned();
            found.unwrap_or_else(|| panic!("{kind}: {:?}", self.done))
        };
        let id = |resource: &serde_json::Value| resource["id"].as_str().expect("an id").to_owned();
        let what = match self.random.u8(0..5) {
            0 => {
                let account = id(&of("Microsoft.Storage/storageAccounts"));
                state.edit(&account, |body, _| body["properties"]["allowSharedKeyAccess"] = json!(true));
                "shared keys on"
            }
            1 => {
                let identity = of("Microsoft.ManagedIdentity/userAssignedIdentities");
                let roles = state.resources_of("Microsoft.Authorization/roleAssignments");
                let role = roles
                    .iter()
                    .find(|role| role["properties"]["principalId"] == identity["properties"]["principalId"]);
                if let Some(role) = role {
                    state.take_role(&id(role));
                }
                "a role taken"
            }
            2 => {
                state.edit(&self.stage.site(), |_, hidden| {
                    hidden["appSettings"]["MIMECAST_OVERLAP"] = json!("1m");
                });
                "a setting changed"
            }
            3 => {
                let rule = id(&of("Microsoft.Insights/dataCollectionRules"));
                state.edit(&rule, |body, _| {
                    body["properties"]["dataFlows"][0]["transformKql"] = json!("source");
                });
                "the transform changed"
            }
            _ => {
                state.edit(&self.stage.site(), |body, hidden| {
                    hidden["appSettings"]["MY_EXTRA"] = json!("1");
                    body["tags"]["theirs"] = json!("1");
                });
                "a setting and a tag of theirs"
            }
        };
        self.done.push(what.to_owned());
    }

    async fn teardown(&mut self) {
        let (standing, more): (_, &[&str]) = match self.random.u8(0..3) {
            0 => (Standing::Absent, &[]),
            1 => (Standing::DataKept, &["--keep-data"]),
            _ => {
                (Standing::Absent, &["--purge", "--purge-table", AUDIT_TABLE, "--purge-table", HEALTH_TABLE])
            }
        };
        let arguments: Vec<&str> = ["teardown", "--yes"].into_iter().chain(more.iter().copied()).collect();
        self.command(0, &arguments).await;
        self.standing = standing;
    }

    /// Whatever was changed by hand is put right by one command, and then there is nothing to do.
    async fn mended(&mut self) {
        let (current, _) = self.tagged();
        let package =
            self.packages.iter().find(|package| Some(hash(package)) == current).expect("one of ours");
        let package = package.to_str().expect("UTF-8").to_owned();
        let mend = if self.random.bool() { "install" } else { "upgrade" };
        self.command(0, &[mend, "--yes", "--wait", "60s", "--package", &package]).await;
        self.command(0, &["plan", "--package", &package]).await;
    }

    /// Nothing carries our tag, nobody has a role who is no more.
    fn nothing_left(&self) {
        let left = kinds(&self.stage.installed());
        assert_eq!(left, [""; 0], "{:?}", self.done);
        let roles = self.stage.simulator.state().resources_of("Microsoft.Authorization/roleAssignments");
        assert_eq!(roles.len(), 1, "{:?}: {roles:#?}", self.done);
    }

    fn a_package(&mut self) -> String {
        let package = self.random.usize(0..self.packages.len());
        self.packages[package].to_str().expect("UTF-8").to_owned()
    }

    /// The package that the Function App's tags name, and the one before it.
    fn tagged(&self) -> (Option<String>, Option<String>) {
        let site = self.stage.simulator.state().resource(&self.stage.site()).expect("there");
        let tag = |name: &str| site["tags"][name].as_str().map(str::to_owned);
        (tag(PACKAGE_TAG), tag(PREVIOUS_PACKAGE_TAG))
    }

    /// Runs a command of the installer's in this process.
    async fn command(&mut self, code: u8, arguments: &[&str]) {
        self.done.push(arguments.join(" "));
        let answers = self.stage.directory.path().join("answers.yaml");
        let mut world = World::with_environment(self.stage.environment.clone());
        world.arguments = ["mimecast-sentinel"]
            .into_iter()
            .chain(arguments.iter().copied())
            .chain(["--answers", answers.to_str().expect("UTF-8")])
            .map(str::to_owned)
            .collect();
        let ended = commands::run(&world).await;
        let wanted = std::process::ExitCode::from(code);
        assert_eq!(format!("{ended:?}"), format!("{wanted:?}"), "{:#?}", self.done);
    }
}
