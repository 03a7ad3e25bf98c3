//! `completions`: the scripts do in a shell what they are for.

use std::process::{Command, Output};

fn completions(shell: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_mimecast-sentinel"))
        .args(["completions", shell])
        .env_clear()
        .output()
        .expect("runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// What bash offers for the last of these words.
fn offered(script: &str, words: &[&str]) -> Vec<String> {
    let asked = format!(
        "{script}\nCOMP_WORDS=({}); COMP_CWORD={}; _mimecast__sentinel mimecast-sentinel '{}' '{}'; \
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.join(" "),
        words.len() - 1,
        words[words.len() - 1],
        words[words.len() - 2],
    );
    let Output { stdout, status, stderr } =
        Command::new("bash").args(["--norc", "-c", &asked]).output().expect("bash runs");
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).expect("UTF-8").lines().map(str::to_owned).collect()
}

#[test]
fn a_shell_completes_commands_flags_and_values() {
    let script = completions("bash");
    assert_eq!(offered(&script, &["mimecast-sentinel", "te"]), ["teardown"]);
    assert_eq!(offered(&script, &["mimecast-sentinel", "answers", "sch"]), ["schema"]);
    assert_eq!(offered(&script, &["mimecast-sentinel", "teardown", "--pur"]), ["--purge", "--purge-table"]);
    assert_eq!(offered(&script, &["mimecast-sentinel", "plan", "--output", ""]), ["human", "json"]);
}

#[test]
fn every_shell_has_a_script_with_every_command() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = completions(shell);
        for command in ["plan", "install", "upgrade", "rotate", "status", "doctor", "teardown", "backfill"] {
            assert!(script.contains(command), "{shell} lacks {command}");
        }
    }
}
