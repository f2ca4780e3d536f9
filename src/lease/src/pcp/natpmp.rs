//! NAT-PMP, which is version 0 of PCP: many programs speak nothing newer.
//!
//! In:  a datagram. Out: what is asked; bytes.
//!
//! Source: RFC 6886 §3; RFC 6887 appendix A.

use std::net::Ipv4Addr;

use contract::manifest::Protocol;

use super::message::{Bytes, Code, Map};

/// The version. Source: RFC 6886 §3.5.
pub const VERSION: u8 = 0;
/// It is an answer. Source: RFC 6886 §3.5.
const ANSWER: u8 = 0x80;

/// What a host asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// What is our address outside?
    Address,
    /// A port.
    Map(Map),
    /// Something that we do not know: its number.
    Other(u8),
}

/// Reads what a host sent. `None`: nothing that could be answered.
#[must_use]
pub fn read(bytes: &[u8]) -> Option<Request> {
    let (&[version, operation], rest) = bytes.split_first_chunk::<2>()?;
    if version != VERSION || operation & ANSWER != 0 {
        return None;
    }
    let protocol = match operation {
        0 => return Some(Request::Address),
        1 => Protocol::Udp,
        2 => Protocol::Tcp,
        other => return Some(Request::Other(other)),
    };
    let [_, _, p0, p1, e0, e1, l0, l1, l2, l3] = *rest.first_chunk::<10>()?;
    Some(Request::Map(Map {
        lifetime_s: u32::from_be_bytes([l0, l1, l2, l3]),
        nonce: None,
        protocol: Some(protocol),
        port: u16::from_be_bytes([p0, p1]),
        external_port: u16::from_be_bytes([e0, e1]),
        external: Ipv4Addr::UNSPECIFIED.into(),
        prefers_failure: false,
    }))
}

/// Our address outside: the answer, and the same unasked. Source: RFC 6886 §3.2.
#[must_use]
pub fn address(external: Ipv4Addr, epoch_s: u32) -> Bytes {
    let mut out = head(0, if external.is_unspecified() { Code::Network } else { Code::Success }, epoch_s);
    let _ = out.extend_from_slice(&external.octets());
    out
}

/// How it went with `map`, which says what was given. Source: RFC 6886 §3.3.
#[must_use]
pub fn mapped(map: &Map, code: Code, epoch_s: u32) -> Bytes {
    let operation = if map.protocol == Some(Protocol::Tcp) { 2 } else { 1 };
    let mut out = head(operation, code, epoch_s);
    // Of a port that was given back, or not given, both are 0. Source: RFC 6886 §3.4.
    let given = code == Code::Success && map.lifetime_s > 0;
    let (external_port, lifetime_s) = if given { (map.external_port, map.lifetime_s) } else { (0, 0) };
    let _ = out.extend_from_slice(&map.port.to_be_bytes());
    let _ = out.extend_from_slice(&external_port.to_be_bytes());
    let _ = out.extend_from_slice(&lifetime_s.to_be_bytes());
    out
}

/// We do not do that.
#[must_use]
pub fn unknown(operation: u8, epoch_s: u32) -> Bytes {
    head(operation, Code::Opcode, epoch_s)
}

fn head(operation: u8, code: Code, epoch_s: u32) -> Bytes {
    // Source: RFC 6886 §3.5.
    let number: u16 = match code {
        Code::Success => 0,
        Code::Version => 1,
        Code::Denied | Code::Malformed | Code::Address | Code::Protocol | Code::External => 2,
        Code::Network => 3,
        Code::Resources | Code::Quota => 4,
        Code::Opcode | Code::Option | Code::MalformedOption => 5,
    };
    let mut out = Bytes::new();
    let _ = out.extend_from_slice(&[VERSION, operation | ANSWER]);
    let _ = out.extend_from_slice(&number.to_be_bytes());
    let _ = out.extend_from_slice(&epoch_s.to_be_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::{Code, Map, Request, address, mapped, read, unknown};

    #[test]
    fn requests_are_read_and_answered_as_the_rfc_draws_them() {
        assert_eq!(read(&[0, 0]), Some(Request::Address));
        let Some(Request::Map(map)) = read(&[0, 2, 0, 0, 0x1f, 0x90, 0x9c, 0x40, 0, 0, 0x0e, 0x10]) else {
            panic!()
        };
        assert_eq!((map.port, map.external_port, map.lifetime_s), (8_080, 40_000, 3_600));
        assert_eq!(
            mapped(&map, Code::Success, 9).as_slice(),
            [0, 130, 0, 0, 0, 0, 0, 9, 0x1f, 0x90, 0x9c, 0x40, 0, 0, 0x0e, 0x10]
        );
        let gone = mapped(&Map { lifetime_s: 0, ..map }, Code::Success, 9);
        assert_eq!(gone[8..], [0x1f, 0x90, 0, 0, 0, 0, 0, 0]);
        assert_eq!(mapped(&map, Code::Quota, 9)[2..4], [0, 4]);
        assert_eq!(
            address([203, 0, 113, 7].into(), 9).as_slice(),
            [0, 128, 0, 0, 0, 0, 0, 9, 203, 0, 113, 7]
        );
        assert_eq!(address([0, 0, 0, 0].into(), 9)[3], 3);
        assert_eq!(unknown(7, 9).as_slice(), [0, 135, 0, 5, 0, 0, 0, 9]);
        // what is not for us, or too short
        for bytes in [&[0_u8][..], &[0, 128], &[0, 1, 0, 0, 1], &[2, 0]] {
            assert_eq!(read(bytes), None, "{bytes:?}");
        }
    }
}
