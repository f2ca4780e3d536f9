//! Names that are never asked for outside: they mean something here, or nothing anywhere.
//!
//! In:  a name in lower case. Out: the zone that it belongs to, and what that is.
//!
//! Source: RFC 6761 (localhost, invalid, test), RFC 6762 (local), RFC 7686 (onion), RFC 8375 (home.arpa), RFC 9462 §6.4 (resolver.arpa),
//! RFC 9476 (alt); ICANN's resolution 2024.07.29.06 (internal); RFC 6303 and RFC 7793 (reverse zones).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::name;

/// What a special name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Special {
    /// This very machine.
    Localhost,
    /// Nothing: there is no such name.
    Nothing,
    /// The address of nobody outside.
    Reverse,
}

/// Zones, as they stand in a message, and what they are.
const ZONES: [(&[u8], Special); 9] = [
    (b"\x09localhost\0", Special::Localhost),
    (b"\x07invalid\0", Special::Nothing),
    (b"\x04test\0", Special::Nothing),
    (b"\x05local\0", Special::Nothing),
    (b"\x05onion\0", Special::Nothing),
    (b"\x03alt\0", Special::Nothing),
    (b"\x08internal\0", Special::Nothing),
    (b"\x04home\x04arpa\0", Special::Nothing),
    (b"\x08resolver\x04arpa\0", Special::Nothing),
];

const fn v4(a: u8, b: u8, c: u8, d: u8, length: u8) -> (IpAddr, u8) {
    (IpAddr::V4(Ipv4Addr::new(a, b, c, d)), length)
}

const fn v6(first: u16, second: u16, length: u8) -> (IpAddr, u8) {
    (IpAddr::V6(Ipv6Addr::new(first, second, 0, 0, 0, 0, 0, 0)), length)
}

/// Addresses of nobody outside. Source: RFC 6303 §4.1 to §4.6; RFC 7793.
const NOBODYS: [(IpAddr, u8); 18] = [
    v4(0, 0, 0, 0, 8),
    v4(10, 0, 0, 0, 8),
    v4(100, 64, 0, 0, 10),
    v4(127, 0, 0, 0, 8),
    v4(169, 254, 0, 0, 16),
    v4(172, 16, 0, 0, 12),
    v4(192, 0, 2, 0, 24),
    v4(192, 168, 0, 0, 16),
    v4(198, 51, 100, 0, 24),
    v4(203, 0, 113, 0, 24),
    v4(255, 255, 255, 255, 32),
    v6(0xfc00, 0, 7),
    v6(0xfe80, 0, 10),
    v6(0x2001, 0xdb8, 32),
    (IpAddr::V6(Ipv6Addr::UNSPECIFIED), 128),
    (IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
    v4(224, 0, 0, 0, 4),
    v6(0xff00, 0, 8),
];

/// What the name is, and how many bytes its zone has.
#[must_use]
pub fn of(name: &[u8]) -> Option<(Special, usize)> {
    let zone = ZONES.iter().find(|(zone, _)| name::is_below(name, zone));
    zone.map(|(zone, special)| (*special, zone.len())).or_else(|| {
        let asked = name::reverse(name)?;
        let (_, length) = nobodys(asked.first(), asked.length())?;
        Some((Special::Reverse, zone_bytes(name, asked.is_ipv4(), asked.length(), length)))
    })
}

fn nobodys(address: IpAddr, length: u8) -> Option<(IpAddr, u8)> {
    let holds = |(first, bits): &&(IpAddr, u8)| {
        length >= *bits && contract::prefix::Prefix::new(*first, *bits).holds(address)
    };
    NOBODYS.iter().find(holds).copied()
}

/// How many bytes of the reverse name are its zone's: labels that the prefix does not fix are left off.
fn zone_bytes(name: &[u8], ipv4: bool, asked_bits: u8, zone_bits: u8) -> usize {
    let bits = if ipv4 { 8 } else { 4 };
    let spare = usize::from(asked_bits.saturating_sub(zone_bits.div_ceil(bits) * bits) / bits);
    let before: usize = name::labels(name).take(spare).map(|label| label.len() + 1).sum();
    name.len() - before
}

#[cfg(test)]
mod tests {
    use super::{Special, of};
    use crate::name;

    #[test]
    fn what_means_nothing_outside_is_not_asked_there() {
        use Special::{Localhost, Nothing, Reverse};
        let table = [
            ("localhost", Some((Localhost, 11))),
            ("a.localhost", Some((Localhost, 11))),
            ("xlocalhost", None),
            ("printer.local", Some((Nothing, 7))),
            ("home.arpa", Some((Nothing, 11))),
            ("a.b.home.arpa", Some((Nothing, 11))),
            ("arpa", None),
            ("1.1.168.192.in-addr.arpa", Some((Reverse, 22))),
            ("168.192.in-addr.arpa", Some((Reverse, 22))),
            ("192.in-addr.arpa", None),
            ("1.0.16.172.in-addr.arpa", Some((Reverse, 21))),
            ("1.0.32.172.in-addr.arpa", None),
            ("4.3.8.8.in-addr.arpa", None),
            ("0.d.f.ip6.arpa", Some((Reverse, 14))),
            ("8.e.f.ip6.arpa", Some((Reverse, 16))),
            ("example", None),
        ];
        for (text, wanted) in table {
            assert_eq!(of(&name::of(text).unwrap()), wanted, "{text}");
        }
    }
}
