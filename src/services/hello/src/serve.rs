//! Serving: one connection after the other, each within a time limit.
//!
//! In:  a port. Out: answers. A visitor who is slow loses his turn; nothing else is kept of anybody.
//!
//! Source: RFC 9112 §9.6 (the connection closes after each answer), §6.3 rule 8 (a body may end with it).

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::facts::Facts;
use crate::gateway::{Gateway, PLACE, Told};
use crate::request::{self, Form, Refusal, Request, Wish};
use crate::{Error, json, page};

/// From a visitor's arrival to the end of his answer, at most: with one visitor at a time this is how long the next one may wait.
const VISIT: Duration = Duration::from_secs(3);
/// How much of that a request may take: the rest is for the answer, be it only that this one came too late.
const HEARING: Duration = Duration::from_secs(2);
/// How long a stream goes on.
const STREAM: Duration = Duration::from_millis(500);
/// A piece of it.
static PIECE: [u8; 64 * 1024] = [0; 64 * 1024];
/// What is still read after an answer, so that closing does not cut it off.
const REST_BYTES: u64 = 64 * 1024;

/// Opens `port`, for both families where there are two.
///
/// # Errors
/// [`Error::Port`]: it is taken, or not ours to open.
pub fn open(port: u16) -> Result<TcpListener, Error> {
    TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))
        .or_else(|_| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)))
        .map_err(|cause| Error::Port(port, cause))
}

/// Says once that it is ready: a line to the descriptor whose number is in `NOTIFY_FD`. Without one, nobody asked.
///
/// Safe Rust cannot write to a descriptor of which it has only the number, so it is opened anew by its name.
///
/// # Errors
/// [`Error::Ready`]: the descriptor cannot be written.
pub fn say_ready() -> Result<(), Error> {
    let Some(number) = std::env::var("NOTIFY_FD").ok().and_then(|number| number.parse::<u32>().ok()) else {
        return Ok(());
    };
    let notify = File::options().write(true).open(format!("/proc/self/fd/{number}"));
    notify.and_then(|mut notify| notify.write_all(b"ready\n")).map_err(Error::Ready)
}

/// Serves until the process is ended.
pub fn forever(listener: &TcpListener) -> ! {
    let started = Instant::now();
    let mut visits = 0_u64;
    let mut gateway = Gateway::at(PLACE);
    gateway.greet();
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                visits += 1;
                // What goes wrong here is the visitor's business, or his line's.
                let _ = visit(&stream, started, visits, gateway.greet());
                gateway.tell_visit(visits);
            }
            // A visitor who left again, or no memory for one: take a breath, so that this never becomes a busy loop.
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

fn visit(stream: &TcpStream, started: Instant, visits: u64, told: &Told) -> io::Result<()> {
    let arrived = Instant::now();
    let deadline = arrived + VISIT;
    stream.set_nodelay(true)?;
    match hear(stream, arrived + HEARING) {
        Ok(Request { wish: Wish::Stream, head_only }) => run_full(stream, head_only, deadline)?,
        Ok(Request { wish: Wish::Facts(form), head_only }) => {
            let (local, peer) = (stream.local_addr()?, stream.peer_addr()?);
            let facts = Facts::look(canonical(local), canonical(peer), started.elapsed(), visits);
            let facts = Facts { told: told.clone(), ..facts };
            write(stream, &answer(form, head_only, &facts), deadline)?;
        }
        Err(refusal) => write(stream, &refuse(refusal), deadline)?,
    }
    stream.shutdown(Shutdown::Write)?;
    // Bytes that nobody reads would turn the close into a reset, which may overtake the answer: RFC 9112 §9.6.
    stream.set_read_timeout(Some(left(deadline)?))?;
    io::copy(&mut stream.take(REST_BYTES), &mut io::sink()).map(drop)
}

fn write(mut stream: &TcpStream, mut rest: &[u8], deadline: Instant) -> io::Result<()> {
    while !rest.is_empty() {
        stream.set_write_timeout(Some(left(deadline)?))?;
        let written = stream.write(rest)?;
        rest = rest.get(written..).unwrap_or_default();
    }
    Ok(())
}

/// How much of the visit is left.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn hear(mut stream: &TcpStream, deadline: Instant) -> Result<Request, Refusal> {
    let mut bytes = [0; request::BYTES];
    let mut used = 0;
    loop {
        let time = left(deadline).map_err(|_| Refusal::Late)?;
        stream.set_read_timeout(Some(time)).map_err(|_| Refusal::Late)?;
        let room = bytes.get_mut(used..).unwrap_or_default();
        match stream.read(room) {
            Ok(0) => return Err(Refusal::Bad),
            Ok(more) => used += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return Err(Refusal::Late),
        }
        if let Some(request) = request::parse(bytes.get(..used).unwrap_or_default())? {
            return Ok(request);
        }
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Sends as much as goes.
fn run_full(stream: &TcpStream, head_only: bool, deadline: Instant) -> io::Result<()> {
    write(stream, head("200 OK", "application/octet-stream", None).as_bytes(), deadline)?;
    let end = Instant::now() + STREAM;
    while !head_only && Instant::now() < end {
        write(stream, &PIECE, deadline)?;
    }
    Ok(())
}

fn answer(form: Form, head_only: bool, facts: &Facts) -> Vec<u8> {
    let (kind, body) = match form {
        Form::Page => ("text/html; charset=utf-8", page::of(facts)),
        Form::Json => ("application/json", json::of(facts)),
    };
    message("200 OK", kind, &body, head_only)
}

fn refuse(refusal: Refusal) -> Vec<u8> {
    message(refusal.status(), "text/plain", &format!("{}\n", refusal.status()), false)
}

/// Nothing on the page may come from anywhere else, run, be framed, or be kept.
const RULES: &str = "Allow: GET, HEAD\r\n\
    Cache-Control: no-store\r\n\
    Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'\r\n\
    Referrer-Policy: no-referrer\r\n\
    X-Content-Type-Options: nosniff\r\n\
    Connection: close\r\n";

fn message(status: &str, kind: &str, body: &str, head_only: bool) -> Vec<u8> {
    let head = head(status, kind, Some(body.len()));
    let body = if head_only { "" } else { body };
    format!("{head}{body}").into_bytes()
}

/// The head of an answer; without a length, its body ends with the connection.
fn head(status: &str, kind: &str, length: Option<usize>) -> String {
    let length = length.map(|length| format!("Content-Length: {length}\r\n")).unwrap_or_default();
    format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{length}{RULES}\r\n")
}
