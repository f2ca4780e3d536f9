//! The wire `learn`: lease → network, and what `network` wants of it.
//!
//! `lease` connects; `network` sends one [`Wish`] at once and again at every change; `lease` sends a [`Learned`] for each change: always
//! all that it knows of that kind on that link, so one that is lost or said twice does no harm. After a reconnect it says again all that
//! it holds. So each side may die and come back.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::limit::{CLASSLESS_ROUTES, HOMES, IPV6_PREFIXES, MAPPINGS, NAME_SERVERS, PLAYS, RESERVATIONS};
use crate::list::List;
use crate::manifest::Protocol;
use crate::name::Text;
use crate::prefix::Prefix;
use crate::wanted::access::{Dhcp, Pppoe};
use crate::wanted::{LanIpv6, LinkName, Pool, Reservation};

/// What `network` wants of `lease`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// Addresses to be got, a play each.
    pub clients: Vec<Client, PLAYS>,
    /// Addresses to be given: LAN, guests.
    pub servers: Vec<Server, HOMES>,
}

/// Addresses that are wanted on one link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// The link that carries the frames.
    pub link: LinkName,
    /// By DHCPv4.
    pub ipv4: bool,
    /// What the DHCPv4 server wants to be told.
    pub dhcp: Dhcp,
    /// By PPPoE. The frame carries the two descriptors of a new session, after [`Learned::SignedIn`], or the four of one that is up, while
    /// `network` keeps them. IPv6 then goes over the session's link.
    pub pppoe: Option<Pppoe>,
    /// By IPv6.
    pub ipv6: Ipv6Wish,
}

/// What is wanted of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Ipv6Wish {
    /// Nothing.
    #[default]
    None,
    /// The router, and an address of its prefix.
    Slaac,
    /// The router, an address, and a prefix for the home.
    Prefix,
}

/// A server of addresses that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// On which link.
    pub link: LinkName,
    /// Our address there: server identifier, router.
    pub address: Ipv4Addr,
    /// The length of its prefix, in bits.
    pub prefix_length: u8,
    /// What to give out by DHCPv4; `None`: nothing.
    pub pool: Option<Pool>,
    /// Addresses that are kept for somebody.
    pub reservations: List<Reservation, RESERVATIONS>,
    /// Name servers to be told: ourselves.
    pub name_servers: Vec<Ipv4Addr, NAME_SERVERS>,
    /// The domain to be told.
    pub domain: Text<63>,
    /// Its hosts' names are local names for the others of that network.
    pub names: bool,
    /// How IPv6 is given.
    pub ipv6: LanIpv6,
    /// The prefixes that are its own now. One that was told to hosts and is not among them any more is given up: `lease` says so to the
    /// hosts, and remembers it over a reboot (RFC 9096 §3.5).
    pub prefixes: Vec<OnLink, IPV6_PREFIXES>,
    /// We are a default router: there is a way to the Internet by IPv6 (RFC 7084 L-4).
    pub default_router: bool,
    /// The largest packet on the way to the Internet, in bytes; 0: not told.
    pub mtu: u16,
    /// Hosts may ask for forwarded ports (PCP), and this is their address outside; `None`: they may not.
    pub pcp: Option<Pcp>,
}

impl Server {
    /// A server that gives nothing yet, on this link, with this address of ours and this length of its prefix.
    #[must_use]
    pub fn silent(link: LinkName, address: Ipv4Addr, prefix_length: u8) -> Self {
        Self {
            link,
            address,
            prefix_length,
            pool: None,
            reservations: List::default(),
            name_servers: Vec::new(),
            domain: Text::default(),
            names: false,
            ipv6: LanIpv6::None,
            prefixes: Vec::new(),
            default_router: false,
            mtu: 0,
            pcp: None,
        }
    }
}

impl Client {
    /// A client that wants nothing yet, on this link.
    #[must_use]
    pub fn silent(link: LinkName) -> Self {
        Self { link, ipv4: false, dhcp: Dhcp::default(), pppoe: None, ipv6: Ipv6Wish::None }
    }
}

/// A prefix that hosts of a link may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnLink {
    /// The prefix, of 64 bits.
    pub prefix: Prefix,
    /// How long it is preferred, in seconds from when it was said.
    pub preferred_s: u32,
    /// How long it is valid, in seconds from when it was said.
    pub valid_s: u32,
}

/// What is wanted of the PCP server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pcp {
    /// Our address outside.
    pub external: Ipv4Addr,
    /// Ports that are forwarded already: they are not given.
    pub taken: List<(Protocol, u16, u16), { crate::limit::FORWARDS + crate::limit::MANAGEMENT }>,
}

