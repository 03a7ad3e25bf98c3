//! The programs that are measured, as processes of their own, and what the kernel says of them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use contract::settings::FUNCTIONS_CUSTOMHANDLER_PORT;

use super::cores;

/// What `/proc` counts processor time in: a hundredth of a second for every program, whatever the
/// kernel's own (<https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>, `USER_HZ`).
const TICKS_PER_SEC: f64 = 100.0;
/// A program that is not there within this time will not be.
const START_LIMIT: Duration = Duration::from_secs(30);
/// A call that takes longer hangs.
const CALL_LIMIT: Duration = Duration::from_secs(60 * 60);
/// How often it is tried whether a program answers.
const LOOK: Duration = Duration::from_micros(200);
/// How much of a program's log an error shows.
const LOG_SHOWN: usize = 2_000;

/// What a process has used so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Usage {
    /// Processor time of all its threads.
    pub(super) cpu_secs: f64,
    /// `VmHWM`, the most memory that it ever had.
    pub(super) peak_mib: f64,
}

impl Usage {
    /// Of a process by its number, or of `self`.
    pub(super) fn of(process: &str) -> Result<Self> {
        let read = |file: &str| {
            let path = format!("/proc/{process}/{file}");
            fs::read_to_string(&path).with_context(|| format!("reading {path}"))
        };
        Self::read(&read("stat")?, &read("status")?).context("what /proc says is not understood")
    }

    fn read(stat: &str, status: &str) -> Option<Self> {
        // The name, in brackets, may hold anything; `utime` and `stime` are the 12th and 13th behind it.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let peak_kib: f64 = peak.trim().strip_suffix(" kB")?.trim().parse().ok()?;
        Some(Self { cpu_secs: (ticks(11)? + ticks(12)?) / TICKS_PER_SEC, peak_mib: peak_kib / 1024.0 })
    }
}

/// Does something on a thread of its own that is bound to this core: a process started there stays
/// there.
pub(super) fn on_core<T: Send>(core: Option<usize>, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            core.map_or(Ok(()), cores::pin_this_thread)?;
            work()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Runs a program to its end and gives what it printed on stdout, and how long it took.
pub(super) fn run(mut command: Command, core: Option<usize>) -> Result<(String, Duration)> {
    let program = command.get_program().to_string_lossy().into_owned();
    let ran = on_core(core, move || {
        let began = Instant::now();
        let output = command.stdin(Stdio::null()).output().context("starting it")?;
        Ok((output, began.elapsed()))
    });
    let (Output { status, stdout, stderr }, took) = ran.with_context(|| program.clone())?;
    ensure!(status.success(), "{program} ended with {status}: {}", String::from_utf8_lossy(&stderr));
    Ok((String::from_utf8_lossy(&stdout).into_owned(), took))
}

/// A worker that serves, as the Functions host has it.
#[derive(Debug)]
pub(super) struct Worker {
    child: Child,
    port: u16,
    /// From its start to its first answer on `GET /`.
    pub(super) start: Duration,
}

impl Worker {
    /// Starts it in exactly this environment and waits for its first answer. What it says goes to `log`.
    pub(super) fn start(
        program: &Path,
        environment: &BTreeMap<String, String>,
        log: &Path,
        core: Option<usize>,
    ) -> Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let said = File::create(log).context("making the worker's log")?;
        let mut command = Command::new(program);
        command.env_clear().envs(environment).env(FUNCTIONS_CUSTOMHANDLER_PORT, port.to_string());
        command.stdin(Stdio::null()).stdout(said).stderr(Stdio::inherit());
        let (child, began) = on_core(core, move || {
            let began = Instant::now();
            Ok((command.spawn().context("starting the worker")?, began))
        })?;
        let mut worker = Self { child, port, start: Duration::ZERO };
        loop {
            match worker.call("GET", "/", "") {
                Ok(_) => break,
                Err(error) => {
                    let early = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
                    let early = early == Some(ErrorKind::ConnectionRefused);
                    ensure!(early && began.elapsed() < START_LIMIT, "the worker does not answer: {error}");
                    std::thread::sleep(LOOK);
                }
            }
        }
        worker.start = began.elapsed();
        Ok(worker)
    }

    /// One invocation. Gives how long it took.
    pub(super) fn invoke(&self, function: &str, body: &str, log: &Path) -> Result<Duration> {
        let began = Instant::now();
        let answer = self.call("POST", &format!("/{function}"), body)?;
        let took = began.elapsed();
        if !answer.starts_with("HTTP/1.1 200") {
            let said = fs::read_to_string(log).unwrap_or_default();
            let shown = said.char_indices().rev().nth(LOG_SHOWN).map_or(0, |(at, _)| at);
            anyhow::bail!("the worker answered {answer}\nits log ends:\n{}", &said[shown..]);
        }
        Ok(took)
    }

    /// What it has used.
    pub(super) fn usage(&self) -> Result<Usage> {
        Usage::of(&self.child.id().to_string())
    }

    fn call(&self, method: &str, path: &str, body: &str) -> Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(CALL_LIMIT))?;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::Usage;

    #[test]
    fn what_the_kernel_says_of_a_process_is_read() {
        let stat = "4711 (a (worker) x) S 1 4711 4711 0 -1 4194560 500 0 0 0 250 31 0 0 20 0 3 0 900 1000 2";
        let status = "Name:\tworker\nVmPeak:\t   90000 kB\nVmHWM:\t   20480 kB\nVmRSS:\t   10000 kB\n";
        assert_eq!(Usage::read(stat, status), Some(Usage { cpu_secs: 2.81, peak_mib: 20.0 }));
        assert_eq!(Usage::read("", status), None);
        assert_eq!(Usage::read(stat, "VmRSS:\t 1 kB\n"), None);
    }
}
