//! The life of every process: starts them in order, keeps them, hears when they are ready, reads their logs, ends them.
//!
//! In:  what PID 1 gives back, orders on the wire `control`, deaths, readiness, answers of `storage` and `network`.
//! Out: running daemons and tenants, each in its cgroup; rows on `control`.
//!
//! It may be killed at any instant: what it needs to know in its next life lies in PID 1's store before it counts on it.
//!
//! Not here: what isolation is (`sandbox`), disks (`storage`), links (`network`), any parser of text.
#![forbid(unsafe_code)]

pub mod life;

pub mod catalogue;
pub mod core;

pub mod keep;
pub mod process;
pub mod record;
pub mod ring;

pub mod adopt;
pub mod desk;
pub mod house;
pub mod links;
pub mod start;
pub mod turn;

use std::fmt;

use sys::Errno;

/// Why the supervisor, or a start, does not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The system said no: what it was for, and why.
    System(&'static str, Errno),
    /// A wire could not be bound.
    Wire(&'static str, Errno),
    /// A sandbox could not be made.
    Sandbox(sandbox::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(what, errno) => write!(f, "{what}: {}", errno.desc()),
            Self::Wire(name, errno) => write!(f, "wire {name} cannot be bound: {}", errno.desc()),
            Self::Sandbox(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl From<sandbox::Error> for Error {
    fn from(error: sandbox::Error) -> Self {
        Self::Sandbox(error)
    }
}
