//! The wire `attach`: supervisor → network.
//!
//! One [`Ask`] a frame, one [`Answer`] a frame, in order. A link is layer 3, point to point; the service's end is `eth0` in its own
//! network namespace, which the initial user namespace owns.

use core::net::Ipv4Addr;

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::limit::{REASON_BYTES, SERVES};
use crate::manifest::{Rate, Reaches, Serve};
use crate::name::{Name, Text};

/// What may be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// Attach a service. The frame carries its network namespace and a `NETLINK_ROUTE` socket that was opened inside it. Asked
    /// twice it changes nothing; asked with another namespace of the same service, the link moves there.
    Attach {
        /// Who.
        service: Name,
        /// Who rents the slice that it runs in.
        slice: Name,
        /// The number of its slot, 0 to [`crate::limit::SERVICES`] − 1: its address follows from it.
        slot: u8,
        /// What it offers.
        serves: Vec<Serve, SERVES>,
        /// What it may talk to.
        reaches: Reaches,
        /// What its link is promised and allowed; `None`: nothing, and all that the line has.
        rates: Option<Rates>,
        /// What its slice is promised and allowed of the line: all its services share it.
        slice_rates: Rates,
    },
    /// The slice has another size: its services that are attached share this from now on.
    Resize {
        /// Which.
        slice: Name,
        /// What it is promised and allowed of the line.
        rates: Rates,
    },
    /// Take the link away.
    Detach {
        /// Whose.
        service: Name,
    },
    /// What has its link carried?
    Carried {
        /// Whose.
        service: Name,
    },
}

/// What a service's link has carried since it was made: bytes of IP packets with their Ethernet headers, packets, and packets that were
/// thrown away because they were more than it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Carried {
    /// What the service has sent, in bytes.
    pub up_bytes: u64,
    /// The same in packets.
    pub up_packets: u64,
    /// Of what it sent: beyond its ceiling or its measure of packets.
    pub up_drops: u64,
    /// What it was sent, in bytes.
    pub down_bytes: u64,
    /// The same in packets.
    pub down_packets: u64,
    /// Of what it was to be sent: beyond its ceiling.
    pub down_drops: u64,
}

/// What a service's link, or a slice, is promised and allowed, in kbit/s (1000 bit/s) of frames with their Ethernet headers; 0: nothing is
/// promised, nothing is forbidden. *Up* is what the service sends. Floors are of the line; so are a slice's ceilings, and a service's are of its link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Rates {
    /// What it gets of the line to the operator, whatever others do.
    pub floor_up_kbit_s: u32,
    /// What it gets of the line from the operator.
    pub floor_down_kbit_s: u32,
    /// The most that it sends: a service to whomever, a slice on the line.
    pub ceiling_up_kbit_s: u32,
    /// The most that it is sent: a service by whomever, a slice on the line.
    pub ceiling_down_kbit_s: u32,
}

impl Rates {
    /// These, as they are written down each way.
    #[must_use]
    pub fn of(up: Rate, down: Rate) -> Self {
        Self {
            floor_up_kbit_s: up.floor_kbit_s,
            floor_down_kbit_s: down.floor_kbit_s,
            ceiling_up_kbit_s: up.ceiling_kbit_s,
            ceiling_down_kbit_s: down.ceiling_kbit_s,
        }
    }
}

/// What network answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// Attached, with this address.
    Attached {
        /// The service's address.
        address: Ipv4Addr,
    },
    /// What the link has carried.
    Carried(Carried),
    /// Done.
    Done,
    /// Not done, and why.
    Refused(Text<REASON_BYTES>),
}
