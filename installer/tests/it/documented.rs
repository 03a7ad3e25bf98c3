//! Every command in the documentation is run, in the order in which a reader meets it.
//!
//! A command is a line of a block between fences that begins with a program of ours. What a reader fills in
//! is filled in here: the package, a time, a secret in front of the command. The programs lie as they do after
//! `cargo build --release --bins`: beside each other.

use std::path::{Path, PathBuf};

use installer::answers::{Intent, Origin, yaml};
use installer::deploy::package::Package;
use installer::world::World;
use simulator::data::DataPlane;
use time::format_description::well_known::Rfc3339;

use crate::stage::{Beside, Stage, package};

const INSTALLER: &str = "mimecast-sentinel";
const WORKER: &str = "mimecast-sentinel-worker";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The pages for people, in the order in which they are read.
const PAGES: [&str; 4] = ["docs/install.md", "README.md", "docs/operations.md", "azuredeploy/README.md"];

/// The commands in a page's blocks, as words, without their comments. A line that ends in a backslash goes
/// on in the next; what stands before the program sets variables.
fn commands(page: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(root().join(page)).expect("a page");
    let mut commands = Vec::new();
    let blocks = text.split("```").skip(1).step_by(2);
    for line in
        blocks.flat_map(|block| block.replace("\\\n", " ").lines().map(str::to_owned).collect::<Vec<_>>())
    {
        let line = line.split(" #").next().unwrap_or_default().trim().to_owned();
        let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        while words.first().is_some_and(|word| word == "export" || word.contains('=')) {
            words.remove(0);
        }
        if words.first().is_some_and(|word| [INSTALLER, WORKER].contains(&word.as_str())) {
            commands.push(words);
        }
    }
    commands
}

/// Puts what a reader fills in into a command, and takes away what a shell does with it.
fn filled(stage: &Stage, words: &[String]) -> Vec<String> {
    let day = |days: i64| {
        let at = stage.simulator.clock().now() - time::Duration::days(days);
        at.replace_nanosecond(0).expect("whole seconds").format(&Rfc3339).expect("a time")
    };
    let mut filled: Vec<String> = words.iter().skip(1).take_while(|word| *word != ">").cloned().collect();
    for at in 0..filled.len() {
        let before = at.checked_sub(1).map(|before| filled[before].clone()).unwrap_or_default();
        match before.as_str() {
            "--package" if filled[0] == "upgrade" => {
                filled[at] = another_package(stage).display().to_string()
            }
            "--package" => filled[at] = package().display().to_string(),
            "--from" => filled[at] = day(2),
            "--to" if words[0] == INSTALLER => filled[at] = day(1),
            _ => {}
        }
    }
    filled
}

