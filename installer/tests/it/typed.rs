//! What a person types at a terminal: the name of a table that shall go, and a secret that is not shown; and
//! what they see while they wait.

use std::time::Duration;

use contract::streams::{AUDIT_TABLE, HEALTH_TABLE};
use simulator::fault::{Action, Fault, Matcher};

use crate::stage::Stage;
use crate::terminal::Terminal;

/// What to type when which text is on the screen.
type Dialogue<'a> = &'a [(&'a str, &'a str)];

/// Runs a command at a terminal and has this dialogue with it; gives the exit code and the whole screen.
async fn talk(stage: &Stage, command: &str, more: &[&str], dialogue: Dialogue<'_>) -> (Option<i32>, String) {
    let mut command = stage.prepared(command, more);
    let mut terminal = Terminal::of(&mut command, 100);
    let mut child = command.spawn().expect("starts");
    // Its copies of the terminal would keep the screen open.
    drop(command);
    for (seen, typed) in dialogue {
        terminal.wait_for(seen).await;
        terminal.type_in(typed);
    }
    terminal.end(&mut child).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_goes_when_its_name_was_typed_and_not_before() {
    let stage = Stage::start().await;
    stage.command("install", &["--yes", "--no-wait"]).await.expect(0);
    let there = |name: &str| {
        let table = format!("{}/tables/{name}", stage.simulator.workspace_id());
        stage.simulator.state().resource(&table).is_some()
    };
    let audit = format!("All rows of `{AUDIT_TABLE}` go for good");
    let health = format!("All rows of `{HEALTH_TABLE}` go for good");

    let mark = stage.simulator.journal().len();
    for dialogue in [
        &[(health.as_str(), "yes\r")][..],
        &[(health.as_str(), "MimecastAuditHealth_CL\r"), (audit.as_str(), "\r")],
        &[
            (health.as_str(), "MimecastAuditHealth_CL\r"),
            (audit.as_str(), "MimecastAudit_CL\r"),
            ("Remove all of this?", "n"),
        ],
    ] {
        let (code, screen) = talk(&stage, "teardown", &["--purge"], dialogue).await;
        assert_eq!(code, Some(1), "{screen}");
        assert!(screen.contains("cancelled") && screen.contains("nothing was changed"), "{screen}");
    }
    assert_eq!(stage.writes(mark), [""; 0]);
    assert!(there(AUDIT_TABLE) && there(HEALTH_TABLE));

    let dialogue = [
        (health.as_str(), "MimecastAuditHealth_CL\r"),
        (audit.as_str(), "MimecastAudit_CL\r"),
        ("Remove all of this?", "y"),
    ];
    let (code, screen) = talk(&stage, "teardown", &["--purge"], &dialogue).await;
    assert_eq!(code, Some(0), "{screen}");
    assert!(!there(AUDIT_TABLE) && !there(HEALTH_TABLE), "{screen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_secret_is_typed_unseen_and_a_wait_shows_what_was_found_and_how_long_it_usually_takes() {
    const NEW: &str = "a-secret-typed-by-a-person";
    let mut stage = Stage::start().await;
    // The worker's rows take their time, so that they are waited for.
    let rows = Matcher::new("ingestion", "POST", "");
    stage.simulator.faults().add(Fault::once(rows, Action::Delay(Duration::from_millis(1_500))));
    let (code, screen) = talk(&stage, "install", &["--yes", "--wait", "60s"], &[]).await;
    assert_eq!(code, Some(0), "{screen}");
    for part in [
        "run of the worker: a run's row usually shows within ten minutes",
        // The moving line, with a bar of how much of the usual wait is over.
        "run of the worker: accepted, its health row is not visible yet",
        "[----------]",
        "audit rows are in the workspace",
    ] {
        assert!(screen.contains(part), "{part} in {screen}");
    }

    stage.environment.remove("MIMECAST_CLIENT_SECRET");
    stage.simulator.mimecast().configure(|settings| settings.client_secret = NEW.to_owned());
    stage.simulator.mimecast().expire_tokens();
    let typed = format!("{NEW}\r");
    let dialogue =
        [("New value of mimecast.client_secret", typed.as_str()), ("Write the new versions?", "y")];
    let (code, screen) = talk(&stage, "rotate", &["--wait", "60s", "client_secret"], &dialogue).await;
    assert_eq!(code, Some(0), "{screen}");
    assert!(screen.contains("Rotated: mimecast-client-secret."), "{screen}");
    assert!(!screen.contains(NEW), "{screen}");
    stage.command("status", &[]).await.expect(0);
}
