//! `answers` helps to write the file and judges it.

use serde_json::json;

use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn the_commented_file_is_complete_and_valid() {
    let stage = Stage::start().await;
    let run = stage.run(&["answers", "init"]).await.expect(0);
    std::fs::write(stage.directory.path().join("new.yaml"), &run.stdout).unwrap();
    let checked =
        stage.run(&["answers", "check", "--answers", "new.yaml", "--cloud", "public"]).await.expect(0);
    assert!(
        checked.stdout.starts_with("The answers are valid: installation `mimecast-audit`"),
        "{}",
        checked.stdout
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_lists_everything_that_is_wrong_and_calls_nobody() {
    let stage = Stage::start().await;
    stage.answers("name: Other\ntable: {retention_days: 1}\n");
    let mark = stage.simulator.journal().len();
    let run =
        stage.run(&["answers", "check", "--answers", "answers.yaml", "--output", "json"]).await.expect(1);
    let problems = run.json()["error"]["problems"].as_array().unwrap().len();
    assert_eq!(problems, 2, "{}", run.stdout);
    assert_eq!(stage.simulator.journal().since(mark).len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_connectors_parameters_become_answers() {
    let stage = Stage::start().await;
    let file = json!({ "parameters": { "appName": { "value": "mimecast" }, "mimecastSecretKey": { "value": "canary-value" } } });
    std::fs::write(stage.directory.path().join("old.json"), file.to_string()).unwrap();
    let run = stage.run(&["answers", "import", "old.json"]).await.expect(0);
    assert!(run.stdout.contains("name: mimecast\n"), "{}", run.stdout);
    assert!(run.stderr.contains("MIMECAST_SECRET_KEY"), "{}", run.stderr);
    assert!(!format!("{}{}", run.stdout, run.stderr).contains("canary-value"));
}
