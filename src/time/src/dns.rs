//! A name server's question and answer, as far as a name's addresses need them.
//!
//! In:  bytes. Out: addresses. This module is pure.
//!
//! Nothing of an answer is trusted but the addresses in it, and these only as where to ask: who is believed is decided by majority, or by
//! a certificate.
//!
//! Not here: caching, following aliases (the name server does), TCP. Source: RFC 1035 §4.1; RFC 3596 §2.1.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses that are taken of one name.
pub const ADDRESSES: usize = 4;
/// Where a name server's port is.
pub const PORT: u16 = 53;
/// The longest answer over UDP without EDNS. Source: RFC 1035 §4.2.1.
pub const BYTES_MAX: usize = 512;
/// Records that are looked at.
const RECORDS_MAX: u16 = 32;

const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;
const CLASS_IN: u16 = 1;

/// Which kind of address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// IPv4.
    A,
    /// IPv6.
    Aaaa,
}

impl Kind {
    fn number(self) -> u16 {
        match self {
            Self::A => TYPE_A,
            Self::Aaaa => TYPE_AAAA,
        }
    }
}

/// The question for `name`; `None`: it is no name.
#[must_use]
pub fn question(id: u16, name: &str, kind: Kind) -> Option<Vec<u8>> {
    let mut bytes = id.to_be_bytes().to_vec();
    bytes.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]); // recursion desired; one question
    let name = name.strip_suffix('.').unwrap_or(name);
    for label in name.split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
        if !label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
            return None;
        }
        bytes.push(length);
        bytes.extend(label.bytes());
    }
    bytes.push(0);
    bytes.extend(kind.number().to_be_bytes());
    bytes.extend(CLASS_IN.to_be_bytes());
    (bytes.len() <= 12 + 255 + 4).then_some(bytes)
}

/// The addresses in the answer to `question`; none where the name has none. `None`: it is no answer to it.
#[must_use]
pub fn read(bytes: &[u8], question: &[u8]) -> Option<Vec<IpAddr>> {
    let (id, rest) = bytes.split_first_chunk::<2>()?;
    let (flags, rest) = rest.split_first_chunk::<2>()?;
    let (questions, rest) = rest.split_first_chunk::<2>()?;
    let (answers, rest) = rest.split_first_chunk::<2>()?;
    let (asked_id, asked) = question.split_first_chunk::<2>()?;
    let asked = asked.get(10..)?;
    let (_, rest) = rest.split_first_chunk::<4>()?;
    let (repeated, mut rest) = rest.split_at_checked(asked.len())?;
    let is_answer = flags.first().is_some_and(|byte| byte & 0x80 != 0);
    if id != asked_id || !is_answer || *questions != [0, 1] || !repeated.eq_ignore_ascii_case(asked) {
        return None;
    }
    let mut found = Vec::new();
    // Whatever else it says (no such name, refused): it has no address for us.
    if flags.last().is_some_and(|byte| byte & 0x0f != 0) {
        return Some(found);
    }
    for _ in 0..u16::from_be_bytes(*answers).min(RECORDS_MAX) {
        // What is cut off ends the list; the addresses before it are good.
        let Some((address, behind)) = record(rest) else { break };
        found.extend(address.filter(|_| found.len() < ADDRESSES));
        rest = behind;
    }
    Some(found)
}

