//! The command on the gateway: asks the daemons on their wires, and shows what they say.
//!
//! In:  the words of a command. Out: a table for a person, or JSON.
//!
//! It speaks for whoever runs it; the daemons check who that is. A command parses, asks, prints; it decides nothing.
//!
//! Not here: the operator's command line (`shg`, later).
#![forbid(unsafe_code)]

pub mod command;

mod calls;
mod clock;
mod gateway;
mod identity;
pub mod json;
mod leases;
mod machine;
mod multicast;
mod names;
mod network;
mod packages;
mod processes;
mod six;
mod sla;
mod slices;
mod table;
mod usp;
mod verify;

pub mod door;

use std::fmt;
use std::io;

/// Why a command was not done.
#[derive(Debug)]
pub enum Error {
    /// The words are wrong: how they should be.
    Usage(String),
    /// A wire did not work: whose, and why.
    Wire(&'static str, wire::Error),
    /// The other end said no.
    Refused(String),
    /// The output, or a port, did not take what was written.
    Output(io::Error),
}

impl Error {
    /// The exit code that goes with it: 1, or 2 for wrong usage.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Wire(..) | Self::Refused(_) | Self::Output(_) => 1,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(how) => write!(f, "usage: {how}"),
            Self::Wire(server, error) => write!(f, "{server} does not answer: {error}"),
            Self::Refused(why) => write!(f, "{why}"),
            Self::Output(error) => write!(f, "output: {error}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}
