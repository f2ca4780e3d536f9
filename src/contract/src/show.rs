//! The wire `show`: ctl, agent → network; supervisor → network: what classes carry.
//!
//! One [`Ask`] a frame; the answer is any number of rows and then [`Answer::Done`] or [`Answer::Refused`]. `network` refuses
//! [`Ask::Apply`] of `agent`: what a controller changes is always on trial first.

use core::net::IpAddr;

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::learn::Lease;
use crate::limit::{CLASS_BYTES, FLOWS, REASON_BYTES};
use crate::name::Text;
use crate::prefix::Prefix;
use crate::wanted::LinkName;

/// What may be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// Wanted, observed and what differs, a row each; the WAN's lease, where there is one; flows by class, where there are queues.
    Network,
    /// What classes have carried, and nothing else.
    Traffic,
    /// Take another `network.toml`: the frame carries it as a sealed memory file of at most [`crate::limit::WANTED_BYTES`]. It is taken back
    /// unless it is confirmed in time, whatever happens meanwhile; 0: it is kept at once. The answer is what still differs, a row each.
    Apply {
        /// Within so many seconds.
        confirm_within_s: u32,
    },
    /// What is wanted, as data: [`Answer::Wanted`].
    Wanted,
    /// Links, addresses and routes that are there, a row each.
    Found,
    /// As [`Ask::Apply`], but the memory file holds a [`crate::wanted::Wanted`] as `postcard` writes it. A secret that is empty in it stays
    /// as it is.
    Change {
        /// Within so many seconds: one at least.
        confirm_within_s: u32,
    },
    /// What was taken is kept.
    Confirm,
    /// What was taken is taken back now.
    Revert,
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
    /// What is wanted. The frame carries a [`crate::wanted::Wanted`] as `postcard` writes it, in a sealed memory file; its secrets are empty.
    Wanted {
        /// It is on trial, and is taken back after so many seconds; 0: it is not.
        trial_s: u32,
    },
    /// A link that is there.
    Link(Link),
    /// An address that a link has.
    Address(Address),
    /// A route that is ours: one that was set, or that a lease brought.
    Route(Route),
    /// What classes of links have carried: so many at a time, for a frame takes as much of a queue as a page.
    Traffic(Vec<Traffic, FLOWS>),
    /// That was all.
    Done,
    /// Not done, and why.
    Refused(Text<REASON_BYTES>),
}

/// A link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Its name.
    pub name: LinkName,
    /// It is up (administratively; what the cable says is another matter).
    pub up: bool,
    /// The bridge whose port it is; empty: none.
    pub bridge: LinkName,
    /// The largest packet, in bytes.
    pub mtu: u32,
}

/// An address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// Its link.
    pub link: LinkName,
    /// The address.
    pub address: IpAddr,
    /// The length of its prefix, in bits.
    pub length: u8,
    /// How long it is preferred, and valid, in seconds; `u32::MAX`: for ever.
    pub life_s: [u32; 2],
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Which play's table: 0 the Internet's, which is the main one; 1 voice's; 2 TV's.
    pub play: u8,
    /// Where to.
    pub to: Prefix,
    /// By which link; empty: nowhere (unreachable).
    pub link: LinkName,
    /// By which router; `None`: it is on the link.
    pub via: Option<IpAddr>,
    /// Of two the lower one holds.
    pub metric: u32,
}

/// What one class of a link has carried since the class was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// The link; `ifb-wan`: what comes in by the WAN.
    pub link: LinkName,
    /// The class: `line`, a play, `services`, a service's name, or `slice ` and the name of one that has a ceiling.
    pub class: Text<CLASS_BYTES>,
    /// What it is promised, in kbit/s.
    pub rate_kbit_s: u32,
    /// The most that it gets, in kbit/s.
    pub ceil_kbit_s: u32,
    /// What was sent, in bytes of frames with their Ethernet headers.
    pub bytes: u64,
    /// The same in packets.
    pub packets: u64,
    /// Packets that found no room.
    pub drops: u32,
    /// What waits now, in bytes.
    pub backlog_bytes: u32,
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
