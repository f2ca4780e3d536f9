//! IGMP: bytes ↔ messages.
//!
//! In:  what a raw IGMP socket gives: the IPv4 header and what follows; or the kernel's own word about a stream without a route.
//! Out: what was heard and from whom; queries as bytes, without the IPv4 header.
//!
//! Source: RFC 2236 §2, RFC 3376 §4; `struct igmpmsg` of linux/mroute.h.

use std::net::{IpAddr, Ipv4Addr};

use heapless::Vec;

use crate::message::{Heard, Kind, Reader, Record, Sources, Unrouted, checksum, records};

/// A message for all hosts of a link. Source: RFC 3376 §4.1.12.
pub const ALL_HOSTS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);
/// Where hosts of IGMPv2 say that they leave. Source: RFC 2236 §3.
pub const ALL_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 2);
/// Where hosts of IGMPv3 report. Source: RFC 3376 §4.2.14.
pub const REPORTS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 22);

const QUERY: u8 = 0x11;
const REPORT_V1: u8 = 0x12;
const REPORT_V2: u8 = 0x16;
const LEAVE: u8 = 0x17;
const REPORT_V3: u8 = 0x22;
/// IGMP in an IPv4 header.
const PROTOCOL: u8 = 2;
/// Bytes of an IGMPv3 query without sources.
pub const QUERY_BYTES: usize = 12;

/// What a packet says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// A host or a querier.
    From(Ipv4Addr, Heard),
    /// The kernel.
    Kernel(Unrouted),
}

/// Reads what the socket gave. `None`: nothing for us, or nonsense.
#[must_use]
pub fn read(bytes: &[u8]) -> Option<Packet> {
    let mut reader = Reader(bytes);
    let [version, _] = reader.take()?;
    let [total @ .., _, _, _, _, hops, protocol] = reader.take::<8>()?;
    if protocol == 0 {
        return upcall(bytes).map(Packet::Kernel);
    }
    reader.skip(2)?;
    let from = Ipv4Addr::from(reader.take::<4>()?);
    // Who is farther than this link has no say. Source: RFC 3376 §4, "sent with an IP TTL of 1".
    if version >> 4 != 4 || protocol != PROTOCOL || hops != 1 {
        return None;
    }
    let header = usize::from(version & 0xf) * 4;
    let body = bytes.get(header..usize::from(u16::from_be_bytes(total)))?;
    if header < 20 || checksum(body) != 0 {
        return None;
    }
    message(body).map(|heard| Packet::From(from, heard))
}

fn message(body: &[u8]) -> Option<Heard> {
    let mut reader = Reader(body);
    let [kind, _, _, _] = reader.take()?;
    let old = |kind, group: [u8; 4]| {
        let record = Record { kind, group: Ipv4Addr::from(group).into(), sources: Sources::new(), old: true };
        Heard::Report(Vec::from_iter([record]))
    };
    match kind {
        QUERY => Some(Heard::Query),
        REPORT_V1 | REPORT_V2 => Some(old(Kind::IsAllBut, reader.take()?)),
        LEAVE => Some(old(Kind::ToOnly, reader.take()?)),
        REPORT_V3 => {
            reader.skip(2)?;
            let count = u16::from_be_bytes(reader.take()?);
            let address = |reader: &mut Reader<'_>| Some(IpAddr::from(reader.take::<4>()?));
            records(&mut reader, count, address).map(Heard::Report)
        }
        _ => None,
    }
}

/// `struct igmpmsg`: eight unused bytes, type, 0, the link's number (low byte), its high byte, source, group.
fn upcall(bytes: &[u8]) -> Option<Unrouted> {
    let mut reader = Reader(bytes);
    reader.skip(8)?;
    let [kind, _, low, high] = reader.take()?;
    let (source, group) = (reader.take::<4>()?, reader.take::<4>()?);
    let from = u16::from_le_bytes([low, high]);
    (kind == sys::mroute::NO_ROUTE).then_some(Unrouted { from, source: source.into(), group: group.into() })
}

/// A query for `group`, or for all (`0.0.0.0`), to be answered within `response_ms`. Source: RFC 3376 §4.1.
#[must_use]
pub fn query(group: Ipv4Addr, response_ms: u32, interval_s: u8) -> [u8; QUERY_BYTES] {
    const ROBUSTNESS: u8 = 2; // RFC 3376 §8.1
    // Tenths of a second; above 127 it would be a floating-point number, which we do not need.
    let tenths = u8::try_from(response_ms / 100).unwrap_or(127).clamp(1, 127);
    let [a, b, c, d] = group.octets();
    let mut bytes = [QUERY, tenths, 0, 0, a, b, c, d, ROBUSTNESS, interval_s.min(127), 0, 0];
    let sum = checksum(&bytes).to_be_bytes();
    let [_, _, high, low, ..] = &mut bytes;
    [*high, *low] = sum;
    bytes
}

