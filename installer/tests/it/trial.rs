//! Trials that do not go straight to their end: interrupted, refused on the way, or with nothing to look at.

use std::process::Stdio;
use std::time::Duration;

use contract::resources::PACKAGES_CONTAINER;
use contract::settings::MIMECAST_SENTINEL_TRIAL;
use contract::streams::HEALTH_TABLE;
use rustix::process::Signal;
use serde_json::json;
use simulator::fault::{Action, Fault, Matcher};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::packages::{handler, hash, variant};
use crate::stage::{Stage, package};
use crate::stopped::{end, send, until_busy};
use crate::upgrade::{SHORT, text};

/// More often than anything is asked here.
const ALWAYS: usize = 100_000;
/// Far more kills than an upgrade has writes: the loop must end by itself.
const KILLS_AT_MOST: usize = 40;
/// How long a call is held whose caller is killed meanwhile.
const HELD: Duration = Duration::from_secs(120);

/// Where an upgrade is killed.
#[derive(Debug, Clone, Copy)]
enum At {
    /// Its settings are written, and its package is not published.
    Publishing,
    /// Its package is on trial.
    Trying,
}

impl At {
    fn call(self) -> Matcher {
        match self {
            Self::Publishing => Matcher::new("scm", "POST", "/api/publish"),
            Self::Trying => Matcher::new("arm", "GET", "/config/configreferences/appsettings"),
        }
    }
}

impl Stage {
    async fn installed_and_seen() -> Self {
        let stage = Self::start().await;
        stage.command("install", &["--yes", "--wait", "60s"]).await.expect(0);
        stage
    }

    /// Has the workspace refuse queries from now on.
    pub(crate) fn no_queries(&self) {
        let body = r#"{"error":{"code":"InsufficientAccessError","message":"no access"}}"#;
        let refuses = Fault::answer(Matcher::new("query", "POST", "/query"), 403, body);
        self.simulator.faults().add(refuses.times(ALWAYS));
    }

    /// Lets queries see every row as soon as the host is asked for a run from now on.
    pub(crate) fn show_rows_once_a_run_is_asked_for(&self) -> tokio::task::JoinHandle<()> {
        let (journal, rows) = (self.simulator.journal().clone(), self.simulator.data().rows.clone());
        let mark = journal.len();
        tokio::spawn(async move {
            let asked = || {
                let since = journal.since(mark);
                since
                    .iter()
                    .any(|entry| entry.method == "POST" && entry.path().ends_with("/admin/functions/Sync"))
            };
            while !asked() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            rows.set_latency(Duration::ZERO);
        })
    }

    /// Starts an upgrade, and kills it at this point.
    async fn killed(&self, at: At, arguments: &[&str]) {
        self.simulator.faults().add(Fault::once(at.call(), Action::Delay(HELD)));
        let mut child = self.start_command("upgrade", arguments);
        until_busy(self).await;
        child.kill().await.expect("killed");
    }

    fn noted(&self) -> bool {
        self.settings().contains_key(MIMECAST_SENTINEL_TRIAL)
    }

