//! The host, with a real process under it.

mod queue;

use std::io::{Cursor, Write};
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use contract::resources::STORAGE_BLOB_DATA_OWNER;
use serde_json::{Value, json};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::host::Condition;
use super::invocation::{Cause, Failure};
use super::process::{Line, Stream};
use super::{HostOptions, router};
use crate::data::scene::{GROUP, Scene};

/// The program of `examples/handler.rs`, which is built with the tests.
fn handler() -> Vec<u8> {
    let tests = std::env::current_exe().unwrap();
    let built: PathBuf = tests.parent().unwrap().parent().unwrap().join("examples/handler");
    std::fs::read(&built).unwrap_or_else(|error| panic!("{}: {error}", built.display()))
}

fn zip(files: &[(&str, &[u8], u32)]) -> Bytes {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    // Compressing a debug build takes a second each time.
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, content, mode) in files {
        zip.start_file(*name, stored.unix_permissions(*mode)).unwrap();
        zip.write_all(content).unwrap();
    }
    Bytes::from(zip.finish().unwrap().into_inner())
}

fn host_json() -> Value {
    json!({
        "version": "2.0",
        "functionTimeout": "00:10:00",
        "customHandler": {"description": {"defaultExecutablePath": "worker", "arguments": ["%MODE%"]}},
        "extensionBundle": {"id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "[4.*, 5.0.0)"},
        "extensions": {"queues": {"batchSize": 1, "maxDequeueCount": 2, "messageEncoding": "none"}},
    })
}

fn timer_json() -> Value {
    let binding =
        json!({"type": "timerTrigger", "direction": "in", "name": "timer", "schedule": "%SCHEDULE%"});
    json!({"bindings": [binding]})
}

fn queue_json() -> Value {
    let binding = json!({
        "type": "queueTrigger", "direction": "in", "name": "msg", "queueName": "sync-work",
        "connection": "AzureWebJobsStorage",
    });
    json!({"bindings": [binding]})
}

fn package() -> Bytes {
    let (host, timer, queue) = (host_json().to_string(), timer_json().to_string(), queue_json().to_string());
    zip(&[
        ("host.json", host.as_bytes(), 0o644),
        ("Sync/function.json", timer.as_bytes(), 0o644),
        ("SyncWork/function.json", queue.as_bytes(), 0o644),
        ("worker", &handler(), 0o755),
    ])
}

const SCHEDULE: (&str, &str) = ("SCHEDULE", "0 */5 * * * *");

/// A scene with a site that runs the handler with these settings.
async fn published(settings: &[(&str, &str)]) -> (Scene, String) {
    let scene = Scene::with_roles();
    let mut all = vec![SCHEDULE];
    all.extend_from_slice(settings);
    let site = scene.site(&all);
    scene.data.hosts.publish(&site, package());
    scene.data.hosts.condition(&site).await;
    (scene, site)
}

/// Waits until something holds, which other tasks bring about; gives up after ten seconds.
async fn until(mut holds: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not come about");
}

async fn errors(scene: &Scene, site: &str) -> Vec<String> {
    match scene.data.hosts.condition(site).await {
        Condition::Error(reasons) => reasons,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_timer_reaches_the_worker_as_the_host_sends_it() {
    // BR-091
    let (scene, site) = published(&[("MODE", "serve"), ("MINE", "1")]).await;
    let invocation = scene.data.hosts.fire(&site, "Sync").await.unwrap();
    let seen = invocation.outcome.unwrap()["ReturnValue"].clone();
    assert_eq!(seen["request"], "POST /Sync HTTP/1.1");
    assert_eq!(seen["headers"]["x-azure-functions-invocationid"], json!(invocation.id.to_string()));
    assert_eq!(seen["headers"]["content-type"], "application/json; charset=utf-8");
    assert_eq!(seen["body"]["Data"]["timer"]["IsPastDue"], false);
    assert_eq!(seen["body"]["Data"]["timer"]["ScheduleStatus"]["Last"], "0001-01-01T00:00:00");
    let environment = seen["environment"].as_object().unwrap();
    assert_eq!(environment["MINE"], "1");
    for name in ["IDENTITY_ENDPOINT", "IDENTITY_HEADER", "SSL_CERT_FILE", "FUNCTIONS_CUSTOMHANDLER_PORT"] {
        assert!(environment.contains_key(name), "{name}");
    }
    // Nothing of the environment of this test reaches the worker.
    assert!(!environment.contains_key("CARGO_MANIFEST_DIR"));
    assert_eq!(invocation.cause, Cause::Timer);
    let second = scene.data.hosts.fire(&site, "Sync").await.unwrap();
    let seen = second.outcome.unwrap()["ReturnValue"].clone();
    assert_ne!(seen["body"]["Data"]["timer"]["ScheduleStatus"]["Last"], "0001-01-01T00:00:00");
    let line = |stream, text: &str| Line { stream, text: text.to_owned() };
    until(|| scene.data.hosts.lines(&site).len() == 2).await;
    let lines = scene.data.hosts.lines(&site);
    assert!(lines.contains(&line(Stream::Stdout, "started")), "{lines:?}");
    assert!(lines.contains(&line(Stream::Stderr, "a line on stderr")), "{lines:?}");
}

#[tokio::test]
async fn answers_are_taken_as_strictly_as_the_host_takes_them() {
    let outcome = async |on_call: &str| {
        let (scene, site) = published(&[("ON_CALL", on_call)]).await;
        scene.data.hosts.fire(&site, "Sync").await.unwrap().outcome.unwrap_err()
    };
    assert_eq!(outcome("empty").await, Failure::EmptyBody);
    assert_eq!(outcome("status:500").await, Failure::Status(500));
    assert!(matches!(outcome("text").await, Failure::NotJson(_)));
    assert!(matches!(outcome("array").await, Failure::NotJson(_)));
}

#[tokio::test]
async fn a_worker_that_exits_with_zero_is_not_started_again() {
    let (scene, site) = published(&[("ON_CALL", "exit:0")]).await;
    let failed = scene.data.hosts.fire(&site, "Sync").await.unwrap();
    assert!(matches!(failed.outcome, Err(Failure::NoAnswer(_))));
    until(|| scene.data.hosts.process_ids(&site).is_empty()).await;
    assert_eq!(scene.data.hosts.condition(&site).await, Condition::WorkerEnded);
    let failed = scene.data.hosts.fire(&site, "Sync").await.unwrap();
    assert!(matches!(failed.outcome, Err(Failure::NotRun(_))));
}

#[tokio::test]
async fn a_worker_that_exits_with_200_is_started_again_however_often() {
    let (scene, site) = published(&[("ON_CALL", "exit:200")]).await;
    for _ in 0..4 {
        let before = scene.data.hosts.process_ids(&site);
        scene.data.hosts.fire(&site, "Sync").await.unwrap();
        until(|| {
            let now = scene.data.hosts.process_ids(&site);
            !now.is_empty() && now != before
        })
        .await;
    }
    assert_eq!(scene.data.hosts.condition(&site).await, Condition::Running);
}

#[tokio::test]
async fn three_faults_within_thirty_minutes_stop_the_host() {
    let (scene, site) = published(&[]).await;
    let fault = async || {
        let before = scene.data.hosts.process_ids(&site);
        assert!(scene.data.hosts.kill_worker(&site, 0));
        until(|| scene.data.hosts.process_ids(&site) != before).await;
    };
    let started_again = async || until(|| !scene.data.hosts.process_ids(&site).is_empty()).await;
    fault().await;
    started_again().await;
    fault().await;
    started_again().await;
    // The first two are too long ago to count.
    scene.data.state.clock().advance(Duration::from_secs(30 * 60));
    fault().await;
    started_again().await;
    fault().await;
    started_again().await;
    fault().await;
    assert!(errors(&scene, &site).await[0].contains("the worker was killed"));
    assert!(scene.data.hosts.process_ids(&site).is_empty());
}

#[tokio::test]
async fn a_worker_that_does_not_start_stops_the_host_with_the_reason() {
    let (scene, site) = published(&[("AT_START", "exit:7")]).await;
    let reasons = errors(&scene, &site).await;
    assert!(reasons[0].contains("Code(7)") && reasons[0].contains("a line on stderr"), "{reasons:?}");

    let scene = Scene::with_roles();
    let site = scene.site(&[SCHEDULE, ("AT_START", "silent")]);
    let start_limit = Duration::from_millis(50);
    scene.data.hosts.set_options(HostOptions { start_limit, ..HostOptions::default() });
    scene.data.hosts.publish(&site, package());
    assert!(errors(&scene, &site).await[0].contains("did not answer on its port within 50ms"));
}

#[tokio::test]
async fn the_whole_process_group_is_killed() {
    let (scene, site) = published(&[("AT_START", "child")]).await;
    let child = || {
        let lines = scene.data.hosts.lines(&site);
        lines.iter().find_map(|line| line.text.strip_prefix("child ").map(str::to_owned))
    };
    until(|| child().is_some()).await;
    let process = PathBuf::from("/proc").join(child().unwrap());
    let alive = || {
        // A process that was killed stays as a zombie until its new parent has seen it.
        let status = std::fs::read_to_string(process.join("stat")).unwrap_or_default();
        status.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
    };
    assert!(alive());
    scene.data.hosts.stop();
    until(|| !alive()).await;
}

#[tokio::test]
async fn changed_settings_start_the_worker_anew_and_a_deleted_site_ends_it() {
    let (scene, site) = published(&[("MINE", "1")]).await;
    let before = scene.data.hosts.process_ids(&site);
    scene.data.reconcile();
    assert_eq!(scene.data.hosts.process_ids(&site), before);
    scene.set_settings(&site, &[SCHEDULE, ("MINE", "2")]);
    scene.data.reconcile();
    let seen = scene.data.hosts.fire(&site, "Sync").await.unwrap().outcome.unwrap()["ReturnValue"].clone();
    assert_eq!(seen["environment"]["MINE"], "2");
    let running = scene.data.hosts.process_ids(&site);
    assert_ne!(running, before);
    scene.data.state.lock().resources.remove(&site.to_ascii_lowercase());
    scene.data.reconcile();
    assert!(scene.data.hosts.process_ids(&site).is_empty());
    assert!(scene.data.hosts.fire(&site, "Sync").await.is_none());
}

#[tokio::test]
async fn packages_that_cannot_run_say_why() {
    let tried = async |files: &[(&str, &[u8], u32)]| {
        let scene = Scene::with_roles();
        let site = scene.site(&[SCHEDULE]);
        scene.data.hosts.publish(&site, zip(files));
        errors(&scene, &site).await.remove(0)
    };
    let host = host_json().to_string();
    let worker = handler();
    // BR-061: files under a folder of their own.
    assert!(tried(&[("app/host.json", host.as_bytes(), 0o644)]).await.contains("`host.json` is missing"));
    // BR-093
    let missing = tried(&[("host.json", host.as_bytes(), 0o644), ("Worker", &worker, 0o755)]).await;
    assert!(missing.contains("`worker` is not in the package"), "{missing}");
    // BR-094
    let mode = tried(&[("host.json", host.as_bytes(), 0o644), ("worker", &worker, 0o644)]).await;
    assert!(mode.contains("may not be executed: its mode in the package is 644"), "{mode}");
    assert!(tried(&[("host.json", b"{", 0o644)]).await.contains("not valid JSON"));
    // BR-009
    let wrong = tried(&[("host.json", host.as_bytes(), 0o644), ("worker", b"\x7fELF\x02wrong", 0o755)]).await;
    assert!(wrong.contains("starting"), "{wrong}");
}

#[tokio::test]
async fn a_function_that_cannot_be_read_is_left_out_and_told() {
    let scene = Scene::with_roles();
    let site = scene.site(&[]);
    scene.data.hosts.publish(&site, package());
    assert_eq!(scene.data.hosts.condition(&site).await, Condition::Running);
    let failed = scene.data.hosts.fire(&site, "Sync").await.unwrap().outcome.unwrap_err();
    assert!(failed.to_string().contains("'%SCHEDULE%' does not resolve"), "{failed}");
}

#[tokio::test]
async fn without_the_role_on_its_storage_the_host_waits_for_it() {
    let scene = Scene::with_roles();
    let site = scene.site_without_roles(&[SCHEDULE]);
    scene.data.hosts.publish(&site, package());
    assert!(errors(&scene, &site).await[0].contains("Storage Blob Data Owner"));
    let key = scene.data.state.master_key(&site);
    let service = router(scene.data.clone(), &site);
    let status = async || {
        let headers = [("x-functions-key", key.as_str())];
        scene.send(&service, "GET", "/admin/host/status", &headers, Vec::new()).await.json()
    };
    assert_eq!(status().await["state"], "Error");
    let resource = scene.data.state.resource(&site).unwrap();
    let principal = resource["identity"]["principalId"].as_str().unwrap();
    scene.data.state.give_role(principal, GROUP, STORAGE_BLOB_DATA_OWNER);
    assert_eq!(status().await["state"], "Running");
}

#[tokio::test]
async fn a_connection_string_is_refused() {
    // BR-105
    let (scene, site) = published(&[("AzureWebJobsStorage", "DefaultEndpointsProtocol=https")]).await;
    assert!(errors(&scene, &site).await[0].contains("KeyBasedAuthenticationNotPermitted"));
}

#[tokio::test]
async fn the_admin_endpoints_want_the_master_key_and_run_functions_by_hand() {
    let (scene, site) = published(&[("AzureWebJobs.Sync.Disabled", "true")]).await;
    let service = router(scene.data.clone(), &site);
    let key = scene.data.state.master_key(&site);
    let send = async |method: &str, target: &str, key: &str, body: &str| {
        let headers = [("x-functions-key", key), ("content-type", "application/json")];
        scene.send(&service, method, target, &headers, body.into()).await
    };
    assert_eq!(send("GET", "/admin/host/status", "wrong", "").await.status, 401);
    assert_eq!(send("GET", "/admin/host/status", &key, "").await.json()["state"], "Running");
    let functions = send("GET", "/admin/functions", &key, "").await.json();
    assert_eq!((&functions[0]["name"], &functions[0]["is_disabled"]), (&json!("Sync"), &json!(true)));
    // A disabled function does not fire, and still runs by hand.
    assert!(scene.data.hosts.fire(&site, "Sync").await.unwrap().outcome.is_err());
    assert_eq!(send("POST", "/admin/functions/Sync", &key, "{\"input\":\"past\"}").await.status, 202);
    scene.data.hosts.idle(&site).await;
    let by_hand = scene.data.hosts.invocations(&site).pop().unwrap();
    let seen = by_hand.outcome.unwrap()["ReturnValue"].clone();
    assert_eq!((by_hand.cause, &seen["request"]), (Cause::Admin, &json!("POST /Sync HTTP/1.1")));
    // The input of a timer is no part of what the worker gets; that of a queue function is its message.
    assert!(!seen["body"].to_string().contains("past"));
    assert_eq!(send("POST", "/admin/functions/SyncWork", &key, "{\"input\":\"past\"}").await.status, 202);
    scene.data.hosts.idle(&site).await;
    let queued = scene.data.hosts.invocations(&site).pop().unwrap().outcome.unwrap();
    assert_eq!(queued["ReturnValue"]["body"]["Data"]["msg"], "\"past\"");
    assert_eq!(send("POST", "/admin/functions/Other", &key, "{}").await.status, 404);
    assert_eq!(send("POST", "/admin/functions/Sync", &key, "").await.status, 400);
}
