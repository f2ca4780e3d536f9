//! The door: `ctl` at the second serial port, in roots that are made for tests. The shipped root has no such program.
//!
//! In:  one request a line: the words behind `ctl`. Out: what the command printed, each line that begins with `#` with another `#` in
//! front, and `#exit CODE`. `#ready` when the port is open.
//!
//! The other end is `src/lab/src/door.rs`, which specifies it.
//!
//! Source: termios(3), raw mode.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};

use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};

use crate::command;

/// The second serial port.
const PORT: &str = "/dev/ttyS1";
/// The longest request, in bytes.
const REQUEST_BYTES: u64 = 1024;

/// Serves until the port is closed, which a serial port is not.
///
/// # Errors
/// The port cannot be opened, or does not take what is written.
pub fn serve() -> io::Result<()> {
    let port = OpenOptions::new().read(true).write(true).open(PORT)?;
    let mut settings = tcgetattr(&port)?;
    cfmakeraw(&mut settings);
    tcsetattr(&port, SetArg::TCSANOW, &settings)?;
    let mut reader = BufReader::new(port.try_clone()?);
    let mut port: File = port;
    wire::notify_ready();
    port.write_all(b"#ready\n")?;
    loop {
        let mut request = Vec::new();
        if reader.by_ref().take(REQUEST_BYTES).read_until(b'\n', &mut request)? == 0 {
            return Ok(());
        }
        let request = String::from_utf8_lossy(&request);
        if !request.trim().is_empty() {
            port.write_all(&answer(request.trim()))?;
        }
    }
}

/// The whole answer to one request.
fn answer(request: &str) -> Vec<u8> {
    let words: Vec<String> = request.split_whitespace().map(str::to_owned).collect();
    let mut text = Vec::new();
    let code = match command::run(&words, &mut text) {
        Ok(()) => 0,
        Err(error) => {
            text.extend(format!("ctl: {error}\n").bytes());
            error.code()
        }
    };
    let mut answer = Vec::with_capacity(text.len() + 16);
    for line in text.strip_suffix(b"\n").unwrap_or(&text).split(|byte| *byte == b'\n') {
        if line.first() == Some(&b'#') {
            answer.push(b'#');
        }
        answer.extend_from_slice(line);
        answer.push(b'\n');
    }
    if text.is_empty() {
        answer.clear();
    }
    answer.extend(format!("#exit {code}\n").bytes());
    answer
}

#[cfg(test)]
mod tests {
    use super::answer;

    #[test]
    fn an_answer_ends_with_its_code() {
        let text = String::from_utf8(answer("frobnicate")).unwrap();
        assert!(text.starts_with("ctl: usage:") && text.ends_with("\n#exit 2\n"), "{text}");
        assert!(answer("help").ends_with(b"\n#exit 0\n"));
    }
}
