//! `rotate`: a new version of a secret is proven by a run before the old one is disabled.

use std::time::Duration;

use contract::secret::Secret;
use simulator::fault::{Action, Fault, Matcher};
use simulator::state::secret::SecretVersion;

use crate::stage::{Run, Stage};
use crate::stopped::until_busy;

impl Stage {
    fn versions(&self, name: &str) -> Vec<SecretVersion> {
        let state = self.simulator.state();
        let vault = state.resources_of("Microsoft.KeyVault/vaults").remove(0);
        state.secret_versions(vault["id"].as_str().expect("an id"), name)
    }

    /// The values of a secret's versions with whether each can be read, the newest last.
    pub(crate) fn values(&self, name: &str) -> Vec<(String, bool)> {
        self.versions(name).iter().map(|each| (each.value.expose().clone(), each.enabled)).collect()
    }

    /// Has Mimecast take this client secret from now on, and no other.
    pub(crate) fn accept(&self, value: &str) {
        let value = value.to_owned();
        self.simulator.mimecast().configure(move |settings| settings.client_secret = value);
        self.simulator.mimecast().expire_tokens();
    }

    /// Has Mimecast take the credentials once more, when they are tried from here, and then no longer.
    pub(crate) fn refuse_runs(&self) {
        let refuses = Fault::answer(Matcher::new("mimecast", "POST", "/oauth/token"), 401, "{}");
        self.simulator.faults().add(Fault { skip: 1, times: 1_000, ..refuses });
    }

