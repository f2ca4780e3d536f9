//! The wanted network: everything that the operator asks of links, addresses, plays, the firewall and queues. Version 2.
//!
//! In:  `network.toml` (feature `text`). Out: a `Wanted`, bounded and checked.
//!
//! Given whole, every time. The operator's side is one link with up to three *plays* on it (Internet, voice, TV), each untagged or with
//! its own VLAN; the home's side is one bridge, and a guest network beside it.
//!
//! Source: docs/network.md.

use core::net::Ipv4Addr;

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::limit::{BRIDGE_PORTS, FORWARDS, MANAGEMENT, PINHOLES, PLAYS, RESERVATIONS};
use crate::list::List;
use crate::manifest::Kind;
use crate::name::Text;

pub mod access;
pub mod reach;
pub mod traffic;

mod check;

pub use access::{Access, Profile, Proxy, Tv, Voice, WanIpv4, WanIpv6};
pub use reach::{Dns, Forward, Management, Pinhole, Time, Upstream};
pub use traffic::Qos;

/// A link's name: at most 15 bytes (`IFNAMSIZ` − 1, netdevice(7)).
pub type LinkName = Text<15>;
/// A link-layer address. In `network.toml`: six bytes in hex, with colons.
pub type Mac = crate::mac::Mac;

/// A service's link at the gateway has this name, and its slot's number behind it.
pub const SERVICE_LINK: &str = "svc-";
/// The bridge of guests.
pub const GUEST_BRIDGE: &str = "br-guest";
/// The bridge of TV and its ports.
pub const TV_BRIDGE: &str = "br-tv";
/// The PPP link of the Internet play.
pub const PPP_LINK: &str = "ppp0";

/// All that is asked of the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// The link to the operator.
    pub wan: Wan,
    /// The Internet play.
    pub internet: Access,
    /// The voice play.
    #[serde(default)]
    pub voice: Option<Voice>,
    /// The TV play.
    #[serde(default)]
    pub tv: Option<Tv>,
    /// The side of the home.
    pub lan: Lan,
    /// A network for guests, apart from the home.
    #[serde(default)]
    pub guest: Option<Guest>,
    /// Where services get their addresses.
    pub services: Services,
    /// Ports of the Internet play's IPv4 address that lead into the home.
    #[serde(default)]
    pub forward: List<Forward, FORWARDS>,
    /// What of the home may be reached from the Internet by IPv6.
    #[serde(default)]
    pub pinhole: List<Pinhole, PINHOLES>,
    /// From where the gateway itself may be managed.
    #[serde(default)]
    pub management: List<Management, MANAGEMENT>,
    /// Queues. Left out: the kernel's own.
    #[serde(default)]
    pub qos: Option<Qos>,
    /// The name server of the home.
    #[serde(default)]
    pub dns: Dns,
    /// Where the time comes from.
    #[serde(default)]
    pub time: Time,
}

/// The link to the operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wan {
    /// The link.
    pub link: LinkName,
}

/// The LAN bridge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lan {
    /// The bridge.
    pub bridge: LinkName,
    /// Its ports.
    pub ports: Vec<LinkName, BRIDGE_PORTS>,
    /// The gateway's own address in it.
    pub address: Ipv4Addr,
    /// The length of its prefix, in bits: 8 to 30.
    pub prefix_length: u8,
    /// The DHCP server on it.
    #[serde(default)]
    pub dhcp: Option<Pool>,
    /// Addresses that are kept for somebody.
    #[serde(default)]
    pub reservation: List<Reservation, RESERVATIONS>,
    /// The domain of its local names.
    #[serde(default = "home")]
    pub domain: Text<63>,
    /// What it gives out of IPv6.
    #[serde(default)]
    pub ipv6: LanIpv6,
    /// Hosts may ask for forwarded ports (PCP, RFC 6887).
    #[serde(default)]
    pub pcp: bool,
}

fn home() -> Text<63> {
    Text::from("home.arpa") // RFC 8375
}

/// What the LAN gives out of IPv6, once there is a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LanIpv6 {
    /// Router advertisements, and DHCPv6 for all but addresses (RFC 8415 §4.2 "stateless").
    #[default]
    Stateless,
    /// Addresses by DHCPv6 too.
    Stateful,
    /// Nothing.
    None,
}

/// What the DHCP server gives out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// It gives; else it is only remembered.
    #[serde(default = "reach::enabled")]
    pub enable: bool,
    /// The first address.
    pub first: Ipv4Addr,
    /// The last address.
    pub last: Ipv4Addr,
    /// How long a lease is, in seconds.
    pub lease_s: u32,
}

/// An address that is kept for one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reservation {
    /// It holds; else it is only remembered.
    #[serde(default = "reach::enabled")]
    pub enable: bool,
    /// Whom.
    pub mac: Mac,
    /// The address.
    pub address: Ipv4Addr,
    /// The host's name among the local names; empty: what it calls itself.
    #[serde(default)]
    pub name: Text<63>,
    /// What it is, for services that reach devices of a class only.
    #[serde(default)]
    pub class: Option<Kind>,
}

