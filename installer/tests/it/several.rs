//! An installation of several Mimecast accounts: each is proven by its own runs, and none is to blame for
//! another.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use contract::resources::{CHECKPOINT_CONTAINER, SYNC_QUEUE};
use contract::streams::AUDIT_TABLE;
use simulator::installed::accounts::ServedAccount;
use simulator::mimecast::Event;

use crate::stage::Stage;

/// Events that each account has in the beginning.
const EVENTS: u64 = 3;

impl Stage {
    /// Answers for accounts of these keys, in place of the one.
    async fn with_accounts(&mut self, keys: &[&str]) -> Vec<ServedAccount> {
        self.without_the_account();
        let path = self.directory.path().join("answers.yaml");
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str("accounts:\n");
        let mut served = Vec::new();
        for (number, key) in (0_u64..).zip(keys) {
            let account = self.simulator.add_mimecast(key).await.expect("listens");
            let own = account.mimecast.settings();
            let (id, secret) = (format!("ID_{number}"), format!("SECRET_{number}"));
            let base_url = account.base_url.as_str().trim_end_matches('/');
            let _ = writeln!(
                text,
                "  - {{key: {key}, base_url: \"{base_url}\", client_id: {{env: {id}}}, client_secret: {{env: {secret}}}}}"
            );
            self.environment.insert(id, own.client_id);
            self.environment.insert(secret, own.client_secret);
            let now = self.simulator.clock().now();
            let at = |event: u64| now - Duration::from_secs(3_600 + event);
            let first = number * 1_000;
            account.mimecast.add((0..EVENTS).map(|event| Event::numbered(first + event, at(event))));
            served.push(account);
        }
        std::fs::write(path, text).unwrap();
        served
    }

    /// How many versions the secret of an account has, and whether each can be read.
    fn account_versions(&self, key: &str) -> Vec<bool> {
        let state = self.simulator.state();
        let vault = state.resources_of("Microsoft.KeyVault/vaults").remove(0);
        let name = contract::settings::account_secret(key);
        let versions = state.secret_versions(vault["id"].as_str().expect("an id"), &name);
        versions.iter().map(|version| version.enabled).collect()
    }

    fn storage_account(&self) -> String {
        let account = self.simulator.state().resources_of("Microsoft.Storage/storageAccounts").remove(0);
        account["name"].as_str().expect("a name").to_owned()
    }

    /// Waits until no run is under way that a restart of the app would end: its lease would outlive it by up
    /// to a minute.
    async fn at_rest(&self) {
        let account = self.storage_account();
        let rest = async {
            while !self.simulator.data().queues.texts(&account, SYNC_QUEUE).is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(120), rest).await.expect("every run ends");
    }

    /// Lets the lease of a run of this account end that a restart ended in the middle.
    fn let_the_lease_end(&self, key: &str) {
        let account = self.storage_account();
        let blob = contract::checkpoint::checkpoint_name(key);
        self.simulator.data().blobs.age_lease(&account, CHECKPOINT_CONTAINER, &blob, Duration::from_secs(61));
    }