    pub(crate) async fn rotate(&mut self, variable: &str, value: &str, more: &[&str]) -> Run {
        self.environment.insert(variable.to_owned(), value.to_owned());
        let arguments: Vec<&str> =
            ["--yes", "--wait", "40s"].into_iter().chain(more.iter().copied()).collect();
        let run = self.command("rotate", &arguments).await;
        assert!(!run.stdout.contains(value) && !run.stderr.contains(value));
        run
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_client_secret_is_proven_and_a_bad_one_leaves_the_old_one_in_use() {
    const NAME: &str = "mimecast-client-secret";
    const VARIABLE: &str = "MIMECAST_CLIENT_SECRET";
    let mut stage = Stage::start().await;
    stage.command("install", &["--yes", "--wait", "60s"]).await.expect(0);
    let first = stage.simulator.mimecast().settings().client_secret;

    stage.accept("the-second-secret");
    let run = stage.rotate(VARIABLE, "the-second-secret", &["client_secret"]).await.expect(0);
    assert!(run.stdout.contains("Rotated: mimecast-client-secret."), "{}", run.stdout);
    let second = ("the-second-secret".to_owned(), true);
    assert_eq!(stage.values(NAME), [(first.clone(), false), second.clone()]);
    assert_eq!(stage.versions("mimecast-client-id").len(), 1);
    // The right on the vault was for the time of it.
    assert_eq!(stage.assignments_of(&stage.simulator.person().object_id), 1);
    stage.command("status", &[]).await.expect(0);

    let run = stage.rotate(VARIABLE, "the-second-secret", &[]).await.expect(0);
    assert!(run.stdout.contains("Nothing to do"), "{}", run.stdout);
    let run = stage.rotate(VARIABLE, "a-mistyped-secret", &[NAME]).await.expect(1);
    assert!(run.stderr.contains("nothing was changed"), "{}", run.stderr);
    assert_eq!(stage.versions(NAME).len(), 2);

    stage.accept("the-third-secret");
    stage.refuse_runs();
    let run = stage.rotate(VARIABLE, "the-third-secret", &["mimecast.client_secret"]).await.expect(3);
    assert!(run.stderr.contains("the old one was put back: run of the worker: failed in "), "{}", run.stderr);
    stage.simulator.faults().clear();
    assert_eq!(
        stage.values(NAME),
        [
            (first, false),
            ("the-second-secret".to_owned(), false),
            ("the-third-secret".to_owned(), false),
            second
        ]
    );
    stage.accept("the-second-secret");
    let run = stage.simulator.data().hosts.fire(&stage.site(), "Sync").await.expect("published");
    assert!(run.outcome.is_ok(), "{:?}", run.outcome);
    stage.command("status", &[]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_never_called_mimecast_proves_no_secret() {
    let mut stage = Stage::start().await;
    stage.command("install", &["--yes", "--wait", "60s"]).await.expect(0);
    // From now on nothing has settled yet, as for a run that begins right after another.
    stage.simulator.state().edit(&stage.site(), |_, extra| {
        extra["appSettings"]["MIMECAST_SETTLE"] = "2h".into();
    });
    stage.accept("the-second-secret");
    stage.environment.insert("MIMECAST_CLIENT_SECRET".to_owned(), "the-second-secret".to_owned());
    let run = stage.command("rotate", &["--yes", "--wait", "3s", "client_secret"]).await.expect(3);
    let told = "the old one was put back: run of the worker: ok, but it asked Mimecast for nothing";
    assert!(run.stderr.contains(told), "{}", run.stderr);
    let present = stage.values("mimecast-client-secret").pop().expect("a version");
    assert!(present.1 && present.0 != "the-second-secret");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_whose_runs_nobody_may_look_at_is_not_proven_and_both_versions_stay() {
    const NAME: &str = "mimecast-client-secret";
    const VARIABLE: &str = "MIMECAST_CLIENT_SECRET";
    let mut stage = Stage::start().await;
    stage.command("install", &["--yes", "--wait", "60s"]).await.expect(0);
    let first = stage.simulator.mimecast().settings().client_secret;
    stage.accept("the-second-secret");
    stage.no_queries();
    let run = stage.rotate(VARIABLE, "the-second-secret", &["client_secret"]).await.expect(3);
    for part in [
        "the new value is in use and was not proven, since no run could be looked at: this account may not query",
        "the old version stays enabled beside the new one",
        "what to do: the role Log Analytics Reader on the workspace",
        "code: unproven",
    ] {
        assert!(run.stderr.contains(part), "{part} in {}", run.stderr);
    }
    assert!(!run.stdout.contains("A good run was seen"), "{}", run.stdout);
    let both = [(first.clone(), true), ("the-second-secret".to_owned(), true)];
    assert_eq!(stage.values(NAME), both);

    // With the role the same command proves it.
    stage.simulator.faults().clear();
    let run = stage.rotate(VARIABLE, "the-second-secret", &["client_secret"]).await.expect(0);
    assert!(run.stdout.contains("A good run was seen with the new version"), "{}", run.stdout);
    assert_eq!(stage.values(NAME), [(first, false), ("the-second-secret".to_owned(), true)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_with_the_old_secret_whose_row_shows_late_proves_nothing() {
    const NAME: &str = "mimecast-client-secret";
    let mut stage = Stage::start().await;
    stage.command("install", &["--yes", "--wait", "60s"]).await.expect(0);
    let first = stage.simulator.mimecast().settings().client_secret;
    // A run right before the change, which no query shows yet.
    stage.simulator.data().rows.set_latency(Duration::from_secs(3_600));
    let run = stage.simulator.data().hosts.fire(&stage.site(), "Sync").await.expect("published");
    assert!(run.outcome.is_ok(), "{:?}", run.outcome);

    stage.accept("the-second-secret");
    stage.refuse_runs();
    stage.environment.insert("MIMECAST_CLIENT_SECRET".to_owned(), "the-second-secret".to_owned());
    let shown = stage.show_rows_once_a_run_is_asked_for();
    let run = stage.command("rotate", &["--yes", "--wait", "40s", "client_secret"]).await;
    shown.await.expect("shown");
    let run = run.expect(3);
    assert!(run.stderr.contains("the old one was put back: run of the worker: failed in "), "{}", run.stderr);
    let values = stage.values(NAME);
    assert_eq!(values.last(), Some(&(first, true)));
    assert!(!values.contains(&("the-second-secret".to_owned(), true)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_whose_proof_was_never_seen_is_not_what_is_gone_back_to() {
    const NAME: &str = "mimecast-client-secret";
    const VARIABLE: &str = "MIMECAST_CLIENT_SECRET";
    let mut stage = Stage::start().await;
    stage.command("install", &["--yes", "--wait", "60s"]).await.expect(0);
    let first = stage.simulator.mimecast().settings().client_secret;

    // Killed after the second value was written, and before any run has shown it to be good.
    stage.accept("the-second-secret");
    stage.environment.insert(VARIABLE.to_owned(), "the-second-secret".to_owned());
    let refresh = Matcher::new("arm", "POST", "/config/configreferences/appsettings/refresh");
    stage.simulator.faults().add(Fault::once(refresh, Action::Delay(Duration::from_secs(30))));
    let mut child = stage.start_command("rotate", &["--yes", "--wait", "40s", "client_secret"]);
    until_busy(&stage).await;
    child.kill().await.expect("killed");
    let unproven = [(first.clone(), true), ("the-second-secret".to_owned(), true)];
    assert_eq!(stage.values(NAME), unproven);

    // Another value that is not good either leads back to the first one.
    stage.accept("the-third-secret");
    stage.refuse_runs();
    let run = stage.rotate(VARIABLE, "the-third-secret", &["client_secret"]).await.expect(3);
    stage.simulator.faults().clear();
    assert!(run.stderr.contains("what to do: "), "{}", run.stderr);
    let gone = |value: &str| (value.to_owned(), false);
    let back = [gone(&first), gone("the-second-secret"), gone("the-third-secret"), (first.clone(), true)];
    assert_eq!(stage.values(NAME), back);
    assert_eq!(stage.assignments_of(&stage.simulator.person().object_id), 1);

    // The very value that was interrupted is proven after all when it is given again.
    stage.accept("the-second-secret");
    let run = stage.rotate(VARIABLE, "the-second-secret", &[]).await.expect(0);
    assert!(run.stdout.contains("Rotated: mimecast-client-secret."), "{}", run.stdout);
    assert_eq!(stage.values(NAME).last(), Some(&("the-second-secret".to_owned(), true)));
    let standing = stage.versions(NAME).pop().expect("a version").tags["mimecast-sentinel-trial"].clone();
    assert_eq!(standing, "passed");
    let run = stage.rotate(VARIABLE, "the-second-secret", &[]).await.expect(0);
    assert!(run.stdout.contains("Nothing to do"), "{}", run.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_key_of_the_first_generation_is_rotated_and_a_stopped_rotation_goes_on() {
    let mut stage = Stage::start().await;
    stage.speak_one();
    stage.command("install", &["--yes", "--wait", "60s"]).await.expect(0);

    // Base64 of thirty-two letters.
    let next = "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWY=".to_owned();
    let value = next.clone();
    stage.simulator.mimecast().configure(move |settings| settings.secret_key = value);
    // The vault's refusal to disable the old version stops it after its proof.
    let lost = Matcher::new("", "PATCH", "/secrets/mimecast-secret-key/");
    stage.simulator.faults().add(Fault {
        times: 50,
        ..Fault::once(
            lost,
            Action::Answer {
                status: 403,
                headers: Vec::new(),
                body: r#"{"error":{"code":"Forbidden","message":"no"}}"#.to_owned(),
            },
        )
    });
    let run = stage.rotate("MIMECAST_SECRET_KEY", &next, &["secret_key"]).await.expect(3);
    for part in [
        "a good run was seen with the new version of `mimecast-secret-key`, which stays in use",
        "Azure refused the request (403)",
        "what to do: run the same command with the same value again",
    ] {
        assert!(run.stderr.contains(part), "{part} in {}", run.stderr);
    }
    assert!(!run.stderr.contains("the old values are in use"), "{}", run.stderr);
    stage.simulator.faults().clear();
    let enabled = |stage: &Stage| -> Vec<bool> {
        stage.versions("mimecast-secret-key").iter().map(|each| each.enabled).collect()
    };
    assert_eq!(enabled(&stage), [true, true]);
    let run = stage.rotate("MIMECAST_SECRET_KEY", &next, &["secret_key"]).await.expect(0);
    assert!(run.stdout.contains("Rotated: mimecast-secret-key."), "{}", run.stdout);
    assert_eq!(enabled(&stage), [false, true]);
    assert_eq!(stage.versions("mimecast-secret-key")[1].value, Secret::new(next));
    assert_eq!(stage.assignments_of(&stage.simulator.person().object_id), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_secret_of_ours_is_rotated_and_its_value_comes_from_where_the_answers_say() {
    let mut stage = Stage::start().await;
    stage.command("install", &["--yes", "--no-wait"]).await.expect(0);
    let mark = stage.simulator.journal().len();
    let unknown = stage.command("rotate", &["--yes", "password"]).await.expect(1);
    assert!(unknown.stderr.contains("`password` is no secret of this installation"), "{}", unknown.stderr);
    assert!(unknown.stderr.contains("mimecast.client_secret"), "{}", unknown.stderr);
    stage.environment.remove("MIMECAST_CLIENT_SECRET");
    let absent = stage.command("rotate", &["--yes", "client_secret"]).await.expect(1);
    assert!(absent.stderr.contains("`MIMECAST_CLIENT_SECRET`, which is not set"), "{}", absent.stderr);
    assert_eq!(stage.writes(mark), [""; 0]);
}
