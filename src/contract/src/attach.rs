//! The wire `attach`: supervisor → network.
//!
//! One [`Ask`] a frame, one [`Answer`] a frame, in order. A link is layer 3, point to point; the service's end is `eth0` in its own
//! network namespace, which the initial user namespace owns.

use core::net::Ipv4Addr;

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::limit::{REASON_BYTES, SERVES};
use crate::manifest::Serve;
use crate::name::{Name, Text};

/// What may be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// Attach a service. The frame carries its network namespace and a `NETLINK_ROUTE` socket that was opened inside it. Asked
    /// twice it changes nothing; asked with another namespace of the same service, the link moves there.
    Attach {
        /// Who.
        service: Name,
        /// The number of its slot, 0 to [`crate::limit::SERVICES`] − 1: its address follows from it.
        slot: u8,
        /// What it offers.
        serves: Vec<Serve, SERVES>,
    },
    /// Take the link away.
    Detach {
        /// Whose.
        service: Name,
    },
}

/// What network answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// Attached, with this address.
    Attached {
        /// The service's address.
        address: Ipv4Addr,
    },
    /// Done.
    Done,
    /// Not done, and why.
    Refused(Text<REASON_BYTES>),
}
