//! Lines over a socket, each waited for with a limit.
//!
//! In:  a stream socket's path. Out: lines, without their end.
//!
//! For the emulator's monitor (`monitor.rs`) and for the door (`door.rs`).

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::wait;

/// The longest line that is kept, in bytes: the monitor's description of itself is the longest.
const LINE_BYTES_MAX: usize = 4 << 20;

/// A connection that speaks in lines.
#[derive(Debug)]
pub struct Lines {
    stream: UnixStream,
    name: &'static str,
    pending: Vec<u8>,
}

impl Lines {
    /// Connects to the socket at `path` once it is there.
    ///
    /// * `lives` — fails once nobody can come any more to listen there.
    ///
    /// # Errors
    /// [`Error::Late`]: nobody listens within `limit`. Whatever `lives` fails with.
    pub fn connect(
        name: &'static str,
        path: &Path,
        limit: Duration,
        mut lives: impl FnMut() -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let stream = wait::until(name, limit, || lives().map(|()| UnixStream::connect(path).ok()))?;
        Ok(Self { stream, name, pending: Vec::new() })
    }

    /// Sends a line.
    ///
    /// # Errors
    /// [`Error::Io`]: the other end is gone.
    pub fn send(&mut self, line: &str) -> Result<(), Error> {
        self.stream.write_all(format!("{line}\n").as_bytes()).map_err(Error::io(self.name))
    }

    /// The next line, by `deadline`.
    ///
    /// # Errors
    /// [`Error::Late`]: none came in time. [`Error::Io`]: the other end is gone.
    pub fn next(&mut self, deadline: Instant) -> Result<String, Error> {
        let began = Instant::now();
        loop {
            if let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.pending.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line);
                return Ok(line.trim_end_matches(['\n', '\r']).to_owned());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::Late { what: self.name.to_owned(), limit: began.elapsed() });
            }
            if self.pending.len() > LINE_BYTES_MAX {
                return Err(Error::Answer { who: self.name.to_owned(), why: "an endless line".to_owned() });
            }
            self.stream.set_read_timeout(Some(left)).map_err(Error::io(self.name))?;
            let mut piece = [0; 4096];
            match self.stream.read(&mut piece) {
                Ok(0) => return Err(Error::io(self.name)(ErrorKind::UnexpectedEof.into())),
                Ok(count) => self.pending.extend_from_slice(piece.get(..count).unwrap_or_default()),
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                    ) => {}
                Err(error) => return Err(Error::io(self.name)(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_and_in_order() {
        let (here, mut there) = UnixStream::pair().unwrap();
        let mut lines = Lines { stream: here, name: "test", pending: Vec::new() };
        there.write_all(b"one\r\ntw").unwrap();
        let soon = || Instant::now() + Duration::from_millis(50);
        assert_eq!(lines.next(soon()).unwrap(), "one");
        assert!(matches!(lines.next(soon()), Err(Error::Late { .. })));
        there.write_all(b"o\n\nthree").unwrap();
        assert_eq!(lines.next(soon()).unwrap(), "two");
        assert_eq!(lines.next(soon()).unwrap(), "");
        drop(there);
        assert!(matches!(lines.next(soon()), Err(Error::Io { .. })));
    }
}
