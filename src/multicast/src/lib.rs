//! Multicast: querier towards the home, proxy towards the operator, multicast routes between the two; IPv4 and IPv6 alike.
//!
//! In:  what `network` tells (which links, which groups, and two sockets on which multicast routing was begun); IGMP and MLD messages of
//! hosts; streams without a route. Out: queries; memberships at the operator's side; multicast routes.
//!
//! It has no right but these sockets, and keeps nothing that the kernel does not hold for it: routes and memberships live in the sockets,
//! of which `network` keeps a twin. So it may be killed while somebody watches, and the picture does not stop.
//!
//! Not here: the bridge's snooping (the kernel's), which groups may be watched (`network.toml`), filters (`network`).
//!
//! Source: RFC 4605 (proxy), RFC 3376 (IGMPv3), RFC 2236 (IGMPv2), RFC 3810 (MLDv2), RFC 2710 (MLDv1); docs/multicast.md.
#![forbid(unsafe_code)]

pub mod message;

pub mod igmp;
pub mod mld;

pub mod members;
pub mod scope;
pub mod streams;

pub mod adopt;
pub mod household;
pub mod kernel;
pub mod querier;

pub mod answers;
pub mod room;

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
