//! ARP, as far as a lease needs it: is somebody using this address already? And: it is ours now.
//!
//! In:  a packet of `ETH_P_ARP`, or an address. Out: whether the packet is a conflict, or a packet.
//!
//! Source: RFC 826; RFC 5227 §2.1.1 (what a conflict is) and §2.3 (the announcement).

use std::net::Ipv4Addr;

use crate::message::Mac;

/// `ETH_P_ARP`. Source: linux/if_ether.h.
pub const ETHER_TYPE: u16 = 0x0806;
/// Bytes of an ARP packet for IPv4 over Ethernet.
pub const PACKET_BYTES: usize = 28;
/// Ethernet (1), IPv4 (0x0800), 6 and 4 bytes of address. Source: RFC 826.
const HEAD: [u8; 6] = [0, 1, 8, 0, 6, 4];

/// An ARP packet: who says that it has which address, or asks for which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arp {
    /// An answer, not a question.
    pub answer: bool,
    /// Who speaks.
    pub sender: Mac,
    /// The address that it says it has; `UNSPECIFIED` in a probe.
    pub sender_address: Ipv4Addr,
    /// The address that is asked for.
    pub target_address: Ipv4Addr,
}

/// Reads an ARP packet. `None`: it is none for IPv4 over Ethernet. Bytes from strangers.
#[must_use]
pub fn read(bytes: &[u8]) -> Option<Arp> {
    let packet: &[u8; PACKET_BYTES] = bytes.first_chunk()?;
    let (head, rest) = packet.split_first_chunk::<6>()?;
    let (operation, rest) = rest.split_first_chunk::<2>()?;
    let (sender, rest) = rest.split_first_chunk::<6>()?;
    let (sender_address, rest) = rest.split_first_chunk::<4>()?;
    let (_, rest) = rest.split_first_chunk::<6>()?;
    let (target_address, _) = rest.split_first_chunk::<4>()?;
    let answer = match (*head, *operation) {
        (HEAD, [0, 1]) => false,
        (HEAD, [0, 2]) => true,
        _ => return None,
    };
    Some(Arp {
        answer,
        sender: *sender,
        sender_address: Ipv4Addr::from(*sender_address),
        target_address: Ipv4Addr::from(*target_address),
    })
}

/// Does `arp` say that somebody other than `own` uses `address`, or is about to?
#[must_use]
pub fn is_conflict(arp: &Arp, own: Mac, address: Ipv4Addr) -> bool {
    let probe = arp.sender_address.is_unspecified() && !arp.answer && arp.target_address == address;
    arp.sender != own && (arp.sender_address == address || probe)
}

/// "Does anybody have `address`?", asked without claiming it. Source: RFC 5227 §2.1.1.
#[must_use]
pub fn probe(own: Mac, address: Ipv4Addr) -> [u8; PACKET_BYTES] {
    question(own, Ipv4Addr::UNSPECIFIED, address)
}

/// "I have `address`." Source: RFC 5227 §2.3.
#[must_use]
pub fn announcement(own: Mac, address: Ipv4Addr) -> [u8; PACKET_BYTES] {
    question(own, address, address)
}

fn question(own: Mac, sender: Ipv4Addr, target: Ipv4Addr) -> [u8; PACKET_BYTES] {
    let mut packet = [0; PACKET_BYTES];
    let parts: [&[u8]; 6] = [&HEAD, &[0, 1], &own, &sender.octets(), &[0; 6], &target.octets()];
    for (place, byte) in packet.iter_mut().zip(parts.into_iter().flatten()) {
        *place = *byte;
    }
    packet
}

#[cfg(test)]
mod tests {
    use super::{announcement, is_conflict, probe, read};
    use proptest::prelude::proptest;
    use std::net::Ipv4Addr;

    #[test]
    fn a_conflict_is_another_ones_word() {
        let (own, other) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
        let (ours, theirs) = (Ipv4Addr::new(10, 0, 0, 5), Ipv4Addr::new(10, 0, 0, 6));
        let table = [
            ("our own probe", probe(own, ours), false),
            ("another one probes our address", probe(other, ours), true),
            ("another one has our address", announcement(other, ours), true),
            ("another one has another", announcement(other, theirs), false),
            ("another one probes another", probe(other, theirs), false),
        ];
        for (what, bytes, conflict) in table {
            assert_eq!(is_conflict(&read(&bytes).unwrap(), own, ours), conflict, "{what}");
        }
        assert_eq!(read(&[0; 28]), None);
        assert_eq!(read(&probe(own, ours)[..27]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = read(&bytes);
        }
    }
}
