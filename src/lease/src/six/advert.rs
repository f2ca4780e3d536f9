//! Router solicitations and advertisements: bytes to what we know of them, and back. And of neighbour advertisements whose an address is.
//!
//! In:  an ICMPv6 message. Out: an [`Advert`], or `None` where RFC 4861 says that it is to be dropped.
//!
//! Options that we do not know are passed over; more of one kind than there is room for, too.
//!
//! Not here: hop limits and senders (`router.rs`, `lan.rs`), the checksum (`packet.rs` reads it, the kernel writes it).
//!
//! Source: RFC 4861 §4.1, §4.2, §4.4, §4.6; RFC 4191 §2.2, §2.3 (preference, routes); RFC 8106 §5 (name servers, domain).

use std::net::{IpAddr, Ipv6Addr};

use contract::limit::{IPV6_PREFIXES, NAME_SERVERS};
use contract::name::Text;
use contract::prefix::Prefix;
use heapless::Vec;

use super::bytes::{Reader, Writer};
use super::domain;
use crate::message::Mac;

/// Types of messages. Source: RFC 4861 §4.
pub const SOLICITATION: u8 = 133;
/// See [`SOLICITATION`].
pub const ADVERTISEMENT: u8 = 134;
/// See [`SOLICITATION`].
pub const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
/// What we write fits in what every link carries, with 40 bytes of IPv6 in front. Source: RFC 8200 §5.
pub const ADVERT_BYTES_MAX: usize = 1_280 - 40;
/// Prefixes of one message: those in use, and as many that are given up.
pub const PREFIXES: usize = 2 * IPV6_PREFIXES;
/// Types of options. Source: RFC 4861 §4.6, RFC 4191 §2.3, RFC 8106 §5.
const SOURCE_ADDRESS: u8 = 1;
const TARGET_ADDRESS: u8 = 2;
const PREFIX: u8 = 3;
const MTU: u8 = 5;
const ROUTE: u8 = 24;
const NAME_SERVER: u8 = 25;
const DOMAIN: u8 = 31;
/// Flags of an advertisement. Source: RFC 4861 §4.2.
const MANAGED: u8 = 0x80;
const OTHER: u8 = 0x40;
/// Flags of a prefix. Source: RFC 4861 §4.6.2.
const ON_LINK: u8 = 0x80;
const AUTONOMOUS: u8 = 0x40;

/// How much a router is to be liked. Source: RFC 4191 §2.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Preference {
    /// Less than others.
    Low,
    /// As others.
    #[default]
    Medium,
    /// More.
    High,
}

/// A prefix of the link. Source: RFC 4861 §4.6.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrefixInfo {
    /// The prefix.
    pub prefix: Prefix,
    /// Its addresses are on the link.
    pub on_link: bool,
    /// Hosts may make addresses of it.
    pub autonomous: bool,
    /// How long an address is preferred, in seconds; `u32::MAX`: for ever.
    pub preferred_s: u32,
    /// How long it is valid, in seconds; `u32::MAX`: for ever.
    pub valid_s: u32,
}

/// What a router says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Advert {
    /// Addresses are given by DHCPv6.
    pub managed: bool,
    /// Other things are told by DHCPv6.
    pub other: bool,
    /// Among routers.
    pub preference: Preference,
    /// How long it is a default router, in seconds; 0: it is none.
    pub lifetime_s: u16,
    /// The sender's link-layer address.
    pub mac: Option<Mac>,
    /// The largest packet of the link, in bytes; 0: not said.
    pub mtu: u32,
    /// Prefixes of the link.
    pub prefixes: Vec<PrefixInfo, PREFIXES>,
    /// Prefixes that it leads to, and for how long, in seconds.
    pub routes: Vec<(Prefix, u32), PREFIXES>,
    /// Name servers, and for how long, in seconds.
    pub name_servers: Vec<(Ipv6Addr, u32), NAME_SERVERS>,
    /// The domain of local names, and for how long, in seconds. We say it and take nobody's.
    pub domain: Option<(Text<63>, u32)>,
}