/// The worker in a package of its own, as a newer one would be: a program ends where its headers say.
fn another_package(stage: &Stage) -> PathBuf {
    let worker = Path::new(env!("CARGO_BIN_EXE_mimecast-sentinel")).with_file_name(WORKER);
    let mut program = std::fs::read(worker).expect("the worker");
    program.push(0);
    let path = stage.directory.path().join("another.zip");
    std::fs::write(&path, Package::build(&program).expect("a package").bytes).expect("writes");
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_documentation_does_what_the_page_says() {
    let mut stage = Stage::start().await;
    // "Every command finds the installation by `--answers FILE`, or by" these.
    let subscription = stage.simulator.subscription_id().to_owned();
    for (name, value) in [
        ("MIMECAST_SENTINEL_ANSWER_AZURE_SUBSCRIPTION_ID", subscription.as_str()),
        ("MIMECAST_SENTINEL_ANSWER_AZURE_RESOURCE_GROUP", "rg-mimecast-audit"),
        ("MIMECAST_BASE_URL", stage.simulator.state().endpoints().mimecast.as_str()),
    ] {
        stage.environment.insert(name.to_owned(), value.to_owned());
    }
    let old = r#"{"parameters": {"appName": {"value": "mimecast"}, "mimecastBaseURL": {"value": "https://eu-api.mimecast.com"}}}"#;
    std::fs::write(stage.directory.path().join("parameters.json"), old).expect("old parameters");
    let mut run = Vec::new();
    for page in PAGES {
        if page == "docs/operations.md" {
            // That page is about an installation that runs, with the queue that `backfill` and `replay` need.
            stage.answers("collect: {work_queue: always}\n");
            let again = ["install", "--answers", "answers.yaml", "--yes", "--wait", "60s"];
            stage.run_with(Beside::Worker, &again).await.expect(0);
        }
        for words in commands(page) {
            let shown = words.join(" ");
            let mut arguments = filled(&stage, &words);
            if words[0] == WORKER {
                let ended = worker(&stage, &arguments).await;
                assert!(
                    ended.status.success(),
                    "{page}: `{shown}`: {}",
                    String::from_utf8_lossy(&ended.stdout)
                );
                run.push(shown);
                continue;
            }
            let command = arguments[0].clone();
            // Nobody can be asked here.
            if ["install", "upgrade", "rotate", "teardown"].contains(&command.as_str()) {
                arguments.push("--yes".to_owned());
            }
            if command == "install" {
                arguments.extend(["--wait".to_owned(), "60s".to_owned()]);
            }
            if command == "rotate" {
                renewed(&mut stage);
            }
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let ended = stage.run_with(Beside::Worker, &arguments).await;
            let expected: &[i32] = match command.as_str() {
                // There is something to do, or nothing any more.
                "plan" => &[0, 10],
                _ => &[0],
            };
            assert!(
                expected.contains(&ended.code),
                "{page}: `{shown}` ended with {}\n{}\n{}",
                ended.code,
                ended.stdout,
                ended.stderr
            );
            run.push(shown);
            settle(&stage.simulator.data().clone(), &stage).await;
        }
    }
    for command in [
        "plan", "install", "upgrade", "rotate", "status", "doctor", "logs", "pause", "resume", "backfill",
        "replay", "answers", "teardown",
    ] {
        let named = format!("{INSTALLER} {command}");
        assert!(run.iter().any(|line| line.starts_with(&named)), "no page shows `{named}`: {run:#?}");
    }
}

/// Waits until no run is under way that a command has asked for.
async fn settle(data: &DataPlane, stage: &Stage) {
    let site = stage.installed().into_iter().find(|each| each["type"] == "Microsoft.Web/sites");
    if let Some(site) = site {
        data.hosts.idle(site["id"].as_str().unwrap_or_default()).await;
    }
}

/// Gives the Mimecast application a new secret, in Mimecast and for the command.
fn renewed(stage: &mut Stage) {
    let secret = "EXAMPLE-RENEWED-SECRET";
    stage.simulator.mimecast().configure(|settings| secret.clone_into(&mut settings.client_secret));
    stage.environment.insert("MIMECAST_CLIENT_SECRET".to_owned(), secret.to_owned());
}

/// Runs the worker by itself, as a reader without Azure does.
async fn worker(stage: &Stage, arguments: &[String]) -> std::process::Output {
    let program = Path::new(env!("CARGO_BIN_EXE_mimecast-sentinel")).with_file_name(WORKER);
    tokio::process::Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(&stage.environment)
        .current_dir(stage.directory.path())
        .kill_on_drop(true)
        .output()
        .await
        .expect("the worker runs")
}

/// The YAML blocks of the pages for people.
fn answers_shown() -> Vec<(&'static str, String)> {
    let mut shown = Vec::new();
    for page in PAGES {
        let text = std::fs::read_to_string(root().join(page)).expect("a page");
        let blocks = text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
        shown.extend(blocks.map(|block| (page, block.to_owned())));
    }
    shown
}

#[test]
fn the_answers_that_a_page_shows_are_complete_as_they_stand() {
    let shown = answers_shown();
    assert!(shown.iter().any(|(page, _)| *page == "README.md"), "the README shows answers");
    let credentials = ["MIMECAST_CLIENT_ID", "MIMECAST_CLIENT_SECRET"];
    let credentials = credentials.map(|name| (name.to_owned(), "value".to_owned()));
    let world = World::with_environment(credentials.into());
    for (page, text) in shown {
        let given = yaml::read(&text, |line| Origin::File { file: page.to_owned(), line });
        let given = given.unwrap_or_else(|problems| panic!("{page}: {problems:?}"));
        let intent = Intent::of(&given, &world);
        let intent = intent.unwrap_or_else(|problems| panic!("{page}: {problems:?}"));
        assert_eq!(intent.cloud.name, "public");
        // The search begins with what people read.
        let seed = std::fs::read_to_string(root().join("fuzz/seeds/answers/readme")).expect("a seed");
        assert!(
            page != "README.md" || seed == text,
            "fuzz/seeds/answers/readme is not what the README shows"
        );
    }
}

#[test]
fn every_page_shows_commands_and_every_chore_is_one() {
    for page in PAGES {
        if page != "azuredeploy/README.md" {
            assert!(commands(page).len() >= 4, "{page}");
        }
    }
}
