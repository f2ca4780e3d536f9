//! The two ends of a wire: a daemon's (accept, check who it is, receive, send) and a client's (dial, ask).
//!
//! In:  a row of `contract::wires` and messages. Out: messages and descriptors.
//!
//! Nothing here waits by itself, but for a client's [`Client::call`], which waits at most [`ANSWER_MS`]. The caller polls.
//!
//! Not here: what the words mean (`contract`), the bytes of a frame (`contract::frame`), who binds a wire (`supervisor`).
#![forbid(unsafe_code)]

mod askers;
mod client;
mod line;
mod server;
mod start;

pub use askers::{Askers, CLIENTS_MAX};
pub use client::Client;
pub use line::Line;
pub use server::{Connection, Listener, Received};
pub use start::{notify_ready, serve, take, take_stream};

use std::fmt;

use sys::Errno;

/// How long a client waits for an answer, in milliseconds: a mount on a slow stick takes a second or two.
pub const ANSWER_MS: u16 = 10_000;

/// Bytes of the buffers here: the largest message of `contract` (what is wished of `lease`, with every reservation and forwarded port)
/// with room to spare.
const BUFFER_BYTES: usize = 48 * 1024;
const _: () = assert!(BUFFER_BYTES > contract::limit::LOG_CHUNK_BYTES + 64);
const _: () = assert!(BUFFER_BYTES <= contract::limit::FRAME_BYTES);

/// What goes wrong on a wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// The system said no.
    System(&'static str, Errno),
    /// The other end is gone: dial again.
    Closed,
    /// The other end did not answer in time.
    Silent,
    /// What came is no message of this wire.
    Frame(contract::frame::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(wire, errno) => write!(f, "wire {wire}: {}", errno.desc()),
            Self::Closed => write!(f, "wire: the other end is gone"),
            Self::Silent => write!(f, "wire: no answer within {ANSWER_MS} ms"),
            Self::Frame(error) => write!(f, "wire: {error}"),
        }
    }
}

impl std::error::Error for Error {}
