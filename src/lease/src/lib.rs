//! Addresses that are got and given: DHCPv4 and IPv6, a client for each play and a server for each network at home; PPPoE.
//!
//! In:  a wish from `network` (wire `learn`), packets of many links. Out: leases got (told to `network`) and leases given.
//!
//! Not here: addresses and routes in the kernel (`network`), DNS (`names`).
//!
//! Source: RFC 2131, RFC 2132; docs/leases.md; for IPv6 docs/ipv6.md.
#![forbid(unsafe_code)]

pub mod message;
pub mod options;

pub mod arp;
pub mod datagram;
pub mod link;
pub mod links;
pub mod socket;

pub mod side;

pub mod client;
pub mod dice;
pub mod duid;
pub mod request;
pub mod schedule;
pub mod terms;
pub mod usp;
pub mod wan;

pub mod book;
pub mod budget;
pub mod keep;
pub mod lan;
pub mod locals;
pub mod offers;
pub mod server;
pub mod table;

pub mod pcp;
pub mod ppp;
pub mod six;

pub mod home;
pub mod play;

pub mod introduction;

pub mod askers;
pub mod room;

use std::fmt;

use sys::Errno;

/// Packets that one socket is read for in one turn of the loop: what comes in a flood waits, or is dropped by the kernel.
pub const PACKETS_A_TURN: usize = 32;

/// Why the daemon cannot work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// No news of links can be heard.
    Links(Errno),
    /// It cannot wait.
    Poll(Errno),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Links(errno) => write!(f, "links: no news can be heard: {}", errno.desc()),
            Self::Poll(errno) => write!(f, "poll: cannot wait: {}", errno.desc()),
        }
    }
}

impl std::error::Error for Error {}
