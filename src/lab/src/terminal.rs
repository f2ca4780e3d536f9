//! The terminal while a gateway has it: keys come one by one, notices stand on lines of their own.
//!
//! In:  the gateway's console, notices. Out: both, never mixed within a line.
//!
//! Source: termios(3), cfmakeraw.

use std::io::{self, IsTerminal, Write, stdin};

use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

/// Ctrl-C as a byte, when the terminal does not make a signal of it.
pub const LEAVE: u8 = 3;

/// A terminal in raw mode; as it was, once dropped. Without a terminal it is nothing.
#[derive(Debug)]
pub struct Raw {
    before: Option<Termios>,
}

impl Raw {
    /// Takes the terminal of standard input.
    #[must_use]
    pub fn take() -> Self {
        let before = stdin().is_terminal().then(|| tcgetattr(stdin()).ok()).flatten();
        if let Some(mut raw) = before.clone() {
            cfmakeraw(&mut raw);
            let _ = tcsetattr(stdin(), SetArg::TCSANOW, &raw);
        }
        Self { before }
    }

    /// Is there a terminal?
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        self.before.is_some()
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = tcsetattr(stdin(), SetArg::TCSADRAIN, before);
        }
    }
}

/// Console and notices, in one stream.
#[derive(Debug)]
pub struct Screen<W> {
    out: W,
    bold: bool,
    in_line: bool,
    waiting: Vec<String>,
}

impl<W: Write> Screen<W> {
    /// An empty one; notices are bold, if it can show that.
    pub fn new(out: W, bold: bool) -> Self {
        Self { out, bold, in_line: false, waiting: Vec::new() }
    }

    /// What the gateway's console says.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn console(&mut self, bytes: &[u8]) -> io::Result<()> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.out.write_all(piece)?;
            self.in_line = !piece.ends_with(b"\n");
            self.flush()?;
        }
        self.out.flush()
    }

    /// A notice: at once, or when the console's line has ended.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn notice(&mut self, text: &str) -> io::Result<()> {
        self.waiting.push(text.to_owned());
        self.flush()
    }

    /// A notice that does not wait: the console's line is ended for it.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn notice_now(&mut self, text: &str) -> io::Result<()> {
        if self.in_line {
            self.out.write_all(b"\r\n")?;
            self.in_line = false;
        }
        self.notice(text)
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.in_line {
            for text in self.waiting.drain(..) {
                // Bold: it is not the gateway that speaks. Source: console_codes(4).
                let (bold, plain) = if self.bold { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
                write!(self.out, "{bold}» {text}{plain}\r\n")?;
            }
            self.out.flush()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_stands_on_a_line_of_its_own() {
        let table = [
            (true, "one\r\ntwo\r\n\x1b[1m» ready\x1b[0m\r\nthr\r\n\x1b[1m» end\x1b[0m\r\n"),
            (false, "one\r\ntwo\r\n» ready\r\nthr\r\n» end\r\n"),
        ];
        for (bold, wanted) in table {
            let mut bytes = Vec::new();
            let mut screen = Screen::new(&mut bytes, bold);
            screen.console(b"one\r\ntw").unwrap();
            screen.notice("ready").unwrap();
            screen.console(b"o\r\nthr").unwrap();
            screen.notice_now("end").unwrap();
            assert_eq!(String::from_utf8(bytes).unwrap(), wanted);
        }
    }
}
