//! The wire `show`: ctl → network.
//!
//! One [`Ask`] a frame; the answer is any number of rows and then [`Answer::Done`] or [`Answer::Refused`].

use serde::{Deserialize, Serialize};

use crate::learn::Lease;
use crate::limit::REASON_BYTES;
use crate::name::Text;

/// What may be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// Wanted, observed and what differs, a row each; the WAN's lease, where there is one.
    Network,
}

/// What network answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// One fact about the network.
    Row {
        /// Which list it belongs to.
        part: Part,
        /// The fact, in one line.
        text: Text<160>,
    },
    /// The WAN's lease and when it was put into the kernel, in milliseconds after boot.
    Wan {
        /// The lease.
        lease: Lease,
        /// When the address was first set.
        applied_ms: u64,
    },
    /// That was all.
    Done,
    /// Not done, and why.
    Refused(Text<REASON_BYTES>),
}

/// Which list a row belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// What is asked for.
    Wanted,
    /// What the kernel says.
    Observed,
    /// A change that would still have to be made.
    Differs,
}
