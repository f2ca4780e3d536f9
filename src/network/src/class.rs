//! Classes of traffic: what the firewall writes on packets, and queues read from them.
//!
//! In:  a class. Out: its mark, its priority, its DSCP. Pure constants.
//!
//! The firewall (`firewall/`) writes them on all that passes and on what the gateway itself sends; queues (`qos/`) only read them. The
//! mark stands on the packet (`fwmark`) and on its connection (`ct mark`), so that a queue behind `ingress`, which no chain has seen yet,
//! can fetch it from there.
//!
//! Bits of a mark outside of [`MASK`] are others': policy routing may use them.
//!
//! Source: RFC 4594 (classes), RFC 3246 (EF), RFC 2597 (AF); ip-link(8), `egress-qos-map`, reads the priority.

use contract::limit::SERVICES;

/// The bits of a mark that say the class.
pub const MASK: u32 = 0xff;

/// A class of traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// The voice play: calls and what sets them up.
    Voice,
    /// The TV play.
    Tv,
    /// Everything else of the home, of guests and of the gateway: nothing is written.
    Internet,
    /// The service in this slot.
    Service(u8),
}

impl Class {
    /// Its mark, within [`MASK`]: a service's is its slot and one; that of the Internet is nothing.
    #[must_use]
    pub const fn mark(self) -> u32 {
        match self {
            Self::Internet => 0,
            Self::Service(slot) => slot as u32 + 1,
            Self::Voice => 0x80,
            Self::Tv => 0x81,
        }
    }

    /// The class that a mark says. A mark that is nobody's is the Internet's.
    #[must_use]
    pub fn of_mark(mark: u32) -> Self {
        let said = mark & MASK;
        let services = (0..).take(SERVICES).map(Self::Service);
        [Self::Voice, Self::Tv]
            .into_iter()
            .chain(services)
            .find(|class| class.mark() == said)
            .unwrap_or(Self::Internet)
    }

    /// Its priority inside the kernel (`skb->priority`), which a VLAN's map turns into that of 802.1p: 0 to 7. Of services: nothing is
    /// written.
    #[must_use]
    pub const fn priority(self) -> u32 {
        match self {
            Self::Voice => 6, // Internetwork control and voice signalling are alike here: IEEE 802.1Q-2022, table I-2, says 5 or 6.
            Self::Tv => 4,
            Self::Internet | Self::Service(_) => 0,
        }
    }

    /// Its differentiated services codepoint; `None`: what the sender wrote stays.
    #[must_use]
    pub const fn dscp(self) -> Option<u8> {
        match self {
            Self::Voice => Some(46), // EF. Source: RFC 3246 §2.7, RFC 4594 §4.1.
            Self::Tv => Some(34),    // AF41. Source: RFC 2597 §6.
            Self::Internet | Self::Service(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Class, MASK};
    use contract::limit::SERVICES;

    #[test]
    fn each_class_has_its_own_mark() {
        let services = (0..).take(SERVICES).map(Class::Service);
        let all: Vec<Class> =
            [Class::Voice, Class::Tv, Class::Internet].into_iter().chain(services).collect();
        for class in &all {
            assert_eq!(class.mark() & !MASK, 0, "{class:?}");
            assert_eq!(Class::of_mark(class.mark() | 0xa500), *class, "others' bits do not matter");
        }
        assert_eq!(Class::of_mark(0x7f), Class::Internet, "nobody's");
    }
}
