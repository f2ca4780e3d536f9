//! MLD: bytes ↔ messages.
//!
//! In:  what a raw ICMPv6 socket gives (the kernel has checked the checksum): a message; or its own word about a stream without a route.
//! Out: what was heard; queries as bytes (the kernel puts the checksum in).
//!
//! Source: RFC 2710 §3, RFC 3810 §5; `struct mrt6msg` of linux/mroute6.h.

use std::net::{IpAddr, Ipv6Addr};

use heapless::Vec;

use crate::message::{Heard, Kind, Reader, Record, Sources, Unrouted, records};

/// A message for all hosts of a link. Source: RFC 3810 §5.1.15.
pub const ALL_HOSTS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// Where hosts of MLDv1 say that they leave. Source: RFC 2710 §8.
pub const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
/// Where hosts of MLDv2 report. Source: RFC 3810 §5.2.14.
pub const REPORTS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);

const QUERY: u8 = 130;
const REPORT_V1: u8 = 131;
const DONE: u8 = 132;
const REPORT_V2: u8 = 143;
/// Bytes of an MLDv2 query without sources.
pub const QUERY_BYTES: usize = 28;

/// What a packet says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// A host or a querier.
    From(Heard),
    /// The kernel.
    Kernel(Unrouted),
}

/// Reads what the socket gave. `None`: nothing for us, or nonsense.
#[must_use]
pub fn read(bytes: &[u8]) -> Option<Packet> {
    let mut reader = Reader(bytes);
    let [kind, _, _, _] = reader.take()?;
    if kind == 0 {
        return upcall(bytes).map(Packet::Kernel);
    }
    let address = |reader: &mut Reader<'_>| Some(IpAddr::from(reader.take::<16>()?));
    let mut old = |kind| {
        reader.skip(4)?;
        let record = Record { kind, group: address(&mut reader)?, sources: Sources::new(), old: true };
        Some(Heard::Report(Vec::from_iter([record])))
    };
    let heard = match kind {
        QUERY => Some(Heard::Query),
        REPORT_V1 => old(Kind::IsAllBut),
        DONE => old(Kind::ToOnly),
        REPORT_V2 => {
            reader.skip(2)?;
            let count = u16::from_be_bytes(reader.take()?);
            records(&mut reader, count, address).map(Heard::Report)
        }
        _ => None,
    };
    heard.map(Packet::From)
}

/// `struct mrt6msg`: 0, type, the link's number, padding, source, group.
fn upcall(bytes: &[u8]) -> Option<Unrouted> {
    let mut reader = Reader(bytes);
    let [_, kind] = reader.take()?;
    let from = u16::from_ne_bytes(reader.take()?);
    reader.skip(4)?;
    let (source, group) = (reader.take::<16>()?, reader.take::<16>()?);
    (kind == sys::mroute::NO_ROUTE).then_some(Unrouted { from, source: source.into(), group: group.into() })
}

/// A query for `group`, or for all (`::`), to be answered within `response_ms`. Source: RFC 3810 §5.1.
#[must_use]
pub fn query(group: Ipv6Addr, response_ms: u16, interval_s: u8) -> [u8; QUERY_BYTES] {
    const ROBUSTNESS: u8 = 2; // RFC 3810 §9.1
    let [high, low] = response_ms.min(0x7fff).to_be_bytes();
    let mut bytes = [0; QUERY_BYTES];
    let head = [QUERY, 0, 0, 0, high, low, 0, 0];
    let whole = head.into_iter().chain(group.octets()).chain([ROBUSTNESS, interval_s.min(127), 0, 0]);
    for (place, byte) in bytes.iter_mut().zip(whole) {
        *place = byte;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::{Packet, query, read};
    use crate::message::{Heard, Kind};

    /// A report of MLDv2: one record, `CHANGE_TO_EXCLUDE_MODE`, ff05::7, no sources (as Linux sends it).
    fn report() -> Vec<u8> {
        let mut bytes = vec![143, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0];
        bytes.extend("ff05::7".parse::<std::net::Ipv6Addr>().unwrap().octets());
        bytes
    }

    #[test]
    fn what_hosts_say_is_read() {
        let Some(Packet::From(Heard::Report(records))) = read(&report()) else { panic!() };
        assert_eq!((records[0].kind, records[0].group.to_string().as_str()), (Kind::ToAllBut, "ff05::7"));
        let mut old = vec![131, 0, 0, 0, 0, 0, 0, 0];
        old.extend(&report()[12..]);
        let Some(Packet::From(Heard::Report(records))) = read(&old) else { panic!() };
        assert!(records[0].old && records[0].kind == Kind::IsAllBut);
        old[0] = 132;
        let Some(Packet::From(Heard::Report(records))) = read(&old) else { panic!() };
        assert_eq!(records[0].kind, Kind::ToOnly);
        assert_eq!(read(&query("::".parse().unwrap(), 10_000, 125)), Some(Packet::From(Heard::Query)));
    }

    #[test]
    fn what_is_cut_short_is_not_heard() {
        let whole = report();
        for length in 0..whole.len() {
            assert_eq!(read(&whole[..length]), None, "{length} bytes");
        }
    }
}
