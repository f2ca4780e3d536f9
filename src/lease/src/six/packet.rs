//! An IPv6 packet as an `AF_PACKET` socket gives it, and the filters in front of that.
//!
//! In:  a packet. Out: who sent it, to whom, over how many routers, and its payload, whose checksum was right.
//!
//! What follows the fixed header is ICMPv6 or UDP, or the packet is not for us: no message of ours has extension headers.
//!
//! Not here: the payloads (`advert.rs`, `message.rs`). What we send goes by sockets of the kernel's, which knows our addresses.
//!
//! Source: RFC 8200 §3, §8.1 (the checksum); RFC 4443 §2.3; the kernel's networking/filter.

use std::net::Ipv6Addr;

use sys::packet::Instruction;

use super::bytes::Reader;

/// `ETH_P_IPV6`. Source: linux/if_ether.h.
pub const ETHER_TYPE: u16 = 0x86dd;
/// Next headers. Source: RFC 8200 §3; IANA's protocol numbers.
pub const UDP: u8 = 17;
/// See [`UDP`].
pub const ICMP: u8 = 58;
/// Bytes of the fixed header. Source: RFC 8200 §3.
const HEADER_BYTES: u32 = 40;
/// Bytes of UDP's header.
const UDP_BYTES: usize = 8;

/// A packet that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'b> {
    /// Who sent it.
    pub from: Ipv6Addr,
    /// To whom.
    pub to: Ipv6Addr,
    /// 255: it came over no router. Source: RFC 4861 §3.1.
    pub hop_limit: u8,
    /// [`UDP`] or [`ICMP`].
    pub protocol: u8,
    /// The port that it came from; 0 with ICMPv6.
    pub port: u16,
    /// What is in it: of ICMPv6 all, of UDP what follows the header.
    pub payload: &'b [u8],
}

/// Reads a packet that begins with its IPv6 header; `None` where it is not whole, not ours to read, or bent.
///
/// * `checksum_unset` — the sender left the checksum to hardware that never came (`TP_STATUS_CSUMNOTREADY`).
#[must_use]
pub fn read(bytes: &[u8], checksum_unset: bool) -> Option<Packet<'_>> {
    let mut reader = Reader(bytes);
    let [version, _, _, _] = reader.chunk()?;
    let length = usize::from(reader.half()?);
    let [protocol, hop_limit] = reader.chunk()?;
    let (from, to) = (reader.address()?, reader.address()?);
    // What follows is Ethernet's padding.
    let whole = reader.take(length)?;
    if version >> 4 != 6 || !(protocol == UDP || protocol == ICMP) {
        return None;
    }
    if !checksum_unset && checksum(from, to, protocol, whole) != 0 {
        return None;
    }
    if protocol == ICMP {
        return Some(Packet { from, to, hop_limit, protocol, port: 0, payload: whole });
    }
    let mut udp = Reader(whole);
    let port = udp.half()?;
    let [_, _, l0, l1, c0, c1] = udp.chunk()?;
    // Without a checksum it is to be discarded. Source: RFC 8200 §8.1.
    if [c0, c1] == [0, 0] || usize::from(u16::from_be_bytes([l0, l1])) != whole.len() {
        return None;
    }
    let payload = whole.get(UDP_BYTES..)?;
    Some(Packet { from, to, hop_limit, protocol, port, payload })
}

/// The checksum over a payload with the header that it pretends to have in front; 0 where its own field was right.
fn checksum(from: Ipv6Addr, to: Ipv6Addr, protocol: u8, payload: &[u8]) -> u16 {
    let length = u64::try_from(payload.len()).unwrap_or(0);
    let begun = [from, to].iter().flat_map(|address| address.segments()).map(u64::from).sum::<u64>();
    let (pairs, rest) = payload.as_chunks::<2>();
    let last = rest.first().map_or(0, |byte| u64::from(u16::from_be_bytes([*byte, 0])));
    let mut sum = begun + length + u64::from(protocol) + last;
    sum += pairs.iter().map(|pair| u64::from(u16::from_be_bytes(*pair))).sum::<u64>();
    loop {
        match u16::try_from(sum) {
            Ok(folded) => return !folded,
            Err(_) => sum = (sum & 0xffff) + (sum >> 16),
        }
    }
}

