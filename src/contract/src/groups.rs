//! The wire `groups`: ctl → multicast.
//!
//! One [`Ask`] a frame; the answer is any number of rows and then [`Answer::Done`].

use core::net::IpAddr;

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::limit::HOMES;
use crate::wanted::LinkName;

/// Sources that are shown of one group.
pub const SOURCES_SHOWN: usize = 8;

/// What may be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// Who watches what, and which streams pass.
    Groups,
}

/// What multicast answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// A group that is watched on a link.
    Group {
        /// Where.
        link: LinkName,
        /// The group.
        group: IpAddr,
        /// Only from `sources` (INCLUDE); else from all but these (EXCLUDE).
        only: bool,
        /// The sources, as many as fit.
        sources: Vec<IpAddr, SOURCES_SHOWN>,
        /// How many hosts watch.
        hosts: u16,
        /// How long the last of them stands, in seconds.
        remaining_s: u32,
    },
    /// A stream that has a route.
    Stream {
        /// Who sends.
        source: IpAddr,
        /// The group.
        group: IpAddr,
        /// By which link it comes.
        from: LinkName,
        /// By which it leaves; none: it is thrown away.
        to: Vec<LinkName, HOMES>,
        /// Packets that have passed.
        packets: u64,
    },
    /// That was all.
    Done,
}
