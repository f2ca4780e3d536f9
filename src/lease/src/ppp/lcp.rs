//! The options of LCP: the largest packet, the magic number, who we are.
//!
//! In:  what the peer asks and refuses. Out: what we ask; what was agreed.
//!
//! We ask for a maximum receive unit and a magic number. Of the peer's we take the unit, the magic number and one of two ways to say
//! who we are; compressed headers and all else are refused (RFC 2516 §7 forbids them, or we do not have them).
//!
//! Source: RFC 1661 §6; RFC 2516 §7; RFC 4638 §3.

use super::layer::{Options, Verdict};
use super::packet::{self, CHAP, LCP, PAP, Setting};

const MRU: u8 = 1;
const AUTHENTICATION: u8 = 3;
const MAGIC: u8 = 5;
/// CHAP with MD5. Source: RFC 1994 §3.
const MD5: u8 = 5;

/// The MRU of PPPoE where nobody said otherwise, in bytes. Source: RFC 2516 §7.
pub const MRU_USUAL: u16 = 1_492;
/// The same of PPP itself. Source: RFC 1661 §6.1.
const MRU_DEFAULT: u16 = 1_500;
/// The smallest unit of the peer's that we live with: what every IPv4 host takes. Source: RFC 791 §3.1.
const MRU_MIN: u16 = 576;

/// How the peer wants to know who we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// By PAP (RFC 1334).
    Pap,
    /// By CHAP with MD5 (RFC 1994).
    Chap,
}

/// The options, both ways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lcp {
    /// The largest packet that we take, in bytes; 0: it is not asked for.
    pub mru: u16,
    /// Our magic number; 0: none.
    pub magic: u32,
    /// The largest packet that the peer takes, in bytes.
    pub peer_mru: u16,
    /// The same, where it says nothing: what discovery has agreed, at most PPP's own 1500. Source: RFC 1661 §6.1; RFC 4638 §5.1.
    pub(super) unsaid: u16,
    /// The peer's magic number; 0: none.
    pub peer_magic: u32,
    /// How it wants to know who we are; `None`: not at all.
    pub way: Option<Way>,
}

impl Lcp {
    /// What we begin with.
    ///
    /// * `mru` — the largest packet that the link carries, in bytes; more than 1492 only where discovery has agreed so.
    /// * `magic` — any number.
    #[must_use]
    pub fn new(mru: u16, magic: u32) -> Self {
        let unsaid = mru.min(MRU_DEFAULT);
        Self { mru, magic: magic.max(1), peer_mru: unsaid, unsaid, peer_magic: 0, way: None }
    }

    /// The largest packet that both sides take, in bytes.
    #[must_use]
    pub fn mtu(&self) -> u16 {
        let ours = if self.mru == 0 { MRU_USUAL } else { self.mru };
        ours.min(self.peer_mru)
    }

    /// Another magic number than ours.
    fn other_magic(&self) -> u32 {
        // A step of a linear congruential generator. Source: Numerical Recipes, §7.1.
        self.magic.wrapping_mul(1_664_525).wrapping_add(1_013_904_223).max(1)
    }
}

/// Two bytes as a number.
fn short(data: &[u8]) -> Option<u16> {
    data.try_into().ok().map(u16::from_be_bytes)
}

impl Options for Lcp {
    const PROTOCOL: u16 = LCP;

    fn ask(&self) -> Vec<u8> {
        let mut body = Vec::new();
        if self.mru != 0 {
            packet::put(&mut body, MRU, &self.mru.to_be_bytes());
        }
        if self.magic != 0 {
            packet::put(&mut body, MAGIC, &self.magic.to_be_bytes());
        }
        body
    }

    fn nak(&mut self, (kind, data): Setting<'_>) {
        match kind {
            MRU => self.mru = short(data).filter(|mru| (MRU_MIN..self.mru).contains(mru)).unwrap_or(self.mru),
            MAGIC => self.magic = self.other_magic(),
            _ => {} // Not ours.
        }
    }

    fn reject(&mut self, kind: u8) {
        match kind {
            MRU => self.mru = 0,
            MAGIC => self.magic = 0,
            _ => {}
        }
    }

