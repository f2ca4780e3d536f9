//! Who this gateway is: an endpoint id, and a key pair that never leaves.
//!
//! In:  the data disk, the machine's numbers, the operator's word in `/etc/shg/device.toml`; questions on the wire `identify`.
//! Out: an endpoint id, a public key and a certificate of it; signatures; a request for a certificate that an authority signs.
//!
//! The key is made once, on first boot, and is on the disk before anybody hears of it. Without a data disk there is one for this boot
//! only, which says so, and which gives way to the kept one when the disk comes.
//!
//! Not here: what is signed and why (`agent`), keys and certificates as bytes (`x509`), whom we trust (`trust`).
//!
//! Source: TR-369 §2 (endpoint identifiers); docs/identity.md.
#![forbid(unsafe_code)]

pub mod endpoint;

pub mod keeper;

pub mod answer;
pub mod room;

use std::fmt;

use sys::Errno;

/// Why the daemon cannot work, or does not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// No key can be made or used: the system gives no random numbers, perhaps.
    Key(x509::Error),
    /// A certificate for a key that is gone with this boot is for nobody.
    Passing,
    /// What was given are no certificates, each signed by the next.
    Chain,
    /// The first of them is for another key.
    ForeignKey,
    /// The first of them does not bear our endpoint id.
    ForeignName,
    /// It could not be kept.
    State(state::Error),
    /// It cannot wait.
    Poll(Errno),
}

impl From<x509::Error> for Error {
    fn from(error: x509::Error) -> Self {
        Self::Key(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(error) => write!(f, "{error}"),
            Self::Passing => write!(f, "certificate: not taken: the key is for this boot only"),
            Self::Chain => write!(f, "certificate: not one, or more of them, each signed by the next"),
            Self::ForeignKey => write!(f, "certificate: it is for another key"),
            Self::ForeignName => {
                write!(f, "certificate: it does not bear our endpoint id (urn:bbf:usp:id:…)")
            }
            Self::State(error) => write!(f, "certificate: not kept: {error}"),
            Self::Poll(errno) => write!(f, "poll: cannot wait: {}", errno.desc()),
        }
    }
}

impl std::error::Error for Error {}
