//! A UDP datagram over IPv4 with its headers: for the time when we have no address and the kernel's own UDP cannot help.
//!
//! In:  a packet as an `AF_PACKET` socket gives it, or what to send. Out: the payload and who sent it, or a packet.
//!
//! Not here: the payload (`message.rs`), the socket (`sys::packet`).
//!
//! Source: RFC 791, RFC 768, RFC 1071 (the checksum).

use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};

use heapless::Vec;
use sys::packet::Instruction;

use crate::message::MESSAGE_BYTES_MAX;

/// `ETH_P_IP`. Source: linux/if_ether.h.
pub const ETHER_TYPE: u16 = 0x0800;
/// An IPv4 header without options. Source: RFC 791 §3.1.
const IP_BYTES: usize = 20;
/// Source: RFC 768.
const UDP_BYTES: usize = 8;
/// The protocol number of UDP. Source: RFC 768.
const UDP: u8 = 17;
/// The largest packet that we send: what every host takes. Source: RFC 791 §3.1, "576".
pub const PACKET_BYTES_MAX: usize = IP_BYTES + UDP_BYTES + MESSAGE_BYTES_MAX;

/// A packet that we send.
pub type Packet = Vec<u8, PACKET_BYTES_MAX>;

/// A datagram that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram<'b> {
    /// Who sent it.
    pub from: SocketAddrV4,
    /// To whom.
    pub to: SocketAddrV4,
    /// What is in it.
    pub payload: &'b [u8],
}

/// Why a packet is no datagram for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// Not IPv4, or shorter than its own headers say.
    NotIpv4,
    /// Not UDP, or a fragment.
    NotUdp,
    /// The IPv4 header's checksum is wrong.
    IpChecksum,
    /// The datagram's checksum is wrong.
    UdpChecksum,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotIpv4 => write!(f, "datagram: not IPv4, or cut off"),
            Self::NotUdp => write!(f, "datagram: not UDP, or a fragment"),
            Self::IpChecksum => write!(f, "datagram: wrong checksum of its IPv4 header"),
            Self::UdpChecksum => write!(f, "datagram: wrong checksum"),
        }
    }
}

impl std::error::Error for Error {}

/// Reads a packet that begins with its IPv4 header.
///
/// * `checksum_unset` — the sender left the datagram's checksum to hardware that never came (`TP_STATUS_CSUMNOTREADY`).
///
/// # Errors
/// See [`Error`]. Bytes from strangers: any bytes are allowed, and none make it panic.
pub fn read(bytes: &[u8], checksum_unset: bool) -> Result<Datagram<'_>, Error> {
    let fixed: &[u8; IP_BYTES] = bytes.first_chunk().ok_or(Error::NotIpv4)?;
    let [version, _, total_high, total_low, _, _, fragment_high, fragment_low, _, protocol, ..] = *fixed;
    let header_bytes = usize::from(version & 0x0f) * 4;
    let total_bytes = usize::from(u16::from_be_bytes([total_high, total_low]));
    // What follows the total is Ethernet's padding.
    let packet = bytes.get(..total_bytes).ok_or(Error::NotIpv4)?;
    if version >> 4 != 4 || header_bytes < IP_BYTES {
        return Err(Error::NotIpv4);
    }
    let (header, segment) = packet.split_at_checked(header_bytes).ok_or(Error::NotIpv4)?;
    if fold(sum(0, header)) != u16::MAX {
        return Err(Error::IpChecksum);
    }
    // "More fragments" or an offset: no message of ours comes in pieces. Source: RFC 791 §3.1.
    if protocol != UDP || u16::from_be_bytes([fragment_high, fragment_low]) & 0x3fff != 0 {
        return Err(Error::NotUdp);
    }
    let [_, _, _, _, _, _, _, _, _, _, _, _, s0, s1, s2, s3, d0, d1, d2, d3] = *fixed;
    datagram(Ipv4Addr::new(s0, s1, s2, s3), Ipv4Addr::new(d0, d1, d2, d3), segment, checksum_unset)
}

