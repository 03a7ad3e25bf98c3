//! A custom handler that does as it is told, for the tests of the simulated Functions host.
//!
//! `AT_START`: `silent` (never listens), `exit:<code>`, `child` (starts a process and prints its id).
//! `ON_CALL`: `empty`, `text`, `array`, `status:<code>`, `exit:<code>`, `wait` (for ever); else it
//! answers with what it was sent and what it sees of its environment. Arguments such as
//! `AT_START=silent` are stronger than the environment.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, exit};

use serde_json::{Value, json};

fn main() -> std::io::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "it is a program of its own, told by its environment")]
    let environment: BTreeMap<String, String> = std::env::vars()
        .chain(std::env::args().skip(1).filter_map(|argument| {
            let (name, value) = argument.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        }))
        .collect();
    let told = |name: &str| environment.get(name).map(String::as_str).unwrap_or_default();
    let mut stdout = std::io::stdout();
    writeln!(stdout, "started")?;
    writeln!(std::io::stderr(), "a line on stderr")?;
    match told("AT_START").split_once(':').unwrap_or((told("AT_START"), "")) {
        ("exit", code) => exit(code.parse().unwrap_or(1)),
        ("silent", _) => loop {
            std::thread::park();
        },
        ("child", _) => {
            let child = Command::new("sleep").arg("600").spawn()?;
            writeln!(stdout, "child {}", child.id())?;
        }
        _ => {}
    }
    let listener = TcpListener::bind(format!("127.0.0.1:{}", told("FUNCTIONS_CUSTOMHANDLER_PORT")))?;
    for connection in listener.incoming() {
        // A connection that breaks is the host's affair.
        let _ = serve(connection?, &environment);
    }
    Ok(())
}

fn serve(connection: TcpStream, environment: &BTreeMap<String, String>) -> std::io::Result<()> {
    let mut reader = BufReader::new(connection);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line == "\r\n" {
            break;
        }
        head.push(line.trim_end().to_owned());
    }
    let headers: BTreeMap<String, String> = head
        .iter()
        .skip(1)
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let request = head.first().map(String::as_str).unwrap_or_default();
    let on_call = environment.get("ON_CALL").map(String::as_str).unwrap_or_default();
    let (word, number) = on_call.split_once(':').unwrap_or((on_call, ""));
    let ready = request.starts_with("GET");
    let answer = match word {
        _ if ready => (200, "text/plain", String::new()),
        "exit" => exit(number.parse().unwrap_or(1)),
        "wait" => {
            writeln!(std::io::stdout(), "waiting")?;
            loop {
                std::thread::park();
            }
        }
        "empty" => (200, "application/json", String::new()),
        "text" => (200, "text/plain", "done".to_owned()),
        "array" => (200, "application/json", "[]".to_owned()),
        "status" => (number.parse().unwrap_or(500), "application/json", "{}".to_owned()),
        _ => {
            let seen = json!({
                "request": request,
                "headers": headers,
                "body": serde_json::from_slice::<Value>(&body).unwrap_or_default(),
                "environment": environment,
                "directory": std::env::current_dir()?,
            });
            (200, "application/json", json!({"Outputs": {}, "Logs": [], "ReturnValue": seen}).to_string())
        }
    };
    let (status, kind, text) = answer;
    let mut connection = reader.into_inner();
    write!(
        connection,
        "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
        text.len()
    )
}
