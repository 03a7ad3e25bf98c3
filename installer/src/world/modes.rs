//! The modes of the terminal while a question stands: nothing is echoed, and Ctrl-C is a key like others.
//!
//! Between the keys that a prompt reads the terminal would echo what is pasted, a secret too, and a Ctrl-C
//! would end the process with the modes as they are. So they are set for the whole question and put back
//! whatever becomes of it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use contract::secret::Secret;
use rustix::io::Errno;
use rustix::stdio::dup2_stdin;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

use super::World;

/// The longest line that is read unseen: a vault takes a secret of 25 KB
/// (<https://learn.microsoft.com/azure/key-vault/secrets/about-secrets>).
const HIDDEN_LIMIT_BYTES: usize = 25 * 1024;

const CTRL_C: u8 = 0x03;
const CTRL_D: u8 = 0x04;
const CTRL_U: u8 = 0x15;
const ESCAPE: u8 = 0x1b;

/// The terminal without echo and without keys of its own. Dropped, it is as it was before.
#[derive(Debug)]
pub struct Hushed {
    terminal: OwnedFd,
    before: Termios,
}

impl Hushed {
    /// Takes the terminal away from whoever reads standard input, for good: a prompt that still waits for a
    /// key would set its own modes again after these were put back. Nothing can be asked any more.
    pub fn abandon(&self) {
        // Without it the modes are put back all the same.
        if let Ok(nothing) = std::fs::File::open("/dev/null") {
            let _ = dup2_stdin(nothing);
        }
    }
}

impl Drop for Hushed {
    fn drop(&mut self) {
        // A terminal that is gone needs no modes.
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}

impl World {
    /// Hushes the terminal on standard input.
    ///
    /// # Errors
    /// When standard input is no terminal, or one that does not let its modes be set.
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn hush(&self) -> io::Result<Hushed> {
        let stdin = io::stdin();
        let before = tcgetattr(stdin.as_fd())?;
        let mut hushed = before.clone();
        hushed.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        hushed.special_codes[SpecialCodeIndex::VMIN] = 1;
        hushed.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(stdin.as_fd(), OptionalActions::Drain, &hushed)?;
        Ok(Hushed { terminal: stdin.as_fd().try_clone_to_owned()?, before })
    }
}

/// Reads a line of a hushed terminal, of up to 25 KB: the terminal's own lines end at 4,095 bytes.
///
/// # Errors
/// `Interrupted` at Ctrl-C, at the end of the input, and at Ctrl-D on an empty line; `InvalidData` for a
/// line that is no UTF-8 or longer.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn read_hidden_line() -> io::Result<Secret<String>> {
    let stdin = io::stdin();
    // A byte at a time: what is pasted behind the line belongs to the next question.
    read_line(|| {
        loop {
            let mut byte = [0];
            match rustix::io::read(stdin.as_fd(), &mut byte) {
                Ok(0) => return Ok(None),
                Ok(_) => return Ok(Some(byte[0])),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    })
}

fn read_line(mut next: impl FnMut() -> io::Result<Option<u8>>) -> io::Result<Secret<String>> {
    let mut line: Vec<u8> = Vec::new();
    let mut too_long = false;
    loop {
        match next()? {
            None | Some(CTRL_C) => return Err(io::ErrorKind::Interrupted.into()),
            Some(CTRL_D) if line.is_empty() => return Err(io::ErrorKind::Interrupted.into()),
            Some(b'\r' | b'\n') => break,
            Some(0x08 | 0x7f) => {
                // A whole character: the bytes that continue one begin with the bits 10.
                while line.pop().is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000) {}
            }
            Some(CTRL_U) => line.clear(),
            // An arrow or another key of its own is no part of a secret.
            Some(ESCAPE) => skip_key(&mut next)?,
            Some(_) if line.len() >= HIDDEN_LIMIT_BYTES => too_long = true,
            Some(byte) => line.push(byte),
        }
    }
    let invalid = |why| io::Error::new(io::ErrorKind::InvalidData, why);
    if too_long {
        return Err(invalid("longer than 25 KB, which is what a vault takes"));
    }
    String::from_utf8(line).map(Secret::new).map_err(|_| invalid("not UTF-8"))
}

/// Passes over what follows an escape: `[` or `O`, digits and semicolons, and one more.
fn skip_key(next: &mut impl FnMut() -> io::Result<Option<u8>>) -> io::Result<()> {
    if !matches!(next()?, Some(b'[' | b'O')) {
        return Ok(());
    }
    while matches!(next()?, Some(b'0'..=b'9' | b';')) {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::{HIDDEN_LIMIT_BYTES, read_line};

    fn read(typed: &[u8]) -> io::Result<String> {
        let mut bytes = typed.iter().copied();
        read_line(|| Ok(bytes.next())).map(|line| line.expose().clone())
    }

    #[test]
    fn a_hidden_line_is_what_was_typed_less_what_was_taken_back() {
        // BR-151
        let long = "x".repeat(4_096);
        assert_eq!(read(format!("{long}\n").as_bytes()).expect("reads"), long);
        assert_eq!(read("ab\u{e9}\x7fc\r".as_bytes()).expect("reads"), "abc");
        assert_eq!(read(b"wrong\x15right\n").expect("reads"), "right");
        assert_eq!(read(b"a\x1b[D\x1b[3~\x1bOPb\n").expect("reads"), "ab");
        assert_eq!(read(b"\x7f\n").expect("reads"), "");
    }

    #[test]
    fn a_hidden_line_is_given_up_or_refused() {
        // BR-149
        for typed in [&b"abc\x03"[..], b"\x04", b"abc"] {
            assert_eq!(read(typed).expect_err("given up").kind(), io::ErrorKind::Interrupted);
        }
        let long = "x".repeat(HIDDEN_LIMIT_BYTES + 1);
        for typed in [format!("{long}\n").as_bytes(), b"\xff\xfe\n"] {
            assert_eq!(read(typed).expect_err("refused").kind(), io::ErrorKind::InvalidData);
        }
    }
}