#[cfg(test)]
mod tests {
    use super::{Packet, query, read};
    use crate::message::{Heard, Kind, checksum};
    use std::net::Ipv4Addr;

    /// What Linux 6.18 sends for `IP_ADD_MEMBERSHIP` of 239.1.1.1 from 10.9.0.2 (tcpdump -x).
    const REPORT: [u8; 40] = [
        0x46, 0xc0, 0x00, 0x28, 0x00, 0x00, 0x40, 0x00, 0x01, 0x02, 0x00, 0x00, 0x0a, 0x09, 0x00,
        0x02, //
        0xe0, 0x00, 0x00, 0x16, 0x94, 0x04, 0x00, 0x00, 0x22, 0x00, 0xe9, 0xfb, 0x00, 0x00, 0x00,
        0x01, //
        0x04, 0x00, 0x00, 0x00, 0xef, 0x01, 0x01, 0x01,
    ];

    fn with(kind: u8, group: [u8; 4]) -> Vec<u8> {
        let mut body = vec![kind, 0, 0, 0];
        body.extend(group);
        let sum = checksum(&body).to_be_bytes();
        body[2..4].copy_from_slice(&sum);
        let mut bytes = vec![0x45, 0xc0, 0, 28, 0, 0, 0x40, 0, 1, 2, 0, 0, 10, 9, 0, 2, 224, 0, 0, 22];
        bytes.extend(body);
        bytes
    }

    fn heard(bytes: &[u8]) -> Option<(Kind, String, bool)> {
        match read(bytes)? {
            Packet::From(from, Heard::Report(records)) => {
                assert_eq!(from, Ipv4Addr::new(10, 9, 0, 2));
                Some((records[0].kind, records[0].group.to_string(), records[0].old))
            }
            Packet::From(_, Heard::Query) | Packet::Kernel(_) => None,
        }
    }

    #[test]
    fn what_hosts_say_is_read() {
        let group = || "239.1.1.1".to_owned();
        assert_eq!(heard(&REPORT), Some((Kind::ToAllBut, group(), false)));
        assert_eq!(heard(&with(0x16, [239, 1, 1, 1])), Some((Kind::IsAllBut, group(), true)), "IGMPv2");
        assert_eq!(heard(&with(0x12, [239, 1, 1, 1])), Some((Kind::IsAllBut, group(), true)), "IGMPv1");
        assert_eq!(heard(&with(0x17, [239, 1, 1, 1])), Some((Kind::ToOnly, group(), true)), "a leave");
        assert_eq!(read(&with(0x11, [0; 4])), Some(Packet::From([10, 9, 0, 2].into(), Heard::Query)));
    }

    #[test]
    fn nonsense_is_not_heard() {
        let bent = |place: usize, byte: u8| {
            let mut bytes = REPORT;
            bytes[place] = byte;
            bytes
        };
        for (what, bytes) in [
            ("from farther away", bent(8, 2)),
            ("a wrong checksum", bent(39, 2)),
            ("longer than the packet", bent(3, 0xff)),
            ("more records than there are", bent(31, 9)),
            ("a header longer than the packet", bent(0, 0x4f)),
        ] {
            assert_eq!(read(&bytes), None, "{what}");
        }
        for length in 0..REPORT.len() {
            assert_eq!(read(&REPORT[..length]), None, "{length} bytes");
        }
    }

    #[test]
    fn the_kernel_tells_of_streams() {
        let mut bytes = [0; 20];
        bytes[8..12].copy_from_slice(&[1, 0, 3, 0]);
        bytes[12..].copy_from_slice(&[192, 0, 2, 1, 239, 1, 1, 1]);
        let Some(Packet::Kernel(stream)) = read(&bytes) else { panic!() };
        assert_eq!((stream.from, stream.group.to_string().as_str()), (3, "239.1.1.1"));
        bytes[8] = 2; // IGMPMSG_WRONGVIF
        assert_eq!(read(&bytes), None);
    }

    #[test]
    fn a_query_is_well_formed() {
        let bytes = query(Ipv4Addr::UNSPECIFIED, 10_000, 125);
        assert_eq!((checksum(&bytes), bytes[1], bytes[9]), (0, 100, 125));
        assert_eq!(query(Ipv4Addr::new(239, 1, 1, 1), 10, 125)[1], 1, "a tenth at least");
    }
}
