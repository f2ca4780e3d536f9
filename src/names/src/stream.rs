//! A connection to an upstream: TCP, or TLS over it; questions in a row, answers in any order.
//!
//! In:  messages. Out: messages, each with its length in front on the way. Nothing here waits.
//!
//! Source: RFC 7766 (DNS over TCP), RFC 7858 (over TLS).

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;

use crate::query::HEADER_BYTES;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, SockaddrIn6, connect, setsockopt, socket, sockopt,
};
use sys::Errno;
use trust::rustls::pki_types::ServerName;
use trust::rustls::{ClientConfig, ClientConnection};

/// The most that waits to be sent, in bytes.
const OUT_BYTES_MAX: usize = 64 * 1024;
/// The most that waits to be read: one message of the largest size, and the next one's head.
const IN_BYTES_MAX: usize = 2 * 65_537;
/// What one read takes.
const CHUNK_BYTES: usize = 16 * 1024;
/// Messages of one turn: twice the questions that can be under way.
const MESSAGES_A_TURN: usize = 512;
/// Reads of one turn: the rest comes in the next.
const READS_A_TURN: usize = 8;

/// Why a connection is over.
#[derive(Debug)]
pub enum Gone {
    /// The other end has closed it.
    Closed,
    /// The system says so.
    System(io::Error),
    /// TLS says so: a certificate that is not good, a stranger's words.
    Tls(trust::rustls::Error),
    /// More than we take.
    TooMuch,
}

impl std::fmt::Display for Gone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Closed => write!(f, "closed by the other end"),
            Self::System(error) => write!(f, "{error}"),
            Self::Tls(error) => write!(f, "TLS: {error}"),
            Self::TooMuch => write!(f, "more than is taken"),
        }
    }
}

/// A connection, made or in the making.
#[derive(Debug)]
pub struct Stream {
    socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
    connected: bool,
    out: Vec<u8>,
    input: Vec<u8>,
    /// Which life of its upstream's connections this is.
    pub serial: u32,
    /// When it was last used, in milliseconds after boot.
    pub used_ms: u64,
    /// When something was heard by it last, in milliseconds after boot.
    pub heard_ms: u64,
    /// Answers that it brought.
    pub answers: u32,
    /// Messages of it that nobody waited for.
    pub strays: u32,
    /// Is it waited for until it can be written?
    pub waits_to_write: bool,
}

impl Stream {
    /// Begins to connect to `address`, by TLS where there is a configuration and a name.
    ///
    /// # Errors
    /// [`Gone`]: there is no route, or no socket.
    pub fn open(
        address: SocketAddr,
        tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
        serial: u32,
        now_ms: u64,
    ) -> Result<Self, Gone> {
        let tls = match tls {
            None => None,
            Some((config, name)) => Some(Box::new(ClientConnection::new(config, name).map_err(Gone::Tls)?)),
        };
        let socket = dial(address).map_err(|errno| Gone::System(errno.into()))?;
        Ok(Self {
            socket,
            tls,
            connected: false,
            out: Vec::new(),
            input: Vec::new(),
            serial,
            used_ms: now_ms,
            heard_ms: 0,
            answers: 0,
            strays: 0,
            waits_to_write: true,
        })
    }

    /// Puts a message into the queue.
    ///
    /// # Errors
    /// [`Gone::TooMuch`]: the other end takes nothing.
    pub fn put(&mut self, message: &[u8]) -> Result<(), Gone> {
        let length = u16::try_from(message.len()).map_err(|_| Gone::TooMuch)?;
        if self.out.len() + message.len() + 2 > OUT_BYTES_MAX {
            return Err(Gone::TooMuch);
        }
        self.out.extend_from_slice(&length.to_be_bytes());
        self.out.extend_from_slice(message);
        Ok(())
    }

