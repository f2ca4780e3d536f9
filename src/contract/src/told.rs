//! The wire `told`: network → names, voice, time, multicast.
//!
//! A daemon connects; `network` knows it by its uid and sends it one [`Told`] at once, and again at every change: always all of it. The
//! daemon says nothing. While `network` is dead it goes on as it was told last.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::limit::{
    BRIDGE_PORTS, CLIENT_POLICIES, HOMES, NAME_SERVERS, PLAY_PREFIXES, REBIND_NAMES, SERVICES, TIME_SERVERS,
};
use crate::list::List;
use crate::name::{Name, Text};
use crate::prefix::Prefix;
use crate::wanted::LinkName;
use crate::wanted::reach::{Client, Upstream};

/// What a daemon is told: each its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Told {
    /// For `names`.
    Names(Names),
    /// For `voice`.
    Voice(Option<Voice>),
    /// For `time`.
    Time(Time),
    /// For `multicast`. The frame carries two descriptors that `network` has opened: a raw IGMP socket and a raw ICMPv6 socket on which
    /// multicast routing was begun (`MRT_INIT`, `MRT6_INIT`); so `multicast` needs no right of its own.
    Multicast(Option<Multicast>),
}

/// For `names`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Names {
    /// Who is answered.
    pub homes: Vec<Home, { HOMES + SERVICES }>,
    /// The domain of local names.
    pub domain: Text<63>,
    /// Whom to ask; with none every question that is not local is answered with a failure.
    pub upstreams: Vec<Upstream, { NAME_SERVERS * 2 }>,
    /// Prefixes whose addresses come from no upstream, unless the name is allowed: the home's, the services', private ones.
    pub ours: Vec<Prefix, PLAY_PREFIXES>,
    /// Names that may lead there.
    pub rebind_allow: Vec<Text<63>, REBIND_NAMES>,
    /// What single hosts may ask.
    pub clients: List<Client, CLIENT_POLICIES>,
}

/// A link whose hosts are answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Home {
    /// The link.
    pub link: LinkName,
    /// Our IPv4 address there.
    pub address: Ipv4Addr,
    /// Who is there.
    pub who: Who,
}

/// Who is on a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Who {
    /// The home: it sees local names.
    Home,
    /// Guests: they do not.
    Guest,
    /// A service: it sees the local names that it was granted, which is none.
    Service {
        /// Which.
        name: Name,
        /// Announcements (mDNS) are passed between it and the home.
        mdns: bool,
        /// Searches (SSDP) are passed between it and the home.
        ssdp: bool,
    },
}

/// For `voice`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voice {
    /// The home's link, and our address there: where phones speak to us.
    pub home: (LinkName, Ipv4Addr),
    /// The home's prefix.
    pub prefix: Prefix,
    /// The voice play's link, and our address there, once there is one.
    pub play: Option<(LinkName, Ipv4Addr)>,
    /// What lies behind it: where media may go.
    pub reaches: Vec<Prefix, PLAY_PREFIXES>,
    /// The registrar.
    pub registrar: (IpAddr, u16),
}

/// For `time`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Time {
    /// The Internet play has an address: asking makes sense.
    pub online: bool,
    /// NTP servers, addresses or names.
    pub servers: Vec<Text<63>, { TIME_SERVERS * 2 }>,
    /// NTS key establishment servers.
    pub nts: Vec<Text<63>, TIME_SERVERS>,
    /// Name servers, for names among them.
    pub name_servers: Vec<IpAddr, { NAME_SERVERS * 2 }>,
}

/// For `multicast`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Multicast {
    /// Where streams come from, and our addresses there; `None`: querier and snooping only.
    pub upstream: Option<Side>,
    /// Where they are watched, and our addresses there.
    pub downstreams: Vec<Side, HOMES>,
    /// Groups that may be watched; empty: all that are not of the link or of the organisation's own scope.
    pub groups: Vec<Prefix, PLAY_PREFIXES>,
}

/// A link on which multicast is routed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// The link.
    pub link: LinkName,
    /// Our IPv4 address there.
    pub address: Ipv4Addr,
    /// Our link-local IPv6 address there; unspecified: none.
    pub address6: Ipv6Addr,
    /// The bridge's ports, where it is a bridge.
    pub ports: Vec<LinkName, BRIDGE_PORTS>,
}
