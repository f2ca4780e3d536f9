//! Somebody at home who visits a service twenty times a second, and notes who was answered, and when.
//!
//! In:  an address on this machine that leads to the service, and how long one visit may take. Out: each visit; the longest time without an answer.
//!
//! Source: RFC 9112 (a request, and an answer that ends with its connection).

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Between the begins of two visits.
const EVERY: Duration = Duration::from_millis(50);

/// A visitor.
pub(crate) struct Visitor {
    leaves: Sender<()>,
    visits: JoinHandle<Visits>,
}

/// What became of all visits.
#[derive(Debug)]
pub(crate) struct Visits {
    /// So many were answered.
    pub(crate) answered: usize,
    /// Others: when, after the first one began, and why not.
    pub(crate) lost: Vec<(Duration, String)>,
    /// The longest time from one answer to the next.
    pub(crate) gap: Duration,
}

impl Visitor {
    /// Comes, and visits `address` until he is told to leave.
    pub(crate) fn come(address: SocketAddr, limit: Duration) -> Self {
        let (leaves, told) = channel();
        let visits = thread::spawn(move || {
            let begun = Instant::now();
            let mut visits = Visits { answered: 0, lost: Vec::new(), gap: Duration::ZERO };
            let mut last = begun;
            loop {
                let visit = Instant::now();
                match fetch(address, limit) {
                    Ok(()) => {
                        visits.answered += 1;
                        visits.gap = visits.gap.max(last.elapsed());
                        last = Instant::now();
                    }
                    Err(why) => visits.lost.push((visit - begun, why.to_string())),
                }
                match told.recv_timeout(EVERY.saturating_sub(visit.elapsed())) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
                }
            }
            visits.gap = visits.gap.max(last.elapsed());
            visits
        });
        Self { leaves, visits }
    }

    /// Leaves, and tells.
    pub(crate) fn leave(self) -> Visits {
        self.leaves.send(()).unwrap();
        self.visits.join().unwrap()
    }
}

/// One page, whole, within `limit`.
pub(crate) fn fetch(address: SocketAddr, limit: Duration) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    stream.write_all(b"GET / HTTP/1.0\r\nConnection: close\r\n\r\n")?;
    let mut page = Vec::new();
    stream.read_to_end(&mut page)?;
    if page.starts_with(b"HTTP/1.1 200 ") && page.ends_with(b"</html>\n") {
        return Ok(());
    }
    Err(io::Error::other(format!("{} bytes, and not the page", page.len())))
}
