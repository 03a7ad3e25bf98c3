//! Where one JSON value ends, seen from its bytes as they arrive.

use memchr::memchr2;

/// Finds the end of one JSON value.
#[derive(Debug, Default)]
pub(super) struct Value {
    begun: bool,
    scalar: bool,
    depth: u32,
    in_text: bool,
    escaped: bool,
    after_text: bool,
}

/// What the bytes that came say of the value's end.
pub(super) enum Progress {
    /// The value goes on after these bytes.
    More,
    /// The value ends before this byte.
    End(usize),
    /// This byte cannot stand where it does: a text before it was closed too early.
    Broken(usize),
}

impl Value {
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Progress {
        let mut at = 0;
        if !self.begun {
            self.begun = true;
            match bytes.first() {
                Some(b'{' | b'[') => self.depth = 1,
                Some(b'"') => self.in_text = true,
                _ => self.scalar = true,
            }
            at = 1;
        }
        while let Some(&byte) = bytes.get(at) {
            if self.escaped {
                self.escaped = false;
                at += 1;
            } else if self.in_text {
                match memchr2(b'"', b'\\', &bytes[at..]) {
                    None => return Progress::More,
                    Some(found) => {
                        at += found;
                        if bytes[at] == b'\\' {
                            self.escaped = true;
                        } else {
                            self.in_text = false;
                            self.after_text = true;
                        }
                        at += 1;
                        if !self.in_text && self.depth == 0 {
                            return Progress::End(at);
                        }
                    }
                }
            } else if self.scalar {
                if matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n') {
                    return Progress::End(at);
                }
                at += 1;
            } else {
                match byte {
                    b' ' | b'\t' | b'\r' | b'\n' => {}
                    b',' | b':' => self.after_text = false,
                    b'}' | b']' => {
                        self.after_text = false;
                        self.depth -= 1;
                        if self.depth == 0 {
                            return Progress::End(at + 1);
                        }
                    }
                    _ if self.after_text => return Progress::Broken(at),
                    b'"' => self.in_text = true,
                    b'{' | b'[' => self.depth += 1,
                    _ => {}
                }
                at += 1;
            }
        }
        Progress::More
    }
}
