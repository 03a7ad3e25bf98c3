//! `install` makes everything, proves it, and does nothing the second time.

use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn a_second_install_changes_nothing() {
    let stage = Stage::start().await;
    const FIRST_RUN: &str = "the first run reads about";
    let plan = stage.command("plan", &[]).await.expect(10);
    assert!(plan.stdout.contains(FIRST_RUN), "{}", plan.stdout);
    let run = stage.command("install", &["--yes", "--wait", "60s"]).await.expect(0);
    assert!(run.stdout.contains("Installed: "), "{}", run.stdout);

    let mark = stage.simulator.journal().len();
    let run = stage.command("install", &["--yes"]).await.expect(0);
    assert!(run.stdout.contains("Nothing to do"), "{}", run.stdout);
    assert_eq!(stage.writes(mark), [""; 0]);
    let plan = stage.command("plan", &[]).await.expect(0);
    assert!(plan.stdout.contains("events of the last 24 hours"), "{}", plan.stdout);
    assert!(!plan.stdout.contains(FIRST_RUN), "{}", plan.stdout);
    let status = stage.command("status", &[]).await.expect(0);
    assert!(status.stdout.contains("All is well."), "{}", status.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_yes_and_without_a_terminal_nothing_is_made() {
    let stage = Stage::start().await;
    let mark = stage.simulator.journal().len();
    let run = stage.command("install", &[]).await.expect(1);
    assert!(run.stderr.contains("give --yes"), "{}", run.stderr);
    assert_eq!(stage.writes(mark), [""; 0]);
}