    /// Runs an upgrade again and again, killed each time when it has written once more, until it has come to
    /// its end with these packages; gives how often it was killed.
    async fn killed_until(&self, arguments: &[&str], ended: &(Option<String>, Option<String>)) -> usize {
        for kills in 0..KILLS_AT_MOST {
            let mark = self.simulator.journal().len();
            let mut child = self.start_command("upgrade", arguments);
            let status = loop {
                tokio::select! {
                    status = child.wait() => break Some(status.expect("ends")),
                    () = tokio::time::sleep(Duration::from_millis(5)) => {}
                }
                if !self.writes(mark).is_empty() {
                    child.kill().await.expect("killed");
                    break None;
                }
            };
            if let Some(status) = status {
                assert_eq!(status.code(), Some(0), "after {kills} kills");
            }
            // The note goes last: killed after that it had nothing left to do.
            if self.tagged() == *ended && !self.noted() {
                return kills + usize::from(status.is_none());
            }
            assert!(status.is_none(), "ended elsewhere: {:?}", self.tagged());
        }
        panic!("killed {KILLS_AT_MOST} times, and it has not ended");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_killed_on_its_way_is_tried_to_its_end_by_the_same_command() {
    // BR-011, BR-106
    let stage = Stage::installed_and_seen().await;
    let folder = stage.directory.path();
    let first = hash(&package());
    let settings = stage.settings();
    let bad = handler(folder, "answers-badly", &["ON_CALL=status:500"]);
    let bad_one = ["--yes", "--package", text(&bad), "--set", "collect.overlap=20m", "--wait", SHORT];
    for at in [At::Publishing, At::Trying] {
        stage.killed(at, &bad_one).await;
        assert!(stage.noted(), "{at:?}");
        assert_eq!(stage.settings()["MIMECAST_OVERLAP"], "20m", "{at:?}");
        let run = stage.command("upgrade", &bad_one).await.expect(3);
        let told = "the upgrade was not good, and what ran before was put back: run of the worker: ";
        assert!(run.stderr.contains(told), "{at:?}: {}", run.stderr);
        assert_eq!((stage.tagged(), stage.settings()), ((Some(first.clone()), None), settings.clone()));
        assert_eq!(stage.assignments_of(&stage.simulator.person().object_id), 1);
    }
    stage.nothing_is_lost_or_repeated(1_000).await;
    assert_eq!(stage.last_run()["PackageHash"], first.as_str());

    // One that works is kept, and was seen to work.
    let mut previous = first;
    for (at, name) in [(At::Publishing, "two"), (At::Trying, "three")] {
        let good = variant(folder, name);
        let good_one = ["--yes", "--package", text(&good), "--set", "collect.overlap=20m", "--wait", "60s"];
        stage.killed(at, &good_one).await;
        let run = stage.command("upgrade", &good_one).await.expect(0);
        assert!(run.stdout.contains("Upgraded: host, timer and a good run were seen."), "{}", run.stdout);
        assert_eq!(stage.tagged(), (Some(hash(&good)), Some(previous)));
        assert!(!stage.noted());
        let again = stage.command("upgrade", &good_one).await.expect(0);
        assert!(again.stdout.contains("Nothing to do"), "{}", again.stdout);
        previous = hash(&good);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_upgrade_is_gone_back_from_with_its_settings() {
    let stage = Stage::installed_and_seen().await;
    let folder = stage.directory.path();
    let first = hash(&package());
    let settings = stage.settings();
    let bad = handler(folder, "answers-badly", &["ON_CALL=status:500"]);
    let third = variant(folder, "third");
    let killed = ["--yes", "--package", text(&bad), "--set", "collect.overlap=20m", "--wait", "60s"];

    stage.killed(At::Trying, &killed).await;
    assert_eq!(stage.tagged(), (Some(hash(&bad)), Some(first.clone())));
    let back = stage.command("upgrade", &["--yes", "--rollback", "--wait", "60s"]).await.expect(0);
    assert!(back.stdout.contains("Went back to the package before: a good run of it"), "{}", back.stdout);
    assert_eq!((stage.tagged(), stage.settings()), ((Some(first.clone()), None), settings));

    // Another package instead: what was never seen to work is not what is gone back to later.
    stage.killed(At::Trying, &killed).await;
    stage.command("upgrade", &["--yes", "--package", text(&third), "--wait", "60s"]).await.expect(0);
    assert_eq!(stage.tagged(), (Some(hash(&third)), Some(first.clone())));
    let account =
        stage.installed().into_iter().find(|each| each["type"] == "Microsoft.Storage/storageAccounts");
    let account = account.expect("a storage account")["name"].as_str().expect("a name").to_owned();
    let kept = stage.simulator.data().blobs.names(&account, PACKAGES_CONTAINER).expect("the container");
    assert!(
        kept.contains(&format!("{first}.zip")) && !kept.contains(&format!("{}.zip", hash(&bad))),
        "{kept:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_and_a_rollback_killed_after_every_write_end_whole() {
    // BR-005, BR-011
    let stage = Stage::installed_and_seen().await;
    let two = variant(stage.directory.path(), "two");
    let hashes = [hash(&package()), hash(&two)].map(Some);
    let upgrade = ["--yes", "--package", text(&two), "--set", "collect.overlap=20m", "--wait", "60s"];
    let kills = stage.killed_until(&upgrade, &(hashes[1].clone(), hashes[0].clone())).await;
    assert!(kills >= 4, "{kills} kills");
    let again = stage.command("upgrade", &upgrade).await.expect(0);
    assert!(again.stdout.contains("Nothing to do"), "{}", again.stdout);

    let back = ["--yes", "--rollback", "--wait", "60s"];
    let kills = stage.killed_until(&back, &(hashes[0].clone(), hashes[1].clone())).await;
    assert!(kills >= 4, "{kills} kills");
    assert_eq!(stage.settings()["MIMECAST_OVERLAP"], "20m");
    assert_eq!(stage.assignments_of(&stage.simulator.person().object_id), 1);
    stage.nothing_is_lost_or_repeated(1_000).await;
    assert_eq!(stage.last_run()["PackageHash"].as_str(), hashes[0].as_deref());
    stage.command("status", &[]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_that_cannot_be_published_leaves_the_settings_as_they_were() {
    // BR-011, BR-106
    let stage = Stage::installed_and_seen().await;
    let settings = stage.settings();
    let first = (Some(hash(&package())), None);
    let two = variant(stage.directory.path(), "two");
    let upgrade = ["--yes", "--package", text(&two), "--set", "collect.overlap=20m", "--wait", "60s"];
    let refused =
        Fault::answer(Matcher::new("scm", "POST", "/api/publish"), 400, "The package could not be read.");
    stage.simulator.faults().add(refused.times(ALWAYS));
    let run = stage.command("upgrade", &upgrade).await.expect(3);
    for part in [
        "error: the worker could not be published, and what ran before was put back",
        "caused by: could not finish worker, published to the Function App",
        "The package could not be read.",
        "to go on:    run the same command again",
    ] {
        assert!(run.stderr.contains(part), "{part} in {}", run.stderr);
    }
    stage.simulator.faults().clear();
    assert_eq!((stage.tagged(), stage.settings()), (first.clone(), settings.clone()));
    stage.nothing_is_lost_or_repeated(1_000).await;
    assert_eq!(stage.last_run()["PackageHash"].as_str(), first.0.as_deref());

    // Published after all, and its tags are refused: which one runs must be made sure.
    let tags = Fault::answer(Matcher::new("arm", "PATCH", "/tags/default"), 400, "no");
    stage.simulator.faults().add(tags);
    stage.command("upgrade", &upgrade).await.expect(3);
    assert_eq!((stage.tagged(), stage.settings()), (first.clone(), settings));
    stage.nothing_is_lost_or_repeated(2_000).await;
    assert_eq!(stage.last_run()["PackageHash"].as_str(), first.0.as_deref());

    stage.command("upgrade", &upgrade).await.expect(0);
    assert_eq!(stage.tagged(), (Some(hash(&two)), first.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_whose_runs_nobody_may_look_at_says_so() {
    let stage = Stage::installed_and_seen().await;
    let two = variant(stage.directory.path(), "two");
    stage.no_queries();
    let run = stage.command("upgrade", &["--yes", "--package", text(&two), "--wait", "60s"]).await.expect(0);
    let told = "Upgraded: host and timer were seen.\nNo run was looked at, so none has proven it: this account may \
                not query the workspace; the role Log Analytics Reader on the workspace is needed to see rows.";
    assert!(run.stdout.contains(told), "{}", run.stdout);
    let back = stage.command("upgrade", &["--yes", "--rollback", "--wait", "60s"]).await.expect(0);
    let told = "Went back to the package before: host and timer were seen.\nNo run was looked at";
    assert!(back.stdout.contains(told), "{}", back.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_the_old_package_that_bears_the_new_hash_proves_nothing() {
    let stage = Stage::installed_and_seen().await;
    let bad = handler(stage.directory.path(), "answers-badly", &["ON_CALL=status:500"]);
    let rows = stage.simulator.data().rows.clone();
    // What the old package reports after the settings were written and before the new one was published, which no
    // query shows at first.
    rows.set_latency(Duration::from_secs(3_600));
    let shown = stage.show_rows_once_a_run_is_asked_for();
    let (journal, mark) = (stage.simulator.journal().clone(), stage.simulator.journal().len());
    let (workspace, sha256) = (stage.simulator.workspace_id().to_owned(), hash(&bad));
    let reported = tokio::spawn(async move {
        let published =
            || journal.since(mark).into_iter().find(|entry| entry.path().ends_with("/api/publish"));
        let at = loop {
            match published() {
                Some(entry) => break entry.at,
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        };
        let text = |at: OffsetDateTime| at.format(&Rfc3339).expect("a time");
        let row = json!({
            "TimeGenerated": text(at), "Installation": "mimecast-audit", "PackageHash": sha256, "Result": "ok",
            "WindowEnd": text(at), "DurationMs": 0, "Delivered": 1,
        });
        rows.add(&workspace, HEALTH_TABLE, row.as_object().cloned());
    });
    let run = stage.command("upgrade", &["--yes", "--package", text(&bad), "--wait", SHORT]).await.expect(3);
    reported.await.expect("reported");
    shown.await.expect("shown");
    assert!(run.stderr.contains("put back: run of the worker: "), "{}", run.stderr);
    assert_eq!(stage.tagged(), (Some(hash(&package())), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stops_during_a_trial_that_fails_is_told_what_was_put_back_and_why() {
    let stage = Stage::installed_and_seen().await;
    let settings = stage.settings();
    let bad = handler(stage.directory.path(), "answers-badly", &["ON_CALL=status:500"]);
    // Held as long as it takes to send a signal on a machine with other work.
    let held = Fault::once(At::Trying.call(), Action::Delay(Duration::from_millis(2_500)));
    stage.simulator.faults().add(held);
    let mut command = stage.prepared("upgrade", &["--yes", "--package", text(&bad), "--wait", SHORT]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("starts");
    until_busy(&stage).await;
    send(&child, Signal::INT);
    let (status, told) = end(child).await;
    assert_eq!(status.code(), Some(130), "{told}");
    let why = "what is new was not good, and what was there before was put back: run of the worker: ";
    for part in ["stopped; what Azure was busy with has ended", why] {
        assert!(told.contains(part), "{part} in {told}");
    }
    assert_eq!((stage.tagged(), stage.settings()), ((Some(hash(&package())), None), settings));
}
