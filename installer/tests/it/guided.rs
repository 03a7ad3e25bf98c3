//! A person at a terminal is led through the setup, can go back and give up anywhere, and gets the file that
//! would have given the same.

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;

use crate::stage::{Beside, Stage};
use crate::terminal::Terminal;

const ENTER: &str = "\r";
const UP: &str = "\x1b[A";
const DOWN: &str = "\x1b[B";
const CTRL_C: &str = "\x03";

/// Starts a command at a terminal, with everything at hand but answers.
fn start(stage: &Stage, columns: u16, arguments: &[&str]) -> (Terminal, Child) {
    start_with(stage, Beside::Worker, columns, arguments)
}

/// The same of an installer that has its worker beside it, or has not.
fn start_with(stage: &Stage, beside: Beside, columns: u16, arguments: &[&str]) -> (Terminal, Child) {
    let mut command = stage.binary_with(beside, arguments);
    let terminal = Terminal::of(&mut command, columns);
    let child = command.spawn().expect("starts");
    (terminal, child)
}

/// A stage without credentials in the environment, and these credentials.
async fn without_credentials() -> (Stage, String, String) {
    let mut stage = Stage::start().await;
    let id = stage.environment.remove("MIMECAST_CLIENT_ID").unwrap();
    let secret = stage.environment.remove("MIMECAST_CLIENT_SECRET").unwrap();
    (stage, id, secret)
}

/// Answers everything up to the credentials with what is usual, but the host, which no menu has.
async fn up_to_the_credentials(stage: &Stage, terminal: &mut Terminal) {
    terminal.see("`az login`").await;
    terminal.see("signed").await;
    terminal.see(stage.simulator.state().tenant_id()).await;
    terminal.answer("Name [mimecast-audit]: ", ENTER).await;
    after_the_name(stage, terminal).await;
}

async fn after_the_name(stage: &Stage, terminal: &mut Terminal) {
    for question in ["Subscription:", "Workspace:", "Resource group:", "Hosting:", "Region:", "Generation:"] {
        terminal.answer(question, ENTER).await;
    }
    terminal.answer("Host:", &format!("{}{ENTER}", DOWN.repeat(3))).await;
    let host = stage.simulator.state().endpoints().mimecast.to_string();
    terminal.answer("another host: ", &format!("{host}{ENTER}")).await;
}