/// One record: an address, where it is one, and what is behind it.
fn record(bytes: &[u8]) -> Option<(Option<IpAddr>, &[u8])> {
    let rest = behind_name(bytes)?;
    let (kind, rest) = rest.split_first_chunk::<2>()?;
    let (class, rest) = rest.split_first_chunk::<2>()?;
    let (_lifetime, rest) = rest.split_first_chunk::<4>()?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let (data, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    let address = match (u16::from_be_bytes(*kind), u16::from_be_bytes(*class)) {
        (TYPE_A, CLASS_IN) => <[u8; 4]>::try_from(data).ok().map(|octets| Ipv4Addr::from(octets).into()),
        (TYPE_AAAA, CLASS_IN) => <[u8; 16]>::try_from(data).ok().map(|octets| Ipv6Addr::from(octets).into()),
        _ => None,
    };
    Some((address.filter(is_somebody), rest))
}

/// What is behind a name. A pointer ends it; where it points to is nobody's business here.
fn behind_name(mut bytes: &[u8]) -> Option<&[u8]> {
    // Each round takes a byte at least.
    loop {
        let (length, rest) = bytes.split_first()?;
        match length >> 6 {
            0 if *length == 0 => return Some(rest),
            0 => bytes = rest.get(usize::from(*length)..)?,
            3 => return rest.get(1..),
            _ => return None,
        }
    }
}

/// An address at which somebody else can be asked: not ourselves, not everybody.
#[must_use]
pub fn is_somebody(address: &IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    !address.is_loopback() && !address.is_unspecified() && !address.is_multicast() && !broadcast
}

#[cfg(test)]
mod tests {
    use super::{Kind, question, read};
    use std::net::IpAddr;

    /// What a server says: the question repeated, an alias, and records behind it.
    fn answer(question: &[u8], flags: [u8; 2], records: &[(u16, &[u8])]) -> Vec<u8> {
        let mut bytes = question.to_vec();
        bytes[2..4].copy_from_slice(&flags);
        bytes[6..8].copy_from_slice(&u16::try_from(records.len()).unwrap().to_be_bytes());
        for (kind, data) in records {
            bytes.extend([0xc0, 12]);
            bytes.extend(kind.to_be_bytes());
            bytes.extend([0, 1, 0, 0, 1, 0]);
            bytes.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
            bytes.extend(*data);
        }
        bytes
    }

    #[test]
    fn names_are_asked_for_and_what_is_none_is_not() {
        let bytes = question(0x1234, "ntp.example.", Kind::A).unwrap();
        assert_eq!(
            bytes,
            b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03ntp\x07example\x00\x00\x01\x00\x01"
        );
        let long = "a".repeat(64);
        for name in ["", ".", "a..b", &long, "a b", "caf\u{e9}", &"abcdefg.".repeat(32)] {
            assert_eq!(question(1, name, Kind::A), None, "{name}");
        }
    }

    #[test]
    fn addresses_are_found() {
        let asked = question(7, "ntp.example", Kind::A).unwrap();
        let good: [u8; 2] = [0x81, 0x80];
        let four: IpAddr = [192, 0, 2, 1].into();
        let bytes = answer(&asked, good, &[(5, &[1, b'x', 0]), (1, &[192, 0, 2, 1]), (1, &[127, 0, 0, 1])]);
        assert_eq!(read(&bytes, &asked), Some(vec![four]), "behind an alias; and never ourselves");
        for cut in 0..bytes.len() {
            let found = read(&bytes[..cut], &asked);
            assert!(found.is_none_or(|found| found.is_empty() || found == [four]), "cut at {cut}");
        }
        let many = answer(&asked, good, &[(1, &[192_u8, 0, 2, 1][..]); 9]);
        assert_eq!(read(&many, &asked).unwrap().len(), super::ADDRESSES);
        let other = question(7, "ntp.example", Kind::Aaaa).unwrap();
        let table = [
            ("no such name", answer(&asked, [0x81, 0x83], &[]), Some(0)),
            ("none", answer(&asked, good, &[]), Some(0)),
            ("a question", answer(&asked, [1, 0], &[]), None),
            ("to another question", answer(&other, good, &[]), None),
            ("another number", answer(&question(8, "ntp.example", Kind::A).unwrap(), good, &[]), None),
            ("a short address", answer(&asked, good, &[(1, &[1, 2, 3])]), Some(0)),
        ];
        for (name, bytes, want) in table {
            assert_eq!(read(&bytes, &asked).map(|found| found.len()), want, "{name}");
        }
        let bytes = answer(&other, good, &[(28, &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])]);
        assert_eq!(read(&bytes, &other), Some(vec!["2001:db8::1".parse().unwrap()]));
    }
}