/// Is this a router solicitation? Source: RFC 4861 §6.1.1.
#[must_use]
pub fn is_solicitation(message: &[u8]) -> bool {
    let mut reader = Reader(message);
    let head = reader.chunk::<8>();
    matches!(head, Some([SOLICITATION, 0, ..])) && Options(reader).all(|option| option.is_some())
}

/// A solicitation of ours, with our link-layer address where the link has any.
#[must_use]
pub fn solicitation(mac: Option<Mac>) -> Vec<u8, 16> {
    let mut out = Writer::new();
    out.put(&[SOLICITATION, 0, 0, 0, 0, 0, 0, 0]);
    if let Some(mac) = mac {
        out.put(&[SOURCE_ADDRESS, 1]);
        out.put(&mac);
    }
    out.end().unwrap_or_default()
}

/// Whose is the address that a neighbour speaks of: the address, and the link-layer address where it is said.
///
/// Source: RFC 4861 §4.4, §7.1.2.
#[must_use]
pub fn neighbour(message: &[u8]) -> Option<(Ipv6Addr, Option<Mac>)> {
    let mut reader = Reader(message);
    let [NEIGHBOUR_ADVERTISEMENT, 0, ..] = reader.chunk::<8>()? else { return None };
    let target = reader.address()?;
    let mut mac = None;
    for option in Options(reader) {
        let (kind, value) = option?;
        if kind == TARGET_ADDRESS {
            mac = value.try_into().ok();
        }
    }
    Some((target, mac))
}

/// The options of a message; one that has no length or is cut off is shown as `None`, and is the last.
struct Options<'b>(Reader<'b>);

impl<'b> Iterator for Options<'b> {
    type Item = Option<(u8, &'b [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        let kind = self.0.byte()?;
        // Lengths are in units of eight bytes, the head included. Source: RFC 4861 §4.6.
        let length = self.0.byte().map(usize::from).filter(|length| *length > 0);
        let value = length.and_then(|length| self.0.take(length * 8 - 2));
        if value.is_none() {
            self.0 = Reader(&[]);
        }
        Some(value.map(|value| (kind, value)))
    }
}

impl Advert {
    /// Reads one; `None` where it is to be dropped. Source: RFC 4861 §6.1.2.
    ///
    /// Bytes from strangers: any bytes are allowed, and none make it panic.
    #[must_use]
    pub fn read(message: &[u8]) -> Option<Self> {
        let mut reader = Reader(message);
        let [ADVERTISEMENT, 0, _, _, _, flags, l0, l1] = reader.chunk()? else { return None };
        let _reachable_and_retransmission = reader.chunk::<8>()?;
        let mut advert = Self {
            managed: flags & MANAGED != 0,
            other: flags & OTHER != 0,
            preference: preference(flags),
            lifetime_s: u16::from_be_bytes([l0, l1]),
            ..Self::default()
        };
        for option in Options(reader) {
            let (kind, value) = option?;
            advert.take(kind, Reader(value));
        }
        Some(advert)
    }

    /// Takes an option in; one that makes no sense is passed over.
    fn take(&mut self, kind: u8, mut value: Reader<'_>) {
        match kind {
            SOURCE_ADDRESS => self.mac = value.chunk(),
            MTU => {
                let mtu = value.half().and_then(|_reserved| value.word());
                self.mtu = mtu.filter(|mtu| *mtu >= MTU_MIN).unwrap_or(0);
            }
            PREFIX => {
                if let Some(info) = prefix_info(value) {
                    let _full = self.prefixes.push(info);
                }
            }
            ROUTE => {
                if let Some(route) = route(value) {
                    let _full = self.routes.push(route);
                }
            }
            NAME_SERVER => {
                let Some(lifetime_s) = value.half().and_then(|_reserved| value.word()) else { return };
                while let Some(address) = value.address() {
                    if !address.is_unspecified() && !address.is_multicast() {
                        let _full = self.name_servers.push((address, lifetime_s));
                    }
                }
            }
            _ => {}
        }
    }

