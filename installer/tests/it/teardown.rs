//! `teardown` takes away what we made and nothing else.

use serde_json::json;

use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_ours_is_left_but_the_tables() {
    let stage = Stage::start().await;
    stage.command("install", &["--yes", "--no-wait"]).await.expect(0);
    let run = stage.command("teardown", &["--yes", "--output", "json"]).await.expect(0);
    assert_eq!(run.json()["left"], json!([]));
    let again = stage.command("teardown", &["--yes"]).await.expect(0);
    assert!(again.stdout.contains("Nothing to do"), "{}", again.stdout);
}
