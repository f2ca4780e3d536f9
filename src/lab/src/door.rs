//! The door: `ctl` at the second serial port of a test root. Its protocol, and the lab's end of it.
//!
//! In:  the words of one `ctl` command. Out: what it printed, and its exit code.
//!
//! # Protocol
//!
//! Lines that end in `\n` (a `\r` before it is ignored), both ways, one request at a time; the port is in raw mode, without echo.
//!
//! | who | line | meaning |
//! |---|---|---|
//! | gateway | `#ready` | the door has been opened: after boot, or because the door was started again |
//! | lab | `status --json` | a request: the words behind `ctl`, parted by single spaces; words have no quotes |
//! | gateway | *any line* | one line that the command printed, errors included; one that begins with `#` gets another `#` in front |
//! | gateway | `#exit 0` | the end of the answer: the command's exit code in decimal. What the command printed last, if it did not end a line, is ended for it |
//!
//! An empty request line is answered with nothing. A `#ready` in place of an `#exit` means that the door died under the request.
//!
//! The gateway's end is `src/ctl`; the shipped root has none.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::line::Lines;

/// One command's time: it takes a fraction of a second, five times that when the host is busy, and a log is long.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// From the emulator's start to its socket.
const START_LIMIT: Duration = Duration::from_secs(30);

/// What a command answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// All that it printed.
    pub text: String,
    /// Its exit code.
    pub exit: u8,
}

/// The lab's end.
#[derive(Debug)]
pub struct Door {
    lines: Lines,
}

/// A line from the gateway.
#[derive(Debug, PartialEq, Eq)]
enum Heard<'l> {
    Ready,
    Exit(u8),
    Output(&'l str),
}

/// Reads one line of the protocol.
fn parse(line: &str) -> Result<Heard<'_>, String> {
    let Some(word) = line.strip_prefix('#') else { return Ok(Heard::Output(line)) };
    if word.starts_with('#') {
        return Ok(Heard::Output(word));
    }
    match word.split_once(' ') {
        None if word == "ready" => Ok(Heard::Ready),
        Some(("exit", code)) => code.parse().map(Heard::Exit).map_err(|_| format!("exit code {code}")),
        _ => Err(format!("unknown line #{word}")),
    }
}

impl Door {
    /// Connects to the emulator's end of the serial port. The gateway need not be up.
    ///
    /// # Errors
    /// [`Error::Late`]: there is no emulator.
    pub fn connect(path: &Path) -> Result<Self, Error> {
        Ok(Self { lines: Lines::connect("the door", path, START_LIMIT, || Ok(()))? })
    }

    /// Waits until the door opens; what comes before (noise of a loader) is ignored.
    ///
    /// # Errors
    /// [`Error::Late`]: it did not within `limit`. [`Error::Io`]: the emulator is gone.
    pub fn wait_ready(&mut self, limit: Duration) -> Result<(), Error> {
        let deadline = Instant::now() + limit;
        loop {
            let line =
                self.lines.next(deadline).map_err(|error| late("the door's first word", limit, error))?;
            if parse(&line) == Ok(Heard::Ready) {
                return Ok(());
            }
        }
    }

    /// Carries out `ctl <request>` on the gateway.
    ///
    /// # Errors
    /// [`Error::Late`]: no answer. [`Error::Answer`]: the door died under it, or speaks otherwise. [`Error::Io`]: the emulator is gone.
    pub fn ask(&mut self, request: &str) -> Result<Answer, Error> {
        let late = || Error::Late { what: format!("the door's answer to {request}"), limit: ANSWER_LIMIT };
        self.ask_by(request, Instant::now() + ANSWER_LIMIT)?.ok_or_else(late)
    }

    /// As [`Door::ask`]; `None`: it was not answered by `deadline`. Then nothing more can be asked here.
    ///
    /// # Errors
    /// As [`Door::ask`].
    pub fn ask_by(&mut self, request: &str, deadline: Instant) -> Result<Option<Answer>, Error> {
        let trouble = |why: String| Error::Answer { who: format!("the door, asked for {request}"), why };
        self.lines.send(request)?;
        let mut text = String::new();
        loop {
            let line = match self.lines.next(deadline) {
                Ok(line) => line,
                Err(Error::Late { .. }) => return Ok(None),
                Err(error) => return Err(error),
            };
            match parse(&line).map_err(trouble)? {
                Heard::Exit(exit) => return Ok(Some(Answer { text, exit })),
                Heard::Ready => return Err(trouble("it was opened anew meanwhile".to_owned())),
                Heard::Output(output) => {
                    text.push_str(output);
                    text.push('\n');
                }
            }
        }
    }
}

/// Names what was waited for, if it is that `error` says that it came too late.
fn late(what: &str, limit: Duration, error: Error) -> Error {
    if matches!(error, Error::Late { .. }) { Error::Late { what: what.to_owned(), limit } } else { error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixListener;
    use std::thread;

    #[test]
    fn lines_mean_what_the_protocol_says() {
        let table = [
            ("plain", "up", Ok(Heard::Output("up"))),
            ("empty", "", Ok(Heard::Output(""))),
            ("hash", "##5", Ok(Heard::Output("#5"))),
            ("ready", "#ready", Ok(Heard::Ready)),
            ("exit", "#exit 2", Ok(Heard::Exit(2))),
            ("no code", "#exit x", Err("exit code x".to_owned())),
            ("unknown", "#what", Err("unknown line #what".to_owned())),
        ];
        for (name, line, wanted) in table {
            assert_eq!(parse(line), wanted, "{name}");
        }
    }

    #[test]
    fn a_request_gets_its_answer() {
        let scratch = crate::house::Scratch::new().unwrap();
        let path = scratch.file("door");
        let listener = UnixListener::bind(&path).unwrap();
        let gateway = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"noise\n#ready\n").unwrap();
            let mut request = String::new();
            BufReader::new(stream.try_clone().unwrap()).read_line(&mut request).unwrap();
            stream.write_all(b"one\r\n##two\n#exit 1\n#ready\n").unwrap();
            request
        });
        let mut door = Door::connect(&path).unwrap();
        door.wait_ready(Duration::from_secs(9)).unwrap();
        assert_eq!(door.ask("log x").unwrap(), Answer { text: "one\n#two\n".to_owned(), exit: 1 });
        assert_eq!(gateway.join().unwrap(), "log x\n");
        assert!(door.ask("status").unwrap_err().to_string().contains("the door"));
    }
}
