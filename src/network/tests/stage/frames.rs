//! Frames as no honest program sends them.
//!
//! In:  a namespace and its link; addresses, ports, a prefix. Out: a socket that sends whole frames; their bytes.
//!
//! Source: RFC 826 (ARP), RFC 768 and 791 (UDP over IPv4), RFC 4861 §4.2, §4.6.2 (router advertisements).

use std::net::Ipv6Addr;
use std::os::fd::OwnedFd;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::Namespace;

/// A hardware address that nobody has.
const NOBODY: [u8; 6] = [2, 0, 0, 0, 0x0b, 0xad];
const EVERYBODY: [u8; 6] = [0xff; 6];

/// A link's number.
pub(crate) fn number(at: &Namespace, link: &str) -> u32 {
    at.run(&format!("ip -o link show dev {link}")).split(':').next().unwrap().parse().unwrap()
}

/// A socket that sends whole frames by `link`.
pub(crate) fn frames(at: &Namespace, link: &str) -> OwnedFd {
    let index = number(at, link);
    at.within(|| {
        let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None).unwrap();
        sys::packet::bind(&socket, index, 0x88b5).unwrap(); // a protocol for experiments: nothing is heard
        socket
    })
}

/// The sum of RFC 1071.
fn sum(parts: &[&[u8]]) -> [u8; 2] {
    let bytes = parts.concat();
    let pair = |pair: &[u8]| u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    let sum: u32 = bytes.chunks(2).map(pair).sum();
    let folded = u16::try_from(sum % 0xffff).unwrap();
    (!folded).to_be_bytes()
}

/// Makers of frames.
pub(crate) struct Frame;

impl Frame {
    /// `address` is at nobody's hardware, says this frame: 1 a question for `target`, 2 an answer to it.
    pub(crate) fn arp(operation: u8, address: [u8; 4], target: [u8; 4]) -> Vec<u8> {
        let head = [0, 1, 8, 0, 6, 4, 0, operation];
        let mut frame =
            [&EVERYBODY[..], &NOBODY, &[8, 6], &head, &NOBODY, &address, &[0; 6], &target].concat();
        frame.resize(60, 0);
        frame
    }

    /// A datagram to everybody on the link, whatever address it names.
    pub(crate) fn udp(from: ([u8; 4], u16), to: ([u8; 4], u16), text: &[u8]) -> Vec<u8> {
        let udp_length = u16::try_from(8 + text.len()).unwrap();
        let length = (20 + udp_length).to_be_bytes();
        let head = [0x45, 0, length[0], length[1], 0, 1, 0, 0, 64, 17];
        let check = sum(&[&head, &[0, 0], &from.0, &to.0]);
        // A datagram without a sum of its own is good (RFC 768).
        let udp = [from.1.to_be_bytes(), to.1.to_be_bytes(), udp_length.to_be_bytes(), [0, 0]].concat();
        [&EVERYBODY[..], &NOBODY, &[8, 0], &head, &check, &from.0, &to.0, &udp, text].concat()
    }
}

/// A router's advertisement to everybody, with a prefix to take addresses from.
pub(crate) fn advertisement(prefix: Ipv6Addr) -> Vec<u8> {
    let (router, everybody): (Ipv6Addr, Ipv6Addr) =
        ("fe80::bad".parse().unwrap(), "ff02::1".parse().unwrap());
    let mut message = vec![134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0];
    message.extend([3, 4, 64, 0xc0, 0, 0, 7, 8, 0, 0, 7, 8, 0, 0, 0, 0]);
    message.extend(prefix.octets());
    let check = sum(&[&router.octets(), &everybody.octets(), &[0, 0, 0, 48, 0, 0, 0, 58], &message]);
    message[2..4].copy_from_slice(&check);
    let head = [0x60, 0, 0, 0, 0, 48, 58, 255];
    let ethernet = [0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0x0b, 0xad, 0x86, 0xdd];
    [&ethernet[..], &head, &router.octets(), &everybody.octets(), &message].concat()
}