    /// The message; its checksum is the kernel's work. `None` where it is too much, which it cannot be.
    #[must_use]
    pub fn write(&self) -> Option<Vec<u8, ADVERT_BYTES_MAX>> {
        let mut out = Writer::new();
        let mut flags = match self.preference {
            Preference::High => 0x08,
            Preference::Medium => 0,
            Preference::Low => 0x18,
        };
        flags |= if self.managed { MANAGED } else { 0 } | if self.other { OTHER } else { 0 };
        // 64 hops, and no word on reachability.
        out.put(&[ADVERTISEMENT, 0, 0, 0, HOPS, flags]);
        out.put(&self.lifetime_s.to_be_bytes());
        out.put(&[0; 8]);
        if let Some(mac) = self.mac {
            out.put(&[SOURCE_ADDRESS, 1]);
            out.put(&mac);
        }
        if self.mtu != 0 {
            out.put(&[MTU, 1, 0, 0]);
            out.put(&self.mtu.to_be_bytes());
        }
        for info in &self.prefixes {
            let on_link = if info.on_link { ON_LINK } else { 0 };
            let autonomous = if info.autonomous { AUTONOMOUS } else { 0 };
            out.put(&[PREFIX, 4, info.prefix.length(), on_link | autonomous]);
            out.put(&info.valid_s.to_be_bytes());
            out.put(&info.preferred_s.to_be_bytes());
            out.put(&[0; 4]);
            out.put(&first(info.prefix).octets());
        }
        for (prefix, lifetime_s) in &self.routes {
            out.put(&[ROUTE, 3, prefix.length(), 0]);
            out.put(&lifetime_s.to_be_bytes());
            out.put(&first(*prefix).octets());
        }
        for (address, lifetime_s) in &self.name_servers {
            out.put(&[NAME_SERVER, 3, 0, 0]);
            out.put(&lifetime_s.to_be_bytes());
            out.put(&address.octets());
        }
        if let Some((name, lifetime_s)) = &self.domain
            && let Some(name) = domain::write(name)
        {
            let words = (name.len() + 8).div_ceil(8);
            out.put(&[DOMAIN, u8::try_from(words).ok()?, 0, 0]);
            out.put(&lifetime_s.to_be_bytes());
            out.put(&name);
            out.put([0; 7].get(..words * 8 - 8 - name.len())?);
        }
        out.end()
    }
}

/// How many routers a host's packets may pass. Source: RFC 1700, "IP Time to Live".
const HOPS: u8 = 64;
/// What every link carries. Source: RFC 8200 §5.
const MTU_MIN: u32 = 1_280;

/// The reserved value counts as medium. Source: RFC 4191 §2.2.
fn preference(flags: u8) -> Preference {
    match flags & 0x18 {
        0x08 => Preference::High,
        0x18 => Preference::Low,
        _ => Preference::Medium,
    }
}

/// The first address of a prefix of IPv6.
#[must_use]
pub fn first(prefix: Prefix) -> Ipv6Addr {
    match prefix.first() {
        IpAddr::V6(address) => address,
        IpAddr::V4(address) => address.to_ipv6_mapped(),
    }
}

fn prefix_info(mut value: Reader<'_>) -> Option<PrefixInfo> {
    let [length, flags] = value.chunk()?;
    let (valid_s, preferred_s) = (value.word()?, value.word()?);
    let _reserved = value.word()?;
    let address = value.address()?;
    // Source: RFC 4862 §5.5.3 b and c.
    if length > 128 || preferred_s > valid_s || address.is_unicast_link_local() || address.is_multicast() {
        return None;
    }
    Some(PrefixInfo {
        prefix: Prefix::new(address.into(), length),
        on_link: flags & ON_LINK != 0,
        autonomous: flags & AUTONOMOUS != 0,
        preferred_s,
        valid_s,
    })
}

