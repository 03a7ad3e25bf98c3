//! Who stops an installation is asked at a terminal, told how to go on, and goes on with the same command.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use simulator::fault::{Action, Fault, Matcher};
use tokio::io::AsyncReadExt;
use tokio::process::Child;

use crate::stage::Stage;
use crate::terminal::Terminal;

/// How long the held step takes: long enough to send signals meanwhile on a machine with other work.
const HELD: Duration = Duration::from_millis(2_500);

/// Lets one step take its time: the vault, whose secrets and role come after it.
fn hold(stage: &Stage) {
    let matcher = Matcher::new("arm", "PUT", "/microsoft.keyvault/vaults/kv-");
    stage.simulator.faults().add(Fault::once(matcher, Action::Delay(HELD)));
}

/// Waits until the held call is under way.
pub(crate) async fn until_busy(stage: &Stage) {
    let busy = async {
        while stage.simulator.faults().left() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), busy).await.expect("the installation gets to work");
}

pub(crate) fn send(child: &Child, signal: Signal) {
    let id = i32::try_from(child.id().expect("runs")).expect("an id");
    kill_process(Pid::from_raw(id).expect("an id"), signal).expect("sent");
}

/// Starts an installation without a terminal.
fn start(stage: &Stage) -> Child {
    let mut command = stage.prepared("install", &["--yes", "--no-wait"]);
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("starts")
}

pub(crate) async fn end(mut child: Child) -> (ExitStatus, String) {
    let mut pipe = child.stderr.take().expect("piped");
    let mut text = String::new();
    let limit = Duration::from_secs(120);
    tokio::time::timeout(limit, pipe.read_to_string(&mut text)).await.expect("ends").expect("UTF-8");
    (child.wait().await.expect("ends"), text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_without_a_terminal_lets_the_step_under_way_end_and_a_second_does_not() {
    let stage = Stage::start().await;
    for (signals, told) in [
        (&[Signal::INT][..], "stopped; what Azure was busy with has ended"),
        (&[Signal::TERM], "stopped; what Azure was busy with has ended"),
        (&[Signal::INT, Signal::TERM], "stopped at once; Azure goes on with what it was busy with:"),
    ] {
        hold(&stage);
        let child = start(&stage);
        until_busy(&stage).await;
        for (number, &signal) in signals.iter().enumerate() {
            if number > 0 {
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            send(&child, signal);
        }
        let (status, text) = end(child).await;
        assert_eq!(status.code(), Some(130), "{text}");
        for part in [told, "done so far: ", "resource group `", "to go on:    run the same command again"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let vaults = stage.simulator.state().resources_of("Microsoft.KeyVault/vaults").len();
        if signals.len() == 1 {
            assert_eq!(vaults, 1, "the step under way ended: {text}");
            assert!(!text.contains("Function App `"), "and nothing new began: {text}");
        } else {
            assert!(text.contains("  Key Vault `kv-mimecast-aud-"), "what is left to Azure is named: {text}");
        }
        stage.simulator.faults().clear();
        // Each time from the beginning of the vault.
        stage.command("teardown", &["--yes"]).await;
    }
    stage.command("install", &["--yes", "--no-wait"]).await.expect(0);
    stage.command("plan", &[]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn at_a_terminal_the_first_ctrl_c_asks_once() {
    let stage = Stage::start().await;

    // Asked, and thought better of: it goes on to its end.
    hold(&stage);
    let mut command = stage.prepared("install", &["--yes", "--no-wait"]);
    let mut terminal = Terminal::of(&mut command, 60);
    let mut child = command.spawn().expect("starts");
    drop(command);
    until_busy(&stage).await;
    send(&child, Signal::INT);
    terminal.wait_for("Stop after the steps that Azure is busy with?").await;
    terminal.type_in("n\n");
    terminal.see("going on").await;
    terminal.see("Installed.").await;
    let (code, drawn) = terminal.end(&mut child).await;
    assert_eq!(code, Some(0), "{drawn}");
    stage.command("plan", &[]).await.expect(0);
    stage.command("teardown", &["--yes"]).await.expect(0);

    // A yes waits for what is under way; Ctrl-C instead of an answer does not.
    for (answer, told) in [
        (Some("y\n"), "stopped; what Azure was busy with has ended"),
        (None, "stopped at once; Azure goes on with what it was busy with:"),
    ] {
        hold(&stage);
        let mut command = stage.prepared("install", &["--yes", "--no-wait"]);
        let mut terminal = Terminal::of(&mut command, 60);
        let mut child = command.spawn().expect("starts");
        drop(command);
        until_busy(&stage).await;
        send(&child, Signal::INT);
        terminal.wait_for("Stop after the steps that Azure is busy with?").await;
        match answer {
            Some(answer) => terminal.type_in(answer),
            None => send(&child, Signal::INT),
        }
        let (code, drawn) = terminal.end(&mut child).await;
        assert_eq!(code, Some(130), "{drawn}");
        // Sixty columns break the sentences somewhere.
        let told_in_one_line = drawn.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told_in_one_line.contains(told), "{drawn}");
        assert!(told_in_one_line.contains("to go on: run the same command again"), "{drawn}");
        stage.simulator.faults().clear();
    }
    stage.command("install", &["--yes", "--no-wait"]).await.expect(0);
    stage.command("plan", &[]).await.expect(0);
}
