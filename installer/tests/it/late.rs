//! What Azure is late with is waited out, on the simulator's clock.

use std::time::Duration;

use simulator::fault::{Action, Fault, Matcher};
use simulator::state::Pace;

use crate::stage::Stage;

/// Waits are a five-hundredth of what they are with Azure: thirty minutes are under four seconds.
const SCALE: &str = "0.002";

/// Lets twenty-one minutes pass on the simulator's clock whenever three more calls were refused for want of
/// a role, for as long as this is polled.
async fn minutes_pass(stage: &Stage) {
    let mut met = 0;
    loop {
        let entries = stage.simulator.journal().entries();
        let refused = |service: &str, status: u16| {
            entries.iter().filter(|entry| entry.service == service && entry.status == Some(status)).count()
        };
        let now = refused("blob", 403) + refused("scm", 400);
        if now >= met + 3 {
            met = now;
            stage.simulator.clock().advance(Duration::from_secs(21 * 60));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_that_spread_after_twenty_minutes_and_resources_that_are_seen_late_end_well() {
    // BR-077, BR-125, BR-126
    let mut stage = Stage::start().await;
    stage.environment.insert("MIMECAST_SENTINEL_TIMINGS_SCALE".to_owned(), SCALE.to_owned());
    stage.simulator.state().set_pace(Pace {
        polls: 3,
        unseen_reads: 3,
        role_spread: Duration::from_secs(20 * 60),
        ..Pace::default()
    });
    let install = stage.command("install", &["--yes", "--wait", "60s"]);
    let run = tokio::select! {
        run = install => run.expect(0),
        () = minutes_pass(&stage) => unreachable!("it has no end"),
    };
    assert!(run.stdout.contains("audit rows are in the workspace"), "{}", run.stdout);
    assert!(run.stderr.contains("usually works within two minutes, at times thirty"), "{}", run.stderr);
    let entries = stage.simulator.journal().entries();
    let refused = |service: &str| {
        entries.iter().any(|entry| entry.service == service && matches!(entry.status, Some(403 | 400)))
    };
    assert!(refused("blob"), "a role was waited for");
    stage.command("plan", &[]).await.expect(0);
    // Nothing that was given for the time of the installation is left.
    assert_eq!(stage.assignments_of(&stage.simulator.person().object_id), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_site_that_answers_404_and_a_container_that_refuses_it_end_well() {
    // BR-106
    let mut stage = Stage::start().await;
    stage.environment.insert("MIMECAST_SENTINEL_TIMINGS_SCALE".to_owned(), SCALE.to_owned());
    let faults = stage.simulator.faults();
    let refused = "InnerErrors: BlobUploadFailedException: Failed to upload blob to storage account: This request \
                   is not authorized to perform this operation using this permission. Status: 403 ErrorCode: \
                   AuthorizationPermissionMismatch";
    let publish = || Matcher::new("scm", "POST", "/api/publish");
    let habits = [(404, "404 Web Site not found."), (403, ""), (400, refused), (400, refused)];
    for (before, (status, body)) in habits.into_iter().enumerate() {
        faults.add(Fault::answer(publish(), status, body).skip(before));
    }
    faults.add(Fault::answer(Matcher::new("scm", "GET", "/api/deployments/"), 404, "").times(3));
    // The app's own host, and what builds on resources that one of Azure's servers does not know yet.
    for (before, status) in [404, 404, 503, 503].into_iter().enumerate() {
        faults.add(Fault::answer(Matcher::new("site", "GET", "/admin/host/status"), status, "").skip(before));
    }
    let absent = r#"{"error":{"code":"ParentResourceNotFound","message":"Can not perform requested operation on nested resource."}}"#;
    for target in ["/blobservices/default/containers/packages?", "/basicpublishingcredentialspolicies/ftp?"] {
        faults.add(Fault::answer(Matcher::new("arm", "PUT", target), 404, absent).times(2));
    }
    let table = r#"{"error":{"code":"InvalidPayload","message":"Data collection rule is invalid","details":[{"code":"InvalidOutputTable","message":"Table for output stream 'Custom-MimecastAudit_CL' is not available for destination 'workspace'."}]}}"#;
    faults.add(
        Fault::answer(Matcher::new("arm", "PUT", "/datacollectionrules/dcr-mimecast-audit?"), 400, table)
            .times(2),
    );

    let run = stage.command("install", &["--yes", "--wait", "60s"]).await.expect(0);
    assert!(run.stdout.contains("audit rows are in the workspace"), "{}", run.stdout);
    let entries = stage.simulator.journal().entries();
    let met = entries.iter().filter(|entry| entry.service == "scm" && entry.method == "POST").count();
    assert!(met >= 5, "{met} attempts to publish");
    stage.command("plan", &[]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_never_spreads_ends_with_its_name() {
    let mut stage = Stage::start().await;
    stage.environment.insert("MIMECAST_SENTINEL_TIMINGS_SCALE".to_owned(), "0.0005".to_owned());
    stage.simulator.state().set_pace(Pace { role_spread: Duration::from_secs(86_400), ..Pace::default() });
    let run = stage.command("install", &["--yes", "--no-wait"]).await.expect(3);
    for part in ["gave up after ", "Storage Blob Data Contributor", "to go on:    run the same command again"]
    {
        assert!(run.stderr.contains(part), "{part} in {}", run.stderr);
    }
    // A later run, when roles have spread, takes back what this one gave.
    stage.simulator.clock().advance(Duration::from_secs(2 * 86_400));
    stage.simulator.state().set_pace(Pace::default());
    stage.command("install", &["--yes", "--no-wait"]).await.expect(0);
    assert_eq!(stage.assignments_of(&stage.simulator.person().object_id), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_is_no_reason_to_stop() {
    let stage = Stage::start().await;
    for (service, method, target) in [
        ("arm", "PUT", "/microsoft.web/sites/func-"),
        ("arm", "GET", "/operationresults/"),
        ("blob", "PUT", "checkpoint.txt"),
        ("scm", "POST", "/api/publish"),
    ] {
        stage.simulator.faults().add(Fault::once(Matcher::new(service, method, target), Action::DropBefore));
    }
    stage.command("install", &["--yes", "--no-wait"]).await.expect(0);
    stage.command("plan", &[]).await.expect(0);
}
