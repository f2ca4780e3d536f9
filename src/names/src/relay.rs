//! Announcements and searches between the home and services that were granted them: what passes, and where it goes.
//!
//! In:  a packet of a link's multicast group, a moment. Out: does it pass, changed how, to which links.
//!
//! Nothing goes from the home to the home, or from a service to a service, and nothing passes twice within a second; so whatever else relays
//! on these links, there is no loop. What is said in IPv4 is passed on in IPv4, and IPv6 likewise, by the link's own groups. The sockets are
//! in `relay/sockets.rs`.
//!
//! Source: RFC 6762 (mDNS), §5.4 (where answers go); UPnP Device Architecture 2.0 §1 and its annex A (SSDP, IPv6).

pub mod sockets;

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use contract::told::{Home, Who};
use heapless::Deque;

use crate::name;
use crate::query::{HEADER_BYTES, flag, word};

/// The longest packet: an Ethernet frame's.
pub const PACKET_BYTES: usize = 1_472;
/// Packets of one link at once, and a second after that.
const BURST: u32 = 60;
/// See [`BURST`].
const PER_S: u32 = 20;
/// Packets that are remembered, so that none passes twice.
const SEEN: usize = 64;
/// For how long, in milliseconds: whoever repeats himself waits a second (RFC 6762 §5.2).
const SEEN_MS: u64 = 900;

/// What is relayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Multicast DNS.
    Mdns,
    /// The Simple Service Discovery Protocol.
    Ssdp,
}

/// The family of addresses by which it is relayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6, by link-local addresses.
    Ipv6,
}

/// A protocol in a family: each has a group of its own.
pub type Part = (Protocol, Family);

impl Protocol {
    /// Both, in both families.
    pub const PARTS: [Part; 4] = [
        (Self::Mdns, Family::Ipv4),
        (Self::Ssdp, Family::Ipv4),
        (Self::Mdns, Family::Ipv6),
        (Self::Ssdp, Family::Ipv6),
    ];

    /// Its group, its port, and the hops that its packets have. Source: RFC 6762 §3, §11; UPnP Device Architecture 2.0 §1.1.2, §A.2.
    #[must_use]
    pub fn group(self, family: Family) -> (IpAddr, u16, u8) {
        match (self, family) {
            (Self::Mdns, Family::Ipv4) => (Ipv4Addr::new(224, 0, 0, 251).into(), 5353, 255),
            (Self::Ssdp, Family::Ipv4) => (Ipv4Addr::new(239, 255, 255, 250).into(), 1900, 2),
            (Self::Mdns, Family::Ipv6) => (Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb).into(), 5353, 255),
            (Self::Ssdp, Family::Ipv6) => (Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xc).into(), 1900, 2),
        }
    }
}

/// What an SSDP packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It tells.
    Tells,
    /// It wants answers, which go to where it came from.
    Searches,
}

/// Has the one on this link a part in it?
fn takes_part(who: &Who, protocol: Protocol) -> bool {
    match (who, protocol) {
        (Who::Home, _) => true,
        (Who::Guest, _) => false,
        (Who::Service { mdns, .. }, Protocol::Mdns) => *mdns,
        (Who::Service { ssdp, .. }, Protocol::Ssdp) => *ssdp,
    }
}

/// Does something pass from one link to the other?
#[must_use]
pub fn passes(from: &Home, to: &Home, protocol: Protocol) -> bool {
    let home = |home: &Home| home.who == Who::Home;
    home(from) != home(to) && takes_part(&from.who, protocol) && takes_part(&to.who, protocol)
}

/// Is there anything to relay by this protocol on this link?
#[must_use]
pub fn is_needed(link: &Home, homes: &[Home], protocol: Protocol) -> bool {
    homes.iter().any(|other| passes(link, other, protocol))
}

/// Reads an mDNS packet, and makes its questions want answers for everybody: one who answers us alone would not reach who asked.
/// `false`: it is none.
pub fn mdns(packet: &mut [u8]) -> bool {
    if packet.len() < HEADER_BYTES || word(packet, 2).is_none_or(|flags| flags & flag::OPCODE != 0) {
        return false;
    }
    let mut at = HEADER_BYTES;
    for _ in 0..word(packet, 4).unwrap_or(0) {
        let Some(behind) = name::behind(packet, at) else { return false };
        // The uppermost bit of the class (RFC 6762 §5.4).
        let Some(class) = packet.get_mut(behind + 2) else { return false };
        *class &= 0x7f;
        at = behind + 4;
    }
    at <= packet.len()
}

/// Reads an SSDP packet. `None`: it is none.
#[must_use]
pub fn ssdp(packet: &[u8]) -> Option<Kind> {
    if packet.starts_with(b"M-SEARCH * HTTP/1.1\r\n") {
        return Some(Kind::Searches);
    }
    packet.starts_with(b"NOTIFY * HTTP/1.1\r\n").then_some(Kind::Tells)
}

/// Is it an answer to a search?
#[must_use]
pub fn is_found(packet: &[u8]) -> bool {
    packet.starts_with(b"HTTP/1.1 200 ") && packet.len() <= PACKET_BYTES
}

