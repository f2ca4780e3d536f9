//! A connection to a registry: TCP, and TLS over it.
//!
//! In:  whom to connect to; a request. Out: an answer's head, and its body piece by piece. Every wait is a short one, after which one looks
//! whether to go on (`watch.rs`).
//!
//! Not here: which requests are made (`registry.rs`), what bytes mean (`http.rs`).
//!
//! Source: RFC 8446 (TLS 1.3).

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use contract::packages::Fault;
use trust::rustls::{ClientConnection, StreamOwned};

use crate::failure::Failure;
use crate::http::{self, Body, HEAD_BYTES_MAX, Head};
use crate::url::Origin;
use crate::watch::{TICK, Watch};

/// How long one address is tried.
const CONNECT: Duration = Duration::from_secs(10);
/// Addresses of a name that are tried.
const ADDRESSES_MAX: usize = 4;
/// What one read brings, at most.
const READ_BYTES: usize = 64 * 1024;
/// Heads that say only that an answer will come. Source: RFC 9110 §15.2.
const INTERIM_MAX: usize = 4;

/// What bytes go through.
#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// A connection.
#[derive(Debug)]
pub struct Link {
    /// To whom.
    pub origin: Origin,
    stream: Stream,
    /// What has come and was not taken yet.
    have: Vec<u8>,
    /// Of the answer that is being read.
    body: Body,
    closes: bool,
}

/// A failure, and whether the connection has just ended, so that another may do better.
#[derive(Debug)]
pub struct Broken {
    /// The failure.
    pub failure: Failure,
    /// It may.
    pub again: bool,
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        Self { failure, again: false }
    }
}

fn cut(origin: &Origin, why: impl std::fmt::Display) -> Broken {
    let failure = Failure::new(Fault::Unreachable, format!("{}: {why}", origin.authority));
    Broken { failure, again: true }
}

impl Link {
    /// Connects to `origin`.
    ///
    /// # Errors
    /// [`Fault::Unreachable`]: it has no address, does not answer, or is not believed. Where there is no way to it the line may just be
    /// coming back: another try may do better.
    pub fn open(origin: &Origin, watch: &Watch) -> Result<Self, Broken> {
        let failed = |why: String| Failure::new(Fault::Unreachable, format!("{}: {why}", origin.authority));
        let socket = connect(origin, watch)?;
        let timeouts = socket.set_read_timeout(Some(TICK)).and(socket.set_write_timeout(Some(TICK)));
        timeouts.and(socket.set_nodelay(true)).map_err(|error| failed(error.to_string()))?;
        let stream = if origin.tls {
            let config = trust::client(&[b"http/1.1"], trust::clock::Clock::Believed);
            let name = trust::server_name(&origin.host);
            let made =
                config.and_then(|config| ClientConnection::new(config, name?).map_err(trust::Error::Tls));
            let made = made.map_err(|error| failed(error.to_string()))?;
            Stream::Tls(Box::new(StreamOwned::new(made, socket)))
        } else {
            Stream::Plain(socket)
        };
        Ok(Self { origin: origin.clone(), stream, have: Vec::new(), body: Body::Done, closes: false })
    }

