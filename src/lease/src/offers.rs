//! Offers that wait while ARP asks whether somebody uses their address already; and grants to hosts that reboot with an address that we
//! do not know to be theirs.
//!
//! In:  offers, ARP packets, time. Out: addresses to ask for; offers that may go; addresses that are taken.
//!
//! This is what makes a restart of the daemon safe: its table is gone, but a host that uses an address says so. An offer to a host that
//! is known to have the address does not come here.
//!
//! Pure: `lan.rs` has the sockets.
//!
//! Source: RFC 2131 §3.1 step 2 ("the server SHOULD check"); RFC 5227 §2.1.1.

use std::net::Ipv4Addr;

use crate::arp::{self, Arp};
use crate::message::{Mac, Message};
use crate::server::Way;

/// Offers that wait at a time, half a second each: so many hosts that we do not know, twice a second. Who finds no place asks again
/// after a few seconds.
pub const OFFERS_MAX: usize = 128;
/// ARP questions for one offer, and the time between them in milliseconds: clients wait three seconds and more for an offer.
const PROBES: u32 = 2;
const PROBE_EVERY_MS: u64 = 250;

#[derive(Debug)]
struct Waiting {
    reply: Message,
    way: Way,
    probes: u32,
    due_ms: u64,
}

/// What has to be done now.
#[derive(Debug, PartialEq, Eq)]
pub enum Due {
    /// Ask for this address.
    Probe(Ipv4Addr),
    /// Nobody has it: send this.
    Send(Message, Way),
}

/// All that wait.
#[derive(Debug, Default)]
pub struct Offers {
    waiting: Vec<Waiting>,
}

impl Offers {
    /// Puts an offer in; one to the same host that waits already is replaced and keeps its time.
    pub fn put(&mut self, reply: Message, way: Way, now_ms: u64) {
        let same = |old: &&mut Waiting| old.reply.chaddr == reply.chaddr && old.reply.yiaddr == reply.yiaddr;
        if let Some(old) = self.waiting.iter_mut().find(same) {
            (old.reply, old.way) = (reply, way);
            return;
        }
        self.waiting.retain(|old| old.reply.chaddr != reply.chaddr);
        if self.waiting.len() < OFFERS_MAX {
            self.waiting.push(Waiting { reply, way, probes: 0, due_ms: now_ms });
        }
    }

    /// Does none wait?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// When there is something to do, in milliseconds after boot.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        self.waiting.iter().map(|waiting| waiting.due_ms).min()
    }

    /// The next thing that is due. To be asked until there is none.
    pub fn due(&mut self, now_ms: u64) -> Option<Due> {
        let place = self.waiting.iter().position(|waiting| waiting.due_ms <= now_ms)?;
        let waiting = self.waiting.get_mut(place)?;
        if waiting.probes < PROBES {
            waiting.probes += 1;
            waiting.due_ms = now_ms.saturating_add(PROBE_EVERY_MS);
            return Some(Due::Probe(waiting.reply.yiaddr));
        }
        let done = self.waiting.swap_remove(place);
        Some(Due::Send(done.reply, done.way))
    }

    /// Takes an ARP packet in. Returns the address that is taken, by somebody other than us and whom it was to be offered to; its offer
    /// is gone, and the host will be offered another one when it asks again.
    pub fn hear(&mut self, arp: &Arp, own: Mac) -> Option<Ipv4Addr> {
        let taken = |waiting: &Waiting| {
            arp.sender != waiting.reply.chaddr && arp::is_conflict(arp, own, waiting.reply.yiaddr)
        };
        let place = self.waiting.iter().position(taken)?;
        Some(self.waiting.swap_remove(place).reply.yiaddr)
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::{Due, OFFERS_MAX, Offers};
    use crate::arp;
    use crate::message::{Kind, Mac, Message};
    use crate::server::Way;
    use std::net::Ipv4Addr;

    const OWN: Mac = [2, 0, 0, 0, 0, 1];
    const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 100);

    fn offer(host: u8, xid: u32) -> Message {
        let address = Ipv4Addr::from_bits(ADDRESS.to_bits() + u32::from(host));
        Message { yiaddr: address, ..Message::new(Kind::Offer, xid, [2, 0, 0, 0, 1, host]) }
    }

    #[test]
    fn an_offer_goes_when_nobody_spoke() {
        let mut offers = Offers::default();
        offers.put(offer(0, 1), Way::Broadcast, 1_000);
        assert_eq!(offers.due(1_000), Some(Due::Probe(ADDRESS)));
        assert_eq!((offers.due(1_000), offers.due_ms()), (None, Some(1_250)));
        offers.put(offer(0, 2), Way::Broadcast, 1_100);
        assert_eq!(offers.due(1_250), Some(Due::Probe(ADDRESS)));
        assert_eq!(offers.due(1_500), Some(Due::Send(offer(0, 2), Way::Broadcast)), "the newest question");
        assert!(offers.is_empty() && offers.due_ms().is_none());
    }

    #[test]
    fn who_speaks_takes_the_address() {
        // who, what, taken
        let table = [
            ("a stranger has it", arp::announcement([2, 0, 0, 0, 9, 9], ADDRESS), true),
            ("a stranger asks for it too", arp::probe([2, 0, 0, 0, 9, 9], ADDRESS), true),
            ("the host itself still has it", arp::announcement([2, 0, 0, 0, 1, 0], ADDRESS), false),
            ("we ask", arp::probe(OWN, ADDRESS), false),
            ("a stranger has another", arp::announcement([2, 0, 0, 0, 9, 9], Ipv4Addr::LOCALHOST), false),
        ];
        for (what, bytes, taken) in table {
            let mut offers = Offers::default();
            offers.put(offer(0, 1), Way::Broadcast, 0);
            let heard = offers.hear(&arp::read(&bytes).unwrap(), OWN);
            assert_eq!((heard, offers.is_empty()), (taken.then_some(ADDRESS), taken), "{what}");
        }
    }

    #[test]
    fn no_more_wait_than_there_is_room_for() {
        let mut offers = Offers::default();
        for host in 0..=u8::MAX {
            offers.put(offer(host, 1), Way::Broadcast, 0);
        }
        let due = std::iter::from_fn(|| offers.due(0)).count();
        assert_eq!(due, OFFERS_MAX);
    }
}
