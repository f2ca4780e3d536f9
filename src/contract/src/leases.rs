//! The wire `leases`: ctl → lease.
//!
//! One [`Ask`] a frame; the answer is any number of rows and then [`Answer::Done`].

use core::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::learn::Lease;
use crate::name::Text;

/// What may be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// The client's state and every lease that was given out.
    Leases,
}

/// What lease answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The DHCP client: its state (RFC 2131 figure 5) and its lease.
    Client {
        /// The state, such as `BOUND`.
        state: Text<16>,
        /// The lease, where it holds one.
        lease: Option<Lease>,
        /// What remains of it, in seconds.
        remaining_s: u32,
    },
    /// One lease that was given out.
    Given {
        /// The address.
        address: Ipv4Addr,
        /// The client's link-layer address.
        mac: [u8; 6],
        /// The client's own name for itself (option 12).
        host: Text<64>,
        /// What remains of it, in seconds.
        remaining_s: u32,
    },
    /// That was all.
    Done,
}