    /// Lets the timer fire and waits for the runs of both accounts that it asks for.
    async fn tick(&self) {
        // A run that begins in the second in which the one before ended has nothing to read, and asks nobody.
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        let (hosts, site) = (&self.simulator.data().hosts, self.site());
        let runs = || hosts.invocations(&site).iter().filter(|run| run.function == "SyncWork").count();
        let before = runs();
        let run = hosts.fire(&site, "Sync").await.expect("published");
        assert!(run.outcome.is_ok(), "{:?}", run.outcome);
        let both = async {
            while runs() < before + 2 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), both).await.expect("both accounts run");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_proven_by_its_own_run_and_not_blamed_for_another() {
    let mut stage = Stage::start().await;
    let accounts = stage.with_accounts(&["alpha", "beta"]).await;
    let run = stage.command("install", &["--yes", "--wait", "60s"]).await.expect(0);
    assert!(run.stderr.contains("run of the worker: good for 2 accounts"), "{}", run.stderr);
    stage.command("status", &[]).await.expect(0);
    stage.at_rest().await;

    // The one account's secret moves, the other's does not.
    accounts[1].mimecast.configure(|settings| settings.client_secret = "the-second-secret".to_owned());
    accounts[1].mimecast.expire_tokens();
    stage.environment.insert("SECRET_1".to_owned(), "the-second-secret".to_owned());
    let run = stage.command("rotate", &["--yes", "--wait", "60s", "beta"]).await.expect(0);
    assert!(run.stdout.contains("Rotated: "), "{}", run.stdout);
    assert!(run.stderr.contains("run of the worker: good for account `beta`"), "{}", run.stderr);
    assert_eq!(stage.account_versions("alpha"), [true]);
    assert_eq!(stage.account_versions("beta"), [false, true]);

    stage.at_rest().await;

    // What Mimecast takes from here and not from the worker is not proven by the other account's good runs.
    accounts[1].mimecast.configure(|settings| settings.client_secret = "the-third-secret".to_owned());
    accounts[1].mimecast.expire_tokens();
    stage.environment.insert("SECRET_1".to_owned(), "the-third-secret".to_owned());
    let rotation = stage.command("rotate", &["--yes", "--wait", "20s", "beta"]);
    let refusal = async {
        while stage.account_versions("beta").len() < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        accounts[1].mimecast.configure(|settings| settings.client_secret = "the-second-secret".to_owned());
        accounts[1].mimecast.expire_tokens();
    };
    let (run, ()) = tokio::join!(rotation, refusal);
    let run = run.expect(3);
    assert!(run.stderr.contains("put back: run of the worker: account `beta`: failed in "), "{}", run.stderr);
    assert_eq!(stage.account_versions("beta"), [false, false, false, true]);
    stage.environment.insert("SECRET_1".to_owned(), "the-second-secret".to_owned());
    stage.tick().await;
    stage.command("status", &[]).await.expect(0);

    // An account that did not work before does not keep an upgrade from being good.
    accounts[1].mimecast.configure(|settings| settings.product = false);
    // The run before this one may have left the worker with a token.
    accounts[1].mimecast.expire_tokens();
    stage.tick().await;
    let status = stage.command("status", &[]).await.expect(1);
    assert!(status.stdout.contains("the last run of account `beta` failed"), "{}", status.stdout);
    // The rotation that was put back may have ended a run of the other account in the middle.
    stage.let_the_lease_end("alpha");
    let upgrade = ["--yes", "--wait", "60s", "--set", "collect.overlap=20m"];
    let run = stage.command("upgrade", &upgrade).await.expect(0);
    assert!(run.stderr.contains("run of the worker: good for account `alpha`"), "{}", run.stderr);

    // Nothing was lost over all this, and nothing came twice.
    accounts[1].mimecast.configure(|settings| settings.product = true);
    stage.tick().await;
    let rows = stage.simulator.data().rows.of(AUDIT_TABLE);
    let keys: BTreeSet<&str> = rows.iter().filter_map(|row| row["eventKey_s"].as_str()).collect();
    assert_eq!((rows.len() as u64, keys.len() as u64), (2 * EVENTS, 2 * EVENTS));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_account_is_looked_for_among_what_another_installation_delivers() {
    let mut stage = Stage::start().await;
    stage.with_accounts(&["a", "b"]).await;
    let other = ["--yes", "--wait", "60s", "--name", "other", "--resource-group", "rg-other"];
    stage.command("install", &other).await.expect(0);
    stage.at_rest().await;
    let document = stage.command("doctor", &["--pre", "--output", "json"]).await.expect(1).json();
    let checks = document["checks"].as_array().expect("checks");
    let same = checks.iter().find(|check| check["id"] == "same-account").expect("it is found");
    let told = same["result"].as_str().expect("a text");
    assert!(told.contains("the newest event of the account `a`, `b` is there already"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_fails_does_not_hide_behind_one_that_works() {
    let mut stage = Stage::start().await;
    let accounts = stage.with_accounts(&["a", "b"]).await;
    stage.command("install", &["--yes", "--wait", "60s"]).await.expect(0);
    stage.at_rest().await;
    accounts[1].mimecast.configure(|settings| settings.product = false);
    accounts[1].mimecast.expire_tokens();
    stage.tick().await;
    let document = stage.command("doctor", &["--output", "json"]).await.expect(1).json();
    let runs = |state: &str| {
        let checks = document["checks"].as_array().expect("checks").iter();
        let runs = checks.filter(|check| check["id"] == "last-run" && check["state"] == state);
        runs.map(|check| check["result"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert!(runs("good").iter().any(|run| run.contains("account `a`")), "{document:#}");
    assert!(runs("failed").iter().any(|run| run.contains("account `b`")), "{document:#}");
}
