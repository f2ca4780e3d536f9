//! Who this gateway is: an endpoint id, and a key pair that never leaves.
//!
//! In:  the data disk, the machine's numbers, the operator's word in `/etc/shg/device.toml`; questions on the wire `identify`.
//! Out: an endpoint id, a public key and a certificate of it; signatures.
//!
//! The key is made once, on first boot, and is on the disk before anybody hears of it. Without a data disk there is one for this boot
//! only, which says so, and which gives way to the kept one when the disk comes.
//!
//! Not here: what is signed and why (`agent`, later), enrolment with the operator, whom we trust (`trust`).
//!
//! Source: TR-369 §2 (endpoint identifiers); RFC 5480 (keys), RFC 5280 (certificates); docs/identity.md.
#![forbid(unsafe_code)]

pub mod endpoint;

pub mod certificate;
pub mod der;
pub mod key;

pub mod keeper;

pub mod answer;
pub mod room;

use std::fmt;

use sys::Errno;

/// Why the daemon cannot work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// No key can be made or used: the system gives no random numbers, perhaps.
    Key,
    /// It cannot wait.
    Poll(Errno),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key => write!(f, "key: it cannot be made or used"),
            Self::Poll(errno) => write!(f, "poll: cannot wait: {}", errno.desc()),
        }
    }
}

impl std::error::Error for Error {}
