//! The wire `leases`: ctl, agent → lease.
//!
//! One [`Ask`] a frame; the answer is any number of rows and then [`Answer::Done`].

use core::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::learn::{Ipv6, Lease, Mapping, Session};
use crate::mac::Mac;
use crate::name::Text;
use crate::prefix::Prefix;
use crate::wanted::LinkName;

/// What may be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// Every client's state and every lease that was given out.
    Leases,
}

/// A USP controller that a DHCP server names, in its words. Source: TR-369 1.4, "DHCP Options for Controller Discovery".
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Controller {
    /// A URL, or a host's name.
    pub url: Text<255>,
    /// Its endpoint id; empty: not said.
    pub endpoint: Text<64>,
    /// What it wants to be told in return.
    pub provisioning_code: Text<64>,
    /// How long a notification waits before it is sent again, in seconds; empty: not said.
    pub retry_minimum_s: Text<8>,
    /// By how much that grows, in thousandths; empty: not said.
    pub retry_multiplier: Text<8>,
}

/// What lease answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// A DHCPv4 client: its state (RFC 2131 figure 5) and its lease.
    Client {
        /// On which link.
        link: LinkName,
        /// The state, such as `BOUND`.
        state: Text<16>,
        /// The lease, where it holds one.
        lease: Option<Lease>,
        /// What remains of it, in seconds.
        remaining_s: u32,
        /// The USP controller that the server names.
        controller: Option<Controller>,
        /// Where a controller is asked for: the server's domain (option 15); empty: none.
        domain: Text<63>,
    },
    /// The PPPoE session that is wanted.
    Session {
        /// The link that carries the frames.
        link: LinkName,
        /// The state: `NO CARRIER`, `WAITING`, `SEARCHING`, `REQUESTING`, `LINKING`, `SIGNING IN`, `ADDRESSING`, `UP`.
        state: Text<16>,
        /// The session, where it is up.
        session: Option<Session>,
        /// How long it has been up, in seconds.
        up_s: u32,
        /// Why the last one, or the last try, came to its end; empty: there was none.
        reason: Text<96>,
    },
    /// One lease that was given out.
    Given {
        /// On which link.
        link: LinkName,
        /// The address.
        address: Ipv4Addr,
        /// The client's link-layer address.
        mac: [u8; 6],
        /// The client's own name for itself (option 12).
        host: Text<64>,
        /// What remains of it, in seconds.
        remaining_s: u32,
    },
    /// An address that is kept for somebody who has no lease now.
    Kept {
        /// On which link.
        link: LinkName,
        /// The address.
        address: Ipv4Addr,
        /// For whom.
        mac: Mac,
        /// The name that it was given, where it was given one.
        name: Text<63>,
    },
    /// A port that a host has asked for (PCP).
    Mapping {
        /// On which link.
        link: LinkName,
        /// The port.
        mapping: Mapping,
        /// How long it still holds, in seconds.
        remaining_s: u32,
    },
    /// IPv6 on a link of the operator's side.
    Ipv6 {
        /// The state of the DHCPv6 client: `DOWN`, `IDLE` (nothing to ask for), `INIT`, `SOLICITING`, `REQUESTING`, `BOUND`, `RENEWING`,
        /// `REBINDING`, `CONFIRMING`, `DECLINING`, `INFORMING`, `INFORMED`.
        state: Text<16>,
        /// All that is known there.
        known: Ipv6,
        /// The USP controller that a DHCPv6 server names.
        controller: Option<Controller>,
        /// Where a controller is asked for: the first domain of the server's (option 24); empty: none.
        domain: Text<63>,
    },
    /// A prefix that hosts of a link are told, and what is left of it, in seconds; 0 and 0: it is given up.
    Told {
        /// On which link.
        link: LinkName,
        /// The prefix.
        prefix: Prefix,
        /// How long it is preferred.
        preferred_s: u32,
        /// How long it is valid.
        valid_s: u32,
    },
    /// One IPv6 address that was given out.
    Given6 {
        /// On which link.
        link: LinkName,
        /// The address.
        address: Ipv6Addr,
        /// The client's link-layer address; zeros: it does not say.
        mac: [u8; 6],
        /// What remains of it, in seconds.
        remaining_s: u32,
    },
    /// That was all.
    Done,
}