/// What `lease` learned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Learned {
    /// A DHCPv4 lease was got, or renewed.
    Lease(Lease),
    /// The link has no DHCPv4 lease any more (expired, refused).
    Lost {
        /// Which link.
        link: LinkName,
    },
    /// The peer of a PPP session has let us in: a PPP link is wanted for it, which is a right over the network. `network` sends its wish
    /// again, with two descriptors of `/dev/ppp`, attached to the channel and to a new unit, and connected.
    SignedIn {
        /// Which link: the one that carries the frames.
        link: LinkName,
        /// The kernel's number of the channel.
        channel: u32,
    },
    /// The PPP session of a link is up. The frame carries its four descriptors: channel, unit, socket, memory. `network` keeps them, so
    /// that link and session outlive `lease`, and passes them with every wish until it is lost.
    Session(Session),
    /// The link has no PPP session (any more): `network` closes what it keeps of one.
    SessionLost {
        /// Which link: the one that carries the frames.
        link: LinkName,
    },
    /// All that is known of IPv6 on a link.
    Ipv6(Ipv6),
    /// All ports that hosts of a link have asked for.
    Mappings {
        /// Whose hosts.
        link: LinkName,
        /// The ports.
        mappings: List<Mapping, MAPPINGS>,
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
    /// The router (option 3); none where there are classless routes (RFC 3442).
    pub router: Option<Ipv4Addr>,
    /// Classless routes (option 121), each to a prefix by a router; `0.0.0.0`: on the link.
    pub routes: Vec<(Prefix, Ipv4Addr), CLASSLESS_ROUTES>,
    /// Name servers (option 6).
    pub name_servers: Vec<Ipv4Addr, NAME_SERVERS>,
    /// Time servers (option 42).
    pub time_servers: Vec<Ipv4Addr, NAME_SERVERS>,
    /// SIP servers, where they are told as addresses (option 120, RFC 3361).
    pub sip_servers: Vec<Ipv4Addr, NAME_SERVERS>,
    /// The server (option 54).
    pub server: Ipv4Addr,
    /// How long it holds, in seconds from when it was sent (option 51); `u32::MAX`: for ever.
    pub lease_s: u32,
}

/// A PPP session that is up. Source: RFC 1661, RFC 1332, RFC 5072.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The link that carries the frames.
    pub link: LinkName,
    /// The PPP link.
    pub ppp: LinkName,
    /// Our address (IPCP).
    pub address: Ipv4Addr,
    /// The peer's.
    pub peer: Ipv4Addr,
    /// Name servers (RFC 1877).
    pub name_servers: Vec<Ipv4Addr, NAME_SERVERS>,
    /// The largest packet, in bytes.
    pub mtu: u16,
    /// Our interface identifier (IPV6CP); 0: no IPv6.
    pub identifier: u64,
    /// The peer's.
    pub peer_identifier: u64,
}

/// All that is known of IPv6 on a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ipv6 {
    /// The link: with PPPoE the PPP link.
    pub link: LinkName,
    /// The default router, by its link-local address, while it says that it is one.
    pub router: Option<Ipv6Addr>,
    /// The largest packet that the router names, in bytes; 0: none.
    pub mtu: u16,
    /// Our addresses there, with their prefixes' lengths (128 where the prefix is not on the link).
    pub addresses: Vec<Address6, IPV6_PREFIXES>,
    /// Prefixes for the home, with how long they hold.
    pub prefixes: Vec<OnLink, IPV6_PREFIXES>,
    /// Name servers (DHCPv6 option 23, RFC 8106).
    pub name_servers: Vec<Ipv6Addr, NAME_SERVERS>,
    /// Time servers, where they are told as addresses (DHCPv6 option 56, RFC 5908).
    pub time_servers: Vec<Ipv6Addr, NAME_SERVERS>,
}

/// An IPv6 address of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address6 {
    /// The address.
    pub address: Ipv6Addr,
    /// The length of its prefix, in bits.
    pub prefix_length: u8,
    /// How long it is preferred, in seconds.
    pub preferred_s: u32,
    /// How long it is valid, in seconds.
    pub valid_s: u32,
}

/// A port that a host has asked for. Source: RFC 6887 §11.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The port outside; with IPv6 the same as inside.
    pub external_port: u16,
    /// The host.
    pub host: IpAddr,
    /// Its port.
    pub port: u16,
}