/// The guest network: to the Internet, and to nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guest {
    /// Ports of its own; none of the LAN's.
    #[serde(default)]
    pub ports: Vec<LinkName, BRIDGE_PORTS>,
    /// Its VLAN on the LAN's ports (802.1Q), 1 to 4094; 0: it is on none of them.
    #[serde(default)]
    pub vlan: u16,
    /// The gateway's own address in it.
    pub address: Ipv4Addr,
    /// The length of its prefix, in bits: 8 to 30.
    pub prefix_length: u8,
    /// The DHCP server on it.
    pub dhcp: Pool,
}

/// Where services get their addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Services {
    /// The prefix that holds them; its first host address is the gateway's, on every service's link.
    pub prefix: Ipv4Addr,
    /// Its length, in bits: 16 to 26.
    pub prefix_length: u8,
    /// Packets a second that each of them may send, and may be sent: 100 to 1000000. At once it is a tenth of that.
    #[serde(default = "packets_s")]
    pub packets_s: u32,
}

const fn packets_s() -> u32 {
    20_000 // Full ones are 240 Mbit/s; and segments that the kernel cuts later count once.
}

/// Is `address` in `prefix`/`length`?
#[must_use]
pub fn contains(prefix: Ipv4Addr, length: u8, address: Ipv4Addr) -> bool {
    crate::prefix::Prefix::new(prefix.into(), length).holds(address.into())
}

impl Wanted {
    /// The first rule that it breaks beyond its types: the key, and what it may be.
    #[must_use]
    pub fn fault(&self) -> Option<&'static str> {
        check::check(&self.enabled())
    }

    /// The same without what is only remembered: rules hold for the rest.
    #[must_use]
    pub fn enabled(&self) -> Self {
        let mut wanted = self.clone();
        wanted.forward.retain(|one| one.enable);
        wanted.pinhole.retain(|one| one.enable);
        wanted.lan.reservation.retain(|one| one.enable);
        wanted.dns.upstream.retain(|one| one.enable);
        wanted.lan.dhcp = wanted.lan.dhcp.filter(|pool| pool.enable);
        wanted
    }

    /// How each play comes in, in the order Internet, voice, TV.
    #[must_use]
    pub fn accesses(&self) -> [Option<&Access>; PLAYS] {
        let (voice, tv) = (self.voice.as_ref(), self.tv.as_ref());
        [Some(&self.internet), voice.map(|voice| &voice.access), tv.map(|tv| &tv.access)]
    }

    /// The same, to be changed.
    pub fn accesses_mut(&mut self) -> [Option<&mut Access>; PLAYS] {
        let (voice, tv) = (self.voice.as_mut(), self.tv.as_mut());
        [Some(&mut self.internet), voice.map(|voice| &mut voice.access), tv.map(|tv| &mut tv.access)]
    }

    /// The same without its secrets.
    #[must_use]
    pub fn without_secrets(mut self) -> Self {
        let sessions = self.accesses_mut().into_iter().flatten().filter_map(|access| access.pppoe.as_mut());
        sessions.for_each(|session| session.password = Text::default());
        self
    }

    /// Each secret that is empty is the one that the same play has in `before`.
    #[must_use]
    pub fn with_secrets_of(mut self, before: &Self) -> Self {
        for (access, old) in self.accesses_mut().into_iter().zip(before.accesses()) {
            let session =
                access.and_then(|access| access.pppoe.as_mut()).filter(|one| one.password.is_empty());
            if let Some((session, old)) = session.zip(old.and_then(|old| old.pppoe.as_ref())) {
                session.password = old.password.clone();
            }
        }
        self
    }

    /// The link that carries a play's frames: the WAN link, or its VLAN.
    #[must_use]
    pub fn frame_link(&self, access: &Access) -> LinkName {
        match access.vlan {
            0 => self.wan.link.clone(),
            vlan => Text::format(format_args!("{}.{vlan}", self.wan.link)),
        }
    }

    /// The link that carries a play's addresses: as [`Wanted::frame_link`], or the PPP link on it.
    #[must_use]
    pub fn address_link(&self, access: &Access) -> LinkName {
        match access.ipv4 {
            WanIpv4::Pppoe => Text::from(PPP_LINK),
            WanIpv4::Dhcp | WanIpv4::Static | WanIpv4::None => self.frame_link(access),
        }
    }
}

#[cfg(feature = "text")]
pub use crate::text::Error;

/// Reads the wanted network.
///
/// # Errors
/// See [`Error`]; nothing is taken from a text that has one.
#[cfg(feature = "text")]
pub fn parse(text: &str) -> Result<Wanted, Error> {
    crate::text::parse("network.toml", crate::limit::WANTED_BYTES, text, Wanted::fault)
}

/// Writes it, so that [`parse`] reads the same; `None`: it is too long.
#[cfg(feature = "write")]
#[must_use]
pub fn write(wanted: &Wanted) -> Option<std::string::String> {
    toml::to_string(wanted).ok().filter(|text| text.len() <= crate::limit::WANTED_BYTES)
}
