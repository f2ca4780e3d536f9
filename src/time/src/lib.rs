//! The clock: never earlier than the image, set by servers that agree.
//!
//! In:  the wire `told` (which servers, and whether asking makes sense), their answers, the data disk; questions on the wire `clock`.
//! Out: a clock that is right; the file `/run/time/synchronized`, for who waits for that.
//!
//! Three steps: at the start the clock is set to the image's build time, and to the last time that was kept on the data disk, whichever is
//! later; then servers are asked (NTP, sealed by NTS where the operator names such servers), and what a majority says is believed: the
//! clock is set once and slewed from then on.
//!
//! Not here: serving time to the home; the hardware clock (the kernel writes it by itself where there is one); time zones.
//!
//! Source: RFC 5905 (NTP), RFC 8915 (NTS), RFC 8633 (good manners); docs/time.md.
#![forbid(unsafe_code)]

pub mod stamp;

pub mod packet;
pub mod seal;

pub mod filter;
pub mod select;

pub mod discipline;
pub mod pace;

pub mod dice;
pub mod dns;
pub mod resolver;

pub mod agreement;
pub mod keyed;

pub mod clockwork;
pub mod engine;
pub mod kept;
pub mod servers;
pub mod source;

pub mod room;

use std::fmt;

use sys::Errno;

/// Why the daemon cannot work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// It cannot wait.
    Poll(Errno),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Poll(errno) => write!(f, "poll: cannot wait: {}", errno.desc()),
        }
    }
}

impl std::error::Error for Error {}
