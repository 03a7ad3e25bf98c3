//! A pseudo-terminal for the program under test: what it draws is read, and what a person types is written.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use tokio::process::{Child, Command};

/// No text that is waited for comes later than this.
const LIMIT: Duration = Duration::from_secs(120);

/// The person's end of a terminal.
pub(crate) struct Terminal {
    keyboard: File,
    drawn: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
    /// How much of it was seen.
    seen: usize,
}

impl Terminal {
    /// Gives a command a terminal of this many columns for its three standard streams.
    pub(crate) fn of(command: &mut Command, columns: u16) -> Self {
        let master: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let flags = i32::try_from(OFlags::NOCTTY.bits()).unwrap();
        let slave = File::options()
            .read(true)
            .write(true)
            .custom_flags(flags)
            .open(OsStr::from_bytes(name.as_bytes()))
            .unwrap();
        tcsetwinsize(&slave, Winsize { ws_row: 40, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        command
            .stdin(Stdio::from(slave.try_clone().unwrap()))
            .stdout(Stdio::from(slave.try_clone().unwrap()))
            .stderr(Stdio::from(slave))
            .env("TERM", "xterm-256color");
        let keyboard = File::from(master);
        let mut screen = keyboard.try_clone().unwrap();
        let drawn = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&drawn);
        let reader = std::thread::spawn(move || {
            let mut part = [0; 4096];
            // Ends with an error when the program and all its copies of the terminal are gone.
            while let Ok(count @ 1..) = screen.read(&mut part) {
                sink.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&part[..count]);
            }
        });
        Self { keyboard, drawn, reader, seen: 0 }
    }

    /// Everything that was drawn so far.
    fn drawn(&self) -> String {
        String::from_utf8_lossy(&self.drawn.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// Waits until the program, and its copies of the terminal with it, are gone: the exit code, and everything
    /// that was drawn. What was drawn last may be read only after the program's end.
    pub(crate) async fn end(&self, child: &mut Child) -> (Option<i32>, String) {
        let ended = async {
            let status = child.wait().await.expect("its end is told");
            while !self.reader.is_finished() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            status.code()
        };
        let code = tokio::time::timeout(LIMIT, ended).await;
        (code.unwrap_or_else(|_| panic!("it does not end: {}", self.drawn())), self.drawn())
    }

    /// Waits until this was drawn.
    pub(crate) async fn wait_for(&self, text: &str) {
        let seen = async {
            while !self.drawn().contains(text) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let waited = tokio::time::timeout(LIMIT, seen).await;
        assert!(waited.is_ok(), "{text:?} was not drawn: {}", self.drawn());
    }

    /// Waits until this was drawn after what was seen before.
    pub(crate) async fn see(&mut self, text: &str) {
        let limit = tokio::time::Instant::now() + LIMIT;
        loop {
            let drawn = self.drawn();
            let new = drawn.get(self.seen..).unwrap_or_default();
            if let Some(at) = new.find(text) {
                self.seen += at + text.len();
                return;
            }
            assert!(tokio::time::Instant::now() < limit, "{text:?} was not drawn: {new}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits for a question and types the answer.
    pub(crate) async fn answer(&mut self, question: &str, keys: &str) {
        self.see(question).await;
        self.type_in(keys);
    }

    /// Whether it shows what is typed, in lines, and Ctrl-C stops: as a shell leaves it.
    pub(crate) fn is_as_a_shell_leaves_it(&self) -> bool {
        let modes = tcgetattr(&self.keyboard).unwrap().local_modes;
        modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG)
    }

    /// Whether the cursor is to be seen.
    pub(crate) fn shows_the_cursor(&self) -> bool {
        let drawn = self.drawn();
        let at = |sequence: &str| drawn.rfind(sequence);
        at("\x1b[?25l") <= at("\x1b[?25h")
    }

    /// Types this.
    pub(crate) fn type_in(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }
}