/// Lets pass UDP to `port` that was sent to this machine.
#[must_use]
pub fn udp_filter(port: u16) -> [Instruction; 9] {
    filter(
        UDP,
        [(LOAD_HALF, HEADER_BYTES + 2, u32::from(port)), (LOAD_HALF, HEADER_BYTES + 2, u32::from(port))],
    )
}

/// Lets pass two types of ICMPv6 messages that were sent to this machine.
#[must_use]
pub fn icmp_filter(types: [u8; 2]) -> [Instruction; 9] {
    let [one, other] = types.map(|kind| (LOAD_BYTE, HEADER_BYTES, u32::from(kind)));
    filter(ICMP, [one, other])
}

/// `A` ← the byte at a place; the halfword.
const LOAD_BYTE: u16 = 0x30;
const LOAD_HALF: u16 = 0x28;

fn filter(protocol: u8, [(load, place, one), (_, _, other)]: [(u16, u32, u32); 2]) -> [Instruction; 9] {
    const JUMP_EQUAL: u16 = 0x15;
    const JUMP_GREATER: u16 = 0x25;
    const ANSWER: u16 = 0x06;
    /// Where the kernel shows for whom a packet was (`SKF_AD_OFF` + `SKF_AD_PKTTYPE`), and the last that is for us
    /// (`PACKET_MULTICAST`). Source: linux/filter.h, linux/if_packet.h.
    const PACKET_TYPE: u32 = 0xffff_f000 + 4;
    const PACKET_MULTICAST: u32 = 2;
    let leave = |code, operand, jump_true, jump_false| Instruction { code, jump_true, jump_false, operand };
    [
        leave(LOAD_BYTE, PACKET_TYPE, 0, 0),
        leave(JUMP_GREATER, PACKET_MULTICAST, 5, 0),
        leave(LOAD_BYTE, 6, 0, 0),
        leave(JUMP_EQUAL, u32::from(protocol), 0, 3),
        leave(load, place, 0, 0),
        leave(JUMP_EQUAL, one, 2, 0),
        leave(JUMP_EQUAL, other, 1, 0),
        leave(ANSWER, 0, 0, 0),
        leave(ANSWER, u32::MAX, 0, 0),
    ]
}

/// Is `address` of one link only?
#[must_use]
pub fn is_link_local(address: Ipv6Addr) -> bool {
    address.is_unicast_link_local()
}

#[cfg(test)]
mod tests {
    use super::{ICMP, Packet, UDP, checksum, read};
    use proptest::prelude::proptest;
    use std::net::Ipv6Addr;

    const FROM: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    const TO: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

    /// A packet with this payload, its checksum in the payload at `at`.
    fn packet(protocol: u8, payload: &[u8], at: usize) -> Vec<u8> {
        let mut payload = payload.to_vec();
        let sum = checksum(FROM, TO, protocol, &payload);
        payload[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [0x60, 0, 0, 0, length[0], length[1], protocol, 255];
        [&head[..], &FROM.octets(), &TO.octets(), &payload].concat()
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let udp = packet(UDP, &[2, 0x22, 2, 0x23, 0, 9, 0, 0, 7], 6);
        let want = Packet { from: FROM, to: TO, hop_limit: 255, protocol: UDP, port: 546, payload: &[7] };
        assert_eq!(read(&udp, false), Some(want));
        let padded = [&udp[..], &[0; 5]].concat();
        assert_eq!(read(&padded, false), Some(want));
        // name, place, new byte
        let table = [
            ("version 4", 0, 0x40),
            ("longer than it is", 5, 10),
            ("TCP", 6, 6),
            ("bent", 48, 8),
            ("no sum", 46, 0),
        ];
        for (what, place, byte) in table {
            let mut bent = udp.clone();
            bent[place] = byte;
            assert_eq!(read(&bent, false), None, "{what}");
        }
        assert!(read(&packet(ICMP, &[134, 0, 0, 0], 2), false).is_some());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, unset: bool) {
            let _ = read(&bytes, unset);
        }
    }
}
