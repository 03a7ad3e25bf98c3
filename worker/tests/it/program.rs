//! The program itself: by itself in a folder, and under a Functions host.

use std::collections::BTreeMap;
use std::process::{Output, Stdio};
use std::time::Duration;

use contract::settings;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::stage::Stage;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);

fn program(environment: &BTreeMap<String, String>, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mimecast-sentinel-worker"));
    command
        .args(arguments)
        .env_clear()
        .envs(environment)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn output(mut command: Command) -> Output {
    tokio::time::timeout(PATIENCE, command.output()).await.expect("it ends").expect("it starts")
}

fn lines(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("every line is JSON")).collect()
}

#[tokio::test]
async fn by_itself_it_writes_json_lines_and_keeps_its_place_in_the_folder() {
    let stage = Stage::by_the_machines_clock().await;
    let folder = tempfile::tempdir().expect("a folder");
    let to = format!("file:{}", folder.path().display());
    // Nothing of Azure.
    let mut environment = stage.environment.clone();
    environment.retain(|name, _| name.starts_with("MIMECAST_") || name == "SSL_CERT_FILE");
    let events = stage.simulator.mimecast().events().len();
    for _ in 0..2 {
        let run = output(program(&environment, &["run", "--once", "--to", &to])).await;
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
        assert_eq!(lines(&run).last().expect("a line")["result"], "ok");
        assert!(run.stderr.is_empty());
    }
    let rows = std::fs::read_to_string(folder.path().join("MimecastAudit_CL.jsonl")).expect("rows");
    assert_eq!(rows.lines().count(), events);
    let row: Value = serde_json::from_str(rows.lines().next().expect("a row")).expect("JSON");
    for column in contract::streams::AUDIT_COLUMNS {
        assert!(row.get(column.name).is_some(), "{}", column.name);
    }
    let health = std::fs::read_to_string(folder.path().join("MimecastAuditHealth_CL.jsonl")).expect("health");
    assert_eq!(health.lines().count(), 2);
    let checkpoint = std::fs::read(folder.path().join("checkpoint.txt")).expect("a checkpoint");
    assert!(contract::checkpoint::Checkpoint::read(&checkpoint).expect("ours").closed_until.is_some());
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_all_named_and_the_run_fails() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = program(&[].into(), &["run", "--to", "file:out"]);
    command.current_dir(folder.path());
    let run = output(command).await;
    assert_eq!(run.status.code(), Some(1));
    let lines = lines(&run);
    let message = lines.last().expect("a line")["message"].as_str().expect("words");
    for name in [settings::MIMECAST_BASE_URL, settings::MIMECAST_CLIENT_ID, settings::MIMECAST_CLIENT_SECRET]
    {
        assert!(message.contains(name), "{message}");
    }
}

/// A worker under a Functions host, as far as the host is one here.
struct Hosted {
    child: Child,
    root: String,
    http: reqwest::Client,
}

impl Hosted {
    async fn start(environment: &BTreeMap<String, String>) -> Self {
        let port =
            std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port").local_addr().expect("it").port();
        let mut environment = environment.clone();
        environment.insert(settings::FUNCTIONS_CUSTOMHANDLER_PORT.to_owned(), port.to_string());
        let mut child = program(&environment, &[]).spawn().expect("it starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let first = lines.next_line().await.expect("readable").expect("a line");
        assert!(first.contains("\"listening\""), "{first}");
        // What follows must be taken from the pipe, or the worker stops at its end.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { child, root: format!("http://127.0.0.1:{port}"), http: reqwest::Client::new() }
    }

    async fn call(&self, path: &str, body: Option<Value>) -> (u16, Value) {
        let url = format!("{}{path}", self.root);
        let request = match body {
            Some(body) => self.http.post(url).json(&body),
            None => self.http.get(url),
        };
        let answer = request.timeout(PATIENCE).send().await.expect("an answer");
        let status = answer.status().as_u16();
        assert_eq!(answer.headers()["content-type"], "application/json");
        let body: Value = answer.json().await.expect("JSON");
        // The host never completes an invocation without an object.
        assert!(body.is_object(), "{body}");
        (status, body)
    }
}

// BR-091, BR-097
#[tokio::test]
async fn under_the_host_it_answers_at_once_and_each_tick_is_a_run() {
    let stage = Stage::by_the_machines_clock().await;
    let events = stage.simulator.mimecast().events().len();
    let mut hosted = Hosted::start(&stage.environment).await;
    assert_eq!(hosted.call("/", None).await.0, 200);
    let tick = json!({"Data": {"timer": {"IsPastDue": false}}, "Metadata": {}});
    let (status, body) = hosted.call("/Sync", Some(tick.clone())).await;
    assert_eq!((status, body.get("Outputs")), (200, Some(&json!({}))), "{body}");
    assert_eq!(stage.keys().len(), events);
    assert_eq!(hosted.call("/Nothing", Some(tick)).await.0, 404);
    // JSON in any case: an empty answer hangs the host.
    for (path, body) in [("/Sync", None), ("/SyncWork", None), ("/", Some(json!({})))] {
        let (status, body) = hosted.call(path, body).await;
        assert_eq!(status, 405, "{path}");
        assert!(body["Logs"][0].as_str().expect("words").contains(path), "{body}");
    }
    // One byte more than is taken: all of it is read before the answer.
    let empty = json!({ "Data": { "timer": "" } });
    let text = "x".repeat((2 << 20) + 1 - empty.to_string().len());
    for path in ["/Sync", "/SyncWork"] {
        let (status, body) = hosted.call(path, Some(json!({ "Data": { "timer": text } }))).await;
        assert_eq!(status, 413, "{path}: {body}");
    }
    assert!(hosted.child.try_wait().expect("known").is_none(), "it stays up");
}

// BR-062, BR-127, BR-165
#[tokio::test]
async fn a_fault_in_the_settings_fails_each_call_after_its_health_row_and_never_the_process() {
    let mut stage = Stage::by_the_machines_clock().await;
    stage.set(
        settings::MIMECAST_CLIENT_SECRET,
        "@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net/secrets/s)",
    );
    let mut hosted = Hosted::start(&stage.environment).await;
    for calls in 1..=2 {
        let (status, body) =
            hosted.call("/Sync", Some(json!({"Data": {"timer": "{}"}, "Metadata": {}}))).await;
        assert_eq!(status, 500);
        assert!(
            body["Logs"][0].as_str().expect("words").contains(settings::MIMECAST_CLIENT_SECRET),
            "{body}"
        );
        let health = stage.health();
        assert_eq!(health.len(), calls);
        assert_eq!(
            (&health[calls - 1]["Stage"], &health[calls - 1]["Result"]),
            (&"settings".into(), &"failed".into())
        );
    }
    assert!(hosted.child.try_wait().expect("known").is_none(), "it stays up");
    // Nothing was sent to Mimecast with the reference's text.
    assert!(stage.simulator.journal().of("mimecast").is_empty());
}

#[tokio::test]
async fn a_port_that_is_taken_ends_the_process_with_a_failure() {
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = taken.local_addr().expect("it").port().to_string();
    let environment = [(settings::FUNCTIONS_CUSTOMHANDLER_PORT.to_owned(), port)].into();
    let run = output(program(&environment, &["serve"])).await;
    assert_eq!(run.status.code(), Some(1));
}
