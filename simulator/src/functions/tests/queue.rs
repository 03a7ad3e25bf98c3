//! The host's part on a queue.

use std::time::Duration;

use serde_json::json;

use super::{SCHEDULE, package, until};
use crate::data::scene::{GROUP, Scene};
use crate::functions::HostOptions;
use crate::functions::invocation::{Cause, Failure, Invocation};

/// A scene whose queue service listens, with the queue `sync-work` and a site that takes from it.
async fn listening(instances: usize, settings: &[(&str, &str)]) -> (Scene, String) {
    let scene = Scene::with_roles();
    let service = crate::queue::router(scene.data.clone());
    let queues = scene.data.state.ground().listen("queue", service).await.unwrap();
    let account = scene.data.storage_account("account").unwrap();
    let id = format!("{account}/queueServices/default/queues/sync-work");
    scene.put(&id, "Microsoft.Storage/storageAccounts/queueServices/queues", "sync-work", json!({}));
    scene.data.reconcile();
    let uri = format!("{queues}account");
    let mut all = vec![SCHEDULE, ("AzureWebJobsStorage__queueServiceUri", uri.as_str())];
    all.extend_from_slice(settings);
    let site = scene.site(&all);
    scene.data.hosts.set_options(HostOptions { instances, ..HostOptions::default() });
    scene.data.hosts.publish(&site, package());
    scene.data.hosts.condition(&site).await;
    (scene, site)
}

fn send(scene: &Scene, text: &str) {
    let mut queues = scene.data.queues.lock();
    let queue = crate::queue::find(&mut queues, "account", "sync-work").unwrap();
    queue.send(text.to_owned(), time::Duration::ZERO, None, scene.data.state.now());
}

fn texts(scene: &Scene, queue: &str) -> Vec<String> {
    scene.data.queues.texts("account", queue)
}

fn message(invocation: &Invocation) -> String {
    let seen = &invocation.outcome.as_ref().unwrap()["ReturnValue"]["body"];
    serde_json::from_str(seen["Data"]["msg"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn a_message_reaches_the_worker_and_is_deleted_after_success() {
    let (scene, site) = listening(1, &[]).await;
    send(&scene, "{\"account\":\"<a>\"}");
    until(|| texts(&scene, "sync-work").is_empty()).await;
    let invocation = scene.data.hosts.invocations(&site).pop().unwrap();
    assert_eq!((invocation.cause, message(&invocation).as_str()), (Cause::Queue, "{\"account\":\"<a>\"}"));
    let seen = &invocation.outcome.unwrap()["ReturnValue"];
    assert_eq!(seen["request"], "POST /SyncWork HTTP/1.1");
    assert_eq!(seen["body"]["Metadata"]["DequeueCount"], "1");
}

#[tokio::test]
async fn a_message_that_fails_twice_is_poison() {
    let (scene, site) = listening(1, &[("ON_CALL", "status:500")]).await;
    send(&scene, "bad");
    until(|| texts(&scene, "sync-work-poison") == ["bad"]).await;
    until(|| texts(&scene, "sync-work").is_empty()).await;
    // `maxDequeueCount` of the package is 2.
    let outcomes: Vec<_> =
        scene.data.hosts.invocations(&site).into_iter().map(|each| each.outcome.unwrap_err()).collect();
    assert_eq!(outcomes, [Failure::Status(500), Failure::Status(500)]);
}

#[tokio::test]
async fn several_instances_share_the_messages_and_each_is_worked_once() {
    let (scene, site) = listening(3, &[]).await;
    assert_eq!(scene.data.hosts.process_ids(&site).len(), 3);
    let sent: Vec<String> = (0..30).map(|number| format!("message {number:02}")).collect();
    for text in &sent {
        send(&scene, text);
    }
    until(|| texts(&scene, "sync-work").is_empty()).await;
    let invocations = scene.data.hosts.invocations(&site);
    let mut worked: Vec<String> = invocations.iter().map(message).collect();
    worked.sort();
    assert_eq!(worked, sent);
    assert!((0..3).all(|instance| invocations.iter().any(|each| each.instance == instance)));
}

#[tokio::test]
async fn without_the_role_nothing_is_taken_until_it_is_there() {
    let (scene, site) = listening(1, &[]).await;
    let resource = scene.data.state.resource(&site).unwrap();
    let principal = resource["identity"]["principalId"].as_str().unwrap().to_owned();
    let role = contract::resources::STORAGE_QUEUE_DATA_CONTRIBUTOR;
    let given = |assignment: &crate::state::role::Assignment| {
        assignment.principal_id == principal && assignment.role_definition_id == role.definition_id
    };
    scene.data.state.lock().assignments.retain(|_, assignment| !given(assignment));
    send(&scene, "one");
    // Whatever was under way is over by then; nothing more is taken.
    until(|| scene.data.state.ground().journal.of("queue").iter().any(|entry| entry.status == Some(403)))
        .await;
    assert_eq!(texts(&scene, "sync-work"), ["one"]);
    scene.data.state.give_role(&principal, GROUP, role);
    until(|| texts(&scene, "sync-work").is_empty()).await;
    assert_eq!(scene.data.hosts.invocations(&site).len(), 1);
}

#[tokio::test]
async fn a_long_run_keeps_its_message_hidden() {
    let (scene, site) = listening(1, &[("ON_CALL", "wait")]).await;
    send(&scene, "slow");
    let renewals = || {
        let calls = scene.data.state.ground().journal.of("queue");
        calls.iter().filter(|entry| entry.method == "PUT" && entry.target.contains("/messages/")).count()
    };
    until(|| scene.data.hosts.lines(&site).iter().any(|line| line.text == "waiting")).await;
    scene.data.state.clock().advance(Duration::from_secs(5 * 60));
    until(|| renewals() == 1).await;
    scene.data.state.clock().advance(Duration::from_secs(6 * 60));
    until(|| renewals() == 2).await;
    assert_eq!(texts(&scene, "sync-work"), ["slow"]);
    assert!(scene.data.hosts.invocations(&site).is_empty());
}