fn route(mut value: Reader<'_>) -> Option<(Prefix, u32)> {
    let [length, _preference] = value.chunk()?;
    let lifetime_s = value.word()?;
    // The address may be cut to 0, 8 or 16 bytes. Source: RFC 4191 §2.3.
    let mut address = [0; 16];
    for (place, byte) in address.iter_mut().zip(value.0) {
        *place = *byte;
    }
    if usize::from(length) > value.0.len() * 8 || length > 128 {
        return None;
    }
    Some((Prefix::new(Ipv6Addr::from(address).into(), length), lifetime_s))
}

#[cfg(test)]
mod tests {
    use super::{Advert, Preference, PrefixInfo, is_solicitation, neighbour, solicitation};
    use proptest::prelude::proptest;

    fn full() -> Advert {
        let prefix = "2001:db8:1:2::/64".parse().unwrap();
        let info = PrefixInfo { prefix, on_link: true, autonomous: true, preferred_s: 2_700, valid_s: 5_400 };
        Advert {
            managed: true,
            other: true,
            preference: Preference::High,
            lifetime_s: 1_800,
            mac: Some([2, 0, 0, 0, 0, 1]),
            mtu: 1_492,
            prefixes: heapless::Vec::from_iter([info, PrefixInfo { preferred_s: 0, valid_s: 0, ..info }]),
            routes: heapless::Vec::from_iter([(prefix, 1_800)]),
            name_servers: heapless::Vec::from_iter([("fe80::1".parse().unwrap(), 1_800)]),
            domain: Some(("home.arpa".into(), 1_800)),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = full().write().unwrap();
        assert_eq!(bytes.len() % 8, 0);
        assert_eq!(Advert::read(&bytes), Some(Advert { domain: None, ..full() }));
        assert!(is_solicitation(&solicitation(Some([2; 6]))) && is_solicitation(&solicitation(None)));
        assert!(!is_solicitation(&bytes) && !is_solicitation(&[133, 0, 0, 0, 0, 0, 0, 0, 1, 0]));
    }

    #[test]
    fn what_is_to_be_dropped_is() {
        let good = full().write().unwrap();
        // name, place, new byte
        let table = [
            ("a code", 1, 1),
            ("another type", 0, 133),
            ("an option without length", 17, 0),
            ("cut off", 17, 255),
        ];
        for (what, place, byte) in table {
            let mut bytes = good.clone();
            bytes[place] = byte;
            assert_eq!(Advert::read(&bytes), None, "{what}");
        }
        assert_eq!(Advert::read(&good[..15]), None, "shorter than its head");
        // Preferred for longer than valid, and of the link only: passed over.
        let mut bytes = good.clone();
        bytes[16 + 8 + 8 + 8] = 0xff;
        assert_eq!(Advert::read(&bytes).unwrap().prefixes.len(), 1);
    }

    #[test]
    fn a_neighbour_says_whose_an_address_is() {
        let mut bytes = [136, 0, 0, 0, 0x20, 0, 0, 0].to_vec();
        bytes.extend("2001:db8::7".parse::<std::net::Ipv6Addr>().unwrap().octets());
        assert_eq!(neighbour(&bytes), Some(("2001:db8::7".parse().unwrap(), None)));
        bytes.extend([2, 1, 2, 0, 0, 0, 0, 9]);
        assert_eq!(neighbour(&bytes), Some(("2001:db8::7".parse().unwrap(), Some([2, 0, 0, 0, 0, 9]))));
        assert_eq!(neighbour(&bytes[..20]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = (Advert::read(&bytes), neighbour(&bytes), is_solicitation(&bytes));
        }
    }
}
