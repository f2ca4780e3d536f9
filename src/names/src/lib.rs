//! DNS: a forwarder with a cache, and the names of the home's hosts.
//!
//! In:  what `network` told (wire `told`), what `lease` knows (wire `resolve`), questions of hosts. Out: answers.
//!
//! Not here: DNSSEC validation (an upstream that is asked by TLS may say that it has done it), DHCP (`lease`), recursion.
//!
//! Source: docs/names.md has the list.
#![forbid(unsafe_code)]

pub mod name;
pub mod query;

pub mod message;
pub mod reply;

pub mod hosts;
pub mod policy;
pub mod special;

pub mod cache;
pub mod engine;
pub mod rate;
pub mod upstreams;

pub mod forward;
pub mod stream;

pub mod callers;
pub mod listen;

pub mod relay;

pub mod desk;
pub mod token;

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
            Self::Poll(errno) => write!(f, "epoll: cannot wait: {}", errno.desc()),
        }
    }
}

impl std::error::Error for Error {}