    /// Can it be asked again?
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.body == Body::Done && !self.closes && self.have.is_empty()
    }

    /// Sends `request` and waits for the head of its answer.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn ask(&mut self, request: &[u8], watch: &mut Watch) -> Result<Head, Broken> {
        self.write(request, watch)?;
        for _ in 0..INTERIM_MAX {
            let head = loop {
                match http::head(&self.have) {
                    Ok(Some((head, size))) => {
                        self.have.drain(..size);
                        break head;
                    }
                    Ok(None) if self.read(watch, HEAD_BYTES_MAX)? == 0 => {
                        return Err(cut(&self.origin, "it ended the connection without an answer"));
                    }
                    Ok(None) => {}
                    Err(fault) => return Err(self.nonsense(fault)),
                }
            };
            if !(100..200).contains(&head.status) {
                self.body = Body::of(&head);
                self.closes = head.closes;
                return Ok(head);
            }
        }
        Err(self.nonsense(http::Fault::Head))
    }

    /// The next bytes of the body, put into `piece`; none: it has ended.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn next(&mut self, piece: &mut Vec<u8>, watch: &mut Watch) -> Result<(), Broken> {
        piece.clear();
        while self.body != Body::Done {
            let (size, part) = self.body.take(&self.have).map_err(|fault| self.nonsense(fault))?;
            piece.extend_from_slice(part);
            self.have.drain(..size);
            if !piece.is_empty() {
                return Ok(());
            }
            if size == 0 && self.read(watch, READ_BYTES)? == 0 {
                let is_whole = self.body.ends_with_the_connection();
                self.closes = true;
                return if is_whole { Ok(()) } else { Err(cut(&self.origin, "cut off in the middle")) };
            }
        }
        Ok(())
    }

    fn nonsense(&self, fault: http::Fault) -> Broken {
        Failure::new(Fault::Unreachable, format!("{}: {fault}", self.origin.authority)).into()
    }

    /// Reads what there is, `limit` bytes at most, behind what was not taken. 0: the connection has ended.
    fn read(&mut self, watch: &mut Watch, limit: usize) -> Result<usize, Broken> {
        let had = self.have.len();
        self.have.resize(had.saturating_add(limit), 0);
        loop {
            let room = self.have.get_mut(had..).unwrap_or_default();
            let outcome = match &mut self.stream {
                Stream::Plain(socket) => socket.read(room),
                Stream::Tls(stream) => stream.read(room),
            };
            let size = match outcome {
                Ok(size) => size,
                Err(error) if is_short(&error) => {
                    watch.look(&self.origin.authority)?;
                    continue;
                }
                // The end of the connection without TLS's own: a body that counts has said its length.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => 0,
                Err(error) => return Err(cut(&self.origin, error)),
            };
            self.have.truncate(had.saturating_add(size));
            watch.look(&self.origin.authority)?;
            watch.hear();
            return Ok(size);
        }
    }

    fn write(&mut self, bytes: &[u8], watch: &mut Watch) -> Result<(), Broken> {
        let mut rest = bytes;
        loop {
            let outcome = match (&mut self.stream, rest.is_empty()) {
                (Stream::Plain(socket), false) => socket.write(rest),
                (Stream::Plain(_), true) => return Ok(()),
                (Stream::Tls(stream), false) => stream.write(rest),
                (Stream::Tls(stream), true) => stream.flush().map(|()| 0),
            };
            match outcome {
                Ok(0) if rest.is_empty() => return Ok(()),
                Ok(0) => return Err(cut(&self.origin, "it takes nothing")),
                Ok(size) => rest = rest.get(size..).unwrap_or_default(),
                Err(error) if is_short(&error) => watch.look(&self.origin.authority)?,
                // What TLS says of a certificate will not be another the next time.
                Err(error) if error.kind() == ErrorKind::InvalidData => {
                    let words = format!("{}: {error}", self.origin.authority);
                    return Err(Failure::new(Fault::Unreachable, words).into());
                }
                Err(error) => return Err(cut(&self.origin, error)),
            }
        }
    }
}

/// Was it only the end of a tick?
fn is_short(error: &io::Error) -> bool {
    [ErrorKind::WouldBlock, ErrorKind::TimedOut, ErrorKind::Interrupted].contains(&error.kind())
}

/// Has the gateway no way there, for now?
fn is_cut_off(error: &io::Error) -> bool {
    [ErrorKind::NetworkUnreachable, ErrorKind::HostUnreachable, ErrorKind::NetworkDown]
        .contains(&error.kind())
}

fn connect(origin: &Origin, watch: &Watch) -> Result<TcpStream, Broken> {
    let found = (origin.host.as_str(), origin.port).to_socket_addrs();
    let mut broken = cut(origin, "it has no address");
    let addresses = found.map_err(|error| cut(origin, format!("it has no address: {error}")))?;
    for address in addresses.take(ADDRESSES_MAX) {
        watch.look(&origin.authority)?;
        match TcpStream::connect_timeout(&address, CONNECT.min(watch.silence())) {
            Ok(socket) => return Ok(socket),
            Err(error) => {
                let again = is_cut_off(&error);
                broken = Broken { again, ..cut(origin, format!("{}: {error}", address.ip())) };
            }
        }
    }
    Err(broken)
}
