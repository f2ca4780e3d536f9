//! A client's end of a wire.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use contract::frame;
use contract::wires::Wire;
use serde::{Serialize, de::DeserializeOwned};
use sys::Errno;
use sys::seqpacket::{self, Descriptors};

use crate::{ANSWER_MS, BUFFER_BYTES, Error, server};

/// A connection that we made.
#[derive(Debug)]
pub struct Client {
    wire: Wire,
    socket: OwnedFd,
}

impl Client {
    /// Connects to `wire`.
    ///
    /// # Errors
    /// [`Error::System`]: nobody serves it (yet), or we may not.
    pub fn dial(wire: Wire) -> Result<Self, Error> {
        Self::dial_at(wire, Path::new(wire.path))
    }

    /// Connects to `wire` at another path: for tests.
    ///
    /// # Errors
    /// As [`Client::dial`].
    pub fn dial_at(wire: Wire, path: &Path) -> Result<Self, Error> {
        let socket = seqpacket::dial(path).map_err(|errno| Error::System(wire.name, errno))?;
        Ok(Self { wire, socket })
    }

    /// Sends `message` with `descriptors` and does not wait for an answer.
    ///
    /// # Errors
    /// [`Error::Closed`]: dial again. [`Error::Frame`]: too large.
    pub fn send<T: Serialize>(&self, message: &T, descriptors: &[BorrowedFd<'_>]) -> Result<(), Error> {
        server::send(self.wire.name, self.socket.as_fd(), message, descriptors)
    }

    /// The next message, if there is one now.
    ///
    /// # Errors
    /// [`Error::Closed`]: dial again. [`Error::Frame`]: the server spoke nonsense.
    pub fn receive<T: DeserializeOwned>(&self) -> Result<Option<(T, Descriptors)>, Error> {
        let mut buffer = [0; BUFFER_BYTES];
        match seqpacket::receive(self.socket.as_fd(), &mut buffer) {
            Err(Errno::EAGAIN) => Ok(None),
            Ok((0, _)) | Err(Errno::ECONNRESET) => Err(Error::Closed),
            Err(errno) => Err(Error::System(self.wire.name, errno)),
            Ok((length, descriptors)) => frame::decode(buffer.get(..length).unwrap_or_default())
                .map(|message| Some((message, descriptors)))
                .map_err(Error::Frame),
        }
    }

    /// Waits for the next message, at most [`ANSWER_MS`].
    ///
    /// # Errors
    /// As [`Client::receive`], and [`Error::Silent`].
    pub fn wait<T: DeserializeOwned>(&self) -> Result<(T, Descriptors), Error> {
        let wait = sys::descriptor::wait_readable(self.socket.as_fd(), ANSWER_MS);
        wait.map_err(|errno| Error::System(self.wire.name, errno))?;
        // Not readable after all: nothing to receive.
        self.receive()?.ok_or(Error::Silent)
    }

    /// Sends `message` and waits for one answer.
    ///
    /// # Errors
    /// As [`Client::send`] and [`Client::wait`].
    pub fn call<A: Serialize, B: DeserializeOwned>(
        &self,
        message: &A,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(B, Descriptors), Error> {
        self.send(message, descriptors)?;
        self.wait()
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
