//! A daemon's end of a wire: a listener, and the connections that it let in.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use contract::frame;
use contract::wires::Wire;
use serde::{Serialize, de::DeserializeOwned};
use sys::Errno;
use sys::seqpacket::{self, Descriptors};

use crate::{BUFFER_BYTES, Error};

/// A listening wire.
#[derive(Debug)]
pub struct Listener {
    wire: Wire,
    socket: OwnedFd,
}

/// One client.
#[derive(Debug)]
pub struct Connection {
    wire: Wire,
    uid: u32,
    socket: OwnedFd,
}

/// What a connection had for us.
#[derive(Debug)]
pub enum Received<T> {
    /// A message and its descriptors.
    Message(T, Descriptors),
    /// Nothing now.
    Nothing,
    /// The client is gone, or spoke nonsense: drop the connection.
    Gone,
}

impl Listener {
    /// The listener of `wire` on `socket`, which the supervisor has bound.
    #[must_use]
    pub fn new(wire: Wire, socket: OwnedFd) -> Self {
        Self { wire, socket }
    }

    /// Lets one client in if it may come in. `None`: nobody waits, or the one who came may not and was turned away.
    #[must_use]
    pub fn accept(&self) -> Option<Connection> {
        let socket = seqpacket::accept(self.socket.as_fd()).ok()?;
        let uid = seqpacket::peer_uid(socket.as_fd()).ok()?;
        self.wire.clients.contains(&uid).then_some(Connection { wire: self.wire, uid, socket })
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Connection {
    /// Who it is (`SO_PEERCRED`): its uid.
    #[must_use]
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// The next message, if there is one.
    pub fn receive<T: DeserializeOwned>(&self) -> Received<T> {
        let mut buffer = [0; BUFFER_BYTES];
        match seqpacket::receive(self.socket.as_fd(), &mut buffer) {
            Err(Errno::EAGAIN) => Received::Nothing,
            Err(_) | Ok((0, _)) => Received::Gone,
            Ok((length, descriptors)) => match frame::decode(buffer.get(..length).unwrap_or_default()) {
                Ok(message) => Received::Message(message, descriptors),
                Err(_) => Received::Gone,
            },
        }
    }

    /// Sends `message` with `descriptors`.
    ///
    /// # Errors
    /// [`Error::Closed`]: the client is gone, or reads nothing and its queue is full: drop the connection. [`Error::Frame`]: the
    /// message is too large. [`Error::System`]: anything else.
    pub fn send<T: Serialize>(&self, message: &T, descriptors: &[BorrowedFd<'_>]) -> Result<(), Error> {
        send(self.wire.name, self.socket.as_fd(), message, descriptors)
    }

    /// Sends every one of `messages`.
    ///
    /// # Errors
    /// As [`Connection::send`]; what comes after is not sent.
    pub fn send_all<T: Serialize>(&self, messages: impl IntoIterator<Item = T>) -> Result<(), Error> {
        messages.into_iter().try_for_each(|message| self.send(&message, &[]))
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Encodes and sends; the common part of both ends.
pub(crate) fn send<T: Serialize>(
    wire: &'static str,
    socket: BorrowedFd<'_>,
    message: &T,
    descriptors: &[BorrowedFd<'_>],
) -> Result<(), Error> {
    let mut buffer = [0; BUFFER_BYTES];
    let bytes = frame::encode(message, &mut buffer).map_err(Error::Frame)?;
    match seqpacket::send(socket, bytes, descriptors) {
        Ok(()) => Ok(()),
        Err(Errno::EPIPE | Errno::ECONNRESET | Errno::ENOTCONN | Errno::EAGAIN) => Err(Error::Closed),
        Err(errno) => Err(Error::System(wire, errno)),
    }
}
