//! Links, addresses, routes, the firewall; services' links.
//!
//! In:  the wanted network (`network.toml`), leases (wire `learn`), attachments (wire `attach`), what the kernel says.
//! Out: a kernel that is as wanted; rows on the wire `show`.
//!
//! Every turn is the same four steps: read → plan → apply → tell. The plan is pure; asked twice it changes nothing. It is killed and
//! started again without touching what is right.
//!
//! Not here: DHCP (`lease`), names, what a service is (it knows attachments).
//!
//! Sources: rtnetlink(7), netlink(7); linux/netfilter/nf_tables.h; docs/network.md.
#![forbid(unsafe_code)]

pub mod known;
pub mod plan;
pub mod target;
pub mod told;
pub mod view;
pub mod wish;

pub mod class;
pub mod expression;
pub mod firewall;
pub mod ruleset;
pub mod set;

pub mod bytes;
pub mod observed;

pub mod qos;

pub mod filter;
pub mod kernel;
pub mod neighbours;
pub mod socket;

pub mod attach;
pub mod configuration;
pub mod gateway;
pub mod service;

pub mod room;
pub mod tell;

#[cfg(test)]
mod testing;

use std::fmt;
use std::io;

use sys::Errno;

/// Why the network is not as wanted.
#[derive(Debug)]
pub enum Error {
    /// The configuration cannot be read.
    Read(io::Error),
    /// The configuration is wrong: where, and why.
    Wanted(String),
    /// The kernel said no: to what, and why.
    Kernel(String, Errno),
    /// Something cannot be had together with what is there.
    Refused(String),
}

impl Error {
    /// The kernel's error, of what was tried.
    fn kernel(what: impl Into<String>) -> impl FnOnce(Errno) -> Self {
        move |errno| Self::Kernel(what.into(), errno)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => write!(f, "{}: {error}", room::CONFIGURATION),
            Self::Wanted(why) => f.write_str(why),
            Self::Kernel(what, errno) => write!(f, "{what}: {}", errno.desc()),
            Self::Refused(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Error {}
