//! `upgrade`: what is new is tried, and what ran before is put back where it does not work.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use contract::resources::{PACKAGE_TAG, PACKAGES_CONTAINER, PREVIOUS_PACKAGE_TAG};
use contract::streams::{AUDIT_TABLE, HEALTH_TABLE};
use serde_json::Value;
use simulator::functions::HostOptions;
use simulator::mimecast::Event;

use crate::packages::{handler, hash, variant};
use crate::stage::{Stage, package};

/// A trial that must fail is not waited for longer.
pub(crate) const SHORT: &str = "2s";

/// More than it takes for a second to pass.
const FIRINGS_AT_MOST: usize = 50;

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

impl Stage {
    /// The package that the Function App's tags name, and the one before it.
    pub(crate) fn tagged(&self) -> (Option<String>, Option<String>) {
        let site = self.simulator.state().resource(&self.site()).expect("there");
        let tag = |name: &str| site["tags"][name].as_str().map(str::to_owned);
        (tag(PACKAGE_TAG), tag(PREVIOUS_PACKAGE_TAG))
    }

    /// Adds an event, lets the timer fire, and asserts that every event of Mimecast's is in the table,
    /// and none twice.
    pub(crate) async fn nothing_is_lost_or_repeated(&self, number: u64) {
        let now = self.simulator.clock().now();
        // Older than what Mimecast needs to settle, and within the overlap of the last window.
        self.simulator.mimecast().add([Event::numbered(number, now - Duration::from_secs(120))]);
        let events = self.simulator.mimecast().events().len();
        // A run within the same second as the one before finds nothing settled since.
        for _ in 0..FIRINGS_AT_MOST {
            let run = self.simulator.data().hosts.fire(&self.site(), "Sync").await.expect("published");
            assert!(run.outcome.is_ok(), "{:?}", run.outcome);
            if self.simulator.data().rows.of(AUDIT_TABLE).len() >= events {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let rows = self.simulator.data().rows.of(AUDIT_TABLE);
        let keys: BTreeSet<&str> = rows.iter().filter_map(|row| row["eventKey_s"].as_str()).collect();
        assert_eq!((rows.len(), keys.len()), (events, events));
    }

    pub(crate) fn last_run(&self) -> Value {
        Value::Object(self.simulator.data().rows.of(HEALTH_TABLE).pop().expect("a run"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_that_does_not_work_ends_on_the_old_one_with_the_reason() {
    // BR-011
    let stage = Stage::start().await;
    let options = HostOptions { start_limit: Duration::from_millis(300), ..HostOptions::default() };
    stage.command("install", &["--yes", "--wait", "60s"]).await.expect(0);
    let first = hash(&package());
    stage.nothing_is_lost_or_repeated(1_000).await;
    let settings = stage.settings();
    let folder = stage.directory.path();

    stage.simulator.data().hosts.set_options(options);
    for (number, (name, told, reason)) in [
        ("crashes", "AT_START=exit:3", "Functions host: "),
        ("hangs", "AT_START=silent", "Functions host: "),
        ("answers-badly", "ON_CALL=status:500", "run of the worker: "),
        ("never-answers", "ON_CALL=wait", "run of the worker: "),
    ]
    .into_iter()
    .enumerate()
    {
        let bad = handler(folder, name, &[told]);
        let run = stage.command("upgrade", &["--yes", "--package", text(&bad), "--wait", SHORT]).await;
        // The old worker needs longer to start than the bad ones may.
        stage.simulator.data().hosts.set_options(HostOptions::default());
        let run = run.expect(3);
        let what = "error: the upgrade was not good, and what ran before was put back: ";
        assert!(run.stderr.contains(&format!("{what}{reason}")), "{name}: {}", run.stderr);
        assert_eq!(stage.tagged(), (Some(first.clone()), None), "{name}");
        assert_eq!(stage.settings(), settings, "{name}");
        assert_eq!(stage.assignments_of(&stage.simulator.person().object_id), 1, "{name}");
        stage.nothing_is_lost_or_repeated(2_000 + number as u64).await;
        assert_eq!(stage.last_run()["PackageHash"], first.as_str(), "{name}");
        stage.simulator.data().hosts.set_options(options);
    }
    stage.simulator.data().hosts.set_options(HostOptions::default());

    // The package works, and the settings that come with it do not let it reach Mimecast.
    let other = variant(folder, "other");
    let nowhere = "mimecast.base_url=https://127.0.0.1:1";
    let arguments = ["--yes", "--package", text(&other), "--set", nowhere, "--wait", "40s"];
    let run = stage.command("upgrade", &arguments).await.expect(3);
    assert!(run.stderr.contains("put back: run of the worker: failed in "), "{}", run.stderr);
    assert!(run.stderr.contains("runs again, and a good run of it was seen"), "{}", run.stderr);
    assert_eq!((stage.tagged(), stage.settings()), ((Some(first), None), settings));
    stage.nothing_is_lost_or_repeated(3_000).await;
    stage.command("status", &[]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_moves_what_has_changed_keeps_two_packages_and_can_go_back() {
    // BR-011, BR-115
    let stage = Stage::start().await;
    stage.command("install", &["--yes", "--wait", "60s"]).await.expect(0);
    let site = stage.site();
    assert!(stage.simulator.state().edit(&site, |_, hidden| {
        hidden["appSettings"]["MY_EXTRA"] = "1".into();
    }));
    let folder = stage.directory.path();
    let (one, two) = (package(), variant(folder, "two"));
    let hashes = [hash(&one), hash(&two)];

    let none = stage.command("upgrade", &["--yes"]).await.expect(0);
    assert!(none.stderr.contains("carries no worker package"), "{}", none.stderr);
    assert!(none.stdout.contains("Nothing to do"), "{}", none.stdout);

    let upgrade = ["--yes", "--package", text(&two), "--set", "collect.overlap=20m", "--wait", "60s"];
    let run = stage.command("upgrade", &upgrade).await.expect(0);
    assert!(run.stdout.contains("settings.MIMECAST_OVERLAP: 15m -> 20m"), "{}", run.stdout);
    assert_eq!(stage.tagged(), (Some(hashes[1].clone()), Some(hashes[0].clone())));
    assert_eq!(stage.last_run()["PackageHash"], hashes[1].as_str());
    assert_eq!(stage.settings()["MY_EXTRA"], "1");

    let mark = stage.simulator.journal().len();
    let again = stage.command("upgrade", &["--yes", "--package", text(&two)]).await.expect(0);
    assert!(again.stdout.contains("Nothing to do"), "{}", again.stdout);
    assert_eq!(stage.writes(mark), [""; 0]);

    let back = stage.command("upgrade", &["--yes", "--rollback", "--wait", "60s"]).await.expect(0);
    assert!(back.stdout.contains("Went back to the package before"), "{}", back.stdout);
    assert_eq!(stage.tagged(), (Some(hashes[0].clone()), Some(hashes[1].clone())));
    assert_eq!(stage.last_run()["PackageHash"], hashes[0].as_str());
    assert_eq!(stage.settings()["MIMECAST_OVERLAP"], "20m");
    stage.nothing_is_lost_or_repeated(1_000).await;

    let three = variant(folder, "three");
    stage.command("upgrade", &["--yes", "--package", text(&three), "--wait", "60s"]).await.expect(0);
    let account =
        stage.installed().into_iter().find(|each| each["type"] == "Microsoft.Storage/storageAccounts");
    let account = account.expect("a storage account")["name"].as_str().expect("a name").to_owned();
    let kept = stage.simulator.data().blobs.names(&account, PACKAGES_CONTAINER).expect("the container");
    let expected: BTreeSet<String> =
        [hash(&three), hashes[0].clone()].iter().map(|hash| format!("{hash}.zip")).collect();
    assert_eq!(kept.into_iter().collect::<BTreeSet<_>>(), expected);
    assert_eq!(stage.assignments_of(&stage.simulator.person().object_id), 1);
    stage.command("plan", &["--set", "collect.overlap=20m"]).await;
    stage.command("status", &[]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_nothing_to_upgrade_or_to_go_back_to() {
    let stage = Stage::start().await;
    let absent = stage.command("upgrade", &["--yes"]).await.expect(1);
    assert!(absent.stderr.contains("there is no installation `mimecast-audit`"), "{}", absent.stderr);
    stage.command("install", &["--yes", "--no-wait"]).await.expect(0);
    let mark = stage.simulator.journal().len();
    let first = stage.command("upgrade", &["--yes", "--rollback"]).await.expect(1);
    assert!(first.stderr.contains("no package ran here before the present one"), "{}", first.stderr);
    assert_eq!(stage.writes(mark), [""; 0]);
}