/// How much a link may still say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    left: u32,
    since_ms: u64,
}

impl Default for Bucket {
    fn default() -> Self {
        Self { left: BURST, since_ms: 0 }
    }
}

impl Bucket {
    /// May it say one more?
    pub fn takes(&mut self, now_ms: u64) -> bool {
        let more = now_ms.saturating_sub(self.since_ms).saturating_mul(PER_S.into()) / 1_000;
        let more = u32::try_from(more.min(BURST.into())).unwrap_or(BURST);
        if more > 0 {
            *self = Self { left: self.left.saturating_add(more).min(BURST), since_ms: now_ms };
        }
        let taken = self.left > 0;
        self.left = self.left.saturating_sub(1);
        taken
    }
}

/// What passed lately.
#[derive(Debug, Default)]
pub struct Seen {
    keys: RandomState,
    hashes: Deque<(u64, u64), SEEN>,
}

impl Seen {
    /// Is it new? From now on it is not.
    pub fn is_new(&mut self, part: Part, packet: &[u8], now_ms: u64) -> bool {
        let hash = self.keys.hash_one((part, packet));
        if self.hashes.iter().any(|(known, since)| *known == hash && since + SEEN_MS > now_ms) {
            return false;
        }
        if self.hashes.is_full() {
            self.hashes.pop_front();
        }
        let _ = self.hashes.push_back((hash, now_ms)); // There is room now.
        true
    }
}

#[cfg(test)]
mod tests {
    use super::{BURST, Bucket, Family, Kind, PER_S, Protocol, Seen, is_needed, mdns, passes, ssdp};
    use contract::Name;
    use contract::told::{Home, Who};

    fn home(link: &str, who: Who) -> Home {
        Home { link: link.into(), address: [192, 168, 1, 1].into(), who }
    }

    fn service(link: &str, mdns: bool, ssdp: bool) -> Home {
        home(link, Who::Service { name: Name::new("hello").unwrap(), mdns, ssdp })
    }

    #[test]
    fn it_passes_between_the_home_and_who_was_granted_it() {
        use Protocol::{Mdns, Ssdp};
        let (lan, guest) = (home("lan", Who::Home), home("guest", Who::Guest));
        let (both, one, none) =
            (service("a", true, true), service("b", true, false), service("c", false, false));
        let table = [
            ("home to service", &lan, &both, Mdns, true),
            ("service to home", &both, &lan, Ssdp, true),
            ("not granted", &lan, &one, Ssdp, false),
            ("nothing granted", &none, &lan, Mdns, false),
            ("service to service", &both, &one, Mdns, false),
            ("home to home", &lan, &lan, Mdns, false),
            ("home to guests", &lan, &guest, Mdns, false),
            ("guests to a service", &guest, &both, Mdns, false),
        ];
        for (what, from, to, protocol, wanted) in table {
            assert_eq!(passes(from, to, protocol), wanted, "{what}");
        }
        let homes = [lan.clone(), guest, one, none];
        assert!(is_needed(&lan, &homes, Mdns) && !is_needed(&lan, &homes, Ssdp));
    }

    #[test]
    fn questions_want_answers_for_everybody() {
        let mut question = *b"\0\0\0\0\0\x01\0\0\0\0\0\0\x04_ipp\x04_tcp\x05local\0\0\x0c\x80\x01";
        assert!(mdns(&mut question));
        assert_eq!(question.last_chunk(), Some(b"\0\x01"));
        for broken in
            [&b"\0\0\0\0\0\x01\0\0\0\0\0\0\xc0\x0c\0\x0c\0\x01"[..], b"\0\0\0\0\0\x01\0\0\0\0\0\0\0\0", b"\0"]
        {
            assert!(!mdns(&mut broken.to_vec()));
        }
        assert_eq!(ssdp(b"M-SEARCH * HTTP/1.1\r\n\r\n"), Some(Kind::Searches));
        assert_eq!(ssdp(b"NOTIFY * HTTP/1.1\r\n\r\n"), Some(Kind::Tells));
        assert_eq!(ssdp(b"GET / HTTP/1.1\r\n\r\n"), None);
    }

    #[test]
    fn nothing_passes_twice_and_nobody_floods() {
        let (mut seen, mut bucket) = (Seen::default(), Bucket::default());
        let [mdns, ssdp] = [Protocol::Mdns, Protocol::Ssdp].map(|protocol| (protocol, Family::Ipv4));
        assert!(seen.is_new(mdns, b"a", 0) && !seen.is_new(mdns, b"a", 500));
        assert!(seen.is_new(ssdp, b"a", 500) && seen.is_new(mdns, b"a", 1_000));
        assert!(
            seen.is_new((Protocol::Mdns, Family::Ipv6), b"a", 1_000),
            "who has both families says it in both"
        );
        let mut count = |now_ms| (0..1_000).filter(|_| bucket.takes(now_ms)).count();
        assert_eq!((count(0), count(1_000)), (BURST as usize, PER_S as usize));
    }
}
