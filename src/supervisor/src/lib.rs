//! The life of every process: starts them in order, keeps them, hears when they are ready, reads their logs, ends them.
//!
//! In:  what PID 1 gives back, orders on the wire `control`, services on the wire `installed`, deaths, readiness, answers of `storage` and `network`.
//! Out: running daemons and tenants, each in its cgroup; rows on `control`.
//!
//! It may be killed at any instant: what it needs to know in its next life lies in PID 1's store before it counts on it.
//!
//! Not here: what isolation is (`sandbox`), disks (`storage`), links (`network`), any parser of text.
#![forbid(unsafe_code)]

pub mod life;

pub mod admission;
pub mod catalogue;
pub mod core;

pub mod keep;
pub mod process;
pub mod record;
pub mod ring;
pub mod tenant;

pub mod adopt;
pub mod ceiling;
pub mod compliance;
pub mod damage;
pub mod desk;
pub mod end;
pub mod events;
pub mod health;
pub mod hear;
pub mod house;
pub mod installed;
pub mod leave;
pub mod ledger;
pub mod lines;
pub mod links;
#[cfg(test)]
mod model;
pub mod overlap;
#[cfg(feature = "rehearsal")]
mod rehearsal;
pub mod rental;
pub mod schedule;
pub mod slices;
pub mod start;
pub mod trial;
pub mod turn;

use std::fmt;

use contract::keep::SUPERVISOR_FD;
use sys::Errno;

use crate::house::House;
use crate::keep::Keep;

/// Begins a life: reads the words that PID 1 starts it with, and takes back what was kept.
///
/// # Errors
/// [`Error::Usage`]: not PID 1 has started it. Others as [`House::open`].
pub fn open(words: impl Iterator<Item = String>) -> Result<House, Error> {
    let mut numbers = words.map(|word| word.parse::<u64>().ok());
    let (Some(Some(init_ms)), Some(Some(life)), None) = (numbers.next(), numbers.next(), numbers.next())
    else {
        return Err(Error::Usage("its words are INIT_MS LIFE"));
    };
    let socket = sys::descriptor::inherited(SUPERVISOR_FD).ok_or(Error::Usage("descriptor 3 is not open"))?;
    sys::logger::to_stderr("supervisor");
    House::open(Keep::new(socket), init_ms, life)
}

/// Why the supervisor, or a start, does not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// It was started wrongly: what is missing.
    Usage(&'static str),
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
            Self::Usage(what) => write!(f, "supervisor: only PID 1 starts it: {what}"),
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
