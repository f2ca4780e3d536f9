//! The option of IPV6CP: interface identifiers, of which link-local addresses are made.
//!
//! In:  what the peer asks and refuses. Out: what we ask; what was agreed.
//!
//! Source: RFC 5072 §3, §4.1.

use super::layer::{Options, Verdict};
use super::packet::{self, IPV6CP, Setting};

const IDENTIFIER: u8 = 1;

/// The options, both ways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ipv6cp {
    /// Our identifier; never 0.
    pub identifier: u64,
    /// The peer's; 0: it has not said.
    pub peer: u64,
}

impl Ipv6cp {
    /// We begin with the identifier of our link-layer address: it is the same every time. Source: RFC 4291 appendix A.
    #[must_use]
    pub fn new(mac: [u8; 6]) -> Self {
        let [a, b, c, d, e, f] = mac;
        Self { identifier: u64::from_be_bytes([a ^ 2, b, c, 0xff, 0xfe, d, e, f]).max(1), peer: 0 }
    }

    /// One that is neither ours nor `taken`, and is marked as a local one.
    fn another(&self, taken: u64) -> u64 {
        const LOCAL: u64 = !(1 << 57); // The universal/local bit. Source: RFC 4291 §2.5.1.
        let mut other = self.identifier;
        for _ in 0..4 {
            if other != 0 && other != self.identifier && other != taken {
                break;
            }
            // A step of a linear congruential generator: three wrong ones are left behind after three steps. Source: Knuth, MMIX.
            other =
                other.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407) & LOCAL;
        }
        other
    }
}

fn identifier(data: &[u8]) -> Option<u64> {
    data.try_into().ok().map(u64::from_be_bytes)
}

impl Options for Ipv6cp {
    const PROTOCOL: u16 = IPV6CP;

    fn ask(&self) -> Vec<u8> {
        let mut body = Vec::new();
        packet::put(&mut body, IDENTIFIER, &self.identifier.to_be_bytes());
        body
    }

    fn nak(&mut self, (kind, data): Setting<'_>) {
        let told = identifier(data).filter(|told| kind == IDENTIFIER && *told != 0 && *told != self.peer);
        self.identifier = told.unwrap_or_else(|| self.another(self.peer));
    }

    fn reject(&mut self, _kind: u8) {
        // Without an identifier there is no address; it is asked for again, a bounded number of times.
    }

    fn judge(&mut self, settings: &[Setting<'_>]) -> Verdict {
        let (mut refused, mut naks, mut peer) = (Vec::new(), Vec::new(), 0);
        for (kind, data) in settings {
            match identifier(data).filter(|_| *kind == IDENTIFIER) {
                // Ours, or none. Source: RFC 5072 §4.1.
                Some(told) if told == 0 || told == self.identifier => {
                    packet::put(&mut naks, IDENTIFIER, &self.another(told).to_be_bytes());
                }
                Some(told) => peer = told,
                None => packet::put(&mut refused, *kind, data),
            }
        }
        match (refused.is_empty(), naks.is_empty()) {
            (false, _) => Verdict::Reject(refused),
            (true, false) => Verdict::Nak(naks),
            (true, true) => {
                self.peer = peer;
                Verdict::Good
            }
        }
    }

    fn echo_head(&self) -> Option<[u8; 4]> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::Ipv6cp;
    use crate::ppp::layer::{Options, Verdict};

    #[test]
    fn the_identifier_is_that_of_the_link() {
        assert_eq!(Ipv6cp::new([0x52, 0x54, 0, 0x53, 0x48, 1]).identifier, 0x5054_00ff_fe53_4801);
    }

    #[test]
    fn two_alike_are_told_apart() {
        let mut ipv6cp = Ipv6cp::new([0x52, 0x54, 0, 0x53, 0x48, 1]);
        for same in [0, ipv6cp.identifier] {
            let Verdict::Nak(wanted) = ipv6cp.judge(&[(1, &same.to_be_bytes())]) else { panic!("{same}") };
            assert!(wanted[2..] != same.to_be_bytes() && wanted[2..] != ipv6cp.identifier.to_be_bytes());
        }
        assert_eq!(ipv6cp.judge(&[(1, &7_u64.to_be_bytes())]), Verdict::Good);
        assert_eq!(ipv6cp.peer, 7);
        assert!(matches!(ipv6cp.judge(&[(2, &[0, 0x61])]), Verdict::Reject(_)), "compression");
        ipv6cp.nak((1, &9_u64.to_be_bytes()));
        assert_eq!(ipv6cp.identifier, 9);
        ipv6cp.nak((1, &7_u64.to_be_bytes()));
        assert!(![0, 7, 9].contains(&ipv6cp.identifier), "never the peer's");
    }
}
