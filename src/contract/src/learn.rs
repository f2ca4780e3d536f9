//! The wire `learn`: lease → network, and what `network` wants of it.
//!
//! `lease` connects; `network` sends one [`Wish`] at once and again at every change; `lease` sends a [`Learned`] for each change.
//! After a reconnect `lease` says again all that it holds. So each side may die and come back.

use core::net::Ipv4Addr;

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::limit::NAME_SERVERS;
use crate::wanted::{LinkName, Pool};

/// What `network` wants of `lease`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// Get a lease on this link, where one is given.
    pub client: Option<LinkName>,
    /// Give leases on this link, where one is given.
    pub server: Option<Server>,
}

/// A DHCP server that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// On which link.
    pub link: LinkName,
    /// Our address there: server identifier, router, name server.
    pub address: Ipv4Addr,
    /// The length of its prefix, in bits.
    pub prefix_length: u8,
    /// What to give out.
    pub pool: Pool,
}

/// What `lease` learned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Learned {
    /// A lease was got, or renewed.
    Lease(Lease),
    /// The link has no lease any more (expired, refused).
    Lost {
        /// Which link.
        link: LinkName,
    },
}

/// A lease. Source: RFC 2131, RFC 2132.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// On which link.
    pub link: LinkName,
    /// The address.
    pub address: Ipv4Addr,
    /// The length of its prefix, in bits (option 1).
    pub prefix_length: u8,
    /// The router (option 3).
    pub router: Option<Ipv4Addr>,
    /// Name servers (option 6).
    pub name_servers: Vec<Ipv4Addr, NAME_SERVERS>,
    /// The server (option 54).
    pub server: Ipv4Addr,
    /// How long it holds, in seconds from when it was sent (option 51); `u32::MAX`: for ever.
    pub lease_s: u32,
}
