//! A small web service, whose pages are work: what an application for the home is like while its neighbours do their worst.
//!
//! In:  connections; one `GET /TURNS` on each. Out: so much work, and its sum as the page; 400 for everything else, and nobody waits for who says nothing.
//!
//! Source: RFC 9112 (a request's form), RFC 9110 section 15 (status).

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use crate::antagonist::work;

/// The longest head of a request, in bytes.
const HEAD_BYTES: usize = 1024;
/// The longest work, in turns.
const TURNS_MAX: u64 = 100_000;
/// How long a client may say nothing.
const SILENCE: Duration = Duration::from_secs(2);

/// Serves for ever on this port, each connection by a thread of its own.
pub(crate) fn serve(port: usize) {
    let bound =
        u16::try_from(port).map_err(io::Error::other).and_then(|port| TcpListener::bind(("0.0.0.0", port)));
    let listener = match bound {
        Ok(listener) => listener,
        Err(error) => return eprintln!("chatter: port {port}: {error}"),
    };
    crate::say_ready();
    for stream in listener.incoming().flatten() {
        // A client that goes, or threads that are all taken: that client's loss.
        let answered = thread::Builder::new().spawn(move || answer(stream));
        if let Err(error) = answered {
            eprintln!("chatter: {error}");
        }
    }
}

fn answer(mut stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(SILENCE))?;
    let mut head = Vec::new();
    let mut piece = [0; 256];
    while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD_BYTES {
        match stream.read(&mut piece)? {
            0 => return Ok(()),
            length => head.extend_from_slice(piece.get(..length).unwrap_or_default()),
        }
    }
    let (status, page) = match turns(&head) {
        Some(turns) => ("200 OK", format!("{}\n", work(turns))),
        None => ("400 Bad Request", String::new()),
    };
    let length = page.len();
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{page}")
}

/// How much is asked for.
fn turns(head: &[u8]) -> Option<u64> {
    let line = std::str::from_utf8(head).ok()?.split_once("\r\n")?.0;
    let turns = line.strip_prefix("GET /")?.strip_suffix(" HTTP/1.1")?;
    turns.parse().ok().filter(|turns| *turns <= TURNS_MAX)
}

#[cfg(test)]
mod tests {
    use super::turns;

    #[test]
    fn a_request_says_how_much() {
        let table = [
            ("GET /40 HTTP/1.1\r\nHost: a\r\n\r\n", Some(40)),
            ("GET /1000000 HTTP/1.1\r\n\r\n", None),
            ("GET /-1 HTTP/1.1\r\n\r\n", None),
            ("GET / HTTP/1.1\r\n\r\n", None),
            ("POST /40 HTTP/1.1\r\n\r\n", None),
            ("GET /40", None),
            ("", None),
        ];
        for (head, want) in table {
            assert_eq!(turns(head.as_bytes()), want, "{head:?}");
        }
    }
}
