//! Voice: a SIP proxy and a media relay between the home's phones and the operator's voice platform.
//!
//! In:  what `network` tells (the home's link, the voice play's, the registrar); SIP from both sides; media. Out: the same, each side in our
//! name, so that a phone behind the gateway is reached and is heard, and the other side never sees the home's addresses.
//!
//! A phone takes the gateway's LAN address for its outbound proxy, and registers with the operator as ever; the operator sees one host,
//! the gateway's address in the voice play. Requests are passed on without state but for three small tables: who is registered, where
//! answers go, which media belong to a call.
//!
//! Not here: packets of phones that speak to the operator themselves (`network` routes them by the voice play); accounts, codecs, tones.
//!
//! Source: RFC 3261, RFC 3581 (rport), RFC 3264 (offer and answer), RFC 8866 (SDP), RFC 3550 (RTP), RFC 4594 (EF); docs/voice.md.
#![forbid(unsafe_code)]

pub mod message;
pub mod sdp;
pub mod uri;

pub mod bindings;
pub mod transactions;

pub mod media;
pub mod proxy;
pub mod relay;

pub mod answers;
pub mod room;
pub mod side;

use std::fmt;

use sys::Errno;

/// Packets that one socket is read for in one turn of the loop.
pub const PACKETS_A_TURN: usize = 64;

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