fn datagram(
    from: Ipv4Addr,
    to: Ipv4Addr,
    segment: &[u8],
    checksum_unset: bool,
) -> Result<Datagram<'_>, Error> {
    let head: &[u8; UDP_BYTES] = segment.first_chunk().ok_or(Error::NotUdp)?;
    let [from0, from1, to0, to1, length0, length1, checksum0, checksum1] = *head;
    let length = usize::from(u16::from_be_bytes([length0, length1]));
    let segment = segment.get(..length).ok_or(Error::NotUdp)?;
    let payload = segment.get(UDP_BYTES..).ok_or(Error::NotUdp)?;
    // Zero: the sender computed none. Source: RFC 768.
    let checked = !checksum_unset && [checksum0, checksum1] != [0, 0];
    if checked && fold(sum(pseudo(from, to, segment.len()), segment)) != u16::MAX {
        return Err(Error::UdpChecksum);
    }
    Ok(Datagram {
        from: SocketAddrV4::new(from, u16::from_be_bytes([from0, from1])),
        to: SocketAddrV4::new(to, u16::from_be_bytes([to0, to1])),
        payload,
    })
}

/// Makes a packet, both checksums included. `None` where `payload` is larger than a message of ours.
#[must_use]
pub fn write(from: SocketAddrV4, to: SocketAddrV4, payload: &[u8]) -> Option<Packet> {
    let datagram_bytes = u16::try_from(UDP_BYTES + payload.len()).ok()?;
    let total_bytes = u16::try_from(IP_BYTES + UDP_BYTES + payload.len()).ok()?;
    let [total_high, total_low] = total_bytes.to_be_bytes();
    // Version 4, five words, no type of service; no identification, do not fragment; 64 hops. Source: RFC 791 §3.1.
    let mut ip = [0x45, 0, total_high, total_low, 0, 0, 0x40, 0, 64, UDP, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    place(&mut ip, 12, &from.ip().octets());
    place(&mut ip, 16, &to.ip().octets());
    let checksum = !fold(sum(0, &ip));
    place(&mut ip, 10, &checksum.to_be_bytes());
    let mut udp = [0; UDP_BYTES];
    place(&mut udp, 0, &from.port().to_be_bytes());
    place(&mut udp, 2, &to.port().to_be_bytes());
    place(&mut udp, 4, &datagram_bytes.to_be_bytes());
    let begun = sum(pseudo(*from.ip(), *to.ip(), usize::from(datagram_bytes)), &udp);
    // A checksum that comes out as zero is sent as all ones. Source: RFC 768.
    let checksum = match !fold(sum(begun, payload)) {
        0 => u16::MAX,
        checksum => checksum,
    };
    place(&mut udp, 6, &checksum.to_be_bytes());
    let mut packet = Packet::new();
    for part in [&ip, udp.as_slice(), payload] {
        packet.extend_from_slice(part).ok()?;
    }
    Some(packet)
}

fn place(header: &mut [u8], at: usize, bytes: &[u8]) {
    for (place, byte) in header.iter_mut().skip(at).zip(bytes) {
        *place = *byte;
    }
}

/// The sum of the header that UDP's checksum pretends to have in front. Source: RFC 768.
fn pseudo(from: Ipv4Addr, to: Ipv4Addr, datagram_bytes: usize) -> u64 {
    let length = u64::try_from(datagram_bytes).unwrap_or(0);
    sum(sum(u64::from(UDP) + length, &from.octets()), &to.octets())
}

/// Adds `bytes` as 16-bit numbers, an odd last one with a zero behind it. Source: RFC 1071 §1.
fn sum(begun: u64, bytes: &[u8]) -> u64 {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let last = rest.first().map_or(0, |byte| u64::from(u16::from_be_bytes([*byte, 0])));
    pairs.iter().map(|pair| u64::from(u16::from_be_bytes(*pair))).sum::<u64>() + begun + last
}

/// Folds the carries in. Source: RFC 1071 §2.
fn fold(mut sum: u64) -> u16 {
    loop {
        match u16::try_from(sum) {
            Ok(folded) => return folded,
            Err(_) => sum = (sum & 0xffff) + (sum >> 16),
        }
    }
}

/// The filter in front of an `AF_PACKET` socket: whole UDP datagrams to `port` that were sent to this machine, and nothing else.
///
/// Source: the classic BPF of the kernel's networking/filter; linux/filter.h for its own words (`SKF_AD_OFF`).
#[must_use]
pub fn filter(port: u16) -> [Instruction; 11] {
    /// `A` ← the byte at a place; the halfword; the halfword behind the IPv4 header, whose length is in `X`.
    const LOAD_BYTE: u16 = 0x30;
    const LOAD_HALF: u16 = 0x28;
    const LOAD_HALF_BEHIND: u16 = 0x48;
    /// `X` ← four times the low half of the byte at a place: the length of an IPv4 header.
    const LOAD_LENGTH: u16 = 0xb1;
    const JUMP_EQUAL: u16 = 0x15;
    const JUMP_GREATER: u16 = 0x25;
    const JUMP_ANY_OF: u16 = 0x45;
    const ANSWER: u16 = 0x06;
    /// Where the kernel shows for whom a packet was (`SKF_AD_OFF` + `SKF_AD_PKTTYPE`).
    const PACKET_TYPE: u32 = 0xffff_f000 + 4;
    /// `PACKET_HOST`, `PACKET_BROADCAST`, `PACKET_MULTICAST` are 0 to 2; 3 is for another host.
    const PACKET_MULTICAST: u32 = 2;
    let step = |code, operand| Instruction { code, jump_true: 0, jump_false: 0, operand };
    let leave = |code, operand, jump_true, jump_false| Instruction { code, jump_true, jump_false, operand };
    [
        step(LOAD_BYTE, PACKET_TYPE),
        leave(JUMP_GREATER, PACKET_MULTICAST, 8, 0),
        step(LOAD_BYTE, 9),
        leave(JUMP_EQUAL, u32::from(UDP), 0, 6),
        step(LOAD_HALF, 6),
        leave(JUMP_ANY_OF, 0x3fff, 4, 0),
        step(LOAD_LENGTH, 0),
        step(LOAD_HALF_BEHIND, 2),
        leave(JUMP_EQUAL, u32::from(port), 0, 1),
        step(ANSWER, u32::MAX),
        step(ANSWER, 0),
    ]
}

/// The filter that lets nothing pass: for a socket that only sends, and holds its port.
#[must_use]
pub fn filter_everything() -> [Instruction; 1] {
    let [.., nothing] = filter(0);
    [nothing]
}

#[cfg(test)]
mod tests {
    use super::{Error, fold, read, sum, write};
    use proptest::prelude::{any, prop_assert_eq, proptest};
    use std::net::{Ipv4Addr, SocketAddrV4};

    #[test]
    fn the_checksum_is_the_rfcs() {
        // RFC 1071 §3, the numerical example: the sum 2ddf0 folds to ddf2.
        assert_eq!(fold(sum(0, &[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7])), 0xddf2);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let from = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 67);
        let good = write(from, SocketAddrV4::new(Ipv4Addr::BROADCAST, 68), b"hello").unwrap();
        // name, place, new byte, unset, outcome
        let table: &[(&str, usize, u8, bool, Option<Error>)] = &[
            ("good", 0, 0x45, false, None),
            ("version 6", 0, 0x65, false, Some(Error::NotIpv4)),
            ("header too short", 0, 0x44, false, Some(Error::NotIpv4)),
            ("longer than it is", 3, 0xff, false, Some(Error::NotIpv4)),
            ("header bent", 8, 63, false, Some(Error::IpChecksum)),
            ("payload bent", 30, 0, false, Some(Error::UdpChecksum)),
            ("payload bent, checksum unset", 30, 0, true, None),
            ("longer than its packet", 25, 0xff, false, Some(Error::NotUdp)),
            ("shorter than its header", 25, 7, false, Some(Error::NotUdp)),
        ];
        for (what, place, byte, unset, error) in table {
            let mut bytes = good.clone();
            bytes[*place] = *byte;
            assert_eq!(read(&bytes, *unset).err(), *error, "{what}");
        }
        let mut padded = good.to_vec();
        padded.extend([0; 20]);
        assert_eq!(read(&padded, false).map(|datagram| datagram.payload), Ok(b"hello".as_slice()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, unset: bool) {
            let _ = read(&bytes, unset);
        }

        #[test]
        fn what_is_written_is_read(from: (u32, u16), to: (u32, u16), payload in proptest::collection::vec(any::<u8>(), 0..500)) {
            let from = SocketAddrV4::new(Ipv4Addr::from(from.0), from.1);
            let to = SocketAddrV4::new(Ipv4Addr::from(to.0), to.1);
            let packet = write(from, to, &payload).unwrap();
            let got = read(&packet, false).unwrap();
            prop_assert_eq!((got.from, got.to, got.payload), (from, to, payload.as_slice()));
        }
    }
}
