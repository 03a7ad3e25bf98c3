//! `plan` shows what would be done and does nothing.

use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_changes_nothing_and_says_so_by_its_exit_code() {
    let stage = Stage::start().await;
    let mark = stage.simulator.journal().len();
    let run = stage.command("plan", &[]).await.expect(10);
    assert_eq!(stage.writes(mark), [""; 0]);
    assert!(run.stdout.contains("+ storage account `st"), "{}", run.stdout);
    assert!(run.stdout.contains("+ Function App `func-mimecast-audit-"), "{}", run.stdout);
    assert!(run.stdout.contains("note: Mimecast has "), "{}", run.stdout);
    // BR-153
    assert!(!run.stderr.contains('\u{1b}') && !run.stdout.contains('\u{1b}'), "{}", run.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_for_programs_is_one_document() {
    let stage = Stage::start().await;
    let run = stage.command("plan", &["--output", "json"]).await.expect(10);
    let steps = run.json()["plan"]["steps"].as_array().expect("steps").len();
    assert!(steps > 20, "{steps}");
    for line in run.stderr.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_answers_are_all_listed_and_nothing_is_called() {
    // BR-154, BR-155
    let stage = Stage::start().await;
    stage.answers("colect: {every: 5m}\nhosting: {plan: premium}\n");
    let mark = stage.simulator.journal().len();
    let run = stage.command("plan", &[]).await.expect(1);
    assert!(run.stderr.contains("answers.yaml:13: colect: unknown key"), "{}", run.stderr);
    assert!(
        run.stderr.contains("answers.yaml:14: hosting.plan: `premium` is not accepted"),
        "{}",
        run.stderr
    );
    assert_eq!(stage.simulator.journal().since(mark).len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_mimecast_secret_stops_before_anything_is_made() {
    // BR-033
    let mut stage = Stage::start().await;
    stage.environment.insert("MIMECAST_CLIENT_SECRET".to_owned(), "canary-wrong-value".to_owned());
    let mark = stage.simulator.journal().len();
    let run = stage.command("install", &["--yes"]).await.expect(1);
    assert!(run.stderr.contains("Mimecast refused the credentials (HTTP 401"), "{}", run.stderr);
    assert!(!run.stderr.contains("canary-wrong-value"), "{}", run.stderr);
    assert_eq!(stage.writes(mark), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_that_is_not_there_stops_before_anything_is_made() {
    // BR-002
    let stage = Stage::start().await;
    let mark = stage.simulator.journal().len();
    let other = format!("workspace.resource_id={}-other", stage.simulator.workspace_id());
    let run = stage.command("install", &["--yes", "--set", &other]).await.expect(1);
    assert!(run.stderr.contains("is not there, or this account may not read it"), "{}", run.stderr);
    assert_eq!(stage.writes(mark), [""; 0]);
}
