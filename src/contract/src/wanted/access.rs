//! Plays: how each of the three comes in from the operator.
//!
//! A play is untagged, or has its VLAN and 802.1p priority; it has its own addresses and, but for the Internet, its own routes.
//!
//! Source: IEEE 802.1Q-2022 §6.9 (priority), RFC 2132, RFC 3925 (option 125), RFC 2516 (PPPoE), RFC 8415.

use core::net::Ipv4Addr;

use heapless::Vec;
use serde::{Deserialize, Serialize};

use super::LinkName;
use crate::limit::{BRIDGE_PORTS, NAME_SERVERS, PLAY_PREFIXES};
use crate::name::Text;
use crate::prefix::Prefix;

/// How a play comes in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// Its VLAN, 1 to 4094; 0: untagged.
    #[serde(default)]
    pub vlan: u16,
    /// The 802.1p priority of what leaves by its VLAN, 0 to 7.
    #[serde(default)]
    pub priority: u8,
    /// How it gets its IPv4 address.
    pub ipv4: WanIpv4,
    /// How it gets IPv6.
    #[serde(default)]
    pub ipv6: WanIpv6,
    /// The largest packet, in bytes; 0: what the link can.
    #[serde(default)]
    pub mtu: u16,
    /// What a DHCP server wants to be told.
    #[serde(default)]
    pub dhcp: Dhcp,
    /// The session, where `ipv4` is `pppoe`.
    #[serde(default)]
    pub pppoe: Option<Pppoe>,
    /// The address, where `ipv4` is `static`.
    #[serde(default, rename = "static")]
    pub fixed: Option<Fixed>,
}

/// How a play gets its IPv4 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WanIpv4 {
    /// From a DHCP server (RFC 2131).
    #[default]
    Dhcp,
    /// By PPP over Ethernet (RFC 2516); IPv6 comes over the same session.
    Pppoe,
    /// It is given here.
    Static,
    /// Not at all.
    None,
}

/// How a play gets IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WanIpv6 {
    /// A prefix for the home, and an address, by DHCPv6 (RFC 8415); the router, and perhaps an address, by its advertisements.
    Dhcp,
    /// An address by router advertisements (RFC 4862), no prefix for the home.
    Slaac,
    /// Not at all.
    #[default]
    None,
}

/// What a DHCP server wants to be told. All may be empty.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dhcp {
    /// Vendor class identifier (option 60).
    #[serde(default)]
    pub vendor_class: Text<64>,
    /// Client identifier (option 61): text, or bytes in hex behind `0x`. Empty: RFC 4361's, of the DUID.
    #[serde(default)]
    pub client_id: Text<64>,
    /// Vendor-identifying vendor-specific information (option 125), in hex behind `0x`.
    #[serde(default)]
    pub vendor_specific: Text<130>,
    /// Host name (option 12).
    #[serde(default)]
    pub host_name: Text<63>,
    /// A USP controller is asked for: `usp` in the vendor-identifying vendor class (option 124; DHCPv6: 16).
    #[serde(default)]
    pub usp: bool,
    /// The server is told the maker's OUI, the serial number and the product class (option 125; DHCPv6: 17).
    #[serde(default)]
    pub device: bool,
}

/// A PPPoE session.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pppoe {
    /// Who asks (RFC 1334, RFC 1994).
    pub user: Text<64>,
    /// The secret. It is never shown.
    pub password: Text<64>,
    /// Service-Name; empty: any.
    #[serde(default)]
    pub service: Text<64>,
    /// AC-Name; empty: any.
    #[serde(default)]
    pub concentrator: Text<64>,
}

impl core::fmt::Debug for Pppoe {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Pppoe").field("user", &self.user).finish_non_exhaustive() // Never the secret.
    }
}

/// A fixed address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fixed {
    /// The address.
    pub address: Ipv4Addr,
    /// The length of its prefix, in bits: 1 to 32.
    pub prefix_length: u8,
    /// The router.
    pub router: Ipv4Addr,
    /// Name servers.
    #[serde(default)]
    pub name_servers: Vec<Ipv4Addr, NAME_SERVERS>,
}

/// The voice play.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Voice {
    /// How it comes in. `priority` 5 or 6 is usual.
    pub access: Access,
    /// What lies behind it: the operator's SIP and media servers. Only SIP and RTP to these leave by it.
    pub reaches: Vec<Prefix, PLAY_PREFIXES>,
    /// The SIP proxy for the home's phones; left out: none.
    #[serde(default)]
    pub proxy: Option<Proxy>,
}

/// The SIP proxy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proxy {
    /// The operator's registrar: an address.
    pub registrar: core::net::IpAddr,
    /// Its port.
    #[serde(default = "sip")]
    pub port: u16,
}

const fn sip() -> u16 {
    5060 // RFC 3261 §19.1.2
}

/// The TV play.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tv {
    /// How it comes in. `priority` 4 is usual.
    pub access: Access,
    /// How it reaches the home.
    #[serde(default)]
    pub profile: Profile,
    /// LAN ports that are the TV's alone, where the profile is `bridged`.
    #[serde(default)]
    pub ports: Vec<LinkName, BRIDGE_PORTS>,
    /// What lies behind it by unicast: the operator's servers, where the profile is `routed`.
    #[serde(default)]
    pub reaches: Vec<Prefix, PLAY_PREFIXES>,
    /// Groups that may be watched; empty: all that are not of the link or of the organisation's own scope.
    #[serde(default)]
    pub groups: Vec<Prefix, PLAY_PREFIXES>,
}

/// How TV reaches the home.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// By multicast routes and an IGMP/MLD proxy (RFC 4605).
    #[default]
    Routed,
    /// Its VLAN is bridged to `ports`; set-top boxes speak to the operator themselves.
    Bridged,
}
