//! The wanted network: everything that the operator asks of links, addresses, leases and the firewall. Version 1.
//!
//! In:  `network.toml` (feature `text`). Out: a `Wanted`, bounded and checked.
//!
//! Given whole, every time. The rest of triple play (VLANs, PPPoE, IPv6, voice, IPTV, QoS) comes as further tables.
//!
//! Source: docs/network.md.

use core::net::Ipv4Addr;

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::limit::BRIDGE_PORTS;
use crate::name::Text;

/// A link's name: at most 15 bytes (`IFNAMSIZ` − 1, netdevice(7)).
pub type LinkName = Text<15>;

/// A service's link at the gateway has this name, and its slot's number behind it.
pub const SERVICE_LINK: &str = "svc-";

/// All that is asked of the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// The side of the operator.
    pub wan: Wan,
    /// The side of the home.
    pub lan: Lan,
    /// Where services get their addresses.
    pub services: Services,
}

/// The WAN link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wan {
    /// The link.
    pub link: LinkName,
    /// How it gets its IPv4 address.
    pub ipv4: WanIpv4,
}

/// How the WAN link gets its IPv4 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WanIpv4 {
    /// From a DHCP server (RFC 2131).
    Dhcp,
    /// Not at all.
    None,
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
    pub dhcp: Option<Pool>,
}

/// What the DHCP server gives out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// The first address.
    pub first: Ipv4Addr,
    /// The last address.
    pub last: Ipv4Addr,
    /// How long a lease is, in seconds.
    pub lease_s: u32,
}

/// Where services get their addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Services {
    /// The prefix that holds them; its first host address is the gateway's, on every service's link.
    pub prefix: Ipv4Addr,
    /// Its length, in bits: 16 to 26.
    pub prefix_length: u8,
}

/// Is `address` in `prefix`/`length`?
#[must_use]
pub fn contains(prefix: Ipv4Addr, length: u8, address: Ipv4Addr) -> bool {
    let mask = u32::MAX.checked_shl(32 - u32::from(length.min(32))).unwrap_or(0);
    prefix.to_bits() & mask == address.to_bits() & mask
}

#[cfg(feature = "text")]
pub use crate::text::Error;

/// Reads the wanted network.
///
/// # Errors
/// See [`Error`]; nothing is taken from a text that has one.
#[cfg(feature = "text")]
pub fn parse(text: &str) -> Result<Wanted, Error> {
    crate::text::parse("network.toml", crate::limit::WANTED_BYTES, text, check)
}

/// The first rule that `wanted` breaks.
#[cfg(feature = "text")]
fn check(wanted: &Wanted) -> Option<&'static str> {
    let (lan, services) = (&wanted.lan, &wanted.services);
    let link = |name: &str| {
        !name.is_empty()
            && name != "lo"
            && !name.starts_with(SERVICE_LINK)
            && !name.contains(['/', ' ', '\0'])
    };
    let hosts = u32::MAX.checked_shr(lan.prefix_length.into()).unwrap_or(0);
    let host = lan.address.to_bits() & hosts;
    let inside = |address| contains(lan.address, lan.prefix_length, address);
    let pool_outside = lan.dhcp.is_some_and(|pool| !inside(pool.first) || !inside(pool.last));
    let pool_empty = lan.dhcp.is_some_and(|pool| pool.first > pool.last);
    let pool_ours = lan.dhcp.is_some_and(|pool| (pool.first..=pool.last).contains(&lan.address));
    let shorter = lan.prefix_length.min(services.prefix_length);
    let rules = [
        (!link(&wanted.wan.link), "wan.link: a link's name, none of a service's"),
        (!link(&lan.bridge) || lan.bridge == wanted.wan.link, "lan.bridge: a name that no other link has"),
        (
            lan.ports.iter().any(|port| !link(port) || *port == wanted.wan.link || *port == lan.bridge),
            "lan.ports: links other than wan.link and lan.bridge",
        ),
        (!(8..=30).contains(&lan.prefix_length), "lan.prefix_length: 8 to 30"),
        (host == 0 || host == hosts, "lan.address: a host's address, not the network's nor the broadcast's"),
        (pool_outside, "lan.dhcp: first and last lie in the LAN's prefix"),
        (pool_empty, "lan.dhcp: first is not after last"),
        (pool_ours, "lan.dhcp: the gateway's own address is not in the pool"),
        (lan.dhcp.is_some_and(|pool| pool.lease_s < 120), "lan.dhcp.lease_s: at least 120"),
        (!(16..=26).contains(&services.prefix_length), "services.prefix_length: 16 to 26"),
        (contains(lan.address, shorter, services.prefix), "services.prefix: it overlaps the LAN's"),
    ];
    rules.into_iter().find_map(|(broken, why)| broken.then_some(why))
}

#[cfg(all(test, feature = "text"))]
mod tests {
    use super::*;
    use std::string::ToString;

    const PLAIN: &str = include_str!("../../../rootfs/etc/shg/network.toml");

    #[test]
    fn what_we_ship_is_well_formed() {
        assert_eq!(parse(PLAIN).unwrap().wan.ipv4, WanIpv4::Dhcp);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let table = [
            ("unknown key", PLAIN.replace("[lan]", "[lan]\ncolour = 1"), "colour"),
            ("pool outside", PLAIN.replace("192.168.1.100", "192.168.2.100"), "lan.dhcp"),
            ("our address in the pool", PLAIN.replace("\"192.168.1.1\"", "\"192.168.1.120\""), "own address"),
            ("bridge in itself", PLAIN.replace("\"eth1\"", "\"br-lan\""), "lan.ports"),
            ("a service's link", PLAIN.replace("\"eth0\"", "\"svc-0\""), "wan.link"),
            ("broadcast", PLAIN.replace("\"192.168.1.1\"", "\"192.168.1.255\""), "lan.address"),
            ("network", PLAIN.replace("\"192.168.1.1\"", "\"192.168.1.0\""), "lan.address"),
            ("overlap", PLAIN.replace("10.64.0.0", "192.168.1.0"), "overlaps"),
            ("not an address", PLAIN.replace("10.64.0.0", "10.64.0"), "line"),
        ];
        for (what, text, word) in table {
            let error = parse(&text).unwrap_err().to_string();
            assert!(error.contains(word), "{what}: {error}");
        }
    }
}
