//! What a packet's own codepoint (DSCP) is worth at the line, where the firewall has said nothing.
//!
//! In:  the plays that are wanted. Out: filters. Pure.
//!
//! A codepoint is believed only for a play that has no link of its own, and its class is bounded then: where voice has its VLAN, a host
//! at home that writes EF on its packets is one of the Internet, like everybody. What RFC 4594 calls standard, low-latency data,
//! high-throughput data and lower effort is the Internet's.
//!
//! Packets are looked at as they lie behind Ethernet and VLAN, and behind PPPoE.
//!
//! Source: RFC 4594 (figure 3), RFC 5865 (VOICE-ADMIT), RFC 8325 §4.3; RFC 791 §3.1, RFC 8200 §3; RFC 2516 §4.

use super::tree::{ALL, Filter, ROOT, Takes, Word};

/// Telephony: EF and VOICE-ADMIT; what sets calls up: CS5.
const VOICE: [u8; 3] = [46, 44, 40];
/// Multimedia conferencing: AF4x; multimedia streaming: AF3x; broadcast video: CS3; interactive: CS4.
const VIDEO: [u8; 8] = [34, 36, 38, 26, 28, 30, 24, 32];

/// PPPoE: version 1, type 1, a session. Source: RFC 2516 §4.
const PPPOE: Word = Word { at: 0, mask: 0xffff_0000, value: 0x1100_0000 };
/// PPP's number of IPv4 and of IPv6, behind the six bytes of PPPoE. Source: RFC 1332, RFC 5072.
const PPP: [u32; 2] = [0x0021, 0x0057];

/// Filters that send voice's and video's codepoints to these classes, asked at `priority`; `None`: that play's codepoints mean nothing.
#[must_use]
pub fn filters(priority: u16, voice: Option<u16>, tv: Option<u16>) -> Vec<Filter> {
    let voice = voice.into_iter().flat_map(|class| VOICE.map(|dscp| (dscp, class)));
    let video = tv.into_iter().flat_map(|class| VIDEO.map(|dscp| (dscp, class)));
    let takes = voice.chain(video).flat_map(|(dscp, class)| shapes(dscp).map(|words| (words, class)));
    let numbered = (1..).zip(takes);
    let filter = |(number, (words, class)): (u32, (Vec<Word>, u16))| Filter {
        parent: ROOT,
        priority,
        protocol: ALL,
        handle: FIRST_NODE | number,
        takes: Takes::Words(words),
        class,
        acts: Vec::new(),
    };
    numbered.map(filter).collect()
}

/// The first of our numbers in the kernel's first table of `u32`. Source: net/sched/cls_u32.c, `0x800:0:0`.
pub const FIRST_NODE: u32 = 0x8000_0000;

/// IPv4 and IPv6, plain and in PPPoE.
fn shapes(dscp: u8) -> [Vec<Word>; 4] {
    let dscp = u32::from(dscp);
    let ipv4 = |at| Word { at, mask: 0xf0fc_0000, value: 0x4000_0000 | dscp << 18 };
    let ipv6 = |at| Word { at, mask: 0xffc0_0000, value: 0x6000_0000 | dscp << 22 };
    let [ppp4, ppp6] = PPP.map(|value| Word { at: 4, mask: 0xffff, value });
    [vec![ipv4(0)], vec![ipv6(0)], vec![PPPOE, ppp4, ipv4(8)], vec![PPPOE, ppp6, ipv6(8)]]
}

#[cfg(test)]
mod tests {
    use super::{filters, shapes};
    use crate::qos::tree::Word;

    fn takes(words: &[Word], packet: &[u8]) -> bool {
        words.iter().all(|word| {
            let at = usize::try_from(word.at).unwrap();
            let has = packet.get(at..at + 4).map(|bytes| u32::from_be_bytes(bytes.try_into().unwrap()));
            has.is_some_and(|has| has & word.mask == word.value)
        })
    }

    #[test]
    fn a_codepoint_is_found_in_four_places_and_nowhere_else() {
        // TOS 0xb8 and traffic class 0xb8 are EF; the two low bits are congestion's own (RFC 3168).
        let (ef4, ef6) = ([0x45, 0xb8, 0, 40, 0, 0, 0, 0], [0x6b, 0x80, 0, 0, 0, 0, 17, 64]);
        let session = |protocol: u8, packet: [u8; 8]| [[0x11, 0, 0, 1, 0, 10, 0, protocol], packet].concat();
        let table: [(&str, Vec<u8>, bool); 8] = [
            ("IPv4", ef4.to_vec(), true),
            ("IPv4 with congestion seen", [0x45, 0xbb, 0, 40].to_vec(), true),
            ("IPv4, AF41", [0x45, 0x88, 0, 40].to_vec(), false),
            ("IPv6", ef6.to_vec(), true),
            ("IPv4 in PPPoE", session(0x21, ef4), true),
            ("IPv6 in PPPoE", session(0x57, ef6), true),
            ("LCP in PPPoE", [0x11, 0, 0, 1, 0, 10, 0xc0, 0x21, 0x45, 0xb8, 0, 40].to_vec(), false),
            ("ARP", [0, 1, 8, 0, 6, 4, 0, 1].to_vec(), false),
        ];
        for (what, packet, is) in table {
            assert_eq!(shapes(46).iter().any(|words| takes(words, &packet)), is, "{what}");
        }
    }

    #[test]
    fn a_play_that_is_not_named_has_no_codepoints() {
        let table =
            [("none", None, None, 0), ("voice", Some(0x10), None, 12), ("both", Some(0x10), Some(0x20), 44)];
        for (what, voice, tv, count) in table {
            let filters = filters(2, voice, tv);
            assert_eq!(filters.len(), count, "{what}");
            let numbers: std::collections::BTreeSet<u32> = filters.iter().map(|one| one.handle).collect();
            assert_eq!(numbers.len(), count, "{what}: each has its own number");
        }
    }
}