/// Types credentials.
async fn type_credentials(terminal: &mut Terminal, id: &str, secret: &str) {
    terminal.answer("client id (not shown): ", &format!("{id}{ENTER}")).await;
    terminal.answer("client secret (not shown): ", &format!("{secret}{ENTER}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_led_to_an_installation_and_to_the_file_that_gives_the_same() {
    let (stage, id, secret) = without_credentials().await;
    let (mut terminal, mut child) =
        start(&stage, 80, &["install", "--wait", "60s", "--save-answers", "saved.yaml"]);
    up_to_the_credentials(&stage, &mut terminal).await;

    // What Mimecast wants to be set up is said, and a wrong secret, however long, is tried and refused.
    terminal.see("Account | Logs | Read").await;
    terminal.see("Audit Events").await;
    terminal.answer("Credentials:", ENTER).await;
    let wrong = "wrong".repeat(1_000);
    type_credentials(&mut terminal, &id, &wrong).await;
    terminal.see("5000 characters").await;
    terminal.see("That does not work").await;
    terminal.answer("What now:", ENTER).await;
    terminal.answer("Credentials:", ENTER).await;
    type_credentials(&mut terminal, &id, &format!("{secret} ")).await;
    terminal.see("Mimecast takes them").await;
    terminal.answer("Content:", ENTER).await;

    terminal.see("mimecast.client_secret: typed, not shown").await;
    terminal.see("collect.every: 5m").await;
    terminal.answer("Is this right:", ENTER).await;
    terminal.see("Plan: ").await;
    let mark = stage.simulator.journal().len();
    terminal.answer("Carry out this plan? [y/N]", "y").await;
    terminal.see("Installed: ").await;
    let (code, drawn) = terminal.end(&mut child).await;
    assert_eq!(code, Some(0), "{drawn}");
    assert!(!stage.writes(mark).is_empty());
    assert!(terminal.is_as_a_shell_leaves_it() && terminal.shows_the_cursor());
    // BR-163
    assert!(!drawn.contains(&secret) && !drawn.contains(&id) && !drawn.contains(&wrong), "{drawn}");

    let saved = std::fs::read_to_string(stage.directory.path().join("saved.yaml")).unwrap();
    assert!(saved.contains("  client_secret: {prompt: true}\n"), "{saved}");
    assert!(!saved.contains(&secret) && !saved.contains(&id), "{saved}");
    // The same answers from the file: the secrets alone are asked for, and there is nothing to do.
    let (mut terminal, mut child) = start(&stage, 80, &["plan", "--answers", "saved.yaml"]);
    terminal.answer("mimecast.client_id (not shown): ", &format!("{id}{ENTER}")).await;
    terminal.answer("mimecast.client_secret (not shown): ", &format!("{secret}{ENTER}")).await;
    terminal.see("Nothing to do").await;
    let (code, drawn) = terminal.end(&mut child).await;
    assert_eq!(code, Some(0), "{drawn}");
    // BR-154: nobody to ask is an error that names both.
    let unattended = stage.run(&["plan", "--answers", "saved.yaml"]).await.expect(1);
    for key in ["client_id", "client_secret"] {
        let told = format!("`mimecast.{key}` is to be asked for at a terminal");
        assert!(unattended.stderr.contains(&told), "{}", unattended.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_can_go_back_from_a_menu_a_field_and_the_summary_and_what_is_answered_then_counts() {
    let stage = Stage::start().await;
    let (mut terminal, mut child) = start(&stage, 100, &["plan"]);
    terminal.answer("Name [mimecast-audit]: ", &format!("<{ENTER}")).await;
    terminal.see("This is the first question").await;
    // BR-130: refused at once, with what is accepted.
    terminal.answer("Name [mimecast-audit]: ", &format!("Not_A Name{ENTER}")).await;
    terminal.see("accepted: 2 to 32 lower-case letters").await;
    terminal.answer("Name [mimecast-audit]: ", &format!("first-name{ENTER}")).await;
    // From a menu back to a field, whose first answer is forgotten.
    terminal.answer("Subscription:", &format!("{UP}{ENTER}")).await;
    terminal.answer("Name [mimecast-audit]: ", &format!("second-name{ENTER}")).await;
    for question in ["Subscription:", "Workspace:"] {
        terminal.answer(question, ENTER).await;
    }
    // From a field back to its menu.
    terminal.see("rg-second-name").await;
    terminal.type_in(&format!("{DOWN}{ENTER}"));
    terminal.answer("Name of the new group: ", &format!("<{ENTER}")).await;
    terminal.see("rg-second-name").await;
    terminal.type_in(&format!("{DOWN}{ENTER}"));
    terminal.answer("Name of the new group: ", &format!("rg-of-mine{ENTER}")).await;
    for question in ["Hosting:", "Region:", "Generation:"] {
        terminal.answer(question, ENTER).await;
    }
    terminal.answer("Host:", &format!("{}{ENTER}", DOWN.repeat(3))).await;
    let host = stage.simulator.state().endpoints().mimecast.to_string();
    terminal.answer("another host: ", &format!("{host}{ENTER}")).await;
    // The variables are set, so they come first.
    terminal.see("(all are set)").await;
    terminal.type_in(ENTER);
    terminal.answer("variable of the client id [MIMECAST_CLIENT_ID]: ", ENTER).await;
    terminal.answer("variable of the client secret [MIMECAST_CLIENT_SECRET]: ", ENTER).await;
    terminal.see("Mimecast takes them").await;
    terminal.answer("Content:", ENTER).await;
    terminal.see("content.rules: recommended").await;
    // From the summary to the last question, which is answered otherwise; then a default is changed.
    terminal.answer("Is this right:", &format!("{UP}{ENTER}")).await;
    terminal.see("none: rows alone").await;
    terminal.type_in(&format!("{DOWN}{DOWN}{ENTER}"));
    terminal.see("content.rules: off").await;
    terminal.answer("Is this right:", &format!("{DOWN}{ENTER}")).await;
    terminal.see("azure.create_resource_group: true").await;
    terminal.see("collect.every: 5m").await;
    terminal.type_in(&format!("{}{ENTER}", DOWN.repeat(place_of("collect.every"))));
    terminal.answer("collect.every [5m]: ", &format!("7m{ENTER}")).await;
    terminal.see("`7m` is not accepted").await;
    terminal.answer("collect.every [5m]: ", &format!("15m{ENTER}")).await;
    terminal.see("collect.every: 15m").await;
    terminal.type_in(&format!("{UP}{ENTER}"));
    terminal.see("collect.every: 15m").await;
    terminal.answer("Is this right:", ENTER).await;
    terminal.see("Installation `second-name` in resource group `rg-of-mine`").await;
    terminal.see("Plan: ").await;
    let (code, drawn) = terminal.end(&mut child).await;
    assert_eq!(code, Some(10), "{drawn}");
    assert!(!drawn.contains("first-name` in"), "{drawn}");
}

/// How far below the first a key stands in the menu of what can be changed.
fn place_of(key: &str) -> usize {
    use installer::answers::keys::{ALL, Shape};
    use installer::answers::prompt::Topic;
    let asked: Vec<&str> = Topic::ALL.iter().flat_map(|topic| topic.keys()).copied().collect();
    let listed = ALL.iter().filter(|each| {
        !matches!(each.path, "version" | "azure.cloud")
            && each.shape != Shape::Secret
            && !each.path.starts_with("delivery.")
            && !asked.contains(&each.path)
    });
    listed.map(|each| each.path).position(|path| path == key).expect("listed")
}

/// Flags that answer everything but the credentials.
fn but_credentials(stage: &Stage) -> Vec<String> {
    let state = stage.simulator.state();
    let mut arguments: Vec<String> =
        ["plan", "--name", "mimecast-audit", "--resource-group", "rg-mimecast-audit"]
            .map(str::to_owned)
            .to_vec();
    arguments.extend(["--subscription".to_owned(), stage.simulator.subscription_id().to_owned()]);
    for (key, value) in [
        ("workspace.resource_id", stage.simulator.workspace_id()),
        ("azure.location", "westeurope"),
        ("hosting.plan", "flex-consumption"),
        ("mimecast.api", "2.0"),
        ("mimecast.base_url", state.endpoints().mimecast.as_str()),
        ("content.rules", "off"),
    ] {
        arguments.extend(["--set".to_owned(), format!("{key}={value}")]);
    }
    arguments
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_gives_up_gets_the_terminal_back_and_nothing_is_changed() {
    // BR-149, BR-150
    enum Way {
        Key,
        Signal(Signal),
    }
    let (stage, ..) = without_credentials().await;
    let mark = stage.simulator.journal().len();
    let all = but_credentials(&stage);
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    for way in [Way::Key, Way::Signal(Signal::INT), Way::Signal(Signal::TERM)] {
        // A field, a menu, and a hidden field.
        for (arguments, steps, last) in [
            (&["plan"][..], &[][..], "Name [mimecast-audit]: "),
            (&all, &[], "they are in a Key Vault of mine"),
            (&all, &["Credentials:"], "client id (not shown): "),
        ] {
            let (mut terminal, mut child) = start(&stage, 80, arguments);
            for step in steps {
                terminal.answer(step, ENTER).await;
            }
            terminal.see(last).await;
            match way {
                Way::Key => terminal.type_in(&format!("half an answer{CTRL_C}")),
                Way::Signal(signal) => {
                    terminal.type_in("half an answer");
                    let id = i32::try_from(child.id().expect("runs")).expect("an id");
                    kill_process(Pid::from_raw(id).expect("an id"), signal).expect("sent");
                }
            }
            terminal.see("stopped; nothing was changed").await;
            let (code, drawn) = terminal.end(&mut child).await;
            assert_eq!(code, Some(130), "{last}: {drawn}");
            assert!(terminal.is_as_a_shell_leaves_it(), "{last}");
            assert!(terminal.shows_the_cursor(), "{last}: {drawn}");
        }
    }
    assert_eq!(stage.writes(mark), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_terminal_or_with_a_yes_everything_that_is_missing_is_listed_and_nobody_is_called() {
    // BR-154, BR-155
    let (stage, ..) = without_credentials().await;
    let mark = stage.simulator.journal().len();
    let run = stage.run(&["install"]).await.expect(1);
    let missing = ["azure.subscription_id", "azure.resource_group", "workspace.resource_id", "client_secret"];
    for key in missing {
        assert!(run.stderr.contains(key), "{key} in {}", run.stderr);
    }
    let (terminal, mut child) = start(&stage, 80, &["install", "--yes"]);
    let (code, drawn) = terminal.end(&mut child).await;
    assert_eq!(code, Some(1), "{drawn}");
    assert!(drawn.contains("azure.subscription_id: is needed"), "{drawn}");
    assert_eq!(stage.simulator.journal().since(mark).len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_narrow_terminal_and_one_without_colour_are_led_as_well() {
    let (mut stage, id, secret) = without_credentials().await;
    for (columns, no_colour) in [(30, true), (100, false)] {
        if no_colour {
            stage.environment.insert("NO_COLOR".to_owned(), "1".to_owned());
        } else {
            stage.environment.remove("NO_COLOR");
        }
        let (mut terminal, mut child) = start(&stage, columns, &["plan"]);
        terminal.answer("Name [mimecast-audit]: ", &format!("a-name-that-takes-two-lines{ENTER}")).await;
        after_the_name(&stage, &mut terminal).await;
        terminal.answer("Credentials:", ENTER).await;
        type_credentials(&mut terminal, &id, &secret).await;
        terminal.answer("Content:", ENTER).await;
        terminal.answer("Is this right:", ENTER).await;
        terminal.see("Plan: ").await;
        let (code, drawn) = terminal.end(&mut child).await;
        assert_eq!(code, Some(10), "{drawn}");
        // Colours and weights end in `m`; moving about does not.
        let styled = drawn.split("\x1b[").skip(1).any(|part| {
            part.trim_start_matches(|each: char| each.is_ascii_digit() || each == ';').starts_with('m')
        });
        assert_eq!(styled, !no_colour, "{drawn}");
        // An entry of a menu that took two lines would leave one behind when it is drawn again.
        for line in drawn.lines() {
            let plain = console::strip_ansi_codes(line.trim_end());
            let entry = plain.starts_with("> ") || plain.starts_with("  Flex") || plain.starts_with("  1.0");
            assert!(!entry || plain.chars().count() <= usize::from(columns), "{plain}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_worker_package_nobody_is_asked_anything() {
    let (stage, ..) = without_credentials().await;
    for command in ["install", "plan"] {
        let mark = stage.simulator.journal().len();
        let (terminal, mut child) = start_with(&stage, Beside::Nothing, 100, &[command]);
        let (code, drawn) = terminal.end(&mut child).await;
        assert_eq!(code, Some(1), "{drawn}");
        assert!(drawn.contains("--package") && drawn.contains("code: package"), "{drawn}");
        assert!(!drawn.contains("Name ["), "{drawn}");
        assert_eq!(stage.simulator.journal().since(mark).len(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_is_kept_also_where_the_plan_is_refused() {
    let (stage, id, secret) = without_credentials().await;
    stage.take_all_roles();
    let all = but_credentials(&stage);
    let mut all: Vec<&str> = all.iter().map(String::as_str).collect();
    all[0] = "install";
    all.extend(["--save-answers", "saved.yaml"]);
    let (mut terminal, mut child) = start(&stage, 100, &all);
    terminal.answer("Credentials:", ENTER).await;
    type_credentials(&mut terminal, &id, &secret).await;
    terminal.answer("Is this right:", ENTER).await;
    let (code, drawn) = terminal.end(&mut child).await;
    assert_eq!(code, Some(1), "{drawn}");
    let saved = std::fs::read_to_string(stage.directory.path().join("saved.yaml")).expect("it was written");
    assert!(saved.contains("resource_group: rg-mimecast-audit"), "{saved}");
    assert!(!saved.contains(&secret) && !saved.contains(&id), "{saved}");
}
