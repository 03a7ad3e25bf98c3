//! An installation that shall feed another workspace.

use std::collections::BTreeSet;
use std::time::Duration;

use contract::streams::AUDIT_TABLE;
use installer::azure::ResourceId;
use serde_json::json;
use simulator::mimecast::Event;

use crate::stage::{Stage, connect};
use crate::teardown::shared;

#[tokio::test(flavor = "multi_thread")]
async fn another_workspace_is_refused_with_the_way_there_which_loses_and_repeats_nothing() {
    // BR-090
    let stage = Stage::start().await;
    let old = stage.simulator.workspace_id().to_owned();
    let group = old.split("/providers/").next().expect("a group").to_owned();
    let new = stage.simulator.state().add_workspace(&group, "law-new", "westeurope");
    let sentinel = format!("{new}/providers/Microsoft.SecurityInsights/onboardingStates/default");
    let azure = connect(&stage.simulator).await;
    azure
        .put(&ResourceId::parse(&sentinel).unwrap(), "2025-09-01", &json!({"properties": {}}))
        .await
        .unwrap();
    stage.command("install", &["--yes", "--wait", "60s"]).await.expect(0);
    let moved = stage.simulator.data().rows.of(AUDIT_TABLE).len();

    let another = format!("workspace.resource_id={new}");
    let mark = stage.simulator.journal().len();
    for command in ["install", "upgrade"] {
        let run = stage.command(command, &["--yes", "--set", &another]).await.expect(1);
        for part in
            ["the answers name `law-new`", "`mimecast-sentinel teardown --keep-data`", "nothing was changed"]
        {
            assert!(run.stderr.contains(part), "{part} in {}", run.stderr);
        }
    }
    assert_eq!(stage.writes(mark), [""; 0]);

    // As it says: the checkpoint stays, so the new workspace begins where the old one ends.
    stage.command("teardown", &["--yes", "--keep-data"]).await.expect(0);
    let content = || stage.everything().into_keys().filter(|id| shared(id)).collect::<Vec<_>>();
    assert_eq!(content(), [""; 0]);
    let at = stage.simulator.clock().now() - Duration::from_secs(120);
    stage.simulator.mimecast().add([Event::numbered(1_000, at)]);
    stage.command("install", &["--yes", "--wait", "60s", "--set", &another]).await.expect(0);
    let rows = stage.simulator.data().rows.of(AUDIT_TABLE);
    let keys: BTreeSet<&str> = rows.iter().filter_map(|row| row["eventKey_s"].as_str()).collect();
    assert_eq!((rows.len(), keys.len()), (moved + 1, moved + 1));
    assert!(content().iter().all(|id| id.contains("/law-new/")) && !content().is_empty());
    stage.command("plan", &["--set", &another]).await.expect(0);
}