    /// Has it something to write?
    #[must_use]
    pub fn wants_to_write(&self) -> bool {
        !self.connected || !self.out.is_empty() || self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// Moves bytes, as many as go without waiting.
    ///
    /// # Errors
    /// [`Gone`]: there will be no more; what came before can still be taken.
    pub fn turn(&mut self) -> Result<(), Gone> {
        if !self.connected {
            if let Some(error) = self.socket.take_error().map_err(Gone::System)? {
                return Err(Gone::System(error));
            }
            if self.socket.peer_addr().is_err() {
                return Ok(());
            }
            self.connected = true;
        }
        match self.tls.take() {
            None => self.turn_plain(),
            Some(mut tls) => {
                let turned = self.turn_tls(&mut tls);
                self.tls = Some(tls);
                turned
            }
        }
    }

    fn turn_plain(&mut self) -> Result<(), Gone> {
        while !self.out.is_empty() {
            match would_block(self.socket.write(&self.out))? {
                Some(count) => drop(self.out.drain(..count)),
                None => break,
            }
        }
        let mut chunk = [0; CHUNK_BYTES];
        for _ in 0..READS_A_TURN {
            match would_block(self.socket.read(&mut chunk))? {
                Some(0) => return Err(Gone::Closed),
                Some(count) => self.take(chunk.get(..count).unwrap_or_default())?,
                None => break,
            }
        }
        Ok(())
    }

    fn turn_tls(&mut self, tls: &mut ClientConnection) -> Result<(), Gone> {
        let taken = tls.writer().write(&self.out).map_err(Gone::System)?;
        self.out.drain(..taken);
        self.flush(tls)?;
        let mut closed = false;
        for _ in 0..READS_A_TURN {
            match would_block(tls.read_tls(&mut self.socket))? {
                Some(0) => closed = true,
                Some(_) => {}
                None => break,
            }
            let state = tls.process_new_packets();
            // An alert says to the other end why.
            if state.is_err() {
                let _ = self.flush(tls);
            }
            let mut left = state.map_err(Gone::Tls)?.plaintext_bytes_to_read();
            let mut chunk = [0; CHUNK_BYTES];
            while left > 0 {
                let count = tls.reader().read(&mut chunk).map_err(Gone::System)?;
                self.take(chunk.get(..count).unwrap_or_default())?;
                left = left.saturating_sub(count.max(1));
            }
            if closed {
                return Err(Gone::Closed);
            }
        }
        // The end of the handshake may have set free what waited.
        let taken = tls.writer().write(&self.out).map_err(Gone::System)?;
        self.out.drain(..taken);
        self.flush(tls)
    }

    fn flush(&mut self, tls: &mut ClientConnection) -> Result<(), Gone> {
        while tls.wants_write() {
            if would_block(tls.write_tls(&mut self.socket))?.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        if self.input.len() + bytes.len() > IN_BYTES_MAX {
            return Err(Gone::TooMuch);
        }
        self.input.extend_from_slice(bytes);
        Ok(())
    }

    /// The whole messages that came.
    ///
    /// # Errors
    /// [`Gone::TooMuch`]: more than were asked for, or what is no message.
    pub fn messages(&mut self) -> Result<Vec<Vec<u8>>, Gone> {
        let (mut messages, mut place) = (Vec::new(), 0);
        while let Some(message) = message_at(&self.input, place) {
            if message.len() < HEADER_BYTES || messages.len() >= MESSAGES_A_TURN {
                return Err(Gone::TooMuch);
            }
            messages.push(message.to_vec());
            place += 2 + message.len();
        }
        self.input.drain(..place);
        Ok(messages)
    }
}

/// The whole message at `place` of `input`, behind its length.
fn message_at(input: &[u8], place: usize) -> Option<&[u8]> {
    let (length, rest) = input.get(place..)?.split_first_chunk::<2>()?;
    rest.get(..usize::from(u16::from_be_bytes(*length)))
}

/// Takes the first whole message, with its length in front, from `input`.
pub fn take_message(input: &mut Vec<u8>) -> Option<Vec<u8>> {
    let message = message_at(input, 0)?.to_vec();
    input.drain(..2 + message.len());
    Some(message)
}

/// `None`: not now.
fn would_block(done: io::Result<usize>) -> Result<Option<usize>, Gone> {
    match done {
        Ok(count) => Ok(Some(count)),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(None),
        Err(error) => Err(Gone::System(error)),
    }
}

/// Begins to connect; close-on-exec and non-blocking.
fn dial(address: SocketAddr) -> Result<TcpStream, Errno> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let opened = socket(family, SockType::Stream, flags, None)?;
    setsockopt(&opened, sockopt::TcpNoDelay, &true)?;
    let begun = match address {
        SocketAddr::V4(address) => connect(opened.as_raw_fd(), &SockaddrIn::from(address)),
        SocketAddr::V6(address) => connect(opened.as_raw_fd(), &SockaddrIn6::from(address)),
    };
    match begun {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(TcpStream::from(opened)),
        Err(errno) => Err(errno),
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::take_message;

    #[test]
    fn messages_come_whole() {
        let mut input = b"\0\x03abc\0\0\0\x02d".to_vec();
        assert_eq!(take_message(&mut input).as_deref(), Some(&b"abc"[..]));
        assert_eq!(take_message(&mut input).as_deref(), Some(&b""[..]));
        assert_eq!(take_message(&mut input), None);
        input.push(b'e');
        assert_eq!(take_message(&mut input).as_deref(), Some(&b"de"[..]));
        assert!(input.is_empty());
    }
}