    fn judge(&mut self, settings: &[Setting<'_>]) -> Verdict {
        let (mut naks, mut refused) = (Vec::new(), Vec::new());
        let mut taken = Self { peer_mru: self.unsaid, peer_magic: 0, way: None, ..self.clone() };
        for (kind, data) in settings {
            match (*kind, *data) {
                (MRU, &[high, low]) => match u16::from_be_bytes([high, low]) {
                    mru @ MRU_MIN.. => taken.peer_mru = mru,
                    _ => packet::put(&mut naks, MRU, &MRU_USUAL.to_be_bytes()),
                },
                (MAGIC, &[a, b, c, d]) => match u32::from_be_bytes([a, b, c, d]) {
                    // Ours, or none: the line may lead back to us. Source: RFC 1661 §6.4.
                    magic if magic == 0 || magic == self.magic => {
                        packet::put(&mut naks, MAGIC, &self.other_magic().to_be_bytes());
                    }
                    magic => taken.peer_magic = magic,
                },
                (AUTHENTICATION, &[high, low, ref rest @ ..]) => {
                    match (u16::from_be_bytes([high, low]), rest) {
                        (PAP, []) => taken.way = Some(Way::Pap),
                        (CHAP, [MD5]) => taken.way = Some(Way::Chap),
                        _ => {
                            let [high, low] = CHAP.to_be_bytes();
                            packet::put(&mut naks, AUTHENTICATION, &[high, low, MD5]);
                        }
                    }
                }
                (kind, data) => packet::put(&mut refused, kind, data),
            }
        }
        match (refused.is_empty(), naks.is_empty()) {
            (false, _) => Verdict::Reject(refused),
            (true, false) => Verdict::Nak(naks),
            (true, true) => {
                *self = taken;
                Verdict::Good
            }
        }
    }

    fn echo_head(&self) -> Option<[u8; 4]> {
        Some(self.magic.to_be_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::{Lcp, Way};
    use crate::ppp::layer::{Options, Verdict};
    use crate::ppp::packet::{Setting, settings};

    #[test]
    fn what_the_peer_asks_is_taken_countered_or_refused() {
        let chap = vec![3, 5, 0xc2, 0x23, 5];
        // what, what it asks, the verdict
        let table: [(&str, &[u8], Verdict); 9] = [
            ("nothing", &[], Verdict::Good),
            ("MRU, PAP, magic", &[1, 4, 5, 0xd4, 3, 4, 0xc0, 0x23, 5, 6, 9, 9, 9, 9], Verdict::Good),
            ("MS-CHAPv2", &[3, 5, 0xc2, 0x23, 0x81], Verdict::Nak(chap.clone())),
            ("EAP", &[3, 4, 0xc2, 0x27], Verdict::Nak(chap)),
            ("compressed headers", &[1, 4, 5, 0xd4, 7, 2, 8, 2], Verdict::Reject(vec![7, 2, 8, 2])),
            ("refusal before counter", &[7, 2, 3, 4, 0xc2, 0x27], Verdict::Reject(vec![7, 2])),
            ("a tiny MRU", &[1, 4, 0, 64], Verdict::Nak(vec![1, 4, 5, 0xd4])),
            ("an MRU of three bytes", &[1, 5, 0, 5, 0xd4], Verdict::Reject(vec![1, 5, 0, 5, 0xd4])),
            ("a control character map", &[2, 6, 0, 0, 0, 0], Verdict::Reject(vec![2, 6, 0, 0, 0, 0])),
        ];
        for (what, asked, verdict) in table {
            let mut lcp = Lcp::new(1_492, 7);
            assert_eq!(lcp.judge(&settings(asked).unwrap()), verdict, "{what}");
            if what.contains("PAP") {
                assert_eq!((lcp.way, lcp.peer_magic, lcp.mtu()), (Some(Way::Pap), 0x0909_0909, 1_492));
            }
        }
    }

    #[test]
    fn our_own_magic_number_is_not_the_peers() {
        let mut lcp = Lcp::new(1_492, 7);
        let Verdict::Nak(wanted) = lcp.judge(&[(5, &[0, 0, 0, 7])]) else { panic!("it was taken") };
        assert_ne!(wanted, [5, 6, 0, 0, 0, 7]);
        lcp.nak((5, &[0, 0, 0, 9]));
        assert_ne!(lcp.magic, 7, "we take another one, too");
    }

    #[test]
    fn the_unit_is_what_both_sides_take() {
        let mut lcp = Lcp::new(1_500, 7);
        // What discovery has agreed, what the peer asks, the unit. pppd does not ask for 1500.
        let unsaid = [(1_500, None, 1_500), (1_492, None, 1_492), (1_400, None, 1_400), (9_000, None, 1_500)];
        let asked =
            [(1_500, Some(1_500_u16), 1_500), (1_500, Some(1_492), 1_492), (1_492, Some(1_500), 1_492)];
        for (agreed, asks, mtu) in unsaid.into_iter().chain(asked) {
            let mut lcp = Lcp::new(agreed, 7);
            let asks = asks.map(u16::to_be_bytes);
            let settings: Vec<Setting<'_>> = asks.iter().map(|mru| (1, mru.as_slice())).collect();
            assert_eq!(lcp.judge(&settings), Verdict::Good);
            assert_eq!(lcp.mtu(), mtu, "{agreed} {asks:?}");
        }
        lcp.nak((1, &1_480_u16.to_be_bytes()));
        assert_eq!(lcp.mtu(), 1_480);
        lcp.nak((1, &9_000_u16.to_be_bytes()));
        assert_eq!(lcp.mtu(), 1_480, "never more than the link carries");
        lcp.reject(1);
        assert_eq!((lcp.mtu(), lcp.ask()), (1_492, vec![5, 6, 0, 0, 0, 7]));
    }
}
