//! Who is reached from outside, who answers questions for names, and who tells the time.
//!
//! Source: RFC 7858 (DNS over TLS), RFC 5905 (NTP), RFC 8915 (NTS).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use heapless::Vec;
use serde::{Deserialize, Serialize};

use super::Mac;
use crate::limit::{CLIENT_POLICIES, DENIED_NAMES, NAME_SERVERS, REBIND_NAMES, TIME_SERVERS};
use crate::list::List;
use crate::manifest::Protocol;
use crate::name::{Name, Text};
use crate::prefix::Prefix;

/// What stands in a list holds, unless it says that it does not.
pub(super) const fn enabled() -> bool {
    true
}

/// A port, or a run of ports, of the Internet play's IPv4 address that leads into the home.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forward {
    /// It holds; else it is only remembered.
    #[serde(default = "enabled")]
    pub enable: bool,
    /// A word for it.
    pub name: Name,
    /// What it is for, in its owner's words.
    #[serde(default)]
    pub description: Text<48>,
    /// TCP or UDP.
    #[serde(default)]
    pub protocol: Protocol,
    /// The port outside; of a run the first.
    pub port: u16,
    /// The last port of a run; 0: only the one.
    #[serde(default)]
    pub last: u16,
    /// The host in the home.
    pub to: Ipv4Addr,
    /// The port there, for one port only; 0: the same. A run keeps its ports.
    #[serde(default)]
    pub to_port: u16,
    /// From where only; left out: from everywhere.
    #[serde(default)]
    pub from: Option<Prefix>,
}

/// What of the home may be reached from the Internet by IPv6.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pinhole {
    /// It holds; else it is only remembered.
    #[serde(default = "enabled")]
    pub enable: bool,
    /// A word for it.
    pub name: Name,
    /// What it is for, in its owner's words.
    #[serde(default)]
    pub description: Text<48>,
    /// TCP or UDP.
    #[serde(default)]
    pub protocol: Protocol,
    /// The port.
    pub port: u16,
    /// The host: its interface identifier, the lower 64 bits, as `::1:2:3:4`; it stays when the prefix changes.
    pub to: Ipv6Addr,
    /// From where only; left out: from everywhere.
    #[serde(default)]
    pub from: Option<Prefix>,
}

/// From where the gateway's own agent may be called by TCP (`[websocket]` of agent.toml).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Management {
    /// It holds; else it is only remembered.
    #[serde(default = "enabled")]
    pub enable: bool,
    /// By whom: a part of the LAN's prefix, by the home; any other by the Internet play.
    pub from: Prefix,
    /// The port.
    pub port: u16,
}

/// The name server of the home.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dns {
    /// Whom it asks; empty: the Internet play's name servers.
    #[serde(default)]
    pub upstream: Vec<Upstream, NAME_SERVERS>,
    /// Names that may lead to addresses of the home; with all below them. Else such an answer is taken for an attack.
    #[serde(default)]
    pub rebind_allow: Vec<Text<63>, REBIND_NAMES>,
    /// What single hosts may ask.
    #[serde(default)]
    pub client: List<Client, CLIENT_POLICIES>,
}

/// What one host may ask of the name server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// Who.
    pub mac: Mac,
    /// Names that it does not get, with all below them.
    #[serde(default)]
    pub deny: Vec<Text<63>, DENIED_NAMES>,
}

/// A name server that is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// It is asked; else it is only remembered.
    #[serde(default = "enabled")]
    pub enable: bool,
    /// Its address.
    pub address: IpAddr,
    /// Its port; 0: 53, or 853 with TLS.
    #[serde(default)]
    pub port: u16,
    /// Its name, which its certificate must bear: asked by TLS only. Empty: by UDP and TCP.
    #[serde(default)]
    pub tls: Text<63>,
}

/// Where the time comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Time {
    /// NTP servers: addresses or names; empty: those that the Internet play's lease names (option 42), else none.
    #[serde(default)]
    pub server: Vec<Text<63>, TIME_SERVERS>,
    /// NTS key establishment servers: names. They go before `server`.
    #[serde(default)]
    pub nts: Vec<Text<63>, TIME_SERVERS>,
}
